/* SPDX-License-Identifier: MIT */
/* The keeper from outside: what it does when its child dies by itself, when the lease ends, and
 * with its own end. How it is told to stop: test_keeper_stop.c. */
#include "keeper_fixture.h"

#include <stdio.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "worker/keeper_alone.h"

#define SOON_MS  100
#define LATE_MAX 20

/* ---- a child that dies by itself ---- */

static void a_killed_child_is_proven_gone_with_its_attempts(void **state)
{
    struct fixture *f = *state;
    struct heard_gone gone;
    start_keeper(f, "commands");
    struct born first = await_born(f);
    assert_int_equal(first.number, 1);
    assert_int_equal(first.epoch_seen, 0);
    assert_line(f, "running\n");

    assert_int_equal(kill(first.pid, SIGKILL), 0);

    broker_await_gone(f->broker, &gone);
    assert_int_equal(gone.session, LIFE_SESSION);
    assert_int_equal(gone.child, 1);
    assert_int_equal(gone.cause, GONE_BY_SIGNAL);
    assert_int_equal(gone.status, SIGKILL);
    assert_int_equal(gone.count, 2);
    assert_int_equal(gone.attempts[0], LIFE_ATTEMPT);
    assert_int_equal(gone.jobs[0], 5);
    assert_int_equal(gone.numbers[0], 2);
    assert_int_equal(gone.attempts[1], LIFE_ATTEMPT + 1);
    assert_int_equal(gone.jobs[1], 6);
    struct born second = await_born(f);
    assert_int_equal(second.number, 2);
    assert_int_equal(second.epoch_seen, LIFE_EPOCH);
}

static void nothing_of_a_killed_child_is_alive_when_it_is_proven_gone(void **state)
{
    struct fixture *f = *state;
    struct heard_gone gone;
    start_keeper(f, "commands");
    struct born first = await_born(f);
    assert_line(f, "running\n");
    /* The next child must not hold the FIFO: none can be born into a folder without it. */
    BERTH_AUTO_MEM char *path = tempdir_path(f->dir, "alive");
    assert_int_equal(unlink(path), 0);
    assert_true(is_anyone_alive(f));

    assert_int_equal(kill(first.pid, SIGKILL), 0);

    broker_await_gone(f->broker, &gone);
    assert_false(is_anyone_alive(f));
}

static void gone_is_sent_at_once(void **state)
{
    struct fixture *f = *state;
    struct heard_gone gone;
    int64_t best_ms = INT64_MAX;
    start_keeper(f, "commands");
    /* The best of some: what else this machine does is not the keeper's. */
    for (int i = 0; i < TRIES_MAX && best_ms > SOON_MS; i++) {
        struct born born = await_born(f);
        assert_line(f, "running\n");
        int64_t killed_ms = berth_clock_monotonic_ms();
        assert_int_equal(kill(born.pid, SIGKILL), 0);
        do
            broker_await_gone(f->broker, &gone);
        while (gone.child != born.number);
        if (gone.at_ms - killed_ms < best_ms)
            best_ms = gone.at_ms - killed_ms;
        broker_acknowledge(f->broker, &gone, true);
    }
    /* On a machine that is too busy for that at least before time alone would have brought it. */
    assert_in_range(best_ms, 0, GONE_EVERY_MS - 1);
}

static void gone_is_repeated_until_it_is_acknowledged(void **state)
{
    struct fixture *f = *state;
    struct heard_gone gone, again;
    start_keeper(f, "commands");
    struct born born = await_born(f);
    assert_line(f, "running\n");
    int64_t killed_ms = berth_clock_monotonic_ms();
    assert_int_equal(kill(born.pid, SIGKILL), 0);
    broker_await_gone(f->broker, &gone);

    broker_await_gone(f->broker, &again);
    assert_int_equal(again.child, 1);
    broker_send_garbage(f->broker);
    broker_await_gone(f->broker, &again);
    assert_int_equal(again.count, 2);
    /* It may send twice when it is connected, but not the third at once. */
    assert_in_range(again.at_ms - killed_ms, GONE_EVERY_MS - 1, DEADLINE_MS);
    broker_acknowledge(f->broker, &again, true);

    for (int late_count = 0; broker_poll_gone(f->broker, 3 * GONE_EVERY_MS, &again); late_count++)
        assert_in_range(late_count, 0, LATE_MAX); /* those that were under way */
}

