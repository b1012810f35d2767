/* SPDX-License-Identifier: MIT */
#include "removal.h"

#include <inttypes.h>

#include "broker/core/batch.h"
#include "broker/core/recur/recur.h"
#include "broker/core/step.h"
#include "dispatcher.h"

static const char *const built_in[] = { "default", "io" };

static const char *why_built_in(struct berth_core *core, const struct dispatcher *dispatcher)
{
    const char *name = dispatcher->record.name;
    for (size_t i = 0; i < sizeof built_in / sizeof *built_in; i++)
        if (strcmp(name, built_in[i]) == 0)
            return step_text(core, "dispatcher '%s' is built in and cannot be removed", name);
    return NULL;
}

static const char *why_jobs(struct berth_core *core, const struct dispatcher *dispatcher)
{
    uint64_t live = 0;
    for (int state = JOB_ARRIVING; state < JOB_STATE_COUNT; state++)
        live += dispatcher->count[state];
    if (!live)
        return NULL;
    return step_text(core,
                     "dispatcher '%s' has %" PRIu64 " live job%s, %" PRIu64
                     " of them running: purge it, or wait until they have ended",
                     dispatcher->record.name, live, live == 1 ? "" : "s",
                     dispatcher->count[JOB_RUNNING] + dispatcher->count[JOB_SETTLING]);
}

/* Attempts that are alive though their job has ended. */
static const char *why_attempts(struct berth_core *core, const struct dispatcher *dispatcher)
{
    BERTH_MAP_FOREACH (node, &core->attempts) {
        const struct attempt *attempt = berth_container_of(node, struct attempt, by_id);
        if (attempt->dispatcher == dispatcher)
            return step_text(core, "dispatcher '%s' has an attempt of job %" PRIu64 " on worker %s",
                             dispatcher->record.name, attempt->job_id,
                             attempt->session->record.name);
    }
    return NULL;
}

static bool is_below(const struct dispatcher *child, const struct dispatcher *parent)
{
    uint32_t id = parent->record.id;
    return child->record.parent == id || (child->changes && child->wanted.parent == id);
}

static const char *why_children(struct berth_core *core, const struct dispatcher *dispatcher)
{
    const struct dispatcher *first = NULL;
    uint32_t count = 0;
    BERTH_MAP_FOREACH (node, &core->dispatchers_by_id) {
        const struct dispatcher *child = berth_container_of(node, struct dispatcher, by_id);
        if (child->is_ending || !is_below(child, dispatcher))
            continue;
        first = first ? first : child;
        count++;
    }
    if (!count)
        return NULL;
    const char *name = dispatcher->record.name, *child = first->record.name;
    return count == 1
               ? step_text(core, "dispatcher '%s' is the parent of '%s'", name, child)
               : step_text(core, "dispatcher '%s' is the parent of '%s' and %" PRIu32 " more", name,
                           child, count - 1);
}

static const char *why_schedules(struct berth_core *core, const struct dispatcher *dispatcher)
{
    const struct recurring *recurring = recur_find_of(core, dispatcher);
    return recurring ? step_text(core, "dispatcher '%s' is where schedule '%s' submits to",
                                 dispatcher->record.name, recurring->record.name)
                     : NULL;
}

static const char *why_not(struct berth_core *core, const struct dispatcher *dispatcher)
{
    const char *(*const reasons[])(struct berth_core *, const struct dispatcher *) = {
        why_built_in, why_jobs, why_attempts, why_children, why_schedules
    };
    const char *why = NULL;
    for (size_t i = 0; !why && i < sizeof reasons / sizeof *reasons; i++)
        why = reasons[i](core, dispatcher);
    return why;
}

static void end(struct berth_core *core, struct dispatcher *dispatcher, struct pending *answer)
{
    dispatcher->is_ending = true;
    berth_map_remove(&core->dispatchers_by_name, &dispatcher->by_name);
    batch_add(core, BERTH_RECORD_DISPATCHER_END)->id = dispatcher->record.id;
    pending_put(core, answer);
}

void removal_on_event(struct berth_core *core, const struct berth_ev_query *ev)
{
    struct dispatcher *dispatcher = dispatcher_find(core, ev->name);
    if (!dispatcher) {
        pending_refuse(core, ev->peer, ev->request, BERTH_ENOTFOUND, "name",
                       step_text(core, "dispatcher '%.*s' does not exist", (int)ev->name.bytes,
                                 (const char *)ev->name.data));
        return;
    }
    const char *why = why_not(core, dispatcher);
    struct pending *answer = why ? NULL : pending_new(PENDING_REMOVED, ev->peer, ev->request);
    if (why)
        step_error(core, ev->peer, ev->request, BERTH_ECONFLICT, "name", why);
    else if (!answer)
        step_error(core, ev->peer, ev->request, BERTH_EFULL, "",
                   "the broker has no memory for this request");
    else
        end(core, dispatcher, answer);
}

void removal_on_stored(struct berth_core *core, uint32_t id)
{
    struct dispatcher *dispatcher = dispatcher_find_id(core, id);
    BERTH_ASSERT(dispatcher != NULL);
    BERTH_ASSERT(dispatcher->is_ending);
    dispatcher_free(core, dispatcher);
}
