/* SPDX-License-Identifier: MIT
 *
 * Attempts that wait: what they give back, and when they go on.
 */
#include "scope_fixture.h"

static struct berth_join_line suspended_line(uint64_t attempt, uint64_t job, uint32_t suspensions)
{
    struct berth_join_line suspended = line(attempt, job, 1);
    suspended.state = BERTH_ATTEMPT_SUSPENDED;
    suspended.suspensions = suspensions;
    return suspended;
}

static void one_that_waits_gives_its_slot_back_and_takes_it_ahead_of_new_jobs(void **state)
{
    struct fixture *f = *state;
    given_holding(f, "d", 1, BERTH_HOLD_RUNNING, NULL);
    struct worker *w = given_worker(f, 8);
    uint64_t waits = given_running(f, (struct submit){ .dispatcher = "d" });
    uint64_t next = given_job(f, (struct submit){ .dispatcher = "d" });
    uint64_t last = given_job(f, (struct submit){ .dispatcher = "d" });
    assert_null(grant_of(f, next));

    suspend_attempt(f, w, waits, 1);
    assert_int_equal(dispatcher(f, "d")->running, 0);
    assert_int_equal(shown(f, waits)->record.state, BERTH_SUSPENDED);
    assert_true(slice_is(shown(f, waits)->reason, "its handler waits, for a child or a time"));
    turn(f);
    assert_non_null(grant_of(f, next));
    ask_to_resume(f, w, waits, 1);
    turn(f);
    assert_int_equal(resumes_of(f, waits), 0);
    assert_true(slice_is(shown(f, waits)->reason, "waits for a slot of d to go on: 1 of 1 in use"));

    report(f, w, next, BERTH_OUTCOME_COMPLETED);
    turn(f);
    assert_int_equal(resumes_of(f, waits), 1);
    assert_null(grant_of(f, last));
    assert_int_equal(dispatcher(f, "d")->running, 1);
    assert_int_equal(shown(f, waits)->record.state, BERTH_RUNNING);
}

/* The only one. */
static const struct berth_worker_view *worker_of(struct fixture *f)
{
    uint64_t request = query(f, BERTH_EV_WORKER_LIST, "");
    const struct berth_do_workers *workers = &answer(f, request, BERTH_DO_WORKERS)->workers;
    assert_int_equal(workers->count, 1);
    return &workers->items[0];
}

static void under_hold_job_only_the_state_changes(void **state)
{
    struct fixture *f = *state;
    given_holding(f, "d", 1, BERTH_HOLD_JOB, NULL);
    struct worker *w = given_worker(f, 8);
    uint64_t waits = given_running(f, (struct submit){ .dispatcher = "d" });

    suspend_attempt(f, w, waits, 1);
    assert_int_equal(dispatcher(f, "d")->running, 1);
    assert_int_equal(shown(f, waits)->record.state, BERTH_SUSPENDED);
    struct berth_do_status status = status_of(f);
    assert_int_equal(status.suspended, 1);
    assert_int_equal(status.running, 0);
    const struct berth_worker_view *worker = worker_of(f);
    assert_int_equal(worker->running, 0);
    assert_int_equal(worker->suspended, 1);
    ask_to_resume(f, w, waits, 1);
    turn(f);

    assert_int_equal(resumes_of(f, waits), 1);
    assert_int_equal(shown(f, waits)->record.state, BERTH_RUNNING);
    worker = worker_of(f);
    assert_int_equal(worker->running, 1);
    assert_int_equal(worker->suspended, 0);
}

static void all_slots_above_are_taken_together_or_none(void **state)
{
    struct fixture *f = *state;
    given_holding(f, "top", 1, BERTH_HOLD_JOB, NULL);
    given_holding(f, "a", 5, BERTH_HOLD_RUNNING, "top");
    given_holding(f, "b", 5, BERTH_HOLD_RUNNING, "top");
    struct worker *w = given_worker(f, 8);
    uint64_t waits = given_running(f, (struct submit){ .dispatcher = "a" });
    suspend_attempt(f, w, waits, 1);
    assert_int_equal(dispatcher(f, "top")->running, 0);
    uint64_t other = given_running(f, (struct submit){ .dispatcher = "b" });

    ask_to_resume(f, w, waits, 1);
    turn(f);
    assert_int_equal(resumes_of(f, waits), 0);
    assert_int_equal(dispatcher(f, "a")->running, 0);
    assert_true(
        slice_is(shown(f, waits)->reason, "waits for a slot of top to go on: 1 of 1 in use"));
    report(f, w, other, BERTH_OUTCOME_COMPLETED);
    turn(f);

    assert_int_equal(resumes_of(f, waits), 1);
    assert_int_equal(dispatcher(f, "a")->running, 1);
}

