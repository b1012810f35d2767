/* SPDX-License-Identifier: MIT
 *
 * Handing something to a parked call: what both ends of a queue of waiters agree on, so that each
 * takes the lock of the object only once.
 *
 *     giver                                       the parked call
 *     under the object's lock:                    weft_wait(..., &handover.is_done, ...)
 *         unlinks it, writes what it gets         0: weft_handover_settle(), and reads what it got,
 *         weft_handover_give()                       without the lock
 *     weft_handover_wake()                        else, under the lock: unlinks itself; if it is
 *                                                    unlinked already: settles and gives back
 *
 * Invariants
 * 1. A call is given something once at the most, by the one who unlinked it.
 * 2. Neither the call's memory nor its coroutine is gone before it has been woken, so the wake
 *    needs no lock. Usually the coroutine is down: then give claims it, and nobody else lets it go
 *    on. If it is not (it is on its way still, or something else has woken it), the giver holds
 *    `hold` from give until the wake has left its token, and the call does not return before.
 */
#pragma once

#include <stdlib.h>

#include "lock.h"
#include "trace.h"
#include "tree.h"
#include "turn.h"

/* For tests: no coroutine lends its locals, so parked calls lie on the heap, as they must where a
 * stack is elsewhere while its coroutine is parked. */
extern bool weft_handover_boxes_all WEFT_INTERNAL;

/* Whether others may write into locals of the calling coroutine (NULL: plain thread) while it is
 * parked. */
static inline bool weft_lends_locals(const struct weft_task *self)
{
    return !self || !(weft_handover_boxes_all || self->is_compact);
}

/* Where a parked call may lie: `local`, or on the heap if that cannot be lent; NULL: no memory.
 * Afterwards weft_lend_end(). */
static inline void *weft_lend(const struct weft_task *self, void *local, size_t bytes)
{
    return weft_lends_locals(self) ? local : malloc(bytes);
}

static inline void weft_lend_end(void *lent, const void *local)
{
    if (lent != local)
        free(lent);
}

/* Part of a parked call. */
struct weft_handover {
    struct weft_task *task;
    atomic_bool is_done;
    struct weft_lock hold;
};

/* A coroutine that is down is the caller's until it is woken; else false, and nothing is changed.
 */
static inline __attribute__((always_inline)) bool
weft_handover_claim(struct weft_task *task, struct weft_bias_holder *holder)
{
    if (__builtin_expect(!weft_bias_enter(&task->park, holder, WEFT_BIAS_PARK), 0))
        return weft_wake_claim_parked(task);
    bool is_down = weft_get(&task->park.state) == WEFT_PARK_PARKED;
    if (is_down)
        weft_put(&task->park.state, WEFT_PARK_RUNS);
    weft_bias_leave(holder, WEFT_BIAS_PARK);
    return is_down;
}

/* Under the object's lock, when what it gets has been written. */
static inline __attribute__((always_inline)) void
weft_handover_give(struct weft_handover *handover, struct weft_bias_holder *holder)
{
    if (__builtin_expect(weft_handover_claim(handover->task, holder), 1)) {
        weft_put(&handover->is_done, true);
        return;
    }
    weft_put(&handover->hold.is_taken, 1);
    /* Enough, for a wake follows, and that and its taking are under one lock. */
    atomic_store_explicit(&handover->is_done, true, memory_order_release);
}

static inline __attribute__((always_inline)) void weft_handover_wake(struct weft_handover *handover,
                                                                     struct weft_thread *thread)
{
    struct weft_task *task = handover->task;
    if (__builtin_expect(weft_get(&handover->hold.is_taken) != 0, 0)) {
        bool is_parked = weft_wake_claim(task);
        weft_lock_release(&handover->hold); /* before it can run: it never finds it taken */
        if (!is_parked)
            return;
    }
    weft_trace_wake(task);
    weft_usual_dispatch(thread, task);
}

/* Whether the giver has let go. Once something was given. */
static inline bool weft_handover_is_settled(const struct weft_handover *handover)
{
    return atomic_load_explicit(&handover->hold.is_taken, memory_order_acquire) == 0;
}

/* Until it has. */
static inline void weft_handover_settle(struct weft_handover *handover)
{
    if (!weft_handover_is_settled(handover))
        weft_lock_wait(&handover->hold);
}
