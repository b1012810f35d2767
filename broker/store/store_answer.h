/* SPDX-License-Identifier: MIT */
/* The answer to a read, built row by row with memory of its own, so that it outlives the rows it
 * came from.
 *
 * 1. job_count <= job_max; every slice of a job lies in `arena`.
 * 2. At most BERTH_STORE_READ_BYTES_MAX of bodies and results, but always those of the first job.
 */
#pragma once

#include "broker/store/store.h"

struct store_answer {
    struct berth_arena arena;
    struct berth_job_record *jobs;
    size_t job_count, job_max;
    uint64_t copied_bytes;
    struct berth_ended_count *counts;
    size_t count_count;
    bool has_more, is_full;
    uint64_t next;
};

/* Allocates nothing. */
void store_answer_init(struct store_answer *answer);
void store_answer_fini(struct store_answer *answer);

/* Room for `job_max` jobs. 0 or -ENOMEM. */
int store_answer_reserve(struct store_answer *answer, size_t job_max);

/* Copies `job` with all it points at; slices with NULL data keep their length. Body and result are
 * left out, and has_more set, if they are too many bytes. 0 or -ENOMEM. */
int store_answer_add(struct store_answer *answer, const struct berth_job_record *job);
/* No more bodies and results: from here on they need not even be read. */
bool store_answer_is_full(const struct store_answer *answer);

/* Room for `count` counts, to be filled in by the caller. 0 or -ENOMEM. */
int store_answer_reserve_counts(struct store_answer *answer, size_t count);

/* Lends the answer's contents to a completion. */
void store_answer_lend(const struct store_answer *answer, struct berth_completion *completion);
