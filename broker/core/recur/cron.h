/* SPDX-License-Identifier: MIT */
/* Cron expressions: when does something recur. Pure: a function of the expression, a zone table and
 * an instant; no clock, and no time function of libc.
 *
 *     minute hour day-of-month month day-of-week
 *     0-59   0-23 1-31         1-12  0-7          0 and 7 are Sunday
 *
 * A field is a list, "1,15,20-25"; its items are a value, a range "10-20", "*" (all), and a range
 * or "*" with a step, "10-20/5". Months and weekdays have names, jan-dec and sun-sat, in any case.
 * A range of weekdays may end with Sunday: "fri-sun". @yearly (@annually) @monthly @weekly @daily
 * (@midnight) @hourly stand for a whole expression.
 *
 * A field is a wildcard if one of its items begins with "*".
 *
 * Days: if both day-of-month and day-of-week are no wildcards, a day fits if either does; else both
 * must.
 *
 * Instants, where the clock of the zone is changed (docs/adr/0011-recurring-jobs.md):
 * 1. Minute and hour both no wildcard ("30 2 * * *"): each wall-clock time of the expression counts
 *    once, at the first instant at which the clock shows it or a later time. So one that is skipped
 *    counts at the end of the gap, and one that comes twice the first time.
 * 2. Minute or hour a wildcard ("0 * * * *"): real time. Each instant counts at which the clock
 *    shows a time of the expression; one that is skipped does not, one that comes twice does twice.
 * 3. An instant counts once, however many times of the expression fall on it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <berth/error.h>

#include "zone.h"

#define CRON_TEXT_BYTES_MAX 255
#define CRON_NEVER          INT64_MAX

/* What fits, a bit for each value. Filled by cron_parse alone. */
struct cron {
    uint64_t minutes;
    uint32_t hours, days;
    uint16_t months;
    uint8_t weekdays;       /* 0..6 */
    bool fits_either_day;   /* of month or of week; else both */
    bool follows_real_time; /* rule 2; else rule 1 */
};

/* BERTH_EVALUE with a sentence that names `what`, the field, the value and what is allowed. Refuses
 * what can never come, such as 31 February. */
int cron_parse(const char *what, struct berth_slice text, struct cron *ret_cron,
               struct berth_error *err);

/* The first instant after `after_us` (microseconds since 1970 UTC), always at a whole second;
 * CRON_NEVER if there is none within the years 1 to 9999 (by rule 2 that can be so in one zone and
 * not in another). Some days' worth of the zone's transitions are looked at, with rule 2 those
 * until the instant as well. */
int64_t cron_next(const struct cron *cron, const struct zone *zone, int64_t after_us);
