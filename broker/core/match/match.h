/* SPDX-License-Identifier: MIT */
/* Which job starts next, and where.
 *
 * What is missing decides where something waits, and each thing waits at one place: a level of a
 * full group in no rank (lane.h), a gate at its handler (handler.h), a dispatcher at the one of its
 * chain that lacks something (park.h). What comes back wakes who waits for it, in their order: room
 * of workers goes to the gates as they came to wait, slots and tokens by shares. What is free with
 * room to spare goes around the dispatchers, one job each. So however many jobs one dispatcher has,
 * and however fast more of them arrive, each other one has its turn.
 */
#pragma once

#include "broker/core/state.h"

/* Grants all that can be granted. */
void match_turn(struct berth_core *core);
/* A body that was read back for an attempt that waits for it. */
void match_on_body(struct berth_core *core, uint64_t attempt,
                   const struct berth_job_record *record);
