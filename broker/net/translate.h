/* SPDX-License-Identifier: MIT */
/* Frames of the wire <-> events and effects of the core. The only files of the broker that see
 * generated names are translate*.c.
 *
 * Decides nothing: it checks what the schema and its comments say of a message (sizes, columns,
 * ranges, names), and turns one shape into the other.
 *
 * 1. Whatever a peer sends becomes one event, or one answer that says what is wrong with it. Only
 * an Error of a peer's is dropped, for two sides that answer each other's errors never end.
 * 2. An event's memory is valid until the next call of berth_translate_in; a frame that is given
 * out, until the next call of either.
 * 3. Memory is bounded: a frame by its size, what it unpacks to by a budget.
 */
#pragma once

#include <berth/error.h>

#include "broker/core/effect.h"
#include "broker/core/event.h"
#include "net.h"

struct berth_translate;

struct berth_translate_opts {
    uint64_t epoch;
    const char *software; /* "berthd 0.1.0"; borrowed */
};

/* NULL: no memory. */
struct berth_translate *berth_translate_new(const struct berth_translate_opts *opts);
void berth_translate_free(struct berth_translate *translate);
BERTH_AUTO_DEFINE(berth_translate);

enum berth_translated {
    BERTH_TRANSLATED_NOTHING = 0,
    BERTH_TRANSLATED_EVENT,  /* `ret_event`, but for its times, is written */
    BERTH_TRANSLATED_ANSWER, /* `ret_answer` is to be sent back to the peer */
};

enum berth_translated berth_translate_in(struct berth_translate *translate,
                                         const struct berth_incoming *incoming,
                                         struct berth_event *ret_event,
                                         struct berth_slice *ret_answer);

/* The frame of an effect that goes to a peer (all but READ). `wal_bytes` is the store's, for
 * STATUS. Jobs that do not fit into a frame are left out at the end, and `next` says so. 0, or
 * -ENOMEM. */
int berth_translate_out(struct berth_translate *translate, const struct berth_effect *effect,
                        uint64_t wal_bytes, struct berth_slice *ret_frame);
