/* SPDX-License-Identifier: MIT */
/* Suspects: jobs in which the process that ran them may have died, and which run alone from then
 * on, each in a process and session of its own. So whoever stands beside a job that kills its
 * process dies with it once at the most.
 *
 * 1. A suspect waits behind a handler of its own, the name of which only processes for suspects
 *    offer: what is ready for one kind of process is never given to the other.
 * 2. A job becomes a suspect with the record that stores it, and stays one until it has ended.
 * 3. A death is a job's own when a fatal signal named its attempt, or when it was alone. At the
 *    second it is dead. Without that all attempts that ran are suspects; those that were
 * suspended, and so ran nothing, only if all were. What was lost with its host blames nobody.
 */
#pragma once

#include "broker/core/state.h"

#define SUSPECT_DEATHS_MAX  2     /* of its own: then it is dead */
#define SUSPECT_ALONE_MAX   4     /* processes for suspects of one worker, at once */
#define SUSPECT_ASK_WAIT_MS 10000 /* a worker that was asked for one is asked again */

/* The keeper says what ran when this session's process died: marks who is to blame for it, before
 * the attempts are lost. Of a session that this broker has not heard of, it holds them first. */
void suspect_blame(struct berth_core *core, struct session *session,
                   const struct berth_ev_gone *gone);

/* From here on the job (RUNNING) is one. Without memory it stays what it was. */
void suspect_make(struct berth_core *core, uint32_t job);
/* The name of the handler behind which suspects wait that need this one; borrows `space`. */
struct berth_slice suspect_handler(struct berth_slice name,
                                   char space[static BERTH_NAME_BYTES + 1]);
/* As it is known outside; borrowed. */
struct berth_slice suspect_plain_name(const struct handler *handler);

/* Something may have to be asked of workers: a suspect waits, a session has come or gone. */
static inline void suspect_look(struct berth_core *core)
{
    core->is_alone_looked_at = false;
}
/* A session of a process for suspects has joined, or ends. */
void suspect_on_joined(struct berth_core *core, struct session *session);
void suspect_on_closed(struct berth_core *core, struct session *session);
/* Asks workers for processes, where suspects wait for one. */
void suspect_on_turn(struct berth_core *core);
int64_t suspect_next_deadline_ms(const struct berth_core *core);

/* Asserts that suspects stand where they belong. */
void suspect_check(const struct berth_core *core);

/* What a suspect waits for whose handler (of processes for suspects) has nobody free. */
const char *suspect_reason(struct berth_core *core, const struct handler *handler);
