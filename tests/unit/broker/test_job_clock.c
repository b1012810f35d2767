/* SPDX-License-Identifier: MIT
 *
 * The clocks that the broker watches: how long a job may stand ready, and until when it must be
 * done.
 */
#include "core_fixture.h"

/* The end of the job in the batch that is open now; there must be one. */
static const struct berth_end_record *end_of(struct fixture *f, uint64_t job)
{
    if (!f->away)
        assert_true(close_batch(f));
    const struct berth_record *record = record_away(f, BERTH_RECORD_END, job);
    assert_non_null(record);
    return &record->end;
}

static void assert_dead(struct fixture *f, uint64_t job, const char *kind, const char *message)
{
    const struct berth_end_record *end = end_of(f, job);
    assert_int_equal(end->state, BERTH_DEAD);
    assert_int_equal(end->last.id, 0);
    assert_true(slice_is(end->error_kind, kind));
    assert_true(slice_is(end->error_message, message));
}

static void set_queue_timeout(struct fixture *f, const char *name, int64_t ms)
{
    set(f, (struct berth_ev_dispatcher_set){ .has_queue_timeout = true, .queue_timeout_ms = ms },
        name);
}

/* ---- in the queue ---- */

static void a_job_that_is_not_started_in_time_is_dead_and_says_so(void **state)
{
    struct fixture *f = *state;
    uint64_t job = given_job(f, (struct submit){ .queue_timeout_ms = 1500 });
    assert_int_equal(berth_core_next_deadline_ms(f->core, f->now_ms, f->wall_us), f->now_ms + 1500);

    turn_after(f, 1499);
    assert_int_equal(job_of(f, job)->state, JOB_READY);
    turn_after(f, 1);

    assert_dead(f, job, "queue_timeout", "not started within its queue_timeout of 1500 ms");
    complete(f, STORED);
    assert_null(job_of(f, job));
    assert_int_equal(f->core->rares.used, 0);
}

static void a_dispatchers_queue_timeout_holds_for_jobs_that_bring_none(void **state)
{
    struct fixture *f = *state;
    set_queue_timeout(f, "io", 1000);
    store_all(f);
    uint64_t own = given_job(f, (struct submit){ .dispatcher = "io", .queue_timeout_ms = 5000 });
    uint64_t job = given_job(f, (struct submit){ .dispatcher = "io" });
    uint64_t other = given_job(f, (struct submit){ 0 });

    turn_after(f, 1000);

    assert_dead(f, job, "queue_timeout", "not started within its queue_timeout of 1000 ms");
    assert_int_equal(job_of(f, own)->state, JOB_READY);
    assert_int_equal(job_of(f, other)->state, JOB_READY);
}

static void a_queue_timeout_that_is_set_later_holds_for_those_who_wait(void **state)
{
    struct fixture *f = *state;
    uint64_t job = given_job(f, (struct submit){ .dispatcher = "io" });
    turn_after(f, 10000);
    set_queue_timeout(f, "io", 12000);
    store_all(f);
    assert_int_equal(job_of(f, job)->state, JOB_READY);

    turn_after(f, 1000);
    assert_int_equal(job_of(f, job)->state, JOB_READY);
    turn_after(f, 2000); /* since when it is ready is known to the second */

    assert_dead(f, job, "queue_timeout", "not started within its queue_timeout of 12000 ms");
}

static void one_that_others_wait_for_counts_from_when_it_was_ready(void **state)
{
    struct fixture *f = *state;
    uint64_t job = given_job(f, (struct submit){ .dispatcher = "io" });
    turn_after(f, 1000);
    given_job(f, (struct submit){ .after = &job, .after_count = 1 });
    set_queue_timeout(f, "io", 5000);
    store_all(f);
    turn_after(f, 3500);
    assert_int_equal(job_of(f, job)->state, JOB_READY);

    turn_after(f, 1500);

    assert_dead(f, job, "queue_timeout", "not started within its queue_timeout of 5000 ms");
}

static void a_queue_timeout_that_is_taken_away_holds_for_nobody(void **state)
{
    struct fixture *f = *state;
    set_queue_timeout(f, "io", 1000);
    store_all(f);
    uint64_t job = given_job(f, (struct submit){ .dispatcher = "io" });
    set_queue_timeout(f, "io", 0);
    store_all(f);

    turn_after(f, 100000);

    assert_int_equal(job_of(f, job)->state, JOB_READY);
}

