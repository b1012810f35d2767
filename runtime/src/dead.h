/* SPDX-License-Identifier: MIT
 *
 * Dead handles: whoever uses one is told so by a line that names the call.
 *
 * So what a handle points to is marked at its end, and stays for a while: of each kind the newest
 * WEFT_DEAD_MAX. They are reachable, so no leak for a leak checker. One that is older than that may
 * be anything.
 *
 * The mark of a dispatcher is that it belongs to no world, neither the real one nor a test run's.
 * That is what every door asks anyway, so a living one pays nothing for it.
 */
#pragma once

#include <stdbool.h>

#include "lock.h"
#include "pool.h"

#define WEFT_DEAD_MAX 256

/* Those of one kind. All-zero at first. */
struct weft_dead {
    struct weft_lock lock;
    unsigned next;
    void *items[WEFT_DEAD_MAX]; /* a ring, oldest at next */
};

/* Keeps one more; the caller frees the one that is returned for it, unless that is NULL. */
void *weft_dead_keep(struct weft_dead *dead, void *item);

/* Marks a dispatcher. Its name must stay as long as it does. is_of_test: it ends with its test run,
 * else with the runtime. */
void weft_dispatcher_end(struct weft_dispatcher *d, bool is_of_test);

/* Dies if it is a dead one; `call` is for the message. */
void weft_dispatcher_check(const struct weft_dispatcher *d, const char *call);