/* However often those of the other one wait and come back. */
static void dispatchers_take_turns_at_what_comes_back_above_them(void **state)
{
    struct fixture *f = *state;
    given_holding(f, "top", 1, BERTH_HOLD_JOB, NULL);
    given_holding(f, "a", 5, BERTH_HOLD_RUNNING, "top");
    given_holding(f, "b", 5, BERTH_HOLD_RUNNING, "top");
    struct worker *w = given_worker(f, 8);
    uint64_t waits[3];
    for (unsigned i = 0; i < 3; i++) {
        waits[i] = given_running(f, (struct submit){ .dispatcher = i < 2 ? "a" : "b" });
        suspend_attempt(f, w, waits[i], 1);
    }
    uint64_t other = given_running(f, (struct submit){ .dispatcher = "a" });
    for (unsigned i = 0; i < 3; i++)
        ask_to_resume(f, w, waits[i], 1);

    report(f, w, other, BERTH_OUTCOME_COMPLETED);
    turn(f);
    assert_int_equal(resumes_of(f, waits[0]), 1);
    suspend_attempt(f, w, waits[0], 2);
    ask_to_resume(f, w, waits[0], 2);
    turn(f);

    assert_int_equal(resumes_of(f, waits[2]), 1);
    assert_int_equal(resumes_of(f, waits[1]), 0);
    suspend_attempt(f, w, waits[2], 2);
    turn(f);
    assert_int_equal(resumes_of(f, waits[1]), 1);
    assert_int_equal(resumes_of(f, waits[0]), 1);
}

static void a_place_of_a_group_is_given_back_too(void **state)
{
    struct fixture *f = *state;
    given_holding(f, "d", 10, BERTH_HOLD_RUNNING, NULL);
    set(f, (struct berth_ev_dispatcher_set){ .has_group_limit = true, .group_limit = 1 }, "d");
    store_all(f);
    struct worker *w = given_worker(f, 8);
    uint64_t waits = given_running(f, (struct submit){ .dispatcher = "d", .group = "g" });
    uint64_t other = given_job(f, (struct submit){ .dispatcher = "d", .group = "g" });

    suspend_attempt(f, w, waits, 1);
    turn(f);
    assert_non_null(grant_of(f, other));
    ask_to_resume(f, w, waits, 1);
    turn(f);
    assert_int_equal(resumes_of(f, waits), 0);
    assert_true(slice_is(shown(f, waits)->reason, "waits for a place of its group to go on"));
    report(f, w, other, BERTH_OUTCOME_COMPLETED);
    turn(f);

    assert_int_equal(resumes_of(f, waits), 1);
}

static void neither_a_pause_nor_a_rate_keeps_it_from_going_on(void **state)
{
    struct fixture *f = *state;
    given_holding(f, "d", 1, BERTH_HOLD_RUNNING, NULL);
    set(f,
        (struct berth_ev_dispatcher_set){ .has_rate = true, .rate_count = 1, .rate_ms = 3600000 },
        "d");
    store_all(f);
    struct worker *w = given_worker(f, 8);
    uint64_t waits = given_running(f, (struct submit){ .dispatcher = "d" });
    suspend_attempt(f, w, waits, 1);
    pause_dispatcher(f, "d", true);
    store_all(f);

    ask_to_resume(f, w, waits, 1);
    turn(f);

    assert_int_equal(resumes_of(f, waits), 1);
}

static void a_copy_of_a_suspension_changes_nothing(void **state)
{
    struct fixture *f = *state;
    given_holding(f, "d", 1, BERTH_HOLD_RUNNING, NULL);
    struct worker *w = given_worker(f, 8);
    uint64_t waits = given_running(f, (struct submit){ .dispatcher = "d" });
    suspend_attempt(f, w, waits, 1);
    ask_to_resume(f, w, waits, 1);
    turn(f);

    suspend_attempt(f, w, waits, 1);
    ask_to_resume(f, w, waits, 2);
    turn(f);

    assert_int_equal(dispatcher(f, "d")->running, 1);
    assert_int_equal(resumes_of(f, waits), 1);
}

static void what_ends_while_it_waits_gives_nothing_back_twice(void **state)
{
    struct fixture *f = *state;
    given_holding(f, "d", 1, BERTH_HOLD_RUNNING, NULL);
    struct worker *w = given_worker(f, 8);
    uint64_t first = given_running(f, (struct submit){ .dispatcher = "d" });
    suspend_attempt(f, w, first, 1);
    uint64_t second = given_running(f, (struct submit){ .dispatcher = "d" });
    ask_to_resume(f, w, first, 1);

    gone(f, w, BERTH_GONE_EXIT);
    store_all(f);

    assert_int_equal(dispatcher(f, "d")->running, 0);
    assert_int_equal(job_of(f, first)->state, JOB_READY);
    assert_int_equal(job_of(f, second)->state, JOB_READY);
}

