/* SPDX-License-Identifier: MIT */
#include "park.h"

#include <errno.h>

#include "limit.h"
#include "share.h"

/* ---- asking ---- */

void park_run(struct berth_core *core, struct dispatcher *dispatcher)
{
    if (!berth_list_is_linked(&dispatcher->run_node))
        berth_list_push_back(&core->runnable, &dispatcher->run_node);
}

void park_stall(struct berth_core *core, struct dispatcher *dispatcher)
{
    if (!berth_list_is_linked(&dispatcher->run_node))
        berth_list_push_back(&core->stalled, &dispatcher->run_node);
}

void park_recover(struct berth_core *core, struct dispatcher *dispatcher)
{
    BERTH_ASSERT(!berth_list_is_linked(&dispatcher->run_node));
    berth_list_push_back(&core->recovering, &dispatcher->run_node);
}

void park_again(struct berth_core *core, struct dispatcher *dispatcher)
{
    if (!berth_list_is_linked(&dispatcher->run_node))
        return;
    berth_list_remove(&dispatcher->run_node);
    berth_list_push_back(&core->runnable, &dispatcher->run_node);
}

void park_ask(struct berth_core *core, struct dispatcher *dispatcher)
{
    park_run(core, dispatcher);
}

static void leave(struct dispatcher *dispatcher)
{
    if (!dispatcher->waits_at)
        return;
    berth_list_remove(&dispatcher->wait_node);
    dispatcher->waits_at = NULL;
}

void park_take(struct dispatcher *dispatcher)
{
    if (berth_list_is_linked(&dispatcher->run_node))
        berth_list_remove(&dispatcher->run_node);
    leave(dispatcher);
}

void park_rest(struct berth_core *core, struct dispatcher *dispatcher)
{
    struct dispatcher *at = dispatcher->waits_at;
    park_take(dispatcher);
    if (at)
        park_note_token(core, at);
}

/* ---- waiting ---- */

struct dispatcher *park_place(const struct berth_core *core, struct dispatcher *dispatcher,
                              const struct dispatcher *giver)
{
    bool is_asked = giver;
    for (struct dispatcher *at = dispatcher; at; at = at->parent) {
        if (limit_lack(core, at) != LACK_NOTHING)
            return at;
        if (!is_asked && !berth_list_is_empty(&at->waiting))
            return at;
        if (at == giver)
            is_asked = false;
    }
    return NULL;
}

void park_note_token(struct berth_core *core, struct dispatcher *at)
{
    bool is_noted = berth_heap_is_linked(&at->token_node);
    if (berth_list_is_empty(&at->waiting) || limit_lack(core, at) != LACK_TOKEN) {
        if (is_noted)
            berth_heap_remove(&core->tokens, &at->token_node);
        return;
    }
    at->token_ms = core->now_ms + limit_token_wait_ms(core, at);
    if (is_noted)
        berth_heap_update(&core->tokens, &at->token_node);
    else
        berth_heap_push(&core->tokens, &at->token_node);
}

void park_wait(struct berth_core *core, struct dispatcher *dispatcher, struct dispatcher *at,
               const struct dispatcher *giver)
{
    BERTH_ASSERT(!berth_list_is_linked(&dispatcher->run_node));
    BERTH_ASSERT(!dispatcher->waits_at);
    if (at != giver)
        share_come(core, dispatcher, at);
    dispatcher->waits_at = at;
    berth_list_push_back(&at->waiting, &dispatcher->wait_node);
    park_note_token(core, at);
}

/* ---- waking ---- */

static size_t depth_of(const struct dispatcher *dispatcher)
{
    size_t depth = 0;
    while ((dispatcher = dispatcher->parent))
        depth++;
    return depth;
}

/* Lower ones first: who waits there may come to wait further up, and shall not find given away what
 * came back in the same turn. */
static void insert_by_depth(struct berth_list *handing, struct dispatcher *dispatcher)
{
    size_t depth = depth_of(dispatcher);
    BERTH_LIST_FOREACH (node, handing) {
        if (depth_of(berth_container_of(node, struct dispatcher, hand_node)) < depth) {
            berth_list_insert_before(node, &dispatcher->hand_node);
            return;
        }
    }
    berth_list_push_back(handing, &dispatcher->hand_node);
}

void park_wake(struct berth_core *core, struct dispatcher *dispatcher)
{
    if (!berth_list_is_empty(&dispatcher->waiting) && !berth_list_is_linked(&dispatcher->hand_node))
        insert_by_depth(&core->handing, dispatcher);
}

void park_wake_all(struct berth_core *core)
{
    BERTH_MAP_FOREACH (node, &core->dispatchers_by_id)
        park_wake(core, berth_container_of(node, struct dispatcher, by_id));
}

void park_look_again(struct berth_core *core)
{
    BERTH_MAP_FOREACH (node, &core->dispatchers_by_id) {
        struct dispatcher *dispatcher = berth_container_of(node, struct dispatcher, by_id);
        struct dispatcher *at = dispatcher->waits_at;
        if (!at)
            continue;
        leave(dispatcher);
        park_note_token(core, at);
        park_run(core, dispatcher);
    }
}

void park_on_turn(struct berth_core *core)
{
    struct berth_heap_node *node;
    berth_list_splice_back(&core->runnable, &core->stalled);
    while ((node = berth_heap_first(&core->tokens))) {
        struct dispatcher *dispatcher = berth_container_of(node, struct dispatcher, token_node);
        if (dispatcher->token_ms > core->now_ms)
            return;
        berth_heap_remove(&core->tokens, node);
        park_wake(core, dispatcher);
    }
}

int64_t park_next_deadline_ms(const struct berth_core *core)
{
    struct berth_heap_node *node = berth_heap_first(&core->tokens);
    return node ? berth_container_of(node, struct dispatcher, token_node)->token_ms : INT64_MAX;
}

static bool is_sooner(const struct berth_heap_node *a, const struct berth_heap_node *b)
{
    const struct dispatcher *x = berth_container_of(a, struct dispatcher, token_node);
    const struct dispatcher *y = berth_container_of(b, struct dispatcher, token_node);
    return x->token_ms != y->token_ms ? x->token_ms < y->token_ms : x->record.id < y->record.id;
}

int park_reserve(struct berth_core *core)
{
    size_t count = berth_map_count(&core->dispatchers_by_id) + 1;
    if (count <= core->tokens.capacity)
        return 0;
    size_t room = core->tokens.capacity ? core->tokens.capacity * 2 : 64;
    struct berth_heap_node **nodes = block_resize(core->token_nodes, room * sizeof(*nodes));
    if (!nodes)
        return -ENOMEM;
    core->token_nodes = nodes;
    if (core->tokens.capacity)
        berth_heap_move(&core->tokens, nodes, room);
    else
        berth_heap_init(&core->tokens, nodes, room, is_sooner);
    return 0;
}
