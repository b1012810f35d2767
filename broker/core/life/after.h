/* SPDX-License-Identifier: MIT */
/* Jobs that wait until others have completed.
 *
 * 1. Who waits is SCHEDULED without a time (due_us is AFTER_NEVER), and its links name those it
 * waits for, all of them live.
 * 2. When one of these ends dead or cancelled, all that wait for it end cancelled in the same
 * batch, and so on. So what is missing when a job is loaded that names it has completed.
 * 3. When one has completed, and that is stored, those that wait for it count down.
 */
#pragma once

#include "rare.h"

#define AFTER_NEVER INT64_MAX

/* The ids as a record has them: 8 bytes each, little-endian. */
size_t after_count(struct berth_slice packed);
uint64_t after_id(struct berth_slice packed, size_t place);

/* The job (ARRIVING) waits for those of these that are live. 0 or -ENOMEM. */
int after_take(struct berth_core *core, uint32_t job, struct berth_slice packed);
/* For how many it still waits. */
uint64_t after_waits(const struct berth_core *core, const struct job *job);
/* One of them: the first that was named. It waits for somebody. */
uint64_t after_first(const struct berth_core *core, const struct job *job);

/* It ends cancelled: the job that it waited for has ended so. */
void after_end(struct berth_core *core, uint32_t job, uint64_t awaited, enum berth_state ended);
/* The end of this job, dead or cancelled, is in the open batch: so those end that wait for it. */
void after_on_failed(struct berth_core *core, uint32_t job);
/* This job has completed, and that is stored. */
void after_on_completed(struct berth_core *core, uint32_t job);

/* It is being freed. */
void after_drop(struct ties *ties);
void after_check(const struct berth_core *core, const struct ties *ties);
