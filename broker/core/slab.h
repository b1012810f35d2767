/* SPDX-License-Identifier: MIT */
/* The only memory of the core: pools of equal records named by 32-bit indices, and plain blocks.
 *
 * A slab grows by chunks that never move, so a pointer stays good until its record is freed. Index
 * 0 is nobody. Nothing else in broker/core calls malloc.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define SLAB_CHUNK_RECORDS 4096u
#define SLAB_NONE          0u

struct slab {
    size_t record_bytes;
    uint32_t used, top, count_max; /* in use; highest index handed out; most that may be in use */
    uint32_t free_first;           /* freed records, linked through their first four bytes */
    char **chunks;
    uint32_t chunk_count, chunk_room;
};

/* `record_bytes` >= 4. Allocates nothing. */
void slab_init(struct slab *slab, size_t record_bytes, uint32_t count_max);
void slab_fini(struct slab *slab);

/* The index of a zeroed record, or SLAB_NONE: count_max is reached, or no memory. */
uint32_t slab_take(struct slab *slab);
void slab_give(struct slab *slab, uint32_t index);

/* `index` must be in use. */
static inline void *slab_at(const struct slab *slab, uint32_t index)
{
    uint32_t place = index - 1;
    return slab->chunks[place / SLAB_CHUNK_RECORDS] +
           (size_t)(place % SLAB_CHUNK_RECORDS) * slab->record_bytes;
}

/* Plain blocks: zeroed, NULL without memory; a resized block keeps its contents, the rest is not
 * zeroed. */
void *block_new(size_t bytes);
void *block_resize(void *block, size_t bytes);
void block_free(void *block);
