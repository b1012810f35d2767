/* SPDX-License-Identifier: MIT */
/* Cron expressions: what they mean, when they come next, and how much work that is. Where clocks
 * are changed: test_cron_zone.c. A comparison with another implementation over many zones is
 * cron_check.py. */
#include "cron_fixture.h"

/* What one instant may ask of a zone: the last days and the next ones, with a change in each. */
#define LOOKS_MAX 4

static unsigned looks;

struct zone_span __real_zone_at(const struct zone *zone, int64_t unix_s);
struct zone_span __wrap_zone_at(const struct zone *zone, int64_t unix_s);

struct zone_span __wrap_zone_at(const struct zone *zone, int64_t unix_s)
{
    looks++;
    return __real_zone_at(zone, unix_s);
}

/* ---- expressions ---- */

static void assert_same(const char *a, const char *b)
{
    struct cron left = cron(a), right = cron(b);
    if (left.minutes != right.minutes || left.hours != right.hours || left.days != right.days ||
        left.months != right.months || left.weekdays != right.weekdays ||
        left.fits_either_day != right.fits_either_day ||
        left.follows_real_time != right.follows_real_time)
        fail_msg("'%s' is not '%s'", a, b);
}

static void a_field_has_lists_ranges_and_steps(void **state)
{
    (void)state;
    struct cron parsed = cron("0,15-18,30-40/5 */6 1-31/10 1,12 0-6/3");

    assert_true(parsed.minutes == (UINT64_C(1) | 0xfu << 15 | UINT64_C(1) << 30 |
                                   UINT64_C(1) << 35 | UINT64_C(1) << 40));
    assert_int_equal(parsed.hours, 1u | 1u << 6 | 1u << 12 | 1u << 18);
    assert_int_equal(parsed.days, 1u << 1 | 1u << 11 | 1u << 21 | 1u << 31);
    assert_int_equal(parsed.months, 1u << 1 | 1u << 12);
    assert_int_equal(parsed.weekdays, 1u | 1u << 3 | 1u << 6);
}

static void months_and_weekdays_have_names_in_any_case(void **state)
{
    (void)state;
    assert_same("0 0 * jan,FEB,Mar,apr,may,jun,jul,aug,sep,oct,nov,dec *",
                "0 0 * 1,2,3,4,5,6,7,8,9,10,11,12 *");
    assert_same("0 0 * * sun,MON,Tue,wed,thu,fri,sat", "0 0 * * 0,1,2,3,4,5,6");
    assert_same("0 0 * mar-nov/2 mon-fri", "0 0 * 3-11/2 1-5");
}

static void sunday_is_0_and_7(void **state)
{
    (void)state;
    assert_same("0 0 1 * 7", "0 0 1 * 0");
    assert_same("0 0 1 * 5-7", "0 0 1 * 5,6,0");
    assert_same("0 0 1 * fri-sun", "0 0 1 * 5-7");
    assert_same("0 0 1 * sat-sun", "0 0 1 * 0,6");
    assert_same("0 0 1 * sun-sun", "0 0 1 * 0");
    assert_same("0 0 1 * 0-7", "0 0 1 * 0-6");
}

static void shorthands_stand_for_expressions(void **state)
{
    (void)state;
    assert_same("@yearly", "0 0 1 1 *");
    assert_same("@annually", "0 0 1 1 *");
    assert_same("@monthly", "0 0 1 * *");
    assert_same("@weekly", "0 0 * * 0");
    assert_same("@daily", "0 0 * * *");
    assert_same(" @midnight ", "0 0 * * *");
    assert_same("@hourly", "0 * * * *");
}

static void fields_stand_apart_by_blanks(void **state)
{
    (void)state;
    assert_same("  1\t2  3 \t 4 5 ", "1 2 3 4 5");
}

static void a_wildcard_in_minute_or_hour_follows_real_time(void **state)
{
    (void)state;
    assert_true(cron("* 2 * * *").follows_real_time);
    assert_true(cron("0 */2 * * *").follows_real_time);
    assert_true(cron("0 5,* * * *").follows_real_time);
    assert_false(cron("0 0-23 * * *").follows_real_time);
    assert_false(cron("0-59/5 2 * * *").follows_real_time);
}

