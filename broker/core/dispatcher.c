/* SPDX-License-Identifier: MIT */
#include "dispatcher.h"

#include <errno.h>

#include "batch.h"
#include "match.h"
#include "out.h"

#define DEFAULT_MAX_ATTEMPTS   5
#define DEFAULT_BACKOFF_MS     1000
#define DEFAULT_BACKOFF_MS_MAX (10 * 60 * 1000)
#define DEFAULT_GRACE_MS       5000
#define CORES_MIN              2

struct dispatcher *dispatcher_find(const struct berth_core *core, struct berth_slice name)
{
    struct berth_map_node *node = berth_map_find_bytes(&core->dispatchers_by_name, name);
    return node ? berth_container_of(node, struct dispatcher, by_name) : NULL;
}

struct dispatcher *dispatcher_find_id(const struct berth_core *core, uint32_t id)
{
    struct berth_map_node *node = berth_map_find_id(&core->dispatchers_by_id, id);
    return node ? berth_container_of(node, struct dispatcher, by_id) : NULL;
}

void dispatcher_defaults(struct berth_dispatcher_record *ret_record)
{
    *ret_record = (struct berth_dispatcher_record){
        .limit = { .kind = BERTH_LIMIT_NUMBER, .value = 0 },
        .max_attempts = DEFAULT_MAX_ATTEMPTS,
        .backoff_ms = DEFAULT_BACKOFF_MS,
        .backoff_ms_max = DEFAULT_BACKOFF_MS_MAX,
        .grace_ms = DEFAULT_GRACE_MS,
    };
}

struct dispatcher *dispatcher_new(struct berth_core *core,
                                  const struct berth_dispatcher_record *record)
{
    if (berth_map_count(&core->dispatchers_by_id) >= BERTH_DISPATCHERS_MAX)
        return NULL;
    struct dispatcher *dispatcher = block_new(sizeof *dispatcher);
    if (!dispatcher)
        return NULL;
    dispatcher->record = *record;
    berth_list_init(&dispatcher->lanes);
    if (berth_map_insert_id(&core->dispatchers_by_id, &dispatcher->by_id, record->id) < 0)
        goto free_dispatcher;
    if (berth_map_insert_bytes(&core->dispatchers_by_name, &dispatcher->by_name,
                               slice_of(dispatcher->record.name)) < 0)
        goto remove_id;
    if (record->id >= core->next_dispatcher_id)
        core->next_dispatcher_id = record->id + 1;
    return dispatcher;

remove_id:
    berth_map_remove(&core->dispatchers_by_id, &dispatcher->by_id);
free_dispatcher:
    block_free(dispatcher);
    return NULL;
}

static void free_lanes(struct dispatcher *dispatcher)
{
    struct berth_list_node *node;
    while ((node = berth_list_pop_front(&dispatcher->lanes))) {
        struct lane *lane = berth_container_of(node, struct lane, dispatcher_node);
        block_free(lane->levels);
        block_free(lane);
    }
}

void dispatcher_free_all(struct berth_core *core)
{
    BERTH_MAP_FOREACH (node, &core->dispatchers_by_id) {
        struct dispatcher *dispatcher = berth_container_of(node, struct dispatcher, by_id);
        berth_map_remove(&core->dispatchers_by_name, &dispatcher->by_name);
        berth_map_remove(&core->dispatchers_by_id, &dispatcher->by_id);
        free_lanes(dispatcher);
        block_free(dispatcher);
    }
}

/* ---- limits ---- */

static uint64_t limit_value(const struct berth_core *core, struct berth_limit limit)
{
    uint64_t cores = core->cores > CORES_MIN ? core->cores : CORES_MIN;
    switch (limit.kind) {
    case BERTH_LIMIT_NUMBER: return limit.value;
    case BERTH_LIMIT_UNLIMITED: return UINT64_MAX;
    case BERTH_LIMIT_CORES: return cores;
    case BERTH_LIMIT_MAX_CORES: return limit.value > cores ? limit.value : cores;
    }
    BERTH_UNREACHABLE();
}

uint64_t dispatcher_limit(const struct berth_core *core, const struct dispatcher *dispatcher)
{
    uint64_t now = limit_value(core, dispatcher->record.limit);
    if (!dispatcher->is_changing)
        return now;
    uint64_t then = limit_value(core, dispatcher->wanted.limit);
    return then < now ? then : now;
}

bool dispatcher_is_paused(const struct dispatcher *dispatcher)
{
    return dispatcher->record.is_paused ||
           (dispatcher->is_changing && dispatcher->wanted.is_paused);
}

