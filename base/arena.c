/* SPDX-License-Identifier: MIT
 *
 * The bump arena. Chunks double from CHUNK_BYTES_MIN to CHUNK_BYTES_MAX, and shrink to what is left
 * of the budget.
 */
#include "base/arena.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

#define CHUNK_BYTES_MIN ((size_t)1024)
#define CHUNK_BYTES_MAX ((size_t)64 * 1024)
#define ALIGNMENT       _Alignof(max_align_t)

struct berth_arena_chunk {
    struct berth_arena_chunk *next;
    size_t bytes, used;
    _Alignas(max_align_t) char data[];
};

void berth_arena_init(struct berth_arena *arena, size_t budget_bytes)
{
    *arena = (struct berth_arena){ .budget_bytes = budget_bytes };
}

static void chunks_free(struct berth_arena_chunk *chunk)
{
    while (chunk) {
        struct berth_arena_chunk *next = chunk->next;
        free(chunk);
        chunk = next;
    }
}

void berth_arena_fini(struct berth_arena *arena)
{
    chunks_free(arena->chunks);
    berth_arena_init(arena, arena->budget_bytes);
}

void berth_arena_reset(struct berth_arena *arena)
{
    struct berth_arena_chunk *kept = NULL, *rest = NULL;
    for (struct berth_arena_chunk *chunk = arena->chunks, *next; chunk; chunk = next) {
        next = chunk->next;
        struct berth_arena_chunk *spare = chunk;
        if (!kept || chunk->bytes > kept->bytes) {
            spare = kept;
            kept = chunk;
        }
        if (spare) {
            spare->next = rest;
            rest = spare;
        }
    }
    chunks_free(rest);
    arena->chunks = kept;
    arena->chunk_bytes = 0;
    if (!kept)
        return;
    kept->next = NULL;
    kept->used = 0;
    arena->chunk_bytes = kept->bytes;
}

/* A new chunk with room for `bytes` (a multiple of the alignment), or NULL. */
static struct berth_arena_chunk *chunk_new(struct berth_arena *arena, size_t bytes)
{
    BERTH_ASSERT(arena->chunk_bytes <= arena->budget_bytes);
    size_t left = arena->budget_bytes - arena->chunk_bytes;
    if (bytes > left)
        return NULL;
    size_t wanted = arena->chunks ? 2 * arena->chunks->bytes : CHUNK_BYTES_MIN;
    if (wanted > CHUNK_BYTES_MAX)
        wanted = CHUNK_BYTES_MAX;
    if (wanted > left)
        wanted = left;
    if (wanted < bytes)
        wanted = bytes;

    struct berth_arena_chunk *chunk = malloc(sizeof *chunk + wanted);
    if (!chunk)
        return NULL;
    *chunk = (struct berth_arena_chunk){ .next = arena->chunks, .bytes = wanted };
    arena->chunks = chunk;
    arena->chunk_bytes += wanted;
    return chunk;
}

void *berth_arena_alloc(struct berth_arena *arena, size_t bytes)
{
    if (bytes > SIZE_MAX / 2)
        return NULL;
    size_t rounded = (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    struct berth_arena_chunk *chunk = arena->chunks;
    if (!chunk || rounded > chunk->bytes - chunk->used)
        chunk = chunk_new(arena, rounded);
    if (!chunk)
        return NULL;
    void *memory = chunk->data + chunk->used;
    chunk->used += rounded;
    return memory;
}

void *berth_arena_zalloc(struct berth_arena *arena, size_t bytes)
{
    void *memory = berth_arena_alloc(arena, bytes);
    return memory ? memset(memory, 0, bytes) : NULL;
}

void *berth_arena_alloc_array(struct berth_arena *arena, size_t count, size_t element_bytes)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, element_bytes, &bytes))
        return NULL;
    return berth_arena_alloc(arena, bytes);
}

void *berth_arena_memdup(struct berth_arena *arena, const void *data, size_t bytes)
{
    void *copy = berth_arena_alloc(arena, bytes);
    if (copy && bytes > 0)
        memcpy(copy, data, bytes);
    return copy;
}

char *berth_arena_strdup(struct berth_arena *arena, const char *text)
{
    return berth_arena_memdup(arena, text, strlen(text) + 1);
}

char *berth_arena_strndup(struct berth_arena *arena, const char *text, size_t bytes)
{
    if (bytes == SIZE_MAX)
        return NULL;
    char *copy = berth_arena_alloc(arena, bytes + 1);
    if (!copy)
        return NULL;
    if (bytes > 0)
        memcpy(copy, text, bytes);
    copy[bytes] = '\0';
    return copy;
}

void *berth_arena_alloc_hook(void *arena, size_t bytes)
{
    return berth_arena_alloc(arena, bytes);
}

void berth_arena_free_hook(void *arena, void *memory)
{
    (void)arena;
    (void)memory;
}
