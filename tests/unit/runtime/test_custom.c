/* SPDX-License-Identifier: MIT */
/* Dispatchers of the user's: what runs there, and what they refuse. Closing: test_custom_close.c.
 */
#include "event_loop.h"

#include "support/await.h"

#define MANY 1000

static int note_and_sleep(void *arg)
{
    struct seen *seen = arg;
    int rc = note(arg);
    if (weft_sleep_ms(1) < 0)
        return -ECANCELED;
    seen->came_back = pthread_equal(pthread_self(), seen->loop->thread);
    return rc;
}

static void coroutines_run_where_the_user_runs_them_and_come_back_there(void **state)
{
    (void)state;
    struct event_loop loop;
    loop_open(&loop, &loop_ops);
    loop_start(&loop);
    struct seen seen = { .loop = &loop };

    assert_int_equal(weft_root_close(weft_root_open(loop.d, note_and_sleep, &seen)), 5);

    assert_ptr_equal(seen.before, loop.d);
    assert_true(seen.was_there);
    assert_true(seen.came_back);
    loop_close(&loop);
}

static int count_up(void *arg)
{
    ((struct seen *)arg)->count++; /* plain: TSan tells if two turns are not in order */
    return 0;
}

static int launch_counters(void *arg)
{
    struct seen *seen = arg;
    return launch_many(seen->on, MANY, count_up, seen);
}

static void a_thousand_go_through_it_and_through_a_view_of_it(void **state)
{
    (void)state;
    struct event_loop loop;
    loop_open(&loop, &loop_ops);
    loop_start(&loop);
    struct seen seen = { .loop = &loop, .on = loop.d };
    assert_int_equal(weft_run(launch_counters, &seen), 0);
    assert_int_equal(seen.count, MANY);
    int taken = loop.taken;
    assert_int_equal(taken, MANY);

    assert_int_equal(weft_view_serial(loop.d, "part", &seen.on), 0);
    assert_int_equal(weft_run(launch_counters, &seen), 0);

    assert_int_equal(seen.count, 2 * MANY);
    assert_true(loop.taken < taken + MANY); /* by loops of several turns */
    loop_close(&loop);
}

static int hop(void *arg)
{
    struct seen *seen = arg;
    seen->rc = weft_with(seen->on, note, seen);
    seen->after = weft_current();
    return 0;
}

static void with_goes_there_and_back(void **state)
{
    (void)state;
    struct event_loop loop;
    loop_open(&loop, &loop_ops);
    loop_start(&loop);
    struct seen seen = { .loop = &loop, .on = loop.d };

    assert_int_equal(weft_run(hop, &seen), 0);

    assert_int_equal(seen.rc, 5);
    assert_true(seen.was_there);
    assert_ptr_equal(seen.after, weft_default());
    loop_close(&loop);
}

static int launch_immediate(void *arg)
{
    struct seen *seen = arg;
    struct weft_scope scope;
    weft_scope_open(&scope);
    weft_launch(&scope, weft_immediate(seen->on), note, seen);
    seen->rc = seen->count;
    return weft_scope_close(&scope, 0);
}

static void inside_it_its_immediate_runs_in_place(void **state)
{
    (void)state;
    struct event_loop loop;
    loop_open(&loop, &loop_ops);
    loop_start(&loop);
    struct seen seen = { .loop = &loop, .on = loop.d };

    assert_int_equal(weft_root_close(weft_root_open(loop.d, launch_immediate, &seen)), 0);

    assert_int_equal(seen.rc, 1);
    assert_ptr_equal(seen.before, loop.d);
    loop_close(&loop);
}

static void is_here_lets_the_users_own_code_start_in_place(void **state)
{
    (void)state;
    struct event_loop loop;
    loop_open(&loop, &(struct weft_dispatcher_ops){ loop_dispatch, loop_is_here, { NULL } });
    loop.thread = pthread_self(); /* a callback of the loop, say */
    struct seen seen = { .loop = &loop };

    struct weft_task *root = weft_root_open(weft_immediate(loop.d), note, &seen);

    assert_int_equal(seen.count, 1);
    assert_int_equal(weft_root_close(root), 5);
    assert_int_equal(weft_dispatcher_close(loop.d), 0);
}

static int run_in_coroutine(void *arg)
{
    struct seen *seen = arg;
    struct weft_scope scope;
    weft_scope_open(&scope);
    for (int i = 0; i < 3; i++)
        weft_launch(&scope, seen->on, count_up, seen);
    while (seen->count < 3) {
        (void)pthread_mutex_lock(&seen->loop->lock);
        struct weft_work *work = loop_pop(seen->loop);
        (void)pthread_mutex_unlock(&seen->loop->lock);
        if (work)
            weft_work_run(work);
        else if (weft_sleep_ms(1) < 0)
            break;
    }
    seen->after = weft_current();
    return weft_scope_close(&scope, 0);
}

