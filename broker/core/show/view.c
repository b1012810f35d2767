/* SPDX-License-Identifier: MIT */
#include "view.h"

#include <inttypes.h>

#include "broker/core/dispatcher/dispatcher.h"
#include "broker/core/life/after.h"
#include "broker/core/match/limit.h"
#include "broker/core/scope/scope.h"
#include "broker/core/scope/suspend.h"
#include "broker/core/step.h"
#include "broker/core/worker/hold.h"
#include "broker/core/worker/offer.h"
#include "broker/core/worker/recovery.h"
#include "broker/core/worker/suspect.h"
#include "shown.h"

/* ---- jobs ---- */

enum berth_state view_state(const struct job *job)
{
    if (job->flags & JOB_CANCEL_ASKED)
        return BERTH_CANCELLING;
    switch ((enum job_state)job->state) {
    case JOB_ARRIVING:
    case JOB_READY: return BERTH_READY;
    case JOB_SCHEDULED: return BERTH_SCHEDULED;
    case JOB_RETRYING: return BERTH_RETRYING;
    case JOB_RUNNING: return job->attempt->is_suspended ? BERTH_SUSPENDED : BERTH_RUNNING;
    case JOB_SETTLING: return BERTH_RUNNING;
    case JOB_STATE_COUNT: break;
    }
    BERTH_UNREACHABLE();
}

/* The one that may take the longest. `may_run`: one of those that are missing may run the job. */
static const char *reason_recovery(struct berth_core *core, bool may_run, struct why *why)
{
    const struct session *last = NULL;
    BERTH_MAP_FOREACH (node, &core->sessions) {
        const struct session *session = berth_container_of(node, struct session, by_id);
        if (session->state == SESSION_RECOVERING &&
            (!last || session->expires_ms >= last->expires_ms))
            last = session;
    }
    BERTH_ASSERT(last != NULL);
    int64_t left_ms = last->expires_ms - core->now_ms;
    *why = (struct why){ .kind = WHY_RECOVERY, .session = last, .next_ms = left_ms };
    int64_t left_s = left_ms > 0 ? (left_ms + 999) / 1000 : 0;
    if (may_run)
        return step_text(
            core, "may be running: worker %s has not joined again yet (%" PRId64 " s at most)",
            last->record.name, left_s);
    return step_text(core, "waits for worker %s to come back, at most %" PRId64 " s",
                     last->record.name, left_s);
}

static const char *reason_handler(struct berth_core *core, const struct gate *gate, struct why *why)
{
    const struct handler *handler = gate->handler;
    const struct desk *desk = gate->desk;
    *why = (struct why){ .kind = handler->offer_count ? WHY_WORKERS : WHY_HANDLER,
                         .handler = handler };
    if (!berth_list_is_empty(&desk->free)) {
        why->kind = WHY_STARTING;
        return "is about to start";
    }
    if (handler->is_alone) {
        why->kind = WHY_ALONE;
        return suspect_reason(core, handler);
    }
    if (handler->offer_count)
        return step_text(core, "every worker that offers '%s' is full, draining or not heard of",
                         handler->name);
    if (strcmp(handler->name, "exec") == 0)
        return "no connected worker allows commands (berth-worker --allow-exec)";
    return step_text(core, "no connected worker offers handler '%s'", handler->name);
}

/* Somebody of its chain that was told to start nothing, or NULL. */
static const struct dispatcher *paused_above(const struct dispatcher *dispatcher)
{
    while (dispatcher && !dispatcher_is_paused(dispatcher))
        dispatcher = dispatcher->parent;
    return dispatcher;
}

static const char *reason_group(struct berth_core *core, const struct group *group, struct why *why)
{
    *why = (struct why){ .kind = WHY_GROUP,
                         .at = group->dispatcher,
                         .group = group,
                         .in_use = group->running,
                         .limit = dispatcher_group_limit(group->dispatcher) };
    return step_text(
        core,
        "the limit of group '%.*s' of %s is reached: %" PRIu64 " of %" PRIu64 " places in use",
        (int)group->name.bytes, (const char *)group->name.data, group->dispatcher->record.name,
        group->running, dispatcher_group_limit(group->dispatcher));
}

