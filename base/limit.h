/* SPDX-License-Identifier: MIT
 *
 * Limits and rates as people write them: "5" "unlimited" "cores" "max(64,cores)"; "10/s" "100/m".
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <berth/error.h>
#include <berth/types.h>

#define BERTH_LIMIT_VALUE_MAX 1000000000
#define BERTH_LIMIT_TEXT_MAX  32 /* what berth_limit_format() needs */

/* Reads one. `what` names it in the sentence. 0 or BERTH_EVALUE. */
int berth_limit_parse(const char *what, const char *text, struct berth_limit *ret_limit,
                      struct berth_error *err);

/* Writes one, as it is read. Returns the text, which may be `text`; "unknown" for a kind that this
 * version does not know. */
const char *berth_limit_format(const struct berth_limit *limit,
                               char text[static BERTH_LIMIT_TEXT_MAX]);

#define BERTH_RATE_COUNT_MAX 1000000
#define BERTH_RATE_MS_MAX    86400000 /* a day */
#define BERTH_RATE_TEXT_MAX  32       /* what berth_rate_format() needs */

/* Reads a rate: a count from 1 to BERTH_RATE_COUNT_MAX for each second, minute, hour or day ("10/s"
 * "100/m" "5/h" "1/d"), or "none", which is 0 for 0. 0 or BERTH_EVALUE. */
int berth_rate_parse(const char *what, const char *text, uint32_t *ret_count, int64_t *ret_ms,
                     struct berth_error *err);

/* Whether it is such a rate, or 0 for 0. */
bool berth_rate_is_valid(uint32_t count, int64_t ms);

/* Writes one, as it is read. Returns the text, which may be `text`; "unknown" for none that is
 * valid. */
const char *berth_rate_format(uint32_t count, int64_t ms, char text[static BERTH_RATE_TEXT_MAX]);
