/* SPDX-License-Identifier: MIT */
#include "dispatcher.h"

#include "broker/core/match/group.h"
#include "broker/core/match/lane.h"
#include "broker/core/match/limit.h"
#include "broker/core/match/park.h"
#include "broker/core/match/share.h"
#include "broker/core/worker/hold.h"

#define DEFAULT_MAX_ATTEMPTS 5
#define DEFAULT_GRACE_MS     5000
#define DEFAULT_WEIGHT       1
#define DEFAULT_RETENTION_MS (INT64_C(7) * 24 * 60 * 60 * 1000)
#define DEFAULT_RETENTION    100000
#define CORES_MIN            2

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
        .backoff_ms = BERTH_DEFAULT_BACKOFF_MS,
        .backoff_ms_max = BERTH_DEFAULT_BACKOFF_MS_MAX,
        .grace_ms = DEFAULT_GRACE_MS,
        .weight = DEFAULT_WEIGHT,
        .retention_ms = DEFAULT_RETENTION_MS,
        .retention_count = DEFAULT_RETENTION,
    };
}

struct dispatcher *dispatcher_new(struct berth_core *core,
                                  const struct berth_dispatcher_record *record)
{
    if (berth_map_count(&core->dispatchers_by_id) >= DISPATCHERS_MAX || park_reserve(core) < 0)
        return NULL;
    struct dispatcher *dispatcher = block_new(sizeof *dispatcher);
    if (!dispatcher)
        return NULL;
    dispatcher->record = *record;
    dispatcher->ungrouped.dispatcher = dispatcher;
    struct berth_list *lists[] = { &dispatcher->ungrouped.lanes,   &dispatcher->gates,
                                   &dispatcher->open_gates,        &dispatcher->waiting,
                                   &dispatcher->resuming,          &dispatcher->attempts,
                                   &dispatcher->ungrouped.resuming };
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        berth_list_init(lists[i]);
    limit_init(core, dispatcher);
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

void dispatcher_free(struct berth_core *core, struct dispatcher *dispatcher)
{
    BERTH_ASSERT(!dispatcher->running);
    BERTH_ASSERT(berth_list_is_empty(&dispatcher->gates));
    BERTH_ASSERT(berth_list_is_empty(&dispatcher->waiting));
    BERTH_ASSERT(berth_list_is_empty(&dispatcher->attempts));
    park_take(dispatcher);
    if (berth_list_is_linked(&dispatcher->hand_node))
        berth_list_remove(&dispatcher->hand_node);
    if (berth_heap_is_linked(&dispatcher->token_node))
        berth_heap_remove(&core->tokens, &dispatcher->token_node);
    berth_map_remove(&core->dispatchers_by_id, &dispatcher->by_id);
    group_free_all(dispatcher);
    block_free(dispatcher);
}

void dispatcher_free_all(struct berth_core *core)
{
    BERTH_MAP_FOREACH (node, &core->dispatchers_by_id) {
        struct dispatcher *dispatcher = berth_container_of(node, struct dispatcher, by_id);
        if (!dispatcher->is_ending)
            berth_map_remove(&core->dispatchers_by_name, &dispatcher->by_name);
        berth_map_remove(&core->dispatchers_by_id, &dispatcher->by_id);
        lane_free_all(dispatcher);
        group_free_all(dispatcher);
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

bool dispatcher_is_in(const struct dispatcher *dispatcher, const struct dispatcher *top)
{
    while (dispatcher && dispatcher != top)
        dispatcher = dispatcher->parent;
    return dispatcher;
}

uint64_t dispatcher_limit(const struct berth_core *core, const struct dispatcher *dispatcher)
{
    uint64_t now = limit_value(core, dispatcher->record.limit);
    if (!dispatcher->changes)
        return now;
    uint64_t then = limit_value(core, dispatcher->wanted.limit);
    return then < now ? then : now;
}

bool dispatcher_is_paused(const struct dispatcher *dispatcher)
{
    return dispatcher->record.is_paused || (dispatcher->changes && dispatcher->wanted.is_paused);
}

uint64_t dispatcher_effective_limit(const struct berth_core *core,
                                    const struct dispatcher *dispatcher)
{
    uint64_t least = UINT64_MAX;
    for (; dispatcher; dispatcher = dispatcher->parent) {
        uint64_t limit = dispatcher_limit(core, dispatcher);
        if (limit < least)
            least = limit;
    }
    return least;
}

/* Of what is stored and what is asked for the lower; 0 is no limit. */
static uint64_t lower(const struct dispatcher *dispatcher, uint32_t now, uint32_t then)
{
    uint64_t a = now ? now : UINT64_MAX, b = then ? then : UINT64_MAX;
    return dispatcher->changes && b < a ? b : a;
}

uint64_t dispatcher_group_limit(const struct dispatcher *dispatcher)
{
    return lower(dispatcher, dispatcher->record.group_limit, dispatcher->wanted.group_limit);
}

uint64_t dispatcher_max_queued(const struct dispatcher *dispatcher)
{
    return lower(dispatcher, dispatcher->record.max_queued, dispatcher->wanted.max_queued);
}

static struct rate rate_of(const struct berth_dispatcher_record *record)
{
    if (!record->rate_count || record->rate_ms <= 0)
        return (struct rate){ 0 };
    return (struct rate){ .count = record->rate_count,
                          .burst = record->burst ? record->burst : 1,
                          .ms = record->rate_ms };
}

struct rate dispatcher_rate(const struct dispatcher *dispatcher)
{
    struct rate now = rate_of(&dispatcher->record);
    struct rate then = dispatcher->changes ? rate_of(&dispatcher->wanted) : now;
    if (!now.count || !then.count)
        return now.count ? now : then;
    bool is_slower =
        (uint64_t)then.count * (uint64_t)now.ms < (uint64_t)now.count * (uint64_t)then.ms;
    struct rate rate = is_slower ? then : now;
    rate.burst = then.burst < now.burst ? then.burst : now.burst;
    return rate;
}

/* ---- the tree ---- */

void dispatcher_follow_parent(struct berth_core *core, struct dispatcher *dispatcher)
{
    struct dispatcher *parent = dispatcher_find_id(core, dispatcher->record.parent);
    if (parent == dispatcher->parent)
        return;
    share_move(core, dispatcher, parent);
    park_look_again(core);
}

/* Its chain, as it was loaded, ends at one without a parent. */
static bool has_root(const struct berth_core *core, const struct dispatcher *dispatcher)
{
    for (unsigned depth = 0; dispatcher && depth < DISPATCHERS_MAX; depth++) {
        if (!dispatcher->record.parent)
            return true;
        dispatcher = dispatcher_find_id(core, dispatcher->record.parent);
    }
    return false;
}

int dispatcher_start_all(struct berth_core *core)
{
    BERTH_MAP_FOREACH (node, &core->dispatchers_by_id) {
        struct dispatcher *dispatcher = berth_container_of(node, struct dispatcher, by_id);
        limit_init(core, dispatcher);
        if (!has_root(core, dispatcher))
            return BERTH_ESTORE;
    }
    BERTH_MAP_FOREACH (node, &core->dispatchers_by_id)
        dispatcher_follow_parent(core, berth_container_of(node, struct dispatcher, by_id));
    hold_refresh(core);
    return 0;
}
