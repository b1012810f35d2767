/* SPDX-License-Identifier: MIT */
/* Who waits for the end of which live job. A wait is (peer, request) with any number of jobs; it is
 * forgotten when its peer is, or when it was not repeated for WAIT_FORGOTTEN_MS. */
#pragma once

#include "broker/core/state.h"

#define WAIT_FORGOTTEN_MS 30000

/* Answers with what is known, and again as jobs end, until none is left. `ended`: for each id that
 * is not live how it ended, or 0: there is no such job. A repeat under the same request replaces
 * it. */
void wait_begin(struct berth_core *core, uint64_t peer, uint64_t request, const uint64_t *ids,
                size_t count, const enum berth_state *ended);
/* Its end is stored. Everybody who waits is told of all that ended in this step by wait_tell(). */
void wait_on_job_ended(struct berth_core *core, uint64_t job, enum berth_state state);
void wait_tell(struct berth_core *core);
void wait_on_peer_gone(struct berth_core *core, uint64_t peer);
void wait_on_turn(struct berth_core *core);
void wait_free_all(struct berth_core *core);
