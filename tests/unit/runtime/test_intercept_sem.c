/* SPDX-License-Identifier: MIT
 *
 * POSIX semaphores in coroutines whose libc calls park, on one thread.
 */
#include "wefttest.h"

#include <semaphore.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include <weft/test.h>

#include "support/await.h"

#define WAITERS 30

static struct sems {
    sem_t sem;
    atomic_int waiting, woken;
    int rc[4], error[4];
} s;

static int take_one(void *arg)
{
    (void)arg;
    s.waiting++;
    if (sem_wait(&s.sem) != 0)
        return -errno;
    s.woken++;
    return 0;
}

static int take_all(void *arg)
{
    return launch_many(NULL, WAITERS, take_one, arg);
}

static bool all_wait(void *arg)
{
    (void)arg;
    return s.waiting == WAITERS;
}

static bool one_is_woken(void *arg)
{
    (void)arg;
    return s.woken == 1;
}

static struct weft_task *given_waiters(void)
{
    memset(&s, 0, sizeof s);
    assert_int_equal(sem_init(&s.sem, 0, 0), 0);
    struct weft_task *root = weft_root_open(weft_virtual(), take_all, NULL);
    assert_true(await(all_wait, NULL, TEST_WAIT_MS));
    return root;
}

/* The others of the one thread could not have come to wait if the first had blocked it. */
static void a_plain_thread_posts(void **state)
{
    (void)state;
    struct weft_task *root = given_waiters();

    assert_int_equal(sem_post(&s.sem), 0);
    assert_true(await(one_is_woken, NULL, TEST_WAIT_MS));
    for (int i = 1; i < WAITERS; i++)
        assert_int_equal(sem_post(&s.sem), 0);

    assert_int_equal(weft_root_close(root), 0);
    assert_int_equal(s.woken, WAITERS);
    assert_int_equal(sem_trywait(&s.sem), -1);
}

static void on_signal(int number)
{
    (void)number;
    (void)sem_post(&s.sem);
}

static void a_signal_handler_posts(void **state)
{
    (void)state;
    struct sigaction action = { .sa_handler = on_signal }, before;
    assert_int_equal(sigaction(SIGUSR1, &action, &before), 0);
    struct weft_task *root = given_waiters();

    for (int i = 0; i < WAITERS; i++)
        assert_int_equal(raise(SIGUSR1), 0);

    assert_int_equal(weft_root_close(root), 0);
    assert_int_equal(s.woken, WAITERS);
    assert_int_equal(sigaction(SIGUSR1, &before, NULL), 0);
}

static int post_all(void *arg)
{
    (void)arg;
    for (int i = 0; i < WAITERS; i++) {
        if (sem_post(&s.sem) != 0)
            return -errno;
    }
    return 0;
}

static void a_coroutine_posts(void **state)
{
    (void)state;
    struct weft_task *root = given_waiters();

    assert_int_equal(run_virtual(post_all, NULL), 0);

    assert_int_equal(weft_root_close(root), 0);
    assert_int_equal(s.woken, WAITERS);
}

static int take_in_virtual_time(void *arg)
{
    int64_t *got_ns = arg;
    int rc = sem_wait(&s.sem) == 0 ? 0 : -errno;
    *got_ns = weft_now_ns();
    return rc;
}

static int post_later(void *arg)
{
    int64_t *posted_ns = arg, got_ns = 0;
    struct weft_scope scope;
    weft_scope_open(&scope);
    weft_launch(&scope, weft_virtual(), take_in_virtual_time, &got_ns);
    int rc = weft_sleep_ms(1);
    *posted_ns = weft_now_ns();
    if (sem_post(&s.sem) != 0)
        rc = -errno;
    rc = weft_scope_close(&scope, rc);
    *posted_ns -= got_ns;
    return rc;
}

static int post_on_virtual(void *arg)
{
    return weft_with(weft_virtual(), post_later, arg);
}

