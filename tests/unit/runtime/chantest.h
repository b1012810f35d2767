/* SPDX-License-Identifier: MIT
 *
 * Tests of channels, and of selects on them: numbers as items.
 */
#pragma once

#include "wefttest.h"

/* Plain thread: runs fn(arg) on a default with one thread, so that the order is certain. */
static inline int on_one_thread(weft_fn fn, void *arg)
{
    int rc = weft_configure(&(struct weft_opts){ .threads = 1 });
    return rc < 0 ? rc : weft_run(fn, arg);
}

static inline int send_long(struct weft_chan *chan, long value, int64_t deadline_ns)
{
    return weft_chan_send(chan, &value, sizeof value, deadline_ns);
}

/* The value, or what weft_chan_recv() returned instead of 1. */
static inline long recv_long(struct weft_chan *chan, int64_t deadline_ns)
{
    long value = 0;
    int rc = weft_chan_recv(chan, &value, sizeof value, deadline_ns);
    return rc == 1 ? value : rc;
}
