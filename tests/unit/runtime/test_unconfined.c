/* SPDX-License-Identifier: MIT */
#include "wefttest.h"

#include "support/await.h"

#define DEPTH  (TEST_IS_SLOW ? 1000 : 100000)
#define ROUNDS 1000

struct seen {
    struct weft_dispatcher *inside, *after, *at_the_end;
    pthread_t starter, waker, runner;
    struct weft_completion completion;
    struct weft_scope scope;
    int count, rc;
    bool has_run_at_once, is_same_thread, is_same_later, was_at_once_inside;
    atomic_bool is_waiting, is_over;
};

static int note(void *arg)
{
    struct seen *seen = arg;
    seen->inside = weft_current();
    seen->is_same_thread = pthread_equal(pthread_self(), seen->starter);
    seen->count++;
    return 3;
}

static int launch_one(void *arg)
{
    struct seen *seen = arg;
    seen->starter = pthread_self();
    weft_scope_open(&seen->scope);
    weft_launch(&seen->scope, weft_unconfined(), note, seen);
    seen->has_run_at_once = seen->count == 1;
    return weft_scope_close(&seen->scope, 0);
}

static void it_starts_in_the_caller(void **state)
{
    (void)state;
    struct seen seen = { .count = 0 };

    assert_int_equal(weft_run(launch_one, &seen), 0);

    assert_true(seen.has_run_at_once);
    assert_true(seen.is_same_thread);
    assert_ptr_equal(seen.inside, weft_unconfined());
}

static void a_root_starts_on_the_plain_thread_that_opens_it(void **state)
{
    (void)state;
    struct seen seen = { .starter = pthread_self() };

    struct weft_task *root = weft_root_open(weft_unconfined(), note, &seen);

    assert_int_equal(seen.count, 1);
    assert_true(seen.is_same_thread);
    assert_int_equal(weft_root_close(root), 3);
}

static int wait_for_completion(void *arg)
{
    struct seen *seen = arg;
    seen->is_waiting = true;
    seen->rc = weft_completion_wait(&seen->completion, WEFT_NEVER);
    seen->runner = pthread_self();
    seen->inside = weft_current();
    return seen->rc;
}

static int complete(void *arg)
{
    struct seen *seen = arg;
    seen->waker = pthread_self();
    return weft_completion_set(&seen->completion, 7);
}

static int wake_from_io(void *arg)
{
    struct seen *seen = arg;
    weft_scope_open(&seen->scope);
    struct weft_task *task = weft_async(&seen->scope, weft_unconfined(), wait_for_completion, seen);
    weft_launch(&seen->scope, weft_io(), complete, seen);
    seen->count = weft_await(task);
    return weft_scope_close(&seen->scope, 0);
}

static void it_goes_on_where_it_is_woken(void **state)
{
    (void)state;
    struct seen seen = { .count = 0 };

    assert_int_equal(weft_run(wake_from_io, &seen), 0);

    assert_int_equal(seen.count, 7);
    assert_true(pthread_equal(seen.runner, seen.waker));
    assert_ptr_equal(seen.inside, weft_unconfined());
}

static int complete_late(void *arg)
{
    struct seen *seen = arg;
    return test_block_until(&seen->is_waiting) ? complete(arg) : -ETIMEDOUT;
}

static int await_child(void *arg)
{
    struct seen *seen = arg;
    struct weft_scope scope;
    weft_scope_open(&scope);
    weft_launch(&scope, weft_io(), complete_late, seen);
    seen->is_waiting = true;
    int rc = weft_scope_close(&scope, 0);
    seen->runner = pthread_self();
    return rc;
}

/* Unless the child was so quick that its parent had not parked yet. */
static bool is_taken_along(void *arg)
{
    struct seen seen = { .count = 0 };
    int *rc = arg;
    *rc = weft_root_close(weft_root_open(weft_unconfined(), await_child, &seen));
    return *rc < 0 || pthread_equal(seen.runner, seen.waker);
}

static void a_child_that_ends_takes_its_parent_along(void **state)
{
    (void)state;
    int rc = -1;
    assert_true(await(is_taken_along, &rc, TEST_WAIT_MS));
    assert_int_equal(rc, 0);
}

