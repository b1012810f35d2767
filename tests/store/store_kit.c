/* SPDX-License-Identifier: MIT */
#include "store_kit.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "support/tempdir.h"

void kit_init(struct kit *kit, const char *backend)
{
    /* Syncs cost nothing there, and what they are for is tested with the faulty VFS. */
    if (access("/dev/shm", W_OK) == 0)
        (void)setenv("TMPDIR", "/dev/shm", 0);
    *kit = (struct kit){ .backend = backend, .wall_us = berth_clock_wall_us() };
    berth_arena_init(&kit->memory, SIZE_MAX);
    if (strcmp(backend, "mem") == 0) {
        kit->disk = berth_mem_disk_new();
        BERTH_ASSERT(kit->disk);
    } else {
        kit->dir = tempdir_new();
    }
}

void kit_fini(struct kit *kit)
{
    kit_close(kit);
    berth_mem_disk_free(kit->disk);
    tempdir_free(kit->dir);
    berth_arena_fini(&kit->memory);
}

void kit_open(struct kit *kit)
{
    BERTH_ASSERT(!kit->store);
    struct berth_store_opts opts = {
        .dir = kit->dir,
        .lineage = 42 + kit->info.epoch,
        .wall_us = kit->wall_us,
        .bytes_max = kit->bytes_max,
    };
    struct berth_error error = { .code = 0 };
    int rc = kit->disk ? berth_mem_open(kit->disk, &opts, &kit->store, &kit->info, &error)
                       : berth_store_open(kit->backend, &opts, &kit->store, &kit->info, &error);
    if (rc < 0)
        fprintf(stderr, "open: %s\n", error.message);
    BERTH_ASSERT(rc == 0);
    kit->seq = 0;
}

void kit_close(struct kit *kit)
{
    berth_store_close(kit->store);
    kit->store = NULL;
}

void kit_reopen(struct kit *kit)
{
    kit_close(kit);
    kit_open(kit);
}

struct berth_batch *kit_batch(struct kit *kit)
{
    struct berth_batch *batch = calloc(1, sizeof *batch);
    struct berth_arena *arena = calloc(1, sizeof *arena);
    struct berth_record *records = calloc(KIT_RECORDS_MAX, sizeof *records);
    BERTH_ASSERT(batch);
    BERTH_ASSERT(arena);
    BERTH_ASSERT(records);
    berth_arena_init(arena, SIZE_MAX);
    *batch = (struct berth_batch){ .seq = ++kit->seq,
                                   .epoch = kit->info.epoch,
                                   .records = records,
                                   .count_max = KIT_RECORDS_MAX,
                                   .arena = arena };
    return batch;
}

void kit_batch_free(struct berth_batch *batch)
{
    berth_arena_fini(batch->arena);
    free(batch->arena);
    free(batch->records);
    free(batch);
}

static void own(struct berth_batch *batch, struct berth_slice *slice)
{
    if (slice->bytes == 0)
        return;
    slice->data = berth_arena_memdup(batch->arena, slice->data, slice->bytes);
    BERTH_ASSERT(slice->data);
}

static void own_last(struct berth_batch *batch, struct berth_attempt_record *last)
{
    own(batch, &last->worker);
    own(batch, &last->result);
    own(batch, &last->error_kind);
    own(batch, &last->error_message);
}

void kit_add(struct berth_batch *batch, const struct berth_record *record)
{
    BERTH_ASSERT(batch->count < batch->count_max);
    struct berth_record *copy = &batch->records[batch->count++];
    *copy = *record;
    if (copy->type == BERTH_RECORD_JOB) {
        own(batch, &copy->job.handler);
        own(batch, &copy->job.key.bytes);
        own(batch, &copy->job.body);
        own(batch, &copy->job.group);
        own(batch, &copy->job.unique);
        own(batch, &copy->job.after);
    } else if (copy->type == BERTH_RECORD_RETRY) {
        own_last(batch, &copy->retry.last);
    } else if (copy->type == BERTH_RECORD_END) {
        own_last(batch, &copy->end.last);
    } else if (copy->type == BERTH_RECORD_SCHEDULE) {
        own(batch, &copy->schedule.cron);
        own(batch, &copy->schedule.zone);
        own(batch, &copy->schedule.tzif);
        own(batch, &copy->schedule.handler);
        own(batch, &copy->schedule.body);
        own(batch, &copy->schedule.group);
        own(batch, &copy->schedule.unique);
    } else if (copy->type == BERTH_RECORD_SCHEDULE_DONE) {
        own(batch, &copy->schedule_done.last_text);
    }
}

