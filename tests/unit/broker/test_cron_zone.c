/* SPDX-License-Identifier: MIT */
/* When cron expressions come where clocks are changed, by rules and by the tables of real zones. */
#include "cron_fixture.h"

/* ---- fixed times where the clock is changed ---- */

static void a_fixed_time_that_is_skipped_comes_at_the_end_of_the_gap(void **state)
{
    (void)state;
    assert_comes_in(BERLIN, "30 2 * * *", "2027-03-26 12:00", "2027-03-27 01:30",
                    "2027-03-28 01:00", "2027-03-29 00:30");
    assert_comes_in(NEW_YORK, "30 2 * * *", "2027-03-13 00:00", "2027-03-13 07:30",
                    "2027-03-14 07:00", "2027-03-15 06:30");
    /* The first minute of the gap and the last. */
    assert_comes_in(BERLIN, "0 2 * * *", "2027-03-27 12:00", "2027-03-28 01:00",
                    "2027-03-29 00:00");
    assert_comes_in(BERLIN, "59 2 * * *", "2027-03-27 12:00", "2027-03-28 01:00",
                    "2027-03-29 00:59");
    /* Just before it and just behind. */
    assert_comes_in(BERLIN, "59 1 * * *", "2027-03-27 12:00", "2027-03-28 00:59",
                    "2027-03-28 23:59");
    assert_comes_in(BERLIN, "1 3 * * *", "2027-03-27 12:00", "2027-03-28 01:01",
                    "2027-03-29 01:01");
}

static void all_that_one_gap_skips_comes_once(void **state)
{
    (void)state;
    assert_comes_in(BERLIN, "0,15,30,45 2 * * *", "2027-03-27 12:00", "2027-03-28 01:00",
                    "2027-03-29 00:00", "2027-03-29 00:15");
    /* Together with what comes there anyway. */
    assert_comes_in(BERLIN, "0 2,3 * * *", "2027-03-27 12:00", "2027-03-28 01:00",
                    "2027-03-29 00:00", "2027-03-29 01:00");
}

static void a_fixed_time_that_comes_twice_counts_the_first_time(void **state)
{
    (void)state;
    assert_comes_in(BERLIN, "30 2 * * *", "2027-10-30 12:00", "2027-10-31 00:30",
                    "2027-11-01 01:30");
    assert_comes_in(NEW_YORK, "30 1 * * *", "2027-11-06 12:00", "2027-11-07 05:30",
                    "2027-11-08 06:30");
    assert_comes_in(BERLIN, "0,30 2 * * *", "2027-10-30 12:00", "2027-10-31 00:00",
                    "2027-10-31 00:30", "2027-11-01 01:00");
    /* Asked within the second pass, and between the passes of a time. */
    assert_comes_in(BERLIN, "50 2 * * *", "2027-10-31 01:15", "2027-11-01 01:50");
    assert_comes_in(BERLIN, "30 2 * * *", "2027-10-31 00:45", "2027-11-01 01:30");
    assert_comes_in(BERLIN, "50 2 * * *", "2027-10-31 00:45", "2027-10-31 00:50",
                    "2027-11-01 01:50");
    /* What lies behind the second pass. */
    assert_comes_in(BERLIN, "0 3 * * *", "2027-10-31 00:45", "2027-10-31 02:00",
                    "2027-11-01 02:00");
}

static void a_full_range_is_no_wildcard(void **state)
{
    (void)state;
    assert_comes_in(BERLIN, "0 0-23 * * *", "2027-10-30 23:30", "2027-10-31 00:00",
                    "2027-10-31 02:00");
    assert_comes_in(BERLIN, "30 0-23 * * *", "2027-03-28 00:00", "2027-03-28 00:30",
                    "2027-03-28 01:00", "2027-03-28 01:30", "2027-03-28 02:30");
}

static void lord_howe_changes_by_half_an_hour(void **state)
{
    (void)state;
    assert_comes_in(LORD_HOWE, "15 2 * * *", "2027-10-02 12:00", "2027-10-02 15:30",
                    "2027-10-03 15:15");
    assert_comes_in(LORD_HOWE, "30 2 * * *", "2027-10-02 12:00", "2027-10-02 15:30",
                    "2027-10-03 15:30");
    assert_comes_in(LORD_HOWE, "45 1 * * *", "2027-04-03 12:00", "2027-04-03 14:45",
                    "2027-04-04 15:15");
    assert_comes_in(LORD_HOWE, "15 1 * * *", "2027-04-03 12:00", "2027-04-03 14:15",
                    "2027-04-04 14:45");
}

