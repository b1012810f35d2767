/* SPDX-License-Identifier: MIT */
#include "lane.h"

#include <errno.h>

#include "broker/core/worker/recovery.h"
#include "broker/core/worker/suspect.h"
#include "group.h"
#include "handler.h"

/* ---- making and finding ---- */

struct lane_key {
    uint32_t gate;
    uint64_t group;
};

static uint64_t key_hash(uint32_t gate, uint64_t group)
{
    return (group << 20 ^ gate) * 0x9E3779B97F4A7C15u >> 20; /* Fibonacci hashing: Knuth 3, 6.4 */
}

uint64_t lane_index_hash(const void *core, uint32_t index)
{
    const struct lane *lane = lane_at(core, index);
    return key_hash(lane->gate->index, lane->group->number);
}

static bool lane_has_key(const void *core, uint32_t index, const void *arg)
{
    const struct lane *lane = lane_at(core, index);
    const struct lane_key *key = arg;
    return lane->gate->index == key->gate && lane->group->number == key->group;
}

static struct lane *lane_new(struct berth_core *core, struct gate *gate, struct group *group)
{
    if (index_reserve(&core->lanes_by_key, 1) < 0)
        return NULL;
    struct lane *lane = block_new(sizeof *lane);
    if (!lane)
        return NULL;
    lane->index = slab_take(&core->lanes);
    if (!lane->index) {
        block_free(lane);
        return NULL;
    }
    *(struct lane **)slab_at(&core->lanes, lane->index) = lane;
    lane->gate = gate;
    lane->group = group;
    berth_list_init(&lane->levels);
    berth_list_push_back(&gate->lanes, &lane->gate_node);
    berth_list_push_back(&group->lanes, &lane->group_node);
    index_insert(&core->lanes_by_key, key_hash(gate->index, group->number), lane->index);
    return lane;
}

static struct lane *find_or_new(struct berth_core *core, struct gate *gate, struct group *group)
{
    struct lane_key key = { .gate = gate->index, .group = group->number };
    uint32_t index =
        index_find(&core->lanes_by_key, key_hash(key.gate, key.group), lane_has_key, &key);
    return index ? lane_at(core, index) : lane_new(core, gate, group);
}

/* What was made for a lane that could not be made is released again. */
struct lane *lane_get(struct berth_core *core, struct dispatcher *dispatcher,
                      struct berth_slice handler_name, enum desk_kind desk,
                      struct berth_slice group_name)
{
    struct handler *handler = handler_get(core, handler_name);
    struct gate *gate = handler ? gate_get(core, dispatcher, handler, desk) : NULL;
    if (handler && !gate)
        handler_release(core, handler);
    struct group *group = gate ? group_get(core, dispatcher, group_name) : NULL;
    struct lane *lane = group ? find_or_new(core, gate, group) : NULL;
    if (group && !lane)
        group_release(group);
    if (gate && !lane)
        gate_release(core, gate);
    return lane;
}

static void free_memory(struct lane *lane)
{
    struct berth_list_node *node;
    while ((node = berth_list_pop_front(&lane->levels)))
        block_free(berth_container_of(node, struct level, lane_node));
    block_free(lane);
}

void lane_release(struct berth_core *core, struct lane *lane)
{
    if (lane->job_count)
        return;
    BERTH_ASSERT(lane->ready_count == 0);
    struct gate *gate = lane->gate;
    struct group *group = lane->group;
    index_remove(&core->lanes_by_key, key_hash(gate->index, group->number), lane->index);
    slab_give(&core->lanes, lane->index);
    berth_list_remove(&lane->gate_node);
    berth_list_remove(&lane->group_node);
    free_memory(lane);
    group_release(group);
    gate_release(core, gate);
}

/* Of a core that ends: nothing is told to anybody. */
void lane_free_all(struct dispatcher *dispatcher)
{
    struct berth_list_node *node, *at;
    while ((node = berth_list_pop_front(&dispatcher->gates))) {
        struct gate *gate = berth_container_of(node, struct gate, dispatcher_node);
        while ((at = berth_list_pop_front(&gate->lanes)))
            free_memory(berth_container_of(at, struct lane, gate_node));
        gate_free_memory(gate);
    }
}

/* ---- levels ---- */

static struct level *find_level(const struct lane *lane, int32_t priority)
{
    BERTH_LIST_FOREACH (node, &lane->levels) {
        struct level *level = berth_container_of(node, struct level, lane_node);
        if (level->rank->priority == priority)
            return level;
    }
    return NULL;
}

int lane_reserve(struct lane *lane, int32_t priority)
{
    if (find_level(lane, priority))
        return 0;
    struct rank *rank = gate_rank(lane->gate, priority);
    struct level *level = rank ? block_new(sizeof *level) : NULL;
    if (!level)
        return -ENOMEM;
    level->lane = lane;
    level->rank = rank;
    berth_list_push_back(&lane->levels, &level->lane_node);
    return 0;
}

static struct level *level_of(const struct lane *lane, const struct job *job)
{
    struct level *level = find_level(lane, job->priority);
    BERTH_ASSERT(level != NULL);
    return level;
}

/* Nobody of an earlier epoch can have heard of it. */
static bool is_new(const struct berth_core *core, uint32_t index)
{
    return index && job_at(&core->jobs, index)->id >= core->first_new_job;
}

/* The job that may begin first; 0: none as long as sessions are missing. */
static uint32_t next_of(const struct berth_core *core, const struct level *level)
{
    bool is_in_doubt = core->unresolved && !level->lane->gate->dispatcher->is_held;
    return is_in_doubt ? level->first_new : level->head;
}

