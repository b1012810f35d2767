/* SPDX-License-Identifier: MIT
 *
 * What a command inherits, and what is left of it when its attempt is over, or the worker dies:
 * nothing.
 */
#include "support/berthtest.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "exec_fixture.h"

static rlim_t soft_limit_at_start;

static void its_descriptor_limit_is_the_one_we_were_started_with(void **state)
{
    struct fixture *f = *state;
    char want[32];
    (void)snprintf(want, sizeof want, "%llu\n", (unsigned long long)soft_limit_at_start);
    exec_assert_text(exec_run_shell(f, "ulimit -Sn")->end.out, want);
}

static void no_signal_is_blocked_or_ignored_in_it(void **state)
{
    struct fixture *f = *state;
    struct ended *ended = exec_run_shell(f, "exec grep -E '^Sig(Blk|Ign)' /proc/self/status");
    exec_assert_text(ended->end.out, "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
}

static void no_descriptor_but_the_three_reaches_it(void **state)
{
    struct fixture *f = *state;
    exec_start_command(f, 1, "ls", "/proc/self/fd", NULL);
    exec_assert_text(exec_await_end(f)->end.out,
                     "0\n1\n2\n3\n"); /* 3 is the folder that ls reads */
}

static void a_daemon_does_not_outlive_its_attempt(void **state)
{
    struct fixture *f = *state;
    struct ended *ended = exec_run_shell(
        f,
        "exec 9> alive; mkfifo up; (setsid sh -c 'trap \"\" TERM HUP; echo up > up; sleep 60' &);"
        " read line < up; echo $line");
    exec_assert_text(ended->end.out, "up\n");
    assert_int_equal(ended->end.exit_code, 0);
    assert_false(ended->is_anyone_alive);
}

static void a_child_left_in_the_background_does_not_outlive_its_attempt(void **state)
{
    struct fixture *f = *state;
    struct ended *ended = exec_run_shell(f, "exec 9> alive; sleep 60 & exit 4");
    assert_int_equal(ended->end.exit_code, 4);
    assert_false(ended->is_anyone_alive);
}

/* Runs one command that holds DIR/alive open, and stays. */
static int worker_main(const char *dir)
{
    struct fixture f = { .alive_fd = -1 };
    struct exec_opts opts = { .work_dir = dir };
    if (exec_open(&opts, &f.exec, NULL) < 0)
        return 1;
    exec_start_shell(&f, 1, "exec 9> alive; echo 1 > gate; exec sleep 60");
    for (;;)
        (void)pause();
}

static void commands_die_with_the_process(void **state)
{
    struct fixture *f = *state;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)execl("/proc/self/exe", "test_shim", "--worker", f->dir, (char *)NULL);
        _exit(1);
    }
    (void)exec_await_gate(f);
    assert_true(exec_anyone_alive(f));

    assert_int_equal(kill(pid, SIGKILL), 0);

    assert_int_equal(waitpid(pid, NULL, 0), pid);
    struct pollfd gone = { .fd = f->alive_fd };
    assert_int_equal(poll(&gone, 1, EXEC_DEADLINE_MS), 1);
    assert_true(gone.revents & POLLHUP);
}

static void on_end_of_closed(void *arg, uint64_t attempt, const struct exec_end *end)
{
    (void)attempt;
    bool is_good = end->out.bytes == 3 && memcmp(end->out.data, "in\n", 3) == 0 &&
                   end->err.bytes == 4 && memcmp(end->err.data, "err\n", 4) == 0;
    uint64_t answer = is_good ? 1 : 2;
    (void)!write(*(const int *)arg, &answer, sizeof answer);
}

static void close_stdio(void)
{
    (void)close(0);
    (void)close(1);
    (void)close(2);
}

/* Runs a command with 0, 1 and 2 closed, so that descriptors of ours get these numbers: those of
 * the whole machinery if they are closed first, else those of the command's pipes. */
static int closed_main(const char *dir, bool is_first)
{
    int event_fd = eventfd(0, EFD_CLOEXEC);
    struct exec_opts opts = { .work_dir = dir, .on_end = on_end_of_closed, .arg = &event_fd };
    struct berth_slice argv[] = { exec_slice("/bin/sh"), exec_slice("-c"),
                                  exec_slice("cat; echo err >&2") };
    struct exec_command command = {
        .attempt = 1, .argv = argv, .argv_count = 3, .payload = exec_slice("in\n")
    };
    struct exec *exec;
    if (is_first)
        close_stdio();
    if (exec_open(&opts, &exec, NULL) < 0)
        return 3;
    if (!is_first)
        close_stdio();
    uint64_t answer = 3;
    if (exec_start(exec, &command, NULL) == 0)
        (void)!read(event_fd, &answer, sizeof answer);
    exec_close(exec);
    (void)close(event_fd);
    return answer == 1 ? 0 : (int)answer;
}

static void a_worker_without_stdio_still_gives_it_to_commands(void **state)
{
    struct fixture *f = *state;
    const char *const modes[] = { "--closed", "--closed-first" };
    for (int i = 0; i < 2; i++) {
        int status;
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            (void)execl("/proc/self/exe", "test_shim", modes[i], f->dir, (char *)NULL);
            _exit(4);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
    }
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "--worker") == 0)
        return worker_main(argv[2]);
    if (argc == 3 && strcmp(argv[1], "--closed") == 0)
        return closed_main(argv[2], false);
    if (argc == 3 && strcmp(argv[1], "--closed-first") == 0)
        return closed_main(argv[2], true);
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
        soft_limit_at_start = limit.rlim_cur;
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGUSR1, SIG_IGN);
#define TEST(name) cmocka_unit_test_setup_teardown(name, exec_setup, exec_teardown)
    const struct CMUnitTest tests[] = {
        TEST(its_descriptor_limit_is_the_one_we_were_started_with),
        TEST(no_signal_is_blocked_or_ignored_in_it),
        TEST(no_descriptor_but_the_three_reaches_it),
        TEST(a_daemon_does_not_outlive_its_attempt),
        TEST(a_child_left_in_the_background_does_not_outlive_its_attempt),
        TEST(commands_die_with_the_process),
        TEST(a_worker_without_stdio_still_gives_it_to_commands),
    };
    return berth_test_main(tests, NULL, NULL);
}
