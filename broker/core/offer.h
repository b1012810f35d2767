/* SPDX-License-Identifier: MIT */
/* What workers offer: their handlers, cores and room, and where the matching finds them. */
#pragma once

#include "state.h"

/* Takes the place of what the session offered before, its acknowledgements that wait included: a
 * hello or a join begins anew. 0, or -ENOMEM: nothing has changed. */
int offer_take(struct berth_core *core, struct session *session, const struct berth_offer *offer);
void offer_drop(struct berth_core *core, struct session *session);
/* Puts its offers where the matching finds them, or takes them away, as its room, reachability and
 * drain say. */
void offer_update_room(struct berth_core *core, struct session *session);
