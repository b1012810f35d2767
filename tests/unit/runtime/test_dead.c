/* SPDX-License-Identifier: MIT
 *
 * Handles that are used after their end: each call says so, by name, and ends the program.
 */
#include "wefttest.h"

#include <sched.h>
#include <stdio.h>

#include <weft/test.h>

#include "dead.h"

static int nothing(void *arg)
{
    (void)arg;
    return 0;
}

/* ---- dispatchers ----------------------------------------------------------------------------- */

static struct weft_work *_Atomic held; /* by the dispatcher of the user's, on its thread */
/* by the thread that dispatches */    /* by the user's dispatcher */

static int hold(void *self, struct weft_work *work)
{
    (void)self;
    held = work;
    return 0;
}

static const struct weft_dispatcher_ops hold_ops = { .dispatch = hold };

static struct weft_dispatcher *dead_view(void)
{
    struct weft_dispatcher *view = NULL;
    bool is_ready =
        weft_view_nested(weft_io(), 3, "late", &view) == 0 && weft_run(nothing, NULL) == 0;
    return is_ready && weft_shutdown() == 0 ? view : NULL;
}

static struct weft_dispatcher *dead_pool(void)
{
    struct weft_dispatcher *pool = NULL;
    bool is_ready = weft_pool_open(2, "late", &pool) == 0 && weft_pool_close(pool) == 0;
    return is_ready && weft_shutdown() == 0 ? pool : NULL;
}

static struct weft_dispatcher *dead_custom(void)
{
    struct weft_dispatcher *custom = NULL;
    bool is_ready = weft_dispatcher_open(&hold_ops, NULL, "late", &custom) == 0 &&
                    weft_dispatcher_close(custom) == 0;
    return is_ready && weft_shutdown() == 0 ? custom : NULL;
}

static int make_view(void *ret_view)
{
    return weft_view_serial(weft_default(), "late", ret_view);
}

static struct weft_dispatcher *view_of_a_test_run(void)
{
    struct weft_dispatcher *view = NULL;
    return weft_test_run(1, make_view, &view) == 0 ? view : NULL;
}

static struct weft_dispatcher *(*const dead_ones[])(void) = { dead_view, dead_pool, dead_custom,
                                                              view_of_a_test_run };
#define DEAD_COUNT (sizeof dead_ones / sizeof dead_ones[0])

static int launch_there(void *d)
{
    struct weft_scope scope;
    weft_scope_open(&scope);
    weft_launch(&scope, d, nothing, NULL);
    return weft_scope_close(&scope, 0);
}

static int launch_copy_there(void *d)
{
    struct weft_scope scope;
    weft_scope_open(&scope);
    weft_launch_copy(&scope, d, nothing, &(int){ 1 }, sizeof(int));
    return weft_scope_close(&scope, 0);
}

static int async_there(void *d)
{
    struct weft_scope scope;
    weft_scope_open(&scope);
    (void)weft_async(&scope, weft_immediate(d), nothing, NULL);
    return weft_scope_close(&scope, 0);
}

static int with_there(void *d)
{
    return weft_with(d, nothing, NULL);
}

/* Each uses what the function that it gets returns. */
static int use_in_root(void *d)
{
    return weft_root_close(weft_root_open(d, nothing, NULL));
}

static int use_in_launch(void *d)
{
    return weft_run(launch_there, d);
}

static int use_in_launch_copy(void *d)
{
    return weft_run(launch_copy_there, d);
}

static int use_in_async(void *d)
{
    return weft_run(async_there, d);
}

static int use_in_with(void *d)
{
    return weft_run(with_there, d);
}

static int use_in_view(void *d)
{
    struct weft_dispatcher *view;
    return weft_view_nested(weft_immediate(d), 1, "of a dead one", &view);
}

static int use_in_serial_view(void *d)
{
    struct weft_dispatcher *view;
    return weft_view_serial(d, "of a dead one", &view);
}

static int use_in_close(void *d)
{
    return weft_pool_close(d);
}

static int use_in_custom_close(void *d)
{
    return weft_dispatcher_close(d);
}

static int use_in_replace(void *d)
{
    return weft_main_replace(d);
}

struct use {
    int (*fn)(void *d);
    const char *call;
    struct weft_dispatcher *(*dead_one)(void);
};

static int run_use(void *arg)
{
    const struct use *use = arg;
    struct weft_dispatcher *d = use->dead_one();
    return d ? use->fn(d) : 0;
}

