/* SPDX-License-Identifier: MIT */
#include "cancel.h"

#include <errno.h>

#include "attempt.h"
#include "broker/core/batch.h"
#include "broker/core/scope/scope.h"
#include "broker/core/step.h"
#include "broker/core/worker/outbox.h"

void cancel_jobs(struct berth_core *core, const struct berth_ev_ids *ids,
                 const enum berth_state *ended)
{
    struct pending *answer = pending_new(PENDING_CANCELLED, ids->peer, ids->request);
    struct berth_job_state *items =
        answer ? pending_alloc(answer, ids->count, sizeof *items) : NULL;
    if (!items) {
        pending_free(answer);
        step_error(core, ids->peer, ids->request, BERTH_EFULL, "",
                   "the broker has no memory for this request");
        return;
    }
    answer->cancelled = items;
    answer->count = ids->count;
    bool must_wait = false;
    for (size_t i = 0; i < ids->count; i++) {
        uint32_t job = job_find_known(core, ids->ids[i]);
        if (job)
            items[i] = cancel_job(core, job, ids->is_forced, &must_wait);
        else
            items[i] = (struct berth_job_state){ .id = ids->ids[i],
                                                 .state = ended[i],
                                                 .code = ended[i] ? -EALREADY : BERTH_ENOTFOUND };
    }
    if (must_wait)
        pending_put(core, answer);
    else
        pending_answer(core, answer);
}

/* Its worker is told when it may be told at all. */
static void force(struct berth_core *core, const struct job *job)
{
    job->attempt->is_forced = true;
    if (job->flags & JOB_CANCEL_STORED)
        outbox_cancel(core, job->attempt);
}

struct berth_job_state cancel_job(struct berth_core *core, uint32_t index, bool is_forced,
                                  bool *ret_waits)
{
    struct job *job = job_at(&core->jobs, index);
    struct berth_job_state item = { .id = job->id, .state = BERTH_CANCELLING };
    bool was_asked = job->flags & JOB_CANCEL_ASKED;
    if (job->flags & JOB_ENDING) {
        item.state = job->end_state;
        item.code = was_asked ? 0 : -EALREADY;
        *ret_waits = true;
        return item;
    }
    cancel_quietly(core, index, is_forced);
    if (job->flags & JOB_IN_SCOPE)
        scope_cancel_below(core, job->id, SCOPE_PARENT_CANCELLED, is_forced);
    if (job->flags & JOB_ENDING)
        item.state = BERTH_CANCELLED;
    *ret_waits |= !(job->flags & JOB_CANCEL_STORED) || job->flags & JOB_ENDING;
    return item;
}

void cancel_quietly(struct berth_core *core, uint32_t index, bool is_forced)
{
    struct job *job = job_at(&core->jobs, index);
    bool was_asked = job->flags & JOB_CANCEL_ASKED;
    if (job->flags & JOB_ENDING)
        return;
    job->flags |= JOB_CANCEL_ASKED;
    if (job->state == JOB_ARRIVING)
        return; /* it ends when it is stored */
    if (job_is_queued(job) && !core->unresolved) {
        job_end_cancelled(core, index);
        return;
    }
    if (!was_asked)
        batch_add(core, BERTH_RECORD_CANCEL)->id = job->id;
    if (is_forced && job->state == JOB_RUNNING)
        force(core, job);
}
