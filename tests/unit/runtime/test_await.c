/* SPDX-License-Identifier: MIT */
#include "wefttest.h"

#include <weft/test.h>

#define MANY 50

struct seen {
    int rc, again_rc, other_rc;
    atomic_bool is_ready, is_free;
    struct weft_task *task;
    struct weft_task *tasks[MANY];
    atomic_int ended;
};

static int five(void *arg)
{
    (void)arg;
    return 5;
}

static int await_twice(void *arg)
{
    struct seen *seen = arg;
    struct weft_scope scope;
    weft_scope_open(&scope);
    struct weft_task *task = weft_async(&scope, NULL, five, NULL);
    seen->rc = weft_await(task);
    seen->again_rc = weft_await_until(task, 0);
    return weft_scope_close(&scope, 0);
}

static void the_result_can_be_asked_for_as_often_as_one_likes(void **state)
{
    (void)state;
    struct seen seen = { .rc = 0 };

    assert_int_equal(weft_run(await_twice, &seen), 0);

    assert_int_equal(seen.rc, 5);
    assert_int_equal(seen.again_rc, 5);
}

static int sleep_long(void *arg)
{
    struct seen *seen = arg;
    seen->is_ready = true;
    int rc = weft_sleep_ms(TEST_WAIT_MS);
    seen->ended++;
    return rc;
}

static int await_cancelled(void *arg)
{
    struct seen *seen = arg;
    struct weft_scope scope;
    weft_scope_open(&scope);
    struct weft_task *task = weft_async(&scope, NULL, sleep_long, seen);
    seen->other_rc = weft_await_until(task, weft_deadline_ms(10));
    seen->again_rc = weft_await_until(task, 0);
    weft_cancel(task);
    seen->rc = weft_await(task);
    return weft_scope_close(&scope, weft_check());
}

static void a_cancelled_task_is_echild_to_who_awaits_it(void **state)
{
    (void)state;
    struct seen seen = { .rc = 0 };

    assert_int_equal(weft_run(await_cancelled, &seen), 0);

    assert_int_equal(seen.other_rc, -ETIMEDOUT); /* and it ran on */
    assert_int_equal(seen.again_rc, -ETIMEDOUT);
    assert_int_equal(seen.rc, WEFT_ECHILD);
}

static int await_itself(void *arg)
{
    struct seen *seen = arg;
    while (!seen->task)
        (void)weft_yield();
    struct weft_task *const all[] = { seen->task };
    seen->again_rc = weft_await_all(all, 1);
    return weft_await(seen->task);
}

static int let_await_itself(void *arg)
{
    struct seen *seen = arg;
    struct weft_scope scope;
    weft_supervisor_open(&scope);
    seen->task = weft_async_opts(&scope, NULL, await_itself, seen,
                                 &(struct weft_task_opts){ .start = WEFT_START_HELD });
    seen->rc = weft_await(seen->task);
    return weft_scope_close(&scope, 0);
}

static void awaiting_oneself_is_edeadlk(void **state)
{
    (void)state;
    struct seen seen = { .rc = 0 };

    assert_int_equal(weft_run(let_await_itself, &seen), 0);

    assert_int_equal(seen.rc, -EDEADLK);
    assert_int_equal(seen.again_rc, -EDEADLK);
}

static int await_null(void *arg)
{
    struct seen *seen = arg;
    struct weft_task *const all[] = { NULL };
    seen->rc = weft_await(NULL);
    seen->again_rc = weft_await_all(all, 1);
    seen->other_rc = weft_await_all(NULL, 0);
    weft_cancel(NULL);
    weft_task_release(NULL);
    return 0;
}

static void null_is_a_start_that_failed(void **state)
{
    (void)state;
    struct seen seen = { .other_rc = -1 };

    assert_int_equal(weft_run(await_null, &seen), 0);

    assert_int_equal(seen.rc, -ECANCELED);
    assert_int_equal(seen.again_rc, -ECANCELED);
    assert_int_equal(seen.other_rc, 0);
}

static int yield_some(void *arg)
{
    struct seen *seen = arg;
    int rc = 0;
    for (int i = 0; i < 5 && rc == 0; i++)
        rc = weft_yield();
    seen->ended++;
    return rc;
}

static int await_many(void *arg)
{
    struct seen *seen = arg;
    struct weft_scope scope;
    weft_scope_open(&scope);
    for (int i = 0; i < MANY; i++)
        seen->tasks[i] = weft_async(&scope, NULL, yield_some, seen);
    seen->rc = weft_await_all(seen->tasks, MANY);
    seen->other_rc = seen->ended;
    seen->again_rc = weft_await_all(seen->tasks, 3);
    return weft_scope_close(&scope, 0);
}

static void await_all_returns_when_all_have_ended_well(void **state)
{
    (void)state;
    struct seen seen = { .rc = -1, .again_rc = -1 };

    assert_int_equal(weft_run(await_many, &seen), 0);

    assert_int_equal(seen.rc, 0);
    assert_int_equal(seen.other_rc, MANY);
    assert_int_equal(seen.again_rc, 0);
}

