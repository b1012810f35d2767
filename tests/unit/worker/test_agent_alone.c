/* SPDX-License-Identifier: MIT
 *
 * Processes for suspects: how a worker is asked for them, and how one of them lives.
 */
#include "agent_fixture.h"

static void given_alone(struct fixture *f)
{
    struct agent_opts opts = agent_test_opts();
    opts.capacity = 1;
    opts.is_alone = true;
    agent_replace(f, &opts);
    given_joined(f);
}

static void given_keeper(struct fixture *f)
{
    struct agent_opts opts = agent_test_opts();
    opts.can_start_alone = true;
    agent_replace(f, &opts);
    given_joined(f);
}

static void say_start_alone(struct fixture *f, uint32_t count)
{
    struct agent_event event = orders_next(f);
    event.orders.start_alone = count;
    step(f, event);
}

static void a_worker_with_a_keeper_starts_as_many_as_it_is_asked_for(void **state)
{
    struct fixture *f = *state;
    given_keeper(f);

    say_start_alone(f, 2);
    assert_int_equal(effect_get(f, AGENT_DO_START_ALONE)->start_alone.count, 2);

    struct agent_event copy = orders_next(f);
    copy.orders.number--;
    copy.orders.start_alone = 2;
    f->orders--;
    step(f, copy);
    assert_null(effect_find(f, AGENT_DO_START_ALONE));
}

static void a_worker_without_one_or_that_drains_starts_none(void **state)
{
    struct fixture *f = *state;
    given_joined(f);
    say_start_alone(f, 1);
    assert_null(effect_find(f, AGENT_DO_START_ALONE));

    given_keeper(f);
    step_type(f, AGENT_EV_DRAIN);
    say_start_alone(f, 1);
    assert_null(effect_find(f, AGENT_DO_START_ALONE));
}

static void one_that_is_alone_drains_with_the_report_of_its_attempt(void **state)
{
    struct fixture *f = *state;
    given_alone(f);
    given_running(f, 1);

    ended(f, 1, AGENT_FAILED);

    const struct agent_effect *reports = effect_get(f, AGENT_DO_REPORTS);
    assert_int_equal(reports->reports.count, 1);
    assert_true(reports->reports.is_draining);
    say_grant(f, grant_of(2));
    assert_null(effect_find(f, AGENT_DO_START));
    say_ack(f, 1);
    say_renewed(f, f->renewal, f->orders, 9);
    assert_int_equal(effect_get(f, AGENT_DO_EXIT)->exit.why, AGENT_EXIT_DRAINED);
}

static void one_that_is_alone_drains_when_its_attempt_cannot_start(void **state)
{
    struct fixture *f = *state;
    given_alone(f);
    say_grant(f, grant_of(1));

    step(f, (struct agent_event){ .type = AGENT_EV_RELEASED,
                                  .released = { 1, AGENT_RELEASE_NO_MEMORY } });
    tick(f, 0);

    assert_true(effect_get(f, AGENT_DO_REPORTS)->reports.is_draining);
}

static void one_that_is_alone_drains_when_nothing_comes(void **state)
{
    struct fixture *f = *state;
    given_alone(f);
    int64_t until_ms = f->now_ms + AGENT_ALONE_WAIT_MS;
    bool is_draining = false;
    while (!is_draining && f->now_ms <= until_ms) {
        assert_null(effect_find(f, AGENT_DO_EXIT));
        int64_t due_ms = agent_next_deadline_ms(f->agent);
        tick(f, due_ms - f->now_ms);
        const struct agent_effect *reports = effect_find(f, AGENT_DO_REPORTS);
        is_draining = reports && reports->reports.is_draining;
        if (effect_find(f, AGENT_DO_RENEW))
            say_renewed(f, f->renewal, f->orders, 0);
    }

    assert_true(is_draining);
    assert_int_equal(f->now_ms, until_ms);
}

static void one_that_is_alone_and_hears_of_no_broker_is_drained(void **state)
{
    struct fixture *f = *state;
    struct agent_opts opts = agent_test_opts();
    opts.capacity = 1;
    opts.is_alone = true;
    agent_replace(f, &opts);
    step_type(f, AGENT_EV_START);

    tick(f, AGENT_ALONE_WAIT_MS);

    assert_int_equal(effect_get(f, AGENT_DO_EXIT)->exit.why, AGENT_EXIT_DRAINED);
}

static void a_long_attempt_is_not_hurried(void **state)
{
    struct fixture *f = *state;
    given_alone(f);
    given_running(f, 1);

    for (int64_t ms = 0; ms <= AGENT_ALONE_WAIT_MS; ms += R_MS) {
        tick(f, R_MS);
        if (effect_find(f, AGENT_DO_RENEW))
            say_renewed(f, f->renewal, f->orders, 0);
        assert_null(effect_find(f, AGENT_DO_REPORTS));
    }
    assert_int_equal(agent_running_count(f->agent), 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, agent_setup, agent_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_worker_with_a_keeper_starts_as_many_as_it_is_asked_for),
        TEST(a_worker_without_one_or_that_drains_starts_none),
        TEST(one_that_is_alone_drains_with_the_report_of_its_attempt),
        TEST(one_that_is_alone_drains_when_its_attempt_cannot_start),
        TEST(one_that_is_alone_drains_when_nothing_comes),
        TEST(one_that_is_alone_and_hears_of_no_broker_is_drained),
        TEST(a_long_attempt_is_not_hurried),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
