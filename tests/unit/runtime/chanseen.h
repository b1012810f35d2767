/* SPDX-License-Identifier: MIT
 *
 * What tests of channels share: who sends, who receives, and who waits in which order.
 */
#pragma once

#include "chantest.h"

#include "channel.h"

#define MANY 5

struct seen {
    struct weft_chan *chan;
    int rc, other_rc, count;
    long value;
    atomic_int waiting;
    atomic_bool is_ready, is_free;
    char order[MANY + 1];
};

static inline struct weft_chan *given_chan(size_t item_bytes, size_t capacity,
                                           void (*drop)(void *item))
{
    struct weft_chan *chan = NULL;
    assert_int_equal(weft_chan_new(item_bytes, capacity, drop, &chan), 0);
    return chan;
}

static long dropped_sum;

static inline void drop_long(void *item)
{
    dropped_sum += *(const long *)item;
}

static inline int recv_one(void *arg)
{
    struct seen *seen = arg;
    seen->waiting++;
    seen->value = recv_long(seen->chan, WEFT_NEVER);
    return seen->value == -ECANCELED ? -ECANCELED : 0;
}

/* Comes back when `count` have begun to wait. */
static inline void launch_waiting(struct weft_scope *scope, weft_fn fn, struct seen *seen,
                                  int count)
{
    weft_launch(scope, NULL, fn, seen);
    while (seen->waiting < count)
        (void)weft_yield();
}

static inline int send_one(void *arg)
{
    struct seen *seen = arg;
    seen->waiting++;
    seen->rc = send_long(seen->chan, 3, WEFT_NEVER);
    return seen->rc;
}

struct waiter {
    struct seen *seen;
    long number;
};

static inline int recv_in_order(void *arg)
{
    const struct waiter *waiter = arg;
    struct seen *seen = waiter->seen;
    seen->waiting++;
    long value = recv_long(seen->chan, WEFT_NEVER);
    if (value == waiter->number)
        seen->count++;
    return value < 0 ? (int)value : 0;
}

static inline void launch_waiters(struct weft_scope *scope, struct waiter *waiters,
                                  struct seen *seen, weft_fn fn)
{
    for (int i = 0; i < MANY; i++) {
        waiters[i] = (struct waiter){ seen, i + 1 };
        weft_launch(scope, NULL, fn, &waiters[i]);
    }
    while (seen->waiting < MANY)
        (void)weft_yield();
}
