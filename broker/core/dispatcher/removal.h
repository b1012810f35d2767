/* SPDX-License-Identifier: MIT */
/* Removing a dispatcher: with its ended jobs, and only if nothing that lives needs it. */
#pragma once

#include "broker/core/state.h"

/* Refused with what there is that needs it; else its name is free at once, and the answer waits for
 * the store. */
void removal_on_event(struct berth_core *core, const struct berth_ev_query *ev);
void removal_on_stored(struct berth_core *core, uint32_t id);
