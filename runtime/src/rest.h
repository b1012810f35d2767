/* SPDX-License-Identifier: MIT
 *
 * Coming to rest: who closes a dispatcher waits, once, until the last of those that are inside has
 * left. A lock of its own, for a wake may end in the very dispatcher, whose lock must be free then.
 */
#pragma once

#include <stdatomic.h>

#include "lock.h"
#include "tree.h"

/* All-zero: not at rest yet. */
struct weft_rest {
    struct weft_lock lock;
    struct weft_waiters closer;
    atomic_uint has_come; /* a futex, for a plain thread that closes it */
};

/* The last has left. Without locks. */
void weft_rest_come(struct weft_rest *rest);

/* Waits for that, deaf to cancelling: parks a coroutine, blocks a plain thread (or a compact
 * coroutine for whose place in the queue there is no memory). One at a time. */
void weft_rest_await(struct weft_rest *rest);
