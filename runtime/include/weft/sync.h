/* SPDX-License-Identifier: MIT
 *
 * Mutex, condition, semaphore and completion: they park coroutines, not threads. All-zero is ready
 * for use (but the semaphore, which has an init). Served in order of arrival. Owned by coroutines.
 *
 * They need no destruction; their memory must outlive every call on them. Each may be used from
 * any thread; what waits follows rule 3: on a plain thread it can only be tried, with deadline 0.
 * In a compact coroutine (task.h) every call that waits can also be -ENOMEM: it has to keep its
 * place in the queue elsewhere than on its stack.
 */
#pragma once

#include <weft/base.h>

#ifdef __cplusplus
extern "C" {
#endif

#define WEFT_CHECK_RESULT __attribute__((warn_unused_result))

struct weft_mutex {
    uint64_t opaque[4];
};

struct weft_cond {
    uint64_t opaque[4];
};

/* Limits what is in progress, parked or not. */
struct weft_semaphore {
    uint64_t opaque[4];
};

/* One result, from a callback, a thread or a coroutine. */
struct weft_completion {
    uint64_t opaque[4];
};

/* Waits. 0: locked. -ETIMEDOUT; -EDEADLK: the caller holds it already. */
WEFT_CHECK_RESULT int weft_mutex_lock(struct weft_mutex *mutex, int64_t deadline_ns);

/* By the one who locked it; anybody else's call ends the program. */
void weft_mutex_unlock(struct weft_mutex *mutex);

/* Waits for a signal. The caller holds the mutex, and holds it again at every return. 0,
 * -ETIMEDOUT or -ECANCELED; like any condition it may return without cause. Not on a plain thread:
 * -EPERM whatever the deadline. */
WEFT_CHECK_RESULT int weft_cond_wait(struct weft_cond *cond, struct weft_mutex *mutex,
                                     int64_t deadline_ns);
void weft_cond_signal(struct weft_cond *cond);
void weft_cond_broadcast(struct weft_cond *cond);

void weft_semaphore_init(struct weft_semaphore *semaphore, unsigned permits);

/* Waits. 0: a permit was taken. -ETIMEDOUT. */
WEFT_CHECK_RESULT int weft_semaphore_acquire(struct weft_semaphore *semaphore, int64_t deadline_ns);

/* Gives one permit back, or one more: it need not have been taken by the caller. */
void weft_semaphore_release(struct weft_semaphore *semaphore);

/* Sets the result, once; any thread. 0, or -EALREADY. When it returns, whoever waits may already
 * have given the completion's memory back. */
int weft_completion_set(struct weft_completion *completion, int rc);

/* Waits for the result and returns it. -ETIMEDOUT. If it returns -ECANCELED or -ETIMEDOUT, stop
 * the setter before the memory goes. */
WEFT_CHECK_RESULT int weft_completion_wait(struct weft_completion *completion, int64_t deadline_ns);

#ifdef __cplusplus
}
#endif
