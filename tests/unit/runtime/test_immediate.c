/* SPDX-License-Identifier: MIT */
#include "wefttest.h"

struct seen {
    struct weft_dispatcher *on, *before, *inside, *after;
    struct weft_task *task;
    pthread_t thread;
    bool has_run_at_once, is_same_thread, was_held_back;
    atomic_bool has_run, has_launched;
    int rc;
};

static int note(void *arg)
{
    struct seen *seen = arg;
    seen->inside = weft_current();
    seen->is_same_thread = pthread_equal(seen->thread, pthread_self());
    seen->has_run = true;
    return 3;
}

static int launch_there(void *arg)
{
    struct seen *seen = arg;
    struct weft_scope scope;
    weft_scope_open(&scope);
    seen->thread = pthread_self();
    weft_launch(&scope, seen->on, note, seen);
    seen->has_run_at_once = seen->has_run;
    seen->has_launched = true;
    return weft_scope_close(&scope, 0);
}

static void what_is_launched_on_the_immediate_of_ones_own_runs_in_place(void **state)
{
    (void)state;
    struct seen seen = { .on = weft_immediate(weft_default()) };

    assert_int_equal(weft_run(launch_there, &seen), 0);

    assert_true(seen.has_run_at_once);
    assert_true(seen.is_same_thread);
    assert_ptr_equal(seen.inside, weft_default());
}

static void what_is_launched_on_the_immediate_of_another_is_queued_there(void **state)
{
    (void)state;
    struct seen seen = { .on = weft_immediate(weft_io()) };
    struct io_block block;
    assert_int_equal(weft_configure(&(struct weft_opts){ .io_threads = 1 }), 0);
    io_block(&block);

    struct weft_task *root = weft_root_open(NULL, launch_there, &seen);
    assert_true(test_block_until(&seen.has_launched)); /* io is full */

    assert_false(seen.has_run);
    io_free(&block);
    assert_int_equal(weft_root_close(root), 0);
    assert_ptr_equal(seen.inside, weft_io());
    assert_false(seen.has_run_at_once);
}

static void a_root_of_a_plain_thread_is_queued(void **state)
{
    (void)state;
    struct seen seen = { .thread = pthread_self() };

    assert_int_equal(weft_root_close(weft_root_open(weft_immediate(weft_io()), note, &seen)), 3);

    assert_ptr_equal(seen.inside, weft_io());
    assert_false(seen.is_same_thread);
}

static int open_root_in_place(void *arg)
{
    struct seen *seen = arg;
    seen->thread = pthread_self();
    struct weft_task *root = weft_root_open(weft_immediate(weft_default()), note, seen);
    seen->has_run_at_once = seen->has_run;
    return weft_root_close(root);
}

static void a_root_that_is_opened_inside_runs_in_place(void **state)
{
    (void)state;
    struct seen seen = { .rc = 0 };

    assert_int_equal(weft_run(open_root_in_place, &seen), 3);

    assert_true(seen.has_run_at_once);
    assert_true(seen.is_same_thread);
}

static int hold_there(void *arg)
{
    struct seen *seen = arg;
    struct weft_scope scope;
    weft_scope_open(&scope);
    struct weft_task *task = weft_async_opts(&scope, weft_immediate(weft_default()), note, seen,
                                             &(struct weft_task_opts){ .start = WEFT_START_HELD });
    seen->was_held_back = !seen->has_run;
    seen->rc = weft_await(task);
    return weft_scope_close(&scope, 0);
}

static void a_held_start_stays_held(void **state)
{
    (void)state;
    struct seen seen = { .rc = 0 };

    assert_int_equal(weft_run(hold_there, &seen), 0);

    assert_true(seen.was_held_back);
    assert_int_equal(seen.rc, 3);
}

static int with_there(void *arg)
{
    struct seen *seen = arg;
    seen->before = weft_current();
    seen->thread = pthread_self();
    seen->rc = weft_with(seen->on, note, seen);
    seen->after = weft_current();
    return 0;
}

static void with_the_immediate_of_ones_own_is_a_call(void **state)
{
    (void)state;
    struct seen seen = { .on = weft_immediate(weft_default()) };

    assert_int_equal(weft_run(with_there, &seen), 0);

    assert_int_equal(seen.rc, 3);
    assert_true(seen.is_same_thread);
    assert_ptr_equal(seen.inside, weft_default());
    assert_ptr_equal(seen.after, weft_default());
}

static void with_the_immediate_of_another_goes_there_and_back(void **state)
{
    (void)state;
    struct seen seen = { .on = weft_immediate(weft_io()) };

    assert_int_equal(weft_run(with_there, &seen), 0);

    assert_int_equal(seen.rc, 3);
    assert_ptr_equal(seen.inside, weft_io());
    assert_ptr_equal(seen.after, weft_default());
}

static int run_in_view(struct weft_dispatcher *view, weft_fn fn, struct seen *seen)
{
    return weft_root_close(weft_root_open(view, fn, seen));
}