bool dispatcher_has_room(const struct berth_core *core, const struct dispatcher *dispatcher)
{
    return !dispatcher_is_paused(dispatcher) &&
           dispatcher->running < dispatcher_limit(core, dispatcher);
}

/* ---- changes ---- */

static struct berth_dispatcher_record *newest(struct dispatcher *dispatcher)
{
    return dispatcher->is_changing ? &dispatcher->wanted : &dispatcher->record;
}

static void change(struct berth_core *core, struct dispatcher *dispatcher,
                   const struct berth_dispatcher_record *wanted, uint64_t peer, uint64_t request)
{
    dispatcher->wanted = *wanted;
    dispatcher->is_changing = true;
    batch_add(core, BERTH_RECORD_DISPATCHER)->dispatcher = *wanted;
    if (peer)
        pending_add(core, PENDING_DISPATCHER, peer, request, true)->dispatcher = wanted->id;
}

static void apply(struct berth_dispatcher_record *record, const struct berth_ev_dispatcher_set *set)
{
    if (set->has_limit)
        record->limit = set->limit;
    if (set->has_max_attempts)
        record->max_attempts = set->max_attempts;
    if (set->has_backoff)
        record->backoff_ms = set->backoff_ms;
    if (set->has_backoff_max)
        record->backoff_ms_max = set->backoff_ms_max;
    if (set->has_timeout)
        record->timeout_ms = set->timeout_ms;
    if (set->has_grace)
        record->grace_ms = set->grace_ms;
}

static void refuse(struct berth_core *core, const struct berth_ev_dispatcher_set *set, int code,
                   const char *field, const char *message)
{
    if (set->peer)
        out_error(core, set->peer, set->request, code, field, message);
}

void dispatcher_on_set(struct berth_core *core, const struct berth_ev_dispatcher_set *set)
{
    struct dispatcher *dispatcher = dispatcher_find(core, set->name);
    struct berth_dispatcher_record record;
    if (dispatcher) {
        record = *newest(dispatcher);
    } else if (!set->has_limit) {
        refuse(core, set, BERTH_ENOTFOUND, "limit",
               out_text(core, "dispatcher '%.*s' does not exist: a new one needs a limit",
                        (int)set->name.bytes, (const char *)set->name.data));
        return;
    } else {
        dispatcher_defaults(&record);
        record.id = core->next_dispatcher_id;
        memcpy(record.name, set->name.data, set->name.bytes);
        dispatcher = dispatcher_new(core, &record);
        if (!dispatcher) {
            refuse(core, set, BERTH_EFULL, "name",
                   out_text(core, "no room for another dispatcher: there may be %u",
                            BERTH_DISPATCHERS_MAX));
            return;
        }
    }
    apply(&record, set);
    change(core, dispatcher, &record, set->peer, set->request);
}

void dispatcher_on_pause(struct berth_core *core, const struct berth_ev_dispatcher_pause *pause)
{
    struct dispatcher *dispatcher = dispatcher_find(core, pause->name);
    if (!dispatcher) {
        out_error(core, pause->peer, pause->request, BERTH_ENOTFOUND, "name",
                  out_text(core, "dispatcher '%.*s' does not exist", (int)pause->name.bytes,
                           (const char *)pause->name.data));
        return;
    }
    struct berth_dispatcher_record record = *newest(dispatcher);
    record.is_paused = pause->is_paused;
    change(core, dispatcher, &record, pause->peer, pause->request);
}

void dispatcher_on_stored(struct berth_core *core, const struct berth_dispatcher_record *record)
{
    struct dispatcher *dispatcher = dispatcher_find_id(core, record->id);
    BERTH_ASSERT(dispatcher != NULL);
    dispatcher->record = *record;
    if (memcmp(record, &dispatcher->wanted, sizeof *record) == 0)
        dispatcher->is_changing = false;
    match_wake_dispatcher(core, dispatcher);
}

/* ---- handlers ---- */

struct handler *handler_find(const struct berth_core *core, struct berth_slice name)
{
    struct berth_map_node *node = berth_map_find_bytes(&core->handlers, name);
    return node ? berth_container_of(node, struct handler, by_name) : NULL;
}

struct handler *handler_get(struct berth_core *core, struct berth_slice name)
{
    struct handler *handler = handler_find(core, name);
    if (handler)
        return handler;
    if (berth_map_count(&core->handlers) >= BERTH_HANDLERS_MAX)
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
