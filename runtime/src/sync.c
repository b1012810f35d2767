/* SPDX-License-Identifier: MIT
 *
 * Mutex, condition, semaphore, completion.
 *
 * What they guard lies under a lock of a small static table, chosen by address. So they need no
 * initialization and no destruction, and a waker that still holds the lock touches no memory that
 * the woken one may already have given back. No two locks of the table are held at once.
 *
 * What is given (a lock, a permit) goes straight to the first in the queue. If that one is
 * cancelled before it runs, it passes it on: who returns -ECANCELED took nothing.
 */
#include <errno.h>

#include "die.h"
#include "lock.h"
#include "tree.h"

struct __attribute__((may_alias)) mutex_state {
    struct weft_waiters waiters;
    const void *owner; /* a task, or what stands for a plain thread; NULL: unlocked */
};

struct __attribute__((may_alias)) cond_state {
    struct weft_waiters waiters;
};

struct __attribute__((may_alias)) semaphore_state {
    struct weft_waiters waiters;
    unsigned permits; /* more than 0 only if nobody waits */
};

struct __attribute__((may_alias)) completion_state {
    struct weft_waiters waiters;
    bool is_set;
    int rc;
};

_Static_assert(sizeof(struct mutex_state) <= sizeof(struct weft_mutex), "it must fit");
_Static_assert(sizeof(struct cond_state) <= sizeof(struct weft_cond), "it must fit");
_Static_assert(sizeof(struct semaphore_state) <= sizeof(struct weft_semaphore), "it must fit");
_Static_assert(sizeof(struct completion_state) <= sizeof(struct weft_completion), "it must fit");

#define LOCK_COUNT 64
static struct weft_lock locks[LOCK_COUNT];

static struct weft_lock *lock_of(const void *object)
{
    struct weft_lock *lock = &locks[((uintptr_t)object >> 5) % LOCK_COUNT];
    weft_lock_acquire(lock);
    return lock;
}

static void unlock(struct weft_lock *lock)
{
    weft_lock_release(lock);
}

/* Who locks: the coroutine, or for a plain thread an address that no other thread has. */
static const void *owner_self(const struct weft_task *self)
{
    static _Thread_local char plain_thread;
    return self ? (const void *)self : &plain_thread;
}

/* Under its lock: gives the mutex to the next. */
static void mutex_pass_on(struct mutex_state *m)
{
    struct weft_waiter *next = m->waiters.first;
    m->owner = next ? next->task : NULL;
    if (next)
        weft_waiters_wake(&m->waiters, next);
}

int weft_mutex_lock(struct weft_mutex *mutex, int64_t deadline_ns)
{
    struct mutex_state *m = (struct mutex_state *)mutex;
    struct weft_task *self = weft_self();
    int rc = weft_wait_check(self, deadline_ns);
    if (rc < 0)
        return rc;
    const void *me = owner_self(self);
    struct weft_lock *lock = lock_of(m);
    if (!m->owner)
        m->owner = me;
    else if (m->owner == me)
        rc = -EDEADLK;
    else if (deadline_ns == 0)
        rc = -ETIMEDOUT;
    else
        weft_waiters_join(&m->waiters, self);
    bool must_wait = rc == 0 && m->owner != me;
    unlock(lock);
    if (!must_wait)
        return rc;

    rc = weft_wait(self, "mutex", &self->is_done, deadline_ns);
    lock = lock_of(m);
    weft_waiters_leave(&m->waiters, &self->waiter);
    bool is_mine = m->owner == me;
    if (is_mine && rc == -ECANCELED)
        mutex_pass_on(m);
    else if (is_mine)
        rc = 0;
    unlock(lock);
    return rc;
}

/* Locks although cancelled. */
static void mutex_lock_deaf(struct mutex_state *m, struct weft_task *self)
{
    struct weft_lock *lock = lock_of(m);
    bool must_wait = m->owner;
    if (must_wait)
        weft_waiters_join(&m->waiters, self);
    else
        m->owner = self;
    unlock(lock);
    if (!must_wait)
        return;
    weft_wait_deaf(self, "mutex", &self->is_done);
    unlock(lock_of(m)); /* the waker is out of there */
}

void weft_mutex_unlock(struct weft_mutex *mutex)
{
    struct mutex_state *m = (struct mutex_state *)mutex;
    const void *me = owner_self(weft_self());
    struct weft_lock *lock = lock_of(m);
    WEFT_REQUIRE(m->owner == me, "weft_mutex_unlock: the caller has not locked it");
    mutex_pass_on(m);
    unlock(lock);
}

