/* SPDX-License-Identifier: MIT
 *
 * Mutex, condition, semaphore, completion.
 *
 * Each has a lock of its own inside, taken once by who waits and once by who wakes (handover.h).
 * Giving that lock back is the last that anybody does to an object before its call returns, or
 * before it wakes another: so the woken one may give the object's memory back at once.
 *
 * What is given (a lock, a permit) goes straight to the first in the queue. If that one is
 * cancelled before it runs, it passes it on: who returns -ECANCELED took nothing.
 */
#include <errno.h>

#include "die.h"
#include "handover.h"
#include "tree.h"

struct __attribute__((may_alias)) mutex_state {
    struct weft_waiters waiters;
    const void *owner; /* a task, or what stands for a plain thread; NULL: unlocked */
    struct weft_bias lock;
};

struct __attribute__((may_alias)) cond_state {
    struct weft_waiters waiters;
    struct weft_bias lock;
};

struct __attribute__((may_alias)) semaphore_state {
    struct weft_waiters waiters;
    unsigned permits; /* more than 0 only if nobody waits */
    struct weft_bias lock;
};

struct __attribute__((may_alias)) completion_state {
    struct weft_waiters waiters;
    int rc;
    bool is_set;
    struct weft_bias lock;
};

_Static_assert(sizeof(struct mutex_state) <= sizeof(struct weft_mutex), "it must fit");
_Static_assert(sizeof(struct cond_state) <= sizeof(struct weft_cond), "it must fit");
_Static_assert(sizeof(struct semaphore_state) <= sizeof(struct weft_semaphore), "it must fit");
_Static_assert(sizeof(struct completion_state) <= sizeof(struct weft_completion), "it must fit");

bool weft_handover_boxes_all;

static inline void acquire(struct weft_bias *lock)
{
    weft_bias_acquire(lock, weft_holder(weft_thread_self()), WEFT_BIAS_OBJECT);
}

static inline void release(struct weft_bias *lock)
{
    weft_bias_release(lock, weft_holder(weft_thread_self()), WEFT_BIAS_OBJECT);
}

/* ---- parked calls ---------------------------------------------------------------------------- */

struct call {
    struct weft_waiter waiter;
    struct weft_handover handover;
    int rc; /* of a completion */
};

static struct call *call_of(struct weft_waiter *waiter)
{
    return berth_container_of(waiter, struct call, waiter);
}

/* Under the lock. */
static void join(struct weft_waiters *waiters, struct call *call, struct weft_task *self)
{
    *call = (struct call){ .waiter.task = self, .handover.task = self };
    weft_waiters_push(waiters, &call->waiter);
}

/* Under the lock: takes out the first, which is given what it waits for. NULL: nobody waits. */
static struct call *serve_first(struct weft_waiters *waiters)
{
    if (!waiters->first)
        return NULL;
    struct call *call = call_of(waiters->first);
    weft_waiters_leave(waiters, &call->waiter);
    weft_handover_give(&call->handover, weft_holder(weft_thread_self()));
    return call;
}

/* Under the lock: the same with all of them; they stay linked by `next`. */
static struct weft_waiter *serve_all(struct weft_waiters *waiters, int rc)
{
    struct weft_waiter *first = waiters->first;
    for (struct weft_waiter *waiter = first; waiter; waiter = waiter->next) {
        waiter->is_queued = false;
        call_of(waiter)->rc = rc;
        weft_handover_give(&call_of(waiter)->handover, weft_holder(weft_thread_self()));
    }
    *waiters = (struct weft_waiters){ .first = NULL };
    return first;
}

/* Without the lock. */
static void wake(struct call *call)
{
    if (call)
        weft_handover_wake(&call->handover, weft_thread_self());
}

static void wake_all(struct weft_waiter *waiter)
{
    while (waiter) {
        struct call *call = call_of(waiter);
        waiter = waiter->next; /* the call is gone when it has been woken */
        wake(call);
    }
}

/* Without the lock. Waits until it is served, or something else happens first: *ret_is_served, and
 * what weft_wait() returned. */
