/* SPDX-License-Identifier: MIT
 *
 * pthread mutexes in coroutines whose libc calls park, on one thread.
 */
#include "wefttest.h"

#include <time.h>

#include "intercept_queue.h"

#define CROWD 50

static struct timespec in_ms(clockid_t clock, long ms)
{
    struct timespec at;
    (void)clock_gettime(clock, &at);
    at.tv_sec += ms / 1000;
    at.tv_nsec += ms % 1000 * 1000000;
    if (at.tv_nsec >= 1000000000) {
        at.tv_sec++;
        at.tv_nsec -= 1000000000;
    }
    return at;
}

struct mutexes {
    pthread_mutex_t mutex;
    atomic_bool is_held, is_released, has_tried, has_ended;
    int holders, holders_max, rounds;
    int rc[8];
};

static void given_mutex(struct mutexes *m, int type)
{
    pthread_mutexattr_t attr;
    memset(m, 0, sizeof *m);
    assert_int_equal(pthread_mutexattr_init(&attr), 0);
    assert_int_equal(pthread_mutexattr_settype(&attr, type), 0);
    assert_int_equal(pthread_mutex_init(&m->mutex, &attr), 0);
    (void)pthread_mutexattr_destroy(&attr);
}

static const int types[] = { PTHREAD_MUTEX_NORMAL, PTHREAD_MUTEX_RECURSIVE,
                             PTHREAD_MUTEX_ERRORCHECK, PTHREAD_MUTEX_ADAPTIVE_NP };
#define TYPE_COUNT (sizeof types / sizeof types[0])

/* ---- held over a wait ------------------------------------------------------------------------ */

/* Holds it over a wait of weft's own: the hazard of every lock that is a thread's. */
static int hold_over_wait(void *arg)
{
    struct mutexes *m = arg;
    if (pthread_mutex_lock(&m->mutex) != 0)
        return -EIO;
    if (++m->holders > m->holders_max)
        m->holders_max = m->holders;
    int rc = weft_sleep_ms(1);
    m->holders--;
    m->rounds++;
    return pthread_mutex_unlock(&m->mutex) == 0 ? rc : -EIO;
}

static int crowd(void *arg)
{
    return launch_many(weft_virtual(), CROWD, hold_over_wait, arg);
}

static void held_over_a_wait_it_keeps_out_those_of_the_same_thread(void **state)
{
    (void)state;
    for (size_t i = 0; i < TYPE_COUNT; i++) {
        struct mutexes m;
        given_mutex(&m, types[i]);

        assert_int_equal(run_virtual(crowd, &m), 0);

        assert_int_equal(m.holders_max, 1);
        assert_int_equal(m.rounds, CROWD);
        assert_int_equal(pthread_mutex_destroy(&m.mutex), 0);
    }
}

static void so_it_does_with_several_threads(void **state)
{
    (void)state;
    for (size_t i = 0; i < TYPE_COUNT; i++) {
        struct mutexes m;
        given_mutex(&m, types[i]);

        assert_int_equal(run_virtual(crowd, &m), 0);

        assert_int_equal(m.holders_max, 1);
        assert_int_equal(m.rounds, CROWD);
        assert_int_equal(pthread_mutex_destroy(&m.mutex), 0);
    }
}

/* ---- owners ---------------------------------------------------------------------------------- */

/* ThreadSanitizer sees that, and ends the program. */
static int unlock_wrongly(pthread_mutex_t *mutex)
{
    return WEFT_TSAN ? EPERM : pthread_mutex_unlock(mutex);
}

static int other(void *arg)
{
    struct mutexes *m = arg;
    m->rc[4] = pthread_mutex_trylock(&m->mutex);
    m->rc[5] = unlock_wrongly(&m->mutex);
    struct timespec at = in_ms(CLOCK_REALTIME, 1);
    m->rc[6] = pthread_mutex_timedlock(&m->mutex, &at);
    return 0;
}

