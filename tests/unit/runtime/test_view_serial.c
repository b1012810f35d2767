/* SPDX-License-Identifier: MIT */
/* Serial views, and the order in which views serve. */
#include "wefttest.h"

#include <weft/sync.h>

#include "view.h"

#define MANY    40
#define COUNT   (TEST_IS_SLOW ? 1000 : 10000)
#define MOST_MS 10000

/* ---- serial ---------------------------------------------------------------------------------- */

struct counter {
    struct weft_dispatcher *serial;
    int count; /* plain: TSan tells if two turns are not in order */
    int64_t until_ns;
    atomic_int rounds;
};

static int increment_many(void *arg)
{
    struct counter *counter = arg;
    struct weft_scope scope;
    weft_scope_open(&scope);
    for (int i = 0; i < COUNT / 2; i++)
        weft_launch(&scope, counter->serial, increment, &counter->count);
    return weft_scope_close(&scope, 0);
}

static void a_serial_counter_that_two_threads_feed_is_exact(void **state)
{
    (void)state;
    struct counter counter = { .count = 0 };
    assert_int_equal(weft_view_serial(weft_default(), "counter", &counter.serial), 0);

    struct weft_task *first = weft_root_open(weft_default(), increment_many, &counter);
    struct weft_task *second = weft_root_open(weft_io(), increment_many, &counter);
    assert_int_equal(weft_root_close(first), 0);
    assert_int_equal(weft_root_close(second), 0);

    assert_int_equal(counter.count, COUNT);
}

static int increment_and_yield(void *arg)
{
    struct counter *counter = arg;
    for (int i = 0; i < COUNT / 10 && weft_now_ns() < counter->until_ns; i++) {
        counter->count++;
        counter->rounds++;
        int rc = i % 2 == 0 ? weft_yield() : weft_with(weft_default(), increment, &(int){ 0 });
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int yield_many(void *arg)
{
    struct counter *counter = arg;
    return launch_many(counter->serial, 10, increment_and_yield, counter);
}

static void coroutines_that_leave_a_serial_view_and_come_back_stay_in_order(void **state)
{
    (void)state;
    /* Each round waits for two threads: on a busy machine there are fewer. */
    struct counter counter = { .until_ns = weft_deadline_ms(MOST_MS) };
    assert_int_equal(weft_view_serial(weft_io(), "counter", &counter.serial), 0);

    assert_int_equal(weft_run(yield_many, &counter), 0);

    assert_true(counter.rounds > 0);
    assert_int_equal(counter.count, counter.rounds);
}

struct meeting {
    struct weft_dispatcher *serial;
    atomic_bool is_waiting, may_go;
    bool has_met;
};

static int wait_parked(void *arg)
{
    struct meeting *meeting = arg;
    meeting->is_waiting = true;
    return test_await(&meeting->may_go) ? 0 : -ETIMEDOUT;
}

static int let_go(void *arg)
{
    struct meeting *meeting = arg;
    meeting->has_met = meeting->is_waiting && weft_current() == meeting->serial;
    meeting->may_go = true;
    return 0;
}

static int meet(void *arg)
{
    struct meeting *meeting = arg;
    struct weft_scope scope;
    weft_scope_open(&scope);
    weft_launch(&scope, meeting->serial, wait_parked, meeting);
    weft_launch(&scope, meeting->serial, let_go, meeting);
    return weft_scope_close(&scope, 0);
}

static void a_parked_coroutine_has_left_its_place(void **state)
{
    (void)state;
    struct meeting meeting = { .has_met = false };
    assert_int_equal(weft_view_serial(weft_default(), "meeting", &meeting.serial), 0);

    assert_int_equal(weft_run(meet, &meeting), 0);

    assert_true(meeting.has_met);
}

/* ---- order ----------------------------------------------------------------------------------- */

struct order {
    struct weft_dispatcher *a, *b;
    char seen[4 * MANY + 1];
    size_t used;
};

static int note_a(void *arg)
{
    struct order *order = arg;
    order->seen[order->used++] = 'a';
    return 0;
}

static int note_b(void *arg)
{
    struct order *order = arg;
    order->seen[order->used++] = 'b';
    return 0;
}

static int launch_both(void *arg)
{
    struct order *order = arg;
    struct weft_scope scope;
    weft_scope_open(&scope);
    for (int i = 0; i < MANY; i++)
        weft_launch(&scope, order->a, note_a, order);
    for (int i = 0; i < MANY; i++)
        weft_launch(&scope, order->b, note_b, order);
    return weft_scope_close(&scope, 0); /* parks: only now its thread has time for them */
}

static void two_views_of_one_thread_take_turns_by_sixteen(void **state)
{
    (void)state;
    struct order order = { .used = 0 };
    assert_int_equal(weft_configure(&(struct weft_opts){ .threads = 1 }), 0);
    assert_int_equal(weft_view_serial(weft_default(), "a", &order.a), 0);
    assert_int_equal(weft_view_nested(weft_default(), 7, "b", &order.b), 0);

    assert_int_equal(weft_run(launch_both, &order), 0);

    assert_int_equal(WEFT_VIEW_TURNS_MAX, 16);
    assert_string_equal(order.seen, "aaaaaaaaaaaaaaaabbbbbbbbbbbbbbbb"
                                    "aaaaaaaaaaaaaaaabbbbbbbbbbbbbbbb"
                                    "aaaaaaaabbbbbbbb");
}

static void a_busy_view_does_not_starve_its_parent(void **state)
{
    (void)state;
    struct order order = { .b = weft_default() };
    assert_int_equal(weft_configure(&(struct weft_opts){ .threads = 1 }), 0);
    assert_int_equal(weft_view_nested(weft_default(), 3, "busy", &order.a), 0);

    assert_int_equal(weft_run(launch_both, &order), 0);

    assert_int_equal(strlen(order.seen), 2 * MANY);
    assert_memory_equal(order.seen, "aaaaaaaaaaaaaaaab", 17);
}

struct numbers {
    struct weft_dispatcher *serial;
    int next;
    bool is_in_order;
};

struct number {
    struct numbers *all;
    int value;
};

static int take_number(void *arg)
{
    struct number *number = arg;
    if (number->all->next++ != number->value)
        number->all->is_in_order = false;
    return 0;
}

static int launch_numbers(void *arg)
{
    struct numbers *all = arg;
    struct weft_scope scope;
    weft_scope_open(&scope);
    for (int i = 0; i < COUNT; i++) {
        struct number number = { .all = all, .value = i };
        weft_launch_copy(&scope, all->serial, take_number, &number, sizeof number);
    }
    return weft_scope_close(&scope, 0);
}

static void a_serial_view_serves_in_order_of_arrival(void **state)
{
    (void)state;
    struct numbers all = { .is_in_order = true };
    assert_int_equal(weft_view_serial(weft_default(), "numbers", &all.serial), 0);

    assert_int_equal(weft_run(launch_numbers, &all), 0);

    assert_int_equal(all.next, COUNT);
    assert_true(all.is_in_order);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        weft_unit_test(a_serial_counter_that_two_threads_feed_is_exact),
        weft_unit_test(coroutines_that_leave_a_serial_view_and_come_back_stay_in_order),
        weft_unit_test(a_parked_coroutine_has_left_its_place),
        weft_unit_test(two_views_of_one_thread_take_turns_by_sixteen),
        weft_unit_test(a_busy_view_does_not_starve_its_parent),
        weft_unit_test(a_serial_view_serves_in_order_of_arrival),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
