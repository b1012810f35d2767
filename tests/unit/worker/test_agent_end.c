/* SPDX-License-Identifier: MIT
 *
 * How the agent ends: fenced, drained, stopped.
 */
#include "agent_fixture.h"

#include <string.h>

/* ---- fenced ---- */

static void fenced_ends_the_child_and_nothing_else_leaves(void **state)
{
    struct fixture *f = *state;
    given_running(f, 1);
    ended_quietly(f, 1, AGENT_COMPLETED);

    say_fenced(f, SESSION);

    assert_int_equal(f->effects.count, 1);
    const struct agent_effect *exit = effect_get(f, AGENT_DO_EXIT);
    assert_int_equal(exit->exit.why, AGENT_EXIT_FENCED);
    assert_non_null(strstr(exit->exit.reason, "newer child"));
}

static void fenced_of_another_session_is_ignored(void **state)
{
    struct fixture *f = *state;
    given_joined(f);

    say_fenced(f, SESSION + 1);

    assert_int_equal(f->effects.count, 0);
}

static void fenced_before_there_is_a_session_names_the_child(void **state)
{
    struct fixture *f = *state;
    step_type(f, AGENT_EV_START);
    say_fenced(f, SESSION);
    assert_int_equal(f->effects.count, 0);
    step(f,
         (struct agent_event){ .type = AGENT_EV_FENCED, .fenced = { .nonce = { 3 }, .child = 3 } });
    assert_int_equal(f->effects.count, 0);

    step(f,
         (struct agent_event){ .type = AGENT_EV_FENCED, .fenced = { .nonce = { 3 }, .child = 4 } });

    assert_int_equal(effect_get(f, AGENT_DO_EXIT)->exit.why, AGENT_EXIT_FENCED);
}

/* ---- drain and stop ---- */

static void drain_before_a_session_ends_at_once(void **state)
{
    struct fixture *f = *state;
    step_type(f, AGENT_EV_START);

    step_type(f, AGENT_EV_DRAIN);

    assert_int_equal(effect_get(f, AGENT_DO_EXIT)->exit.why, AGENT_EXIT_DRAINED);
}

static void an_idle_drain_ends_when_the_broker_has_taken_it(void **state)
{
    struct fixture *f = *state;
    given_joined(f);

    step_type(f, AGENT_EV_DRAIN);
    assert_true(effect_get(f, AGENT_DO_REPORTS)->reports.is_draining);
    assert_int_equal(effect_get(f, AGENT_DO_RENEW)->renew.sent, 1);
    assert_null(effect_find(f, AGENT_DO_EXIT));
    say_grant(f, grant_of(1)); /* it was on its way */
    const struct agent_effect *reports = effect_get(f, AGENT_DO_REPORTS);
    assert_int_equal(reports->reports.release_count, 1);
    assert_int_equal(reports->reports.release_attempts[0], 1);
    assert_int_equal(reports->reports.release_reasons[0], AGENT_RELEASE_DRAINING);
    say_renewed(f, f->renewal, 1, 1);

    assert_int_equal(effect_get(f, AGENT_DO_EXIT)->exit.why, AGENT_EXIT_DRAINED);
}

static void drain_waits_for_ends_and_their_acknowledgement(void **state)
{
    struct fixture *f = *state;
    given_running(f, 1);
    step_type(f, AGENT_EV_DRAIN);
    tick(f, R_MS);
    say_renewed(f, f->renewal, 1, 1);
    assert_null(effect_find(f, AGENT_DO_EXIT));

    ended(f, 1, AGENT_COMPLETED);
    assert_null(effect_find(f, AGENT_DO_EXIT));
    say_ack(f, 1);

    assert_int_equal(effect_get(f, AGENT_DO_EXIT)->exit.why, AGENT_EXIT_DRAINED);
}

static void a_drain_that_began_between_joins_is_told_in_the_list(void **state)
{
    struct fixture *f = *state;
    given_running(f, 1);
    step_type(f, AGENT_EV_DRAIN);

    step_type(f, AGENT_EV_CONNECTED);
    assert_true(effect_get(f, AGENT_DO_JOIN)->join.is_draining);
    say_joined(f);
    assert_int_equal(effect_count(f, AGENT_DO_REPORTS), 0);
    ended(f, 1, AGENT_COMPLETED);
    say_ack(f, 1);

    assert_int_equal(effect_get(f, AGENT_DO_EXIT)->exit.why, AGENT_EXIT_DRAINED);
}

static void a_drain_while_joining_is_told_in_the_stream(void **state)
{
    struct fixture *f = *state;
    given_joined(f);
    step_type(f, AGENT_EV_CONNECTED);

    step_type(f, AGENT_EV_DRAIN);
    assert_null(effect_find(f, AGENT_DO_EXIT));
    say_joined(f);

    assert_true(effect_get(f, AGENT_DO_REPORTS)->reports.is_draining);
    say_renewed(f, f->renewal, 0, 1);
    assert_int_equal(effect_count(f, AGENT_DO_EXIT), 1);
}

