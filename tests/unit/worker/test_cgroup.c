/* SPDX-License-Identifier: MIT
 *
 * A control group of our own, where this machine lets us make one; and quiet refusal elsewhere.
 */
#include "support/berthtest.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/tempdir.h"
#include "worker/cgroup.h"

#define DEADLINE_MS 60000

/* A process in `cgroup` that waits for ever. Returns when it is in. */
static pid_t fork_into(const struct cgroup *cgroup)
{
    int fds[2];
    char byte;
    assert_int_equal(pipe(fds), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        byte = cgroup_enter(cgroup) == 0 ? 'y' : 'n';
        (void)!write(fds[1], &byte, 1);
        for (;;)
            (void)pause();
    }
    assert_int_equal(close(fds[1]), 0);
    assert_int_equal(read(fds[0], &byte, 1), 1);
    assert_int_equal(byte, 'y');
    assert_int_equal(close(fds[0]), 0);
    return pid;
}

static void assert_killed(pid_t pid)
{
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGKILL);
}

static void what_is_in_the_group_is_killed_and_the_group_removed(void **state)
{
    (void)state;
    struct cgroup *cgroup;
    if (cgroup_open(&cgroup) < 0)
        skip();
    BERTH_AUTO_MEM char *path = strdup(cgroup_path(cgroup));
    assert_true(cgroup_is_empty(cgroup));
    pid_t first = fork_into(cgroup), second = fork_into(cgroup);
    assert_false(cgroup_is_empty(cgroup));

    assert_ok(cgroup_kill(cgroup));

    assert_killed(first);
    assert_killed(second);
    assert_true(cgroup_is_empty(cgroup));
    cgroup_free(cgroup);
    struct stat st;
    assert_int_equal(stat(path, &st), -1);
    assert_int_equal(errno, ENOENT);
}

static void what_a_dead_keeper_left_is_ended_by_the_next(void **state)
{
    (void)state;
    struct cgroup *cgroup;
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    pid_t keeper = fork();
    assert_true(keeper >= 0);
    if (keeper == 0) {
        pid_t left = cgroup_open(&cgroup) == 0 ? fork_into(cgroup) : 0;
        (void)!write(fds[1], &left, sizeof left);
        _exit(0);
    }
    pid_t left;
    assert_int_equal(close(fds[1]), 0);
    assert_int_equal(read(fds[0], &left, sizeof left), sizeof left);
    assert_int_equal(close(fds[0]), 0);
    assert_int_equal(waitpid(keeper, NULL, 0), keeper);
    if (left == 0)
        skip();
    int left_fd = pidfd_open(left, 0);
    assert_true(left_fd >= 0);

    assert_ok(cgroup_open(&cgroup));

    assert_int_equal(poll(&(struct pollfd){ .fd = left_fd, .events = POLLIN }, 1, DEADLINE_MS), 1);
    assert_int_equal(close(left_fd), 0);
    cgroup_free(cgroup);
    assert_ok(cgroup_open(&cgroup)); /* removes the empty group, if it was not so soon */
    cgroup_free(cgroup);
}

static void a_folder_that_is_no_control_group_is_refused_and_left_as_it_was(void **state)
{
    (void)state;
    char *dir = tempdir_new();
    struct cgroup *cgroup = NULL;

    assert_rc(cgroup_open_in(dir, &cgroup), -ENOENT);

    assert_null(cgroup);
    assert_int_equal(rmdir(dir), 0); /* nothing was left in it */
    free(dir);
}

static void a_folder_that_is_not_there_is_refused(void **state)
{
    (void)state;
    struct cgroup *cgroup = NULL;
    assert_rc(cgroup_open_in("/no/such/folder", &cgroup), -ENOENT);
    assert_null(cgroup);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_in_the_group_is_killed_and_the_group_removed),
        cmocka_unit_test(what_a_dead_keeper_left_is_ended_by_the_next),
        cmocka_unit_test(a_folder_that_is_no_control_group_is_refused_and_left_as_it_was),
        cmocka_unit_test(a_folder_that_is_not_there_is_refused),
    };
    return berth_test_main(tests, NULL, NULL);
}
