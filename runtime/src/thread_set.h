/* SPDX-License-Identifier: MIT
 *
 * The elastic set of threads behind all dispatchers of weft's own.
 *
 * Its threads watch the seats of pools (pool.h, seat.h), and take places in the lanes behind which
 * a thread may block (lane.h). What all of them may need together never exceeds threads_max, so a
 * free place always finds a thread, and nobody starves anybody.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pool.h"

struct weft_pool_limits {
    unsigned threads, io_threads, blocking_threads, virtual_threads, threads_max;
};

/* Starts the built-in dispatchers with one thread. 0 or -errno. */
int weft_threads_open(const struct weft_pool_limits *limits);

/* Ends and joins all threads; no work may be left. */
void weft_threads_close(void);
bool weft_threads_are_stopping(void);

/* Sends a thread to a seat that nobody watches. False: none can be had; then those that have
 * nothing to do look for what is left undone, and the monitor sees to seats where nobody is. */
bool weft_threads_send(struct weft_seat *seat);
int weft_threads_fetch(struct weft_seat *seat); /* 0; -EAGAIN: threads_max; -ENOMEM */

/* Whether that was so, and there may still be such a seat. */
bool weft_threads_are_short(void);

/* Gives the seat to another thread of the set, if one can be had, because the one that sits there
 * is stuck in a call, and has been since it was at `turns`. */
void weft_threads_replace(struct weft_seat *seat, struct weft_thread *stuck, unsigned turns);

/* Whether the calling thread will bring a turn to the pool itself: it has no seat, and is between
 * two turns. Then it has taken it. */
bool weft_threads_promise(struct weft_thread *thread, struct weft_pool *pool,
                          struct weft_turn *turn);

/* For a thread that is going to run one more turn: what it has promised must not wait for that. */
void weft_threads_unpromise(struct weft_thread *thread);

/* The lock of the set, and of the lanes. */
void weft_threads_lock(void);
void weft_threads_unlock(void);

/* Under the lock: gives a free place of the lane to a thread that sleeps, or to a new one. If none
 * can be had, one that exists comes as soon as it has nothing else to do. */
void weft_threads_come(struct weft_lane *lane);

/* After so long without work a thread ends, all but those that watch a seat. For tests: before the
 * runtime starts. */
#define WEFT_IDLE_MS_DEFAULT 10000
void weft_threads_idle_ms_set(int64_t idle_ms);

/* One line on threads and queues, for the dump. */
#define WEFT_LANE_COUNT 4
struct weft_lane_state {
    const char *name;
    unsigned running, limit;
    size_t queued;
};
struct weft_pool_state {
    unsigned threads, idle;
    unsigned replaced; /* how often a stuck thread's seat was given to another */
    struct weft_lane_state lanes[WEFT_LANE_COUNT];
};
void weft_threads_look(struct weft_pool_state *ret_state);
