/* SPDX-License-Identifier: MIT */
#include "seen.h"

#include <stdlib.h>

#include "broker/core/life/attempt.h"

#define COUNTER_MASK ((UINT64_C(1) << 40) - 1) /* of an attempt's id: its number in the epoch */

static struct seen *seen_of(struct sim *sim)
{
    if (!sim->seen)
        sim->seen = calloc(1, sizeof *sim->seen);
    BERTH_ASSERT(sim->seen != NULL);
    return sim->seen;
}

void seen_fini(struct sim *sim)
{
    if (!sim->seen)
        return;
    free(sim->seen->jobs);
    free(sim->seen->turns);
    free(sim->seen->shares);
    free(sim->seen);
    sim->seen = NULL;
}

static void begin_life(struct sim *sim, struct seen *seen)
{
    seen->life = sim->broker.life;
    seen->granted = 0;
    for (size_t i = 0; i < seen->job_room; i++)
        seen->jobs[i] = (struct seen_job){ 0 };
    order_reset(seen);
    shares_reset(seen);
}

static void make_room(struct seen *seen, size_t room)
{
    if (room <= seen->job_room)
        return;
    seen->jobs = realloc(seen->jobs, 2 * room * sizeof *seen->jobs);
    BERTH_ASSERT(seen->jobs != NULL);
    for (size_t i = seen->job_room; i < 2 * room; i++)
        seen->jobs[i] = (struct seen_job){ 0 };
    seen->job_room = 2 * room;
}

/* ---- looking ---- */

/* Its retry is stored: it waited for a time, perhaps for none at all, or goes to where it was. */
static bool had_a_time(struct sim *sim, uint64_t id)
{
    const struct check_job *job = check_job_of(sim, id);
    return !job->life || check_waits_for_time(job->life);
}

/* A job is ready that was not when it was last looked at. */
static void come(struct sim *sim, struct seen_job *at, const struct job *job)
{
    struct seen *seen = sim->seen;
    bool was_running = at->state == JOB_RUNNING;
    bool is_back = was_running || (at->state == JOB_SETTLING && !had_a_time(sim, job->id)) ||
                   (at->state == JOB_READY && at->lane != job->lane);
    at->place = is_back ? SEEN_BACK : SEEN_AT_TAIL;
    at->turn = seen->turn;
    at->late_ms = sim_ms(sim);
    if (!is_back) /* of what was loaded nobody says how long it waits */
        at->early_ms = at->state ? sim_ms(sim) : 0;
    at->open_since = UINT64_MAX;
}

static void look(struct sim *sim)
{
    const struct berth_core *core = sim->broker.core;
    struct seen *seen = sim->seen;
    make_room(seen, core->jobs.top + 1);
    for (uint32_t i = 1; i <= core->jobs.top; i++) {
        const struct job *job = job_at(&core->jobs, i);
        struct seen_job *at = &seen->jobs[i];
        if (!job->state || at->id != job->id)
            *at = (struct seen_job){ .id = job->state ? job->id : 0 };
        if (job->state == JOB_READY && (at->state != JOB_READY || at->lane != job->lane))
            come(sim, at, job);
        at->state = job->state;
        at->lane = job->lane;
    }
}

bool seen_waits(const struct sim *sim, uint32_t job, uint64_t number)
{
    const struct seen_job *at = &sim->seen->jobs[job];
    const struct job *now = job_at(&sim->broker.core->jobs, job);
    bool is_ready = now->state == JOB_READY && now->id == at->id;
    return at->was_ready && (at->granted ? at->granted > number : is_ready);
}

/* ---- the turn ---- */

void seen_before(struct sim *sim)
{
    struct seen *seen = seen_of(sim);
    if (seen->life != sim->broker.life)
        begin_life(sim, seen);
    seen->turn++;
    look(sim);
    for (size_t i = 1; i < seen->job_room; i++) {
        seen->jobs[i].was_ready = seen->jobs[i].state == JOB_READY;
        seen->jobs[i].granted = 0;
    }
    seen->is_sure = !sim->broker.core->unresolved;
    order_before(sim);
    shares_before(sim);
}

static void note_grants(struct sim *sim)
{
    const struct berth_core *core = sim->broker.core;
    struct seen *seen = sim->seen;
    seen->grant_count = 0;
    make_room(seen, core->jobs.top + 1);
    for (uint64_t number = seen->granted + 1; number <= core->attempt_counter; number++) {
        const struct attempt *attempt = attempt_find(core, core->opts.epoch << 40 | number);
        if (!attempt || !attempt->job)
            continue; /* there was no memory for it, or nobody to ask for its body */
        if (seen->grant_count == sizeof seen->grants / sizeof *seen->grants)
            sim_fail(sim, "too many grants in one turn");
        seen->grants[seen->grant_count++] =
            (struct seen_grant){ .job = attempt->job, .number = number, .attempt = attempt };
        seen->jobs[attempt->job].granted = number;
        check_queue_granted(sim, attempt->job_id);
    }
}

void seen_after(struct sim *sim)
{
    struct seen *seen = sim->seen;
    seen->is_sure &= !sim->broker.core->unresolved;
    note_grants(sim);
    for (size_t i = 0; i < seen->grant_count; i++)
        order_granted(sim, &seen->grants[i]);
    seen->was_granted = seen->granted;
    seen->granted = sim->broker.core->attempt_counter;
    look(sim);
    order_after(sim);
    shares_after(sim);
}
