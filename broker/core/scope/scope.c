/* SPDX-License-Identifier: MIT */
#include "scope.h"

#include <errno.h>
#include <inttypes.h>

#include "base/cleanup.h"
#include "broker/core/life/attempt.h"
#include "broker/core/life/cancel.h"
#include "broker/core/step.h"
#include "broker/core/submit/keys.h"
#include "broker/core/worker/outbox.h"

struct scope *scope_find(const struct berth_core *core, uint64_t parent)
{
    struct berth_map_node *node = berth_map_find_id(&core->scopes, parent);
    return node ? berth_container_of(node, struct scope, by_parent) : NULL;
}

struct child *scope_find_child(const struct berth_core *core, uint64_t job)
{
    struct berth_map_node *node = berth_map_find_id(&core->children, job);
    return node ? berth_container_of(node, struct child, by_job) : NULL;
}

/* 0: it is nobody's child. */
static uint64_t above(const struct berth_core *core, uint64_t job)
{
    const struct child *child = scope_find_child(core, job);
    return child ? child->scope->by_parent.id : 0;
}

const uint64_t *scope_line(struct berth_core *core, uint64_t job, size_t *ret_count)
{
    size_t count = 0;
    for (uint64_t at = job; at; at = above(core, at))
        count++;
    uint64_t *ids = step_alloc(core, count, sizeof *ids);
    *ret_count = count;
    for (size_t i = 0; i < count; i++, job = above(core, job))
        ids[i] = job;
    return ids;
}

/* The parent, if it lives. */
static struct job *parent_of(const struct berth_core *core, const struct scope *scope)
{
    uint32_t index = job_find(core, scope->by_parent.id);
    return index ? job_at(&core->jobs, index) : NULL;
}

struct attempt *scope_attempt(const struct berth_core *core, const struct scope *scope)
{
    const struct job *parent = parent_of(core, scope);
    bool is_running = parent && parent->state == JOB_RUNNING;
    return is_running && parent->attempt->state == ATTEMPT_RUNNING ? parent->attempt : NULL;
}

/* Whether the attempt that submitted the child still runs, or may. */
static bool has_parents_attempt(const struct berth_core *core, const struct child *child)
{
    const struct job *parent = parent_of(core, child->scope);
    return parent && parent->state == JOB_RUNNING && parent->attempt->by_id.id == child->attempt;
}

/* ---- memory ---- */

void scope_mark(struct berth_core *core, uint64_t id)
{
    uint32_t index = job_find(core, id);
    if (!index)
        return;
    struct job *job = job_at(&core->jobs, index);
    if (scope_find(core, id) || scope_find_child(core, id) || keys_has_children(core, id))
        job->flags |= JOB_IN_SCOPE;
    else
        job->flags &= (uint8_t)~JOB_IN_SCOPE;
}

static struct scope *scope_get(struct berth_core *core, uint64_t parent)
{
    struct scope *scope = scope_find(core, parent);
    if (scope)
        return scope;
    scope = block_new(sizeof *scope);
    if (!scope)
        return NULL;
    berth_list_init(&scope->children);
    berth_list_init(&scope->failed);
    if (berth_map_insert_id(&core->scopes, &scope->by_parent, parent) < 0) {
        block_free(scope);
        return NULL;
    }
    scope_mark(core, parent);
    return scope;
}

static void scope_release(struct berth_core *core, struct scope *scope)
{
    bool is_used = scope->child_count || !berth_list_is_empty(&scope->failed) || scope->is_held ||
                   berth_list_is_linked(&scope->work_node);
    if (is_used)
        return;
    uint64_t parent = scope->by_parent.id;
    berth_map_remove(&core->scopes, &scope->by_parent);
    block_free(scope);
    scope_mark(core, parent);
}

static void free_end(struct child_end *end)
{
    if (!end)
        return;
    void *message;
    memcpy(&message, &end->message.data, sizeof message); /* it is ours, and was made to be read */
    block_free(message);
    block_free(end);
}

void scope_forget_end(struct child_end *end)
{
    if (berth_list_is_linked(&end->node))
        berth_list_remove(&end->node);
    free_end(end);
}

static void free_child(struct child *child)
{
    if (berth_list_is_linked(&child->scope_node))
        berth_list_remove(&child->scope_node);
    free_end(child->end);
    block_free(child);
}

