/* SPDX-License-Identifier: MIT
 *
 * pthread read-write locks and spin locks in coroutines whose libc calls park, on one thread.
 */
#include "wefttest.h"

#include <time.h>

#define CROWD 30

struct locks {
    pthread_rwlock_t lock;
    pthread_spinlock_t spin;
    int readers, readers_max, writers, writers_max, mixed;
    atomic_bool is_held, has_tried;
    int rc[8];
};

static void given_locks(struct locks *l)
{
    memset(l, 0, sizeof *l);
    assert_int_equal(pthread_rwlock_init(&l->lock, NULL), 0);
    assert_int_equal(pthread_spin_init(&l->spin, PTHREAD_PROCESS_PRIVATE), 0);
}

static void count(struct locks *l)
{
    if (l->readers > l->readers_max)
        l->readers_max = l->readers;
    if (l->writers > l->writers_max)
        l->writers_max = l->writers;
    l->mixed += l->readers > 0 && l->writers > 0;
}

static int read_over_wait(void *arg)
{
    struct locks *l = arg;
    if (pthread_rwlock_rdlock(&l->lock) != 0)
        return -EIO;
    l->readers++;
    count(l);
    int rc = weft_sleep_ms(1);
    l->readers--;
    return pthread_rwlock_unlock(&l->lock) == 0 ? rc : -EIO;
}

static int write_over_wait(void *arg)
{
    struct locks *l = arg;
    if (pthread_rwlock_wrlock(&l->lock) != 0)
        return -EIO;
    l->writers++;
    count(l);
    int rc = weft_sleep_ms(1);
    l->writers--;
    return pthread_rwlock_unlock(&l->lock) == 0 ? rc : -EIO;
}

static int crowd(void *arg)
{
    struct weft_scope scope;
    weft_scope_open(&scope);
    for (int i = 0; i < CROWD; i++)
        weft_launch(&scope, NULL, i % 3 == 0 ? write_over_wait : read_over_wait, arg);
    return weft_scope_close(&scope, 0);
}

static void writers_are_alone_and_readers_are_not(void **state)
{
    (void)state;
    struct locks l;
    given_locks(&l);

    assert_int_equal(run_virtual(crowd, &l), 0);

    assert_int_equal(l.writers_max, 1);
    assert_int_equal(l.mixed, 0);
    assert_in_range(l.readers_max, 2, CROWD);
    assert_int_equal(pthread_rwlock_destroy(&l.lock), 0);
}

static int other(void *arg)
{
    struct locks *l = arg;
    struct timespec past = { .tv_sec = 1 };
    l->rc[2] = pthread_rwlock_timedrdlock(&l->lock, &past);
    l->rc[3] = pthread_rwlock_trywrlock(&l->lock);
    l->rc[4] = pthread_rwlock_clockwrlock(&l->lock, CLOCK_MONOTONIC, &past);
    return 0;
}

static int write_twice(void *arg)
{
    struct locks *l = arg;
    l->rc[0] = pthread_rwlock_wrlock(&l->lock);
    l->rc[1] = pthread_rwlock_rdlock(&l->lock);
    struct weft_scope scope;
    weft_scope_open(&scope);
    weft_launch(&scope, NULL, other, l);
    int rc = weft_scope_close(&scope, 0);
    l->rc[5] = pthread_rwlock_unlock(&l->lock);
    l->rc[6] = pthread_rwlock_tryrdlock(&l->lock);
    l->rc[7] = pthread_rwlock_unlock(&l->lock);
    return rc;
}

static void the_writer_is_the_coroutine_not_its_thread(void **state)
{
    (void)state;
    struct locks l;
    given_locks(&l);

    assert_int_equal(run_virtual(write_twice, &l), 0);

    const int expected[] = { 0, EDEADLK, ETIMEDOUT, EBUSY, ETIMEDOUT, 0, 0, 0 };
    assert_memory_equal(l.rc, expected, sizeof expected);
}

static int try_to_write(void *arg)
{
    struct locks *l = arg;
    struct timespec past = { .tv_sec = 1 };
    l->rc[0] = pthread_rwlock_trywrlock(&l->lock);
    l->rc[1] = pthread_rwlock_timedrdlock(&l->lock, &past);
    l->rc[2] = pthread_rwlock_timedwrlock(&l->lock, &past);
    l->rc[3] = pthread_rwlock_unlock(&l->lock);
    l->rc[4] = pthread_rwlock_trywrlock(&l->lock);
    l->rc[5] = pthread_rwlock_unlock(&l->lock);
    return 0;
}

/* Else an unlock on another thread would be taken for that of a reader. */
static void who_has_tried_to_write_is_the_writer_too(void **state)
{
    (void)state;
    struct locks l;
    given_locks(&l);

    assert_int_equal(run_virtual(try_to_write, &l), 0);

    const int expected[] = { 0, EDEADLK, EDEADLK, 0, 0, 0 };
    assert_memory_equal(l.rc, expected, sizeof expected);
}

static void *thread_reads(void *arg)
{
    struct locks *l = arg;
    l->rc[0] = pthread_rwlock_tryrdlock(&l->lock);
    l->has_tried = true;
    l->rc[1] = pthread_rwlock_rdlock(&l->lock);
    l->rc[2] = pthread_rwlock_unlock(&l->lock);
    return NULL;
}

static int write_for_thread(void *arg)
{
    struct locks *l = arg;
    l->rc[3] = pthread_rwlock_wrlock(&l->lock);
    l->is_held = true;
    int rc = test_await(&l->has_tried) ? weft_sleep_ms(1) : -ETIMEDOUT;
    l->rc[4] = pthread_rwlock_unlock(&l->lock);
    return rc;
}

static void a_plain_thread_blocks_while_a_coroutine_writes(void **state)
{
    (void)state;
    struct locks l;
    pthread_t thread;
    given_locks(&l);
    struct weft_task *root = weft_root_open(weft_virtual(), write_for_thread, &l);
    assert_true(test_block_until(&l.is_held));
    assert_int_equal(pthread_create(&thread, NULL, thread_reads, &l), 0);

    assert_int_equal(weft_root_close(root), 0);

    assert_int_equal(pthread_join(thread, NULL), 0);
    const int expected[] = { EBUSY, 0, 0, 0, 0 };
    assert_memory_equal(l.rc, expected, sizeof expected);
}

static int spin_over_wait(void *arg)
{
    struct locks *l = arg;
    if (pthread_spin_lock(&l->spin) != 0)
        return -EIO;
    l->writers++;
    count(l);
    int rc = weft_sleep_ms(1);
    l->writers--;
    return pthread_spin_unlock(&l->spin) == 0 ? rc : -EIO;
}

static int spin_all(void *arg)
{
    return launch_many(NULL, CROWD, spin_over_wait, arg);
}

static void a_spin_lock_held_over_a_wait_stops_nobody(void **state)
{
    (void)state;
    struct locks l;
    given_locks(&l);

    assert_int_equal(run_virtual(spin_all, &l), 0);

    assert_int_equal(l.writers_max, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        one_thread_test(writers_are_alone_and_readers_are_not),
        one_thread_test(the_writer_is_the_coroutine_not_its_thread),
        one_thread_test(who_has_tried_to_write_is_the_writer_too),
        one_thread_test(a_plain_thread_blocks_while_a_coroutine_writes),
        one_thread_test(a_spin_lock_held_over_a_wait_stops_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
