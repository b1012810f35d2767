/* SPDX-License-Identifier: MIT */
/* Changes of dispatchers: asked for, gathered, answered when they are stored. */
#include "dispatcher.h"

#include <errno.h>
#include <inttypes.h>

#include "broker/core/batch.h"
#include "broker/core/life/job_clock.h"
#include "broker/core/match/group.h"
#include "broker/core/match/limit.h"
#include "broker/core/match/park.h"
#include "broker/core/scope/suspend.h"
#include "broker/core/step.h"
#include "broker/core/worker/hold.h"

static struct berth_dispatcher_record newest(const struct dispatcher *dispatcher)
{
    return dispatcher->changes ? dispatcher->wanted : dispatcher->record;
}

static void sign(const struct berth_core *core, struct berth_dispatcher_record *record,
                 struct berth_slice changed_by)
{
    BERTH_ASSERT(changed_by.bytes < sizeof record->changed_by);
    memset(record->changed_by, 0, sizeof record->changed_by);
    if (changed_by.bytes)
        memcpy(record->changed_by, changed_by.data, changed_by.bytes);
    record->changed_us = core->wall_us;
}

/* Other limits hold from now on. */
static void put_in_force(struct berth_core *core, struct dispatcher *dispatcher, bool had_rate)
{
    limit_adapt(core, dispatcher, had_rate);
    group_refresh_all(core, dispatcher);
    park_wake(core, dispatcher);
}

static void change(struct berth_core *core, struct dispatcher *dispatcher,
                   const struct berth_dispatcher_record *wanted, uint64_t peer, uint64_t request)
{
    bool had_rate = limit_settle(core, dispatcher);
    dispatcher->wanted = *wanted;
    dispatcher->changes++;
    put_in_force(core, dispatcher, had_rate); /* it may allow more than the last one did */
    batch_add(core, BERTH_RECORD_DISPATCHER)->dispatcher = *wanted;
    if (wanted->rate_count)
        limit_write_new_rate(core, dispatcher);
    hold_refresh(core);
    struct pending *pending = peer ? pending_new(PENDING_DISPATCHER, peer, request) : NULL;
    if (!pending)
        return; /* of the configuration; or no memory, and it is asked again */
    pending->dispatcher = wanted->id;
    pending_put(core, pending);
}

static void apply_limits(struct berth_dispatcher_record *record,
                         const struct berth_ev_dispatcher_set *set)
{
    if (set->has_weight)
        record->weight = set->weight;
    if (set->has_group_limit)
        record->group_limit = set->group_limit;
    if (set->has_rate) {
        record->rate_count = set->rate_count;
        record->rate_ms = set->rate_ms;
    }
    if (set->has_burst)
        record->burst = set->burst;
    if (set->has_max_queued)
        record->max_queued = set->max_queued;
    if (set->has_hold)
        record->hold = (uint8_t)set->hold;
    if (set->has_on_lost)
        record->on_lost = (uint8_t)set->on_lost;
    if (set->has_jitter)
        record->no_jitter = set->no_jitter;
    if (set->has_queue_timeout)
        record->queue_timeout_ms = set->queue_timeout_ms;
    if (set->has_deadline)
        record->deadline_ms = set->deadline_ms;
    if (set->has_retention)
        record->retention_ms = set->retention_ms;
    if (set->has_retention_count)
        record->retention_count = set->retention_count;
}

static void apply(struct berth_dispatcher_record *record, const struct berth_ev_dispatcher_set *set)
{
    if (set->has_limit)
        record->limit = set->limit;
    if (set->has_max_attempts)
        record->max_attempts = set->max_attempts;
    if (set->has_backoff)
        record->backoff_ms = set->backoff_ms;
    if (set->has_backoff_max)
        record->backoff_ms_max = set->backoff_ms_max;
    if (set->has_timeout)
        record->timeout_ms = set->timeout_ms;
    if (set->has_grace)
        record->grace_ms = set->grace_ms;
    apply_limits(record, set);
}

static void refuse(struct berth_core *core, const struct berth_ev_dispatcher_set *set, int code,
                   const char *field, const char *message)
{
    if (set->peer)
        step_error(core, set->peer, set->request, code, field, message);
}

/* Whether `id` is `dispatcher` or one of its ancestors, as they will be when all is stored. */
static bool is_at_or_above(const struct berth_core *core, const struct dispatcher *dispatcher,
                           uint32_t id)
{
    for (unsigned depth = 0; dispatcher && depth < DISPATCHERS_MAX; depth++) {
        if (dispatcher->record.id == id)
            return true;
        dispatcher = dispatcher_find_id(core, newest(dispatcher).parent);
    }
    return false;
}

/* The parent that is asked for, if one is. False: it was refused. */
static bool apply_parent(struct berth_core *core, const struct berth_ev_dispatcher_set *set,
                         struct berth_dispatcher_record *record)
{
    if (!set->has_parent)
        return true;
    record->parent = 0;
    if (!set->parent.bytes)
        return true;
    const struct dispatcher *parent = dispatcher_find(core, set->parent);
    int name_bytes = (int)set->parent.bytes;
    const char *name = set->parent.data;
    if (!parent) {
        refuse(core, set, BERTH_ENOTFOUND, "parent",
               step_text(core, "parent: dispatcher '%.*s' does not exist", name_bytes, name));
        return false;
    }
    if (is_at_or_above(core, parent, record->id)) {
        refuse(core, set, BERTH_EVALUE, "parent",
               step_text(core, "parent '%.*s' is '%s' itself or stands below it", name_bytes, name,
                         record->name));
        return false;
    }
    record->parent = parent->record.id;
    return true;
}

