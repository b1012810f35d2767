/* SPDX-License-Identifier: MIT */
/* Rules 50 to 52: who goes on inside a dispatcher.
 *
 * 50. Of one group and priority behind a gate nobody starts before one that is ready longer; what
 * is handed back has its old place.
 * 51. Behind a gate and within a priority the groups take turns: none is given two while another
 * one is open for both and given none.
 * 52. Of two priorities, or handlers, with room the one goes on whose next job is the more urgent:
 * the priority counts for 30 s of waiting. What was lost is as urgent as those that it stands
 * before, and a suspect as if it had waited since the broker came.
 */
#include <stdlib.h>

#include "broker/core/match/lane.h"
#include "seen.h"

#define AGE_MS  30000 /* for each level of priority */
#define HEAR_MS 1000  /* ages are counted in seconds */

/* When a group was last given one, behind this gate and in this priority. */
struct order_turn {
    uint32_t gate;
    int32_t priority;
    uint64_t group; /* number */
    uint64_t granted;
};

static const struct job *job_of(const struct sim *sim, uint32_t index)
{
    return job_at(&sim->broker.core->jobs, index);
}

static const struct lane *lane_of(const struct sim *sim, uint32_t index)
{
    return job_lane(sim->broker.core, job_of(sim, index));
}

/* ---- 50: first come, first served ---- */

static void check_first(struct sim *sim, const struct seen_grant *grant, uint32_t other)
{
    const struct seen_job *job = &sim->seen->jobs[grant->job], *first = &sim->seen->jobs[other];
    bool is_later = job->place == SEEN_AT_TAIL && first->turn < job->turn;
    bool is_behind = first->place == SEEN_BACK && first->id < job->id;
    if (is_later || is_behind)
        sim_fail(sim, "%s: job %llu is granted before job %llu, which is ready longer",
                 grant->attempt->dispatcher->record.name, (unsigned long long)job->id,
                 (unsigned long long)first->id);
}

/* ---- 51: groups take turns ---- */

static struct order_turn *turn_of(struct seen *seen, const struct lane *lane, int32_t priority)
{
    for (size_t i = 0; i < seen->turn_count; i++) {
        struct order_turn *turn = &seen->turns[i];
        if (turn->gate == lane->gate->index && turn->priority == priority &&
            turn->group == lane->group->number)
            return turn;
    }
    if (seen->turn_count % 64 == 0) {
        seen->turns = realloc(seen->turns, (seen->turn_count + 64) * sizeof *seen->turns);
        BERTH_ASSERT(seen->turns != NULL);
    }
    seen->turns[seen->turn_count] = (struct order_turn){ .gate = lane->gate->index,
                                                         .priority = priority,
                                                         .group = lane->group->number };
    return &seen->turns[seen->turn_count++];
}

static void check_turn(struct sim *sim, const struct seen_grant *grant, uint32_t other,
                       uint64_t before)
{
    const struct seen_job *waiting = &sim->seen->jobs[other];
    int32_t priority = job_of(sim, other)->priority;
    uint64_t last = turn_of(sim->seen, lane_of(sim, other), priority)->granted;
    if (before && waiting->open_since < before && last < before)
        sim_fail(sim, "%s: job %llu is granted, the second of its group, and job %llu waits",
                 grant->attempt->dispatcher->record.name,
                 (unsigned long long)sim->seen->jobs[grant->job].id,
                 (unsigned long long)waiting->id);
}

/* A group that has taken a place may have been full for a moment. */
static void close_group(struct sim *sim, const struct group *group)
{
    struct seen *seen = sim->seen;
    for (uint32_t i = 1; i <= sim->broker.core->jobs.top; i++)
        if (seen->jobs[i].was_ready && job_of(sim, i)->id == seen->jobs[i].id &&
            job_of(sim, i)->state && lane_of(sim, i)->group == group)
            seen->jobs[i].open_since = UINT64_MAX;
}

static void note_open(struct sim *sim)
{
    struct seen *seen = sim->seen;
    const struct berth_core *core = sim->broker.core;
    for (uint32_t i = 1; i <= core->jobs.top; i++) {
        struct seen_job *at = &seen->jobs[i];
        if (at->state != JOB_READY || core->unresolved || lane_of(sim, i)->group->is_full)
            at->open_since = UINT64_MAX;
        else if (at->open_since == UINT64_MAX)
            at->open_since = core->attempt_counter;
    }
}

/* ---- 52: priorities and their age ---- */

static int64_t least_urgency(const struct sim *sim, uint32_t index)
{
    const struct seen_job *at = &sim->seen->jobs[index];
    int64_t age_ms = at->was_ready ? sim_ms(sim) - at->late_ms : 0;
    return (int64_t)job_of(sim, index)->priority * AGE_MS + age_ms;
}

static int64_t most_urgency(const struct sim *sim, uint32_t index)
{
    const struct seen_job *at = &sim->seen->jobs[index];
    bool is_known = at->was_ready || at->place == SEEN_BACK;
    int64_t age_ms = is_known ? sim_ms(sim) - at->early_ms : 0;
    if (job_of(sim, index)->flags & JOB_IS_SUSPECT)
        age_ms = sim_ms(sim);
    return (int64_t)job_of(sim, index)->priority * AGE_MS + age_ms;
}

