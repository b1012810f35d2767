/* SPDX-License-Identifier: MIT */
#include "recovery.h"

#include "broker/core/dispatcher/dispatcher.h"
#include "broker/core/life/attempt.h"
#include "broker/core/match/park.h"
#include "broker/core/scope/scope.h"

bool recovery_allows(const struct berth_core *core, const struct dispatcher *dispatcher)
{
    bool has_group_limit = dispatcher_group_limit(dispatcher) != UINT64_MAX;
    for (const struct dispatcher *at = dispatcher; at; at = at->parent)
        if (!at->is_held && dispatcher_limit(core, at) != UINT64_MAX)
            return false;
    return dispatcher->is_held || !has_group_limit;
}

void recovery_note_arrival(struct berth_core *core, struct dispatcher *dispatcher)
{
    if (core->unresolved && recovery_allows(core, dispatcher))
        park_again(core, dispatcher);
}

void recovery_end(struct berth_core *core)
{
    berth_list_splice_back(&core->runnable, &core->recovering);
    park_wake_all(core);
    scope_on_recovered(core);
    if (!core->has_queued_cancels)
        return;
    core->has_queued_cancels = false;
    for (uint32_t i = 1; i <= core->jobs.top; i++) {
        const struct job *job = job_at(&core->jobs, i);
        if (job_is_queued(job) && job->flags & JOB_CANCEL_STORED)
            job_end_cancelled(core, i);
    }
}

void recovery_resolve(struct berth_core *core)
{
    BERTH_ASSERT(core->unresolved > 0);
    if (--core->unresolved == 0)
        recovery_end(core);
}
