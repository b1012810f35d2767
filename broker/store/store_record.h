/* SPDX-License-Identifier: MIT */
/* What a record must look like, in one place: asserted before it is written (a mistake of ours),
 * checked after it was read (what a disk gives back is never trusted).
 */
#pragma once

#include "broker/core/record.h"

/* Largest job id: JSON carries ids as numbers, and beyond 2^53 those are no longer whole
 * (contract). */
#define STORE_JOB_ID_MAX ((UINT64_C(1) << 53) - 1)

/* What settings of a dispatcher may be at most. */
#define STORE_WEIGHT_MAX          1000
#define STORE_BURST_MAX           1000000
#define STORE_RETENTION_COUNT_MAX 1000000000

/* NULL, or static text that says what is wrong, for example "its handler is empty". */
const char *store_record_fault(const struct berth_record *record);

/* The same of a job, live or ended, as it comes out of a store. */
const char *store_job_fault(const struct berth_job_record *job);
const char *store_dispatcher_fault(const struct berth_dispatcher_record *dispatcher);
const char *store_session_fault(const struct berth_session_record *session);
const char *store_schedule_fault(const struct berth_schedule_record *schedule);
const char *store_schedule_done_fault(const struct berth_schedule_done_record *done);
const char *store_key_fault(const struct berth_key *key);

bool store_state_is_live(
    enum berth_state state); /* one that the store knows: SCHEDULED READY RETRYING */
bool store_state_is_ended(enum berth_state state); /* COMPLETED DEAD CANCELLED */

/* Where an arrival stands. */
/* Whether the key of an ended job is recognised until its window is over: not that of a child that
 * failed, for its parent makes another one. */
bool store_key_outlives(const struct berth_job_record *job);
enum berth_state store_arrival_state(const struct berth_job_record *job);

/* Whether a batch brings jobs: only such a batch is refused for want of room while the reserve
 * lasts. */
bool store_batch_has_arrivals(const struct berth_batch *batch);
