/* SPDX-License-Identifier: MIT */
/* Who waits for the end of which live job. A wait is (peer, request) with any number of jobs; it is
 * forgotten when its peer is, or when it was not repeated for WAIT_FORGOTTEN_MS. */
#pragma once

#include "state.h"

#define WAIT_FORGOTTEN_MS 30000

/* 0; BERTH_EFULL: too many, or no memory. */
int wait_add(struct berth_core *core, uint64_t peer, uint64_t request, uint32_t job);
/* A repeat replaces what was asked before under the same request. */
void wait_drop(struct berth_core *core, uint64_t peer, uint64_t request);
uint32_t wait_pending(const struct berth_core *core, uint64_t peer, uint64_t request);
/* Its end is stored: tells everybody who waits. */
void wait_on_job_ended(struct berth_core *core, uint64_t job, enum berth_state state);
void wait_on_peer_gone(struct berth_core *core, uint64_t peer);
void wait_on_turn(struct berth_core *core);
void wait_free_all(struct berth_core *core);