static void a_coroutine_may_be_the_loop(void **state)
{
    (void)state;
    struct event_loop loop;
    loop_open(&loop, &loop_ops);
    struct seen seen = { .loop = &loop, .on = loop.d };
    assert_int_equal(weft_run(run_in_coroutine, &seen), 0);
    assert_int_equal(seen.count, 3);
    assert_ptr_equal(seen.after, weft_default());

    seen.count = 0;
    assert_int_equal(weft_view_serial(loop.d, "part", &seen.on), 0);
    assert_int_equal(weft_run(run_in_coroutine, &seen), 0);

    assert_int_equal(seen.count, 3);
    assert_int_equal(weft_dispatcher_close(loop.d), 0);
}

/* ---- refusing -------------------------------------------------------------------------------- */

static int start_refused(void *arg)
{
    struct seen *seen = arg;
    struct weft_scope scope;
    weft_scope_open(&scope);
    struct weft_task *task = weft_async(&scope, seen->on, note, seen);
    seen->rc = weft_await(task);
    seen->other_rc = weft_with(seen->on, note, seen);
    seen->after = weft_current();
    return weft_scope_close(&scope, 0);
}

static void what_is_refused_never_starts(void **state)
{
    (void)state;
    struct event_loop loop;
    struct weft_dispatcher *view;
    loop_open(&loop, &loop_ops);
    loop.refuse_from = 0;
    assert_int_equal(weft_view_nested(loop.d, 2, "part", &view), 0);
    struct weft_dispatcher *const places[] = { loop.d, view, view };
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        struct seen seen = { .loop = &loop, .on = places[i] };

        assert_int_equal(weft_run(start_refused, &seen), 0);

        assert_int_equal(seen.count, 0);
        assert_int_equal(seen.rc, WEFT_ECHILD);
        assert_int_equal(seen.other_rc, -EOVERFLOW);
        assert_ptr_equal(seen.after, weft_default());
    }
    assert_int_equal(weft_dispatcher_close(loop.d), 0);
}

static int sleep_and_clean_up(void *arg)
{
    struct seen *seen = arg;
    seen->before = weft_current();
    seen->rc = sleep_and_wake();
    struct weft_scope shield;
    weft_shield_open(&shield, TEST_WAIT_MS);
    seen->other_rc = weft_scope_close(&shield, weft_sleep_ms(1));
    seen->at_the_end = weft_current();
    return seen->rc;
}

static void who_is_refused_on_waking_is_cancelled_and_cleans_up_on_io(void **state)
{
    (void)state;
    struct event_loop loop;
    loop_open(&loop, &loop_ops);
    loop_start(&loop);
    loop.refuse_from = 1; /* starts, and that is it */
    struct seen seen = { .loop = &loop };

    assert_int_equal(weft_root_close(weft_root_open(loop.d, sleep_and_clean_up, &seen)),
                     WEFT_ECHILD);

    assert_ptr_equal(seen.before, loop.d);
    assert_int_equal(seen.rc, -ECANCELED);
    assert_int_equal(seen.other_rc, 0);
    assert_ptr_equal(seen.at_the_end, weft_io());
    loop_close(&loop);
}

static int own_copy(void *arg)
{
    struct seen *const *seen = arg;
    (*seen)->rc = weft_check();
    return note(*seen);
}

static int launch_own_copy(void *arg)
{
    struct seen *seen = arg;
    struct weft_scope scope;
    weft_scope_open(&scope);
    weft_launch_copy(&scope, seen->on, own_copy, &seen, sizeof seen);
    return weft_scope_close(&scope, 0);
}

static void who_owns_its_copy_runs_all_the_same_but_cancelled(void **state)
{
    (void)state;
    struct event_loop loop;
    loop_open(&loop, &loop_ops);
    loop.refuse_from = 0;
    struct seen seen = { .loop = &loop, .on = loop.d };

    assert_int_equal(weft_run(launch_own_copy, &seen), 0);

    assert_int_equal(seen.count, 1);
    assert_int_equal(seen.rc, -ECANCELED);
    assert_ptr_equal(seen.before, weft_io());
    assert_int_equal(weft_dispatcher_close(loop.d), 0);
}

/* ---- input ----------------------------------------------------------------------------------- */

