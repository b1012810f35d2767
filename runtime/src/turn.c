/* SPDX-License-Identifier: MIT
 *
 * How turns of coroutines run: from one stack to the next, and what is left to do for the one whose
 * stack was left.
 */
#include <errno.h>

#include "die.h"
#include "intercept.h"
#include "seat.h"
#include "stack.h"
#include "trace.h"
#include "tree.h"
#include "turn.h"
#include "turn_parts.h"
#include "unconfined.h"
#include "view.h"

/* The region of a seat is the thread's until it has left it: nobody takes the seat from it then. It
 * has moved by that, for whoever was about to. False: it has lost the seat. */
static bool claim_region(struct weft_thread *thread, struct weft_seat *seat)
{
    if (!weft_seat_enter(thread, seat))
        return false;
    weft_put(&thread->runs_compact, true);
    weft_seat_count_turn(seat);
    weft_seat_leave(thread, seat);
    return true;
}

/* Gives a compact coroutine its place on the region of the thread's seat, for life. False: it gets
 * an ordinary stack, because there is no seat, or none for good (it would have to clean up
 * elsewhere, and its frames are where that seat's region is), or no memory for the region. */
static bool begin_compact(struct weft_thread *thread, struct weft_task *task)
{
    struct weft_seat *seat = thread->seat;
    task->is_compact = seat && !seat->pool->is_closable && !thread->is_guest && !thread->current &&
                       claim_region(thread, seat);
    if (!task->is_compact)
        return false;
    if (!seat->region.stack &&
        weft_region_init(&seat->region, &seat->blocks, weft_stack_bytes_default()) < 0) {
        weft_put(&thread->runs_compact, false);
        task->is_compact = false;
        return false;
    }
    weft_stack_unreserve(&thread->stacks, task->stack_class);
    task->stack_class = -1;
    task->turn.seat = seat;
    task->stack = seat->region.stack;
    task->is_unguarded = !task->stack->is_guarded;
    task->compact = (struct weft_compact){ 0 };
    return true;
}

/* Puts its frames on the region. False: another one is pinned there. From the thread's own stack.
 */
static bool enter_region(struct weft_task *task)
{
    struct weft_region *region = &task->turn.seat->region;
    int rc = task->is_on_region ? weft_compact_enter(region, &task->compact)
                                : weft_compact_begin(region, &task->compact, weft_turn_run_region);
    task->is_on_region = task->is_on_region || rc == 0;
    return rc == 0;
}

enum weft_claim weft_task_claim(struct weft_task *task)
{
    return weft_turn_claim(task);
}

/* Makes a task ready to be switched to. The first turn gets its stack only now: a task that waits
 * in a queue has none. False: it was dropped, and is gone. */
static bool begin(struct weft_thread *thread, struct weft_task *task)
{
    switch (weft_turn_claim(task)) {
    case WEFT_CLAIM_GOES_ON: return true;
    case WEFT_CLAIM_DROPPED: weft_task_free(task); return false;
    case WEFT_CLAIM_FIRST: break;
    }
    if (task->is_compact && begin_compact(thread, task))
        return true;
    if (thread->left_stack && thread->left_stack_class == task->stack_class) {
        weft_turn_give_stack(task, thread->left_stack); /* of the one that has ended, still warm */
        thread->left_stack = NULL;
        weft_stack_unreserve(&thread->stacks, task->stack_class);
    } else {
        weft_turn_give_stack(
            task, weft_stack_take(&thread->stacks, task->stack_class, weft_turn_run_stack));
    }
    return true;
}

static inline __attribute__((always_inline)) void
switch_to(struct weft_thread *thread, struct weft_task *self, struct weft_task *next)
{
    struct weft_fiber *to = weft_turn_leave(thread, self, next);
    weft_arrive(weft_fiber_switch_with(weft_task_fiber(self), to, thread));
}

void weft_task_resume(struct weft_thread *thread, struct weft_task *task)
{
    struct weft_task *self = thread->current;
    if (self) {
        if (self->has_elements)
            weft_elements_uninstall(self);
        task->outer = self;
        self->after = WEFT_AFTER_CALL;
        switch_to(thread, self, task);
        if (self->has_elements)
            weft_elements_install(self);
        return;
    }
    if (task->is_compact && !(claim_region(thread, task->turn.seat) && enter_region(task))) {
        weft_put(&thread->runs_compact, false);
        if (thread->ended_count > 0)
            weft_tasks_settle(thread);
        weft_task_dispatch(task); /* until the other one has gone on, or where its seat is now */
        return;
    }
    weft_turn_begin(thread, task);
    weft_arrive(weft_fiber_switch_with(&thread->fiber, weft_task_fiber(task), thread));
}

