/* SPDX-License-Identifier: MIT
 *
 * Children that could never start are refused, and the cycle is named; others are not.
 */
#include "scope_fixture.h"

#include <errno.h>

static const struct berth_do_error *refusal_of(struct fixture *f, struct worker *w, uint64_t parent,
                                               const char *dispatcher)
{
    submit_children_of(f, w, parent, 1, &(struct submit){ .dispatcher = dispatcher }, 1);
    store_all(f);
    return &children_of(f, parent, 1)->refusal;
}

static void a_child_for_the_only_slot_of_its_parent_is_refused(void **state)
{
    struct fixture *f = *state;
    given_holding(f, "d", 1, BERTH_HOLD_JOB, NULL);
    struct worker *w = given_worker(f, 8);
    uint64_t parent = given_running(f, (struct submit){ .dispatcher = "d" });

    const struct berth_do_error *refusal = refusal_of(f, w, parent, "d");

    assert_int_equal(refusal->code, -EDEADLK);
    assert_string_equal(refusal->field, "dispatcher");
    assert_string_equal(refusal->message,
                        "job 1 would wait for ever: its child needs a slot of d, held by job 1; a "
                        "larger limit, or hold = running, lets it go on");
    assert_int_equal(f->core->jobs.used, 1);
    set_limit(f, "d", 2);
    store_all(f);
    submit_children_of(f, w, parent, 1, &(struct submit){ .dispatcher = "d" }, 1);
    store_all(f);
    assert_int_equal(children_of(f, parent, 1)->refusal.code, 0);
}

static void under_hold_running_it_is_taken(void **state)
{
    struct fixture *f = *state;
    given_holding(f, "d", 1, BERTH_HOLD_RUNNING, NULL);
    struct worker *w = given_worker(f, 8);
    uint64_t parent = given_running(f, (struct submit){ .dispatcher = "d" });

    assert_int_equal(refusal_of(f, w, parent, "d")->code, 0);
}

static void a_holder_that_waits_for_nobody_lets_it_start_one_day(void **state)
{
    struct fixture *f = *state;
    given_holding(f, "d", 2, BERTH_HOLD_JOB, NULL);
    struct worker *w = given_worker(f, 8);
    uint64_t parent = given_running(f, (struct submit){ .dispatcher = "d" });
    uint64_t other = given_running(f, (struct submit){ .dispatcher = "d" });

    assert_int_equal(refusal_of(f, w, parent, "d")->code, 0);
    const struct berth_do_error *refusal = refusal_of(f, w, other, "d");

    assert_int_equal(refusal->code, -EDEADLK);
    assert_non_null(strstr(refusal->message, "held by job 2 and 1 more"));
}

static void a_slot_of_an_ancestor_counts(void **state)
{
    struct fixture *f = *state;
    given_holding(f, "top", 1, BERTH_HOLD_JOB, NULL);
    given_holding(f, "a", 5, BERTH_HOLD_JOB, "top");
    given_holding(f, "b", 5, BERTH_HOLD_JOB, "top");
    struct worker *w = given_worker(f, 8);
    uint64_t parent = given_running(f, (struct submit){ .dispatcher = "a" });

    const struct berth_do_error *refusal = refusal_of(f, w, parent, "b");

    assert_int_equal(refusal->code, -EDEADLK);
    assert_non_null(strstr(refusal->message, "a slot of top, held by job 1;"));
}

static void a_grandchild_for_the_slot_of_its_grandparent_is_refused(void **state)
{
    struct fixture *f = *state;
    given_holding(f, "d", 1, BERTH_HOLD_JOB, NULL);
    given_holding(f, "e", 9, BERTH_HOLD_JOB, NULL);
    struct worker *w = given_worker(f, 8);
    uint64_t parent = given_running(f, (struct submit){ .dispatcher = "d" });
    uint64_t child = given_child(f, w, parent, 1, (struct submit){ .dispatcher = "e" });

    const struct berth_do_error *refusal = refusal_of(f, w, child, "d");

    assert_int_equal(refusal->code, -EDEADLK);
    assert_non_null(strstr(refusal->message, "a slot of d, held by job 1, which waits for job 3"));
}

