/* SPDX-License-Identifier: MIT
 *
 * Places at workers: attempts that wait have none, up to what their worker offers for them.
 */
#include "scope_fixture.h"

#define WIDE ((struct submit){ .dispatcher = "wide" }) /* no limit is in the way there */

static int setup(void **state)
{
    int rc = core_setup(state);
    given_dispatcher(*state, "wide", 1000);
    return rc;
}

static struct worker *given_waiting_room(struct fixture *f, uint32_t capacity,
                                         uint32_t suspended_max)
{
    struct worker *w = new_worker(f, capacity);
    w->suspended_max = suspended_max;
    given_joined(f, w);
    return w;
}

/* Runs, and waits from now on. */
static uint64_t given_waiting(struct fixture *f, struct worker *w, struct submit item)
{
    uint64_t job = given_running(f, item);
    suspend_attempt(f, w, job, 1);
    turn(f);
    return job;
}

static void complete_job(struct fixture *f, struct worker *w, uint64_t job)
{
    report(f, w, job, BERTH_OUTCOME_COMPLETED);
    store_all(f);
}

/* ---- grants ---- */

static void a_parent_that_waits_leaves_its_place_to_its_child(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_waiting_room(f, 1, 4);
    uint64_t parent = given_running(f, WIDE);
    uint64_t child = given_child(f, w, parent, 1, WIDE);
    assert_null(grant_of(f, child));

    suspend_attempt(f, w, parent, 1);
    turn(f);
    assert_non_null(grant_of(f, child));
    complete_job(f, w, child);
    ask_to_resume(f, w, parent, 1);
    turn(f);

    assert_int_equal(resumes_of(f, parent), 1);
    complete_job(f, w, parent);
    assert_null(job_of(f, parent));
}

static void where_nothing_is_offered_for_them_those_that_wait_count_as_all_do(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_worker(f, 2);
    uint64_t first = given_waiting(f, w, WIDE);
    uint64_t second = given_waiting(f, w, WIDE);
    uint64_t child = given_child(f, w, first, 1, WIDE);
    assert_null(grant_of(f, child));

    ask_to_resume(f, w, first, 1);
    ask_to_resume(f, w, second, 1);
    turn(f);

    assert_int_equal(resumes_of(f, first), 1);
    assert_int_equal(resumes_of(f, second), 1);
}

static void roots_that_wait_never_take_the_last_places_from_children(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_waiting_room(f, 1, 2);
    uint64_t first = given_waiting(f, w, WIDE);
    given_waiting(f, w, WIDE);

    uint64_t third = given_job(f, WIDE);
    assert_null(grant_of(f, third));
    assert_true(slice_is(shown(f, third)->reason,
                         "every worker that offers 'mail' is full, draining or not heard of"));
    uint64_t child = given_child(f, w, first, 1, WIDE);

    assert_non_null(grant_of(f, child));
    assert_null(grant_of(f, third));
}

static void a_worker_never_has_more_than_its_capacity_and_what_may_wait_there(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_waiting_room(f, 1, 2);
    uint64_t parent = given_waiting(f, w, WIDE);
    for (int depth = 0; depth < 2; depth++) {
        parent = given_child(f, w, parent, 1, WIDE);
        suspend_attempt(f, w, parent, 1);
        turn(f);
    }

    uint64_t last = given_child(f, w, parent, 1, WIDE);

    assert_null(grant_of(f, last));
    assert_int_equal(session_of(f, w)->attempt_count, 3);
}

static void
a_child_that_is_ready_is_shown_to_wait_only_if_nobody_has_room_for_children(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_waiting_room(f, 1, 2);
    uint64_t parent = given_running(f, WIDE);

    uint64_t child = given_child(f, w, parent, 1, WIDE);

    assert_true(slice_is(shown(f, child)->reason,
                         "every worker that offers 'mail' is full, draining or not heard of"));
}

