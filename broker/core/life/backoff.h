/* SPDX-License-Identifier: MIT */
/* When a failed job runs again: exponential backoff with full jitter, pure arithmetic.
 *
 * After the n-th failure the delay is drawn evenly from 0 .. min(max, base * 2^(n-1)) ("full
 * jitter": M. Brooker, Exponential Backoff And Jitter, AWS Architecture Blog, 2015), so that what
 * failed together does not come back together.
 */
#pragma once

#include <stdint.h>

#include "base/rng.h"

/* `failures` >= 1; `base_ms`, `max_ms` >= 0. Without `rng` there is no jitter: it is the longest.
 */
int64_t backoff_delay_ms(struct berth_rng *rng, uint32_t failures, int64_t base_ms, int64_t max_ms);