int scope_take(struct berth_core *core, uint32_t index, const struct scope_parent *parent)
{
    struct job *job = job_at(&core->jobs, index);
    struct scope *scope = scope_get(core, parent->job);
    if (!scope)
        return -ENOMEM;
    struct child *child = block_new(sizeof *child);
    struct child_end *end = block_new(sizeof *end);
    if (!child || !end || berth_map_insert_id(&core->children, &child->by_job, job->id) < 0) {
        block_free(child);
        block_free(end);
        scope_release(core, scope);
        return -ENOMEM;
    }
    child->scope = scope;
    child->attempt = parent->attempt;
    child->ordinal = parent->ordinal;
    child->is_supervised = parent->is_supervisor;
    child->end = end;
    berth_list_push_back(&scope->children, &child->scope_node);
    scope->child_count++;
    job->flags |= JOB_IN_SCOPE;
    return 0;
}

void scope_free_all(struct berth_core *core)
{
    BERTH_MAP_FOREACH (node, &core->scopes) {
        struct scope *scope = berth_container_of(node, struct scope, by_parent);
        BERTH_LIST_FOREACH_SAFE (at, &scope->children) {
            struct child *child = berth_container_of(at, struct child, scope_node);
            berth_map_remove(&core->children, &child->by_job);
            free_child(child);
        }
        BERTH_LIST_FOREACH_SAFE (at, &scope->failed)
            free_child(berth_container_of(at, struct child, scope_node));
        berth_map_remove(&core->scopes, &scope->by_parent);
        block_free(scope);
    }
}

/* ---- telling them to end ---- */

static void cancel_child(struct berth_core *core, struct child *child, enum scope_cause cause,
                         bool is_forced)
{
    uint32_t index = job_find(core, child->by_job.id);
    if (!child->cause)
        child->cause = (uint8_t)cause;
    cancel_quietly(core, index, is_forced);
}

/* The scope of a child that has one is walked later: nothing recurses, however deep they nest. */
static void walk_later(struct berth_core *core, uint64_t parent, struct berth_list *work)
{
    struct scope *scope = scope_find(core, parent);
    if (scope && !berth_list_is_linked(&scope->work_node))
        berth_list_push_back(work, &scope->work_node);
}

static void walk(struct berth_core *core, struct berth_list *work, enum scope_cause cause,
                 bool is_forced)
{
    struct berth_list_node *node;
    while ((node = berth_list_pop_front(work))) {
        struct scope *scope = berth_container_of(node, struct scope, work_node);
        BERTH_LIST_FOREACH (at, &scope->children) {
            struct child *child = berth_container_of(at, struct child, scope_node);
            cancel_child(core, child, cause, is_forced);
            walk_later(core, child->by_job.id, work);
        }
        scope_release(core, scope);
    }
}

/* Ends that come of the walk come here again: the walk that is under way takes them in. */
void scope_cancel_below(struct berth_core *core, uint64_t parent, enum scope_cause cause,
                        bool is_forced)
{
    walk_later(core, parent, &core->scope_work);
    if (core->is_walking_scopes)
        return;
    core->is_walking_scopes = true;
    walk(core, &core->scope_work, cause, is_forced);
    core->is_walking_scopes = false;
}

const char *scope_cause_text(struct berth_core *core, uint64_t job)
{
    const struct child *child = scope_find_child(core, job);
    uint64_t parent = child ? child->scope->by_parent.id : 0;
    if (!child)
        return NULL;
    switch ((enum scope_cause)child->cause) {
    case SCOPE_NOT_TOLD: return NULL;
    case SCOPE_PARENT_CANCELLED:
        return step_text(core, "its parent, job %" PRIu64 ", or one above it was cancelled",
                         parent);
    case SCOPE_PARENT_OVER:
        return step_text(core, "the attempt of its parent, job %" PRIu64 ", was over", parent);
    case SCOPE_SIBLING_DIED:
        return step_text(core, "another child of its parent, job %" PRIu64 ", was dead", parent);
    }
    BERTH_UNREACHABLE();
}

/* ---- the parent's attempt is over ---- */

/* From here on their ordinals make new children. */
static void forget_failed(struct berth_core *core, struct scope *scope)
{
    struct berth_list_node *node;
    while ((node = berth_list_first(&scope->failed))) {
        struct child *child = berth_container_of(node, struct child, scope_node);
        keys_forget(core, keys_of_child(scope->by_parent.id, child->ordinal));
        free_child(child);
    }
}

void scope_on_over(struct berth_core *core, uint32_t index)
{
    const struct job *job = job_at(&core->jobs, index);
    struct scope *scope = scope_find(core, job->id);
    if (!scope)
        return;
    bool is_cancelled = job->flags & JOB_CANCEL_ASKED;
    forget_failed(core, scope);
    scope_cancel_below(core, job->id, is_cancelled ? SCOPE_PARENT_CANCELLED : SCOPE_PARENT_OVER,
                       false);
    scope = scope_find(core, job->id);
    if (scope)
        scope_release(core, scope);
}

