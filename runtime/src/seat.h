/* SPDX-License-Identifier: MIT
 *
 * A seat: the right to run one turn at a time for a pool, with the queue that goes with it. A pool
 * has as many as its limit; a thread runs turns of the pool only while it sits on one.
 *
 * The thread on the seat comes in by plain stores (weft_seat_enter); anybody else, a thief, the
 * service thread, or who closes the pool, pays for both sides (weft_seat_intrude, some
 * microseconds). Nobody stays inside for more than a few instructions, and calls nothing from
 * there; but who yields switches stacks.
 *
 * Turns that may run anywhere stand in `queue`, and can be stolen. Of very many the last are
 * `surplus`, and go to the pool by the batch. Those that must run here (turn->seat) stand in
 * `bound`. What others bring for this seat comes by the inbox.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "compact.h"
#include "fence.h"
#include "lock.h"
#include "poller.h"
#include "pool.h"
#include "timer.h"

struct weft_seat {
    /* The owner's. */
    _Alignas(64) struct weft_turns queue;
    struct weft_turns bound;
    atomic_uint queued;     /* in `queue` and `surplus`; others may look */
    atomic_uint queued_max; /* while there are as many, further ones are surplus; the pool has
                             * no other seat: never */
    /* The dispatcher, the pool's, whose coroutines a yield may put to the tail of `queue`. NULL: it
     * takes more than that, because others wait in batches and come first, or because fences are
     * not unequal. */
    struct weft_dispatcher *_Atomic rotates;
    struct weft_turns surplus; /* comes after `queue`, and after the batches published before */
    unsigned surplus_after;    /* how many the pool had published when the surplus began */
    atomic_uint surplus_count; /* others may not, but it is asked for from outside, too */
    bool bound_was_last;
    uint8_t fetched;    /* the first in `bound` whose stacks were sent for */
    atomic_uint turns;  /* begun so far, and who sat down; others may look */
    atomic_uint wanted; /* somebody else wants to come in */

    /* Everybody's. */
    _Alignas(64) _Atomic(struct weft_turn *) inbox;
    _Atomic(struct weft_thread *) thread;  /* who sits here; NULL: vacant */
    _Atomic(struct weft_thread *) watcher; /* who sleeps here, while it is vacant */
    struct weft_lock guard;                /* one intruder at a time */
    struct weft_pool *pool;
    struct weft_poller poller; /* in which the watcher sleeps */
    struct weft_clock clock;
    _Atomic(int64_t) sleeps_until_ns; /* the watcher does; 0: it is awake */
    struct weft_blocks blocks;        /* the owner's: for the compact coroutines */
    struct weft_region region; /* on which those run; without a stack until the first comes */
    atomic_bool is_roused;     /* whoever comes is the one that looks for work */
    atomic_bool is_handed;     /* was wrested from a thread that got stuck, with its work */
    struct {
        const struct weft_thread *thread;
        unsigned turns;
        int64_t cpu_ns, at_ns;
    } seen; /* by the monitor, which alone uses it */
};

/* `queued_max`: see above; UINT_MAX if the pool has no other seat. 0 or -errno. */
int weft_seat_init(struct weft_seat *seat, struct weft_pool *pool, unsigned queued_max);
void weft_seat_fini(struct weft_seat *seat);

void weft_seat_enter_slow(struct weft_thread *thread, struct weft_seat *seat);

/* Comes in. False: the thread does not sit there (any more), and is not inside. */
static inline bool weft_seat_enter(struct weft_thread *thread, struct weft_seat *seat)
{
    if (__builtin_expect(weft_fence_is_unequal, 1)) {
        atomic_store_explicit(&thread->is_inside, 1, memory_order_relaxed);
        atomic_signal_fence(memory_order_seq_cst); /* the light fence, where they are unequal */
        if (__builtin_expect(atomic_load_explicit(&seat->wanted, memory_order_acquire) != 0, 0))
            weft_seat_enter_slow(thread, seat);
    } else {
        weft_lock_acquire(&seat->guard);
    }
    if (__builtin_expect(atomic_load_explicit(&thread->seat, memory_order_relaxed) == seat, 1))
        return true;
    if (__builtin_expect(weft_fence_is_unequal, 1))
        atomic_store_explicit(&thread->is_inside, 0, memory_order_release);
    else
        weft_lock_release(&seat->guard);
    return false;
}