/* Locks twice, and lets another coroutine of its thread try its luck. */
static int lock_twice(void *arg)
{
    struct mutexes *m = arg;
    m->rc[0] = pthread_mutex_lock(&m->mutex);
    m->rc[1] = pthread_mutex_lock(&m->mutex);
    struct weft_scope scope;
    weft_scope_open(&scope);
    weft_launch(&scope, NULL, other, m);
    int rc = weft_scope_close(&scope, 0);
    m->rc[2] = pthread_mutex_unlock(&m->mutex);
    m->rc[3] = m->rc[1] == 0 ? pthread_mutex_unlock(&m->mutex) : unlock_wrongly(&m->mutex);
    return rc;
}

static void a_recursive_mutex_lets_in_its_coroutine_only(void **state)
{
    (void)state;
    struct mutexes m;
    given_mutex(&m, PTHREAD_MUTEX_RECURSIVE);

    assert_int_equal(run_virtual(lock_twice, &m), 0);

    const int expected[] = { 0, 0, 0, 0, EBUSY, EPERM, ETIMEDOUT };
    assert_memory_equal(m.rc, expected, sizeof expected);
    assert_int_equal(pthread_mutex_trylock(&m.mutex), 0);
    assert_int_equal(pthread_mutex_unlock(&m.mutex), 0);
}

static void an_error_checking_mutex_answers_its_coroutine_only(void **state)
{
    (void)state;
    struct mutexes m;
    given_mutex(&m, PTHREAD_MUTEX_ERRORCHECK);

    assert_int_equal(run_virtual(lock_twice, &m), 0);

    const int expected[] = { 0, EDEADLK, 0, EPERM, EBUSY, EPERM, ETIMEDOUT };
    assert_memory_equal(m.rc, expected, sizeof expected);
}

static int switch_off_and_lock(void *arg)
{
    struct mutexes *m = arg;
    m->rc[0] = pthread_mutex_lock(&m->mutex);
    (void)weft_intercept(false);
    m->rc[1] = pthread_mutex_lock(&m->mutex);
    m->rc[2] = pthread_mutex_unlock(&m->mutex);
    (void)weft_intercept(true);
    m->rc[3] = pthread_mutex_unlock(&m->mutex);
    return 0;
}

static void switching_off_between_lock_and_unlock_changes_nothing(void **state)
{
    (void)state;
    struct mutexes m;
    given_mutex(&m, PTHREAD_MUTEX_RECURSIVE);

    assert_int_equal(run_virtual(switch_off_and_lock, &m), 0);

    for (int i = 0; i < 4; i++)
        assert_int_equal(m.rc[i], 0);
    assert_int_equal(pthread_mutex_destroy(&m.mutex), 0);
}

/* ---- plain threads --------------------------------------------------------------------------- */

static void *thread_holds(void *arg)
{
    struct mutexes *m = arg;
    m->rc[0] = pthread_mutex_lock(&m->mutex);
    m->is_held = true;
    (void)test_block_until(&m->is_released);
    m->rc[1] = pthread_mutex_unlock(&m->mutex);
    return NULL;
}

static int wants(void *arg)
{
    struct mutexes *m = arg;
    m->has_tried = true;
    m->rc[2] = pthread_mutex_lock(&m->mutex);
    m->rc[3] = pthread_mutex_unlock(&m->mutex);
    return 0;
}

static int release_when_somebody_waits(void *arg)
{
    struct mutexes *m = arg;
    (void)test_await(&m->has_tried);
    m->is_released = true;
    return 0;
}

static int want_and_release(void *arg)
{
    struct weft_scope scope;
    weft_scope_open(&scope);
    weft_launch(&scope, NULL, wants, arg);
    weft_launch(&scope, NULL, release_when_somebody_waits, arg);
    return weft_scope_close(&scope, 0);
}

