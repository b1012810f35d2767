/* SPDX-License-Identifier: MIT */
/* What was asked of a store and not yet reaped, in the order it was asked. Knows no thread:
 * store_thread.c puts a mutex around push, oldest, done and pop; the memory backend needs none.
 *
 * 1. [reaped, done) are completed, [done, asked) wait or are being carried out; asked - reaped <=
 * STORE_RING_MAX.
 * 2. A slot in [done, asked) belongs to who carries it out, every other to the user.
 * 3. One batch and BERTH_STORE_READS_MAX reads at most are in the ring, so there is always room.
 */
#pragma once

#include "broker/store/store_answer.h"

#define STORE_RING_MAX (BERTH_STORE_READS_MAX + 1)

struct store_request {
    struct berth_batch *batch; /* NULL: a read */
    struct berth_read read;
    uint64_t *ids; /* owned; read.ids points here */
    enum berth_store_result result;
    struct store_answer answer;
    struct berth_error error;
};

struct store_ring {
    uint64_t reaped, done, asked;
    struct store_request slots[STORE_RING_MAX];

    /* Of the user alone. */
    bool has_batch;
    size_t read_count;
    struct store_answer lent; /* what the last completion points at */
};

void store_ring_init(struct store_ring *ring);
void store_ring_fini(struct store_ring *ring);

/* By the user: writes the request into the slot that `push` then puts into the ring. 0, -EAGAIN or
 * -ENOMEM. */
int store_ring_put_batch(struct store_ring *ring, struct berth_batch *batch);
int store_ring_put_read(struct store_ring *ring, const struct berth_read *read);
void store_ring_push(struct store_ring *ring);

/* The oldest request that is not completed, or NULL. */
struct store_request *store_ring_oldest(struct store_ring *ring);
/* It is completed now. Returns true if nothing else waited to be reaped. */
bool store_ring_done(struct store_ring *ring);
bool store_ring_has_done(const struct store_ring *ring);

/* By the user: takes the oldest completed request out, then turns it into a completion. pop is
 * false if there is none. */
bool store_ring_pop(struct store_ring *ring, struct store_request *ret_request);
void store_ring_settle(struct store_ring *ring, struct store_request *request,
                       struct berth_completion *ret_completion);

/* A read that failed: an answer without rows. */
void store_request_fail(struct store_request *request, int code);
