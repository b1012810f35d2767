/* SPDX-License-Identifier: MIT
 *
 * Where stacks are mapped: slabs of many stacks of one size class, all of the process. In front of
 * them stand the caches of stack.c, which fetch and return stacks in batches.
 *
 * A stack is fresh (nobody has ever taken it), cold (its pages went back to the kernel, and its
 * record with them) or warm.
 *
 * The lock of a class is never held over a system call: slabs are made before, pages are dealt with
 * afterwards.
 */
#pragma once

#include "lock.h"
#include "stack.h"

/* Stacks that go to a cache, or back, at once. */
#define WEFT_SLAB_BATCH_MAX 32

/* A stack without pages, and so without a record. */
struct weft_cold_stack {
    uint32_t index;
    bool is_guarded;
};

struct weft_stack_slab {
    struct weft_stack_slab *next;      /* all of the class, newest first */
    struct weft_stack_slab *next_open; /* in class->open */
    bool is_open;                      /* it is in there: it may have cold or fresh stacks */
    char *memory;
    size_t guard_bytes, stride, count;
    size_t fresh;      /* from this index on nobody has ever taken one */
    size_t cold_count; /* of those whose pages went back to the kernel */
    struct weft_cold_stack cold[];
};

/* All stacks of one size; under its lock. */
struct weft_slab_class {
    struct weft_lock lock;
    struct weft_stack *warm;
    size_t warm_count;
    size_t capacity, reserved;             /* stacks mapped, and of these promised */
    struct weft_stack_slab *_Atomic slabs; /* atomic for the signal handler's sake */
    struct weft_stack_slab *open;
};

/* Stacks on their way from a slab to a cache or back. */
struct weft_slab_batch {
    size_t count;
    bool is_warm; /* all are; or none */
    struct weft_stack *stacks[WEFT_SLAB_BATCH_MAX];
    struct weft_stack_slab *slabs[WEFT_SLAB_BATCH_MAX]; /* these two: not of warm ones */
    struct weft_cold_stack cold[WEFT_SLAB_BATCH_MAX];
};

struct weft_slab_class *weft_slab_class(int size_class);

/* Maps one more slab, as large as all before it within the limits: 0 or -ENOMEM. Of two threads
 * that do so at the same time each adds one: it costs addresses only. */
int weft_slab_grow(int size_class);

/* Under the lock: takes out up to `count`; cold and fresh ones only when there is no warm one. */
void weft_slab_pull(struct weft_slab_class *class, struct weft_slab_batch *batch, size_t count);

/* Without the lock: gives cold stacks their guards and their records. To take a fresh stack and to
 * switch to it and back takes 1.6 us with the first pages of 32 stacks brought in by one call
 * (`is_populated`), 2.0 by page faults; 1.2 and 1.7 for a stack that has its guard already (2 GHz
 * Xeon, virtual, Linux 6.18, 100,000 stacks, 2026-11). */
void weft_slab_warm_up(struct weft_slab_batch *batch, bool is_populated);

/* Under the lock: puts back a list of warm ones, from `first` to `last`. */
void weft_slab_put_warm(struct weft_slab_class *class, struct weft_stack *first,
                        struct weft_stack *last, size_t count);
