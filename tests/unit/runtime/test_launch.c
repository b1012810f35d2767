/* SPDX-License-Identifier: MIT */
#include "wefttest.h"

#include "support/faulty.h"

struct seen {
    atomic_int runs;
    atomic_bool is_free, is_ready;
    int rc, inner_rc, value;
    struct weft_scope *scope;
    struct weft_dispatcher *dispatcher;
    struct weft_task *task;
};

static int count_run(void *arg)
{
    ((struct seen *)arg)->runs++;
    return 2;
}

/* ---- copies ---------------------------------------------------------------------------------- */

struct item {
    struct seen *seen;
    int value;
    char text[100];
};

static int add_value(void *arg)
{
    const struct item *item = arg;
    item->seen->runs += item->value;
    return strcmp(item->text, "copied") == 0 ? 0 : -EINVAL;
}

static int launch_copies(void *arg)
{
    struct item item = { .seen = arg, .text = "copied" };
    struct weft_scope scope;
    weft_scope_open(&scope);
    for (item.value = 1; item.value <= 10; item.value++)
        weft_launch_copy(&scope, NULL, add_value, &item, sizeof item);
    memset(item.text, 0, sizeof item.text);
    return weft_scope_close(&scope, 0);
}

static void each_gets_its_own_copy(void **state)
{
    (void)state;
    struct seen seen = { .rc = 0 };

    assert_int_equal(weft_run(launch_copies, &seen), 0);

    assert_int_equal(seen.runs, 55);
}

static int launch_too_large(void *arg)
{
    struct seen *seen = arg;
    static const char item[WEFT_ITEM_BYTES_MAX + 1];
    struct weft_scope scope;
    weft_scope_open(&scope);
    seen->rc = weft_launch_copy(&scope, NULL, count_run, item, sizeof item);
    return weft_scope_close(&scope, 0);
}

static void a_copy_that_is_too_large_fails_the_scope(void **state)
{
    (void)state;
    struct seen seen = { .rc = 0 };

    assert_int_equal(weft_run(launch_too_large, &seen), -EINVAL);

    assert_int_equal(seen.rc, -EINVAL);
    assert_int_equal(seen.runs, 0);
}

/* ---- starts ---------------------------------------------------------------------------------- */

static int launch_on_busy_io(void *arg)
{
    struct seen *seen = arg;
    struct weft_scope scope;
    weft_scope_open(&scope);
    weft_launch(&scope, weft_io(), count_run, seen);
    weft_scope_cancel(&scope);
    return weft_scope_close(&scope, 0);
}

static void
cancelled_before_it_starts_it_never_runs_and_nobody_waits_for_its_dispatcher(void **state)
{
    (void)state;
    struct seen seen = { .rc = 0 };
    struct io_block block;
    assert_int_equal(weft_configure(&(struct weft_opts){ .io_threads = 1 }), 0);
    io_block(&block);

    assert_int_equal(weft_run(launch_on_busy_io, &seen), 0); /* io is blocked until below */

    io_free(&block);
    assert_int_equal(seen.runs, 0);
}

static int free_and_count(void *arg)
{
    struct seen *seen = ((struct item *)arg)->seen;
    seen->value = weft_check();
    seen->runs++;
    return 0;
}

static int launch_atomic_and_cancel(void *arg)
{
    struct seen *seen = arg;
    struct item item = { .seen = seen };
    struct weft_scope scope;
    weft_scope_open(&scope);
    weft_launch_opts(&scope, NULL, free_and_count, &item,
                     &(struct weft_task_opts){ .start = WEFT_START_ATOMIC });
    seen->rc = weft_launch_copy(&scope, NULL, free_and_count, &item, sizeof item);
    weft_scope_cancel(&scope);
    seen->inner_rc = weft_launch_copy(&scope, NULL, free_and_count, &item, sizeof item);
    return weft_scope_close(&scope, 0);
}

static void atomic_ones_and_copies_run_although_cancelled(void **state)
{
    (void)state;
    struct seen seen = { .rc = -1 };
    assert_int_equal(weft_configure(&(struct weft_opts){ .threads = 1 }), 0);

    assert_int_equal(weft_run(launch_atomic_and_cancel, &seen), 0);

    assert_int_equal(seen.rc, 0);
    assert_int_equal(seen.runs, 2);
    assert_int_equal(seen.value, -ECANCELED);
    assert_int_equal(seen.inner_rc, -ECANCELED); /* and this one's item is still the caller's */
}

static const struct weft_task_opts held = { .start = WEFT_START_HELD };

static int hold_and_release(void *arg)
{
    struct seen *seen = arg;
    struct weft_scope scope;
    weft_scope_open(&scope);
    struct weft_task *released = weft_async_opts(&scope, NULL, count_run, seen, &held);
    struct weft_task *awaited = weft_async_opts(&scope, NULL, count_run, seen, &held);
    struct weft_task *forgotten = weft_async_opts(&scope, NULL, count_run, seen, &held);
    (void)weft_sleep_ms(10);
    seen->value = seen->runs; /* none yet */
    weft_task_release(released);
    weft_task_release(released);
    seen->inner_rc = weft_await(awaited);
    seen->rc = weft_await(released);
    (void)forgotten; /* would hang a scope that waited for it */
    return weft_scope_close(&scope, 0);
}

