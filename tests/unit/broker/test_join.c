/* SPDX-License-Identifier: MIT
 *
 * Joins: what a list cuts off, what it adopts, what it dooms; and the streams of a join.
 */
#include "core_fixture.h"

#define OLD_ATTEMPT(n) ((uint64_t)(EPOCH - 1) << 40 | (n))

/* A restarted broker with the sessions of two workers and `job_count` ready jobs, ids from 1. */
static void given_restarted(struct fixture *f, struct worker **ret_one, struct worker **ret_two,
                            uint64_t job_count)
{
    core_replace(f, (struct berth_core_opts){ 0 });
    struct berth_dispatcher_record record = { .id = 1,
                                              .name = "default",
                                              .limit = { BERTH_LIMIT_NUMBER, 2 },
                                              .max_attempts = 5,
                                              .grace_ms = 300 };
    assert_int_equal(berth_core_load_dispatcher(f->core, &record), 0);
    struct worker **workers[2] = { ret_one, ret_two };
    for (unsigned i = 0; i < 2; i++) {
        if (!workers[i])
            continue;
        struct worker *w = *workers[i] = new_worker(f, 4);
        w->session = OLD_ATTEMPT(i + 1);
        struct berth_session_record session = {
            .id = w->session, .nonce = { w->nonce }, .child = 1, .lease_ms = L_MS
        };
        assert_int_equal(berth_core_load_session(f->core, &session), 0);
    }
    for (uint64_t id = 1; id <= job_count; id++) {
        struct berth_job_record job = {
            .id = id, .dispatcher = 1, .handler = text("mail"), .state = BERTH_READY
        };
        assert_int_equal(berth_core_load_job(f->core, &job), 0);
    }
    core_start(f);
    store_all(f);
    forget(f);
}

/* ---- what is not listed ---- */

static void what_is_not_listed_was_never_started_and_goes_back(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_worker(f, 4);
    uint64_t first = given_running(f, (struct submit){ 0 });
    uint64_t second = given_running(f, (struct submit){ 0 });
    struct berth_join_line lines[] = { line(attempt_of(f, second), second, 1) };

    join(f, w, lines, 1);

    assert_int_equal(job_of(f, first)->state, JOB_READY);
    assert_int_equal(job_of(f, first)->attempt_number, 0);
    assert_int_equal(job_of(f, second)->state, JOB_RUNNING);
    assert_int_equal(dispatcher(f, "default")->running, 1);
    const struct berth_do_joined *joined = &get_to(f, BERTH_DO_JOINED, w->peer)->joined;
    assert_int_equal(joined->join, 2);
    assert_int_equal(joined->renewal, w->renewal);
    turn(f);
    assert_int_equal(grant_of(f, first)->number, 1); /* as another attempt, with the same number */
}

static void a_grant_that_was_not_sent_before_the_list_is_not_sent_after_it(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_worker(f, 4);
    peer_gone(f, w->peer);
    uint64_t job = given_job(f, (struct submit){ 0 });
    renew(f, w);
    turn(f);
    uint64_t attempt = attempt_of(f, job);
    forget(f);

    join(f, w, NULL, 0);
    turn(f);

    assert_int_not_equal(attempt_of(f, job), attempt);
    assert_int_equal(grants_to(f, w), 1);
    assert_int_equal(get(f, BERTH_DO_ORDERS)->orders.number, 1);
    assert_int_equal(get(f, BERTH_DO_ORDERS)->orders.join, 2);
}

static void an_unlisted_attempt_whose_cancel_is_stored_ends_its_job(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_worker(f, 4);
    uint64_t job = given_running(f, (struct submit){ 0 });
    cancel(f, job);
    store_all(f);

    join(f, w, NULL, 0);
    store_all(f);

    assert_null(job_of(f, job));
}

/* ---- what is listed ---- */

static void a_listed_attempt_of_an_earlier_epoch_is_adopted_with_its_slot(void **state)
{
    struct fixture *f = *state;
    struct worker *w;
    given_restarted(f, &w, NULL, 1);
    struct berth_join_line lines[] = { line(OLD_ATTEMPT(7), 1, 3) };

    join(f, w, lines, 1);

    assert_int_equal(job_of(f, 1)->state, JOB_RUNNING);
    assert_int_equal(job_of(f, 1)->attempt_number, 3);
    assert_int_equal(dispatcher(f, "default")->running, 1);
    assert_int_equal(f->core->unresolved, 0);
    report_end(f, w, OLD_ATTEMPT(7), 1,
               (struct berth_attempt_end){ .outcome = BERTH_OUTCOME_COMPLETED, .run_us = 5000 });
    assert_true(close_batch(f));
    const struct berth_end_record *end = &record_away(f, BERTH_RECORD_END, 1)->end;
    assert_int_equal(end->attempt, 3);
    assert_int_equal(end->last.id, OLD_ATTEMPT(7));
    assert_int_equal(end->last.started_us, f->wall_us - 5000);
}