/* Who waits also looks by itself now and then. In virtual time that would be later. */
static void a_post_of_a_coroutine_wakes_in_the_same_moment(void **state)
{
    (void)state;
    int64_t late_ns = -1;
    memset(&s, 0, sizeof s);
    assert_int_equal(sem_init(&s.sem, 0, 0), 0);

    assert_int_equal(weft_test_run(1, post_on_virtual, &late_ns), 0);

    assert_int_equal(late_ns, 0);
}

/* Who waits looks by itself for the first time after 10 ms. */
#define BEFORE_IT_LOOKS_NS 8000000
#define POST_AFTER_US      2000

static struct rounds {
    sem_t go;
    atomic_bool is_over;
    int64_t fastest_ns;
} rounds;

static int take_often(void *arg)
{
    int64_t deadline_ns = weft_deadline_ms(TEST_WAIT_MS);
    (void)arg;
    while (rounds.fastest_ns > BEFORE_IT_LOOKS_NS && weft_now_ns() < deadline_ns) {
        int64_t start_ns = weft_now_ns();
        (void)sem_post(&rounds.go);
        if (sem_wait(&s.sem) != 0)
            return -errno;
        int64_t took_ns = weft_now_ns() - start_ns;
        if (took_ns < rounds.fastest_ns)
            rounds.fastest_ns = took_ns;
    }
    return 0;
}

static void *post_when_parked(void *arg)
{
    (void)sem_wait(&rounds.go);
    while (!rounds.is_over) {
        (void)usleep(POST_AFTER_US); /* sleeps: nothing says that it has parked */
        (void)sem_post(&s.sem);
        (void)sem_wait(&rounds.go);
    }
    return arg;
}

/* However busy the machine is, once it is woken before it looks. */
static void a_post_of_a_plain_thread_wakes_before_who_waits_looks_by_itself(void **state)
{
    (void)state;
    pthread_t thread;
    memset(&s, 0, sizeof s);
    rounds.fastest_ns = INT64_MAX;
    assert_int_equal(sem_init(&s.sem, 0, 0), 0);
    assert_int_equal(sem_init(&rounds.go, 0, 0), 0);
    assert_int_equal(pthread_create(&thread, NULL, post_when_parked, NULL), 0);

    int rc = run_virtual(take_often, NULL);

    rounds.is_over = true;
    assert_int_equal(sem_post(&rounds.go), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(rc, 0);
    assert_in_range(rounds.fastest_ns, POST_AFTER_US * 1000, BEFORE_IT_LOOKS_NS);
}

static int wait_in_vain(void *arg)
{
    (void)arg;
    struct timespec past = { .tv_sec = 1 }, wrong = { .tv_nsec = -1 };
    s.rc[0] = sem_timedwait(&s.sem, &past);
    s.error[0] = errno;
    s.rc[1] = sem_timedwait(&s.sem, &wrong);
    s.error[1] = errno;
    s.rc[2] = sem_clockwait(&s.sem, CLOCK_MONOTONIC, &past);
    s.error[2] = errno;
    (void)sem_post(&s.sem);
    errno = 77;
    s.rc[3] = sem_wait(&s.sem);
    s.error[3] = errno;
    return 0;
}

static void waiting_ends_in_time(void **state)
{
    (void)state;
    memset(&s, 0, sizeof s);
    assert_int_equal(sem_init(&s.sem, 0, 0), 0);

    assert_int_equal(run_virtual(wait_in_vain, NULL), 0);

    const int results[] = { -1, -1, -1, 0 }, errors[] = { ETIMEDOUT, EINVAL, ETIMEDOUT, 77 };
    assert_memory_equal(s.rc, results, sizeof results);
    assert_memory_equal(s.error, errors, sizeof errors);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        one_thread_test(a_plain_thread_posts),
        one_thread_test(a_signal_handler_posts),
        one_thread_test(a_coroutine_posts),
        one_thread_test(a_post_of_a_coroutine_wakes_in_the_same_moment),
        one_thread_test(a_post_of_a_plain_thread_wakes_before_who_waits_looks_by_itself),
        one_thread_test(waiting_ends_in_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
