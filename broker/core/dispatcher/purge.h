/* SPDX-License-Identifier: MIT */
/* Purging a dispatcher: all its jobs that wait are cancelled, part by part. */
#pragma once

#include "broker/core/state.h"

/* Takes the next part: at most PURGE_JOBS_MAX jobs, of PURGE_LOOKED_AT_MAX that are looked at, so
 * that it holds up nobody. Answers when that is stored, and says where the next part begins. */
void purge_on_event(struct berth_core *core, const struct berth_ev_purge *ev);

#define PURGE_JOBS_MAX      10000u
#define PURGE_LOOKED_AT_MAX 200000u
