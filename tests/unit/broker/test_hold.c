/* SPDX-License-Identifier: MIT */
/* on_lost = hold: starts that are stored first, and what stays with a lost worker until it is
 * proven gone. After a restart: test_hold_restart.c. */
#include "core_fixture.h"

#include "broker/core/worker/hold.h"

static void given_held(struct fixture *f, const char *name, uint32_t limit, const char *parent)
{
    set(f,
        (struct berth_ev_dispatcher_set){ .has_limit = true,
                                          .limit = { .kind = BERTH_LIMIT_NUMBER, .value = limit },
                                          .has_on_lost = true,
                                          .on_lost = BERTH_ON_LOST_HOLD,
                                          .has_parent = parent,
                                          .parent = text(parent ? parent : "") },
        name);
    store_all(f);
}

static void given_child(struct fixture *f, const char *name, uint32_t limit, const char *parent)
{
    set(f,
        (struct berth_ev_dispatcher_set){ .has_limit = true,
                                          .limit = { .kind = BERTH_LIMIT_NUMBER, .value = limit },
                                          .has_parent = true,
                                          .parent = text(parent) },
        name);
    store_all(f);
}

/* Stored, and no turn has come yet. */
static uint64_t given_arrived(struct fixture *f, const char *dispatcher)
{
    uint64_t request = submit(f, (struct submit){ .dispatcher = dispatcher });
    store_one(f);
    return submitted(f, request);
}

/* ---- starts ---- */

static void a_start_is_stored_before_its_grant_leaves(void **state)
{
    struct fixture *f = *state;
    given_held(f, "vault", 1, NULL);
    struct worker *w = given_worker(f, 4);
    uint64_t job = given_arrived(f, "vault");
    turn(f);
    assert_null(grant_of(f, job));

    assert_true(close_batch(f));
    const struct berth_record *record = record_away(f, BERTH_RECORD_START, job);
    assert_non_null(record);
    assert_int_equal(record->start.session, w->session);
    turn(f);
    assert_null(grant_of(f, job));
    complete(f, STORED);
    turn(f);

    assert_int_equal(attempt_of(f, job), record->start.attempt);
    assert_true(reason_is(f, job, ""));
}

static void where_what_is_lost_is_reclaimed_no_start_is_stored(void **state)
{
    struct fixture *f = *state;
    given_dispatcher(f, "mails", 1);
    given_worker(f, 4);
    uint64_t job = given_job(f, (struct submit){ .dispatcher = "mails" });

    turn(f);

    assert_non_null(grant_of(f, job));
    assert_false(close_batch(f));
}

static void below_a_held_dispatcher_starts_are_stored_too(void **state)
{
    struct fixture *f = *state;
    given_held(f, "vault", 2, NULL);
    given_child(f, "coins", 2, "vault");
    given_worker(f, 4);
    uint64_t job = given_arrived(f, "coins");

    turn(f);

    assert_null(grant_of(f, job));
    assert_true(close_batch(f));
    assert_non_null(record_away(f, BERTH_RECORD_START, job));
}

static void a_cancel_that_comes_while_a_start_is_being_stored_reaches_the_worker(void **state)
{
    struct fixture *f = *state;
    given_held(f, "vault", 1, NULL);
    given_worker(f, 4);
    uint64_t job = given_arrived(f, "vault");
    turn(f);
    cancel(f, job); /* behind the start, in one batch */

    store_all(f);

    assert_true(was_cancel_sent(f, attempt_of(f, job)));
}

static void a_cancel_that_is_stored_before_the_start_ends_the_job_unstarted(void **state)
{
    struct fixture *f = *state;
    core_replace(f, (struct berth_core_opts){ .body_bytes_max = 1 });
    core_start(f);
    store_all(f);
    given_held(f, "vault", 1, NULL);
    given_worker(f, 4);
    uint64_t job = given_arrived(f, "vault");
    turn(f); /* its body is asked for */
    cancel(f, job);
    struct berth_job_record stored = row(f, job, BERTH_READY);
    answer_read(f, &stored, 1); /* its start follows the cancel, in one batch */

    store_all(f);

    assert_null(grant_of(f, job));
    assert_null(job_of(f, job));
}

static void what_is_handed_back_takes_its_start_out(void **state)
{
    struct fixture *f = *state;
    given_held(f, "vault", 1, NULL);
    struct worker *w = given_worker(f, 4);
    uint64_t job = given_running(f, (struct submit){ .dispatcher = "vault" });
    uint64_t first = attempt_of(f, job);

    pause_dispatcher(f, "vault", true);
    release(f, w, first);

    assert_true(close_batch(f));
    assert_int_equal(record_away(f, BERTH_RECORD_START, job)->start.attempt, 0);
    complete(f, STORED);
    pause_dispatcher(f, "vault", false);
    store_all(f);
    assert_int_not_equal(attempt_of(f, job), first);
}

