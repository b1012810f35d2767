/* SPDX-License-Identifier: MIT
 *
 * Intrusive binary heap: the smallest element first, any element removed or moved in O(log n).
 * Header-only; depends on assert.h and container.h alone, for the coroutine runtime uses it too.
 * Never allocates: the array of pointers is the caller's, so that room can be reserved at the door.
 *
 * Invariants
 * 1. An element knows its place: nodes[node->index - 1] == node. Index 0 (all zero) is an element
 * in no heap.
 * 2. No element is before its parent.
 * 3. The order of equal elements is not kept: where that matters (a replay), `is_before` must never
 * call two elements equal; compare a sequence number last.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/assert.h"
#include "base/container.h"

struct berth_heap_node {
    size_t index; /* 1 .. count; 0: in no heap */
};

/* A strict order. */
typedef bool (*berth_heap_before_fn)(const struct berth_heap_node *a,
                                     const struct berth_heap_node *b);

struct berth_heap {
    struct berth_heap_node **nodes; /* borrowed */
    size_t count, capacity;
    berth_heap_before_fn is_before;
};

/* `nodes`: room for `capacity` pointers, borrowed while the heap is in use. */
static inline void berth_heap_init(struct berth_heap *heap, struct berth_heap_node **nodes,
                                   size_t capacity, berth_heap_before_fn is_before)
{
    *heap = (struct berth_heap){ .nodes = nodes, .capacity = capacity, .is_before = is_before };
}

/* Goes over to a new array that already holds what the old one held (after a realloc). */
static inline void berth_heap_move(struct berth_heap *heap, struct berth_heap_node **nodes,
                                   size_t capacity)
{
    BERTH_ASSERT(capacity >= heap->count);
    heap->nodes = nodes;
    heap->capacity = capacity;
}

static inline bool berth_heap_is_linked(const struct berth_heap_node *node)
{
    return node->index != 0;
}

/* The smallest, or NULL. */
static inline struct berth_heap_node *berth_heap_first(const struct berth_heap *heap)
{
    return heap->count > 0 ? heap->nodes[0] : NULL;
}

static inline void berth_heap_put_(struct berth_heap *heap, size_t place,
                                   struct berth_heap_node *node)
{
    heap->nodes[place] = node;
    node->index = place + 1;
}

static inline void berth_heap_up_(struct berth_heap *heap, size_t place)
{
    struct berth_heap_node *node = heap->nodes[place];
    while (place > 0) {
        size_t parent = (place - 1) / 2;
        if (!heap->is_before(node, heap->nodes[parent]))
            break;
        berth_heap_put_(heap, place, heap->nodes[parent]);
        place = parent;
    }
    berth_heap_put_(heap, place, node);
}

static inline void berth_heap_down_(struct berth_heap *heap, size_t place)
{
    struct berth_heap_node *node = heap->nodes[place];
    for (;;) {
        size_t child = 2 * place + 1;
        if (child >= heap->count)
            break;
        if (child + 1 < heap->count && heap->is_before(heap->nodes[child + 1], heap->nodes[child]))
            child++;
        if (!heap->is_before(heap->nodes[child], node))
            break;
        berth_heap_put_(heap, place, heap->nodes[child]);
        place = child;
    }
    berth_heap_put_(heap, place, node);
}

/* `node` must be in no heap, and the heap must have room. */
static inline void berth_heap_push(struct berth_heap *heap, struct berth_heap_node *node)
{
    BERTH_ASSERT(node->index == 0);
    BERTH_ASSERT(heap->count < heap->capacity);
    berth_heap_put_(heap, heap->count++, node);
    berth_heap_up_(heap, heap->count - 1);
}

/* Puts `node` right after its key has changed. */
static inline void berth_heap_update(struct berth_heap *heap, struct berth_heap_node *node)
{
    BERTH_ASSERT(node->index > 0);
    BERTH_ASSERT(node->index <= heap->count);
    BERTH_ASSERT(heap->nodes[node->index - 1] == node);
    berth_heap_up_(heap, node->index - 1);
    berth_heap_down_(heap, node->index - 1);
}

/* Takes `node` out of this heap; it must be in it. Its key may have changed. */
static inline void berth_heap_remove(struct berth_heap *heap, struct berth_heap_node *node)
{
    BERTH_ASSERT(node->index > 0);
    BERTH_ASSERT(node->index <= heap->count);
    BERTH_ASSERT(heap->nodes[node->index - 1] == node);
    size_t place = node->index - 1;
    struct berth_heap_node *last = heap->nodes[--heap->count];
    node->index = 0;
    if (last == node)
        return;
    berth_heap_put_(heap, place, last);
    berth_heap_update(heap, last);
}

/* Takes the smallest out and returns it, or NULL. */
static inline struct berth_heap_node *berth_heap_pop(struct berth_heap *heap)
{
    struct berth_heap_node *node = berth_heap_first(heap);
    if (node)
        berth_heap_remove(heap, node);
    return node;
}
