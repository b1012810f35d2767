/* SPDX-License-Identifier: MIT */
/* Cancels by id, once it is known how those have ended that are not live. */
#pragma once

#include "state.h"

/* `ended`: for each id that is not live how it ended, or 0: there is no such job. Answers when what
 * the answer says is stored. */
void cancel_jobs(struct berth_core *core, uint64_t peer, uint64_t request, const uint64_t *ids,
                 size_t count, const enum berth_state *ended);
