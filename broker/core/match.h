/* SPDX-License-Identifier: MIT */
/* Which job starts next, and where.
 *
 * Every lane with ready jobs is in exactly one of three situations: its dispatcher is runnable
 * (looked at in this turn), its dispatcher has no room (the limit, or paused: looked at when a slot
 * comes back), or it waits at its handler for a worker with room.
 *
 * Room goes first to the lanes that wait for it, in the order in which they came to wait, one job
 * each; a lane that has more to start comes to wait anew, behind the others. So however many jobs
 * one dispatcher has, and however fast more of them arrive, each other one has its turn. Slots that
 * are free with room to spare go around the dispatchers, one job each.
 */
#pragma once

#include "state.h"

void match_wake_dispatcher(struct berth_core *core, struct dispatcher *dispatcher);
void match_wake_all(struct berth_core *core);
void match_wake_handler(struct berth_core *core, struct handler *handler);
/* Grants all that can be granted. */
void match_turn(struct berth_core *core);
/* A body that was read back for an attempt that waits for it. */
void match_on_body(struct berth_core *core, uint64_t attempt,
                   const struct berth_job_record *record);