static void held_ones_start_when_released_or_awaited_and_close_cancels_the_rest(void **state)
{
    (void)state;
    struct seen seen = { .rc = 0 };

    assert_int_equal(weft_run(hold_and_release, &seen), 0);

    assert_int_equal(seen.value, 0);
    assert_int_equal(seen.rc, 2);
    assert_int_equal(seen.inner_rc, 2);
    assert_int_equal(seen.runs, 2);
}

static int note_then_park(void *arg)
{
    struct seen *seen = arg;
    seen->value = 1;
    seen->dispatcher = weft_current();
    int rc = weft_yield();
    seen->runs++;
    return rc;
}

static int launch_undispatched(void *arg)
{
    struct seen *seen = arg;
    static const struct weft_task_opts here = { .start = WEFT_START_UNDISPATCHED };
    struct weft_scope scope;
    weft_scope_open(&scope);
    weft_launch_opts(&scope, weft_io(), note_then_park, seen, &here);
    seen->rc = seen->value; /* it has run up to its first park */
    seen->inner_rc = weft_current() == weft_default();
    weft_launch_opts(&scope, NULL, count_run, seen, &here); /* one that ends at once */
    return weft_scope_close(&scope, 0);
}

static void undispatched_runs_here_at_once_until_it_parks(void **state)
{
    (void)state;
    struct seen seen = { .rc = 0 };

    assert_int_equal(weft_run(launch_undispatched, &seen), 0);

    assert_int_equal(seen.rc, 1);
    assert_true(seen.inner_rc);
    assert_ptr_equal(seen.dispatcher, weft_io());
    assert_int_equal(seen.runs, 2);
}

static int launch_sibling(void *arg)
{
    struct seen *seen = arg;
    if (++seen->runs < 10)
        weft_launch(seen->scope, NULL, launch_sibling, seen);
    return 0;
}

static int launch_first(void *arg)
{
    struct seen *seen = arg;
    struct weft_scope scope;
    weft_scope_open(&scope);
    seen->scope = &scope;
    weft_launch(&scope, NULL, launch_sibling, seen);
    return weft_scope_close(&scope, 0);
}

static void a_child_may_launch_into_the_scope_it_is_in(void **state)
{
    (void)state;
    struct seen seen = { .rc = 0 };

    assert_int_equal(weft_run(launch_first, &seen), 0);

    assert_int_equal(seen.runs, 10);
}

static int note_dispatcher(void *arg)
{
    ((struct seen *)arg)->dispatcher = weft_current();
    return 0;
}

static int launch_on_null(void *arg)
{
    struct weft_scope scope;
    weft_scope_open(&scope);
    weft_launch(&scope, NULL, note_dispatcher, arg);
    return weft_scope_close(&scope, 0);
}

static int go_to_io(void *arg)
{
    return weft_with(weft_io(), launch_on_null, arg);
}

static void no_dispatcher_means_that_of_the_scope(void **state)
{
    (void)state;
    struct seen seen = { .rc = 0 };

    assert_int_equal(weft_run(go_to_io, &seen), 0);

    assert_ptr_equal(seen.dispatcher, weft_io());
}

/* ---- failures -------------------------------------------------------------------------------- */

static int launch_with(void *arg)
{
    struct weft_scope scope;
    weft_scope_open(&scope);
    weft_launch_opts(&scope, NULL, count_run, &(struct seen){ .rc = 0 }, arg);
    return weft_scope_close(&scope, 0);
}

static int launch_nothing(void *arg)
{
    (void)arg;
    struct weft_scope scope;
    weft_scope_open(&scope);
    weft_launch(&scope, NULL, NULL, NULL);
    return weft_scope_close(&scope, 0);
}

