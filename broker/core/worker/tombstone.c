/* SPDX-License-Identifier: MIT */
#include "tombstone.h"

#define TOMBSTONES_MAX 16384u

struct tombstone {
    struct berth_map_node by_child;
    struct child_key key; /* the memory of by_child's key */
    struct berth_list_node node;
};

static struct child_key key_of(const uint8_t nonce[16], uint32_t child)
{
    struct child_key key = { .child = child };
    memcpy(key.nonce, nonce, sizeof key.nonce);
    return key;
}

static struct berth_slice slice_of_key(const struct child_key *key)
{
    return (struct berth_slice){ .data = key, .bytes = sizeof *key };
}

bool tombstone_is_there(const struct berth_core *core, const uint8_t nonce[16], uint32_t child)
{
    struct child_key key = key_of(nonce, child);
    return berth_map_find_bytes(&core->tombstones, slice_of_key(&key)) != NULL;
}

static void drop_oldest(struct berth_core *core)
{
    struct berth_list_node *node = berth_list_pop_front(&core->tombstone_order);
    struct tombstone *tombstone = berth_container_of(node, struct tombstone, node);
    berth_map_remove(&core->tombstones, &tombstone->by_child);
    block_free(tombstone);
}

void tombstone_put(struct berth_core *core, const uint8_t nonce[16], uint32_t child)
{
    if (tombstone_is_there(core, nonce, child))
        return;
    if (berth_map_count(&core->tombstones) >= TOMBSTONES_MAX)
        drop_oldest(core);
    struct tombstone *tombstone = block_new(sizeof *tombstone);
    if (!tombstone)
        return;
    tombstone->key = key_of(nonce, child);
    if (berth_map_insert_bytes(&core->tombstones, &tombstone->by_child,
                               slice_of_key(&tombstone->key)) < 0) {
        block_free(tombstone);
        return;
    }
    berth_list_push_back(&core->tombstone_order, &tombstone->node);
}

void tombstone_free_all(struct berth_core *core)
{
    while (!berth_list_is_empty(&core->tombstone_order))
        drop_oldest(core);
}
