/* SPDX-License-Identifier: MIT */
#include "handler.h"

#include "broker/core/worker/suspect.h"
#include "park.h"

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
    handler->number = ++core->handler_counter;
    handler->is_alone = name.bytes > 0 && handler->name[name.bytes - 1] == HANDLER_ALONE_MARK;
    for (int i = 0; i < DESK_COUNT; i++) {
        berth_list_init(&handler->desks[i].free);
        berth_list_init(&handler->desks[i].waiting);
    }
    if (berth_map_insert_bytes(&core->handlers, &handler->by_name, slice_of(handler->name)) < 0) {
        block_free(handler);
        return NULL;
    }
    if (handler->is_alone)
        berth_list_push_back(&core->alone_handlers, &handler->alone_node);
    return handler;
}

void handler_release(struct berth_core *core, struct handler *handler)
{
    if (handler->gate_count || handler->offer_count)
        return;
    for (int i = 0; i < DESK_COUNT; i++)
        if (berth_list_is_linked(&handler->desks[i].gain_node))
            berth_list_remove(&handler->desks[i].gain_node);
    if (handler->is_alone)
        berth_list_remove(&handler->alone_node);
    berth_map_remove(&core->handlers, &handler->by_name);
    block_free(handler);
}

void handler_gain(struct berth_core *core, struct desk *desk)
{
    if (!berth_list_is_linked(&desk->gain_node))
        berth_list_push_back(&core->gained, &desk->gain_node);
}

static struct gate *first_waiting(const struct desk *desk)
{
    struct berth_list_node *node = berth_list_first(&desk->waiting);
    bool can_go_on = node && !berth_list_is_empty(&desk->free);
    return can_go_on ? berth_container_of(node, struct gate, wait_node) : NULL;
}

/* ---- gates: making and finding ---- */

struct gate_key {
    uint32_t dispatcher;
    const struct handler *handler;
    const struct desk *desk;
};

static struct gate_key key_of(const struct gate *gate)
{
    return (struct gate_key){ gate->dispatcher->record.id, gate->handler, gate->desk };
}

/* Fibonacci: Knuth 3, 6.4 */
static uint64_t key_hash(struct gate_key key)
{
    uint64_t desk = key.handler->number * DESK_COUNT + (uint64_t)(key.desk - key.handler->desks);
    return (desk << 20 ^ key.dispatcher) * 0x9E3779B97F4A7C15u >> 20;
}

uint64_t gate_index_hash(const void *core, uint32_t index)
{
    return key_hash(key_of(gate_at(core, index)));
}

static bool gate_has_key(const void *core, uint32_t index, const void *arg)
{
    const struct gate *gate = gate_at(core, index);
    const struct gate_key *key = arg;
    return gate->dispatcher->record.id == key->dispatcher && gate->desk == key->desk;
}

static struct gate *gate_new(struct berth_core *core, struct dispatcher *dispatcher,
                             struct handler *handler, struct desk *desk)
{
    if (index_reserve(&core->gates_by_key, 1) < 0)
        return NULL;
    struct gate *gate = block_new(sizeof *gate);
    if (!gate)
        return NULL;
    gate->index = slab_take(&core->gates);
    if (!gate->index) {
        block_free(gate);
        return NULL;
    }
    *(struct gate **)slab_at(&core->gates, gate->index) = gate;
    gate->dispatcher = dispatcher;
    gate->handler = handler;
    gate->desk = desk;
    handler->gate_count++;
    berth_list_init(&gate->lanes);
    berth_list_init(&gate->ranks);
    berth_list_init(&gate->open_ranks);
    berth_list_push_back(&dispatcher->gates, &gate->dispatcher_node);
    index_insert(&core->gates_by_key, key_hash(key_of(gate)), gate->index);
    return gate;
}

struct gate *gate_get(struct berth_core *core, struct dispatcher *dispatcher,
                      struct handler *handler, enum desk_kind kind)
{
    struct desk *desk = &handler->desks[kind];
    struct gate_key key = { dispatcher->record.id, handler, desk };
    uint32_t index = index_find(&core->gates_by_key, key_hash(key), gate_has_key, &key);
    return index ? gate_at(core, index) : gate_new(core, dispatcher, handler, desk);
}

void gate_release(struct berth_core *core, struct gate *gate)
{
    if (!berth_list_is_empty(&gate->lanes))
        return;
    BERTH_ASSERT(berth_list_is_empty(&gate->open_ranks));
    BERTH_ASSERT(!berth_list_is_linked(&gate->wait_node));
    berth_list_remove(&gate->dispatcher_node);
    index_remove(&core->gates_by_key, key_hash(key_of(gate)), gate->index);
    slab_give(&core->gates, gate->index);
    gate->handler->gate_count--;
    handler_release(core, gate->handler);
    gate_free_memory(gate);
}