static inline void weft_seat_leave(struct weft_thread *thread, struct weft_seat *seat)
{
    if (__builtin_expect(weft_fence_is_unequal, 1))
        atomic_store_explicit(&thread->is_inside, 0, memory_order_release);
    else
        weft_lock_release(&seat->guard);
}

/* The same for anybody else. */
void weft_seat_intrude(struct weft_seat *seat);
void weft_seat_retreat(struct weft_seat *seat);

/* Sits down if the seat is vacant; stands up. Only the thread itself. vacate: false: it has lost
 * its seat already. */
bool weft_seat_take(struct weft_thread *thread, struct weft_seat *seat);
bool weft_seat_vacate(struct weft_thread *thread);

/* Makes the thread that sits there lose its seat, which is vacant then. It may be anywhere in its
 * turn, or between two, and finds out when it looks. Any other thread. False: it does not sit there
 * any more, or has moved since it was at `turns`, or a compact coroutine is on the seat's region.
 */
bool weft_seat_wrest(struct weft_seat *seat, struct weft_thread *thread, unsigned turns);

/* The pool has just been closed: whoever sits there loses the seat, so that he ends his turn and
 * takes no other (but for one that it is just taking). The pool has no compact coroutines. Any
 * other thread. */
void weft_seat_halt(struct weft_seat *seat);

/* Whether the thread is to end its turn, and no more: it has lost its seat, or the pool is being
 * closed. The thread itself. */
static inline bool weft_pool_must_leave(const struct weft_thread *thread)
{
    const struct weft_seat *sat = thread->sat;
    return atomic_load_explicit(&thread->seat, memory_order_relaxed) != sat ||
           (sat && atomic_load_explicit(&sat->pool->is_closed, memory_order_relaxed));
}

static inline bool weft_seat_is_of(const struct weft_seat *seat, const struct weft_pool *pool)
{
    return seat->pool == pool;
}

static inline void weft_seat_count_add(struct weft_seat *seat, unsigned by)
{
    unsigned count = atomic_load_explicit(&seat->queued, memory_order_relaxed);
    atomic_store_explicit(&seat->queued, count + by, memory_order_relaxed);
}

/* One more turn begins. Inside, or who has just sat down. */
static inline void weft_seat_count_turn(struct weft_seat *seat)
{
    unsigned turns = atomic_load_explicit(&seat->turns, memory_order_relaxed);
    atomic_store_explicit(&seat->turns, turns + 1, memory_order_relaxed);
}

/* Inside. */
static inline void weft_seat_put(struct weft_seat *seat, struct weft_turn *turn)
{
    if (turn->seat) {
        weft_turns_push(&seat->bound, turn);
    } else {
        weft_turns_push(&seat->queue, turn);
        weft_seat_count_add(seat, 1);
    }
}

/* Puts a turn that may run anywhere behind all others, when there are many: whole batches of them
 * go to the pool, where other seats can have them without disturbing this one. The thread that sits
 * there. False: it does not. */
bool weft_seat_push_surplus(struct weft_thread *thread, struct weft_seat *seat,
                            struct weft_turn *turn);

/* Puts a turn into its queue: the thread that sits there. False: it does not. */
static inline bool weft_seat_push(struct weft_thread *thread, struct weft_seat *seat,
                                  struct weft_turn *turn)
{
    unsigned queued = atomic_load_explicit(&seat->queued, memory_order_relaxed);
    bool is_surplus =
        queued >= atomic_load_explicit(&seat->queued_max, memory_order_relaxed) && !turn->seat;
    if (__builtin_expect(is_surplus, 0))
        return weft_seat_push_surplus(thread, seat, turn);
    if (!weft_seat_enter(thread, seat))
        return false;
    weft_seat_put(seat, turn);
    weft_seat_leave(thread, seat);
    return true;
}

/* Puts the surplus behind the queue, if all batches that were there before it have been taken; and
 * if no batch is left, who comes next stands in the queue again. Inside; the same by the thread
 * that sits there. */
void weft_seat_append_surplus(struct weft_seat *seat);
void weft_seat_take_surplus(struct weft_thread *thread, struct weft_seat *seat);

