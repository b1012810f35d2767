/* SPDX-License-Identifier: MIT */
#include "wefttest.h"

#include "intercept.h"
#include "tree.h"

struct seen {
    bool was_on[4];
    bool parks[4];
    ssize_t rc, result;
    int before, after;
    atomic_bool ran, ran_elsewhere;
};

static bool parks(void)
{
    struct weft_task *self = weft_call_enter();
    if (self)
        (void)weft_call_leave(self, 0);
    return self;
}

static int look(void *arg)
{
    struct seen *seen = arg;
    seen->parks[0] = parks();
    seen->was_on[0] = weft_intercept(true);
    seen->parks[1] = parks();
    seen->was_on[1] = weft_intercept(false);
    seen->parks[2] = parks();
    seen->was_on[2] = weft_intercept(true);
    return 0;
}

static int run_on(struct weft_dispatcher *d, weft_fn fn, void *arg)
{
    return weft_root_close(weft_root_open(d, fn, arg));
}

static void calls_park_on_virtual_unless_switched_off(void **state)
{
    (void)state;
    struct seen seen = { .rc = 0 };

    assert_int_equal(run_on(weft_virtual(), look, &seen), 0);

    assert_true(seen.parks[0]);
    assert_true(seen.was_on[0]);
    assert_true(seen.parks[1]);
    assert_true(seen.was_on[1]);
    assert_false(seen.parks[2]);
    assert_false(seen.was_on[2]);
}

static void calls_block_where_threads_change_seats(void **state)
{
    (void)state;
    struct weft_dispatcher *others[] = { weft_default(), weft_io() };
    for (size_t i = 0; i < 2; i++) {
        struct seen seen = { .rc = 0 };

        assert_int_equal(run_on(others[i], look, &seen), 0);

        assert_false(seen.parks[0]);
        assert_false(seen.was_on[0]);
        assert_false(seen.parks[1]);
        assert_false(seen.was_on[1]);
    }
}

static int hop(void *arg)
{
    struct seen *seen = arg;
    seen->parks[3] = parks();
    return weft_with(weft_virtual(), look, arg);
}

static void a_hop_to_virtual_parks_there(void **state)
{
    (void)state;
    struct seen seen = { .rc = 0 };

    assert_int_equal(weft_run(hop, &seen), 0);

    assert_false(seen.parks[3]);
    assert_true(seen.parks[0]);
}

static void the_whole_program_can_switch_it_off(void **state)
{
    (void)state;
    struct seen seen = { .rc = 0 };
    assert_int_equal(weft_configure(&(struct weft_opts){ .no_intercept = true }), 0);

    assert_int_equal(run_on(weft_virtual(), look, &seen), 0);

    for (int i = 0; i < 3; i++)
        assert_false(seen.parks[i] || seen.was_on[i]);
}

static void a_plain_thread_is_passed_through(void **state)
{
    (void)state;
    assert_false(parks());
    assert_false(weft_intercept(true));
    assert_false(parks());
}

static int leave(void *arg)
{
    struct seen *seen = arg;
    errno = ERANGE;
    struct weft_task *self = weft_call_enter();
    seen->parks[0] = weft_call_enter(); /* inside weft: passed through */
    errno = EIO;
    seen->result = weft_call_leave(self, seen->rc);
    seen->after = errno;
    return 0;
}

static void a_call_that_succeeds_leaves_errno_alone(void **state)
{
    (void)state;
    struct seen good = { .rc = 3 }, bad = { .rc = -EPIPE };

    assert_int_equal(run_on(weft_virtual(), leave, &good), 0);
    assert_int_equal(run_on(weft_virtual(), leave, &bad), 0);

    assert_false(good.parks[0]);
    assert_int_equal(good.result, 3);
    assert_int_equal(good.after, ERANGE);
    assert_int_equal(bad.result, -1);
    assert_int_equal(bad.after, EPIPE);
}

static void mark(void *arg)
{
    struct seen *seen = arg;
    seen->ran_elsewhere = !weft_self();
    seen->ran = true;
}

static int pooled(void *arg)
{
    struct seen *seen = arg;
    struct weft_task *self = weft_call_enter();
    seen->rc = weft_call_pooled(self, "a test", mark, seen);
    (void)weft_call_leave(self, 0);
    return 0;
}

static void pooled_work_runs_outside_of_the_coroutine(void **state)
{
    (void)state;
    struct seen seen = { .rc = -1 };

    assert_int_equal(run_on(weft_virtual(), pooled, &seen), 0);

    assert_int_equal(seen.rc, 0);
    assert_true(seen.ran);
    assert_true(seen.ran_elsewhere);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        weft_unit_test(calls_park_on_virtual_unless_switched_off),
        weft_unit_test(calls_block_where_threads_change_seats),
        weft_unit_test(a_hop_to_virtual_parks_there),
        weft_unit_test(the_whole_program_can_switch_it_off),
        weft_unit_test(a_plain_thread_is_passed_through),
        weft_unit_test(a_call_that_succeeds_leaves_errno_alone),
        weft_unit_test(pooled_work_runs_outside_of_the_coroutine),
    };
    return berth_test_main(tests, NULL, NULL);
}
