/* SPDX-License-Identifier: MIT */
#include "intercepttest.h"

#include <sched.h>
#include <threads.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_S  1000000000
#define NS_PER_MS 1000000
#define NAP_MS    30

enum way {
    SLEEP,
    USLEEP,
    NANOSLEEP,
    CLOCK_RELATIVE,
    CLOCK_ABSOLUTE,
    CLOCK_REALTIME_ABSOLUTE,
    CLOCK_BOOT,
    THRD_SLEEP,
    WAY_COUNT
};

struct nap {
    struct nappers nappers;
    enum way way;
    int64_t ms;
    atomic_int bad;
    long rc;
    int sleep_errno;
    int64_t left_ns, took_ns;
    atomic_bool is_inside, is_over;
};

static struct timespec from_now(clockid_t clock, int64_t ms)
{
    struct timespec time;
    (void)clock_gettime(clock, &time);
    int64_t ns = time.tv_sec * NS_PER_S + time.tv_nsec + ms * NS_PER_MS;
    return (struct timespec){ .tv_sec = ns / NS_PER_S, .tv_nsec = ns % NS_PER_S };
}

static long nap(enum way way, int64_t ms, struct timespec *left)
{
    struct timespec time = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * NS_PER_MS };
    switch (way) {
    /* sleeps: it is what is tested */
    case SLEEP: return sleep((unsigned)(ms / 1000));
    /* sleeps: it is what is tested */
    case USLEEP: return usleep((useconds_t)ms * 1000);
    /* sleeps: it is what is tested */
    case NANOSLEEP: return nanosleep(&time, left);
    /* sleeps: it is what is tested */
    case CLOCK_RELATIVE: return clock_nanosleep(CLOCK_REALTIME, 0, &time, left);
    case CLOCK_ABSOLUTE:
        time = from_now(CLOCK_MONOTONIC, ms);
        /* sleeps: it is what is tested */
        return clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, left);
    case CLOCK_REALTIME_ABSOLUTE:
        time = from_now(CLOCK_REALTIME, ms);
        /* sleeps: it is what is tested */
        return clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &time, left);
    /* sleeps: it is what is tested */
    case CLOCK_BOOT: return clock_nanosleep(CLOCK_BOOTTIME, 0, &time, left);
    case THRD_SLEEP: return thrd_sleep(&time, left);
    case WAY_COUNT: break;
    }
    return -100;
}

static int nap_in_crowd(void *arg)
{
    struct nap *n = arg;
    int64_t before_ns = weft_now_ns();
    napper_enter(&n->nappers);
    errno = ERANGE;
    if (nap(n->way, n->ms, NULL) != 0 || errno != ERANGE)
        n->bad++;
    napper_leave(&n->nappers);
    if (weft_now_ns() - before_ns < n->ms * NS_PER_MS)
        n->bad++;
    return 0;
}

/* If each held its thread, at most as many as there are threads would sleep at once. */
static void sleepers_share_their_threads(void **state)
{
    (void)state;
    for (enum way way = SLEEP; way < WAY_COUNT; way++) {
        struct nap n = { .way = way, .nappers = { .count = 10 * CROWD } };
        struct crowd crowd = { .wait = nap_in_crowd, .arg = &n, .count = n.nappers.count };
        for (n.ms = way == SLEEP ? 1000 : NAP_MS; n.ms > 0; n.ms = longer_nap(&n.nappers, n.ms))
            assert_int_equal(crowd_run(&crowd), 0);

        assert_int_equal(n.bad, 0);
        assert_true(n.nappers.were_together);
    }
}

static int nap_once(void *arg)
{
    struct nap *n = arg;
    struct timespec left = { .tv_sec = -1 };
    int64_t before_ns = weft_now_ns();
    n->is_inside = true;
    errno = 0;
    n->rc = nap(n->way, n->ms, &left);
    n->sleep_errno = errno;
    n->took_ns = weft_now_ns() - before_ns;
    n->left_ns = left.tv_sec * NS_PER_S + left.tv_nsec;
    return 0;
}