/* The one that releases the thread could not run if the one that wants had blocked its carrier. */
static void a_coroutine_parks_while_a_plain_thread_holds_it(void **state)
{
    (void)state;
    for (size_t i = 0; i < TYPE_COUNT; i++) {
        struct mutexes m;
        pthread_t thread;
        given_mutex(&m, types[i]);
        assert_int_equal(pthread_create(&thread, NULL, thread_holds, &m), 0);
        assert_true(test_block_until(&m.is_held));

        assert_int_equal(run_virtual(want_and_release, &m), 0);

        assert_int_equal(pthread_join(thread, NULL), 0);
        for (int k = 0; k < 4; k++)
            assert_int_equal(m.rc[k], 0);
    }
}

static void *thread_wants(void *arg)
{
    struct mutexes *m = arg;
    m->rc[4] = pthread_mutex_trylock(&m->mutex);
    m->has_tried = true;
    m->rc[5] = pthread_mutex_lock(&m->mutex);
    m->rc[6] = pthread_mutex_unlock(&m->mutex);
    return NULL;
}

static int holds_for_thread(void *arg)
{
    struct mutexes *m = arg;
    m->rc[0] = pthread_mutex_lock(&m->mutex);
    m->is_held = true;
    int rc = test_await(&m->has_tried) ? weft_sleep_ms(1) : -ETIMEDOUT;
    m->rc[1] = pthread_mutex_unlock(&m->mutex);
    return rc;
}

static void a_plain_thread_blocks_while_a_coroutine_holds_it(void **state)
{
    (void)state;
    for (size_t i = 0; i < TYPE_COUNT; i++) {
        struct mutexes m;
        pthread_t thread;
        given_mutex(&m, types[i]);
        struct weft_task *root = weft_root_open(weft_virtual(), holds_for_thread, &m);
        assert_true(test_block_until(&m.is_held));
        assert_int_equal(pthread_create(&thread, NULL, thread_wants, &m), 0);

        assert_int_equal(weft_root_close(root), 0);

        assert_int_equal(pthread_join(thread, NULL), 0);
        const int expected[] = { 0, 0, 0, 0, EBUSY, 0, 0 };
        assert_memory_equal(m.rc, expected, sizeof expected);
    }
}

#define HAMMERS      4
#define HAMMER_TIMES (TEST_IS_SLOW ? 300 : 5000)

static int hammer(void *arg)
{
    struct mutexes *m = arg;
    for (int i = 0; i < HAMMER_TIMES; i++) {
        if (pthread_mutex_lock(&m->mutex) != 0)
            return -EIO;
        m->rounds++;
        if (i % 64 == 0 && weft_current())
            (void)weft_yield(); /* holding it */
        if (pthread_mutex_unlock(&m->mutex) != 0)
            return -EIO;
    }
    return 0;
}

static void *thread_hammers(void *arg)
{
    (void)hammer(arg);
    return NULL;
}

static int hammer_all(void *arg)
{
    return launch_many(weft_virtual(), HAMMERS, hammer, arg);
}

static void coroutines_and_threads_exclude_one_another(void **state)
{
    (void)state;
    for (size_t i = 0; i < TYPE_COUNT; i++) {
        struct mutexes m;
        pthread_t threads[HAMMERS];
        given_mutex(&m, types[i]);
        for (int k = 0; k < HAMMERS; k++)
            assert_int_equal(pthread_create(&threads[k], NULL, thread_hammers, &m), 0);

        assert_int_equal(run_virtual(hammer_all, &m), 0);

        for (int k = 0; k < HAMMERS; k++)
            assert_int_equal(pthread_join(threads[k], NULL), 0);
        assert_int_equal(m.rounds, 2 * HAMMERS * HAMMER_TIMES);
    }
}

/* ---- the end of waiting ---------------------------------------------------------------------- */

