/* SPDX-License-Identifier: MIT
 *
 * Memory for coroutines' blocks: of two sizes, kept by each thread and exchanged between them in
 * batches, because who launches and who ends are often not the same. It is given back at the end.
 *
 * Under ASan each is an allocation of its own, so that it sees who uses one too long.
 */
#pragma once

#include <stdbool.h>

#include "switch.h"

/* A free one. */
struct weft_task_block {
    struct weft_task_block *next;
    struct weft_task_block *next_batch; /* of the first one of a batch that no thread keeps */
    unsigned batch_count;               /* the same: how many it has */
};

enum weft_block_kind { WEFT_BLOCK_FULL, WEFT_BLOCK_SMALL, WEFT_BLOCK_KINDS };

#define WEFT_BLOCKS_OWN_MAX 128

/* What one thread keeps. All-zero at first. */
struct weft_task_blocks {
    struct {
        struct weft_task_block *first;
        unsigned count;
    } kinds[WEFT_BLOCK_KINDS];
};

/* A block, on a cache line's border (but under ASan) and not zeroed; NULL: no memory. `own`: the
 * calling thread's, or NULL. */
void *weft_task_block_take(struct weft_task_blocks *own, enum weft_block_kind kind);
void weft_task_block_give(struct weft_task_blocks *own, void *block, enum weft_block_kind kind);

/* The same for a full one, if the thread has more than one of these. */
static inline void *weft_task_block_take_own(struct weft_task_blocks *own)
{
    struct weft_task_block *block = own->kinds[WEFT_BLOCK_FULL].first;
    const char *second = (const char *)block->next->next;
    own->kinds[WEFT_BLOCK_FULL].first = block->next;
    own->kinds[WEFT_BLOCK_FULL].count--;
    if (second) {
        __builtin_prefetch(second, 1); /* it will be written soon */
        __builtin_prefetch(second + 64, 1);
    }
    return block;
}

/* Gives `count` blocks of one kind at once, which are linked, if the thread can keep them. */
static inline bool weft_task_block_give_own(struct weft_task_blocks *own, void *first, void *last,
                                            unsigned count, enum weft_block_kind kind)
{
    if (WEFT_ASAN || own->kinds[kind].count + count > WEFT_BLOCKS_OWN_MAX)
        return false;
    ((struct weft_task_block *)last)->next = own->kinds[kind].first;
    own->kinds[kind].first = first;
    own->kinds[kind].count += count;
    return true;
}

/* Returns what a thread keeps, for its end. */
void weft_task_blocks_fini(struct weft_task_blocks *own);

/* Frees them all; none may be in use, or kept. */
void weft_task_block_fini(void);
