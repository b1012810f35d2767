/* SPDX-License-Identifier: MIT
 *
 * What becomes of the instants of schedules.
 */
#include "support/berthtest.h"

#include <string.h>

#include "base/text.h"
#include "broker/core/recur/schedule.h"

#define SECOND_US INT64_C(1000000)
#define MINUTE_US (60 * SECOND_US)
#define HOUR_US   (60 * MINUTE_US)
#define DAY_US    (24 * HOUR_US)
#define NOW_US    (INT64_C(20000) * DAY_US) /* 2024-10-04T00:00:00Z */
#define ROOM      8
#define FIRED_MAX 4096

struct fired {
    uint32_t schedule;
    int64_t at_us;
};

struct fixture {
    struct schedules schedules;
    struct berth_heap_node *nodes[ROOM];
    struct schedule all[ROOM];
    struct fired fired[FIRED_MAX];
    size_t fired_count, saved_count;
    int64_t saved_done_us;
    bool is_live, is_refusing;
    struct schedule_ways ways;
};

static struct fixture fixture;

static bool job_is_live(void *arg, uint64_t job)
{
    struct fixture *f = arg;
    assert_in_range(job, 1, f->fired_count);
    return f->is_live;
}

static uint64_t fire(void *arg, const struct schedule *schedule, int64_t at_us)
{
    struct fixture *f = arg;
    if (f->is_refusing)
        return 0;
    assert_true(schedule->done_us >= at_us);
    assert_true(f->fired_count < FIRED_MAX);
    f->fired[f->fired_count++] = (struct fired){ schedule->id, at_us };
    return f->fired_count;
}

static void save(void *arg, const struct schedule *schedule)
{
    struct fixture *f = arg;
    f->saved_count++;
    f->saved_done_us = schedule->done_us;
}

static int setup(void **state)
{
    struct fixture *f = &fixture;
    memset(f, 0, sizeof *f);
    schedules_init(&f->schedules, f->nodes, ROOM);
    f->ways = (struct schedule_ways){ f, job_is_live, fire, save };
    *state = f;
    return 0;
}

/* In UTC, from NOW_US on. */
static struct schedule *given(struct fixture *f, uint32_t id, const char *text)
{
    struct schedule *schedule = &f->all[id];
    *schedule = (struct schedule){ .id = id, .done_us = NOW_US };
    assert_ok(cron_parse("cron", berth_slice_of(text), &schedule->cron, NULL));
    schedules_put(&f->schedules, schedule);
    return schedule;
}

static void turn(struct fixture *f, int64_t wall_us)
{
    schedules_turn(&f->schedules, wall_us, &f->ways);
}

static void assert_fired(const struct fixture *f, size_t index, int64_t at_us)
{
    assert_in_range(index, 0, f->fired_count - 1);
    assert_true(f->fired[index].at_us == at_us);
}

static void an_instant_is_fired_when_its_time_has_come(void **state)
{
    struct fixture *f = *state;
    struct schedule *schedule = given(f, 1, "*/10 * * * *");
    assert_true(schedules_next_us(&f->schedules) == NOW_US + 10 * MINUTE_US);

    turn(f, NOW_US + 10 * MINUTE_US - 1);
    assert_int_equal(f->fired_count, 0);
    turn(f, NOW_US + 10 * MINUTE_US);

    assert_int_equal(f->fired_count, 1);
    assert_fired(f, 0, NOW_US + 10 * MINUTE_US);
    assert_int_equal(schedule->last_fate, SCHEDULE_FIRED);
    assert_true(schedule->last_us == NOW_US + 10 * MINUTE_US);
    assert_true(f->saved_done_us == NOW_US + 10 * MINUTE_US);
    assert_true(schedules_next_us(&f->schedules) == NOW_US + 20 * MINUTE_US);
}

static void without_schedules_nothing_is_due(void **state)
{
    struct fixture *f = *state;
    assert_true(schedules_next_us(&f->schedules) == CRON_NEVER);
    turn(f, NOW_US);
    assert_int_equal(f->saved_count, 0);
}

static void an_instant_is_the_scheduled_one_however_late_it_is_noticed(void **state)
{
    struct fixture *f = *state;
    given(f, 1, "*/10 * * * *");

    turn(f, NOW_US + 10 * MINUTE_US + 59 * SECOND_US + 999999);

    assert_fired(f, 0, NOW_US + 10 * MINUTE_US);
}

