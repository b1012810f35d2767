/* SPDX-License-Identifier: MIT
 *
 * Timers: a heap of deadlines, served by the poller's thread (poller.h).
 *
 * Lock order: the lock of the timers comes before every other lock of weft, because `fire` is
 * called under it. So set and cancel a timer while holding none.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/heap.h"

struct weft_timer {
    struct berth_heap_node node;
    int64_t deadline_ns;
    /* Called once, on the poller's thread, under the lock of the timers. Must not wait, set or
     * cancel timers. */
    void (*fire)(struct weft_timer *timer);
};

/* Sets a timer, or moves it; all-zero but for `fire` before. 0, or -ENOMEM. */
int weft_timer_set(struct weft_timer *timer, int64_t deadline_ns);

/* When it returns, `fire` has been called and has returned, or will never be. Cancelling one that
 * is not set is fine. */
void weft_timer_cancel(struct weft_timer *timer);

/* For the poller: calls what is due, and returns the next deadline, or WEFT_NEVER. */
int64_t weft_timer_run(void);

/* Gives the heap's memory back; no timer may be set. */
void weft_timer_fini(void);
