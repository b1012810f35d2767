/* SPDX-License-Identifier: MIT */
/* The client's DEALER socket: one connection to the broker, and what becomes of it.
 *
 * Knows nothing of what is in a frame. Belongs to one thread at a time: whoever drives the client
 * (client.c) holds its lock, or alone may wait. libzmq makes the connection and makes it again by
 * itself; a connection that is silent is changed from outside, by berth_dealer_reopen.
 *
 * 1. Sending never waits, and nothing waits inside for a connection that is not there
 * (ZMQ_IMMEDIATE): -EAGAIN instead.
 * 2. Each socket has a fresh random routing id, so a broker never takes it for an older one.
 * 3. No ZMTP heartbeats: libzmq 4.3.4 and 4.3.5 abort on them when the other side stalls (libzmq
 * issues 3596, 3937, 4229, 4767). Silence is noticed by the request table.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <berth/error.h>
#include <berth/types.h>

#define DEALER_FRAME_BYTES_MAX  (64 << 20) /* a larger one cuts the connection */
#define DEALER_ROUTING_ID_BYTES 16
#define DEALER_RECONNECT_MS     50
#define DEALER_RECONNECT_MS_MAX 1000 /* short, so that clients are back soon after a restart */
#define DEALER_TCP_KEEPALIVE_S  20

struct berth_dealer;

enum berth_dealer_event { DEALER_NOTHING = 0, DEALER_CONNECTED, DEALER_DISCONNECTED };

/* Starts to connect and does not wait for it. `url` is checked here: BERTH_EVALUE. */
int berth_dealer_open(const char *url, struct berth_dealer **ret_dealer, struct berth_error *err);
void berth_dealer_close(struct berth_dealer *dealer); /* NULL is fine */

/* Gives the connection up and starts another one. 0, or -errno: then there is none, until it is
 * called again. */
int berth_dealer_reopen(struct berth_dealer *dealer);

/* Waits until something has come, or berth_dealer_wake was called, or (with `wants_send`) something
 * can leave; at most `timeout_ms` (INT64_MAX: for ever). Returns early for no reason now and then.
 */
void berth_dealer_wait(struct berth_dealer *dealer, bool wants_send, int64_t timeout_ms);

/* Ends the berth_dealer_wait under way, or the next one. Any thread, at any time. */
void berth_dealer_wake(struct berth_dealer *dealer);

/* The next thing that happened to the connection. */
enum berth_dealer_event berth_dealer_next_event(struct berth_dealer *dealer);

/* The next frame, borrowed until the next receive: 1, or 0 when there is none. */
int berth_dealer_receive(struct berth_dealer *dealer, struct berth_slice *ret_frame);

/* Copies the frame. 0; -EAGAIN: no connection, or it is full: wait with `wants_send`; -ENOMEM. */
int berth_dealer_send(struct berth_dealer *dealer, struct berth_slice frame);