static void a_zone_without_changes_is_a_shift(void **state)
{
    (void)state;
    assert_comes_in(KOLKATA, "0 9 * * mon-fri", "2027-01-01 00:00", "2027-01-01 03:30",
                    "2027-01-04 03:30", "2027-01-05 03:30");
}

static void the_rule_holds_behind_2037(void **state)
{
    (void)state;
    assert_comes_in(BERLIN, "30 2 * * *", "2050-03-26 12:00", "2050-03-27 01:00",
                    "2050-03-28 00:30");
    assert_comes_in(NEW_YORK, "30 2 13 3 *", "2090-01-01 00:00", "2090-03-13 06:30");
    assert_comes_in(BERLIN, "30 2 * 10 sun", "9990-10-24 12:00", "9990-10-28 00:30");
}

/* ---- files ---- */

static void apias_lost_day_comes_at_its_end(void **state)
{
    (void)state;
    struct zone_file apia = file("Pacific/Apia");
    /* 2011-12-30 was left out, by the clock from -10 h to +14 h. */
    assert_comes("0 12 * * *", &apia.zone,
                 (const char *const[]){ "2011-12-29 00:00", "2011-12-29 22:00", "2011-12-30 10:00",
                                        "2011-12-30 22:00", "2011-12-31 22:00", NULL });
    assert_comes(
        "0 0 30 12 *", &apia.zone,
        (const char *const[]){ "2011-06-01 00:00", "2011-12-30 10:00", "2012-12-29 10:00", NULL });
    assert_comes(
        "0 0 * * fri", &apia.zone,
        (const char *const[]){ "2011-12-24 00:00", "2011-12-30 10:00", "2012-01-05 10:00", NULL });
    assert_comes("0 * 30 12 *", &apia.zone,
                 (const char *const[]){ "2011-06-01 00:00", "2012-12-29 10:00", NULL });
    zone_file_fini(&apia);
}

static void before_zones_there_was_local_mean_time(void **state)
{
    (void)state;
    struct zone_file berlin = file("Europe/Berlin");
    /* 53 min 28 s ahead until 1893-04-01, then an hour. */
    assert_comes("0 12 * * *", &berlin.zone,
                 (const char *const[]){ "1893-03-30 00:00", "1893-03-30 11:06:32",
                                        "1893-03-31 11:06:32", "1893-04-01 11:00", NULL });
    /* 6 min 32 s were left out at midnight. */
    assert_comes("3 0 * * *", &berlin.zone,
                 (const char *const[]){ "1893-03-31 00:00", "1893-03-31 23:06:32",
                                        "1893-04-01 23:03", NULL });
    zone_file_fini(&berlin);
}

static void before_1970_clocks_were_changed_as_well(void **state)
{
    (void)state;
    struct zone_file berlin = file("Europe/Berlin");
    /* The first summer time: 1916-04-30 from 23:00 to 24:00. */
    assert_comes("30 23 30 4 *", &berlin.zone,
                 (const char *const[]){ "1916-01-01 00:00", "1916-04-30 22:00", NULL });
    zone_file_fini(&berlin);
}

static void a_day_that_is_left_out_or_comes_twice_counts_once(void **state)
{
    (void)state;
    struct zone_file kwajalein = file("Pacific/Kwajalein");
    struct zone_file sitka = file("America/Sitka");
    /* 1993-08-21 was left out on Kwajalein. */
    assert_comes("0 6 * 8 *", &kwajalein.zone,
                 (const char *const[]){ "1993-08-20 12:00", "1993-08-20 18:00", "1993-08-21 12:00",
                                        "1993-08-21 18:00", NULL });
    /* Alaska, when it was sold, had most of a day twice: the noon of 19 October counts the first
     * time. */
    assert_comes("0 12 * * *", &sitka.zone,
                 (const char *const[]){ "1867-10-16 22:00", "1867-10-17 21:01:13",
                                        "1867-10-18 21:01:13", "1867-10-20 21:01:13", NULL });
    zone_file_fini(&kwajalein);
    zone_file_fini(&sitka);
}

