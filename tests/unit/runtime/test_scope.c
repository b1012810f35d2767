/* SPDX-License-Identifier: MIT */
/* Scopes: they close when all children have ended, and tell the first cause; supervisors, and what
 * is misuse. Time: test_scope_time.c. */
#include "scope_bodies.h"

#include <stdio.h>

static int three_naps(void *arg)
{
    struct seen *seen = arg;
    struct weft_scope scope;
    weft_scope_open(&scope);
    for (int i = 0; i < 3; i++)
        weft_launch(&scope, NULL, nap, seen);
    seen->closed_rc = weft_scope_close(&scope, 4);
    return seen->ended;
}

static void close_waits_for_all_children(void **state)
{
    (void)state;
    struct seen seen = { .rc = 0 };

    assert_int_equal(weft_run(three_naps, &seen), 3);

    assert_int_equal(seen.closed_rc, 4);
}

static int failing_family(void *arg)
{
    struct seen *seen = arg;
    struct weft_scope scope;
    weft_scope_open(&scope);
    weft_launch(&scope, NULL, sleep_long, seen);
    weft_launch(&scope, NULL, fail_when_ready, seen);
    seen->rc = weft_sleep_ms(TEST_WAIT_MS);
    seen->closed_rc = weft_scope_close(&scope, seen->rc);
    return weft_check();
}

static void first_failure_cancels_siblings_and_body_and_comes_out_of_close(void **state)
{
    (void)state;
    struct seen seen = { .rc = 0 };

    assert_int_equal(weft_run(failing_family, &seen), 0);

    assert_int_equal(seen.rc, -ECANCELED);
    assert_int_equal(seen.closed_rc, -EPIPE);
    assert_int_equal(seen.cancelled, 1);
    assert_int_equal(seen.ended, 2);
}

static int body_fails(void *arg)
{
    struct seen *seen = arg;
    struct weft_scope scope;
    weft_scope_open(&scope);
    weft_launch(&scope, NULL, sleep_long, seen);
    (void)test_await(&seen->is_ready);
    return weft_scope_close(&scope, -EDOM);
}

static void a_body_that_fails_cancels_the_children_first(void **state)
{
    (void)state;
    struct seen seen = { .rc = 0 };

    assert_int_equal(weft_run(body_fails, &seen), -EDOM);

    assert_int_equal(seen.cancelled, 1);
}

static int foreign_cancel(void *arg)
{
    (void)arg;
    return -ECANCELED; /* though nobody cancelled it */
}

static int one_foreign(void *arg)
{
    (void)arg;
    struct weft_scope scope;
    weft_scope_open(&scope);
    weft_launch(&scope, NULL, foreign_cancel, NULL);
    return weft_scope_close(&scope, 0);
}

static void ecanceled_of_a_child_nobody_cancelled_is_a_failure(void **state)
{
    (void)state;
    assert_int_equal(weft_run(one_foreign, NULL), WEFT_ECHILD);
}

/* ---- supervisors ----------------------------------------------------------------------------- */

static void note_failure(void *arg, const char *task, int rc)
{
    struct seen *seen = arg;
    (void)snprintf(seen->name, sizeof seen->name, "%s", task);
    seen->failed_rc = rc;
}

static int supervisor(void *arg)
{
    struct seen *seen = arg;
    struct weft_scope scope;
    weft_supervisor_open(&scope);
    weft_scope_on_failure(&scope, note_failure, seen);
    weft_launch_opts(&scope, NULL, fail_when_ready, seen,
                     &(struct weft_task_opts){ .name = "bad" });
    weft_launch(&scope, NULL, nap, seen);
    return weft_scope_close(&scope, 0);
}

static void children_of_a_supervisor_fail_alone_and_are_reported(void **state)
{
    (void)state;
    struct seen seen = { .rc = 0 };

    assert_int_equal(weft_run(supervisor, &seen), 0);

    assert_int_equal(seen.cancelled, 0);
    assert_int_equal(seen.ended, 2);
    assert_int_equal(seen.failed_rc, -EPIPE);
    assert_string_equal(seen.name, "bad");
}

