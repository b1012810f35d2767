/* SPDX-License-Identifier: MIT */
/* When an attempt with children is over: its handler has ended, and all of them have. */
#include "agent_fixture.h"

static void an_attempt_is_over_when_its_handler_and_its_children_are(void **state)
{
    struct fixture *f = *state;
    given_children(f, 2);

    ended(f, 1, AGENT_COMPLETED);
    const struct agent_effect *effect = effect_get(f, AGENT_DO_REPORTS);
    assert_int_equal(effect->reports.count, 0);
    assert_int_equal(effect->reports.suspend_count, 1); /* it waits, and nothing of it runs */
    assert_int_equal(effect->reports.end_children_count, 0);
    say_child_end(f, 1, 202, BERTH_COMPLETED);
    assert_int_equal(effect_count(f, AGENT_DO_REPORTS), 0);
    assert_int_equal(effect_count(f, AGENT_DO_CHILD_ENDED), 0); /* nobody is there to hear it */
    say_child_end(f, 1, 201, BERTH_COMPLETED);

    const struct agent_line *line = told(f);
    assert_int_equal(line->end.outcome, AGENT_COMPLETED);
    assert_true(slice_is(line->end.result, "result"));
    say_ack(f, 1);
    assert_int_equal(agent_running_count(f->agent), 0);
}

static void a_handler_that_failed_ends_its_children_first(void **state)
{
    struct fixture *f = *state;
    given_children(f, 1);

    ended(f, 1, AGENT_FAILED);
    assert_int_equal(effect_get(f, AGENT_DO_REPORTS)->reports.end_children_count, 1);
    join_again(f);
    assert_int_equal(effect_get(f, AGENT_DO_JOIN)->join.lines[0].state, AGENT_SUSPENDED);
    say_joined(f);
    const struct agent_effect *effect = effect_get(f, AGENT_DO_REPORTS);
    assert_int_equal(effect->reports.end_children_count, 1);
    assert_int_equal(effect->reports.ask_count, 1);
    say_child_end(f, 1, 201, BERTH_CANCELLED);

    const struct agent_line *line = told(f);
    assert_int_equal(line->end.outcome, AGENT_FAILED);
    assert_true(slice_is(line->end.error_message, "why"));
}

static void children_that_come_after_their_parent_failed_are_ended_too(void **state)
{
    struct fixture *f = *state;
    given_running(f, 1);
    submit(f, 1, 1);
    ended(f, 1, AGENT_FAILED);
    assert_int_equal(effect_get(f, AGENT_DO_REPORTS)->reports.end_children_count, 1);

    say_submitted(f, 1, 1, 201, 1);

    assert_int_equal(effect_count(f, AGENT_DO_CHILDREN), 0);
    assert_int_equal(effect_get(f, AGENT_DO_REPORTS)->reports.end_children_count, 1);
    say_child_end(f, 1, 201, BERTH_CANCELLED);
    assert_int_equal(told(f)->end.outcome, AGENT_FAILED);
}

static void a_child_that_dies_when_only_it_is_waited_for_fails_the_attempt(void **state)
{
    struct fixture *f = *state;
    given_children(f, 1);
    ended(f, 1, AGENT_COMPLETED);

    say_child_end(f, 1, 201, BERTH_DEAD);

    const struct agent_line *line = told(f);
    assert_int_equal(line->end.outcome, AGENT_FAILED);
    assert_true(slice_is(line->end.error_message, "child 201 is dead: ended with status 3"));
    assert_int_equal(effect_count(f, AGENT_DO_CANCEL), 0);
}

static void a_timeout_reaches_an_attempt_that_only_waits_for_children(void **state)
{
    struct fixture *f = *state;
    given_joined(f);
    struct agent_grant grant = grant_of(1);
    grant.timeout_ms = 1000;
    say_grant(f, grant);
    submit(f, 1, 1);
    tick(f, 0);
    say_submitted(f, 1, 1, 201, 1);
    ended(f, 1, AGENT_COMPLETED);

    tick(f, 1000);
    assert_int_equal(effect_count(f, AGENT_DO_CANCEL), 0);
    tick(f, 0);
    say_child_end(f, 1, 201, BERTH_CANCELLED);

    assert_int_equal(told(f)->end.outcome, AGENT_TIMED_OUT);
}

