/* SPDX-License-Identifier: MIT */
/* The clocks of a job that the broker watches: how long it may stand READY (queue_timeout), and
 * until when it must be done (deadline). The third one, of a single attempt, is its worker's.
 *
 * 1. Both go by the wall clock, as what they count from is stored.
 * 2. READY counts from when the job's time had come (its arrival, or the time that it waited for);
 * of an attempt that was lost, or when what it waited for had completed, from that moment; of what
 * was loaded and may have run meanwhile, from the load.
 * 3. Nothing ends by a clock while a session of an earlier epoch is unresolved, for it may run
 * there; but for what is about to start all the same.
 * 4. A queued job whose clock is over ends dead in the turn that finds it, before anything is
 * granted. A running one is told to stop, and ends dead whatever it reports, unless it completed.
 */
#pragma once

#include "rare.h"

#define JOB_CLOCK_NEVER INT64_MAX

/* When the next one of its clocks that run in its state is over; JOB_CLOCK_NEVER: none runs. */
int64_t job_clock_of(const struct berth_core *core, const struct job *job, const struct rare *rare);
/* Its state has changed. `since_us`: if it is READY now, since when; 0: for as long as before. */
void job_clock_on_move(struct berth_core *core, uint32_t job, int64_t since_us);
/* It is READY: not since its last move but since then. */
void job_clock_set_ready(struct berth_core *core, uint32_t job, int64_t since_us);
/* All is loaded, and the time is known. */
void job_clock_start(struct berth_core *core);
/* The queue timeout of this dispatcher is another one now. */
void job_clock_on_setting(struct berth_core *core, const struct dispatcher *dispatcher);
/* Somebody is lost who may have run what was loaded, and did not say: what is READY of it counts
 * from the next turn. */
void job_clock_on_unknown_loss(struct berth_core *core);

/* A READY job is about to start, and cannot run anywhere: whether its clock is over, and it ends.
 * While sessions are missing nothing else looks at it. */
bool job_clock_end_before_start(struct berth_core *core, uint32_t job);

/* Ends what is over. */
void job_clock_on_turn(struct berth_core *core);
int64_t job_clock_next_deadline_ms(const struct berth_core *core, int64_t now_ms, int64_t wall_us);

/* The deadline of the job has passed. */
bool job_clock_is_late(const struct berth_core *core, const struct job *job);
/* What is left of it, for whoever runs the job: at least 1; 0: it has none. */
int64_t job_clock_left_ms(const struct berth_core *core, const struct job *job);
