/* SPDX-License-Identifier: MIT */
#include "explain.h"

#include "broker/core/dispatcher/dispatcher.h"
#include "broker/core/life/after.h"
#include "broker/core/life/attempt.h"
#include "broker/core/match/limit.h"
#include "broker/core/scope/scope.h"
#include "broker/core/step.h"
#include "broker/core/worker/suspect.h"
#include "query.h"
#include "view.h"

static const char *const kinds[WHY_KIND_COUNT] = {
    [WHY_OTHER] = "other",         [WHY_TIME] = "time",         [WHY_RETRY] = "retry",
    [WHY_AFTER] = "after",         [WHY_PAUSE] = "pause",       [WHY_RECOVERY] = "recovery",
    [WHY_GROUP] = "group",         [WHY_SLOTS] = "slots",       [WHY_RATE] = "rate",
    [WHY_HANDLER] = "handler",     [WHY_WORKERS] = "workers",   [WHY_STARTING] = "starting",
    [WHY_STOPPING] = "stopping",   [WHY_HELD] = "held",         [WHY_ALONE] = "alone",
    [WHY_SUSPENDED] = "suspended", [WHY_CHILDREN] = "children", [WHY_PLACE] = "place",
};

/* ---- causes ---- */

static int64_t wall_of_ms(const struct berth_core *core, int64_t at_ms)
{
    return core->wall_us - (core->now_ms - at_ms) * 1000;
}

/* 0: that is not kept. */
static int64_t since_us(const struct berth_core *core, const struct job *job)
{
    if (job->state == JOB_READY)
        return job_shown_ready_us(core, job);
    bool is_told = job->state == JOB_RUNNING && job->attempt->told_ms;
    return is_told ? wall_of_ms(core, job->attempt->told_ms) : 0;
}

static int64_t next_us(const struct berth_core *core, const struct why *why)
{
    if (why->next_ms > 0)
        return core->wall_us + why->next_ms * 1000;
    return why->next_us;
}

static struct berth_explain_cause cause_of(struct berth_core *core, const struct job *job,
                                           const struct why *why, const char *reason)
{
    return (struct berth_explain_cause){
        .kind = kinds[why->kind],
        .reason = slice_of(reason),
        .job = job->id,
        .at = slice_of(why->at ? why->at->record.name : ""),
        .group = why->group ? why->group->name : (struct berth_slice){ 0 },
        .handler = why->handler ? suspect_plain_name(why->handler) : slice_of(""),
        .worker = slice_of(why->session ? why->session->record.name : ""),
        .in_use = why->in_use,
        .limit = why->limit,
        .since_us = since_us(core, job),
        .next_us = next_us(core, why),
        .awaited = why->awaited,
    };
}

/* What was found of a dispatcher so far. */
struct causes {
    struct berth_explain_cause *items;
    struct why *whys;
    size_t count;
    uint64_t more; /* jobs whose cause has no place */
};

static bool is_same(const struct why *a, const struct why *b)
{
    bool is_there = a->kind != WHY_PLACE || a->session == b->session;
    return a->kind == b->kind && a->at == b->at && a->handler == b->handler && is_there;
}

/* The one of this kind, or NULL. */
static struct berth_explain_cause *find(const struct causes *causes, const struct why *why)
{
    for (size_t i = 0; i < causes->count; i++)
        if (is_same(&causes->whys[i], why))
            return &causes->items[i];
    return NULL;
}

static void older(int64_t *us, int64_t than_us)
{
    if (than_us && (!*us || than_us < *us))
        *us = than_us;
}

/* `count` jobs wait for what this one waits for. */
static void add(struct berth_core *core, struct causes *causes, const struct job *job,
                uint64_t count)
{
    struct why why;
    const char *reason = view_reason(core, job, &why);
    if (!*reason)
        return;
    struct berth_explain_cause *cause = find(causes, &why);
    if (!cause && causes->count == EXPLAIN_CAUSES_MAX) {
        causes->more += count;
        return;
    }
    if (!cause) {
        causes->whys[causes->count] = why;
        cause = &causes->items[causes->count++];
        *cause = cause_of(core, job, &why, reason);
    }
    cause->count += count;
    older(&cause->since_us, since_us(core, job));
    older(&cause->next_us, next_us(core, &why));
}

/* The jobs of a lane wait for the same, and so do all lanes of a gate that are of one kind: one of
 * them is asked, and a million groups need one sentence. */
enum lane_kind { LANE_OPEN, LANE_FULL, LANE_IN_DOUBT, LANE_KIND_COUNT };

struct lanes {
    uint64_t counts[LANE_KIND_COUNT];
    const struct job *oldest[LANE_KIND_COUNT]; /* of those that are first in their lane */
};

