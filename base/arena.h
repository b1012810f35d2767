/* SPDX-License-Identifier: MIT
 *
 * A bump arena: many small allocations with one end, for example all of one message. Memory comes
 * in chunks and goes back all at once. It never takes more than its budget from the system: beyond
 * it, and when there is no memory, an allocation is NULL, and later smaller ones may still succeed.
 */
#pragma once

#include <stddef.h>

#include <berth/types.h>

struct berth_arena_chunk;

struct berth_arena {
    struct berth_arena_chunk *chunks; /* newest first */
    size_t budget_bytes;              /* most that is taken from the system, headers not counted */
    size_t chunk_bytes;               /* sum over the chunks */
};

/* Allocates nothing and cannot fail. */
void berth_arena_init(struct berth_arena *arena, size_t budget_bytes);
void berth_arena_fini(struct berth_arena *arena);

/* Everything handed out is gone; the largest chunk is kept for the next round. */
void berth_arena_reset(struct berth_arena *arena);

/* Aligned for any type; 0 bytes give a valid pointer. NULL: no memory within the budget. zalloc:
 * zeroed. */
void *berth_arena_alloc(struct berth_arena *arena, size_t bytes);
void *berth_arena_zalloc(struct berth_arena *arena, size_t bytes);

/* An array, without overflow. */
void *berth_arena_alloc_array(struct berth_arena *arena, size_t count, size_t element_bytes);

/* Copies. `bytes` of `data`; text with its NUL; `bytes` of text, with a NUL put behind it. */
void *berth_arena_memdup(struct berth_arena *arena, const void *data, size_t bytes);
char *berth_arena_strdup(struct berth_arena *arena, const char *text);
char *berth_arena_strndup(struct berth_arena *arena, const char *text, size_t bytes);

/* The same in the shape of protobuf-c's allocator: { berth_arena_alloc_hook, berth_arena_free_hook,
 * arena }. */
void *berth_arena_alloc_hook(void *arena, size_t bytes);
void berth_arena_free_hook(void *arena, void *memory);