static void adoption_passes_a_limit_that_was_lowered_meanwhile(void **state)
{
    struct fixture *f = *state;
    struct worker *w;
    given_restarted(f, &w, NULL, 4);
    struct berth_join_line lines[] = { line(OLD_ATTEMPT(7), 1, 1), line(OLD_ATTEMPT(8), 2, 1),
                                       line(OLD_ATTEMPT(9), 3, 1) };

    join(f, w, lines, 3);
    turn(f);

    assert_int_equal(dispatcher(f, "default")->running, 3);
    assert_int_equal(grants_to(f, w), 0);
    for (uint64_t id = 1; id <= 2; id++)
        report_end(f, w, OLD_ATTEMPT(6 + id), id,
                   (struct berth_attempt_end){ .outcome = BERTH_OUTCOME_COMPLETED });
    store_all(f);
    assert_int_equal(grants_to(f, w), 1); /* two of two again */
}

static void a_waiting_job_is_adopted_whatever_it_waits_for(void **state)
{
    struct fixture *f = *state;
    struct worker *w;
    given_restarted(f, &w, NULL, 0);
    uint64_t scheduled = given_job(f, (struct submit){ .delay_ms = 60000 });
    struct berth_join_line lines[] = { line(OLD_ATTEMPT(7), scheduled, 1) };

    join(f, w, lines, 1);

    assert_int_equal(job_of(f, scheduled)->state, JOB_RUNNING);
    assert_int_equal(f->core->due_count, 0);
}

/* A failure that is stored must not make the newer attempt stale. */
static void an_attempt_whose_end_is_stored_is_not_adopted_again(void **state)
{
    struct fixture *f = *state;
    struct worker *w;
    given_restarted(f, &w, NULL, 0);
    struct berth_job_record job = { .id = 1,
                                    .dispatcher = 1,
                                    .handler = text("mail"),
                                    .state = BERTH_READY,
                                    .attempt = 2,
                                    .failures = 1 };
    assert_int_equal(berth_core_load_job(f->core, &job), 0);
    struct berth_join_line lines[] = { ended_line(OLD_ATTEMPT(7), 1, 2, BERTH_OUTCOME_FAILED) };

    join(f, w, lines, 1);
    turn(f);

    assert_int_equal(job_of(f, 1)->failures, 1);
    assert_non_null(ack_of(f, OLD_ATTEMPT(7)));
    assert_false(ack_of(f, OLD_ATTEMPT(7))->is_stale);
    assert_int_equal(grant_of(f, 1)->number, 3);
}

static void a_listed_end_is_a_report_that_comes_now(void **state)
{
    struct fixture *f = *state;
    struct worker *w;
    given_restarted(f, &w, NULL, 1);
    struct berth_join_line lines[] = { ended_line(OLD_ATTEMPT(7), 1, 1, BERTH_OUTCOME_COMPLETED) };

    join(f, w, lines, 1);
    assert_int_equal(job_of(f, 1)->state, JOB_SETTLING);
    assert_int_equal(dispatcher(f, "default")->running, 0);
    turn(f);
    assert_null(ack_of(f, OLD_ATTEMPT(7)));
    store_all(f);

    assert_false(ack_of(f, OLD_ATTEMPT(7))->is_stale);
    assert_null(job_of(f, 1));
}

/* In a re-join the report and the list say the same. */
static void a_listed_end_that_is_being_stored_is_a_copy(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_worker(f, 4);
    uint64_t job = given_running(f, (struct submit){ 0 });
    uint64_t attempt = attempt_of(f, job);
    report(f, w, job, BERTH_OUTCOME_COMPLETED);
    struct berth_join_line lines[] = { ended_line(attempt, job, 1, BERTH_OUTCOME_COMPLETED) };

    join(f, w, lines, 1);
    assert_true(close_batch(f));
    assert_int_equal(f->away->count, 1);
    turn(f);
    assert_null(ack_of(f, attempt));
    complete(f, STORED);
    turn(f);

    assert_non_null(ack_of(f, attempt));
    assert_int_equal(get(f, BERTH_DO_ORDERS)->orders.join, 2);
}

