/* SPDX-License-Identifier: MIT
 *
 * The life of a coroutine: made, queued, run turn by turn, ended.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "die.h"
#include "immediate.h"
#include "intercept.h"
#include "seat.h"
#include "stack.h"
#include "sys.h"
#include "task_block.h"
#include "test_run.h"
#include "trace.h"
#include "tree.h"
#include "view.h"

static void stack_run(void);
static void end(struct weft_task *self);
static struct weft_task *next_task(struct weft_thread *thread, struct weft_task *outer);
static void arrive(void);
static void after_park(struct weft_task *task);
static void after_move(struct weft_task *task);
static void go_back(struct weft_task *task, int rc);
static void ticket_refused_turn(struct weft_turn *turn);
static void refused_turn(struct weft_turn *turn);
static void report_failure(struct weft_task *self);
static void check_overflow(const struct weft_task *task, const void *sp);

static atomic_uint_fast64_t failures; /* of the process, so that the first of several is known */

static struct weft_task *task_of(struct weft_turn *turn)
{
    return berth_container_of(turn, struct weft_task, turn);
}

/* What the calling thread keeps of stacks; NULL on a plain thread. */
static struct weft_stack_cache *stacks_here(void)
{
    struct weft_thread *thread = weft_thread_self();
    return thread ? &thread->stacks : NULL;
}

int weft_task_new(const struct weft_task_spec *spec, struct weft_task **ret_task)
{
    if (!spec->fn)
        return -EINVAL;
    int stack_class =
        spec->stack_bytes > 0 ? weft_stack_class(spec->stack_bytes) : weft_stack_class_default();
    if (stack_class < 0)
        return stack_class;
    int rc = weft_tasks_enter();
    if (rc < 0)
        return rc;
    struct weft_task *task = NULL;
    struct weft_thread *thread = weft_thread_self();
    rc = weft_stack_reserve(thread ? &thread->stacks : NULL, stack_class);
    if (rc == 0) {
        task = spec->item ? malloc(sizeof *task + spec->item_bytes)
                          : weft_task_block_take(thread ? &thread->blocks : NULL, sizeof *task);
        if (!task)
            weft_stack_unreserve(thread ? &thread->stacks : NULL, stack_class);
    }
    if (!task) {
        weft_tasks_leave();
        return -ENOMEM;
    }
    memset(task, 0, offsetof(struct weft_task, call_errno));
    task->turn.run = weft_task_turn;
    task->stack_class = (int8_t)stack_class;
    weft_put(&task->dispatcher, spec->dispatcher);
    task->fn = spec->fn;
    task->arg = spec->arg;
    task->id = weft_task_id_new(thread);
    task->name = spec->name;
    task->start = (uint8_t)spec->start;
    weft_put(&task->phase, spec->start == WEFT_START_HELD ? WEFT_PHASE_HELD : WEFT_PHASE_QUEUED);
    task->has_own_block = spec->item;
    task->is_compact = spec->is_compact;
    if (spec->has_handle) {
        task->has_handle = true;
        task->awaiters = (struct weft_waiters){ 0 };
        task->failed_order = 0;
    }
    if (spec->item) {
        memcpy(task->item, spec->item, spec->item_bytes);
        task->arg = task->item;
    }
    weft_trace_launch(task);
    *ret_task = task;
    return 0;
}

void weft_task_free(struct weft_task *task)
{
    if (weft_get(&task->dropped_refs) > 0 && atomic_fetch_sub(&task->dropped_refs, 1) > 1)
        return;
    struct weft_thread *thread = weft_thread_self();
    if (task->stack_class >= 0) { /* it never came to its end */
        weft_stack_unreserve(thread ? &thread->stacks : NULL, task->stack_class);
        weft_tasks_leave();
    }
    if (task->has_own_block)
        free(task);
    else
        weft_task_block_give(thread ? &thread->blocks : NULL, task);
}

