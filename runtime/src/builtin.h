/* SPDX-License-Identifier: MIT
 *
 * The pools that are always there, default and virtual, and the way to all that there are.
 */
#pragma once

#include "pool.h"
#include "thread_set.h"

extern struct weft_pool weft_pool_default, weft_pool_virtual;

#define WEFT_BUILTIN_COUNT 2
extern struct weft_pool *const weft_builtin[WEFT_BUILTIN_COUNT];

/* Makes and frees the two. init: 0 or -errno. */
int weft_pools_init(const struct weft_pool_limits *limits);
void weft_pools_fini(void);

/* Whether weft_pools_each() visits anything: from the start of the threads to their end. */
void weft_pools_show(bool are_open);

/* For each pool, one after the other, none of which is opened or closed meanwhile. */
void weft_pools_each(void (*visit)(struct weft_pool *pool, void *arg), void *arg);
void weft_pools_lock(void);
void weft_pools_unlock(void);

/* Adds what a pool is doing to `state`, for the dump. */
void weft_pool_look(const struct weft_pool *pool, struct weft_pool_state *state,
                    struct weft_lane_state *ret_lane);
