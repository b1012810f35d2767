/* SPDX-License-Identifier: MIT
 *
 * What becomes of descriptors on which coroutines wait: closed, used again for something else,
 * shared with a child, made non-blocking by their owner.
 */
#include "fdtest.h"

#include <fcntl.h>
#include <sys/wait.h>

static int read_one(void *arg)
{
    struct parked *p = arg;
    char byte;
    p->is_inside = true;
    p->rc = read(p->fd, &byte, 1);
    p->error = errno;
    return 0;
}

/* On one thread, or it would be "most probably parked": there it is when anybody else runs. */
static int disturb(void *arg)
{
    struct parked *p = arg;
    struct weft_scope scope;
    weft_scope_open(&scope);
    struct weft_task *reader = weft_async(&scope, NULL, read_one, p);
    bool is_inside = test_await(&p->is_inside);
    p->disturb(p, reader);
    int rc = weft_await(reader);
    (void)weft_scope_close(&scope, 0);
    return is_inside ? rc : -ETIMEDOUT;
}

static void by_cancel(struct parked *p, struct weft_task *task)
{
    (void)p;
    weft_cancel(task);
}

static void by_close(struct parked *p, struct weft_task *task)
{
    (void)task;
    (void)close(p->fd);
}

static void by_dup2(struct parked *p, struct weft_task *task)
{
    (void)task;
    (void)dup2(p->other_fd, p->fd);
}

static void by_hang_up(struct parked *p, struct weft_task *task)
{
    (void)task;
    (void)close(p->other_fd);
}

/* Then gives the reader what it waits for. */
static void await_child(struct parked *p, pid_t pid)
{
    int status;
    while (waitpid(pid, &status, WNOHANG) == 0)
        (void)weft_sleep_ms(1);
    ssize_t written = write(p->other_fd, "x", 1); /* or the reader waits in vain */
    (void)written;
}

static void close_in_child(struct parked *p)
{
    (void)close(p->fd);
    (void)dup2(p->other_fd, p->fd);
    _exit(0);
}

static void by_fork(struct parked *p, struct weft_task *task)
{
    (void)task;
    pid_t pid = fork();
    if (pid == 0)
        close_in_child(p);
    await_child(p, pid);
}

static void by_vfork(struct parked *p, struct weft_task *task)
{
    (void)task;
    pid_t pid = vfork();
    if (pid == 0)
        close_in_child(p);
    await_child(p, pid);
}

static void what_a_child_closes_is_still_open_here(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        int fds[2] = { -1, -1 };
        assert_int_equal(open_ends(i < 2 ? PIPE : STREAM, fds), 0);
        struct parked p = { .fd = fds[0], .other_fd = fds[1] };
        p.disturb = i % 2 ? by_vfork : by_fork;

        assert_int_equal(run_virtual(disturb, &p), 0);

        assert_int_equal(p.rc, 1);
        close_ends(fds);
    }
}

static void a_parked_read_ends_when_cancelled_closed_or_hung_up(void **state)
{
    (void)state;
    static const struct {
        void (*disturb)(struct parked *parked, struct weft_task *task);
        int rc, error;
    } cases[] = { { by_cancel, -1, ECANCELED },
                  { by_close, -1, EBADF },
                  { by_dup2, -1, EBADF },
                  { by_hang_up, 0, 0 } };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (enum sort sort = PIPE; sort <= STREAM; sort++) {
            int fds[2] = { -1, -1 };
            assert_int_equal(open_ends(sort, fds), 0);
            struct parked p = { .fd = fds[0], .other_fd = fds[1], .disturb = cases[i].disturb };

            assert_int_equal(run_virtual(disturb, &p), 0);

            assert_int_equal(p.rc, cases[i].rc);
            if (cases[i].rc < 0)
                assert_int_equal(p.error, cases[i].error);
            close_ends(fds);
        }
    }
}

static int reuse(void *arg)
{
    struct outcome *o = arg;
    char bytes[16];
    int fds[2], pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0 || pipe(fds) < 0)
        return -errno;
    if (write(pair[1], "socket", 6) != 6 || write(fds[1], "a pipe", 6) != 6)
        return -EIO;
    o[0] = outcome_of(read(pair[0], bytes, sizeof bytes));
    (void)dup3(fds[0], pair[0], 0);
    o[1] = outcome_of(read(pair[0], bytes, sizeof bytes));
    o[1].error = memcmp(bytes, "a pipe", 6);
    (void)dup2(pair[1], pair[0]); /* a socket again, whose other end is gone */
    o[2] = outcome_of(read(pair[0], bytes, sizeof bytes));
    (void)close(pair[0]);
    (void)close(pair[1]);
    close_ends(fds);
    return 0;
}

static void a_number_may_come_to_mean_something_else(void **state)
{
    (void)state;
    struct outcome o[3];

    assert_int_equal(run_virtual(reuse, o), 0);

    assert_int_equal(o[0].rc, 6);
    assert_int_equal(o[1].rc, 6);
    assert_int_equal(o[1].error, 0);
    assert_int_equal(o[2].rc, 0);
}

static int read_in_child(void *arg)
{
    struct outcome *o = arg;
    int fds[2], flags;
    char byte;
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) < 0)
        return -errno;
    pid_t pid = fork();
    if (pid == 0) { /* the other process makes it non-blocking, and so for everybody */
        (void)fcntl(fds[0], F_SETFL, O_NONBLOCK);
        _exit(0);
    }
    int status;
    while (pid > 0 && waitpid(pid, &status, WNOHANG) == 0)
        (void)weft_sleep_ms(1);
    flags = fcntl(fds[0], F_GETFL);
    o[0] = outcome_of(read(fds[0], &byte, 1));
    close_ends(fds);
    return flags & O_NONBLOCK ? 0 : -EIO;
}

static void a_descriptor_that_a_child_shares_is_asked_each_time(void **state)
{
    (void)state;
    struct outcome o = { 0 };

    assert_int_equal(run_virtual(read_in_child, &o), 0);

    assert_int_equal(o.rc, -1);
    assert_int_equal(o.error, EAGAIN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        one_thread_test(a_parked_read_ends_when_cancelled_closed_or_hung_up),
        one_thread_test(what_a_child_closes_is_still_open_here),
        parking_unit_test(a_number_may_come_to_mean_something_else),
        parking_unit_test(a_descriptor_that_a_child_shares_is_asked_each_time),
    };
    return berth_test_main(tests, NULL, NULL);
}