void weft_task_turn(struct weft_turn *turn)
{
    struct weft_thread *thread = weft_thread_self();
    struct weft_task *task = weft_turn_task(turn);
    if (begin(thread, task))
        weft_task_resume(thread, task);
    else if (thread->ended_count > 0) /* it was to be the one that keeps their scope open */
        weft_tasks_settle(thread);
}

void weft_task_turn_again(struct weft_turn *turn)
{
    weft_task_resume(weft_thread_self(), weft_turn_task(turn));
}

struct weft_task *weft_turn_next(struct weft_thread *thread, struct weft_task *outer)
{
    if (outer)
        return outer;
    for (;;) {
        if (thread->unconfined.first)
            return NULL; /* they come first, from the thread's own stack */
        struct weft_turn *turn = NULL;
        while (!turn && thread->loop) /* the innermost; when that has ended, the one around it */
            turn = weft_view_next(thread->loop);
        if (!turn && thread->next)
            turn = thread->next(thread);
        if (!turn)
            return NULL;
        struct weft_task *task = weft_turn_task(turn);
        if (turn->run == weft_task_turn_again)
            return task;
        if (turn->run != weft_task_turn || task->is_compact) { /* not from a coroutine's stack */
            thread->pending = turn;
            return NULL;
        }
        if (begin(thread, task))
            return task;
    }
}

/* What a compact coroutine needs before it leaves: memory for its copy; or it stays where it is,
 * and keeps the others off. */
static void prepare(struct weft_task *self)
{
    struct weft_region *region = &self->turn.seat->region;
    if (weft_compact_prepare(region) < 0) {
        weft_compact_pin(region);
        self->is_pinned = true;
    }
}

static void unpin(struct weft_task *self)
{
    weft_compact_unpin(&self->turn.seat->region);
    self->is_pinned = false;
}

struct weft_fiber *weft_compact_leave(struct weft_thread *thread, enum weft_after after)
{
    struct weft_task *self = thread->current;
    if (self->has_elements) {
        weft_elements_uninstall(self);
        thread = weft_thread_self();
    }
    self->after = (uint8_t)after;
    if (self->is_in_call)
        weft_call_park(self, thread);
    prepare(self);
    struct weft_task *next = after != WEFT_AFTER_MOVE ? weft_turn_next(thread, NULL) : NULL;
    if (thread->ended_count > 0 &&
        (next || !weft_turn_is_sibling_pending(thread, thread->ended_scope)))
        weft_tasks_settle(thread);
    return weft_turn_leave(thread, self, next);
}

struct weft_task *weft_compact_back(struct weft_thread *thread)
{
    weft_arrive(thread);
    struct weft_task *self = thread->current;
    if (self->is_pinned)
        unpin(self);
    if (self->has_elements)
        weft_elements_install(self);
    return self;
}

/* By functions of which nothing is left on the stack while it is parked. */
static __attribute__((noinline)) void leave_compact(struct weft_task *self, enum weft_after after)
{
    struct weft_thread *thread = weft_thread_self();
    struct weft_fiber *to = weft_compact_leave(thread, after);
    (void)weft_compact_back(weft_fiber_switch_with(&self->compact.fiber, to, thread));
}

/* A coroutine that moves takes its thread along, if that has nothing else to do: so it goes by the
 * thread's own stack. */
void weft_task_leave(struct weft_task *self, enum weft_after after)
{
    if (self->is_compact) {
        leave_compact(self, after);
        return;
    }
    if (self->has_elements)
        weft_elements_uninstall(self);
    struct weft_thread *thread = weft_thread_self();
    if (thread->ended_count > 0)
        weft_tasks_settle(thread);
    struct weft_task *outer = self->outer;
    self->outer = NULL;
    self->after = (uint8_t)after;
    if (self->is_in_call)
        weft_call_park(self, thread);
    bool goes_on = outer || after != WEFT_AFTER_MOVE;
    switch_to(thread, self, goes_on ? weft_turn_next(thread, outer) : NULL);
    self->turn.seat = NULL;
    if (self->has_elements)
        weft_elements_install(self);
}