static void an_empty_drain_whose_broker_is_gone_is_drained_at_the_end_of_the_lease(void **state)
{
    struct fixture *f = *state;
    given_joined(f);
    step_type(f, AGENT_EV_DRAIN);

    f->now_ms = agent_lease_end_ms(f->agent);
    step_type(f, AGENT_EV_TIMER);

    assert_int_equal(effect_get(f, AGENT_DO_EXIT)->exit.why, AGENT_EXIT_DRAINED);
}

static void stop_cancels_what_runs_and_hands_it_back(void **state)
{
    struct fixture *f = *state;
    given_running(f, 2);

    step(f, (struct agent_event){ .type = AGENT_EV_STOP, .stop.grace_ms = 3000 });

    assert_int_equal(effect_count(f, AGENT_DO_CANCEL), 2);
    const struct agent_effect *cancel = effect_find(f, AGENT_DO_CANCEL);
    assert_int_equal(cancel->cancel.reason, AGENT_CANCEL_STOP);
    assert_int_equal(cancel->cancel.grace_ms, 3000);
    ended(f, 1, AGENT_CANCELLED);
    assert_null(effect_find(f, AGENT_DO_REPORTS)); /* not spent: GONE hands it back */
    ended(f, 2, AGENT_FAILED);
    assert_null(effect_find(f, AGENT_DO_REPORTS));
    assert_int_equal(agent_next_deadline_ms(f->agent), INT64_MAX);
}

static void stop_reports_what_completed_all_the_same(void **state)
{
    struct fixture *f = *state;
    given_running(f, 2);
    step(f, (struct agent_event){ .type = AGENT_EV_STOP, .stop.grace_ms = 3000 });

    ended(f, 1, AGENT_COMPLETED);
    assert_int_equal(effect_get(f, AGENT_DO_REPORTS)->reports.count, 1);
    ended(f, 2, AGENT_CANCELLED);
    assert_null(effect_find(f, AGENT_DO_EXIT)); /* the acknowledgement is awaited */
    say_ack(f, 1);

    assert_int_equal(effect_get(f, AGENT_DO_EXIT)->exit.why, AGENT_EXIT_DRAINED);
}

static void stop_lists_what_it_hands_back_as_running(void **state)
{
    struct fixture *f = *state;
    given_running(f, 2);
    step(f, (struct agent_event){ .type = AGENT_EV_STOP, .stop.grace_ms = 3000 });
    ended(f, 1, AGENT_CANCELLED);

    step_type(f, AGENT_EV_CONNECTED);

    const struct agent_effect *join = effect_get(f, AGENT_DO_JOIN);
    assert_int_equal(join->join.count, 2);
    assert_int_equal(join->join.lines[0].state, AGENT_RUNNING);
    assert_int_equal(join->join.lines[1].state, AGENT_RUNNING);
}

static void a_join_says_how_long_what_runs_has_run(void **state)
{
    struct fixture *f = *state;
    given_running(f, 1);
    tick(f, 700);

    step_type(f, AGENT_EV_CONNECTED);

    const struct agent_line *line = &effect_get(f, AGENT_DO_JOIN)->join.lines[0];
    assert_int_equal(line->state, AGENT_RUNNING);
    assert_int_equal(line->end.run_us, 700 * 1000);
}

static void stop_ends_after_its_grace_whatever_runs(void **state)
{
    struct fixture *f = *state;
    given_running(f, 1);
    step(f, (struct agent_event){ .type = AGENT_EV_STOP, .stop.grace_ms = 1500 });

    tick(f, 1499);
    assert_null(effect_find(f, AGENT_DO_EXIT));
    tick(f, 1);

    assert_int_equal(effect_get(f, AGENT_DO_EXIT)->exit.why, AGENT_EXIT_DRAINED);
}

int main(void)
{
#define AGENT_TEST(fact) cmocka_unit_test_setup_teardown(fact, agent_setup, agent_teardown)
    const struct CMUnitTest tests[] = {
        AGENT_TEST(fenced_ends_the_child_and_nothing_else_leaves),
        AGENT_TEST(fenced_of_another_session_is_ignored),
        AGENT_TEST(fenced_before_there_is_a_session_names_the_child),
        AGENT_TEST(drain_before_a_session_ends_at_once),
        AGENT_TEST(an_idle_drain_ends_when_the_broker_has_taken_it),
        AGENT_TEST(drain_waits_for_ends_and_their_acknowledgement),
        AGENT_TEST(a_drain_that_began_between_joins_is_told_in_the_list),
        AGENT_TEST(a_drain_while_joining_is_told_in_the_stream),
        AGENT_TEST(an_empty_drain_whose_broker_is_gone_is_drained_at_the_end_of_the_lease),
        AGENT_TEST(stop_cancels_what_runs_and_hands_it_back),
        AGENT_TEST(stop_reports_what_completed_all_the_same),
        AGENT_TEST(stop_lists_what_it_hands_back_as_running),
        AGENT_TEST(a_join_says_how_long_what_runs_has_run),
        AGENT_TEST(stop_ends_after_its_grace_whatever_runs),
    };
    return berth_test_main(tests, NULL, NULL);
}