static int cancelled_child_of_supervisor(void *arg)
{
    struct seen *seen = arg;
    struct weft_scope scope;
    weft_supervisor_open(&scope);
    weft_scope_on_failure(&scope, note_failure, seen);
    weft_launch(&scope, NULL, sleep_long, seen);
    (void)test_await(&seen->is_ready);
    weft_scope_cancel_children(&scope);
    return weft_scope_close(&scope, weft_check());
}

static void cancelling_is_no_failure(void **state)
{
    (void)state;
    struct seen seen = { .rc = 0 };

    assert_int_equal(weft_run(cancelled_child_of_supervisor, &seen), 0);

    assert_int_equal(seen.cancelled, 1);
    assert_int_equal(seen.failed_rc, 0);
}

static int supervisor_body_fails(void *arg)
{
    struct seen *seen = arg;
    struct weft_scope scope;
    weft_supervisor_open(&scope);
    weft_launch(&scope, NULL, sleep_long, seen);
    (void)test_await(&seen->is_ready);
    return weft_scope_close(&scope, -EDOM);
}

static void a_supervisor_whose_body_fails_cancels_all(void **state)
{
    (void)state;
    struct seen seen = { .rc = 0 };

    assert_int_equal(weft_run(supervisor_body_fails, &seen), -EDOM);

    assert_int_equal(seen.cancelled, 1);
}

/* ---- by hand, and from outside --------------------------------------------------------------- */

static int cancel_by_hand(void *arg)
{
    struct seen *seen = arg;
    struct weft_scope scope;
    weft_scope_open(&scope);
    weft_launch(&scope, NULL, sleep_long, seen);
    (void)test_await(&seen->is_ready);
    weft_scope_cancel(&scope);
    seen->rc = weft_sleep_ms(1);
    seen->inner_rc = weft_launch(&scope, NULL, nap, seen);
    return weft_scope_close(&scope, 9);
}

static void cancelled_by_its_own_body_the_result_is_the_bodys(void **state)
{
    (void)state;
    struct seen seen = { .rc = 0 };

    assert_int_equal(weft_run(cancel_by_hand, &seen), 9);

    assert_int_equal(seen.rc, -ECANCELED);
    assert_int_equal(seen.inner_rc, -ECANCELED);
    assert_int_equal(seen.cancelled, 1);
}

static int launches_and_leaves(void *arg)
{
    struct seen *seen = arg;
    struct weft_scope scope;
    weft_scope_open(&scope);
    weft_launch(&scope, NULL, sleep_long, seen);
    seen->closed_rc = weft_scope_close(&scope, 0);
    return seen->closed_rc;
}

static int cancel_from_outside(void *arg)
{
    struct seen *seen = arg;
    struct weft_scope scope;
    weft_scope_open(&scope);
    weft_launch(&scope, NULL, launches_and_leaves, seen);
    (void)test_await(&seen->is_ready);
    weft_scope_cancel(&scope);
    return weft_scope_close(&scope, 0);
}

static void cancelled_from_outside_unfinished_children_are_no_success(void **state)
{
    (void)state;
    struct seen seen = { .rc = 0 };

    assert_int_equal(weft_run(cancel_from_outside, &seen), 0);

    assert_int_equal(seen.closed_rc, -ECANCELED);
}

static int open_waits(void *arg)
{
    struct seen *seen = arg;
    weft_scope_open(&seen->scope);
    seen->is_ready = true;
    seen->rc = weft_sleep_ms(TEST_WAIT_MS);
    return weft_scope_close(&seen->scope, seen->rc);
}

