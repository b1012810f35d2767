/* SPDX-License-Identifier: MIT
 *
 * Queues of coroutines that are parked inside libc on an object which knows nothing of them: a
 * mutex, a condition, a lock, a semaphore. They are found by the object's address, in a table of
 * each kind of object.
 *
 * The object itself stays the truth: a coroutine takes it by the call that does not wait, and only
 * if that says "busy" it parks here, until somebody gives the object back. So that no wake is lost:
 *
 *   who waits:      joins the queue (and the count of the table);  then tries once more;  then
 * parks who gives back: gives back, by libc's own call;                then looks at the count
 *
 * with a full barrier at each semicolon. That look is all that a plain thread pays. Nothing here
 * reads the object, which may be gone by the time that its waiters are woken.
 *
 * What cannot be seen (a condition's wait inside libc gives the mutex back, another process does,
 * or a library that was linked in a way which passes weft over) is found by looking again: while
 * there may be such a thing often, else ever more seldom.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "lock.h"
#include "switch.h"
#include "tree.h"

#define WEFT_PARK_BUCKETS 1024

struct weft_park_bucket {
    struct weft_lock lock;
    atomic_uint unseen; /* plain threads in a call that may give back such an object unseen */
    struct weft_waiters waiters;
};

/* All-zero is ready. */
struct weft_park_table {
    atomic_uint parked; /* in all queues */
    struct weft_park_bucket buckets[WEFT_PARK_BUCKETS];
};

struct weft_park_bucket *weft_park_bucket(struct weft_park_table *table, const void *object);

/* join: at the tail; or, who was woken but came too late, at the head. leave: false if it had been
 * woken. Between the two it may park. Out of memory counts as having been woken. */
void weft_park_join(struct weft_park_table *table, struct weft_task *self, const void *object,
                    bool at_head);
bool weft_park_leave(struct weft_park_table *table, struct weft_task *self, const void *object);

/* Wakes the first, or all, that are parked on the object. */
void weft_park_wake(struct weft_park_table *table, const void *object, bool all);

/* Wakes all that are parked on anything. */
void weft_park_wake_all(struct weft_park_table *table);

/* In a child of fork(), where none of the coroutines goes on. */
void weft_park_forget(struct weft_park_table *table);

/* Whether anybody is parked on anything: after giving an object back. */
static inline bool weft_park_has_any(struct weft_park_table *table)
{
#if defined(__x86_64__)
    __asm__ volatile("" ::: "memory"); /* giving back was a locked instruction */
#elif WEFT_TSAN
    return atomic_fetch_add(&table->parked, 0) > 0; /* it does not know fences */
#else
    atomic_thread_fence(memory_order_seq_cst);
#endif
    return __builtin_expect(atomic_load_explicit(&table->parked, memory_order_relaxed) > 0, 0);
}

/* The end of waiting as libc's calls are given it. `at` NULL: none. */
struct weft_park_until {
    clockid_t clock;
    const struct timespec *at;
};

/* 0, or -EINVAL as libc answers: its time is no time. */
int weft_park_until_check(const struct weft_park_until *until);

bool weft_park_until_has_passed(const struct weft_park_until *until);

/* Parks until it is woken, the end, `again_ns` (from now; WEFT_NEVER: not) or, unless deaf,
 * cancelled; it may come back without cause. */
void weft_park_wait(struct weft_task *self, const char *what, const struct weft_park_until *until,
                    int64_t again_ns, bool is_deaf);

/* How long to park before looking at the object again; `tries` so far. */
int64_t weft_park_again_ns(bool is_shared, struct weft_park_table *table, const void *object,
                           unsigned tries);

/* A wait for an object: `try` returns EBUSY, or the result. `is_shared`: other processes may have
 * it. Returns that, or ETIMEDOUT, or EINVAL. */
struct weft_park_try {
    struct weft_park_table *table;
    void *object;
    int (*try)(struct weft_task *self, void *object);
    const char *what;
    bool is_shared;
    struct weft_park_until until;
};
int weft_park_take(struct weft_task *self, const struct weft_park_try *wait);
