/* SPDX-License-Identifier: MIT
 *
 * Parents and children: how children come to be, how they end, and that none is left behind.
 */
#include "scope_fixture.h"

#include <errno.h>

#include "broker/core/scope.h"

static const struct submit one_child = { .body = "one" };

static const struct berth_end_record *end_away(const struct fixture *f, uint64_t job)
{
    const struct berth_record *record = record_away(f, BERTH_RECORD_END, job);
    return record ? &record->end : NULL;
}

static void fail_for_good(struct fixture *f, struct worker *w, uint64_t job)
{
    report_end(f, w, attempt_of(f, job), job,
               (struct berth_attempt_end){ .outcome = BERTH_OUTCOME_FAILED_FOREVER,
                                           .error_kind = text("handler"),
                                           .error_message = text("it cannot be done") });
}

static struct berth_child_ask ask_for(const struct fixture *f, uint64_t parent, uint64_t child)
{
    return (struct berth_child_ask){ .attempt = attempt_of(f, parent), .job = child };
}

/* Not fewer slots than anybody here needs. */
static struct worker *given_room(struct fixture *f)
{
    set_limit(f, "default", 100);
    store_all(f);
    return given_worker(f, 8);
}

static void send_ask(struct fixture *f, struct worker *w, uint64_t parent, uint64_t child)
{
    const struct berth_child_ask asked = ask_for(f, parent, child);
    send_reports(f, w, (struct berth_ev_reports){ .child_asks = &asked, .child_ask_count = 1 });
}

static void send_end_children(struct fixture *f, struct worker *w, uint64_t parent)
{
    const uint64_t attempt = attempt_of(f, parent);
    send_reports(f, w,
                 (struct berth_ev_reports){ .end_children = &attempt, .end_children_count = 1 });
}

/* ---- how they come to be ---- */

static void a_child_is_stored_with_its_parent_and_answered_when_stored(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_room(f);
    uint64_t parent = given_running(f, (struct submit){ 0 });

    submit_children_of(f, w, parent, 1, &one_child, 1);
    turn(f);
    assert_null(children_of(f, parent, 1));
    assert_true(close_batch(f));
    const struct berth_record *record = record_away(f, BERTH_RECORD_JOB, parent + 1);
    assert_non_null(record);
    assert_int_equal(record->job.parent, parent);
    assert_int_equal(record->job.parent_ordinal, 1);
    assert_int_equal(record->job.parent_attempt, attempt_of(f, parent));
    assert_int_equal(record->job.key.kind, BERTH_KEY_CHILD);
    assert_int_equal(record->job.key.until_us, f->wall_us + 7 * 24 * 3600 * SECOND_US);
    complete(f, STORED);
    turn(f);

    assert_int_equal(children_of(f, parent, 1)->count, 1);
    assert_int_equal(children_of(f, parent, 1)->ids[0], parent + 1);
    assert_non_null(grant_of(f, parent + 1));
}

static void a_repeat_is_answered_with_the_same_child(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_room(f);
    uint64_t parent = given_running(f, (struct submit){ 0 });
    uint64_t child = given_child(f, w, parent, 1, one_child);

    submit_children_of(f, w, parent, 1, &one_child, 1);
    turn(f);
    assert_int_equal(children_of(f, parent, 1)->ids[0], child);
    assert_int_equal(f->core->jobs.used, 2);

    submit_children_of(f, w, parent, 1, &(struct submit){ .body = "other" }, 1);
    turn(f);
    assert_int_equal(children_of(f, parent, 1)->refusal.code, BERTH_ECONFLICT);
}

static void all_children_of_a_submit_are_taken_or_none(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_room(f);
    uint64_t parent = given_running(f, (struct submit){ 0 });
    const struct submit items[] = { { .body = "a" }, { .body = "b" }, { .dispatcher = "nowhere" } };

    submit_children_of(f, w, parent, 1, items, 3);
    turn(f);

    assert_int_equal(children_of(f, parent, 1)->refusal.code, BERTH_ENOTFOUND);
    assert_string_equal(children_of(f, parent, 1)->refusal.message,
                        "dispatcher 'nowhere' does not exist");
    assert_int_equal(f->core->jobs.used, 1);
    assert_false(close_batch(f));
    submit_children_of(f, w, parent, 1, items, 2); /* the ordinals are free again */
    store_all(f);
    assert_int_equal(children_of(f, parent, 1)->count, 2);
}

