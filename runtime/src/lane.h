/* SPDX-License-Identifier: MIT
 *
 * Lanes: the dispatchers behind which a thread may block, weft_io() and the one below independent
 * views and pooled calls.
 *
 * A lane is a queue in order of arrival, and a count of the threads that run for it, at most its
 * limit. A thread that takes a place in a lane keeps it until the lane's queue is empty. The
 * threads are those of the set (thread_set.h), which sends one when a place is free and there is
 * work.
 *
 * All of it is under the lock of the set, which the callers of what follows hold unless it says
 * otherwise: giving a thread to a lane, and a thread's going to sleep, are one step each.
 */
#pragma once

#include <stdbool.h>

#include "pool.h"

struct weft_lane;
struct weft_lane_state;

/* With the set, at its start; and at its end, when no work may be left. */
void weft_lanes_open(unsigned io_limit, unsigned blocking_limit);
void weft_lanes_close(void);

/* A place for a thread that was woken, or is being made, for the lane; and back again, because it
 * could not be made. */
void weft_lane_give(struct weft_lane *lane, struct weft_thread *thread);
void weft_lane_take_back(struct weft_lane *lane, struct weft_thread *thread);

/* For a thread that has nothing to do: a place in any lane that has work and room. False: none. */
bool weft_lanes_take(struct weft_thread *thread);

/* Runs what is in the thread's lane, and in others that have work and room; afterwards it has no
 * place. The thread itself, without the lock. */
void weft_lane_work(struct weft_thread *thread);

/* For the dump. */
void weft_lanes_look(struct weft_lane_state *ret_io, struct weft_lane_state *ret_blocking);
