/* SPDX-License-Identifier: MIT
 *
 * Starting coroutines in a scope.
 */
#include <errno.h>
#include <string.h>

#include "die.h"
#include "immediate.h"
#include "seat.h"
#include "stack.h"
#include "task_block.h"
#include "test_run.h"
#include "trace.h"
#include "tree.h"
#include "turn.h"

static const struct weft_task_opts no_opts;

static int start(struct weft_scope *scope, struct weft_task_spec *spec, const char *call,
                 struct weft_task **ret_task);

static int spec_of(const struct weft_task_opts *opts, struct weft_task_spec *spec)
{
    bool is_held_for_ever = opts->start == WEFT_START_HELD && !spec->has_handle;
    if ((unsigned)opts->start > WEFT_START_UNDISPATCHED || is_held_for_ever)
        return -EINVAL;
    for (size_t i = 0; i < sizeof opts->reserved / sizeof opts->reserved[0]; i++) {
        if (opts->reserved[i] != 0)
            return -EINVAL;
    }
    spec->name = opts->name;
    spec->start = opts->start;
    spec->stack_bytes = opts->stack_bytes;
    spec->is_compact = opts->compact && opts->stack_bytes == 0 && weft_compact_is_possible();
    return 0;
}

/* A start that fails is a failure of the scope. */
static int fail(struct weft_scope *scope, const char *call, int rc)
{
    struct weft_scope_state *s = weft_scope_state(scope, call);
    if (s->kind != WEFT_SUPERVISOR)
        weft_scope_fail_now(s, rc);
    return rc;
}

int weft_launch_copy(struct weft_scope *scope, struct weft_dispatcher *d, weft_fn fn,
                     const void *item, size_t item_bytes)
{
    if (item_bytes > WEFT_ITEM_BYTES_MAX || !item)
        return fail(scope, "weft_launch_copy", -EINVAL);
    struct weft_task_spec spec = {
        .dispatcher = d,
        .fn = fn,
        .item = item,
        .item_bytes = item_bytes,
        .start = WEFT_START_ATOMIC,
    };
    return start(scope, &spec, "weft_launch_copy", NULL);
}

struct weft_task *weft_async(struct weft_scope *scope, struct weft_dispatcher *d, weft_fn fn,
                             void *arg)
{
    return weft_async_opts(scope, d, fn, arg, &no_opts);
}

struct weft_task *weft_async_opts(struct weft_scope *scope, struct weft_dispatcher *d, weft_fn fn,
                                  void *arg, const struct weft_task_opts *opts)
{
    struct weft_task_spec spec = { .dispatcher = d, .fn = fn, .arg = arg, .has_handle = true };
    int rc = spec_of(opts, &spec);
    if (rc < 0) {
        (void)fail(scope, "weft_async_opts", rc);
        return NULL;
    }
    struct weft_task *task = NULL;
    rc = start(scope, &spec, "weft_async", &task);
    return rc < 0 ? NULL : task;
}

/* Links the task into the scope, unless that is cancelled. */
static inline __attribute__((always_inline)) int
enter(const struct weft_thread *thread, struct weft_scope_state *s, struct weft_task *task)
{
    struct weft_tree *tree = s->owner->tree;
    task->tree = tree;
    task->scope = s;
    weft_tree_lock_by(thread, tree);
    bool is_open = !weft_get(&s->is_cancelled);
    if (is_open) {
        task->fields = s->fields;
        task->has_elements = weft_elements_are_in(s->fields);
        berth_list_push_back(&s->children, &task->node);
        s->live++;
        s->held += task->start == WEFT_START_HELD;
    }
    weft_tree_unlock_by(thread, tree);
    return is_open ? 0 : -ECANCELED;
}

/* It is in its scope: whoever cancels may drop it before it is queued, which does no harm. */
static int queue(struct weft_task *task)
{
    struct weft_dispatcher *d = weft_get(&task->dispatcher);
    int rc = d->ops->dispatch(d, &task->turn);
    if (rc < 0)
        weft_task_refused(task, rc);
    return rc;
}

static int start(struct weft_scope *scope, struct weft_task_spec *spec, const char *call,
                 struct weft_task **ret_task)
{
    struct weft_scope_state *s = weft_scope_state(scope, call);
    struct weft_thread *thread = weft_thread_self();
    const struct weft_task *self = thread ? thread->current : NULL;
    WEFT_REQUIRE(self && self->tree == s->owner->tree,
                 "%s: the caller is not inside the scope that %s() opened", call, s->opened_by);
    if (!spec->dispatcher)
        spec->dispatcher = s->dispatcher;
    bool is_here = weft_starts_here(&spec->dispatcher) && spec->start != WEFT_START_HELD;
    if (!weft_test_fits(self->tree->test, spec->dispatcher))
        return fail(scope, call, weft_test_foreign(call, spec->dispatcher));
    is_here = is_here || spec->start == WEFT_START_UNDISPATCHED;
    struct weft_task *task;
    int rc = weft_task_new(spec, &task);
    if (rc < 0)
        return fail(scope, call, rc);
    if (ret_task)
        *ret_task = task; /* before it can run: it may be asked about by then */
    rc = enter(thread, s, task);
    if (rc < 0) {
        weft_task_free(task);
        return rc;
    }
    if (is_here)
        weft_start_here(task);
    else if (spec->start != WEFT_START_HELD)
        rc = queue(task);
    return rc;
}

