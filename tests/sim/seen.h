/* SPDX-License-Identifier: MIT */
/* What the broker's core is seen to do from turn to turn: which jobs are ready, since when, and
 * which of them are given to workers, one after the other. The rules about order are checked
 * against it: order.c, shares.c. It reads where jobs stand, and never in which order they
 * stand there: that is what is to be checked.
 */
#pragma once

#include "broker/core/state.h"
#include "sim.h"

/* How a job came to be ready: behind all others, or at the place that it had. */
enum seen_place { SEEN_AT_TAIL, SEEN_BACK };

struct seen_job {
    uint64_t id;
    uint8_t state;
    enum seen_place place;
    uint32_t lane;
    uint64_t turn; /* in which it came to be ready */
    /* Since when it waits: not before the first, not after the second. */
    int64_t early_ms, late_ms;
    uint64_t granted;    /* in this turn, as the so manieth of this broker; 0: it was not */
    bool was_ready;      /* before this turn */
    bool was_open;       /* and its group had a place */
    uint64_t open_since; /* group_turns(): so many were granted then; UINT64_MAX: it is not open */
};

struct seen_grant {
    uint32_t job;    /* index */
    uint64_t number; /* counted from the start of this broker */
    const struct attempt *attempt;
};

struct seen {
    unsigned life; /* of the broker */
    uint64_t turn;
    uint64_t granted, was_granted; /* by this broker; before this turn */
    struct seen_job *jobs;         /* by index; the first is none */
    size_t job_room;
    struct seen_grant grants[1024]; /* of this turn, in order */
    size_t grant_count;
    bool is_sure;             /* nobody is missing, neither before this turn nor after it */
    struct order_turn *turns; /* order.c */
    size_t turn_count;
    struct shares *shares; /* shares.c */
};

/* Whether it was ready before this turn and until the grant of this number. */
bool seen_waits(const struct sim *sim, uint32_t job, uint64_t number);

/* order.c: another broker; before the turn; each grant, in order; after the turn. */
void order_reset(struct seen *seen);
void order_before(struct sim *sim);
void order_granted(struct sim *sim, const struct seen_grant *grant);
void order_after(struct sim *sim);
/* shares.c: the same; what is granted it sees by itself. */
void shares_reset(struct seen *seen);
void shares_before(struct sim *sim);
void shares_after(struct sim *sim);
