/* SPDX-License-Identifier: MIT
 *
 * A place to run commands in, and what was said about their ends.
 */
#include "exec_fixture.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/tempdir.h"

static void *copy_bytes(const void *data, size_t bytes)
{
    char *copy = calloc(1, bytes + 1);
    assert_non_null(copy);
    if (bytes > 0)
        memcpy(copy, data, bytes);
    return copy;
}

/* Whether a process holds the FIFO open for writing. */
bool exec_anyone_alive(const struct fixture *f)
{
    char byte;
    ssize_t bytes;
    while ((bytes = read(f->alive_fd, &byte, 1)) > 0)
        continue;
    return bytes < 0;
}

static void exec_on_end(void *arg, uint64_t attempt, const struct exec_end *end)
{
    struct fixture *f = arg;
    (void)pthread_mutex_lock(&f->lock);
    struct ended *ended = &f->ends[f->end_count++];
    ended->attempt = attempt;
    ended->end = *end;
    ended->end.error = end->error ? copy_bytes(end->error, strlen(end->error)) : NULL;
    ended->end.out.data = copy_bytes(end->out.data, end->out.bytes);
    ended->end.err.data = copy_bytes(end->err.data, end->err.bytes);
    ended->is_anyone_alive = exec_anyone_alive(f);
    (void)pthread_mutex_unlock(&f->lock);
    uint64_t one = 1;
    (void)!write(f->ended_fd, &one, sizeof one);
}

void exec_make_fifo(const struct fixture *f, const char *name)
{
    BERTH_AUTO_MEM char *path = tempdir_path(f->dir, name);
    assert_int_equal(mkfifo(path, 0600), 0);
}

int exec_open_in(const struct fixture *f, const char *name, int flags)
{
    BERTH_AUTO_MEM char *path = tempdir_path(f->dir, name);
    int fd = open(path, flags);
    assert_true(fd >= 0);
    return fd;
}

static void exec_on_output(void *arg, uint64_t attempt)
{
    const struct fixture *f = arg;
    (void)attempt;
    (void)eventfd_write(f->written_fd, 1);
}

struct fixture *exec_fixture_new(void)
{
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    f->dir = tempdir_new();
    (void)pthread_mutex_init(&f->lock, NULL);
    exec_make_fifo(f, "alive");
    exec_make_fifo(f, "gate");
    exec_make_fifo(f, "go");
    BERTH_AUTO_MEM char *path = tempdir_path(f->dir, "alive");
    f->alive_fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    f->gate_fd = exec_open_in(f, "gate", O_RDWR | O_CLOEXEC);
    f->ended_fd = eventfd(0, EFD_CLOEXEC | EFD_SEMAPHORE);
    f->written_fd = eventfd(0, EFD_CLOEXEC);
    assert_true(f->alive_fd >= 0 && f->ended_fd >= 0 && f->written_fd >= 0);
    struct exec_opts opts = {
        .work_dir = f->dir, .on_end = exec_on_end, .on_output = exec_on_output, .arg = f
    };
    assert_ok(exec_open(&opts, &f->exec, NULL));
    return f;
}

static void free_const(const void *memory)
{
    void *owned;
    memcpy(&owned, &memory, sizeof owned);
    free(owned);
}

void exec_fixture_free(struct fixture *f)
{
    exec_close(f->exec);
    for (size_t i = 0; i < f->end_count; i++) {
        free_const(f->ends[i].end.error);
        free_const(f->ends[i].end.out.data);
        free_const(f->ends[i].end.err.data);
    }
    (void)close(f->alive_fd);
    (void)close(f->ended_fd);
    (void)close(f->written_fd);
    (void)close(f->gate_fd);
    (void)pthread_mutex_destroy(&f->lock);
    tempdir_free(f->dir);
    free(f);
}

int exec_setup(void **state)
{
    *state = exec_fixture_new();
    return 0;
}

int exec_teardown(void **state)
{
    exec_fixture_free(*state);
    return 0;
}

struct berth_slice exec_slice(const char *text)
{
    return (struct berth_slice){ text, strlen(text) };
}

/* Starts attempt `attempt` of job 5 with up to three arguments. */
void exec_start_command(struct fixture *f, uint64_t attempt, const char *a, const char *b,
                        const char *c)
{
    struct berth_slice argv[] = { exec_slice(a), exec_slice(b ? b : ""), exec_slice(c ? c : "") };
    struct exec_command command = { .attempt = attempt,
                                    .job = 5,
                                    .number = 1,
                                    .dispatcher = exec_slice("default"),
                                    .argv = argv,
                                    .argv_count = c   ? 3
                                                  : b ? 2
                                                      : 1 };
    assert_ok(exec_start(f->exec, &command, NULL));
}

void exec_start_shell(struct fixture *f, uint64_t attempt, const char *script)
{
    exec_start_command(f, attempt, "/bin/sh", "-c", script);
}

void exec_await_readable(int fd)
{
    struct pollfd ready = { .fd = fd, .events = POLLIN };
    assert_int_equal(poll(&ready, 1, EXEC_DEADLINE_MS), 1);
}

size_t exec_count_ends(struct fixture *f)
{
    (void)pthread_mutex_lock(&f->lock);
    size_t count = f->end_count;
    (void)pthread_mutex_unlock(&f->lock);
    return count;
}

/* The next end; of several at once the last. */
struct ended *exec_await_end(struct fixture *f)
{
    uint64_t one;
    exec_await_readable(f->ended_fd);
    assert_int_equal(read(f->ended_fd, &one, sizeof one), sizeof one);
    return &f->ends[exec_count_ends(f) - 1];
}

struct ended *exec_run_shell(struct fixture *f, const char *script)
{
    exec_start_shell(f, 1, script);
    return exec_await_end(f);
}

/* Waits until the command writes a line into the FIFO "gate", and returns it as a number. */
long exec_await_gate(const struct fixture *f)
{
    char text[32] = "";
    for (size_t at = 0; at + 1 < sizeof text; at++) {
        exec_await_readable(f->gate_fd);
        assert_int_equal(read(f->gate_fd, &text[at], 1), 1);
        if (text[at] == '\n')
            return strtol(text, NULL, 10);
    }
    fail_msg("a line without an end: %s", text);
    return 0;
}

void exec_assert_text(struct berth_slice have, const char *want)
{
    assert_string_equal(have.data, want);
    assert_int_equal(have.bytes, strlen(want));
}
