/* SPDX-License-Identifier: MIT
 *
 * How attempts end: completed, failed, for good, snoozed, timed out, cancelled, lost; and what that
 * does to their jobs.
 */
#include "core_fixture.h"

/* The record with which the job goes on or ends; the batch is left away. */
static const struct berth_record *reported(struct fixture *f, struct worker *w, uint64_t job,
                                           struct berth_attempt_end end)
{
    report_end(f, w, attempt_of(f, job), job, end);
    assert_true(close_batch(f));
    const struct berth_record *record = record_away(f, BERTH_RECORD_END, job);
    return record ? record : record_away(f, BERTH_RECORD_RETRY, job);
}

/* ---- an end ---- */

static void a_report_frees_the_slot_at_once_and_is_acknowledged_when_stored(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_worker(f, 4);
    uint64_t job = given_running(f, (struct submit){ 0 });
    uint64_t attempt = attempt_of(f, job);

    report(f, w, job, BERTH_OUTCOME_COMPLETED);
    assert_int_equal(dispatcher(f, "default")->running, 0);
    assert_int_equal(job_of(f, job)->state, JOB_SETTLING);
    turn(f);
    assert_true(close_batch(f));
    turn(f);
    assert_null(ack_of(f, attempt));
    complete(f, STORED);
    turn(f);

    assert_non_null(ack_of(f, attempt));
    assert_false(ack_of(f, attempt)->is_stale);
    assert_null(job_of(f, job));
    assert_int_equal(session_of(f, w)->attempt_count, 0);
}

static void the_end_record_says_how_it_was(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_worker(f, 4);
    uint64_t job = given_running(f, (struct submit){ 0 });
    int64_t started_us = f->wall_us;
    advance(f, 1234);

    const struct berth_end_record *end =
        &reported(f, w, job,
                  (struct berth_attempt_end){ .outcome = BERTH_OUTCOME_COMPLETED,
                                              .run_us = 1234000,
                                              .result = text("the result") })
             ->end;

    assert_int_equal(end->state, BERTH_COMPLETED);
    assert_int_equal(end->dispatcher, dispatcher(f, "default")->record.id);
    assert_int_equal(end->attempt, 1);
    assert_int_equal(end->failures, 0);
    assert_int_equal(end->finished_us, f->wall_us);
    assert_int_equal(end->last.id, attempt_of(f, job));
    assert_int_equal(end->last.started_us, started_us);
    assert_true(slice_is(end->last.worker, w->name));
    assert_true(slice_is(end->last.result, "the result"));
    assert_int_equal(end->last.error_kind.bytes, 0);
}

static void a_report_that_is_repeated_before_it_is_stored_is_a_copy(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_worker(f, 4);
    uint64_t job = given_running(f, (struct submit){ 0 });
    uint64_t attempt = attempt_of(f, job);
    report(f, w, job, BERTH_OUTCOME_COMPLETED);

    report(f, w, job, BERTH_OUTCOME_FAILED);
    assert_true(close_batch(f));

    assert_int_equal(f->away->count, 1);
    assert_int_equal(f->away->records[0].end.state, BERTH_COMPLETED);
    turn(f);
    assert_null(ack_of(f, attempt)); /* the acknowledgement follows the sync */
}

static void a_report_of_an_attempt_that_is_not_held_is_stale_and_counted(void **state)
{
    struct fixture *f = *state;
    given_worker(f, 4);
    uint64_t job = given_running(f, (struct submit){ 0 });
    uint64_t attempt = attempt_of(f, job);
    struct worker *other = given_worker(f, 4);

    report_end(f, other, attempt, job,
               (struct berth_attempt_end){ .outcome = BERTH_OUTCOME_COMPLETED });
    turn(f);

    assert_true(ack_of(f, attempt)->is_stale);
    assert_int_equal(f->core->stale_reports, 1);
    assert_int_equal(job_of(f, job)->state, JOB_RUNNING);
}

/* ---- failures ---- */

