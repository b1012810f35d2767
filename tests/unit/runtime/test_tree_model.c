/* SPDX-License-Identifier: MIT
 *
 * Random trees of coroutines against a model of the rules.
 *
 * Under each seed coroutines do at random what coroutines do: they open scopes of all kinds, with
 * and without deadlines, launch into their own scopes and those around them, wait, fail, cancel.
 * Beside it runs a model, a few flags a scope: after every step it says what must be true. It is
 * never in doubt but for deadlines that fall due in this very instant: then both are allowed.
 *
 * 1. Children end first: when a scope has closed, all its children have ended or never start.
 * 2. The first cause comes out of weft_scope_close().
 * 3. After cancelling nothing new starts, but what starts in any case.
 * 4. What was started ends, once; what was not started was cancelled.
 * 5. Who is cancelled hears of it at the next wait, and nobody else does; a shield keeps it off.
 * 6. weft_await() returns what the task returned.
 * 7. A supervisor hears of each launch that failed, once.
 */
#include "treemodel.h"

#define SEED_COUNT (TEST_IS_SLOW ? 200 : 3000)
#define OPS_MAX    7
#define DEPTH_MAX  4

static int run_node(void *arg);
static int run_ops(struct node *self, int depth);

/* ---- coroutines ------------------------------------------------------------------------------ */

static void check_start(struct node *self)
{
    const struct scope *home = self->home;
    if (self->started_count++ > 0)
        wrong("coroutine %d starts twice", id_of(self));
    if (!home)
        return;
    if (!home->is_open)
        wrong("coroutine %d starts after its scope has closed", id_of(self));
    if (self->is_held)
        wrong("coroutine %d was held, and starts", id_of(self));
    if (is_cancelled(self) == YES && !self->runs_in_any_case)
        wrong("coroutine %d starts after it was cancelled", id_of(self));
}

static void note_end(struct node *self, int rc)
{
    struct scope *home = self->home;
    bool is_told = weft_check() == -ECANCELED;
    check_told(self, "end", is_told);
    self->rc = rc;
    self->ended_count++;
    if (!home || rc >= 0)
        return;
    bool was_cut = rc == -ECANCELED && is_told;
    if (was_cut)
        home->is_cut = home->is_cut || scope_is_cancelled(home) == YES;
    else if (home->kind == SUPERVISOR)
        home->failed_count += !self->handle;
    else
        fail_scope(home, rc == -ECANCELED ? WEFT_ECHILD : rc);
}

static int run_node(void *arg)
{
    struct node *self = arg;
    check_start(self);
    int rc = run_ops(self, self->depth);
    if (self->inner)
        wrong("coroutine %d ends inside a scope", id_of(self));
    if (rc == 0 && chance(6))
        rc = new_error();
    note_end(self, rc);
    return rc;
}

/* ---- what they do ---------------------------------------------------------------------------- */

static int op_sleep(struct node *self)
{
    int64_t ms = draw(20), until_ns = weft_deadline_ms(ms);
    int rc = weft_sleep_ms(ms);
    check_told(self, "weft_sleep_ms", rc == -ECANCELED);
    if (rc == 0 ? weft_now_ns() != until_ns : rc != -ECANCELED || weft_now_ns() > until_ns)
        wrong("coroutine %d slept for another time than it wanted: %d", id_of(self), rc);
    return rc;
}

static int op_yield(struct node *self)
{
    int rc = weft_yield();
    check_told(self, "weft_yield", rc == -ECANCELED);
    return rc;
}

static int op_wait(struct node *self)
{
    return chance(2) ? op_sleep(self) : op_yield(self);
}

static struct weft_dispatcher *any_dispatcher(void)
{
    switch (draw(9)) {
    case 0: return NULL;
    case 7: return model.serial;
    case 8: return model.pair;
    case 1: return weft_io();
    case 2: return weft_virtual();
    case 3: return weft_main();
    case 4: return weft_unconfined();
    case 5: return weft_immediate(weft_default());
    default: return weft_default();
    }
}

/* One of those in which the coroutine is; NULL: it is in none. */
static struct scope *any_scope(struct node *self)
{
    struct node *node = self;
    struct scope *scope = self->inner;
    for (;;) {
        if (!scope && !node->home)
            return self->inner;
        if (!scope) {
            scope = node->home;
            node = scope->owner;
        }
        if (chance(2))
            return scope;
        scope = scope->outer;
    }
}

