/* SPDX-License-Identifier: MIT */
#include "stack.h"

#include <errno.h>

#include <weft/task.h>

#include "die.h"
#include "stack_slab.h"

/* Reservations that a cache fetches and returns at once. */
#define CREDITS_BATCH 64
/* A class with so many stacks mapped is one of many coroutines: the first pages of those that a
 * cache fetches are brought in together. */
#define POPULATE_STACKS_MIN 1024
/* Below an unguarded stack's reach: must still be zero when it is looked at. */
#define CANARY_WORDS 8

int weft_stack_class(size_t bytes)
{
    if (bytes < WEFT_STACK_BYTES_MIN || bytes > WEFT_STACK_BYTES_MAX)
        return -EINVAL;
    int size_class = 0;
    while (WEFT_STACK_BYTES_MIN << size_class < bytes)
        size_class++;
    return size_class;
}

/* Reservations -------------------------------------------------------------------------------- */

/* Up to `count` reservations, at least one: how many; or -ENOMEM. */
static int class_reserve(int size_class, size_t count)
{
    struct weft_slab_class *class = weft_slab_class(size_class);
    for (;;) {
        weft_lock_acquire(&class->lock);
        size_t left = class->capacity - class->reserved;
        size_t got = left < count ? left : count;
        class->reserved += got;
        weft_lock_release(&class->lock);
        if (got > 0)
            return (int)got;
        int rc = weft_slab_grow(size_class);
        if (rc < 0)
            return rc;
    }
}

static void class_unreserve(int size_class, size_t count)
{
    struct weft_slab_class *class = weft_slab_class(size_class);
    weft_lock_acquire(&class->lock);
    class->reserved -= count;
    weft_lock_release(&class->lock);
}

int weft_stack_reserve_slow(struct weft_stack_cache *cache, int size_class)
{
    bool is_cached = cache && cache->size_class == size_class;
    int got = class_reserve(size_class, is_cached ? CREDITS_BATCH : 1);
    if (got > 1)
        cache->credits += (unsigned)got - 1;
    return got < 0 ? got : 0;
}

void weft_stack_unreserve_slow(struct weft_stack_cache *cache, int size_class)
{
    size_t count = 1;
    if (cache && cache->size_class == size_class) { /* a stack that it keeps needs a credit */
        unsigned spare = cache->credits - cache->count;
        spare = spare < CREDITS_BATCH ? spare : CREDITS_BATCH;
        cache->credits -= spare;
        count += spare;
    }
    class_unreserve(size_class, count);
}

void weft_stack_cache_init(struct weft_stack_cache *cache, int size_class)
{
    *cache = (struct weft_stack_cache){ .size_class = size_class };
}

void weft_stack_cache_fini(struct weft_stack_cache *cache)
{
    if (cache->credits == 0)
        return;
    struct weft_slab_class *class = weft_slab_class(cache->size_class);
    weft_lock_acquire(&class->lock);
    while (cache->warm) {
        struct weft_stack *stack = cache->warm;
        cache->warm = stack->next;
        weft_slab_put_warm(class, stack, stack, 1);
    }
    class->reserved -= cache->credits;
    weft_lock_release(&class->lock);
    cache->count = cache->credits = 0;
}

/* Stacks -------------------------------------------------------------------------------------- */

struct weft_stack *weft_stack_take_slow(struct weft_stack_cache *cache, int size_class)
{
    struct weft_slab_class *class = weft_slab_class(size_class);
    struct weft_slab_batch batch;
    batch.count = 0;
    bool is_cached = cache && cache->size_class == size_class;
    size_t want = 1;
    weft_lock_acquire(&class->lock);
    if (is_cached) { /* as many more as there are reservations to keep them by */
        size_t spare = cache->credits - cache->count, left = class->capacity - class->reserved;
        size_t more = WEFT_SLAB_BATCH_MAX - 1;
        size_t lacking = spare < more ? more - spare : 0;
        lacking = lacking < left ? lacking : left;
        class->reserved += lacking;
        cache->credits += (unsigned)lacking;
        want += spare + lacking < more ? spare + lacking : more;
    }
    weft_slab_pull(class, &batch, want);
    bool is_populated = batch.count > 1 && class->capacity >= POPULATE_STACKS_MIN;
    weft_lock_release(&class->lock);
    WEFT_REQUIRE(batch.count > 0, "a stack was taken that nobody reserved");
    if (!batch.is_warm)
        weft_slab_warm_up(&batch, is_populated);
    while (batch.count > 1) { /* the first one, the warmest, is taken */
        struct weft_stack *stack = batch.stacks[--batch.count];
        stack->next = cache->warm;
        cache->warm = stack;
        cache->count++;
    }
    return batch.stacks[0];
}

/* Returns the colder half, which is the list's end. */
void weft_stack_give_slow(struct weft_stack_cache *cache, int size_class, struct weft_stack *stack)
{
    struct weft_slab_class *class = weft_slab_class(size_class);
    struct weft_stack *first = stack, *last = stack;
    size_t count = 1;
    if (cache && cache->size_class == size_class && cache->count >= WEFT_STACK_CACHED_MAX) {
        struct weft_stack *kept = cache->warm;
        for (size_t i = 1; i < WEFT_STACK_CACHED_MAX - WEFT_SLAB_BATCH_MAX; i++)
            kept = kept->next;
        first = last = kept->next;
        kept->next = NULL;
        for (count = 1; last->next; count++)
            last = last->next;
        cache->count -= (unsigned)count;
        stack->next = cache->warm;
        cache->warm = stack;
        cache->count++;
    }
    weft_lock_acquire(&class->lock);
    weft_slab_put_warm(class, first, last, count);
    weft_lock_release(&class->lock);
}

void weft_stack_make(struct weft_stack *stack, void (*entry)(void))
{
    weft_fiber_make(&stack->fiber, stack->low, stack->bytes, entry);
    stack->is_made = true;
}

bool weft_stack_is_intact(const struct weft_stack *stack, const void *sp)
{
    const char *at = sp;
    if (at < stack->low || at > stack->low + stack->bytes)
        return false;
    const uint64_t *canary = (const uint64_t *)(const void *)stack->low;
    for (size_t i = 0; i < CANARY_WORDS; i++) {
        if (canary[i] != 0)
            return false;
    }
    return true;
}