static void woken_by_a_plain_thread_it_goes_on_on_default(void **state)
{
    (void)state;
    struct seen seen = { .count = 0 };
    struct weft_task *root = weft_root_open(weft_unconfined(), wait_for_completion, &seen);
    assert_true(seen.is_waiting);

    assert_int_equal(weft_completion_set(&seen.completion, 7), 0);

    assert_int_equal(weft_root_close(root), 7);
    assert_false(pthread_equal(seen.runner, pthread_self()));
    assert_ptr_equal(seen.inside, weft_unconfined());
}

static int sleep_a_little(void *arg)
{
    struct seen *seen = arg;
    seen->rc = weft_sleep_ms(1);
    return note(arg);
}

static void the_clock_wakes_it_too(void **state)
{
    (void)state;
    struct seen seen = { .rc = -1 };

    assert_int_equal(weft_root_close(weft_root_open(weft_unconfined(), sleep_a_little, &seen)), 3);

    assert_int_equal(seen.rc, 0);
}

/* ---- nesting --------------------------------------------------------------------------------- */

static int launch_next(void *arg)
{
    struct seen *seen = arg;
    int before = ++seen->count;
    if (before < DEPTH)
        weft_launch(&seen->scope, weft_unconfined(), launch_next, seen);
    seen->was_at_once_inside = seen->was_at_once_inside || seen->count != before;
    return 0;
}

static int launch_deep(void *arg)
{
    struct seen *seen = arg;
    weft_scope_open(&seen->scope);
    weft_launch(&seen->scope, weft_unconfined(), launch_next, seen);
    seen->has_run_at_once = seen->count == DEPTH;
    return weft_scope_close(&seen->scope, 0);
}

static void however_deep_starts_are_nested_stacks_are_not(void **state)
{
    (void)state;
    struct seen seen = { .count = 0 };
    assert_int_equal(weft_configure(&(struct weft_opts){ .threads = 1 }), 0);

    assert_int_equal(weft_run(launch_deep, &seen), 0);

    assert_false(seen.was_at_once_inside);
    assert_true(seen.has_run_at_once); /* all had run when the outermost start came back */
}

static int yield_until_over(void *arg)
{
    struct seen *seen = arg;
    int rc = 0;
    while (!seen->is_over && rc == 0)
        rc = weft_yield();
    return rc;
}

static int set_over(void *arg)
{
    ((struct seen *)arg)->is_over = true;
    return 0;
}

static int yield_beside(void *arg)
{
    struct seen *seen = arg;
    weft_scope_open(&seen->scope);
    weft_launch(&seen->scope, weft_unconfined(), yield_until_over, seen);
    weft_launch(&seen->scope, weft_unconfined(), yield_until_over, seen);
    weft_launch(&seen->scope, weft_default(), set_over, seen);
    return weft_scope_close(&seen->scope, 0);
}

static void those_that_yield_let_others_run(void **state)
{
    (void)state;
    struct seen seen = { .count = 0 };
    assert_int_equal(weft_configure(&(struct weft_opts){ .threads = 1 }), 0);

    assert_int_equal(weft_run(yield_beside, &seen), 0);

    assert_true(seen.is_over);
}

struct game {
    struct weft_semaphore left, right;
    atomic_bool is_over;
    struct weft_scope scope;
};

static int play(struct game *game, struct weft_semaphore *mine, struct weft_semaphore *other)
{
    int rc = 0;
    while (!game->is_over && rc == 0) {
        weft_semaphore_release(other);
        rc = weft_semaphore_acquire(mine, WEFT_NEVER);
    }
    weft_semaphore_release(other);
    return rc;
}

static int play_left(void *arg)
{
    struct game *game = arg;
    return play(game, &game->left, &game->right);
}

static int play_right(void *arg)
{
    struct game *game = arg;
    return play(game, &game->right, &game->left);
}

static int end_game(void *arg)
{
    ((struct game *)arg)->is_over = true;
    return 0;
}

static int play_beside(void *arg)
{
    struct game *game = arg;
    weft_semaphore_init(&game->left, 0);
    weft_semaphore_init(&game->right, 0);
    weft_scope_open(&game->scope);
    weft_launch(&game->scope, weft_unconfined(), play_left, game);
    weft_launch(&game->scope, weft_unconfined(), play_right, game);
    weft_launch(&game->scope, weft_default(), end_game, game);
    return weft_scope_close(&game->scope, 0);
}

