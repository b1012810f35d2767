/* SPDX-License-Identifier: MIT */
/* Rules 22, 23 and 43 of checkers.c: jobs that kill the process that runs them, and those that
 * stand beside one. A death is a job's own if its attempt was named by a signal, or was alone.
 *
 * Which jobs kill follows from their tags, so that it is the same in each attempt. */
#include "broker/core/worker/session.h"
#include "broker/core/worker/suspect.h"
#include "sim.h"

#define POISON_EVERY         29 /* tags; of the two kinds one each */
#define POISON_RESIDUE_NAMED 7
#define POISON_RESIDUE_QUIET 19

enum sim_poison sim_poison_of(uint64_t tag)
{
    uint64_t residue = tag % POISON_EVERY;
    return residue == POISON_RESIDUE_NAMED   ? POISON_NAMED
           : residue == POISON_RESIDUE_QUIET ? POISON_QUIET
                                             : POISON_NONE;
}

void check_suspect_start(struct sim *sim, const struct run *run)
{
    const struct check_job *job = check_job_of(sim, run->job);
    bool is_alone = run->worker->host != NULL;
    if (job->is_suspect && !is_alone)
        sim_fail(sim, "job %llu is a suspect, and is started beside others",
                 (unsigned long long)run->job);
    if (!job->is_suspect && is_alone)
        sim_fail(sim, "job %llu is no suspect, and is started in a process for suspects",
                 (unsigned long long)run->job);
}

static void note_death(struct sim *sim, const struct run *run, uint64_t culprit)
{
    struct check_job *job = check_job_of(sim, run->job);
    job->own_deaths += culprit == run->attempt;
    job->is_blamed |= !culprit || culprit == run->attempt;
}

void check_deaths(struct worker *worker, struct certificate *gone)
{
    if (gone->cause != BERTH_GONE_EXIT && gone->cause != BERTH_GONE_SIGNAL)
        return;
    if (worker->host && gone->count == 1)
        gone->culprit = gone->attempts[0];
    BERTH_MAP_FOREACH (node, &worker->runs)
        note_death(worker->sim, berth_container_of(node, struct run, by_attempt), gone->culprit);
}

void check_suspect_stored(struct sim *sim, const struct berth_record *record)
{
    bool is_retry = record->type == BERTH_RECORD_RETRY;
    uint64_t id = is_retry ? record->retry.id : record->end.id;
    uint32_t deaths = is_retry ? record->retry.deaths : record->end.deaths;
    struct check_job *job = check_job_of(sim, id);
    if (deaths > job->own_deaths)
        sim_fail(sim, "job %llu is said to have died %u times, and did %u times",
                 (unsigned long long)id, deaths, job->own_deaths);
    if (is_retry && job->is_suspect && !record->retry.is_suspect)
        sim_fail(sim, "job %llu is not a suspect any more", (unsigned long long)id);
    if (is_retry && record->retry.is_suspect && !job->is_blamed)
        sim_fail(sim, "job %llu is a suspect, and only stood beside", (unsigned long long)id);
    job->died = deaths;
    job->is_suspect |= is_retry && record->retry.is_suspect;
}

/* Its deaths are forgiven, but not forgotten. */
void check_suspect_revived(struct check_job *job)
{
    job->is_suspect = job->died > 0;
    job->own_deaths = job->died = 0;
}

/* ---- processes for suspects ---- */

static struct worker *alone_at(const struct worker *host, unsigned place)
{
    return &host->sim->workers[SIM_WORKERS_MAX + place];
}

static bool is_of(const struct worker *alone, const struct worker *host)
{
    return alone->is_up && alone->host == host;
}

void alone_start(struct worker *host)
{
    struct worker *free = NULL;
    unsigned count = 0;
    for (unsigned i = 0; i < SIM_ALONE_MAX; i++) {
        struct worker *alone = alone_at(host, i);
        count += is_of(alone, host);
        if (!alone->is_up)
            free = alone;
    }
    if (!free || count >= SIM_ALONE_EACH)
        return;
    sim_note(host->sim, "worker %u starts process %u for a suspect", host->index, free->index);
    free->host = host;
    free->link.is_partitioned = free->keeper_link.is_partitioned = host->link.is_partitioned;
    free->link.stopped_until_us = free->keeper_link.stopped_until_us = 0;
    worker_start(free);
}

/* It is alive, and the broker knows that it is there. */
static bool has_joined(const struct worker *alone)
{
    const struct session *session =
        alone->has_child ? session_find(alone->sim->broker.core, alone->session) : NULL;
    return session && session->state == SESSION_LIVE;
}

void check_alone_asked(struct sim *sim, uint64_t peer, const struct berth_do_orders *orders)
{
    const struct link *link = orders->start_alone ? link_of_peer(sim, peer) : NULL;
    if (!link || link->to != TO_CHILD)
        return;
    const struct worker *host = link->owner;
    unsigned count = orders->start_alone;
    for (unsigned i = 0; i < SIM_ALONE_MAX; i++)
        count += is_of(alone_at(host, i), host) && has_joined(alone_at(host, i));
    if (count > SUSPECT_ALONE_MAX)
        sim_fail(sim, "worker %u is asked for its process number %u for suspects", host->index,
                 count);
}

void alone_each(struct worker *host, void (*fn)(struct worker *alone))
{
    for (unsigned i = 0; i < SIM_ALONE_MAX; i++)
        if (is_of(alone_at(host, i), host))
            fn(alone_at(host, i));
}

struct worker *worker_or_alone(struct worker *worker)
{
    for (unsigned i = 0; i < SIM_ALONE_MAX; i++) {
        struct worker *alone = alone_at(worker, i);
        if (is_of(alone, worker) && alone->has_child && sim_chance(worker->sim, 50))
            return alone;
    }
    return worker;
}
