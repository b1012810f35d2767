/* SPDX-License-Identifier: MIT */
/* What the tests of the store share: making batches, awaiting completions, opening either backend
 * again and again on the same data.
 *
 * Every wait has a deadline; a kit that runs into one stops the test program.
 */
#pragma once

#include "broker/store/store.h"
#include "broker/store/store_mem.h"

#define KIT_RECORDS_MAX 4096
#define KIT_WAIT_MS     60000

/* A store on data that outlives it: a directory or a disk in memory. */
struct kit {
    const char *backend;
    char *dir;                   /* sqlite */
    struct berth_mem_disk *disk; /* mem */
    uint64_t bytes_max;
    int64_t wall_us; /* handed to open */
    struct berth_store *store;
    struct berth_store_info info;
    uint64_t seq;
    struct berth_arena memory; /* of texts that live as long as the kit */
};

void kit_init(struct kit *kit, const char *backend);
void kit_fini(struct kit *kit);

/* Opens the store; kit->store and kit->info. Must succeed. */
void kit_open(struct kit *kit);
void kit_close(struct kit *kit);
void kit_reopen(struct kit *kit);

/* A fresh batch of the store's epoch with memory of its own. */
struct berth_batch *kit_batch(struct kit *kit);
void kit_batch_free(struct berth_batch *batch);
/* Appends a deep copy: what `record` points at may go. */
void kit_add(struct berth_batch *batch, const struct berth_record *record);

/* Waits for the next completion. */
struct berth_completion kit_await(struct kit *kit);
/* Submits, waits, frees the batch. */
enum berth_store_result kit_write(struct kit *kit, struct berth_batch *batch,
                                  struct berth_error *ret_error);
/* The same, and it must be STORED. */
void kit_store(struct kit *kit, struct berth_batch *batch);
/* Asks and waits; what it points at is good until the next completion. */
struct berth_completion kit_read(struct kit *kit, const struct berth_read *read);

/* Records in short. Texts are borrowed. */
struct berth_slice kit_text(const char *text);
/* `bytes` that follow from `seed`, in the kit's memory. */
struct berth_slice kit_bytes(struct kit *kit, size_t bytes, uint64_t seed);
struct berth_record kit_job(uint64_t id, uint32_t dispatcher, struct berth_slice body);
struct berth_record kit_end(uint64_t id, uint32_t dispatcher, enum berth_state state,
                            int64_t finished_us);
struct berth_record kit_dispatcher(uint32_t id, const char *name);
struct berth_record kit_session(uint64_t id);