static void options_that_cannot_be_fail_the_scope(void **state)
{
    (void)state;
    struct weft_task_opts bad[] = {
        { .stack_bytes = WEFT_STACK_BYTES_MIN - 1 },
        { .stack_bytes = WEFT_STACK_BYTES_MAX + 1 },
        { .start = (enum weft_start)99 },
        { .start = WEFT_START_HELD }, /* nobody could release it: launch gives no handle */
        { .reserved = { 0, 1 } },
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(weft_run(launch_with, &bad[i]), -EINVAL);
    assert_int_equal(weft_run(launch_nothing, NULL), -EINVAL);
}

static int sleep_long(void *arg)
{
    (void)arg;
    return weft_sleep_ms(TEST_WAIT_MS);
}

static int launch_too_many(void *arg)
{
    struct seen *seen = arg;
    struct weft_scope scope;
    weft_scope_open(&scope);
    weft_launch(&scope, NULL, sleep_long, NULL);
    seen->task = weft_async(&scope, NULL, sleep_long, NULL);
    seen->rc = weft_await(seen->task);
    return weft_scope_close(&scope, 0);
}

static void a_start_without_room_cancels_the_scope_and_comes_out_of_close(void **state)
{
    (void)state;
    struct seen seen = { .rc = 0 };
    assert_int_equal(weft_configure(&(struct weft_opts){ .tasks_max = 2 }), 0);

    assert_int_equal(weft_run(launch_too_many, &seen), -ENOMEM);

    assert_null(seen.task);
    assert_int_equal(seen.rc, -ECANCELED);
}

static int supervise_too_many(void *arg)
{
    struct seen *seen = arg;
    struct weft_scope scope;
    weft_supervisor_open(&scope);
    weft_launch(&scope, NULL, sleep_long, NULL);
    seen->rc = weft_launch(&scope, NULL, sleep_long, NULL);
    seen->inner_rc = weft_check();
    weft_scope_cancel_children(&scope);
    return weft_scope_close(&scope, 0);
}

static void in_a_supervisor_only_the_start_fails(void **state)
{
    (void)state;
    struct seen seen = { .rc = 0 };
    assert_int_equal(weft_configure(&(struct weft_opts){ .tasks_max = 2 }), 0);

    assert_int_equal(weft_run(supervise_too_many, &seen), 0);

    assert_int_equal(seen.rc, -ENOMEM);
    assert_int_equal(seen.inner_rc, 0);
}

static int launch_ten(void *arg)
{
    struct weft_scope scope;
    weft_scope_open(&scope);
    for (int i = 0; i < 10; i++)
        weft_launch_opts(&scope, NULL, count_run, arg,
                         &(struct weft_task_opts){ .stack_bytes = (size_t)1 << 20 });
    return weft_scope_close(&scope, 0);
}

static void whatever_allocation_fails_is_an_error_to_the_caller(void **state)
{
    (void)state;
    FAULTY_FOREACH(n)
    {
        struct seen seen = { .rc = 0 };
        int rc = weft_run(launch_ten, &seen);
        bool has_failed = faulty_stop();
        if (!has_failed || rc != -ENOMEM) { /* one thread less than wanted is no failure */
            assert_int_equal(rc, 0);
            assert_int_equal(seen.runs, 10);
        }
        assert_int_equal(weft_shutdown(), 0); /* so that the next round begins from nothing */
    }
}

/* ---- misuse ---------------------------------------------------------------------------------- */

static int publish_scope(void *arg)
{
    struct seen *seen = arg;
    struct weft_scope scope;
    weft_scope_open(&scope);
    seen->scope = &scope;
    seen->is_ready = true;
    return weft_scope_close(&scope, weft_sleep_ms(TEST_WAIT_MS));
}

static int launch_from_a_plain_thread(void *arg)
{
    struct seen *seen = arg;
    (void)weft_root_open(NULL, publish_scope, seen);
    if (!test_block_until(&seen->is_ready))
        return -ETIMEDOUT;
    return weft_launch(seen->scope, NULL, count_run, seen);
}

static int launch_into_nowhere(void *arg)
{
    (void)arg;
    struct weft_scope scope = { { 0 } };
    return weft_launch(&scope, NULL, count_run, NULL);
}

static int run_launch_into_nowhere(void *arg)
{
    return weft_run(launch_into_nowhere, arg);
}

static void launching_from_outside_ends_the_program(void **state)
{
    (void)state;
    struct seen seen = { .rc = 0 };
    assert_dies(launch_from_a_plain_thread, &seen,
                "the caller is not inside the scope that publish_scope() opened");
    assert_dies(run_launch_into_nowhere, NULL, "weft_launch: the scope is not open");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        weft_unit_test(each_gets_its_own_copy),
        weft_unit_test(a_copy_that_is_too_large_fails_the_scope),
        weft_unit_test(
            cancelled_before_it_starts_it_never_runs_and_nobody_waits_for_its_dispatcher),
        weft_unit_test(atomic_ones_and_copies_run_although_cancelled),
        weft_unit_test(held_ones_start_when_released_or_awaited_and_close_cancels_the_rest),
        weft_unit_test(undispatched_runs_here_at_once_until_it_parks),
        weft_unit_test(a_child_may_launch_into_the_scope_it_is_in),
        weft_unit_test(no_dispatcher_means_that_of_the_scope),
        weft_unit_test(options_that_cannot_be_fail_the_scope),
        weft_unit_test(a_start_without_room_cancels_the_scope_and_comes_out_of_close),
        weft_unit_test(in_a_supervisor_only_the_start_fails),
        weft_unit_test(whatever_allocation_fails_is_an_error_to_the_caller),
        weft_unit_test(launching_from_outside_ends_the_program),
    };
    return berth_test_main(tests, NULL, NULL);
}