static void schedules_are_dealt_with_in_order_of_time_and_id(void **state)
{
    struct fixture *f = *state;
    given(f, 3, "1 * * * *");
    given(f, 2, "2 * * * *");
    given(f, 1, "2 * * * *");

    turn(f, NOW_US + 2 * MINUTE_US);

    assert_int_equal(f->fired_count, 3);
    assert_int_equal(f->fired[0].schedule, 3);
    assert_int_equal(f->fired[1].schedule, 1);
    assert_int_equal(f->fired[2].schedule, 2);
}

/* ---- overlap ---- */

static void with_skip_an_instant_passes_while_the_last_job_lives(void **state)
{
    struct fixture *f = *state;
    struct schedule *schedule = given(f, 1, "* * * * *");
    turn(f, NOW_US + MINUTE_US);
    f->is_live = true;

    turn(f, NOW_US + 2 * MINUTE_US);

    assert_int_equal(f->fired_count, 1);
    assert_int_equal(schedule->last_fate, SCHEDULE_SKIPPED);
    assert_true(f->saved_done_us == NOW_US + 2 * MINUTE_US);
    f->is_live = false;
    turn(f, NOW_US + 3 * MINUTE_US);
    assert_int_equal(f->fired_count, 2);
    assert_fired(f, 1, NOW_US + 3 * MINUTE_US);
}

static void with_queue_every_instant_has_its_job(void **state)
{
    struct fixture *f = *state;
    given(f, 1, "* * * * *")->overlap = SCHEDULE_OVERLAP_QUEUE;
    f->is_live = true;

    for (unsigned minute = 1; minute <= 5; minute++)
        turn(f, NOW_US + minute * MINUTE_US);

    assert_int_equal(f->fired_count, 5);
}

static void a_submit_that_is_refused_is_an_instant_that_was_dealt_with(void **state)
{
    struct fixture *f = *state;
    struct schedule *schedule = given(f, 1, "* * * * *");
    f->is_refusing = true;

    turn(f, NOW_US + MINUTE_US);

    assert_int_equal(schedule->last_fate, SCHEDULE_REFUSED);
    assert_true(f->saved_done_us == NOW_US + MINUTE_US);
    f->is_refusing = false;
    turn(f, NOW_US + 2 * MINUTE_US);
    assert_int_equal(f->fired_count, 1);
    assert_fired(f, 0, NOW_US + 2 * MINUTE_US);
}

/* ---- catching up ---- */

static void with_none_what_was_missed_passes(void **state)
{
    struct fixture *f = *state;
    given(f, 1, "*/10 * * * *")->catch_up = SCHEDULE_CATCH_UP_NONE;

    turn(f, NOW_US + 35 * MINUTE_US);
    assert_int_equal(f->fired_count, 0);
    assert_int_equal(f->saved_count, 1);
    assert_true(schedules_next_us(&f->schedules) == NOW_US + 40 * MINUTE_US);

    turn(f, NOW_US + 40 * MINUTE_US);
    assert_fired(f, 0, NOW_US + 40 * MINUTE_US);
}

static void with_none_what_is_on_time_is_fired_all_the_same(void **state)
{
    struct fixture *f = *state;
    given(f, 1, "*/10 * * * *")->catch_up = SCHEDULE_CATCH_UP_NONE;

    turn(f, NOW_US + 30 * MINUTE_US + 59 * SECOND_US);

    assert_int_equal(f->fired_count, 1);
    assert_fired(f, 0, NOW_US + 30 * MINUTE_US);
}

static void with_one_the_first_of_what_was_missed_is_fired(void **state)
{
    struct fixture *f = *state;
    given(f, 1, "*/10 * * * *");

    turn(f, NOW_US + 35 * MINUTE_US);

    assert_int_equal(f->fired_count, 1);
    assert_fired(f, 0, NOW_US + 10 * MINUTE_US);
    assert_true(schedules_next_us(&f->schedules) == NOW_US + 40 * MINUTE_US);
}

