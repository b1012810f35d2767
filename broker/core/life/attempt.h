/* SPDX-License-Identifier: MIT */
/* Attempts: who holds which slot, from the grant or a join until the end is stored.
 *
 * 1. An attempt holds a slot of its dispatcher and of all above it, and a place of its group, in
 * every state but SETTLING, unless it waits and has given them back (suspend.h); and it counts at
 * its session in every state, as offer.h says.
 * 2. Otherwise slots come back in the step in which the attempt is over, and only in
 * attempt_settle() and attempt_free().
 */
#pragma once

#include "broker/core/state.h"

struct attempt *attempt_find(const struct berth_core *core, uint64_t id);
static inline bool attempt_has_slots(const struct attempt *attempt)
{
    return attempt->state != ATTEMPT_SETTLING && !attempt->has_given;
}
/* A place of the group; NULL: a slot of the dispatcher. */
bool attempt_holds(const struct attempt *attempt, const struct dispatcher *dispatcher,
                   const struct group *group);
/* A new one that holds what it needs of the limits (limit.h); for a job (READY) it becomes its
 * current attempt. NULL: no memory. `job` 0: DOOMED. */
struct attempt *attempt_new(struct berth_core *core, uint64_t id, struct session *session,
                            uint32_t job, uint32_t number, struct dispatcher *dispatcher,
                            struct group *group);
/* Its slot is free, its job's end or retry is in the batch. */
void attempt_settle(struct berth_core *core, struct attempt *attempt);
/* Forgets it, with slot and place. Its job, if it is RUNNING by it, must be moved by the caller
 * first. */
void attempt_free(struct berth_core *core, struct attempt *attempt);

/* It was never started and never will be: its job is ready at its old place, no attempt used. */
void attempt_release(struct berth_core *core, struct attempt *attempt);
/* It has ended, and so it says. Gathers the job's end or retry. */
void attempt_report(struct berth_core *core, struct attempt *attempt,
                    const struct berth_attempt_end *end);
enum attempt_loss { ATTEMPT_LOST, ATTEMPT_DRAINED };
/* Its process is dead, or counts as dead. Its job runs again, unless that was its own doing once
 * too often; the attempt is forgotten. */
void attempt_lost(struct berth_core *core, struct attempt *attempt, enum attempt_loss how);

/* A queued job ends cancelled, unstarted. */
void job_end_cancelled(struct berth_core *core, uint32_t job);
/* A queued or arriving job ends without an attempt, and this is why. */
void job_end_queued(struct berth_core *core, uint32_t job, enum berth_state state, const char *kind,
                    const char *message);
/* What a stored CANCEL sets free: the worker is told, or the job ends if it waits. END, RETRY: the
 * acknowledgement, waiting clients, the job's next turn. */
void job_on_cancel_stored(struct berth_core *core, uint64_t id);
void job_on_end_stored(struct berth_core *core, const struct berth_end_record *end);
void job_on_retry_stored(struct berth_core *core, const struct berth_retry_record *retry);