static void a_listed_end_of_a_job_that_is_gone_is_acknowledged(void **state)
{
    struct fixture *f = *state;
    struct worker *w;
    given_restarted(f, &w, NULL, 0);
    struct berth_join_line lines[] = { ended_line(OLD_ATTEMPT(7), 55, 1, BERTH_OUTCOME_COMPLETED) };

    join(f, w, lines, 1);
    turn(f);

    assert_false(ack_of(f, OLD_ATTEMPT(7))->is_stale);
}

static void what_runs_without_being_its_jobs_attempt_is_doomed_and_holds_its_slot(void **state)
{
    struct fixture *f = *state;
    struct worker *one, *two;
    given_restarted(f, &one, &two, 1);
    struct berth_join_line newer[] = { line(OLD_ATTEMPT(9), 1, 2) };
    struct berth_join_line older[] = { line(OLD_ATTEMPT(7), 1, 1), line(OLD_ATTEMPT(8), 99, 1) };
    join(f, one, newer, 1);

    join(f, two, older, 2);
    turn(f);

    assert_true(was_cancel_sent(f, OLD_ATTEMPT(7)));
    assert_true(was_cancel_sent(f, OLD_ATTEMPT(8)));
    assert_false(was_cancel_sent(f, OLD_ATTEMPT(9)));
    assert_int_equal(dispatcher(f, "default")->running, 3);
    assert_int_equal(session_of(f, two)->attempt_count, 2);
    report_end(f, two, OLD_ATTEMPT(7), 1,
               (struct berth_attempt_end){ .outcome = BERTH_OUTCOME_COMPLETED });
    turn(f);
    assert_true(ack_of(f, OLD_ATTEMPT(7))->is_stale);
    assert_int_equal(dispatcher(f, "default")->running, 2);
    assert_int_equal(job_of(f, 1)->state, JOB_RUNNING);
    assert_int_equal(f->core->stale_reports, 1);
    gone(f, two, BERTH_GONE_EXIT);
    assert_int_equal(dispatcher(f, "default")->running, 1);
}

static void a_doomed_attempt_is_told_again_in_the_next_join(void **state)
{
    struct fixture *f = *state;
    struct worker *w;
    given_restarted(f, &w, NULL, 0);
    struct berth_join_line lines[] = { line(OLD_ATTEMPT(7), 55, 1) };
    join(f, w, lines, 1);
    turn(f);
    forget(f);

    join(f, w, lines, 1);
    turn(f);

    assert_true(was_cancel_sent(f, OLD_ATTEMPT(7)));
    assert_int_equal(dispatcher(f, "default")->running, 1);
}

static void a_doomed_attempt_of_a_dispatcher_that_is_gone_holds_nothing(void **state)
{
    struct fixture *f = *state;
    struct worker *w;
    given_restarted(f, &w, NULL, 0);
    struct berth_join_line lines[] = { line(OLD_ATTEMPT(7), 55, 1) };
    lines[0].dispatcher = text("removed");

    join(f, w, lines, 1);
    turn(f);

    assert_true(was_cancel_sent(f, OLD_ATTEMPT(7)));
    assert_int_equal(session_of(f, w)->attempt_count, 1);
}

static void a_dispatcher_stays_while_a_doomed_attempt_of_it_is_alive(void **state)
{
    struct fixture *f = *state;
    struct worker *w;
    given_restarted(f, &w, NULL, 0);
    given_dispatcher(f, "news", 5);
    struct berth_join_line lines[] = { line(OLD_ATTEMPT(7), 55, 1) };
    lines[0].dispatcher = text("news");
    join(f, w, lines, 1);
    turn(f);

    uint64_t request = query(f, BERTH_EV_DISPATCHER_REMOVE, "news");
    const struct berth_effect *refusal = answer(f, request, BERTH_DO_ERROR);
    assert_non_null(refusal);
    assert_int_equal(refusal->error.code, BERTH_ECONFLICT);
    assert_non_null(strstr(refusal->error.message, "has an attempt of job 55 on worker"));

    gone(f, w, BERTH_GONE_EXIT);
    request = query(f, BERTH_EV_DISPATCHER_REMOVE, "news");
    store_all(f);
    assert_non_null(answer(f, request, BERTH_DO_REMOVED));
}

static void an_attempt_of_another_session_is_nobodys_to_list(void **state)
{
    struct fixture *f = *state;
    given_worker(f, 4);
    uint64_t job = given_running(f, (struct submit){ 0 });
    struct worker *other = given_worker(f, 4);
    struct berth_join_line lines[] = { ended_line(attempt_of(f, job), job, 1,
                                                  BERTH_OUTCOME_COMPLETED) };

    join(f, other, lines, 1);

    assert_int_equal(job_of(f, job)->state, JOB_RUNNING);
    assert_int_equal(f->core->stale_reports, 1);
}