static const char *reason_pause(struct berth_core *core, const struct dispatcher *at,
                                struct why *why)
{
    *why = (struct why){ .kind = WHY_PAUSE, .at = at };
    return step_text(core, "dispatcher %s is paused", at->record.name);
}

/* What the dispatcher lacks at which it waits; NULL: it came back, the next turn gives it away. */
static const char *reason_lack(struct berth_core *core, const struct dispatcher *at,
                               struct why *why)
{
    const char *name = at->record.name;
    switch (limit_lack(core, at)) {
    case LACK_PAUSE: return reason_pause(core, at, why);
    case LACK_SLOT:
        *why = (struct why){
            .kind = WHY_SLOTS, .at = at, .in_use = at->running, .limit = dispatcher_limit(core, at)
        };
        return step_text(core,
                         "the limit of %s is reached: %" PRIu64 " of %" PRIu64 " slots in use",
                         name, at->running, dispatcher_limit(core, at));
    case LACK_TOKEN:
        *why = (struct why){ .kind = WHY_RATE, .at = at, .next_ms = limit_token_wait_ms(core, at) };
        return step_text(core, "the rate of %s allows the next start in %" PRId64 " s", name,
                         (limit_token_wait_ms(core, at) + 999) / 1000);
    case LACK_NOTHING: return NULL;
    }
    BERTH_UNREACHABLE();
}

/* Whoever is missing may run it: what arrived before the broker was there, and has no stored start.
 */
static bool is_old(const struct berth_core *core, const struct job *job)
{
    return !job_dispatcher(core, job)->is_held && job->id < core->first_new_job;
}

bool view_is_in_doubt(const struct berth_core *core, const struct job *job)
{
    return core->unresolved &&
           (is_old(core, job) || !recovery_allows(core, job_dispatcher(core, job)));
}

/* Where it hangs is what it waits for; a pause says more than that. */
static const char *reason_ready(struct berth_core *core, const struct job *job, struct why *why)
{
    const struct lane *lane = job_lane(core, job);
    const struct dispatcher *dispatcher = lane->gate->dispatcher;
    const struct dispatcher *paused = paused_above(dispatcher);
    if (paused)
        return reason_pause(core, paused, why);
    if (view_is_in_doubt(core, job))
        return reason_recovery(core, is_old(core, job), why);
    if (lane->group->is_full)
        return reason_group(core, lane->group, why);
    bool waits_at_handler = berth_list_is_linked(&lane->gate->wait_node);
    const char *lack = NULL;
    if (dispatcher->waits_at && !waits_at_handler)
        lack = reason_lack(core, dispatcher->waits_at, why);
    return lack ? lack : reason_handler(core, lane->gate, why);
}

/* Since when it does not answer, once its grace is over. */
static const char *reason_told(struct berth_core *core, const struct attempt *attempt,
                               struct why *why)
{
    *why = (struct why){ .kind = WHY_STOPPING, .session = attempt->session };
    int64_t grace_ms = attempt->dispatcher ? attempt->dispatcher->record.grace_ms : 0;
    int64_t silent_ms = core->now_ms - attempt->told_ms;
    if (!attempt->told_ms || silent_ms <= grace_ms)
        return "was told to stop";
    if (attempt->is_forced)
        return step_text(core,
                         "was told to stop %" PRId64 " s ago, and is being ended with the "
                         "process that runs it",
                         silent_ms / 1000);
    return step_text(core,
                     "was told to stop %" PRId64 " s ago, and does not answer; berth cancel "
                     "--force ends the process that runs it",
                     silent_ms / 1000);
}

static bool is_held(const struct job *job)
{
    return job->state == JOB_RUNNING && job->attempt->state == ATTEMPT_HELD;
}

