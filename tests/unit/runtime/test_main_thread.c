/* SPDX-License-Identifier: MIT */
#include "wefttest.h"

#include <weft/test.h>

struct seen {
    struct weft_dispatcher *on, *first, *second, *at_the_end;
    pthread_t main_thread;
    int count, rc, other_rc, started;
    bool was_main, is_here, came_back;
    atomic_bool is_inside, is_parked;
    struct weft_task *root;
    struct weft_completion wake;
};

static bool is_main_thread(const struct seen *seen)
{
    return pthread_equal(pthread_self(), seen->main_thread);
}

static int note(void *arg)
{
    struct seen *seen = arg;
    seen->second = weft_current();
    seen->was_main = is_main_thread(seen);
    seen->started++;
    return 5;
}

static int look_round(void *arg)
{
    struct seen *seen = arg;
    seen->first = weft_current();
    seen->is_here = is_main_thread(seen);
    int rc = weft_sleep_ms(1);
    seen->came_back = is_main_thread(seen);
    return rc < 0 ? rc : 7;
}

static void fn_runs_on_the_calling_thread_and_its_result_comes_out(void **state)
{
    (void)state;
    struct seen seen = { .main_thread = pthread_self() };

    assert_int_equal(weft_main_run(look_round, &seen), 7);

    assert_ptr_equal(seen.first, weft_main());
    assert_true(seen.is_here);
    assert_true(seen.came_back);
}

static int go_away_and_back(void *arg)
{
    struct seen *seen = arg;
    int rc = weft_with(weft_io(), note, seen);
    seen->came_back = is_main_thread(seen);
    return rc;
}

static void with_leaves_the_main_thread_and_comes_back(void **state)
{
    (void)state;
    struct seen seen = { .main_thread = pthread_self() };

    assert_int_equal(weft_main_run(go_away_and_back, &seen), 5);

    assert_false(seen.was_main);
    assert_true(seen.came_back);
}

static int call_main(void *arg)
{
    struct seen *seen = arg;
    int rc = weft_with(weft_main(), note, seen);
    seen->came_back = !is_main_thread(seen);
    return rc;
}

static int call_main_from_outside(void *arg)
{
    struct weft_scope scope;
    weft_scope_open(&scope);
    struct weft_task *task = weft_async(&scope, weft_default(), call_main, arg);
    return weft_scope_close(&scope, weft_await(task));
}

static void others_reach_the_main_thread_by_with(void **state)
{
    (void)state;
    struct seen seen = { .main_thread = pthread_self() };

    assert_int_equal(weft_main_run(call_main_from_outside, &seen), 5);

    assert_ptr_equal(seen.second, weft_main());
    assert_true(seen.was_main);
    assert_true(seen.came_back);
}

static int count_up(void *arg)
{
    ++*(int *)arg;
    return 0;
}

#define MANY 1000

static int launch_on_main(void *arg)
{
    return launch_many(weft_main(), MANY, count_up, arg);
}

static int launch_from_all_sides(void *arg)
{
    struct weft_scope scope;
    weft_scope_open(&scope);
    weft_launch(&scope, weft_default(), launch_on_main, arg);
    weft_launch(&scope, weft_io(), launch_on_main, arg);
    weft_launch(&scope, weft_main(), launch_on_main, arg);
    return weft_scope_close(&scope, 0);
}

static void main_runs_one_at_a_time(void **state)
{
    (void)state;
    int count = 0; /* plain: TSan tells if two turns are not in order */

    assert_int_equal(weft_main_run(launch_from_all_sides, &count), 0);

    assert_int_equal(count, 3 * MANY);
}

static int immediate_and_queued(void *arg)
{
    struct seen *seen = arg;
    struct weft_scope scope;
    weft_scope_open(&scope);
    weft_launch(&scope, weft_immediate(weft_main()), count_up, &seen->count);
    seen->rc = seen->count;
    weft_launch(&scope, weft_main(), count_up, &seen->count);
    seen->other_rc = seen->count;
    return weft_scope_close(&scope, 0);
}

static void the_immediate_of_main_runs_in_place_on_main(void **state)
{
    (void)state;
    struct seen seen = { .count = 0 };

    assert_int_equal(weft_main_run(immediate_and_queued, &seen), 0);

    assert_int_equal(seen.rc, 1);
    assert_int_equal(seen.other_rc, 1);
    assert_int_equal(seen.count, 2);
}

static int use_view(void *arg)
{
    struct seen *seen = arg;
    struct weft_scope scope;
    weft_scope_open(&scope);
    for (int i = 0; i < MANY; i++)
        weft_launch(&scope, seen->on, count_up, &seen->count);
    weft_launch(&scope, seen->on, note, seen);
    return weft_scope_close(&scope, 0);
}