/* Of what runs again: with those that stood behind it, of which some were given one since. */
static int64_t granted_urgency(const struct sim *sim, const struct seen_grant *grant)
{
    const struct lane *lane = lane_of(sim, grant->job);
    int32_t priority = job_of(sim, grant->job)->priority;
    int64_t most = most_urgency(sim, grant->job);
    if (grant->attempt->number < 2)
        return most;
    BERTH_LIST_FOREACH (node, &lane->levels) {
        const struct level *level = berth_container_of(node, struct level, lane_node);
        uint32_t at = level->rank->priority == priority ? level->head : 0;
        for (unsigned n = 0; at && n < LOST_LOOK_MAX; n++, at = job_of(sim, at)->next)
            most = most_urgency(sim, at) > most ? most_urgency(sim, at) : most;
    }
    for (size_t i = 0; i < sim->seen->grant_count; i++) {
        uint32_t later = sim->seen->grants[i].job;
        bool is_behind = sim->seen->grants[i].number > grant->number &&
                         lane_of(sim, later) == lane && job_of(sim, later)->priority == priority;
        if (is_behind && most_urgency(sim, later) > most)
            most = most_urgency(sim, later);
    }
    return most;
}

/* Of the next ones of its groups the one that is the least urgent: whose turn it was is not asked.
 */
static int64_t rank_urgency(const struct sim *sim, const struct rank *rank, uint64_t number)
{
    int64_t least = INT64_MAX;
    BERTH_LIST_FOREACH (lane_node, &rank->gate->lanes) {
        const struct lane *lane = berth_container_of(lane_node, struct lane, gate_node);
        BERTH_LIST_FOREACH (node, &lane->levels) {
            const struct level *level = berth_container_of(node, struct level, lane_node);
            bool is_open = berth_list_is_linked(&level->turn_node) ||
                           (level->head && sim->seen->jobs[level->head].was_open);
            int64_t urgency = is_open ? least_urgency(sim, level->head) : INT64_MAX;
            if (level->rank == rank && urgency < least)
                least = urgency;
        }
    }
    for (size_t i = 0; i < sim->seen->grant_count; i++) {
        const struct seen_grant *later = &sim->seen->grants[i];
        if (later->number <= number || lane_of(sim, later->job)->gate != rank->gate ||
            job_of(sim, later->job)->priority != rank->priority)
            continue;
        int64_t urgency = least_urgency(sim, later->job);
        least = urgency < least ? urgency : least;
    }
    return least;
}

static void check_age(struct sim *sim, const struct seen_grant *grant)
{
    const struct gate *own = lane_of(sim, grant->job)->gate;
    int32_t priority = job_of(sim, grant->job)->priority;
    BERTH_LIST_FOREACH (gate_node, &own->dispatcher->gates) {
        const struct gate *gate = berth_container_of(gate_node, struct gate, dispatcher_node);
        if (berth_list_is_empty(&gate->desk->free))
            continue;
        BERTH_LIST_FOREACH (node, &gate->ranks) {
            const struct rank *rank = berth_container_of(node, struct rank, gate_node);
            if (berth_list_is_empty(&rank->turns) || (gate == own && rank->priority == priority))
                continue;
            int64_t urgency = rank_urgency(sim, rank, grant->number);
            int64_t most = granted_urgency(sim, grant);
            if (urgency >= most + HEAR_MS)
                sim_fail(sim,
                         "%s: job %llu of priority %d is granted, and all of priority %d wait for "
                         "%.3f s more than that is worth",
                         own->dispatcher->record.name,
                         (unsigned long long)sim->seen->jobs[grant->job].id, (int)priority,
                         (int)rank->priority, (double)(urgency - most) / 1000);
        }
    }
}

/* ---- the turn ---- */

void order_reset(struct seen *seen)
{
    seen->turn_count = 0;
}

void order_before(struct sim *sim)
{
    note_open(sim);
    for (uint32_t i = 1; i <= sim->broker.core->jobs.top; i++)
        sim->seen->jobs[i].was_open = sim->seen->jobs[i].open_since != UINT64_MAX;
}

void order_granted(struct sim *sim, const struct seen_grant *grant)
{
    const struct lane *lane = lane_of(sim, grant->job);
    int32_t priority = job_of(sim, grant->job)->priority;
    uint64_t before = turn_of(sim->seen, lane, priority)->granted;
    for (uint32_t i = 1; sim->seen->is_sure && i <= sim->broker.core->jobs.top; i++) {
        if (i == grant->job || !seen_waits(sim, i, grant->number) ||
            job_of(sim, i)->priority != priority || lane_of(sim, i)->gate != lane->gate)
            continue;
        if (lane_of(sim, i) == lane)
            check_first(sim, grant, i);
        else
            check_turn(sim, grant, i, before);
    }
    if (sim->seen->is_sure)
        check_age(sim, grant);
    turn_of(sim->seen, lane, priority)->granted = grant->number;
    if (sim_rules[sim_dispatcher_index(sim, slice_of(lane->gate->dispatcher->record.name))]
            .group_limit)
        close_group(sim, lane->group);
}

void order_after(struct sim *sim)
{
    note_open(sim);
}
