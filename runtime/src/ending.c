/* SPDX-License-Identifier: MIT
 *
 * How coroutines end: their functions are called here and return to here. What ends well and is
 * awaited by nobody is kept by its thread as long as siblings follow, so that their scope is told
 * of many at once; and the next sibling has the stack, without a switch.
 */
#include "die.h"
#include "thread_set.h"
#include "turn.h"
#include "turn_parts.h"
#include "unconfined.h"
#include "view.h"

/* A coroutine has ended as usual: the thread keeps it. */
static inline void keep_ended(struct weft_thread *thread, struct weft_task *self)
{
    bool is_full =
        thread->ended_count == WEFT_ENDED_MAX || thread->ended_scope != self->scope ||
        (thread->ended.first && weft_turn_task(thread->ended.first)->is_small != self->is_small);
    if (is_full && thread->ended_count > 0)
        weft_tasks_settle(thread);
    weft_put(&self->is_on_thread, false);
    weft_put(&self->phase, WEFT_PHASE_ENDED);
    weft_turns_push(&thread->ended, &self->turn);
    thread->ended_scope = self->scope;
    thread->ended_count++;
}

void weft_turn_end_compact(struct weft_thread *thread, struct weft_task *left)
{
    bool is_usual = left->scope && weft_turn_is_sibling_pending(thread, left->scope) &&
                    left->rc >= 0 && left->is_small && !left->has_box && !left->has_elements &&
                    !weft_trace_is_on() && !weft_get(&weft_tasks_are_limited);
    if (is_usual) {
        keep_ended(thread, left);
        return;
    }
    if (thread->ended_count > 0)
        weft_tasks_settle(thread);
    weft_task_finish(left);
}

__attribute__((noinline, noreturn)) static void die_of_open_scope(const struct weft_task *self)
{
    char name[WEFT_NAME_BYTES];
    weft_die("coroutine '%s' ended with a scope still open; it was opened in %s()",
             weft_task_name_search(self, name), weft_task_innermost(self)->opened_by);
}

/* Whether its scope need not be told at once. If it was started in place, its caller goes on; then
 * that must be who closes the scope. */
static inline bool ends_as_usual(const struct weft_task *self)
{
    return self->rc >= 0 && !self->has_handle && !self->has_elements && !self->has_own_block &&
           self->scope && (!self->outer || self->outer == self->scope->owner) &&
           !self->is_compact && !self->is_small && !self->is_unguarded && !weft_trace_is_on() &&
           !weft_get(&weft_tasks_are_limited);
}

/* For those that the thread keeps: whether their scope is still kept open by whoever comes. */
static inline bool is_sibling(const struct weft_thread *thread, const struct weft_task *next,
                              const struct weft_stack *stack)
{
    return next && next->stack == stack && next->scope == thread->ended_scope;
}

/* Whether a turn is the first of an ordinary sibling, which can have the stack that is left. It may
 * be dropped just now (weft_task_finish()): who claims it sees that. */
static inline bool is_first_of_sibling(const struct weft_thread *thread, struct weft_turn *turn)
{
    if (!turn || turn->run != weft_task_turn)
        return false;
    const struct weft_task *task = weft_turn_task(turn);
    return task->scope == thread->ended_scope && !weft_get(&task->has_begun) && !task->is_compact &&
           __atomic_load_n(&task->stack_class, __ATOMIC_RELAXED) == thread->left_stack_class;
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
    if (!seat || thread->budget == 0 || !weft_seat_enter(thread, seat))
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
    struct weft_task *task = weft_turn_task(turn);
    if (weft_turn_claim(task) == WEFT_CLAIM_DROPPED) {
        weft_task_free(task);
        return NULL;
    }
    weft_turn_give_stack(task, thread->left_stack);
    thread->left_stack = NULL;
    weft_stack_unreserve(&thread->stacks, task->stack_class);
    return task;
}

enum ending {
    ENDING_NEXT_IS_HERE, /* and is the current one */
    ENDING_BACK,         /* to who has started it in place, and is the current one */
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
    struct weft_task *outer = self->outer, *next = outer ? outer : next_sibling(thread);
    weft_turn_begin(thread, next);
    return outer ? ENDING_BACK : next ? ENDING_NEXT_IS_HERE : ENDING_KEPT;
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
        if (self->is_unguarded)
            weft_turn_check_overflow(self, weft_fiber_sp(&stack->fiber));
        thread->left_stack = stack;
        thread->left_stack_class = self->stack_class;
        self->stack = NULL;
        self->stack_class = -1;
        thread->current = outer; /* if none, the thread is free to go where it wakes somebody */
        self->after = WEFT_AFTER_END;
        weft_trace_turn_end(self);
        weft_task_finish(self);
    }
    struct weft_task *next = weft_turn_next(thread, outer);
    thread->current = next; /* else it is not, and others must come for whom it wakes */
    if (thread->ended_count > 0 && !outer && !is_sibling(thread, next, stack))
        weft_tasks_settle(thread);
    if (next && !weft_get(&thread->seat))
        weft_threads_unpromise(thread);
    weft_turn_begin(thread, next);
    if (next && next->stack == stack)
        return;
    weft_arrive(weft_fiber_switch_with(&stack->fiber, next ? weft_task_fiber(next) : &thread->fiber,
                                       thread));
}

static __attribute__((noinline)) void before_fn(struct weft_thread *thread)
{
    weft_fiber_entered(weft_task_fiber(thread->current));
    weft_arrive(thread);
    if (thread->current->has_elements)
        weft_elements_install(thread->current);
}

/* After the function of a coroutine has returned: which that is. */
static inline struct weft_task *after_fn(int rc)
{
    struct weft_task *self = weft_self();
    self->rc = rc;
    if (weft_task_innermost(self))
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
    struct weft_fiber *to = weft_turn_leave(thread, self, weft_turn_next(thread, NULL));
    (void)weft_fiber_switch_with(&self->compact.fiber, to, thread);
    weft_die("a compact coroutine goes on after its end");
}

/* The first frame of a compact coroutine: what it holds is saved with each, so it holds nothing. */
void weft_turn_run_region(void)
{
    before_fn(weft_thread_self());
    struct weft_task *self = weft_self();
    end_compact(self->fn(self->arg));
}

/* All that ever runs on a stack: one coroutine after the other. In between the stack rests in the
 * cache, stopped in the last line of the loop. */
void weft_turn_run_stack(void)
{
    weft_fiber_entered(weft_task_fiber(weft_self()));
    weft_arrive(weft_thread_self());
    for (;;) {
        struct weft_task *self = weft_self();
        if (self->has_elements)
            weft_elements_install(self);
        int rc = self->fn(self->arg);
        struct weft_thread *thread = weft_thread_self();
        self = thread->current;
        self->rc = rc;
        if (weft_task_innermost(self))
            die_of_open_scope(self);
        if (rc < 0) {
            weft_task_report(self);
            thread = weft_thread_self();
        }
        if (self->has_elements)
            weft_elements_uninstall(self);
        enum ending ending = end_usual(thread, self);
        if (ending == ENDING_BACK) /* in line, for the next one's return */
            weft_arrive(weft_fiber_switch_with(&thread->left_stack->fiber,
                                               weft_task_fiber(thread->current), thread));
        else if (ending != ENDING_NEXT_IS_HERE)
            end(thread, self, ending == ENDING_KEPT);
    }
}
