/* SPDX-License-Identifier: MIT
 *
 * The places of a worker: attempts that are suspended take none of its capacity, as many of them as
 * it has offered to hold beside it.
 */
#include "agent_fixture.h"

static void given_places(struct fixture *f, uint32_t capacity, uint32_t suspended_max)
{
    struct agent_opts opts = agent_test_opts();
    opts.capacity = capacity;
    opts.suspended_max = suspended_max;
    agent_replace(f, &opts);
    given_joined(f);
}

static void suspend_and_say(struct fixture *f, uint64_t attempt)
{
    suspend(f, attempt);
    tick(f, 0);
}

/* Attempts `first` .. `last` were granted, and each waits. */
static void given_waiting(struct fixture *f, uint64_t first, uint64_t last)
{
    for (uint64_t i = first; i <= last; i++) {
        say_grant(f, grant_of(i));
        assert_int_equal(effect_count(f, AGENT_DO_START), 1);
        suspend_and_say(f, i);
    }
}

static void assert_taken(struct fixture *f, uint64_t attempt)
{
    say_grant(f, grant_of(attempt));
    assert_int_equal(effect_get(f, AGENT_DO_START)->start.attempt, attempt);
}

static void assert_full(struct fixture *f, uint64_t attempt)
{
    say_grant(f, grant_of(attempt));
    assert_int_equal(effect_count(f, AGENT_DO_START), 0);
    const struct agent_effect *reports = effect_get(f, AGENT_DO_REPORTS);
    assert_int_equal(reports->reports.release_attempts[0], attempt);
    assert_int_equal(reports->reports.release_reasons[0], AGENT_RELEASE_NO_MEMORY);
}

static void an_attempt_that_waits_takes_no_place(void **state)
{
    struct fixture *f = *state;
    given_places(f, 1, 2);

    given_waiting(f, 1, 2);

    assert_taken(f, 3);
    assert_full(f, 4);
    assert_int_equal(agent_running_count(f->agent), 3);
}

static void beyond_those_that_were_offered_it_takes_one(void **state)
{
    struct fixture *f = *state;
    given_places(f, 2, 2);

    given_waiting(f, 1, 3);

    assert_taken(f, 4);
    assert_full(f, 5);
    suspend_and_say(f, 4); /* nothing runs, and all that can be held is held */
    assert_full(f, 6);
}

static void without_an_offer_each_takes_a_place(void **state)
{
    struct fixture *f = *state;
    given_places(f, 2, 0);
    given_waiting(f, 1, 2);

    assert_full(f, 3);
}

static void one_that_may_go_on_does_whatever_else_runs(void **state)
{
    struct fixture *f = *state;
    given_places(f, 1, 2);
    given_waiting(f, 1, 2);
    assert_taken(f, 3);

    say_resume(f, 1, 1);

    assert_int_equal(effect_get(f, AGENT_DO_RESUME)->resume.attempt, 1);
    assert_full(f, 4);
}

static void one_that_goes_on_takes_its_place_again(void **state)
{
    struct fixture *f = *state;
    given_places(f, 1, 2);
    given_waiting(f, 1, 1);

    say_resume(f, 1, 1);

    assert_full(f, 2);
}

/* A parent whose handler has returned: its child's end is its own. */
static void one_that_ends_as_it_waits_takes_no_place_until_it_is_acknowledged(void **state)
{
    struct fixture *f = *state;
    given_places(f, 1, 1);
    say_grant(f, grant_of(1));
    step(f, (struct agent_event){
                .type = AGENT_EV_CHILDREN,
                .children = { .attempt = 1, .ordinal = 1, .submit = { "submit", 6 } } });
    tick(f, 0);
    say_submitted(f, 1, 1, 201, 1);
    ended(f, 1, AGENT_COMPLETED);

    say_child_end(f, 1, 201, BERTH_COMPLETED);
    tick(f, 0);

    assert_int_equal(agent_running_count(f->agent), 0);
    assert_taken(f, 2);
    assert_full(f, 3);
    say_ack(f, 1);
    assert_full(f, 3);
    suspend_and_say(f, 2);
    assert_taken(f, 4);
}

static void a_join_lists_all_of_them(void **state)
{
    struct fixture *f = *state;
    given_places(f, 2, 3);
    given_waiting(f, 1, 3);
    assert_taken(f, 4);
    assert_taken(f, 5);

    step_type(f, AGENT_EV_CONNECTED);

    const struct agent_effect *join = effect_get(f, AGENT_DO_JOIN);
    assert_int_equal(join->join.count, 5);
    size_t suspended = 0;
    for (size_t i = 0; i < 5; i++)
        suspended += join->join.lines[i].state == AGENT_SUSPENDED;
    assert_int_equal(suspended, 3);
}

static void each_of_them_has_its_timeout(void **state)
{
    struct fixture *f = *state;
    given_places(f, 1, 2);
    for (uint64_t i = 1; i <= 3; i++) {
        struct agent_grant grant = grant_of(i);
        grant.timeout_ms = (int64_t)(4 - i) * 100;
        say_grant(f, grant);
        if (i < 3)
            suspend_and_say(f, i);
    }

    for (uint64_t i = 3; i >= 1; i--) {
        tick(f, 100);
        const struct agent_effect *cancel = effect_get(f, AGENT_DO_CANCEL);
        assert_int_equal(cancel->cancel.attempt, i);
        assert_int_equal(cancel->cancel.reason, AGENT_CANCEL_TIMEOUT);
    }
}

int main(void)
{
#define AGENT_TEST(fact) cmocka_unit_test_setup_teardown(fact, agent_setup, agent_teardown)
    const struct CMUnitTest tests[] = {
        AGENT_TEST(an_attempt_that_waits_takes_no_place),
        AGENT_TEST(beyond_those_that_were_offered_it_takes_one),
        AGENT_TEST(without_an_offer_each_takes_a_place),
        AGENT_TEST(one_that_may_go_on_does_whatever_else_runs),
        AGENT_TEST(one_that_goes_on_takes_its_place_again),
        AGENT_TEST(one_that_ends_as_it_waits_takes_no_place_until_it_is_acknowledged),
        AGENT_TEST(a_join_lists_all_of_them),
        AGENT_TEST(each_of_them_has_its_timeout),
    };
    return berth_test_main(tests, NULL, NULL);
}