/* ---- joins ---- */

static void a_resumption_that_a_join_overtook_is_asked_for_again(void **state)
{
    struct fixture *f = *state;
    given_holding(f, "d", 1, BERTH_HOLD_RUNNING, NULL);
    struct worker *w = given_worker(f, 8);
    uint64_t waits = given_running(f, (struct submit){ .dispatcher = "d" });
    suspend_attempt(f, w, waits, 1);
    ask_to_resume(f, w, waits, 1);
    turn(f);
    assert_int_equal(dispatcher(f, "d")->running, 1);

    join(f, w, (struct berth_join_line[]){ suspended_line(attempt_of(f, waits), waits, 1) }, 1);
    assert_int_equal(dispatcher(f, "d")->running, 0);
    ask_to_resume(f, w, waits, 1);
    turn(f);

    assert_int_equal(resumes_of(f, waits), 2);
    assert_int_equal(dispatcher(f, "d")->running, 1);
}

static void a_suspension_that_a_join_overtook_is_in_its_list(void **state)
{
    struct fixture *f = *state;
    given_holding(f, "d", 1, BERTH_HOLD_RUNNING, NULL);
    struct worker *w = given_worker(f, 8);
    uint64_t waits = given_running(f, (struct submit){ .dispatcher = "d" });

    join(f, w, (struct berth_join_line[]){ suspended_line(attempt_of(f, waits), waits, 3) }, 1);
    assert_int_equal(dispatcher(f, "d")->running, 0);
    ask_to_resume(f, w, waits, 3);
    turn(f);

    assert_int_equal(resumes_of(f, waits), 1);
}

static void after_a_restart_nothing_goes_on_until_every_session_is_resolved(void **state)
{
    struct fixture *f = *state;
    const uint64_t old = (uint64_t)(EPOCH - 1) << 40;
    struct berth_dispatcher_record record = { .id = 1,
                                              .name = "default",
                                              .limit = { .kind = BERTH_LIMIT_NUMBER, .value = 1 },
                                              .weight = 1,
                                              .max_attempts = 5,
                                              .hold = BERTH_HOLD_RUNNING };
    core_replace(f, (struct berth_core_opts){ 0 });
    assert_int_equal(berth_core_load_dispatcher(f->core, &record), 0);
    struct worker *workers[2];
    for (unsigned i = 0; i < 2; i++) {
        workers[i] = new_worker(f, 4);
        workers[i]->session = old | (i + 1);
        struct berth_session_record session = { .id = workers[i]->session,
                                                .nonce = { workers[i]->nonce },
                                                .child = 1,
                                                .lease_ms = L_MS,
                                                .name = "loaded" };
        assert_int_equal(berth_core_load_session(f->core, &session), 0);
    }
    struct berth_job_record job = {
        .id = 1, .dispatcher = 1, .handler = text("mail"), .state = BERTH_READY
    };
    assert_int_equal(berth_core_load_job(f->core, &job), 0);
    core_start(f);
    store_all(f);

    join(f, workers[0], (struct berth_join_line[]){ suspended_line(old | 9, 1, 2) }, 1);
    assert_int_equal(dispatcher(f, "default")->running, 0);
    const struct berth_suspension asked = { old | 9, 2 };
    send_reports(f, workers[0], (struct berth_ev_reports){ .resumes = &asked, .resume_count = 1 });
    turn(f);
    assert_null(find(f, BERTH_DO_ORDERS));
    join(f, workers[1], NULL, 0);
    turn(f);

    assert_int_equal(get(f, BERTH_DO_ORDERS)->orders.resume_count, 1);
    assert_int_equal(get(f, BERTH_DO_ORDERS)->orders.resumes[0].number, 2);
    assert_int_equal(dispatcher(f, "default")->running, 1);
}

static uint64_t set_hold(struct fixture *f, const char *name, enum berth_hold hold)
{
    return set(f, (struct berth_ev_dispatcher_set){ .has_hold = true, .hold = hold }, name);
}

/* After a crash nobody would know which of those that wait have their slots. */
static void nothing_comes_to_keep_its_slots_while_one_waits_without(void **state)
{
    struct fixture *f = *state;
    given_holding(f, "d", 1, BERTH_HOLD_RUNNING, NULL);
    struct worker *w = given_worker(f, 8);
    uint64_t waits = given_running(f, (struct submit){ .dispatcher = "d" });
    suspend_attempt(f, w, waits, 1);

    uint64_t early = set_hold(f, "d", BERTH_HOLD_JOB);
    assert_int_equal(answer(f, early, BERTH_DO_ERROR)->error.code, BERTH_ECONFLICT);
    assert_string_equal(answer(f, early, BERTH_DO_ERROR)->error.field, "hold");
    ask_to_resume(f, w, waits, 1);
    turn(f);

    (void)set_hold(f, "d", BERTH_HOLD_JOB);
    suspend_attempt(f, w, waits, 2);
    assert_int_equal(dispatcher(f, "d")->running, 1); /* that is not stored yet, and holds */
    store_all(f);
    assert_int_equal(dispatcher(f, "d")->record.hold, BERTH_HOLD_JOB);
}

