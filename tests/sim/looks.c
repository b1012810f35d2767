/* SPDX-License-Identifier: MIT */
/* Rule 44 of checkers.c: what comes back wakes one, and not all that wait for it. Whoever waits for
 * something and is looked at starts a job, or waits for something else from then on; and nobody is
 * looked at oftener than it starts jobs, and once more for each limit of its chain. */
#include "broker/core/state.h"
#include "sim.h"

#define OWN_LOOKS 2 /* it comes anew, and a worker has room */

static uint64_t due_of(const struct dispatcher *dispatcher)
{
    return dispatcher->count[JOB_SCHEDULED] + dispatcher->count[JOB_RETRYING];
}

static void note(struct checkers *checkers, const struct dispatcher *dispatcher)
{
    size_t room = sizeof checkers->places / sizeof *checkers->places;
    BERTH_ASSERT(checkers->place_count < room);
    checkers->places[checkers->place_count++] =
        (struct check_place){ .dispatcher = dispatcher,
                              .waits_at = dispatcher->waits_at,
                              .looks = dispatcher->looks,
                              .ready = dispatcher->count[JOB_READY],
                              .due = due_of(dispatcher) };
}

/* A turn is to come. */
void check_looks_before(struct sim *sim)
{
    const struct berth_core *core = sim->broker.core;
    sim->checkers.place_count = 0;
    sim->checkers.attempts_before = core->attempt_counter;
    BERTH_MAP_FOREACH (node, &core->dispatchers_by_id)
        note(&sim->checkers, berth_container_of(node, struct dispatcher, by_id));
}

/* In this turn, by its own jobs. */
static uint32_t starts_of(const struct sim *sim, const struct dispatcher *dispatcher)
{
    const struct berth_core *core = sim->broker.core;
    uint32_t count = 0;
    for (uint64_t n = sim->checkers.attempts_before + 1; n <= core->attempt_counter; n++) {
        const struct berth_map_node *node =
            berth_map_find_id(&core->attempts, core->opts.epoch << 40 | n);
        count += node && berth_container_of(node, struct attempt, by_id)->dispatcher == dispatcher;
    }
    return count;
}

static void check_one(struct sim *sim, const struct check_place *before)
{
    const struct dispatcher *d = before->dispatcher;
    uint32_t looks = d->looks - before->looks;
    if (!looks)
        return;
    uint32_t starts = starts_of(sim, d), limits = 0;
    for (const struct dispatcher *at = d; at; at = at->parent)
        limits++;
    /* What came to be ready in this turn hides one that ended, by a clock or cancelled. */
    uint64_t came = before->due > due_of(d) ? before->due - due_of(d) : 0;
    uint64_t gone = d->count[JOB_READY] + starts;
    uint64_t ended = before->ready + came > gone ? before->ready + came - gone : 0;
    /* Twice: it went to wait elsewhere, and came back. */
    bool is_vain = looks == 1 && before->waits_at && before->waits_at == d->waits_at;
    if (is_vain && !starts && !ended)
        sim_fail(sim, "%s waits at %s, is looked at, and waits on", d->record.name,
                 d->waits_at->record.name);
    if (looks > starts + ended + limits + OWN_LOOKS)
        sim_fail(sim, "%s is looked at %u times in a turn, and starts %u jobs", d->record.name,
                 looks, starts);
}

void check_looks_after(struct sim *sim)
{
    for (size_t i = 0; i < sim->checkers.place_count; i++)
        check_one(sim, &sim->checkers.places[i]);
}
