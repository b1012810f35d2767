/* SPDX-License-Identifier: MIT
 *
 * A coroutine that parks inside a libc call wakes on the same thread: on virtual, and in views of
 * it whose loops run at other seats. Built with -O2: an optimizer is what keeps addresses of
 * thread-locals over a call.
 */
#include "wefttest.h"

#include <sys/syscall.h>
#include <unistd.h>

#define COROUTINES 40
#define ROUNDS     (TEST_IS_SLOW ? 5 : 20)

static _Thread_local int last;

struct bound {
    struct weft_dispatcher *on;
    atomic_int running, running_max;
    atomic_int other_thread, other_local;
};

/* The truth, which the compiler cannot keep from before. */
static __attribute__((noinline)) int *last_here(void)
{
    __asm__ volatile("" ::: "memory");
    return &last;
}

static void count_in(struct bound *bound)
{
    int now = ++bound->running, max = bound->running_max;
    while (now > max && !atomic_compare_exchange_weak(&bound->running_max, &max, now)) {
    }
}

static int park_often(void *arg)
{
    struct bound *bound = arg;
    int *mine = &last;
    long thread = syscall(SYS_gettid);
    for (int i = 0; i < ROUNDS; i++) {
        /* sleeps: a libc call that parks */
        if (usleep(100 + (useconds_t)i % 7 * 100) != 0)
            return -EIO;
        count_in(bound);
        if (syscall(SYS_gettid) != thread)
            bound->other_thread++;
        if (mine != last_here())
            bound->other_local++;
        bound->running--;
    }
    return 0;
}

static int park_all(void *arg)
{
    struct bound *bound = arg;
    struct weft_scope scope;
    weft_scope_open(&scope);
    weft_scope_deadline(&scope, weft_deadline_ms(TEST_WAIT_MS));
    for (int i = 0; i < COROUTINES; i++)
        weft_launch(&scope, bound->on, park_often, bound);
    return weft_scope_close(&scope, 0);
}

/* Again if the monitor took a thread for stuck (under a sanitizer they wait for each other while
 * stacks are made): then some go on elsewhere, as they should. */
static void check(struct weft_dispatcher *on, int running_max)
{
    struct bound bound;
    unsigned before;
    int64_t deadline_ns = weft_deadline_ms(TEST_WAIT_MS);
    do {
        bound = (struct bound){ .on = on };
        struct weft_task *root = weft_root_open(weft_virtual(), park_all, &bound);
        before = test_replaced();
        assert_int_equal(weft_root_close(root), 0);
    } while (test_replaced() != before && weft_now_ns() < deadline_ns);

    assert_int_equal(test_replaced(), before);
    assert_int_equal(bound.other_thread, 0);
    assert_int_equal(bound.other_local, 0);
    assert_in_range(bound.running_max, 1, running_max);
}

static void given_four_seats(void)
{
    assert_int_equal(weft_configure(&(struct weft_opts){ .threads = 4 }), 0);
}

static void a_parked_call_wakes_on_its_thread(void **state)
{
    (void)state;
    given_four_seats();
    check(weft_virtual(), 4);
}

static void it_does_so_in_a_serial_view(void **state)
{
    (void)state;
    given_four_seats();
    struct weft_dispatcher *serial;
    assert_int_equal(weft_view_serial(weft_virtual(), "serial", &serial), 0);
    check(serial, 1);
}

static void it_does_so_in_a_view_of_several(void **state)
{
    (void)state;
    given_four_seats();
    struct weft_dispatcher *three;
    assert_int_equal(weft_view_nested(weft_virtual(), 3, "three", &three), 0);
    check(three, 3);
}

static void it_does_so_in_a_view_in_a_view(void **state)
{
    (void)state;
    given_four_seats();
    struct weft_dispatcher *outer, *inner, *innermost;
    assert_int_equal(weft_view_nested(weft_virtual(), 2, "outer", &outer), 0);
    assert_int_equal(weft_view_nested(outer, 3, "inner", &inner), 0);
    assert_int_equal(weft_view_nested(inner, 4, "innermost", &innermost), 0);
    check(innermost, 2);
    check(inner, 2);
    check(outer, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        weft_unit_test(a_parked_call_wakes_on_its_thread),
        weft_unit_test(it_does_so_in_a_serial_view),
        weft_unit_test(it_does_so_in_a_view_of_several),
        weft_unit_test(it_does_so_in_a_view_in_a_view),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
