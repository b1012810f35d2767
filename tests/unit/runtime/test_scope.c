/* SPDX-License-Identifier: MIT */
#include "wefttest.h"

#include <stdio.h>
#include <unistd.h>

/* What a body and its children saw. */
struct seen {
    atomic_int started, ended, cancelled, failed_rc;
    atomic_bool is_ready, is_told;
    int rc, inner_rc, closed_rc;
    bool is_cancelled_inside, was_cancelled_before;
    char name[64];
    struct weft_scope scope;
};

static int nap(void *arg)
{
    struct seen *seen = arg;
    seen->started++;
    seen->is_ready = true;
    int rc = weft_sleep_ms(20);
    if (rc == -ECANCELED)
        seen->cancelled++;
    seen->ended++;
    return rc;
}

static int sleep_long(void *arg)
{
    struct seen *seen = arg;
    seen->started++;
    seen->is_ready = true;
    int rc = weft_sleep_ms(TEST_WAIT_MS);
    if (rc == -ECANCELED)
        seen->cancelled++;
    seen->ended++;
    return rc;
}

static int fail_when_ready(void *arg)
{
    struct seen *seen = arg;
    (void)test_await(&seen->is_ready);
    seen->ended++;
    return -EPIPE;
}

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

/* ---- deadlines ------------------------------------------------------------------------------- */

static int with_deadline(void *arg)
{
    struct seen *seen = arg;
    struct weft_scope scope;
    weft_scope_open(&scope);
    weft_launch(&scope, NULL, sleep_long, seen);
    (void)test_await(&seen->is_ready); /* one that has not begun by then would never begin */
    weft_scope_deadline(&scope, weft_deadline_ms(20));
    seen->rc = weft_sleep_ms(TEST_WAIT_MS);
    seen->closed_rc = weft_scope_close(&scope, seen->rc);
    return weft_check();
}

static void a_deadline_cancels_everything_inside_and_close_says_etimedout(void **state)
{
    (void)state;
    struct seen seen = { .rc = 0 };

    assert_int_equal(weft_run(with_deadline, &seen), 0);

    assert_int_equal(seen.rc, -ECANCELED);
    assert_int_equal(seen.cancelled, 1);
    assert_int_equal(seen.closed_rc, -ETIMEDOUT);
}

static int with_passed_deadline(void *arg)
{
    struct seen *seen = arg;
    struct weft_scope scope;
    weft_scope_open(&scope);
    weft_scope_deadline(&scope, weft_deadline_ms(-5));
    seen->rc = weft_check();
    seen->inner_rc = weft_launch(&scope, NULL, nap, seen);
    return weft_scope_close(&scope, seen->rc);
}

static void a_deadline_that_has_passed_cancels_at_once(void **state)
{
    (void)state;
    struct seen seen = { .rc = 0 };

    assert_int_equal(weft_run(with_passed_deadline, &seen), -ETIMEDOUT);

    assert_int_equal(seen.rc, -ECANCELED);
    assert_int_equal(seen.inner_rc, -ECANCELED);
    assert_int_equal(seen.started, 0);
}

static int with_a_later_deadline(void *arg)
{
    struct weft_scope scope;
    (void)arg;
    weft_scope_open(&scope);
    weft_scope_deadline(&scope, weft_deadline_ms(5));
    weft_scope_deadline(&scope, weft_deadline_ms(TEST_WAIT_MS));
    return weft_scope_close(&scope, weft_sleep_ms(TEST_WAIT_MS));
}

static void a_deadline_can_only_shrink(void **state)
{
    (void)state;
    assert_int_equal(weft_run(with_a_later_deadline, NULL), -ETIMEDOUT);
}

static int inner_scope(void *arg)
{
    struct seen *seen = arg;
    struct weft_scope scope;
    weft_scope_open(&scope);
    seen->inner_rc = weft_scope_close(&scope, weft_sleep_ms(TEST_WAIT_MS));
    return seen->inner_rc;
}

static int short_timeout(void *arg)
{
    return weft_timeout_ms(20, inner_scope, arg);
}

static void the_reason_comes_out_of_the_scope_that_has_it(void **state)
{
    (void)state;
    struct seen seen = { .rc = 0 };

    assert_int_equal(weft_run(short_timeout, &seen), -ETIMEDOUT);

    assert_int_equal(seen.inner_rc, -ECANCELED);
}

static int add_started(void *arg)
{
    ((struct seen *)arg)->started++;
    return 6;
}

static int timeouts(void *arg)
{
    struct seen *seen = arg;
    seen->rc = weft_timeout_ms(0, add_started, seen);
    seen->inner_rc = weft_timeout_ms(TEST_WAIT_MS, add_started, seen);
    return weft_timeout_ms(1, NULL, NULL);
}

static void no_time_means_that_fn_does_not_run(void **state)
{
    (void)state;
    struct seen seen = { .rc = 0 };

    assert_int_equal(weft_run(timeouts, &seen), -EINVAL);

    assert_int_equal(seen.rc, -ETIMEDOUT);
    assert_int_equal(seen.inner_rc, 6);
    assert_int_equal(seen.started, 1);
    assert_int_equal(weft_timeout_ms(5, add_started, &seen), -EPERM);
}

