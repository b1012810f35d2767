/* SPDX-License-Identifier: MIT */
/* Cancels by id, once it is known how those have ended that are not live. */
#pragma once

#include "broker/core/state.h"

/* One live job. Queued it ends at once, but not while somebody is missing who may run it. What is
 * said of it is to be said when it is stored: then *ret_waits is set. */
struct berth_job_state cancel_job(struct berth_core *core, uint32_t job, bool is_forced,
                                  bool *ret_waits);
/* The same without an answer, and without those below it. An arriving one ends when it is stored.
 */
void cancel_quietly(struct berth_core *core, uint32_t job, bool is_forced);

/* `ended`: for each id that is not live how it ended, or 0: there is no such job. Answers when what
 * the answer says is stored; that it was forced is not, and is to be said again to the next broker.
 */
void cancel_jobs(struct berth_core *core, const struct berth_ev_ids *ids,
                 const enum berth_state *ended);
