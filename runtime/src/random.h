/* SPDX-License-Identifier: MIT
 *
 * Random numbers for choices that must not follow a pattern: which of several ready cases a select
 * takes. Not for secrets. Each thread has its own sequence.
 */
#pragma once

#include <stdint.h>

/* The next number of the calling thread. Never waits. */
uint32_t weft_random(void);

/* From now on the calling thread draws the sequence of this seed: same seed, same numbers. 0: one
 * that nobody can foresee, as at the beginning. */
void weft_random_seed(uint64_t seed);
