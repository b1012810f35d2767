/* SPDX-License-Identifier: MIT */
#include "purge.h"

#include "broker/core/batch.h"
#include "broker/core/life/cancel.h"
#include "broker/core/step.h"
#include "dispatcher.h"

/* A place among the jobs in memory, which do not move; in another epoch they lie elsewhere. */
#define CURSOR(epoch, index) ((uint64_t)(epoch) << 32 | (index))

static uint32_t start_of(const struct berth_core *core, uint64_t cursor)
{
    return cursor >> 32 == core->opts.epoch ? (uint32_t)cursor : 0;
}

static bool is_wanted(const struct berth_core *core, const struct job *job,
                      const struct dispatcher *dispatcher, uint64_t below)
{
    return job->state && job_is_queued(job) && job->id < below &&
           !(job->flags & JOB_CANCEL_ASKED) && job_dispatcher(core, job) == dispatcher;
}

static uint64_t queued(const struct dispatcher *dispatcher)
{
    return dispatcher->count[JOB_SCHEDULED] + dispatcher->count[JOB_READY] +
           dispatcher->count[JOB_RETRYING];
}

/* Who waited for one of them has ended with it, and counts, too. */
static struct berth_do_purged purge(struct berth_core *core, const struct dispatcher *dispatcher,
                                    uint64_t below, uint32_t start)
{
    struct berth_do_purged purged = { .below = below };
    uint32_t index = start;
    bool waits = false;
    uint64_t before = queued(dispatcher), cancelled = 0, asked = 0;
    while (index < core->jobs.top && index - start < PURGE_LOOKED_AT_MAX &&
           cancelled < PURGE_JOBS_MAX) {
        index++;
        if (!is_wanted(core, job_at(&core->jobs, index), dispatcher, below))
            continue;
        (void)cancel_job(core, index, false, &waits);
        cancelled++;
        asked += job_is_queued(job_at(&core->jobs, index)); /* while a worker is missing */
    }
    purged.count = (uint32_t)(asked + before - queued(dispatcher));
    purged.cursor = index < core->jobs.top ? CURSOR(core->opts.epoch, index) : 0;
    return purged;
}

void purge_on_event(struct berth_core *core, const struct berth_ev_purge *ev)
{
    const struct dispatcher *dispatcher = dispatcher_find(core, ev->name);
    if (!dispatcher) {
        step_error(core, ev->peer, ev->request, BERTH_ENOTFOUND, "name",
                   step_text(core, "dispatcher '%.*s' does not exist", (int)ev->name.bytes,
                             (const char *)ev->name.data));
        return;
    }
    struct pending *answer = pending_new(PENDING_PURGED, ev->peer, ev->request);
    if (!answer) {
        step_error(core, ev->peer, ev->request, BERTH_EFULL, "",
                   "the broker has no memory for this request");
        return;
    }
    answer->purged = purge(core, dispatcher, ev->below ? ev->below : core->next_job_id,
                           start_of(core, ev->cursor));
    if (answer->purged.count)
        pending_put(core, answer);
    else
        pending_answer(core, answer);
}
