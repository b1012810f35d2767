/* SPDX-License-Identifier: MIT */
/* Two maps over the same elements, and a list from least to most recently heard. */
#include "peers.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/list.h"
#include "base/map.h"

struct peer {
    struct berth_map_node by_routing_id, by_handle;
    struct berth_list_node node; /* in `heard`, or in `gone` */
    void *slot;
    uint64_t handle;
    size_t routing_id_bytes;
    unsigned char routing_id[];
};

struct berth_peers {
    struct berth_map by_routing_id, by_handle;
    struct berth_list heard; /* the one not heard of for the longest time comes first */
    struct berth_list gone;  /* forgotten, in no map any more, not reported yet */
    void (*drop)(void *value);
    uint64_t next_handle;
    size_t count, count_max;
};

static struct peer *find(const struct berth_peers *peers, uint64_t handle);
static int add(struct berth_peers *peers, struct berth_slice routing_id, struct peer **ret_peer);
static void forget(struct berth_peers *peers, struct peer *peer);
static struct berth_slice routing_id_of(const struct peer *peer);

struct berth_peers *berth_peers_new(size_t count_max, void (*drop)(void *value))
{
    BERTH_ASSERT(count_max >= 1);
    BERTH_ASSERT(count_max <= BERTH_PEERS_MAX);
    struct berth_peers *peers = calloc(1, sizeof *peers);
    if (!peers)
        return NULL;
    peers->count_max = count_max;
    peers->drop = drop;
    peers->next_handle = BERTH_PEER_SELF + 1;
    berth_list_init(&peers->heard);
    berth_list_init(&peers->gone);
    return peers;
}

void berth_peers_free(struct berth_peers *peers)
{
    if (!peers)
        return;
    BERTH_LIST_FOREACH_SAFE (node, &peers->heard)
        forget(peers, berth_container_of(node, struct peer, node));
    uint64_t peer;
    while (berth_peers_next_gone(peers, &peer))
        ;
    berth_map_fini(&peers->by_routing_id);
    berth_map_fini(&peers->by_handle);
    free(peers);
}

int berth_peers_hear(struct berth_peers *peers, struct berth_slice routing_id, uint64_t *ret_peer)
{
    if (routing_id.bytes < 1 || routing_id.bytes > BERTH_ROUTING_ID_BYTES_MAX)
        return -EINVAL;

    struct peer *peer;
    struct berth_map_node *node = berth_map_find_bytes(&peers->by_routing_id, routing_id);
    if (node) {
        peer = berth_container_of(node, struct peer, by_routing_id);
        berth_list_remove(&peer->node);
    } else {
        int rc = add(peers, routing_id, &peer);
        if (rc < 0)
            return rc;
        if (peers->count > peers->count_max) {
            struct berth_list_node *oldest = berth_list_first(&peers->heard);
            forget(peers, berth_container_of(oldest, struct peer, node));
        }
    }
    berth_list_push_back(&peers->heard, &peer->node);
    *ret_peer = peer->handle;
    return 0;
}

struct berth_slice berth_peers_routing_id(const struct berth_peers *peers, uint64_t handle)
{
    const struct peer *peer = find(peers, handle);
    return peer ? routing_id_of(peer) : (struct berth_slice){ 0 };
}

void **berth_peers_slot(struct berth_peers *peers, uint64_t handle)
{
    struct peer *peer = find(peers, handle);
    return peer ? &peer->slot : NULL;
}

void berth_peers_forget(struct berth_peers *peers, uint64_t handle)
{
    struct peer *peer = find(peers, handle);
    if (peer)
        forget(peers, peer);
}

bool berth_peers_next_gone(struct berth_peers *peers, uint64_t *ret_peer)
{
    struct berth_list_node *node = berth_list_pop_front(&peers->gone);
    if (!node)
        return false;
    struct peer *peer = berth_container_of(node, struct peer, node);
    *ret_peer = peer->handle;
    free(peer);
    return true;
}

size_t berth_peers_count(const struct berth_peers *peers)
{
    return peers->count;
}

static struct peer *find(const struct berth_peers *peers, uint64_t handle)
{
    struct berth_map_node *node = berth_map_find_id(&peers->by_handle, handle);
    return node ? berth_container_of(node, struct peer, by_handle) : NULL;
}

/* In both maps, not in the list yet. */
static int add(struct berth_peers *peers, struct berth_slice routing_id, struct peer **ret_peer)
{
    BERTH_AUTO_MEM struct peer *peer = calloc(1, sizeof *peer + routing_id.bytes);
    if (!peer)
        return -ENOMEM;
    peer->handle = peers->next_handle;
    peer->routing_id_bytes = routing_id.bytes;
    memcpy(peer->routing_id, routing_id.data, routing_id.bytes);

    int rc =
        berth_map_insert_bytes(&peers->by_routing_id, &peer->by_routing_id, routing_id_of(peer));
    if (rc < 0)
        return rc;
    rc = berth_map_insert_id(&peers->by_handle, &peer->by_handle, peer->handle);
    if (rc < 0) {
        berth_map_remove(&peers->by_routing_id, &peer->by_routing_id);
        return rc;
    }
    peers->next_handle++;
    peers->count++;
    *ret_peer = berth_take(peer);
    return 0;
}

static void forget(struct berth_peers *peers, struct peer *peer)
{
    berth_map_remove(&peers->by_routing_id, &peer->by_routing_id);
    berth_map_remove(&peers->by_handle, &peer->by_handle);
    berth_list_remove(&peer->node);
    peers->count--;
    if (peers->drop && peer->slot)
        peers->drop(peer->slot);
    peer->slot = NULL;
    berth_list_push_back(&peers->gone, &peer->node);
}

static struct berth_slice routing_id_of(const struct peer *peer)
{
    return (struct berth_slice){ .data = peer->routing_id, .bytes = peer->routing_id_bytes };
}