static void op_launch(struct node *self, int depth)
{
    static const enum weft_start starts[] = { WEFT_START_DEFAULT, WEFT_START_DEFAULT,
                                              WEFT_START_ATOMIC, WEFT_START_UNDISPATCHED,
                                              WEFT_START_HELD };
    struct scope *scope = any_scope(self);
    if (!scope || model.node_count == NODES_MAX || depth == DEPTH_MAX)
        return;
    struct node *child = &model.nodes[model.node_count++];
    struct weft_task_opts opts = { .start = starts[draw(5)] };
    bool has_handle = opts.start == WEFT_START_HELD || chance(2);
    *child = (struct node){
        .home = scope,
        .launcher = self,
        .depth = depth + 1,
        .is_held = opts.start == WEFT_START_HELD,
        .runs_in_any_case =
            opts.start == WEFT_START_ATOMIC || opts.start == WEFT_START_UNDISPATCHED,
        .was_accepted = true, /* it may run before the call returns */
    };
    enum truth truth = scope_is_cancelled(scope);
    int rc;
    if (has_handle) {
        static struct weft_task *const not_yet = (struct weft_task *)(void *)&model;
        child->handle = not_yet;
        child->handle = weft_async_opts(&scope->real, any_dispatcher(), run_node, child, &opts);
        rc = child->handle ? 0 : -ECANCELED;
    } else {
        rc = weft_launch_opts(&scope->real, any_dispatcher(), run_node, child, &opts);
    }
    child->was_accepted = rc == 0;
    if (rc == 0 ? truth == YES : rc != -ECANCELED || truth == NO)
        wrong("a launch into scope %d gave %d", scope_id(scope), rc);
    if (rc < 0 && child->started_count > 0)
        wrong("coroutine %d was refused, and has started", id_of(child));
}

/* A task that this coroutine has launched, and whose handle is valid; or NULL. */
static struct node *any_task(const struct node *self)
{
    struct node *found = NULL;
    unsigned count = 0;
    for (int i = 0; i < model.node_count; i++) {
        struct node *node = &model.nodes[i];
        bool is_one = node->launcher == self && node->was_accepted && node->handle;
        if (is_one && node->home->is_open && draw(++count) == 0)
            found = node;
    }
    return found;
}

static int op_await(struct node *self)
{
    struct node *task = any_task(self);
    if (!task)
        return 0;
    if (feels(self) == NO)
        task->is_held = false;
    bool was_maybe = feels(self) == MAYBE;
    if (was_maybe && weft_check() == 0)
        task->is_held = false;
    int rc = weft_await(task->handle);
    check_told(self, "weft_await", rc == -ECANCELED);
    if (rc == -ECANCELED)
        return rc;
    int wanted = task->ended_count > 0 && task->rc != -ECANCELED ? task->rc : WEFT_ECHILD;
    if (rc != wanted)
        wrong("coroutine %d awaited %d and got %d, not %d", id_of(self), id_of(task), rc, wanted);
    return 0;
}

static void op_cancel_task(const struct node *self)
{
    struct node *task = any_task(self);
    if (!task)
        return;
    if (task->ended_count == 0)
        task->is_cancelled = true;
    weft_cancel(task->handle);
}

static void op_release(const struct node *self)
{
    struct node *task = any_task(self);
    if (!task)
        return;
    task->is_held = false;
    weft_task_release(task->handle);
}

static void op_cancel_scope(struct node *self)
{
    struct scope *scope = any_scope(self);
    if (!scope)
        return;
    if (scope->owner == self) {
        scope = self->inner;
        scope->is_by_hand = scope->is_by_hand || weft_check() == 0;
    }
    scope->is_cancelled = true;
    weft_scope_cancel(&scope->real);
}

static void op_cancel_children(struct node *self)
{
    struct scope *scope = any_scope(self);
    if (!scope)
        return;
    for (int i = 0; i < model.node_count; i++) {
        struct node *node = &model.nodes[i];
        if (node->home == scope && node->was_accepted && node->ended_count == 0)
            node->is_cancelled = true;
    }
    weft_scope_cancel_children(&scope->real);
}

static int wait_there(void *arg)
{
    return op_wait(arg) < 0 ? 8 : 7;
}