/* ---- wildcards where the clock is changed ---- */

static void a_wildcard_follows_real_time_over_a_gap(void **state)
{
    (void)state;
    assert_comes_in(BERLIN, "30 * * * *", "2027-03-28 00:00", "2027-03-28 00:30",
                    "2027-03-28 01:30", "2027-03-28 02:30");
    assert_comes_in(BERLIN, "0 * * * *", "2027-03-27 23:30", "2027-03-28 00:00", "2027-03-28 01:00",
                    "2027-03-28 02:00");
    assert_comes_in(BERLIN, "*/30 2 * * *", "2027-03-27 12:00", "2027-03-29 00:00",
                    "2027-03-29 00:30", "2027-03-30 00:00");
    assert_comes_in(BERLIN, "0 */2 * * *", "2027-03-27 22:30", "2027-03-27 23:00",
                    "2027-03-28 02:00", "2027-03-28 04:00");
}

static void a_wildcard_follows_real_time_through_an_hour_that_comes_twice(void **state)
{
    (void)state;
    assert_comes_in(BERLIN, "30 * * * *", "2027-10-30 23:45", "2027-10-31 00:30",
                    "2027-10-31 01:30", "2027-10-31 02:30");
    assert_comes_in(BERLIN, "*/30 2 * * *", "2027-10-30 12:00", "2027-10-31 00:00",
                    "2027-10-31 00:30", "2027-10-31 01:00", "2027-10-31 01:30", "2027-11-01 01:00");
    /* The time that comes again lies before the one that was next. */
    assert_comes_in(BERLIN, "*/50 2 * * *", "2027-10-31 00:55", "2027-10-31 01:00",
                    "2027-10-31 01:50", "2027-11-01 01:00");
    assert_comes_in(LORD_HOWE, "*/30 * * * *", "2027-04-03 14:20", "2027-04-03 14:30",
                    "2027-04-03 15:00", "2027-04-03 15:30", "2027-04-03 16:00");
}

static void a_rare_wildcard_is_found_over_many_changes(void **state)
{
    (void)state;
    assert_comes_in(BERLIN, "* 0 29 2 */7", "2088-03-01 00:00", "2128-02-28 23:00",
                    "2128-02-28 23:01");
}

/* Two o'clock on the last Sunday of March, which is the day on which it is left out. */
static void what_is_always_left_out_never_comes_by_real_time(void **state)
{
    (void)state;
    struct zone berlin = rule(BERLIN);
    struct cron real_time = cron("* 2 29 3 */7"), fixed = cron("0 2 29 3 */7");
    int64_t after_us = utc_us("2027-01-01 00:00");

    assert_true(cron_next(&real_time, &berlin, after_us) == CRON_NEVER);
    assert_true(cron_next(&fixed, &berlin, after_us) == utc_us("2037-03-29 01:00"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_fixed_time_that_is_skipped_comes_at_the_end_of_the_gap),
        cmocka_unit_test(all_that_one_gap_skips_comes_once),
        cmocka_unit_test(a_fixed_time_that_comes_twice_counts_the_first_time),
        cmocka_unit_test(a_full_range_is_no_wildcard),
        cmocka_unit_test(lord_howe_changes_by_half_an_hour),
        cmocka_unit_test(a_zone_without_changes_is_a_shift),
        cmocka_unit_test(the_rule_holds_behind_2037),
        cmocka_unit_test(apias_lost_day_comes_at_its_end),
        cmocka_unit_test(before_zones_there_was_local_mean_time),
        cmocka_unit_test(before_1970_clocks_were_changed_as_well),
        cmocka_unit_test(a_day_that_is_left_out_or_comes_twice_counts_once),
        cmocka_unit_test(a_wildcard_follows_real_time_over_a_gap),
        cmocka_unit_test(a_wildcard_follows_real_time_through_an_hour_that_comes_twice),
        cmocka_unit_test(a_rare_wildcard_is_found_over_many_changes),
        cmocka_unit_test(what_is_always_left_out_never_comes_by_real_time),
    };
    return berth_test_main(tests, NULL, NULL);
}
