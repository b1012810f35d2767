/* SPDX-License-Identifier: MIT */
#include "intercept_queue.h"

#include <errno.h>

#include "intercept.h"

#define NS_PER_S INT64_C(1000000000)

/* Somebody may give back unseen: this long at first, doubling up to the first maximum. */
#define AGAIN_OFTEN_NS     INT64_C(50000)
#define AGAIN_OFTEN_NS_MAX INT64_C(10000000)
/* Nobody should: only in case that somebody does. */
#define AGAIN_SELDOM_NS     INT64_C(10000000)
#define AGAIN_SELDOM_NS_MAX NS_PER_S
/* The real-time clock may be set: it is asked again that often. */
#define CLOCK_AGAIN_NS NS_PER_S
/* Who has no memory to stand in a queue tries that often. */
#define NO_MEMORY_AGAIN_NS INT64_C(1000000)

struct weft_park_bucket *weft_park_bucket(struct weft_park_table *table, const void *object)
{
    uint64_t hash = (uint64_t)(uintptr_t)object * UINT64_C(0x9e3779b97f4a7c15);
    return &table->buckets[(hash >> 32) % WEFT_PARK_BUCKETS];
}

void weft_park_join(struct weft_park_table *table, struct weft_task *self, const void *object,
                    bool at_head)
{
    if (weft_waiter_reserve(self) < 0) {
        self->is_done = true; /* woken without cause, as it may be; see below */
        return;
    }
    struct weft_park_bucket *bucket = weft_park_bucket(table, object);
    weft_lock_acquire(&bucket->lock);
    if (at_head)
        weft_waiters_join_first(&bucket->waiters, self);
    else
        weft_waiters_join(&bucket->waiters, self);
    weft_task_waiter(self)->object = object;
    weft_lock_release(&bucket->lock);
    (void)atomic_fetch_add(&table->parked, 1); /* after it is there, before it tries again */
}

bool weft_park_leave(struct weft_park_table *table, struct weft_task *self, const void *object)
{
    if (!weft_waiter_is_there(self)) { /* it was not in the queue */
        static const atomic_bool never;
        (void)weft_wait_deaf_until(self, "memory", &never, weft_call_deadline(NO_MEMORY_AGAIN_NS));
        return false;
    }
    struct weft_park_bucket *bucket = weft_park_bucket(table, object);
    weft_lock_acquire(&bucket->lock);
    bool was_queued = weft_task_waiter(self)->is_queued;
    weft_waiters_leave(&bucket->waiters, weft_task_waiter(self));
    weft_lock_release(&bucket->lock);
    (void)atomic_fetch_sub(&table->parked, 1);
    return was_queued;
}

/* `object` NULL: any. */
static void wake_bucket(struct weft_park_bucket *bucket, const void *object, bool all)
{
    struct weft_task *self = weft_self();
    bool was_in_call = self && self->is_in_call;
    if (self)
        self->is_in_call = true; /* nothing in here must park */
    weft_lock_acquire(&bucket->lock);
    struct weft_waiter *next;
    for (struct weft_waiter *waiter = bucket->waiters.first; waiter; waiter = next) {
        next = waiter->next;
        if (object && waiter->object != object)
            continue;
        weft_waiters_wake(&bucket->waiters, waiter);
        if (!all)
            break;
    }
    weft_lock_release(&bucket->lock);
    if (self)
        self->is_in_call = was_in_call;
}

void weft_park_wake(struct weft_park_table *table, const void *object, bool all)
{
    wake_bucket(weft_park_bucket(table, object), object, all);
}

void weft_park_wake_all(struct weft_park_table *table)
{
    for (size_t i = 0; i < WEFT_PARK_BUCKETS; i++)
        wake_bucket(&table->buckets[i], NULL, true);
}

void weft_park_forget(struct weft_park_table *table)
{
    table->parked = 0;
    for (size_t i = 0; i < WEFT_PARK_BUCKETS; i++)
        table->buckets[i] = (struct weft_park_bucket){ .unseen = 0 };
}

