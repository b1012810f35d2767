/* SPDX-License-Identifier: MIT
 *
 * Many commands on one thread: starting, cancelling, closing, refusing.
 */
#include "support/berthtest.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "exec_fixture.h"
#include "support/tempdir.h"

#define LONG_MS 60000 /* a grace that no test waits for */
#define MANY    200

static void a_cancelled_command_may_end_by_itself(void **state)
{
    struct fixture *f = *state;
    exec_start_shell(
        f, 1, "trap 'echo bye; exit 7' TERM; echo 1 > gate; while :; do sleep 60 & wait; done");
    (void)exec_await_gate(f);

    exec_cancel(f->exec, 1, LONG_MS);

    struct ended *ended = exec_await_end(f);
    assert_true(ended->end.is_cancelled);
    assert_int_equal(ended->end.exit_code, 7);
    exec_assert_text(ended->end.out, "bye\n");
}

static void sigterm_reaches_the_whole_group(void **state)
{
    struct fixture *f = *state;
    exec_start_shell(f, 1,
                     "exec 9> alive; sh -c 'trap \"echo child >&2; exit\" TERM; echo 1 > gate;"
                     " while :; do sleep 60 & wait; done' & trap 'wait; exit 0' TERM; wait");
    (void)exec_await_gate(f);

    exec_cancel(f->exec, 1, LONG_MS);

    struct ended *ended = exec_await_end(f);
    exec_assert_text(ended->end.err, "child\n");
    assert_false(ended->is_anyone_alive);
}

static void a_command_that_ignores_sigterm_is_killed_after_the_grace(void **state)
{
    struct fixture *f = *state;
    exec_start_shell(f, 1,
                     "exec 9> alive; trap '' TERM; echo 1 > gate; while :; do sleep 60; done");
    (void)exec_await_gate(f);
    int64_t before_ms = berth_clock_monotonic_ms();

    exec_cancel(f->exec, 1, 100);

    struct ended *ended = exec_await_end(f);
    assert_true(berth_clock_monotonic_ms() - before_ms >= 100);
    assert_true(ended->end.is_cancelled);
    assert_int_equal(ended->end.exit_code, 128 + SIGKILL);
    assert_int_equal(ended->end.signal, SIGKILL);
    assert_false(ended->is_anyone_alive);
}

static void a_second_cancel_brings_the_end_nearer(void **state)
{
    struct fixture *f = *state;
    exec_start_shell(f, 1, "trap '' TERM; echo 1 > gate; while :; do sleep 60; done");
    (void)exec_await_gate(f);

    exec_cancel(f->exec, 1, LONG_MS);
    exec_cancel(f->exec, 1, 0);
    exec_cancel(f->exec, 1, LONG_MS);

    assert_int_equal(exec_await_end(f)->end.signal, SIGKILL);
}

static void a_cancel_that_overtakes_the_start_is_not_lost(void **state)
{
    struct fixture *f = *state;
    exec_start_command(f, 1, "sleep", "60", NULL);
    exec_cancel(f->exec, 1, LONG_MS);

    struct ended *ended = exec_await_end(f);
    assert_true(ended->end.is_cancelled);
    if (ended->end.is_started)
        assert_int_equal(ended->end.signal, SIGTERM);
    else
        assert_string_equal(ended->end.error,
                            "cancelled before it was started: Operation canceled");
}

static void cancelling_what_is_not_there_is_no_error(void **state)
{
    struct fixture *f = *state;
    exec_cancel(f->exec, 99, 0);
    assert_int_equal(exec_run_shell(f, "exit 0")->end.exit_code, 0);
    exec_cancel(f->exec, 1, 0);
}

static void closing_kills_what_runs_and_reports_it(void **state)
{
    struct fixture *f = *state;
    exec_start_shell(f, 1, "exec 9> alive; trap '' TERM; echo 1 > gate; sleep 60; true");
    (void)exec_await_gate(f);

    exec_close(f->exec);
    f->exec = NULL;

    assert_int_equal(f->end_count, 1);
    assert_int_equal(f->ends[0].end.signal, SIGKILL);
    assert_true(f->ends[0].end.is_cancelled);
    assert_false(f->ends[0].is_anyone_alive);
}

