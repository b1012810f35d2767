/* SPDX-License-Identifier: MIT */
/* Rule 54: `max_queued`. Of the jobs of a dispatcher that are on the disk, live, and were never
 * given to a worker, there are never more than it allows, whatever crashes; and a submit that is
 * refused says of how many, and that is not less. What was given to a worker once may go back to
 * the queue beyond it, and so may what is retried. */
#include <stdio.h>
#include <string.h>

#include "sim.h"

static uint64_t *count_of(struct sim *sim, const struct check_job *job)
{
    for (unsigned i = 0; i < SIM_DISPATCHERS; i++)
        if (sim->broker.ids[i] == job->dispatcher)
            return &sim->checkers.queued[i];
    sim_fail(sim, "a dispatcher nobody made: %u", job->dispatcher);
}

static void leave(struct sim *sim, struct check_job *job)
{
    if (job->is_queued)
        --*count_of(sim, job);
    job->is_queued = false;
}

void check_queue_granted(struct sim *sim, uint64_t id)
{
    leave(sim, check_job_of(sim, id));
}

void check_queue_stored(struct sim *sim, const struct berth_record *record)
{
    if (record->type == BERTH_RECORD_END)
        leave(sim, check_job_of(sim, record->end.id));
    if (record->type != BERTH_RECORD_JOB)
        return;
    struct check_job *job = check_job_of(sim, record->job.id);
    job->is_queued = true;
    ++*count_of(sim, job);
}

void check_queue_batch(struct sim *sim)
{
    for (unsigned i = 0; i < SIM_DISPATCHERS; i++)
        if (sim_rules[i].max_queued && sim->checkers.queued[i] > sim_rules[i].max_queued)
            sim_fail(sim, "%s: %llu jobs wait that never began, and max_queued is %u",
                     sim_rules[i].name, (unsigned long long)sim->checkers.queued[i],
                     sim_rules[i].max_queued);
}

void check_queue_refused(struct sim *sim, const struct berth_do_error *refusal)
{
    char name[32];
    unsigned long long queued, most;
    if (refusal->code != BERTH_ELIMIT)
        return;
    if (sscanf(refusal->message,
               "dispatcher %31s has %llu jobs queued, as many as its max_queued of %llu", name,
               &queued, &most) != 3)
        sim_fail(sim, "a submit is refused because '%s'", refusal->message);
    unsigned dispatcher = sim_dispatcher_index(sim, (struct berth_slice){ name, strlen(name) });
    if (queued < most || most != sim_rules[dispatcher].max_queued)
        sim_fail(sim, "a submit is refused because '%s'", refusal->message);
}
