/* SPDX-License-Identifier: MIT */
#include "view.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/container.h"

#include "dead.h"
#include "die.h"
#include "immediate.h"
#include "names.h"
#include "test_run.h"
#include "thread_set.h"
#include "trace.h"
#include "tree.h"

static int view_dispatch(struct weft_dispatcher *d, struct weft_turn *turn);
static bool view_is_here(struct weft_dispatcher *d);
static void loop_run(struct weft_turn *starter);
static void bound_run(struct weft_turn *turn);
static bool loop_wanted(struct weft_view *view);
static int loop_send(struct weft_view *view, const struct weft_turn *turn);

static const struct weft_ops view_ops = { .dispatch = view_dispatch, .is_here = view_is_here };

static struct weft_lock all_lock;
static struct weft_view *all; /* under it */
static struct weft_dead dead;

static struct weft_view *view_of(struct weft_dispatcher *d)
{
    return berth_container_of(d, struct weft_view, base);
}

static void lock(struct weft_view *view)
{
    weft_bias_acquire(&view->lock, weft_holder(weft_thread_self()), WEFT_BIAS_VIEW);
}

static void unlock(struct weft_view *view)
{
    weft_bias_release(&view->lock, weft_holder(weft_thread_self()), WEFT_BIAS_VIEW);
}

static int view_new(const char *call, struct weft_dispatcher *parent, int limit, const char *name,
                    struct weft_dispatcher **ret_view)
{
    if (limit < 1 || limit > WEFT_VIEW_LIMIT_MAX)
        return -EINVAL;
    if (parent->fixed && parent->fixed->is_closed)
        return -ENODEV;
    if (parent->test != weft_test_here())
        return weft_test_foreign(call, parent);
    const char *copy;
    int rc = weft_name_take(name, &copy);
    if (rc < 0)
        return rc;
    struct weft_view *view = calloc(1, sizeof *view);
    if (!view) {
        weft_name_give(copy);
        return -ENOMEM;
    }
    view->base = (struct weft_dispatcher){
        .name = copy,
        .ops = &view_ops,
        .intercepts = parent->intercepts,
        .fixed = parent->fixed,
        .test = parent->test,
    };
    view->parent = parent;
    view->limit = (unsigned)limit;
    view->starter.run = loop_run;
    weft_lock_acquire(&all_lock);
    view->next = all;
    all = view;
    weft_lock_release(&all_lock);
    *ret_view = &view->base;
    return 0;
}

static int view_of_parent(const char *call, struct weft_dispatcher *parent, int limit,
                          const char *name, struct weft_dispatcher **ret_view)
{
    parent = weft_queued(parent);
    bool can_be = parent && parent != &weft_unconfined_dispatcher;
    return can_be ? view_new(call, parent, limit, name, ret_view) : -EINVAL;
}

int weft_view_nested(struct weft_dispatcher *parent, int limit, const char *name,
                     struct weft_dispatcher **ret_view)
{
    return view_of_parent("weft_view_nested", parent, limit, name, ret_view);
}

int weft_view_independent(int limit, const char *name, struct weft_dispatcher **ret_view)
{
    return view_new("weft_view_independent", weft_pool_blocking(), limit, name, ret_view);
}

int weft_view_serial(struct weft_dispatcher *parent, const char *name,
                     struct weft_dispatcher **ret_view)
{
    return view_of_parent("weft_view_serial", parent, 1, name, ret_view);
}

/* It stays as a dead handle, and takes the place of an older one. */
static void view_end(struct weft_view *view)
{
    weft_name_release(view->base.name);
    weft_dispatcher_end(&view->base, view->base.test);
    struct weft_view *oldest = weft_dead_keep(&dead, view);
    if (!oldest)
        return;
    weft_name_give(oldest->base.name);
    free(oldest);
}

