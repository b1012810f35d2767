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
 * 2. From give until the coroutine is claimed for the wake the giver holds `hold`; the call does
 * not return before that is over. So neither the call's memory nor its coroutine is gone when the
 *    giver touches it, and the wake needs no lock.
 */
#pragma once

#include <stdlib.h>

#include "lock.h"
#include "tree.h"

/* For tests: no coroutine lends its locals, so parked calls lie on the heap, as they must where a
 * stack is elsewhere while its coroutine is parked. */
extern bool weft_handover_boxes_all;

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

static inline void weft_handover_give(struct weft_handover *handover)
{
    atomic_store_explicit(&handover->hold.is_taken, 1, memory_order_relaxed);
    /* Enough, for a wake follows, and that and its taking are read-modify-writes of one word. */
    atomic_store_explicit(&handover->is_done, true, memory_order_release);
}

static inline void weft_handover_wake(struct weft_handover *handover)
{
    struct weft_task *task = handover->task;
    bool is_parked = weft_wake_claim(task);
    weft_lock_release(&handover->hold); /* before it can run: it never finds it taken */
    if (is_parked)
        weft_wake_go(task);
}

/* Until the giver has let go. Once something was given. */
static inline void weft_handover_settle(struct weft_handover *handover)
{
    if (atomic_load_explicit(&handover->hold.is_taken, memory_order_acquire) != 0)
        weft_lock_wait(&handover->hold);
}
