/* SPDX-License-Identifier: MIT
 *
 * How sessions end: proofs of death, and the word of an operator.
 */
#include "core_fixture.h"

#include <errno.h>

#include "broker/core/dispatcher/dispatcher.h"

/* ---- by proof ---- */

static void a_death_that_is_proven_frees_slots_at_once_and_is_answered_when_stored(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_worker(f, 4);
    uint64_t job = given_running(f, (struct submit){ 0 }), attempt = attempt_of(f, job);

    gone_with(f, w,
              (struct berth_ev_gone){ .cause = BERTH_GONE_SIGNAL,
                                      .attempts = &attempt,
                                      .jobs = &job,
                                      .count = 1,
                                      .culprit = attempt });

    assert_int_equal(dispatcher(f, "default")->running, 0);
    assert_int_equal(job_of(f, job)->state, JOB_SETTLING);
    assert_null(find(f, BERTH_DO_GONE_OK));
    assert_true(close_batch(f));
    const struct berth_record *retry = record_away(f, BERTH_RECORD_RETRY, job);
    assert_int_equal(retry->retry.deaths, 1);
    assert_int_equal(retry->retry.failures, 0);
    assert_true(slice_is(retry->retry.last.error_kind, "crash"));
    assert_non_null(record_away(f, BERTH_RECORD_SESSION_END, w->session));
    complete(f, STORED);
    assert_int_equal(get_to(f, BERTH_DO_GONE_OK, w->keeper_peer)->fenced.session, w->session);
    assert_int_equal(job_of(f, job)->state, JOB_READY);
}

static void an_orphan_is_granted_elsewhere_only_when_its_retry_is_stored(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_worker(f, 4);
    uint64_t job = given_running(f, (struct submit){ 0 });
    uint64_t attempt = attempt_of(f, job);
    struct worker *other = given_worker(f, 4);

    gone(f, w, BERTH_GONE_EXIT);
    turn(f);
    assert_int_equal(grants_to(f, other), 0);
    store_all(f);

    assert_int_equal(grants_to(f, other), 1);
    assert_int_equal(grant_of(f, job)->number, 2);
    assert_true(attempt_of(f, job) > attempt);
}

static void gone_is_valid_for_ever_and_answered_each_time(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_worker(f, 4);
    gone(f, w, BERTH_GONE_EXIT);
    gone(f, w, BERTH_GONE_EXIT); /* before it is stored */
    store_all(f);
    assert_int_equal(said(f, BERTH_DO_GONE_OK), 2);

    gone(f, w, BERTH_GONE_EXIT);

    assert_int_equal(said(f, BERTH_DO_GONE_OK), 3);
    assert_false(close_batch(f));
}

static void gone_before_the_session_is_stored_means_that_it_is_never_welcomed(void **state)
{
    struct fixture *f = *state;
    struct worker *w = new_worker(f, 4);
    hello(f, w);
    assert_true(close_batch(f));

    gone(f, w, BERTH_GONE_EXIT); /* it knows no session of its child: nonce and number say who */
    store_all(f);

    assert_null(find(f, BERTH_DO_WELCOME));
    assert_int_equal(said(f, BERTH_DO_GONE_OK), 1);
    assert_int_equal(berth_map_count(&f->core->sessions), 0);
}

static void a_join_that_was_overtaken_by_gone_changes_nothing(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_worker(f, 4);
    uint64_t job = given_running(f, (struct submit){ 0 });
    struct berth_join_line lines[] = { line(attempt_of(f, job), job, 1) };

    gone(f, w, BERTH_GONE_EXIT);
    join(f, w, lines, 1);
    store_all(f);
    join(f, w, lines, 1);

    assert_int_equal(said(f, BERTH_DO_FENCED), 2);
    assert_int_equal(job_of(f, job)->state, JOB_READY);
    assert_int_equal(dispatcher(f, "default")->running, 0);
}

static void only_the_keeper_of_a_session_can_end_it(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_worker(f, 4);
    struct worker thief = *w;
    thief.nonce = 99;
    thief.keeper_peer = 888;

    gone(f, &thief, BERTH_GONE_EXIT);

    assert_int_equal(get_to(f, BERTH_DO_ERROR, 888)->error.code, BERTH_EDENIED);
    assert_int_equal(session_of(f, w)->state, SESSION_LIVE);
}

static void gone_by_the_end_of_the_lease_counts_no_death(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_worker(f, 4);
    uint64_t job = given_running(f, (struct submit){ 0 });

    gone(f, w, BERTH_GONE_LEASE);
    store_all(f);

    assert_int_equal(job_of(f, job)->deaths, 0);
    assert_int_equal(job_of(f, job)->attempt_number, 1);
}

