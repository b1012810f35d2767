/* SPDX-License-Identifier: MIT
 *
 * Intrusive hash map over uthash, keyed by an id or by bytes. The node lies in the element; the map
 * allocates only its table. Out of memory is an answer (-ENOMEM), not an exit.
 *
 * Invariants
 * 1. A walk goes in the order of insertion, never in the order of hashes, so that a replay sees the
 * same.
 * 2. A key is in a map once. A map holds either ids or byte keys.
 * 3. A key of bytes is borrowed: it lies in the element and does not change while that is in the
 * map.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <uthash.h>

#include <berth/types.h>

#include "base/container.h"

#define BERTH_MAP_KEY_BYTES_MAX (1u << 20)

struct berth_map_node {
    UT_hash_handle hh;
    uint64_t id;
};

/* All zero is an empty map. May be moved. */
struct berth_map {
    struct berth_map_node *first;
};

/* Frees the table; the elements are the caller's, and none of them is in a map any more as far as
 * the map goes. */
void berth_map_fini(struct berth_map *map);

/* 0, -EEXIST (nothing changed) or -ENOMEM (nothing changed). `key` must not be longer than
 * BERTH_MAP_KEY_BYTES_MAX. */
int berth_map_insert_id(struct berth_map *map, struct berth_map_node *node, uint64_t id);
int berth_map_insert_bytes(struct berth_map *map, struct berth_map_node *node,
                           struct berth_slice key);

/* NULL if the key is not there. */
struct berth_map_node *berth_map_find_id(const struct berth_map *map, uint64_t id);
struct berth_map_node *berth_map_find_bytes(const struct berth_map *map, struct berth_slice key);

/* `node` must be in this map. */
void berth_map_remove(struct berth_map *map, struct berth_map_node *node);

size_t berth_map_count(const struct berth_map *map);

/* First and next in the order of insertion, or NULL. */
static inline struct berth_map_node *berth_map_first(const struct berth_map *map)
{
    return map->first;
}

static inline struct berth_map_node *berth_map_next(const struct berth_map_node *node)
{
    return (struct berth_map_node *)node->hh.next;
}

/* The body may remove (and free) `node`, but no other.
 * NOLINTBEGIN(bugprone-macro-parentheses): node is a name that is declared */
#define BERTH_MAP_FOREACH(node, map)                                                               \
    for (struct berth_map_node *node = berth_map_first(map),                                       \
                               *node##_next = node ? berth_map_next(node) : NULL;                  \
         node; node = node##_next, node##_next = node ? berth_map_next(node) : NULL)
/* NOLINTEND(bugprone-macro-parentheses) */