/* Until its worker is told that its end is stored. */
static void one_that_ended_while_it_waited_has_a_place_until_that_is_stored(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_waiting_room(f, 1, 4);
    uint64_t parent = given_waiting(f, w, WIDE);
    assert_true(session_of(f, w)->has_room[DESK_ROOTS]);

    report(f, w, parent, BERTH_OUTCOME_COMPLETED);
    assert_false(session_of(f, w)->has_room[DESK_ROOTS]);
    assert_false(session_of(f, w)->has_room[DESK_CHILDREN]);
    store_all(f);

    assert_true(session_of(f, w)->has_room[DESK_ROOTS]);
}

/* ---- going on ---- */

static void one_that_goes_on_waits_for_a_place_and_has_it_before_new_jobs(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_waiting_room(f, 1, 4);
    uint64_t waits = given_waiting(f, w, WIDE);
    uint64_t runs = given_running(f, WIDE);
    uint64_t next = given_job(f, WIDE);

    ask_to_resume(f, w, waits, 1);
    turn(f);
    assert_int_equal(resumes_of(f, waits), 0);
    assert_true(slice_is(shown(f, waits)->reason,
                         "waits for a place at worker w1 to go on: 1 of 1 in use"));
    assert_int_equal(shown(f, waits)->record.state, BERTH_SUSPENDED);
    complete_job(f, w, runs);

    assert_int_equal(resumes_of(f, waits), 1);
    assert_null(grant_of(f, next));
    complete_job(f, w, waits);
    assert_non_null(grant_of(f, next));
}

static void who_asks_first_goes_on_first_and_those_that_wait_on_hinder_nobody(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_waiting_room(f, 1, 8);
    uint64_t jobs[4];
    for (size_t i = 0; i < 4; i++)
        jobs[i] = given_waiting(f, w, WIDE);

    for (size_t i = 0; i < 3; i++)
        ask_to_resume(f, w, jobs[2 - i], 1);
    turn(f);

    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(resumes_of(f, jobs[2 - i]), 1);
        assert_int_equal(i < 2 ? resumes_of(f, jobs[1 - i]) : 0, 0);
        complete_job(f, w, jobs[2 - i]);
    }
}

static void slots_are_taken_before_the_place(void **state)
{
    struct fixture *f = *state;
    given_holding(f, "d", 1, BERTH_HOLD_RUNNING, NULL);
    struct worker *w = given_waiting_room(f, 1, 4);
    uint64_t waits = given_waiting(f, w, (struct submit){ .dispatcher = "d" });
    uint64_t runs = given_running(f, WIDE);

    ask_to_resume(f, w, waits, 1);
    turn(f);
    assert_int_equal(dispatcher(f, "d")->running, 1);
    assert_int_equal(resumes_of(f, waits), 0);
    complete_job(f, w, runs);

    assert_int_equal(resumes_of(f, waits), 1);
    assert_int_equal(dispatcher(f, "d")->running, 1);
}

/* The slot is held by one that waits for a child, and the child needs the place. */
static void who_waits_for_a_slot_keeps_no_place_from_those_that_will_free_it(void **state)
{
    struct fixture *f = *state;
    given_holding(f, "top", 1, BERTH_HOLD_JOB, NULL);
    given_holding(f, "gives", 5, BERTH_HOLD_RUNNING, "top");
    given_holding(f, "keeps", 5, BERTH_HOLD_JOB, "top");
    struct worker *w = given_waiting_room(f, 1, 8);
    uint64_t asks = given_waiting(f, w, (struct submit){ .dispatcher = "gives" });
    uint64_t keeper = given_running(f, (struct submit){ .dispatcher = "keeps" });
    ask_to_resume(f, w, asks, 1);
    uint64_t child = given_child(f, w, keeper, 1, WIDE);
    suspend_attempt(f, w, keeper, 1);
    turn(f);

    assert_non_null(grant_of(f, child));
    complete_job(f, w, child);
    ask_to_resume(f, w, keeper, 1);
    turn(f);
    assert_int_equal(resumes_of(f, keeper), 1);
    assert_int_equal(resumes_of(f, asks), 0);
    complete_job(f, w, keeper);

    assert_int_equal(resumes_of(f, asks), 1);
}

/* ---- those that were told to end ---- */

