/* SPDX-License-Identifier: MIT */
/* A time zone as one rule for all years: the TZ string of POSIX, "CET-1CEST,M3.5.0,M10.5.0/3", with
 * the extension of RFC 9636 (times of change from -167 to 167 hours). Pure.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <berth/error.h>

/* What a zone may be away from UTC, as RFC 9636 has it: more than -25 h, less than 26 h. */
#define ZONE_OFFSET_S_MIN (-89999)
#define ZONE_OFFSET_S_MAX 93599

/* The instants that may be asked for, in seconds since 1970 UTC: some ten thousand years to either
 * side. */
#define ZONE_UNIX_S_MIN (-INT64_C(400000000000))
#define ZONE_UNIX_S_MAX INT64_C(400000000000)

/* A time in which the zone's clock is a fixed number of seconds ahead of UTC: begin_s <= t < end_s.
 * INT64_MIN: since ever; INT64_MAX: for ever. Two that follow each other may have the same offset.
 */
struct zone_span {
    int64_t begin_s, end_s;
    int32_t offset_s;
};

enum zone_day_kind {
    ZONE_DAY_WEEKDAY = 1, /* Mm.w.d: the w-th weekday d of month m; w 5: the last */
    ZONE_DAY_JULIAN,      /* Jn: 1..365, a 29 February is not counted */
    ZONE_DAY_OF_YEAR,     /* n: 0..365, it is counted */
};

/* When in a year the clock is changed: at `time_s` after the midnight that begins the day, by the
 * clock before the change. */
struct zone_change {
    enum zone_day_kind kind;
    unsigned month, week, weekday, day;
    int32_t time_s;
};

struct zone_rule {
    int32_t standard_s, summer_s; /* ahead of UTC */
    bool has_summer;              /* else the rest has no meaning */
    struct zone_change summer_begins, summer_ends;
};

/* BERTH_EVALUE with a sentence that says at which byte what is expected. */
int zone_rule_parse(struct berth_slice text, struct zone_rule *ret_rule, struct berth_error *err);

/* Where `unix_s` (ZONE_UNIX_S_MIN .. ZONE_UNIX_S_MAX) lies. */
struct zone_span zone_rule_at(const struct zone_rule *rule, int64_t unix_s);
