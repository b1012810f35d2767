/* SPDX-License-Identifier: MIT */
#include "trace_arrow.h"

#include <stdbool.h>
#include <stdlib.h>

#define SLOTS_MIN 1024

struct weft_trace_arrow {
    uint64_t coroutine; /* 0: the slot is free */
    uint64_t number;
};

static size_t home_of(uint64_t coroutine, size_t slot_count)
{
    return (size_t)((coroutine * UINT64_C(0x9e3779b97f4a7c15)) >> 32) & (slot_count - 1);
}

/* The slot of a coroutine, or the free one where it would be. */
static struct weft_trace_arrow *slot_of(struct weft_trace_arrow *slots, size_t slot_count,
                                        uint64_t coroutine)
{
    size_t at = home_of(coroutine, slot_count);
    while (slots[at].coroutine != 0 && slots[at].coroutine != coroutine)
        at = (at + 1) & (slot_count - 1);
    return &slots[at];
}

/* Half of the slots are free at least, so a search is short. */
static bool reserve(struct weft_trace_arrows *arrows)
{
    if (arrows->slot_count > 2 * arrows->count)
        return true;
    size_t slot_count = arrows->slot_count > 0 ? 2 * arrows->slot_count : SLOTS_MIN;
    struct weft_trace_arrow *slots = calloc(slot_count, sizeof *slots);
    if (!slots)
        return false;
    for (size_t i = 0; i < arrows->slot_count; i++) {
        if (arrows->slots[i].coroutine != 0)
            *slot_of(slots, slot_count, arrows->slots[i].coroutine) = arrows->slots[i];
    }
    free(arrows->slots);
    arrows->slots = slots;
    arrows->slot_count = slot_count;
    return true;
}

uint64_t weft_trace_arrow_begin(struct weft_trace_arrows *arrows, uint64_t coroutine)
{
    if (!reserve(arrows))
        return 0;
    struct weft_trace_arrow *slot = slot_of(arrows->slots, arrows->slot_count, coroutine);
    if (slot->coroutine == 0)
        arrows->count++;
    *slot = (struct weft_trace_arrow){ .coroutine = coroutine, .number = ++arrows->last };
    return slot->number;
}

/* Frees a slot, and moves up those behind it that would not be found over the gap. */
static void slot_free(struct weft_trace_arrows *arrows, size_t gap)
{
    size_t mask = arrows->slot_count - 1;
    for (size_t at = (gap + 1) & mask; arrows->slots[at].coroutine != 0; at = (at + 1) & mask) {
        size_t home = home_of(arrows->slots[at].coroutine, arrows->slot_count);
        if (((at - home) & mask) >= ((at - gap) & mask)) {
            arrows->slots[gap] = arrows->slots[at];
            gap = at;
        }
    }
    arrows->slots[gap].coroutine = 0;
    arrows->count--;
}

uint64_t weft_trace_arrow_end(struct weft_trace_arrows *arrows, uint64_t coroutine)
{
    if (arrows->count == 0)
        return 0;
    struct weft_trace_arrow *slot = slot_of(arrows->slots, arrows->slot_count, coroutine);
    uint64_t number = slot->number;
    if (slot->coroutine == 0)
        return 0;
    slot_free(arrows, (size_t)(slot - arrows->slots));
    return number;
}

void weft_trace_arrows_fini(struct weft_trace_arrows *arrows)
{
    free(arrows->slots);
    *arrows = (struct weft_trace_arrows){ .slots = NULL };
}