static void one_that_is_cancelled_goes_on_though_its_place_is_taken(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_waiting_room(f, 1, 8);
    uint64_t asks_later = given_waiting(f, w, WIDE);
    uint64_t has_asked = given_waiting(f, w, WIDE);
    given_running(f, WIDE);
    ask_to_resume(f, w, has_asked, 1);
    turn(f);
    assert_int_equal(resumes_of(f, has_asked), 0);

    cancel(f, asks_later);
    cancel(f, has_asked);
    store_all(f);
    assert_int_equal(resumes_of(f, has_asked), 1);
    ask_to_resume(f, w, asks_later, 1);
    turn(f);

    assert_int_equal(resumes_of(f, asks_later), 1);
    uint64_t next = given_job(f, WIDE);
    assert_null(grant_of(f, next)); /* three run */
}

static void one_that_is_cancelled_goes_on_though_its_limit_is_0(void **state)
{
    struct fixture *f = *state;
    given_holding(f, "d", 1, BERTH_HOLD_RUNNING, NULL);
    struct worker *w = given_waiting_room(f, 4, 4);
    uint64_t waits = given_waiting(f, w, (struct submit){ .dispatcher = "d" });
    set_limit(f, "d", 0);
    store_all(f);
    ask_to_resume(f, w, waits, 1);
    turn(f);
    assert_int_equal(resumes_of(f, waits), 0);

    cancel(f, waits);
    store_all(f);

    assert_int_equal(resumes_of(f, waits), 1);
    assert_int_equal(dispatcher(f, "d")->running, 1);
}

static void one_that_is_cancelled_never_passes_a_limit_but_is_first(void **state)
{
    struct fixture *f = *state;
    given_holding(f, "d", 1, BERTH_HOLD_RUNNING, NULL);
    struct worker *w = given_waiting_room(f, 4, 4);
    uint64_t first = given_waiting(f, w, (struct submit){ .dispatcher = "d" });
    uint64_t second = given_waiting(f, w, (struct submit){ .dispatcher = "d" });
    uint64_t runs = given_running(f, (struct submit){ .dispatcher = "d" });
    ask_to_resume(f, w, first, 1);
    ask_to_resume(f, w, second, 1);

    cancel(f, second);
    store_all(f);
    assert_int_equal(resumes_of(f, second), 0);
    assert_true(
        slice_is(shown(f, second)->reason, "waits for a slot of d to go on: 1 of 1 in use"));
    complete_job(f, w, runs);

    assert_int_equal(resumes_of(f, second), 1);
    assert_int_equal(resumes_of(f, first), 0);
}

static void one_whose_deadline_has_passed_goes_on_though_its_place_is_taken(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_waiting_room(f, 1, 8);
    uint64_t waits =
        given_waiting(f, w, (struct submit){ .dispatcher = "wide", .deadline_ms = 1000 });
    given_running(f, WIDE);
    ask_to_resume(f, w, waits, 1);
    turn(f);
    assert_int_equal(resumes_of(f, waits), 0);

    turn_after(f, 1000);

    assert_int_equal(resumes_of(f, waits), 1);
}

/* ---- groups ---- */

static struct worker *given_groups(struct fixture *f)
{
    set(f,
        (struct berth_ev_dispatcher_set){ .has_limit = true,
                                          .limit = { BERTH_LIMIT_NUMBER, 10 },
                                          .has_group_limit = true,
                                          .group_limit = 1,
                                          .has_hold = true,
                                          .hold = BERTH_HOLD_RUNNING },
        "d");
    store_all(f);
    return given_waiting_room(f, 8, 8);
}

static void those_that_wait_for_their_group_come_one_for_one_and_stop_nobody(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_groups(f);
    uint64_t g[3], h;
    for (size_t i = 0; i < 3; i++)
        g[i] = given_waiting(f, w, (struct submit){ .dispatcher = "d", .group = "g" });
    h = given_waiting(f, w, (struct submit){ .dispatcher = "d", .group = "h" });
    uint64_t runs = given_running(f, (struct submit){ .dispatcher = "d", .group = "g" });

    for (size_t i = 0; i < 3; i++)
        ask_to_resume(f, w, g[i], 1);
    ask_to_resume(f, w, h, 1);
    turn(f);
    assert_int_equal(resumes_of(f, h), 1);
    assert_int_equal(resumes_of(f, g[0]), 0);
    complete_job(f, w, runs);

    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(resumes_of(f, g[i]), 1);
        assert_int_equal(i < 2 ? resumes_of(f, g[i + 1]) : 0, 0);
        complete_job(f, w, g[i]);
    }
}

