/* SPDX-License-Identifier: MIT
 *
 * Compact parking: coroutines that take turns on one stack, a region. The used part of the stack of
 * one that is parked is copied to the heap when somebody else wants the region, and back to the
 * same addresses before it goes on. So parked it costs a few hundred bytes instead of a page.
 *
 * A region, its blocks and its coroutines have one owner, who may change only while nobody runs on
 * the region; no locks. It knows nothing of tasks. It never switches: it only makes ready what the
 * caller then switches to, and the caller must stand on another stack meanwhile.
 *
 *     start    weft_compact_begin(region, c, entry);  weft_fiber_switch(mine, &c->fiber);
 *     park     weft_compact_prepare(region);          weft_fiber_switch(&c->fiber, mine);
 *     resume   weft_compact_enter(region, c);         weft_fiber_switch(mine, &c->fiber);
 *     end      weft_fiber_switch(&c->fiber, mine);    weft_compact_end(region, c);
 *
 * A coroutine is in one of three states; `begin` and `enter` make one resident and, if it was
 * another, the one before it saved:
 *
 *     (new) --begin--> resident --end--> (gone)
 *                       |    ^
 *       begin or enter  |    |  enter
 *         of another    v    |
 *                        saved
 *
 * Invariants
 * 1. region->resident is the coroutine whose frames lie on the region: it runs, or is parked there,
 *    not copied as long as nobody else comes (the last one parked is often the next to run). NULL:
 *    what lies there is nobody's.
 * 2. c->saved is NULL if and only if c is not saved.
 * 3. While region->pins > 0 the resident stays: somebody holds an address on its stack.
 * 4. Copying cannot fail for want of memory: who parks has prepared a spare block first.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "switch.h"

/* Whether it can be done in this build. Not under ASan and TSan, which keep notes about a stack by
 * address, and not where the stack pointer of a parked fiber is unknown. Then ordinary stacks have
 * to do. */
static inline bool weft_compact_is_possible(void)
{
#if WEFT_ASAN || WEFT_TSAN
    return false;
#elif WEFT_UCONTEXT && !defined(__x86_64__) && !defined(__aarch64__)
    return false;
#else
    return true;
#endif
}

/* Memory for saved stacks: freelists in steps of 16 bytes up to 1 KiB, malloc beyond. All-zero is
 * ready. Its regions share one. */
#define WEFT_BLOCK_STEP_BYTES 16
#define WEFT_BLOCK_CLASSES    64
struct weft_blocks {
    void *free[WEFT_BLOCK_CLASSES];
    char *bump, *bump_end; /* what is left of the newest chunk */
    char *populated;       /* its pages are there up to here */
    struct weft_chunk *chunks;
    size_t chunk_bytes; /* of the newest chunk */
    size_t live;        /* blocks that are in use */
};

/* Gives the memory back if no block is in use. For when the owner has nothing to do, and at the
 * end. */
void weft_blocks_trim(struct weft_blocks *blocks);

/* In the block of a task. All-zero at first. */
struct weft_compact {
    struct weft_fiber fiber; /* its stack pointer also says how much is saved */
    void *saved;
};

struct weft_region {
    struct weft_compact *resident;
    char *top;                /* of its stack: there the used part ends */
    struct weft_stack *stack; /* stack.h */
    int size_class;
    unsigned pins;
    struct weft_blocks *blocks;
    void *spare; /* for a copy when there is no memory; NULL after that */
    size_t spare_bytes;
};

/* Takes a stack of at least `stack_bytes`, and returns it; nobody may be on it. init: 0, -ENOMEM or
 * -EINVAL. Borrows `blocks`. */
int weft_region_init(struct weft_region *region, struct weft_blocks *blocks, size_t stack_bytes);
void weft_region_fini(struct weft_region *region);

/* Whether `address` lies on its stack. What does must not be lent to others, or be pinned. */
bool weft_region_has(const struct weft_region *region, const void *address);

/* Makes a new coroutine, or one that is parked, the resident, ready to be switched to. 0, or -EBUSY
 * without having done anything, if another one is pinned. The caller stands on another stack, and
 * the resident, if there is one, is parked. Nothing is done for one that is the resident already.
 * With 256-320 bytes each a turn, there and back, takes 35 ns for two in turn, 50 for 10^6 that are
 * prefetched, and 14 for one that nobody has displaced (2 GHz Xeon, 2026-11). */
int weft_compact_begin(struct weft_region *region, struct weft_compact *compact,
                       void (*entry)(void));
int weft_compact_enter(struct weft_region *region, struct weft_compact *compact);

/* For the resident, before it parks, on its own stack and not far above where it will switch: makes
 * sure that it can be copied. 0, or -ENOMEM: it must not park. */
static inline int weft_compact_prepare(struct weft_region *region);

/* The resident has ended: it has switched away for good. */
void weft_compact_end(struct weft_region *region, struct weft_compact *compact);

/* For the resident: while it is pinned nobody else comes on the region. So it must not wait for
 * somebody who is saved from there. Counted. */
static inline void weft_compact_pin(struct weft_region *region)
{
    region->pins++;
}

static inline void weft_compact_unpin(struct weft_region *region)
{
    region->pins--;
}

/* Asks for a saved stack to come to the cache, some 100 ns before it is entered. */
static inline void weft_compact_prefetch(const struct weft_compact *compact)
{
    const char *saved = compact->saved;
    for (size_t i = 0; i < 192; i += 64) /* mostly that is all of it */
        __builtin_prefetch(saved + i);
}

/* What may come on the stack between prepare and the end of the switch. */
#define WEFT_COMPACT_SLACK_BYTES 1024
int weft_compact_prepare_slow(struct weft_region *region, size_t bytes);

static inline int weft_compact_prepare(struct weft_region *region)
{
    size_t used = (size_t)(region->top - (const char *)__builtin_frame_address(0));
    size_t bytes = used + WEFT_COMPACT_SLACK_BYTES;
    return bytes <= region->spare_bytes ? 0 : weft_compact_prepare_slow(region, bytes);
}
