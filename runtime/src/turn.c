/* SPDX-License-Identifier: MIT
 *
 * How turns of coroutines run: from one stack to the next, and what is left to do for the one whose
 * stack was left.
 */
#include <errno.h>
#include <string.h>

#include "die.h"
#include "fence.h"
#include "field.h"
#include "intercept.h"
#include "seat.h"
#include "stack.h"
#include "trace.h"
#include "tree.h"
#include "turn.h"
#include "unconfined.h"
#include "view.h"

static void stack_run(void);
static void region_run(void);
static void check_overflow(const struct weft_task *task, const void *sp);

static struct weft_task *task_of(struct weft_turn *turn)
{
    return berth_container_of(turn, struct weft_task, turn);
}

static struct weft_fiber *fiber_of(struct weft_task *task)
{
    return task->is_compact ? &task->compact.fiber : &task->stack->fiber;
}

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
 * an ordinary stack, because there is no seat, or no memory for the region. */
static bool begin_compact(struct weft_thread *thread, struct weft_task *task)
{
    struct weft_seat *seat = thread->seat;
    task->is_compact = seat && !thread->is_guest && !thread->current && claim_region(thread, seat);
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
    task->compact = (struct weft_compact){ 0 };
    return true;
}

/* Puts its frames on the region. False: another one is pinned there. From the thread's own stack.
 */
static bool enter_region(struct weft_task *task)
{
    struct weft_region *region = &task->turn.seat->region;
    int rc = task->is_on_region ? weft_compact_enter(region, &task->compact)
                                : weft_compact_begin(region, &task->compact, region_run);
    task->is_on_region = task->is_on_region || rc == 0;
    return rc == 0;
}

static inline enum weft_claim claim(struct weft_task *task)
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

enum weft_claim weft_task_claim(struct weft_task *task)
{
    return claim(task);
}

/* Makes a task ready to be switched to. The first turn gets its stack only now: a task that waits
 * in a queue has none. False: it was dropped, and is gone. */
static bool begin(struct weft_thread *thread, struct weft_task *task)
{
    switch (claim(task)) {
    case WEFT_CLAIM_GOES_ON: return true;
    case WEFT_CLAIM_DROPPED: weft_task_free(task); return false;
    case WEFT_CLAIM_FIRST: break;
    }
    if (task->is_compact && begin_compact(thread, task))
        return true;
    if (thread->left_stack && thread->left_stack_class == task->stack_class) {
        task->stack = thread->left_stack; /* of the one that has just ended, still warm */
        thread->left_stack = NULL;
        weft_stack_unreserve(&thread->stacks, task->stack_class);
    } else {
        task->stack = weft_stack_take(&thread->stacks, task->stack_class, stack_run);
    }
    return true;
}

static void set_current(struct weft_thread *thread, struct weft_task *task)
{
    thread->current = task;
    if (task) {
        atomic_store_explicit(&task->is_on_thread, true, memory_order_relaxed);
        weft_trace_turn_begin(task, thread->left);
        *thread->errno_at = task->saved_errno;
    }
}

/* All but the switch itself: where to switch to. */
static inline struct weft_fiber *leave_for(struct weft_thread *thread, struct weft_task *self,
                                           struct weft_task *next)
{
    self->saved_errno = *thread->errno_at;
    atomic_store_explicit(&self->is_on_thread, false, memory_order_relaxed);
    if (!next) /* else with the beginning of the next one's */
        weft_trace_turn_end(self);
    thread->left = self;
    if (self->is_compact && self->after != WEFT_AFTER_CALL) /* else its frames stay on the region */
        weft_put(&thread->runs_compact, false);
    set_current(thread, next);
    return next ? fiber_of(next) : &thread->fiber;
}

static inline __attribute__((always_inline)) void
switch_to(struct weft_thread *thread, struct weft_task *self, struct weft_task *next)
{
    struct weft_fiber *to = leave_for(thread, self, next);
    weft_arrive(weft_fiber_switch_with(fiber_of(self), to, thread));
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
    set_current(thread, task);
    weft_arrive(weft_fiber_switch_with(&thread->fiber, fiber_of(task), thread));
}

