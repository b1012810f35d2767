/* SPDX-License-Identifier: MIT */
/* Parents and children after a worker has joined again, and after a restart of the broker. */
#include "scope_fixture.h"

static struct berth_child_ask ask_for(const struct fixture *f, uint64_t parent, uint64_t child)
{
    return (struct berth_child_ask){ .attempt = attempt_of(f, parent), .job = child };
}

static void send_ask(struct fixture *f, struct worker *w, uint64_t parent, uint64_t child)
{
    const struct berth_child_ask asked = ask_for(f, parent, child);
    send_reports(f, w, (struct berth_ev_reports){ .child_asks = &asked, .child_ask_count = 1 });
}

/* ---- what is asked for after a join ---- */

static void a_child_that_lives_is_told_of_when_it_ends_and_an_ended_one_at_once(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_room(f);
    uint64_t parent = given_running(f, (struct submit){ 0 });
    uint64_t child = given_child(f, w, parent, 1, one_child);
    uint64_t attempt = attempt_of(f, parent), attempt_of_child = attempt_of(f, child);
    const struct berth_join_line lines[] = { line(attempt, parent, 1),
                                             line(attempt_of_child, child, 1) };

    report(f, w, child, BERTH_OUTCOME_COMPLETED);
    assert_true(close_batch(f));
    complete(f, STORED);
    join(f, w, lines, 1); /* before the turn that would have told it */
    turn(f);
    assert_null(child_end_of(f, child));

    send_ask(f, w, parent, child);
    struct berth_job_record ended = row(f, child, BERTH_COMPLETED);
    ended.parent = parent;
    answer_read(f, &ended, 1);
    turn(f);
    assert_int_equal(child_end_of(f, child)->state, BERTH_COMPLETED);
}

/* A store may give one row for both, or one for each. */
static void one_that_is_asked_for_twice_is_told_as_it_ended(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_room(f);
    uint64_t parent = given_running(f, (struct submit){ 0 });
    const struct berth_child_ask asks[] = { ask_for(f, parent, 77), ask_for(f, parent, 77),
                                            ask_for(f, parent, 78) };
    struct berth_job_record rows[] = { row(f, 77, BERTH_COMPLETED), row(f, 77, BERTH_COMPLETED),
                                       row(f, 78, BERTH_CANCELLED) };
    for (size_t i = 0; i < 3; i++)
        rows[i].parent = parent;
    for (size_t left_out = 0; left_out < 2; left_out++) {
        send_reports(f, w, (struct berth_ev_reports){ .child_asks = asks, .child_ask_count = 3 });
        answer_read(f, rows + left_out, 3 - left_out);
        turn(f);
        assert_int_equal(child_ends_of(f, 77), 2 * (left_out + 1));
        assert_int_equal(child_end_of(f, 77)->state, BERTH_COMPLETED);
        assert_int_equal(child_end_of(f, 78)->state, BERTH_CANCELLED);
    }
}

static void a_child_that_nobody_knows_any_more_is_lost(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_room(f);
    uint64_t parent = given_running(f, (struct submit){ 0 });

    send_ask(f, w, parent, 77);
    answer_read(f, NULL, 0);
    turn(f);

    assert_int_equal(child_end_of(f, 77)->state, BERTH_DEAD);
    assert_true(slice_is(child_end_of(f, 77)->error_kind, "lost"));
}

static void a_store_that_cannot_answer_makes_the_worker_join_and_ask_again(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_room(f);
    uint64_t parent = given_running(f, (struct submit){ 0 });
    send_ask(f, w, parent, 77);

    fail_read(f);
    renew(f, w);

    assert_true(get(f, BERTH_DO_RENEWED)->joined.join_again);
    assert_int_equal(said(f, BERTH_DO_ERROR), 0);
}

/* ---- after a restart ---- */

#define OLD_ATTEMPT(n) ((uint64_t)(EPOCH - 1) << 40 | (n))