void gate_free_memory(struct gate *gate)
{
    struct berth_list_node *node;
    while ((node = berth_list_pop_front(&gate->ranks)))
        block_free(berth_container_of(node, struct rank, gate_node));
    block_free(gate);
}

/* ---- ranks ---- */

struct rank *gate_rank(struct gate *gate, int32_t priority)
{
    BERTH_LIST_FOREACH (node, &gate->ranks) {
        struct rank *rank = berth_container_of(node, struct rank, gate_node);
        if (rank->priority == priority)
            return rank;
    }
    struct rank *rank = block_new(sizeof *rank);
    if (!rank)
        return NULL;
    rank->priority = priority;
    rank->gate = gate;
    berth_list_init(&rank->turns);
    berth_list_push_back(&gate->ranks, &rank->gate_node);
    return rank;
}

/* ---- open, waiting, or neither ---- */

static void open_gate(struct berth_core *core, struct gate *gate)
{
    struct dispatcher *dispatcher = gate->dispatcher;
    bool was_asking = park_is_asking(dispatcher);
    berth_list_push_back(&dispatcher->open_gates, &gate->open_node);
    if (!was_asking)
        park_ask(core, dispatcher);
}

static void shut_gate(struct berth_core *core, struct gate *gate)
{
    berth_list_remove(&gate->open_node);
    if (!park_is_asking(gate->dispatcher))
        park_rest(core, gate->dispatcher);
}

static void insert_by_priority(struct berth_list *ranks, struct rank *rank)
{
    BERTH_LIST_FOREACH (node, ranks) {
        if (berth_container_of(node, struct rank, open_node)->priority < rank->priority) {
            berth_list_insert_before(node, &rank->open_node);
            return;
        }
    }
    berth_list_push_back(ranks, &rank->open_node);
}

void gate_open_rank(struct berth_core *core, struct rank *rank)
{
    struct gate *gate = rank->gate;
    bool was_empty = berth_list_is_empty(&gate->open_ranks);
    insert_by_priority(&gate->open_ranks, rank);
    if (was_empty)
        open_gate(core, gate);
}

void gate_close_rank(struct berth_core *core, struct rank *rank)
{
    struct gate *gate = rank->gate;
    berth_list_remove(&rank->open_node);
    if (!berth_list_is_empty(&gate->open_ranks))
        return;
    gate->wait_number = 0;
    if (berth_list_is_linked(&gate->wait_node))
        berth_list_remove(&gate->wait_node);
    else
        shut_gate(core, gate);
}

/* An old place is found from the front: what comes back was there a moment ago. */
static void insert_by_number(struct berth_list *waiting, struct gate *gate)
{
    BERTH_LIST_FOREACH (node, waiting) {
        if (berth_container_of(node, struct gate, wait_node)->wait_number > gate->wait_number) {
            berth_list_insert_before(node, &gate->wait_node);
            return;
        }
    }
    berth_list_push_back(waiting, &gate->wait_node);
}

void gate_wait(struct berth_core *core, struct gate *gate)
{
    if (gate->handler->is_alone)
        suspect_look(core);
    if (gate->wait_number) {
        insert_by_number(&gate->desk->waiting, gate);
    } else {
        gate->wait_number = ++core->wait_counter;
        berth_list_push_back(&gate->desk->waiting, &gate->wait_node);
    }
    shut_gate(core, gate);
}

void gate_had_turn(struct gate *gate)
{
    gate->wait_number = 0;
    BERTH_LIST_FOREACH (node, &gate->dispatcher->open_gates) {
        struct gate *other = berth_container_of(node, struct gate, open_node);
        if (berth_list_is_empty(&other->desk->free))
            other->wait_number = 0;
    }
}

/* All for which there is room, so that the dispatcher can choose among its handlers. */
static void open_waiting(struct berth_core *core, struct dispatcher *dispatcher)
{
    BERTH_LIST_FOREACH (node, &dispatcher->gates) {
        struct gate *gate = berth_container_of(node, struct gate, dispatcher_node);
        if (!berth_list_is_linked(&gate->wait_node) || berth_list_is_empty(&gate->desk->free))
            continue;
        berth_list_remove(&gate->wait_node);
        open_gate(core, gate);
    }
}

struct dispatcher *handler_next(struct berth_core *core)
{
    struct gate *next = NULL;
    BERTH_LIST_FOREACH_SAFE (node, &core->gained) {
        struct gate *gate = first_waiting(berth_container_of(node, struct desk, gain_node));
        if (!gate)
            berth_list_remove(node);
        else if (!next || gate->wait_number < next->wait_number)
            next = gate;
    }
    if (!next)
        return NULL;
    open_waiting(core, next->dispatcher);
    return next->dispatcher;
}