struct berth_completion kit_await(struct kit *kit)
{
    struct berth_completion completion;
    if (kit->disk)
        (void)berth_mem_complete(kit->store, BERTH_STORED, true);
    int64_t end_ms = berth_clock_monotonic_ms() + KIT_WAIT_MS;
    while (berth_store_reap(kit->store, &completion) == 0) {
        BERTH_ASSERT(berth_clock_monotonic_ms() < end_ms);
        struct pollfd ready = { .fd = berth_store_fd(kit->store), .events = POLLIN };
        (void)poll(&ready, 1, KIT_WAIT_MS);
    }
    return completion;
}

enum berth_store_result kit_write(struct kit *kit, struct berth_batch *batch,
                                  struct berth_error *ret_error)
{
    int rc = berth_store_submit(kit->store, batch);
    BERTH_ASSERT(rc == 0);
    struct berth_completion completion = kit_await(kit);
    BERTH_ASSERT(completion.batch == batch);
    if (ret_error)
        *ret_error = completion.error;
    if (completion.result == BERTH_STORED)
        BERTH_ASSERT(completion.error.code == 0);
    kit_batch_free(batch);
    return completion.result;
}

void kit_store(struct kit *kit, struct berth_batch *batch)
{
    struct berth_error error = { .code = 0 };
    enum berth_store_result result = kit_write(kit, batch, &error);
    if (result != BERTH_STORED)
        fprintf(stderr, "batch not stored: %d, %s\n", (int)result, error.message);
    BERTH_ASSERT(result == BERTH_STORED);
}

struct berth_completion kit_read(struct kit *kit, const struct berth_read *read)
{
    int rc = berth_store_read(kit->store, read);
    BERTH_ASSERT(rc == 0);
    struct berth_completion completion = kit_await(kit);
    BERTH_ASSERT(!completion.batch);
    BERTH_ASSERT(completion.number == read->number);
    return completion;
}

struct berth_slice kit_text(const char *text)
{
    return (struct berth_slice){ .data = text, .bytes = strlen(text) };
}

struct berth_slice kit_bytes(struct kit *kit, size_t bytes, uint64_t seed)
{
    size_t words = bytes / sizeof(uint64_t) + 1;
    uint64_t *data = berth_arena_alloc_array(&kit->memory, words, sizeof *data);
    BERTH_ASSERT(data);
    for (size_t i = 0; i < words; i++) {
        seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        data[i] = seed;
    }
    return (struct berth_slice){ .data = data, .bytes = bytes };
}

struct berth_record kit_job(uint64_t id, uint32_t dispatcher, struct berth_slice body)
{
    return (struct berth_record){ .type = BERTH_RECORD_JOB,
                                  .job = { .id = id,
                                           .dispatcher = dispatcher,
                                           .handler = kit_text("send-mail"),
                                           .submitted_us = 1000 + (int64_t)id,
                                           .body = body } };
}

struct berth_record kit_end(uint64_t id, uint32_t dispatcher, enum berth_state state,
                            int64_t finished_us)
{
    return (struct berth_record){ .type = BERTH_RECORD_END,
                                  .end = { .id = id,
                                           .dispatcher = dispatcher,
                                           .state = state,
                                           .attempt = 1,
                                           .finished_us = finished_us,
                                           .last = { .id = UINT64_C(1) << 40 | id,
                                                     .started_us = finished_us - 10,
                                                     .worker = kit_text("w1") } } };
}

struct berth_record kit_dispatcher(uint32_t id, const char *name)
{
    struct berth_record record = { .type = BERTH_RECORD_DISPATCHER,
                                   .dispatcher = { .id = id,
                                                   .limit = { BERTH_LIMIT_NUMBER, 5 },
                                                   .max_attempts = 5,
                                                   .backoff_ms = 1000,
                                                   .backoff_ms_max = 600000,
                                                   .grace_ms = 5000,
                                                   .weight = 1,
                                                   .retention_ms = 604800000,
                                                   .retention_count = 100000 } };
    (void)snprintf(record.dispatcher.name, sizeof record.dispatcher.name, "%s", name);
    return record;
}

struct berth_record kit_session(uint64_t id)
{
    struct berth_record record = { .type = BERTH_RECORD_SESSION,
                                   .session = { .id = id, .child = 1, .lease_ms = 10000 } };
    for (size_t i = 0; i < sizeof record.session.node; i++) {
        record.session.node[i] = (uint8_t)(id + i);
        record.session.boot[i] = (uint8_t)(id * 3 + i);
        record.session.nonce[i] = (uint8_t)(id * 5 + i);
    }
    (void)snprintf(record.session.name, sizeof record.session.name, "worker-%u", (unsigned)id);
    return record;
}
