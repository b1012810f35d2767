/* SPDX-License-Identifier: MIT
 *
 * pthread conditions.
 *
 * A coroutine waits in a queue of ours (intercept_queue.h), plain threads in the condition's own;
 * a signal wakes one of each, which POSIX lets it do. Cancelling a coroutine wakes it once, as if
 * without cause; after that it is deaf, or a loop around the wait would never let its thread go.
 *
 * A plain thread's wait gives the mutex back inside libc, where nobody sees it: while there is one,
 * coroutines that want the mutex look again by themselves (weft_park_bucket.unseen).
 */
#include <pthread.h>

#include <errno.h>

#include "intercept.h"
#include "intercept_mutex.h"
#include "intercept_own.h"
#include "intercept_queue.h"

/* How glibc keeps the attributes. */
#define COND_SHARED    1u
#define COND_MONOTONIC 2u

/* A signal of another process is not seen: a wake without cause, that often. */
#define SHARED_AGAIN_NS INT64_C(10000000)

WEFT_NEXT(int, pthread_cond_wait, pthread_cond_t *, pthread_mutex_t *)
WEFT_NEXT(int, pthread_cond_timedwait, pthread_cond_t *, pthread_mutex_t *, const struct timespec *)
WEFT_NEXT(int, pthread_cond_clockwait, pthread_cond_t *, pthread_mutex_t *, clockid_t,
          const struct timespec *)
WEFT_NEXT(int, pthread_cond_signal, pthread_cond_t *)
WEFT_NEXT(int, pthread_cond_broadcast, pthread_cond_t *)

extern const char weft_draws_cond;
const char weft_draws_cond = 1;

static struct weft_park_table conds;

static void forget(void)
{
    weft_park_forget(&conds);
}

static __attribute__((constructor)) void watch_fork(void)
{
    (void)pthread_atfork(NULL, NULL, forget);
}

__attribute__((no_sanitize("thread"))) static unsigned attributes(const pthread_cond_t *cond)
{
    return *(const volatile unsigned *)&cond->__data.__wrefs;
}

static clockid_t clock_of(const pthread_cond_t *cond)
{
    return (attributes(cond) & COND_MONOTONIC) != 0 ? CLOCK_MONOTONIC : CLOCK_REALTIME;
}

/* Parks until a signal, the end, or once because of cancelling: 0, or ETIMEDOUT. */
static int park_on(struct weft_task *self, const pthread_cond_t *cond,
                   const struct weft_park_until *until)
{
    bool is_shared = (attributes(cond) & COND_SHARED) != 0;
    while (!self->is_done && !weft_park_until_has_passed(until)) {
        bool is_cancelled = weft_task_is_cancelled(self);
        bool is_news = is_cancelled && !self->is_told;
        self->is_told = is_cancelled;
        if (is_news)
            return 0;
        weft_park_wait(self, "pthread condition", until, is_shared ? SHARED_AGAIN_NS : WEFT_NEVER,
                       is_cancelled);
        if (is_shared)
            return 0;
    }
    return self->is_done ? 0 : ETIMEDOUT;
}

static int wait_until(struct weft_task *self, pthread_cond_t *cond, pthread_mutex_t *mutex,
                      const struct weft_park_until *until)
{
    int rc = weft_park_until_check(until);
    if (rc != 0)
        return rc;
    weft_park_join(&conds, self, cond, false);
    rc = weft_call_mutex_unlock(mutex);
    if (rc != 0) {
        (void)weft_park_leave(&conds, self, cond);
        return rc;
    }
    rc = park_on(self, cond, until);
    bool was_signalled = !weft_park_leave(&conds, self, cond);
    int lock_rc = weft_call_mutex_lock(self, mutex);
    if (lock_rc != 0)
        return lock_rc;
    return was_signalled ? 0 : rc;
}

static void unseen_end(void *arg)
{
    struct weft_park_bucket *bucket = arg;
    (void)atomic_fetch_sub(&bucket->unseen, 1);
}

/* Around a wait inside libc. Those that are parked already begin to look by themselves. */
static struct weft_park_bucket *unseen_begin(pthread_mutex_t *mutex)
{
    struct weft_park_bucket *bucket = weft_park_bucket(&weft_call_mutexes, mutex);
    weft_call_mutex_to_thread(mutex);
    (void)atomic_fetch_add(&bucket->unseen, 1);
    if (weft_park_has_any(&weft_call_mutexes))
        weft_park_wake(&weft_call_mutexes, mutex, true);
    return bucket;
}

int pthread_cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex)
{
    struct weft_task *self = weft_call_enter();
    if (self)
        return (int)weft_call_leave(
            self, wait_until(self, cond, mutex, &(struct weft_park_until){ .at = NULL }));
    int rc;
    pthread_cleanup_push(unseen_end, unseen_begin(mutex));
    rc = next_pthread_cond_wait()(cond, mutex);
    pthread_cleanup_pop(1);
    return rc;
}

int pthread_cond_timedwait(pthread_cond_t *cond, pthread_mutex_t *mutex, const struct timespec *at)
{
    struct weft_task *self = weft_call_enter();
    if (self)
        return (int)weft_call_leave(
            self, wait_until(self, cond, mutex,
                             &(struct weft_park_until){ .clock = clock_of(cond), .at = at }));
    int rc;
    pthread_cleanup_push(unseen_end, unseen_begin(mutex));
    rc = next_pthread_cond_timedwait()(cond, mutex, at);
    pthread_cleanup_pop(1);
    return rc;
}

int pthread_cond_clockwait(pthread_cond_t *cond, pthread_mutex_t *mutex, clockid_t clock,
                           const struct timespec *at)
{
    bool is_clock = clock == CLOCK_REALTIME || clock == CLOCK_MONOTONIC;
    struct weft_task *self = is_clock ? weft_call_enter() : NULL;
    if (self)
        return (int)weft_call_leave(
            self,
            wait_until(self, cond, mutex, &(struct weft_park_until){ .clock = clock, .at = at }));
    int rc;
    pthread_cleanup_push(unseen_end, unseen_begin(mutex));
    rc = next_pthread_cond_clockwait()(cond, mutex, clock, at);
    pthread_cleanup_pop(1);
    return rc;
}

/* libc's own first: who is woken may free the condition. */
int pthread_cond_signal(pthread_cond_t *cond)
{
    int rc = next_pthread_cond_signal()(cond);
    if (weft_park_has_any(&conds))
        weft_park_wake(&conds, cond, false);
    return rc;
}

int pthread_cond_broadcast(pthread_cond_t *cond)
{
    int rc = next_pthread_cond_broadcast()(cond);
    if (weft_park_has_any(&conds))
        weft_park_wake(&conds, cond, true);
    return rc;
}

int weft_own_cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex)
{
    return next_pthread_cond_wait()(cond, mutex);
}

int weft_own_cond_timedwait(pthread_cond_t *cond, pthread_mutex_t *mutex, const struct timespec *at)
{
    return next_pthread_cond_timedwait()(cond, mutex, at);
}

int weft_own_cond_signal(pthread_cond_t *cond)
{
    return next_pthread_cond_signal()(cond);
}

int weft_own_cond_broadcast(pthread_cond_t *cond)
{
    return next_pthread_cond_broadcast()(cond);
}
