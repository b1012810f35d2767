/* SPDX-License-Identifier: MIT */
/* The keeper from outside: how a worker ends that is told to, by signals and drains, and one that
 * refuses to begin. */
#include "keeper_fixture.h"

/* A child that dies at once and is followed by another 1.6 s later. */
#define RESTING_CHILD 6

static void a_drained_worker_is_proven_gone_and_ends_with_0(void **state)
{
    struct fixture *f = *state;
    struct heard_gone gone;
    start_keeper(f, "drain");
    (void)await_born(f);

    assert_int_equal(kill(f->keeper, SIGTERM), 0);

    assert_line(f, "15\n");
    broker_await_gone(f->broker, &gone);
    assert_int_equal(gone.cause, GONE_BY_DRAIN);
    assert_int_equal(gone.session, LIFE_SESSION);
    broker_acknowledge(f->broker, &gone, true);
    assert_int_equal(await_keeper_exit(f), 0);
}

static void without_an_answer_a_drained_worker_leaves_after_three_seconds(void **state)
{
    struct fixture *f = *state;
    struct heard_gone gone;
    start_keeper(f, "drain");
    (void)await_born(f);
    int64_t told_ms = berth_clock_monotonic_ms();
    assert_int_equal(kill(f->keeper, SIGINT), 0);
    broker_await_gone(f->broker, &gone);

    broker_await_gone(f->broker, &gone); /* and again, meanwhile */

    assert_int_equal(await_keeper_exit(f), 0);
    assert_in_range(berth_clock_monotonic_ms() - told_ms, KEEPER_LEAVE_MS - 1, DEADLINE_MS);
}

static void signals_are_passed_on_and_the_third_term_kills(void **state)
{
    struct fixture *f = *state;
    struct heard_gone gone;
    f->stop_ms = LIFE_LONG_MS; /* so that it is not the time that kills */
    start_keeper(f, "signals");
    (void)await_born(f);

    assert_int_equal(kill(f->keeper, SIGHUP), 0);
    assert_line(f, "1\n");
    assert_int_equal(kill(f->keeper, SIGQUIT), 0);
    assert_line(f, "3\n");
    assert_int_equal(kill(f->keeper, SIGTERM), 0);
    assert_line(f, "15\n");
    assert_int_equal(kill(f->keeper, SIGTERM), 0);
    assert_line(f, "2\n");
    assert_int_equal(kill(f->keeper, SIGTERM), 0);

    broker_await_gone(f->broker, &gone);
    assert_int_equal(gone.cause, GONE_BY_DRAIN);
    assert_int_equal(gone.status, SIGKILL);
    assert_int_equal(gone.count, 1);
    broker_acknowledge(f->broker, &gone, true);
    assert_int_equal(await_keeper_exit(f), 0);
}

/* What the kernel does to whoever logs when the reader of stderr is gone. */
static void a_keeper_outlives_the_reader_of_its_log(void **state)
{
    struct fixture *f = *state;
    start_keeper(f, "signals");
    (void)await_born(f);

    assert_int_equal(kill(f->keeper, SIGPIPE), 0);

    assert_int_equal(kill(f->keeper, SIGHUP), 0);
    assert_line(f, "1\n");
}

static void a_child_that_does_not_stop_when_told_is_killed(void **state)
{
    struct fixture *f = *state;
    struct heard_gone gone;
    start_keeper(f, "signals");
    (void)await_born(f);
    assert_int_equal(kill(f->keeper, SIGINT), 0);
    assert_line(f, "15\n");
    int64_t stopped_ms = berth_clock_monotonic_ms();
    assert_int_equal(kill(f->keeper, SIGINT), 0);

    broker_await_gone(f->broker, &gone);

    assert_in_range(gone.at_ms - stopped_ms, LIFE_SHORT_MS - 1, DEADLINE_MS);
    assert_int_equal(gone.cause, GONE_BY_DRAIN);
    assert_int_equal(gone.status, SIGKILL);
    broker_acknowledge(f->broker, &gone, true);
    assert_int_equal(await_keeper_exit(f), 0);
}

static void a_child_that_crashes_while_draining_is_not_followed(void **state)
{
    struct fixture *f = *state;
    struct heard_gone gone;
    start_keeper(f, "crash-drain");
    (void)await_born(f);
    assert_int_equal(kill(f->keeper, SIGTERM), 0);
    assert_line(f, "15\n");
    broker_await_gone(f->broker, &gone);
    assert_int_equal(gone.cause, GONE_BY_SIGNAL);
    assert_int_equal(gone.status, SIGABRT);
    broker_acknowledge(f->broker, &gone, true);
    assert_int_equal(await_keeper_exit(f), 1);
}

static void a_child_that_refuses_to_begin_ends_the_program_with_its_status(void **state)
{
    struct fixture *f = *state;
    struct heard_gone gone;
    start_keeper(f, "usage");
    assert_int_equal(await_keeper_exit(f), KEEPER_CHILD_USAGE);
    assert_false(broker_poll_gone(f->broker, 0, &gone));
}

static void the_same_status_after_a_session_is_a_crash(void **state)
{
    struct fixture *f = *state;
    struct heard_gone gone;
    start_keeper(f, "refused-late");
    broker_await_gone(f->broker, &gone);
    assert_int_equal(gone.cause, GONE_BY_EXIT);
    assert_int_equal(gone.status, KEEPER_CHILD_REFUSED);
    assert_int_equal(await_born(f).number, 1);
    assert_int_equal(await_born(f).number, 2);
}

/* Tells a keeper to end while it rests. False: it had begun another child when it heard of it. */
static bool term_finds_it_resting(struct fixture *f)
{
    struct heard_gone gone;
    start_keeper(f, "exit");
    do
        broker_await_gone(f->broker, &gone);
    while (gone.child < RESTING_CHILD);

    assert_int_equal(kill(f->keeper, SIGTERM), 0);

    uint32_t last_child = gone.child;
    while (broker_poll_gone(f->broker, 700, &gone)) {
        last_child = gone.child > last_child ? gone.child : last_child;
        broker_acknowledge(f->broker, &gone, false);
    }
    int code = await_keeper_exit(f);
    if (last_child > RESTING_CHILD)
        return false;
    assert_int_equal(code, 0);
    return true;
}

static void a_term_between_two_children_ends_the_worker(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; !term_finds_it_resting(f); i++)
        assert_in_range(i, 0, TRIES_MAX);
}

int main(int argc, char **argv)
{
    int code;
    if (keeper_part(argc, argv, &code))
        return code;
#define TEST(name) cmocka_unit_test_setup_teardown(name, keeper_setup, keeper_teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_drained_worker_is_proven_gone_and_ends_with_0),
        TEST(without_an_answer_a_drained_worker_leaves_after_three_seconds),
        TEST(signals_are_passed_on_and_the_third_term_kills),
        TEST(a_keeper_outlives_the_reader_of_its_log),
        TEST(a_child_that_does_not_stop_when_told_is_killed),
        TEST(a_child_that_crashes_while_draining_is_not_followed),
        TEST(a_child_that_refuses_to_begin_ends_the_program_with_its_status),
        TEST(the_same_status_after_a_session_is_a_crash),
        TEST(a_term_between_two_children_ends_the_worker),
    };
    return berth_test_main(tests, keeper_group_setup, keeper_group_teardown);
}
