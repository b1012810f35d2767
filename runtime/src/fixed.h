/* SPDX-License-Identifier: MIT
 *
 * Fixed pools: weft_pool_open(). Their seats and threads are those of pool.h and thread_set.h; what
 * is here is how they come and go. A closed pool stays as a handle that refuses everything, until
 * weft_shutdown().
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "pool.h"
#include "thread_set.h"

/* A thread has left its seat there for good; the last one lets the closer go on. */
void weft_fixed_left(struct weft_pool *pool);

/* Whether there are some that are not closed. */
bool weft_fixed_are_open(void);

/* With the runtime: frees all, which are closed. */
void weft_fixed_fini(void);

/* For the dump: the open one with this number; false: there are no more. */
bool weft_fixed_look(size_t index, struct weft_lane_state *ret_state);

/* The open ones, under the lock of weft_pools_each(). */
void weft_fixed_each(void (*visit)(struct weft_pool *pool, void *arg), void *arg);
