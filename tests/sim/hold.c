/* SPDX-License-Identifier: MIT */
/* Rule 14: where on_lost = hold counts, nothing is given away before its process is proven gone,
 * also if a whole host stands still and goes on after its lease: what runs there is alive to the
 * checkers as long as it is. Elsewhere that is the boundary that is said openly, so what stands
 * still in a stopped host is nobody's any more. And the operator, who knows when a host is dead.
 */
#include <stdlib.h>
#include <string.h>

#include "broker/core/dispatcher/dispatcher.h"
#include "sim.h"

#define SAY_AFTER_US_MIN (500 * MS)
#define SAY_AFTER_US_MAX (20 * SECOND)
#define SAY_EVERY_US     (7 * SECOND)
#define SAY_TIMES        40 /* a broker that is down, or full, hears it the next time */

/* It holds, and so does whatever may be told of it: nobody changes that. */
bool check_is_held(int dispatcher)
{
    for (; dispatcher >= 0; dispatcher = sim_rules[dispatcher].parent)
        if (sim_rules[dispatcher].is_held)
            return true;
    return false;
}

void check_stopped(struct sim *sim, struct worker *worker)
{
    BERTH_MAP_FOREACH (node, &worker->runs) {
        struct run *run = berth_container_of(node, struct run, by_attempt);
        if (check_is_held((int)run->dispatcher) || run->is_ghost)
            continue;
        check_killed(sim, run);
        run->is_ghost = true;
    }
}

/* Its start is on the disk when it is sent. */
void check_start_stored(struct sim *sim, const struct berth_order_grant *grant)
{
    unsigned dispatcher = sim_dispatcher_index(sim, grant->dispatcher);
    if (check_is_held((int)dispatcher) && !check_attempt_of(sim, grant->attempt)->is_start_stored)
        sim_fail(sim, "attempt %llx of %s is granted and its start is not stored",
                 (unsigned long long)grant->attempt, sim_rules[dispatcher].name);
}

/* ---- the operator ---- */

struct obituary {
    char name[SIM_NAME_BYTES];
    unsigned times;
};

static void say_gone(struct sim *sim, void *arg)
{
    struct obituary *obituary = arg;
    if (!obituary->times--)
        return;
    struct note *note = note_new(TO_BROKER);
    note->broker.type = BERTH_EV_WORKER_DECLARE_GONE;
    note->broker.query =
        (struct berth_ev_query){ .peer = UINT64_MAX,
                                 .name = { note_copy(note, obituary->name, strlen(obituary->name)),
                                           strlen(obituary->name) } };
    broker_deliver(sim, note);
    sim_at(sim, sim->now_us + SAY_EVERY_US, say_gone, obituary);
}

void operator_mourn(struct sim *sim, const struct worker *worker)
{
    struct obituary *obituary = berth_arena_zalloc(&sim->checkers.arena, sizeof *obituary);
    BERTH_ASSERT(obituary != NULL);
    memcpy(obituary->name, worker->name, sizeof obituary->name);
    obituary->times = SAY_TIMES;
    sim_at(sim, sim->now_us + sim_random_us(sim, SAY_AFTER_US_MIN, SAY_AFTER_US_MAX), say_gone,
           obituary);
}
