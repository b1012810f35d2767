/* SPDX-License-Identifier: MIT */
#include "compact.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "die.h"
#include "stack.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* include/uapi/asm-generic/mman-common.h, Linux 5.14 */
#endif

/* Chunks double, so that a few coroutines cost little and a million few mappings. */
#define CHUNK_BYTES_MIN ((size_t)64 << 10)
#define CHUNK_BYTES_MAX ((size_t)2 << 20) /* a huge page */
/* Without huge pages, and from the second chunk on, pages come by so many bytes at once: 1.5 us a
 * page and not 2.2 (2 GHz Xeon, virtual, 2026-11). */
#define POPULATE_BYTES ((size_t)64 << 10)

/* Of a spare block. */
#define SPARE_BYTES_MIN 2048

/* In the address of a saved stack: it lies in a spare block, which malloc has aligned. */
#define IS_SPARE ((uintptr_t)1)

struct weft_chunk {
    struct weft_chunk *next;
    size_t bytes;
    _Alignas(64) char memory[]; /* a block of 128 bytes is two cache lines */
};

struct free_block {
    struct free_block *next;
};

static void evict(struct weft_region *region);
static void *block_take(struct weft_blocks *blocks, size_t bytes);
static void block_give(struct weft_blocks *blocks, void *block, size_t bytes);
static bool chunk_add(struct weft_blocks *blocks);

static size_t rounded(size_t bytes)
{
    return (bytes + WEFT_BLOCK_STEP_BYTES - 1) / WEFT_BLOCK_STEP_BYTES * WEFT_BLOCK_STEP_BYTES;
}

/* What a coroutine that is not running has on its region, or saved from there. Whole steps: what
 * lies below the stack pointer does no harm. */
static size_t used_bytes(const struct weft_region *region, const struct weft_compact *compact)
{
    const char *sp = weft_fiber_sp(&compact->fiber);
    return rounded((size_t)(region->top - sp));
}

/* Never run: a region's own fiber is not used, each coroutine has one. */
static void no_entry(void)
{
    weft_die("a region was entered without a coroutine");
}

int weft_region_init(struct weft_region *region, struct weft_blocks *blocks, size_t stack_bytes)
{
    int size_class = weft_stack_class(stack_bytes);
    if (size_class < 0)
        return size_class;
    int rc = weft_stack_reserve(NULL, size_class);
    if (rc < 0)
        return rc;
    *region = (struct weft_region){
        .stack = weft_stack_take(NULL, size_class, no_entry),
        .size_class = size_class,
        .blocks = blocks,
    };
    region->top = region->stack->low + region->stack->bytes;
    return 0;
}

void weft_region_fini(struct weft_region *region)
{
    WEFT_REQUIRE(!region->resident, "a compact coroutine is still on its region at the end");
    free(region->spare);
    /* Coroutines were here: its own fiber is not what it was. */
    weft_fiber_fini(&region->stack->fiber);
    region->stack->is_made = false;
    weft_stack_give(NULL, region->size_class, region->stack);
    weft_stack_unreserve(NULL, region->size_class);
    memset(region, 0, sizeof *region);
}

bool weft_region_has(const struct weft_region *region, const void *address)
{
    const char *at = address;
    return at >= region->stack->low && at < region->top;
}

static void check_place(const struct weft_region *region)
{
    WEFT_REQUIRE(!weft_region_has(region, __builtin_frame_address(0)),
                 "a region changes hands while somebody stands on it");
}

int weft_compact_begin(struct weft_region *region, struct weft_compact *compact,
                       void (*entry)(void))
{
    check_place(region);
    if (region->pins > 0)
        return -EBUSY;
    evict(region);
    weft_fiber_make(&compact->fiber, region->stack->low, region->stack->bytes, entry);
    region->resident = compact;
    return 0;
}

int weft_compact_enter(struct weft_region *region, struct weft_compact *compact)
{
    if (region->resident == compact)
        return 0;
    check_place(region);
    if (region->pins > 0)
        return -EBUSY;
    WEFT_REQUIRE(compact->saved, "a compact coroutine is entered that is not parked");
    evict(region);
    size_t bytes = used_bytes(region, compact);
    uintptr_t is_spare = (uintptr_t)compact->saved & IS_SPARE;
    char *block = (char *)compact->saved - is_spare;
    memcpy(region->top - bytes, block, bytes);
    if (is_spare)
        free(block);
    else
        block_give(region->blocks, block, bytes);
    compact->saved = NULL;
    region->resident = compact;
    return 0;
}

void weft_compact_end(struct weft_region *region, struct weft_compact *compact)
{
    WEFT_REQUIRE(region->resident == compact, "a compact coroutine ends that is not there");
    WEFT_REQUIRE(region->pins == 0, "a compact coroutine ends pinned");
    weft_fiber_fini(&compact->fiber);
    region->resident = NULL;
}