static void the_time_before_it_is_ready_does_not_count(void **state)
{
    struct fixture *f = *state;
    uint64_t job = given_job(f, (struct submit){ .delay_ms = 5000, .queue_timeout_ms = 1000 });
    turn_after(f, 5500); /* half a second late */
    assert_int_equal(job_of(f, job)->state, JOB_READY);
    turn_after(f, 499);
    assert_int_equal(job_of(f, job)->state, JOB_READY);

    turn_after(f, 1);

    assert_dead(f, job, "queue_timeout", "not started within its queue_timeout of 1000 ms");
}

static void a_job_that_runs_is_not_in_the_queue(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_worker(f, 4);
    uint64_t job = given_running(f, (struct submit){ .queue_timeout_ms = 1000 });
    for (int i = 0; i < 5; i++) {
        turn_after(f, 1000);
        renew(f, w);
    }
    assert_int_equal(job_of(f, job)->state, JOB_RUNNING);

    gone(f, w, BERTH_GONE_EXIT); /* lost: it waits anew */
    store_all(f);
    turn_after(f, 999);
    assert_int_equal(job_of(f, job)->state, JOB_READY);
    turn_after(f, 1);

    assert_dead(f, job, "queue_timeout", "not started within its queue_timeout of 1000 ms");
}

static void a_job_that_was_never_begun_has_waited_all_the_time(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_worker(f, 4);
    uint64_t job = given_job(f, (struct submit){ .queue_timeout_ms = 1000 });
    turn_after(f, 0);
    release(f, w, attempt_of(f, job));
    peer_gone(f, w->peer);
    turn_after(f, 999);
    assert_int_equal(job_of(f, job)->state, JOB_READY);

    turn_after(f, 1);

    assert_dead(f, job, "queue_timeout", "not started within its queue_timeout of 1000 ms");
}

static void a_cancel_that_is_under_way_comes_before_a_clock(void **state)
{
    struct fixture *f = *state;
    core_replace(f, (struct berth_core_opts){ 0 });
    const struct berth_session_record session = { .id = UINT64_C(4) << 40 | 1,
                                                  .lease_ms = L_MS,
                                                  .name = "w" };
    assert_int_equal(berth_core_load_session(f->core, &session), 0);
    core_start(f);
    store_all(f);
    uint64_t job = given_job(f, (struct submit){ .queue_timeout_ms = L_MS });
    uint64_t request = cancel(f, job);
    store_one(f);
    turn_after(f, L_MS);
    store_all(f);

    assert_int_equal(cancelled(f, request)->code, 0);
    assert_null(job_of(f, job));
}

/* ---- the deadline ---- */

static void a_deadline_ends_whoever_waits_whatever_for(void **state)
{
    struct fixture *f = *state;
    uint64_t ready = given_job(f, (struct submit){ .deadline_ms = 1000 });
    uint64_t scheduled = given_job(f, (struct submit){ .deadline_ms = 1000, .delay_ms = 5000 });
    uint64_t waiting =
        given_job(f, (struct submit){ .deadline_ms = 1000, .after = &ready, .after_count = 1 });

    turn_after(f, 1000);

    assert_dead(f, ready, "deadline", "its deadline passed before it was done");
    assert_dead(f, scheduled, "deadline", "its deadline passed before it was done");
    assert_int_equal(end_of(f, waiting)->state, BERTH_CANCELLED); /* by the one before it */
}

static void a_retry_is_not_begun_when_the_deadline_has_passed(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_worker(f, 4);
    uint64_t job = given_running(f, (struct submit){ .deadline_ms = 1000 });
    report_end(f, w, attempt_of(f, job), job,
               (struct berth_attempt_end){ .outcome = BERTH_OUTCOME_FAILED, .retry_ms = 5000 });
    store_all(f);
    assert_int_equal(job_of(f, job)->state, JOB_RETRYING);

    turn_after(f, 1000);

    assert_dead(f, job, "deadline", "its deadline passed before it was done");
    assert_int_equal(end_of(f, job)->failures, 1);
}

static const struct berth_order_cancel *cancel_of(const struct fixture *f, uint64_t attempt)
{
    const struct berth_do_orders *orders = &get(f, BERTH_DO_ORDERS)->orders;
    for (size_t i = 0; i < orders->cancel_count; i++)
        if (orders->cancels[i].attempt == attempt)
            return &orders->cancels[i];
    return NULL;
}