static void gone_outlives_the_broker_it_was_sent_to(void **state)
{
    struct fixture *f = *state;
    struct heard_gone gone;
    start_keeper(f, "exit");
    broker_await_gone(f->broker, &gone);

    broker_go_deaf(f->broker);
    broker_listen_again(f->broker);

    struct heard_gone again;
    do
        broker_await_gone(f->broker, &again);
    while (again.child != gone.child);
    assert_memory_equal(again.nonce, gone.nonce, sizeof gone.nonce);
}

static void a_child_without_a_session_is_named_by_nonce_and_number(void **state)
{
    struct fixture *f = *state;
    struct heard_gone first, second;
    start_keeper(f, "exit");

    do
        broker_await_gone(f->broker, &first);
    while (first.child != 1); /* the second may overtake it while there is no connection yet */
    assert_int_equal(first.session, 0);
    assert_int_equal(first.cause, GONE_BY_EXIT);
    assert_int_equal(first.status, 5);
    assert_int_equal(first.count, 0);
    broker_acknowledge(f->broker, &first, false);

    do
        broker_await_gone(f->broker, &second);
    while (second.child == 1); /* one may have been under way */
    assert_int_equal(second.child, 2);
    assert_memory_equal(second.nonce, first.nonce, sizeof first.nonce);
}

static void children_that_die_young_are_followed_ever_more_slowly(void **state)
{
    struct fixture *f = *state;
    struct heard_gone gone;
    int64_t begun_ms = berth_clock_monotonic_ms(), seen_ms[6] = { 0 };
    start_keeper(f, "exit");

    for (unsigned number = 1; number <= 5; number++) {
        do
            broker_await_gone(f->broker, &gone);
        while (gone.child != number);
        seen_ms[number] = gone.at_ms;
        broker_acknowledge(f->broker, &gone, false);
    }

    /* None, 100, 200 and 400 ms between them. */
    assert_in_range(seen_ms[3] - begun_ms, 99, DEADLINE_MS);
    assert_in_range(seen_ms[5] - begun_ms, 699, DEADLINE_MS);
}

static void lines_that_no_broker_could_have_granted_are_left_out(void **state)
{
    struct fixture *f = *state;
    struct heard_gone gone;
    start_keeper(f, "damage");

    broker_await_gone(f->broker, &gone);

    assert_int_equal(gone.count, 1);
    assert_int_equal(gone.attempts[0], LIFE_ATTEMPT);
    assert_true(gone.culprit == 0); /* nor is one of those named */
}

static void the_attempt_that_a_child_named_is_the_culprit(void **state)
{
    struct fixture *f = *state;
    struct heard_gone gone;
    start_keeper(f, "name");

    broker_await_gone(f->broker, &gone);

    assert_int_equal(gone.count, 2);
    assert_true(gone.culprit == LIFE_ATTEMPT + 1);
}

static void who_may_be_one_of_many_is_not_named(void **state)
{
    struct fixture *f = *state;
    struct heard_gone gone;
    start_keeper(f, "silence");

    broker_await_gone(f->broker, &gone);

    assert_int_equal(gone.count, 1);
    assert_true(gone.culprit == 0);
}

/* And its keeper ends when that is acknowledged. */
static void who_was_alone_is_the_culprit(void **state)
{
    struct fixture *f = *state;
    struct heard_gone gone;
    f->is_alone = true;
    start_keeper(f, "silence");

    broker_await_gone(f->broker, &gone);
    broker_acknowledge(f->broker, &gone, false);

    assert_true(gone.culprit == LIFE_ATTEMPT);
    assert_int_equal(await_keeper_exit(f), 0);
}