static int op_with(struct node *self)
{
    int rc = weft_with(any_dispatcher(), wait_there, self);
    check_told(self, "weft_with", rc == -ECANCELED);
    if (rc != 7 && rc != -ECANCELED)
        wrong("coroutine %d went to another dispatcher and came back with %d", id_of(self), rc);
    return rc == 7 ? 0 : rc;
}

/* ---- scopes ---------------------------------------------------------------------------------- */

static void hear(void *arg, const char *task, int rc)
{
    struct scope *scope = arg;
    (void)task;
    scope->heard_count++;
    if (rc >= 0 || !scope->is_open)
        wrong("scope %d hears of a failure that is none: %d", scope_id(scope), rc);
}

static struct scope *open_any(struct node *self)
{
    struct scope *scope = &model.scopes[model.scope_count++];
    *scope = (struct scope){
        .kind = draw(3),
        .owner = self,
        .outer = self->inner,
        .is_open = true,
        .deadline_ns = WEFT_NEVER,
    };
    self->inner = scope;
    int64_t ms = 1 + (int64_t)draw(30);
    switch (scope->kind) {
    case PLAIN: weft_scope_open(&scope->real); break;
    case SUPERVISOR:
        weft_supervisor_open(&scope->real);
        weft_scope_on_failure(&scope->real, hear, scope);
        break;
    case SHIELD:
        weft_shield_open(&scope->real, ms);
        scope->deadline_ns = weft_deadline_ms(ms);
        break;
    }
    if (scope->kind != SHIELD && chance(3)) {
        scope->deadline_ns = weft_deadline_ms(ms);
        weft_scope_deadline(&scope->real, scope->deadline_ns);
    }
    return scope;
}

static void check_children(const struct scope *scope)
{
    for (int i = 0; i < model.node_count; i++) {
        struct node *node = &model.nodes[i];
        if (node->home != scope || !node->was_accepted)
            continue;
        if (node->started_count != node->ended_count)
            wrong("scope %d has closed, and its child %d runs", scope_id(scope), i);
        bool may_drop = node->is_held || (!node->runs_in_any_case && is_cancelled(node) != NO);
        if (node->started_count == 0 && !may_drop)
            wrong("child %d of scope %d never ran, but was not cancelled", i, scope_id(scope));
        model.dropped_count += node->started_count == 0;
    }
}

/* What close may return when nothing has failed, and the body ended with rc. */
static bool may_be_without_cause(const struct scope *scope, int rc, int got)
{
    if (rc < 0 || scope->is_by_hand)
        return got == rc;
    if (scope->is_cut)
        return got == -ECANCELED;
    return got == rc || (got == -ECANCELED && scope_is_cancelled(scope) != NO);
}

/* The first of what has failed and the deadline. */
static bool may_be(const struct scope *scope, int rc, int got)
{
    bool has_failed = scope->first_rc != 0;
    int64_t at_ns = has_failed ? scope->first_ns : weft_now_ns();
    if (at_ns > scope->deadline_ns)
        return got == -ETIMEDOUT;
    if (at_ns == scope->deadline_ns && got == -ETIMEDOUT)
        return true;
    return has_failed ? got == scope->first_rc : may_be_without_cause(scope, rc, got);
}

static int close_any(struct scope *scope, int rc)
{
    struct node *self = scope->owner;
    if (rc < 0 && rc != -ECANCELED)
        fail_scope(scope, rc);
    else if (rc < 0)
        scope->is_cancelled = true;
    for (int i = 0; i < model.node_count; i++) {
        struct node *node = &model.nodes[i];
        if (node->home == scope && node->is_held)
            node->is_cancelled = true;
    }
    int got = weft_scope_close(&scope->real, rc);
    check_children(scope);
    scope->is_open = false;
    self->inner = scope->outer;
    if (!may_be(scope, rc, got))
        wrong("scope %d (kind %d) closed with %d: its body ended with %d, first failure %d",
              scope_id(scope), (int)scope->kind, got, rc, scope->first_rc);
    if (scope->heard_count != scope->failed_count)
        wrong("supervisor %d heard of %d failures out of %d", scope_id(scope), scope->heard_count,
              scope->failed_count);
    model.closed_count++;
    model.cut_count += got == -ECANCELED;
    model.timed_out_count += got == -ETIMEDOUT;
    model.failed_count += got <= ERROR_BASE;
    return got;
}