static const char *reason_held(struct berth_core *core, const struct job *job, struct why *why)
{
    *why = (struct why){ .kind = WHY_HELD, .session = job->attempt->session };
    return step_text(core,
                     "its worker %s is lost; held until it is proven gone, or berth worker gone %s "
                     "says so",
                     job->attempt->session->record.name, job->attempt->session->record.name);
}

/* It may go on when one of those that run there has ended. */
static const char *reason_place(struct berth_core *core, const struct session *session,
                                struct why *why)
{
    uint32_t running = offer_running(session);
    if (running < session->capacity) {
        *why = (struct why){ .kind = WHY_STARTING };
        return "is about to go on";
    }
    *why = (struct why){
        .kind = WHY_PLACE, .session = session, .in_use = running, .limit = session->capacity
    };
    return step_text(core,
                     "waits for a place at worker %s to go on: %" PRIu32 " of %" PRIu32 " in use",
                     session->record.name, running, session->capacity);
}

/* Whether it waits for a child or a time its worker knows. */
static const char *reason_suspended(struct berth_core *core, const struct job *job, struct why *why)
{
    const struct attempt *attempt = job->attempt;
    *why = (struct why){ .kind = WHY_SUSPENDED };
    if (attempt->resume_wait == RESUME_NOTHING)
        return "its handler waits, for a child or a time";
    if (attempt->resume_wait == RESUME_PLACE)
        return reason_place(core, attempt->session, why);
    if (core->unresolved)
        return reason_recovery(core, false, why);
    const struct dispatcher *at = suspend_lack(core, attempt);
    if (!at && !job_lane(core, job)->group->is_full) {
        *why = (struct why){ .kind = WHY_STARTING };
        return "is about to go on";
    }
    if (!at) {
        (void)reason_group(core, job_lane(core, job)->group, why);
        return "waits for a place of its group to go on";
    }
    *why = (struct why){
        .kind = WHY_SLOTS, .at = at, .in_use = at->running, .limit = dispatcher_limit(core, at)
    };
    return step_text(core, "waits for a slot of %s to go on: %" PRIu64 " of %" PRIu64 " in use",
                     at->record.name, at->running, dispatcher_limit(core, at));
}

static const char *reason_cancelling(struct berth_core *core, const struct job *job,
                                     struct why *why)
{
    if (job_is_queued(job) && core->unresolved)
        return reason_recovery(core, false, why);
    if (is_held(job))
        return reason_held(core, job, why);
    if (job->state == JOB_RUNNING && job->attempt->resume_wait != RESUME_NOTHING)
        return reason_suspended(core, job, why);
    if (job->state == JOB_RUNNING)
        return reason_told(core, job->attempt, why);
    *why = (struct why){ .kind = WHY_STOPPING };
    return "was told to stop";
}

static const char *reason_scheduled(struct berth_core *core, const struct job *job, struct why *why)
{
    uint64_t count = after_waits(core, job);
    if (!count) {
        *why = (struct why){ .kind = WHY_TIME, .next_us = job->due_us };
        return "waits for its time";
    }
    uint64_t first = after_first(core, job);
    *why = (struct why){ .kind = WHY_AFTER, .awaited = first };
    if (count == 1)
        return step_text(core, "waits for job %" PRIu64 " to complete", first);
    return step_text(core, "waits for %" PRIu64 " jobs to complete, the first of them is %" PRIu64,
                     count, first);
}

static const char *reason_retrying(const struct job *job, struct why *why)
{
    *why = (struct why){ .kind = WHY_RETRY, .next_us = job->due_us };
    return "waits for its next attempt";
}

const char *view_reason(struct berth_core *core, const struct job *job, struct why *ret_why)
{
    *ret_why = (struct why){ .kind = WHY_OTHER };
    if (scope_is_held(core, job)) {
        ret_why->kind = WHY_CHILDREN;
        return "waits for the children of its last attempt to end";
    }
    switch (view_state(job)) {
    case BERTH_READY: return reason_ready(core, job, ret_why);
    case BERTH_SCHEDULED: return reason_scheduled(core, job, ret_why);
    case BERTH_RETRYING: return reason_retrying(job, ret_why);
    case BERTH_CANCELLING: return reason_cancelling(core, job, ret_why);
    case BERTH_SUSPENDED:
        return is_held(job) ? reason_held(core, job, ret_why)
                            : reason_suspended(core, job, ret_why);
    case BERTH_RUNNING: return is_held(job) ? reason_held(core, job, ret_why) : "";
    default: return "";
    }
}