static void a_running_job_is_told_that_its_deadline_has_passed(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_worker(f, 4);
    uint64_t job = given_running(f, (struct submit){ .deadline_ms = 3000 });
    uint64_t attempt = attempt_of(f, job);
    assert_int_equal(grant_of(f, job)->deadline_ms, 3000);

    turn_after(f, 3000);

    assert_non_null(cancel_of(f, attempt));
    assert_int_equal(cancel_of(f, attempt)->reason, BERTH_CANCEL_DEADLINE);
    assert_int_equal(berth_core_next_deadline_ms(f->core, f->now_ms, f->wall_us),
                     session_of(f, w)->expires_ms); /* told once */
    forget(f);
    struct berth_join_line again = line(attempt, job, 1);
    join(f, w, &again, 1);
    turn(f);
    assert_int_equal(cancel_of(f, attempt)->reason, BERTH_CANCEL_DEADLINE);
}

static void late_it_is_dead_however_it_ends_unless_it_has_completed(void **state)
{
    static const struct {
        enum berth_outcome outcome;
        enum berth_state state;
        const char *kind;
    } rows[] = { { BERTH_OUTCOME_COMPLETED, BERTH_COMPLETED, "" },
                 { BERTH_OUTCOME_FAILED, BERTH_DEAD, "deadline" },
                 { BERTH_OUTCOME_FAILED_FOREVER, BERTH_DEAD, "deadline" },
                 { BERTH_OUTCOME_SNOOZED, BERTH_DEAD, "deadline" },
                 { BERTH_OUTCOME_CANCELLED, BERTH_DEAD, "deadline" },
                 { BERTH_OUTCOME_TIMED_OUT, BERTH_DEAD, "deadline" } };
    struct fixture *f = *state;
    struct worker *w = given_worker(f, 4);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint64_t job = given_running(f, (struct submit){ .deadline_ms = 1000 });
        uint64_t attempt = attempt_of(f, job);
        turn_after(f, 1000);
        report_end(f, w, attempt, job,
                   (struct berth_attempt_end){ .outcome = rows[i].outcome, .retry_ms = 1 });

        const struct berth_end_record *end = end_of(f, job);
        assert_int_equal(end->state, rows[i].state);
        assert_int_equal(end->last.id, attempt);
        assert_true(slice_is(end->last.error_kind, rows[i].kind));
        complete(f, STORED);
        renew(f, w);
    }
}

static void late_and_cancelled_it_is_cancelled(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_worker(f, 4);
    uint64_t job = given_running(f, (struct submit){ .deadline_ms = 1000 });
    turn_after(f, 1000);
    cancel(f, job);
    store_all(f);
    assert_int_equal(cancel_of(f, attempt_of(f, job))->reason, BERTH_CANCEL_ASKED);

    report(f, w, job, BERTH_OUTCOME_CANCELLED);

    assert_int_equal(end_of(f, job)->state, BERTH_CANCELLED);
}

static void late_and_lost_it_is_dead(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_worker(f, 4);
    uint64_t job = given_running(f, (struct submit){ .deadline_ms = 1000 });
    turn_after(f, 1000);

    gone(f, w, BERTH_GONE_EXIT);

    assert_int_equal(end_of(f, job)->state, BERTH_DEAD);
    assert_true(slice_is(end_of(f, job)->last.error_kind, "deadline"));
}

static void nobody_starts_when_its_deadline_has_passed_while_its_body_was_read(void **state)
{
    struct fixture *f = *state;
    core_replace(f, (struct berth_core_opts){ .body_bytes_max = 1 });
    core_start(f);
    store_all(f);
    given_worker(f, 4);
    uint64_t job = given_job(f, (struct submit){ .deadline_ms = 1000, .body = "long" });
    assert_int_equal(job_of(f, job)->state, JOB_RUNNING); /* its body is asked for */
    struct berth_job_record stored = row(f, job, BERTH_READY);
    stored.body = text("long");
    advance(f, 1000);

    answer_read(f, &stored, 1);
    turn(f);

    assert_null(grant_of(f, job));
    assert_dead(f, job, "deadline", "its deadline passed before it was done");
}

/* ---- after a restart ---- */

static struct berth_session_record session_before(void)
{
    return (struct berth_session_record){
        .id = UINT64_C(4) << 40 | 1, .lease_ms = L_MS, .nonce = { 9 }, .child = 1, .name = "w"
    };
}

static void load_job(struct fixture *f, struct berth_job_record job)
{
    job.dispatcher = 1;
    job.handler = text("mail");
    job.body = text("b");
    assert_int_equal(berth_core_load_job(f->core, &job), 0);
}

