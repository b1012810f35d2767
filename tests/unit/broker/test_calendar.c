/* SPDX-License-Identifier: MIT
 *
 * Days and dates.
 */
#include "support/berthtest.h"

#include "broker/core/recur/calendar.h"

static void known_days_have_their_numbers(void **state)
{
    (void)state;
    assert_int_equal(calendar_day(1970, 1, 1), 0);
    assert_int_equal(calendar_day(1969, 12, 31), -1);
    assert_int_equal(calendar_day(2000, 3, 1), 11017);
    assert_int_equal(calendar_day(2038, 1, 19), 24855);
    assert_int_equal(calendar_day(1, 1, 1), -719162);
    assert_int_equal(calendar_day(9999, 12, 31), 2932896);
}

static void known_days_have_their_weekdays(void **state)
{
    (void)state;
    assert_int_equal(calendar_weekday(0), 4);
    assert_int_equal(calendar_weekday(-1), 3);
    assert_int_equal(calendar_weekday(calendar_day(2000, 1, 1)), 6);
    assert_int_equal(calendar_weekday(calendar_day(1582, 10, 15)), 5);
}

static void february_has_its_leap_day_by_the_rules_of_4_100_and_400(void **state)
{
    (void)state;
    assert_int_equal(calendar_month_days(2023, 2), 28);
    assert_int_equal(calendar_month_days(2024, 2), 29);
    assert_int_equal(calendar_month_days(1900, 2), 28);
    assert_int_equal(calendar_month_days(2000, 2), 29);
    assert_int_equal(calendar_month_days(2100, 2), 28);
}

/* Walks three cycles of 400 years with a calendar of its own. */
static void each_day_follows_the_one_before(void **state)
{
    (void)state;
    int64_t day = calendar_day(-400, 1, 1);
    for (int64_t year = -400; year < 800; year++)
        for (unsigned month = 1; month <= 12; month++)
            for (unsigned of_month = 1; of_month <= calendar_month_days(year, month);
                 of_month++, day++) {
                struct calendar_date date = calendar_date_of(day);
                if (date.year != year || date.month != month || date.day != of_month ||
                    calendar_day(year, month, of_month) != day ||
                    calendar_weekday(day + 1) != (calendar_weekday(day) + 1) % 7)
                    fail_msg("%lld-%u-%u", (long long)year, month, of_month);
            }
    assert_int_equal(day, calendar_day(800, 1, 1));
}

static void a_day_behind_the_month_counts_on(void **state)
{
    (void)state;
    assert_int_equal(calendar_day(2023, 2, 31), calendar_day(2023, 3, 3));
}

static void division_rounds_down(void **state)
{
    (void)state;
    assert_int_equal(calendar_floor_div(7, 7), 1);
    assert_int_equal(calendar_floor_div(6, 7), 0);
    assert_int_equal(calendar_floor_div(-1, 7), -1);
    assert_int_equal(calendar_floor_div(-7, 7), -1);
    assert_int_equal(calendar_floor_div(-8, 7), -2);
    assert_int_equal(calendar_floor_div(INT64_MIN, 1), INT64_MIN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_days_have_their_numbers),
        cmocka_unit_test(known_days_have_their_weekdays),
        cmocka_unit_test(february_has_its_leap_day_by_the_rules_of_4_100_and_400),
        cmocka_unit_test(each_day_follows_the_one_before),
        cmocka_unit_test(a_day_behind_the_month_counts_on),
        cmocka_unit_test(division_rounds_down),
    };
    return berth_test_main(tests, NULL, NULL);
}
