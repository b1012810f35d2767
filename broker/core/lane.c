/* SPDX-License-Identifier: MIT */
#include "lane.h"

#include <errno.h>

#include "match.h"

/* ---- handlers ---- */

static struct handler *handler_find(const struct berth_core *core, struct berth_slice name)
{
    struct berth_map_node *node = berth_map_find_bytes(&core->handlers, name);
    return node ? berth_container_of(node, struct handler, by_name) : NULL;
}

struct handler *handler_get(struct berth_core *core, struct berth_slice name)
{
    struct handler *handler = handler_find(core, name);
    if (handler)
        return handler;
    if (berth_map_count(&core->handlers) >= HANDLERS_MAX)
        return NULL;
    handler = block_new(sizeof *handler);
    if (!handler)
        return NULL;
    BERTH_ASSERT(name.bytes < sizeof handler->name);
    memcpy(handler->name, name.data, name.bytes);
    berth_list_init(&handler->free);
    berth_list_init(&handler->waiting);
    if (berth_map_insert_bytes(&core->handlers, &handler->by_name, slice_of(handler->name)) < 0) {
        block_free(handler);
        return NULL;
    }
    return handler;
}

void handler_release(struct berth_core *core, struct handler *handler)
{
    if (handler->lane_count || handler->offer_count)
        return;
    if (berth_list_is_linked(&handler->gain_node))
        berth_list_remove(&handler->gain_node);
    berth_map_remove(&core->handlers, &handler->by_name);
    block_free(handler);
}

/* ---- lanes ---- */

static struct lane *lane_new(struct berth_core *core, struct dispatcher *dispatcher,
                             struct handler *handler)
{
    struct lane *lane = block_new(sizeof *lane);
    if (!lane)
        return NULL;
    lane->index = slab_take(&core->lanes);
    if (!lane->index) {
        block_free(lane);
        return NULL;
    }
    *(struct lane **)slab_at(&core->lanes, lane->index) = lane;
    lane->dispatcher = dispatcher;
    lane->handler = handler;
    handler->lane_count++;
    berth_list_push_back(&dispatcher->lanes, &lane->dispatcher_node);
    return lane;
}

struct lane *lane_get(struct berth_core *core, struct dispatcher *dispatcher,
                      struct handler *handler)
{
    BERTH_LIST_FOREACH (node, &dispatcher->lanes) {
        struct lane *lane = berth_container_of(node, struct lane, dispatcher_node);
        if (lane->handler == handler)
            return lane;
    }
    return lane_new(core, dispatcher, handler);
}

void lane_release(struct berth_core *core, struct lane *lane)
{
    if (lane->job_count)
        return;
    BERTH_ASSERT(lane->ready_count == 0);
    if (berth_list_is_linked(&lane->wait_node))
        berth_list_remove(&lane->wait_node);
    berth_list_remove(&lane->dispatcher_node);
    lane->handler->lane_count--;
    handler_release(core, lane->handler);
    slab_give(&core->lanes, lane->index);
    block_free(lane->levels);
    block_free(lane);
}

/* The place of this priority, or where it would have to be. */
static uint32_t level_place(const struct lane *lane, int32_t priority)
{
    uint32_t i = 0;
    while (i < lane->level_count && lane->levels[i].priority > priority)
        i++;
    return i;
}

int lane_reserve(struct lane *lane, int32_t priority)
{
    uint32_t at = level_place(lane, priority);
    if (at < lane->level_count && lane->levels[at].priority == priority)
        return 0;
    if (lane->level_count == lane->level_room) {
        uint32_t room = lane->level_room ? lane->level_room * 2 : 1;
        struct level *levels = block_resize(lane->levels, room * sizeof *levels);
        if (!levels)
            return -ENOMEM;
        lane->levels = levels;
        lane->level_room = room;
    }
    memmove(&lane->levels[at + 1], &lane->levels[at],
            (lane->level_count - at) * sizeof *lane->levels);
    lane->levels[at] = (struct level){ .priority = priority };
    lane->level_count++;
    return 0;
}

static struct level *level_of(const struct lane *lane, const struct job *job)
{
    uint32_t at = level_place(lane, job->priority);
    BERTH_ASSERT(at < lane->level_count);
    BERTH_ASSERT(lane->levels[at].priority == job->priority);
    return &lane->levels[at];
}

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
    match_wake_dispatcher(core, lane->dispatcher);
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
    lane->ready_count--;
}

uint32_t lane_first(const struct lane *lane)
{
    for (uint32_t i = 0; i < lane->level_count; i++)
        if (lane->levels[i].head)
            return lane->levels[i].head;
    return 0;
}