static int wait(struct weft_bias *lock, struct weft_waiters *waiters, struct call *call,
                const char *what, int64_t deadline_ns, bool *ret_is_served)
{
    struct weft_task *self = call->waiter.task;
    int rc = deadline_ns == WEFT_NEVER
                 ? weft_usual_wait(weft_thread_self(), self, what, &call->handover.is_done)
                 : weft_wait(self, what, &call->handover.is_done, deadline_ns);
    bool is_served = rc == 0;
    if (!is_served) {
        acquire(lock);
        is_served = !call->waiter.is_queued;
        weft_waiters_leave(waiters, &call->waiter);
        release(lock);
    }
    if (is_served)
        weft_handover_settle(&call->handover);
    *ret_is_served = is_served;
    return rc;
}

/* ---- mutex ----------------------------------------------------------------------------------- */

/* Who locks: the coroutine, or for a plain thread an address that no other thread has. */
static const void *owner_self(const struct weft_task *self)
{
    static _Thread_local char plain_thread;
    return self ? (const void *)self : &plain_thread;
}

/* Under its lock, which it gives back: gives the mutex to the next. */
static void mutex_pass_on(struct mutex_state *m)
{
    struct call *next = serve_first(&m->waiters);
    m->owner = next ? next->waiter.task : NULL;
    release(&m->lock);
    wake(next);
}

static int mutex_lock(struct mutex_state *m, struct weft_task *self, struct call *call,
                      int64_t deadline_ns)
{
    const void *me = owner_self(self);
    int rc = 0;
    acquire(&m->lock);
    bool must_wait = false;
    if (!m->owner)
        m->owner = me;
    else if (m->owner == me)
        rc = -EDEADLK;
    else if (deadline_ns == 0)
        rc = -ETIMEDOUT;
    else
        must_wait = true;
    if (must_wait)
        join(&m->waiters, call, self);
    release(&m->lock);
    if (!must_wait)
        return rc;

    bool is_mine;
    rc = wait(&m->lock, &m->waiters, call, "mutex", deadline_ns, &is_mine);
    if (!is_mine)
        return rc;
    if (rc != -ECANCELED)
        return 0;
    acquire(&m->lock);
    mutex_pass_on(m);
    return rc;
}

int weft_mutex_lock(struct weft_mutex *mutex, int64_t deadline_ns)
{
    struct weft_task *self = weft_self();
    int rc = weft_wait_check(self, deadline_ns);
    if (rc < 0)
        return rc;
    struct call local, *call = weft_lend(self, &local, sizeof local);
    if (!call)
        return -ENOMEM;
    rc = mutex_lock((struct mutex_state *)mutex, self, call, deadline_ns);
    weft_lend_end(call, &local);
    return rc;
}

/* Locks although cancelled. */
static void mutex_lock_deaf(struct mutex_state *m, struct weft_task *self, struct call *call)
{
    acquire(&m->lock);
    bool must_wait = m->owner;
    if (must_wait)
        join(&m->waiters, call, self);
    else
        m->owner = self;
    release(&m->lock);
    if (!must_wait)
        return;
    weft_wait_deaf(self, "mutex", &call->handover.is_done);
    weft_handover_settle(&call->handover);
}

void weft_mutex_unlock(struct weft_mutex *mutex)
{
    struct mutex_state *m = (struct mutex_state *)mutex;
    const void *me = owner_self(weft_self());
    acquire(&m->lock);
    WEFT_REQUIRE(m->owner == me, "weft_mutex_unlock: the caller has not locked it");
    mutex_pass_on(m);
}

/* ---- condition ------------------------------------------------------------------------------- */

static int cond_wait(struct weft_cond *cond, struct weft_mutex *mutex, struct weft_task *self,
                     struct call *call, int64_t deadline_ns)
{
    struct cond_state *c = (struct cond_state *)cond;
    acquire(&c->lock);
    join(&c->waiters, call, self);
    release(&c->lock);
    weft_mutex_unlock(mutex);

    bool is_signalled;
    int rc = wait(&c->lock, &c->waiters, call, "condition", deadline_ns, &is_signalled);
    if (is_signalled && rc == -ECANCELED)
        weft_cond_signal(cond);
    else if (is_signalled)
        rc = 0;
    mutex_lock_deaf((struct mutex_state *)mutex, self, call);
    return rc;
}

int weft_cond_wait(struct weft_cond *cond, struct weft_mutex *mutex, int64_t deadline_ns)
{
    struct mutex_state *m = (struct mutex_state *)mutex;
    struct weft_task *self = weft_self();
    int rc = weft_wait_check(self, WEFT_NEVER);
    if (rc < 0)
        return rc;
    acquire(&m->lock);
    const void *owner = m->owner;
    release(&m->lock);
    WEFT_REQUIRE(owner == self, "weft_cond_wait: the caller has not locked the mutex");
    if (deadline_ns == 0)
        return -ETIMEDOUT;
    struct call local, *call = weft_lend(self, &local, sizeof local);
    if (!call)
        return -ENOMEM;
    rc = cond_wait(cond, mutex, self, call, deadline_ns);
    weft_lend_end(call, &local);
    return rc;
}

