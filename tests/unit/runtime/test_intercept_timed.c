/* SPDX-License-Identifier: MIT
 *
 * The forms of pthread's and C11's locks that wait for a limited time, in coroutines whose libc
 * calls park, all on one thread: whoever holds what they want runs on it, too. (What comes of it
 * when the time is over is with each kind of lock.)
 */
#include "wefttest.h"

#include <semaphore.h>
#include <threads.h>
#include <time.h>

enum way {
    MUTEX_TIMED,
    MUTEX_CLOCK,
    MUTEX_C11,
    READ_TIMED,
    READ_CLOCK,
    WRITE_TIMED,
    WRITE_CLOCK,
    COND_TIMED,
    COND_CLOCK,
    COND_C11,
    SEM_TIMED,
    SEM_CLOCK,
    WAY_COUNT
};

struct locks {
    enum way way;
    pthread_mutex_t mutex;
    pthread_rwlock_t rwlock;
    pthread_cond_t cond;
    sem_t sem;
    mtx_t mtx;
    cnd_t cnd;
    bool is_told;
    int order; /* of the two, by digits */
};

static struct timespec far(clockid_t clock)
{
    struct timespec at;
    (void)clock_gettime(clock, &at);
    at.tv_sec += TEST_WAIT_MS / 1000;
    return at;
}

static int wait_timed(struct locks *l)
{
    const struct timespec real = far(CLOCK_REALTIME), mono = far(CLOCK_MONOTONIC);
    int rc = 0;
    switch (l->way) {
    case MUTEX_TIMED: return pthread_mutex_timedlock(&l->mutex, &real);
    case MUTEX_CLOCK: return pthread_mutex_clocklock(&l->mutex, CLOCK_MONOTONIC, &mono);
    case MUTEX_C11: return mtx_timedlock(&l->mtx, &real);
    case READ_TIMED: return pthread_rwlock_timedrdlock(&l->rwlock, &real);
    case READ_CLOCK: return pthread_rwlock_clockrdlock(&l->rwlock, CLOCK_MONOTONIC, &mono);
    case WRITE_TIMED: return pthread_rwlock_timedwrlock(&l->rwlock, &real);
    case WRITE_CLOCK: return pthread_rwlock_clockwrlock(&l->rwlock, CLOCK_MONOTONIC, &mono);
    case COND_TIMED:
    case COND_CLOCK:
        (void)pthread_mutex_lock(&l->mutex);
        while (!l->is_told && rc == 0)
            rc = l->way == COND_TIMED
                     ? pthread_cond_timedwait(&l->cond, &l->mutex, &real)
                     : pthread_cond_clockwait(&l->cond, &l->mutex, CLOCK_MONOTONIC, &mono);
        (void)pthread_mutex_unlock(&l->mutex);
        return rc;
    case COND_C11:
        (void)mtx_lock(&l->mtx);
        while (!l->is_told && rc == 0)
            rc = cnd_timedwait(&l->cnd, &l->mtx, &real);
        (void)mtx_unlock(&l->mtx);
        return rc;
    case SEM_TIMED: return sem_timedwait(&l->sem, &real);
    case SEM_CLOCK: return sem_clockwait(&l->sem, CLOCK_MONOTONIC, &mono);
    case WAY_COUNT: break;
    }
    return -1;
}

static void hold(struct locks *l)
{
    switch (l->way) {
    case MUTEX_TIMED:
    case MUTEX_CLOCK: (void)pthread_mutex_lock(&l->mutex); break;
    case MUTEX_C11: (void)mtx_lock(&l->mtx); break;
    case READ_TIMED:
    case READ_CLOCK:
    case WRITE_TIMED:
    case WRITE_CLOCK: (void)pthread_rwlock_wrlock(&l->rwlock); break;
    default: break; /* these are not held, but not yet given */
    }
}

static void let_go(struct locks *l)
{
    switch (l->way) {
    case MUTEX_TIMED:
    case MUTEX_CLOCK: (void)pthread_mutex_unlock(&l->mutex); break;
    case MUTEX_C11: (void)mtx_unlock(&l->mtx); break;
    case READ_TIMED:
    case READ_CLOCK:
    case WRITE_TIMED:
    case WRITE_CLOCK: (void)pthread_rwlock_unlock(&l->rwlock); break;
    default: break;
    }
}

static void give(struct locks *l)
{
    l->is_told = true; /* on the one thread of both */
    switch (l->way) {
    case COND_TIMED:
    case COND_CLOCK: (void)pthread_cond_signal(&l->cond); break;
    case COND_C11: (void)cnd_signal(&l->cnd); break;
    case SEM_TIMED:
    case SEM_CLOCK: (void)sem_post(&l->sem); break;
    default: let_go(l); break;
    }
}

static int want(void *arg)
{
    struct locks *l = arg;
    int rc = wait_timed(l);
    l->order = l->order * 10 + 2;
    if (rc == 0)
        let_go(l);
    return rc == 0 ? 0 : -EBADE;
}

static int hold_and_give(void *arg)
{
    struct locks *l = arg;
    struct weft_scope scope;
    hold(l);
    weft_scope_open(&scope);
    weft_launch(&scope, NULL, want, l);
    int rc = weft_sleep_ms(50); /* long enough for the monitor to see a thread that is stuck */
    l->order = l->order * 10 + 1;
    give(l);
    return weft_scope_close(&scope, rc);
}

static void every_timed_form_parks(void **state)
{
    (void)state;
    for (int i = 0; i < 2 * WAY_COUNT; i++) {
        struct locks l = {
            .way = (enum way)(i / 2),
            .mutex = PTHREAD_MUTEX_INITIALIZER,
            .rwlock = PTHREAD_RWLOCK_INITIALIZER,
            .cond = PTHREAD_COND_INITIALIZER,
        };
        assert_int_equal(mtx_init(&l.mtx, mtx_timed), thrd_success);
        assert_int_equal(cnd_init(&l.cnd), thrd_success);
        assert_int_equal(sem_init(&l.sem, 0, 0), 0);

        int rc = run_virtual(hold_and_give, &l);

        assert_int_equal(rc, 0);
        assert_int_equal(l.order, 12);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        one_thread_test(every_timed_form_parks),
    };
    return berth_test_main(tests, NULL, NULL);
}
