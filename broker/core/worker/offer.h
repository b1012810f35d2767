/* SPDX-License-Identifier: MIT */
/* What workers offer: their handlers, cores and room, and where the matching finds them.
 *
 * 1. Nothing of a suspended attempt runs, so up to `suspended_max` (S) of them do not count against
 * the worker's capacity: a job that is nobody's child is granted while
 *     attempts - min(suspended, S / 2) < capacity,
 * a child while attempts - min(suspended, S) < capacity. So roots that wait never take the last
 * places from children, and a worker never has more than capacity + S attempts.
 * 2. A suspended attempt goes on while fewer run than the capacity (suspend.h). What runs, or may,
 * are the others, with those whose end is being stored: they are given back when the worker is told
 * that it is, so that work stops by itself while the store is full.
 * 3. S = 0, as of workers that do not name it: every attempt counts, whatever it does.
 */
#pragma once

#include "broker/core/state.h"

/* Takes the place of what the session offered before, its acknowledgements that wait included: a
 * hello or a join begins anew. 0, or -ENOMEM: nothing has changed. */
int offer_take(struct berth_core *core, struct session *session, const struct berth_offer *offer);
void offer_drop(struct berth_core *core, struct session *session);
/* Puts its offers where the matching finds them, or takes them away, as its room, reachability and
 * drain say. */
void offer_update_room(struct berth_core *core, struct session *session);
/* So many attempts a worker may have; so many of this session run. */
static inline uint32_t offer_attempts_max(const struct session *session)
{
    return session->capacity + session->suspended_max;
}
static inline uint32_t offer_running(const struct session *session)
{
    return session->attempt_count - session->suspended_count;
}
void offer_check(const struct session *session);