static void what_runs_when_a_dispatcher_comes_to_hold_has_its_start_stored_with_it(void **state)
{
    struct fixture *f = *state;
    given_dispatcher(f, "vault", 2);
    given_child(f, "coins", 2, "vault");
    given_worker(f, 4);
    uint64_t job = given_running(f, (struct submit){ .dispatcher = "coins" });

    set(f, (struct berth_ev_dispatcher_set){ .has_on_lost = true, .on_lost = BERTH_ON_LOST_HOLD },
        "vault");

    assert_true(close_batch(f));
    assert_int_equal(record_away(f, BERTH_RECORD_START, job)->start.attempt, attempt_of(f, job));
}

static void a_dispatcher_stops_to_hold_when_that_is_stored(void **state)
{
    struct fixture *f = *state;
    given_held(f, "vault", 2, NULL);
    given_child(f, "coins", 2, "vault");

    set(f,
        (struct berth_ev_dispatcher_set){ .has_on_lost = true, .on_lost = BERTH_ON_LOST_RECLAIM },
        "vault");
    assert_true(dispatcher(f, "coins")->is_held);
    store_all(f);

    assert_false(dispatcher(f, "vault")->is_held);
    assert_false(dispatcher(f, "coins")->is_held);
}

static const char *remark_of(struct fixture *f, const char *name)
{
    return hold_remark(f->core, dispatcher(f, name));
}

static void what_on_lost_does_not_show_by_itself_is_said(void **state)
{
    struct fixture *f = *state;
    given_dispatcher(f, "all", 5);
    given_held(f, "vault", 2, "all");
    given_child(f, "coins", 2, "vault");
    given_held(f, "safe", 2, NULL);
    given_child(f, "notes", 2, "safe");

    assert_string_equal(remark_of(f, "all"), "");
    assert_string_equal(remark_of(f, "safe"), "");
    assert_non_null(strstr(remark_of(f, "vault"), "'all' above it does not hold what is lost"));
    assert_non_null(strstr(remark_of(f, "coins"), "because it is in 'vault' above it"));
    assert_non_null(strstr(remark_of(f, "notes"), "because it is in 'safe' above it"));
}

/* ---- lost ---- */

static void what_a_lost_worker_may_still_run_keeps_its_slot_until_it_is_proven_gone(void **state)
{
    struct fixture *f = *state;
    given_held(f, "vault", 1, NULL);
    struct worker *lost = given_worker(f, 4);
    uint64_t job = given_running(f, (struct submit){ .dispatcher = "vault" });
    uint64_t next = given_job(f, (struct submit){ .dispatcher = "vault" });
    uint64_t other = given_running(f, (struct submit){ 0 });

    turn_after(f, L_MS);
    assert_true(close_batch(f));
    assert_non_null(record_away(f, BERTH_RECORD_SESSION_CLOSED, lost->session));
    assert_non_null(record_away(f, BERTH_RECORD_RETRY, other)); /* not held: it is over */
    assert_null(record_away(f, BERTH_RECORD_RETRY, job));
    complete(f, STORED);
    given_worker(f, 4);
    store_all(f);

    assert_int_equal(session_of(f, lost)->state, SESSION_LOST);
    assert_null(grant_of(f, next));
    assert_int_equal(dispatcher(f, "vault")->running, 1);
    assert_int_equal(shown(f, job)->record.state, BERTH_RUNNING);
    assert_true(reason_is(f, next, "the limit of vault is reached: 1 of 1 slots in use"));
    assert_true(slice_starts_with(shown(f, job)->reason, "its worker"));

    gone(f, lost, BERTH_GONE_LEASE);
    assert_true(close_batch(f));
    assert_non_null(record_away(f, BERTH_RECORD_SESSION_END, lost->session));
    assert_int_equal(record_away(f, BERTH_RECORD_RETRY, job)->retry.failures, 0);
    complete(f, STORED);
    store_all(f);

    assert_null(session_of(f, lost));
    assert_int_equal(grant_of(f, job)->number, 2);
}