void weft_turn_check_overflow(const struct weft_task *task, const void *sp)
{
    if (weft_stack_is_intact(task->stack, sp))
        return;
    char name[WEFT_NAME_BYTES];
    weft_die("stack overflow in coroutine '%s': it has %zu KiB; give it more with stack_bytes",
             weft_task_name(task, name), task->stack->bytes >> 10);
}

/* A compact one is off the region, whose seat somebody else may take from now on. It could not be
 * ended while it was there. */
static void leave_region(struct weft_thread *thread, struct weft_task *left)
{
    if (left->after == WEFT_AFTER_END) {
        weft_compact_end(&left->turn.seat->region, &left->compact);
        left->stack = NULL;
    }
    atomic_store_explicit(&thread->runs_compact, false, memory_order_release);
}

void weft_turn_arrive(struct weft_thread *thread)
{
    struct weft_stack *stack = thread->left_stack;
    if (stack) {
        thread->left_stack = NULL;
        weft_stack_give(&thread->stacks, thread->left_stack_class, stack);
        weft_stack_unreserve(&thread->stacks, thread->left_stack_class);
    }
    struct weft_task *left = thread->left;
    if (!left)
        return;
    thread->left = NULL;
    if (left->is_unguarded)
        weft_turn_check_overflow(left, weft_fiber_sp(weft_task_fiber(left)));
    if (left->is_compact && left->after != WEFT_AFTER_CALL) /* else its frames stay in use */
        leave_region(thread, left);
    switch (left->after) {
    case WEFT_AFTER_PARK: weft_turn_parked(thread, left); break;
    case WEFT_AFTER_YIELD: weft_task_dispatch(left); break;
    case WEFT_AFTER_MOVE: weft_move_arrived(left); break;
    case WEFT_AFTER_CALL: break;
    case WEFT_AFTER_END: weft_turn_end_compact(thread, left); break;
    }
}

void weft_task_dispatch(struct weft_task *task)
{
    struct weft_dispatcher *d = weft_get(&task->dispatcher);
    if (weft_pool_push(weft_thread_self(), d, &task->turn))
        return;
    int rc = d->ops->dispatch(d, &task->turn);
    if (rc < 0)
        weft_turn_refused(&task->turn, rc);
}

void weft_turn_parked(struct weft_thread *thread, struct weft_task *task)
{
    weft_bias_acquire(&task->park, thread->holder, WEFT_BIAS_PARK);
    bool is_down = weft_get(&task->park.state) == WEFT_PARK_RUNS;
    weft_put(&task->park.state, is_down ? WEFT_PARK_PARKED : WEFT_PARK_RUNS);
    weft_bias_release(&task->park, thread->holder, WEFT_BIAS_PARK);
    if (is_down)
        return;
    weft_trace_wake(task); /* woken before it was down */
    weft_task_dispatch(task);
}

/* The usual way of a yield: on which thread it goes on, or NULL. The thread stays inside its seat
 * until it has arrived on the other stack: so no thief can run the one whose stack it is still
 * leaving. */
static inline __attribute__((always_inline)) struct weft_thread *rotate(struct weft_thread *thread,
                                                                        struct weft_task *self)
{
    uint32_t unusual = self->unusual | weft_task_is_cancelled(self);
    struct weft_seat *seat = weft_usual_seat(thread, self, unusual);
    if (!seat || weft_get(&seat->rotates) != weft_get(&self->dispatcher))
        return NULL;
    if (!weft_fence_is_unequal)
        __builtin_unreachable(); /* then no seat rotates, because leaving is more than a store */
    if (!weft_seat_enter(thread, seat))
        return NULL;
    struct weft_task *next = weft_usual_next(seat);
    if (__builtin_expect(!next, 0)) {
        weft_seat_leave(thread, seat);
        return NULL;
    }
    seat->queue.first = next->turn.next;
    weft_turns_push(&seat->queue, &self->turn);
    weft_usual_count(thread, seat);
    self->after = WEFT_AFTER_YIELD;
    return weft_usual_switch(thread, self, next);
}

int weft_yield(void)
{
    struct weft_thread *thread = weft_thread_self();
    struct weft_task *self = thread ? thread->current : NULL;
    if (!self)
        return -EPERM;
    thread = rotate(thread, self);
    if (thread)
        self = thread->current;
    else if (!weft_task_is_cancelled(self))
        weft_task_leave(self, WEFT_AFTER_YIELD);
    return weft_task_is_cancelled(self) ? -ECANCELED : 0;
}
