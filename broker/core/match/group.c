/* SPDX-License-Identifier: MIT */
#include "group.h"

#include "broker/core/dispatcher/dispatcher.h"
#include "broker/core/scope/suspend.h"
#include "lane.h"

struct group *group_get(struct berth_core *core, struct dispatcher *dispatcher,
                        struct berth_slice name)
{
    if (!name.bytes)
        return &dispatcher->ungrouped;
    struct berth_map_node *node = berth_map_find_bytes(&dispatcher->groups, name);
    if (node)
        return berth_container_of(node, struct group, by_name);
    struct group *group = block_new(sizeof *group + name.bytes);
    if (!group)
        return NULL;
    void *copy = group + 1;
    memcpy(copy, name.data, name.bytes);
    group->name = (struct berth_slice){ .data = copy, .bytes = name.bytes };
    group->number = ++core->group_counter;
    group->dispatcher = dispatcher;
    berth_list_init(&group->lanes);
    berth_list_init(&group->resuming);
    if (berth_map_insert_bytes(&dispatcher->groups, &group->by_name, group->name) < 0) {
        block_free(group);
        return NULL;
    }
    return group;
}

void group_release(struct group *group)
{
    if (!group->number || group->running || !berth_list_is_empty(&group->lanes))
        return;
    berth_map_remove(&group->dispatcher->groups, &group->by_name);
    block_free(group);
}

void group_free_all(struct dispatcher *dispatcher)
{
    BERTH_MAP_FOREACH (node, &dispatcher->groups) {
        berth_map_remove(&dispatcher->groups, node);
        block_free(berth_container_of(node, struct group, by_name));
    }
}

static void refresh(struct berth_core *core, struct group *group)
{
    bool is_full = group->number && group->running >= dispatcher_group_limit(group->dispatcher);
    if (is_full == group->is_full)
        return;
    group->is_full = is_full;
    BERTH_LIST_FOREACH (node, &group->lanes)
        lane_refresh(core, berth_container_of(node, struct lane, group_node));
    suspend_on_group(core, group);
}

void group_take(struct berth_core *core, struct group *group)
{
    group->running++;
    refresh(core, group);
}

void group_give(struct berth_core *core, struct group *group)
{
    BERTH_ASSERT(group->running > 0);
    group->running--;
    refresh(core, group);
    group_release(group);
}

void group_refresh_all(struct berth_core *core, struct dispatcher *dispatcher)
{
    BERTH_MAP_FOREACH (node, &dispatcher->groups)
        refresh(core, berth_container_of(node, struct group, by_name));
}
