/* SPDX-License-Identifier: MIT
 *
 * pthread conditions in coroutines whose libc calls park.
 */
#include "wefttest.h"

#include <time.h>

#include "support/await.h"

#define WAITERS 20

struct meeting {
    pthread_mutex_t mutex;
    pthread_cond_t cond, other;
    atomic_int waiting;
    atomic_bool is_told, has_ended;
    int said, heard, turn, rc[4];
    int64_t took_ms[3];
};

static void given_meeting(struct meeting *m, clockid_t clock, int type)
{
    pthread_mutexattr_t mutex;
    pthread_condattr_t cond;
    memset(m, 0, sizeof *m);
    assert_int_equal(pthread_mutexattr_init(&mutex), 0);
    assert_int_equal(pthread_mutexattr_settype(&mutex, type), 0);
    assert_int_equal(pthread_mutex_init(&m->mutex, &mutex), 0);
    assert_int_equal(pthread_condattr_init(&cond), 0);
    assert_int_equal(pthread_condattr_setclock(&cond, clock), 0);
    assert_int_equal(pthread_cond_init(&m->cond, &cond), 0);
    assert_int_equal(pthread_cond_init(&m->other, &cond), 0);
}

/* Waits for one word of those that are said. */
static int listen(void *arg)
{
    struct meeting *m = arg;
    if (pthread_mutex_lock(&m->mutex) != 0)
        return -EIO;
    m->waiting++;
    int rc = 0;
    while (m->said == 0 && rc == 0)
        rc = pthread_cond_wait(&m->cond, &m->mutex);
    if (rc == 0) {
        m->said--;
        m->heard++;
    }
    return pthread_mutex_unlock(&m->mutex) == 0 ? -rc : -EIO;
}

static void *thread_listens(void *arg)
{
    (void)listen(arg);
    return NULL;
}

static void say(struct meeting *m, int words, bool to_all)
{
    (void)pthread_mutex_lock(&m->mutex);
    m->said += words;
    (void)pthread_mutex_unlock(&m->mutex);
    for (int i = 0; i < words && !to_all; i++)
        (void)pthread_cond_signal(&m->cond);
    if (to_all)
        (void)pthread_cond_broadcast(&m->cond);
}

static bool all_listen(void *arg)
{
    struct meeting *m = arg;
    return m->waiting == WAITERS;
}

static int listen_all(void *arg)
{
    return launch_many(NULL, WAITERS, listen, arg);
}

static void a_plain_thread_wakes_coroutines(void **state)
{
    (void)state;
    for (int to_all = 0; to_all < 2; to_all++) {
        struct meeting m;
        given_meeting(&m, CLOCK_REALTIME, PTHREAD_MUTEX_NORMAL);
        struct weft_task *root = weft_root_open(weft_virtual(), listen_all, &m);
        assert_true(await(all_listen, &m, TEST_WAIT_MS));

        say(&m, WAITERS, to_all);

        assert_int_equal(weft_root_close(root), 0);
        assert_int_equal(m.heard, WAITERS);
        assert_int_equal(pthread_cond_destroy(&m.cond), 0);
    }
}

static int say_one_by_one(void *arg)
{
    struct meeting *m = arg;
    int rc = 0;
    for (int i = 0; i < WAITERS && rc == 0; i++) {
        say(m, 1, false);
        rc = weft_yield();
    }
    return rc;
}

static void a_coroutine_wakes_plain_threads(void **state)
{
    (void)state;
    struct meeting m;
    pthread_t threads[WAITERS];
    given_meeting(&m, CLOCK_REALTIME, PTHREAD_MUTEX_RECURSIVE);
    for (int i = 0; i < WAITERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, thread_listens, &m), 0);
    assert_true(await(all_listen, &m, TEST_WAIT_MS));

    assert_int_equal(run_virtual(say_one_by_one, &m), 0);

    for (int i = 0; i < WAITERS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(m.heard, WAITERS);
}

/* ---- to and fro ------------------------------------------------------------------------------ */

#define TURNS (TEST_IS_SLOW ? 100 : 2000)

