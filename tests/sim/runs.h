/* SPDX-License-Identifier: MIT */
/* What runs in the child of a worker, and what its worker does for that: appointments, and events
 * into the agent. */
#pragma once

#include "sim.h"

/* Something that happens to one life of a child process, or to its keeper. */
struct appointment {
    struct worker *worker;
    unsigned life;
    uint64_t attempt;
};

/* worker_actor.c */
void appoint(struct worker *worker, int64_t at_us, sim_fn fn, unsigned life, uint64_t attempt);
/* What falls due in a host that stands still happens later. */
bool postpone(struct sim *sim, const struct appointment *appointment, sim_fn fn, void *arg);
void feed(struct worker *worker, struct agent_event *event);
void die_of(struct worker *worker, uint64_t culprit); /* the child, by a signal of this attempt */

/* runs.c */
void start_run(struct worker *worker, const struct agent_grant *grant, int64_t granted_us);
void cancel_run(struct worker *worker, uint64_t attempt, enum agent_cancel_reason reason);
struct run *find_run(struct worker *worker, uint64_t attempt);
void end_run(struct sim *sim, void *arg);
void finish_run(struct worker *worker, struct run *run);
void drop_runs(struct worker *worker); /* the child is dead, and all of them with it */
