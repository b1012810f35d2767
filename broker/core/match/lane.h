/* SPDX-License-Identifier: MIT */
/* The lanes in which ready jobs wait, and the order among them.
 *
 * A lane holds the jobs of one dispatcher, group and handler; its ready ones stand in a level for
 * each priority, first come first served. Behind a gate the levels of one priority are a rank, and
 * take turns, one job each; those of a group that is full are in no rank. A lane is made when it is
 * first named, and freed when no job names it any more.
 */
#pragma once

#include "broker/core/state.h"

#define AGE_S         30 /* so much longer a job waits to count for one level of priority more */
#define LOST_LOOK_MAX 64 /* behind so many lost jobs it is looked for one that waited longer */

/* Makes it; NULL: no memory, or too many. Suspects, whoever they are, are DESK_ROOTS. */
struct lane *lane_get(struct berth_core *core, struct dispatcher *dispatcher,
                      struct berth_slice handler, enum desk_kind desk, struct berth_slice group);
/* Frees it if no job names it. */
void lane_release(struct berth_core *core, struct lane *lane);
void lane_free_all(struct dispatcher *dispatcher);
uint64_t lane_index_hash(const void *core, uint32_t lane);
/* Makes the level of this priority: 0 or -ENOMEM. After that push cannot fail. */
int lane_reserve(struct lane *lane, int32_t priority);
void lane_push(struct berth_core *core, struct lane *lane, uint32_t job, enum job_place place);
void lane_remove(struct berth_core *core, struct lane *lane, uint32_t job);
/* Its group has become full, or has a place again. */
void lane_refresh(struct berth_core *core, struct lane *lane);

/* The job that this dispatcher starts next, if a worker has room for it; its group has had its
 * turn then. Gates for which nobody has room go and wait. 0: none is left, or those that are may be
 * run by sessions that are missing. */
uint32_t lane_choose(struct berth_core *core, struct dispatcher *dispatcher);
