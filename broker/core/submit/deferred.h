/* SPDX-License-Identifier: MIT */
/* Submits that are held until the store has said how those jobs have ended that theirs are to wait
 * for. Nothing of them is taken before; who asks again meanwhile is held, too, and is known by his
 * key then. */
#pragma once

#include "submit.h"

#define HELD_IDS_MAX   10000u      /* different jobs that the jobs of one submit wait for */
#define HELD_BYTES_MAX (64u << 20) /* of all that are held */

struct held;

/* Copies it, and asks the store if it must. */
void held_submit(struct berth_core *core, const struct berth_ev_submit *event);
/* All is known: it is taken. */
void held_take(struct berth_core *core, const struct held *held, const struct submit_known *known);
void held_free(struct berth_core *core, struct held *held);
