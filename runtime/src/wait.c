/* SPDX-License-Identifier: MIT
 *
 * Parking and waking.
 *
 * Every wait is a loop around a park that may return without cause: cancelled? done? too late?
 * Whoever changes one of the answers wakes the coroutine afterwards. So the three causes need not
 * know of each other, and cancelling is seen first whatever else has happened.
 */
#include <errno.h>
#include <stdlib.h>

#include "die.h"
#include "trace.h"
#include "tree.h"
#include "turn.h"

static void park(struct weft_task *self);
static void on_deadline(struct weft_timer *timer);

int weft_wait_check(const struct weft_task *self, int64_t deadline_ns)
{
    if (!self)
        return deadline_ns == 0 ? 0 : -EPERM;
    return weft_task_is_cancelled(self) ? -ECANCELED : 0;
}

static inline __attribute__((always_inline)) int wait_until(struct weft_task *self,
                                                            const char *what,
                                                            const atomic_bool *is_done,
                                                            int64_t deadline_ns, bool is_deaf)
{
    bool has_timer = deadline_ns != WEFT_NEVER;
    if (has_timer) {
        self->timer = (struct weft_timer){ .fire = on_deadline };
        atomic_store_explicit(&self->has_timed_out, false, memory_order_relaxed);
        weft_timer_set(&self->timer, deadline_ns);
    }
    atomic_store_explicit(&self->waits_for, what, memory_order_relaxed);
    int rc = 1;
    while (rc > 0) {
        if (!is_deaf && weft_task_is_cancelled(self))
            rc = -ECANCELED;
        else if (*is_done)
            rc = 0;
        else if (has_timer && self->has_timed_out)
            rc = -ETIMEDOUT;
        else
            park(self);
    }
    atomic_store_explicit(&self->waits_for, NULL, memory_order_relaxed);
    if (has_timer)
        weft_timer_cancel(&self->timer);
    return rc;
}

int weft_wait(struct weft_task *self, const char *what, const atomic_bool *is_done,
              int64_t deadline_ns)
{
    return wait_until(self, what, is_done, deadline_ns, false);
}

int weft_wait_deaf_until(struct weft_task *self, const char *what, const atomic_bool *is_done,
                         int64_t deadline_ns)
{
    return wait_until(self, what, is_done, deadline_ns, true);
}

void weft_wait_deaf(struct weft_task *self, const char *what, const atomic_bool *is_done)
{
    atomic_store_explicit(&self->waits_for, what, memory_order_relaxed);
    while (!*is_done)
        park(self);
    atomic_store_explicit(&self->waits_for, NULL, memory_order_relaxed);
}

static void on_deadline(struct weft_timer *timer)
{
    struct weft_task *task = berth_container_of(timer, struct weft_task, timer);
    task->has_timed_out = true;
    if (task->is_compact) { /* it will be the turn of this one after those that are due with it */
        weft_compact_prefetch(&task->compact);
        __builtin_prefetch(task->node.prev, 1); /* mostly it wakes only to end */
        __builtin_prefetch(task->node.next, 1);
    }
    weft_wake(task);
}

/* What whoever left it had written is seen afterwards, by the lock. Nobody else takes it away. */
static bool take_token(struct weft_task *self)
{
    if (weft_get(&self->park.state) != WEFT_PARK_TOKEN)
        return false;
    struct weft_bias_holder *holder = weft_holder(weft_thread_self());
    weft_bias_acquire(&self->park, holder, WEFT_BIAS_PARK);
    weft_put(&self->park.state, WEFT_PARK_RUNS);
    weft_bias_release(&self->park, holder, WEFT_BIAS_PARK);
    return true;
}

/* Returns at the next wake, or at once if one came since the last park. The step from running to
 * parked is made by whoever gets the thread back, when this stack is really left (turn.h). */
static void park(struct weft_task *self)
{
    if (take_token(self))
        return;
    struct weft_thread *thread = weft_thread_self();
    thread =
        self->is_in_call ? weft_usual_park_in_call(thread, self) : weft_usual_park(thread, self);
    if (!thread)
        weft_task_leave(self, WEFT_AFTER_PARK);
}

bool weft_wake_claim(struct weft_task *task)
{
    struct weft_bias_holder *holder = weft_holder(weft_thread_self());
    weft_bias_acquire(&task->park, holder, WEFT_BIAS_PARK);
    bool is_parked = weft_get(&task->park.state) == WEFT_PARK_PARKED;
    weft_put(&task->park.state, is_parked ? WEFT_PARK_RUNS : WEFT_PARK_TOKEN);
    weft_bias_release(&task->park, holder, WEFT_BIAS_PARK);
    return is_parked;
}

