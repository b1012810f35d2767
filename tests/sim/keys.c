/* SPDX-License-Identifier: MIT */
/* Rule 40 of checkers.c: how many keys of children the broker may remember. Who asks for one is an
 * attempt of the parent, so that nobody does any more when that has completed. */
#include "broker/core/state.h"
#include "parent.h"
#include "sim.h"

/* Whether somebody may ask for it: its parent lives; or it completed, and its parent may be
 * retried. One that lives on is found until it has ended. */
static bool may_be_known(struct sim *sim, const struct check_job *child, uint64_t parent_id)
{
    enum berth_state parent = check_job_of(sim, parent_id)->stored_end;
    if (!child->stored_end || !parent)
        return true;
    return child->stored_end == BERTH_COMPLETED && parent != BERTH_COMPLETED;
}

/* All that the broker knows is on the disk, and all that is on the disk it knows. */
static bool is_quiet(const struct berth_core *core)
{
    bool is_gathering = core->open && core->open->count;
    return !core->is_away && !core->again && !is_gathering && !core->keys_over.head;
}

void check_keys(struct sim *sim)
{
    const struct berth_core *core = sim->broker.core;
    uint32_t most = 0;
    if (!sim->broker.is_up || !is_quiet(core))
        return;
    BERTH_MAP_FOREACH (node, &sim->checkers.jobs) {
        const struct check_job *job = berth_container_of(node, struct check_job, by_id);
        uint64_t parent = job->child ? check_parent_of(job->child) : 0;
        most += parent && may_be_known(sim, job, parent);
    }
    if (core->child_key_count > most)
        sim_fail(sim, "the broker remembers %u keys of children, of which %u may be asked for",
                 core->child_key_count, most);
}
