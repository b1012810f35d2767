/* SPDX-License-Identifier: MIT */
/* The broker's decisions, pure: step(core, event) -> effects, and one open batch of records to
 * persist.
 *
 * No socket, file, clock, thread or random source inside: the loop (broker/broker.c) or the
 * simulator turns the world into events. The same events give the same effects.
 *
 * 1. Nothing is promised before it is stored: an answer, a welcome, a cancel, an acknowledgement
 * leaves with the STORED of the batch that holds its record.
 * 2. A slot belongs to one attempt id. Attempts that hold slots of a dispatcher are counted, and
 * the count never passes the limit through a grant; a join may pass a limit that was lowered
 * meanwhile.
 * 3. Nothing is granted while a session of an earlier epoch is unresolved, but what
 * recovery.h allows.
 * 4. After SUBMIT has taken a job in, no transition of it can fail for want of memory.
 *
 * How a loop uses it: take all that has arrived (step for each), then one TURN, then send the
 * effects of each step before the next one; then, if the store is idle, close the batch and submit
 * it; then wait for sockets, the store, or the deadline.
 */
#pragma once

#include <berth/error.h>

#include "effect.h"

struct berth_core;

#define BERTH_LEASE_MS        10000
#define BERTH_WORKER_LEASE_MS 8500
#define BERTH_RENEW_MS        2000
#define BERTH_KILL_MS                                                                              \
    1000 /* kappa: from the end of the worker's lease to the death of its last process */
#define BERTH_CLOCK_PPM 1000 /* rho: how wrong either clock may run */

struct berth_core_opts {
    uint64_t epoch, lineage;
    uint64_t next_job_id;
    uint32_t next_dispatcher_id, next_schedule_id;
    uint64_t seed;                                /* of the back-off's jitter */
    uint32_t lease_ms, worker_lease_ms, renew_ms; /* 0: the defaults above */
    uint64_t jobs_max;                            /* live jobs; 0: 10 million */
    uint64_t output_bytes_max; /* what running attempts show, in memory; 0: 64 MiB. Beyond it that
                                  of those that were silent longest goes */
    uint64_t body_bytes_max;   /* bodies kept in memory; 0: 1 GiB. Beyond it they are read back when
                                  needed */
};

/* NULL and a sentence in err if a value cannot be: among others K (1 + rho) / (1 - rho) + kappa <
 * L, K >= 4 R. */
struct berth_core *berth_core_new(const struct berth_core_opts *opts, struct berth_error *err);
void berth_core_free(struct berth_core *core);

/* What the store had, before the first step: dispatchers, sessions, schedules, jobs in order of id,
 * keys of ended jobs. 0 or -ENOMEM, BERTH_ESTORE. */
int berth_core_load_dispatcher(struct berth_core *core,
                               const struct berth_dispatcher_record *record);
int berth_core_load_session(struct berth_core *core, const struct berth_session_record *record);
int berth_core_load_schedule(struct berth_core *core, const struct berth_schedule_record *record,
                             const struct berth_schedule_done_record *done);
int berth_core_load_job(struct berth_core *core, const struct berth_job_record *record);
int berth_core_load_ended_key(struct berth_core *core, const struct berth_job_record *record);
/* The end of loading: makes `default` and `io` if they are not there, starts the leases of the
 * loaded sessions from now. 0, or BERTH_ESTORE: a dispatcher's parent is missing, or below it. */
int berth_core_start(struct berth_core *core, int64_t now_ms, int64_t wall_us);

/* The effects belong to the core and stay until the next step. Never fails: what cannot be done is
 * an effect (ERROR, a refusal). */
const struct berth_effects *berth_core_step(struct berth_core *core,
                                            const struct berth_event *event);
/* When the next TURN is due though nothing arrives, in `now_ms` time; INT64_MAX: never. */
int64_t berth_core_next_deadline_ms(const struct berth_core *core, int64_t now_ms, int64_t wall_us);

/* Closes the open batch and hands it over (it comes back with STORED); NULL when there is nothing
 * to write. At most one batch may be away at a time. */
struct berth_batch *berth_core_close_batch(struct berth_core *core);

/* Asserts every invariant, recounting slots from attempts. O(everything). */
void berth_core_check(const struct berth_core *core);