static void whose_turn_it_is_in_its_group_and_is_lost_leaves_it_to_the_next(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_groups(f);
    uint64_t first = given_waiting(f, w, (struct submit){ .dispatcher = "d", .group = "g" });
    struct worker *other = given_waiting_room(f, 8, 8);
    uint64_t ids[2] = { 0 };
    for (size_t i = 0; i < 2; i++) /* each worker gets one */
        ids[i] = given_running(f, (struct submit){ .dispatcher = "d", .group = i ? "h" : "g" });
    bool is_at_other = job_of(f, ids[0])->attempt->session == session_of(f, other);
    struct worker *of_second = is_at_other ? other : w;
    suspend_attempt(f, of_second, ids[0], 1);
    uint64_t runs = given_running(f, (struct submit){ .dispatcher = "d", .group = "g" });
    struct worker *of_runs = job_of(f, runs)->attempt->session == session_of(f, other) ? other : w;
    ask_to_resume(f, w, first, 1);
    ask_to_resume(f, of_second, ids[0], 1);
    turn(f);
    set_limit(f, "d", 0); /* so that whose turn it is waits for a slot */
    complete_job(f, of_runs, runs);
    assert_int_equal(job_of(f, first)->attempt->resume_wait, RESUME_SLOTS);
    assert_int_equal(job_of(f, ids[0])->attempt->resume_wait, RESUME_GROUP);

    report(f, w, first, BERTH_OUTCOME_FAILED_FOREVER);
    set_limit(f, "d", 10);
    store_all(f);

    assert_int_equal(resumes_of(f, ids[0]), 1);
}

/* ---- joins ---- */

static void a_join_says_anew_who_waits(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_waiting_room(f, 1, 4);
    uint64_t waits = given_waiting(f, w, WIDE);
    uint64_t runs = given_running(f, WIDE);
    ask_to_resume(f, w, waits, 1);
    struct berth_join_line lines[] = { line(attempt_of(f, waits), waits, 1),
                                       line(attempt_of(f, runs), runs, 1) };
    lines[0].state = BERTH_ATTEMPT_SUSPENDED;
    lines[0].suspensions = 1;

    join(f, w, lines, 2);
    assert_int_equal(session_of(f, w)->suspended_count, 1);
    assert_true(berth_list_is_empty(&session_of(f, w)->resuming));
    complete_job(f, w, runs);
    ask_to_resume(f, w, waits, 1);
    turn(f);

    assert_int_equal(resumes_of(f, waits), 1);
}

/* S / 2 is 0 there: only a child may begin. */
static void a_child_is_one_after_a_restart_too(void **state)
{
    struct fixture *f = *state;
    const uint64_t old = (uint64_t)(EPOCH - 1) << 40;
    struct berth_dispatcher_record record = { .id = 1,
                                              .name = "default",
                                              .limit = { .kind = BERTH_LIMIT_UNLIMITED },
                                              .weight = 1,
                                              .max_attempts = 5 };
    core_replace(f, (struct berth_core_opts){ 0 });
    assert_int_equal(berth_core_load_dispatcher(f->core, &record), 0);
    struct worker *w = new_worker(f, 1);
    w->suspended_max = 1;
    w->session = old | 1;
    struct berth_session_record session = {
        .id = w->session, .nonce = { w->nonce }, .child = 1, .lease_ms = L_MS, .name = "loaded"
    };
    assert_int_equal(berth_core_load_session(f->core, &session), 0);
    for (uint64_t id = 1; id <= 3; id++) {
        struct berth_job_record job = {
            .id = id, .dispatcher = 1, .handler = text("mail"), .state = BERTH_READY
        };
        job.parent = id == 3 ? 1 : 0;
        job.parent_attempt = id == 3 ? old | 9 : 0;
        job.parent_ordinal = id == 3;
        assert_int_equal(berth_core_load_job(f->core, &job), 0);
    }
    core_start(f);
    store_all(f);
    struct berth_join_line parent = line(old | 9, 1, 1);
    parent.state = BERTH_ATTEMPT_SUSPENDED;
    parent.suspensions = 1;

    join(f, w, &parent, 1);
    store_all(f);

    assert_null(grant_of(f, 2));
    assert_non_null(grant_of(f, 3));
}

