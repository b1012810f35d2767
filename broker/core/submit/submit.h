/* SPDX-License-Identifier: MIT */
/* Jobs that come in, and the keys by which a repeat of them is known (keys.h). */
#pragma once

#include "broker/core/state.h"

/* How those jobs have ended that the store was asked about, by id, each once; 0: there is no such
 * job. */
struct submit_known {
    const uint64_t *ids;
    const enum berth_state *ended;
    size_t count;
};

void submit_on_event(struct berth_core *core, const struct berth_ev_submit *event);
/* The job of an instant; `item` has the key of that. A sentence, if there is one, lies in the
 * memory of `answer`. */
struct berth_submitted_item submit_of_schedule(struct berth_core *core,
                                               struct dispatcher *dispatcher,
                                               struct berth_slice handler,
                                               const struct berth_submit_item *item,
                                               struct pending *answer);
/* The same, once all is known of the jobs that its jobs are to wait for. */
void submit_take(struct berth_core *core, const struct berth_ev_submit *event,
                 const struct submit_known *known);
/* Children of a running attempt: all are taken, or none. */
void submit_children(struct berth_core *core, struct attempt *attempt,
                     const struct berth_child_submit *children);
void submit_on_stored(struct berth_core *core, const struct berth_job_record *record);
/* Its batch was not written: the job and its key are forgotten. */
void submit_on_refused(struct berth_core *core, const struct berth_job_record *record);

/* 0, -ENOMEM, or BERTH_ESTORE: what cannot be. */
int submit_load(struct berth_core *core, const struct berth_job_record *record);
int submit_load_key(struct berth_core *core, const struct berth_job_record *record);

/* An ended job comes to life as the record says: ARRIVING, until that is stored. 0, -ENOMEM, or
 * what keeps it from living. */
int submit_revive(struct berth_core *core, const struct berth_job_record *record);
void submit_on_revived(struct berth_core *core, const struct berth_revive_record *revive);
