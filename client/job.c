/* SPDX-License-Identifier: MIT */
/* A job as the broker showed it, in memory that the caller owns. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/container.h"
#include "client/translate.h"

/* What berth_job_get gives away: the job, and the answer in which it lies. */
struct job_box {
    struct berth_job job;
    struct berth_answer *answer;
};

int berth_job_unknown(berth_job_id id, struct berth_error *err)
{
    return berth_fail(err, BERTH_ENOTFOUND, "there is no job %" PRIu64, id.v);
}

int berth_job_of_answer(struct berth_answer **answer, berth_job_id id, struct berth_job **ret_job,
                        struct berth_error *err)
{
    if ((*answer)->jobs.count == 0)
        return berth_job_unknown(id, err);
    struct job_box *box = calloc(1, sizeof *box);
    if (!box)
        return berth_fail(err, -ENOMEM, "get job %" PRIu64, id.v);
    box->job = (*answer)->jobs.items[0];
    box->answer = berth_take(*answer);
    *ret_job = &box->job;
    return 0;
}

void berth_job_free(struct berth_job *job)
{
    if (!job)
        return;
    struct job_box *box = berth_container_of(job, struct job_box, job);
    berth_answer_free(box->answer);
    free(box);
}

const char *berth_state_name(enum berth_state state)
{
    switch (state) {
    case BERTH_SCHEDULED: return "scheduled";
    case BERTH_READY: return "ready";
    case BERTH_RUNNING: return "running";
    case BERTH_SUSPENDED: return "suspended";
    case BERTH_CANCELLING: return "cancelling";
    case BERTH_RETRYING: return "retrying";
    case BERTH_COMPLETED: return "completed";
    case BERTH_DEAD: return "dead";
    case BERTH_CANCELLED: return "cancelled";
    }
    return "unknown";
}