static void a_failure_is_tried_again_within_the_bounds_of_the_backoff(void **state)
{
    struct fixture *f = *state;
    set(f,
        (struct berth_ev_dispatcher_set){ .has_limit = true,
                                          .limit = { BERTH_LIMIT_NUMBER, 100 },
                                          .has_max_attempts = true,
                                          .max_attempts = 50,
                                          .has_backoff = true,
                                          .backoff_ms = 100,
                                          .has_backoff_max = true,
                                          .backoff_ms_max = 1000 },
        "news");
    store_all(f);
    struct worker *w = given_worker(f, 100);
    uint64_t job = given_running(f, (struct submit){ .dispatcher = "news" });
    for (uint32_t failures = 1; failures <= 8; failures++) {
        int64_t ceiling_us = failures <= 4 ? 100000 << (failures - 1) : 1000000;
        const struct berth_retry_record *retry =
            &reported(f, w, job,
                      (struct berth_attempt_end){ .outcome = BERTH_OUTCOME_FAILED,
                                                  .error_kind = text("handler"),
                                                  .error_message = text("no such user") })
                 ->retry;
        assert_int_equal(retry->failures, failures);
        assert_int_equal(retry->attempt, failures);
        assert_true(slice_is(retry->last.error_kind, "handler"));
        assert_true(slice_is(retry->last.error_message, "no such user"));
        if (retry->state == BERTH_RETRYING)
            assert_in_range(retry->run_at_us, f->wall_us, f->wall_us + ceiling_us);
        else
            assert_int_equal(retry->run_at_us, 0); /* a delay of 0 was drawn */
        complete(f, STORED);
        renew(f, w);
        advance(f, 1000);
        store_all(f);
        assert_int_equal(grant_of(f, job)->number, failures + 1);
    }
}

static void what_failed_is_not_granted_before_its_time(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_worker(f, 4);
    uint64_t job = given_running(f, (struct submit){ 0 });
    report_end(f, w, attempt_of(f, job), job,
               (struct berth_attempt_end){ .outcome = BERTH_OUTCOME_FAILED, .retry_ms = 1500 });
    turn(f);
    assert_int_equal(grants_to(f, w), 1); /* nor before the retry is stored */
    store_all(f);
    assert_int_equal(job_of(f, job)->state, JOB_RETRYING);
    assert_int_equal(berth_core_next_deadline_ms(f->core, f->now_ms, f->wall_us), f->now_ms + 1500);

    turn_after(f, 1499);
    assert_int_equal(grants_to(f, w), 1);
    turn_after(f, 1);
    assert_int_equal(grants_to(f, w), 2);
}

static void out_of_attempts_a_job_is_dead(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_worker(f, 4);
    uint64_t job = given_running(f, (struct submit){ .max_attempts = 2 });
    report_end(f, w, attempt_of(f, job), job,
               (struct berth_attempt_end){ .outcome = BERTH_OUTCOME_FAILED, .retry_ms = 1 });
    store_all(f);
    turn_after(f, 1);

    const struct berth_record *end =
        reported(f, w, job, (struct berth_attempt_end){ .outcome = BERTH_OUTCOME_FAILED });

    assert_int_equal(end->type, BERTH_RECORD_END);
    assert_int_equal(end->end.state, BERTH_DEAD);
    assert_int_equal(end->end.failures, 2);
    assert_int_equal(end->end.attempt, 2);
}

static void without_a_number_of_its_own_a_job_has_its_dispatchers(void **state)
{
    struct fixture *f = *state;
    set(f, (struct berth_ev_dispatcher_set){ .has_max_attempts = true, .max_attempts = 1 },
        "default");
    store_all(f);
    struct worker *w = given_worker(f, 4);
    uint64_t job = given_running(f, (struct submit){ 0 });

    const struct berth_record *end =
        reported(f, w, job, (struct berth_attempt_end){ .outcome = BERTH_OUTCOME_FAILED });

    assert_int_equal(end->end.state, BERTH_DEAD);
}

static void as_many_attempts_as_the_wire_allows_are_made(void **state)
{
    struct fixture *f = *state;
    core_replace(f, (struct berth_core_opts){ 0 });
    struct berth_dispatcher_record record = {
        .id = 1, .name = "default", .limit = { BERTH_LIMIT_NUMBER, 4 }, .max_attempts = 5
    };
    struct berth_job_record old = { .id = 1,
                                    .dispatcher = 1,
                                    .handler = text("mail"),
                                    .state = BERTH_READY,
                                    .max_attempts = 1000000,
                                    .attempt = 999998,
                                    .failures = 999998 };
    assert_int_equal(berth_core_load_dispatcher(f->core, &record), 0);
    assert_int_equal(berth_core_load_job(f->core, &old), 0);
    core_start(f);
    struct worker *w = given_worker(f, 4);
    report_end(f, w, attempt_of(f, 1), 1,
               (struct berth_attempt_end){ .outcome = BERTH_OUTCOME_FAILED, .retry_ms = 1 });
    store_all(f);
    turn_after(f, 1);
    assert_int_equal(job_of(f, 1)->state, JOB_RUNNING);

    const struct berth_record *end =
        reported(f, w, 1, (struct berth_attempt_end){ .outcome = BERTH_OUTCOME_FAILED });

    assert_int_equal(end->end.state, BERTH_DEAD);
    assert_int_equal(end->end.failures, 1000000);
}

