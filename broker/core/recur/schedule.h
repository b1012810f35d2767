/* SPDX-License-Identifier: MIT */
/* Schedules: what becomes of each instant of a cron expression. Pure;
 * docs/adr/0011-recurring-jobs.md says the rules and why.
 *
 * 1. Instants are dealt with in order, and one at or before `done_us` never is again; but a clock
 * that is put back by more than SCHEDULE_BACK_US has been corrected, and what comes by its new time
 * counts.
 * 2. An instant is fired, or skipped (`overlap`), or it passes unseen (`catch_up`, a pause).
 * 3. The job of an instant and the `done_us` behind it are stored together or not at all: what a
 * turn fires and saves belongs into one batch.
 *
 * Who keeps schedules has them in structs of his own, with what they submit, and makes jobs of the
 * instants.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/heap.h"
#include "cron.h"

#define SCHEDULE_LATE_US      INT64_C(60000000)    /* later than this an instant was missed */
#define SCHEDULE_BACK_US      INT64_C(10800000000) /* 3 h, as Debian's cron has it */
#define SCHEDULE_CATCH_UP_MAX 1000                 /* missed instants that `all` deals with */
#define SCHEDULE_TURN_MAX     100                  /* instants of all schedules in one turn */
#define SCHEDULE_KEY_BYTES    16

enum schedule_overlap {
    SCHEDULE_OVERLAP_SKIP = 0, /* no job while the last one has not ended */
    SCHEDULE_OVERLAP_QUEUE,    /* a job for each instant */
};

enum schedule_catch_up {                            /* what was missed: */
                         SCHEDULE_CATCH_UP_ONE = 0, /* the first of it is dealt with */
                         SCHEDULE_CATCH_UP_NONE,    /* passes */
                         SCHEDULE_CATCH_UP_ALL, /* the first SCHEDULE_CATCH_UP_MAX; a restart counts
                                                   anew */
};

enum schedule_fate { SCHEDULE_NONE = 0, SCHEDULE_FIRED, SCHEDULE_SKIPPED, SCHEDULE_REFUSED };

/* The first block is the owner's to fill before schedules_put, the second is schedule.c's. */
struct schedule {
    uint32_t id; /* from 1, never used again */
    struct cron cron;
    struct zone zone;
    enum schedule_overlap overlap;
    enum schedule_catch_up catch_up;
    bool is_paused;
    int64_t done_us;   /* all instants until then have been dealt with */
    uint64_t last_job; /* that of the last instant that was fired; 0: none */

    struct berth_heap_node by_next; /* linked unless it is paused or over */
    int64_t next_us;                /* the first instant after done_us */
    uint32_t caught_up_count;       /* missed ones since the last one on time */
    int64_t last_us;                /* the last instant that did not pass unseen; 0: none */
    enum schedule_fate last_fate;
};

/* What the rest of the core does for them. */
struct schedule_ways {
    void *arg;
    bool (*job_is_live)(void *arg, uint64_t job);
    /* Submits the job of an instant under schedule_key(). The job's id, of a repeat the first
     * one's; 0: refused. */
    uint64_t (*fire)(void *arg, const struct schedule *schedule, int64_t at_us);
    /* It has dealt with an instant, or let some pass: what is to be stored of it has changed. */
    void (*save)(void *arg, const struct schedule *schedule);
};

struct schedules {
    struct berth_heap by_next;
    int64_t wall_us; /* of the last turn */
};

/* `nodes`: room for `capacity` schedules, borrowed. */
void schedules_init(struct schedules *schedules, struct berth_heap_node **nodes, size_t capacity);

/* Puts one in, for the first time, or again after it was changed. A schedule that is made, or whose
 * expression or zone is changed, has done_us from now; one that is loaded its own. */
void schedules_put(struct schedules *schedules, struct schedule *schedule);
void schedules_remove(struct schedules *schedules, struct schedule *schedule);

void schedules_pause(struct schedules *schedules, struct schedule *schedule);
/* What came during the pause passes. */
void schedules_resume(struct schedules *schedules, struct schedule *schedule, int64_t wall_us);

/* When the next turn is due, by the wall clock; CRON_NEVER: not at all. */
int64_t schedules_next_us(const struct schedules *schedules);

/* Deals with what is due at `wall_us`, the earliest first, with SCHEDULE_TURN_MAX instants at the
 * most: if more is left, schedules_next_us says so. */
void schedules_turn(struct schedules *schedules, int64_t wall_us, const struct schedule_ways *ways);

/* What makes the job of an instant unique: the schedule's id and the second, 8 bytes each, the
 * higher ones first. */
void schedule_key(const struct schedule *schedule, int64_t at_us,
                  uint8_t ret_key[static SCHEDULE_KEY_BYTES]);