static void overlay_attempt(const struct job *job, struct berth_job_record *record)
{
    if (job->state != JOB_RUNNING)
        return;
    record->last.id = job->attempt->by_id.id;
    record->last.started_us = job->attempt->started_us;
    record->last.worker = slice_of(job->attempt->session->record.name);
}

/* It was retried, and that is not stored: until then it is what it was. */
static bool is_coming_to_life(const struct berth_core *core, const struct berth_job_record *row,
                              uint32_t job)
{
    return row->state >= BERTH_COMPLETED && job_is_arriving(core, job_at(&core->jobs, job));
}

void view_job(struct berth_core *core, const struct berth_job_record *row,
              struct berth_job_view *ret_view)
{
    *ret_view = (struct berth_job_view){ .record = *row };
    const struct dispatcher *dispatcher = dispatcher_find_id(core, row->dispatcher);
    if (dispatcher)
        ret_view->dispatcher = slice_of(dispatcher->record.name);
    ret_view->max_attempts = row->max_attempts ? row->max_attempts
                             : dispatcher      ? dispatcher->record.max_attempts
                                               : 0;
    uint32_t index = job_find(core, row->id);
    if (!index || is_coming_to_life(core, row, index))
        return;
    const struct job *job = job_at(&core->jobs, index);
    ret_view->record.state = scope_is_held(core, job) && !(job->flags & JOB_CANCEL_ASKED)
                                 ? BERTH_RETRYING
                                 : view_state(job);
    ret_view->record.attempt = job->attempt_number;
    ret_view->record.failures = job->failures;
    ret_view->record.deaths = job->deaths;
    ret_view->record.is_suspect = job->flags & JOB_IS_SUSPECT;
    ret_view->record.is_cancelled = job->flags & JOB_CANCEL_ASKED;
    bool has_time = job->state == JOB_SCHEDULED || job->state == JOB_RETRYING;
    if (has_time && job->due_us != AFTER_NEVER)
        ret_view->record.run_at_us = job->due_us;
    struct why why;
    ret_view->reason = slice_of(view_reason(core, job, &why));
    overlay_attempt(job, &ret_view->record);
    ret_view->has_progress =
        shown_progress(job, &ret_view->progress_done, &ret_view->progress_total);
}

/* ---- dispatchers ---- */

static int64_t oldest_in_gate_s(const struct berth_core *core, const struct gate *gate)
{
    int64_t oldest_s = INT64_MAX;
    BERTH_LIST_FOREACH (node, &gate->lanes) {
        const struct lane *lane = berth_container_of(node, struct lane, gate_node);
        BERTH_LIST_FOREACH (at, &lane->levels) {
            uint32_t head = berth_container_of(at, struct level, lane_node)->head;
            int64_t ready_s = head ? job_at(&core->jobs, head)->ready_s : INT64_MAX;
            if (ready_s < oldest_s)
                oldest_s = ready_s;
        }
    }
    return oldest_s;
}

static int64_t oldest_ready_us(const struct berth_core *core, const struct dispatcher *dispatcher)
{
    int64_t oldest_s = INT64_MAX;
    BERTH_LIST_FOREACH (node, &dispatcher->gates) {
        int64_t ready_s =
            oldest_in_gate_s(core, berth_container_of(node, struct gate, dispatcher_node));
        if (ready_s < oldest_s)
            oldest_s = ready_s;
    }
    if (oldest_s == INT64_MAX)
        return 0;
    return (core->wall_us / 1000000 - (core->now_ms / 1000 - oldest_s)) * 1000000;
}

/* Rows of the store, in order of the dispatchers' ids. */
struct counts {
    struct berth_ended_row *rows;
    size_t count;
};