/* What is stored with its job lies behind all of them. */
static void with_one_a_crash_after_the_first_fires_no_other(void **state)
{
    struct fixture *f = *state;
    struct schedule *schedule = given(f, 1, "*/10 * * * *");
    turn(f, NOW_US + 35 * MINUTE_US);
    schedules_remove(&f->schedules, schedule);

    given(f, 1, "*/10 * * * *");
    f->all[1].done_us = f->saved_done_us;
    schedules_put(&f->schedules, &f->all[1]);
    turn(f, NOW_US + 36 * MINUTE_US);

    assert_int_equal(f->fired_count, 1);
}

static void before_it_is_stored_a_crash_fires_the_same_instant(void **state)
{
    struct fixture *f = *state;
    given(f, 1, "*/10 * * * *");
    turn(f, NOW_US + 35 * MINUTE_US);
    schedules_remove(&f->schedules, &f->all[1]);

    given(f, 1, "*/10 * * * *");
    turn(f, NOW_US + 55 * MINUTE_US);

    assert_int_equal(f->fired_count, 2);
    assert_fired(f, 1, NOW_US + 10 * MINUTE_US);
}

static void with_all_each_of_what_was_missed_is_fired_in_order(void **state)
{
    struct fixture *f = *state;
    struct schedule *schedule = given(f, 1, "*/10 * * * *");
    schedule->catch_up = SCHEDULE_CATCH_UP_ALL;
    schedule->overlap = SCHEDULE_OVERLAP_QUEUE;

    turn(f, NOW_US + 35 * MINUTE_US);

    assert_int_equal(f->fired_count, 3);
    for (size_t i = 0; i < 3; i++)
        assert_fired(f, i, NOW_US + (int64_t)(i + 1) * 10 * MINUTE_US);
}

static void all_has_a_bound_and_goes_on_with_the_present(void **state)
{
    struct fixture *f = *state;
    struct schedule *schedule = given(f, 1, "* * * * *");
    schedule->catch_up = SCHEDULE_CATCH_UP_ALL;
    schedule->overlap = SCHEDULE_OVERLAP_QUEUE;
    int64_t wall_us = NOW_US + 365 * DAY_US;
    unsigned turns = 0;

    for (; schedules_next_us(&f->schedules) <= wall_us; turns++)
        turn(f, wall_us);

    /* The last one is on time. */
    assert_int_equal(f->fired_count, SCHEDULE_CATCH_UP_MAX + 1);
    assert_fired(f, SCHEDULE_CATCH_UP_MAX - 1, NOW_US + SCHEDULE_CATCH_UP_MAX * MINUTE_US);
    assert_fired(f, SCHEDULE_CATCH_UP_MAX, wall_us);
    assert_int_equal(turns, SCHEDULE_CATCH_UP_MAX / SCHEDULE_TURN_MAX + 1);
}

static void after_an_instant_on_time_the_bound_counts_anew(void **state)
{
    struct fixture *f = *state;
    struct schedule *schedule = given(f, 1, "* * * * *");
    schedule->catch_up = SCHEDULE_CATCH_UP_ALL;
    schedule->overlap = SCHEDULE_OVERLAP_QUEUE;

    for (int64_t hour = 10; hour <= 30; hour += 10)
        while (schedules_next_us(&f->schedules) <= NOW_US + hour * HOUR_US)
            turn(f, NOW_US + hour * HOUR_US);

    assert_int_equal(f->fired_count, 30 * 60);
}

static void one_turn_deals_with_a_bounded_number_of_all(void **state)
{
    struct fixture *f = *state;
    for (uint32_t id = 1; id < ROOM; id++) {
        struct schedule *schedule = given(f, id, "* * * * *");
        schedule->catch_up = SCHEDULE_CATCH_UP_ALL;
        schedule->overlap = SCHEDULE_OVERLAP_QUEUE;
    }

    turn(f, NOW_US + HOUR_US);

    assert_int_equal(f->fired_count, SCHEDULE_TURN_MAX);
    assert_true(schedules_next_us(&f->schedules) <= NOW_US + HOUR_US);
    /* All have got as far. */
    assert_fired(f, SCHEDULE_TURN_MAX - 1,
                 NOW_US + (SCHEDULE_TURN_MAX + ROOM - 2) / (ROOM - 1) * MINUTE_US);
}

/* ---- pause, change, clock ---- */

