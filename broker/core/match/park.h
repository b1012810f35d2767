/* SPDX-License-Identifier: MIT */
/* Where a dispatcher stands that has something to start.
 *
 * 1. A dispatcher with an open gate *asks*, and is in exactly one place: runnable (looked at in
 * this turn), stalled (there was no memory: in the next one), recovering (sessions are missing), or
 * waiting at the one of its chain (itself and its ancestors) that misses something. Without an open
 * gate it is nowhere.
 * 2. While somebody waits at a dispatcher, who comes anew waits there too: nobody overtakes.
 * 3. Where something comes back, those that wait there are asked one by one, by shares (share.h),
 * until it is used or nobody is left. One that misses something elsewhere waits there from then on.
 */
#pragma once

#include "broker/core/state.h"

/* Its first gate has opened; its last one has been shut. */
void park_ask(struct berth_core *core, struct dispatcher *dispatcher);
void park_rest(struct berth_core *core, struct dispatcher *dispatcher);
static inline bool park_is_asking(const struct dispatcher *dispatcher)
{
    return !berth_list_is_empty(&dispatcher->open_gates);
}

/* It is looked at in this turn, again. In the next turn: there was no memory for it in this one. */
void park_run(struct berth_core *core, struct dispatcher *dispatcher);
void park_stall(struct berth_core *core, struct dispatcher *dispatcher);
/* It waits until no session is missing; or is looked at before that. */
void park_recover(struct berth_core *core, struct dispatcher *dispatcher);
void park_again(struct berth_core *core, struct dispatcher *dispatcher);

/* Which of its chain it has to wait at; NULL: it may start one. `giver` has just asked it, so that
 * who waits there or below is not before it; NULL: it comes anew. */
struct dispatcher *park_place(const struct berth_core *core, struct dispatcher *dispatcher,
                              const struct dispatcher *giver);
/* It comes anew, or, if `giver` is where it waits, goes on to wait. */
void park_wait(struct berth_core *core, struct dispatcher *dispatcher, struct dispatcher *at,
               const struct dispatcher *giver);
/* Takes it out of where it stands, to be served. */
void park_take(struct dispatcher *dispatcher);

/* Something may have come back here, everywhere. */
void park_wake(struct berth_core *core, struct dispatcher *dispatcher);
void park_wake_all(struct berth_core *core);
/* The tree has changed: all that wait look for their places anew. */
void park_look_again(struct berth_core *core);
/* Tokens that have come; those that stalled. */
void park_on_turn(struct berth_core *core);
/* If somebody waits here for a token, its time is noted; if nobody does, it is forgotten. */
void park_note_token(struct berth_core *core, struct dispatcher *dispatcher);
int64_t park_next_deadline_ms(const struct berth_core *core);
/* Room for one more dispatcher: 0 or -ENOMEM. */
int park_reserve(struct berth_core *core);
