/* SPDX-License-Identifier: MIT */
/* The broker's ROUTER socket: frames in, frames out, and waiting for either.
 *
 * Knows nothing of what is in a frame. Belongs to one thread. Never blocks but in berth_net_wait.
 *
 * 1. Whatever one peer can make us hold is bounded: frames and bytes waiting for it, frames waiting
 * from it, the size of a frame, the number of peers known.
 * 2. A frame that cannot be sent is dropped and said so: the far side mends it (a worker joins
 * again, a client repeats its request). Sending never waits.
 * 3. No ZMTP heartbeats: libzmq 4.3.4 and 4.3.5 abort on them when a peer stalls (libzmq issues
 * 3596, 3937, 4229, 4767). The protocol has its own.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <berth/error.h>

#include "base/cleanup.h"

#define BERTH_NET_FRAME_BYTES_MAX (64u << 20) /* beyond it libzmq cuts the connection */
#define BERTH_NET_SEND_FRAMES_MAX 4096        /* waiting for one peer */
#define BERTH_NET_SEND_BYTES_MAX  (64u << 20) /* waiting for one peer, or one frame */
#define BERTH_NET_RECEIVE_MAX     256         /* frames waiting from one peer */
#define BERTH_NET_WATCHES_MAX     8
#define BERTH_NET_ENDPOINT_MAX    256
#define BERTH_NET_LINGER_MS       500 /* at a clean stop, for answers that were just given */
#define BERTH_NET_HANDSHAKE_MS    5000
#define BERTH_NET_TCP_KEEPALIVE_S 20
#define BERTH_NET_TCP_GIVE_UP_MS  10000

struct berth_net;

/* One message of one peer. `frame` is borrowed until the next receive. */
struct berth_incoming {
    uint64_t peer;
    struct berth_slice frame; /* the first, if there are several */
    size_t frame_count;       /* what a peer sends has one */
};

/* A descriptor that the loop waits for beside the socket. */
struct berth_watch {
    int fd; /* negative: none */
    bool is_readable;
};

/* Binds nothing yet. `peers_max`: 1 .. BERTH_PEERS_MAX (peers.h). */
int berth_net_open(size_t peers_max, struct berth_net **ret_net, struct berth_error *err);
/* Gives what was just sent `linger_ms` to leave. NULL is fine. */
void berth_net_close(struct berth_net *net, int linger_ms);

/* `url`: tcp://HOST:PORT or ipc://PATH. The sentence names the URL. */
int berth_net_bind(struct berth_net *net, const char *url, struct berth_error *err);
const char *berth_net_endpoint(const struct berth_net *net); /* as bound; "" before */

/* Waits until the socket or a watch is readable, at most `timeout_ms` (INT64_MAX: for ever), and
 * sets each `is_readable`. Returns early for no reason now and then. 0 or -errno. */
int berth_net_wait(struct berth_net *net, struct berth_watch *watches, size_t count,
                   int64_t timeout_ms);

/* The next message, if one is here: 1, or 0 when there is none. -ENOMEM: the message is lost. */
int berth_net_receive(struct berth_net *net, struct berth_incoming *ret_incoming);

/* Copies the frame. 0; -EHOSTUNREACH: the peer is gone (and is reported by next_gone); -EAGAIN: too
 * much waits for it; -EMSGSIZE; -ENOMEM. */
int berth_net_send(struct berth_net *net, uint64_t peer, struct berth_slice frame);

/* The peers that cannot be reached any more, each once: true and the next one, or false. */
bool berth_net_next_gone(struct berth_net *net, uint64_t *ret_peer);
