/* SPDX-License-Identifier: MIT
 *
 * Attempts that are told to end: by a cancel, by force, by their timeout or deadline.
 */
#include "agent_fixture.h"

#include <string.h>

static void a_cancel_is_passed_on_once(void **state)
{
    struct fixture *f = *state;
    given_running(f, 1);

    say_cancel(f, 1, 700);
    const struct agent_effect *cancel = effect_get(f, AGENT_DO_CANCEL);
    assert_int_equal(cancel->cancel.attempt, 1);
    assert_int_equal(cancel->cancel.reason, AGENT_CANCEL_JOB);
    assert_int_equal(cancel->cancel.grace_ms, 700);
    say_cancel(f, 1, 700);
    assert_int_equal(f->effects.count, 0);
    step_type(f, AGENT_EV_CONNECTED);

    assert_true(effect_get(f, AGENT_DO_JOIN)->join.lines[0].is_cancelled);
}

static void a_deadline_is_passed_on_as_such(void **state)
{
    struct fixture *f = *state;
    given_running(f, 1);

    struct agent_cancel order = { .attempt = 1, .grace_ms = 700, .reason = AGENT_CANCEL_DEADLINE };
    struct agent_event event = orders_next(f);
    event.orders.cancels = &order;
    event.orders.cancel_count = 1;
    step(f, event);

    assert_int_equal(effect_get(f, AGENT_DO_CANCEL)->cancel.reason, AGENT_CANCEL_DEADLINE);
    step_type(f, AGENT_EV_CONNECTED);
    assert_false(effect_get(f, AGENT_DO_JOIN)->join.lines[0].is_cancelled);
}

static void force(struct fixture *f, uint64_t attempt, int64_t grace_ms)
{
    struct agent_cancel cancel = {
        .attempt = attempt, .grace_ms = grace_ms, .reason = AGENT_CANCEL_JOB, .is_forced = true
    };
    struct agent_event event = orders_next(f);
    event.orders.cancels = &cancel;
    event.orders.cancel_count = 1;
    step(f, event);
}

static void what_is_cancelled_by_force_and_does_not_end_ends_everything(void **state)
{
    struct fixture *f = *state;
    given_running(f, 3);
    force(f, 2, 700);
    assert_int_equal(effect_get(f, AGENT_DO_CANCEL)->cancel.attempt, 2);
    assert_int_equal(agent_next_deadline_ms(f->agent), f->now_ms + 700);
    tick(f, 699);
    assert_int_equal(effect_count(f, AGENT_DO_EXIT), 0);
    ended_quietly(f, 1, AGENT_COMPLETED);
    tick(f, 1);

    /* What had ended is told before. */
    assert_int_equal(f->effects.items[0].type, AGENT_DO_REPORTS);
    const struct agent_effect *exit = effect_get(f, AGENT_DO_EXIT);
    assert_int_equal(exit->exit.why, AGENT_EXIT_FORCED);
    assert_string_equal(exit->exit.reason,
                        "job 102 was cancelled by force, and did not end for 700 ms");
}

static void the_grace_counts_from_when_it_was_first_told(void **state)
{
    struct fixture *f = *state;
    given_running(f, 1);
    say_cancel(f, 1, 700);
    tick(f, 600);
    force(f, 1, 700);
    assert_int_equal(effect_count(f, AGENT_DO_CANCEL), 0);
    assert_int_equal(agent_next_deadline_ms(f->agent), f->now_ms + 100);
    force(f, 1, 650); /* nearer */
    force(f, 1, 9000);
    tick(f, 50);
    assert_int_equal(effect_get(f, AGENT_DO_EXIT)->exit.why, AGENT_EXIT_FORCED);
}

static void force_is_over_with_the_attempt(void **state)
{
    struct fixture *f = *state;
    given_running(f, 2);
    force(f, 1, 700);
    force(f, 99, 0); /* unknown */
    ended(f, 1, AGENT_CANCELLED);
    tick(f, 700);
    assert_int_equal(effect_count(f, AGENT_DO_EXIT), 0);
    force(f, 1, 0);
    assert_int_equal(effect_count(f, AGENT_DO_EXIT), 0);
}

static void a_cancel_of_what_is_unknown_or_ended_is_ignored(void **state)
{
    struct fixture *f = *state;
    given_running(f, 1);
    ended(f, 1, AGENT_COMPLETED);

    say_cancel(f, 1, 700);
    assert_int_equal(f->effects.count, 0);
    say_cancel(f, 9, 700);

    assert_int_equal(f->effects.count, 0);
}

static void a_cancelled_attempt_is_reported_as_it_ended(void **state)
{
    struct fixture *f = *state;
    given_running(f, 2);
    say_cancel(f, 1, 700);
    say_cancel(f, 2, 700);

    ended_quietly(f, 1, AGENT_COMPLETED);
    ended(f, 2, AGENT_CANCELLED);

    const struct agent_effect *reports = effect_get(f, AGENT_DO_REPORTS);
    assert_int_equal(reports->reports.lines[0].end.outcome, AGENT_COMPLETED);
    assert_true(slice_is(reports->reports.lines[0].end.result, "result"));
    assert_int_equal(reports->reports.lines[1].end.outcome, AGENT_CANCELLED);
    assert_true(reports->reports.lines[1].is_cancelled);
}

