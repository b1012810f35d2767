/* SPDX-License-Identifier: MIT */
/* Submits that are deferred until the store has said how those jobs have ended that theirs are to
 * wait for. Nothing of them is taken before; who asks again meanwhile is deferred, too, and is
 * known by his key then. */
#pragma once

#include "submit.h"

#define DEFERRED_IDS_MAX   10000u      /* different jobs that the jobs of one submit wait for */
#define DEFERRED_BYTES_MAX (64u << 20) /* of all that are deferred */

struct deferred;

/* Copies it, and asks the store if it must. */
void deferred_submit(struct berth_core *core, const struct berth_ev_submit *event);
/* All is known: it is taken. */
void deferred_take(struct berth_core *core, const struct deferred *deferred,
                   const struct submit_known *known);
void deferred_free(struct berth_core *core, struct deferred *deferred);
