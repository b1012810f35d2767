/* SPDX-License-Identifier: MIT */
/* The checkers of ended jobs that live again or are discarded, and of the dispatcher that is
 * removed and made again: rule 15 of checkers.c. What a client is told may be from before, so it is
 * compared with all that ever was on the disk; what starts is compared with what is there now. */
#include <string.h>

#include "broker/core/worker/suspect.h"
#include "sim.h"

static struct check_job *ended_job(struct sim *sim, uint64_t id)
{
    struct check_job *job = check_job_of(sim, id);
    return job->stored_end && !job->is_discarded ? job : NULL;
}

void check_ended(struct sim *sim, const struct berth_end_record *end)
{
    struct check_job *job = check_job_of(sim, end->id);
    job->stored_end = end->state;
    job->ends |= 1u << end->state;
    if (job->lives && end->state == BERTH_DEAD && !job->has_failed_forever &&
        !job->ended_by_clock && job->own_deaths < SUSPECT_DEATHS_MAX &&
        end->failures > job->failures) /* fewer: a report of one was lost with its worker */
        sim_fail(sim, "job %llu is dead after %u failures in this life, it is said, of %u",
                 (unsigned long long)end->id, end->failures, job->failures);
}

void check_revived(struct sim *sim, uint64_t id)
{
    struct check_job *job = ended_job(sim, id);
    if (!job || !check_is_kept(sim, id))
        return; /* and the store says so */
    if (job->stored_end == BERTH_COMPLETED)
        sim_fail(sim, "job %llu has completed and lives again", (unsigned long long)id);
    if (job->alive)
        sim_fail(sim, "job %llu lives again while attempt %llx of it is alive",
                 (unsigned long long)id, (unsigned long long)job->alive);
    check_suspect_revived(job);
    job->lives++;
    sim_total.revived++;
    job->told = job->stored_end = (enum berth_state)0;
    job->is_cancelled = job->is_cancel_stored = false;
    job->failures = 0;
    job->has_failed_forever = false;
    job->completed_by = 0;
}

void check_discarded(struct sim *sim, uint64_t id)
{
    struct check_job *job = ended_job(sim, id);
    if (job && job->stored_end == BERTH_DEAD)
        job->is_discarded = true;
    sim_total.discarded += job && job->is_discarded;
}

void check_arrived(struct sim *sim, const struct berth_job_record *record)
{
    struct check_job *job = check_job_of(sim, record->id);
    job->is_stored = true;
    job->dispatcher = record->dispatcher;
    job->may_be_gone |= check_rule_of(sim, record->dispatcher) == &sim_rules[SIM_FLEETING];
    job->may_be_gone |= check_may_be_forgotten(sim, job);
}

void check_made(struct sim *sim, const struct berth_dispatcher_record *record)
{
    if (strcmp(record->name, sim_rules[SIM_FLEETING].name) == 0)
        sim->broker.ids[SIM_FLEETING] = record->id;
}

void check_removed(struct sim *sim, uint32_t dispatcher)
{
    if (check_rule_of(sim, dispatcher) != &sim_rules[SIM_FLEETING])
        sim_fail(sim, "a dispatcher is removed that nobody asked to remove: %u", dispatcher);
    BERTH_MAP_FOREACH (node, &sim->checkers.jobs) {
        struct check_job *job = berth_container_of(node, struct check_job, by_id);
        if (!job->is_stored || job->dispatcher != dispatcher)
            continue;
        if (!job->stored_end || job->alive)
            sim_fail(sim, "job %llu lives and its dispatcher is removed",
                     (unsigned long long)node->id);
        job->is_discarded = true;
    }
    sim_total.removed++;
}

/* The history lost it between two retries: the first is told so, the second is not. */
static bool was_forgotten(struct sim *sim, const struct berth_changed_item *item)
{
    return item->is_retry && !check_is_kept(sim, item->id) &&
           check_may_be_forgotten(sim, check_job_of(sim, item->id));
}

void check_changed(struct sim *sim, const struct berth_do_changed *changed)
{
    for (size_t i = 0; i < changed->count; i++) {
        const struct berth_changed_item *item = &changed->items[i];
        const struct check_job *job = check_job_of(sim, item->id);
        bool is_done = item->is_retry ? job->lives > 0 : job->is_discarded;
        if (item->code == 0 && !is_done && !was_forgotten(sim, item))
            sim_fail(sim, "the %s of job %llu is answered and not stored",
                     item->is_retry ? "retry" : "discard", (unsigned long long)item->id);
        if (item->code == BERTH_ENOTFOUND && !job->may_be_gone)
            sim_fail(sim, "job %llu was acknowledged and cannot be changed: not found",
                     (unsigned long long)item->id);
    }
}

void check_told_some_end(struct sim *sim, uint64_t id, enum berth_state state)
{
    const struct check_job *job = check_job_of(sim, id);
    if (!(job->ends & 1u << state))
        sim_fail(sim, "job %llu ended in state %d, it is said, and never did",
                 (unsigned long long)id, (int)state);
}
