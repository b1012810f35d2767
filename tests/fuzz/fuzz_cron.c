/* SPDX-License-Identifier: MIT
 *
 * Any bytes as a cron expression: read or refused with a sentence, never worse. One that was read
 * comes later than what was asked from, and in UTC on a day and at a minute of it.
 *
 * The same bytes are read as a time zone's rule.
 */
#include <stdint.h>
#include <string.h>

#include "base/assert.h"
#include "base/text.h"
#include "broker/core/recur/calendar.h"
#include "broker/core/recur/cron.h"

#define SECOND_US    INT64_C(1000000)
#define BEGIN_US     (INT64_C(1800000000) * SECOND_US) /* 2027 */
#define INSTANTS_MAX 16

static void check_shape(const struct cron *cron)
{
    BERTH_ASSERT(cron->minutes != 0);
    BERTH_ASSERT(cron->minutes >> 60 == 0);
    BERTH_ASSERT(cron->hours != 0);
    BERTH_ASSERT(cron->hours >> 24 == 0);
    BERTH_ASSERT(cron->days != 0);
    BERTH_ASSERT((cron->days & 1) == 0);
    BERTH_ASSERT(cron->months != 0);
    BERTH_ASSERT((cron->months & ~0x1ffeu) == 0);
    BERTH_ASSERT(cron->weekdays != 0);
    BERTH_ASSERT(cron->weekdays >> 7 == 0);
}

/* In UTC each instant is a time of the expression. */
static void check_fits(const struct cron *cron, int64_t at_us)
{
    int64_t at_s = at_us / SECOND_US, day = calendar_floor_div(at_s, CALENDAR_DAY_S);
    struct calendar_date date = calendar_date_of(day);
    int64_t minute = (at_s - day * CALENDAR_DAY_S) / 60;
    bool by_month = cron->days >> date.day & 1;
    bool by_week = cron->weekdays >> calendar_weekday(day) & 1;
    BERTH_ASSERT(at_s % 60 == 0);
    BERTH_ASSERT(cron->minutes >> minute % 60 & 1);
    BERTH_ASSERT(cron->hours >> minute / 60 & 1);
    BERTH_ASSERT(cron->months >> date.month & 1);
    BERTH_ASSERT(cron->fits_either_day ? by_month || by_week : by_month && by_week);
}

static void check_comes(const struct cron *cron, const struct zone *zone, bool is_utc)
{
    int64_t after_us = BEGIN_US;
    for (unsigned i = 0; i < INSTANTS_MAX; i++) {
        int64_t next_us = cron_next(cron, zone, after_us);
        /* Real time may leave out all that there is: two o'clock on a 29 March that is a Sunday, in
         * Berlin. */
        BERTH_ASSERT(next_us != CRON_NEVER || (cron->follows_real_time && !is_utc));
        if (next_us == CRON_NEVER)
            return;
        BERTH_ASSERT(next_us > after_us);
        BERTH_ASSERT(cron_next(cron, zone, next_us - 1) == next_us);
        if (is_utc)
            check_fits(cron, next_us);
        after_us = next_us;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct berth_slice text = { data, bytes };
    struct zone utc = { .count = 0 }, berlin = utc, any = utc;
    struct cron cron;
    struct berth_error err = { .code = 0 };
    int rc = zone_of_rule(text, &any, &err);
    BERTH_ASSERT(rc == 0 || rc == BERTH_EVALUE);
    BERTH_ASSERT(rc == err.code);
    BERTH_ASSERT(rc < 0 || zone_at(&any, 0).end_s > 0);

    err.code = 0;
    rc = cron_parse("cron", text, &cron, &err);
    BERTH_ASSERT(rc == 0 || rc == BERTH_EVALUE);
    BERTH_ASSERT(rc == err.code);
    BERTH_ASSERT(rc == 0 || memchr(err.message, '\0', sizeof err.message));
    if (rc < 0)
        return 0;
    rc = zone_of_rule(berth_slice_of("CET-1CEST,M3.5.0,M10.5.0/3"), &berlin, NULL);
    BERTH_ASSERT(rc == 0);
    check_shape(&cron);
    check_comes(&cron, &utc, true);
    check_comes(&cron, &berlin, false);
    return 0;
}
