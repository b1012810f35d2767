/* SPDX-License-Identifier: MIT
 *
 * Schedules in the core: what is set, what is due, what is stored together.
 */
#include "core_fixture.h"

#include <errno.h>

#include "broker/core/recur/recur.h"

#define MINUTE_US (60 * SECOND_US)
/* WALL_US is 20 s behind a whole minute. */
#define UNTIL_MINUTE_MS 40000

static struct berth_ev_schedule_set every_minute(const char *name)
{
    return (struct berth_ev_schedule_set){ .name = text(name),
                                           .has_cron = true,
                                           .cron = text("* * * * *"),
                                           .has_job = true,
                                           .dispatcher = text("default"),
                                           .handler = text("mail"),
                                           .job = { .body = text("body") },
                                           .changed_by = text("ops@host") };
}

static uint64_t put(struct fixture *f, struct berth_ev_schedule_set set)
{
    set.peer = CLIENT;
    set.request = ++f->request;
    step(f, (struct berth_event){ .type = BERTH_EV_SCHEDULE_SET, .schedule_set = set });
    return f->request;
}

static void given_schedule(struct fixture *f, struct berth_ev_schedule_set set)
{
    uint64_t request = put(f, set);
    store_all(f);
    (void)answer(f, request, BERTH_DO_SCHEDULES);
}

static uint64_t name_event(struct fixture *f, enum berth_event_type type, const char *name,
                           bool is_paused)
{
    step(f, (struct berth_event){ .type = type,
                                  .schedule_name = { .peer = CLIENT,
                                                     .request = ++f->request,
                                                     .name = text(name),
                                                     .is_paused = is_paused } });
    return f->request;
}

static uint64_t list(struct fixture *f, const char *name, uint32_t after)
{
    step(f, (struct berth_event){ .type = BERTH_EV_SCHEDULE_LIST,
                                  .schedule_list = { .peer = CLIENT,
                                                     .request = ++f->request,
                                                     .name = text(name),
                                                     .after = after } });
    return f->request;
}

static const struct berth_schedule_view *view_of(struct fixture *f, const char *name)
{
    uint64_t request = list(f, name, 0);
    const struct berth_do_schedules *schedules = &answer(f, request, BERTH_DO_SCHEDULES)->schedules;
    assert_int_equal(schedules->count, 1);
    return &schedules->items[0];
}

static void refused(struct fixture *f, uint64_t request, int code, const char *field)
{
    const struct berth_do_error *error = &answer(f, request, BERTH_DO_ERROR)->error;
    assert_int_equal(error->code, code);
    assert_string_equal(error->field, field);
}

/* Jobs that live. */
static uint64_t live(const struct fixture *f)
{
    return f->core->jobs.used;
}

static void a_schedule_is_answered_when_it_is_stored(void **state)
{
    struct fixture *f = *state;

    uint64_t request = put(f, every_minute("nightly"));

    assert_null(find(f, BERTH_DO_SCHEDULES));
    store_all(f);
    const struct berth_do_schedules *schedules = &answer(f, request, BERTH_DO_SCHEDULES)->schedules;
    assert_int_equal(schedules->count, 1);
    const struct berth_schedule_view *view = &schedules->items[0];
    assert_string_equal(view->record.name, "nightly");
    assert_string_equal(view->record.changed_by, "ops@host");
    assert_int_equal(view->record.changed_us, WALL_US);
    assert_int_equal(view->next_us, WALL_US + 40 * SECOND_US);
    assert_int_equal(view->done.last_job, 0);
}

static void an_instant_and_its_job_lie_in_one_batch(void **state)
{
    struct fixture *f = *state;
    given_schedule(f, every_minute("nightly"));
    turn_after(f, UNTIL_MINUTE_MS - 1);
    assert_false(close_batch(f));

    turn_after(f, 1);

    assert_true(close_batch(f));
    const struct berth_record *done = record_away(f, BERTH_RECORD_SCHEDULE_DONE, 1);
    assert_non_null(done);
    uint64_t id = done->schedule_done.last_job;
    const struct berth_record *job = record_away(f, BERTH_RECORD_JOB, id);
    assert_non_null(job);
    assert_int_equal(done->schedule_done.done_us, f->wall_us);
    assert_int_equal(done->schedule_done.last_fate, SCHEDULE_FIRED);
    assert_int_equal(job->job.key.kind, BERTH_KEY_SCHEDULE);
    assert_int_equal(job->job.key.bytes.bytes, SCHEDULE_KEY_BYTES);
    assert_true(slice_is(job->job.body, "body"));
    assert_true(slice_is(job->job.handler, "mail"));
    complete(f, STORED);
    assert_int_equal(job_of(f, id)->state, JOB_READY);
    assert_int_equal(view_of(f, "nightly")->done.last_job, id);
}