static int by_dispatcher(const void *a, const void *b)
{
    const struct berth_ended_row *x = a, *y = b;
    return x->dispatcher < y->dispatcher ? -1 : x->dispatcher > y->dispatcher;
}

static struct counts sort_counts(struct berth_core *core, const struct berth_ev_read *read)
{
    struct counts counts = { step_alloc(core, read->count_count, sizeof *counts.rows),
                             read->count_count };
    if (counts.count) {
        memcpy(counts.rows, read->counts, counts.count * sizeof *counts.rows);
        qsort(counts.rows, counts.count, sizeof *counts.rows, by_dispatcher);
    }
    return counts;
}

/* NULL: nothing of it has ended. */
static const struct berth_ended_row *find_count(const struct counts *counts, uint32_t dispatcher)
{
    const struct berth_ended_row wanted = { .dispatcher = dispatcher };
    return counts->count
               ? bsearch(&wanted, counts->rows, counts->count, sizeof wanted, by_dispatcher)
               : NULL;
}

static void view_dispatcher(struct berth_core *core, const struct dispatcher *dispatcher,
                            const struct counts *counts, struct berth_dispatcher_view *ret_view)
{
    uint64_t limit = dispatcher_effective_limit(core, dispatcher);
    const struct dispatcher *parent = dispatcher_find_id(core, dispatcher->record.parent);
    *ret_view = (struct berth_dispatcher_view){
        .record = dispatcher->record,
        .parent = slice_of(parent ? parent->record.name : ""),
        .remark = slice_of(hold_remark(core, dispatcher)),
        .effective_limit = limit > INT64_MAX ? -1 : (int64_t)limit,
        .running = dispatcher->running,
        .ready = dispatcher->count[JOB_READY],
        .scheduled = dispatcher->count[JOB_SCHEDULED],
        .retrying = dispatcher->count[JOB_RETRYING],
        .oldest_ready_us = oldest_ready_us(core, dispatcher),
    };
    const struct berth_ended_row *row = find_count(counts, dispatcher->record.id);
    if (row) {
        ret_view->dead = row->dead;
        ret_view->completed_total = row->completed_total;
    }
}

void view_dispatchers(struct berth_core *core, uint64_t peer, uint64_t request, uint32_t id,
                      const struct berth_ev_read *read)
{
    size_t room = berth_map_count(&core->dispatchers_by_id), count = 0;
    const struct counts counts = sort_counts(core, read);
    struct berth_dispatcher_view *items = step_alloc(core, room, sizeof *items);
    BERTH_MAP_FOREACH (node, &core->dispatchers_by_id) {
        const struct dispatcher *dispatcher = berth_container_of(node, struct dispatcher, by_id);
        if (!dispatcher->is_ending && (!id || dispatcher->record.id == id))
            view_dispatcher(core, dispatcher, &counts, &items[count++]);
    }
    step_add(core, BERTH_DO_DISPATCHERS, peer, request)->dispatchers =
        (struct berth_do_dispatchers){ .items = items, .count = count };
}

/* ---- workers ---- */

static const char *session_word(const struct session *session)
{
    if (session->state == SESSION_RECOVERING)
        return "recovering";
    if (session->state == SESSION_LOST)
        return "lost";
    if (!session->peer)
        return "silent";
    if (session->is_draining)
        return "draining";
    return session->is_alone ? "alone" : "joined";
}

static void view_worker(struct berth_core *core, const struct session *session,
                        struct berth_worker_view *ret_view)
{
    struct berth_slice *handlers = step_alloc(core, session->offer_count, sizeof *handlers);
    for (size_t i = 0; i < session->offer_count; i++)
        handlers[i] = suspect_plain_name(session->offers[i].handler);
    *ret_view = (struct berth_worker_view){
        .session = session->by_id.id,
        .name = slice_of(session->record.name),
        .software = slice_of(session->software),
        .state = session_word(session),
        .capacity = session->capacity,
        .running = offer_running(session),
        .suspended = session->suspended_count,
        .held = session->state == SESSION_LOST ? session->attempt_count : 0,
        .cores = session->cores,
        .handlers = handlers,
        .handler_count = session->offer_count,
        .silent_ms = core->now_ms - session->heard_ms,
        .lease_left_ms = session->state == SESSION_LOST ? 0 : session->expires_ms - core->now_ms,
    };
}