static int wait_in_vain(void *arg)
{
    struct mutexes *m = arg;
    struct timespec real = in_ms(CLOCK_REALTIME, 5), past = { .tv_sec = 1 };
    struct timespec monotonic = in_ms(CLOCK_MONOTONIC, 5), wrong = { .tv_nsec = -1 };
    m->rc[0] = pthread_mutex_timedlock(&m->mutex, &real);
    m->rc[1] = pthread_mutex_clocklock(&m->mutex, CLOCK_MONOTONIC, &monotonic);
    m->rc[2] = pthread_mutex_timedlock(&m->mutex, &past);
    m->rc[3] = pthread_mutex_timedlock(&m->mutex, &wrong);
    m->rc[4] = pthread_mutex_clocklock(&m->mutex, CLOCK_PROCESS_CPUTIME_ID, &real);
    m->rc[5] = pthread_mutex_trylock(&m->mutex);
    return 0;
}

static void waiting_ends_in_time(void **state)
{
    (void)state;
    struct mutexes m;
    given_mutex(&m, PTHREAD_MUTEX_NORMAL);
    assert_int_equal(pthread_mutex_lock(&m.mutex), 0);

    assert_int_equal(run_virtual(wait_in_vain, &m), 0);

    const int expected[] = { ETIMEDOUT, ETIMEDOUT, ETIMEDOUT, EINVAL, EINVAL, EBUSY };
    assert_memory_equal(m.rc, expected, sizeof expected);
    assert_int_equal(pthread_mutex_unlock(&m.mutex), 0);
}

static int want_cancelled(void *arg)
{
    struct mutexes *m = arg;
    m->has_tried = true;
    m->rc[0] = pthread_mutex_lock(&m->mutex);
    m->rc[1] = weft_check();
    m->rc[2] = pthread_mutex_unlock(&m->mutex);
    m->has_ended = true;
    return 0;
}

static int sleep_a_little(void *arg)
{
    (void)arg;
    return weft_sleep_ms(5);
}

static void cancelling_does_not_end_the_wait(void **state)
{
    (void)state;
    struct mutexes m;
    given_mutex(&m, PTHREAD_MUTEX_NORMAL);
    assert_int_equal(pthread_mutex_lock(&m.mutex), 0);
    struct weft_task *root = weft_root_open(weft_virtual(), want_cancelled, &m);
    assert_true(test_block_until(&m.has_tried));

    weft_cancel(root);
    assert_int_equal(run_virtual(sleep_a_little, NULL), 0);
    assert_false(m.has_ended);
    assert_int_equal(pthread_mutex_unlock(&m.mutex), 0);

    assert_int_equal(weft_root_close(root), 0);
    const int expected[] = { 0, -ECANCELED, 0 };
    assert_memory_equal(m.rc, expected, sizeof expected);
}

/* ---- kinds that the kernel knows by thread --------------------------------------------------- */

static void a_robust_mutex_is_exclusive_too(void **state)
{
    (void)state;
    struct mutexes m;
    pthread_mutexattr_t attr;
    memset(&m, 0, sizeof m);
    assert_int_equal(pthread_mutexattr_init(&attr), 0);
    assert_int_equal(pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE), 0);
    assert_int_equal(pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST), 0);
    assert_int_equal(pthread_mutex_init(&m.mutex, &attr), 0);

    assert_int_equal(run_virtual(lock_twice, &m), 0);

    const int expected[] = { 0, 0, 0, 0, EBUSY, EPERM, ETIMEDOUT };
    assert_memory_equal(m.rc, expected, sizeof expected);
    assert_int_equal(pthread_mutex_destroy(&m.mutex), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        one_thread_test(held_over_a_wait_it_keeps_out_those_of_the_same_thread),
        parking_unit_test(so_it_does_with_several_threads),
        one_thread_test(a_recursive_mutex_lets_in_its_coroutine_only),
        one_thread_test(an_error_checking_mutex_answers_its_coroutine_only),
        one_thread_test(switching_off_between_lock_and_unlock_changes_nothing),
        one_thread_test(a_coroutine_parks_while_a_plain_thread_holds_it),
        one_thread_test(a_plain_thread_blocks_while_a_coroutine_holds_it),
        parking_unit_test(coroutines_and_threads_exclude_one_another),
        one_thread_test(waiting_ends_in_time),
        one_thread_test(cancelling_does_not_end_the_wait),
        one_thread_test(a_robust_mutex_is_exclusive_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
