/* SPDX-License-Identifier: MIT */
/* What a client of the simulator asks the broker: a request that can be said again, since it keeps
 * all that it says. */
#pragma once

#include "sim.h"

#define BATCH_MAX 8
#define AFTER_MAX 2

enum ask_type {
    ASK_SUBMIT = 1,
    ASK_WAIT,
    ASK_CANCEL,
    ASK_RETRY,
    ASK_DISCARD,
    ASK_PURGE,
    ASK_EXPLAIN,
    ASK_GET,
    ASK_OUTPUT,
    ASK_LIST,
    ASK_STATUS,
    ASK_LIMIT,
    ASK_PAUSE,
    ASK_MOVE,
    ASK_ON_LOST,
    ASK_REMOVE,
    ASK_MAKE,
    ASK_QUEUE
};

/* A request: what it says, so that it can be said again. */
struct ask {
    struct berth_map_node by_number;
    enum ask_type type;
    struct client *client;
    uint64_t ids[BATCH_MAX];
    size_t count;
    unsigned dispatcher[BATCH_MAX], handler[BATCH_MAX];
    uint64_t tag[BATCH_MAX], key[BATCH_MAX]; /* key 0: none */
    int64_t delay_ms[BATCH_MAX];
    uint64_t after[BATCH_MAX][AFTER_MAX]; /* 0: none */
    uint32_t limit; /* PAUSE: 1 pauses. MOVE: 1 goes home. ON_LOST: 1 holds. QUEUE: ms */
};

/* Sends it under this number, of which the answer tells. */
void ask_say(const struct ask *ask, uint64_t number);