void weft_views_fini(const struct weft_test *test)
{
    struct weft_view *gone = NULL;
    weft_lock_acquire(&all_lock);
    for (struct weft_view **link = &all; *link;) {
        struct weft_view *view = *link;
        if (view->base.test != test) {
            link = &view->next;
            continue;
        }
        *link = view->next;
        view->next = gone;
        gone = view;
    }
    weft_lock_release(&all_lock);
    for (struct weft_view *view; (view = gone);) {
        WEFT_REQUIRE(view->running == 0, "view '%s' has work at the end", view->base.name);
        gone = view->next;
        view_end(view);
    }
}

bool weft_view_look(size_t index, struct weft_view_state *ret_state)
{
    weft_lock_acquire(&all_lock);
    struct weft_view *view = all;
    for (; view && index > 0; index--)
        view = view->next;
    if (view) {
        *ret_state = (struct weft_view_state){ .limit = view->limit };
        (void)snprintf(ret_state->name, sizeof ret_state->name, "%s", view->base.name);
        (void)snprintf(ret_state->parent, sizeof ret_state->parent, "%s", view->parent->name);
        lock(view);
        ret_state->running = view->running;
        for (const struct weft_turn *turn = view->queue.first;
             turn && ret_state->queued < WEFT_VIEW_QUEUED_SHOWN_MAX; turn = turn->next)
            ret_state->queued++;
        unlock(view);
    }
    weft_lock_release(&all_lock);
    return view;
}

static int view_dispatch(struct weft_dispatcher *d, struct weft_turn *turn)
{
    struct weft_view *view = view_of(d);
    struct weft_bias_holder *holder = weft_holder(weft_thread_self());
    weft_bias_acquire(&view->lock, holder, WEFT_BIAS_VIEW);
    weft_turns_push(&view->queue, turn);
    bool must_send = loop_wanted(view);
    weft_bias_release(&view->lock, holder, WEFT_BIAS_VIEW);
    return must_send ? loop_send(view, turn) : 0;
}

/* Under the lock, with turns in the queue: takes a place for one more loop, if it is to be sent. */
static bool loop_wanted(struct weft_view *view)
{
    if (view->is_starting || view->running == view->limit)
        return false;
    view->is_starting = true;
    view->running++;
    return true;
}

/* The first loop of a view whose parent is gone takes all turns with it. Takes `turn` out of them:
 * whether it was there. */
static bool refuse_all(struct weft_turns *turns, const struct weft_turn *turn, int rc)
{
    bool is_found = false;
    for (struct weft_turn *each; (each = weft_turns_pop(turns));) {
        if (each == turn)
            is_found = true;
        else
            weft_turn_refused(each, rc);
    }
    return is_found;
}

/* A loop does not come, so its place is free. If there is no other, nobody would run the turns:
 * they are refused, too. `turn`, or NULL: which the caller refuses himself, if this returns true.
 */
static bool place_lost(struct weft_view *view, bool was_starter, const struct weft_turn *turn,
                       int rc)
{
    struct weft_turns taken = { 0 }, queue = { 0 };
    lock(view);
    if (was_starter)
        view->is_starting = false;
    view->running--;
    if (view->running == 0) {
        taken = view->taken;
        queue = view->queue;
        view->taken = view->queue = (struct weft_turns){ 0 };
    }
    unlock(view);
    (void)refuse_all(&taken, NULL, rc);
    return refuse_all(&queue, turn, rc);
}

/* `turn`: the one for which it is sent, or NULL. Negative: that turn is refused. */
static int loop_send(struct weft_view *view, const struct weft_turn *turn)
{
    int rc = view->parent->ops->dispatch(view->parent, &view->starter);
    return rc < 0 && place_lost(view, true, turn, rc) ? rc : 0;
}

bool weft_view_refused(struct weft_turn *turn, int rc)
{
    if (turn->run == loop_run) {
        (void)place_lost(berth_container_of(turn, struct weft_view, starter), true, NULL, rc);
        return true;
    }
    if (turn->run == bound_run) { /* it has a place of each view around it */
        struct weft_task *task = berth_container_of(turn, struct weft_task, turn);
        struct weft_dispatcher *d = task->dispatcher;
        weft_task_turn_restore(task);
        for (; d->ops == &view_ops; d = view_of(d)->parent)
            (void)place_lost(view_of(d), false, NULL, rc);
    }
    return false;
}