static void a_dispatcher_that_has_ended_is_named_by_every_call(void **state)
{
    (void)state;
    struct use uses[] = {
        { use_in_root, "weft_root_open", NULL },
        { use_in_launch, "weft_launch", NULL },
        { use_in_launch_copy, "weft_launch_copy", NULL },
        { use_in_async, "weft_async", NULL },
        { use_in_with, "weft_with", NULL },
        { use_in_view, "weft_view_nested", NULL },
        { use_in_serial_view, "weft_view_serial", NULL },
        { use_in_close, "weft_pool_close", NULL },
        { use_in_custom_close, "weft_dispatcher_close", NULL },
        { use_in_replace, "weft_main_replace", NULL },
    };
    for (size_t i = 0; i < sizeof uses / sizeof uses[0]; i++) {
        for (size_t j = 0; j < DEAD_COUNT; j++) {
            char text[128];
            uses[i].dead_one = dead_ones[j];
            (void)snprintf(text, sizeof text, "weft: %s: the handle of dispatcher 'late' is dead",
                           uses[i].call);
            assert_dies(run_use, &uses[i], text);
        }
    }
}

static int run_late_work(void *arg)
{
    (void)arg;
    struct weft_dispatcher *d;
    int rc = weft_dispatcher_open(&hold_ops, NULL, "late", &d);
    struct weft_task *root = rc == 0 ? weft_root_open(d, nothing, NULL) : NULL;
    while (root && !held)
        (void)sched_yield();
    if (weft_dispatcher_close(d) < 0 || weft_root_close(root) != WEFT_ECHILD)
        return 0;
    weft_work_run(held); /* it is for nothing any more */
    if (weft_shutdown() == 0)
        weft_work_run(held);
    return 0;
}

static void so_is_the_work_of_one_that_has_ended(void **state)
{
    (void)state;
    assert_dies(run_late_work, NULL, "weft_work_run: the handle of dispatcher 'late' is dead");
}

static void the_next_life_has_the_name_and_handles_of_its_own(void **state)
{
    (void)state;
    const struct weft_dispatcher *before = dead_view();
    struct weft_dispatcher *view = NULL;
    assert_non_null(before);

    assert_int_equal(weft_view_nested(weft_io(), 3, "late", &view), 0);

    assert_ptr_not_equal(view, before);
    assert_int_equal(weft_root_close(weft_root_open(view, nothing, NULL)), 0);
}

static void memory_for_the_dead_has_an_end(void **state)
{
    (void)state;
    struct weft_dispatcher *view = NULL;
    for (int i = 0; i < 2 * WEFT_DEAD_MAX; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "view-%d", i);
        assert_int_equal(weft_view_nested(weft_io(), 3, name, &view), 0);
    }
    assert_int_equal(weft_shutdown(), 0); /* what is beyond is freed: a leak checker sees to it */
}

/* ---- coroutines ------------------------------------------------------------------------------ */

static struct weft_task *task_of_a_closed_scope(void)
{
    struct weft_scope scope;
    weft_scope_open(&scope);
    struct weft_task *task = weft_async(&scope, NULL, nothing, NULL);
    (void)weft_scope_close(&scope, 0);
    return task;
}

static int use_in_await(void *arg)
{
    (void)arg;
    return weft_await(task_of_a_closed_scope());
}

static int use_in_await_all(void *arg)
{
    (void)arg;
    struct weft_task *task = task_of_a_closed_scope();
    return weft_await_all(&task, 1);
}

static int use_in_release(void *arg)
{
    (void)arg;
    weft_task_release(task_of_a_closed_scope());
    return 0;
}

static int use_in_cancel(void *arg)
{
    (void)arg;
    weft_cancel(task_of_a_closed_scope());
    return 0;
}

static int use_in_select(void *arg)
{
    (void)arg;
    struct weft_case one = { .await = task_of_a_closed_scope() };
    return weft_select(&one, 1, WEFT_NEVER);
}

/* Its memory has been used again by the time. */
static int use_late_in_await(void *arg)
{
    (void)arg;
    struct weft_task *task = task_of_a_closed_scope();
    struct weft_scope scope;
    weft_scope_open(&scope);
    for (int i = 0; i < 1000; i++)
        weft_launch(&scope, NULL, nothing, NULL);
    return weft_scope_close(&scope, weft_await(task));
}

static int use_root_twice(void *arg)
{
    (void)arg;
    struct weft_task *root = weft_root_open(NULL, nothing, NULL);
    (void)weft_root_close(root);
    return weft_root_close(root);
}