__attribute__((noinline)) bool weft_wake_claim_parked(struct weft_task *task)
{
    struct weft_bias_holder *holder = weft_holder(weft_thread_self());
    weft_bias_acquire(&task->park, holder, WEFT_BIAS_PARK);
    bool is_parked = weft_get(&task->park.state) == WEFT_PARK_PARKED;
    if (is_parked)
        weft_put(&task->park.state, WEFT_PARK_RUNS);
    weft_bias_release(&task->park, holder, WEFT_BIAS_PARK);
    return is_parked;
}

void weft_wake_go(struct weft_task *task)
{
    weft_trace_wake(task);
    weft_task_dispatch(task);
}

void weft_wake(struct weft_task *task)
{
    if (weft_wake_claim(task))
        weft_wake_go(task);
}

int weft_waiter_reserve_slow(struct weft_task *self)
{
    struct weft_waiter *box = malloc(sizeof *box);
    if (!box)
        return -ENOMEM;
    *box = (struct weft_waiter){ .task = self };
    self->box = box; /* in the place of its argument, which it has been given by now */
    self->has_box = true;
    return 0;
}

void weft_waiters_join(struct weft_waiters *waiters, struct weft_task *task)
{
    struct weft_waiter *waiter = weft_task_waiter(task);
    task->is_done = false;
    *waiter = (struct weft_waiter){ .task = task, .is_done = &task->is_done };
    weft_waiters_push(waiters, waiter);
}

void weft_waiters_join_first(struct weft_waiters *waiters, struct weft_task *task)
{
    struct weft_waiters others = *waiters;
    *waiters = (struct weft_waiters){ .first = NULL };
    weft_waiters_join(waiters, task);
    waiters->first->next = others.first;
    if (others.first) {
        others.first->prev = waiters->first;
        waiters->last = others.last;
    }
}

void weft_waiters_push(struct weft_waiters *waiters, struct weft_waiter *waiter)
{
    waiter->next = NULL;
    waiter->prev = waiters->last;
    if (waiters->last)
        waiters->last->next = waiter;
    else
        waiters->first = waiter;
    waiters->last = waiter;
    waiter->is_queued = true;
}

void weft_waiters_leave(struct weft_waiters *waiters, struct weft_waiter *waiter)
{
    if (!waiter->is_queued)
        return;
    if (waiter->prev)
        waiter->prev->next = waiter->next;
    else
        waiters->first = waiter->next;
    if (waiter->next)
        waiter->next->prev = waiter->prev;
    else
        waiters->last = waiter->prev;
    waiter->is_queued = false;
}

void weft_waiters_wake(struct weft_waiters *waiters, struct weft_waiter *waiter)
{
    weft_waiters_leave(waiters, waiter);
    *waiter->is_done = true;
    weft_wake(waiter->task);
}

/* A sleep in three pieces, for a compact coroutine: nothing lives over the switch, so its frame is
 * the least there can be. begin, look: 1: park, and look again; else the result. */
static __attribute__((noinline)) int nap_begin(struct weft_task *self, int64_t deadline_ns)
{
    self->timer = (struct weft_timer){ .fire = on_deadline };
    weft_put(&self->has_timed_out, false);
    weft_timer_set(&self->timer, deadline_ns);
    weft_put(&self->waits_for, "sleep");
    return 1;
}

static __attribute__((noinline)) int nap_look(struct weft_task *self)
{
    (void)take_token(self);
    bool is_cancelled = weft_task_is_cancelled(self);
    if (!is_cancelled && !self->has_timed_out)
        return 1;
    weft_put(&self->waits_for, NULL);
    weft_timer_cancel(&self->timer);
    return is_cancelled ? -ECANCELED : 0;
}

static int nap(struct weft_task *self, int64_t deadline_ns)
{
    int rc = nap_begin(self, deadline_ns);
    while (rc > 0) {
        struct weft_thread *thread = weft_thread_self();
        struct weft_fiber *to = weft_compact_leave(thread, WEFT_AFTER_PARK);
        thread = weft_fiber_switch_with(&self->compact.fiber, to, thread);
        self = weft_compact_back(thread); /* rather than kept */
        rc = nap_look(self);
    }
    return rc;
}

int weft_sleep_until(int64_t deadline_ns)
{
    struct weft_task *self = weft_self();
    int rc = weft_wait_check(self, deadline_ns);
    if (rc < 0 || deadline_ns <= weft_now_ns())
        return rc;
    if (self->is_compact)
        return nap(self, deadline_ns);
    weft_put(&self->is_done, false);
    rc = weft_wait(self, "sleep", &self->is_done, deadline_ns);
    return rc == -ETIMEDOUT ? 0 : rc;
}

int weft_sleep_ms(int64_t ms)
{
    return weft_sleep_until(weft_deadline_ms(ms));
}