static void a_join_lists_no_more_than_capacity_and_suspended_max(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_waiting_room(f, 1, 1);
    struct berth_join_line lines[3];
    for (uint64_t i = 0; i < 3; i++)
        lines[i] = ended_line(900 + i, 900 + i, 1, BERTH_OUTCOME_COMPLETED);

    join(f, w, lines, 2);
    turn(f);
    assert_int_equal(get(f, BERTH_DO_ORDERS)->orders.ack_count, 2);
    join(f, w, lines, 3);

    assert_int_equal(get(f, BERTH_DO_ERROR)->error.code, BERTH_EPROTO);
}

static void as_many_reports_as_there_may_be_are_acknowledged_at_once(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_waiting_room(f, 60, 4);
    uint64_t jobs[60];
    for (size_t i = 0; i < 60; i++)
        jobs[i] = given_running(f, WIDE);

    for (size_t i = 0; i < 60; i++)
        report(f, w, jobs[i], BERTH_OUTCOME_COMPLETED);
    store_all(f);

    assert_int_equal(get(f, BERTH_DO_ORDERS)->orders.ack_count, 60);
}

static void a_handler_is_shown_once_though_it_has_two_desks(void **state)
{
    struct fixture *f = *state;
    given_waiting_room(f, 1, 4);

    uint64_t request = query(f, BERTH_EV_WORKER_LIST, "");

    const struct berth_worker_view *shown_one = answer(f, request, BERTH_DO_WORKERS)->workers.items;
    assert_int_equal(shown_one->handler_count, 1);
    assert_true(slice_is(shown_one->handlers[0], "mail"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, core_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_parent_that_waits_leaves_its_place_to_its_child),
        TEST(where_nothing_is_offered_for_them_those_that_wait_count_as_all_do),
        TEST(roots_that_wait_never_take_the_last_places_from_children),
        TEST(a_worker_never_has_more_than_its_capacity_and_what_may_wait_there),
        TEST(a_child_that_is_ready_is_shown_to_wait_only_if_nobody_has_room_for_children),
        TEST(one_that_ended_while_it_waited_has_a_place_until_that_is_stored),
        TEST(one_that_goes_on_waits_for_a_place_and_has_it_before_new_jobs),
        TEST(who_asks_first_goes_on_first_and_those_that_wait_on_hinder_nobody),
        TEST(slots_are_taken_before_the_place),
        TEST(who_waits_for_a_slot_keeps_no_place_from_those_that_will_free_it),
        TEST(one_that_is_cancelled_goes_on_though_its_place_is_taken),
        TEST(one_that_is_cancelled_goes_on_though_its_limit_is_0),
        TEST(one_that_is_cancelled_never_passes_a_limit_but_is_first),
        TEST(one_whose_deadline_has_passed_goes_on_though_its_place_is_taken),
        TEST(those_that_wait_for_their_group_come_one_for_one_and_stop_nobody),
        TEST(whose_turn_it_is_in_its_group_and_is_lost_leaves_it_to_the_next),
        TEST(a_join_says_anew_who_waits),
        TEST(a_child_is_one_after_a_restart_too),
        TEST(a_join_lists_no_more_than_capacity_and_suspended_max),
        TEST(as_many_reports_as_there_may_be_are_acknowledged_at_once),
        TEST(a_handler_is_shown_once_though_it_has_two_desks),
    };
    return berth_test_main(tests, NULL, NULL);
}
