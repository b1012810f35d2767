/* SPDX-License-Identifier: MIT
 *
 * pthread mutexes, owned by coroutines.
 *
 * The mutex itself is really locked, by the call that does not wait; so plain threads wait for a
 * coroutine, and coroutines for plain threads, as ever. What is added:
 * 1. A coroutine that finds it locked parks in a queue (intercept_queue.h), and every unlock in the
 *    process looks whether somebody is there. It is deaf to cancelling, as pthread_mutex_lock().
 * 2. In a mutex that knows its owner (recursive, error-checking, robust, with priorities) stands
 * the coroutine instead of its thread (intercept_owner.h). A normal or adaptive one does not ask
 * who unlocks it.
 *
 * What is left to the thread: a robust mutex, or one that inherits priorities, is known to the
 * kernel by thread. Such a one must be unlocked on the thread on which it was locked: hold it over
 * parked calls, not over weft's own (EPERM).
 */
#include "intercept_mutex.h"

#include <errno.h>

#include "intercept.h"
#include "intercept_own.h"
#include "intercept_owner.h"

#define KIND_MASK    127 /* the kind, robust, and the protocol of priorities */
#define KIND_SHARED  128
#define KIND_PLAIN_A PTHREAD_MUTEX_TIMED_NP
#define KIND_PLAIN_B PTHREAD_MUTEX_ADAPTIVE_NP
#define KIND_BASE    3 /* of these, less robust and the protocol */

WEFT_NEXT(int, pthread_mutex_lock, pthread_mutex_t *)
WEFT_NEXT(int, pthread_mutex_trylock, pthread_mutex_t *)
WEFT_NEXT(int, pthread_mutex_timedlock, pthread_mutex_t *, const struct timespec *)
WEFT_NEXT(int, pthread_mutex_clocklock, pthread_mutex_t *, clockid_t, const struct timespec *)
WEFT_NEXT(int, pthread_mutex_unlock, pthread_mutex_t *)

extern const char weft_draws_mutex;
const char weft_draws_mutex = 1;

struct weft_park_table weft_call_mutexes;

static void forget(void)
{
    weft_park_forget(&weft_call_mutexes);
}

static __attribute__((constructor)) void watch_fork(void)
{
    (void)pthread_atfork(NULL, NULL, forget);
}

__attribute__((no_sanitize("thread"))) static int kind_of(const pthread_mutex_t *mutex)
{
    return *(const volatile int *)&mutex->__data.__kind;
}

static bool knows_owner(const pthread_mutex_t *mutex)
{
    int kind = kind_of(mutex) & KIND_MASK;
    return kind != KIND_PLAIN_A && kind != KIND_PLAIN_B;
}

/* The calling coroutine, if it holds such a mutex. */
static struct weft_task *holder(pthread_mutex_t *mutex)
{
    if (__builtin_expect(!knows_owner(mutex), 1))
        return NULL;
    int owner = weft_owner_get(&mutex->__data.__owner);
    return weft_owner_is_task(owner) ? weft_owner_self(owner) : NULL;
}

/* Its holder locks it again. */
static int lock_again(pthread_mutex_t *mutex, int rc_of_checking)
{
    int base = kind_of(mutex) & KIND_BASE;
    if (base == PTHREAD_MUTEX_ERRORCHECK_NP)
        return rc_of_checking;
    if (base != PTHREAD_MUTEX_RECURSIVE_NP)
        return EBUSY; /* it waits for itself, as it asked */
    unsigned *count = &mutex->__data.__count;
    if (*count + 1 == 0)
        return EAGAIN;
    ++*count;
    return 0;
}

/* For a coroutine. EBUSY, too, if its thread holds the mutex: that is somebody else. */
static int try_lock(struct weft_task *self, void *object)
{
    pthread_mutex_t *mutex = object;
    if (!knows_owner(mutex))
        return next_pthread_mutex_trylock()(mutex);
    int owner = weft_owner_get(&mutex->__data.__owner);
    if (weft_owner_is_task(owner) || (owner != 0 && owner == weft_owner_thread()))
        return EBUSY;
    int rc = next_pthread_mutex_trylock()(mutex);
    if (rc == 0)
        weft_owner_set(&mutex->__data.__owner, weft_owner_id(self));
    return rc;
}

