/* SPDX-License-Identifier: MIT */
/* The lanes in which ready jobs wait, and the handlers that they wait for.
 *
 * A lane holds the ready jobs of one dispatcher for one handler, a list per priority, so what one
 * handler lacks never stands before another one's jobs. Lanes and handlers are made when they are
 * first named, and freed when nothing names them any more.
 */
#pragma once

#include "state.h"

/* Makes it; NULL: no memory, or too many. */
struct handler *handler_get(struct berth_core *core, struct berth_slice name);
/* Frees it if nobody names it. */
void handler_release(struct berth_core *core, struct handler *handler);

/* Makes it; NULL: no memory. */
struct lane *lane_get(struct berth_core *core, struct dispatcher *dispatcher,
                      struct handler *handler);
/* Frees it if no job names it. */
void lane_release(struct berth_core *core, struct lane *lane);
/* Makes the list of this priority: 0 or -ENOMEM. After that push cannot fail. */
int lane_reserve(struct lane *lane, int32_t priority);
void lane_push(struct berth_core *core, struct lane *lane, uint32_t job, enum job_place place);
void lane_remove(struct berth_core *core, struct lane *lane, uint32_t job);
uint32_t lane_first(const struct lane *lane); /* 0: empty */
