/* SPDX-License-Identifier: MIT */
/* What few jobs have: clocks, a backoff of their own, a unique key, jobs that they wait for or that
 * wait for them. It lies in a record beside the job's, found by the job's id, so that all other
 * jobs stay as small as they are.
 *
 * 1. A job has such a record exactly when JOB_HAS_RARE is set. It is made when the job is taken in
 * (or when its dispatcher gets a queue timeout, or another job comes that waits for it), with all
 * the memory that it will ever need, and freed with the job.
 * 2. Its clock is in core->clocks exactly while one of its clocks runs: job_clock.h.
 */
#pragma once

#include "broker/core/state.h"

/* What binds a job to others; a block of its own, for fewer still. */
struct ties {
    uint32_t job;
    bool is_stored; /* its arrival: also when it is SETTLING already */
    /* A unique key: in core->uniques. The bytes: the dispatcher's id and the key. */
    struct berth_map_node by_unique;
    struct berth_slice unique;
    /* after.h */
    struct berth_list awaited; /* links to those it waits for */
    struct berth_list waiting; /* links to those that wait for it */
    uint64_t awaited_count;
    int64_t run_at_us; /* not before, also when it waits for nobody any more */
    struct berth_list_node felled_node;
};

struct rare {
    int64_t deadline_us;                /* 0: none */
    int64_t queue_timeout_ms;           /* its own; 0: the dispatcher's */
    int64_t backoff_ms, backoff_ms_max; /* 0: the dispatcher's */
    int64_t ready_us;                   /* READY: since when, by the wall clock */
    int64_t clock_us;                   /* in the heap: when the next of its clocks is over */
    struct berth_heap_node clock_node;
    struct ties *ties; /* NULL: none */
    uint32_t job;
};

uint64_t rare_index_hash(const void *core, uint32_t rare);

/* NULL: it has none. */
struct rare *rare_of(const struct berth_core *core, const struct job *job);
struct ties *rare_ties(const struct berth_core *core, const struct job *job);
/* Makes them if they are not there; NULL: no memory. */
struct rare *rare_get(struct berth_core *core, uint32_t job);
struct ties *rare_get_ties(struct berth_core *core, uint32_t job);

/* What an arriving or loaded job brings, except for the jobs that it waits for. 0 or -ENOMEM: then
 * some of it may be there, and goes with the job. BERTH_ECONFLICT: another live job has its unique
 * key. */
int rare_take(struct berth_core *core, uint32_t job, const struct berth_job_record *record);
/* The job is being freed. */
void rare_free(struct berth_core *core, uint32_t job);
void rare_free_all(struct berth_core *core);
/* Every job of this dispatcher gets one, for it is to have a queue timeout. 0 or -ENOMEM. */
int rare_reserve(struct berth_core *core, const struct dispatcher *dispatcher);

/* Asserts records, jobs and clocks against each other. */
void rare_check(const struct berth_core *core);