bool scope_hold(struct berth_core *core, uint32_t index, enum job_state state, int64_t due_us)
{
    const struct job *job = job_at(&core->jobs, index);
    struct scope *scope = job->flags & JOB_IN_SCOPE ? scope_find(core, job->id) : NULL;
    if (!scope || !scope->child_count)
        return false;
    if (job->state != JOB_SETTLING)
        job_move(core, index, JOB_SETTLING, JOB_AT_TAIL);
    scope->is_held = true;
    scope->is_held_since_start = false;
    scope->held_state = state;
    scope->held_due_us = due_us;
    return true;
}

bool scope_is_held(const struct berth_core *core, const struct job *job)
{
    const struct scope *scope = job->flags & JOB_IN_SCOPE ? scope_find(core, job->id) : NULL;
    return scope && scope->is_held;
}

void scope_let_run(struct berth_core *core, const struct job *job)
{
    struct scope *scope = job->flags & JOB_IN_SCOPE ? scope_find(core, job->id) : NULL;
    if (scope)
        scope->is_held = false;
}

/* Its last child has ended. One that an unknown attempt may run is not ended here. */
static void go_on(struct berth_core *core, struct scope *scope)
{
    uint32_t index = job_find(core, scope->by_parent.id);
    BERTH_ASSERT(index != 0);
    bool is_cancelled = job_at(&core->jobs, index)->flags & JOB_CANCEL_ASKED;
    bool may_run = scope->is_held_since_start && core->unresolved;
    scope->is_held = false;
    if (is_cancelled && !may_run) {
        job_end_cancelled(core, index);
        return;
    }
    if (is_cancelled)
        core->has_queued_cancels = true;
    if (scope->held_state == JOB_READY) {
        job_move(core, index, JOB_READY, JOB_AT_OLD_PLACE);
        return;
    }
    job_move_due(core, index, JOB_RETRYING, scope->held_due_us);
}

/* ---- a child ends ---- */

void scope_on_ending(struct berth_core *core, uint32_t index, enum berth_state state)
{
    const struct child *child = scope_find_child(core, job_at(&core->jobs, index)->id);
    if (!child || state != BERTH_DEAD || child->is_supervised)
        return;
    scope_cancel_below(core, child->scope->by_parent.id, SCOPE_SIBLING_DIED, false);
}

static void tell_parent(struct berth_core *core, struct child *child,
                        const struct berth_end_record *end)
{
    struct attempt *attempt = scope_attempt(core, child->scope);
    if (!attempt || attempt->by_id.id != child->attempt)
        return;
    bool has_attempt = end->last.error_kind.bytes > 0;
    const struct berth_order_child_end order = {
        .attempt = attempt->by_id.id,
        .job = end->id,
        .state = end->state,
        .error_kind = has_attempt ? end->last.error_kind : end->error_kind,
        .error_message = has_attempt ? end->last.error_message : end->error_message,
    };
    outbox_child_end(core, attempt->session, berth_take(child->end), &order);
}

static void leave(struct berth_core *core, struct child *child)
{
    struct scope *scope = child->scope;
    berth_list_remove(&child->scope_node);
    berth_map_remove(&core->children, &child->by_job);
    scope->child_count--;
}

/* Of a parent that runs for ever: whose key is over is found by nobody any more. */
static void drop_expired(const struct berth_core *core, struct scope *scope)
{
    struct berth_list_node *node;
    while ((node = berth_list_first(&scope->failed))) {
        struct child *child = berth_container_of(node, struct child, scope_node);
        if (keys_find(core, keys_of_child(scope->by_parent.id, child->ordinal)))
            return;
        free_child(child);
    }
}

void scope_on_end_stored(struct berth_core *core, uint32_t index,
                         const struct berth_end_record *end)
{
    if (end->state == BERTH_COMPLETED)
        keys_forget_children(core, end->id); /* no attempt of it asks for them again */
    struct child *child = scope_find_child(core, job_at(&core->jobs, index)->id);
    if (!child)
        return;
    struct scope *scope = child->scope;
    tell_parent(core, child, end);
    if (end->state == BERTH_COMPLETED)
        return; /* its key finds it for as long as it is remembered */
    if (!has_parents_attempt(core, child)) {
        keys_forget(core, keys_of_child(scope->by_parent.id, child->ordinal));
        return;
    }
    leave(core, child);
    drop_expired(core, scope);
    berth_list_push_back(&scope->failed, &child->scope_node);
}

