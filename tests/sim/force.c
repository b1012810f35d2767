/* SPDX-License-Identifier: MIT */
/* Rule 42 of checkers.c: what is cancelled by force has ended within its grace and the time that
 * messages take, also if its handler takes no notice, where the worker and the broker live and hear
 * each other. What kept them from that is counted; a broker that comes back knows of no force. */
#include "broker/core/state.h"
#include "runs.h"
#include "sim.h"

#define LOOK_EVERY_US   (250 * MS)
#define REMADE_GRACE_MS 5000   /* what is built in, of a dispatcher that was made again */
#define WAY_US_MAX      SECOND /* of an order, and of what keeps it up for a moment */

struct watch {
    uint64_t job;
    unsigned life;  /* of the broker */
    unsigned lives; /* of the job, that were */
    int64_t since_us;
};

/* Somebody asks for it while it runs, as the broker knows. */
void check_force_asked(struct sim *sim, const struct berth_ev_ids *ids)
{
    const struct berth_core *core = sim->broker.core;
    for (size_t i = 0; ids->is_forced && i < ids->count; i++) {
        uint32_t index = job_find(core, ids->ids[i]);
        struct check_job *job = check_job_of(sim, ids->ids[i]);
        if (!index || job_at(&core->jobs, index)->state != JOB_RUNNING)
            continue;
        job->forced_in_life = sim->broker.life;
        job->forced_lives = job->lives;
    }
}

static struct run *alive_run(struct sim *sim, uint64_t job)
{
    uint64_t attempt = check_job_of(sim, job)->alive;
    struct run *run = NULL;
    for (size_t i = 0; attempt && !run && i < sizeof sim->workers / sizeof *sim->workers; i++)
        run = find_run(&sim->workers[i], attempt);
    return run;
}

static void look(struct sim *sim, void *arg)
{
    const struct watch *watch = arg;
    const struct run *run = alive_run(sim, watch->job);
    bool is_other = watch->lives != check_job_of(sim, watch->job)->lives;
    if (watch->life != sim->broker.life || is_other || !run || run->is_body_over ||
        run->worker->is_frozen)
        return;
    const struct worker *worker = run->worker;
    int64_t kept_us = check_hindrance_us(sim, &worker->link, watch->since_us);
    int64_t begun_us = watch->since_us > run->started_us ? watch->since_us : run->started_us;
    int64_t grace_ms = run->dispatcher == SIM_FLEETING ? REMADE_GRACE_MS : SIM_GRACE_MS;
    if (sim->now_us - begun_us > grace_ms * MS + WAY_US_MAX + worker->link.late_us + kept_us)
        sim_fail(sim, "job %llu was cancelled by force %.3f s ago, and attempt %llx goes on",
                 (unsigned long long)watch->job, (double)(sim->now_us - watch->since_us) / 1e6,
                 (unsigned long long)run->attempt);
    sim_at(sim, sim->now_us + LOOK_EVERY_US, look, arg);
}

/* It was accepted, and the answer leaves. */
void check_force_answered(struct sim *sim, const struct berth_do_cancelled *cancelled)
{
    for (size_t i = 0; i < cancelled->count; i++) {
        const struct berth_job_state *item = &cancelled->items[i];
        const struct check_job *job = check_job_of(sim, item->id);
        bool is_forced = job->forced_in_life == sim->broker.life && job->forced_lives == job->lives;
        if (!is_forced || item->code || item->state != BERTH_CANCELLING)
            continue;
        struct watch *watch = berth_arena_zalloc(&sim->checkers.arena, sizeof *watch);
        BERTH_ASSERT(watch != NULL);
        *watch =
            (struct watch){ .job = item->id, .life = sim->broker.life, .since_us = sim->now_us };
        sim_at(sim, sim->now_us + LOOK_EVERY_US, look, watch);
    }
}
