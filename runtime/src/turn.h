/* SPDX-License-Identifier: MIT
 *
 * The usual way from one coroutine to the next, in line: the one that runs is an ordinary one,
 * called by nobody, on a seat whose next turn is of another such that has begun already; and the
 * thread need not look at timers and descriptors, nor tell a scope. Whatever is not so goes by
 * weft_task_leave() (turn.c), which this has to agree with.
 *
 * In line because a park is a few instructions when nothing is unusual, and each function in
 * between costs as many again; and a return that follows a switch is mispredicted (switch.h).
 */
#pragma once

#include "base/container.h"

#include "intercept.h"
#include "seat.h"
#include "trace.h"
#include "tree.h"
#include "turn_parts.h"

/* On the stack that a thread has just switched to: deals with the one that it came from. The slow
 * way, for all that is not done in line. */
void weft_turn_arrive(struct weft_thread *thread);

/* Its stack has been left to park: it is down, unless it has been woken meanwhile. */
void weft_turn_parked(struct weft_thread *thread, struct weft_task *task);

/* Whoever was left may be running elsewhere as soon as it has been parked, or its seat has been
 * left: it is not touched after that. */
static inline __attribute__((always_inline)) void weft_arrive(struct weft_thread *thread)
{
    struct weft_task *parked = thread->parked;
    if (weft_get(&thread->is_inside)) { /* who was left has yielded: turn.c, rotate() */
        atomic_store_explicit(&thread->is_inside, 0, memory_order_release);
    } else if (__builtin_expect(parked != NULL, 1)) {
        thread->parked = NULL;
        struct weft_bias_holder *holder = thread->holder;
        if (!weft_bias_enter(&parked->park, holder, WEFT_BIAS_PARK)) {
            weft_turn_parked(thread, parked);
        } else if (__builtin_expect(weft_get(&parked->park.state) == WEFT_PARK_RUNS, 1)) {
            weft_put(&parked->park.state, WEFT_PARK_PARKED);
            weft_bias_leave(holder, WEFT_BIAS_PARK);
        } else {
            weft_bias_leave(holder, WEFT_BIAS_PARK);
            weft_turn_parked(thread, parked);
        }
    } else if (thread->left || thread->left_stack) {
        weft_turn_arrive(thread);
    }
}

/* The seat on which the coroutine may leave by the usual way; NULL: it may not. `unusual`: what
 * forbids it by itself; mostly self->unusual, or the part of that which counts. */
static inline struct weft_seat *weft_usual_seat(const struct weft_thread *thread,
                                                const struct weft_task *self, uint32_t unusual)
{
    struct weft_seat *seat = weft_get(&thread->seat);
    if (!seat || thread->budget == 0)
        return NULL;
    /* One test of what is hardly ever so. */
    uintptr_t odd = (uintptr_t)thread->loop | (uintptr_t)thread->unconfined.first |
                    (uintptr_t)self->outer | thread->ended_count | unusual;
    return __builtin_expect(odd == 0, 1) ? seat : NULL;
}

/* Inside the seat: the next turn, still in its queue, if it is one to which a coroutine may switch;
 * else NULL. */
static inline struct weft_task *weft_usual_next(const struct weft_seat *seat)
{
    struct weft_turn *first = seat->queue.first;
    bool is_usual = first && !seat->bound.first && first->run == weft_task_turn_again;
    return is_usual ? berth_container_of(first, struct weft_task, turn) : NULL;
}

static inline void weft_usual_count(struct weft_thread *thread, struct weft_seat *seat)
{
    weft_seat_count_turn(seat);
    thread->budget--;
}

/* Switches, and comes back with its next turn: on which thread. (What is known before is best asked
 * for again afterwards: no register survives.) */
static inline __attribute__((always_inline)) struct weft_thread *
weft_usual_switch(struct weft_thread *thread, struct weft_task *self, struct weft_task *next)
{
    int *errno_at = thread->errno_at;
    self->saved_errno = *errno_at;
    weft_put(&self->is_on_thread, false);
    thread->current = next;
    weft_put(&next->is_on_thread, true);
    weft_trace_turn_begin(next, self);
    *errno_at = next->saved_errno;
    thread = weft_fiber_switch_with(&self->stack->fiber, &next->stack->fiber, thread);
    weft_arrive(thread);
    return thread;
}

/* Parks the calling coroutine, and comes back when it has been woken: on which thread. Or NULL, at
 * once: it is not the usual case. */
static inline __attribute__((always_inline)) struct weft_thread *
weft_usual_park(struct weft_thread *thread, struct weft_task *self)
{
    struct weft_seat *seat = weft_usual_seat(thread, self, self->unusual);
    if (!seat || !weft_seat_enter(thread, seat))
        return NULL;
    struct weft_task *next = weft_usual_next(seat);
    if (__builtin_expect(!next, 0)) {
        weft_seat_leave(thread, seat);
        return NULL;
    }
    seat->queue.first = next->turn.next;
    weft_seat_count_add(seat, -1U);
    weft_usual_count(thread, seat);
    weft_seat_leave(thread, seat);
    __builtin_prefetch(next->turn.next); /* it may be next in no time */
    self->after = WEFT_AFTER_PARK;
    thread->parked = self;
    return weft_usual_switch(thread, self, next);
}