static void given_loaded(struct fixture *f, const struct berth_job_record *jobs, size_t count,
                         bool has_session)
{
    core_replace(f, (struct berth_core_opts){ .next_dispatcher_id = 2 });
    const struct berth_dispatcher_record dispatcher = { .id = 1,
                                                        .name = "default",
                                                        .limit = { .kind = BERTH_LIMIT_CORES },
                                                        .max_attempts = 5,
                                                        .weight = 1 };
    assert_int_equal(berth_core_load_dispatcher(f->core, &dispatcher), 0);
    struct berth_session_record session = session_before();
    if (has_session)
        assert_int_equal(berth_core_load_session(f->core, &session), 0);
    for (size_t i = 0; i < count; i++)
        load_job(f, jobs[i]);
    core_start(f);
}

static void the_time_in_the_queue_goes_on_over_a_restart(void **state)
{
    struct fixture *f = *state;
    int64_t long_ago_us = f->wall_us - 60 * SECOND_US;
    const struct berth_job_record jobs[] = {
        { .id = 1, .submitted_us = long_ago_us, .queue_timeout_ms = 60000 },
        { .id = 2, .submitted_us = long_ago_us, .queue_timeout_ms = 61000 },
        { .id = 3,
          .submitted_us = long_ago_us,
          .run_at_us = f->wall_us - SECOND_US,
          .queue_timeout_ms = 2000 },
        { .id = 4,
          .submitted_us = long_ago_us,
          .state = BERTH_READY,
          .attempt = 1,
          .queue_timeout_ms = 1000 }, /* was lost */
    };
    given_loaded(f, jobs, 4, false);
    turn(f);

    assert_dead(f, 1, "queue_timeout", "not started within its queue_timeout of 60000 ms");
    for (uint64_t id = 2; id <= 4; id++)
        assert_int_equal(job_of(f, id)->state, JOB_READY);
    complete(f, STORED);
    turn_after(f, 1000);
    for (uint64_t id = 2; id <= 4; id++)
        assert_dead(f, id, "queue_timeout",
                    id == 2   ? "not started within its queue_timeout of 61000 ms"
                    : id == 3 ? "not started within its queue_timeout of 2000 ms"
                              : "not started within its queue_timeout of 1000 ms");
}

static void nothing_ends_by_a_clock_while_somebody_is_missing_who_may_run_it(void **state)
{
    struct fixture *f = *state;
    const struct berth_job_record jobs[] = {
        { .id = 1, .submitted_us = f->wall_us - 60 * SECOND_US, .queue_timeout_ms = 1000 },
        { .id = 2,
          .submitted_us = f->wall_us - 60 * SECOND_US,
          .deadline_us = f->wall_us - SECOND_US },
    };
    given_loaded(f, jobs, 2, true);

    turn_after(f, L_MS - 1);
    assert_int_equal(job_of(f, 1)->state, JOB_READY);
    assert_int_equal(job_of(f, 2)->state, JOB_READY);
    assert_int_equal(berth_core_next_deadline_ms(f->core, f->now_ms, f->wall_us), f->now_ms + 1);

    turn_after(f, 1); /* it did not come back, nor say what it ran */
    assert_dead(f, 2, "deadline", "its deadline passed before it was done");
    assert_int_equal(job_of(f, 1)->state, JOB_READY);
    complete(f, STORED);
    turn_after(f, 1000);
    assert_dead(f, 1, "queue_timeout", "not started within its queue_timeout of 1000 ms");
}

static void an_adopted_attempt_is_told_of_the_deadline(void **state)
{
    struct fixture *f = *state;
    const struct berth_job_record job = { .id = 1,
                                          .submitted_us = f->wall_us - 60 * SECOND_US,
                                          .deadline_us = f->wall_us - SECOND_US,
                                          .queue_timeout_ms = 1 };
    given_loaded(f, &job, 1, true);
    struct worker *w = new_worker(f, 4);
    struct berth_session_record session = session_before();
    w->session = session.id;
    w->nonce = 9;
    w->child = 1;
    w->epoch = EPOCH;
    struct berth_join_line runs = line(UINT64_C(4) << 40 | 7, 1, 1);
    join(f, w, &runs, 1);

    turn(f);

    assert_int_equal(job_of(f, 1)->state, JOB_RUNNING);
    assert_int_equal(cancel_of(f, UINT64_C(4) << 40 | 7)->reason, BERTH_CANCEL_DEADLINE);
}

static void given_free_dispatcher(struct fixture *f)
{
    set(f,
        (struct berth_ev_dispatcher_set){ .has_limit = true,
                                          .limit = { .kind = BERTH_LIMIT_UNLIMITED } },
        "free");
    store_all(f);
}