static int op_scope(struct node *self, int depth)
{
    if (model.scope_count == SCOPES_MAX || depth == DEPTH_MAX)
        return 0;
    struct scope *scope = open_any(self);
    for (unsigned count = draw(4); count > 0; count--)
        op_launch(self, depth);
    int rc = run_ops(self, depth + 1);
    if (rc == 0 && chance(8))
        rc = new_error();
    rc = close_any(scope, rc);
    return rc < 0 && chance(2) ? rc : 0;
}

static int any_op(struct node *self, int depth)
{
    switch (draw(24)) {
    case 0: op_cancel_task(self); return 0;
    case 1: op_cancel_scope(self); return 0;
    case 2: op_cancel_children(self); return 0;
    case 3: op_release(self); return 0;
    case 4:
    case 5: return op_with(self);
    case 6:
    case 7:
    case 8: return op_await(self);
    case 9:
    case 10:
    case 11:
    case 12:
    case 13: return op_scope(self, depth);
    case 14:
    case 15:
    case 16:
    case 17: op_launch(self, depth); return 0;
    default: return op_wait(self);
    }
}

/* 0, or with what the body (or the scope) ends early. Most give up when something goes wrong. */
static int run_ops(struct node *self, int depth)
{
    for (unsigned count = 1 + draw(OPS_MAX); count > 0; count--) {
        int rc = any_op(self, depth);
        if (rc < 0 && !chance(5))
            return rc;
    }
    return 0;
}

static int run_root(void *arg)
{
    struct node *root = &model.nodes[model.node_count++];
    (void)arg;
    *root = (struct node){ .was_accepted = true };
    int rc = weft_view_serial(weft_default(), "model serial", &model.serial);
    if (rc == 0)
        rc = weft_view_nested(weft_virtual(), 2, "model pair", &model.pair);
    if (rc < 0)
        return rc;
    root->started_count = 1;
    for (int i = 0; i < 3; i++)
        (void)op_scope(root, 0);
    root->ended_count = 1;
    model.end_ns = weft_now_ns();
    return 0;
}

/* ---- the tests ------------------------------------------------------------------------------- */

static void run_model(uint64_t seed)
{
    model.seed = seed;
    model.draws = 0;
    model.node_count = model.scope_count = model.error_count = 0;
    int rc = weft_test_run(seed, run_root, NULL);
    for (int i = 0; i < model.node_count; i++) {
        const struct node *node = &model.nodes[i];
        if (node->started_count != node->ended_count || node->started_count > 1)
            wrong("coroutine %d has started %d times, and ended %d times", i, node->started_count,
                  node->ended_count);
    }
    if (rc != 0)
        wrong("the run ended with %d", rc);
    if (model.wrong[0] != '\0')
        fail_msg("seed %llu: %s", (unsigned long long)seed, model.wrong);
}

static void every_tree_keeps_the_rules_under_every_seed(void **state)
{
    (void)state;
    memset(&model, 0, sizeof model);
    for (uint64_t seed = 1; seed <= SEED_COUNT; seed++)
        run_model(seed);
    /* That the seeds reach what the rules are about. */
    assert_true(model.closed_count > SEED_COUNT);
    assert_true(model.cut_count > SEED_COUNT / 10);
    assert_true(model.dropped_count > SEED_COUNT / 10);
    assert_true(model.timed_out_count > SEED_COUNT / 10);
    assert_true(model.failed_count > SEED_COUNT / 10);
}

static void a_seed_gives_the_same_tree_again(void **state)
{
    (void)state;
    memset(&model, 0, sizeof model);
    for (uint64_t seed = 1; seed <= 20; seed++) {
        run_model(seed);
        uint64_t draws = model.draws;
        int nodes = model.node_count, scopes = model.scope_count;
        int64_t end_ns = model.end_ns;
        run_model(seed);
        assert_true(draws == model.draws);
        assert_true(end_ns == model.end_ns);
        assert_int_equal(nodes, model.node_count);
        assert_int_equal(scopes, model.scope_count);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        weft_unit_test(every_tree_keeps_the_rules_under_every_seed),
        weft_unit_test(a_seed_gives_the_same_tree_again),
    };
    return berth_test_main(tests, NULL, NULL);
}