/* Puts a batch of the pool's behind the queue. The same. False: it does not sit there. */
bool weft_seat_push_batch(struct weft_thread *thread, struct weft_seat *seat,
                          const struct weft_turns *batch, unsigned count);

/* Brings what the next bound turns will need into the cache, while the present one runs. Inside,
 * when a bound one was taken and there are more. */
void weft_seat_fetch(struct weft_seat *seat);

/* Inside: takes the first that may run anywhere. There is one, and none is bound. */
static inline void weft_seat_take_first(struct weft_seat *seat)
{
    seat->queue.first = seat->queue.first->next;
    seat->bound_was_last = false;
    weft_seat_count_add(seat, -1U);
    weft_seat_count_turn(seat);
    weft_turns_prefetch(&seat->queue);
}

/* The next turn in order, bound ones and others by turns; NULL: none. The thread that sits there.
 */
static inline struct weft_turn *weft_seat_pop(struct weft_thread *thread, struct weft_seat *seat)
{
    if (!weft_seat_enter(thread, seat))
        return NULL;
    if (__builtin_expect(!seat->queue.first && seat->surplus.first, 0))
        weft_seat_append_surplus(seat);
    bool takes_bound = seat->bound.first && (!seat->bound_was_last || !seat->queue.first);
    struct weft_turn *turn = weft_turns_pop(takes_bound ? &seat->bound : &seat->queue);
    seat->bound_was_last = takes_bound;
    if (turn && !takes_bound)
        weft_seat_count_add(seat, -1U);
    if (turn)
        weft_seat_count_turn(seat);
    weft_turns_prefetch(&seat->queue);
    if (takes_bound && seat->bound.first)
        weft_seat_fetch(seat);
    weft_seat_leave(thread, seat);
    return turn;
}

/* Makes one more thread look for work in the pool, unless one does or there is no seat for it. */
void weft_pool_wake(struct weft_pool *pool);

/* The usual case of a dispatch to a pool, by a thread that sits there. False: it is another. */
static inline bool weft_pool_push(struct weft_thread *thread, const struct weft_dispatcher *d,
                                  struct weft_turn *turn)
{
    struct weft_seat *seat =
        thread ? atomic_load_explicit(&thread->seat, memory_order_relaxed) : NULL;
    const struct weft_seat *bound = turn->seat;
    if (!seat || &seat->pool->base != d || (bound && bound != seat) ||
        !weft_seat_push(thread, seat, turn))
        return false;
    if (bound)
        return true; /* nobody else could take it */
    struct weft_pool *pool = seat->pool;
    if (atomic_load_explicit(&pool->vacant, memory_order_relaxed) > 0 &&
        atomic_load_explicit(&pool->spinning, memory_order_relaxed) == 0 &&
        (thread->current || atomic_load_explicit(&seat->queued, memory_order_relaxed) > 1))
        weft_pool_wake(pool); /* else this thread comes to it at once */
    return true;
}

/* Leaves a turn for the seat. Any thread. Whoever sits there finds it when it looks; a watcher must
 * be woken: true if the seat is vacant. */
bool weft_seat_post(struct weft_seat *seat, struct weft_turn *turn);

/* Takes what was posted into the queues. The thread that sits there. */
void weft_seat_collect(struct weft_thread *thread, struct weft_seat *seat);

/* Takes up to half of what may run anywhere, `count_max` at the most; a single one only if
 * `takes_single`. The turns, in order, and how many. Any thread that does not sit there. */
struct weft_turn *weft_seat_steal(struct weft_seat *seat, unsigned count_max, bool takes_single,
                                  unsigned *ret_count);

/* Takes out what is left: queue, surplus, bound, inbox in order. Nobody sits there, or posts. */
void weft_seat_empty(struct weft_seat *seat, struct weft_turns ret_queues[static 4]);

/* What others still have in its clock and poller goes to the service thread. Nobody sits there any
 * more; the words of the seat stay for those who look at them late. */
void weft_seat_close(struct weft_seat *seat);

bool weft_seat_has_work(const struct weft_seat *seat);

/* Whether its timers or descriptors will need somebody, some day. */
static inline bool weft_seat_is_waited_for(const struct weft_seat *seat)
{
    return seat->clock.next_ns != INT64_MAX || weft_poller_is_waited_for(&seat->poller);
}
