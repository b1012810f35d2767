/* SPDX-License-Identifier: MIT */
#include "task_block.h"

#include <stdlib.h>

#include "lock.h"
#include "switch.h"

#define BATCH_COUNT 64
#define OWN_MAX     (2 * BATCH_COUNT)

/* So many blocks in one allocation. */
struct slab {
    struct slab *next;
    max_align_t blocks[];
};

static struct {
    struct weft_lock lock;
    struct weft_task_block *first; /* free, and kept by no thread */
    size_t count;
    struct slab *slabs;
} shared;

static struct slab *slab_new(size_t bytes)
{
    return malloc(sizeof(struct slab) + BATCH_COUNT * bytes);
}

/* Under the lock. */
static void slab_add(struct slab *slab, size_t bytes)
{
    slab->next = shared.slabs;
    shared.slabs = slab;
    for (size_t i = BATCH_COUNT; i-- > 0;) {
        struct weft_task_block *block = (void *)((char *)slab->blocks + i * bytes);
        block->next = shared.first;
        shared.first = block;
    }
    shared.count += BATCH_COUNT;
}

/* A batch of free blocks, or NULL. */
static struct weft_task_block *fetch(size_t bytes, unsigned *ret_count)
{
    struct slab *slab = NULL;
    weft_lock_acquire(&shared.lock);
    if (shared.count == 0) {
        weft_lock_release(&shared.lock); /* malloc may wait */
        slab = slab_new(bytes);
        weft_lock_acquire(&shared.lock);
        if (slab)
            slab_add(slab, bytes);
    }
    struct weft_task_block *first = shared.first, *last = first;
    unsigned count = first ? 1 : 0;
    for (; last && last->next && count < BATCH_COUNT; count++)
        last = last->next;
    if (last) {
        shared.first = last->next;
        last->next = NULL;
    }
    shared.count -= count;
    weft_lock_release(&shared.lock);
    *ret_count = count;
    return first;
}

/* Puts `count` blocks, of which `last` is the last, back. */
static void put_back(struct weft_task_block *first, struct weft_task_block *last, unsigned count)
{
    weft_lock_acquire(&shared.lock);
    last->next = shared.first;
    shared.first = first;
    shared.count += count;
    weft_lock_release(&shared.lock);
}

void *weft_task_block_take(struct weft_task_blocks *own, size_t bytes)
{
    if (WEFT_ASAN)
        return malloc(bytes);
    if (!own) { /* a plain thread keeps none */
        struct weft_task_blocks none = { 0 };
        void *block = weft_task_block_take(&none, bytes);
        weft_task_blocks_fini(&none);
        return block;
    }
    if (!own->first)
        own->first = fetch(bytes, &own->count);
    struct weft_task_block *block = own->first;
    if (!block)
        return NULL;
    own->first = block->next;
    own->count--;
    if (own->first) { /* the next one will be written soon, and a locked step waits for that */
        __builtin_prefetch(own->first, 1);
        __builtin_prefetch((char *)own->first + 64, 1);
        __builtin_prefetch((char *)own->first + 128, 1);
    }
    return block;
}

void weft_task_block_give(struct weft_task_blocks *own, void *memory)
{
    if (WEFT_ASAN) {
        free(memory);
        return;
    }
    struct weft_task_block *block = memory;
    if (!own) {
        put_back(block, block, 1);
        return;
    }
    block->next = own->first;
    own->first = block;
    if (++own->count < OWN_MAX)
        return;
    struct weft_task_block *last = block;
    for (unsigned i = 1; i < BATCH_COUNT; i++)
        last = last->next;
    own->first = last->next;
    own->count -= BATCH_COUNT;
    put_back(block, last, BATCH_COUNT);
}

void weft_task_blocks_fini(struct weft_task_blocks *own)
{
    struct weft_task_block *last = own->first;
    while (last && last->next)
        last = last->next;
    if (last)
        put_back(own->first, last, own->count);
    *own = (struct weft_task_blocks){ 0 };
}

void weft_task_block_fini(void)
{
    while (shared.slabs) {
        struct slab *slab = shared.slabs;
        shared.slabs = slab->next;
        free(slab);
    }
    shared.first = NULL;
    shared.count = 0;
}
