/* SPDX-License-Identifier: MIT */
#include "hold.h"

#include <errno.h>

#include "broker/core/batch.h"
#include "broker/core/dispatcher/dispatcher.h"
#include "broker/core/life/attempt.h"
#include "broker/core/life/job_clock.h"
#include "broker/core/match/limit.h"
#include "broker/core/scope/suspend.h"
#include "broker/core/step.h"
#include "outbox.h"
#include "session.h"

/* ---- who is held ---- */

static bool is_told_to_hold(const struct dispatcher *dispatcher)
{
    return dispatcher->record.on_lost == BERTH_ON_LOST_HOLD ||
           (dispatcher->changes && dispatcher->wanted.on_lost == BERTH_ON_LOST_HOLD);
}

static bool is_held_by(const struct berth_core *core, uint32_t parent)
{
    const struct dispatcher *dispatcher = parent ? dispatcher_find_id(core, parent) : NULL;
    return dispatcher && dispatcher->is_held;
}

/* By the parent that it has, or by the one that it will have. */
static bool is_held_from_above(const struct berth_core *core, const struct dispatcher *dispatcher)
{
    return is_held_by(core, dispatcher->record.parent) ||
           (dispatcher->changes && is_held_by(core, dispatcher->wanted.parent));
}

static bool is_any_changing(const struct berth_core *core)
{
    BERTH_MAP_FOREACH (node, &core->dispatchers_by_id)
        if (berth_container_of(node, struct dispatcher, by_id)->changes)
            return true;
    return false;
}

/* One level of the tree, at least. False: there is none left. */
static bool spread(struct berth_core *core)
{
    bool has_spread = false;
    BERTH_MAP_FOREACH (node, &core->dispatchers_by_id) {
        struct dispatcher *dispatcher = berth_container_of(node, struct dispatcher, by_id);
        if (!dispatcher->is_held && is_held_from_above(core, dispatcher))
            has_spread = dispatcher->is_held = true;
    }
    return has_spread;
}

static void write_start(struct berth_core *core, const struct attempt *attempt)
{
    struct job *job = job_at(&core->jobs, attempt->job);
    batch_add(core, BERTH_RECORD_START)->start =
        (struct berth_start_record){ .id = job->id,
                                     .attempt = attempt->by_id.id,
                                     .session = attempt->session->by_id.id,
                                     .started_us = attempt->started_us };
    job->flags |= JOB_START_STORED;
}

static void write_missing_starts(struct berth_core *core)
{
    BERTH_MAP_FOREACH (node, &core->attempts) {
        const struct attempt *attempt = berth_container_of(node, struct attempt, by_id);
        bool is_begun = attempt->state == ATTEMPT_RUNNING || attempt->state == ATTEMPT_STARTING;
        if (is_begun && attempt->dispatcher->is_held &&
            !(job_at(&core->jobs, attempt->job)->flags & JOB_START_STORED))
            write_start(core, attempt);
    }
}

void hold_refresh(struct berth_core *core)
{
    bool may_fall = !is_any_changing(core), is_any_held = false;
    BERTH_MAP_FOREACH (node, &core->dispatchers_by_id) {
        struct dispatcher *dispatcher = berth_container_of(node, struct dispatcher, by_id);
        dispatcher->is_held = is_told_to_hold(dispatcher) || (dispatcher->is_held && !may_fall);
        is_any_held |= dispatcher->is_held;
    }
    if (!is_any_held)
        return;
    while (spread(core))
        ;
    write_missing_starts(core);
}

bool hold_may_change(const struct berth_core *core, const struct dispatcher *dispatcher,
                     const struct berth_dispatcher_record *wanted)
{
    bool will_be_held = wanted->on_lost == BERTH_ON_LOST_HOLD || is_held_by(core, wanted->parent);
    return !core->unresolved || dispatcher->is_held || !will_be_held;
}

const char *hold_remark(struct berth_core *core, const struct dispatcher *dispatcher)
{
    if (!dispatcher->is_held)
        return "";
    for (const struct dispatcher *at = dispatcher->parent; at; at = at->parent)
        if (!is_told_to_hold(dispatcher) && is_told_to_hold(at))
            return step_text(core, "what is lost is held here, because it is in '%s' above it",
                             at->record.name);
    for (const struct dispatcher *at = dispatcher->parent; at; at = at->parent)
        if (!at->is_held && dispatcher_limit(core, at) != UINT64_MAX)
            return step_text(
                core,
                "'%s' above it does not hold what is lost: its limit is kept by leases "
                "alone, and after a restart of the broker nothing begins here before "
                "every worker is back or has run out",
                at->record.name);
    return "";
}

