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
#include "fence.h"
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

static bool has_begun(const struct weft_task *task)
{
    return atomic_load_explicit(&task->has_begun, memory_order_acquire);
}

static bool may_begin(const struct weft_task *task)
{
    return task->phase == WEFT_PHASE_QUEUED && !has_begun(task);
}

/* Whether a task was still in the queue for its first turn, and will not run any more. */
static bool drop(struct weft_task *task)
{
    uint8_t open = WEFT_FATE_OPEN;
    if (task->start == WEFT_START_ATOMIC || !may_begin(task))
        return false;
    return atomic_compare_exchange_strong(&task->fate, &open, WEFT_FATE_DROPPED);
}

static void cancel_one(struct weft_task *task, struct weft_reap *reap)
{
    bool is_held = task->phase == WEFT_PHASE_HELD;
    if (is_held) {
        task->scope->held--;
        task->phase = WEFT_PHASE_QUEUED; /* nobody can release it any more */
    }
    if (is_held || drop(task)) {
        task->next = reap->ended;
        reap->ended = task;
    } else if (has_begun(task)) {
        tell(task);
    }
}

/* First all that can be found from the ones in `todo` is marked. One that begins meanwhile sees
 * that, or is seen, after the fence, to have begun: also one that will run in any case, or it could
 * park without having heard of it. */
static void walk(struct weft_task *todo, struct weft_reap *reap)
{
    struct weft_task *found = NULL, **end = &found;
    bool needs_fence = false;
    while (todo) {
        struct weft_task *task = todo;
        todo = task->next;
        *end = task;
        end = &task->next;
        needs_fence = needs_fence || may_begin(task);
        struct weft_scope_state *outermost = weft_task_scopes(task);
        if (outermost && outermost->kind != WEFT_SHIELD)
            mark_scopes(outermost, &todo);
    }
    *end = NULL;
    if (needs_fence)
        weft_fence_heavy();
    while (found) {
        struct weft_task *task = found;
        found = task->next;
        cancel_one(task, reap);
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
    weft_tree_lock(tree);
    weft_cancel_task(task, &reap);
    weft_tree_unlock(tree);
    weft_reap(&reap);
}