static bool is_shown(const struct session *session)
{
    return session->state == SESSION_LIVE || session->state == SESSION_RECOVERING ||
           session->state == SESSION_LOST;
}

void view_workers(struct berth_core *core, uint64_t peer, uint64_t request)
{
    size_t count = 0;
    struct berth_worker_view *items =
        step_alloc(core, berth_map_count(&core->sessions), sizeof *items);
    BERTH_MAP_FOREACH (node, &core->sessions) {
        const struct session *session = berth_container_of(node, struct session, by_id);
        if (is_shown(session))
            view_worker(core, session, &items[count++]);
    }
    step_add(core, BERTH_DO_WORKERS, peer, request)->workers =
        (struct berth_do_workers){ .items = items, .count = count };
}

/* ---- the broker ---- */

static void count_jobs(const struct berth_core *core, struct berth_do_status *status)
{
    BERTH_MAP_FOREACH (node, &core->dispatchers_by_id) {
        const struct dispatcher *d = berth_container_of(node, struct dispatcher, by_id);
        status->scheduled += d->count[JOB_SCHEDULED];
        status->ready += d->count[JOB_READY];
        status->running += d->count[JOB_RUNNING] + d->count[JOB_SETTLING];
        status->retrying += d->count[JOB_RETRYING];
    }
    BERTH_MAP_FOREACH (node, &core->attempts) {
        const struct attempt *attempt = berth_container_of(node, struct attempt, by_id);
        bool is_cancelling =
            attempt->job && job_at(&core->jobs, attempt->job)->flags & JOB_CANCEL_ASKED;
        bool is_suspended = !is_cancelling && attempt->job && attempt->is_suspended &&
                            job_at(&core->jobs, attempt->job)->state == JOB_RUNNING;
        status->cancelling += is_cancelling;
        status->suspended += is_suspended;
        status->running -= is_cancelling || is_suspended;
    }
}

/* Parents whose attempt is over, and whose children are not: counted as they are shown. */
static void count_held(const struct berth_core *core, struct berth_do_status *status)
{
    BERTH_MAP_FOREACH (node, &core->scopes) {
        const struct scope *scope = berth_container_of(node, struct scope, by_parent);
        if (!scope->is_held)
            continue;
        const struct job *parent = job_at(&core->jobs, job_find(core, scope->by_parent.id));
        bool is_cancelling = parent->flags & JOB_CANCEL_ASKED;
        status->running--;
        status->cancelling += is_cancelling;
        status->retrying += !is_cancelling;
    }
}

void view_status(struct berth_core *core, uint64_t peer, uint64_t request,
                 const struct berth_ev_read *counts)
{
    struct berth_do_status status = {
        .epoch = core->opts.epoch,
        .uptime_ms = core->now_ms - core->started_ms,
        .recovering = (uint32_t)core->unresolved,
        .stale_reports = core->stale_reports,
    };
    count_jobs(core, &status);
    count_held(core, &status);
    BERTH_MAP_FOREACH (node, &core->sessions) {
        const struct session *session = berth_container_of(node, struct session, by_id);
        int64_t left_ms = session->expires_ms - core->now_ms;
        status.workers += session->state == SESSION_LIVE && !session->is_alone;
        if (session->state == SESSION_RECOVERING && left_ms > status.recovery_left_ms)
            status.recovery_left_ms = left_ms;
    }
    for (size_t i = 0; i < counts->count_count; i++) {
        status.completed += counts->counts[i].completed;
        status.dead += counts->counts[i].dead;
        status.cancelled += counts->counts[i].cancelled;
    }
    step_add(core, BERTH_DO_STATUS, peer, request)->status = status;
}
