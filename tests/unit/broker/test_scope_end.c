/* SPDX-License-Identifier: MIT */
/* How children end, by themselves, with their siblings and with their parent's attempt; and that
 * none is left behind. */
#include "scope_fixture.h"

static void send_end_children(struct fixture *f, struct worker *w, uint64_t parent)
{
    const uint64_t attempt = attempt_of(f, parent);
    send_reports(f, w,
                 (struct berth_ev_reports){ .end_children = &attempt, .end_children_count = 1 });
}

/* ---- how they end ---- */

static void the_end_of_a_child_is_told_to_its_parents_worker_when_stored(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_room(f);
    uint64_t parent = given_running(f, (struct submit){ 0 });
    uint64_t child = given_child(f, w, parent, 1, one_child);

    report(f, w, child, BERTH_OUTCOME_COMPLETED);
    turn(f);
    assert_null(child_end_of(f, child));
    store_all(f);

    assert_int_equal(child_ends_of(f, child), 1);
    assert_int_equal(child_end_of(f, child)->attempt, attempt_of(f, parent));
    assert_int_equal(child_end_of(f, child)->state, BERTH_COMPLETED);
    assert_int_equal(child_end_of(f, child)->error_kind.bytes, 0);
}

/* A batch may end one child each of thousands of workers' parents. */
static void what_a_worker_is_told_takes_no_more_memory_than_there_is_to_say(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_room(f);
    uint64_t parent = given_running(f, (struct submit){ 0 });
    uint64_t child = given_child(f, w, parent, 1, one_child);
    report(f, w, child, BERTH_OUTCOME_COMPLETED);
    store_all(f);

    assert_int_equal(child_ends_of(f, child), 1);
    assert_in_range(f->core->arena.chunk_bytes, 1, 16384);
}

static void a_dead_child_ends_its_siblings_in_the_same_batch(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_room(f);
    uint64_t parent = given_running(f, (struct submit){ 0 });
    const struct submit items[] = { { .body = "a" }, { .body = "b" }, { .delay_ms = 1000000 } };
    submit_children_of(f, w, parent, 1, items, 3);
    store_all(f);
    uint64_t first = parent + 1;

    fail_for_good(f, w, first);
    assert_true(close_batch(f));

    assert_int_equal(end_away(f, first)->state, BERTH_DEAD);
    assert_non_null(record_away(f, BERTH_RECORD_CANCEL, first + 1)); /* it runs */
    assert_int_equal(end_away(f, first + 2)->state, BERTH_CANCELLED);
    assert_true(slice_is(end_away(f, first + 2)->error_kind, "parent_cancelled"));
    assert_true(slice_is(end_away(f, first + 2)->error_message,
                         "another child of its parent, job 1, was dead"));
    store_all(f);
    assert_true(was_cancel_sent(f, attempt_of(f, first + 1)));
    assert_int_equal(child_end_of(f, first)->state, BERTH_DEAD);
    assert_true(slice_is(child_end_of(f, first)->error_kind, "handler"));
    assert_true(slice_is(child_end_of(f, first)->error_message, "it cannot be done"));
    assert_int_equal(job_of(f, parent)->state, JOB_RUNNING);
    assert_false(was_cancel_sent(f, attempt_of(f, parent)));
}

static void under_a_supervisor_children_die_alone(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_room(f);
    uint64_t parent = given_running(f, (struct submit){ 0 });
    submit_supervised(f, w, parent, 1, (struct submit[]){ { .body = "a" }, { .body = "b" } }, 2);
    store_all(f);

    fail_for_good(f, w, parent + 1);
    store_all(f);

    assert_int_equal(child_end_of(f, parent + 1)->state, BERTH_DEAD);
    assert_int_equal(job_of(f, parent + 2)->state, JOB_RUNNING);
    assert_false(job_of(f, parent + 2)->flags & JOB_CANCEL_ASKED);
}

static void a_child_that_is_cancelled_alone_ends_nobody_else(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_room(f);
    uint64_t parent = given_running(f, (struct submit){ 0 });
    submit_children_of(f, w, parent, 1, (struct submit[]){ { .delay_ms = 9000 }, { 0 } }, 2);
    store_all(f);

    cancel(f, parent + 1);
    store_all(f);

    assert_int_equal(child_end_of(f, parent + 1)->state, BERTH_CANCELLED);
    assert_int_equal(job_of(f, parent + 2)->state, JOB_RUNNING);
    assert_int_equal(job_of(f, parent)->state, JOB_RUNNING);
}

