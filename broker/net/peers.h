/* SPDX-License-Identifier: MIT */
/* Who is on the other side: ZeroMQ's routing ids (bytes chosen by the peer) and our handles for
 * them.
 *
 * Proves nothing about a peer: a routing id is a return address, not an identity.
 *
 * 1. A handle is given once and never again within a run; a routing id that comes back after it was
 * forgotten gets another one.
 * 2. Each peer that was forgotten is reported once by berth_peers_next_gone.
 * 3. At most `count_max` peers are known. For a newcomer beyond that the one not heard of for the
 * longest time is forgotten.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <berth/types.h>

#include "base/cleanup.h"

#define BERTH_PEERS_MAX            65536
#define BERTH_ROUTING_ID_BYTES_MAX 255 /* ZMTP 3.0 (RFC 23) */

/* The broker's shell itself, as a peer of the core: it asks and is answered, and has no socket. */
#define BERTH_PEER_SELF 1

struct berth_peers;

/* NULL: no memory. `count_max` is 1 .. BERTH_PEERS_MAX. `drop` gets what lies in the slot of a peer
 * that is forgotten, if anything does; NULL: nobody minds. */
struct berth_peers *berth_peers_new(size_t count_max, void (*drop)(void *value));
void berth_peers_free(struct berth_peers *peers);
BERTH_AUTO_DEFINE(berth_peers);

/* The handle of the peer that was just heard under this routing id (1 .. 255 bytes, copied).
 * Returns 0, -EINVAL or -ENOMEM. */
int berth_peers_hear(struct berth_peers *peers, struct berth_slice routing_id, uint64_t *ret_peer);

/* Borrowed until the peer is forgotten; 0 bytes: nobody has this handle (any more). */
struct berth_slice berth_peers_routing_id(const struct berth_peers *peers, uint64_t peer);

/* A place for what its owner wants to keep with the peer; NULL if nobody has this handle. */
void **berth_peers_slot(struct berth_peers *peers, uint64_t peer);

/* A handle nobody has is fine. */
void berth_peers_forget(struct berth_peers *peers, uint64_t peer);

/* true and the next peer that was forgotten and not reported yet, or false. */
bool berth_peers_next_gone(struct berth_peers *peers, uint64_t *ret_peer);

size_t berth_peers_count(const struct berth_peers *peers);
