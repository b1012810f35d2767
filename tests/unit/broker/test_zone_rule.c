/* SPDX-License-Identifier: MIT
 *
 * Zones as one rule for all years.
 */
#include "support/berthtest.h"

#include <string.h>

#include "base/text.h"
#include "broker/core/recur/calendar.h"
#include "broker/core/recur/zone_rule.h"

#define HOUR_S 3600

static int64_t utc(int64_t year, unsigned month, unsigned day, int64_t hour, int64_t minute)
{
    return calendar_day(year, month, day) * CALENDAR_DAY_S + hour * HOUR_S + minute * 60;
}

static struct zone_rule given(const char *text)
{
    struct zone_rule rule;
    struct berth_error err = { .code = 0 };
    if (zone_rule_parse(berth_slice_of(text), &rule, &err) < 0)
        fail_msg("%s: %s", text, err.message);
    return rule;
}

/* The clock changes at `at_s` from one offset to another. */
static void assert_change(const struct zone_rule *rule, int64_t at_s, int32_t before_s,
                          int32_t after_s)
{
    struct zone_span before = zone_rule_at(rule, at_s - 1);
    struct zone_span after = zone_rule_at(rule, at_s);
    assert_int_equal(before.end_s, at_s);
    assert_int_equal(before.offset_s, before_s);
    assert_int_equal(after.begin_s, at_s);
    assert_int_equal(after.offset_s, after_s);
}

static void without_summer_time_one_offset_holds_for_ever(void **state)
{
    (void)state;
    struct zone_rule rule = given("IST-5:30");
    struct zone_span span = zone_rule_at(&rule, utc(2050, 6, 1, 0, 0));

    assert_int_equal(span.begin_s, INT64_MIN);
    assert_int_equal(span.end_s, INT64_MAX);
    assert_int_equal(span.offset_s, 5 * HOUR_S + 1800);
}

static void berlin_changes_on_the_last_sundays_of_march_and_october(void **state)
{
    (void)state;
    struct zone_rule rule = given("CET-1CEST,M3.5.0,M10.5.0/3");

    assert_change(&rule, utc(2027, 3, 28, 1, 0), HOUR_S, 2 * HOUR_S);
    assert_change(&rule, utc(2027, 10, 31, 1, 0), 2 * HOUR_S, HOUR_S);
    assert_change(&rule, utc(2050, 3, 27, 1, 0), HOUR_S, 2 * HOUR_S);
    assert_change(&rule, utc(1950, 3, 26, 1, 0), HOUR_S, 2 * HOUR_S);
}

static void new_york_changes_on_the_second_and_the_first_sunday(void **state)
{
    (void)state;
    struct zone_rule rule = given("EST5EDT,M3.2.0,M11.1.0");

    assert_change(&rule, utc(2027, 3, 14, 7, 0), -5 * HOUR_S, -4 * HOUR_S);
    assert_change(&rule, utc(2027, 11, 7, 6, 0), -4 * HOUR_S, -5 * HOUR_S);
}

static void in_the_south_summer_goes_over_the_new_year(void **state)
{
    (void)state;
    struct zone_rule rule = given("<+1030>-10:30<+11>-11,M10.1.0,M4.1.0");

    assert_change(&rule, utc(2027, 4, 3, 15, 0), 11 * HOUR_S, 10 * HOUR_S + 1800);
    assert_change(&rule, utc(2027, 10, 2, 15, 30), 10 * HOUR_S + 1800, 11 * HOUR_S);
    assert_int_equal(zone_rule_at(&rule, utc(2028, 1, 1, 0, 0)).begin_s, utc(2027, 10, 2, 15, 30));
    assert_int_equal(zone_rule_at(&rule, utc(2027, 12, 31, 23, 0)).end_s, utc(2028, 4, 1, 15, 0));
}

static void summer_may_be_the_earlier_time(void **state)
{
    (void)state;
    struct zone_rule rule = given("IST-1GMT0,M10.5.0,M3.5.0/1");

    assert_change(&rule, utc(2027, 3, 28, 1, 0), 0, HOUR_S);
    assert_change(&rule, utc(2027, 10, 31, 1, 0), HOUR_S, 0);
}

static void days_may_be_counted_with_and_without_the_leap_day(void **state)
{
    (void)state;
    struct zone_rule julian = given("AAA0BBB,J60/0,J365/0");
    assert_change(&julian, utc(2023, 3, 1, 0, 0), 0, HOUR_S);
    assert_change(&julian, utc(2024, 3, 1, 0, 0), 0, HOUR_S);
    assert_change(&julian, utc(2024, 12, 30, 23, 0), HOUR_S, 0);

    struct zone_rule counted = given("AAA0BBB,59/0,364/0");
    assert_change(&counted, utc(2023, 3, 1, 0, 0), 0, HOUR_S);
    assert_change(&counted, utc(2024, 2, 29, 0, 0), 0, HOUR_S);
    assert_change(&counted, utc(2024, 12, 29, 23, 0), HOUR_S, 0);
}

static void times_of_change_may_lie_days_away(void **state)
{
    (void)state;
    /* Godthab's: the evening before the last Sunday of March. */
    struct zone_rule rule = given("<-02>2<-01>,M3.5.0/-1,M10.5.0/0");
    assert_change(&rule, utc(2027, 3, 28, 1, 0), -2 * HOUR_S, -HOUR_S);

    /* RFC 9636's example of Jerusalem: the Friday before the last Sunday, 26 h after Thursday. */
    struct zone_rule jerusalem = given("IST-2IDT,M3.4.4/26,M10.5.0");
    assert_change(&jerusalem, utc(2027, 3, 26, 0, 0), 2 * HOUR_S, 3 * HOUR_S);

    struct zone_rule week = given("AAA0BBB,0/-167,J180/167");
    assert_change(&week, utc(2026, 12, 25, 1, 0), 0, HOUR_S);
    assert_change(&week, utc(2027, 7, 5, 22, 0), HOUR_S, 0);
}