static void a_failure_for_ever_is_not_tried_again(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_worker(f, 4);
    uint64_t job = given_running(f, (struct submit){ 0 });

    const struct berth_record *end =
        reported(f, w, job, (struct berth_attempt_end){ .outcome = BERTH_OUTCOME_FAILED_FOREVER });

    assert_int_equal(end->type, BERTH_RECORD_END);
    assert_int_equal(end->end.state, BERTH_DEAD);
}

static void a_timeout_is_a_failure(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_worker(f, 4);
    uint64_t job = given_running(f, (struct submit){ .max_attempts = 2 });

    const struct berth_record *retry = reported(
        f, w, job,
        (struct berth_attempt_end){
            .outcome = BERTH_OUTCOME_TIMED_OUT, .retry_ms = 50, .error_kind = text("timeout") });

    assert_int_equal(retry->type, BERTH_RECORD_RETRY);
    assert_int_equal(retry->retry.failures, 1);
    assert_int_equal(retry->retry.run_at_us, f->wall_us + 50000);
    assert_true(slice_is(retry->retry.last.error_kind, "timeout"));
}

static void a_snooze_puts_off_and_is_no_failure(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_worker(f, 4);
    uint64_t job = given_running(f, (struct submit){ .max_attempts = 1 });

    const struct berth_record *retry =
        reported(f, w, job,
                 (struct berth_attempt_end){ .outcome = BERTH_OUTCOME_SNOOZED, .retry_ms = 5000 });

    assert_int_equal(retry->type, BERTH_RECORD_RETRY);
    assert_int_equal(retry->retry.state, BERTH_RETRYING);
    assert_int_equal(retry->retry.failures, 0);
    assert_int_equal(retry->retry.attempt, 1);
    assert_int_equal(retry->retry.run_at_us, f->wall_us + 5000000);
}

/* Its worker was told to stop; nobody cancelled the job. */
static void a_cancel_that_nobody_asked_for_runs_again_at_once(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_worker(f, 4);
    uint64_t job = given_running(f, (struct submit){ .max_attempts = 1 });

    const struct berth_record *retry =
        reported(f, w, job, (struct berth_attempt_end){ .outcome = BERTH_OUTCOME_CANCELLED });

    assert_int_equal(retry->type, BERTH_RECORD_RETRY);
    assert_int_equal(retry->retry.state, BERTH_READY);
    assert_int_equal(retry->retry.failures, 0);
    complete(f, STORED);
    turn(f);
    assert_int_equal(grant_of(f, job)->number, 2);
}

static void counters_do_not_wrap(void **state)
{
    struct fixture *f = *state;
    core_replace(f, (struct berth_core_opts){ 0 });
    struct berth_dispatcher_record record = {
        .id = 1, .name = "default", .limit = { BERTH_LIMIT_NUMBER, 4 }, .max_attempts = 5
    };
    struct berth_job_record old = { .id = 1,
                                    .dispatcher = 1,
                                    .handler = text("mail"),
                                    .state = BERTH_READY,
                                    .max_attempts = UINT32_MAX,
                                    .attempt = UINT32_MAX,
                                    .failures = UINT32_MAX,
                                    .deaths = UINT32_MAX };
    assert_int_equal(berth_core_load_dispatcher(f->core, &record), 0);
    assert_int_equal(berth_core_load_job(f->core, &old), 0);
    core_start(f);
    struct worker *w = given_worker(f, 4);
    assert_int_equal(grant_of(f, 1)->number, UINT32_MAX);

    release(f, w, attempt_of(f, 1));
    store_all(f);
    gone(f, w, BERTH_GONE_EXIT);
    assert_true(close_batch(f));
    const struct berth_retry_record *retry = &record_away(f, BERTH_RECORD_RETRY, 1)->retry;
    assert_int_equal(retry->attempt, UINT32_MAX);
    assert_int_equal(retry->failures, UINT32_MAX);
    assert_int_equal(retry->deaths, UINT8_MAX);
}

/* ---- lost ---- */