static void a_place_of_a_group_counts(void **state)
{
    struct fixture *f = *state;
    set(f,
        (struct berth_ev_dispatcher_set){ .has_limit = true,
                                          .limit = { BERTH_LIMIT_NUMBER, 9 },
                                          .has_group_limit = true,
                                          .group_limit = 1 },
        "d");
    store_all(f);
    struct worker *w = given_worker(f, 8);
    uint64_t parent = given_running(f, (struct submit){ .dispatcher = "d", .group = "g" });
    const struct submit other = { .dispatcher = "d", .group = "h" },
                        same = { .dispatcher = "d", .group = "g" };

    submit_children_of(f, w, parent, 1, &other, 1);
    store_all(f);
    assert_int_equal(children_of(f, parent, 1)->refusal.code, 0);
    submit_children_of(f, w, parent, 2, &same, 1);
    turn(f);

    assert_int_equal(children_of(f, parent, 2)->refusal.code, -EDEADLK);
    assert_non_null(strstr(children_of(f, parent, 2)->refusal.message,
                           "needs a place of group 'g' of d, held by job 1;"));
}

static void one_that_waits_without_slots_may_be_a_part_of_the_cycle(void **state)
{
    struct fixture *f = *state;
    given_holding(f, "d", 1, BERTH_HOLD_JOB, NULL);
    given_holding(f, "e", 1, BERTH_HOLD_RUNNING, NULL);
    struct worker *w = given_worker(f, 8);
    uint64_t parent = given_running(f, (struct submit){ .dispatcher = "d" });
    uint64_t child = given_child(f, w, parent, 1, (struct submit){ .dispatcher = "e" });

    assert_int_equal(refusal_of(f, w, child, "d")->code, -EDEADLK);
}

/* It gave its slot away while it waits, and needs one again. */
static void one_that_cannot_go_on_is_a_part_of_the_cycle(void **state)
{
    struct fixture *f = *state;
    given_holding(f, "top", 2, BERTH_HOLD_JOB, NULL);
    given_holding(f, "a", 9, BERTH_HOLD_JOB, "top");
    given_holding(f, "b", 9, BERTH_HOLD_RUNNING, "top");
    given_holding(f, "c", 9, BERTH_HOLD_JOB, NULL);
    struct worker *w = given_worker(f, 8);
    uint64_t first = given_running(f, (struct submit){ .dispatcher = "a" });
    uint64_t waits = given_child(f, w, first, 1, (struct submit){ .dispatcher = "b" });
    uint64_t other = given_child(f, w, waits, 1, (struct submit){ .dispatcher = "c" });
    suspend_attempt(f, w, waits, 1);
    uint64_t second = given_running(f, (struct submit){ .dispatcher = "a" });

    const struct berth_do_error *refusal = refusal_of(f, w, second, "a");

    assert_int_equal(refusal->code, -EDEADLK);
    assert_non_null(strstr(refusal->message, "needs a slot of top, held by job"));
    report(f, w, other, BERTH_OUTCOME_COMPLETED);
    store_all(f);
    ask_to_resume(f, w, waits, 1);
    submit_children_of(f, w, second, 2, &(struct submit){ .dispatcher = "a" }, 1);
    store_all(f);
    assert_int_equal(children_of(f, second, 2)->refusal.code, -EDEADLK);
    report(f, w, second, BERTH_OUTCOME_COMPLETED);
    turn(f);
    assert_int_equal(resumes_of(f, waits), 1);
}

