/* SPDX-License-Identifier: MIT */
#include "recovery.h"

#include "attempt.h"
#include "park.h"

void recovery_end(struct berth_core *core)
{
    park_wake_all(core);
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