int weft_task_start(struct weft_task *task)
{
    struct weft_dispatcher *d = weft_get(&task->dispatcher);
    weft_put(&task->phase, WEFT_PHASE_QUEUED);
    if (weft_pool_push(weft_thread_self(), d, &task->turn))
        return 0;
    return d->ops->dispatch(d, &task->turn);
}

void weft_task_refused(struct weft_task *task, int rc)
{
    task->rc = rc;
    weft_task_finish(task);
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
    weft_put(&seat->turns, weft_get(&seat->turns) + 1);
    weft_seat_leave(thread, seat);
    return true;
}

/* Gives a compact coroutine its place on the region of the thread's seat, for life. False: it gets
 * an ordinary stack, because there is no seat, or no memory for the region. */
static bool begin_compact(struct weft_thread *thread, struct weft_task *task)
{
    struct weft_seat *seat = thread->seat;
    task->is_compact =
        seat && !thread->is_guest && !thread->current && claim_region(thread, seat) &&
        (seat->region.stack ||
         weft_region_init(&seat->region, &seat->blocks, weft_stack_bytes_default()) == 0);
    if (!task->is_compact) {
        weft_put(&thread->runs_compact, false);
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
                                : weft_compact_begin(region, &task->compact, stack_run);
    task->is_on_region = task->is_on_region || rc == 0;
    return rc == 0;
}

/* Makes a task ready to be switched to. The first turn gets its stack only now: a task that waits
 * in a queue has none. False: it was dropped, and is gone. */
static bool begin(struct weft_thread *thread, struct weft_task *task)
{
    uint8_t seen = atomic_load_explicit(&task->phase, memory_order_relaxed);
    if (seen == WEFT_PHASE_STARTED)
        return true;
    if (seen != WEFT_PHASE_QUEUED ||
        !atomic_compare_exchange_strong(&task->phase, &seen, WEFT_PHASE_STARTED)) {
        weft_task_free(task);
        return false;
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
        weft_trace_turn_begin(task);
        *thread->errno_at = task->saved_errno;
    }
}

/* In line, like what calls it in wait.c: a parked compact coroutine is as large as its frames. */
static inline __attribute__((always_inline)) void
switch_to(struct weft_thread *thread, struct weft_task *self, struct weft_task *next)
{
    self->saved_errno = *thread->errno_at;
    atomic_store_explicit(&self->is_on_thread, false, memory_order_relaxed);
    weft_trace_turn_end(self);
    thread->left = self;
    if (self->is_compact)
        weft_put(&thread->runs_compact, false);
    set_current(thread, next);
    weft_fiber_switch(fiber_of(self), next ? fiber_of(next) : &thread->fiber);
    arrive();
}

/* Goes over to a coroutine; comes back when that leaves: at once, if this is a coroutine, too; on
 * the thread's own stack when there is no next one. */
static void resume(struct weft_thread *thread, struct weft_task *task)
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
        weft_task_dispatch(task); /* until the other one has gone on, or where its seat is now */
        return;
    }
    set_current(thread, task);
    weft_fiber_switch(&thread->fiber, fiber_of(task));
    arrive();
}

void weft_task_turn(struct weft_turn *turn)
{
    struct weft_thread *thread = weft_thread_self();
    struct weft_task *task = task_of(turn);
    if (begin(thread, task))
        resume(thread, task);
}

static void ticket_turn(struct weft_turn *turn)
{
    struct weft_ticket *ticket = berth_container_of(turn, struct weft_ticket, turn);
    struct weft_task *task = ticket->task;
    int seen = WEFT_TICKET_WAITS;
    bool is_taken = atomic_compare_exchange_strong(&ticket->state, &seen, WEFT_TICKET_TAKEN);
    if (is_taken)
        resume(weft_thread_self(), task); /* which frees the ticket */
    else
        free(ticket);
}

