/* SPDX-License-Identifier: MIT */
/* The record of a live job, its states, and the table of all of them.
 *
 *            stored              due             grant            report
 *   ARRIVING ───────► SCHEDULED ───────► READY ──────────► RUNNING ─────────► SETTLING ───► (gone)
 *      │                                 ▲ ▲ ▲                │                │  │
 *      └─────────────────────────────────┘ │ └────────────────┘ never began    │  │
 *           no time to wait for            ├───────────────────────────────────┘  │ a retry
 *                                          └──────────── RETRYING ◄───────────────┘
 *                                               due
 *
 * ARRIVING SCHEDULED READY RETRYING ──► SETTLING: ended unstarted. ARRIVING ──► (gone): its batch
 * was refused. SCHEDULED ──► SCHEDULED: what it waited for has completed, and its time counts.
 *
 * 1. A job is in exactly one container: READY in its lane, SCHEDULED and RETRYING in the heap of
 * due times, RUNNING at its attempt, ARRIVING and SETTLING in a batch; or SETTLING at its scope,
 * until its children have ended.
 * 2. job_move() is the only function that writes `state`; the counts of the dispatcher follow it.
 * 3. 48 bytes: options and body lie in a block of their own, which may be absent (then it is read
 * back when needed).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <berth/types.h>

#include "slab.h"

struct berth_core;
struct lane;

enum job_state {
    JOB_ARRIVING = 1, /* its batch is not stored: nobody has heard of it */
    JOB_SCHEDULED,
    JOB_READY,
    JOB_RUNNING,
    JOB_RETRYING,
    JOB_SETTLING, /* its end or retry is being stored; it cannot be granted */
    JOB_STATE_COUNT
};

enum job_flag {
    JOB_CANCEL_ASKED = 1,   /* it will end cancelled whatever its attempt reports */
    JOB_CANCEL_STORED = 2,  /* and the worker may be told */
    JOB_WATCHED = 4,        /* somebody waits for its end */
    JOB_IS_SUSPECT = 64,    /* it runs alone: suspect.h */
    JOB_START_STORED = 128, /* its row has a start: hold.h */
    JOB_IN_SCOPE = 32,      /* it has a parent, children, or keys of such: scope.h */
    JOB_ENDING = 8,         /* SETTLING, and what is being stored is its end: `end_state` */
    JOB_HAS_RARE = 16,      /* what few jobs have: rare.h */
};

struct body {
    int64_t timeout_ms; /* 0: the dispatcher's */
    uint32_t bytes;
    uint8_t data[];
};

struct job {
    uint64_t id;
    struct body *body; /* NULL: only in the store */
    union {
        int64_t due_us; /* SCHEDULED, RETRYING */
        struct {
            uint32_t next, prev;
        };                          /* READY: neighbours in the lane's level */
        struct attempt *attempt;    /* RUNNING */
        enum berth_state end_state; /* SETTLING with JOB_ENDING */
    };
    union {
        uint32_t due_place; /* SCHEDULED, RETRYING: place in the heap of due times, from 1 */
        int32_t ready_s;    /* READY: since when, in seconds of `now_ms`; before 0, if it must be */
        uint32_t loaded_s;  /* the same until the start, in seconds since 1970; 0: not known */
    };
    uint32_t lane;
    uint32_t attempt_number; /* attempts begun */
    uint32_t failures;       /* attempts that count against max_attempts */
    uint32_t max_attempts;   /* 0: the dispatcher's */
    int8_t priority;
    uint8_t state;
    uint8_t flags;
    uint8_t deaths;
};

_Static_assert(sizeof(struct job) == 48, "a million waiting jobs take 48 MB and not more");

enum job_place { JOB_AT_TAIL, JOB_AT_OLD_PLACE };

static inline struct job *job_at(const struct slab *jobs, uint32_t index)
{
    return slab_at(jobs, index);
}

/* 0: no live job has this id. */
uint32_t job_find(const struct berth_core *core, uint64_t id);
/* The same for whoever asks: one whose arrival is not stored is nobody's yet. */
uint32_t job_find_known(const struct berth_core *core, uint64_t id);

/* It waits for its time or for room. */
static inline bool job_is_queued(const struct job *job)
{
    return job->state == JOB_SCHEDULED || job->state == JOB_READY || job->state == JOB_RETRYING;
}

/* A new ARRIVING job in `lane` with all the memory its life needs, or 0: full, or no memory. */
uint32_t job_new(struct berth_core *core, uint64_t id, struct lane *lane, int32_t priority);
/* ARRIVING or SETTLING: forgets it and frees its body. */
void job_free(struct berth_core *core, uint32_t index);

/* Asserts that the diagram has this arrow. For SCHEDULED and RETRYING set `due_us` by job_move_due.
 */
void job_move(struct berth_core *core, uint32_t index, enum job_state to, enum job_place place);
void job_move_due(struct berth_core *core, uint32_t index, enum job_state to, int64_t due_us);

/* All are loaded: since when they are ready is known now. */
void job_start_all(struct berth_core *core);

/* Gives the job its body. One that does not fit into the budget is left in the store, unless
 * `is_needed` now. -ENOMEM: it has none. */
int job_keep_body(struct berth_core *core, struct job *job, struct berth_slice bytes,
                  int64_t timeout_ms, bool is_needed);
uint64_t job_index_hash(const void *core, uint32_t job);
uint64_t job_id_hash(uint64_t id);
/* Its arrival is not stored: nobody has heard of it. */
bool job_is_arriving(const struct berth_core *core, const struct job *job);

/* Asserts the slab, index, heap and lanes against each other. */
void job_check(const struct berth_core *core);
