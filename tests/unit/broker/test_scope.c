/* SPDX-License-Identifier: MIT */
/* How children come to be, and what the next attempt of their parent finds of them. */
#include "scope_fixture.h"

#include <errno.h>

#include "broker/core/scope/scope.h"

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

/* Whichever of them. Others are no ancestors, however near they stand. */
static void nor_can_it_wait_for_one_further_up(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_room(f);
    uint64_t line[5] = { given_running(f, (struct submit){ 0 }) };
    for (size_t i = 1; i < 5; i++)
        line[i] = given_child(f, w, line[i - 1], 1, one_child);
    uint64_t uncle = given_child(f, w, line[1], 2, one_child);
    uint64_t sibling = given_child(f, w, line[4], 1, one_child);

    for (size_t i = 0; i < 5; i++) {
        const uint64_t after[] = { sibling, line[i], uncle };
        submit_children_of(f, w, line[4], 2, &(struct submit){ .after = after, .after_count = 3 },
                           1);
        turn(f);
        assert_int_equal(children_of(f, line[4], 2)->refusal.code, -EDEADLK);
    }
    const uint64_t others[] = { sibling, uncle };
    submit_children_of(f, w, line[4], 2, &(struct submit){ .after = others, .after_count = 2 }, 1);
    store_all(f);
    assert_int_equal(children_of(f, line[4], 2)->count, 1);
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
        TEST(nor_can_it_wait_for_one_further_up),
        TEST(the_next_attempt_makes_anew_what_failed_and_finds_what_completed),
        TEST(in_the_same_attempt_a_failed_child_is_found),
        TEST(what_failed_is_forgotten_when_its_key_is_over),
    };
    return berth_test_main(tests, NULL, NULL);
}