void weft_task_turn(struct weft_turn *turn)
{
    struct weft_thread *thread = weft_thread_self();
    struct weft_task *task = task_of(turn);
    if (begin(thread, task))
        weft_task_resume(thread, task);
    else if (thread->ended_count > 0) /* it was to be the one that keeps their scope open */
        weft_tasks_settle(thread);
}

/* Whom a thread runs when a coroutine has left: the one that called it, or whoever is next; or NULL
 * if the thread's own stack must decide. */
static struct weft_task *next_task(struct weft_thread *thread, struct weft_task *outer)
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
        struct weft_task *task = task_of(turn);
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

/* Whether the next to run on the thread's own stack is a compact child of `scope`, which keeps that
 * open, so that it need not be told of those that have ended. */
static bool is_sibling_pending(const struct weft_thread *thread,
                               const struct weft_scope_state *scope)
{
    struct weft_turn *turn = thread->pending;
    if (!turn || turn->run != weft_task_turn)
        return false;
    const struct weft_task *next = task_of(turn);
    return next->is_compact && next->scope == scope;
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
    struct weft_task *next = after != WEFT_AFTER_MOVE ? next_task(thread, NULL) : NULL;
    if (thread->ended_count > 0 && (next || !is_sibling_pending(thread, thread->ended_scope)))
        weft_tasks_settle(thread);
    return leave_for(thread, self, next);
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
    switch_to(thread, self, goes_on ? next_task(thread, outer) : NULL);
    self->turn.seat = NULL;
    if (self->has_elements)
        weft_elements_install(self);
}

/* A coroutine has ended as usual: the thread keeps it. */
static inline void keep_ended(struct weft_thread *thread, struct weft_task *self)
{
    bool is_full =
        thread->ended_count == WEFT_ENDED_MAX || thread->ended_scope != self->scope ||
        (thread->ended.first && task_of(thread->ended.first)->is_small != self->is_small);
    if (is_full && thread->ended_count > 0)
        weft_tasks_settle(thread);
    weft_put(&self->is_on_thread, false);
    weft_put(&self->phase, WEFT_PHASE_ENDED);
    weft_turns_push(&thread->ended, &self->turn);
    thread->ended_scope = self->scope;
    thread->ended_count++;
}

