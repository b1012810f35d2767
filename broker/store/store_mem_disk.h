/* SPDX-License-Identifier: MIT */
/* What the memory backend keeps: deep copies of records, walked in order of id, never by pointer or
 * hash.
 *
 * 1. Each array is sorted by id without doubles. Ended jobs stay in `jobs` with their new state;
 * nothing is trimmed.
 * 2. A batch is applied whole or not at all: all memory that it needs is taken first.
 */
#pragma once

#include "broker/store/store_answer.h"
#include "broker/store/store_mem.h"

/* 0; BERTH_EFULL: beyond `bytes_max` (0: none) and the batch has arrivals; -ENOMEM. Nothing changed
 * then. */
int mem_disk_apply(struct berth_mem_disk *disk, const struct berth_batch *batch,
                   uint64_t bytes_max);

int mem_disk_visit(const struct berth_mem_disk *disk, int64_t wall_us,
                   const struct berth_store_visitor *visitor);
int mem_disk_read(const struct berth_mem_disk *disk, const struct berth_read *read,
                  struct store_answer *answer);

/* The next epoch; draws the cluster's id from `lineage` if it is the first. */
void mem_disk_open(struct berth_mem_disk *disk, uint64_t lineage,
                   struct berth_store_info *ret_info);
uint64_t mem_disk_epoch(const struct berth_mem_disk *disk);
uint64_t mem_disk_bytes(const struct berth_mem_disk *disk);
