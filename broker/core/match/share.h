/* SPDX-License-Identifier: MIT */
/* How the slots of a dispatcher are divided among its branches.
 *
 * A branch is a child with all below it, or the dispatcher's own jobs (of weight 1). What it has
 * had is slot time, the sum over its attempts, for its weight. Of those that wait the branch is
 * next that has had the least, where each attempt that runs counts ahead for as long as attempts
 * have slots here on the average: so several slots that come back at once do not all go to one.
 * A branch that comes to wait starts from what the branch had had that started last: nobody saves
 * up, and nobody pays for slots that no other wanted.
 */
#pragma once

#include "broker/core/state.h"

void share_init(const struct berth_core *core, struct dispatcher *dispatcher);
/* Counts up to now; before anything changes that its counting depends on. */
void share_settle(const struct berth_core *core, struct dispatcher *dispatcher);
/* An attempt of its own jobs begins, or has had its slot for so long: tells the whole chain. */
void share_start(const struct berth_core *core, struct dispatcher *dispatcher);
void share_end(struct dispatcher *dispatcher, int64_t held_ms);
/* It comes to wait at `at`, itself or an ancestor; it is not in the list of those yet. */
void share_come(const struct berth_core *core, struct dispatcher *dispatcher,
                const struct dispatcher *at);
/* It hangs, with all below it, under another parent from now on. */
void share_move(const struct berth_core *core, struct dispatcher *dispatcher,
                struct dispatcher *parent);

/* Which of those that wait at this dispatcher is next; there is one. */
struct dispatcher *share_next(const struct berth_core *core, struct dispatcher *dispatcher);
