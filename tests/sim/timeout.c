/* SPDX-License-Identifier: MIT */
/* Rule 31 of checkers.c: how long an attempt may take. It is told when its time is over by its
 * worker's clock, not before and not much later, and what it says after that, but that it has
 * completed, is a failure. Which jobs have a timeout of their own follows from their tags. */
#include "runs.h"
#include "sim.h"

#define OWN_EVERY     13 /* tags */
#define OWN_RESIDUE   5
#define OWN_MS_LEAST  200
#define OWN_MS_SPREAD 2800
#define LATE_US_MAX   (10 * MS) /* and a hundredth: of clocks, and of timers */
#define AFTER_STOP_US SECOND    /* after its host stood still things take their time */
#define PPM           1000000

int64_t sim_timeout_ms_of(uint64_t tag)
{
    bool is_one = tag % OWN_EVERY == OWN_RESIDUE;
    return is_one ? OWN_MS_LEAST + (int64_t)(tag * 97 % OWN_MS_SPREAD) : 0;
}

static bool has_just_stood(const struct worker *worker)
{
    return worker->sim->now_us < worker->link.stopped_until_us + AFTER_STOP_US;
}

static void check_told(struct sim *sim, void *arg)
{
    const struct appointment *appointment = arg;
    struct worker *worker = appointment->worker;
    const struct run *run = find_run(worker, appointment->attempt);
    if (!run || run->life != appointment->life || run->life != worker->life || worker->is_frozen)
        return;
    if (has_just_stood(worker)) {
        sim_at(sim, worker->link.stopped_until_us + AFTER_STOP_US, check_told, arg);
        return;
    }
    if (!run->is_told && !run->is_body_over)
        sim_fail(sim, "attempt %llx runs for %.3f s, its timeout is %lld ms, and nobody tells it",
                 (unsigned long long)run->attempt, (double)(sim->now_us - run->started_us) / 1e6,
                 (long long)run->timeout_ms);
}

void check_timeout_start(struct run *run, const struct agent_grant *grant, uint64_t tag)
{
    struct worker *worker = run->worker;
    int64_t own_ms = sim_timeout_ms_of(tag);
    run->timeout_ms = own_ms ? own_ms : sim_rules[run->dispatcher].timeout_ms;
    bool is_remade = run->dispatcher == SIM_FLEETING;
    if (grant->timeout_ms != run->timeout_ms && !is_remade)
        sim_fail(worker->sim, "attempt %llx is granted with a timeout of %lld ms, and has %lld",
                 (unsigned long long)run->attempt, (long long)grant->timeout_ms,
                 (long long)run->timeout_ms);
    if (!run->timeout_ms)
        return;
    int64_t over_us = run->timeout_ms * MS + run->timeout_ms * MS / 100 + LATE_US_MAX;
    appoint(worker, run->started_us + over_us, check_told, run->life, run->attempt);
}

/* By the clock of its worker. */
static int64_t ran_us_of(const struct run *run)
{
    int64_t ran_us = run->worker->sim->now_us - run->started_us;
    return ran_us + ran_us * run->worker->drift_ppm / PPM;
}

static bool is_over(const struct run *run)
{
    return run->timeout_ms && ran_us_of(run) + MS >= run->timeout_ms * MS;
}

void check_timeout_told(struct run *run, enum agent_cancel_reason reason)
{
    bool is_first = !run->is_told;
    run->is_told = true;
    if (reason != AGENT_CANCEL_TIMEOUT)
        return;
    run->is_timed_out = is_first;
    if (!is_over(run))
        sim_fail(run->worker->sim,
                 "attempt %llx is told after %.3f s that its timeout of %lld ms is over",
                 (unsigned long long)run->attempt, (double)ran_us_of(run) / 1e6,
                 (long long)run->timeout_ms);
}

/* Of one that waited for its children its agent says how it ended: these may have failed. */
enum agent_outcome check_outcome_of(const struct run *run)
{
    if (run->is_body_over && run->end.outcome == AGENT_TIMED_OUT && !is_over(run))
        sim_fail(run->worker->sim, "attempt %llx has run out of time, its agent says, and has not",
                 (unsigned long long)run->attempt);
    if (run->is_body_over)
        return run->end.outcome;
    bool is_too_late = run->is_timed_out && run->end.outcome != AGENT_COMPLETED;
    return is_too_late ? AGENT_TIMED_OUT : run->end.outcome;
}