static void a_fenced_child_is_followed_by_a_fresh_one(void **state)
{
    struct fixture *f = *state;
    struct heard_gone gone;
    start_keeper(f, "fenced");

    broker_await_gone(f->broker, &gone);

    assert_int_equal(gone.cause, GONE_BY_FENCE);
    assert_int_equal(await_born(f).number, 1);
    assert_int_equal(await_born(f).number, 2);
}

/* ---- the lease ---- */

static void at_the_end_of_its_lease_a_child_and_its_commands_are_dead(void **state)
{
    struct fixture *f = *state;
    struct heard_gone gone;
    BERTH_AUTO_MEM char *path = tempdir_path(f->dir, "alive");
    start_keeper(f, "beyond");
    (void)await_born(f);
    assert_line(f, "running\n");
    assert_int_equal(unlink(path), 0); /* as above */
    int64_t begun_ms = berth_clock_monotonic_ms();
    assert_int_equal(write(f->go_fd, "\n", 1), 1);

    broker_await_gone(f->broker, &gone);

    assert_false(is_anyone_alive(f));
    assert_int_equal(gone.session, LIFE_SESSION);
    assert_int_equal(gone.cause, GONE_BY_LEASE);
    assert_int_equal(gone.status, SIGKILL);
    assert_int_equal(gone.count, 2);
    assert_in_range(gone.at_ms - begun_ms, LIFE_SHORT_MS - 1, DEADLINE_MS);
}

static void a_child_that_renews_lives_until_it_stops_renewing(void **state)
{
    struct fixture *f = *state;
    struct heard_gone gone;
    int64_t begun_ms = berth_clock_monotonic_ms();
    start_keeper(f, "renewals");
    struct born born = await_born(f);
    char line[LIFE_LINE_BYTES_MAX];
    /* A busy machine may hold one up that renews. It is killed rightly then, and another is born.
     */
    for (await_line(f, line); strcmp(line, "stopped\n") != 0; await_line(f, line)) {
        born = read_born(line);
        assert_in_range(born.number, 2, TRIES_MAX);
    }

    do
        broker_await_gone(f->broker, &gone);
    while (gone.child != born.number);

    assert_int_equal(gone.cause, GONE_BY_LEASE);
    assert_in_range(gone.at_ms - begun_ms, 5 * LIFE_SHORT_MS - 2, DEADLINE_MS);
}

static void a_lease_end_beyond_a_whole_lease_is_not_believed(void **state)
{
    struct fixture *f = *state;
    struct heard_gone gone;
    int64_t begun_ms = berth_clock_monotonic_ms();
    start_keeper(f, "lie");
    broker_await_gone(f->broker, &gone);
    assert_int_equal(gone.cause, GONE_BY_LEASE);
    assert_in_range(gone.at_ms - begun_ms, LIFE_SHORT_MS - 2, DEADLINE_MS);
}

static void a_session_whose_lease_is_never_set_ends_after_one(void **state)
{
    struct fixture *f = *state;
    struct heard_gone gone;
    start_keeper(f, "no-lease");
    broker_await_gone(f->broker, &gone);
    assert_int_equal(gone.cause, GONE_BY_LEASE);
}

/* ---- signals, drain, refusal ---- */

/* ---- the keeper's own end, and what the child is born with ---- */

static void when_the_keeper_is_killed_child_and_commands_die(void **state)
{
    struct fixture *f = *state;
    /* A command without children: theirs is the boundary that docs/GUARANTEES.md states. */
    start_keeper(f, "simple");
    (void)await_born(f);
    assert_line(f, "running\n");

    assert_int_equal(kill(f->keeper, SIGKILL), 0);

    assert_int_equal(waitpid(f->keeper, NULL, 0), f->keeper);
    f->keeper = 0;
    while (waitpid(-1, NULL, 0) > 0)
        continue;
    await_all_dead(f);
}

