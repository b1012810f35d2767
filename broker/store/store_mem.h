/* SPDX-License-Identifier: MIT */
/* The memory backend's commands for tests and the simulator: nothing completes before it is told
 * to.
 *
 * A `disk` outlives the stores opened on it, as a file outlives processes. Closing or crashing a
 * store leaves the disk with exactly the batches that were completed, and on a crash, if the caller
 * says so, also the one under way.
 */
#pragma once

#include "store.h"

struct berth_mem_disk;

struct berth_mem_disk *berth_mem_disk_new(void); /* NULL: no memory */
void berth_mem_disk_free(struct berth_mem_disk *disk);

/* As berth_store_open("mem", ...) but on this disk. The older store of the same disk, if any, is
 * fenced. */
int berth_mem_open(struct berth_mem_disk *disk, const struct berth_store_opts *opts,
                   struct berth_store **ret_store, struct berth_store_info *ret_info,
                   struct berth_error *err);
/* Carries out the oldest thing under way (a batch or a read) with this result; reap then returns
 * it. false: nothing was under way. FULL, UNKNOWN: see store.h; `is_written` says what really
 * happened to the batch under UNKNOWN. */
bool berth_mem_complete(struct berth_store *store, enum berth_store_result result, bool is_written);
/* Like kill -9: the store is gone at once; the batch under way is on the disk if `is_written`.
 * Frees the store, not the batch. */
void berth_mem_crash(struct berth_store *store, bool is_written);
/* Whether a read would find this job, live or ended; the latest time that any record told. */
bool berth_mem_has(const struct berth_mem_disk *disk, uint64_t job);
int64_t berth_mem_now_us(const struct berth_mem_disk *disk);
size_t berth_mem_under_way(
    const struct berth_store *store); /* batches and reads submitted, not completed */
