/* SPDX-License-Identifier: MIT
 *
 * Any bytes as a time zone's file: read or refused with a sentence, never worse. In a zone that was
 * read each instant lies in its span, spans touch, and cron expressions come as they should: later
 * than what was asked from, and the same asked from anywhere in between.
 */
#include <stdint.h>
#include <string.h>

#include "base/assert.h"
#include "base/text.h"
#include "broker/core/recur/cron.h"
#include "broker/core/recur/zone.h"

#define SECOND_US     1000000
#define SPANS_MAX     64
#define INSTANTS_MAX  16
#define OUTER_STEPS_S 3000000000 /* 95 years */

static void check_span(struct zone_span span, int64_t at_s)
{
    BERTH_ASSERT(span.begin_s <= at_s);
    BERTH_ASSERT(span.end_s > at_s);
    BERTH_ASSERT(span.offset_s >= ZONE_OFFSET_S_MIN);
    BERTH_ASSERT(span.offset_s <= ZONE_OFFSET_S_MAX);
}

static void check_spans(const struct zone *zone, int64_t at_s)
{
    for (unsigned i = 0; i < SPANS_MAX && at_s <= ZONE_UNIX_S_MAX; i++) {
        struct zone_span span = zone_at(zone, at_s);
        check_span(span, at_s);
        BERTH_ASSERT(i == 0 || span.begin_s == at_s);
        at_s = span.end_s;
    }
}

static void check_cron(const struct zone *zone, const char *text, int64_t after_us)
{
    struct cron cron;
    BERTH_ASSERT(cron_parse("cron", berth_slice_of(text), &cron, NULL) == 0);
    for (unsigned i = 0; i < INSTANTS_MAX; i++) {
        int64_t next_us = cron_next(&cron, zone, after_us);
        if (next_us == CRON_NEVER)
            return;
        BERTH_ASSERT(next_us > after_us);
        BERTH_ASSERT(cron_next(&cron, zone, next_us - 1) == next_us);
        BERTH_ASSERT(cron_next(&cron, zone, after_us + (next_us - after_us) / 2) == next_us);
        after_us = next_us;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct zone zone;
    struct berth_error err = { .code = 0 };
    int rc = zone_parse((struct berth_slice){ data, bytes }, &zone, &err);
    BERTH_ASSERT(rc == 0 || rc == BERTH_EVALUE);
    BERTH_ASSERT(rc == err.code);
    if (rc < 0)
        return 0;
    for (int64_t at_s = ZONE_UNIX_S_MIN; at_s <= ZONE_UNIX_S_MAX; at_s += ZONE_UNIX_S_MAX / 50)
        check_span(zone_at(&zone, at_s), at_s);
    for (int64_t at_s = -2 * OUTER_STEPS_S; at_s <= 2 * OUTER_STEPS_S; at_s += OUTER_STEPS_S) {
        check_spans(&zone, at_s);
        check_cron(&zone, "30 2 * * *", at_s * SECOND_US);
        check_cron(&zone, "*/20 * * * *", at_s * SECOND_US);
    }
    return 0;
}