static void what_comes_in_a_pause_passes(void **state)
{
    struct fixture *f = *state;
    struct schedule *schedule = given(f, 1, "*/10 * * * *");
    schedule->catch_up = SCHEDULE_CATCH_UP_ALL;

    schedules_pause(&f->schedules, schedule);
    schedules_pause(&f->schedules, schedule);
    assert_true(schedules_next_us(&f->schedules) == CRON_NEVER);
    turn(f, NOW_US + 35 * MINUTE_US);
    schedules_resume(&f->schedules, schedule, NOW_US + 35 * MINUTE_US);
    schedules_resume(&f->schedules, schedule, NOW_US + 55 * MINUTE_US);

    assert_int_equal(f->fired_count, 0);
    assert_true(schedules_next_us(&f->schedules) == NOW_US + 40 * MINUTE_US);
}

static void a_pause_of_no_length_brings_no_instant_again(void **state)
{
    struct fixture *f = *state;
    struct schedule *schedule = given(f, 1, "*/10 * * * *");
    turn(f, NOW_US + 10 * MINUTE_US);
    schedules_pause(&f->schedules, schedule);
    schedules_resume(&f->schedules, schedule, NOW_US + 9 * MINUTE_US);

    turn(f, NOW_US + 11 * MINUTE_US);

    assert_int_equal(f->fired_count, 1);
}

static void a_schedule_that_was_changed_goes_by_its_new_expression(void **state)
{
    struct fixture *f = *state;
    struct schedule *schedule = given(f, 1, "*/10 * * * *");
    assert_ok(cron_parse("cron", berth_slice_of("5 * * * *"), &schedule->cron, NULL));
    schedules_put(&f->schedules, schedule);

    assert_true(schedules_next_us(&f->schedules) == NOW_US + 5 * MINUTE_US);
    assert_int_equal(f->schedules.by_next.count, 1);
}

static void a_schedule_that_was_removed_comes_no_more(void **state)
{
    struct fixture *f = *state;
    struct schedule *schedule = given(f, 1, "*/10 * * * *");
    schedules_remove(&f->schedules, schedule);
    schedules_remove(&f->schedules, schedule);

    turn(f, NOW_US + HOUR_US);

    assert_int_equal(f->fired_count, 0);
}

static void a_clock_that_is_put_back_brings_no_instant_again(void **state)
{
    struct fixture *f = *state;
    given(f, 1, "*/10 * * * *");
    turn(f, NOW_US + 4 * HOUR_US);
    size_t fired_count = f->fired_count;

    for (int64_t minute = 60; minute <= 240; minute++)
        turn(f, NOW_US + minute * MINUTE_US);

    assert_int_equal(f->fired_count, fired_count);
    turn(f, NOW_US + 250 * MINUTE_US);
    assert_int_equal(f->fired_count, fired_count + 1);
}

static void a_clock_that_was_years_ahead_is_forgotten(void **state)
{
    struct fixture *f = *state;
    given(f, 1, "*/10 * * * *");
    given(f, 2, "0 * * * *");
    given(f, 3, "5 * * * *");
    turn(f, NOW_US + 1000 * DAY_US);
    size_t fired_count = f->fired_count;

    turn(f, NOW_US + 2 * MINUTE_US);
    assert_int_equal(f->fired_count, fired_count);
    assert_true(schedules_next_us(&f->schedules) == NOW_US + 5 * MINUTE_US);
    turn(f, NOW_US + 10 * MINUTE_US);

    assert_int_equal(f->fired_count, fired_count + 2);
    assert_fired(f, fired_count, NOW_US + 5 * MINUTE_US);
    assert_fired(f, fired_count + 1, NOW_US + 10 * MINUTE_US);
}

static void a_schedule_that_was_stored_by_such_a_clock_is_put_right_at_the_start(void **state)
{
    struct fixture *f = *state;
    struct schedule *schedule = given(f, 1, "*/10 * * * *");
    schedule->done_us = NOW_US + 1000 * DAY_US;
    schedules_put(&f->schedules, schedule);

    turn(f, NOW_US + MINUTE_US);

    assert_true(schedules_next_us(&f->schedules) == NOW_US + 10 * MINUTE_US);
}

