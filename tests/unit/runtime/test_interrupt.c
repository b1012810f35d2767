/* SPDX-License-Identifier: MIT */
#include "wefttest.h"

#include <signal.h>
#include <unistd.h>

struct blocked {
    int fds[2];
    atomic_bool is_inside, is_seen;
    int read_errno, reads, rc, check_rc, timeout_ms;
    bool goes_on; /* reads again after the first EINTR */
};

static int read_blocking(void *arg)
{
    struct blocked *b = arg;
    b->is_inside = true;
    char byte;
    for (;;) {
        b->reads++;
        if (read(b->fds[0], &byte, 1) >= 0)
            return 1;
        b->read_errno = errno;
        if (!b->goes_on || b->reads > 2)
            return -EINTR;
    }
}

static int interruptible(void *arg)
{
    struct blocked *b = arg;
    b->rc = weft_interruptible(read_blocking, b);
    b->check_rc = weft_check();
    return b->rc;
}

static void given_pipe(struct blocked *b)
{
    assert_int_equal(pipe(b->fds), 0);
}

static void close_pipe(struct blocked *b)
{
    (void)close(b->fds[0]);
    (void)close(b->fds[1]);
}

static void cancelling_gives_eintr_to_the_blocking_call(void **state)
{
    (void)state;
    struct blocked b = { .rc = 0 };
    given_pipe(&b);
    struct weft_task *root = weft_root_open(weft_io(), interruptible, &b);
    assert_true(test_block_until(&b.is_inside));

    weft_cancel(root);

    assert_int_equal(weft_root_close(root), WEFT_ECHILD);
    assert_int_equal(b.rc, -ECANCELED);
    assert_int_equal(b.read_errno, EINTR);
    assert_int_equal(b.check_rc, -ECANCELED);
    close_pipe(&b);
}

/* Who cancels may be early or late: whatever it hits, the call comes back. */
static void no_moment_of_cancelling_is_too_early(void **state)
{
    (void)state;
    for (int i = 0; i < (TEST_IS_SLOW ? 50 : 1000); i++) {
        struct blocked b = { .rc = 0 };
        given_pipe(&b);
        struct weft_task *root = weft_root_open(weft_io(), interruptible, &b);
        for (volatile int spin = 0; spin < i * 100; spin++) {
        }
        weft_cancel(root);
        assert_int_equal(weft_root_close(root), WEFT_ECHILD);
        close_pipe(&b);
    }
}

static void what_does_not_leave_is_signalled_again(void **state)
{
    (void)state;
    struct blocked b = { .goes_on = true };
    given_pipe(&b);
    struct weft_task *root = weft_root_open(weft_io(), interruptible, &b);
    assert_true(test_block_until(&b.is_inside));

    weft_cancel(root);

    assert_int_equal(weft_root_close(root), WEFT_ECHILD);
    assert_int_equal(b.reads, 3);
    close_pipe(&b);
}

static int timed(void *arg)
{
    struct blocked *b = arg;
    return weft_timeout_ms(b->timeout_ms, interruptible, b);
}

static void a_deadline_interrupts_too(void **state)
{
    (void)state;
    struct blocked b = { .rc = 0 };
    given_pipe(&b);

    /* On a busy machine the time can be over before it is inside: then once more. */
    for (b.timeout_ms = 20; !b.is_inside && b.timeout_ms < TEST_WAIT_MS; b.timeout_ms *= 2)
        assert_int_equal(weft_root_close(weft_root_open(weft_io(), timed, &b)), -ETIMEDOUT);

    assert_int_equal(b.read_errno, EINTR);
    close_pipe(&b);
}

static int write_one(void *arg)
{
    struct blocked *b = arg;
    return write(b->fds[1], "x", 1) == 1 ? 5 : -errno;
}

static int not_cancelled(void *arg)
{
    return weft_interruptible(write_one, arg);
}

