/* SPDX-License-Identifier: MIT
 *
 * The life of a coroutine but for its turns: made, queued for the first time, ended.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "die.h"
#include "seat.h"
#include "stack.h"
#include "sys.h"
#include "task_block.h"
#include "test_run.h"
#include "trace.h"
#include "tree.h"

static atomic_uint_fast64_t failures; /* of the process, so that the first of several is known */

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
    bool is_small = spec->is_compact && !spec->has_handle && !spec->name && !spec->item;
    bool has_own_block = spec->item && spec->item_bytes > WEFT_TASK_ITEM_BYTES;
    enum weft_block_kind kind = is_small ? WEFT_BLOCK_SMALL : WEFT_BLOCK_FULL;
    struct weft_task *task = NULL;
    struct weft_thread *thread = weft_thread_self();
    rc = weft_stack_reserve(thread ? &thread->stacks : NULL, stack_class);
    if (rc == 0) {
        task = has_own_block ? malloc(sizeof *task + spec->item_bytes)
                             : weft_task_block_take(thread ? &thread->blocks : NULL, kind);
        if (!task)
            weft_stack_unreserve(thread ? &thread->stacks : NULL, stack_class);
    }
    if (!task) {
        weft_tasks_leave();
        return -ENOMEM;
    }
    weft_task_init(task, spec->dispatcher, spec->fn, spec->arg, stack_class);
    task->id = weft_task_id_new(thread);
    task->start = (unsigned)spec->start & 3;
    if (spec->start == WEFT_START_HELD)
        weft_put(&task->phase, WEFT_PHASE_HELD);
    task->has_own_block = has_own_block;
    task->is_compact = spec->is_compact;
    task->is_small = is_small;
    if (spec->name) {
        task->has_name = true;
        task->name = spec->name;
    }
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
    if (weft_get(&task->fate) >= WEFT_FATE_DROPPED_LAST &&
        atomic_fetch_sub(&task->fate, 1) == WEFT_FATE_DROPPED)
        return;
    if (task->has_handle)
        weft_put(&task->phase, WEFT_PHASE_GONE);
    struct weft_thread *thread = weft_thread_self();
    if (task->stack_class >= 0) { /* it never came to its end */
        weft_stack_unreserve(thread ? &thread->stacks : NULL, task->stack_class);
        weft_tasks_leave();
    }
    if (task->has_box)
        free(task->box);
    if (task->has_own_block)
        free(task);
    else
        weft_task_block_give(thread ? &thread->blocks : NULL, task,
                             task->is_small ? WEFT_BLOCK_SMALL : WEFT_BLOCK_FULL);
}

int weft_task_start(struct weft_task *task)
{
    struct weft_dispatcher *d = weft_get(&task->dispatcher);
    if (weft_pool_push(weft_thread_self(), d, &task->turn))
        return 0;
    return d->ops->dispatch(d, &task->turn);
}

void weft_task_refused(struct weft_task *task, int rc)
{
    if (weft_task_claim(task) == WEFT_CLAIM_DROPPED) {
        weft_task_free(task);
        return;
    }
    task->rc = rc;
    weft_task_finish(task);
}

void weft_tasks_settle(struct weft_thread *thread)
{
    _Static_assert(offsetof(struct weft_task, turn) == 0 && offsetof(struct weft_turn, next) == 0,
                   "turns in a list are blocks in a list");
    struct weft_reap reap = { 0 };
    struct weft_scope_state *scope = thread->ended_scope;
    struct weft_tree *tree = scope->owner->tree;
    weft_tree_lock_by(thread, tree);
    for (const struct weft_turn *turn = thread->ended.first; turn; turn = turn->next)
        berth_list_remove(&berth_container_of(turn, struct weft_task, turn)->node);
    weft_scope_children_left(scope, thread->ended_count, &reap);
    weft_tree_unlock_by(thread, tree);
    bool is_small = berth_container_of(thread->ended.first, struct weft_task, turn)->is_small;
    enum weft_block_kind kind = is_small ? WEFT_BLOCK_SMALL : WEFT_BLOCK_FULL; /* all of them */
    if (!weft_task_block_give_own(&thread->blocks, thread->ended.first, thread->ended.last,
                                  thread->ended_count, kind))
        for (struct weft_turn *turn; (turn = weft_turns_pop(&thread->ended));)
            weft_task_block_give(&thread->blocks, turn, kind);
    thread->ended.first = NULL;
    thread->ended_count = 0;
    weft_reap(&reap);
}

void weft_task_finish(struct weft_task *task)
{
    if (task->stack_class >= 0) { /* it has never begun */
        weft_stack_unreserve(stacks_here(), task->stack_class);
        /* Its turn is still in a queue, and may be looked at there (is_first_of_sibling()). */
        __atomic_store_n(&task->stack_class, (int8_t)-1, __ATOMIC_RELAXED);
    }
    weft_tasks_leave();
    weft_trace_finish(task);

    struct weft_reap reap = { 0 };
    struct weft_tree *tree = task->tree;
    bool has_handle = task->has_handle;
    weft_tree_lock(tree);
    /* A release, for a select that looks without the lock (select.c) and then at rc. */
    atomic_store_explicit(&task->phase, WEFT_PHASE_ENDED, memory_order_release);
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
    weft_tree_unlock(tree);
    if (is_root)
        weft_sys_futex_wake(&tree->has_ended);
    if (!has_handle)
        weft_task_free(task);
    weft_reap(&reap);
}

void weft_task_report(struct weft_task *self)
{
    struct weft_scope_state *scope = self->scope;
    if (!scope || scope->kind != WEFT_SUPERVISOR || self->has_handle || self->rc >= 0)
        return;
    if (self->rc == -ECANCELED && self->is_cancelled)
        return;
    int rc = self->rc == -ECANCELED ? WEFT_ECHILD : self->rc;
    char name[WEFT_NAME_BYTES];
    weft_tree_lock(self->tree);
    void (*fn)(void *, const char *, int) = scope->on_failure;
    void *arg = scope->on_failure_arg;
    weft_tree_unlock(self->tree);
    if (fn) {
        fn(arg, weft_task_name_search(self, name), rc);
    } else {
        (void)fprintf(stderr, "weft: coroutine '%s' failed: %s (%d)\n",
                      weft_task_name_search(self, name), weft_strerror(rc), rc);
        weft_test_uncaught(rc);
    }
    WEFT_REQUIRE(!weft_task_innermost(self),
                 "a scope is still open after on_failure; it was opened in %s()",
                 weft_task_innermost(self)->opened_by);
}

int weft_task_result(const struct weft_task *task)
{
    return task->rc == -ECANCELED ? WEFT_ECHILD : task->rc;
}

struct weft_dispatcher *weft_current(void)
{
    const struct weft_task *self = weft_self();
    return self ? self->dispatcher : NULL;
}

int weft_check(void)
{
    const struct weft_task *self = weft_self();
    return self && weft_task_is_cancelled(self) ? -ECANCELED : 0;
}
