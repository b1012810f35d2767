/* SPDX-License-Identifier: MIT
 *
 * The monitor: an eye on the seats, on the service thread. It looks every 3 to 5 ms while any
 * seat is taken, and sleeps without limit when none is. What it does for a seat that has not moved
 * since its last look:
 *
 * 1. Timers that are due and descriptors that are ready are served for it, so that a long
 *    calculation does not delay the sleepers of others.
 * 2. If turns wait there, and another seat of the pool is vacant, somebody is woken for them.
 * 3. On virtual: if its thread sleeps in the kernel, in a call that weft does not see, the seat is
 *    given to a spare thread (thread_set.c). The stuck one ends its turn without a seat. A call is
 * so noticed within 9 ms.
 *
 * While no thread can be had (thread_set.c) it serves the timers and descriptors of seats where
 * nobody is, and asks again for a thread when there are turns.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Looks, if it is time. Returns when it wants to be called again; WEFT_NEVER: when somebody has sat
 * down, who kicks the service thread. Only on that. */
int64_t weft_monitor_look(int64_t now_ns);

/* Set while it sleeps without limit. Who sits down calls rouse() then. */
extern atomic_bool weft_monitor_is_asleep;
void weft_monitor_rouse(void);
