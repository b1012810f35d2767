/* SPDX-License-Identifier: MIT
 *
 * The parts of which a turn is made, for turn.c and ending.c. What stands in line is on the usual
 * way of one of them.
 */
#pragma once

#include "fence.h"
#include "seat.h"
#include "stack.h"
#include "trace.h"
#include "tree.h"

/* All that ever runs on a stack: one coroutine after the other. And the first frame of a compact
 * coroutine, on its region. */
void weft_turn_run_stack(void);
void weft_turn_run_region(void);

/* Whom a thread runs when a coroutine has left: the one that called it, or whoever is next; or NULL
 * if the thread's own stack must decide. */
struct weft_task *weft_turn_next(struct weft_thread *thread, struct weft_task *outer);

/* A compact one has ended, and its frames are gone. */
void weft_turn_end_compact(struct weft_thread *thread, struct weft_task *left);

/* Of a stack without a guard, which was left at `sp`: ends the program if it was too small. */
void weft_turn_check_overflow(const struct weft_task *task, const void *sp);

static inline struct weft_task *weft_turn_task(struct weft_turn *turn)
{
    return berth_container_of(turn, struct weft_task, turn);
}

static inline struct weft_fiber *weft_task_fiber(struct weft_task *task)
{
    return task->is_compact ? &task->compact.fiber : &task->stack->fiber;
}

/* It has a stack of its own from now on. */
static inline void weft_turn_give_stack(struct weft_task *task, struct weft_stack *stack)
{
    task->stack = stack;
    task->is_unguarded = !stack->is_guarded;
    task->turn.run = weft_task_turn_again;
}

/* weft_task_claim(), in line. */
static inline enum weft_claim weft_turn_claim(struct weft_task *task)
{
    if (weft_get(&task->has_begun))
        return WEFT_CLAIM_GOES_ON;
    weft_task_begins(task);
    atomic_store_explicit(&task->has_begun, true, memory_order_release);
    weft_fence_light();
    uint8_t open = WEFT_FATE_OPEN;
    bool is_free = !weft_get(&task->is_cancelled) || task->start == WEFT_START_ATOMIC ||
                   atomic_compare_exchange_strong(&task->fate, &open, WEFT_FATE_RUNS);
    return is_free ? WEFT_CLAIM_FIRST : WEFT_CLAIM_DROPPED;
}

/* The thread runs this one from now on, or none. */
static inline void weft_turn_begin(struct weft_thread *thread, struct weft_task *task)
{
    thread->current = task;
    if (task) {
        atomic_store_explicit(&task->is_on_thread, true, memory_order_relaxed);
        weft_trace_turn_begin(task, thread->left);
        *thread->errno_at = task->saved_errno;
    }
}

/* All but the switch itself: where to switch to. */
static inline struct weft_fiber *weft_turn_leave(struct weft_thread *thread, struct weft_task *self,
                                                 struct weft_task *next)
{
    self->saved_errno = *thread->errno_at;
    atomic_store_explicit(&self->is_on_thread, false, memory_order_relaxed);
    if (!next) /* else with the beginning of the next one's */
        weft_trace_turn_end(self);
    thread->left = self;
    weft_turn_begin(thread, next);
    return next ? weft_task_fiber(next) : &thread->fiber;
}

/* Whether the next to run on the thread's own stack is a compact child of `scope`, which keeps that
 * open, so that it need not be told of those that have ended. */
static inline bool weft_turn_is_sibling_pending(const struct weft_thread *thread,
                                                const struct weft_scope_state *scope)
{
    struct weft_turn *turn = thread->pending;
    if (!turn || turn->run != weft_task_turn)
        return false;
    const struct weft_task *next = weft_turn_task(turn);
    return next->is_compact && next->scope == scope;
}