/* ---- shields --------------------------------------------------------------------------------- */

static int clean_up(void *arg)
{
    struct seen *seen = arg;
    seen->is_ready = true;
    seen->rc = weft_sleep_ms(TEST_WAIT_MS);
    struct weft_scope shield;
    weft_shield_open(&shield, TEST_WAIT_MS);
    seen->was_cancelled_before = weft_check() == -ECANCELED;
    weft_launch(&shield, NULL, nap, seen); /* children feel it no more than the body does */
    seen->inner_rc = weft_sleep_ms(10);
    seen->closed_rc = weft_scope_close(&shield, seen->inner_rc);
    seen->is_cancelled_inside = weft_check() == -ECANCELED;
    return seen->rc;
}

static int cancel_the_cleaner(void *arg)
{
    struct seen *seen = arg;
    struct weft_scope scope;
    weft_scope_open(&scope);
    weft_launch(&scope, NULL, clean_up, seen);
    (void)test_await(&seen->is_ready);
    weft_scope_cancel(&scope);
    return weft_scope_close(&scope, 0);
}

static void cancelling_is_not_felt_inside_a_shield(void **state)
{
    (void)state;
    struct seen seen = { .rc = 0 };

    assert_int_equal(weft_run(cancel_the_cleaner, &seen), 0);

    assert_int_equal(seen.rc, -ECANCELED);
    assert_false(seen.was_cancelled_before);
    assert_int_equal(seen.inner_rc, 0);
    assert_int_equal(seen.closed_rc, 0);
    assert_int_equal(seen.cancelled, 0);
    assert_true(seen.is_cancelled_inside); /* outside it again */
}

static int already_inside(void *arg)
{
    struct seen *seen = arg;
    struct weft_scope shield, inside;
    weft_shield_open(&shield, TEST_WAIT_MS);
    weft_scope_open(&inside);
    seen->is_ready = true;
    int rc = test_await(&seen->is_told) ? 0 : -EIO; /* sleeps, and goes on sleeping */
    seen->inner_rc = weft_scope_close(&inside, rc);
    seen->closed_rc = weft_scope_close(&shield, seen->inner_rc);
    seen->rc = weft_check();
    return seen->rc;
}

static int cancel_who_is_inside(void *arg)
{
    struct seen *seen = arg;
    struct weft_scope scope;
    weft_scope_open(&scope);
    weft_launch(&scope, NULL, already_inside, seen);
    (void)test_await(&seen->is_ready);
    weft_scope_cancel(&scope);
    struct weft_scope shield; /* its own sleep would be cut short, too */
    weft_shield_open(&shield, TEST_WAIT_MS);
    (void)weft_sleep_ms(5); /* so that it most probably looks while it is cancelled */
    seen->is_told = true;
    (void)weft_scope_close(&shield, 0);
    return weft_scope_close(&scope, 0);
}

static void a_cancel_that_comes_during_a_shield_is_felt_behind_it(void **state)
{
    (void)state;
    struct seen seen = { .rc = 0 };

    assert_int_equal(weft_run(cancel_who_is_inside, &seen), 0);

    assert_int_equal(seen.inner_rc, 0);
    assert_int_equal(seen.closed_rc, 0);
    assert_int_equal(seen.rc, -ECANCELED);
}

static int hanging_clean_up(void *arg)
{
    struct seen *seen = arg;
    struct weft_scope shield;
    weft_shield_open(&shield, 20);
    seen->inner_rc = weft_sleep_ms(TEST_WAIT_MS);
    return weft_scope_close(&shield, seen->inner_rc);
}

static void a_shield_ends_with_its_grace(void **state)
{
    (void)state;
    struct seen seen = { .rc = 0 };

    assert_int_equal(weft_run(hanging_clean_up, &seen), -ETIMEDOUT);

    assert_int_equal(seen.inner_rc, -ECANCELED);
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
        weft_unit_test(a_deadline_cancels_everything_inside_and_close_says_etimedout),
        weft_unit_test(a_deadline_that_has_passed_cancels_at_once),
        weft_unit_test(a_deadline_can_only_shrink),
        weft_unit_test(the_reason_comes_out_of_the_scope_that_has_it),
        weft_unit_test(no_time_means_that_fn_does_not_run),
        weft_unit_test(cancelling_is_not_felt_inside_a_shield),
        weft_unit_test(a_cancel_that_comes_during_a_shield_is_felt_behind_it),
        weft_unit_test(a_shield_ends_with_its_grace),
        weft_unit_test(cancelled_by_its_own_body_the_result_is_the_bodys),
        weft_unit_test(cancelled_from_outside_unfinished_children_are_no_success),
        weft_unit_test(a_plain_thread_may_cancel_a_scope),
        weft_unit_test(cancel_children_leaves_the_body_alone),
        weft_unit_test(misuse_ends_the_program_with_the_reason),
    };
    return berth_test_main(tests, NULL, NULL);
}