static void gone_by_drain_uses_up_no_attempt_and_is_no_death(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_worker(f, 4);
    uint64_t job = given_running(f, (struct submit){ 0 });

    gone(f, w, BERTH_GONE_DRAIN);

    assert_int_equal(job_of(f, job)->state, JOB_READY);
    assert_int_equal(job_of(f, job)->attempt_number, 1); /* it had begun */
    assert_int_equal(job_of(f, job)->failures, 0);
    assert_int_equal(job_of(f, job)->deaths, 0);
    assert_true(close_batch(f));
    assert_int_equal(f->away->count, 1); /* the session's end, and no retry */
}

static void what_ended_before_its_worker_died_stays_ended(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_worker(f, 4);
    uint64_t job = given_running(f, (struct submit){ 0 });
    report(f, w, job, BERTH_OUTCOME_COMPLETED);

    gone(f, w, BERTH_GONE_SIGNAL);
    assert_true(close_batch(f));

    assert_int_equal(record_away(f, BERTH_RECORD_END, job)->end.state, BERTH_COMPLETED);
    assert_null(record_away(f, BERTH_RECORD_RETRY, job));
    complete(f, STORED);
    assert_null(job_of(f, job));
}

/* ---- what an operator says ---- */

static void a_silent_worker_that_is_declared_gone_ends_at_once(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_worker(f, 4);
    uint64_t job = given_running(f, (struct submit){ 0 });
    peer_gone(f, w->peer);
    forget(f);

    uint64_t request = query(f, BERTH_EV_WORKER_DECLARE_GONE, w->name);
    assert_null(answer(f, request, BERTH_DO_WORKERS));
    assert_true(close_batch(f));
    assert_non_null(record_away(f, BERTH_RECORD_SESSION_END, w->session));
    assert_int_equal(record_away(f, BERTH_RECORD_RETRY, job)->retry.failures, 0);
    complete(f, STORED);

    const struct berth_do_workers *workers = &answer(f, request, BERTH_DO_WORKERS)->workers;
    assert_int_equal(workers->count, 1);
    assert_true(slice_is(workers->items[0].name, w->name));
    assert_string_equal(workers->items[0].state, "gone");
    assert_int_equal(workers->items[0].running, 1);
    /* If it was not gone after all, it is fenced. */
    renew(f, w);
    assert_non_null(find_to(f, BERTH_DO_FENCED, w->peer));
    assert_int_equal(job_of(f, job)->state, JOB_READY);
}

static void who_is_connected_is_not_gone(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_worker(f, 4);
    uint64_t request = query(f, BERTH_EV_WORKER_DECLARE_GONE, w->name);
    assert_int_equal(answer(f, request, BERTH_DO_ERROR)->error.code, BERTH_ECONFLICT);
    request = query(f, BERTH_EV_WORKER_DECLARE_GONE, "nobody");
    assert_int_equal(answer(f, request, BERTH_DO_ERROR)->error.code, BERTH_ENOTFOUND);
    assert_int_equal(session_of(f, w)->state, SESSION_LIVE);
    assert_false(close_batch(f));
}

static void recovery_is_over_when_all_that_are_missing_are_declared_gone(void **state)
{
    struct fixture *f = *state;
    core_replace(f, (struct berth_core_opts){ 0 });
    for (uint32_t i = 1; i <= 2; i++) {
        struct berth_session_record lost = { .id = UINT64_C(4) << 40 | i,
                                             .nonce = { 9 },
                                             .child = i,
                                             .lease_ms = L_MS,
                                             .name = "lost" };
        assert_int_equal(berth_core_load_session(f->core, &lost), 0);
    }
    core_start(f);
    assert_int_equal(f->core->unresolved, 2);

    uint64_t request = query(f, BERTH_EV_WORKER_DECLARE_GONE, "lost");

    assert_int_equal(f->core->unresolved, 0);
    store_all(f);
    assert_int_equal(answer(f, request, BERTH_DO_WORKERS)->workers.count, 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, core_setup, core_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_death_that_is_proven_frees_slots_at_once_and_is_answered_when_stored),
        TEST(an_orphan_is_granted_elsewhere_only_when_its_retry_is_stored),
        TEST(gone_is_valid_for_ever_and_answered_each_time),
        TEST(gone_before_the_session_is_stored_means_that_it_is_never_welcomed),
        TEST(a_join_that_was_overtaken_by_gone_changes_nothing),
        TEST(only_the_keeper_of_a_session_can_end_it),
        TEST(gone_by_the_end_of_the_lease_counts_no_death),
        TEST(gone_by_drain_uses_up_no_attempt_and_is_no_death),
        TEST(what_ended_before_its_worker_died_stays_ended),
        TEST(a_silent_worker_that_is_declared_gone_ends_at_once),
        TEST(who_is_connected_is_not_gone),
        TEST(recovery_is_over_when_all_that_are_missing_are_declared_gone),
    };
    return berth_test_main(tests, NULL, NULL);
}