/* NULL: nothing of it is ready. */
static const struct job *first_of(const struct berth_core *core, const struct lane *lane)
{
    BERTH_LIST_FOREACH (node, &lane->levels) {
        uint32_t head = berth_container_of(node, struct level, lane_node)->head;
        if (head)
            return job_at(&core->jobs, head);
    }
    return NULL;
}

static void count_lane(const struct berth_core *core, struct lanes *lanes, const struct lane *lane)
{
    const struct job *job = first_of(core, lane);
    if (!job)
        return;
    enum lane_kind kind = view_is_in_doubt(core, job) ? LANE_IN_DOUBT
                          : lane->group->is_full      ? LANE_FULL
                                                      : LANE_OPEN;
    lanes->counts[kind] += lane->ready_count;
    if (!lanes->oldest[kind] || job->ready_s < lanes->oldest[kind]->ready_s)
        lanes->oldest[kind] = job;
}

static void add_gate(struct berth_core *core, struct causes *causes, const struct gate *gate,
                     uint32_t *looks_left, uint64_t *ready_left)
{
    struct lanes lanes = { 0 };
    BERTH_LIST_FOREACH (node, &gate->lanes) {
        if (!*looks_left)
            break;
        --*looks_left;
        count_lane(core, &lanes, berth_container_of(node, struct lane, gate_node));
    }
    for (int kind = 0; kind < LANE_KIND_COUNT; kind++) {
        if (lanes.oldest[kind])
            add(core, causes, lanes.oldest[kind], lanes.counts[kind]);
        *ready_left -= lanes.counts[kind];
    }
}

static void add_ready(struct berth_core *core, struct causes *causes,
                      const struct dispatcher *dispatcher)
{
    uint32_t looks_left = EXPLAIN_LANES_MAX;
    uint64_t ready_left = dispatcher->count[JOB_READY];
    BERTH_LIST_FOREACH (node, &dispatcher->gates) {
        const struct gate *gate = berth_container_of(node, struct gate, dispatcher_node);
        if (!ready_left || !looks_left)
            break;
        add_gate(core, causes, gate, &looks_left, &ready_left);
    }
    causes->more += ready_left;
}

/* Those that wait for their time: of each kind one is asked, the others are counted. */
enum due_kind { DUE_TIME, DUE_AFTER, DUE_RETRY, DUE_CANCELLING, DUE_KIND_COUNT };

static enum due_kind due_kind(const struct job *job)
{
    if (job->flags & JOB_CANCEL_ASKED)
        return DUE_CANCELLING;
    if (job->state == JOB_RETRYING)
        return DUE_RETRY;
    return job->due_us == AFTER_NEVER ? DUE_AFTER : DUE_TIME;
}

static void add_due(struct berth_core *core, struct causes *causes,
                    const struct dispatcher *dispatcher)
{
    uint64_t left = dispatcher->count[JOB_SCHEDULED] + dispatcher->count[JOB_RETRYING];
    uint64_t counts[DUE_KIND_COUNT] = { 0 };
    const struct job *first[DUE_KIND_COUNT] = { NULL };
    for (uint32_t i = 0; left && i < core->due_count && i < EXPLAIN_DUE_MAX; i++) {
        const struct job *job = job_at(&core->jobs, core->due[i]);
        if (job_dispatcher(core, job) != dispatcher)
            continue;
        enum due_kind kind = due_kind(job);
        left--;
        counts[kind]++;
        if (!first[kind] || job->due_us < first[kind]->due_us)
            first[kind] = job;
    }
    for (int kind = 0; kind < DUE_KIND_COUNT; kind++)
        if (first[kind])
            add(core, causes, first[kind], counts[kind]);
    causes->more += left;
}

/* Of those that run few have something to say. */
static void add_running(struct berth_core *core, struct causes *causes,
                        const struct dispatcher *dispatcher)
{
    BERTH_LIST_FOREACH (node, &dispatcher->attempts) {
        const struct attempt *attempt = berth_container_of(node, struct attempt, dispatcher_node);
        if (attempt->job)
            add(core, causes, job_at(&core->jobs, attempt->job), 1);
    }
}

/* Those of which no attempt runs, and children of the last one do. */
static void add_held(struct berth_core *core, struct causes *causes,
                     const struct dispatcher *dispatcher)
{
    BERTH_MAP_FOREACH (node, &core->scopes) {
        const struct scope *scope = berth_container_of(node, struct scope, by_parent);
        uint32_t parent = scope->is_held ? job_find_known(core, node->id) : 0;
        if (parent && job_dispatcher(core, job_at(&core->jobs, parent)) == dispatcher)
            add(core, causes, job_at(&core->jobs, parent), 1);
    }
}

