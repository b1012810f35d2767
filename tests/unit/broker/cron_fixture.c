/* SPDX-License-Identifier: MIT */
#include "cron_fixture.h"

#include <stdio.h>

#include "broker/core/recur/calendar.h"

struct zone rule(const char *text)
{
    struct zone zone;
    struct berth_error err = { .code = 0 };
    if (zone_of_rule(berth_slice_of(text), &zone, &err) < 0)
        fail_msg("%s: %s", text, err.message);
    return zone;
}

struct zone_file file(const char *name)
{
    struct zone_file file;
    struct berth_error err = { .code = 0 };
    if (zone_file_open("tz", berth_slice_of(name), &file, &err) < 0)
        fail_msg("%s", err.message);
    return file;
}

struct cron cron(const char *text)
{
    struct cron cron;
    struct berth_error err = { .code = 0 };
    if (cron_parse("cron", berth_slice_of(text), &cron, &err) < 0)
        fail_msg("%s", err.message);
    return cron;
}

int64_t utc_us(const char *text)
{
    int year;
    unsigned month, day, hour, minute, second = 0;
    int read = sscanf(text, "%d-%u-%u %u:%u:%u", &year, &month, &day, &hour, &minute, &second);
    assert_true(read >= 5);
    int64_t day_s = calendar_day(year, month, day) * CALENDAR_DAY_S;
    return (day_s + hour * 3600 + minute * 60 + second) * SECOND_US;
}

void assert_comes(const char *text, const struct zone *zone, const char *const *times)
{
    struct cron parsed = cron(text);
    int64_t at_us = utc_us(times[0]);
    for (size_t i = 1; times[i]; i++) {
        int64_t next_us = cron_next(&parsed, zone, at_us);
        if (next_us != utc_us(times[i])) {
            char wanted[BERTH_TIME_TEXT_MAX], got[BERTH_TIME_TEXT_MAX];
            fail_msg("%s: number %zu is %s, not %s", text, i, berth_time_format(next_us, got),
                     berth_time_format(utc_us(times[i]), wanted));
        }
        at_us = next_us;
    }
}
