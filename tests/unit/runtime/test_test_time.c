/* SPDX-License-Identifier: MIT */
#include "runtest.h"

#include <time.h>

static int tick(void *minutes)
{
    int rc;
    while ((rc = weft_sleep_ms(60000)) == 0)
        ++*(int *)minutes;
    return rc;
}

static int an_hour(void *arg)
{
    (void)arg;
    int minutes = 0;
    struct weft_scope scope;
    weft_scope_open(&scope);
    weft_launch(&scope, NULL, tick, &minutes);
    int rc = weft_test_advance_ms(3600000);
    weft_scope_cancel_children(&scope);
    rc = weft_scope_close(&scope, rc);
    return rc < 0 || minutes == 60 ? rc : -ERANGE;
}

static int64_t real_now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void an_hour_has_sixty_minutes_and_takes_none(void **state)
{
    (void)state;
    assert_int_equal(weft_test_run(42, an_hour, NULL), 0);
    int64_t begun_ns = real_now_ns();

    for (uint64_t seed = 0; seed < 10; seed++)
        assert_int_equal(weft_test_run(seed, an_hour, NULL), 0);

    assert_true(real_now_ns() - begun_ns < TEST_WAIT_MS * INT64_C(1000000)); /* not ten hours */
}

static int sleep_long(void *arg)
{
    int64_t *seen_ns = arg, begun_ns = weft_now_ns();
    int rc = weft_sleep_ms(86400000);
    *seen_ns = weft_now_ns() - begun_ns;
    return rc;
}

static void time_leaps_to_the_deadline_of_a_sleep(void **state)
{
    (void)state;
    int64_t slept_ns = 0;

    assert_int_equal(weft_test_run(1, sleep_long, &slept_ns), 0);

    assert_int_equal(slept_ns, INT64_C(86400) * 1000000000);
}

static int libc_sleep(void *arg)
{
    int64_t *seen_ns = arg, begun_ns = weft_now_ns();
    const struct timespec half = { .tv_nsec = 500000000 };
    /* sleeps: by the clock of the run, which is the test. */
    int rc = (int)sleep(3600) + usleep(250000) + nanosleep(&half, NULL);
    *seen_ns = weft_now_ns() - begun_ns;
    return rc;
}

static int sleep_by_libc(void *arg)
{
    return weft_with(weft_virtual(), libc_sleep, arg);
}

static void libc_sleeps_on_virtual_by_the_clock_of_the_run(void **state)
{
    (void)state;
    int64_t slept_ns = 0;

    assert_int_equal(weft_test_run(1, sleep_by_libc, &slept_ns), 0);

    assert_int_equal(slept_ns, INT64_C(3600750000000));
}

static int never_in_time(void *arg)
{
    (void)arg;
    return weft_timeout_ms(1000, sleep_long, &(int64_t){ 0 });
}

static void timeouts_come_out_as_on_real_threads(void **state)
{
    (void)state;
    struct capture capture;

    assert_int_equal(run_captured(7, never_in_time, NULL, &capture), -ETIMEDOUT);

    assert_says(capture, "weft_test_run(7, ");
}

struct advances {
    int seen_at_0, seen_at_10, ran;
    int rc_negative, rc_endless;
};

static int count_one(void *arg)
{
    ++*(int *)arg;
    return 0;
}

static int count_after_10_ms(void *arg)
{
    int rc = weft_sleep_ms(10);
    ++*(int *)arg;
    return rc;
}

static int advance_twice(void *arg)
{
    struct advances *a = arg;
    struct weft_scope scope;
    weft_scope_open(&scope);
    for (int i = 0; i < 5; i++) {
        weft_launch(&scope, NULL, count_one, &a->ran);
        weft_launch(&scope, NULL, count_after_10_ms, &a->ran);
    }
    int rc = weft_test_advance_ms(0);
    a->seen_at_0 = a->ran;
    if (rc == 0)
        rc = weft_test_advance_ms(10);
    a->seen_at_10 = a->ran;
    a->rc_negative = weft_test_advance_ms(-1);
    a->rc_endless = weft_test_advance_ms(INT64_MAX);
    return weft_scope_close(&scope, rc);
}

static void advancing_runs_all_that_is_ready_or_falls_due(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct advances a = { 0 };
        assert_int_equal(weft_test_run(seed, advance_twice, &a), 0);
        assert_int_equal(a.seen_at_0, 5);
        assert_int_equal(a.seen_at_10, 10);
        assert_int_equal(a.rc_negative, -EINVAL);
        assert_int_equal(a.rc_endless, -EINVAL);
    }
}

static int advance(void *arg)
{
    (void)arg;
    return weft_test_advance_ms(1000);
}

static int advance_in_time(void *arg)
{
    (void)arg;
    int rc = weft_timeout_ms(10, advance, NULL);
    return rc == -ETIMEDOUT ? 0 : -ERANGE;
}

static void advancing_can_be_cancelled_and_is_only_for_runs(void **state)
{
    (void)state;
    assert_int_equal(weft_test_run(1, advance_in_time, NULL), 0);
    assert_int_equal(weft_test_advance_ms(1), -EPERM);
    assert_int_equal(weft_run(advance, NULL), -EPERM);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        weft_unit_test(an_hour_has_sixty_minutes_and_takes_none),
        weft_unit_test(time_leaps_to_the_deadline_of_a_sleep),
        weft_unit_test(libc_sleeps_on_virtual_by_the_clock_of_the_run),
        weft_unit_test(timeouts_come_out_as_on_real_threads),
        weft_unit_test(advancing_runs_all_that_is_ready_or_falls_due),
        weft_unit_test(advancing_can_be_cancelled_and_is_only_for_runs),
    };
    return berth_test_main(tests, NULL, NULL);
}