static void a_view_may_lie_on_main(void **state)
{
    (void)state;
    struct seen seen = { .main_thread = pthread_self() };
    assert_int_equal(weft_view_serial(weft_main(), "label", &seen.on), 0);

    assert_int_equal(weft_main_run(use_view, &seen), 0);

    assert_int_equal(seen.count, MANY);
    assert_ptr_equal(seen.second, seen.on);
    assert_true(seen.was_main);
}

/* ---- while there is none --------------------------------------------------------------------- */

static int start_on(void *arg)
{
    struct seen *seen = arg;
    struct weft_scope scope;
    weft_supervisor_open(&scope);
    seen->rc = weft_launch(&scope, seen->on, note, seen);
    seen->other_rc = weft_with(seen->on, note, seen);
    seen->first = weft_current();
    return weft_scope_close(&scope, 0);
}

static void check_refused(struct weft_dispatcher *on)
{
    struct seen seen = { .on = on };

    assert_int_equal(weft_run(start_on, &seen), 0);
    assert_null(weft_root_open(on, note, &seen));

    assert_int_equal(seen.rc, -ENODEV);
    assert_int_equal(seen.other_rc, -ENODEV);
    assert_int_equal(seen.started, 0);
    assert_ptr_equal(seen.first, weft_default());
}

static void while_there_is_none_starts_fail(void **state)
{
    (void)state;
    check_refused(weft_main());
    check_refused(weft_immediate(weft_main()));
}

static void a_parent_that_refuses_takes_no_place_of_its_view(void **state)
{
    (void)state;
    struct seen seen = { .main_thread = pthread_self() };
    assert_int_equal(weft_view_serial(weft_main(), "label", &seen.on), 0);

    for (int i = 0; i < 3; i++)
        check_refused(seen.on);

    assert_int_equal(weft_main_run(use_view, &seen), 0);
    assert_int_equal(seen.count, MANY);
}

static int park_on_main(void *arg)
{
    struct seen *seen = arg;
    seen->first = weft_current();
    seen->is_parked = true;
    seen->rc = weft_completion_wait(&seen->wake, WEFT_NEVER);
    struct weft_scope shield; /* the clean-up may wait */
    weft_shield_open(&shield, TEST_WAIT_MS);
    seen->other_rc = weft_scope_close(&shield, weft_sleep_ms(1));
    seen->at_the_end = weft_current();
    return seen->rc;
}

static int leave_one_parked(void *arg)
{
    struct seen *seen = arg;
    seen->root = weft_root_open(seen->on, park_on_main, seen);
    return test_await(&seen->is_parked) ? 0 : -ETIMEDOUT;
}

static void check_left(struct weft_dispatcher *on, bool is_cancelled)
{
    struct seen seen = { .on = on };

    assert_int_equal(weft_main_run(leave_one_parked, &seen), 0);
    if (is_cancelled)
        weft_cancel(seen.root);
    else /* it finds nobody */
        assert_int_equal(weft_completion_set(&seen.wake, 0), 0);

    assert_int_equal(weft_root_close(seen.root), WEFT_ECHILD);
    assert_ptr_equal(seen.first, on);
    assert_int_equal(seen.rc, -ECANCELED);
    assert_int_equal(seen.other_rc, 0);
    assert_ptr_equal(seen.at_the_end, weft_io());
}

static void who_is_parked_when_it_ends_is_cancelled_on_waking_and_cleans_up_on_io(void **state)
{
    (void)state;
    struct weft_dispatcher *view;
    assert_int_equal(weft_view_serial(weft_main(), "label", &view), 0);
    check_left(weft_main(), true);
    check_left(weft_main(), false);
    check_left(view, true);
    check_left(view, false);
}

static int leave_some_queued(void *arg)
{
    struct seen *seen = arg;
    seen->root = weft_root_open(seen->on, note, seen);
    return seen->root ? 0 : -ENODEV; /* before its turn comes */
}

static void who_is_queued_when_it_ends_never_runs(void **state)
{
    (void)state;
    struct weft_dispatcher *view;
    assert_int_equal(weft_view_serial(weft_main(), "label", &view), 0);
    struct weft_dispatcher *const places[] = { weft_main(), view };
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        struct seen seen = { .on = places[i] };

        assert_int_equal(weft_main_run(leave_some_queued, &seen), 0);

        assert_int_equal(weft_root_close(seen.root), WEFT_ECHILD);
        assert_int_equal(seen.started, 0);
    }
}