static int fail_at_once(void *arg)
{
    (void)arg;
    return -10;
}

static int fail_when_free(void *arg)
{
    struct seen *seen = arg;
    return test_await(&seen->is_free) ? -150 : -ETIMEDOUT;
}

static int await_failing(void *arg)
{
    struct seen *seen = arg;
    static const weft_fn fns[] = { sleep_long, fail_when_free, fail_at_once };
    struct weft_scope scope;
    weft_supervisor_open(&scope);
    for (int i = 0; i < 3; i++)
        seen->tasks[i] = weft_async(&scope, NULL, fns[i], seen);
    seen->rc = weft_await_all(seen->tasks, 3); /* the first of them sleeps on */
    seen->is_free = true;
    seen->other_rc = weft_await(seen->tasks[1]);
    seen->again_rc = weft_await_all(seen->tasks, 3);
    weft_scope_cancel_children(&scope);
    return weft_scope_close(&scope, 0);
}

static void await_all_returns_the_failure_that_came_first_and_at_once(void **state)
{
    (void)state;
    struct seen seen = { .rc = 0 };

    assert_int_equal(weft_run(await_failing, &seen), 0);

    assert_int_equal(seen.rc, -10);
    assert_int_equal(seen.other_rc, -150);
    assert_int_equal(seen.again_rc, -10);
}

static int await_sleeper(void *arg)
{
    struct seen *seen = arg;
    struct weft_scope scope;
    weft_scope_open(&scope);
    struct weft_task *task = weft_async(&scope, NULL, sleep_long, seen);
    seen->rc = weft_await(task);
    return weft_scope_close(&scope, seen->rc);
}

static int cancel_who_awaits(void *arg)
{
    struct seen *seen = arg;
    struct weft_scope scope;
    weft_scope_open(&scope);
    struct weft_task *task = weft_async(&scope, NULL, await_sleeper, seen);
    (void)test_await(&seen->is_ready);
    weft_cancel(task);
    seen->other_rc = weft_await(task);
    return weft_scope_close(&scope, 0);
}

static void cancelling_who_awaits_is_ecanceled_there(void **state)
{
    (void)state;
    struct seen seen = { .rc = 0 };

    assert_int_equal(weft_run(cancel_who_awaits, &seen), 0);

    assert_int_equal(seen.rc, -ECANCELED);
    assert_int_equal(seen.other_rc, WEFT_ECHILD);
    assert_int_equal(seen.ended, 1); /* its child was cancelled, too, and waited for */
}

static int wait_until_free(void *arg)
{
    struct seen *seen = arg;
    return test_await(&seen->is_free) ? 5 : -ETIMEDOUT;
}

static void a_plain_thread_can_only_ask(void **state)
{
    (void)state;
    struct seen seen = { .rc = 0 };
    struct weft_task *root = weft_root_open(NULL, wait_until_free, &seen);

    assert_int_equal(weft_await_until(root, 0), -ETIMEDOUT);
    assert_int_equal(weft_await(root), -EPERM);
    assert_int_equal(weft_await_until(root, weft_deadline_ms(5)), -EPERM);
    assert_int_equal(weft_await_all(&root, 1), -EPERM);

    seen.is_free = true;
    assert_int_equal(weft_root_close(root), 5);
}

static int never_runs(void *arg)
{
    (void)arg;
    return -ERANGE;
}

static int hold_one(void *arg)
{
    int rc = weft_sleep_ms(1); /* by then the owner is in close */
    const struct weft_task_opts opts = { .start = WEFT_START_HELD };
    return weft_async_opts(arg, NULL, never_runs, NULL, &opts) ? rc : -ERANGE;
}

static int close_before_one_is_held(void *arg)
{
    struct weft_scope scope;
    (void)arg;
    weft_scope_open(&scope);
    weft_launch(&scope, NULL, hold_one, &scope);
    return weft_scope_close(&scope, 0);
}

static void a_held_task_that_comes_while_its_scope_closes_is_cancelled_too(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 10; seed++)
        assert_int_equal(weft_test_run(seed, close_before_one_is_held, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        weft_unit_test(the_result_can_be_asked_for_as_often_as_one_likes),
        weft_unit_test(a_cancelled_task_is_echild_to_who_awaits_it),
        weft_unit_test(awaiting_oneself_is_edeadlk),
        weft_unit_test(null_is_a_start_that_failed),
        weft_unit_test(await_all_returns_when_all_have_ended_well),
        weft_unit_test(await_all_returns_the_failure_that_came_first_and_at_once),
        weft_unit_test(cancelling_who_awaits_is_ecanceled_there),
        weft_unit_test(a_plain_thread_can_only_ask),
        weft_unit_test(a_held_task_that_comes_while_its_scope_closes_is_cancelled_too),
    };
    return berth_test_main(tests, NULL, NULL);
}