static void what_is_taken_back_may_be_named_twice(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_room(f);
    uint64_t parent = given_running(f, (struct submit){ 0 });
    uint64_t request = submit(f, (struct submit){ 0 }); /* in the same batch */
    const struct submit items[] = { { .unique = "u" },
                                    { .body = "b" },
                                    { .unique = "u", .on_conflict = BERTH_ON_CONFLICT_EXISTING },
                                    { .dispatcher = "nowhere" } };

    submit_children_of(f, w, parent, 1, items, 4);
    turn(f);

    assert_int_equal(children_of(f, parent, 1)->refusal.code, BERTH_ENOTFOUND);
    assert_int_equal(f->core->jobs.used, 2);
    assert_true(close_batch(f));
    assert_int_equal(f->away->count, 1);
    complete(f, STORED);
    assert_non_null(job_of(f, submitted(f, request)));
    submit_children_of(f, w, parent, 1, items, 3);
    store_all(f);
    const struct berth_order_children *children = children_of(f, parent, 1);
    assert_int_equal(children->count, 3);
    assert_int_equal(children->ids[2], children->ids[0]);
}

static void only_the_attempt_that_runs_a_job_submits_children_of_it(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_worker(f, 8), *other = given_worker(f, 8);
    uint64_t parent = given_running(f, (struct submit){ 0 });
    struct worker *idle = grants_to(f, w) ? other : w, *busy = idle == w ? other : w;

    submit_children_of(f, idle, parent, 1, &one_child, 1);
    turn(f);
    assert_int_equal(children_of(f, parent, 1)->refusal.code, BERTH_EDENIED);

    cancel(f, parent);
    submit_children_of(f, busy, parent, 2, &one_child, 1);
    turn(f);
    assert_int_equal(children_of(f, parent, 2)->refusal.code, BERTH_EDENIED);
    assert_int_equal(f->core->jobs.used, 1);
}

static void what_was_asked_before_a_join_is_not_answered_after_it(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_room(f);
    uint64_t parent = given_running(f, (struct submit){ 0 });
    submit_children_of(f, w, parent, 1, &one_child, 1);
    assert_true(close_batch(f));
    struct berth_join_line runs = line(attempt_of(f, parent), parent, 1);
    join(f, w, &runs, 1);

    complete(f, FULL); /* refused; but the worker asks again in this join */
    turn(f);

    assert_null(children_of(f, parent, 1));
    turn_after(f, 500);
    submit_children_of(f, w, parent, 1, &one_child, 1);
    store_all(f);
    assert_int_equal(children_of(f, parent, 1)->refusal.code, 0);
    assert_int_equal(children_of(f, parent, 1)->count, 1);
}

static void a_store_without_room_refuses_children_together(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_room(f);
    uint64_t parent = given_running(f, (struct submit){ 0 });

    submit_children_of(f, w, parent, 1, (struct submit[]){ { .body = "a" }, { .body = "b" } }, 2);
    assert_true(close_batch(f));
    complete(f, FULL);
    turn(f);

    assert_int_equal(children_of(f, parent, 1)->refusal.code, BERTH_EFULL);
    assert_int_equal(f->core->jobs.used, 1);
}

static void a_child_has_no_more_time_than_its_parent(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_room(f);
    uint64_t parent = given_running(f, (struct submit){ .deadline_ms = 60000 });
    int64_t deadline_us = f->wall_us + 60 * SECOND_US;
    advance(f, 1000);

    submit_children_of(f, w, parent, 1,
                       (struct submit[]){ { .body = "none" },
                                          { .body = "more", .deadline_ms = 90000 },
                                          { .body = "less", .deadline_ms = 5000 } },
                       3);
    assert_true(close_batch(f));

    assert_int_equal(f->away->records[0].job.deadline_us, deadline_us);
    assert_int_equal(f->away->records[1].job.deadline_us, deadline_us);
    assert_int_equal(f->away->records[2].job.deadline_us, f->wall_us + 5 * SECOND_US);
}

