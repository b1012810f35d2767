/* SPDX-License-Identifier: MIT */
#include "wefttest.h"

static int count_one(void *arg)
{
    ++*(atomic_int *)arg;
    return 7;
}

static void run_returns_what_fn_returned(void **state)
{
    (void)state;
    atomic_int count = 0;

    assert_int_equal(weft_run(count_one, &count), 7);

    assert_int_equal(count, 1);
}

/* ---- with ------------------------------------------------------------------------------------ */

struct hop {
    struct weft_dispatcher *before, *inside, *after;
    int rc, inner_rc;
    struct weft_scope scope;
    atomic_bool is_inside, has_run;
};

static int note_inside(void *arg)
{
    struct hop *hop = arg;
    hop->inside = weft_current();
    return 3;
}

static int hop_to_io(void *arg)
{
    struct hop *hop = arg;
    hop->before = weft_current();
    hop->rc = weft_with(weft_io(), note_inside, hop);
    hop->after = weft_current();
    return 0;
}

static void with_runs_fn_on_the_other_dispatcher_and_comes_back(void **state)
{
    (void)state;
    struct hop hop = { .rc = -1 };

    assert_int_equal(weft_run(hop_to_io, &hop), 0);

    assert_ptr_equal(hop.before, weft_default());
    assert_ptr_equal(hop.inside, weft_io());
    assert_ptr_equal(hop.after, weft_default());
    assert_int_equal(hop.rc, 3);
}

static int hop_to_here(void *arg)
{
    struct hop *hop = arg;
    hop->rc = weft_with(weft_current(), note_inside, hop);
    hop->inner_rc = weft_with(NULL, note_inside, hop);
    return 0;
}

static void with_the_own_dispatcher_is_a_call(void **state)
{
    (void)state;
    struct hop hop = { .rc = -1 };

    assert_int_equal(weft_run(hop_to_here, &hop), 0);

    assert_ptr_equal(hop.inside, weft_default());
    assert_int_equal(hop.rc, 3);
    assert_int_equal(hop.inner_rc, 3);
}

static int must_not_run(void *arg)
{
    ((struct hop *)arg)->has_run = true;
    return 0;
}

static int wants_io(void *arg)
{
    struct hop *hop = arg;
    weft_scope_open(&hop->scope);
    weft_scope_deadline(&hop->scope, weft_deadline_ms(20));
    hop->rc = weft_with(weft_io(), must_not_run, hop);
    hop->after = weft_current();
    return weft_scope_close(&hop->scope, hop->rc);
}

static void cancelled_on_its_way_to_a_busy_dispatcher_it_comes_back_at_once(void **state)
{
    (void)state;
    struct hop hop = { .rc = -1 };
    struct io_block block;
    assert_int_equal(weft_configure(&(struct weft_opts){ .io_threads = 1 }), 0);
    io_block(&block);

    int rc = weft_run(wants_io, &hop); /* io is still blocked when this returns */

    assert_int_equal(rc, -ETIMEDOUT);
    assert_int_equal(hop.rc, -ECANCELED);
    assert_false(hop.has_run);
    assert_ptr_equal(hop.after, weft_default());
    io_free(&block);
}

static int cancel_and_end(void *arg)
{
    struct hop *hop = arg;
    weft_scope_cancel(&hop->scope);
    hop->has_run = true;
    return 5;
}

static int cancelled_inside(void *arg)
{
    struct hop *hop = arg;
    weft_scope_open(&hop->scope);
    hop->rc = weft_with(weft_io(), cancel_and_end, hop);
    hop->inner_rc = weft_with(weft_io(), note_inside, hop);
    return weft_scope_close(&hop->scope, 0);
}

static void cancelled_while_fn_ran_with_returns_ecanceled(void **state)
{
    (void)state;
    struct hop hop = { .rc = 0 };

    assert_int_equal(weft_run(cancelled_inside, &hop), 0);

    assert_true(hop.has_run);
    assert_int_equal(hop.rc, -ECANCELED);
    assert_int_equal(hop.inner_rc, -ECANCELED);
    assert_null(hop.inside);
}

/* ---- turns ----------------------------------------------------------------------------------- */

struct turns {
    char text[16];
    int used;
};

struct turner {
    struct turns *turns;
    char letter;
};

static int take_turns(void *arg)
{
    struct turner *turner = arg;
    int rc = 0;
    for (int i = 0; i < 3 && rc == 0; i++) {
        turner->turns->text[turner->turns->used++] = turner->letter;
        rc = weft_yield();
    }
    return rc;
}

static int two_turners(void *arg)
{
    struct turner a = { arg, 'a' }, b = { arg, 'b' };
    struct weft_scope scope;
    weft_scope_open(&scope);
    weft_launch(&scope, NULL, take_turns, &a);
    weft_launch(&scope, NULL, take_turns, &b);
    return weft_scope_close(&scope, 0);
}

static void yield_goes_to_the_tail_of_the_queue(void **state)
{
    (void)state;
    struct turns turns = { .used = 0 };
    assert_int_equal(weft_configure(&(struct weft_opts){ .threads = 1 }), 0);

    assert_int_equal(weft_run(two_turners, &turns), 0);

    assert_string_equal(turns.text, "ababab");
}

static int sleep_20_ms(void *arg)
{
    int64_t *ret_slept_ns = arg;
    int64_t from_ns = weft_now_ns();
    int rc = weft_sleep_ms(20);
    *ret_slept_ns = weft_now_ns() - from_ns;
    return rc;
}