/* Under the lock. */
static struct weft_turn *pop(struct weft_view *view)
{
    if (view->limit > 1 && view->base.test)
        return weft_test_pop(&view->queue, view->limit);
    if (view->limit > 1)
        return weft_turns_pop(&view->queue);
    view->taken = view->queue; /* nobody else takes any: all of them for one lock */
    view->queue = (struct weft_turns){ 0 };
    return weft_turns_pop(&view->taken);
}

/* The loop is no more: its thread is between two turns of the parent. */
static void loop_leave(struct weft_view_loop *loop)
{
    weft_trace_loop_end(&loop->view->base);
    loop->view = NULL;
    loop->thread->loop = loop->outer;
}

/* A turn that must run on another seat takes the loop along, with the places of it and of those
 * around it: it becomes their turn there. */
static void go_along(struct weft_view_loop *loop, struct weft_turn *turn)
{
    loop->thread->loop = NULL;
    for (struct weft_view_loop *each = loop; each; each = each->outer) {
        weft_trace_loop_end(&each->view->base);
        each->view = NULL;
    }
    turn->run = bound_run;
    int rc = weft_turn_to_seat(turn);
    if (rc < 0)
        weft_turn_refused(turn, rc);
}

/* The turn, or NULL if it is not for this thread. */
static struct weft_turn *here(struct weft_view_loop *loop, struct weft_turn *turn)
{
    if (!turn->seat || turn->seat == loop->thread->seat)
        return turn;
    go_along(loop, turn);
    return NULL;
}

/* The loop has had its turns: its place goes to the tail of the parent's queue, or is free, if a
 * loop waits there already. */
static void give_way(struct weft_view_loop *loop)
{
    struct weft_view *view = loop->view;
    loop_leave(loop);
    lock(view);
    view->running--;
    bool has_more = view->taken.first || view->queue.first;
    bool must_send = has_more && loop_wanted(view);
    unlock(view);
    if (must_send)
        (void)loop_send(view, NULL);
}

struct weft_turn *weft_view_next(struct weft_view_loop *loop)
{
    struct weft_view *view = loop->view;
    if (!view)
        return NULL;
    unsigned turns_max = view->base.test ? 1 : WEFT_VIEW_TURNS_MAX;
    if (loop->turns++ == turns_max || weft_pool_must_leave(loop->thread)) {
        give_way(loop);
        return NULL;
    }
    if (view->limit == 1 && view->taken.first)
        return here(loop, weft_turns_pop(&view->taken));
    lock(view);
    struct weft_turn *turn = pop(view);
    if (!turn)
        view->running--;
    unlock(view);
    if (turn)
        return here(loop, turn);
    loop_leave(loop);
    return NULL;
}

/* The starter is free again: it may become the next loop. */
static struct weft_turn *loop_begin(struct weft_view_loop *loop)
{
    struct weft_view *view = loop->view;
    lock(view);
    view->is_starting = false;
    bool must_send = view->queue.first && view->queue.first->next && loop_wanted(view);
    unlock(view);
    if (must_send)
        (void)loop_send(view, NULL);
    return weft_view_next(loop);
}

static void loop_enter(struct weft_view_loop *loop, struct weft_view *view)
{
    struct weft_thread *thread = weft_thread_self();
    *loop = (struct weft_view_loop){ .view = view, .thread = thread, .outer = thread->loop };
    thread->loop = loop;
    weft_trace_loop_begin(&view->base);
}

/* `turn`: the first, or NULL. */
static void loop_go_on(struct weft_view_loop *loop, struct weft_turn *turn)
{
    for (; turn; turn = weft_view_next(loop)) {
        weft_threads_unpromise(loop->thread);
        weft_thread_run(loop->thread, turn);
    }
}