__attribute__((noinline, noreturn)) static void die_of_open_scope(const struct weft_task *self)
{
    char name[WEFT_NAME_BYTES];
    weft_die("coroutine '%s' ended with a scope still open; it was opened in %s()",
             weft_task_name(self, name), self->innermost->opened_by);
}

/* All that ever runs on a stack: one coroutine after the other. In between the stack rests in the
 * cache, stopped in the last line of the loop. */
static void stack_run(void)
{
    weft_fiber_entered(fiber_of(weft_self()));
    arrive();
    for (;;) {
        struct weft_task *self = weft_self();
        if (self->has_elements)
            weft_elements_install(self);
        self->rc = self->fn(self->arg);
        self = weft_self();
        if (self->innermost)
            die_of_open_scope(self);
        report_failure(self);
        if (self->has_elements)
            weft_elements_uninstall(self);
        end(self);
    }
}

/* Ends the coroutine whose stack this is. Returns when the stack has its next user: at once, if the
 * next turn on this thread is the first of another one. */
static void end(struct weft_task *self)
{
    struct weft_thread *thread = weft_thread_self();
    if (self->is_compact) {
        self->after = WEFT_AFTER_END;
        switch_to(thread, self, next_task(thread, self->outer));
    }
    struct weft_stack *stack = self->stack;
    struct weft_task *outer = self->outer;
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
    struct weft_task *next = next_task(thread, outer);
    set_current(thread, next);
    if (next && next->stack == stack)
        return;
    weft_fiber_switch(&stack->fiber, next ? fiber_of(next) : &thread->fiber);
    arrive();
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

/* A coroutine that moves takes its thread along, if that has nothing else to do: so it goes by the
 * thread's own stack. */
void weft_task_leave(struct weft_task *self, enum weft_after after)
{
    if (self->has_elements)
        weft_elements_uninstall(self);
    struct weft_thread *thread = weft_thread_self();
    struct weft_task *outer = self->outer;
    self->outer = NULL;
    self->after = (uint8_t)after;
    if (self->is_in_call)
        weft_call_park(self, thread);
    bool goes_on = outer || after != WEFT_AFTER_MOVE;
    if (self->is_compact)
        prepare(self);
    switch_to(thread, self, goes_on ? next_task(thread, outer) : NULL);
    if (!self->is_compact)
        self->turn.seat = NULL;
    else if (self->is_pinned)
        unpin(self);
    if (self->has_elements)
        weft_elements_install(self);
}

/* On the stack that a thread has just switched to: deals with the one that it came from. That may
 * be running elsewhere as soon as it has been parked or dispatched: it is not touched after that.
 */
static void arrive(void)
{
    struct weft_thread *thread = weft_thread_self();
    if (thread->inside) {
        weft_seat_leave(thread, thread->inside);
        thread->inside = NULL;
        return;
    }
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
    case WEFT_AFTER_PARK: after_park(left); break;
    case WEFT_AFTER_YIELD: weft_task_dispatch(left); break;
    case WEFT_AFTER_MOVE: after_move(left); break;
    case WEFT_AFTER_CALL: break;
    case WEFT_AFTER_END: /* a compact one, which could not be ended on the region */
        weft_compact_end(&left->turn.seat->region, &left->compact);
        left->stack = NULL;
        weft_task_finish(left);
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

static void after_park(struct weft_task *task)
{
    uint8_t seen = WEFT_PARK_RUNS;
    if (atomic_compare_exchange_strong(&task->park, &seen, WEFT_PARK_PARKED))
        return;
    (void)atomic_exchange(&task->park, WEFT_PARK_RUNS); /* woken before it was down */
    weft_trace_wake(task);
    weft_task_dispatch(task);
}

/* Under the tree's lock, so that cancelling finds the ticket or is seen here. Once it is handed in
 * the task is not touched. */
static void after_move(struct weft_task *task)
{
    struct weft_tree *tree = task->tree;
    weft_lock_acquire(&tree->lock);
    struct weft_ticket *ticket = atomic_load_explicit(&task->ticket, memory_order_relaxed);
    if (!ticket) {
        weft_task_dispatch(task);
    } else {
        struct weft_dispatcher *d = task->dispatcher;
        bool is_cancelled = weft_task_is_cancelled(task);
        atomic_store_explicit(&ticket->state, WEFT_TICKET_WAITS, memory_order_relaxed);
        int rc = is_cancelled ? -ECANCELED : d->ops->dispatch(d, &ticket->turn);
        if (rc < 0)
            go_back(task, rc);
    }
    weft_lock_release(&tree->lock);
}

/* Under the tree's lock: it will not come where it wanted to go. */
static void go_back(struct weft_task *task, int rc)
{
    struct weft_ticket *ticket = atomic_load_explicit(&task->ticket, memory_order_relaxed);
    task->dispatcher = ticket->home;
    free(ticket);
    atomic_store_explicit(&task->ticket, NULL, memory_order_relaxed);
    task->rc = rc;
    weft_task_dispatch(task);
}

void weft_turn_refused(struct weft_turn *turn, int rc)
{
    if (weft_view_refused(turn, rc))
        return;
    struct weft_dispatcher *io = weft_io();
    if (turn->run == ticket_turn) {
        berth_container_of(turn, struct weft_ticket, turn)->rc = rc;
        turn->run = ticket_refused_turn;
    } else {
        turn->run = refused_turn;
    }
    /* For here may be locks, but not on its threads. */
    int io_rc = turn->seat ? weft_turn_to_seat(turn) : -ENODEV;
    if (io_rc < 0) /* bound to none, or to one of a pool that is closed */
        io_rc = io->ops->dispatch(io, turn);
    WEFT_REQUIRE(io_rc == 0, "io has refused a coroutine that is to clean up");
}

/* It may be gone, dropped in that queue. If not, whoever holds its turn may touch it. */
static void refused_turn(struct weft_turn *turn)
{
    struct weft_task *task = berth_container_of(turn, struct weft_task, turn);
    turn->run = weft_task_turn;
    uint8_t seen = WEFT_PHASE_QUEUED;
    if (task->start != WEFT_START_ATOMIC &&
        atomic_compare_exchange_strong(&task->phase, &seen, WEFT_PHASE_STARTED)) {
        task->is_cancelled = true;
        task->rc = -ECANCELED;
        weft_task_finish(task);
        return;
    }
    if (seen != WEFT_PHASE_DROPPED && seen != WEFT_PHASE_ENDED) {
        task->dispatcher = weft_io();
        weft_cancel(task);
    }
    weft_task_turn(turn);
}

static void ticket_refused_turn(struct weft_turn *turn)
{
    struct weft_ticket *ticket = berth_container_of(turn, struct weft_ticket, turn);
    struct weft_task *task = ticket->task;
    int seen = WEFT_TICKET_WAITS;
    if (!atomic_compare_exchange_strong(&ticket->state, &seen, WEFT_TICKET_TAKEN)) {
        free(ticket);
        return;
    }
    struct weft_tree *tree = task->tree;
    weft_lock_acquire(&tree->lock);
    go_back(task, ticket->rc);
    weft_lock_release(&tree->lock);
}

void weft_task_finish(struct weft_task *task)
{
    if (task->stack_class >= 0) { /* it has never begun */
        weft_stack_unreserve(stacks_here(), task->stack_class);
        task->stack_class = -1;
    }
    weft_tasks_leave();
    weft_trace_finish(task);

    struct weft_reap reap = { 0 };
    struct weft_tree *tree = task->tree;
    bool has_handle = task->has_handle;
    weft_lock_acquire(&tree->lock);
    weft_put(&task->phase, WEFT_PHASE_ENDED);
    if (has_handle && task->rc < 0)
        task->failed_order = ++failures;
    struct weft_waiter *next, *first = has_handle ? task->awaiters.first : NULL;
    for (struct weft_waiter *waiter = first; waiter; waiter = next) {
        next = waiter->next;
        bool is_one_of_several = waiter->left && task->rc >= 0;
        if (is_one_of_several && atomic_fetch_sub(waiter->left, 1) > 1)
            weft_waiters_leave(&task->awaiters, waiter);
        else
            weft_waiters_wake(&task->awaiters, waiter);
    }
    bool is_root = !task->scope;
    if (is_root)
        tree->has_ended = 1;
    else
        weft_scope_child_ended(task->scope, task, &reap);
    weft_lock_release(&tree->lock);
    if (is_root)
        weft_sys_futex_wake(&tree->has_ended);
    if (!has_handle)
        weft_task_free(task);
    weft_reap(&reap);
}

/* In a supervisor nobody else hears of a launch that failed. As the last act of the child itself,
 * so that the handler sees its context, and the scope is certainly still open. */
__attribute__((noinline)) static void report_failure(struct weft_task *self)
{
    struct weft_scope_state *scope = self->scope;
    if (!scope || scope->kind != WEFT_SUPERVISOR || self->has_handle || self->rc >= 0)
        return;
    if (self->rc == -ECANCELED && self->is_cancelled)
        return;
    int rc = self->rc == -ECANCELED ? WEFT_ECHILD : self->rc;
    char buffer[WEFT_NAME_BYTES];
    const char *name = weft_task_name(self, buffer);
    weft_lock_acquire(&self->tree->lock);
    void (*fn)(void *, const char *, int) = scope->on_failure;
    void *arg = scope->on_failure_arg;
    weft_lock_release(&self->tree->lock);
    if (fn)
        fn(arg, name, rc);
    else
        (void)fprintf(stderr, "weft: coroutine '%s' failed: %s (%d)\n", name, weft_strerror(rc),
                      rc);
    if (!fn)
        weft_test_uncaught(rc);
    WEFT_REQUIRE(!self->innermost, "a scope is still open after on_failure; it was opened in %s()",
                 self->innermost->opened_by);
}

static void check_overflow(const struct weft_task *task, const void *sp)
{
    if (weft_stack_is_intact(task->stack, sp))
        return;
    char name[WEFT_NAME_BYTES];
    weft_die("stack overflow in coroutine '%s': it has %zu KiB; give it more with stack_bytes",
             weft_task_name(task, name), task->stack->bytes >> 10);
}

int weft_task_result(const struct weft_task *task)
{
    return task->rc == -ECANCELED ? WEFT_ECHILD : task->rc;
}

/* It has come where it wanted to go. */
static void ticket_drop(struct weft_task *self)
{
    weft_lock_acquire(&self->tree->lock);
    struct weft_ticket *ticket = atomic_load_explicit(&self->ticket, memory_order_relaxed);
    atomic_store_explicit(&self->ticket, NULL, memory_order_relaxed);
    weft_lock_release(&self->tree->lock);
    free(ticket);
}

/* Takes the coroutine to the queue of `d`, and comes back when it runs there: 0. Negative: it does
 * not, and is where it was. */
static int move_to(struct weft_task *self, struct weft_dispatcher *d)
{
    struct weft_ticket *ticket = malloc(sizeof *ticket);
    if (!ticket)
        return -ENOMEM;
    *ticket = (struct weft_ticket){
        .turn.run = ticket_turn,
        .task = self,
        .home = self->dispatcher,
    };
    self->dispatcher = d;
    atomic_store_explicit(&self->ticket, ticket, memory_order_release);
    self->rc = 0;
    self->waits_for = "dispatcher";
    weft_task_leave(self, WEFT_AFTER_MOVE);
    self->waits_for = NULL;
    if (self->dispatcher == d)
        ticket_drop(self);
    return self->rc;
}

int weft_with(struct weft_dispatcher *d, weft_fn fn, void *arg)
{
    struct weft_task *self = weft_self();
    int rc = weft_wait_check(self, WEFT_NEVER);
    if (rc < 0)
        return rc;
    if (!fn)
        return -EINVAL;
    struct weft_dispatcher *home = self->dispatcher;
    bool starts_here = d && weft_starts_here(&d);
    if (d && !weft_test_fits(self->tree->test, d))
        return weft_test_foreign("weft_with", d);
    if (starts_here)
        self->dispatcher = d;
    else if (d && d != home)
        rc = self->is_compact ? -ENOTSUP : move_to(self, d);
    if (rc == 0 && !weft_task_is_cancelled(self))
        rc = fn(arg);
    if (self->dispatcher != home) {
        self->dispatcher = home;
        if (!starts_here || !weft_is_innermost(home))
            weft_task_leave(self, WEFT_AFTER_MOVE);
    }
    return weft_task_is_cancelled(self) ? -ECANCELED : rc;
}

/* The usual way of a yield: to the next turn of the seat if that is a coroutine's which has begun.
 * The thread stays inside its seat until it has arrived on the other stack: so no thief can run the
 * one whose stack it is still leaving. */
static bool rotate(struct weft_thread *thread, struct weft_task *self)
{
    struct weft_seat *seat = weft_get(&thread->seat);
    bool is_usual = seat && thread->budget > 0 && !thread->loop && !self->outer &&
                    !self->has_elements && !self->is_in_call && !self->is_compact &&
                    !weft_trace_is_on() && !thread->unconfined.first && thread->next &&
                    self->stack->is_guarded && &seat->pool->base == weft_get(&self->dispatcher) &&
                    !weft_get(&seat->is_asked_to_look);
    if (!is_usual || !weft_seat_enter(thread, seat))
        return false;
    struct weft_turn *first = seat->queue.first;
    struct weft_task *next = first ? task_of(first) : NULL;
    if (!first || seat->bound.first || first->run != weft_task_turn || next->is_compact ||
        weft_get(&next->phase) != WEFT_PHASE_STARTED) {
        weft_seat_leave(thread, seat);
        return false;
    }
    seat->queue.first = first->next;
    weft_turns_push(&seat->queue, &self->turn);
    weft_put(&seat->turns, weft_get(&seat->turns) + 1);
    thread->budget--;
    thread->inside = seat;
    self->after = WEFT_AFTER_YIELD;
    self->saved_errno = *thread->errno_at;
    weft_put(&self->is_on_thread, false);
    set_current(thread, next);
    weft_fiber_switch(&self->stack->fiber, &next->stack->fiber);
    arrive();
    return true;
}

int weft_yield(void)
{
    struct weft_thread *thread = weft_thread_self();
    struct weft_task *self = thread ? thread->current : NULL;
    if (!self)
        return -EPERM;
    if (weft_task_is_cancelled(self))
        return -ECANCELED;
    if (!rotate(thread, self))
        weft_task_leave(self, WEFT_AFTER_YIELD);
    return weft_task_is_cancelled(self) ? -ECANCELED : 0;
}

int weft_check(void)
{
    const struct weft_task *self = weft_self();
    return self && weft_task_is_cancelled(self) ? -ECANCELED : 0;
}

int weft_sleep_until(int64_t deadline_ns)
{
    struct weft_task *self = weft_self();
    int rc = weft_wait_check(self, deadline_ns);
    if (rc < 0 || deadline_ns <= weft_now_ns())
        return rc;
    weft_put(&self->is_done, false);
    rc = weft_wait(self, "sleep", &self->is_done, deadline_ns);
    return rc == -ETIMEDOUT ? 0 : rc;
}

int weft_sleep_ms(int64_t ms)
{
    return weft_sleep_until(weft_deadline_ms(ms));
}

struct weft_dispatcher *weft_current(void)
{
    const struct weft_task *self = weft_self();
    return self ? self->dispatcher : NULL;
}