static void a_plain_thread_may_cancel_a_scope(void **state)
{
    (void)state;
    struct seen seen = { .rc = 0 };
    struct weft_task *root = weft_root_open(NULL, open_waits, &seen);
    assert_true(test_block_until(&seen.is_ready));

    weft_scope_cancel(&seen.scope);

    assert_int_equal(weft_root_close(root), WEFT_ECHILD);
    assert_int_equal(seen.rc, -ECANCELED);
}

static int cancel_children_and_go_on(void *arg)
{
    struct seen *seen = arg;
    struct weft_scope scope;
    weft_scope_open(&scope);
    weft_launch(&scope, NULL, sleep_long, seen);
    (void)test_await(&seen->is_ready);
    weft_scope_cancel_children(&scope);
    seen->rc = weft_sleep_ms(1);
    weft_launch(&scope, NULL, nap, seen);
    return weft_scope_close(&scope, 8);
}

static void cancel_children_leaves_the_body_alone(void **state)
{
    (void)state;
    struct seen seen = { .rc = -1 };

    assert_int_equal(weft_run(cancel_children_and_go_on, &seen), 8);

    assert_int_equal(seen.rc, 0);
    assert_int_equal(seen.cancelled, 1);
    assert_int_equal(seen.ended, 2);
}

/* ---- misuse ---------------------------------------------------------------------------------- */

static int open_on_plain_thread(void *arg)
{
    (void)arg;
    struct weft_scope scope;
    weft_scope_open(&scope);
    return 0;
}

static int close_the_wrong_one(void *arg)
{
    (void)arg;
    struct weft_scope outer, inner;
    weft_scope_open(&outer);
    weft_scope_open(&inner);
    return weft_scope_close(&outer, 0);
}

static int run_close_the_wrong_one(void *arg)
{
    return weft_run(close_the_wrong_one, arg);
}

static int close_twice(void *arg)
{
    (void)arg;
    struct weft_scope scope;
    weft_scope_open(&scope);
    (void)weft_scope_close(&scope, 0);
    return weft_scope_close(&scope, 0);
}

static int run_close_twice(void *arg)
{
    return weft_run(close_twice, arg);
}

static int close_the_parents(void *arg)
{
    return weft_scope_close(arg, 0);
}

static int foreign_close(void *arg)
{
    (void)arg;
    struct weft_scope scope;
    weft_scope_open(&scope);
    weft_launch(&scope, NULL, close_the_parents, &scope);
    return weft_scope_close(&scope, 0);
}

static int run_foreign_close(void *arg)
{
    return weft_run(foreign_close, arg);
}

static void misuse_ends_the_program_with_the_reason(void **state)
{
    (void)state;
    assert_dies(open_on_plain_thread, NULL, "open_on_plain_thread() opens a scope outside");
    assert_dies(run_close_the_wrong_one, NULL, "close_the_wrong_one() opened inside it");
    assert_dies(run_close_twice, NULL, "weft_scope_close: the scope is not open");
    assert_dies(run_foreign_close, NULL, "belongs to another coroutine; foreign_close() opened it");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        weft_unit_test(close_waits_for_all_children),
        weft_unit_test(first_failure_cancels_siblings_and_body_and_comes_out_of_close),
        weft_unit_test(a_body_that_fails_cancels_the_children_first),
        weft_unit_test(ecanceled_of_a_child_nobody_cancelled_is_a_failure),
        weft_unit_test(children_of_a_supervisor_fail_alone_and_are_reported),
        weft_unit_test(cancelling_is_no_failure),
        weft_unit_test(a_supervisor_whose_body_fails_cancels_all),
        weft_unit_test(cancelled_by_its_own_body_the_result_is_the_bodys),
        weft_unit_test(cancelled_from_outside_unfinished_children_are_no_success),
        weft_unit_test(a_plain_thread_may_cancel_a_scope),
        weft_unit_test(cancel_children_leaves_the_body_alone),
        weft_unit_test(misuse_ends_the_program_with_the_reason),
    };
    return berth_test_main(tests, NULL, NULL);
}
