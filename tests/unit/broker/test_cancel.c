/* SPDX-License-Identifier: MIT
 *
 * Cancelling: queued, running, settling, ended, unknown; races with reports; while a session is
 * missing.
 */
#include "core_fixture.h"

#include <errno.h>

static void a_queued_job_that_is_cancelled_ends_at_once_and_is_answered_when_stored(void **state)
{
    struct fixture *f = *state;
    uint64_t ready = given_job(f, (struct submit){ 0 });
    uint64_t scheduled = given_job(f, (struct submit){ .delay_ms = 1000 });
    const uint64_t ids[] = { ready, scheduled };

    uint64_t request = ask(f, BERTH_EV_CANCEL, ids, 2);
    assert_null(answer(f, request, BERTH_DO_CANCELLED));
    assert_true(close_batch(f));
    assert_int_equal(record_away(f, BERTH_RECORD_END, ready)->end.state, BERTH_CANCELLED);
    complete(f, STORED);

    const struct berth_do_cancelled *cancelled = &answer(f, request, BERTH_DO_CANCELLED)->cancelled;
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(cancelled->items[i].id, ids[i]);
        assert_int_equal(cancelled->items[i].state, BERTH_CANCELLED);
        assert_int_equal(cancelled->items[i].code, 0);
        assert_null(job_of(f, ids[i]));
    }
}

static void a_running_job_is_told_only_when_its_cancel_is_stored(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_worker(f, 4);
    uint64_t job = given_running(f, (struct submit){ 0 });
    uint64_t attempt = attempt_of(f, job);

    uint64_t request = cancel(f, job);
    turn(f);
    assert_true(close_batch(f));
    assert_non_null(record_away(f, BERTH_RECORD_CANCEL, job));
    turn(f);
    assert_false(was_cancel_sent(f, attempt));
    assert_null(answer(f, request, BERTH_DO_CANCELLED));
    complete(f, STORED);
    turn(f);

    assert_true(was_cancel_sent(f, attempt));
    assert_int_equal(cancelled(f, request)->state, BERTH_CANCELLING);
    assert_int_equal(cancelled(f, request)->code, 0);
    report(f, w, job, BERTH_OUTCOME_CANCELLED);
    assert_true(close_batch(f));
    assert_int_equal(record_away(f, BERTH_RECORD_END, job)->end.state, BERTH_CANCELLED);
}

static void force(struct fixture *f, uint64_t job)
{
    step(f, (struct berth_event){ .type = BERTH_EV_CANCEL,
                                  .ids = { .peer = CLIENT,
                                           .request = ++f->request,
                                           .ids = &job,
                                           .count = 1,
                                           .is_forced = true } });
}

/* The newest cancel of it that was sent, or NULL. */
static const struct berth_order_cancel *cancel_of(const struct fixture *f, uint64_t attempt)
{
    for (size_t i = f->said_count; i-- > 0;)
        for (size_t j = 0; f->said[i].type == BERTH_DO_ORDERS && j < f->said[i].orders.cancel_count;
             j++)
            if (f->said[i].orders.cancels[j].attempt == attempt)
                return &f->said[i].orders.cancels[j];
    return NULL;
}

static void force_goes_with_the_cancel_when_that_is_stored(void **state)
{
    struct fixture *f = *state;
    given_worker(f, 4);
    uint64_t job = given_running(f, (struct submit){ 0 });
    force(f, job);
    turn(f);
    assert_null(cancel_of(f, attempt_of(f, job)));
    store_all(f);
    assert_true(cancel_of(f, attempt_of(f, job))->is_forced);
    assert_int_equal(cancelled(f, f->request)->state, BERTH_CANCELLING);
}

/* Another attempt would know nothing of the force. */
static void what_is_handed_back_before_its_cancel_is_stored_ends_and_starts_no_more(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_worker(f, 4);
    uint64_t job = given_running(f, (struct submit){ 0 });
    uint64_t attempt = attempt_of(f, job);
    force(f, job);
    turn(f);
    release(f, w, attempt);
    turn(f);
    assert_int_equal(job_of(f, job)->state, JOB_SETTLING);
    store_all(f);
    assert_null(job_of(f, job));
    assert_null(cancel_of(f, attempt));
    assert_int_equal(cancelled(f, f->request)->code, 0);
}

