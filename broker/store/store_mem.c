/* SPDX-License-Identifier: MIT */
/* The memory backend: a ring of requests before a disk in memory. No thread, no clock, no
 * descriptor.
 *
 * 1. A store opened by name owns its disk and carries requests out when they are reaped; one opened
 * by berth_mem_open carries them out on command only.
 * 2. A batch of another epoch than the disk's changes nothing, whatever was commanded.
 */
#include "broker/store/store_mem.h"

#include <errno.h>
#include <stdlib.h>

#include "base/assert.h"
#include "broker/store/store_mem_disk.h"
#include "broker/store/store_ring.h"

struct mem_store {
    struct berth_store store;
    struct berth_mem_disk *disk;
    bool owns_disk; /* and completes by itself */
    bool is_lost;   /* after UNKNOWN: takes nothing more */
    uint64_t bytes_max;
    int64_t wall_us;
    struct store_ring ring;
};

extern const struct berth_store_ops store_mem_ops;

static struct mem_store *mem_of(struct berth_store *store)
{
    BERTH_ASSERT(store->ops == &store_mem_ops);
    return (struct mem_store *)(void *)store;
}

static const struct mem_store *mem_of_const(const struct berth_store *store)
{
    BERTH_ASSERT(store->ops == &store_mem_ops);
    return (const struct mem_store *)(const void *)store;
}

int berth_mem_open(struct berth_mem_disk *disk, const struct berth_store_opts *opts,
                   struct berth_store **ret_store, struct berth_store_info *ret_info,
                   struct berth_error *err)
{
    struct mem_store *self = calloc(1, sizeof *self);
    if (!self)
        return berth_fail(err, -ENOMEM, "open the store");
    self->store.ops = &store_mem_ops;
    self->disk = disk;
    self->bytes_max = opts->bytes_max;
    self->wall_us = opts->wall_us;
    store_ring_init(&self->ring);
    mem_disk_open(disk, opts->lineage, ret_info);
    *ret_store = &self->store;
    return 0;
}

static int mem_open(const struct berth_store_opts *opts, struct berth_store **ret_store,
                    struct berth_store_info *ret_info, struct berth_error *err)
{
    struct berth_mem_disk *disk = berth_mem_disk_new();
    if (!disk)
        return berth_fail(err, -ENOMEM, "open the store");
    int rc = berth_mem_open(disk, opts, ret_store, ret_info, err);
    if (rc < 0)
        berth_mem_disk_free(disk);
    else
        mem_of(*ret_store)->owns_disk = true;
    return rc;
}

static int mem_load(struct berth_store *store, const struct berth_store_visitor *visitor,
                    struct berth_error *err)
{
    struct mem_store *self = mem_of(store);
    int rc = mem_disk_visit(self->disk, self->wall_us, visitor);
    return rc < 0 ? berth_fail(err, rc, "load the jobs") : 0;
}

static int mem_submit(struct berth_store *store, struct berth_batch *batch)
{
    struct mem_store *self = mem_of(store);
    int rc = store_ring_put_batch(&self->ring, batch);
    if (rc == 0)
        store_ring_push(&self->ring);
    return rc;
}

static bool mem_is_idle(const struct berth_store *store)
{
    return !mem_of_const(store)->ring.has_batch;
}

static int mem_read(struct berth_store *store, const struct berth_read *read)
{
    struct mem_store *self = mem_of(store);
    int rc = store_ring_put_read(&self->ring, read);
    if (rc == 0)
        store_ring_push(&self->ring);
    return rc;
}

static int mem_fd(const struct berth_store *store)
{
    (void)mem_of_const(store);
    return -1;
}

/* Written, or refused for a reason that `err` gives. */
static enum berth_store_result write_batch(struct mem_store *self, struct berth_batch *batch,
                                           struct berth_error *err)
{
    int rc = mem_disk_apply(self->disk, batch, self->bytes_max);
    if (rc == 0)
        return BERTH_STORED;
    (void)berth_fail(err, rc, "the memory store cannot take the batch");
    return BERTH_STORE_FULL;
}