static void all_options_of_its_job_are_those_of_the_schedule(void **state)
{
    struct fixture *f = *state;
    given_dispatcher(f, "reports", 1);
    struct berth_ev_schedule_set set = every_minute("nightly");
    set.dispatcher = text("reports");
    set.job = (struct berth_submit_item){ .body = text("body"),
                                          .priority = 3,
                                          .delay_ms = 1000,
                                          .max_attempts = 7,
                                          .timeout_ms = 8,
                                          .group = text("tenant"),
                                          .queue_timeout_ms = 9,
                                          .deadline_ms = 10000,
                                          .backoff_ms = 11,
                                          .backoff_ms_max = 12,
                                          .unique = text("one"),
                                          .on_conflict = BERTH_ON_CONFLICT_EXISTING };
    given_schedule(f, set);

    turn_after(f, UNTIL_MINUTE_MS);

    assert_true(close_batch(f));
    const struct berth_record *done = record_away(f, BERTH_RECORD_SCHEDULE_DONE, 1);
    const struct berth_job_record *job =
        &record_away(f, BERTH_RECORD_JOB, done->schedule_done.last_job)->job;
    assert_int_equal(job->dispatcher, dispatcher(f, "reports")->record.id);
    assert_int_equal(job->priority, 3);
    assert_int_equal(job->run_at_us, f->wall_us + SECOND_US);
    assert_int_equal(job->max_attempts, 7);
    assert_int_equal(job->timeout_ms, 8);
    assert_true(slice_is(job->group, "tenant"));
    assert_int_equal(job->queue_timeout_ms, 9);
    assert_int_equal(job->deadline_us, f->wall_us + 10 * SECOND_US);
    assert_int_equal(job->backoff_ms, 11);
    assert_int_equal(job->backoff_ms_max, 12);
    assert_true(slice_is(job->unique, "one"));
    complete(f, STORED);
}

static void the_broker_wakes_for_an_instant_and_often_enough_for_a_clock_put_forward(void **state)
{
    struct fixture *f = *state;
    given_schedule(f, every_minute("nightly"));
    turn_after(f, UNTIL_MINUTE_MS - 1500);

    assert_in_range(berth_core_next_deadline_ms(f->core, f->now_ms, f->wall_us), f->now_ms + 1500,
                    f->now_ms + 1501);

    struct berth_ev_schedule_set set = { .name = text("nightly"),
                                         .has_cron = true,
                                         .cron = text("@yearly") };
    given_schedule(f, set);
    assert_in_range(berth_core_next_deadline_ms(f->core, f->now_ms, f->wall_us), f->now_ms + 1,
                    f->now_ms + SCHEDULE_LATE_US / 2000);
}

static void overlap_skips_while_the_last_job_lives(void **state)
{
    struct fixture *f = *state;
    struct berth_ev_schedule_set queue = every_minute("queue");
    queue.has_overlap = true;
    queue.overlap = SCHEDULE_OVERLAP_QUEUE;
    given_schedule(f, every_minute("skip"));
    given_schedule(f, queue);

    turn_after(f, UNTIL_MINUTE_MS);
    store_all(f);
    assert_int_equal(live(f), 2);
    turn_after(f, 60000);
    store_all(f);

    assert_int_equal(live(f), 3);
    assert_int_equal(view_of(f, "skip")->done.last_fate, SCHEDULE_SKIPPED);
    assert_int_equal(view_of(f, "queue")->done.last_fate, SCHEDULE_FIRED);
}

static void what_a_full_queue_refuses_passes_and_says_why(void **state)
{
    struct fixture *f = *state;
    given_dispatcher(f, "reports", 1);
    uint64_t request = set(
        f, (struct berth_ev_dispatcher_set){ .has_max_queued = true, .max_queued = 1 }, "reports");
    store_all(f);
    (void)answer(f, request, BERTH_DO_DISPATCHERS);
    (void)given_job(f, (struct submit){ .dispatcher = "reports" });
    struct berth_ev_schedule_set schedule = every_minute("nightly");
    schedule.dispatcher = text("reports");
    given_schedule(f, schedule);

    turn_after(f, UNTIL_MINUTE_MS);
    store_all(f);

    const struct berth_schedule_view *view = view_of(f, "nightly");
    assert_int_equal(view->done.last_fate, SCHEDULE_REFUSED);
    assert_int_equal(view->done.last_job, 0);
    assert_int_equal(view->done.done_us, f->wall_us);
    assert_non_null(strstr(view->done.last_text.data, "max_queued"));
    assert_int_equal(view->next_us, f->wall_us + MINUTE_US);
}

