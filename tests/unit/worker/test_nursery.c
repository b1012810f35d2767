/* SPDX-License-Identifier: MIT
 *
 * What happens when somebody kills a shim, or the nursery: nothing of the command is left, the
 * attempt is reported only then, and other attempts go on, or are started by another nursery.
 */
#include "support/berthtest.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "exec_fixture.h"

#define STAT_BYTES_MAX 512

/* It, a child in its group, and a daemon hold DIR/alive; it writes its pid when all are there. */
#define STUBBORN                                                                                   \
    "exec 9> alive; mkfifo up; trap '' TERM; sleep 60 &"                                           \
    " (setsid sh -c 'trap \"\" TERM; echo up > up; sleep 60' &);"                                  \
    " read line < up; echo $$ > gate; sleep 60; true"

static pid_t parent_of(pid_t pid)
{
    char path[64], line[STAT_BYTES_MAX];
    (void)snprintf(path, sizeof path, "/proc/%d/stat", pid);
    BERTH_AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_true(read(fd, line, sizeof line) > 0);
    return (pid_t)strtol(strchr(line, ')') + 4, NULL, 10);
}

static void what_a_killed_shim_leaves_is_ended_daemons_included(void **state)
{
    struct fixture *f = *state;
    exec_start_shell(f, 1, STUBBORN);
    pid_t command = (pid_t)exec_await_gate(f);

    assert_int_equal(kill(parent_of(command), SIGKILL), 0);

    struct ended *ended = exec_await_end(f);
    assert_true(ended->end.is_started);
    assert_int_equal(ended->end.exit_code, 128 + SIGKILL);
    assert_int_equal(ended->end.signal, SIGKILL);
    assert_false(ended->is_anyone_alive);
}

static void other_attempts_do_not_notice_a_killed_shim(void **state)
{
    struct fixture *f = *state;
    exec_start_shell(f, 1, "exec 9> alive; echo $$ > gate; exec sleep 60");
    pid_t shim = parent_of((pid_t)exec_await_gate(f));
    exec_start_shell(f, 2, "echo 1 > gate; read line < go; echo done");
    (void)exec_await_gate(f);

    assert_int_equal(kill(shim, SIGKILL), 0);
    assert_int_equal(exec_await_end(f)->attempt, 1);

    assert_int_equal(exec_count_ends(f), 1);
    BERTH_AUTO_FD int go_fd = exec_open_in(f, "go", O_RDWR | O_CLOEXEC);
    assert_int_equal(write(go_fd, "\n", 1), 1);
    struct ended *ended = exec_await_end(f);
    assert_int_equal(ended->attempt, 2);
    exec_assert_text(ended->end.out, "done\n");
}

/* Waits for an end, and reaps meanwhile what has come to hang under this process, as the keeper
 * does. */
static struct ended *await_end_and_reap(struct fixture *f, pid_t group)
{
    while (poll(&(struct pollfd){ .fd = f->ended_fd, .events = POLLIN }, 1, 5) == 0)
        (void)waitpid(-group, NULL, WNOHANG);
    struct ended *ended = exec_await_end(f);
    while (waitpid(-group, NULL, 0) > 0)
        continue;
    return ended;
}

static void a_killed_nursery_ends_its_commands_and_is_replaced(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
    exec_start_shell(f, 1,
                     "exec 9> alive; trap '' TERM; sleep 60 & echo $$ > gate; sleep 60; true");
    pid_t command = (pid_t)exec_await_gate(f);

    assert_int_equal(kill(parent_of(parent_of(command)), SIGKILL), 0);

    struct ended *ended = await_end_and_reap(f, command);
    assert_int_equal(ended->end.exit_code, 128 + SIGKILL);
    assert_false(ended->is_anyone_alive);
    assert_int_equal(exec_run_shell(f, "exit 4")->end.exit_code, 4);
    /* Its shim hung under us, too. */
    while (waitpid(-1, NULL, WNOHANG) > 0)
        continue;
    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 0), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, exec_setup, exec_teardown)
    const struct CMUnitTest tests[] = {
        TEST(what_a_killed_shim_leaves_is_ended_daemons_included),
        TEST(other_attempts_do_not_notice_a_killed_shim),
        TEST(a_killed_nursery_ends_its_commands_and_is_replaced),
    };
    return berth_test_main(tests, NULL, NULL);
}