void scope_on_free(struct berth_core *core, uint32_t index)
{
    struct job *job = job_at(&core->jobs, index);
    struct child *child = scope_find_child(core, job->id);
    job->flags &= (uint8_t)~JOB_IN_SCOPE;
    if (!child)
        return;
    struct scope *scope = child->scope;
    uint64_t parent = scope->by_parent.id;
    leave(core, child);
    free_child(child);
    if (!scope->child_count && scope->is_held)
        go_on(core, scope); /* which may have been the end of it */
    scope = scope_find(core, parent);
    if (scope)
        scope_release(core, scope);
}

/* ---- after a start ---- */

static void hold_loaded(struct berth_core *core, struct scope *scope)
{
    uint32_t index = job_find(core, scope->by_parent.id);
    const struct job *job = index ? job_at(&core->jobs, index) : NULL;
    if (!job || !job_is_queued(job))
        return;
    bool is_ready = job->state == JOB_READY;
    scope_hold(core, index, is_ready ? JOB_READY : JOB_RETRYING, is_ready ? 0 : job->due_us);
    scope->is_held_since_start = true;
}

void scope_start(struct berth_core *core)
{
    BERTH_MAP_FOREACH (node, &core->scopes) {
        struct scope *scope = berth_container_of(node, struct scope, by_parent);
        scope_mark(core, scope->by_parent.id);
        hold_loaded(core, scope);
    }
}

/* Children without their parent's attempt; what ends here may free scopes, so they are named first.
 */
void scope_on_recovered(struct berth_core *core)
{
    size_t count = 0;
    uint64_t *ids = step_alloc(core, berth_map_count(&core->children), sizeof *ids);
    BERTH_MAP_FOREACH (node, &core->children) {
        const struct child *child = berth_container_of(node, struct child, by_job);
        const struct job *parent = parent_of(core, child->scope);
        bool is_cancelled = parent && parent->flags & JOB_CANCEL_ASKED;
        if (is_cancelled || !has_parents_attempt(core, child))
            ids[count++] = child->by_job.id;
    }
    for (size_t i = 0; i < count; i++) {
        cancel_child(core, scope_find_child(core, ids[i]), SCOPE_PARENT_OVER, false);
        scope_cancel_below(core, ids[i], SCOPE_PARENT_OVER, false);
    }
}

/* ---- check ---- */

static void check_scope(const struct berth_core *core, const struct scope *scope)
{
    size_t count = 0;
    BERTH_LIST_FOREACH (node, &scope->children) {
        const struct child *child = berth_container_of(node, struct child, scope_node);
        uint32_t index = job_find(core, child->by_job.id);
        BERTH_ASSERT(index != 0);
        BERTH_ASSERT(job_at(&core->jobs, index)->flags & JOB_IN_SCOPE);
        BERTH_ASSERT(child->scope == scope);
        BERTH_ASSERT(child->by_job.id > scope->by_parent.id);
        count++;
    }
    BERTH_ASSERT(scope->child_count == count);
    BERTH_ASSERT(!berth_list_is_linked(&scope->work_node));
    const struct job *parent = parent_of(core, scope);
    BERTH_ASSERT(!parent || parent->flags & JOB_IN_SCOPE);
    BERTH_ASSERT(!scope->is_held || (parent && parent->state == JOB_SETTLING && count > 0));
    /* Who has live children is not granted. */
    BERTH_ASSERT(!count || !parent || !job_is_queued(parent));
}

/* No orphans: a child either has its parent's attempt or was told to end. */
static void check_child(const struct berth_core *core, const struct child *child)
{
    const struct job *job = job_at(&core->jobs, job_find(core, child->by_job.id));
    bool is_ending = job->flags & (JOB_CANCEL_ASKED | JOB_ENDING);
    BERTH_ASSERT(core->unresolved || is_ending || has_parents_attempt(core, child));
}

void scope_check(const struct berth_core *core)
{
    BERTH_ASSERT(berth_list_is_empty(&core->scope_work));
    size_t count = 0;
    BERTH_MAP_FOREACH (node, &core->scopes) {
        const struct scope *scope = berth_container_of(node, struct scope, by_parent);
        check_scope(core, scope);
        count += scope->child_count;
    }
    BERTH_ASSERT(count == berth_map_count(&core->children));
    BERTH_MAP_FOREACH (node, &core->children)
        check_child(core, berth_container_of(node, struct child, by_job));
}
