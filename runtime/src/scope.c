/* SPDX-License-Identifier: MIT
 *
 * Scopes: opened and closed by their owner, failed by their children and by the clock.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "die.h"
#include "seat.h"
#include "tree.h"
#include "turn.h"

#undef weft_scope_open
#undef weft_supervisor_open
#undef weft_shield_open

_Static_assert(sizeof(struct weft_scope_state) <= sizeof(struct weft_scope), "it must fit");

static void on_deadline(struct weft_timer *timer);
static int leave(struct weft_scope_state *scope, int rc);

static struct weft_scope_state *state_of(struct weft_scope *scope)
{
    return (struct weft_scope_state *)(void *)scope;
}

struct weft_scope_state *weft_scope_state(struct weft_scope *scope, const char *call)
{
    struct weft_scope_state *s = state_of(scope);
    WEFT_REQUIRE(s && s->magic == WEFT_SCOPE_MAGIC, "%s: the scope is not open", call);
    return s;
}

/* The scope of a call that only its owner may make. */
static struct weft_scope_state *own_state(struct weft_scope *scope, const char *call)
{
    struct weft_scope_state *s = weft_scope_state(scope, call);
    WEFT_REQUIRE(s->owner == weft_self(),
                 "%s: the scope belongs to another coroutine; %s() opened it", call, s->opened_by);
    return s;
}

static struct weft_scope_state *open_scope(struct weft_scope *scope, enum weft_scope_kind kind,
                                           const char *function)
{
    struct weft_task *self = weft_self();
    WEFT_REQUIRE(self,
                 "%s() opens a scope outside a coroutine: enter by weft_run() or "
                 "weft_root_open()",
                 function);
    WEFT_REQUIRE(!self->is_compact, "%s() opens a scope in a compact coroutine", function);
    struct weft_scope_state *s = state_of(scope);
    struct weft_scope_state *outer = weft_task_innermost(self);
    *s = (struct weft_scope_state){
        .magic = WEFT_SCOPE_MAGIC,
        .kind = (uint8_t)kind,
        .owner = self,
        .outer = outer,
        .dispatcher = self->dispatcher,
        .fields = outer ? outer->fields : self->fields,
        .deadline_ns = WEFT_NEVER,
        .timer.fire = on_deadline,
        .opened_by = function,
    };
    s->fields_outer = s->fields;
    berth_list_init(&s->children);
    weft_tree_lock(self->tree);
    weft_put(&s->is_cancelled, kind != WEFT_SHIELD && weft_task_is_cancelled(self));
    if (outer)
        outer->inner = s;
    else
        self->outermost = s;
    self->feels = &s->is_cancelled;
    weft_tree_unlock(self->tree);
    return s;
}

void weft_scope_open_in(struct weft_scope *scope, const char *function)
{
    (void)open_scope(scope, WEFT_SCOPE, function);
}

void weft_supervisor_open_in(struct weft_scope *scope, const char *function)
{
    (void)open_scope(scope, WEFT_SUPERVISOR, function);
}

void weft_shield_open_in(struct weft_scope *scope, int64_t grace_ms, const char *function)
{
    (void)open_scope(scope, WEFT_SHIELD, function);
    weft_scope_deadline(scope, weft_deadline_ms(grace_ms));
}

void weft_scope_open(struct weft_scope *scope)
{
    weft_scope_open_in(scope, "a function");
}

void weft_supervisor_open(struct weft_scope *scope)
{
    weft_supervisor_open_in(scope, "a function");
}

void weft_shield_open(struct weft_scope *scope, int64_t grace_ms)
{
    weft_shield_open_in(scope, grace_ms, "a function");
}

/* Whether a turn is the first one of a child that needs a stack. */
static bool is_first_of_child(struct weft_turn *turn, const struct weft_scope_state *s)
{
    if (!turn || turn->run != weft_task_turn)
        return false;
    const struct weft_task *task = weft_turn_task(turn);
    return task->scope == s && !weft_get(&task->has_begun) && !task->is_compact;
}

/* The one child that is next anyhow is started in place: mostly it has ended then, and there is
 * nobody to wait for. (Several children follow one another faster than that.) */
static void run_next_child(struct weft_thread *thread, const struct weft_task *self,
                           const struct weft_scope_state *s)
{
    struct weft_seat *seat = weft_usual_seat(thread, self, self->unusual);
    if (!seat || !weft_seat_enter(thread, seat))
        return;
    struct weft_turn *turn = seat->bound.first ? NULL : seat->queue.first;
    bool is_one = is_first_of_child(turn, s) && !is_first_of_child(turn->next, s);
    if (is_one) {
        weft_seat_take_first(seat);
        thread->budget--;
    }
    weft_seat_leave(thread, seat);
    if (is_one && !weft_usual_start(thread, weft_turn_task(turn)))
        weft_task_turn(turn);
}

int weft_scope_close(struct weft_scope *scope, int rc)
{
    struct weft_scope_state *s = own_state(scope, "weft_scope_close");
    struct weft_task *self = s->owner;
    WEFT_REQUIRE(s == weft_task_innermost(self),
                 "weft_scope_close: the scope that %s() opened inside it is "
                 "still open",
                 weft_task_innermost(self)->opened_by);
    struct weft_thread *thread = weft_thread_self();
    if (thread->ended_count > 0) /* children that were started in place */
        weft_tasks_settle(thread);
    if (rc >= 0) {
        run_next_child(thread, self, s);
        thread = weft_thread_self();
        if (thread->ended_count > 0)
            weft_tasks_settle(thread);
    }
    struct weft_reap reap = { 0 };
    weft_tree_lock(self->tree);
    if (rc < 0 && rc != -ECANCELED && s->cause == 0)
        s->cause = rc;
    if (rc < 0)
        weft_cancel_scope(s, &reap);
    else if (s->held > 0)
        weft_cancel_held(s, &reap);
    s->is_closing = true;
    s->is_done = s->live == 0;
    weft_put(&self->is_done, s->is_done);
    weft_tree_unlock(self->tree);
    weft_reap(&reap);
    weft_wait_deaf(self, "children", &self->is_done);
    return leave(s, rc);
}