static void only_what_was_opened_can_be_closed(void **state)
{
    (void)state;
    struct weft_dispatcher *view;
    assert_int_equal(weft_view_serial(weft_io(), "view", &view), 0);
    assert_int_equal(weft_dispatcher_close(NULL), -EINVAL);
    assert_int_equal(weft_dispatcher_close(weft_default()), -EINVAL);
    assert_int_equal(weft_dispatcher_close(view), -EINVAL);
}

static void a_dispatcher_has_a_dispatch_and_a_name_of_its_own(void **state)
{
    (void)state;
    struct event_loop loop;
    struct weft_dispatcher *none = NULL, *again = NULL;
    const struct weft_dispatcher_ops empty = { .dispatch = NULL };
    const struct weft_dispatcher_ops future = { .dispatch = loop_dispatch, .reserved = { &loop } };
    loop_open(&loop, &loop_ops);

    assert_int_equal(weft_dispatcher_open(NULL, &loop, "a", &none), -EINVAL);
    assert_int_equal(weft_dispatcher_open(&empty, &loop, "a", &none), -EINVAL);
    assert_int_equal(weft_dispatcher_open(&future, &loop, "a", &none), -EINVAL);
    assert_int_equal(weft_dispatcher_open(&loop_ops, &loop, NULL, &none), -EINVAL);
    assert_int_equal(weft_dispatcher_open(&loop_ops, &loop, "loop", &none), -EEXIST);
    assert_int_equal(weft_view_independent(1, "loop", &none), -EEXIST);
    assert_null(none);

    assert_int_equal(weft_dispatcher_close(loop.d), 0);
    assert_int_equal(weft_dispatcher_open(&loop_ops, &loop, "loop", &again), 0);
    assert_int_equal(weft_dispatcher_close(again), 0);
}

static void shutdown_is_busy_while_one_is_open(void **state)
{
    (void)state;
    struct event_loop loop;
    loop_open(&loop, &loop_ops);
    assert_int_equal(weft_shutdown(), -EBUSY);
    assert_int_equal(weft_dispatcher_close(loop.d), 0);
    assert_int_equal(weft_shutdown(), 0);
}

static int run_at_once(void *self, struct weft_work *work)
{
    (void)self;
    weft_work_run(work);
    return 0;
}

static int start_on_hasty(void *arg)
{
    const struct weft_dispatcher_ops hasty = { .dispatch = run_at_once };
    struct weft_dispatcher *d;
    if (weft_dispatcher_open(&hasty, NULL, "hasty", &d) < 0)
        return -EINVAL;
    return weft_root_close(weft_root_open(d, note, arg));
}

static void to_run_work_inside_dispatch_is_a_bug(void **state)
{
    (void)state;
    assert_dies(start_on_hasty, NULL, "weft_work_run: called from inside a dispatch");
}

static int run_twice(void *arg)
{
    struct event_loop *loop = arg;
    struct seen seen = { .loop = loop };
    *loop = (struct event_loop){
        .lock = PTHREAD_MUTEX_INITIALIZER,
        .changed = PTHREAD_COND_INITIALIZER,
        .refuse_from = INT32_MAX,
    };
    if (weft_dispatcher_open(&loop_ops, loop, "loop", &loop->d) < 0 ||
        !weft_root_open(loop->d, note, &seen) || !await(has_work, loop, TEST_WAIT_MS))
        return -EINVAL;
    struct weft_work *work = loop_pop(loop);
    weft_work_run(work);
    weft_work_run(work);
    return 0;
}

static void to_run_work_twice_is_a_bug(void **state)
{
    (void)state;
    struct event_loop loop;
    assert_dies(run_twice, &loop, "weft_work_run: this work has been run already");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        weft_unit_test(coroutines_run_where_the_user_runs_them_and_come_back_there),
        weft_unit_test(a_thousand_go_through_it_and_through_a_view_of_it),
        weft_unit_test(with_goes_there_and_back),
        weft_unit_test(inside_it_its_immediate_runs_in_place),
        weft_unit_test(is_here_lets_the_users_own_code_start_in_place),
        weft_unit_test(a_coroutine_may_be_the_loop),
        weft_unit_test(what_is_refused_never_starts),
        weft_unit_test(who_is_refused_on_waking_is_cancelled_and_cleans_up_on_io),
        weft_unit_test(who_owns_its_copy_runs_all_the_same_but_cancelled),
        weft_unit_test(only_what_was_opened_can_be_closed),
        weft_unit_test(a_dispatcher_has_a_dispatch_and_a_name_of_its_own),
        weft_unit_test(shutdown_is_busy_while_one_is_open),
        weft_unit_test(to_run_work_inside_dispatch_is_a_bug),
        weft_unit_test(to_run_work_twice_is_a_bug),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