/* The batch that the disk has no room for holds the job and the instant: neither is written, and
 * when there is room again the instant is dealt with. */
static void a_full_disk_loses_no_instant(void **state)
{
    struct fixture *f = *state;
    given_schedule(f, every_minute("nightly"));
    turn_after(f, UNTIL_MINUTE_MS);
    int64_t instant_us = f->wall_us;
    assert_true(close_batch(f));
    assert_int_equal(live(f), 1);

    complete(f, FULL);

    assert_int_equal(live(f), 0);
    assert_int_equal(recur_find(f->core, text("nightly"))->schedule.next_us, instant_us);
    turn(f);
    assert_false(close_batch(f));
    turn_after(f, 600);
    assert_true(close_batch(f));
    const struct berth_record *done = record_away(f, BERTH_RECORD_SCHEDULE_DONE, 1);
    assert_int_equal(done->schedule_done.last_us, instant_us);
    complete(f, STORED);
    assert_int_equal(live(f), 1);
    assert_int_equal(view_of(f, "nightly")->done.last_us, instant_us);
}

static void a_change_survives_the_full_disk_that_drops_an_instant(void **state)
{
    struct fixture *f = *state;
    given_schedule(f, every_minute("nightly"));
    turn_after(f, UNTIL_MINUTE_MS);
    uint64_t request = name_event(f, BERTH_EV_SCHEDULE_PAUSE, "nightly", true);
    assert_true(close_batch(f));

    complete(f, FULL);
    turn_after(f, 600);
    assert_true(close_batch(f));
    assert_non_null(record_away(f, BERTH_RECORD_SCHEDULE, 1));
    assert_null(record_away(f, BERTH_RECORD_SCHEDULE_DONE, 1));
    complete(f, STORED);

    (void)answer(f, request, BERTH_DO_SCHEDULES);
    assert_true(view_of(f, "nightly")->record.is_paused);
    assert_int_equal(view_of(f, "nightly")->done.last_us, 0);
}

static void what_is_not_given_stays_as_it_is(void **state)
{
    struct fixture *f = *state;
    given_schedule(f, every_minute("nightly"));
    turn_after(f, UNTIL_MINUTE_MS);
    store_all(f);
    uint64_t job = view_of(f, "nightly")->done.last_job;

    given_schedule(f, (struct berth_ev_schedule_set){ .name = text("nightly"),
                                                      .has_catch_up = true,
                                                      .catch_up = SCHEDULE_CATCH_UP_ALL });

    const struct berth_schedule_view *view = view_of(f, "nightly");
    assert_int_equal(view->record.id, 1);
    assert_int_equal(view->record.catch_up, SCHEDULE_CATCH_UP_ALL);
    assert_true(slice_is(view->record.cron, "* * * * *"));
    assert_true(slice_is(view->record.handler, "mail"));
    assert_int_equal(view->done.last_job, job);
    assert_int_equal(view->next_us, f->wall_us + MINUTE_US);
}

static void instants_of_a_pause_pass(void **state)
{
    struct fixture *f = *state;
    given_schedule(f, every_minute("nightly"));
    (void)name_event(f, BERTH_EV_SCHEDULE_PAUSE, "nightly", true);
    store_all(f);
    turn_after(f, UNTIL_MINUTE_MS + 60000);
    store_all(f);
    assert_int_equal(live(f), 0);
    assert_int_equal(view_of(f, "nightly")->next_us, 0);

    (void)name_event(f, BERTH_EV_SCHEDULE_PAUSE, "nightly", false);
    store_all(f);

    assert_int_equal(live(f), 0);
    assert_int_equal(view_of(f, "nightly")->next_us, f->wall_us + MINUTE_US);
}

static void a_schedule_that_is_removed_fires_no_more_and_gives_its_name_back(void **state)
{
    struct fixture *f = *state;
    given_schedule(f, every_minute("nightly"));

    uint64_t request = name_event(f, BERTH_EV_SCHEDULE_REMOVE, "nightly", false);
    assert_true(close_batch(f));
    assert_non_null(record_away(f, BERTH_RECORD_SCHEDULE_END, 1));
    complete(f, STORED);

    assert_int_equal(answer(f, request, BERTH_DO_SCHEDULES)->schedules.count, 0);
    turn_after(f, UNTIL_MINUTE_MS);
    store_all(f);
    assert_int_equal(live(f), 0);
    refused(f, list(f, "nightly", 0), BERTH_ENOTFOUND, "name");
    given_schedule(f, every_minute("nightly"));
    assert_int_equal(view_of(f, "nightly")->record.id, 2);
}

