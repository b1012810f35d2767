/* SPDX-License-Identifier: MIT */
/* What goes wrong, and when: drawn from the seed. */
#pragma once

#include "sim.h"

void fault_schedule(struct sim *sim);
void fault_heal_all(struct sim *sim);
/* Frees what an event that will not come holds. */
void fault_drop_event(sim_fn fn, void *arg);
