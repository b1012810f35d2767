/* SPDX-License-Identifier: MIT */
/* The worker's DEALER socket: frames out, frames in, and word of each new connection. Belongs to
 * the link thread; never blocks.
 *
 * 1. Each open has a fresh random identity: a broker that still holds the old one can neither
 *    refuse nor confuse the new one.
 * 2. Without a connection nothing is queued: a frame that cannot leave now is dropped and said so.
 *    The protocol mends every loss; a frame that waits for a connection would only be a late copy.
 * 3. No ZMTP heartbeats: libzmq 4.3.4 and 4.3.5 abort on them when a peer stalls (libzmq issues
 *    3596, 3937, 4229, 4767). The protocol has its own.
 */
#pragma once

#include <stdbool.h>

#include <berth/error.h>
#include <berth/types.h>

#define SOCKET_TCP_KEEPALIVE_S  20
#define SOCKET_TCP_GIVE_UP_MS   10000
#define SOCKET_HANDSHAKE_MS     5000
#define SOCKET_RECONNECT_MS     100
#define SOCKET_RECONNECT_MS_MAX 2000
#define SOCKET_IDENTITY_BYTES   16

struct worker_socket;

/* Connects in the background. `url` is borrowed for the socket's life. */
int worker_socket_open(const char *url, struct worker_socket **ret_socket, struct berth_error *err);

/* Gives what was just sent `linger_ms` to leave. NULL is fine. */
void worker_socket_close(struct worker_socket *socket, int linger_ms);

/* Drops the connection and opens another under a new identity. */
int worker_socket_reopen(struct worker_socket *socket, struct berth_error *err);

/* Waits until the socket has something, or `fd` is readable, at most `timeout_ms` (negative: for
 * ever). 0 or -errno; being interrupted is no failure. */
int worker_socket_wait(struct worker_socket *socket, int fd, int64_t timeout_ms);

/* Whether there is a new connection since the last call. */
bool worker_socket_connected(struct worker_socket *socket);

/* The next frame, borrowed until the next receive: 1; 0: none. */
int worker_socket_receive(struct worker_socket *socket, struct berth_slice *ret_frame);

/* 0; -EAGAIN: there is no connection, or too much waits for it; else a negative code. */
int worker_socket_send(struct worker_socket *socket, struct berth_slice frame);