void weft_cond_signal(struct weft_cond *cond)
{
    struct cond_state *c = (struct cond_state *)cond;
    acquire(&c->lock);
    struct call *call = serve_first(&c->waiters);
    release(&c->lock);
    wake(call);
}

void weft_cond_broadcast(struct weft_cond *cond)
{
    struct cond_state *c = (struct cond_state *)cond;
    acquire(&c->lock);
    struct weft_waiter *woken = serve_all(&c->waiters, 0);
    release(&c->lock);
    wake_all(woken);
}

/* ---- semaphore ------------------------------------------------------------------------------- */

void weft_semaphore_init(struct weft_semaphore *semaphore, unsigned permits)
{
    struct semaphore_state *s = (struct semaphore_state *)semaphore;
    *s = (struct semaphore_state){ .permits = permits };
}

static int semaphore_acquire(struct semaphore_state *s, struct weft_task *self, struct call *call,
                             int64_t deadline_ns)
{
    acquire(&s->lock);
    bool has_permit = s->permits > 0;
    if (has_permit)
        s->permits--;
    else if (deadline_ns != 0)
        join(&s->waiters, call, self);
    release(&s->lock);
    if (has_permit)
        return 0;
    if (deadline_ns == 0)
        return -ETIMEDOUT;

    int rc = wait(&s->lock, &s->waiters, call, "semaphore", deadline_ns, &has_permit);
    if (!has_permit)
        return rc;
    if (rc != -ECANCELED)
        return 0;
    weft_semaphore_release((struct weft_semaphore *)s);
    return rc;
}

int weft_semaphore_acquire(struct weft_semaphore *semaphore, int64_t deadline_ns)
{
    struct weft_task *self = weft_self();
    int rc = weft_wait_check(self, deadline_ns);
    if (rc < 0)
        return rc;
    struct call local, *call = weft_lend(self, &local, sizeof local);
    if (!call)
        return -ENOMEM;
    rc = semaphore_acquire((struct semaphore_state *)semaphore, self, call, deadline_ns);
    weft_lend_end(call, &local);
    return rc;
}

void weft_semaphore_release(struct weft_semaphore *semaphore)
{
    struct semaphore_state *s = (struct semaphore_state *)semaphore;
    acquire(&s->lock);
    struct call *call = serve_first(&s->waiters);
    if (!call)
        s->permits++;
    release(&s->lock);
    wake(call);
}

/* ---- completion ------------------------------------------------------------------------------ */

int weft_completion_set(struct weft_completion *completion, int rc)
{
    struct completion_state *c = (struct completion_state *)completion;
    acquire(&c->lock);
    bool was_set = c->is_set;
    struct weft_waiter *woken = NULL;
    if (!was_set) {
        c->is_set = true;
        c->rc = rc;
        woken = serve_all(&c->waiters, rc);
    }
    release(&c->lock);
    wake_all(woken);
    return was_set ? -EALREADY : 0;
}

static int completion_wait(struct completion_state *c, struct weft_task *self, struct call *call,
                           int64_t deadline_ns)
{
    acquire(&c->lock);
    bool is_set = c->is_set;
    int rc = is_set ? c->rc : -ETIMEDOUT;
    if (!is_set && deadline_ns != 0)
        join(&c->waiters, call, self);
    release(&c->lock);
    if (is_set || deadline_ns == 0)
        return rc;

    rc = wait(&c->lock, &c->waiters, call, "completion", deadline_ns, &is_set);
    return is_set && rc != -ECANCELED ? call->rc : rc;
}

int weft_completion_wait(struct weft_completion *completion, int64_t deadline_ns)
{
    struct weft_task *self = weft_self();
    int rc = weft_wait_check(self, deadline_ns);
    if (rc < 0)
        return rc;
    struct call local, *call = weft_lend(self, &local, sizeof local);
    if (!call)
        return -ENOMEM;
    rc = completion_wait((struct completion_state *)completion, self, call, deadline_ns);
    weft_lend_end(call, &local);
    return rc;
}