static void force_may_follow_a_cancel_and_is_said_again_after_a_join(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_worker(f, 4);
    uint64_t job = given_running(f, (struct submit){ 0 });
    uint64_t attempt = attempt_of(f, job);
    cancel(f, job);
    store_all(f);
    assert_false(cancel_of(f, attempt)->is_forced);

    force(f, job);
    assert_false(close_batch(f)); /* nothing new is to be written */
    turn(f);
    assert_true(cancel_of(f, attempt)->is_forced);
    struct berth_join_line running = line(attempt, job, 1);
    forget(f);
    join(f, w, &running, 1);
    turn(f);
    assert_true(cancel_of(f, attempt)->is_forced);
}

static void what_ran_beside_it_runs_again_unspent(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_worker(f, 4);
    uint64_t job = given_running(f, (struct submit){ 0 });
    uint64_t beside = given_running(f, (struct submit){ .max_attempts = 1 });
    force(f, job);
    store_all(f);
    gone(f, w, BERTH_GONE_FENCED);
    assert_true(close_batch(f));
    const struct berth_record *end = record_away(f, BERTH_RECORD_END, job);
    assert_int_equal(end->end.state, BERTH_CANCELLED);
    assert_true(slice_is(end->end.last.error_message, "it was ended by force"));
    assert_int_equal(record_away(f, BERTH_RECORD_RETRY, beside)->retry.failures, 0);
    assert_int_equal(record_away(f, BERTH_RECORD_RETRY, beside)->retry.deaths, 0);
}

static void a_cancel_taken_first_wins_whatever_the_report_says_and_the_result_is_kept(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_worker(f, 4);
    uint64_t job = given_running(f, (struct submit){ 0 });

    cancel(f, job);
    report_end(f, w, attempt_of(f, job), job,
               (struct berth_attempt_end){ .outcome = BERTH_OUTCOME_COMPLETED,
                                           .result = text("the result") });
    assert_true(close_batch(f));

    const struct berth_record *end = record_away(f, BERTH_RECORD_END, job);
    assert_int_equal(end->end.state, BERTH_CANCELLED);
    assert_true(slice_is(end->end.last.result, "the result"));
}

static void a_report_taken_first_wins_and_the_cancel_comes_too_late(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_worker(f, 4);
    uint64_t job = given_running(f, (struct submit){ 0 });

    report(f, w, job, BERTH_OUTCOME_COMPLETED);
    uint64_t request = cancel(f, job);
    assert_null(answer(f, request, BERTH_DO_CANCELLED));
    store_all(f);

    assert_int_equal(cancelled(f, request)->code, -EALREADY);
    assert_int_equal(cancelled(f, request)->state, BERTH_COMPLETED);
}

static void a_job_cancelled_while_its_retry_is_stored_is_not_run_again(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_worker(f, 4);
    uint64_t job = given_running(f, (struct submit){ 0 });
    report(f, w, job, BERTH_OUTCOME_FAILED);

    uint64_t request = cancel(f, job);
    store_all(f);

    assert_int_equal(cancelled(f, request)->state, BERTH_CANCELLING);
    assert_null(job_of(f, job));
    assert_int_equal(grants_to(f, w), 1);
}

static void a_cancel_that_is_repeated_writes_nothing_new(void **state)
{
    struct fixture *f = *state;
    given_worker(f, 4);
    uint64_t job = given_running(f, (struct submit){ 0 });
    cancel(f, job);
    uint64_t meanwhile = cancel(f, job);
    assert_true(close_batch(f));
    assert_int_equal(f->away->count, 1);
    complete(f, STORED);
    assert_int_equal(cancelled(f, meanwhile)->state, BERTH_CANCELLING);

    uint64_t later = cancel(f, job);

    assert_int_equal(cancelled(f, later)->state, BERTH_CANCELLING);
    assert_false(close_batch(f));
}