static enum berth_store_result carry_out_batch(struct mem_store *self, struct berth_batch *batch,
                                               enum berth_store_result wanted, bool is_written,
                                               struct berth_error *err)
{
    if (self->is_lost) {
        (void)berth_fail(err, BERTH_ESTORE, "the store takes nothing more after a failed write");
        return BERTH_STORE_UNKNOWN;
    }
    if (batch->epoch != mem_disk_epoch(self->disk)) {
        (void)berth_fail(err, BERTH_EFENCED, "a newer broker has taken over the store");
        return BERTH_STORE_FENCED;
    }
    switch (wanted) {
    case BERTH_STORED: return write_batch(self, batch, err);
    case BERTH_STORE_FULL: (void)berth_fail(err, BERTH_EFULL, "the disk is full"); return wanted;
    case BERTH_STORE_UNKNOWN:
        if (is_written && write_batch(self, batch, err) != BERTH_STORED)
            return BERTH_STORE_FULL;
        self->is_lost = true;
        (void)berth_fail(err, BERTH_ESTORE, "the batch was written or not");
        return wanted;
    case BERTH_STORE_FENCED:
        (void)berth_fail(err, BERTH_EFENCED, "fenced by command");
        return wanted;
    }
    BERTH_UNREACHABLE();
}

bool berth_mem_complete(struct berth_store *store, enum berth_store_result result, bool is_written)
{
    struct mem_store *self = mem_of(store);
    struct store_request *request = store_ring_oldest(&self->ring);
    if (!request)
        return false;
    if (request->batch) {
        request->result =
            carry_out_batch(self, request->batch, result, is_written, &request->error);
    } else {
        request->result = BERTH_STORED;
        int rc = mem_disk_read(self->disk, &request->read, &request->answer);
        if (rc < 0)
            store_request_fail(request, berth_fail(&request->error, rc, "read"));
    }
    (void)store_ring_done(&self->ring);
    return true;
}

static int mem_reap(struct berth_store *store, struct berth_completion *ret_completion)
{
    struct mem_store *self = mem_of(store);
    if (self->owns_disk && !store_ring_has_done(&self->ring))
        (void)berth_mem_complete(store, BERTH_STORED, true);
    struct store_request request;
    if (!store_ring_pop(&self->ring, &request))
        return 0;
    store_ring_settle(&self->ring, &request, ret_completion);
    return 1;
}

static void mem_stats(struct berth_store *store, struct berth_store_stats *ret_stats)
{
    *ret_stats = (struct berth_store_stats){ .file_bytes = mem_disk_bytes(mem_of(store)->disk) };
}

static void mem_free(struct mem_store *self)
{
    store_ring_fini(&self->ring);
    if (self->owns_disk)
        berth_mem_disk_free(self->disk);
    free(self);
}

void berth_mem_crash(struct berth_store *store, bool is_written)
{
    struct mem_store *self = mem_of(store);
    for (struct store_request *request; (request = store_ring_oldest(&self->ring)) != NULL;) {
        if (request->batch && is_written)
            (void)carry_out_batch(self, request->batch, BERTH_STORED, true, &request->error);
        (void)store_ring_done(&self->ring);
    }
    mem_free(self);
}

size_t berth_mem_under_way(const struct berth_store *store)
{
    const struct store_ring *ring = &mem_of_const(store)->ring;
    return ring->asked - ring->done;
}

/* On command: a disk has exactly the batches that were completed. By itself: what was submitted is
 * finished, but the disk goes with the store, so there is nothing to do. */
static void mem_close(struct berth_store *store)
{
    mem_free(mem_of(store));
}

const struct berth_store_ops store_mem_ops = {
    .name = "mem",
    .open = mem_open,
    .load = mem_load,
    .submit = mem_submit,
    .is_idle = mem_is_idle,
    .read = mem_read,
    .fd = mem_fd,
    .reap = mem_reap,
    .stats = mem_stats,
    .close = mem_close,
};