static void an_attempt_that_runs_is_not_started_again(void **state)
{
    struct fixture *f = *state;
    struct berth_slice argv[] = { exec_slice("true") };
    struct exec_command command = { .attempt = 1, .argv = argv, .argv_count = 1 };
    exec_start_command(f, 1, "sleep", "60", NULL);

    assert_rc(exec_start(f->exec, &command, NULL), -EEXIST);

    exec_cancel(f->exec, 1, 0);
    assert_true(exec_await_end(f)->end.is_cancelled);
    assert_int_equal(f->end_count, 1);
}

/* Waits until the command has written `bytes` bytes to the stream, and takes what is new. */
static void assert_peek(struct fixture *f, enum exec_stream stream, uint64_t *from,
                        const char *want)
{
    char text[64];
    size_t left, bytes;
    while (exec_peek(f->exec, 1, stream, from, NULL, sizeof text, &left) < strlen(want)) {
        eventfd_t count;
        exec_await_readable(f->written_fd);
        assert_int_equal(eventfd_read(f->written_fd, &count), 0);
    }
    bytes = exec_peek(f->exec, 1, stream, from, text, strlen(want), &left);
    text[bytes] = '\0';
    exec_assert_text((struct berth_slice){ text, bytes }, want);
    *from += bytes;
}

static void what_a_command_writes_is_seen_while_it_runs(void **state)
{
    struct fixture *f = *state;
    uint64_t out = 0, err = 0;
    size_t left;
    exec_start_shell(f, 1, "echo one; echo two >&2; read x < go; echo three; exec sleep 60");

    assert_peek(f, EXEC_STDOUT, &out, "one\n");
    assert_peek(f, EXEC_STDERR, &err, "two\n");
    int go = exec_open_in(f, "go", O_WRONLY | O_CLOEXEC);
    assert_int_equal(write(go, "\n", 1), 1);
    (void)close(go);
    assert_peek(f, EXEC_STDOUT, &out, "three\n");

    /* A piece says how much stands behind it; one that is not there has nothing. */
    uint64_t from = 0;
    assert_int_equal(exec_peek(f->exec, 1, EXEC_STDOUT, &from, NULL, 3, &left), 3);
    assert_int_equal(left, 7);
    assert_int_equal(exec_peek(f->exec, 2, EXEC_STDOUT, &from, NULL, 3, &left), 0);
    exec_cancel(f->exec, 1, 0);
    struct exec_end *end = &exec_await_end(f)->end;
    exec_assert_text(end->out, "one\nthree\n");
    assert_int_equal(end->out_from, 0);
    assert_int_equal(exec_peek(f->exec, 1, EXEC_STDOUT, &from, NULL, 3, &left), 0);
}

static void a_work_dir_that_cannot_be_used_is_named(void **state)
{
    struct fixture *f = *state;
    struct berth_error err;
    struct exec *exec = NULL;
    struct exec_opts opts = { .work_dir = "/no/such/dir" };
    assert_rc(exec_open(&opts, &exec, &err), -ENOENT);
    assert_string_equal(err.message, "work dir '/no/such/dir': No such file or directory");

    BERTH_AUTO_MEM char *path = tempdir_path(f->dir, "plain");
    tempdir_write(path, "");
    opts.work_dir = path;
    assert_rc(exec_open(&opts, &exec, &err), -ENOTDIR);
    assert_null(exec);
}