static int lock_until(struct weft_task *self, pthread_mutex_t *mutex, clockid_t clock,
                      const struct timespec *at)
{
    return weft_park_take(self, &(struct weft_park_try){
                                    .table = &weft_call_mutexes,
                                    .object = mutex,
                                    .try = try_lock,
                                    .what = "pthread mutex",
                                    .is_shared = (kind_of(mutex) & KIND_SHARED) != 0,
                                    .until = { .clock = clock, .at = at },
                                });
}

/* Locking by its holder; else EBUSY. */
static int lock_if_held(pthread_mutex_t *mutex)
{
    return holder(mutex) ? lock_again(mutex, EDEADLK) : EBUSY;
}

int weft_call_mutex_lock(struct weft_task *self, pthread_mutex_t *mutex)
{
    int rc = lock_if_held(mutex);
    return rc == EBUSY ? lock_until(self, mutex, CLOCK_MONOTONIC, NULL) : rc;
}

int pthread_mutex_lock(pthread_mutex_t *mutex)
{
    int rc = lock_if_held(mutex);
    if (rc != EBUSY)
        return rc;
    struct weft_task *self = weft_call_enter();
    if (!self)
        return next_pthread_mutex_lock()(mutex);
    return (int)weft_call_leave(self, lock_until(self, mutex, CLOCK_MONOTONIC, NULL));
}

int pthread_mutex_trylock(pthread_mutex_t *mutex)
{
    if (holder(mutex))
        return lock_again(mutex, EBUSY);
    struct weft_task *self = weft_call_enter();
    if (!self)
        return next_pthread_mutex_trylock()(mutex);
    return (int)weft_call_leave(self, try_lock(self, mutex));
}

int pthread_mutex_timedlock(pthread_mutex_t *mutex, const struct timespec *at)
{
    int rc = lock_if_held(mutex);
    if (rc != EBUSY)
        return rc;
    struct weft_task *self = weft_call_enter();
    if (!self)
        return next_pthread_mutex_timedlock()(mutex, at);
    return (int)weft_call_leave(self, lock_until(self, mutex, CLOCK_REALTIME, at));
}

int pthread_mutex_clocklock(pthread_mutex_t *mutex, clockid_t clock, const struct timespec *at)
{
    bool is_clock = clock == CLOCK_REALTIME || clock == CLOCK_MONOTONIC;
    int rc = is_clock ? lock_if_held(mutex) : EBUSY;
    if (rc != EBUSY)
        return rc;
    struct weft_task *self = is_clock ? weft_call_enter() : NULL;
    if (!self)
        return next_pthread_mutex_clocklock()(mutex, clock, at);
    return (int)weft_call_leave(self, lock_until(self, mutex, clock, at));
}

void weft_call_mutex_to_thread(pthread_mutex_t *mutex)
{
    if (holder(mutex))
        weft_owner_set(&mutex->__data.__owner, weft_owner_thread());
}

/* By the coroutine that holds it. */
static int unlock_held(struct weft_task *self, pthread_mutex_t *mutex)
{
    bool is_recursive = (kind_of(mutex) & KIND_BASE) == PTHREAD_MUTEX_RECURSIVE_NP;
    if (is_recursive && mutex->__data.__count > 1) {
        --mutex->__data.__count;
        return 0;
    }
    weft_owner_set(&mutex->__data.__owner, weft_owner_thread());
    int rc = next_pthread_mutex_unlock()(mutex);
    if (rc != 0)
        weft_owner_set(&mutex->__data.__owner, weft_owner_id(self));
    return rc;
}

int weft_call_mutex_unlock(pthread_mutex_t *mutex)
{
    struct weft_task *self = holder(mutex);
    int rc = self ? unlock_held(self, mutex) : next_pthread_mutex_unlock()(mutex);
    if (weft_park_has_any(&weft_call_mutexes))
        weft_park_wake(&weft_call_mutexes, mutex, false);
    return rc;
}

int pthread_mutex_unlock(pthread_mutex_t *mutex)
{
    return weft_call_mutex_unlock(mutex);
}

int weft_own_mutex_lock(pthread_mutex_t *mutex)
{
    return next_pthread_mutex_lock()(mutex);
}

int weft_own_mutex_unlock(pthread_mutex_t *mutex)
{
    return next_pthread_mutex_unlock()(mutex);
}
