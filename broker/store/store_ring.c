/* SPDX-License-Identifier: MIT */
/* The ring of requests. */
#include "broker/store/store_ring.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/cleanup.h"

void store_ring_init(struct store_ring *ring)
{
    memset(ring, 0, sizeof *ring);
    store_answer_init(&ring->lent);
}

static struct store_request *slot_at(struct store_ring *ring, uint64_t number)
{
    return &ring->slots[number % STORE_RING_MAX];
}

static void request_fini(struct store_request *request)
{
    store_answer_fini(&request->answer);
    free(request->ids);
    request->ids = NULL;
}

void store_ring_fini(struct store_ring *ring)
{
    for (uint64_t i = ring->reaped; i < ring->asked; i++)
        request_fini(slot_at(ring, i));
    store_answer_fini(&ring->lent);
}

static struct store_request *slot_next(struct store_ring *ring)
{
    struct store_request *request = slot_at(ring, ring->asked);
    *request = (struct store_request){ .batch = NULL };
    store_answer_init(&request->answer);
    return request;
}

int store_ring_put_batch(struct store_ring *ring, struct berth_batch *batch)
{
    if (ring->has_batch)
        return -EAGAIN;
    slot_next(ring)->batch = batch;
    ring->has_batch = true;
    return 0;
}

int store_ring_put_read(struct store_ring *ring, const struct berth_read *read)
{
    if (ring->read_count == BERTH_STORE_READS_MAX)
        return -EAGAIN;
    BERTH_AUTO_MEM uint64_t *ids = NULL;
    if (read->type == BERTH_READ_JOBS) {
        ids = malloc(read->id_count * sizeof *ids);
        if (!ids)
            return -ENOMEM;
        memcpy(ids, read->ids, read->id_count * sizeof *ids);
    }
    struct store_request *request = slot_next(ring);
    request->read = *read;
    request->read.ids = ids;
    request->ids = berth_take(ids);
    ring->read_count++;
    return 0;
}

void store_ring_push(struct store_ring *ring)
{
    BERTH_ASSERT(ring->asked - ring->reaped < STORE_RING_MAX);
    ring->asked++;
}

struct store_request *store_ring_oldest(struct store_ring *ring)
{
    return ring->done < ring->asked ? slot_at(ring, ring->done) : NULL;
}

bool store_ring_done(struct store_ring *ring)
{
    BERTH_ASSERT(ring->done < ring->asked);
    return ring->done++ == ring->reaped;
}

bool store_ring_has_done(const struct store_ring *ring)
{
    return ring->reaped < ring->done;
}

bool store_ring_pop(struct store_ring *ring, struct store_request *ret_request)
{
    if (!store_ring_has_done(ring))
        return false;
    *ret_request = *slot_at(ring, ring->reaped);
    ring->reaped++;
    return true;
}

void store_ring_settle(struct store_ring *ring, struct store_request *request,
                       struct berth_completion *ret_completion)
{
    if (request->batch)
        ring->has_batch = false;
    else
        ring->read_count--;
    free(request->ids);
    store_answer_fini(&ring->lent);
    ring->lent = request->answer;
    *ret_completion = (struct berth_completion){
        .batch = request->batch,
        .result = request->result,
        .number = request->read.number,
        .error = request->error,
    };
    store_answer_lend(&ring->lent, ret_completion);
}

void store_request_fail(struct store_request *request, int code)
{
    store_answer_fini(&request->answer);
    request->result = BERTH_STORE_UNKNOWN;
    request->error.code = code;
}