/* Copies out whoever is there. */
static void evict(struct weft_region *region)
{
    struct weft_compact *compact = region->resident;
    if (!compact)
        return;
    size_t bytes = used_bytes(region, compact);
    char *block = block_take(region->blocks, bytes);
    uintptr_t is_spare = 0;
    if (!block) {
        WEFT_REQUIRE(bytes <= region->spare_bytes,
                     "a compact coroutine parked that was not prepared, and there is no memory");
        block = region->spare;
        is_spare = IS_SPARE;
        region->spare = NULL;
        region->spare_bytes = 0;
    }
    memcpy(block, region->top - bytes, bytes);
    compact->saved = block + is_spare;
    region->resident = NULL;
}

int weft_compact_prepare_slow(struct weft_region *region, size_t bytes)
{
    bytes = rounded(bytes + bytes / 2); /* so that going deeper step by step is not slow */
    if (bytes < SPARE_BYTES_MIN)
        bytes = SPARE_BYTES_MIN;
    if (bytes > region->stack->bytes) /* a multiple of the step, as stacks are */
        bytes = region->stack->bytes / WEFT_BLOCK_STEP_BYTES * WEFT_BLOCK_STEP_BYTES;
    void *spare = malloc(bytes);
    if (!spare)
        return -ENOMEM;
    free(region->spare);
    region->spare = spare;
    region->spare_bytes = bytes;
    return 0;
}

/* Blocks -------------------------------------------------------------------------------------- */

static void *block_take(struct weft_blocks *blocks, size_t bytes)
{
    size_t class = bytes / WEFT_BLOCK_STEP_BYTES - 1;
    void *block;
    if (class >= WEFT_BLOCK_CLASSES) {
        block = malloc(bytes);
    } else if (blocks->free[class]) {
        struct free_block *first = blocks->free[class];
        blocks->free[class] = first->next;
        block = first;
    } else if ((size_t)(blocks->bump_end - blocks->bump) >= bytes || chunk_add(blocks)) {
        block = blocks->bump;
        blocks->bump += bytes;
        if (blocks->bump > blocks->populated) {
            size_t left = (size_t)(blocks->bump_end - blocks->populated);
            size_t more = left < POPULATE_BYTES ? left : POPULATE_BYTES;
            (void)madvise(blocks->populated, more, MADV_POPULATE_WRITE); /* else faults do it */
            blocks->populated += more;
        }
    } else {
        return NULL;
    }
    blocks->live += block != NULL;
    return block;
}

static void block_give(struct weft_blocks *blocks, void *block, size_t bytes)
{
    size_t class = bytes / WEFT_BLOCK_STEP_BYTES - 1;
    blocks->live--;
    if (class >= WEFT_BLOCK_CLASSES) {
        free(block);
        return;
    }
    struct free_block *first = block;
    first->next = blocks->free[class];
    blocks->free[class] = first;
}

/* The largest are huge pages where the kernel grants them: 512 faults less, and a million saved
 * stacks that are visited in any order find their translations in the TLB. NULL: no memory. */
static void *chunk_map(size_t bytes)
{
    bool is_huge = bytes == CHUNK_BYTES_MAX;
    size_t room = is_huge ? 2 * bytes : bytes; /* somewhere in there is the border of a page */
    char *memory = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return NULL;
    if (!is_huge)
        return memory;
    size_t before = (bytes - (uintptr_t)memory % bytes) % bytes;
    if (before > 0)
        (void)munmap(memory, before);
    (void)munmap(memory + before + bytes, room - before - bytes);
    (void)madvise(memory + before, bytes, MADV_HUGEPAGE);
    return memory + before;
}

/* What is left of the one before is lost: less than 1 KiB. */
static bool chunk_add(struct weft_blocks *blocks)
{
    size_t bytes = blocks->chunk_bytes * 2;
    if (bytes < CHUNK_BYTES_MIN)
        bytes = CHUNK_BYTES_MIN;
    if (bytes > CHUNK_BYTES_MAX)
        bytes = CHUNK_BYTES_MAX;
    struct weft_chunk *chunk = chunk_map(bytes);
    if (!chunk)
        return false;
    chunk->next = blocks->chunks;
    chunk->bytes = bytes;
    blocks->chunks = chunk;
    blocks->bump = chunk->memory;
    blocks->bump_end = (char *)chunk + bytes;
    blocks->populated = bytes > CHUNK_BYTES_MIN ? (char *)chunk : blocks->bump_end;
    blocks->chunk_bytes = bytes;
    return true;
}

void weft_blocks_trim(struct weft_blocks *blocks)
{
    if (blocks->live > 0)
        return;
    while (blocks->chunks) {
        struct weft_chunk *chunk = blocks->chunks;
        blocks->chunks = chunk->next;
        (void)munmap(chunk, chunk->bytes);
    }
    memset(blocks, 0, sizeof *blocks);
}
