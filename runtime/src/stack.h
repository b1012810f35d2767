/* SPDX-License-Identifier: MIT
 *
 * Stacks for coroutines: address space that is reserved and not committed, with a guard below each
 * stack, reused warm.
 *
 * Stacks come in size classes, powers of two from WEFT_STACK_BYTES_MIN. Each class maps slabs of
 * many stacks, so that a stack costs no mapping of its own. All are of the process, behind a lock;
 * in front of it each thread has a cache, which is its owner's alone.
 *
 * Guards: MADV_GUARD_INSTALL where the kernel has it (Linux 6.13): no mapping is split. Elsewhere
 * by mprotect, which costs two mappings, as long as a quarter of vm.max_map_count lasts; beyond
 * that there is only the gap, and weft_stack_is_intact() looks whether the stack overflowed into
 * it. A guard is as large as its stack, but 64 KiB at least and 1 MiB at most, and a page; it is
 * made when the stack is taken for the first time, and stays.
 *
 * Invariants
 * 1. Reserve at the door: whoever holds a reservation can take a stack without fail. Reserving
 *    touches no memory, so many waiting coroutines cost addresses only.
 * 2. A stack is given back before its reservation is.
 * 3. A cache holds at least as many reservations as stacks. So what all caches keep for themselves
 *    is never what somebody else, with a reservation from wherever, has to find.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "switch.h"

/* A place for a stack. Lies at the hot end of the stack itself, above its first frame: to go on
 * with a coroutine costs one page and no other. Valid from take to give. */
struct weft_stack {
    struct weft_fiber fiber; /* kept with a warm stack, so that its next user need not make it */
    struct weft_stack *next; /* in the list of free ones */
    char *low;               /* the lowest usable byte: the guard is below it */
    size_t bytes;            /* usable */
    bool is_made;            /* the fiber is */
    bool is_guarded;
    uint32_t index; /* in its slab */
    struct weft_stack_slab *slab;
};

/* The class of stacks of at least `bytes`, or -EINVAL for a size out of range. */
int weft_stack_class(size_t bytes);

/* What one owner keeps for himself: stacks of one class that are warm, and reservations, both
 * fetched and returned in batches. For other classes it passes the call on. */
struct weft_stack_cache {
    int size_class;
    unsigned credits; /* reservations that nobody uses */
    unsigned count;   /* of warm stacks; at most as many as credits */
    struct weft_stack *warm;
};

#define WEFT_STACK_CLASS_NONE (-1) /* of a cache that keeps nothing */
void weft_stack_cache_init(struct weft_stack_cache *cache, int size_class);
/* Returns all that it keeps; it can be used again. */
void weft_stack_cache_fini(struct weft_stack_cache *cache);

/* Reserves room for one stack; `cache` may be NULL in all four. 0 or -ENOMEM. A reservation from
 * one cache may be used and returned through another. Reserve, take, give and unreserve together
 * cost 4 ns with a warm stack. */
static inline int weft_stack_reserve(struct weft_stack_cache *cache, int size_class);
static inline void weft_stack_unreserve(struct weft_stack_cache *cache, int size_class);

/* Takes one of those reserved (the warmest), its fiber made with `entry` (always the same one) and
 * at its beginning or where its last user swapped away; and gives it back. */
static inline struct weft_stack *weft_stack_take(struct weft_stack_cache *cache, int size_class,
                                                 void (*entry)(void));
static inline void weft_stack_give(struct weft_stack_cache *cache, int size_class,
                                   struct weft_stack *stack);

/* For when there is nothing to do: gives the pages of `count_max` free stacks at most back to the
 * kernel, but keeps WEFT_STACKS_WARM_MAX of each class. How many it gave back: fewer than
 * `count_max` means that there are no more. 0.6 us each. Any thread. */
#define WEFT_STACKS_WARM_MAX 1024
size_t weft_stack_trim(size_t count_max);

/* Whether there may be some for it. Any thread; one load. */
bool weft_stack_has_spare(void);

/* Whether a stack without a guard is still whole. `sp`: where its user stands. */
bool weft_stack_is_intact(const struct weft_stack *stack, const void *sp);

/* The stack in whose guard `address` lies, or NULL. For a signal handler: no lock is taken, so the
 * answer is reliable only for a stack in use. */
const struct weft_stack *weft_stack_of_guard(const void *address);

/* Unmaps everything; no reservation may be left, in a cache neither. */
void weft_stack_fini(void);

/* The slow ways, which go to the slabs (stack_slab.h). */
int weft_stack_reserve_slow(struct weft_stack_cache *cache, int size_class);
void weft_stack_unreserve_slow(struct weft_stack_cache *cache, int size_class);
struct weft_stack *weft_stack_take_slow(struct weft_stack_cache *cache, int size_class);
void weft_stack_give_slow(struct weft_stack_cache *cache, int size_class, struct weft_stack *stack);
void weft_stack_make(struct weft_stack *stack, void (*entry)(void));

#define WEFT_STACK_CREDITS_MAX 128
#define WEFT_STACK_CACHED_MAX  64

static inline int weft_stack_reserve(struct weft_stack_cache *cache, int size_class)
{
    if (!cache || cache->size_class != size_class || cache->credits <= cache->count)
        return weft_stack_reserve_slow(cache, size_class);
    cache->credits--;
    return 0;
}

static inline void weft_stack_unreserve(struct weft_stack_cache *cache, int size_class)
{
    if (!cache || cache->size_class != size_class || cache->credits >= WEFT_STACK_CREDITS_MAX)
        weft_stack_unreserve_slow(cache, size_class);
    else
        cache->credits++;
}

static inline struct weft_stack *weft_stack_take(struct weft_stack_cache *cache, int size_class,
                                                 void (*entry)(void))
{
    struct weft_stack *stack;
    if (!cache || cache->size_class != size_class || cache->count == 0) {
        stack = weft_stack_take_slow(cache, size_class);
    } else {
        stack = cache->warm;
        cache->warm = stack->next;
        cache->count--;
    }
    if (!stack->is_made)
        weft_stack_make(stack, entry);
    return stack;
}

static inline void weft_stack_give(struct weft_stack_cache *cache, int size_class,
                                   struct weft_stack *stack)
{
    if (!cache || cache->size_class != size_class || cache->count >= WEFT_STACK_CACHED_MAX ||
        cache->count >= cache->credits) {
        weft_stack_give_slow(cache, size_class, stack);
        return;
    }
    stack->next = cache->warm;
    cache->warm = stack;
    cache->count++;
}
