/* SPDX-License-Identifier: MIT */
#include "calendar.h"

#include <stdbool.h>

#define DAYS_OF_CYCLE    146097 /* of 400 years */
#define DAYS_BEFORE_1970 719468 /* from 0000-03-01 */

int64_t calendar_floor_div(int64_t value, int64_t divisor)
{
    int64_t quotient = value / divisor;
    return value % divisor < 0 ? quotient - 1 : quotient;
}

/* This and the next: years that begin in March, so that the leap day is their last. Howard Hinnant,
 * https://howardhinnant.github.io/date_algorithms.html#days_from_civil */
int64_t calendar_day(int64_t year, unsigned month, unsigned day)
{
    int64_t from_march = month > 2 ? year : year - 1;
    int64_t cycle = calendar_floor_div(from_march, CALENDAR_CYCLE_YEARS);
    int64_t year_of_cycle = from_march - cycle * CALENDAR_CYCLE_YEARS;
    int64_t month_from_march = month > 2 ? month - 3 : month + 9;
    int64_t day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    int64_t day_of_cycle =
        year_of_cycle * 365 + year_of_cycle / 4 - year_of_cycle / 100 + day_of_year;
    return cycle * DAYS_OF_CYCLE + day_of_cycle - DAYS_BEFORE_1970;
}

struct calendar_date calendar_date_of(int64_t day)
{
    int64_t from_start = day + DAYS_BEFORE_1970;
    int64_t cycle = calendar_floor_div(from_start, DAYS_OF_CYCLE);
    int64_t in_cycle = from_start - cycle * DAYS_OF_CYCLE;
    int64_t year_of_cycle =
        (in_cycle - in_cycle / 1460 + in_cycle / 36524 - in_cycle / 146096) / 365;
    int64_t day_of_year =
        in_cycle - (365 * year_of_cycle + year_of_cycle / 4 - year_of_cycle / 100);
    int64_t month_from_march = (5 * day_of_year + 2) / 153;
    int64_t month = month_from_march < 10 ? month_from_march + 3 : month_from_march - 9;
    int64_t year = year_of_cycle + cycle * CALENDAR_CYCLE_YEARS;
    return (struct calendar_date){
        .year = month <= 2 ? year + 1 : year,
        .month = (unsigned)month,
        .day = (unsigned)(day_of_year - (153 * month_from_march + 2) / 5 + 1),
    };
}

unsigned calendar_weekday(int64_t day)
{
    return (unsigned)((day % 7 + 11) % 7); /* 1970-01-01 was a Thursday */
}

static bool is_leap(int64_t year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

unsigned calendar_month_days(int64_t year, unsigned month)
{
    static const unsigned char days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    return days[month - 1] + (month == 2 && is_leap(year) ? 1u : 0u);
}