static void a_lost_attempt_costs_a_number_and_none_of_the_tries(void **state)
{
    struct fixture *f = *state;
    uint64_t job = given_job(f, (struct submit){ .max_attempts = 1 });
    for (uint32_t number = 1; number <= 10; number++) {
        struct worker *w = given_worker(f, 4);
        assert_int_equal(grant_of(f, job)->number, number);
        gone(f, w, number % 2 ? BERTH_GONE_EXIT : BERTH_GONE_LEASE);
        store_all(f);
    }

    assert_int_equal(job_of(f, job)->state, JOB_READY);
    assert_int_equal(job_of(f, job)->failures, 0);
    assert_int_equal(job_of(f, job)->attempt_number, 10);
    assert_int_equal(job_of(f, job)->deaths, 0);
}

static void a_lost_attempt_of_a_cancelled_job_ends_it(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_worker(f, 4);
    uint64_t job = given_running(f, (struct submit){ 0 });
    cancel(f, job);
    store_all(f);

    gone(f, w, BERTH_GONE_EXIT);
    assert_true(close_batch(f));

    assert_int_equal(record_away(f, BERTH_RECORD_END, job)->end.state, BERTH_CANCELLED);
}

static void a_drained_attempt_of_a_cancelled_job_ends_it(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_worker(f, 4);
    uint64_t job = given_running(f, (struct submit){ 0 });
    cancel(f, job);
    store_all(f);

    gone(f, w, BERTH_GONE_DRAIN);
    store_all(f);

    assert_null(job_of(f, job));
}

/* ---- released ---- */

static void a_release_gives_back_slot_place_and_number(void **state)
{
    struct fixture *f = *state;
    given_dispatcher(f, "mutex", 1);
    struct worker *w = given_worker(f, 1);
    uint64_t job = given_running(f, (struct submit){ .dispatcher = "mutex" });
    pause_dispatcher(f, "mutex", true);

    release(f, w, attempt_of(f, job));

    assert_int_equal(dispatcher(f, "mutex")->running, 0);
    assert_int_equal(session_of(f, w)->attempt_count, 0);
    assert_int_equal(job_of(f, job)->state, JOB_READY);
    assert_int_equal(job_of(f, job)->attempt_number, 0);
    store_all(f); /* nothing is stored of it */
    assert_null(ack_of(f, attempt_of(f, job)));
}

static void a_release_of_what_has_ended_or_is_anothers_is_ignored(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_worker(f, 4);
    uint64_t ended = given_running(f, (struct submit){ 0 });
    uint64_t running = given_running(f, (struct submit){ 0 });
    struct worker *other = given_worker(f, 4);
    report(f, w, ended, BERTH_OUTCOME_COMPLETED);

    release(f, w, attempt_of(f, ended));
    release(f, other, attempt_of(f, running));

    assert_int_equal(job_of(f, ended)->state, JOB_SETTLING);
    assert_int_equal(job_of(f, running)->state, JOB_RUNNING);
}

static void a_release_of_a_job_whose_cancel_is_stored_ends_it(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_worker(f, 4);
    uint64_t job = given_running(f, (struct submit){ 0 });
    cancel(f, job);
    store_all(f);

    release(f, w, attempt_of(f, job));
    store_all(f);

    assert_null(job_of(f, job));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, core_setup, core_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_report_frees_the_slot_at_once_and_is_acknowledged_when_stored),
        TEST(the_end_record_says_how_it_was),
        TEST(a_report_that_is_repeated_before_it_is_stored_is_a_copy),
        TEST(a_report_of_an_attempt_that_is_not_held_is_stale_and_counted),
        TEST(a_failure_is_tried_again_within_the_bounds_of_the_backoff),
        TEST(what_failed_is_not_granted_before_its_time),
        TEST(out_of_attempts_a_job_is_dead),
        TEST(without_a_number_of_its_own_a_job_has_its_dispatchers),
        TEST(as_many_attempts_as_the_wire_allows_are_made),
        TEST(a_failure_for_ever_is_not_tried_again),
        TEST(a_timeout_is_a_failure),
        TEST(a_snooze_puts_off_and_is_no_failure),
        TEST(a_cancel_that_nobody_asked_for_runs_again_at_once),
        TEST(counters_do_not_wrap),
        TEST(a_lost_attempt_costs_a_number_and_none_of_the_tries),
        TEST(a_lost_attempt_of_a_cancelled_job_ends_it),
        TEST(a_drained_attempt_of_a_cancelled_job_ends_it),
        TEST(a_release_gives_back_slot_place_and_number),
        TEST(a_release_of_what_has_ended_or_is_anothers_is_ignored),
        TEST(a_release_of_a_job_whose_cancel_is_stored_ends_it),
    };
    return berth_test_main(tests, NULL, NULL);
}