static void more_attempts_than_the_capacity_are_refused(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_worker(f, 1);
    struct berth_join_line lines[] = { line(7, 1, 1), line(8, 2, 1) };
    forget(f);

    join(f, w, lines, 2);

    assert_int_equal(get_to(f, BERTH_DO_ERROR, w->peer)->error.code, BERTH_EPROTO);
    assert_null(find(f, BERTH_DO_JOINED));
    assert_int_equal(session_of(f, w)->join, 1);
}

/* ---- cancels ---- */

static void a_stored_cancel_is_told_again_in_each_join(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_worker(f, 4);
    uint64_t job = given_running(f, (struct submit){ 0 });
    struct berth_join_line lines[] = { line(attempt_of(f, job), job, 1) };
    cancel(f, job);
    join(f, w, lines, 1);
    turn(f);
    assert_false(was_cancel_sent(f, attempt_of(f, job))); /* not stored: it follows the sync */
    store_all(f);
    assert_true(was_cancel_sent(f, attempt_of(f, job)));
    forget(f);

    join(f, w, lines, 1);
    turn(f);

    assert_true(was_cancel_sent(f, lines[0].attempt));
    assert_int_equal(get(f, BERTH_DO_ORDERS)->orders.cancels[0].grace_ms, 5000);
}

static void a_cancel_of_an_earlier_epoch_reaches_the_attempt_that_is_adopted(void **state)
{
    struct fixture *f = *state;
    struct worker *w;
    given_restarted(f, &w, NULL, 0);
    struct berth_job_record job = { .id = 1,
                                    .dispatcher = 1,
                                    .handler = text("mail"),
                                    .state = BERTH_READY,
                                    .is_cancelled = true };
    assert_int_equal(berth_core_load_job(f->core, &job), 0);
    struct berth_join_line lines[] = { line(OLD_ATTEMPT(7), 1, 1) };

    join(f, w, lines, 1);
    turn(f);

    assert_true(was_cancel_sent(f, OLD_ATTEMPT(7)));
    assert_int_equal(get(f, BERTH_DO_ORDERS)->orders.cancels[0].grace_ms, 300);
    report_end(f, w, OLD_ATTEMPT(7), 1,
               (struct berth_attempt_end){ .outcome = BERTH_OUTCOME_COMPLETED });
    assert_true(close_batch(f));
    assert_int_equal(record_away(f, BERTH_RECORD_END, 1)->end.state, BERTH_CANCELLED);
}

static void a_queued_cancel_of_an_earlier_epoch_ends_when_the_last_session_is_resolved(void **state)
{
    struct fixture *f = *state;
    struct worker *one, *two;
    given_restarted(f, &one, &two, 0);
    struct berth_job_record job = { .id = 1,
                                    .dispatcher = 1,
                                    .handler = text("mail"),
                                    .state = BERTH_READY,
                                    .is_cancelled = true };
    assert_int_equal(berth_core_load_job(f->core, &job), 0);
    join(f, one, NULL, 0);
    store_all(f);
    assert_int_equal(job_of(f, 1)->state, JOB_READY);

    join(f, two, NULL, 0);
    store_all(f);

    assert_null(job_of(f, 1));
    assert_int_equal(grants_to(f, NULL), 0);
}

/* ---- numbers ---- */

static void a_join_that_is_repeated_is_answered_and_changes_nothing(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_worker(f, 4);
    join(f, w, NULL, 0);
    uint64_t job = given_running(f, (struct submit){ 0 });
    forget(f);
    advance(f, 3000);

    join_as(f, w, 2, NULL, 0); /* would release the attempt, were it taken */
    join_as(f, w, 1, NULL, 0);

    assert_int_equal(said(f, BERTH_DO_JOINED), 2);
    assert_int_equal(get(f, BERTH_DO_JOINED)->joined.join, 2);
    assert_int_equal(job_of(f, job)->state, JOB_RUNNING);
    turn_after(f, L_MS - 3000); /* nor does it extend the lease */
    assert_int_equal(session_of(f, w)->state, SESSION_CLOSING);
}

static void a_join_of_a_session_that_is_not_stored_yet_gets_nothing(void **state)
{
    struct fixture *f = *state;
    struct worker *w = new_worker(f, 4);
    hello(f, w);
    assert_true(close_batch(f));
    w->session = f->away->records[0].session.id;

    join_as(f, w, 1, NULL, 0);

    assert_int_equal(f->said_count, 0);
}