/* ---- the parent's attempt is over ---- */

static void who_fails_with_live_children_waits_for_their_end_before_it_runs_again(void **state)
{
    struct fixture *f = *state;
    given_holding(f, "fast", 10, BERTH_HOLD_JOB, NULL);
    struct worker *w = given_room(f);
    uint64_t parent = given_running(f, (struct submit){ .dispatcher = "fast" });
    uint64_t child = given_child(f, w, parent, 1, one_child);
    uint64_t first = attempt_of(f, parent);

    report(f, w, parent, BERTH_OUTCOME_SNOOZED);
    assert_true(close_batch(f));
    assert_non_null(record_away(f, BERTH_RECORD_RETRY, parent));
    assert_non_null(record_away(f, BERTH_RECORD_CANCEL, child));
    store_all(f);
    turn_after(f, 1000);
    assert_int_equal(attempt_of(f, parent), first);
    assert_int_equal(shown(f, parent)->record.state, BERTH_RETRYING);
    assert_true(
        slice_is(shown(f, parent)->reason, "waits for the children of its last attempt to end"));
    struct berth_do_status status = status_of(f);
    assert_int_equal(status.running, 0);
    assert_int_equal(status.retrying, 1);
    assert_int_equal(status.cancelling, 1); /* the child */

    report(f, w, child, BERTH_OUTCOME_CANCELLED);
    store_all(f);

    assert_null(job_of(f, child));
    assert_int_not_equal(attempt_of(f, parent), first);
    assert_null(child_end_of(f, child)); /* the attempt that it was told to is over */
}

static void who_completes_with_live_children_leaves_none(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_room(f);
    uint64_t parent = given_running(f, (struct submit){ 0 });
    submit_children_of(f, w, parent, 1, (struct submit[]){ { .delay_ms = 9000 }, { 0 } }, 2);
    store_all(f);

    report(f, w, parent, BERTH_OUTCOME_COMPLETED);
    assert_true(close_batch(f));

    assert_int_equal(end_away(f, parent)->state, BERTH_COMPLETED);
    assert_int_equal(end_away(f, parent + 1)->state, BERTH_CANCELLED);
    assert_true(slice_is(end_away(f, parent + 1)->error_message,
                         "the attempt of its parent, job 1, was over"));
    assert_non_null(record_away(f, BERTH_RECORD_CANCEL, parent + 2));
    store_all(f);
    report(f, w, parent + 2, BERTH_OUTCOME_CANCELLED);
    assert_true(close_batch(f));
    assert_true(slice_is(end_away(f, parent + 2)->last.error_kind, "parent_cancelled"));
    store_all(f);
    assert_int_equal(berth_map_count(&f->core->scopes), 0);
}

static void a_child_that_arrives_while_its_parent_ends_ends_when_it_is_stored(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_room(f);
    uint64_t parent = given_running(f, (struct submit){ 0 });
    submit_children_of(f, w, parent, 1, &one_child, 1);
    assert_true(close_batch(f));

    report(f, w, parent, BERTH_OUTCOME_COMPLETED);
    complete(f, STORED);
    assert_true(close_batch(f));

    assert_int_equal(end_away(f, parent + 1)->state, BERTH_CANCELLED);
    store_all(f);
    assert_int_equal(f->core->jobs.used, 0);
    assert_null(grant_of(f, parent + 1));
}

static void a_lost_worker_takes_the_children_of_its_attempts_with_it(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_room(f);
    uint64_t parent = given_running(f, (struct submit){ 0 });
    struct worker *other = given_worker(f, 8);
    uint64_t child = given_child(f, w, parent, 1, (struct submit){ .delay_ms = 1000000 });
    uint64_t first = attempt_of(f, parent);

    gone(f, w, BERTH_GONE_EXIT);
    assert_true(close_batch(f));

    assert_non_null(record_away(f, BERTH_RECORD_RETRY, parent));
    assert_int_equal(end_away(f, child)->state, BERTH_CANCELLED);
    store_all(f);
    assert_int_not_equal(attempt_of(f, parent), first);
    assert_int_equal(grants_to(f, other), 1);
}