static void
what_may_begin_while_somebody_is_missing_does_not_begin_when_its_time_is_over(void **state)
{
    struct fixture *f = *state;
    given_loaded(f, NULL, 0, true);
    given_free_dispatcher(f);
    uint64_t late = given_job(f, (struct submit){ .dispatcher = "free", .deadline_ms = 1000 });
    uint64_t over = given_job(f, (struct submit){ .dispatcher = "free", .queue_timeout_ms = 500 });
    uint64_t job = given_job(f, (struct submit){ .dispatcher = "free", .deadline_ms = 5000 });
    turn_after(f, 1000);
    assert_int_equal(job_of(f, late)->state, JOB_READY); /* nobody has looked */

    struct worker *w = new_worker(f, 4);
    w->child = 7;
    w->nonce = 77;
    given_joined(f, w);
    turn(f);

    assert_true(f->core->unresolved > 0);
    assert_null(grant_of(f, late));
    assert_null(grant_of(f, over));
    assert_non_null(grant_of(f, job));
    assert_null(job_of(f, late)); /* dead, and stored */
    assert_null(job_of(f, over));
}

static void nobody_starts_when_its_deadline_has_passed_while_its_start_was_stored(void **state)
{
    struct fixture *f = *state;
    set(f, (struct berth_ev_dispatcher_set){ .has_on_lost = true, .on_lost = BERTH_ON_LOST_HOLD },
        "io");
    store_all(f);
    given_worker(f, 4);
    submit(f, (struct submit){ .dispatcher = "io", .deadline_ms = 1000 });
    store_one(f);
    turn(f);
    assert_int_equal(job_of(f, 1)->attempt->state, ATTEMPT_STARTING);
    advance(f, 1000);

    store_one(f); /* its start */
    turn(f);

    assert_null(grant_of(f, 1));
    assert_dead(f, 1, "deadline", "its deadline passed before it was done");
}

/* ---- backoff ---- */

static void a_jobs_own_backoff_goes_before_its_dispatchers(void **state)
{
    struct fixture *f = *state;
    set(f, (struct berth_ev_dispatcher_set){ .has_jitter = true, .no_jitter = true }, "default");
    store_all(f);
    struct worker *w = given_worker(f, 4);
    static const struct {
        int64_t ms, ms_max, is_ms;
    } rows[] = { { 0, 0, 1000 }, { 70, 0, 70 }, { 70, 90, 70 }, { 0, 5000, 1000 } };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint64_t job = given_running(
            f, (struct submit){ .backoff_ms = rows[i].ms, .backoff_ms_max = rows[i].ms_max });
        report(f, w, job, BERTH_OUTCOME_FAILED);
        store_all(f);

        assert_int_equal(job_of(f, job)->due_us - f->wall_us, rows[i].is_ms * 1000);
        cancel(f, job);
        store_all(f);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, core_setup, core_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_job_that_is_not_started_in_time_is_dead_and_says_so),
        TEST(a_dispatchers_queue_timeout_holds_for_jobs_that_bring_none),
        TEST(a_queue_timeout_that_is_set_later_holds_for_those_who_wait),
        TEST(one_that_others_wait_for_counts_from_when_it_was_ready),
        TEST(a_queue_timeout_that_is_taken_away_holds_for_nobody),
        TEST(the_time_before_it_is_ready_does_not_count),
        TEST(a_job_that_runs_is_not_in_the_queue),
        TEST(a_job_that_was_never_begun_has_waited_all_the_time),
        TEST(a_cancel_that_is_under_way_comes_before_a_clock),
        TEST(a_deadline_ends_whoever_waits_whatever_for),
        TEST(a_retry_is_not_begun_when_the_deadline_has_passed),
        TEST(a_running_job_is_told_that_its_deadline_has_passed),
        TEST(late_it_is_dead_however_it_ends_unless_it_has_completed),
        TEST(late_and_cancelled_it_is_cancelled),
        TEST(late_and_lost_it_is_dead),
        TEST(nobody_starts_when_its_deadline_has_passed_while_its_body_was_read),
        TEST(the_time_in_the_queue_goes_on_over_a_restart),
        TEST(nothing_ends_by_a_clock_while_somebody_is_missing_who_may_run_it),
        TEST(an_adopted_attempt_is_told_of_the_deadline),
        TEST(what_may_begin_while_somebody_is_missing_does_not_begin_when_its_time_is_over),
        TEST(nobody_starts_when_its_deadline_has_passed_while_its_start_was_stored),
        TEST(a_jobs_own_backoff_goes_before_its_dispatchers),
    };
    return berth_test_main(tests, NULL, NULL);
}