static void an_ended_job_and_an_unknown_one_are_told_apart(void **state)
{
    struct fixture *f = *state;
    const uint64_t ids[] = { 4, 5 };
    uint64_t request = ask(f, BERTH_EV_CANCEL, ids, 2);
    struct berth_job_record dead = row(f, 4, BERTH_DEAD);

    answer_read(f, &dead, 1);

    const struct berth_do_cancelled *cancelled = &answer(f, request, BERTH_DO_CANCELLED)->cancelled;
    assert_int_equal(cancelled->items[0].code, -EALREADY);
    assert_int_equal(cancelled->items[0].state, BERTH_DEAD);
    assert_int_equal(cancelled->items[1].code, BERTH_ENOTFOUND);
}

/* Ids can be guessed; a flag for a job that was then refused would be one for nothing. */
static void a_job_that_is_arriving_is_unknown_to_whoever_asks(void **state)
{
    struct fixture *f = *state;
    submit(f, (struct submit){ 0 });
    assert_true(close_batch(f));
    uint64_t id = 1;
    const enum berth_event_type types[] = { BERTH_EV_WAIT, BERTH_EV_CANCEL };
    for (size_t i = 0; i < 2; i++) {
        ask(f, types[i], &id, 1);
        answer_read(f, NULL, 0);
    }
    assert_int_equal(get(f, BERTH_DO_WAITED)->waited.unknown_count, 1);
    assert_int_equal(get(f, BERTH_DO_CANCELLED)->cancelled.items[0].code, BERTH_ENOTFOUND);

    complete(f, FULL);
    assert_false(close_batch(f));
}

static void while_a_session_is_missing_a_queued_job_is_only_flagged(void **state)
{
    struct fixture *f = *state;
    core_replace(f, (struct berth_core_opts){ 0 });
    struct berth_session_record record = { .id = 7, .nonce = { 9 }, .child = 1, .lease_ms = L_MS };
    assert_int_equal(berth_core_load_session(f->core, &record), 0);
    core_start(f);
    store_all(f);
    uint64_t job = given_job(f, (struct submit){ 0 });

    uint64_t request = cancel(f, job);
    store_all(f);
    assert_int_equal(cancelled(f, request)->state, BERTH_CANCELLING);
    assert_int_equal(job_of(f, job)->state, JOB_READY);
    assert_int_equal(shown(f, job)->record.state, BERTH_CANCELLING);
    step(f, (struct berth_event){ .type = BERTH_EV_JOB_LIST,
                                  .job_list = { .peer = CLIENT,
                                                .request = ++f->request,
                                                .state = BERTH_CANCELLING,
                                                .count_max = 10 } });
    struct berth_job_record rows[] = { row(f, job, BERTH_READY) };
    answer_read(f, rows, 1);
    assert_int_equal(answer(f, f->request, BERTH_DO_JOBS)->jobs.count, 1);

    turn_after(f, L_MS); /* it has run out */
    store_all(f);
    assert_null(job_of(f, job));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, core_setup, core_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_queued_job_that_is_cancelled_ends_at_once_and_is_answered_when_stored),
        TEST(a_running_job_is_told_only_when_its_cancel_is_stored),
        TEST(force_goes_with_the_cancel_when_that_is_stored),
        TEST(what_is_handed_back_before_its_cancel_is_stored_ends_and_starts_no_more),
        TEST(force_may_follow_a_cancel_and_is_said_again_after_a_join),
        TEST(what_ran_beside_it_runs_again_unspent),
        TEST(a_cancel_taken_first_wins_whatever_the_report_says_and_the_result_is_kept),
        TEST(a_report_taken_first_wins_and_the_cancel_comes_too_late),
        TEST(a_job_cancelled_while_its_retry_is_stored_is_not_run_again),
        TEST(a_cancel_that_is_repeated_writes_nothing_new),
        TEST(an_ended_job_and_an_unknown_one_are_told_apart),
        TEST(a_job_that_is_arriving_is_unknown_to_whoever_asks),
        TEST(while_a_session_is_missing_a_queued_job_is_only_flagged),
    };
    return berth_test_main(tests, NULL, NULL);
}