static void without_cancelling_it_is_a_plain_call(void **state)
{
    (void)state;
    struct blocked b = { .rc = 0 };
    given_pipe(&b);

    assert_int_equal(weft_root_close(weft_root_open(weft_io(), not_cancelled, &b)), 5);

    close_pipe(&b);
}

static int signals_seen(void *arg)
{
    sigset_t *set = arg;
    return pthread_sigmask(SIG_BLOCK, NULL, set);
}

struct after {
    struct blocked b;
    sigset_t before, inside, after, pending;
};

static int look_inside(void *arg)
{
    struct after *a = arg;
    (void)signals_seen(&a->inside);
    return read_blocking(&a->b);
}

static int look_around(void *arg)
{
    struct after *a = arg;
    (void)signals_seen(&a->before);
    int rc = weft_interruptible(look_inside, a);
    (void)signals_seen(&a->after);
    (void)sigpending(&a->pending);
    return rc;
}

static void the_signal_gets_through_only_inside(void **state)
{
    (void)state;
    struct after a = { .b = { .goes_on = true } };
    given_pipe(&a.b);
    struct weft_task *root = weft_root_open(weft_io(), look_around, &a);
    assert_true(test_block_until(&a.b.is_inside));
    weft_cancel(root);
    (void)weft_root_close(root);

    int opened = 0;
    for (int number = 1; number <= SIGRTMAX; number++) {
        if (number == SIGKILL || number == SIGSTOP || (number > 31 && number < SIGRTMIN))
            continue;
        assert_int_equal(sigismember(&a.before, number), sigismember(&a.after, number));
        opened += sigismember(&a.before, number) - sigismember(&a.inside, number);
        assert_int_equal(sigismember(&a.pending, number), 0);
    }
    assert_int_equal(opened, 1);
    close_pipe(&a.b);
}

static int nested(void *arg)
{
    return weft_interruptible(interruptible, arg);
}

static void one_inside_another_is_interrupted_once_for_both(void **state)
{
    (void)state;
    struct blocked b = { .rc = 0 };
    given_pipe(&b);
    struct weft_task *root = weft_root_open(weft_io(), nested, &b);
    assert_true(test_block_until(&b.is_inside));

    weft_cancel(root);

    assert_int_equal(weft_root_close(root), WEFT_ECHILD);
    assert_int_equal(b.rc, -ECANCELED);
    close_pipe(&b);
}

static int cancelled_before(void *arg)
{
    struct blocked *b = arg;
    b->is_seen = true;
    while (weft_check() == 0)
        (void)sched_yield();
    return interruptible(b);
}

static void cancelled_before_it_does_not_run(void **state)
{
    (void)state;
    struct blocked b = { .rc = 0 };
    given_pipe(&b);
    struct weft_task *root = weft_root_open(weft_io(), cancelled_before, &b);
    assert_true(test_block_until(&b.is_seen));

    weft_cancel(root);

    assert_int_equal(weft_root_close(root), WEFT_ECHILD);
    assert_false(b.is_inside);
    close_pipe(&b);
}

static int without_fn(void *arg)
{
    (void)arg;
    return weft_interruptible(NULL, NULL);
}

static void bad_calls_are_refused(void **state)
{
    (void)state;
    struct blocked b = { .rc = 0 };

    assert_int_equal(weft_interruptible(read_blocking, &b), -EPERM);
    assert_int_equal(weft_run(without_fn, NULL), -EINVAL);
    assert_false(b.is_inside);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        weft_unit_test(cancelling_gives_eintr_to_the_blocking_call),
        weft_unit_test(no_moment_of_cancelling_is_too_early),
        weft_unit_test(what_does_not_leave_is_signalled_again),
        weft_unit_test(a_deadline_interrupts_too),
        weft_unit_test(without_cancelling_it_is_a_plain_call),
        weft_unit_test(the_signal_gets_through_only_inside),
        weft_unit_test(one_inside_another_is_interrupted_once_for_both),
        weft_unit_test(cancelled_before_it_does_not_run),
        weft_unit_test(bad_calls_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