static void loop_run(struct weft_turn *starter)
{
    struct weft_view_loop loop;
    loop_enter(&loop, berth_container_of(starter, struct weft_view, starter));
    loop_go_on(&loop, loop_begin(&loop));
}

/* A view and those inside it, down to the one whose turn it is. */
struct chain {
    struct weft_view *view;
    struct chain *inner;
};

static void chain_run(const struct chain *chain, struct weft_turn *turn)
{
    struct weft_view_loop loop;
    loop_enter(&loop, chain->view);
    if (!chain->inner) {
        loop_go_on(&loop, turn);
        return;
    }
    chain_run(chain->inner, turn);
    loop_go_on(&loop, weft_view_next(&loop));
}

/* Finds the outermost view first, and enters them from there. */
static void chain_find(struct weft_view *view, struct chain *inner, struct weft_turn *turn)
{
    struct chain chain = { .view = view, .inner = inner };
    if (view->parent->ops == &view_ops)
        chain_find(view_of(view->parent), &chain, turn);
    else
        chain_run(&chain, turn);
}

/* On the seat to which the turn is bound. It is one of a coroutine that has begun. */
static void bound_run(struct weft_turn *turn)
{
    struct weft_task *task = berth_container_of(turn, struct weft_task, turn);
    weft_task_turn_restore(task);
    chain_find(view_of(task->dispatcher), NULL, turn);
}

bool weft_view_enter_here(struct weft_thread *thread, struct weft_task *self,
                          struct weft_dispatcher *d)
{
    const struct weft_seat *seat = weft_get(&thread->seat);
    if (d->ops != &view_ops || thread->loop || thread->budget == 0 || !seat)
        return false;
    struct weft_view *view = view_of(d);
    bool is_usual = view->parent == &seat->pool->base &&
                    weft_get(&self->dispatcher) == view->parent && !self->outer &&
                    !self->is_compact && !view->base.test && !weft_trace_is_on();
    if (!is_usual)
        return false;
    weft_bias_acquire(&view->lock, thread->holder, WEFT_BIAS_VIEW);
    bool is_free = !view->is_starting && view->running < view->limit && !view->queue.first;
    view->running += is_free;
    weft_bias_release(&view->lock, thread->holder, WEFT_BIAS_VIEW);
    if (!is_free)
        return false;
    thread->budget--; /* so that every so often others have a turn */
    thread->own_loop = (struct weft_view_loop){ .view = view, .thread = thread };
    thread->loop = &thread->own_loop;
    return true;
}

bool weft_view_leave_here(struct weft_thread *thread, struct weft_dispatcher *d)
{
    struct weft_view_loop *loop = &thread->own_loop;
    struct weft_view *view = view_of(d);
    if (thread->loop != loop || loop->view != view || weft_pool_must_leave(thread))
        return false;
    weft_bias_acquire(&view->lock, thread->holder, WEFT_BIAS_VIEW);
    bool is_wanted = view->taken.first || view->queue.first;
    view->running -= !is_wanted;
    weft_bias_release(&view->lock, thread->holder, WEFT_BIAS_VIEW);
    if (is_wanted)
        give_way(loop);
    else
        loop_leave(loop);
    return true;
}

void weft_view_finish(struct weft_thread *thread)
{
    while (thread->loop)
        loop_go_on(thread->loop, weft_view_next(thread->loop));
}

static bool view_is_here(struct weft_dispatcher *d)
{
    const struct weft_thread *thread = weft_thread_self();
    const struct weft_view_loop *loop = thread ? thread->loop : NULL;
    while (loop && loop->view != view_of(d))
        loop = loop->outer;
    return loop;
}

bool weft_is_innermost(struct weft_dispatcher *d)
{
    const struct weft_thread *thread = weft_thread_self();
    return thread && thread->loop ? &thread->loop->view->base == d : d->ops->is_here(d);
}