/* A compact one has ended, and its frames are gone. */
static void end_left(struct weft_thread *thread, struct weft_task *left)
{
    bool is_usual = left->scope && is_sibling_pending(thread, left->scope) && left->rc >= 0 &&
                    left->is_small && !left->has_box && !left->has_elements &&
                    !weft_trace_is_on() && !weft_get(&weft_tasks_are_limited);
    if (is_usual) {
        keep_ended(thread, left);
        return;
    }
    if (thread->ended_count > 0)
        weft_tasks_settle(thread);
    weft_task_finish(left);
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
    if (!left->stack->is_guarded)
        check_overflow(left, weft_fiber_sp(fiber_of(left)));
    switch (left->after) {
    case WEFT_AFTER_PARK: weft_turn_parked(thread, left); break;
    case WEFT_AFTER_YIELD: weft_task_dispatch(left); break;
    case WEFT_AFTER_MOVE: weft_move_arrived(left); break;
    case WEFT_AFTER_CALL: break;
    case WEFT_AFTER_END: /* a compact one, which could not be ended on the region */
        weft_compact_end(&left->turn.seat->region, &left->compact);
        left->stack = NULL;
        end_left(thread, left);
        break;
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

static void check_overflow(const struct weft_task *task, const void *sp)
{
    if (weft_stack_is_intact(task->stack, sp))
        return;
    char name[WEFT_NAME_BYTES];
    weft_die("stack overflow in coroutine '%s': it has %zu KiB; give it more with stack_bytes",
             weft_task_name(task, name), task->stack->bytes >> 10);
}

__attribute__((noinline, noreturn)) static void die_of_open_scope(const struct weft_task *self)
{
    char name[WEFT_NAME_BYTES];
    weft_die("coroutine '%s' ended with a scope still open; it was opened in %s()",
             weft_task_name_search(self, name), self->innermost->opened_by);
}

/* Whether its scope need not be told at once. If it was started in place, its caller goes on; then
 * that must be who closes the scope. */
static inline bool ends_as_usual(const struct weft_task *self)
{
    return self->rc >= 0 && !self->has_handle && !self->has_elements && !self->has_own_block &&
           self->scope && (!self->outer || self->outer == self->scope->owner) &&
           !self->is_compact && !self->is_small && self->stack->is_guarded && !weft_trace_is_on() &&
           !weft_get(&weft_tasks_are_limited);
}

/* For those that the thread keeps: whether their scope is still kept open by whoever comes. */
static inline bool is_sibling(const struct weft_thread *thread, const struct weft_task *next,
                              const struct weft_stack *stack)
{
    return next && next->stack == stack && next->scope == thread->ended_scope;
}

/* Whether a turn is the first of an ordinary sibling, which can have the stack that is left. */
static inline bool is_first_of_sibling(const struct weft_thread *thread, struct weft_turn *turn)
{
    if (!turn || turn->run != weft_task_turn)
        return false;
    const struct weft_task *task = task_of(turn);
    return task->scope == thread->ended_scope && !weft_get(&task->has_begun) && !task->is_compact &&
           task->stack_class == thread->left_stack_class;
}

/* Takes the next turn of the serial view, or else of the seat, if it is such a one; else NULL. */
static inline struct weft_turn *take_sibling(struct weft_thread *thread)
{
    struct weft_turn *turn;
    if (thread->loop) {
        turn = weft_view_first(thread->loop);
        if (!is_first_of_sibling(thread, turn))
            return NULL;
        weft_view_take_first(thread->loop);
        return turn;
    }
    struct weft_seat *seat = weft_get(&thread->seat);
    if (!seat || thread->budget == 0 || !thread->next || weft_get(&seat->is_asked_to_look))
        return NULL;
    if (!weft_seat_enter(thread, seat))
        return NULL;
    turn = seat->bound.first ? NULL : seat->queue.first;
    if (is_first_of_sibling(thread, turn)) {
        weft_seat_take_first(seat);
        thread->budget--;
    } else {
        turn = NULL;
    }
    weft_seat_leave(thread, seat);
    return turn;
}

/* The usual successor; NULL: it is another one. */
static inline struct weft_task *next_sibling(struct weft_thread *thread)
{
    struct weft_turn *turn = thread->unconfined.first ? NULL : take_sibling(thread);
    if (!turn)
        return NULL;
    struct weft_task *task = task_of(turn);
    if (claim(task) == WEFT_CLAIM_DROPPED) {
        weft_task_free(task);
        return NULL;
    }
    task->stack = thread->left_stack;
    thread->left_stack = NULL;
    weft_stack_unreserve(&thread->stacks, task->stack_class);
    return task;
}

enum ending {
    ENDING_NEXT_IS_HERE, /* and is the current one */
    ENDING_KEPT,
    ENDING_TO_BE_TOLD,
};

/* The usual end: its scope need not be told at once, and mostly a sibling comes next, which has its
 * stack. A function of its own, for around a swap the compiler has no registers. */
static __attribute__((noinline)) enum ending end_usual(struct weft_thread *thread,
                                                       struct weft_task *self)
{
    if (!ends_as_usual(self))
        return ENDING_TO_BE_TOLD;
    keep_ended(thread, self);
    thread->left_stack = self->stack;
    thread->left_stack_class = self->stack_class;
    struct weft_task *next = self->outer ? NULL : next_sibling(thread);
    set_current(thread, next);
    return next ? ENDING_NEXT_IS_HERE : ENDING_KEPT;
}

/* Ends the coroutine whose stack this is. Returns when the stack has its next user. */
static __attribute__((noinline)) void end(struct weft_thread *thread, struct weft_task *self,
                                          bool is_kept)
{
    if (!is_kept && thread->ended_count > 0)
        weft_tasks_settle(thread);
    struct weft_task *outer = self->outer;
    struct weft_stack *stack = self->stack;
    if (!is_kept) {
        if (!stack->is_guarded)
            check_overflow(self, weft_fiber_sp(&stack->fiber));
        thread->left_stack = stack;
        thread->left_stack_class = self->stack_class;
        self->stack = NULL;
        self->stack_class = -1;
        thread->current = NULL;
        self->after = WEFT_AFTER_END;
        weft_trace_turn_end(self);
        weft_task_finish(self);
    }
    struct weft_task *next = next_task(thread, outer);
    if (thread->ended_count > 0 && !outer && !is_sibling(thread, next, stack))
        weft_tasks_settle(thread);
    set_current(thread, next);
    if (next && next->stack == stack)
        return;
    weft_arrive(
        weft_fiber_switch_with(&stack->fiber, next ? fiber_of(next) : &thread->fiber, thread));
}

static __attribute__((noinline)) void before_fn(struct weft_thread *thread)
{
    weft_fiber_entered(fiber_of(thread->current));
    weft_arrive(thread);
    if (thread->current->has_elements)
        weft_elements_install(thread->current);
}

/* After the function of a coroutine has returned: which that is. */
static inline struct weft_task *after_fn(int rc)
{
    struct weft_task *self = weft_self();
    self->rc = rc;
    if (self->innermost)
        die_of_open_scope(self);
    if (rc < 0)
        weft_task_report(self);
    if (self->has_elements)
        weft_elements_uninstall(self);
    return self;
}

/* It cannot be ended on the region, where the next one will be: whoever arrives does it. */
static __attribute__((noinline, noreturn)) void end_compact(int rc)
{
    struct weft_task *self = after_fn(rc);
    struct weft_thread *thread = weft_thread_self();
    self->after = WEFT_AFTER_END;
    struct weft_fiber *to = leave_for(thread, self, next_task(thread, NULL));
    (void)weft_fiber_switch_with(&self->compact.fiber, to, thread);
    weft_die("a compact coroutine goes on after its end");
}

/* The first frame of a compact coroutine: what it holds is saved with each, so it holds nothing. */
static void region_run(void)
{
    before_fn(weft_thread_self());
    struct weft_task *self = weft_self();
    end_compact(self->fn(self->arg));
}

/* All that ever runs on a stack: one coroutine after the other. In between the stack rests in the
 * cache, stopped in the last line of the loop. */
static void stack_run(void)
{
    weft_fiber_entered(fiber_of(weft_self()));
    weft_arrive(weft_thread_self());
    for (;;) {
        struct weft_task *self = weft_self();
        if (self->has_elements)
            weft_elements_install(self);
        int rc = self->fn(self->arg);
        struct weft_thread *thread = weft_thread_self();
        self = thread->current;
        self->rc = rc;
        if (self->innermost)
            die_of_open_scope(self);
        if (rc < 0) {
            weft_task_report(self);
            thread = weft_thread_self();
        }
        if (self->has_elements)
            weft_elements_uninstall(self);
        enum ending ending = end_usual(thread, self);
        if (ending != ENDING_NEXT_IS_HERE)
            end(thread, self, ending == ENDING_KEPT);
    }
}

/* The usual way of a yield: on which thread it goes on, or NULL. The thread stays inside its seat
 * until it has arrived on the other stack: so no thief can run the one whose stack it is still
 * leaving. */
static inline __attribute__((always_inline)) struct weft_thread *rotate(struct weft_thread *thread,
                                                                        struct weft_task *self)
{
    struct weft_seat *seat = weft_usual_seat(thread, self);
    if (!seat || &seat->pool->base != weft_get(&self->dispatcher) ||
        weft_get(&seat->queued_max) == 0) /* others wait in batches, and come first */
        return NULL;
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
    thread->inside = seat;
    self->after = WEFT_AFTER_YIELD;
    return weft_usual_switch(thread, self, next);
}

int weft_yield(void)
{
    struct weft_thread *thread = weft_thread_self();
    struct weft_task *self = thread ? thread->current : NULL;
    if (!self)
        return -EPERM;
    if (weft_task_is_cancelled(self))
        return -ECANCELED;
    thread = rotate(thread, self);
    if (thread)
        self = thread->current;
    else
        weft_task_leave(self, WEFT_AFTER_YIELD);
    return weft_task_is_cancelled(self) ? -ECANCELED : 0;
}