static void what_is_wrong_is_said_with_field_value_and_what_is_allowed(void **state)
{
    (void)state;
    static const struct {
        const char *text, *sentence;
    } cases[] = {
        { "60 * * * *", "cron: minute '60' is not allowed; allowed is 0 to 59" },
        { "* 24 * * *", "cron: hour '24' is not allowed; allowed is 0 to 23" },
        { "* * 0 * *", "cron: day-of-month '0' is not allowed; allowed is 1 to 31" },
        { "* * 32 * *", "cron: day-of-month '32' is not allowed; allowed is 1 to 31" },
        { "* * * 13 *", "cron: month '13' is not allowed; allowed is 1 to 12 or jan to dec" },
        { "* * * 0 *", "cron: month '0' is not allowed; allowed is 1 to 12 or jan to dec" },
        { "* * * january *",
          "cron: month 'january' is not allowed; allowed is 1 to 12 or jan to dec" },
        { "* * * * 8", "cron: day-of-week '8' is not allowed; allowed is 0 to 7 (0 and 7 are "
                       "Sunday) or sun to sat" },
        { "jan * * * *", "cron: minute 'jan' is not allowed; allowed is 0 to 59" },
        { "-1 * * * *", "cron: minute '-1' is not allowed; allowed is 0 to 59" },
        { "5- * * * *", "cron: minute '5-' is not allowed; allowed is 0 to 59" },
        { "1,,2 * * * *", "cron: minute '' is not allowed; allowed is 0 to 59" },
        { "1, * * * *", "cron: minute '' is not allowed; allowed is 0 to 59" },
        { "1-2-3 * * * *", "cron: minute '2-3' is not allowed; allowed is 0 to 59" },
        { "+5 * * * *", "cron: minute '+5' is not allowed; allowed is 0 to 59" },
        { "00005 * * * *", "cron: minute '00005' is not allowed; allowed is 0 to 59" },
        { "99999999999 * * * *", "cron: minute '99999999999' is not allowed; allowed is 0 to 59" },
        { "* * L * *", "cron: day-of-month 'L' is not allowed; allowed is 1 to 31" },
        { "* * ? * *", "cron: day-of-month '?' is not allowed; allowed is 1 to 31" },
        { "20-10 * * * *", "cron: minute '20-10' goes backwards; allowed is a range from the lower "
                           "to the higher, or two with a comma" },
        { "* * * * fri-mon", "cron: day-of-week 'fri-mon' goes backwards; allowed is a range from "
                             "the lower to the higher, or two with a comma" },
        { "5/15 * * * *", "cron: minute '5/15' has a step behind a single value; allowed is a step "
                          "behind * or a range" },
        { "*/0 * * * *", "cron: minute '*/0' has the step '0'; allowed is 1 to 59" },
        { "*/60 * * * *", "cron: minute '*/60' has the step '60'; allowed is 1 to 59" },
        { "*/ * * * *", "cron: minute '*/' has the step ''; allowed is 1 to 59" },
        { "*/2/3 * * * *", "cron: minute '*/2/3' has the step '2/3'; allowed is 1 to 59" },
        { "", "cron: '' has 0 fields; allowed are 5: minute hour day-of-month month day-of-week" },
        { "* * * *", "cron: '* * * *' has 4 fields; allowed are 5: minute hour day-of-month month "
                     "day-of-week" },
        { "0 * * * * *",
          "cron: '0 * * * * *' has 6 fields; allowed are 5: minute hour day-of-month month "
          "day-of-week" },
        { "@reboot", "cron: '@reboot' is not known; allowed are @yearly @annually @monthly @weekly "
                     "@daily @midnight @hourly" },
        { "@daily 5", "cron: '@daily 5' has 2 fields; allowed are 5: minute hour day-of-month "
                      "month day-of-week" },
        { "0 0 31 2 *", "cron: '0 0 31 2 *' never comes; allowed is what has a day in some year" },
        { "0 0 30 feb *",
          "cron: '0 0 30 feb *' never comes; allowed is what has a day in some year" },
        { "0 0 31 4,6,9,11 *",
          "cron: '0 0 31 4,6,9,11 *' never comes; allowed is what has a day in some year" },
        { "0 0 30 2 */2",
          "cron: '0 0 30 2 */2' never comes; allowed is what has a day in some year" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct cron parsed;
        struct berth_error err = { .code = 0 };
        int rc = cron_parse("cron", berth_slice_of(cases[i].text), &parsed, &err);
        if (rc != BERTH_EVALUE || strcmp(err.message, cases[i].sentence) != 0)
            fail_msg("'%s': %s", cases[i].text, rc < 0 ? err.message : "taken");
    }
}

static void an_expression_has_a_length(void **state)
{
    (void)state;
    char text[CRON_TEXT_BYTES_MAX + 2];
    memset(text, ' ', sizeof text);
    memcpy(text, "1 2 3 4 5", 9);
    struct cron parsed;
    struct berth_error err = { .code = 0 };
    struct berth_slice slice = { text, CRON_TEXT_BYTES_MAX };

    assert_ok(cron_parse("cron", slice, &parsed, &err));
    slice.bytes++;
    assert_rc(cron_parse("cron", slice, &parsed, &err), BERTH_EVALUE);
    assert_string_equal(err.message, "cron has 256 bytes; allowed are 255");
}

static void a_refused_expression_leaves_the_result_alone(void **state)
{
    (void)state;
    struct cron parsed = cron("1 2 3 4 5");
    assert_rc(cron_parse("cron", berth_slice_of("0 0 31 2 *"), &parsed, NULL), BERTH_EVALUE);
    assert_true(parsed.minutes == 2);
}

/* ---- days ---- */

static void a_day_fits_by_month_or_by_week_if_both_are_given(void **state)
{
    (void)state;
    assert_comes_in(UTC, "0 0 13 * fri", "2027-01-01 00:00", "2027-01-08 00:00", "2027-01-13 00:00",
                    "2027-01-15 00:00", "2027-01-22 00:00");
    assert_comes_in(UTC, "0 0 31 2 mon", "2027-01-01 00:00", "2027-02-01 00:00",
                    "2027-02-08 00:00");
}

static void a_day_must_fit_both_if_one_is_a_wildcard(void **state)
{
    (void)state;
    assert_comes_in(UTC, "0 0 */2 * mon", "2027-01-01 00:00", "2027-01-11 00:00",
                    "2027-01-25 00:00", "2027-02-01 00:00", "2027-02-15 00:00");
    assert_comes_in(UTC, "0 0 13 * */5", "2027-01-01 00:00", "2027-06-13 00:00",
                    "2027-08-13 00:00");
    assert_comes_in(UTC, "0 0 * * mon", "2027-01-01 00:00", "2027-01-04 00:00");
    assert_comes_in(UTC, "0 0 13 * *", "2027-01-01 00:00", "2027-01-13 00:00");
}

static void a_leap_day_comes_in_leap_years(void **state)
{
    (void)state;
    assert_comes_in(UTC, "0 0 29 2 *", "2027-01-01 00:00", "2028-02-29 00:00", "2032-02-29 00:00");
    assert_comes_in(UTC, "0 0 29 2 *", "2096-03-01 00:00", "2104-02-29 00:00");
    /* On a Sunday: 40 years without one, since 2100 has none. */
    assert_comes_in(UTC, "0 0 29 2 */7", "2088-02-29 00:00", "2128-02-29 00:00");
}

static void a_month_without_the_day_is_passed_over(void **state)
{
    (void)state;
    assert_comes_in(UTC, "59 23 31 * *", "2027-01-31 23:59", "2027-03-31 23:59", "2027-05-31 23:59",
                    "2027-07-31 23:59", "2027-08-31 23:59");
}

/* ---- instants ---- */

static void the_next_instant_is_after_the_one_asked_from(void **state)
{
    (void)state;
    struct cron parsed = cron("*/5 * * * *");
    struct zone zone = { .count = 0 };
    int64_t at_us = utc_us("2027-01-01 00:05");

    assert_true(cron_next(&parsed, &zone, at_us - 1) == at_us);
    assert_true(cron_next(&parsed, &zone, at_us) == at_us + 300 * SECOND_US);
    assert_true(cron_next(&parsed, &zone, at_us + 1) == at_us + 300 * SECOND_US);
    assert_true(cron_next(&parsed, &zone, at_us + 299 * SECOND_US + 999999) ==
                at_us + 300 * SECOND_US);
}

static void before_1970_microseconds_round_as_after(void **state)
{
    (void)state;
    struct cron parsed = cron("* * * * *");
    struct zone zone = { .count = 0 };

    assert_true(cron_next(&parsed, &zone, -1) == 0);
    assert_true(cron_next(&parsed, &zone, -60 * SECOND_US - 1) == -60 * SECOND_US);
    assert_true(cron_next(&parsed, &zone, -60 * SECOND_US) == 0);
}

static void time_begins_in_the_year_1_and_ends_in_the_year_9999(void **state)
{
    (void)state;
    struct zone zone = rule(KOLKATA);
    struct cron parsed = cron("0 0 * * *");
    struct cron each_minute = cron("* * * * *");

    assert_true(cron_next(&parsed, &zone, INT64_MIN) == utc_us("0001-01-01 18:30"));
    assert_true(cron_next(&parsed, &zone, INT64_MAX) == CRON_NEVER);
    assert_true(cron_next(&parsed, &zone, utc_us("9999-12-31 00:00")) ==
                utc_us("9999-12-31 18:30"));
    assert_true(cron_next(&parsed, &zone, utc_us("9999-12-31 18:30")) == CRON_NEVER);
    assert_true(cron_next(&each_minute, &zone, INT64_MIN) == utc_us("0001-01-01 00:00"));
    assert_true(cron_next(&each_minute, &zone, utc_us("9999-12-31 23:58")) ==
                utc_us("9999-12-31 23:59"));
    assert_true(cron_next(&each_minute, &zone, utc_us("9999-12-31 23:59")) == CRON_NEVER);
}

/* ---- work ---- */

static unsigned count_until(const char *text, const struct zone *zone, const char *begin,
                            const char *end)
{
    struct cron parsed = cron(text);
    int64_t at_us = utc_us(begin) - 1, end_us = utc_us(end);
    unsigned count = 0;
    looks = 0;
    while ((at_us = cron_next(&parsed, zone, at_us)) < end_us)
        count++;
    assert_in_range(looks, count, LOOKS_MAX * (count + 1));
    return count;
}

static void a_day_of_minutes_is_1440_instants_and_few_looks_at_the_zone(void **state)
{
    (void)state;
    struct zone utc = { .count = 0 }, berlin = rule(BERLIN);

    assert_int_equal(count_until("* * * * *", &utc, "2027-01-01 00:00", "2027-01-02 00:00"), 1440);
    /* From midnight to midnight in Berlin. */
    assert_int_equal(count_until("* * * * *", &berlin, "2027-03-27 23:00", "2027-03-28 22:00"),
                     1380);
    assert_int_equal(count_until("* * * * *", &berlin, "2027-10-30 22:00", "2027-10-31 23:00"),
                     1500);
    assert_int_equal(
        count_until("0-59 0-23 * * *", &berlin, "2027-03-27 23:00", "2027-03-28 22:00"), 1380);
    assert_int_equal(
        count_until("0-59 0-23 * * *", &berlin, "2027-10-30 22:00", "2027-10-31 23:00"), 1440);
}

static void ten_years_of_days_are_3653_instants_and_few_looks_at_the_zone(void **state)
{
    (void)state;
    struct zone_file berlin = file("Europe/Berlin");
    struct zone new_york = rule(NEW_YORK);

    assert_int_equal(
        count_until("30 2 * * *", &berlin.zone, "2010-12-31 23:00", "2020-12-31 23:00"), 3653);
    assert_int_equal(count_until("30 1 * * *", &new_york, "2047-01-01 05:00", "2057-01-01 05:00"),
                     3653);
    zone_file_fini(&berlin);
}

/* A rare expression over the changes of its 40 years: each is looked at once. */
static void a_wildcard_looks_at_each_change_once(void **state)
{
    (void)state;
    struct zone berlin = rule(BERLIN);
    struct cron parsed = cron("* 0 29 2 */7");

    looks = 0;
    (void)cron_next(&parsed, &berlin, utc_us("2088-03-01 00:00"));
    assert_in_range(looks, 79, 82);
}

static void asking_from_just_before_an_instant_gives_that_instant(void **state)
{
    (void)state;
    struct zone zone = rule(BERLIN);
    const char *texts[] = { "*/7 * * * *", "30 2 * * *", "0,30 1-3 * 3,10 sun", "15 */5 * * *" };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct cron parsed = cron(texts[i]);
        int64_t at_us = utc_us("2027-03-01 00:00");
        for (unsigned n = 0; n < 500; n++) {
            int64_t next_us = cron_next(&parsed, &zone, at_us);
            assert_true(next_us > at_us);
            assert_true(cron_next(&parsed, &zone, next_us - 1) == next_us);
            at_us = next_us;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_field_has_lists_ranges_and_steps),
        cmocka_unit_test(months_and_weekdays_have_names_in_any_case),
        cmocka_unit_test(sunday_is_0_and_7),
        cmocka_unit_test(shorthands_stand_for_expressions),
        cmocka_unit_test(fields_stand_apart_by_blanks),
        cmocka_unit_test(a_wildcard_in_minute_or_hour_follows_real_time),
        cmocka_unit_test(what_is_wrong_is_said_with_field_value_and_what_is_allowed),
        cmocka_unit_test(an_expression_has_a_length),
        cmocka_unit_test(a_refused_expression_leaves_the_result_alone),
        cmocka_unit_test(a_day_fits_by_month_or_by_week_if_both_are_given),
        cmocka_unit_test(a_day_must_fit_both_if_one_is_a_wildcard),
        cmocka_unit_test(a_leap_day_comes_in_leap_years),
        cmocka_unit_test(a_month_without_the_day_is_passed_over),
        cmocka_unit_test(the_next_instant_is_after_the_one_asked_from),
        cmocka_unit_test(before_1970_microseconds_round_as_after),
        cmocka_unit_test(time_begins_in_the_year_1_and_ends_in_the_year_9999),
        cmocka_unit_test(a_day_of_minutes_is_1440_instants_and_few_looks_at_the_zone),
        cmocka_unit_test(ten_years_of_days_are_3653_instants_and_few_looks_at_the_zone),
        cmocka_unit_test(a_wildcard_looks_at_each_change_once),
        cmocka_unit_test(asking_from_just_before_an_instant_gives_that_instant),
    };
    return berth_test_main(tests, NULL, NULL);
}