/* It is in its rank while it has jobs and its group has a place. */
static void refresh(struct berth_core *core, struct level *level)
{
    bool is_in = berth_list_is_linked(&level->turn_node);
    bool shall_be_in = level->head && !level->lane->group->is_full;
    struct rank *rank = level->rank;
    if (shall_be_in && !is_in) {
        berth_list_push_back(&rank->turns, &level->turn_node);
        if (!berth_list_is_linked(&rank->open_node))
            gate_open_rank(core, rank);
    } else if (is_in && !shall_be_in) {
        berth_list_remove(&level->turn_node);
        if (berth_list_is_empty(&rank->turns))
            gate_close_rank(core, rank);
    }
}

void lane_refresh(struct berth_core *core, struct lane *lane)
{
    BERTH_LIST_FOREACH (node, &lane->levels)
        refresh(core, berth_container_of(node, struct level, lane_node));
}

/* ---- jobs ---- */

/* Behind `before` (0: at the front). */
static void link_job(struct berth_core *core, struct level *level, uint32_t index, uint32_t before)
{
    struct job *job = job_at(&core->jobs, index);
    uint32_t next = before ? job_at(&core->jobs, before)->next : level->head;
    job->prev = before;
    job->next = next;
    if (before)
        job_at(&core->jobs, before)->next = index;
    else
        level->head = index;
    if (next)
        job_at(&core->jobs, next)->prev = index;
    else
        level->tail = index;
    if (is_new(core, index) && (!level->first_new || level->first_new == next))
        level->first_new = index;
}

/* An old place is found from the front: what comes back was there a moment ago. */
void lane_push(struct berth_core *core, struct lane *lane, uint32_t index, enum job_place place)
{
    const struct job *job = job_at(&core->jobs, index);
    struct level *level = level_of(lane, job);
    uint32_t before = level->tail;
    if (place == JOB_AT_OLD_PLACE) {
        before = 0;
        for (uint32_t at = level->head; at && job_at(&core->jobs, at)->id < job->id;
             at = job_at(&core->jobs, at)->next)
            before = at;
    }
    link_job(core, level, index, before);
    lane->ready_count++;
    if (lane->gate->handler->is_alone)
        suspect_look(core);
    refresh(core, level);
    if (is_new(core, index))
        recovery_note_arrival(core, lane->gate->dispatcher);
}

void lane_remove(struct berth_core *core, struct lane *lane, uint32_t index)
{
    const struct job *job = job_at(&core->jobs, index);
    struct level *level = level_of(lane, job);
    if (job->prev)
        job_at(&core->jobs, job->prev)->next = job->next;
    else
        level->head = job->next;
    if (job->next)
        job_at(&core->jobs, job->next)->prev = job->prev;
    else
        level->tail = job->prev;
    if (level->first_new == index)
        level->first_new = job->next;
    while (level->first_new && !is_new(core, level->first_new))
        level->first_new = job_at(&core->jobs, level->first_new)->next;
    lane->ready_count--;
    refresh(core, level);
}

/* ---- the next one ---- */

/* Since when it waits, as the order sees it. What was lost stands before jobs that have waited
 * longer: it does not put them off, nor is it put off itself where it waits alone, as a suspect. */
static int64_t waits_since_s(const struct berth_core *core, const struct job *job)
{
    if (job->flags & JOB_IS_SUSPECT)
        return core->started_ms / 1000;
    int64_t since_s = job_ready_s(core, job);
    for (unsigned n = 0; n < LOST_LOOK_MAX && job->attempt_number && job->next; n++) {
        job = job_at(&core->jobs, job->next);
        int64_t next_s = job_ready_s(core, job);
        if (next_s > since_s)
            break;
        since_s = next_s;
    }
    return since_s;
}

/* In seconds: what it has waited, and AGE_S for each level of its priority. */
static int64_t urgency(const struct berth_core *core, const struct job *job)
{
    return (int64_t)job->priority * AGE_S - waits_since_s(core, job);
}

/* Of two priorities, or handlers, the one whose next job is the more urgent. */
static bool is_before(const struct berth_core *core, const struct level *a, const struct level *b)
{
    const struct job *x = job_at(&core->jobs, next_of(core, a));
    const struct job *y = job_at(&core->jobs, next_of(core, b));
    int64_t x_urgency = urgency(core, x), y_urgency = urgency(core, y);
    if (x_urgency != y_urgency)
        return x_urgency > y_urgency;
    return x->priority != y->priority ? x->priority > y->priority : x->id < y->id;
}

/* NULL: none that may begin now. */
static struct level *first_turn(const struct berth_core *core, const struct rank *rank)
{
    BERTH_LIST_FOREACH (node, &rank->turns) {
        struct level *level = berth_container_of(node, struct level, turn_node);
        if (next_of(core, level))
            return level;
    }
    return NULL;
}

uint32_t lane_choose(struct berth_core *core, struct dispatcher *dispatcher)
{
    struct level *best = NULL;
    BERTH_LIST_FOREACH_SAFE (node, &dispatcher->open_gates) {
        struct gate *gate = berth_container_of(node, struct gate, open_node);
        if (berth_list_is_empty(&gate->desk->free)) {
            gate_wait(core, gate);
            continue;
        }
        BERTH_LIST_FOREACH (at, &gate->open_ranks) {
            struct level *level = first_turn(core, berth_container_of(at, struct rank, open_node));
            if (level && (!best || is_before(core, level, best)))
                best = level;
        }
    }
    if (!best)
        return 0;
    berth_list_remove(&best->turn_node);
    berth_list_push_back(&best->rank->turns, &best->turn_node);
    return next_of(core, best);
}
