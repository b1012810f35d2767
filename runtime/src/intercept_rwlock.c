/* SPDX-License-Identifier: MIT
 *
 * pthread read-write locks and spin locks.
 *
 * A read-write lock is taken by the calls that do not wait, as a mutex (intercept_mutex.c). Who
 * writes stands in its field for the writer, as a coroutine (intercept_owner.h); readers have no
 * names. Each unlock wakes all that are parked on it: several readers may go on. Coroutines that
 * wait to write do not hold back new readers, whatever the attribute says.
 *
 * A spin lock that is taken is tried again after a moment, in which others of the thread run: the
 * holder may be one of them.
 */
#include <errno.h>
#include <pthread.h>

#include "intercept.h"
#include "intercept_owner.h"
#include "intercept_queue.h"

#define SPINS_MAX    100
#define SPIN_NAP_NS  INT64_C(20000)
#define SPIN_NAP_MAX 6 /* doublings */

WEFT_NEXT(int, pthread_rwlock_rdlock, pthread_rwlock_t *)
WEFT_NEXT(int, pthread_rwlock_tryrdlock, pthread_rwlock_t *)
WEFT_NEXT(int, pthread_rwlock_timedrdlock, pthread_rwlock_t *, const struct timespec *)
WEFT_NEXT(int, pthread_rwlock_clockrdlock, pthread_rwlock_t *, clockid_t, const struct timespec *)
WEFT_NEXT(int, pthread_rwlock_wrlock, pthread_rwlock_t *)
WEFT_NEXT(int, pthread_rwlock_trywrlock, pthread_rwlock_t *)
WEFT_NEXT(int, pthread_rwlock_timedwrlock, pthread_rwlock_t *, const struct timespec *)
WEFT_NEXT(int, pthread_rwlock_clockwrlock, pthread_rwlock_t *, clockid_t, const struct timespec *)
WEFT_NEXT(int, pthread_rwlock_unlock, pthread_rwlock_t *)
WEFT_NEXT(int, pthread_spin_lock, pthread_spinlock_t *)
WEFT_NEXT(int, pthread_spin_trylock, pthread_spinlock_t *)

extern const char weft_draws_rwlock;
const char weft_draws_rwlock = 1;

static struct weft_park_table rwlocks;

static void forget(void)
{
    weft_park_forget(&rwlocks);
}

static __attribute__((constructor)) void watch_fork(void)
{
    (void)pthread_atfork(NULL, NULL, forget);
}

/* The calling coroutine, if it has the lock to write. */
static struct weft_task *writer(pthread_rwlock_t *lock)
{
    int owner = weft_owner_get(&lock->__data.__cur_writer);
    return weft_owner_is_task(owner) ? weft_owner_self(owner) : NULL;
}

static int try_read(struct weft_task *self, void *object)
{
    (void)self;
    return next_pthread_rwlock_tryrdlock()(object);
}

static int try_write(struct weft_task *self, void *object)
{
    pthread_rwlock_t *lock = object;
    int rc = next_pthread_rwlock_trywrlock()(lock);
    if (rc == 0)
        weft_owner_set(&lock->__data.__cur_writer, weft_owner_id(self));
    return rc;
}

__attribute__((no_sanitize("thread"))) static bool is_shared(const pthread_rwlock_t *lock)
{
    return *(const volatile int *)&lock->__data.__shared != 0;
}

static int take(struct weft_task *self, pthread_rwlock_t *lock,
                int (*try)(struct weft_task *self, void *object), clockid_t clock,
                const struct timespec *at)
{
    int rc = writer(lock) ? EDEADLK
                          : weft_park_take(self, &(struct weft_park_try){
                                                     .table = &rwlocks,
                                                     .object = lock,
                                                     .try = try,
                                                     .what = "pthread rwlock",
                                                     .is_shared = is_shared(lock),
                                                     .until = { .clock = clock, .at = at },
                                                 });
    return (int)weft_call_leave(self, rc);
}

static struct weft_task *enter_with(clockid_t clock)
{
    return clock == CLOCK_REALTIME || clock == CLOCK_MONOTONIC ? weft_call_enter() : NULL;
}

int pthread_rwlock_rdlock(pthread_rwlock_t *lock)
{
    struct weft_task *self = weft_call_enter();
    return self ? take(self, lock, try_read, CLOCK_MONOTONIC, NULL)
                : next_pthread_rwlock_rdlock()(lock);
}

int pthread_rwlock_timedrdlock(pthread_rwlock_t *lock, const struct timespec *at)
{
    struct weft_task *self = weft_call_enter();
    return self ? take(self, lock, try_read, CLOCK_REALTIME, at)
                : next_pthread_rwlock_timedrdlock()(lock, at);
}

int pthread_rwlock_clockrdlock(pthread_rwlock_t *lock, clockid_t clock, const struct timespec *at)
{
    struct weft_task *self = enter_with(clock);
    return self ? take(self, lock, try_read, clock, at)
                : next_pthread_rwlock_clockrdlock()(lock, clock, at);
}

int pthread_rwlock_wrlock(pthread_rwlock_t *lock)
{
    struct weft_task *self = weft_call_enter();
    return self ? take(self, lock, try_write, CLOCK_MONOTONIC, NULL)
                : next_pthread_rwlock_wrlock()(lock);
}

int pthread_rwlock_timedwrlock(pthread_rwlock_t *lock, const struct timespec *at)
{
    struct weft_task *self = weft_call_enter();
    return self ? take(self, lock, try_write, CLOCK_REALTIME, at)
                : next_pthread_rwlock_timedwrlock()(lock, at);
}

int pthread_rwlock_clockwrlock(pthread_rwlock_t *lock, clockid_t clock, const struct timespec *at)
{
    struct weft_task *self = enter_with(clock);
    return self ? take(self, lock, try_write, clock, at)
                : next_pthread_rwlock_clockwrlock()(lock, clock, at);
}

int pthread_rwlock_trywrlock(pthread_rwlock_t *lock)
{
    struct weft_task *self = weft_call_enter();
    return self ? (int)weft_call_leave(self, try_write(self, lock))
                : next_pthread_rwlock_trywrlock()(lock);
}

int pthread_rwlock_unlock(pthread_rwlock_t *lock)
{
    if (writer(lock))
        weft_owner_set(&lock->__data.__cur_writer, weft_owner_thread());
    int rc = next_pthread_rwlock_unlock()(lock);
    if (weft_park_has_any(&rwlocks))
        weft_park_wake(&rwlocks, lock, true);
    return rc;
}

static int spin(struct weft_task *self, pthread_spinlock_t *lock)
{
    int rc = EBUSY;
    self->is_done = false;
    for (unsigned tries = 0; rc == EBUSY; tries++) {
        for (int i = 0; i < SPINS_MAX && rc == EBUSY; i++)
            rc = next_pthread_spin_trylock()(lock);
        if (rc == EBUSY)
            weft_park_wait(self, "pthread spin lock", &(struct weft_park_until){ .at = NULL },
                           SPIN_NAP_NS << (tries < SPIN_NAP_MAX ? tries : SPIN_NAP_MAX), true);
    }
    return rc;
}

int pthread_spin_lock(pthread_spinlock_t *lock)
{
    struct weft_task *self = weft_call_enter();
    return self ? (int)weft_call_leave(self, spin(self, lock)) : next_pthread_spin_lock()(lock);
}