struct task_use {
    weft_fn fn;
    const char *text;
};

static int run_task_use(void *arg)
{
    const struct task_use *use = arg;
    return weft_run(use->fn, NULL);
}

static void a_coroutine_whose_scope_has_closed_is_not_taken_for_another(void **state)
{
    (void)state;
    if (WEFT_ASAN)
        skip(); /* which says so itself */
    struct task_use uses[] = {
        { use_in_await, "weft: weft_await: the handle of a coroutine is dead" },
        { use_in_await_all, "weft: weft_await_all: the handle of a coroutine is dead" },
        { use_in_release, "weft: weft_task_release: the handle of a coroutine is dead" },
        { use_in_cancel, "weft: weft_cancel: the handle of a coroutine is dead" },
        { use_in_select, "weft: weft_select: the handle of a coroutine is dead" },
        { use_late_in_await, "weft: weft_await: the handle of a coroutine is dead" },
        { use_root_twice, "weft: weft_root_close: the handle of a coroutine is dead" },
    };
    for (size_t i = 0; i < sizeof uses / sizeof uses[0]; i++) {
        if (WEFT_TSAN && uses[i].fn == use_late_in_await)
            continue; /* it sees others write there, and says so itself */
        assert_dies(run_task_use, &uses[i], uses[i].text);
    }
}

/* ---- channels -------------------------------------------------------------------------------- */

static struct weft_chan *freed_chan(void)
{
    struct weft_chan *chan = NULL;
    if (weft_chan_new(sizeof(int), 4, NULL, &chan) == 0)
        weft_chan_free(chan);
    return chan;
}

static int use_in_send(void *arg)
{
    (void)arg;
    return weft_chan_send(freed_chan(), &(int){ 1 }, sizeof(int), 0);
}

static int use_in_recv(void *arg)
{
    (void)arg;
    int item;
    return weft_chan_recv(freed_chan(), &item, sizeof item, 0);
}

static int use_in_chan_select(void *arg)
{
    (void)arg;
    int item;
    struct weft_case one = { .recv = freed_chan(), .item = &item, .item_bytes = sizeof item };
    return weft_select(&one, 1, 0);
}

static int use_in_chan_close(void *arg)
{
    (void)arg;
    weft_chan_close(freed_chan());
    return 0;
}

static int use_in_chan_free(void *arg)
{
    (void)arg;
    weft_chan_free(freed_chan());
    return 0;
}

static void a_channel_that_was_freed_is_named_by_every_call(void **state)
{
    (void)state;
    if (WEFT_ASAN || WEFT_TSAN)
        skip(); /* there the shrinking moves it, and the sanitizer sees it by itself */
    assert_dies(use_in_send, NULL, "weft: weft_chan_send: the channel has been freed");
    assert_dies(use_in_recv, NULL, "weft: weft_chan_recv: the channel has been freed");
    assert_dies(use_in_chan_select, NULL, "weft: weft_select: the channel has been freed");
    assert_dies(use_in_chan_close, NULL, "weft: weft_chan_close: the channel has been freed");
    assert_dies(use_in_chan_free, NULL, "weft: weft_chan_free: the channel has been freed");
}

/* ---- what is kept ---------------------------------------------------------------------------- */

static void the_oldest_of_the_dead_goes_first(void **state)
{
    (void)state;
    static struct weft_dead dead;
    static int items[WEFT_DEAD_MAX + 2];
    for (size_t i = 0; i < WEFT_DEAD_MAX; i++)
        assert_null(weft_dead_keep(&dead, &items[i]));
    assert_ptr_equal(weft_dead_keep(&dead, &items[WEFT_DEAD_MAX]), &items[0]);
    assert_ptr_equal(weft_dead_keep(&dead, &items[WEFT_DEAD_MAX + 1]), &items[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        weft_unit_test(a_dispatcher_that_has_ended_is_named_by_every_call),
        weft_unit_test(so_is_the_work_of_one_that_has_ended),
        weft_unit_test(the_next_life_has_the_name_and_handles_of_its_own),
        weft_unit_test(memory_for_the_dead_has_an_end),
        weft_unit_test(a_coroutine_whose_scope_has_closed_is_not_taken_for_another),
        weft_unit_test(a_channel_that_was_freed_is_named_by_every_call),
        weft_unit_test(the_oldest_of_the_dead_goes_first),
    };
    return berth_test_main(tests, NULL, NULL);
}
