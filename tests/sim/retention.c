/* SPDX-License-Identifier: MIT */
/* Rule 45 of checkers.c: of its ended jobs a dispatcher keeps as many, and as long, as it says:
 * none goes before that, none stays longer. One whose submit may be repeated stays in any case.
 * Looked at in the end, when the disk is read. */
#include "sim.h"

#define PASS_US (10 * SECOND) /* the store looks at ages so often */

static bool has_retention(const struct sim_rule *rule)
{
    return rule->retention_ms || rule->retention_count;
}

bool check_may_be_forgotten(struct sim *sim, const struct check_job *job)
{
    return has_retention(check_rule_of(sim, job->dispatcher));
}

bool check_is_kept(const struct sim *sim, uint64_t id)
{
    return berth_mem_has(sim->broker.disk, id);
}

void check_retention_stored(struct sim *sim, const struct berth_record *record)
{
    struct check_job *job;
    switch (record->type) {
    case BERTH_RECORD_JOB:
        job = check_job_of(sim, record->job.id);
        job->repeated_until_us =
            record->job.key.kind == BERTH_KEY_REQUEST ? record->job.key.until_us : 0;
        return;
    case BERTH_RECORD_END:
        job = check_job_of(sim, record->end.id);
        job->finished_us = record->end.finished_us;
        job->ended_in_order = job->finished_us >= berth_mem_now_us(sim->broker.disk);
        return;
    default: return;
    }
}

/* Those that go after it, or do not go at all. */
static uint64_t count_before(struct sim *sim, uint64_t id, uint32_t dispatcher)
{
    uint64_t count = 0;
    BERTH_MAP_FOREACH (node, &sim->checkers.jobs) {
        const struct check_job *job = berth_container_of(node, struct check_job, by_id);
        bool is_other = node->id > id || (job->repeated_until_us && node->id != id);
        count += job->dispatcher == dispatcher && job->ends && is_other;
    }
    return count;
}

static void check_forgotten(struct sim *sim, uint64_t id, const struct check_job *job)
{
    const struct sim_rule *rule = check_rule_of(sim, job->dispatcher);
    int64_t now_us = sim->checkers.wall_us_most;
    bool is_old = rule->retention_ms && job->finished_us + rule->retention_ms * 1000 <= now_us;
    if (!has_retention(rule))
        sim_fail(sim, "job %llu is forgotten, and %s forgets none", (unsigned long long)id,
                 rule->name);
    if (job->repeated_until_us > now_us)
        sim_fail(sim, "job %llu is forgotten, and its submit may be repeated",
                 (unsigned long long)id);
    if (is_old ||
        (rule->retention_count && count_before(sim, id, job->dispatcher) >= rule->retention_count))
        return;
    sim_fail(sim, "%s has forgotten job %llu, which is neither old nor too many", rule->name,
             (unsigned long long)id);
}

static uint64_t count_kept(struct sim *sim, uint32_t dispatcher)
{
    uint64_t count = 0;
    BERTH_MAP_FOREACH (node, &sim->checkers.jobs) {
        const struct check_job *job = berth_container_of(node, struct check_job, by_id);
        count += job->dispatcher == dispatcher && job->is_seen;
    }
    return count;
}

static void check_kept(struct sim *sim, uint64_t id, const struct check_job *job)
{
    const struct sim_rule *rule = check_rule_of(sim, job->dispatcher);
    int64_t passed_us = berth_mem_now_us(sim->broker.disk) - PASS_US;
    if (job->repeated_until_us)
        return;
    bool is_aged = rule->retention_ms && job->ended_in_order; /* by no clock that was put back */
    if (is_aged && job->finished_us + rule->retention_ms * 1000 < passed_us)
        sim_fail(sim, "%s keeps job %llu for longer than %lld ms", rule->name,
                 (unsigned long long)id, (long long)rule->retention_ms);
    if (rule->retention_count && count_kept(sim, job->dispatcher) > rule->retention_count)
        sim_fail(sim, "%s keeps job %llu among more than %llu", rule->name, (unsigned long long)id,
                 (unsigned long long)rule->retention_count);
}

void check_retention(struct sim *sim)
{
    BERTH_MAP_FOREACH (node, &sim->checkers.jobs) {
        const struct check_job *job = berth_container_of(node, struct check_job, by_id);
        if (!job->is_stored || !job->stored_end || job->is_discarded)
            continue;
        if (job->is_seen)
            check_kept(sim, node->id, job);
        else
            check_forgotten(sim, node->id, job);
    }
}