/* Inside the seat: takes the next turn in order, as weft_seat_pop() does, if it is one to which a
 * coroutine may switch; else NULL. */
static inline struct weft_task *weft_usual_take_any(struct weft_seat *seat)
{
    bool takes_bound = seat->bound.first && (!seat->bound_was_last || !seat->queue.first);
    struct weft_turns *queue = takes_bound ? &seat->bound : &seat->queue;
    struct weft_turn *first = queue->first;
    if (!first || first->run != weft_task_turn_again)
        return NULL;
    queue->first = first->next;
    seat->bound_was_last = takes_bound;
    if (!takes_bound)
        weft_seat_count_add(seat, -1U);
    else if (first->next)
        weft_seat_fetch(seat);
    return berth_container_of(first, struct weft_task, turn);
}

/* The same as weft_usual_park() inside a libc call: the coroutine is bound to this seat until it
 * goes on, as mostly all others here are, so the next turn may be a bound one, too. */
static inline __attribute__((always_inline)) struct weft_thread *
weft_usual_park_in_call(struct weft_thread *thread, struct weft_task *self)
{
    uint32_t unusual = self->is_compact | self->has_elements | self->is_unguarded;
    struct weft_seat *seat = weft_usual_seat(thread, self, unusual);
    if (!seat || !weft_seat_enter(thread, seat))
        return NULL;
    struct weft_task *next = weft_usual_take_any(seat);
    if (next)
        weft_usual_count(thread, seat);
    weft_seat_leave(thread, seat);
    if (!next)
        return NULL;
    weft_call_park(self, thread);
    self->after = WEFT_AFTER_PARK;
    thread->parked = self;
    thread = weft_usual_switch(thread, self, next);
    thread->current->turn.seat = NULL;
    return thread;
}

/* Waits as weft_wait() does, without a deadline: in line if it is the usual case, which ends with
 * the first wake. */
static inline __attribute__((always_inline)) int weft_usual_wait(struct weft_thread *thread,
                                                                 struct weft_task *self,
                                                                 const char *what,
                                                                 const atomic_bool *is_done)
{
    weft_put(&self->waits_for, what);
    thread = weft_usual_park(thread, self);
    if (thread)
        self = thread->current;
    weft_put(&self->waits_for, NULL);
    if (__builtin_expect(thread && *is_done && !weft_task_is_cancelled(self), 1))
        return 0;
    return weft_wait(self, what, is_done, WEFT_NEVER);
}

/* Queues a coroutine that goes on, as weft_task_dispatch() does: in line if it is one of the pool
 * for which the thread sits there. (As weft_pool_push(), but that who goes on is no surplus.) */
static inline __attribute__((always_inline)) void weft_usual_dispatch(struct weft_thread *thread,
                                                                      struct weft_task *task)
{
    struct weft_seat *seat = thread ? weft_get(&thread->seat) : NULL;
    if (!seat || &seat->pool->base != weft_get(&task->dispatcher) || task->turn.seat ||
        !weft_seat_enter(thread, seat)) {
        weft_task_dispatch(task);
        return;
    }
    weft_turns_push(&seat->queue, &task->turn);
    weft_seat_count_add(seat, 1);
    weft_seat_leave(thread, seat);
    struct weft_pool *pool = seat->pool;
    if (weft_get(&pool->vacant) > 0 && weft_get(&pool->spinning) == 0 &&
        (thread->current || weft_get(&seat->queued) > 1))
        weft_pool_wake(pool);
}

/* Starts a coroutine in place, on the calling one's thread, as weft_task_turn() does: comes back
 * when the new one has parked or ended. False: it is not the usual case, and nothing was done. */
static inline __attribute__((always_inline)) bool weft_usual_start(struct weft_thread *thread,
                                                                   struct weft_task *task)
{
    struct weft_task *self = thread->current;
    struct weft_stack *stack = thread->stacks.count > 0 ? thread->stacks.warm : NULL;
    if (self->unusual || task->has_elements || weft_trace_is_on() || !stack || !stack->is_made ||
        thread->left_stack || weft_get(&task->is_cancelled) || task->is_compact ||
        task->stack_class != thread->stacks.size_class)
        return false;
    if (weft_turn_claim(task) == WEFT_CLAIM_DROPPED) {
        weft_task_free(task);
        return true;
    }
    weft_turn_give_stack(task, weft_stack_take(&thread->stacks, task->stack_class, NULL));
    task->outer = self;
    self->after = WEFT_AFTER_CALL;
    self->saved_errno = *thread->errno_at;
    weft_put(&self->is_on_thread, false);
    weft_turn_begin(thread, task);
    thread = weft_fiber_switch_with(&self->stack->fiber, &task->stack->fiber, thread);
    stack = thread->left_stack;
    if (__builtin_expect(stack && !thread->left, 1)) { /* it has ended */
        thread->left_stack = NULL;
        weft_stack_give(&thread->stacks, thread->left_stack_class, stack);
        weft_stack_unreserve(&thread->stacks, thread->left_stack_class);
    } else {
        weft_arrive(thread);
    }
    return true;
}
