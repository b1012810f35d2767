/* SPDX-License-Identifier: MIT
 *
 * The only file that expands uthash. Its own hash (Jenkins) is replaced by ours, which is faster on
 * long keys, and its exit on a failed malloc by an error.
 */
#include <errno.h>

#include "base/hash.h"

#define HASH_NONFATAL_OOM                1
#define uthash_nonfatal_oom(element)     (is_out_of_memory = true)
#define HASH_FUNCTION(key, bytes, value) ((value) = map_hash(key, bytes))

#include "base/map.h"

#include <stdbool.h>

#include "base/assert.h"

static unsigned map_hash(const void *key, size_t bytes)
{
    return (unsigned)berth_hash64((struct berth_slice){ .data = key, .bytes = bytes }, 0);
}

void berth_map_fini(struct berth_map *map)
{
    HASH_CLEAR(hh, map->first);
}

static struct berth_map_node *find(const struct berth_map *map, const void *key, size_t bytes)
{
    struct berth_map_node *found = NULL;
    HASH_FIND(hh, map->first, key, bytes, found);
    return found;
}

static int insert(struct berth_map *map, struct berth_map_node *node, const void *key, size_t bytes)
{
    BERTH_ASSERT(bytes <= BERTH_MAP_KEY_BYTES_MAX);
    if (find(map, key, bytes))
        return -EEXIST;
    bool is_out_of_memory = false;
    HASH_ADD_KEYPTR(hh, map->first, key, bytes, node);
    return is_out_of_memory ? -ENOMEM : 0;
}

int berth_map_insert_id(struct berth_map *map, struct berth_map_node *node, uint64_t id)
{
    node->id = id;
    return insert(map, node, &node->id, sizeof node->id);
}

int berth_map_insert_bytes(struct berth_map *map, struct berth_map_node *node,
                           struct berth_slice key)
{
    node->id = 0;
    return insert(map, node, key.bytes > 0 ? key.data : "", key.bytes);
}

struct berth_map_node *berth_map_find_id(const struct berth_map *map, uint64_t id)
{
    return find(map, &id, sizeof id);
}

struct berth_map_node *berth_map_find_bytes(const struct berth_map *map, struct berth_slice key)
{
    return find(map, key.bytes > 0 ? key.data : "", key.bytes);
}

void berth_map_remove(struct berth_map *map, struct berth_map_node *node)
{
    BERTH_ASSERT(map->first);
    BERTH_ASSERT(node->hh.tbl == map->first->hh.tbl);
    HASH_DELETE(hh, map->first, node);
}

size_t berth_map_count(const struct berth_map *map)
{
    return HASH_COUNT(map->first);
}
