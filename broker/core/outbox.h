/* SPDX-License-Identifier: MIT */
/* What a session is to be told: grants, cancels and acknowledgements gather until the end of the
 * turn, and leave as one message of its join's stream, or as several if one frame cannot hold them.
 */
#pragma once

#include "state.h"

void outbox_grant(struct berth_core *core, struct attempt *attempt);
void outbox_cancel(struct berth_core *core, struct attempt *attempt);
void outbox_ack(struct berth_core *core, struct session *session, uint64_t attempt, bool is_stale);
/* What was to be said of this attempt is not said. */
void outbox_forget(struct attempt *attempt);
/* The end of the turn. */
void outbox_flush(struct berth_core *core);
