/* SPDX-License-Identifier: MIT */
/* Scopes with a deadline, and shields, which end with their grace. */
#include "scope_bodies.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        weft_unit_test(a_deadline_cancels_everything_inside_and_close_says_etimedout),
        weft_unit_test(a_deadline_that_has_passed_cancels_at_once),
        weft_unit_test(a_deadline_can_only_shrink),
        weft_unit_test(the_reason_comes_out_of_the_scope_that_has_it),
        weft_unit_test(no_time_means_that_fn_does_not_run),
        weft_unit_test(cancelling_is_not_felt_inside_a_shield),
        weft_unit_test(a_cancel_that_comes_during_a_shield_is_felt_behind_it),
        weft_unit_test(a_shield_ends_with_its_grace),
    };
    return berth_test_main(tests, NULL, NULL);
}
