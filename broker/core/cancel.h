/* SPDX-License-Identifier: MIT */
/* Cancels by id, once it is known how those have ended that are not live. */
#pragma once

#include "state.h"

/* `ended`: for each id that is not live how it ended, or 0: there is no such job. Answers when what
 * the answer says is stored; that it was forced is not, and is to be said again to the next broker.
 */
void cancel_jobs(struct berth_core *core, const struct berth_ev_ids *ids,
                 const enum berth_state *ended);