static int play(struct meeting *m, int me, pthread_cond_t *mine, pthread_cond_t *theirs)
{
    for (int i = 0; i < TURNS; i++) {
        (void)pthread_mutex_lock(&m->mutex);
        while (m->turn != me)
            (void)pthread_cond_wait(mine, &m->mutex);
        m->turn = !me;
        (void)pthread_cond_signal(theirs);
        (void)pthread_mutex_unlock(&m->mutex);
    }
    return 0;
}

static int play_first(void *arg)
{
    struct meeting *m = arg;
    return play(m, 0, &m->cond, &m->other);
}

static int play_second(void *arg)
{
    struct meeting *m = arg;
    return play(m, 1, &m->other, &m->cond);
}

static void *thread_plays_second(void *arg)
{
    (void)play_second(arg);
    return NULL;
}

static int play_both(void *arg)
{
    struct weft_scope scope;
    weft_scope_open(&scope);
    weft_launch(&scope, NULL, play_first, arg);
    weft_launch(&scope, NULL, play_second, arg);
    return weft_scope_close(&scope, 0);
}

static void two_coroutines_of_one_thread_play_to_and_fro(void **state)
{
    (void)state;
    struct meeting m;
    given_meeting(&m, CLOCK_REALTIME, PTHREAD_MUTEX_ERRORCHECK);

    assert_int_equal(run_virtual(play_both, &m), 0);

    assert_int_equal(m.turn, 0);
}

static void a_coroutine_and_a_plain_thread_play_to_and_fro(void **state)
{
    (void)state;
    const int types[] = { PTHREAD_MUTEX_NORMAL, PTHREAD_MUTEX_RECURSIVE };
    for (int i = 0; i < 2; i++) {
        struct meeting m;
        pthread_t thread;
        given_meeting(&m, CLOCK_REALTIME, types[i]);
        assert_int_equal(pthread_create(&thread, NULL, thread_plays_second, &m), 0);

        assert_int_equal(run_virtual(play_first, &m), 0);

        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_int_equal(m.turn, 0);
    }
}

/* ---- the mutex that a plain thread's wait gives back inside libc -------------------------------
 */

static void *thread_waits_while_wanted(void *arg)
{
    struct meeting *m = arg;
    (void)pthread_mutex_lock(&m->mutex);
    m->waiting = 1;
    (void)test_block_until(&m->is_told); /* a coroutine is parked on the mutex by now */
    while (m->said == 0)
        (void)pthread_cond_wait(&m->cond, &m->mutex);
    (void)pthread_mutex_unlock(&m->mutex);
    return NULL;
}

static int tell(void *arg)
{
    struct meeting *m = arg;
    int rc = weft_sleep_ms(5);
    m->is_told = true;
    return rc;
}

static int want_and_say(void *arg)
{
    struct meeting *m = arg;
    struct weft_scope scope;
    weft_scope_open(&scope);
    weft_launch(&scope, NULL, tell, m);
    int64_t start_ns = weft_now_ns();
    say(m, 1, true);
    m->took_ms[0] = (weft_now_ns() - start_ns) / 1000000;
    return weft_scope_close(&scope, 0);
}

static void a_mutex_given_back_by_a_wait_in_libc_is_found(void **state)
{
    (void)state;
    struct meeting m;
    pthread_t thread;
    given_meeting(&m, CLOCK_REALTIME, PTHREAD_MUTEX_NORMAL);
    assert_int_equal(pthread_create(&thread, NULL, thread_waits_while_wanted, &m), 0);
    while (m.waiting == 0)
        (void)sched_yield();

    assert_int_equal(run_virtual(want_and_say, &m), 0);

    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_in_range(m.took_ms[0], 5, TEST_WAIT_MS / 2);
}

/* ---- the end of waiting ---------------------------------------------------------------------- */

static struct timespec in_5_ms(clockid_t clock)
{
    struct timespec at;
    (void)clock_gettime(clock, &at);
    at.tv_nsec += 5000000;
    if (at.tv_nsec >= 1000000000) {
        at.tv_sec++;
        at.tv_nsec -= 1000000000;
    }
    return at;
}

