/* SPDX-License-Identifier: MIT
 *
 * Fences of unequal weight, for two sides of which one is run all the time and the other hardly
 * ever. The light one is nothing but a barrier for the compiler; the heavy one makes the kernel
 * interrupt every core that runs this process (membarrier(2), MEMBARRIER_CMD_PRIVATE_EXPEDITED,
 * Linux 4.14), so that a light fence anywhere orders against it as if it had been a full one.
 *
 *     often:   store A; weft_fence_light(); load B
 *     rarely:  store B; weft_fence_heavy(); load A      at least one of the two sees the other
 *
 * Where the kernel has none (or under TSan, which does not understand it) both are full fences.
 * The idea: folly's AsymmetricMemoryBarrier, liburcu.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>

#include "switch.h"

#if WEFT_TSAN
/* TSan knows no fences: an exchange on one word orders what matters here. */
extern atomic_uint weft_fence_word;
static inline void weft_fence_full(void)
{
    (void)atomic_fetch_add(&weft_fence_word, 0);
}
#else
static inline void weft_fence_full(void)
{
    atomic_thread_fence(memory_order_seq_cst);
}
#endif

/* Whether the light fence costs nothing. Set once, by weft_fence_open(). */
extern bool weft_fence_is_unequal WEFT_INTERNAL;

static inline void weft_fence_light(void)
{
    if (weft_fence_is_unequal)
        atomic_signal_fence(memory_order_seq_cst);
    else
        weft_fence_full();
}

/* Some microseconds when unequal. */
void weft_fence_heavy(void);

/* Finds out. To be called before the first light fence; again is fine. Never fails. */
void weft_fence_open(void);
