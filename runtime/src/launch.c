/* SPDX-License-Identifier: MIT
 *
 * Starting coroutines in a scope.
 */
#include <errno.h>
#include <string.h>

#include "die.h"
#include "immediate.h"
#include "test_run.h"
#include "tree.h"

static const struct weft_task_opts no_opts;

static int start(struct weft_scope *scope, struct weft_task_spec *spec, const char *call,
                 struct weft_task **ret_task);
static int enter(struct weft_scope_state *s, struct weft_task *task, bool is_here);

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
    if (s->kind == WEFT_SUPERVISOR)
        return rc;
    struct weft_reap reap = { 0 };
    struct weft_tree *tree = s->owner->tree;
    weft_lock_acquire(&tree->lock);
    weft_scope_fail(s, rc, &reap);
    weft_lock_release(&tree->lock);
    weft_reap(&reap);
    return rc;
}

int weft_launch(struct weft_scope *scope, struct weft_dispatcher *d, weft_fn fn, void *arg)
{
    struct weft_task_spec spec = { .dispatcher = d, .fn = fn, .arg = arg };
    return start(scope, &spec, "weft_launch", NULL);
}

int weft_launch_opts(struct weft_scope *scope, struct weft_dispatcher *d, weft_fn fn, void *arg,
                     const struct weft_task_opts *opts)
{
    struct weft_task_spec spec = { .dispatcher = d, .fn = fn, .arg = arg };
    int rc = spec_of(opts, &spec);
    return rc < 0 ? fail(scope, "weft_launch_opts", rc) : start(scope, &spec, "weft_launch", NULL);
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

static int start(struct weft_scope *scope, struct weft_task_spec *spec, const char *call,
                 struct weft_task **ret_task)
{
    struct weft_scope_state *s = weft_scope_state(scope, call);
    const struct weft_task *self = weft_self();
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
    rc = enter(s, task, is_here);
    if (rc == 0 && is_here)
        weft_start_here(task);
    if (rc == 0)
        return 0;
    weft_task_free(task);
    return rc == -ECANCELED ? rc : fail(scope, call, rc);
}

/* Links the task into the scope and queues it, unless it is held or starts here. */
static int enter(struct weft_scope_state *s, struct weft_task *task, bool is_here)
{
    struct weft_tree *tree = s->owner->tree;
    weft_lock_acquire(&tree->lock);
    if (s->is_cancelled) {
        weft_lock_release(&tree->lock);
        return -ECANCELED;
    }
    task->tree = tree;
    task->scope = s;
    task->fields = s->fields;
    task->has_elements = weft_elements_are_in(s->fields);
    berth_list_push_back(&s->children, &task->node);
    s->live++;
    s->held += task->start == WEFT_START_HELD;
    int rc = 0;
    if (!is_here && task->start != WEFT_START_HELD)
        rc = weft_task_start(task);
    if (rc < 0) {
        berth_list_remove(&task->node);
        s->live--;
    }
    weft_lock_release(&tree->lock);
    return rc;
}