static void summer_time_all_year_has_no_gap_at_the_new_year(void **state)
{
    (void)state;
    struct zone_rule rule = given("EST5EDT,0/0,J365/25");
    for (int64_t hour = -48; hour <= 48; hour++)
        assert_int_equal(zone_rule_at(&rule, utc(2027, 1, 1, hour, 0)).offset_s, -4 * HOUR_S);
}

static void every_instant_lies_in_its_span_and_spans_touch(void **state)
{
    (void)state;
    const char *rules[] = { "CET-1CEST,M3.5.0,M10.5.0/3", "AAA0BBB,0/-167,J365/167",
                            "AAA24:59:59BBB-24:59:59,M1.1.0/-167,M12.5.6/167", "AAA0BBB0,0/0,0/0",
                            "AAA0BBB5,J1/0,J1/0" };
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        struct zone_rule rule = given(rules[i]);
        int64_t at_s = utc(1999, 1, 1, 0, 0);
        for (unsigned spans = 0; at_s < utc(2009, 1, 1, 0, 0); spans++) {
            struct zone_span span = zone_rule_at(&rule, at_s);
            assert_true(span.begin_s <= at_s);
            assert_true(spans == 0 || span.begin_s == at_s);
            assert_true(span.end_s > at_s);
            assert_int_equal(zone_rule_at(&rule, span.end_s - 1).end_s, span.end_s);
            at_s = span.end_s;
        }
    }
}

static void the_first_and_the_last_instant_may_be_asked_for(void **state)
{
    (void)state;
    struct zone_rule rule = given("CET-1CEST,M3.5.0,M10.5.0/3");

    assert_true(zone_rule_at(&rule, ZONE_UNIX_S_MIN).begin_s <= ZONE_UNIX_S_MIN);
    assert_true(zone_rule_at(&rule, ZONE_UNIX_S_MAX).end_s > ZONE_UNIX_S_MAX);
}

static void what_is_wrong_is_said_with_its_place(void **state)
{
    (void)state;
    static const struct {
        const char *text, *sentence;
    } cases[] = {
        { "", "byte 0 of 0: expected is a name of three" },
        { "CE-1", "byte 2 of 4: expected is a name of three" },
        { "<CE>-1", "byte 3 of 6: expected is a name of three" },
        { "<+01-1", "byte 6 of 6: expected is '>'" },
        { "CET", "byte 3 of 3: expected is an offset" },
        { "CET25", "byte 3 of 5: expected is an offset, -24:59:59 to 24:59:59" },
        { "CET1:60", "byte 5 of 7: expected is minutes, 0 to 59" },
        { "CET1:0:x", "byte 7 of 8: expected is seconds, 0 to 59" },
        { "CET-1CEST", "byte 9 of 9: expected is ',' and a day" },
        { "CET-1CEST,M3.5.0", "byte 16 of 16: expected is ',' and a day" },
        { "CET-1CEST,M13.5.0,M10.5.0", "byte 11 of 25: expected is a month, 1 to 12" },
        { "CET-1CEST,M3.6.0,M10.5.0", "byte 13 of 24: expected is a week, 1 to 5" },
        { "CET-1CEST,M3.5.7,M10.5.0", "byte 15 of 24: expected is a weekday, 0 to 6" },
        { "CET-1CEST,M3-5.0,M10.5.0", "byte 12 of 24: expected is '.'" },
        { "CET-1CEST,J0,M10.5.0", "byte 11 of 20: expected is a day, J1 to J365" },
        { "CET-1CEST,366,M10.5.0", "byte 10 of 21: expected is a day, Mm.w.d" },
        { "CET-1CEST,M3.5.0/168,M10.5.0", "byte 17 of 28: expected is a time, -167:59:59" },
        { "CET-1CEST,M3.5.0,M10.5.0/3 ", "byte 26 of 27: expected is the end" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct zone_rule rule;
        struct berth_error err = { .code = 0 };
        assert_rc(zone_rule_parse(berth_slice_of(cases[i].text), &rule, &err), BERTH_EVALUE);
        if (!strstr(err.message, cases[i].sentence))
            fail_msg("'%s': %s", cases[i].text, err.message);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_summer_time_one_offset_holds_for_ever),
        cmocka_unit_test(berlin_changes_on_the_last_sundays_of_march_and_october),
        cmocka_unit_test(new_york_changes_on_the_second_and_the_first_sunday),
        cmocka_unit_test(in_the_south_summer_goes_over_the_new_year),
        cmocka_unit_test(summer_may_be_the_earlier_time),
        cmocka_unit_test(days_may_be_counted_with_and_without_the_leap_day),
        cmocka_unit_test(times_of_change_may_lie_days_away),
        cmocka_unit_test(summer_time_all_year_has_no_gap_at_the_new_year),
        cmocka_unit_test(every_instant_lies_in_its_span_and_spans_touch),
        cmocka_unit_test(the_first_and_the_last_instant_may_be_asked_for),
        cmocka_unit_test(what_is_wrong_is_said_with_its_place),
    };
    return berth_test_main(tests, NULL, NULL);
}