static void a_timeout_cancels_with_the_grace_of_the_grant(void **state)
{
    struct fixture *f = *state;
    given_joined(f);
    struct agent_grant slow = grant_of(1), quick = grant_of(2);
    slow.timeout_ms = 900;
    quick.timeout_ms = 300;
    quick.grace_ms = 50;
    say_grant(f, slow);
    say_grant(f, quick);

    assert_int_equal(agent_next_deadline_ms(f->agent), f->now_ms + 300);
    tick(f, 300);
    const struct agent_effect *cancel = effect_get(f, AGENT_DO_CANCEL);
    assert_int_equal(cancel->cancel.attempt, 2);
    assert_int_equal(cancel->cancel.reason, AGENT_CANCEL_TIMEOUT);
    assert_int_equal(cancel->cancel.grace_ms, 50);
    tick(f, 600);

    assert_int_equal(effect_get(f, AGENT_DO_CANCEL)->cancel.attempt, 1);
}

static void a_timed_out_attempt_says_so_whatever_the_handler_said(void **state)
{
    struct fixture *f = *state;
    given_joined(f);
    for (uint64_t i = 1; i <= 3; i++) {
        struct agent_grant grant = grant_of(i);
        grant.timeout_ms = 300;
        say_grant(f, grant);
    }
    tick(f, 300);
    assert_int_equal(effect_count(f, AGENT_DO_CANCEL), 3);

    ended_quietly(f, 1, AGENT_CANCELLED);
    ended_quietly(f, 2, AGENT_FAILED_FOREVER);
    ended(f, 3, AGENT_COMPLETED);

    const struct agent_effect *reports = effect_get(f, AGENT_DO_REPORTS);
    for (size_t i = 0; i < 2; i++) {
        const struct agent_end *end = &reports->reports.lines[i].end;
        assert_int_equal(end->outcome, AGENT_TIMED_OUT);
        assert_true(slice_is(end->error_kind, "timeout"));
        assert_true(slice_is(end->error_message, "not done within its timeout of 300 ms"));
        assert_true(slice_is(end->result, "result"));
    }
    assert_int_equal(reports->reports.lines[2].end.outcome, AGENT_COMPLETED);
}

static void a_timeout_after_a_cancel_changes_nothing(void **state)
{
    struct fixture *f = *state;
    given_joined(f);
    struct agent_grant grant = grant_of(1);
    grant.timeout_ms = 300;
    say_grant(f, grant);
    say_cancel(f, 1, 5000);

    tick(f, 300);
    assert_int_equal(effect_count(f, AGENT_DO_CANCEL), 0);
    ended(f, 1, AGENT_CANCELLED);

    assert_int_equal(effect_get(f, AGENT_DO_REPORTS)->reports.lines[0].end.outcome,
                     AGENT_CANCELLED);
}

static void what_ended_in_time_never_times_out(void **state)
{
    struct fixture *f = *state;
    given_joined(f);
    struct agent_grant grant = grant_of(1);
    grant.timeout_ms = 300;
    say_grant(f, grant);
    ended(f, 1, AGENT_COMPLETED);

    tick(f, 300);

    assert_int_equal(effect_count(f, AGENT_DO_CANCEL), 0);
}

static void a_timeout_fires_while_joining(void **state)
{
    struct fixture *f = *state;
    given_joined(f);
    struct agent_grant grant = grant_of(1);
    grant.timeout_ms = 10;
    say_grant(f, grant);
    step_type(f, AGENT_EV_CONNECTED);

    tick(f, 10);

    assert_int_equal(effect_count(f, AGENT_DO_CANCEL), 1);
}

static void a_cancel_of_the_job_after_stop_is_reported(void **state)
{
    struct fixture *f = *state;
    given_running(f, 1);
    step(f, (struct agent_event){ .type = AGENT_EV_STOP, .stop.grace_ms = 3000 });
    say_cancel(f, 1, 5000);

    ended(f, 1, AGENT_CANCELLED);

    assert_int_equal(effect_get(f, AGENT_DO_REPORTS)->reports.lines[0].end.outcome,
                     AGENT_CANCELLED);
}

static void a_timed_out_attempt_is_reported_even_when_stopped(void **state)
{
    struct fixture *f = *state;
    given_joined(f);
    struct agent_grant grant = grant_of(1);
    grant.timeout_ms = 100;
    say_grant(f, grant);
    tick(f, 100);
    step(f, (struct agent_event){ .type = AGENT_EV_STOP, .stop.grace_ms = 3000 });
    assert_int_equal(effect_count(f, AGENT_DO_CANCEL), 0);

    ended(f, 1, AGENT_CANCELLED);

    assert_int_equal(effect_get(f, AGENT_DO_REPORTS)->reports.lines[0].end.outcome,
                     AGENT_TIMED_OUT);
}

int main(void)
{
#define AGENT_TEST(fact) cmocka_unit_test_setup_teardown(fact, agent_setup, agent_teardown)
    const struct CMUnitTest tests[] = {
        AGENT_TEST(a_cancel_is_passed_on_once),
        AGENT_TEST(a_deadline_is_passed_on_as_such),
        AGENT_TEST(what_is_cancelled_by_force_and_does_not_end_ends_everything),
        AGENT_TEST(the_grace_counts_from_when_it_was_first_told),
        AGENT_TEST(force_is_over_with_the_attempt),
        AGENT_TEST(a_cancel_of_what_is_unknown_or_ended_is_ignored),
        AGENT_TEST(a_cancelled_attempt_is_reported_as_it_ended),
        AGENT_TEST(a_timeout_cancels_with_the_grace_of_the_grant),
        AGENT_TEST(a_timed_out_attempt_says_so_whatever_the_handler_said),
        AGENT_TEST(a_timeout_after_a_cancel_changes_nothing),
        AGENT_TEST(what_ended_in_time_never_times_out),
        AGENT_TEST(a_timeout_fires_while_joining),
        AGENT_TEST(a_cancel_of_the_job_after_stop_is_reported),
        AGENT_TEST(a_timed_out_attempt_is_reported_even_when_stopped),
    };
    return berth_test_main(tests, NULL, NULL);
}