/* A client that asks again takes it as a yes. */
static void a_schedule_is_said_to_be_away_when_that_is_stored(void **state)
{
    struct fixture *f = *state;
    given_schedule(f, every_minute("nightly"));
    (void)name_event(f, BERTH_EV_SCHEDULE_REMOVE, "nightly", false);
    assert_true(close_batch(f));

    uint64_t repeat = name_event(f, BERTH_EV_SCHEDULE_REMOVE, "nightly", false);

    assert_null(find(f, BERTH_DO_ERROR));
    complete(f, STORED);
    refused(f, repeat, BERTH_ENOTFOUND, "name");
}

static void a_name_that_is_not_there_is_said(void **state)
{
    struct fixture *f = *state;
    refused(f, name_event(f, BERTH_EV_SCHEDULE_PAUSE, "nope", true), BERTH_ENOTFOUND, "name");
    refused(f, name_event(f, BERTH_EV_SCHEDULE_REMOVE, "nope", true), BERTH_ENOTFOUND, "name");
    struct berth_ev_schedule_set set = every_minute("new");
    set.has_job = false;
    refused(f, put(f, set), BERTH_ENOTFOUND, "job");
    set = every_minute("new");
    set.has_cron = false;
    refused(f, put(f, set), BERTH_ENOTFOUND, "cron");
    set = every_minute("new");
    set.dispatcher = text("nope");
    refused(f, put(f, set), BERTH_ENOTFOUND, "dispatcher");
}

static void what_can_never_be_is_refused(void **state)
{
    struct fixture *f = *state;
    struct berth_ev_schedule_set set = every_minute("new");
    set.cron = text("61 * * * *");
    refused(f, put(f, set), BERTH_EVALUE, "cron");
    set = every_minute("new");
    set.has_zone = true;
    set.zone = text("Europe/Nowhere");
    set.zone_code = BERTH_EVALUE;
    set.zone_message = "there is no time zone 'Europe/Nowhere'";
    refused(f, put(f, set), BERTH_EVALUE, "tz");
    set.zone_code = 0;
    refused(f, put(f, set), BERTH_EVALUE, "tz");
    set.tzif = text("no file of a zone");
    refused(f, put(f, set), BERTH_EVALUE, "tz");
    set = every_minute("new");
    set.job.backoff_ms = 3600000; /* beside the dispatcher's backoff_max of 10 minutes */
    refused(f, put(f, set), BERTH_EVALUE, "backoff");
    store_all(f);
    assert_int_equal(answer(f, list(f, "", 0), BERTH_DO_SCHEDULES)->schedules.count, 0);
}

static void what_all_schedules_bring_is_bounded(void **state)
{
    struct fixture *f = *state;
    static char body[1 << 20];
    struct berth_ev_schedule_set set = every_minute("one");
    set.job.body = (struct berth_slice){ body, sizeof body };
    unsigned count = 0;
    for (;; count++) {
        char name[16];
        (void)snprintf(name, sizeof name, "s%u", count);
        set.name = text(name);
        uint64_t request = put(f, set);
        store_all(f);
        if (find(f, BERTH_DO_ERROR)) {
            refused(f, request, BERTH_ELIMIT, "name");
            break;
        }
        forget(f);
    }
    assert_int_equal(count, RECUR_BYTES_MAX / sizeof body - 1);
}

static void a_list_comes_in_pages(void **state)
{
    struct fixture *f = *state;
    for (unsigned i = 0; i < RECUR_PAGE_MAX + 2; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "s%u", i);
        (void)put(f, every_minute(name));
    }
    store_all(f);

    const struct berth_do_schedules *first =
        &answer(f, list(f, "", 0), BERTH_DO_SCHEDULES)->schedules;

    assert_int_equal(first->count, RECUR_PAGE_MAX);
    assert_int_equal(first->next, RECUR_PAGE_MAX);
    const struct berth_do_schedules *second =
        &answer(f, list(f, "", first->next), BERTH_DO_SCHEDULES)->schedules;
    assert_int_equal(second->count, 2);
    assert_int_equal(second->next, 0);
}