/* All children have ended. */
static int leave(struct weft_scope_state *s, int rc)
{
    struct weft_task *self = s->owner;
    if (self->has_elements)
        weft_elements_leave(s);
    if (s->deadline_ns != WEFT_NEVER)
        weft_timer_cancel(&s->timer);
    weft_tree_lock(self->tree);
    if (self->tree->marks)
        weft_marks_leave(s);
    self->feels = s->outer ? &s->outer->is_cancelled : &self->is_cancelled;
    if (s->outer)
        s->outer->inner = NULL;
    else
        self->outermost = NULL;
    s->magic = 0;
    weft_tree_unlock(self->tree);
    while (!berth_list_is_empty(&s->children)) {
        struct berth_list_node *node = berth_list_pop_front(&s->children);
        weft_task_free(berth_container_of(node, struct weft_task, node));
    }
    weft_fields_free(s->fields, s->fields_outer);
    if (s->cause < 0)
        return s->cause;
    bool is_less_than_it_seems = s->is_cut && s->is_cancelled && !s->is_cancelled_by_body;
    return rc >= 0 && is_less_than_it_seems ? -ECANCELED : rc;
}

void weft_scope_fail(struct weft_scope_state *scope, int rc, struct weft_reap *reap)
{
    if (scope->is_done)
        return;
    if (scope->cause == 0)
        scope->cause = rc;
    weft_cancel_scope(scope, reap);
}

/* A scope that is over by the end of it may be gone: not touched after the lock. */
void weft_scope_fail_now(struct weft_scope_state *scope, int rc)
{
    struct weft_reap reap = { 0 };
    struct weft_tree *tree = scope->owner->tree;
    weft_tree_lock(tree);
    weft_scope_fail(scope, rc, &reap);
    weft_tree_unlock(tree);
    weft_reap(&reap);
}

void weft_scope_child_ended(struct weft_scope_state *scope, struct weft_task *child,
                            struct weft_reap *reap)
{
    if (!child->has_handle)
        berth_list_remove(&child->node);
    if (child->rc == -ECANCELED && child->is_cancelled)
        scope->is_cut = scope->is_cut || scope->is_cancelled;
    else if (child->rc < 0 && scope->kind != WEFT_SUPERVISOR)
        weft_scope_fail(scope, weft_task_result(child), reap);
    weft_scope_children_left(scope, 1, reap);
}

void weft_scope_children_left(struct weft_scope_state *scope, unsigned count,
                              struct weft_reap *reap)
{
    scope->live -= count;
    /* Held ones that came after close began: nobody is left who could release them. */
    if (scope->is_closing && scope->live > 0 && scope->live == scope->held)
        weft_cancel_held(scope, reap);
    if (scope->live > 0 || !scope->is_closing)
        return;
    scope->is_done = true;
    scope->owner->is_done = true;
    weft_wake(scope->owner);
}

void weft_scope_deadline(struct weft_scope *scope, int64_t deadline_ns)
{
    struct weft_scope_state *s = own_state(scope, "weft_scope_deadline");
    if (deadline_ns >= s->deadline_ns)
        return;
    if (deadline_ns > weft_now_ns()) {
        weft_timer_cancel(&s->timer);
        weft_timer_set(&s->timer, deadline_ns);
        s->deadline_ns = deadline_ns;
        return;
    }
    weft_scope_fail_now(s, -ETIMEDOUT);
}

static void on_deadline(struct weft_timer *timer)
{
    weft_scope_fail_now(berth_container_of(timer, struct weft_scope_state, timer), -ETIMEDOUT);
}

void weft_scope_cancel(struct weft_scope *scope)
{
    struct weft_scope_state *s = weft_scope_state(scope, "weft_scope_cancel");
    struct weft_reap reap = { 0 };
    struct weft_tree *tree = s->owner->tree;
    weft_tree_lock(tree);
    if (s->owner == weft_self() && !s->is_cancelled)
        s->is_cancelled_by_body = true;
    weft_cancel_scope(s, &reap);
    weft_tree_unlock(tree);
    weft_reap(&reap);
}

void weft_scope_cancel_children(struct weft_scope *scope)
{
    struct weft_scope_state *s = weft_scope_state(scope, "weft_scope_cancel_children");
    struct weft_reap reap = { 0 };
    struct weft_tree *tree = s->owner->tree;
    weft_tree_lock(tree);
    weft_cancel_children(s, &reap);
    weft_tree_unlock(tree);
    weft_reap(&reap);
}

void weft_scope_on_failure(struct weft_scope *scope,
                           void (*fn)(void *arg, const char *task, int rc), void *arg)
{
    struct weft_scope_state *s = own_state(scope, "weft_scope_on_failure");
    weft_tree_lock(s->owner->tree);
    s->on_failure = fn;
    s->on_failure_arg = arg;
    weft_tree_unlock(s->owner->tree);
}

int weft_timeout_ms(int64_t ms, weft_fn fn, void *arg)
{
    int rc = weft_wait_check(weft_self(), WEFT_NEVER);
    if (rc < 0)
        return rc;
    if (!fn)
        return -EINVAL;
    if (ms <= 0)
        return -ETIMEDOUT;
    struct weft_scope scope;
    weft_scope_open_in(&scope, __func__);
    weft_scope_deadline(&scope, weft_deadline_ms(ms));
    return weft_scope_close(&scope, fn(arg));
}