static void given_stored(struct fixture *f, uint64_t id, uint64_t parent, uint64_t attempt)
{
    struct berth_job_record record = { .id = id,
                                       .dispatcher = 1,
                                       .handler = text("mail"),
                                       .state = BERTH_READY,
                                       .parent = parent,
                                       .parent_ordinal = parent ? 1 : 0,
                                       .parent_attempt = attempt };
    assert_int_equal(berth_core_load_job(f->core, &record), 0);
}

static struct worker *given_earlier_epoch(struct fixture *f)
{
    struct berth_dispatcher_record record = { .id = 1,
                                              .name = "default",
                                              .limit = { .kind = BERTH_LIMIT_NUMBER, .value = 4 },
                                              .weight = 1,
                                              .max_attempts = 5 };
    core_replace(f, (struct berth_core_opts){ 0 });
    assert_int_equal(berth_core_load_dispatcher(f->core, &record), 0);
    struct worker *w = new_worker(f, 4);
    w->session = OLD_ATTEMPT(1);
    struct berth_session_record session = {
        .id = w->session, .nonce = { w->nonce }, .child = 1, .lease_ms = L_MS, .name = "loaded"
    };
    assert_int_equal(berth_core_load_session(f->core, &session), 0);
    return w;
}

static void children_of_an_attempt_that_did_not_come_back_end(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_earlier_epoch(f);
    given_stored(f, 1, 0, 0);
    given_stored(f, 2, 1, OLD_ATTEMPT(7));
    given_stored(f, 3, 2, OLD_ATTEMPT(8));
    core_start(f);
    store_all(f);
    assert_int_equal(job_of(f, 1)->state, JOB_SETTLING);

    join(f, w, NULL, 0);
    assert_true(close_batch(f));
    assert_non_null(record_away(f, BERTH_RECORD_CANCEL, 2)); /* it waits for its own child */
    assert_int_equal(end_away(f, 3)->state, BERTH_CANCELLED);
    assert_null(grant_of(f, 1));
    store_all(f);

    assert_non_null(grant_of(f, 1));
}

static void children_of_an_attempt_that_came_back_live_on(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_earlier_epoch(f);
    given_stored(f, 1, 0, 0);
    given_stored(f, 2, 1, OLD_ATTEMPT(7));
    core_start(f);

    join(f, w, (struct berth_join_line[]){ line(OLD_ATTEMPT(7), 1, 1) }, 1);
    store_all(f);
    assert_int_equal(job_of(f, 1)->state, JOB_RUNNING);
    assert_non_null(grant_of(f, 2));
    report(f, w, 2, BERTH_OUTCOME_COMPLETED);
    store_all(f);

    assert_int_equal(child_end_of(f, 2)->state, BERTH_COMPLETED);
    assert_int_equal(child_end_of(f, 2)->attempt, OLD_ATTEMPT(7));
}

static void children_without_a_parent_end(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_earlier_epoch(f);
    given_stored(f, 2, 1, OLD_ATTEMPT(7));
    core_start(f);

    join(f, w, (struct berth_join_line[]){ line(OLD_ATTEMPT(8), 2, 1) }, 1);
    assert_true(close_batch(f));
    assert_non_null(record_away(f, BERTH_RECORD_CANCEL, 2)); /* it runs */
    store_all(f);

    assert_true(was_cancel_sent(f, OLD_ATTEMPT(8)));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, core_setup, core_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_child_that_lives_is_told_of_when_it_ends_and_an_ended_one_at_once),
        TEST(one_that_is_asked_for_twice_is_told_as_it_ended),
        TEST(a_child_that_nobody_knows_any_more_is_lost),
        TEST(a_store_that_cannot_answer_makes_the_worker_join_and_ask_again),
        TEST(children_of_an_attempt_that_did_not_come_back_end),
        TEST(children_of_an_attempt_that_came_back_live_on),
        TEST(children_without_a_parent_end),
    };
    return berth_test_main(tests, NULL, NULL);
}
