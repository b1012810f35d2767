/* SPDX-License-Identifier: MIT
 *
 * Ending all children of a process, by either way of finding them.
 */
#include "support/berthtest.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "worker/reap.h"

static pid_t fork_sleeper(void)
{
    pid_t pid = fork();
    if (pid == 0)
        for (;;)
            (void)pause();
    assert_true(pid > 0);
    return pid;
}

static void assert_killed(pid_t pid)
{
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGKILL);
}

static bool is_it(const void *arg, pid_t pid)
{
    return *(const pid_t *)arg == pid;
}

static void children_are_killed(int (*kill_children)(const struct reap_spared *spared))
{
    pid_t first = fork_sleeper();
    pid_t second = fork_sleeper();

    struct reap_spared spared = { .is_spared = is_it, .arg = &second };
    assert_int_equal(kill_children(&spared), 1);
    assert_killed(first);
    assert_int_equal(waitpid(second, NULL, WNOHANG), 0);

    assert_int_equal(kill_children(NULL), 1);
    assert_killed(second);
    assert_int_equal(waitpid(-1, NULL, 0), -1);
    assert_int_equal(errno, ECHILD);
    assert_int_equal(kill_children(NULL), 0);
}

static void children_on_the_kernels_list_are_killed_but_those_spared(void **state)
{
    (void)state;
    children_are_killed(reap_kill_children);
}

static void children_that_a_scan_finds_are_killed_but_those_spared(void **state)
{
    (void)state;
    /* Its name looks like the end of the field that holds it. */
    assert_int_equal(prctl(PR_SET_NAME, "a) S 1 (b"), 0);
    children_are_killed(reap_kill_children_by_scan);
    assert_int_equal(prctl(PR_SET_NAME, "test_reap"), 0);
}

static void *fork_and_wait(void *arg)
{
    pid_t *pid = arg;
    *pid = fork_sleeper();
    assert_killed(*pid);
    return NULL;
}

static void children_of_other_threads_are_killed(void **state)
{
    (void)state;
    pthread_t thread;
    pid_t pid = 0;
    assert_int_equal(pthread_create(&thread, NULL, fork_and_wait, &pid), 0);

    while (reap_kill_children(NULL) == 0)
        continue;

    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(pid > 0);
}

static void more_children_than_one_read_lists_are_killed(void **state)
{
    (void)state;
    enum { MANY = 1200 }; /* at 4 bytes or more each: beyond 4096 */
    static pid_t pids[MANY];
    for (int i = 0; i < MANY; i++)
        pids[i] = fork_sleeper();

    int count = reap_kill_children(NULL);

    for (int i = 0; i < MANY; i++)
        assert_killed(pids[i]);
    assert_int_equal(count, MANY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(children_on_the_kernels_list_are_killed_but_those_spared),
        cmocka_unit_test(children_that_a_scan_finds_are_killed_but_those_spared),
        cmocka_unit_test(children_of_other_threads_are_killed),
        cmocka_unit_test(more_children_than_one_read_lists_are_killed),
    };
    return berth_test_main(tests, NULL, NULL);
}