/* A broker that was away for an hour, with what was stored. */
static void what_was_missed_is_caught_up_with_after_a_restart(void **state)
{
    struct fixture *f = *state;
    const struct berth_schedule_record schedule = { .id = 4,
                                                    .name = "nightly",
                                                    .cron = text("*/10 * * * *"),
                                                    .zone = text("UTC"),
                                                    .catch_up = SCHEDULE_CATCH_UP_ALL,
                                                    .overlap = SCHEDULE_OVERLAP_QUEUE,
                                                    .dispatcher = 1,
                                                    .handler = text("mail") };
    const struct berth_schedule_done_record done = { .id = 4,
                                                     .done_us = WALL_US - 60 * MINUTE_US,
                                                     .last_job = 9 };
    const struct berth_dispatcher_record record = { .id = 1,
                                                    .name = "default",
                                                    .limit = { .kind = BERTH_LIMIT_CORES },
                                                    .max_attempts = 1,
                                                    .weight = 1,
                                                    .retention_ms = 1 };
    assert_int_equal(berth_core_load_schedule(f->core, &schedule, &done), BERTH_ESTORE);
    assert_int_equal(berth_core_load_dispatcher(f->core, &record), 0);
    assert_int_equal(berth_core_load_schedule(f->core, &schedule, &done), 0);
    assert_int_equal(berth_core_load_schedule(f->core, &schedule, &done), BERTH_ESTORE);
    core_start(f);

    turn(f);
    store_all(f);

    assert_int_equal(live(f), 6);
    given_schedule(f, every_minute("next"));
    assert_int_equal(view_of(f, "next")->record.id, 5);
}

/* The job of an instant that is dealt with twice, as only a clock can make it, is the first one. */
static void a_clock_put_back_makes_no_second_job_of_an_instant(void **state)
{
    struct fixture *f = *state;
    struct berth_ev_schedule_set set = every_minute("nightly");
    set.has_overlap = true;
    set.overlap = SCHEDULE_OVERLAP_QUEUE;
    given_schedule(f, set);
    for (unsigned i = 0; i < 4; i++) {
        turn_after(f, i ? 60000 : UNTIL_MINUTE_MS);
        store_all(f);
    }
    assert_int_equal(live(f), 4);

    f->wall_us -= 2 * 3600 * SECOND_US;
    turn_after(f, 60000);
    store_all(f);
    assert_int_equal(live(f), 4);
    f->wall_us += 2 * 3600 * SECOND_US;
    turn_after(f, 60000);
    store_all(f);
    assert_int_equal(live(f), 6);
}

static void a_new_table_of_a_zone_is_kept_and_stored(void **state)
{
    struct fixture *f = *state;
    given_schedule(f, every_minute("nightly"));
    const struct berth_ev_zone other = { .name = text("Europe/Berlin"), .tzif = text("x") };
    step(f, (struct berth_event){ .type = BERTH_EV_ZONE, .zone = other });
    assert_false(close_batch(f));

    /* One that makes no sense changes nothing. */
    const struct berth_ev_zone bad = { .name = text("UTC"), .tzif = text("no file") };
    step(f, (struct berth_event){ .type = BERTH_EV_ZONE, .zone = bad });

    assert_false(close_batch(f));
    assert_int_equal(view_of(f, "nightly")->record.tzif.bytes, 0);
}

#define TEST(name)      cmocka_unit_test_setup_teardown(name, core_setup, core_teardown)
#define TEST_BARE(name) cmocka_unit_test_setup_teardown(name, core_setup_bare, core_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_schedule_is_answered_when_it_is_stored),
        TEST(an_instant_and_its_job_lie_in_one_batch),
        TEST(all_options_of_its_job_are_those_of_the_schedule),
        TEST(the_broker_wakes_for_an_instant_and_often_enough_for_a_clock_put_forward),
        TEST(overlap_skips_while_the_last_job_lives),
        TEST(what_a_full_queue_refuses_passes_and_says_why),
        TEST(a_full_disk_loses_no_instant),
        TEST(a_change_survives_the_full_disk_that_drops_an_instant),
        TEST(what_is_not_given_stays_as_it_is),
        TEST(instants_of_a_pause_pass),
        TEST(a_schedule_that_is_removed_fires_no_more_and_gives_its_name_back),
        TEST(a_schedule_is_said_to_be_away_when_that_is_stored),
        TEST(a_name_that_is_not_there_is_said),
        TEST(what_can_never_be_is_refused),
        TEST(what_all_schedules_bring_is_bounded),
        TEST(a_list_comes_in_pages),
        TEST_BARE(what_was_missed_is_caught_up_with_after_a_restart),
        TEST(a_clock_put_back_makes_no_second_job_of_an_instant),
        TEST(a_new_table_of_a_zone_is_kept_and_stored),
    };
    return berth_test_main(tests, NULL, NULL);
}
