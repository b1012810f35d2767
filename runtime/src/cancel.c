/* SPDX-License-Identifier: MIT
 *
 * Cancelling: a walk down the tree, without recursion, for a tree may be deep and a coroutine's
 * stack is small.
 *
 * What is found waiting for its first turn never runs: it is ended by the one who cancels (what
 * stays in the queue is a block that will be freed there), so that nobody waits for a busy
 * dispatcher only to learn that there is nothing to do. The same for a coroutine on its way to
 * another dispatcher: it goes back.
 */
#include <errno.h>

#include "die.h"
#include "interrupt.h"
#include "tree.h"

/* Marks a task and remembers it for the walk; once only, for `next` is one link. */
static void mark(struct weft_task *task, struct weft_task **todo)
{
    if (task->phase == WEFT_PHASE_ENDED || task->is_cancelled)
        return;
    task->is_cancelled = true;
    task->next = *todo;
    *todo = task;
}

static void mark_children(struct weft_scope_state *scope, struct weft_task **todo)
{
    BERTH_LIST_FOREACH (node, &scope->children)
        mark(berth_container_of(node, struct weft_task, node), todo);
}

/* Marks a scope and those that its owner opened inside it, up to the next shield. */
static void mark_scopes(struct weft_scope_state *from, struct weft_task **todo)
{
    for (struct weft_scope_state *s = from; s; s = s->inner) {
        if (s->kind == WEFT_SHIELD && s != from)
            return;
        if (atomic_exchange(&s->is_cancelled, true))
            continue; /* then its children are, too */
        mark_children(s, todo);
    }
}

/* Whether a coroutine was still waiting for another dispatcher, and does so no more: it goes back.
 */
static bool turn_round(struct weft_task *task)
{
    int seen = WEFT_TICKET_WAITS;
    struct weft_ticket *ticket = atomic_load_explicit(&task->ticket, memory_order_acquire);
    if (!ticket || !weft_task_is_cancelled(task))
        return false;
    struct weft_dispatcher *home = ticket->home;
    if (!atomic_compare_exchange_strong(&ticket->state, &seen, WEFT_TICKET_VOID))
        return false;
    task->dispatcher = home; /* the ticket is the queue's, which may have dropped it by now */
    atomic_store_explicit(&task->ticket, NULL, memory_order_relaxed);
    weft_task_dispatch(task); /* at once: `next` is not ours, another canceller may mark it yet */
    return true;
}

/* A coroutine that may have to hear of it: one that is under way to another dispatcher turns round,
 * unless a shield keeps it from feeling anything; any other is woken to look for itself. */
static void tell(struct weft_task *task)
{
    if (task->interrupt && weft_task_is_cancelled(task))
        weft_interrupt(task->interrupt);
    if (!turn_round(task))
        weft_wake(task);
}

/* Whether a task was still in the queue for its first turn, and will not run any more. */
static bool drop(struct weft_task *task)
{
    uint8_t seen = WEFT_PHASE_QUEUED;
    if (task->start == WEFT_START_ATOMIC)
        return false;
    task->dropped_refs = 2;
    if (atomic_compare_exchange_strong(&task->phase, &seen, WEFT_PHASE_DROPPED))
        return true;
    task->dropped_refs = 0;
    return false;
}

static void cancel_one(struct weft_task *task, struct weft_task **todo, struct weft_reap *reap)
{
    bool will_not_run = false;
    switch ((enum weft_phase)task->phase) {
    case WEFT_PHASE_HELD:
        task->scope->held--;
        task->phase = WEFT_PHASE_QUEUED; /* nobody can release it any more */
        will_not_run = true;
        break;
    case WEFT_PHASE_QUEUED: will_not_run = drop(task); break;
    case WEFT_PHASE_STARTED:
        if (task->innermost && task->outermost->kind != WEFT_SHIELD)
            mark_scopes(task->outermost, todo);
        tell(task);
        return;
    case WEFT_PHASE_DROPPED:
    case WEFT_PHASE_GONE:
    case WEFT_PHASE_ENDED: return;
    }
    if (will_not_run) {
        task->next = reap->ended;
        reap->ended = task;
    }
}

static void walk(struct weft_task *todo, struct weft_reap *reap)
{
    while (todo) {
        struct weft_task *task = todo;
        todo = task->next;
        cancel_one(task, &todo, reap);
    }
}

void weft_cancel_task(struct weft_task *task, struct weft_reap *reap)
{
    struct weft_task *todo = NULL;
    mark(task, &todo);
    walk(todo, reap);
}

void weft_cancel_scope(struct weft_scope_state *scope, struct weft_reap *reap)
{
    struct weft_task *todo = NULL;
    mark_scopes(scope, &todo);
    tell(scope->owner);
    walk(todo, reap);
}

void weft_cancel_children(struct weft_scope_state *scope, struct weft_reap *reap)
{
    struct weft_task *todo = NULL;
    mark_children(scope, &todo);
    walk(todo, reap);
}

void weft_cancel_held(struct weft_scope_state *scope, struct weft_reap *reap)
{
    struct weft_task *todo = NULL;
    BERTH_LIST_FOREACH (node, &scope->children) {
        struct weft_task *child = berth_container_of(node, struct weft_task, node);
        if (child->phase == WEFT_PHASE_HELD)
            mark(child, &todo);
    }
    walk(todo, reap);
}

void weft_reap(struct weft_reap *reap)
{
    while (reap->ended) {
        struct weft_task *task = reap->ended;
        reap->ended = task->next;
        task->rc = -ECANCELED;
        weft_task_finish(task);
    }
}

void weft_cancel(struct weft_task *task)
{
    if (!task)
        return;
    weft_task_check(task, "weft_cancel");
    weft_cancel_now(task);
}

void weft_cancel_now(struct weft_task *task)
{
    struct weft_reap reap = { 0 };
    struct weft_tree *tree = task->tree;
    weft_lock_acquire(&tree->lock);
    weft_cancel_task(task, &reap);
    weft_lock_release(&tree->lock);
    weft_reap(&reap);
}