static void sleep_takes_at_least_its_time(void **state)
{
    (void)state;
    int64_t slept_ns = 0;

    assert_int_equal(weft_run(sleep_20_ms, &slept_ns), 0);

    assert_true(slept_ns >= 20000000);
}

static int errno_across_sleep(void *arg)
{
    int mine = *(int *)arg;
    errno = mine;
    for (int i = 0; i < 50; i++) {
        if (weft_yield() < 0 || errno != mine)
            return -EINVAL;
    }
    return 0;
}

static int two_errnos(void *arg)
{
    static int values[] = { 11, 12 };
    (void)arg;
    struct weft_scope scope;
    weft_scope_open(&scope);
    for (int i = 0; i < 2; i++)
        weft_launch(&scope, NULL, errno_across_sleep, &values[i]);
    return weft_scope_close(&scope, 0);
}

static void errno_belongs_to_the_coroutine(void **state)
{
    (void)state;
    /* One thread: a compiler may keep errno's address over a call that changes threads. */
    assert_int_equal(weft_configure(&(struct weft_opts){ .threads = 1 }), 0);

    assert_int_equal(weft_run(two_errnos, NULL), 0);
}

/* ---- many ------------------------------------------------------------------------------------ */

/* TSan knows 8,000 threads at the most, and each fiber is one; ASan's shadow makes stacks dear. */
#define SLEEPERS (WEFT_TSAN ? 1000 : WEFT_ASAN ? 10000 : 100000)

struct crowd {
    atomic_int asleep, woken;
};

static int sleep_in_crowd(void *arg)
{
    struct crowd *crowd = arg;
    crowd->asleep++;
    int rc = weft_sleep_until(WEFT_NEVER);
    crowd->woken++;
    return rc;
}

/* False if no more come. However slow the machine is: each one has TEST_WAIT_MS. */
static bool await_all(const struct crowd *crowd)
{
    int seen = -1;
    while (crowd->asleep > seen && seen < SLEEPERS) {
        seen = crowd->asleep;
        int64_t deadline_ns = weft_deadline_ms(TEST_WAIT_MS);
        while (crowd->asleep == seen && seen < SLEEPERS && weft_now_ns() < deadline_ns)
            (void)weft_sleep_ms(1);
    }
    return seen == SLEEPERS;
}

static int gather(void *arg)
{
    struct crowd *crowd = arg;
    struct weft_scope scope;
    weft_scope_open(&scope);
    for (int i = 0; i < SLEEPERS; i++)
        weft_launch(&scope, NULL, sleep_in_crowd, crowd);
    int rc = await_all(crowd) ? 0 : -ETIMEDOUT;
    weft_scope_cancel(&scope);
    return weft_scope_close(&scope, rc);
}

static void a_hundred_thousand_sleep_at_once_and_cancelling_wakes_them(void **state)
{
    (void)state;
    struct crowd crowd = { .asleep = 0 };

    assert_int_equal(weft_run(gather, &crowd), 0);

    assert_int_equal(crowd.asleep, SLEEPERS);
    assert_int_equal(crowd.woken, SLEEPERS);
}

/* ---- misuse ---------------------------------------------------------------------------------- */

static int forget_to_close(void *arg)
{
    (void)arg;
    static struct weft_scope scope;
    weft_scope_open(&scope);
    return 0;
}

static int run_forgetful(void *arg)
{
    return weft_run(forget_to_close, arg);
}

static void a_scope_left_open_ends_the_program_and_names_the_function(void **state)
{
    (void)state;
    assert_dies(run_forgetful, NULL,
                "coroutine 'forget_to_close' ended with a scope still open; it was opened in "
                "forget_to_close()");
}

static int nothing(void *arg)
{
    (void)arg;
    return 0;
}

static void on_a_plain_thread_waiting_is_refused_and_trying_is_not(void **state)
{
    (void)state;
    assert_int_equal(weft_sleep_ms(1), -EPERM);
    assert_int_equal(weft_sleep_until(WEFT_NEVER), -EPERM);
    assert_int_equal(weft_sleep_until(0), 0);
    assert_int_equal(weft_yield(), -EPERM);
    assert_int_equal(weft_with(weft_io(), nothing, NULL), -EPERM);
    assert_int_equal(weft_check(), 0);
    assert_null(weft_current());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        weft_unit_test(run_returns_what_fn_returned),
        weft_unit_test(with_runs_fn_on_the_other_dispatcher_and_comes_back),
        weft_unit_test(with_the_own_dispatcher_is_a_call),
        weft_unit_test(cancelled_on_its_way_to_a_busy_dispatcher_it_comes_back_at_once),
        weft_unit_test(cancelled_while_fn_ran_with_returns_ecanceled),
        weft_unit_test(yield_goes_to_the_tail_of_the_queue),
        weft_unit_test(sleep_takes_at_least_its_time),
        weft_unit_test(errno_belongs_to_the_coroutine),
        weft_unit_test(a_hundred_thousand_sleep_at_once_and_cancelling_wakes_them),
        weft_unit_test(a_scope_left_open_ends_the_program_and_names_the_function),
        weft_unit_test(on_a_plain_thread_waiting_is_refused_and_trying_is_not),
    };
    return berth_test_main(tests, NULL, NULL);
}