static void a_drained_parent_waits_for_its_children_too(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_worker(f, 1);
    uint64_t parent = given_running(f, (struct submit){ 0 });
    struct worker *other = given_worker(f, 8);
    uint64_t child = given_child(f, w, parent, 1, one_child);

    gone(f, w, BERTH_GONE_DRAIN);
    store_all(f);
    assert_int_equal(job_of(f, parent)->state, JOB_SETTLING);
    report(f, other, child, BERTH_OUTCOME_COMPLETED); /* it was cancelled: that counts */
    store_all(f);

    assert_int_equal(job_of(f, parent)->state, JOB_RUNNING);
    assert_null(job_of(f, child));
}

static void when_a_body_has_ended_its_children_are_told_to(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_room(f);
    uint64_t parent = given_running(f, (struct submit){ 0 });
    uint64_t child = given_child(f, w, parent, 1, one_child);

    send_end_children(f, w, parent);
    store_all(f);
    assert_true(was_cancel_sent(f, attempt_of(f, child)));
    report(f, w, child, BERTH_OUTCOME_CANCELLED);
    store_all(f);

    assert_int_equal(child_end_of(f, child)->state, BERTH_CANCELLED);
    assert_int_equal(job_of(f, parent)->state, JOB_RUNNING);
}

/* ---- cancelling ---- */

static void cancelling_a_parent_reaches_every_descendant_in_the_same_batch(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_room(f);
    uint64_t parent = given_running(f, (struct submit){ 0 });
    uint64_t child = given_child(f, w, parent, 1, one_child);
    uint64_t grandchild = given_child(f, w, child, 1, one_child);
    uint64_t last = given_child(f, w, grandchild, 1, (struct submit){ .delay_ms = 1000000 });

    cancel(f, parent);
    assert_true(close_batch(f));

    assert_non_null(record_away(f, BERTH_RECORD_CANCEL, parent));
    assert_non_null(record_away(f, BERTH_RECORD_CANCEL, child));
    assert_non_null(record_away(f, BERTH_RECORD_CANCEL, grandchild));
    assert_int_equal(end_away(f, last)->state, BERTH_CANCELLED);
    assert_true(slice_is(end_away(f, last)->error_kind, "parent_cancelled"));
    store_all(f);
    assert_true(was_cancel_sent(f, attempt_of(f, parent)));
    assert_true(was_cancel_sent(f, attempt_of(f, child)));
    assert_true(was_cancel_sent(f, attempt_of(f, grandchild)));
}

static void a_held_parent_can_be_cancelled(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_room(f);
    uint64_t parent = given_running(f, (struct submit){ 0 });
    uint64_t child = given_child(f, w, parent, 1, one_child);
    report(f, w, parent, BERTH_OUTCOME_SNOOZED);
    store_all(f);

    uint64_t request = cancel(f, parent);
    store_all(f);
    assert_int_equal(cancelled(f, request)->state, BERTH_CANCELLING);
    report(f, w, child, BERTH_OUTCOME_CANCELLED);
    store_all(f);

    assert_null(job_of(f, parent));
    assert_int_equal(f->core->jobs.used, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, core_setup, core_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_end_of_a_child_is_told_to_its_parents_worker_when_stored),
        TEST(what_a_worker_is_told_takes_no_more_memory_than_there_is_to_say),
        TEST(a_dead_child_ends_its_siblings_in_the_same_batch),
        TEST(under_a_supervisor_children_die_alone),
        TEST(a_child_that_is_cancelled_alone_ends_nobody_else),
        TEST(who_fails_with_live_children_waits_for_their_end_before_it_runs_again),
        TEST(who_completes_with_live_children_leaves_none),
        TEST(a_child_that_arrives_while_its_parent_ends_ends_when_it_is_stored),
        TEST(a_lost_worker_takes_the_children_of_its_attempts_with_it),
        TEST(a_drained_parent_waits_for_its_children_too),
        TEST(when_a_body_has_ended_its_children_are_told_to),
        TEST(cancelling_a_parent_reaches_every_descendant_in_the_same_batch),
        TEST(a_held_parent_can_be_cancelled),
    };
    return berth_test_main(tests, NULL, NULL);
}
