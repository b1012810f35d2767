/* SPDX-License-Identifier: MIT */
#include "slab.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

void slab_init(struct slab *slab, size_t record_bytes, uint32_t count_max)
{
    BERTH_ASSERT(record_bytes >= sizeof(uint32_t));
    *slab = (struct slab){ .record_bytes = record_bytes, .count_max = count_max };
}

void slab_fini(struct slab *slab)
{
    for (uint32_t i = 0; i < slab->chunk_count; i++)
        free(slab->chunks[i]);
    free(slab->chunks);
    *slab = (struct slab){ .record_bytes = slab->record_bytes, .count_max = slab->count_max };
}

/* One more chunk. 0, or -1 without memory. */
static int slab_grow(struct slab *slab)
{
    if (slab->chunk_count == slab->chunk_room) {
        uint32_t room = slab->chunk_room ? slab->chunk_room * 2 : 8;
        char **chunks = realloc(slab->chunks, room * sizeof *chunks);
        if (!chunks)
            return -1;
        slab->chunks = chunks;
        slab->chunk_room = room;
    }
    char *chunk = malloc(SLAB_CHUNK_RECORDS * slab->record_bytes);
    if (!chunk)
        return -1;
    slab->chunks[slab->chunk_count++] = chunk;
    return 0;
}

uint32_t slab_take(struct slab *slab)
{
    if (slab->used == slab->count_max)
        return SLAB_NONE;
    uint32_t index = slab->free_first;
    if (index) {
        memcpy(&slab->free_first, slab_at(slab, index), sizeof slab->free_first);
    } else {
        if (slab->top == slab->chunk_count * SLAB_CHUNK_RECORDS && slab_grow(slab) < 0)
            return SLAB_NONE;
        index = ++slab->top;
    }
    slab->used++;
    memset(slab_at(slab, index), 0, slab->record_bytes);
    return index;
}

void slab_give(struct slab *slab, uint32_t index)
{
    BERTH_ASSERT(index > 0);
    BERTH_ASSERT(index <= slab->top);
    memset(slab_at(slab, index), 0, slab->record_bytes);
    memcpy(slab_at(slab, index), &slab->free_first, sizeof slab->free_first);
    slab->free_first = index;
    slab->used--;
}

void *block_new(size_t bytes)
{
    return calloc(1, bytes);
}

void *block_resize(void *block, size_t bytes)
{
    return realloc(block, bytes);
}

void block_free(void *block)
{
    free(block);
}