static int wait_in_vain(void *arg)
{
    struct meeting *m = arg;
    struct timespec wrong = { .tv_nsec = 1000000000 };
    (void)pthread_mutex_lock(&m->mutex);
    int64_t start_ns = weft_now_ns();
    struct timespec own = in_5_ms(CLOCK_MONOTONIC), real = in_5_ms(CLOCK_REALTIME);
    m->rc[0] = pthread_cond_timedwait(&m->cond, &m->mutex, &own);
    m->took_ms[0] = (weft_now_ns() - start_ns) / 1000000;
    m->rc[1] = pthread_cond_clockwait(&m->cond, &m->mutex, CLOCK_REALTIME, &real);
    m->rc[2] = pthread_cond_timedwait(&m->cond, &m->mutex, &wrong);
    m->rc[3] = pthread_mutex_unlock(&m->mutex);
    return 0;
}

static void waiting_ends_in_time_by_the_conditions_own_clock(void **state)
{
    (void)state;
    struct meeting m;
    given_meeting(&m, CLOCK_MONOTONIC, PTHREAD_MUTEX_ERRORCHECK);

    assert_int_equal(run_virtual(wait_in_vain, &m), 0);

    const int expected[] = { ETIMEDOUT, ETIMEDOUT, EINVAL, 0 };
    assert_memory_equal(m.rc, expected, sizeof expected);
    assert_in_range(m.took_ms[0], 5, TEST_WAIT_MS / 2);
}

static int wait_without_mutex(void *arg)
{
    struct meeting *m = arg;
    /* ThreadSanitizer ends a program that does that. */
    m->rc[0] = WEFT_TSAN ? EPERM : pthread_cond_wait(&m->cond, &m->mutex);
    return 0;
}

static void without_the_mutex_there_is_no_wait(void **state)
{
    (void)state;
    struct meeting m;
    given_meeting(&m, CLOCK_REALTIME, PTHREAD_MUTEX_ERRORCHECK);

    assert_int_equal(run_virtual(wait_without_mutex, &m), 0);

    assert_int_equal(m.rc[0], EPERM);
}

static int wait_cancelled(void *arg)
{
    struct meeting *m = arg;
    (void)pthread_mutex_lock(&m->mutex);
    m->waiting = 1;
    while (weft_check() == 0)
        m->rc[0] = pthread_cond_wait(&m->cond, &m->mutex);
    m->is_told = true;
    while (m->said == 0) { /* deaf by now: this must not spin, or nobody could say anything */
        m->rc[1] = pthread_cond_wait(&m->cond, &m->mutex);
        m->heard++;
    }
    m->rc[2] = pthread_mutex_unlock(&m->mutex);
    return 0;
}

static int say_later(void *arg)
{
    struct meeting *m = arg;
    int rc = test_await(&m->is_told) ? weft_sleep_ms(5) : -ETIMEDOUT;
    say(m, 1, false);
    return rc;
}

static void cancelling_wakes_once_as_if_without_cause(void **state)
{
    (void)state;
    struct meeting m;
    given_meeting(&m, CLOCK_REALTIME, PTHREAD_MUTEX_NORMAL);
    struct weft_task *root = weft_root_open(weft_virtual(), wait_cancelled, &m);
    while (m.waiting == 0)
        (void)sched_yield();

    weft_cancel(root);

    assert_int_equal(run_virtual(say_later, &m), 0);
    assert_int_equal(weft_root_close(root), 0);
    assert_int_equal(m.heard, 1);
    for (int i = 0; i < 3; i++)
        assert_int_equal(m.rc[i], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        one_thread_test(a_plain_thread_wakes_coroutines),
        one_thread_test(a_coroutine_wakes_plain_threads),
        one_thread_test(two_coroutines_of_one_thread_play_to_and_fro),
        parking_unit_test(a_coroutine_and_a_plain_thread_play_to_and_fro),
        one_thread_test(a_mutex_given_back_by_a_wait_in_libc_is_found),
        one_thread_test(waiting_ends_in_time_by_the_conditions_own_clock),
        one_thread_test(without_the_mutex_there_is_no_wait),
        one_thread_test(cancelling_wakes_once_as_if_without_cause),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