static void a_child_that_would_wait_for_its_parent_is_refused(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_room(f);
    uint64_t parent = given_running(f, (struct submit){ 0 });
    uint64_t child = given_child(f, w, parent, 1, one_child);

    submit_children_of(f, w, child, 1, &(struct submit){ .after = &parent, .after_count = 1 }, 1);
    turn(f);

    assert_int_equal(children_of(f, child, 1)->refusal.code, -EDEADLK);
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

/* ---- the next attempt ---- */

static void the_next_attempt_makes_anew_what_failed_and_finds_what_completed(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_room(f);
    uint64_t parent = given_running(f, (struct submit){ 0 });
    const struct submit items[] = { { .body = "a" }, { .body = "b" } };
    submit_supervised(f, w, parent, 1, items, 2);
    store_all(f);
    report(f, w, parent + 1, BERTH_OUTCOME_COMPLETED);
    fail_for_good(f, w, parent + 2);
    store_all(f);
    report(f, w, parent, BERTH_OUTCOME_SNOOZED);
    store_all(f);
    assert_int_equal(grant_of(f, parent)->number, 2);

    submit_supervised(f, w, parent, 1, items, 2);
    store_all(f);
    const struct berth_order_children *children = children_of(f, parent, 1);
    assert_int_equal(children->ids[0], parent + 1);
    assert_int_equal(children->ids[1], parent + 3);
    struct berth_job_record ended = row(f, parent + 1, BERTH_COMPLETED);
    ended.parent = parent;
    answer_read(f, &ended, 1);
    turn(f);

    assert_int_equal(child_end_of(f, parent + 1)->state, BERTH_COMPLETED);
    assert_int_equal(child_end_of(f, parent + 1)->attempt, attempt_of(f, parent));
}

static void in_the_same_attempt_a_failed_child_is_found(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_room(f);
    uint64_t parent = given_running(f, (struct submit){ 0 });
    submit_supervised(f, w, parent, 1, &one_child, 1);
    store_all(f);
    fail_for_good(f, w, parent + 1);
    store_all(f);

    submit_supervised(f, w, parent, 1, &one_child, 1); /* its answer was lost */
    store_all(f);

    assert_int_equal(children_of(f, parent, 1)->ids[0], parent + 1);
    assert_int_equal(get(f, BERTH_DO_READ)->read.ids[0], parent + 1);
}

static size_t failed_count(const struct fixture *f, uint64_t parent)
{
    size_t count = 0;
    BERTH_LIST_FOREACH (node, &scope_find(f->core, parent)->failed)
        count++;
    return count;
}

static void what_failed_is_forgotten_when_its_key_is_over(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_room(f);
    uint64_t parent = given_running(f, (struct submit){ 0 });
    submit_supervised(f, w, parent, 1, (struct submit[]){ { .body = "a" }, { .body = "b" } }, 2);
    store_all(f);
    fail_for_good(f, w, parent + 1);
    store_all(f);
    fail_for_good(f, w, parent + 2);
    store_all(f);
    assert_int_equal(failed_count(f, parent), 2);

    f->wall_us += 7 * 24 * 3600 * SECOND_US;
    submit_supervised(f, w, parent, 3, &one_child, 1);
    store_all(f);
    fail_for_good(f, w, parent + 3);
    store_all(f);

    assert_int_equal(failed_count(f, parent), 1);
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
        TEST(a_child_is_stored_with_its_parent_and_answered_when_stored),
        TEST(a_repeat_is_answered_with_the_same_child),
        TEST(all_children_of_a_submit_are_taken_or_none),
        TEST(what_is_taken_back_may_be_named_twice),
        TEST(only_the_attempt_that_runs_a_job_submits_children_of_it),
        TEST(what_was_asked_before_a_join_is_not_answered_after_it),
        TEST(a_store_without_room_refuses_children_together),
        TEST(a_child_has_no_more_time_than_its_parent),
        TEST(a_child_that_would_wait_for_its_parent_is_refused),
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
        TEST(the_next_attempt_makes_anew_what_failed_and_finds_what_completed),
        TEST(in_the_same_attempt_a_failed_child_is_found),
        TEST(what_failed_is_forgotten_when_its_key_is_over),
        TEST(a_child_that_lives_is_told_of_when_it_ends_and_an_ended_one_at_once),
        TEST(a_child_that_nobody_knows_any_more_is_lost),
        TEST(a_store_that_cannot_answer_makes_the_worker_join_and_ask_again),
        TEST(children_of_an_attempt_that_did_not_come_back_end),
        TEST(children_of_an_attempt_that_came_back_live_on),
        TEST(children_without_a_parent_end),
    };
    return berth_test_main(tests, NULL, NULL);
}
