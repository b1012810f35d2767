/* SPDX-License-Identifier: MIT
 *
 * The fence: a page of memory that a keeper shares with its runtime child. The child writes what
 * the keeper must know to end it in time and to say afterwards what died with it.
 *
 * The keeper makes one page for each child and passes it by descriptor. Nothing in it is trusted:
 * the child runs user code, which may scribble over it.
 *
 * Invariants
 * 1. One page, one child. A page is never handed to a second one, so nothing that survived a child
 *    can write into what belongs to the next.
 * 2. The session record and the lease end have one writer, the child's link thread. The table of
 *    attempts may be written from any thread of the child. Nothing takes a lock, so whatever moment
 *    the child is killed at leaves a page that reads well.
 * 3. All times are milliseconds of CLOCK_BOOTTIME.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <berth/error.h>

#include "base/cleanup.h"
#include "proto/limits.h"

#define FENCE_ATTEMPTS_MAX BERTH_ATTEMPTS_MAX /* at once: more than the largest capacity */
#define FENCE_LEASE_MS_MAX BERTH_LEASE_MS_MAX /* the longest lease that a keeper believes in */

struct fence;

/* Who the child is: written by the keeper before the child starts, never changed. */
struct fence_birth {
    uint8_t nonce[16];   /* this start of the keeper */
    uint32_t child;      /* counts the keeper's children from 1 */
    uint32_t epoch_seen; /* the highest that any earlier child saw, and its lineage; 0: none */
    uint64_t lineage_seen;
    bool is_alone;    /* it runs one attempt, which is suspected of killing what runs it */
    int32_t name_pid; /* the worker's, for its name; 0: that of the parent */
};

/* What the child has said, as a consistent whole. */
struct fence_state {
    uint64_t session; /* 0: none yet, and then nothing of the next three */
    uint32_t epoch;
    uint64_t lineage;
    int64_t worker_lease_ms; /* K */
    int64_t lease_end_ms;    /* 0: none yet */
    uint32_t epoch_seen;     /* at least that of the birth */
    uint64_t lineage_seen;
};

struct fence_attempt {
    uint64_t attempt, job;
    uint32_t number; /* of the attempt, as granted */
};

/* ---- the keeper's side ---- */

/* Makes a page and maps it. */
int fence_new(const struct fence_birth *birth, struct fence **ret_fence, struct berth_error *err);

/* Unmaps it and closes its descriptors. */
void fence_free(struct fence *fence);
BERTH_AUTO_DEFINE(fence);

/* The descriptor that the child gets. Borrowed; closed by an exec unless fence_inherit() was
 * called. */
int fence_fd(const struct fence *fence);

/* Lets the page's descriptors live through the next exec. Async-signal-safe: for between fork and
 * exec. */
int fence_inherit(const struct fence *fence);

/* Readable when the child has a session (again), or has asked for processes, since the last
 * fence_event_clear(). Borrowed. */
int fence_event_fd(const struct fence *fence);
void fence_event_clear(struct fence *fence);

/* While the child lives or after. Any value may be nonsense if the child's memory is damaged. */
void fence_read(const struct fence *fence, struct fence_state *ret_state);

/* The attempts that ran when the child died; while it lives, a moving picture. Writes at most
 * `count_max` and returns how many. */
size_t fence_attempts(const struct fence *fence, struct fence_attempt *ret_attempts,
                      size_t count_max);

/* How many processes for suspects the child has asked for, in all. */
uint32_t fence_alone_wanted(const struct fence *fence);

/* The attempt that the child died of, as it said; 0: nobody was named. */
uint64_t fence_culprit(const struct fence *fence);

/* ---- the child's side ---- */

/* Maps the page that was inherited as `fd` and makes its descriptors close on exec. Takes them. */
int fence_open(int fd, struct fence **ret_fence, struct berth_error *err);

/* Borrowed for the fence's life. */
const struct fence_birth *fence_birth(const struct fence *fence);

/* The child is (again) in `session`, in this epoch, under a lease of `worker_lease_ms` (K, 1 ..
 * FENCE_LEASE_MS_MAX) counted by itself. Notes the epoch as seen. To be called before the first
 * lease end is set. */
void fence_set_session(struct fence *fence, uint64_t session, uint32_t epoch, uint64_t lineage,
                       int64_t worker_lease_ms);

/* An epoch was seen. One lower than the highest changes nothing. */
void fence_set_epoch_seen(struct fence *fence, uint32_t epoch, uint64_t lineage);

/* The keeper kills at `end_ms`. Never moves back: a lower one changes nothing. */
void fence_set_lease_end(struct fence *fence, int64_t end_ms);

/* Notes that an attempt (not 0) runs: to be called before it starts. Returns its place in the
 * table, for fence_attempt_remove(), or -ENOSPC. Any thread. */
int fence_attempt_add(struct fence *fence, uint64_t attempt, uint64_t job, uint32_t number);

/* It and all that it started is over. `place` is what _add returned, and is not used again. Any
 * thread. */
void fence_attempt_remove(struct fence *fence, int place);

/* Asks the keeper for so many processes for suspects more. Any thread. */
void fence_start_alone(struct fence *fence, uint32_t count);

/* Names the attempt that this process is dying of: the first one counts. Async-signal-safe. */
void fence_set_culprit(struct fence *fence, uint64_t attempt);
