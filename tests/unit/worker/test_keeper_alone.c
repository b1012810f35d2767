/* SPDX-License-Identifier: MIT
 *
 * Keepers for suspects as children of a keeper: this program, started with --alone, plays them.
 */
#include "support/berthtest.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "worker/keeper_alone.h"
#include "worker/keeper_child.h"

#define DEADLINE_MS 30000

static void given_alone(struct keeper_alone *alone, size_t count)
{
    char name[] = "keeper", arg[] = "pause";
    char *const argv[] = { name, arg, NULL };
    sigset_t mask;
    (void)sigemptyset(&mask);
    const struct keeper_alone_opts opts = {
        .exe = "/proc/self/exe", .argc = 2, .argv = argv, .mask = &mask
    };
    *alone = (struct keeper_alone){ .count = 0 };
    for (size_t i = 0; i < count; i++)
        assert_ok(keeper_alone_start(alone, &opts, NULL));
}

static void end_all(struct keeper_alone *alone)
{
    keeper_alone_signal(alone, SIGKILL);
    int64_t until_ms = berth_clock_monotonic_ms() + DEADLINE_MS;
    while (alone->count > 0) {
        assert_true(berth_clock_monotonic_ms() < until_ms);
        keeper_alone_reap(alone);
    }
}

static void there_are_so_many_at_most(void **state)
{
    (void)state;
    struct keeper_alone alone;
    char name[] = "keeper";
    char *const argv[] = { name, NULL };
    sigset_t mask;
    (void)sigemptyset(&mask);
    const struct keeper_alone_opts opts = {
        .exe = "/proc/self/exe", .argc = 1, .argv = argv, .mask = &mask
    };
    given_alone(&alone, KEEPER_ALONE_MAX);

    assert_int_equal(keeper_alone_start(&alone, &opts, NULL), -EAGAIN);

    end_all(&alone);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
}

static void those_that_are_dead_are_forgotten_and_nobody_else_is_reaped(void **state)
{
    (void)state;
    struct keeper_alone alone;
    given_alone(&alone, 2);
    pid_t first = alone.pids[0], other = fork();
    assert_true(other >= 0);
    if (other == 0)
        _exit(7);
    siginfo_t info;
    assert_int_equal(waitid(P_PID, (id_t)other, &info, WEXITED | WNOWAIT), 0);

    assert_int_equal(kill(first, SIGKILL), 0);
    assert_int_equal(waitid(P_PID, (id_t)first, &info, WEXITED | WNOWAIT), 0);
    keeper_alone_reap(&alone);

    assert_int_equal(alone.count, 1);
    assert_true(alone.pids[0] != first);
    int status;
    assert_int_equal(waitpid(other, &status, 0), other);
    assert_int_equal(WEXITSTATUS(status), 7);
    end_all(&alone);
}

/* Dies at once, and leaves one behind that does not. */
static pid_t given_child_with_orphan(void)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid > 0)
        return pid;
    if (fork() == 0)
        for (;;)
            (void)pause();
    _exit(0);
}

static void a_child_is_gone_when_only_keepers_for_suspects_are_left(void **state)
{
    (void)state;
    struct keeper_alone alone;
    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
    given_alone(&alone, 2);
    struct keeper_child child = { .pid = given_child_with_orphan(), .alone = &alone };
    siginfo_t info;
    assert_int_equal(waitid(P_PID, (id_t)child.pid, &info, WEXITED | WNOWAIT), 0);

    assert_false(keeper_child_reap(&child)); /* its orphan lives */
    assert_true(child.is_dead);
    int64_t until_ms = berth_clock_monotonic_ms() + DEADLINE_MS;
    do {
        assert_true(berth_clock_monotonic_ms() < until_ms);
        keeper_child_kill(&child);
    } while (!keeper_child_reap(&child));

    assert_int_equal(alone.count, 2);
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(kill(alone.pids[i], 0), 0);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), 0);
    end_all(&alone);
}

static void one_that_dies_meanwhile_is_taken_with_the_others(void **state)
{
    (void)state;
    struct keeper_alone alone;
    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
    given_alone(&alone, 1);
    struct keeper_child child = { .pid = given_child_with_orphan(), .alone = &alone };
    keeper_alone_signal(&alone, SIGKILL);

    int64_t until_ms = berth_clock_monotonic_ms() + DEADLINE_MS;
    do {
        assert_true(berth_clock_monotonic_ms() < until_ms);
        keeper_child_kill(&child);
    } while (!keeper_child_reap(&child) || alone.count > 0);

    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "--alone") == 0 && strcmp(argv[2], "pause") == 0)
        for (;;)
            (void)pause();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(there_are_so_many_at_most),
        cmocka_unit_test(those_that_are_dead_are_forgotten_and_nobody_else_is_reaped),
        cmocka_unit_test(a_child_is_gone_when_only_keepers_for_suspects_are_left),
        cmocka_unit_test(one_that_dies_meanwhile_is_taken_with_the_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
