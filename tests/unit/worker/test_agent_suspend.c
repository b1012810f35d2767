/* SPDX-License-Identifier: MIT */
/* Attempts that are suspended, and how they go on. */
#include "agent_fixture.h"

static void a_suspension_is_told_with_its_number(void **state)
{
    struct fixture *f = *state;
    given_running(f, 2);

    suspend(f, 2);
    assert_int_equal(agent_next_deadline_ms(f->agent), f->now_ms);
    tick(f, 0);

    const struct agent_effect *effect = effect_get(f, AGENT_DO_REPORTS);
    assert_int_equal(effect->reports.suspend_count, 1);
    assert_int_equal(effect->reports.suspends[0].attempt, 2);
    assert_int_equal(effect->reports.suspends[0].number, 1);
    assert_int_equal(effect->reports.resume_count, 0);
    tick(f, 0);
    assert_int_equal(effect_count(f, AGENT_DO_REPORTS), 0);
}

static void it_goes_on_when_it_has_asked_and_the_broker_says_so(void **state)
{
    struct fixture *f = *state;
    given_running(f, 1);
    suspend(f, 1);
    tick(f, 0);

    resume_me(f, 1);
    tick(f, 0);
    const struct agent_effect *effect = effect_get(f, AGENT_DO_REPORTS);
    assert_int_equal(effect->reports.suspend_count, 0);
    assert_int_equal(effect->reports.resume_count, 1);
    assert_int_equal(effect->reports.resumes[0].number, 1);
    assert_int_equal(effect_count(f, AGENT_DO_RESUME), 0);
    say_resume(f, 1, 1);

    assert_int_equal(effect_get(f, AGENT_DO_RESUME)->resume.attempt, 1);
    say_resume(f, 1, 1); /* twice is once */
    assert_int_equal(effect_count(f, AGENT_DO_RESUME), 0);
}

static void a_resume_of_an_earlier_suspension_is_ignored(void **state)
{
    struct fixture *f = *state;
    given_running(f, 1);
    for (uint32_t number = 1; number <= 2; number++) {
        suspend(f, 1);
        resume_me(f, 1);
        tick(f, 0);
        if (number == 1)
            say_resume(f, 1, 1);
    }

    say_resume(f, 1, 1);
    assert_int_equal(effect_count(f, AGENT_DO_RESUME), 0);
    say_resume(f, 1, 2);
    assert_int_equal(effect_count(f, AGENT_DO_RESUME), 1);
}

static void a_list_says_who_is_suspended_and_asks_again(void **state)
{
    struct fixture *f = *state;
    given_running(f, 2);
    suspend(f, 1);
    tick(f, 0);
    resume_me(f, 1);
    tick(f, 0);

    join_again(f);

    const struct agent_effect *join = effect_get(f, AGENT_DO_JOIN);
    assert_int_equal(join->join.lines[0].state, AGENT_SUSPENDED);
    assert_int_equal(join->join.lines[0].suspensions, 1);
    assert_int_equal(join->join.lines[1].state, AGENT_RUNNING);
    assert_int_equal(join->join.lines[1].suspensions, 0);
    say_joined(f);
    const struct agent_effect *effect = effect_get(f, AGENT_DO_REPORTS);
    assert_int_equal(effect->reports.suspend_count, 0);
    assert_int_equal(effect->reports.resume_count, 1);
    say_resume(f, 1, 1);
    assert_int_equal(effect_count(f, AGENT_DO_RESUME), 1);
}

static void a_list_that_is_repeated_says_the_same(void **state)
{
    struct fixture *f = *state;
    given_running(f, 1);
    join_again(f);
    assert_int_equal(effect_get(f, AGENT_DO_JOIN)->join.lines[0].state, AGENT_RUNNING);

    suspend(f, 1);
    tick(f, 100);

    assert_int_equal(effect_get(f, AGENT_DO_JOIN)->join.lines[0].state, AGENT_RUNNING);
    say_joined(f);
    assert_int_equal(effect_get(f, AGENT_DO_REPORTS)->reports.suspend_count, 1);
}

static void a_suspended_attempt_is_told_of_a_cancel(void **state)
{
    struct fixture *f = *state;
    given_running(f, 1);
    suspend(f, 1);
    tick(f, 0);

    say_cancel(f, 1, 100);

    assert_int_equal(effect_get(f, AGENT_DO_CANCEL)->cancel.reason, AGENT_CANCEL_JOB);
}

int main(void)
{
#define AGENT_TEST(fact) cmocka_unit_test_setup_teardown(fact, agent_setup, agent_teardown)
    const struct CMUnitTest tests[] = {
        AGENT_TEST(a_suspension_is_told_with_its_number),
        AGENT_TEST(it_goes_on_when_it_has_asked_and_the_broker_says_so),
        AGENT_TEST(a_resume_of_an_earlier_suspension_is_ignored),
        AGENT_TEST(a_list_says_who_is_suspended_and_asks_again),
        AGENT_TEST(a_list_that_is_repeated_says_the_same),
        AGENT_TEST(a_suspended_attempt_is_told_of_a_cancel),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