static void inside_a_view_one_is_inside_its_parent_too(void **state)
{
    (void)state;
    struct seen seen = { .on = weft_immediate(weft_io()) };
    struct weft_dispatcher *outer, *view;
    assert_int_equal(weft_view_nested(weft_io(), 2, "outer", &outer), 0);
    assert_int_equal(weft_view_serial(outer, "view", &view), 0);

    assert_int_equal(run_in_view(view, with_there, &seen), 0);

    assert_ptr_equal(seen.before, view);
    assert_true(seen.is_same_thread);
    assert_ptr_equal(seen.inside, weft_io());
    assert_ptr_equal(seen.after, view);

    seen = (struct seen){ .on = weft_immediate(outer) };
    assert_int_equal(run_in_view(view, launch_there, &seen), 0);

    assert_true(seen.has_run_at_once);
    assert_ptr_equal(seen.inside, outer);
}

static void inside_the_parent_one_is_not_inside_its_view(void **state)
{
    (void)state;
    struct seen seen = { .rc = 0 };
    struct weft_dispatcher *view;
    assert_int_equal(weft_configure(&(struct weft_opts){ .threads = 1 }), 0); /* which is busy */
    assert_int_equal(weft_view_serial(weft_default(), "view", &view), 0);
    seen.on = weft_immediate(view);

    assert_int_equal(weft_run(launch_there, &seen), 0);

    assert_false(seen.has_run_at_once);
    assert_ptr_equal(seen.inside, view);
}

static int sleep_inside(void *arg)
{
    struct seen *seen = arg;
    seen->rc = weft_sleep_ms(1);
    seen->inside = weft_current();
    return seen->rc;
}

static int with_sleep(void *arg)
{
    struct seen *seen = arg;
    seen->rc = weft_with(seen->on, sleep_inside, seen);
    seen->after = weft_current();
    struct weft_scope scope; /* whether it is where it says: else the child does not run in place */
    weft_scope_open(&scope);
    weft_launch(&scope, weft_immediate(seen->after), note, &(struct seen){ .rc = 0 });
    return weft_scope_close(&scope, seen->rc);
}

static void who_parks_in_place_goes_on_there_and_comes_back(void **state)
{
    (void)state;
    struct seen seen = { .on = weft_immediate(weft_io()) };
    struct weft_dispatcher *view;
    assert_int_equal(weft_view_serial(weft_io(), "view", &view), 0);

    assert_int_equal(run_in_view(view, with_sleep, &seen), 0);

    assert_ptr_equal(seen.inside, weft_io());
    assert_ptr_equal(seen.after, view);
}

static int visit_twice(void *arg)
{
    struct seen *seen = arg;
    return weft_with(weft_immediate(seen->on), note, seen);
}

static int visit(void *arg)
{
    struct seen *seen = arg;
    return weft_with(weft_immediate(seen->on), visit_twice, seen);
}

static void a_serial_view_may_be_entered_again_from_inside(void **state)
{
    (void)state;
    struct seen seen = { .rc = 0 };
    assert_int_equal(weft_view_serial(weft_default(), "again", &seen.on), 0);

    assert_int_equal(weft_run(visit, &seen), 3);

    assert_ptr_equal(seen.inside, seen.on);
}

static void each_dispatcher_has_one_immediate(void **state)
{
    (void)state;
    struct weft_dispatcher *immediate = weft_immediate(weft_default());
    assert_non_null(immediate);
    assert_ptr_equal(weft_immediate(weft_default()), immediate);
    assert_ptr_equal(weft_immediate(immediate), immediate);
    assert_ptr_not_equal(weft_immediate(weft_io()), immediate);
    assert_null(weft_immediate(NULL));
}

static void a_view_of_an_immediate_is_one_of_what_that_stands_for(void **state)
{
    (void)state;
    struct seen seen = { .thread = pthread_self() };
    struct weft_dispatcher *view;
    assert_int_equal(weft_view_nested(weft_immediate(weft_io()), 2, "view", &view), 0);

    assert_int_equal(run_in_view(view, note, &seen), 3);

    assert_ptr_equal(seen.inside, view);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        weft_unit_test(what_is_launched_on_the_immediate_of_ones_own_runs_in_place),
        weft_unit_test(what_is_launched_on_the_immediate_of_another_is_queued_there),
        weft_unit_test(a_root_of_a_plain_thread_is_queued),
        weft_unit_test(a_root_that_is_opened_inside_runs_in_place),
        weft_unit_test(a_held_start_stays_held),
        weft_unit_test(with_the_immediate_of_ones_own_is_a_call),
        weft_unit_test(with_the_immediate_of_another_goes_there_and_back),
        weft_unit_test(inside_a_view_one_is_inside_its_parent_too),
        weft_unit_test(inside_the_parent_one_is_not_inside_its_view),
        weft_unit_test(who_parks_in_place_goes_on_there_and_comes_back),
        weft_unit_test(a_serial_view_may_be_entered_again_from_inside),
        weft_unit_test(each_dispatcher_has_one_immediate),
        weft_unit_test(a_view_of_an_immediate_is_one_of_what_that_stands_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