/* What the calling thread has at hand for an ordinary coroutine; NULL: something is missing. */
static inline struct weft_task *take_usual(struct weft_thread *thread, struct weft_dispatcher *d,
                                           weft_fn fn, void *arg)
{
    struct weft_stack_cache *stacks = &thread->stacks;
    bool has_all = thread->blocks.kinds[WEFT_BLOCK_FULL].count > 1 &&
                   stacks->credits > stacks->count && thread->id_next != thread->id_end;
    if (!has_all || weft_get(&weft_tasks_are_limited) || weft_trace_is_on())
        return NULL;
    struct weft_task *task = weft_task_block_take_own(&thread->blocks);
    stacks->credits--;
    weft_task_init(task, d, fn, arg, stacks->size_class);
    task->id = thread->id_next++;
    return task;
}

/* The usual launch: into a scope of the caller's tree, on a dispatcher that always queues. NULL: it
 * may be another one, and nothing was done. */
static inline struct weft_task *new_usual(struct weft_thread *thread,
                                          const struct weft_scope_state *s,
                                          struct weft_dispatcher *d, weft_fn fn, void *arg)
{
    const struct weft_task *self = thread ? thread->current : NULL;
    if (!self || !s || s->magic != WEFT_SCOPE_MAGIC || !fn || self->tree != s->owner->tree)
        return NULL;
    d = d ? d : s->dispatcher;
    if (weft_is_immediate(d) || d == &weft_unconfined_dispatcher || d->test || self->tree->test)
        return NULL;
    return take_usual(thread, d, fn, arg);
}

static __attribute__((noinline)) int launch_other(struct weft_scope *scope,
                                                  struct weft_dispatcher *d, weft_fn fn, void *arg)
{
    struct weft_task_spec spec = { .dispatcher = d, .fn = fn, .arg = arg };
    return start(scope, &spec, "weft_launch", NULL);
}

/* Into the scope, and on its way. */
static inline __attribute__((always_inline)) int
go(struct weft_thread *thread, struct weft_scope_state *s, struct weft_task *task, bool is_here)
{
    int rc = enter(thread, s, task);
    if (rc < 0)
        weft_task_free(task);
    else if (is_here && !weft_usual_start(thread, task))
        weft_task_turn(&task->turn);
    else if (!is_here && !weft_pool_push(thread, weft_get(&task->dispatcher), &task->turn))
        rc = queue(task);
    return rc;
}

int weft_launch(struct weft_scope *scope, struct weft_dispatcher *d, weft_fn fn, void *arg)
{
    struct weft_thread *thread = weft_thread_self();
    struct weft_scope_state *s = (struct weft_scope_state *)(void *)scope;
    struct weft_task *task = new_usual(thread, s, d, fn, arg);
    return task ? go(thread, s, task, false) : launch_other(scope, d, fn, arg);
}

static __attribute__((noinline)) int launch_opts_other(struct weft_scope *scope,
                                                       struct weft_dispatcher *d, weft_fn fn,
                                                       void *arg, const struct weft_task_opts *opts)
{
    struct weft_task_spec spec = { .dispatcher = d, .fn = fn, .arg = arg };
    int rc = spec_of(opts, &spec);
    return rc < 0 ? fail(scope, "weft_launch_opts", rc) : start(scope, &spec, "weft_launch", NULL);
}

/* Whether nothing is asked for but how it starts. */
static inline bool is_plain(const struct weft_task_opts *opts)
{
    uint64_t odd = opts->stack_bytes | (uintptr_t)opts->name | opts->compact;
    for (size_t i = 0; i < sizeof opts->reserved / sizeof opts->reserved[0]; i++)
        odd |= opts->reserved[i];
    return odd == 0 && (unsigned)opts->start <= WEFT_START_UNDISPATCHED &&
           opts->start != WEFT_START_HELD;
}

int weft_launch_opts(struct weft_scope *scope, struct weft_dispatcher *d, weft_fn fn, void *arg,
                     const struct weft_task_opts *opts)
{
    struct weft_thread *thread = weft_thread_self();
    struct weft_scope_state *s = (struct weft_scope_state *)(void *)scope;
    struct weft_task *task = is_plain(opts) ? new_usual(thread, s, d, fn, arg) : NULL;
    if (!task)
        return launch_opts_other(scope, d, fn, arg, opts);
    task->start = (unsigned)opts->start & 3;
    return go(thread, s, task, opts->start == WEFT_START_UNDISPATCHED);
}