int weft_cond_wait(struct weft_cond *cond, struct weft_mutex *mutex, int64_t deadline_ns)
{
    struct cond_state *c = (struct cond_state *)cond;
    struct mutex_state *m = (struct mutex_state *)mutex;
    struct weft_task *self = weft_self();
    int rc = weft_wait_check(self, WEFT_NEVER);
    if (rc < 0)
        return rc;
    struct weft_lock *lock = lock_of(m);
    WEFT_REQUIRE(m->owner == self, "weft_cond_wait: the caller has not locked the mutex");
    unlock(lock);
    if (deadline_ns == 0)
        return -ETIMEDOUT;

    lock = lock_of(c);
    weft_waiters_join(&c->waiters, self);
    unlock(lock);
    weft_mutex_unlock(mutex);
    rc = weft_wait(self, "condition", &self->is_done, deadline_ns);
    lock = lock_of(c);
    bool was_signalled = !self->waiter.is_queued;
    weft_waiters_leave(&c->waiters, &self->waiter);
    unlock(lock);
    if (was_signalled && rc == -ECANCELED)
        weft_cond_signal(cond);
    else if (was_signalled)
        rc = 0;
    mutex_lock_deaf(m, self);
    return rc;
}

void weft_cond_signal(struct weft_cond *cond)
{
    struct cond_state *c = (struct cond_state *)cond;
    struct weft_lock *lock = lock_of(c);
    if (c->waiters.first)
        weft_waiters_wake(&c->waiters, c->waiters.first);
    unlock(lock);
}

void weft_cond_broadcast(struct weft_cond *cond)
{
    struct cond_state *c = (struct cond_state *)cond;
    struct weft_lock *lock = lock_of(c);
    while (c->waiters.first)
        weft_waiters_wake(&c->waiters, c->waiters.first);
    unlock(lock);
}

void weft_semaphore_init(struct weft_semaphore *semaphore, unsigned permits)
{
    struct semaphore_state *s = (struct semaphore_state *)semaphore;
    *s = (struct semaphore_state){ .permits = permits };
}

/* Under its lock: gives a permit to the next, or keeps it. */
static void permit_pass_on(struct semaphore_state *s)
{
    if (s->waiters.first)
        weft_waiters_wake(&s->waiters, s->waiters.first);
    else
        s->permits++;
}

int weft_semaphore_acquire(struct weft_semaphore *semaphore, int64_t deadline_ns)
{
    struct semaphore_state *s = (struct semaphore_state *)semaphore;
    struct weft_task *self = weft_self();
    int rc = weft_wait_check(self, deadline_ns);
    if (rc < 0)
        return rc;
    struct weft_lock *lock = lock_of(s);
    bool has_permit = s->permits > 0;
    if (has_permit)
        s->permits--;
    else if (deadline_ns != 0)
        weft_waiters_join(&s->waiters, self);
    unlock(lock);
    if (has_permit)
        return 0;
    if (deadline_ns == 0)
        return -ETIMEDOUT;

    rc = weft_wait(self, "semaphore", &self->is_done, deadline_ns);
    lock = lock_of(s);
    has_permit = !self->waiter.is_queued;
    weft_waiters_leave(&s->waiters, &self->waiter);
    if (has_permit && rc == -ECANCELED)
        permit_pass_on(s);
    else if (has_permit)
        rc = 0;
    unlock(lock);
    return rc;
}

void weft_semaphore_release(struct weft_semaphore *semaphore)
{
    struct semaphore_state *s = (struct semaphore_state *)semaphore;
    struct weft_lock *lock = lock_of(s);
    permit_pass_on(s);
    unlock(lock);
}

int weft_completion_set(struct weft_completion *completion, int rc)
{
    struct completion_state *c = (struct completion_state *)completion;
    struct weft_lock *lock = lock_of(c);
    bool was_set = c->is_set;
    if (!was_set) {
        c->is_set = true;
        c->rc = rc;
        while (c->waiters.first)
            weft_waiters_wake(&c->waiters, c->waiters.first);
    }
    unlock(lock);
    return was_set ? -EALREADY : 0;
}

int weft_completion_wait(struct weft_completion *completion, int64_t deadline_ns)
{
    struct completion_state *c = (struct completion_state *)completion;
    struct weft_task *self = weft_self();
    int rc = weft_wait_check(self, deadline_ns);
    if (rc < 0)
        return rc;
    struct weft_lock *lock = lock_of(c);
    bool is_set = c->is_set;
    if (is_set)
        rc = c->rc;
    else if (deadline_ns != 0)
        weft_waiters_join(&c->waiters, self);
    unlock(lock);
    if (is_set)
        return rc;
    if (deadline_ns == 0)
        return -ETIMEDOUT;

    rc = weft_wait(self, "completion", &self->is_done, deadline_ns);
    lock = lock_of(c);
    weft_waiters_leave(&c->waiters, &self->waiter);
    if (rc != -ECANCELED && c->is_set)
        rc = c->rc;
    unlock(lock);
    return rc;
}