static void a_draining_join_gets_no_grants(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_worker(f, 4);
    w->is_draining = true;
    join(f, w, NULL, 0);

    uint64_t job = given_job(f, (struct submit){ 0 });

    assert_null(grant_of(f, job));
    w->is_draining = false; /* a worker that stops draining says so in a join */
    join(f, w, NULL, 0);
    turn(f);
    assert_non_null(grant_of(f, job));
}

/* ---- the stream of reports ---- */

static void reports_are_taken_in_order_and_once(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_worker(f, 4);
    uint64_t job = given_running(f, (struct submit){ 0 });
    uint64_t attempt = attempt_of(f, job);
    struct berth_attempt_end end = { .outcome = BERTH_OUTCOME_COMPLETED };

    w->reported = 1; /* the first was lost */
    report_end(f, w, attempt, job, end);
    assert_int_equal(job_of(f, job)->state, JOB_RUNNING);
    renew(f, w);
    assert_true(get(f, BERTH_DO_RENEWED)->joined.join_again);

    w->reported = 0;
    report_end(f, w, attempt, job, end);
    assert_int_equal(job_of(f, job)->state, JOB_SETTLING);
    store_all(f);
    uint64_t next = given_running(f, (struct submit){ 0 });
    w->reported = 0; /* a copy of the first number */
    report_end(f, w, attempt_of(f, next), next, end);
    assert_int_equal(job_of(f, next)->state, JOB_RUNNING);
    assert_int_equal(session_of(f, w)->taken, 1);
}

static void reports_of_an_older_join_are_dropped(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_worker(f, 4);
    uint64_t job = given_running(f, (struct submit){ 0 });
    struct berth_join_line lines[] = { line(attempt_of(f, job), job, 1) };
    join(f, w, lines, 1);

    w->join = 1;
    report(f, w, job, BERTH_OUTCOME_COMPLETED);

    assert_int_equal(job_of(f, job)->state, JOB_RUNNING);
}

static void a_new_join_counts_both_streams_from_0(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_worker(f, 4);
    uint64_t job = given_running(f, (struct submit){ 0 });
    report(f, w, job, BERTH_OUTCOME_COMPLETED);
    store_all(f);

    join(f, w, NULL, 0);
    renew(f, w);

    assert_int_equal(get(f, BERTH_DO_RENEWED)->joined.taken, 0);
    assert_int_equal(get(f, BERTH_DO_RENEWED)->joined.sent, 0);
    assert_false(get(f, BERTH_DO_RENEWED)->joined.join_again);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, core_setup, core_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_not_listed_was_never_started_and_goes_back),
        TEST(a_grant_that_was_not_sent_before_the_list_is_not_sent_after_it),
        TEST(an_unlisted_attempt_whose_cancel_is_stored_ends_its_job),
        TEST(a_listed_attempt_of_an_earlier_epoch_is_adopted_with_its_slot),
        TEST(adoption_passes_a_limit_that_was_lowered_meanwhile),
        TEST(a_waiting_job_is_adopted_whatever_it_waits_for),
        TEST(an_attempt_whose_end_is_stored_is_not_adopted_again),
        TEST(a_listed_end_is_a_report_that_comes_now),
        TEST(a_listed_end_that_is_being_stored_is_a_copy),
        TEST(a_listed_end_of_a_job_that_is_gone_is_acknowledged),
        TEST(what_runs_without_being_its_jobs_attempt_is_doomed_and_holds_its_slot),
        TEST(a_doomed_attempt_is_told_again_in_the_next_join),
        TEST(a_doomed_attempt_of_a_dispatcher_that_is_gone_holds_nothing),
        TEST(a_dispatcher_stays_while_a_doomed_attempt_of_it_is_alive),
        TEST(an_attempt_of_another_session_is_nobodys_to_list),
        TEST(more_attempts_than_the_capacity_are_refused),
        TEST(a_stored_cancel_is_told_again_in_each_join),
        TEST(a_cancel_of_an_earlier_epoch_reaches_the_attempt_that_is_adopted),
        TEST(a_queued_cancel_of_an_earlier_epoch_ends_when_the_last_session_is_resolved),
        TEST(a_join_that_is_repeated_is_answered_and_changes_nothing),
        TEST(a_join_of_a_session_that_is_not_stored_yet_gets_nothing),
        TEST(a_draining_join_gets_no_grants),
        TEST(reports_are_taken_in_order_and_once),
        TEST(reports_of_an_older_join_are_dropped),
        TEST(a_new_join_counts_both_streams_from_0),
    };
    return berth_test_main(tests, NULL, NULL);
}
