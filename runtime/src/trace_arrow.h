/* SPDX-License-Identifier: MIT
 *
 * The arrows of a recording that have begun and not ended: from a launch or a wake to the turn that
 * it brings about. Each has a number of its own, for Perfetto takes what bears the same number
 * twice as one arrow, and draws the second from where the first began.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* All-zero is ready. */
struct weft_trace_arrows {
    struct weft_trace_arrow *slots; /* open addressing, by coroutine */
    size_t slot_count;              /* 0, or a power of two */
    size_t count;
    uint64_t last; /* number that was given */
};

/* An arrow to this coroutine (not 0) begins, in the place of one that has not ended: its number, or
 * 0 without memory. */
uint64_t weft_trace_arrow_begin(struct weft_trace_arrows *arrows, uint64_t coroutine);

/* It ends: its number, or 0, if its beginning was not seen. */
uint64_t weft_trace_arrow_end(struct weft_trace_arrows *arrows, uint64_t coroutine);

void weft_trace_arrows_fini(struct weft_trace_arrows *arrows);
