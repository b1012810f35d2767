/* SPDX-License-Identifier: MIT */
/* What the memory backend keeps: deep copies of records, walked in order of id, never by pointer or
 * hash.
 *
 * 1. Each array is sorted by id without doubles. Ended jobs stay in `jobs` with their new state,
 * and go by the retention of their dispatcher; time is what the records say.
 * 2. A batch is applied whole or not at all: all memory that it needs is taken first.
 * 3. What was discarded, or belonged to a dispatcher that was removed, is not read any more, and
 * stays only for its key.
 */
#pragma once

#include "broker/store/store_answer.h"
#include "broker/store/store_mem.h"
#include "broker/store/store_mem_array.h"

struct mem_job {
    struct berth_job_record
        record; /* its slices lie behind this struct, but those of `last` in `last` or `why` */
    size_t bytes;
    void *last;
    void *why; /* the error of a job with which no attempt ended */
    size_t last_bytes, why_bytes;
    bool is_discarded; /* ended, and here for its key alone */
    bool is_needless;  /* and not even for that: while it is tidied up */
};

struct berth_mem_disk {
    uint64_t epoch, lineage;
    uint8_t cluster[16];
    uint64_t bytes;
    struct mem_array jobs;        /* struct mem_job * */
    struct mem_array dispatchers; /* struct berth_dispatcher_record */
    struct mem_array sessions;    /* struct berth_session_record */
    struct mem_array counts;      /* struct berth_ended_count */
    struct mem_array schedules;   /* struct mem_schedule *, store_mem_schedule.c */
    uint64_t next_job_id, next_dispatcher_id;
    uint32_t next_schedule_id;
    int64_t now_us;      /* the latest time that anybody told */
    int64_t age_done_us; /* when it was looked last for what is too old */
};

static inline struct mem_job *mem_job_at(const struct berth_mem_disk *disk, size_t index)
{
    return *(struct mem_job **)mem_array_at(&disk->jobs, index);
}

/* 0; BERTH_EFULL: beyond `bytes_max` (0: none) and the batch has arrivals; -ENOMEM. Nothing changed
 * then. */
int mem_disk_apply(struct berth_mem_disk *disk, struct berth_batch *batch, uint64_t bytes_max);

/* store_mem_schedule.c. prepare: the memory that the record needs; 0 or -ENOMEM. apply: takes it.
 */
void mem_schedules_init(struct berth_mem_disk *disk);
void mem_schedules_fini(struct berth_mem_disk *disk);
int mem_schedule_prepare(const struct berth_record *record, void **ret_block);
void mem_schedule_apply(struct berth_mem_disk *disk, const struct berth_record *record,
                        void **block);
int mem_schedules_visit(const struct berth_mem_disk *disk,
                        const struct berth_store_visitor *visitor);

/* Whether the key of an ended job may still be asked for, but for its window. */
bool mem_key_is_wanted(const struct berth_mem_disk *disk, const struct berth_job_record *job);

/* store_mem_read.c */
int mem_disk_visit(const struct berth_mem_disk *disk, int64_t wall_us,
                   const struct berth_store_visitor *visitor);
int mem_disk_read(const struct berth_mem_disk *disk, const struct berth_read *read,
                  struct store_answer *answer);

/* The next epoch; draws the cluster's id from `lineage` if it is the first. */
void mem_disk_open(struct berth_mem_disk *disk, uint64_t lineage,
                   struct berth_store_info *ret_info);
uint64_t mem_disk_epoch(const struct berth_mem_disk *disk);
uint64_t mem_disk_bytes(const struct berth_mem_disk *disk);