static void a_cancel_reaches_an_attempt_that_only_waits_for_children(void **state)
{
    struct fixture *f = *state;
    given_children(f, 1);
    ended(f, 1, AGENT_COMPLETED);

    say_cancel(f, 1, 100);
    assert_int_equal(effect_count(f, AGENT_DO_CANCEL), 0);
    assert_int_equal(effect_get(f, AGENT_DO_REPORTS)->reports.end_children_count, 1);
    say_child_end(f, 1, 201, BERTH_CANCELLED);

    assert_int_equal(told(f)->end.outcome, AGENT_CANCELLED);
}

static void a_resume_that_comes_when_the_handler_is_over_is_given_back(void **state)
{
    struct fixture *f = *state;
    given_children(f, 1);
    suspend(f, 1);
    resume_me(f, 1);
    tick(f, 0);
    ended(f, 1, AGENT_CANCELLED);

    say_resume(f, 1, 1);

    assert_int_equal(effect_count(f, AGENT_DO_RESUME), 0);
    const struct agent_effect *effect = effect_get(f, AGENT_DO_REPORTS);
    assert_int_equal(effect->reports.suspend_count, 1);
    assert_int_equal(effect->reports.suspends[0].number, 2);
}

static void a_stop_hands_back_what_waits_for_children(void **state)
{
    struct fixture *f = *state;
    given_children(f, 1);
    ended(f, 1, AGENT_COMPLETED);

    step(f, (struct agent_event){ .type = AGENT_EV_STOP, .stop = { 5000 } });

    assert_int_equal(effect_get(f, AGENT_DO_EXIT)->exit.why, AGENT_EXIT_DRAINED);
    for (size_t i = 0; i < f->effects.count; i++)
        if (f->effects.items[i].type == AGENT_DO_REPORTS)
            assert_int_equal(f->effects.items[i].reports.count, 0);
}

static void after_a_stop_nobody_waits_for_children(void **state)
{
    struct fixture *f = *state;
    given_children(f, 1);
    step(f, (struct agent_event){ .type = AGENT_EV_STOP, .stop = { 5000 } });

    ended_quietly(f, 1, AGENT_COMPLETED);

    assert_int_equal(effect_get(f, AGENT_DO_EXIT)->exit.why, AGENT_EXIT_DRAINED);
    assert_int_equal(effect_count(f, AGENT_DO_REPORTS), 0);
}

static void a_drain_waits_for_children(void **state)
{
    struct fixture *f = *state;
    given_children(f, 1);
    step_type(f, AGENT_EV_DRAIN);
    ended(f, 1, AGENT_COMPLETED);
    tick(f, R_MS);
    say_renewed(f, f->renewal, 1, 3);
    assert_int_equal(effect_count(f, AGENT_DO_EXIT), 0);
}

int main(void)
{
#define AGENT_TEST(fact) cmocka_unit_test_setup_teardown(fact, agent_setup, agent_teardown)
    const struct CMUnitTest tests[] = {
        AGENT_TEST(an_attempt_is_over_when_its_handler_and_its_children_are),
        AGENT_TEST(a_handler_that_failed_ends_its_children_first),
        AGENT_TEST(children_that_come_after_their_parent_failed_are_ended_too),
        AGENT_TEST(a_child_that_dies_when_only_it_is_waited_for_fails_the_attempt),
        AGENT_TEST(a_timeout_reaches_an_attempt_that_only_waits_for_children),
        AGENT_TEST(a_cancel_reaches_an_attempt_that_only_waits_for_children),
        AGENT_TEST(a_resume_that_comes_when_the_handler_is_over_is_given_back),
        AGENT_TEST(a_stop_hands_back_what_waits_for_children),
        AGENT_TEST(after_a_stop_nobody_waits_for_children),
        AGENT_TEST(a_drain_waits_for_children),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