static int cancel_nap(void *arg)
{
    struct nap *n = arg;
    return cancel_inside(nap_once, n, &n->is_inside, 5);
}

static void a_cancelled_sleep_ends_and_tells_what_is_left(void **state)
{
    (void)state;
    static const long rc_wanted[WAY_COUNT] = {
        [SLEEP] = 1000,
        [USLEEP] = -1,
        [NANOSLEEP] = -1,
        [CLOCK_RELATIVE] = ECANCELED,
        [CLOCK_ABSOLUTE] = ECANCELED,
        [CLOCK_REALTIME_ABSOLUTE] = ECANCELED,
        [CLOCK_BOOT] = ECANCELED,
        [THRD_SLEEP] = -2,
    };
    for (enum way way = SLEEP; way < WAY_COUNT; way++) {
        struct nap n = { .way = way, .ms = 1000 * 1000 };

        assert_int_equal(run_virtual(cancel_nap, &n), 0);

        assert_int_equal(n.rc, rc_wanted[way]);
        if (rc_wanted[way] < 0 || way == SLEEP)
            assert_int_equal(n.sleep_errno, ECANCELED);
        if (way == NANOSLEEP || way == CLOCK_RELATIVE || way == THRD_SLEEP)
            assert_in_range(n.left_ns, 900LL * NS_PER_S, 1000LL * NS_PER_S);
        assert_true(n.took_ns < 100LL * NS_PER_S);
    }
}

static int bad_times(void *arg)
{
    int *rc = arg;
    struct timespec bad = { .tv_nsec = NS_PER_S }, negative = { .tv_sec = -1 };
    /* sleeps: it is what is tested */
    rc[0] = nanosleep(&bad, NULL) < 0 ? errno : 0;
    /* sleeps: it is what is tested */
    rc[1] = clock_nanosleep(CLOCK_MONOTONIC, 0, &negative, NULL);
    /* sleeps: it is what is tested */
    rc[2] = clock_nanosleep(12345, 0, &(struct timespec){ 0 }, NULL);
    /* sleeps: it is what is tested */
    rc[3] = (int)sleep(0) + usleep(0) + nanosleep(&(struct timespec){ 0 }, NULL) + sched_yield();
    /* sleeps: it is what is tested */
    rc[4] = clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &(struct timespec){ 0 }, NULL);
    return 0;
}

static void bad_times_and_none_are_as_on_a_plain_thread(void **state)
{
    (void)state;
    int plain[5], parked[5] = { -1, -1, -1, -1, -1 };
    assert_int_equal(bad_times(plain), 0);

    assert_int_equal(run_virtual(bad_times, parked), 0);

    assert_memory_equal(plain, parked, sizeof plain);
    assert_int_equal(parked[0], EINVAL);
    assert_int_equal(parked[3], 0);
}

static int spin(void *arg)
{
    atomic_int *spinning = arg;
    ++*spinning;
    for (int64_t end_ns = weft_deadline_ms(TEST_WAIT_MS); weft_now_ns() < end_ns;) {
        if (*spinning == CROWD) /* more than there are threads */
            return 0;
        (void)sched_yield();
    }
    return -ETIMEDOUT;
}

static void sched_yield_lets_other_coroutines_of_the_thread_run(void **state)
{
    (void)state;
    atomic_int spinning = 0;
    struct crowd crowd = { .wait = spin, .arg = &spinning, .count = CROWD };

    assert_int_equal(crowd_run(&crowd), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        parking_unit_test(sleepers_share_their_threads),
        parking_unit_test(a_cancelled_sleep_ends_and_tells_what_is_left),
        parking_unit_test(bad_times_and_none_are_as_on_a_plain_thread),
        parking_unit_test(sched_yield_lets_other_coroutines_of_the_thread_run),
    };
    return berth_test_main(tests, NULL, NULL);
}