static void a_key_is_that_of_schedule_and_instant(void **state)
{
    struct fixture *f = *state;
    struct schedule *schedule = given(f, 1, "*/10 * * * *");
    schedule->id = 0x01020304;
    uint8_t key[SCHEDULE_KEY_BYTES];

    schedule_key(schedule, INT64_C(0x6789abcd) * SECOND_US, key);

    const uint8_t wanted[] = { 0, 0, 0, 0, 1, 2, 3, 4, 0, 0, 0, 0, 0x67, 0x89, 0xab, 0xcd };
    assert_memory_equal(key, wanted, sizeof wanted);
    schedule->id = 1;
}

/* ---- long runs ---- */

static void a_day_of_a_schedule_for_each_minute_is_1440_jobs(void **state)
{
    struct fixture *f = *state;
    given(f, 1, "* * * * *");
    unsigned turns = 0;

    for (int64_t due_us; (due_us = schedules_next_us(&f->schedules)) <= NOW_US + DAY_US; turns++)
        turn(f, due_us);

    assert_int_equal(f->fired_count, 1440);
    assert_int_equal(turns, 1440);
    for (size_t i = 0; i < f->fired_count; i++)
        assert_fired(f, i, NOW_US + (int64_t)(i + 1) * MINUTE_US);
}

static void ten_years_of_a_daily_schedule_are_3652_jobs(void **state)
{
    struct fixture *f = *state;
    struct schedule *schedule = given(f, 1, "30 2 * * *");
    assert_ok(zone_of_rule(berth_slice_of("CET-1CEST,M3.5.0,M10.5.0/3"), &schedule->zone, NULL));
    schedules_put(&f->schedules, schedule);

    for (int64_t due_us; (due_us = schedules_next_us(&f->schedules)) <= NOW_US + 3652 * DAY_US;)
        turn(f, due_us);

    assert_int_equal(f->fired_count, 3652);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(an_instant_is_fired_when_its_time_has_come, setup),
        cmocka_unit_test_setup(without_schedules_nothing_is_due, setup),
        cmocka_unit_test_setup(an_instant_is_the_scheduled_one_however_late_it_is_noticed, setup),
        cmocka_unit_test_setup(schedules_are_dealt_with_in_order_of_time_and_id, setup),
        cmocka_unit_test_setup(with_skip_an_instant_passes_while_the_last_job_lives, setup),
        cmocka_unit_test_setup(with_queue_every_instant_has_its_job, setup),
        cmocka_unit_test_setup(a_submit_that_is_refused_is_an_instant_that_was_dealt_with, setup),
        cmocka_unit_test_setup(with_none_what_was_missed_passes, setup),
        cmocka_unit_test_setup(with_none_what_is_on_time_is_fired_all_the_same, setup),
        cmocka_unit_test_setup(with_one_the_first_of_what_was_missed_is_fired, setup),
        cmocka_unit_test_setup(with_one_a_crash_after_the_first_fires_no_other, setup),
        cmocka_unit_test_setup(before_it_is_stored_a_crash_fires_the_same_instant, setup),
        cmocka_unit_test_setup(with_all_each_of_what_was_missed_is_fired_in_order, setup),
        cmocka_unit_test_setup(all_has_a_bound_and_goes_on_with_the_present, setup),
        cmocka_unit_test_setup(after_an_instant_on_time_the_bound_counts_anew, setup),
        cmocka_unit_test_setup(one_turn_deals_with_a_bounded_number_of_all, setup),
        cmocka_unit_test_setup(what_comes_in_a_pause_passes, setup),
        cmocka_unit_test_setup(a_pause_of_no_length_brings_no_instant_again, setup),
        cmocka_unit_test_setup(a_schedule_that_was_changed_goes_by_its_new_expression, setup),
        cmocka_unit_test_setup(a_schedule_that_was_removed_comes_no_more, setup),
        cmocka_unit_test_setup(a_clock_that_is_put_back_brings_no_instant_again, setup),
        cmocka_unit_test_setup(a_clock_that_was_years_ahead_is_forgotten, setup),
        cmocka_unit_test_setup(a_schedule_that_was_stored_by_such_a_clock_is_put_right_at_the_start,
                               setup),
        cmocka_unit_test_setup(a_key_is_that_of_schedule_and_instant, setup),
        cmocka_unit_test_setup(a_day_of_a_schedule_for_each_minute_is_1440_jobs, setup),
        cmocka_unit_test_setup(ten_years_of_a_daily_schedule_are_3652_jobs, setup),
    };
    return berth_test_main(tests, NULL, NULL);
}