/* ---- starts ---- */

void hold_begin(struct berth_core *core, struct attempt *attempt)
{
    bool has_start = job_at(&core->jobs, attempt->job)->flags & JOB_START_STORED;
    bool has_rate = limit_write_tokens(core, attempt->dispatcher, attempt->by_id.id);
    if (attempt->dispatcher->is_held || has_start || has_rate)
        attempt->state = ATTEMPT_STARTING;
    if (attempt->dispatcher->is_held || has_start)
        write_start(core, attempt);
    if (attempt->state == ATTEMPT_STARTING)
        return;
    attempt->state = ATTEMPT_RUNNING;
    outbox_grant(core, attempt);
}

/* All that it needs on the disk is there. */
static void go(struct berth_core *core, struct attempt *attempt)
{
    const struct job *job = job_at(&core->jobs, attempt->job);
    if (job->flags & JOB_CANCEL_STORED || job_clock_is_late(core, job)) {
        attempt_release(core, attempt);
        return;
    }
    attempt->state = ATTEMPT_RUNNING;
    outbox_grant(core, attempt);
}

static struct attempt *starting(const struct berth_core *core, uint64_t id)
{
    struct attempt *attempt = id ? attempt_find(core, id) : NULL;
    return attempt && attempt->state == ATTEMPT_STARTING ? attempt : NULL;
}

void hold_on_start_stored(struct berth_core *core, const struct berth_start_record *start)
{
    struct attempt *attempt = starting(core, start->attempt);
    if (attempt)
        go(core, attempt);
}

/* Those of all rates of its chain stand in one batch, and before its start. */
void hold_on_token_stored(struct berth_core *core, const struct berth_token_record *token)
{
    struct attempt *attempt = starting(core, token->attempt);
    if (attempt && !(job_at(&core->jobs, attempt->job)->flags & JOB_START_STORED))
        go(core, attempt);
}

/* The flag stays: should this record be lost in a crash, what begins until then must be found. */
void hold_forget_start(struct berth_core *core, struct job *job)
{
    if (job->flags & JOB_START_STORED)
        batch_add(core, BERTH_RECORD_START)->start = (struct berth_start_record){ .id = job->id };
}

/* ---- what may still run ---- */

bool hold_may_still_run(const struct attempt *attempt)
{
    bool is_alive = attempt->state == ATTEMPT_RUNNING || attempt->state == ATTEMPT_DOOMED;
    return is_alive && attempt->dispatcher && attempt->dispatcher->is_held;
}

void hold_attempt(struct berth_core *core, struct attempt *attempt)
{
    if (attempt->state == ATTEMPT_RUNNING)
        attempt->state = ATTEMPT_HELD;
    suspend_forget(core, attempt);
    outbox_forget(attempt);
}

/* ---- loading ---- */

int hold_load(struct berth_core *core, uint32_t index, const struct berth_job_record *record)
{
    if (!record->start_attempt)
        return 0;
    struct job *job = job_at(&core->jobs, index);
    job->flags |= JOB_START_STORED;
    struct session *session = session_find(core, record->start_session);
    if (!session)
        return 0; /* it is proven gone */
    const struct lane *lane = job_lane(core, job);
    if (job->state != JOB_READY)
        job_move(core, index, JOB_READY, JOB_AT_TAIL);
    uint32_t number = record->attempt + (record->attempt < UINT32_MAX);
    struct attempt *attempt = attempt_new(core, record->start_attempt, session, index, number,
                                          lane->gate->dispatcher, lane->group);
    if (!attempt)
        return -ENOMEM;
    job->attempt_number = number;
    attempt->started_us = record->start_us;
    if (session->state == SESSION_LOST)
        hold_attempt(core, attempt);
    return 0;
}

void hold_start(struct berth_core *core)
{
    BERTH_MAP_FOREACH (node, &core->attempts)
        berth_container_of(node, struct attempt, by_id)->slot_ms = core->now_ms;
    BERTH_MAP_FOREACH (node, &core->sessions) {
        struct session *session = berth_container_of(node, struct session, by_id);
        if (session->state == SESSION_LOST && !session->attempt_count)
            session_close(core, session, ATTEMPT_LOST);
    }
}
