/* SPDX-License-Identifier: MIT */
/* Days and dates of the Gregorian calendar, carried back before its beginning as well: pure
 * arithmetic, for any year of some million.
 *
 * A day is a number: 0 is 1970-01-01, the day before is -1.
 */
#pragma once

#include <stdint.h>

#define CALENDAR_DAY_S       86400
#define CALENDAR_CYCLE_YEARS 400 /* after so many the dates and their weekdays repeat */

struct calendar_date {
    int64_t year;
    unsigned month, day; /* from 1 */
};

/* `month` 1..12, `day` 1..31; a day behind the month's last one counts on into the next. */
int64_t calendar_day(int64_t year, unsigned month, unsigned day);
struct calendar_date calendar_date_of(int64_t day);
/* 0 is Sunday. */
unsigned calendar_weekday(int64_t day);
unsigned calendar_month_days(int64_t year, unsigned month);

/* Rounded towards minus infinity; `divisor` > 0. */
int64_t calendar_floor_div(int64_t value, int64_t divisor);