/* It has it again when others end, who wait for nothing. */
static void one_that_can_go_on_one_day_is_no_part_of_a_cycle(void **state)
{
    struct fixture *f = *state;
    given_holding(f, "top", 2, BERTH_HOLD_JOB, NULL);
    given_holding(f, "a", 9, BERTH_HOLD_JOB, "top");
    given_holding(f, "b", 1, BERTH_HOLD_RUNNING, NULL);
    struct worker *w = given_worker(f, 8);
    uint64_t first = given_running(f, (struct submit){ .dispatcher = "a" });
    uint64_t waits = given_child(f, w, first, 1, (struct submit){ .dispatcher = "b" });
    suspend_attempt(f, w, waits, 1);
    uint64_t next = given_running(f, (struct submit){ .dispatcher = "b" });
    uint64_t second = given_running(f, (struct submit){ .dispatcher = "a" });
    ask_to_resume(f, w, waits, 1);

    assert_non_null(grant_of(f, next));
    assert_int_equal(refusal_of(f, w, second, "a")->code, 0);
}

static void two_that_wait_for_each_other_are_found_over_two_dispatchers(void **state)
{
    struct fixture *f = *state;
    given_holding(f, "a", 1, BERTH_HOLD_JOB, NULL);
    given_holding(f, "b", 1, BERTH_HOLD_JOB, NULL);
    struct worker *w = given_worker(f, 8);
    uint64_t one = given_running(f, (struct submit){ .dispatcher = "a" });
    uint64_t two = given_running(f, (struct submit){ .dispatcher = "b" });

    assert_int_equal(refusal_of(f, w, one, "b")->code, 0); /* two may end before */
    const struct berth_do_error *refusal = refusal_of(f, w, two, "a");

    assert_int_equal(refusal->code, -EDEADLK);
    assert_non_null(strstr(refusal->message, "a slot of a, held by job 1, which waits for job 3, "
                                             "which needs a slot of b, held by job 2;"));
}

static void a_pause_and_a_limit_of_none_are_no_deadlock(void **state)
{
    struct fixture *f = *state;
    given_holding(f, "d", 1, BERTH_HOLD_JOB, NULL);
    given_holding(f, "off", 0, BERTH_HOLD_JOB, NULL);
    struct worker *w = given_worker(f, 8);
    uint64_t parent = given_running(f, (struct submit){ .dispatcher = "d" });

    assert_int_equal(refusal_of(f, w, parent, "off")->code, 0);
}

static void one_that_is_being_cancelled_lets_go(void **state)
{
    struct fixture *f = *state;
    given_holding(f, "d", 2, BERTH_HOLD_JOB, NULL);
    struct worker *w = given_worker(f, 8);
    uint64_t parent = given_running(f, (struct submit){ .dispatcher = "d" });
    uint64_t other = given_running(f, (struct submit){ .dispatcher = "d" });
    assert_int_equal(refusal_of(f, w, other, "d")->code, 0);
    cancel(f, other);

    assert_int_equal(refusal_of(f, w, parent, "d")->code, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, core_setup, core_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_child_for_the_only_slot_of_its_parent_is_refused),
        TEST(under_hold_running_it_is_taken),
        TEST(a_holder_that_waits_for_nobody_lets_it_start_one_day),
        TEST(a_slot_of_an_ancestor_counts),
        TEST(a_grandchild_for_the_slot_of_its_grandparent_is_refused),
        TEST(a_place_of_a_group_counts),
        TEST(one_that_waits_without_slots_may_be_a_part_of_the_cycle),
        TEST(one_that_cannot_go_on_is_a_part_of_the_cycle),
        TEST(one_that_can_go_on_one_day_is_no_part_of_a_cycle),
        TEST(two_that_wait_for_each_other_are_found_over_two_dispatchers),
        TEST(a_pause_and_a_limit_of_none_are_no_deadlock),
        TEST(one_that_is_being_cancelled_lets_go),
    };
    return berth_test_main(tests, NULL, NULL);
}