static void those_that_wake_each_other_let_others_run(void **state)
{
    (void)state;
    struct game game = { .is_over = false };
    assert_int_equal(weft_configure(&(struct weft_opts){ .threads = 1 }), 0);

    assert_int_equal(weft_run(play_beside, &game), 0);

    assert_true(game.is_over);
}

/* ---- with, views ----------------------------------------------------------------------------- */

static int go_and_come_back(void *arg)
{
    struct seen *seen = arg;
    seen->starter = pthread_self();
    int rc = weft_with(weft_unconfined(), note, seen);
    seen->after = weft_current();
    weft_scope_open(&seen->scope);
    weft_launch(&seen->scope, weft_io(), complete, seen);
    seen->count = weft_with(weft_unconfined(), wait_for_completion, seen);
    seen->at_the_end = weft_current();
    return weft_scope_close(&seen->scope, rc);
}

static void with_is_a_call_that_comes_back_to_its_dispatcher(void **state)
{
    (void)state;
    struct seen seen = { .count = 0 };

    assert_int_equal(weft_run(go_and_come_back, &seen), 3);

    assert_true(seen.is_same_thread);
    assert_ptr_equal(seen.inside, weft_unconfined());
    assert_ptr_equal(seen.after, weft_default());
    assert_int_equal(seen.count, 7);
    assert_ptr_equal(seen.at_the_end, weft_default());
}

static int go_from_unconfined(void *arg)
{
    struct seen *seen = arg;
    seen->rc = weft_with(weft_io(), note, seen);
    seen->after = weft_current();
    return 0;
}

static void with_leaves_it_and_comes_back(void **state)
{
    (void)state;
    struct seen seen = { .starter = pthread_self() };

    assert_int_equal(weft_root_close(weft_root_open(weft_unconfined(), go_from_unconfined, &seen)),
                     0);

    assert_int_equal(seen.rc, 3);
    assert_ptr_equal(seen.inside, weft_io());
    assert_ptr_equal(seen.after, weft_unconfined());
}

static int count_up(void *arg)
{
    ++*(atomic_int *)arg;
    return weft_sleep_ms(1);
}

static int launch_from_view(void *arg)
{
    struct weft_scope scope;
    weft_scope_open(&scope);
    for (int i = 0; i < ROUNDS; i++)
        weft_launch(&scope, i % 2 == 0 ? weft_unconfined() : NULL, count_up, arg);
    return weft_scope_close(&scope, 0);
}

static void it_mixes_with_views(void **state)
{
    (void)state;
    atomic_int count = 0;
    struct weft_dispatcher *view;
    assert_int_equal(weft_view_nested(weft_default(), 2, "view", &view), 0);

    assert_int_equal(weft_root_close(weft_root_open(view, launch_from_view, &count)), 0);

    assert_int_equal(count, ROUNDS);
}

static void there_are_no_views_of_it(void **state)
{
    (void)state;
    struct weft_dispatcher *view = NULL, *immediate = weft_immediate(weft_unconfined());

    assert_int_equal(weft_view_nested(weft_unconfined(), 2, "none", &view), -EINVAL);
    assert_int_equal(weft_view_serial(weft_unconfined(), "none", &view), -EINVAL);
    assert_int_equal(weft_view_nested(immediate, 2, "none", &view), -EINVAL);

    assert_null(view);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        weft_unit_test(it_starts_in_the_caller),
        weft_unit_test(a_root_starts_on_the_plain_thread_that_opens_it),
        weft_unit_test(it_goes_on_where_it_is_woken),
        weft_unit_test(a_child_that_ends_takes_its_parent_along),
        weft_unit_test(woken_by_a_plain_thread_it_goes_on_on_default),
        weft_unit_test(the_clock_wakes_it_too),
        weft_unit_test(however_deep_starts_are_nested_stacks_are_not),
        weft_unit_test(those_that_yield_let_others_run),
        weft_unit_test(those_that_wake_each_other_let_others_run),
        weft_unit_test(with_is_a_call_that_comes_back_to_its_dispatcher),
        weft_unit_test(with_leaves_it_and_comes_back),
        weft_unit_test(it_mixes_with_views),
        weft_unit_test(there_are_no_views_of_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
