/* SPDX-License-Identifier: MIT */
/* Cron expressions and zones from text, for the tests of when they come. */
#pragma once

#include "support/berthtest.h"

#include <string.h>

#include "base/text.h"
#include "broker/core/recur/cron.h"
#include "broker/zone_file.h"

#define SECOND_US INT64_C(1000000)
#define BERLIN    "CET-1CEST,M3.5.0,M10.5.0/3"
#define NEW_YORK  "EST5EDT,M3.2.0,M11.1.0"
#define KOLKATA   "IST-5:30"
#define LORD_HOWE "<+1030>-10:30<+11>-11,M10.1.0,M4.1.0"
#define UTC       "UTC0"

/* What they name must be well; the file is the caller's to free. */
struct zone rule(const char *text);
struct zone_file file(const char *name);
struct cron cron(const char *text);
/* "2027-03-28 01:00" in UTC, or with seconds. */
int64_t utc_us(const char *text);

/* After the first of `times` (to NULL) the expression comes at each of the others, in turn. */
void assert_comes(const char *text, const struct zone *zone, const char *const *times);

/* The same in a zone that is a rule, with the times as arguments. */
#define assert_comes_in(zone_text, text, ...)                                                      \
    do {                                                                                           \
        struct zone assert_zone = rule(zone_text);                                                 \
        assert_comes((text), &assert_zone, (const char *const[]){ __VA_ARGS__, NULL });            \
    } while (0)