static struct causes add_all(struct berth_core *core, const struct dispatcher *dispatcher)
{
    struct causes causes = { .items = step_alloc(core, EXPLAIN_CAUSES_MAX, sizeof *causes.items),
                             .whys = step_alloc(core, EXPLAIN_CAUSES_MAX, sizeof *causes.whys) };
    add_ready(core, &causes, dispatcher);
    add_due(core, &causes, dispatcher);
    add_running(core, &causes, dispatcher);
    add_held(core, &causes, dispatcher);
    return causes;
}

/* ---- limits ---- */

static struct berth_explain_limit limit_of(const struct berth_core *core,
                                           const struct dispatcher *dispatcher)
{
    uint64_t limit = dispatcher_limit(core, dispatcher);
    uint64_t group_limit = dispatcher_group_limit(dispatcher);
    uint64_t max_queued = dispatcher_max_queued(dispatcher);
    struct rate rate = dispatcher_rate(dispatcher);
    return (struct berth_explain_limit){
        .name = slice_of(dispatcher->record.name),
        .limit = limit > INT64_MAX ? -1 : (int64_t)limit,
        .in_use = dispatcher->running,
        .is_paused = dispatcher_is_paused(dispatcher),
        .rate_count = rate.count,
        .rate_ms = rate.ms,
        .burst = rate.burst,
        .token_wait_ms = limit_token_wait_ms(core, dispatcher),
        .group_limit = group_limit == UINT64_MAX ? 0 : (uint32_t)group_limit,
        .max_queued = max_queued == UINT64_MAX ? 0 : (uint32_t)max_queued,
        .queued = dispatcher->count[JOB_SCHEDULED] + dispatcher->count[JOB_READY] +
                  dispatcher->count[JOB_RETRYING],
    };
}

/* Its own, and those of all above it. */
static void put_limits(struct berth_core *core, const struct dispatcher *dispatcher,
                       struct berth_do_explained *explained)
{
    size_t count = 0;
    for (const struct dispatcher *at = dispatcher; at; at = at->parent)
        count++;
    struct berth_explain_limit *items = step_alloc(core, count, sizeof *items);
    explained->limits = items;
    explained->limit_count = count;
    for (const struct dispatcher *at = dispatcher; at; at = at->parent)
        *items++ = limit_of(core, at);
}

/* ---- who holds slots and places ---- */

static int by_age(const void *a, const void *b)
{
    const struct attempt *x = *(const struct attempt *const *)a;
    const struct attempt *y = *(const struct attempt *const *)b;
    if (x->slot_ms != y->slot_ms)
        return x->slot_ms < y->slot_ms ? -1 : 1;
    return x->by_id.id < y->by_id.id ? -1 : 1;
}

/* Since when it holds its slots: since it began, also if that was before the broker's start, unless
 * it gave them back meanwhile. */
static int64_t held_since_us(const struct berth_core *core, const struct attempt *attempt)
{
    bool is_since_start = attempt->started_us && !attempt->suspensions;
    return is_since_start ? attempt->started_us : wall_of_ms(core, attempt->slot_ms);
}

static struct berth_explain_holder holder_of(const struct berth_core *core,
                                             const struct attempt *attempt)
{
    const struct dispatcher *dispatcher = attempt->dispatcher;
    return (struct berth_explain_holder){
        .job = attempt->job_id,
        .number = attempt->number,
        .dispatcher = slice_of(dispatcher ? dispatcher->record.name : ""),
        .worker = slice_of(attempt->session->record.name),
        .since_us = held_since_us(core, attempt),
        .is_held = attempt->state == ATTEMPT_HELD,
    };
}

static void put_holders(struct berth_core *core, const struct dispatcher *at,
                        const struct group *group, struct berth_do_explained *explained)
{
    const struct attempt **all = step_alloc(core, berth_map_count(&core->attempts), sizeof *all);
    size_t count = 0;
    BERTH_MAP_FOREACH (node, &core->attempts) {
        const struct attempt *attempt = berth_container_of(node, struct attempt, by_id);
        if (attempt_holds(attempt, at, group))
            all[count++] = attempt;
    }
    if (count)
        qsort(all, count, sizeof *all, by_age);
    size_t shown = count < EXPLAIN_HOLDERS_MAX ? count : EXPLAIN_HOLDERS_MAX;
    struct berth_explain_holder *items = step_alloc(core, shown, sizeof *items);
    for (size_t i = 0; i < shown; i++)
        items[i] = holder_of(core, all[i]);
    explained->holders = items;
    explained->holder_count = shown;
    explained->holder_sum = count;
}

static void put_groups(struct berth_core *core, const struct dispatcher *dispatcher,
                       struct berth_do_explained *explained)
{
    struct berth_explain_group *items = step_alloc(core, EXPLAIN_GROUPS_MAX, sizeof *items);
    explained->groups = items;
    BERTH_MAP_FOREACH (node, &dispatcher->groups) {
        const struct group *group = berth_container_of(node, struct group, by_name);
        if (!group->is_full)
            continue;
        if (explained->group_count < EXPLAIN_GROUPS_MAX)
            items[explained->group_count++] =
                (struct berth_explain_group){ .name = group->name, .in_use = group->running };
        explained->group_sum++;
    }
}

