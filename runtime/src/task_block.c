/* SPDX-License-Identifier: MIT */
#include "task_block.h"

#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "lock.h"
#include "tree.h"

#define BATCH_COUNT 64
#define LINE_BYTES  64

/* Slabs double, so that a few coroutines cost little and a million few mappings. From HUGE_BYTES on
 * each is one huge page where the kernel grants them: 512 page faults less, at 1 to 2 us, and a
 * million blocks that are visited in any order find their translations in the TLB. */
#define SLAB_BYTES_MIN ((size_t)32 << 10)
#define HUGE_BYTES     ((size_t)2 << 20)

_Static_assert(WEFT_BLOCKS_OWN_MAX >= 2 * BATCH_COUNT, "a batch stays when one goes");

struct slab {
    struct slab *next;
    size_t bytes;
    char *blocks;
};

/* Free blocks of one kind that are kept by no thread. */
static struct shared {
    struct weft_lock lock;
    struct weft_task_block *batches; /* newest first; nobody walks over the blocks of one */
    char *bump, *bump_end;           /* the part of the newest slab that has never been used */
    struct slab *slabs;
} shared[WEFT_BLOCK_KINDS];

static size_t bytes_of(enum weft_block_kind kind)
{
    size_t bytes = kind == WEFT_BLOCK_SMALL ? WEFT_TASK_BYTES_SMALL : sizeof(struct weft_task);
    return WEFT_TASK_LINES(bytes);
}

/* With room for `bytes` of blocks; NULL: no memory. */
static struct slab *slab_new(size_t bytes)
{
    bool is_huge = bytes == HUGE_BYTES;
    size_t border = is_huge ? HUGE_BYTES : LINE_BYTES; /* what is before it is never touched */
    struct slab *slab = malloc(sizeof *slab + border + bytes);
    if (!slab)
        return NULL;
    char *after = (char *)(slab + 1);
    slab->blocks = after + (border - (uintptr_t)after % border) % border;
    slab->bytes = bytes;
    if (is_huge)
        (void)madvise(slab->blocks, bytes, MADV_HUGEPAGE); /* else there are small ones */
    return slab;
}

/* Under the lock. A batch of blocks that were never used, in order; or NULL. */
static struct weft_task_block *carve(struct shared *s, size_t bytes, unsigned *ret_count)
{
    unsigned count = 0;
    struct weft_task_block *first = NULL, **end = &first;
    for (; count < BATCH_COUNT && (size_t)(s->bump_end - s->bump) >= bytes; count++) {
        struct weft_task_block *block = (void *)s->bump;
        s->bump += bytes;
        *end = block;
        end = &block->next;
    }
    *end = NULL;
    *ret_count = count;
    return first;
}

/* Takes the newest batch of free blocks; NULL: there is none. Under the lock. */
static struct weft_task_block *take_batch(struct shared *s, unsigned *ret_count)
{
    struct weft_task_block *first = s->batches;
    if (!first)
        return NULL;
    s->batches = first->next_batch;
    *ret_count = first->batch_count;
    return first;
}

/* Under the lock, which it lets go of meanwhile: malloc may wait. */
static void slab_add(struct shared *s)
{
    size_t bytes = s->slabs ? s->slabs->bytes * 2 : SLAB_BYTES_MIN;
    if (bytes > HUGE_BYTES)
        bytes = HUGE_BYTES;
    weft_lock_release(&s->lock);
    struct slab *slab = slab_new(bytes);
    weft_lock_acquire(&s->lock);
    if (!slab)
        return;
    slab->next = s->slabs;
    s->slabs = slab;
    s->bump = slab->blocks; /* what was left of another is lost: less than a block, mostly */
    s->bump_end = slab->blocks + bytes;
}

/* A batch of blocks, or NULL. */
static struct weft_task_block *fetch(enum weft_block_kind kind, unsigned *ret_count)
{
    struct shared *s = &shared[kind];
    weft_lock_acquire(&s->lock);
    struct weft_task_block *first = take_batch(s, ret_count);
    if (!first)
        first = carve(s, bytes_of(kind), ret_count);
    if (!first) {
        slab_add(s);
        first = carve(s, bytes_of(kind), ret_count);
    }
    weft_lock_release(&s->lock);
    return first;
}

/* Puts `count` blocks back. */
static void put_back(struct weft_task_block *first, unsigned count, enum weft_block_kind kind)
{
    struct shared *s = &shared[kind];
    weft_lock_acquire(&s->lock);
    first->next_batch = s->batches;
    first->batch_count = count;
    s->batches = first;
    weft_lock_release(&s->lock);
}

void *weft_task_block_take(struct weft_task_blocks *own, enum weft_block_kind kind)
{
    if (WEFT_ASAN)
        return malloc(bytes_of(kind));
    if (!own) { /* a plain thread keeps none */
        struct weft_task_blocks none = { 0 };
        void *block = weft_task_block_take(&none, kind);
        weft_task_blocks_fini(&none);
        return block;
    }
    if (!own->kinds[kind].first)
        own->kinds[kind].first = fetch(kind, &own->kinds[kind].count);
    struct weft_task_block *block = own->kinds[kind].first, *next;
    if (!block)
        return NULL;
    own->kinds[kind].first = next = block->next;
    own->kinds[kind].count--;
    if (next) { /* it will be written soon, and a locked step waits for that */
        __builtin_prefetch(next, 1);
        __builtin_prefetch((char *)next + LINE_BYTES, 1);
    }
    return block;
}

void weft_task_block_give(struct weft_task_blocks *own, void *memory, enum weft_block_kind kind)
{
    if (WEFT_ASAN) {
        free(memory);
        return;
    }
    struct weft_task_block *block = memory;
    if (!own) {
        block->next = NULL;
        put_back(block, 1, kind);
        return;
    }
    block->next = own->kinds[kind].first;
    own->kinds[kind].first = block;
    if (++own->kinds[kind].count < WEFT_BLOCKS_OWN_MAX)
        return;
    struct weft_task_block *last = block;
    for (unsigned i = 1; i < BATCH_COUNT; i++)
        last = last->next;
    own->kinds[kind].first = last->next;
    own->kinds[kind].count -= BATCH_COUNT;
    last->next = NULL;
    put_back(block, BATCH_COUNT, kind);
}

void weft_task_blocks_fini(struct weft_task_blocks *own)
{
    for (int kind = 0; kind < WEFT_BLOCK_KINDS; kind++) {
        if (own->kinds[kind].first)
            put_back(own->kinds[kind].first, own->kinds[kind].count, (enum weft_block_kind)kind);
    }
    *own = (struct weft_task_blocks){ 0 };
}

void weft_task_block_fini(void)
{
    for (int kind = 0; kind < WEFT_BLOCK_KINDS; kind++) {
        struct shared *s = &shared[kind];
        while (s->slabs) {
            struct slab *slab = s->slabs;
            s->slabs = slab->next;
            free(slab);
        }
        s->batches = NULL;
        s->bump = s->bump_end = NULL;
    }
}