static void without_descriptors_an_attempt_is_not_started_and_can_be_handed_back(void **state)
{
    struct fixture *f = *state;
    struct rlimit was;
    (void)exec_run_shell(f, "exit 0"); /* the nursery is there now */
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
    int refused_count = 0, shim_count = 0, next_fd = dup(0);
    assert_int_equal(close(next_fd), 0);
    /* Room for one more at a time, until it is enough: each in turn is not to be had. */
    for (bool is_started = false; !is_started; next_fd++) {
        struct rlimit low = { .rlim_cur = (rlim_t)next_fd, .rlim_max = was.rlim_max };
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
        exec_start_command(f, 1, "true", NULL, NULL);
        struct ended *ended = exec_await_end(f);
        is_started = ended->end.is_started;
        if (is_started)
            continue;
        if (strcmp(ended->end.error, "run 'true': shim: Too many open files") == 0)
            shim_count++;
        else
            assert_string_equal(ended->end.error, "run 'true': pipes: Too many open files");
        refused_count++;
    }
    assert_in_range(refused_count, 6, 16);
    assert_in_range(shim_count, 1, 16);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &was), 0);
    assert_int_equal(exec_run_shell(f, "exit 0")->end.exit_code, 0);
}

static int open_fifo(const struct fixture *f, const char *name)
{
    exec_make_fifo(f, name);
    BERTH_AUTO_MEM char *path = tempdir_path(f->dir, name);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

static void two_hundred_attempts_run_at_once(void **state)
{
    struct fixture *f = *state;
    BERTH_AUTO_FD int here = open_fifo(f, "here");
    BERTH_AUTO_FD int go = open_fifo(f, "all");
    for (uint64_t i = 1; i <= MANY; i++) {
        char script[64];
        (void)snprintf(script, sizeof script, "echo > here; read line < all; echo %d", (int)i);
        exec_start_shell(f, i, script);
    }
    for (int i = 0; i < MANY; i++) {
        char byte;
        exec_await_readable(here);
        assert_int_equal(read(here, &byte, 1), 1);
    }
    assert_int_equal(exec_count_ends(f), 0);
    for (int i = 0; i < MANY; i++)
        assert_int_equal(write(go, "\n", 1), 1);

    for (int i = 0; i < MANY; i++)
        (void)exec_await_end(f);

    for (int i = 0; i < MANY; i++) {
        char want[32];
        (void)snprintf(want, sizeof want, "%d\n", (int)f->ends[i].attempt);
        assert_int_equal(f->ends[i].end.exit_code, 0);
        exec_assert_text(f->ends[i].end.out, want);
    }
}

static int count_descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    assert_non_null(dir);
    int count = 0;
    while (readdir(dir))
        count++;
    assert_int_equal(closedir(dir), 0);
    return count;
}

static void no_descriptor_and_no_child_is_left(void **state)
{
    (void)state;
    int before = count_descriptors();
    struct fixture *f = exec_fixture_new();
    (void)exec_run_shell(f, "exit 0"); /* the nursery is there now */
    int open_count = count_descriptors();
    for (int i = 0; i < 20; i++) {
        exec_start_shell(f, 1, "cat; echo out");
        (void)exec_await_end(f);
        exec_start_command(f, 2, "no-such-command", NULL, NULL);
        (void)exec_await_end(f);
    }
    assert_int_equal(count_descriptors(), open_count);
    exec_fixture_free(f);
    assert_int_equal(count_descriptors(), before);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, exec_setup, exec_teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_cancelled_command_may_end_by_itself),
        TEST(sigterm_reaches_the_whole_group),
        TEST(a_command_that_ignores_sigterm_is_killed_after_the_grace),
        TEST(a_second_cancel_brings_the_end_nearer),
        TEST(a_cancel_that_overtakes_the_start_is_not_lost),
        TEST(cancelling_what_is_not_there_is_no_error),
        TEST(closing_kills_what_runs_and_reports_it),
        TEST(an_attempt_that_runs_is_not_started_again),
        TEST(what_a_command_writes_is_seen_while_it_runs),
        TEST(a_work_dir_that_cannot_be_used_is_named),
        TEST(without_descriptors_an_attempt_is_not_started_and_can_be_handed_back),
        TEST(two_hundred_attempts_run_at_once),
        cmocka_unit_test(no_descriptor_and_no_child_is_left),
    };
    return berth_test_main(tests, NULL, NULL);
}
