/* SPDX-License-Identifier: MIT
 *
 * Waiting for the results of tasks.
 */
#include <errno.h>
#include <stdlib.h>

#include "die.h"
#include "tree.h"

/* So many waiters of weft_await_all() lie on the stack; for more it allocates. */
#define ON_STACK_MAX 8

static void release(struct weft_task *task);
static int await_each(struct weft_task *self, struct weft_task *const *tasks, size_t count,
                      struct weft_waiter *waiters);
static int first_failure(struct weft_task *const *tasks, size_t count);

int weft_await(struct weft_task *task)
{
    return weft_await_until(task, WEFT_NEVER);
}

int weft_await_until(struct weft_task *task, int64_t deadline_ns)
{
    struct weft_task *self = weft_self();
    int rc = weft_wait_check(self, deadline_ns);
    if (rc < 0)
        return rc;
    if (!task)
        return -ECANCELED;
    if (task == self)
        return -EDEADLK;
    weft_task_check(task, "weft_await");
    rc = deadline_ns != 0 ? weft_waiter_reserve(self) : 0;
    if (rc < 0)
        return rc;
    if (deadline_ns != 0)
        release(task);

    struct weft_tree *tree = task->tree;
    weft_tree_lock(tree);
    bool has_ended = task->phase == WEFT_PHASE_ENDED;
    if (!has_ended && deadline_ns != 0)
        weft_waiters_join(&task->awaiters, self);
    weft_tree_unlock(tree);
    if (has_ended) /* perhaps because it was cancelled together with who asks */
        return self && weft_task_is_cancelled(self) ? -ECANCELED : weft_task_result(task);
    if (deadline_ns == 0)
        return -ETIMEDOUT;

    rc = weft_wait(self, "await", &self->is_done, deadline_ns);
    weft_tree_lock(tree);
    weft_waiters_leave(&task->awaiters, weft_task_waiter(self));
    if (rc != -ECANCELED && task->phase == WEFT_PHASE_ENDED)
        rc = weft_task_result(task);
    weft_tree_unlock(tree);
    return rc;
}

int weft_await_all(struct weft_task *const *tasks, size_t count)
{
    struct weft_task *self = weft_self();
    int rc = weft_wait_check(self, WEFT_NEVER);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < count; i++) {
        if (!tasks[i])
            return -ECANCELED;
        if (tasks[i] == self)
            return -EDEADLK;
        weft_task_check(tasks[i], "weft_await_all");
    }
    struct weft_waiter few[ON_STACK_MAX] = { 0 }, *many = NULL;
    if (count > ON_STACK_MAX || self->is_compact) {
        many = calloc(count, sizeof *many);
        if (!many)
            return -ENOMEM;
    }
    rc = await_each(self, tasks, count, many ? many : few);
    free(many);
    return rc;
}

/* The last to end well wakes it, and the first that does not. */
static int await_each(struct weft_task *self, struct weft_task *const *tasks, size_t count,
                      struct weft_waiter *waiters)
{
    atomic_size_t left = count;
    bool has_failed = false;
    self->is_done = false;
    for (size_t i = 0; i < count; i++) {
        struct weft_task *task = tasks[i];
        release(task);
        weft_tree_lock(task->tree);
        if (task->phase != WEFT_PHASE_ENDED) {
            waiters[i].task = self;
            waiters[i].is_done = &self->is_done;
            waiters[i].left = &left;
            weft_waiters_push(&task->awaiters, &waiters[i]);
        } else if (task->rc >= 0) {
            left--;
        } else {
            has_failed = true;
        }
        weft_tree_unlock(task->tree);
    }
    int rc = 0;
    if (!has_failed && left > 0)
        rc = weft_wait(self, "await all", &self->is_done, WEFT_NEVER);
    for (size_t i = 0; i < count; i++) {
        weft_tree_lock(tasks[i]->tree);
        weft_waiters_leave(&tasks[i]->awaiters, &waiters[i]);
        weft_tree_unlock(tasks[i]->tree);
    }
    if (rc == 0 && weft_task_is_cancelled(self)) /* they may have been cancelled with it */
        rc = -ECANCELED;
    return rc < 0 ? rc : first_failure(tasks, count);
}

static int first_failure(struct weft_task *const *tasks, size_t count)
{
    const struct weft_task *first = NULL;
    for (size_t i = 0; i < count; i++) {
        struct weft_tree *tree = tasks[i]->tree;
        weft_tree_lock(tree);
        uint64_t order = tasks[i]->phase == WEFT_PHASE_ENDED ? tasks[i]->failed_order : 0;
        weft_tree_unlock(tree);
        if (order > 0 && (!first || order < first->failed_order))
            first = tasks[i];
    }
    return first ? weft_task_result(first) : 0;
}

/* Queues a held task. */
static void release(struct weft_task *task)
{
    weft_tree_lock(task->tree);
    bool is_held = task->phase == WEFT_PHASE_HELD;
    if (is_held) {
        task->scope->held--;
        task->phase = WEFT_PHASE_QUEUED;
    }
    int rc = is_held ? weft_task_start(task) : 0;
    weft_tree_unlock(task->tree);
    if (rc < 0)
        weft_task_refused(task, rc);
}

void weft_task_release(struct weft_task *task)
{
    if (!task)
        return;
    weft_task_check(task, "weft_task_release");
    release(task);
}
