/* SPDX-License-Identifier: MIT */
/* What a store must hold after a sequence of batches, kept the plainest way: arrays, looked through
 * from the front.
 *
 * Shares no line with the backends. Texts that records point at must outlive the model
 * (kit->memory).
 */
#pragma once

#include "store_kit.h"

#define MODEL_JOBS_MAX        1024
#define MODEL_DISPATCHERS_MAX 64
#define MODEL_SESSIONS_MAX    256

struct model {
    struct berth_job_record jobs[MODEL_JOBS_MAX]; /* in order of id */
    bool is_discarded[MODEL_JOBS_MAX];            /* and here for its key alone */
    size_t job_count;
    struct berth_dispatcher_record dispatchers[MODEL_DISPATCHERS_MAX]; /* in order of id */
    size_t dispatcher_count;
    uint32_t dispatcher_id_max;                               /* that there ever was */
    struct berth_session_record sessions[MODEL_SESSIONS_MAX]; /* in order of id */
    size_t session_count;
};

void model_copy(struct model *to, const struct model *from);
void model_apply(struct model *model, const struct berth_record *record);
/* What a dispatcher's retention leaves of its ended jobs: the newest so many. */
void model_keep(struct model *model, uint32_t dispatcher, uint64_t count);

struct berth_job_record *model_find(struct model *model, uint64_t id);
bool model_is_live(const struct berth_job_record *job);

/* Each asserts, with cmocka, that the store says the same as the model. The load takes place on a
 * store that was just opened. `body_bytes_budget` as in the visitor. */
void model_check_load(const struct model *model, struct kit *kit, uint64_t body_bytes_budget);
void model_check_read(const struct model *model, struct kit *kit, const struct berth_read *read);

/* A number for all that a load visits: two stores that hold the same have the same. The store must
 * have been opened just before. */
uint64_t model_digest(const struct model *model, int64_t wall_us);
uint64_t model_digest_of_store(struct kit *kit);