/* Its job is finished, or has a newer attempt: it is told to end, and can. */
static void one_that_is_nobodys_any_more_may_go_on_and_ends(void **state)
{
    struct fixture *f = *state;
    const uint64_t old = (uint64_t)(EPOCH - 1) << 40;
    struct berth_dispatcher_record record = { .id = 1,
                                              .name = "default",
                                              .limit = { .kind = BERTH_LIMIT_NUMBER, .value = 1 },
                                              .weight = 1,
                                              .max_attempts = 5,
                                              .hold = BERTH_HOLD_RUNNING };
    core_replace(f, (struct berth_core_opts){ 0 });
    assert_int_equal(berth_core_load_dispatcher(f->core, &record), 0);
    struct worker *w = new_worker(f, 4);
    w->session = old | 1;
    struct berth_session_record session = {
        .id = w->session, .nonce = { w->nonce }, .child = 1, .lease_ms = L_MS, .name = "loaded"
    };
    assert_int_equal(berth_core_load_session(f->core, &session), 0);
    core_start(f);
    store_all(f);
    join(f, w, (struct berth_join_line[]){ suspended_line(old | 9, 55, 2) }, 1);
    turn(f);
    assert_true(was_cancel_sent(f, old | 9));
    forget(f);

    const struct berth_suspension asked = { old | 9, 2 };
    const struct berth_child_ask children = { old | 9, 56 };
    send_reports(
        f, w,
        (struct berth_ev_reports){
            .resumes = &asked, .resume_count = 1, .child_asks = &children, .child_ask_count = 1 });
    turn(f);

    const struct berth_do_orders *orders = &get(f, BERTH_DO_ORDERS)->orders;
    assert_int_equal(orders->resume_count, 1);
    assert_int_equal(orders->resumes[0].number, 2);
    assert_int_equal(orders->child_end_count, 1);
    assert_int_equal(orders->child_ends[0].job, 56);
    assert_int_equal(orders->child_ends[0].state, BERTH_CANCELLED);
}

static void one_that_waits_in_a_lost_worker_is_held_and_never_goes_on(void **state)
{
    struct fixture *f = *state;
    given_holding(f, "d", 1, BERTH_HOLD_RUNNING, NULL);
    set(f, (struct berth_ev_dispatcher_set){ .has_on_lost = true, .on_lost = BERTH_ON_LOST_HOLD },
        "d");
    store_all(f);
    struct worker *w = given_worker(f, 8);
    uint64_t waits = given_running(f, (struct submit){ .dispatcher = "d" });
    suspend_attempt(f, w, waits, 1);
    uint64_t next = given_job(f, (struct submit){ .dispatcher = "d" });
    assert_non_null(grant_of(f, next));
    ask_to_resume(f, w, waits, 1); /* there is no slot for it */

    turn_after(f, L_MS);
    store_all(f);
    given_worker(f, 8);
    store_all(f);

    assert_int_equal(session_of(f, w)->state, SESSION_LOST);
    assert_int_equal(dispatcher(f, "d")->running, 1); /* that of the other one */
    assert_int_equal(resumes_of(f, waits), 0);
    assert_memory_equal(shown(f, waits)->reason.data, "its worker", 10);
    gone(f, w, BERTH_GONE_LEASE);
    store_all(f);
    assert_int_equal(grant_of(f, waits)->number, 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, core_setup, core_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(nothing_comes_to_keep_its_slots_while_one_waits_without),
        TEST(one_that_is_nobodys_any_more_may_go_on_and_ends),
        TEST(one_that_waits_in_a_lost_worker_is_held_and_never_goes_on),
        TEST(one_that_waits_gives_its_slot_back_and_takes_it_ahead_of_new_jobs),
        TEST(under_hold_job_only_the_state_changes),
        TEST(all_slots_above_are_taken_together_or_none),
        TEST(dispatchers_take_turns_at_what_comes_back_above_them),
        TEST(a_place_of_a_group_is_given_back_too),
        TEST(neither_a_pause_nor_a_rate_keeps_it_from_going_on),
        TEST(a_copy_of_a_suspension_changes_nothing),
        TEST(what_ends_while_it_waits_gives_nothing_back_twice),
        TEST(a_resumption_that_a_join_overtook_is_asked_for_again),
        TEST(a_suspension_that_a_join_overtook_is_in_its_list),
        TEST(after_a_restart_nothing_goes_on_until_every_session_is_resolved),
    };
    return berth_test_main(tests, NULL, NULL);
}
