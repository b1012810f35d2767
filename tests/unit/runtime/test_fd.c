/* SPDX-License-Identifier: MIT */
#include "wefttest.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

struct seen {
    int ends[2];
    int rc, other_rc;
    atomic_int waiting;
    atomic_bool is_ready;
    char text[8];
};

static int setup(void **state)
{
    struct seen *seen = calloc(1, sizeof *seen);
    if (!seen)
        return -1;
    *state = seen;
    return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, seen->ends);
}

static int teardown(void **state)
{
    struct seen *seen = *state;
    for (int i = 0; i < 2; i++) {
        if (seen->ends[i] >= 0)
            (void)close(seen->ends[i]);
    }
    free(seen);
    return weft_shutdown();
}

static int read_when_ready(void *arg)
{
    struct seen *seen = arg;
    seen->waiting++;
    seen->rc = weft_fd_wait(seen->ends[0], POLLIN, weft_deadline_ms(TEST_WAIT_MS));
    if (seen->rc < 0)
        return seen->rc;
    return (int)read(seen->ends[0], seen->text, sizeof seen->text);
}

static int write_later(void *arg)
{
    struct seen *seen = arg;
    int rc = weft_sleep_ms(5);
    return rc < 0 ? rc : (int)write(seen->ends[1], "hello", 6);
}

static int echo(void *arg)
{
    struct weft_scope scope;
    weft_scope_open(&scope);
    struct weft_task *reader = weft_async(&scope, NULL, read_when_ready, arg);
    weft_launch(&scope, NULL, write_later, arg);
    int rc = weft_await(reader);
    return weft_scope_close(&scope, rc);
}

static void a_reader_is_woken_when_there_is_something_to_read(void **state)
{
    struct seen *seen = *state;

    assert_int_equal(weft_run(echo, seen), 6);

    assert_int_equal(seen->rc, POLLIN);
    assert_string_equal(seen->text, "hello");
}

static int wait_both(void *arg)
{
    struct seen *seen = arg;
    seen->rc = weft_fd_wait(seen->ends[1], POLLIN | POLLOUT, WEFT_NEVER);
    seen->other_rc = weft_fd_wait(seen->ends[1], POLLIN, weft_deadline_ms(10));
    return weft_fd_wait(seen->ends[1], POLLIN, 0);
}

static void what_is_ready_is_reported_at_once_and_what_is_not_times_out(void **state)
{
    struct seen *seen = *state;

    assert_int_equal(weft_run(wait_both, seen), -ETIMEDOUT);

    assert_int_equal(seen->rc, POLLOUT);
    assert_int_equal(seen->other_rc, -ETIMEDOUT);
}

static int wait_for_hang_up(void *arg)
{
    struct seen *seen = arg;
    seen->waiting++;
    return weft_fd_wait(seen->ends[0], POLLIN, weft_deadline_ms(TEST_WAIT_MS));
}

static int hang_up(void *arg)
{
    struct seen *seen = arg;
    struct weft_scope scope;
    weft_scope_open(&scope);
    struct weft_task *waits[2];
    for (int i = 0; i < 2; i++) /* several may wait on one descriptor */
        waits[i] = weft_async(&scope, NULL, wait_for_hang_up, seen);
    while (seen->waiting < 2)
        (void)weft_yield();
    (void)weft_sleep_ms(5);
    (void)close(seen->ends[1]);
    seen->ends[1] = -1;
    seen->rc = weft_await(waits[0]);
    seen->other_rc = weft_await(waits[1]);
    return weft_scope_close(&scope, 0);
}

static void all_who_wait_are_told_of_a_hang_up(void **state)
{
    struct seen *seen = *state;

    assert_int_equal(weft_run(hang_up, seen), 0);

    assert_int_equal(seen->rc, POLLIN | POLLHUP);
    assert_int_equal(seen->other_rc, POLLIN | POLLHUP);
}