static void a_child_is_born_with_its_fence_and_nothing_else(void **state)
{
    struct fixture *f = *state;
    char line[LIFE_LINE_BYTES_MAX], want[LIFE_LINE_BYTES_MAX];
    int fence_fd, event_fd;
    start_keeper(f, "descriptors");
    struct born first = await_born(f);
    await_line(f, line);
    assert_int_equal(kill(first.pid, SIGKILL), 0);
    struct heard_gone gone;
    broker_await_gone(f->broker, &gone); /* the keeper has a socket now */
    struct born second = await_born(f);
    await_line(f, line);
    char *of = strstr(line, "of ");
    assert_non_null(of);
    fence_fd = (int)strtol(of + 3, &of, 10);
    event_fd = (int)strtol(of, NULL, 10);
    (void)snprintf(want, sizeof want, " 0 1 2 %d %d of %d %d\n", fence_fd, event_fd, fence_fd,
                   event_fd);
    assert_string_equal(line, want);
    assert_int_equal(second.number, 2);
}

/* ---- keepers for suspects ---- */

static pid_t await_alone(const struct fixture *f)
{
    static const char word[] = "alone ";
    char line[LIFE_LINE_BYTES_MAX];
    await_line(f, line);
    assert_memory_equal(line, word, strlen(word));
    return (pid_t)strtol(line + strlen(word), NULL, 10);
}

static void who_is_asked_for_while_there_is_no_place_starts_when_there_is_one(void **state)
{
    struct fixture *f = *state;
    pid_t alone = 0;
    start_keeper(f, "alone");
    (void)await_born(f);
    for (int i = 0; i < KEEPER_ALONE_MAX; i++)
        alone = await_alone(f);

    assert_int_equal(kill(alone, SIGKILL), 0);

    assert_true(await_alone(f) != alone);
}

int main(int argc, char **argv)
{
    int code;
    if (keeper_part(argc, argv, &code))
        return code;
#define TEST(name) cmocka_unit_test_setup_teardown(name, keeper_setup, keeper_teardown)
#define TEST_WITHOUT_CGROUP(name)                                                                  \
    {                                                                                              \
#name "_without_a_cgroup", name, keeper_setup_without_cgroup, keeper_teardown, NULL        \
    }
    const struct CMUnitTest tests[] = {
        TEST(a_killed_child_is_proven_gone_with_its_attempts),
        TEST(nothing_of_a_killed_child_is_alive_when_it_is_proven_gone),
        TEST_WITHOUT_CGROUP(nothing_of_a_killed_child_is_alive_when_it_is_proven_gone),
        TEST(gone_is_sent_at_once),
        TEST(gone_is_repeated_until_it_is_acknowledged),
        TEST(gone_outlives_the_broker_it_was_sent_to),
        TEST(a_child_without_a_session_is_named_by_nonce_and_number),
        TEST(children_that_die_young_are_followed_ever_more_slowly),
        TEST(lines_that_no_broker_could_have_granted_are_left_out),
        TEST(the_attempt_that_a_child_named_is_the_culprit),
        TEST(who_may_be_one_of_many_is_not_named),
        TEST(who_was_alone_is_the_culprit),
        TEST(a_fenced_child_is_followed_by_a_fresh_one),
        TEST(at_the_end_of_its_lease_a_child_and_its_commands_are_dead),
        TEST_WITHOUT_CGROUP(at_the_end_of_its_lease_a_child_and_its_commands_are_dead),
        TEST(a_child_that_renews_lives_until_it_stops_renewing),
        TEST(a_lease_end_beyond_a_whole_lease_is_not_believed),
        TEST(a_session_whose_lease_is_never_set_ends_after_one),
        TEST(when_the_keeper_is_killed_child_and_commands_die),
        TEST(a_child_is_born_with_its_fence_and_nothing_else),
        TEST(who_is_asked_for_while_there_is_no_place_starts_when_there_is_one),
    };
    return berth_test_main(tests, keeper_group_setup, keeper_group_teardown);
}