/* What no single value shows. Two that were there before are left alone. */
static bool check_backoff(struct berth_core *core, const struct berth_ev_dispatcher_set *set,
                          const struct berth_dispatcher_record *record)
{
    if ((!set->has_backoff && !set->has_backoff_max) ||
        record->backoff_ms <= record->backoff_ms_max)
        return true;
    refuse(core, set, BERTH_EVALUE, set->has_backoff ? "backoff" : "backoff_max",
           step_text(core,
                     "backoff %" PRId64 " ms: allowed is 0 to backoff_max, which is %" PRId64 " ms",
                     record->backoff_ms, record->backoff_ms_max));
    return false;
}

/* What the missing workers run there is not stored: it could not be known after another start. */
static bool check_hold(struct berth_core *core, const struct berth_ev_dispatcher_set *set,
                       const struct dispatcher *dispatcher,
                       const struct berth_dispatcher_record *record)
{
    if (!dispatcher || hold_may_change(core, dispatcher, record))
        return true;
    refuse(
        core, set, BERTH_ECONFLICT, set->has_on_lost ? "on_lost" : "parent",
        step_text(core,
                  "%s: '%s' cannot come to hold what is lost before all workers of the time "
                  "before the broker's start are back or have run out; try again in some seconds",
                  set->has_on_lost ? "on_lost" : "parent", record->name));
    return false;
}

/* Attempts that wait under `hold = running` have given their slots back; what waits under `hold =
 * job` has them. Nobody but us knows which of them did, and we may be gone when they join. */
static bool check_waiting(struct berth_core *core, const struct berth_ev_dispatcher_set *set,
                          const struct dispatcher *dispatcher,
                          const struct berth_dispatcher_record *record)
{
    if (!dispatcher || record->hold != BERTH_HOLD_JOB ||
        newest(dispatcher).hold == BERTH_HOLD_JOB || !suspend_has_given(core, dispatcher))
        return true;
    refuse(core, set, BERTH_ECONFLICT, "hold",
           step_text(core,
                     "hold: '%s' has handlers that wait without their slots, or may have where a "
                     "worker is missing; hold can be job again when there are none, for instance "
                     "after a pause",
                     record->name));
    return false;
}

void dispatcher_on_set(struct berth_core *core, const struct berth_ev_dispatcher_set *set)
{
    struct dispatcher *dispatcher = dispatcher_find(core, set->name);
    struct berth_dispatcher_record record;
    if (dispatcher) {
        record = newest(dispatcher);
    } else if (!set->has_limit) {
        refuse(core, set, BERTH_ENOTFOUND, "limit",
               step_text(core, "dispatcher '%.*s' does not exist: a new one needs a limit",
                         (int)set->name.bytes, (const char *)set->name.data));
        return;
    } else {
        dispatcher_defaults(&record);
        record.id = core->next_dispatcher_id;
        memcpy(record.name, set->name.data, set->name.bytes);
    }
    struct berth_dispatcher_record made = record;
    apply(&record, set);
    if (!apply_parent(core, set, &record) || !check_backoff(core, set, &record) ||
        !check_hold(core, set, dispatcher, &record) ||
        !check_waiting(core, set, dispatcher, &record))
        return;
    if (!dispatcher)
        dispatcher = dispatcher_new(core, &made);
    if (!dispatcher) {
        refuse(core, set, BERTH_ELIMIT, "name",
               step_text(core, "no room for another dispatcher: there may be %u", DISPATCHERS_MAX));
        return;
    }
    bool is_watched = set->has_queue_timeout && record.queue_timeout_ms;
    if (is_watched && rare_reserve(core, dispatcher) < 0) {
        refuse(core, set, BERTH_EFULL, "queue_timeout",
               "queue_timeout: the broker has no memory to watch the jobs of this dispatcher");
        return;
    }
    sign(core, &record, set->changed_by);
    change(core, dispatcher, &record, set->peer, set->request);
}

void dispatcher_on_pause(struct berth_core *core, const struct berth_ev_dispatcher_pause *pause)
{
    struct dispatcher *dispatcher = dispatcher_find(core, pause->name);
    if (!dispatcher) {
        step_error(core, pause->peer, pause->request, BERTH_ENOTFOUND, "name",
                   step_text(core, "dispatcher '%.*s' does not exist", (int)pause->name.bytes,
                             (const char *)pause->name.data));
        return;
    }
    struct berth_dispatcher_record record = newest(dispatcher);
    record.is_paused = pause->is_paused;
    sign(core, &record, pause->changed_by);
    change(core, dispatcher, &record, pause->peer, pause->request);
}

void dispatcher_on_stored(struct berth_core *core, const struct berth_dispatcher_record *record)
{
    struct dispatcher *dispatcher = dispatcher_find_id(core, record->id);
    BERTH_ASSERT(dispatcher != NULL);
    BERTH_ASSERT(dispatcher->changes > 0);
    bool had_rate = limit_settle(core, dispatcher);
    bool is_new_timeout = dispatcher->record.queue_timeout_ms != record->queue_timeout_ms;
    dispatcher->record = *record;
    if (is_new_timeout)
        job_clock_on_setting(core, dispatcher);
    dispatcher->changes--;
    dispatcher_follow_parent(core, dispatcher);
    hold_refresh(core);
    put_in_force(core, dispatcher, had_rate);
}
