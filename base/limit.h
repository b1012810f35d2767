/* SPDX-License-Identifier: MIT
 *
 * Limits as people write them: "5" "unlimited" "cores" "max(64,cores)".
 */
#pragma once

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