int weft_park_until_check(const struct weft_park_until *until)
{
    return until->at && (until->at->tv_nsec < 0 || until->at->tv_nsec >= NS_PER_S) ? EINVAL : 0;
}

/* Nanoseconds from now to the end; WEFT_NEVER: none. */
static int64_t left_ns(const struct weft_park_until *until)
{
    struct timespec now;
    if (!until->at)
        return WEFT_NEVER;
    (void)clock_gettime(until->clock, &now);
    int64_t seconds;
    if (__builtin_sub_overflow(until->at->tv_sec, now.tv_sec, &seconds))
        return until->at->tv_sec < 0 ? 0 : WEFT_NEVER;
    if (seconds > WEFT_NEVER / NS_PER_S - 1)
        return WEFT_NEVER;
    if (seconds < -1)
        return 0;
    return seconds * NS_PER_S + until->at->tv_nsec - now.tv_nsec;
}

bool weft_park_until_has_passed(const struct weft_park_until *until)
{
    return left_ns(until) <= 0;
}

void weft_park_wait(struct weft_task *self, const char *what, const struct weft_park_until *until,
                    int64_t again_ns, bool is_deaf)
{
    int64_t ns = left_ns(until);
    if (ns != WEFT_NEVER && until->clock != CLOCK_MONOTONIC && ns > CLOCK_AGAIN_NS)
        ns = CLOCK_AGAIN_NS;
    if (again_ns < ns)
        ns = again_ns;
    /* Out of memory for a timer is no result of any of these calls: then it tries at once. */
    int64_t deadline_ns = ns != WEFT_NEVER ? weft_call_deadline(ns) : WEFT_NEVER;
    if (ns > 0 && is_deaf)
        (void)weft_wait_deaf_until(self, what, &self->is_done, deadline_ns);
    else if (ns > 0)
        (void)weft_wait(self, what, &self->is_done, deadline_ns);
}

int64_t weft_park_again_ns(bool is_shared, struct weft_park_table *table, const void *object,
                           unsigned tries)
{
    bool is_often = is_shared || weft_park_bucket(table, object)->unseen > 0;
    int64_t ns = is_often ? AGAIN_OFTEN_NS : AGAIN_SELDOM_NS;
    int64_t max_ns = is_often ? AGAIN_OFTEN_NS_MAX : AGAIN_SELDOM_NS_MAX;
    while (tries-- > 0 && ns < max_ns)
        ns *= 2;
    return ns < max_ns ? ns : max_ns;
}

int weft_park_take(struct weft_task *self, const struct weft_park_try *wait)
{
    int rc = wait->try(self, wait->object);
    if (rc != EBUSY)
        return rc;
    rc = weft_park_until_check(&wait->until);
    if (rc != 0)
        return rc;
    weft_park_join(wait->table, self, wait->object, false);
    rc = wait->try(self, wait->object);
    for (unsigned tries = 0; rc == EBUSY; tries++) {
        int64_t again_ns = weft_park_again_ns(wait->is_shared, wait->table, wait->object, tries);
        weft_park_wait(self, wait->what, &wait->until, again_ns, true);
        bool is_late = weft_park_until_has_passed(&wait->until);
        if (self->is_done) { /* woken, and so out of the queue: back to its head, then try */
            (void)weft_park_leave(wait->table, self, wait->object);
            weft_park_join(wait->table, self, wait->object, true);
            tries = 0;
        }
        rc = wait->try(self, wait->object);
        if (rc == EBUSY && is_late)
            rc = ETIMEDOUT;
    }
    bool was_woken = !weft_park_leave(wait->table, self, wait->object);
    if (was_woken && rc == ETIMEDOUT)
        weft_park_wake(wait->table, wait->object, false); /* it was meant for somebody */
    return rc;
}
