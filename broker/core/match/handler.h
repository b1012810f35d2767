/* SPDX-License-Identifier: MIT */
/* Handlers, and the gates before them.
 *
 * A gate is what a dispatcher has ready for one handler. It is open while a worker with that
 * handler may have room, and waits at the handler when none has: so what one handler lacks never
 * stands before another one's jobs, and a dispatcher waits for it once, however many groups it has.
 * It waits at the handler's desk for children or at the one for all others: workers that are full
 * of waiting parents have room for children alone (offer.h).
 * Handlers and gates are made when they are first named, and freed when nothing names them any
 * more.
 */
#pragma once

#include "broker/core/state.h"

#define HANDLER_ALONE_MARK '\x01' /* at the end of a name that is for suspects: suspect.h */

/* Makes it; NULL: no memory, or too many. */
struct handler *handler_get(struct berth_core *core, struct berth_slice name);
/* Frees it if nobody names it. */
void handler_release(struct berth_core *core, struct handler *handler);
/* A desk of it has room that it had not. */
void handler_gain(struct berth_core *core, struct desk *desk);
/* Of the gates that wait while there is room, the one that came first: its dispatcher, all gates of
 * which are open now that have room. NULL: none waits. The room of one worker is that of all its
 * handlers, so the order is kept over all of them. */
struct dispatcher *handler_next(struct berth_core *core);

/* Makes it; NULL: no memory, or too many. */
struct gate *gate_get(struct berth_core *core, struct dispatcher *dispatcher,
                      struct handler *handler, enum desk_kind desk);
/* Frees it if no lane is behind it. */
void gate_release(struct berth_core *core, struct gate *gate);
/* The rank of this priority; makes it. NULL: no memory. */
struct rank *gate_rank(struct gate *gate, int32_t priority);
void gate_free_memory(struct gate *gate);
uint64_t gate_index_hash(const void *core, uint32_t gate);

/* There is something to start in this rank, or there is not any more. */
void gate_open_rank(struct berth_core *core, struct rank *rank);
void gate_close_rank(struct berth_core *core, struct rank *rank);
/* It is open, and nobody has room: it goes and waits, at its old place if it got nothing since. */
void gate_wait(struct berth_core *core, struct gate *gate);
/* It was given a room, and with it have had their turn all gates of its dispatcher that were open
 * and have none now: however many handlers a dispatcher has, it has one turn. */
void gate_had_turn(struct gate *gate);