static void a_lost_worker_that_speaks_again_is_fenced(void **state)
{
    struct fixture *f = *state;
    given_held(f, "vault", 1, NULL);
    struct worker *lost = given_worker(f, 4);
    uint64_t job = given_running(f, (struct submit){ .dispatcher = "vault" });
    uint64_t attempt = attempt_of(f, job);
    turn_after(f, L_MS);
    store_all(f);

    forget(f);
    renew(f, lost);
    assert_int_equal(get_to(f, BERTH_DO_FENCED, lost->peer)->fenced.session, lost->session);
    forget(f);
    report_end(f, lost, attempt, job,
               (struct berth_attempt_end){ .outcome = BERTH_OUTCOME_COMPLETED });
    assert_non_null(find_to(f, BERTH_DO_FENCED, lost->peer));
    forget(f);
    join(f, lost, &(struct berth_join_line[]){ line(attempt, job, 1) }[0], 1);
    assert_non_null(find_to(f, BERTH_DO_FENCED, lost->peer));
    forget(f);
    hello(f, lost); /* perhaps it never took the welcome */
    assert_int_equal(get_to(f, BERTH_DO_FENCED, lost->peer)->fenced.session, 0);
    assert_int_equal(get(f, BERTH_DO_FENCED)->fenced.child, 1);
    assert_int_equal(session_of(f, lost)->state, SESSION_LOST);
}

static void the_word_of_an_operator_ends_what_is_held(void **state)
{
    struct fixture *f = *state;
    given_held(f, "vault", 1, NULL);
    struct worker *lost = given_worker(f, 4);
    uint64_t job = given_running(f, (struct submit){ .dispatcher = "vault" });
    turn_after(f, L_MS);
    store_all(f);
    forget(f);

    uint64_t request = query(f, BERTH_EV_WORKER_DECLARE_GONE, lost->name);
    store_all(f);

    assert_int_equal(answer(f, request, BERTH_DO_WORKERS)->workers.items[0].running, 1);
    given_worker(f, 4);
    assert_int_equal(grant_of(f, job)->number, 2);
}

static void a_held_job_that_is_cancelled_ends_when_its_worker_is_gone(void **state)
{
    struct fixture *f = *state;
    given_held(f, "vault", 1, NULL);
    struct worker *lost = given_worker(f, 4);
    uint64_t job = given_running(f, (struct submit){ .dispatcher = "vault" });
    turn_after(f, L_MS);
    store_all(f);

    uint64_t request = cancel(f, job);
    store_all(f);
    assert_int_equal(cancelled(f, request)->state, BERTH_CANCELLING);
    assert_int_equal(shown(f, job)->record.state, BERTH_CANCELLING);
    assert_true(slice_starts_with(shown(f, job)->reason, "its worker"));
    gone(f, lost, BERTH_GONE_FENCED);
    store_all(f);

    assert_null(job_of(f, job));
}

static void a_worker_that_is_lost_is_shown_with_what_it_holds(void **state)
{
    struct fixture *f = *state;
    given_held(f, "vault", 1, NULL);
    given_worker(f, 4);
    given_running(f, (struct submit){ .dispatcher = "vault" });
    turn_after(f, L_MS);
    store_all(f);

    uint64_t request = query(f, BERTH_EV_WORKER_LIST, "");

    const struct berth_do_workers *workers = &answer(f, request, BERTH_DO_WORKERS)->workers;
    assert_int_equal(workers->count, 1);
    assert_string_equal(workers->items[0].state, "lost");
    assert_int_equal(workers->items[0].held, 1);
    assert_int_equal(workers->items[0].lease_left_ms, 0);
}

/* ---- after a restart ---- */

#define TEST(name) cmocka_unit_test_setup_teardown(name, core_setup, core_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_start_is_stored_before_its_grant_leaves),
        TEST(where_what_is_lost_is_reclaimed_no_start_is_stored),
        TEST(below_a_held_dispatcher_starts_are_stored_too),
        TEST(a_cancel_that_comes_while_a_start_is_being_stored_reaches_the_worker),
        TEST(a_cancel_that_is_stored_before_the_start_ends_the_job_unstarted),
        TEST(what_is_handed_back_takes_its_start_out),
        TEST(what_runs_when_a_dispatcher_comes_to_hold_has_its_start_stored_with_it),
        TEST(a_dispatcher_stops_to_hold_when_that_is_stored),
        TEST(what_on_lost_does_not_show_by_itself_is_said),
        TEST(what_a_lost_worker_may_still_run_keeps_its_slot_until_it_is_proven_gone),
        TEST(a_lost_worker_that_speaks_again_is_fenced),
        TEST(the_word_of_an_operator_ends_what_is_held),
        TEST(a_held_job_that_is_cancelled_ends_when_its_worker_is_gone),
        TEST(a_worker_that_is_lost_is_shown_with_what_it_holds),
    };
    return berth_test_main(tests, NULL, NULL);
}
