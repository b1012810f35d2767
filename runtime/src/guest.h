/* SPDX-License-Identifier: MIT
 *
 * A guest: a thread of the program's own that runs coroutines for a while. (Those of the runtime
 * are made by pool.c.)
 */
#pragma once

#include "pool.h"

struct weft_guest {
    struct weft_thread thread;
    void *signal_stack;
    bool is_nested; /* the thread was one of weft's already */
};

/* From enter to leave the calling thread may run turns. `guest` lies on its stack. */
void weft_guest_enter(struct weft_guest *guest);
void weft_guest_leave(struct weft_guest *guest);