/* ---- the answers ---- */

static void explain_dispatcher(struct berth_core *core, uint64_t peer, uint64_t request,
                               const struct dispatcher *dispatcher)
{
    struct causes causes = add_all(core, dispatcher);
    struct berth_do_explained explained = { .dispatcher = slice_of(dispatcher->record.name),
                                            .causes = causes.items,
                                            .cause_count = causes.count,
                                            .more = causes.more };
    put_limits(core, dispatcher, &explained);
    put_holders(core, dispatcher, NULL, &explained);
    put_groups(core, dispatcher, &explained);
    step_add(core, BERTH_DO_EXPLAINED, peer, request)->explained = explained;
}

/* One that runs is shown with its own attempt. */
static void put_own(struct berth_core *core, const struct job *job,
                    struct berth_do_explained *explained)
{
    if (job->state != JOB_RUNNING)
        return;
    struct berth_explain_holder *own = step_alloc(core, 1, sizeof *own);
    *own = holder_of(core, job->attempt);
    explained->holders = own;
    explained->holder_count = explained->holder_sum = 1;
}

static void explain_job(struct berth_core *core, uint64_t peer, uint64_t request, uint32_t index)
{
    const struct job *job = job_at(&core->jobs, index);
    const struct dispatcher *dispatcher = job_dispatcher(core, job);
    struct berth_do_explained explained = { .id = job->id,
                                            .dispatcher = slice_of(dispatcher->record.name),
                                            .state = view_state(job) };
    struct why why;
    const char *reason = view_reason(core, job, &why);
    if (*reason) {
        struct berth_explain_cause *cause = step_alloc(core, 1, sizeof *cause);
        *cause = cause_of(core, job, &why, reason);
        cause->count = 1;
        explained.causes = cause;
        explained.cause_count = 1;
    }
    put_limits(core, dispatcher, &explained);
    if (why.kind == WHY_SLOTS || why.kind == WHY_GROUP)
        put_holders(core, why.at, why.group, &explained);
    else
        put_own(core, job, &explained);
    step_add(core, BERTH_DO_EXPLAINED, peer, request)->explained = explained;
}

static void explain_ended(struct berth_core *core, uint64_t peer, uint64_t request,
                          const struct berth_job_record *row)
{
    const struct dispatcher *dispatcher = dispatcher_find_id(core, row->dispatcher);
    step_add(core, BERTH_DO_EXPLAINED, peer, request)->explained = (struct berth_do_explained){
        .id = row->id,
        .dispatcher = slice_of(dispatcher ? dispatcher->record.name : ""),
        .state = row->state,
    };
}

void explain_answer(struct berth_core *core, uint64_t peer, uint64_t request, uint64_t id,
                    const struct berth_job_record *row)
{
    uint32_t job = job_find_known(core, id); /* it may have come to life meanwhile */
    if (job)
        explain_job(core, peer, request, job);
    else if (row)
        explain_ended(core, peer, request, row);
    else
        step_error(core, peer, request, BERTH_ENOTFOUND, "id",
                   step_text(core, "there is no job %llu", (unsigned long long)id));
}

void explain_on_event(struct berth_core *core, const struct berth_ev_explain *ev)
{
    const struct dispatcher *dispatcher = dispatcher_find(core, ev->dispatcher);
    uint32_t job = ev->id ? job_find_known(core, ev->id) : 0;
    const struct berth_ev_ids ids = {
        .peer = ev->peer, .request = ev->request, .ids = &ev->id, .count = 1
    };
    if (ev->id && ev->dispatcher.bytes)
        step_error(core, ev->peer, ev->request, BERTH_EVALUE, "dispatcher",
                   step_text(core,
                             "dispatcher '%.*s' beside id %llu: only one of the two is allowed",
                             (int)ev->dispatcher.bytes, (const char *)ev->dispatcher.data,
                             (unsigned long long)ev->id));
    else if (job)
        explain_job(core, ev->peer, ev->request, job);
    else if (ev->id)
        query_explain(core, &ids);
    else if (dispatcher)
        explain_dispatcher(core, ev->peer, ev->request, dispatcher);
    else if (!ev->dispatcher.bytes)
        step_error(core, ev->peer, ev->request, BERTH_EVALUE, "id",
                   "id and dispatcher are missing: one of them is needed");
    else
        step_error(core, ev->peer, ev->request, BERTH_ENOTFOUND, "dispatcher",
                   step_text(core, "dispatcher '%.*s' does not exist", (int)ev->dispatcher.bytes,
                             (const char *)ev->dispatcher.data));
}