static int hop_to_main(void *arg)
{
    struct seen *seen = arg;
    seen->is_inside = true;
    seen->rc = weft_with(seen->on, note, seen);
    seen->first = weft_current();
    return 0;
}

static int leave_one_on_its_way(void *arg)
{
    struct seen *seen = arg;
    seen->root = weft_root_open(weft_default(), hop_to_main, seen);
    return test_block_until(&seen->is_inside) ? 0 : -ETIMEDOUT;
}

static void who_is_on_its_way_when_it_ends_goes_back_with_enodev(void **state)
{
    (void)state;
    struct seen seen = { .on = weft_main() };

    assert_int_equal(weft_main_run(leave_one_on_its_way, &seen), 0);

    assert_int_equal(weft_root_close(seen.root), 0);
    assert_int_equal(seen.rc, -ENODEV);
    assert_int_equal(seen.started, 0);
    assert_ptr_equal(seen.first, weft_default());
}

/* ---- input ----------------------------------------------------------------------------------- */

static int run_again(void *arg)
{
    return weft_main_run(count_up, arg);
}

static void *run_in_thread(void *arg)
{
    struct seen *seen = arg;
    seen->rc = weft_main_run(count_up, &seen->count);
    return NULL;
}

static int run_elsewhere(void *arg)
{
    struct seen *seen = arg;
    pthread_t thread;
    if (pthread_create(&thread, NULL, run_in_thread, seen) != 0)
        return -EAGAIN;
    (void)pthread_join(thread, NULL);
    return 0;
}

static void there_is_one_main_thread_at_a_time(void **state)
{
    (void)state;
    struct seen seen = { .rc = 0 };

    assert_int_equal(weft_main_run(run_elsewhere, &seen), 0);
    assert_int_equal(seen.rc, -EBUSY);

    assert_int_equal(run_elsewhere(&seen), 0);
    assert_int_equal(seen.rc, 0);
    assert_int_equal(seen.count, 1);
}

static void bad_calls_are_refused(void **state)
{
    (void)state;
    int count = 0;
    assert_int_equal(weft_main_run(NULL, NULL), -EINVAL);
    assert_int_equal(weft_run(run_again, &count), -EPERM);
    assert_int_equal(weft_main_run(run_again, &count), -EPERM);
    assert_int_equal(count, 0);
}

static int end_with(void *arg)
{
    return *(int *)arg;
}

static void a_failure_comes_out_as_it_is(void **state)
{
    (void)state;
    assert_int_equal(weft_main_run(end_with, &(int){ -EIO }), -EIO);
    assert_int_equal(weft_main_run(end_with, &(int){ -ECANCELED }), WEFT_ECHILD);
}

/* ---- replacing ------------------------------------------------------------------------------- */

static void main_may_be_replaced_and_put_back(void **state)
{
    (void)state;
    struct weft_dispatcher *real = weft_main(), *serial;
    struct seen seen = { .main_thread = pthread_self() };
    assert_int_equal(weft_view_serial(weft_default(), "test", &serial), 0);

    assert_int_equal(weft_main_replace(weft_immediate(serial)), 0);

    assert_ptr_equal(weft_main(), serial);
    assert_int_equal(weft_root_close(weft_root_open(weft_main(), note, &seen)), 5);
    assert_ptr_equal(seen.second, serial);
    assert_int_equal(weft_main_run(look_round, &seen), 7);
    assert_ptr_equal(seen.first, serial);
    assert_false(seen.is_here);

    assert_int_equal(weft_main_replace(NULL), 0);

    assert_ptr_equal(weft_main(), real);
    check_refused(weft_main());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        weft_unit_test(fn_runs_on_the_calling_thread_and_its_result_comes_out),
        weft_unit_test(with_leaves_the_main_thread_and_comes_back),
        weft_unit_test(others_reach_the_main_thread_by_with),
        weft_unit_test(main_runs_one_at_a_time),
        weft_unit_test(the_immediate_of_main_runs_in_place_on_main),
        weft_unit_test(a_view_may_lie_on_main),
        weft_unit_test(while_there_is_none_starts_fail),
        weft_unit_test(a_parent_that_refuses_takes_no_place_of_its_view),
        weft_unit_test(who_is_parked_when_it_ends_is_cancelled_on_waking_and_cleans_up_on_io),
        weft_unit_test(who_is_queued_when_it_ends_never_runs),
        weft_unit_test(who_is_on_its_way_when_it_ends_goes_back_with_enodev),
        weft_unit_test(there_is_one_main_thread_at_a_time),
        weft_unit_test(bad_calls_are_refused),
        weft_unit_test(a_failure_comes_out_as_it_is),
        weft_unit_test(main_may_be_replaced_and_put_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