static int one_leaves(void *arg)
{
    struct seen *seen = arg;
    struct weft_scope scope;
    weft_scope_open(&scope);
    struct weft_task *leaver = weft_async(&scope, NULL, wait_for_hang_up, seen);
    struct weft_task *stayer = weft_async(&scope, NULL, wait_for_hang_up, seen);
    while (seen->waiting < 2)
        (void)weft_yield();
    (void)weft_sleep_ms(5);
    weft_cancel(leaver);
    seen->other_rc = weft_await(leaver);
    int rc = write(seen->ends[1], "x", 1) == 1 ? 0 : -EIO;
    seen->rc = weft_await(stayer);
    return weft_scope_close(&scope, rc);
}

static void who_is_cancelled_leaves_the_others_waiting(void **state)
{
    struct seen *seen = *state;

    assert_int_equal(weft_run(one_leaves, seen), 0);

    assert_int_equal(seen->other_rc, WEFT_ECHILD);
    assert_int_equal(seen->rc, POLLIN);
}

static int close_under_waiter(void *arg)
{
    struct seen *seen = arg;
    struct weft_scope scope;
    weft_scope_open(&scope);
    struct weft_task *waiter = weft_async(&scope, NULL, wait_for_hang_up, seen);
    while (seen->waiting < 1)
        (void)weft_yield();
    (void)weft_sleep_ms(5);
    int rc = weft_fd_close(seen->ends[0]);
    seen->ends[0] = -1;
    seen->rc = weft_await(waiter);
    seen->is_ready = true;
    return weft_scope_close(&scope, rc < 0 ? rc : 0) == -EBADF && seen->rc < 0 ? 0 : -EINVAL;
}

static void closing_wakes_who_waits_with_ebadf(void **state)
{
    struct seen *seen = *state;

    assert_int_equal(weft_run(close_under_waiter, seen), 0);
}

static int wait_on_bad(void *arg)
{
    struct seen *seen = arg;
    seen->rc = weft_fd_wait(-1, POLLIN, WEFT_NEVER);
    seen->other_rc = weft_fd_wait(seen->ends[0], 0, WEFT_NEVER);
    int closed = dup(seen->ends[0]);
    (void)close(closed);
    return weft_fd_wait(closed, POLLIN, WEFT_NEVER);
}

static void a_descriptor_or_event_that_is_none_is_an_error(void **state)
{
    struct seen *seen = *state;

    assert_int_equal(weft_run(wait_on_bad, seen), -EBADF);

    assert_int_equal(seen->rc, -EBADF);
    assert_int_equal(seen->other_rc, -EINVAL);
    assert_int_equal(weft_fd_close(-1), -EBADF);
}

static int wait_on_file(void *arg)
{
    (void)arg;
    int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    int rc = weft_fd_wait(fd, POLLIN, WEFT_NEVER);
    int closed = weft_fd_close(fd);
    return closed < 0 ? closed : rc;
}

static void a_file_is_always_ready(void **state)
{
    (void)state;
    assert_int_equal(weft_run(wait_on_file, NULL), POLLIN);
}

static void a_plain_thread_may_ask(void **state)
{
    struct seen *seen = *state;

    assert_int_equal(weft_fd_wait(seen->ends[0], POLLIN, 0), -ETIMEDOUT);
    assert_int_equal(weft_fd_wait(seen->ends[0], POLLOUT, 0), POLLOUT);
    assert_int_equal(weft_fd_wait(seen->ends[0], POLLOUT, WEFT_NEVER), -EPERM);
}

#define fd_unit_test(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        fd_unit_test(a_reader_is_woken_when_there_is_something_to_read),
        fd_unit_test(what_is_ready_is_reported_at_once_and_what_is_not_times_out),
        fd_unit_test(all_who_wait_are_told_of_a_hang_up),
        fd_unit_test(who_is_cancelled_leaves_the_others_waiting),
        fd_unit_test(closing_wakes_who_waits_with_ebadf),
        fd_unit_test(a_descriptor_or_event_that_is_none_is_an_error),
        fd_unit_test(a_file_is_always_ready),
        fd_unit_test(a_plain_thread_may_ask),
    };
    return berth_test_main(tests, NULL, NULL);
}
