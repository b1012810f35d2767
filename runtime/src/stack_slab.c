/* SPDX-License-Identifier: MIT */
#include "stack_slab.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>

#include <weft/task.h>

#include "die.h"
#include "stack_guard.h"

#if WEFT_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/lsan_interface.h>
#endif

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* include/uapi/asm-generic/mman-common.h, Linux 5.14 */
#endif

#define CLASS_COUNT     17 /* 16 KiB .. 1 GiB */
#define SLAB_STACKS_MIN 16
#define SLAB_STACKS_MAX 4096
#define SLAB_BYTES_MAX  ((size_t)320 << 20)
/* Coroutines that run the same code would otherwise stand at the same place in their page, and so
 * in the same few sets of the cache. */
#define COLOURS      15
#define COLOUR_BYTES 64

static struct weft_slab_class classes[CLASS_COUNT];
static atomic_bool has_spare; /* some class has more warm ones than it may keep */

static size_t slab_count_next(size_t capacity, size_t stride);

struct weft_slab_class *weft_slab_class(int size_class)
{
    return &classes[size_class];
}

int weft_slab_grow(int size_class)
{
    struct weft_slab_class *class = &classes[size_class];
    size_t bytes = WEFT_STACK_BYTES_MIN << size_class, guard_bytes = weft_stack_guard_bytes(bytes);
    size_t stride = guard_bytes + bytes;
    weft_lock_acquire(&class->lock);
    size_t count = slab_count_next(class->capacity, stride);
    weft_lock_release(&class->lock);
    struct weft_stack_slab *slab = malloc(sizeof *slab + count * sizeof slab->cold[0]);
    if (!slab)
        return -ENOMEM;
    void *memory = mmap(NULL, count * stride, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (memory == MAP_FAILED) {
        free(slab);
        return -ENOMEM;
    }
    (void)madvise(memory, count * stride, MADV_NOHUGEPAGE); /* 2 MiB for one coroutine */
    *slab = (struct weft_stack_slab){
        .memory = memory,
        .guard_bytes = guard_bytes,
        .stride = stride,
        .count = count,
        .is_open = true,
    };
    weft_lock_acquire(&class->lock);
    slab->next = class->slabs;
    slab->next_open = class->open;
    class->slabs = class->open = slab;
    class->capacity += count;
    weft_lock_release(&class->lock);
    return 0;
}

static size_t slab_count_next(size_t capacity, size_t stride)
{
    size_t count = capacity < SLAB_STACKS_MIN ? SLAB_STACKS_MIN : capacity;
    if (count > SLAB_STACKS_MAX)
        count = SLAB_STACKS_MAX;
    while (count > 1 && count * stride > SLAB_BYTES_MAX)
        count /= 2;
    return count;
}

static char *stack_low(const struct weft_stack_slab *slab, size_t index)
{
    return slab->memory + index * slab->stride + slab->guard_bytes;
}

static struct weft_stack *stack_at(const struct weft_stack_slab *slab, size_t index)
{
    char *top = slab->memory + (index + 1) * slab->stride - index % COLOURS * COLOUR_BYTES;
    char *record = top - sizeof(struct weft_stack);
    record -= (uintptr_t)record % COLOUR_BYTES;
    return (struct weft_stack *)(void *)record;
}

static size_t stack_bytes(const struct weft_stack_slab *slab, size_t index)
{
    return (size_t)((char *)stack_at(slab, index) - stack_low(slab, index));
}

void weft_slab_pull(struct weft_slab_class *class, struct weft_slab_batch *batch, size_t count)
{
    for (; batch->count < count && class->warm; class->warm_count--) {
        batch->stacks[batch->count++] = class->warm;
        class->warm = class->warm->next;
    }
    batch->is_warm = batch->count > 0;
    if (batch->is_warm)
        return;
    while (batch->count < count && class->open) {
        struct weft_stack_slab *slab = class->open;
        struct weft_cold_stack *cold = &batch->cold[batch->count];
        if (slab->cold_count > 0) {
            *cold = slab->cold[--slab->cold_count];
        } else if (slab->fresh < slab->count) {
            *cold = (struct weft_cold_stack){ .index = (uint32_t)slab->fresh++ };
        } else {
            class->open = slab->next_open;
            slab->is_open = false;
            continue;
        }
        batch->slabs[batch->count] = slab;
        batch->stacks[batch->count++] = stack_at(slab, cold->index);
    }
}

static void note_spare(const struct weft_slab_class *class)
{
    if (class->warm_count > WEFT_STACKS_WARM_MAX && !weft_stack_has_spare())
        atomic_store_explicit(&has_spare, true, memory_order_relaxed);
}

void weft_slab_put_warm(struct weft_slab_class *class, struct weft_stack *first,
                        struct weft_stack *last, size_t count)
{
    last->next = class->warm;
    class->warm = first;
    class->warm_count += count;
    note_spare(class);
}

static void install_guards(struct weft_slab_batch *batch)
{
    struct iovec guards[WEFT_SLAB_BATCH_MAX];
    bool is_guarded[WEFT_SLAB_BATCH_MAX];
    size_t where[WEFT_SLAB_BATCH_MAX], count = 0;
    for (size_t i = 0; i < batch->count; i++) {
        if (batch->cold[i].is_guarded)
            continue;
        const struct weft_stack_slab *slab = batch->slabs[i];
        guards[count].iov_base = stack_low(slab, batch->cold[i].index) - slab->guard_bytes;
        guards[count].iov_len = slab->guard_bytes;
        where[count++] = i;
    }
    weft_stack_guards_install(guards, count, is_guarded);
    for (size_t i = 0; i < count; i++)
        batch->cold[where[i]].is_guarded = is_guarded[i];
}

void weft_slab_warm_up(struct weft_slab_batch *batch, bool is_populated)
{
    install_guards(batch);
    if (is_populated) {
        struct iovec pages[WEFT_SLAB_BATCH_MAX];
        for (size_t i = 0; i < batch->count; i++) {
            char *record = (char *)batch->stacks[i];
            pages[i].iov_base = record - (uintptr_t)record % weft_stack_page_bytes();
            pages[i].iov_len = weft_stack_page_bytes();
        }
        /* What it does not bring in comes by faults. */
        (void)weft_stack_advise(pages, batch->count, MADV_POPULATE_WRITE);
    }
    for (size_t i = 0; i < batch->count; i++) {
        struct weft_stack_slab *slab = batch->slabs[i];
        size_t index = batch->cold[i].index;
#if WEFT_ASAN
        /* The notes of ASan about these addresses outlive a slab that was here before. */
        __asan_unpoison_memory_region(batch->stacks[i], sizeof *batch->stacks[i]);
#endif
        *batch->stacks[i] = (struct weft_stack){
            .low = stack_low(slab, index),
            .bytes = stack_bytes(slab, index),
            .is_guarded = batch->cold[i].is_guarded,
            .index = (uint32_t)index,
            .slab = slab,
        };
#if WEFT_ASAN
        __lsan_register_root_region(batch->stacks[i]->low, batch->stacks[i]->bytes);
#endif
    }
}

/* Back to the kernel -------------------------------------------------------------------------- */

bool weft_stack_has_spare(void)
{
    return atomic_load_explicit(&has_spare, memory_order_relaxed);
}

/* Under the lock: takes up to a batch of those that are warm beyond need. */
static void class_pull_spare(struct weft_slab_class *class, struct weft_slab_batch *batch,
                             size_t count)
{
    batch->count = 0;
    while (class->warm_count > WEFT_STACKS_WARM_MAX && batch->count < count) {
        batch->stacks[batch->count++] = class->warm;
        class->warm = class->warm->next;
        class->warm_count--;
    }
}

/* Takes the pages away, and with them the records. 32 stacks by one call: 0.6 us each; one by one
 * 1.3-1.6 (machine and date as for weft_slab_warm_up()). */
static void batch_cool_down(struct weft_slab_batch *batch)
{
    struct iovec ranges[WEFT_SLAB_BATCH_MAX];
    for (size_t i = 0; i < batch->count; i++) {
        struct weft_stack *stack = batch->stacks[i];
        struct weft_stack_slab *slab = stack->slab;
        if (stack->is_made)
            weft_fiber_fini(&stack->fiber);
#if WEFT_ASAN
        __lsan_unregister_root_region(stack->low, stack->bytes);
#endif
        batch->slabs[i] = slab;
        batch->cold[i] =
            (struct weft_cold_stack){ .index = stack->index, .is_guarded = stack->is_guarded };
        ranges[i].iov_base = stack->low;
        ranges[i].iov_len = slab->stride - slab->guard_bytes;
    }
    (void)weft_stack_advise(ranges, batch->count, MADV_DONTNEED);
}

/* Under the lock. */
static void class_put_cold(struct weft_slab_class *class, const struct weft_slab_batch *batch)
{
    for (size_t i = 0; i < batch->count; i++) {
        struct weft_stack_slab *slab = batch->slabs[i];
        slab->cold[slab->cold_count++] = batch->cold[i];
        if (!slab->is_open) {
            slab->is_open = true;
            slab->next_open = class->open;
            class->open = slab;
        }
    }
}

size_t weft_stack_trim(size_t count_max)
{
    size_t done = 0;
    atomic_store_explicit(&has_spare, false, memory_order_relaxed);
    for (size_t i = 0; i < CLASS_COUNT && done < count_max; i++) {
        struct weft_slab_class *class = &classes[i];
        for (;;) {
            struct weft_slab_batch batch;
            size_t left = count_max - done;
            weft_lock_acquire(&class->lock);
            class_pull_spare(class, &batch,
                             left < WEFT_SLAB_BATCH_MAX ? left : WEFT_SLAB_BATCH_MAX);
            weft_lock_release(&class->lock);
            if (batch.count == 0)
                break;
            batch_cool_down(&batch);
            weft_lock_acquire(&class->lock);
            class_put_cold(class, &batch);
            weft_lock_release(&class->lock);
            done += batch.count;
        }
    }
    if (done == count_max)
        atomic_store_explicit(&has_spare, true, memory_order_relaxed);
    return done;
}

const struct weft_stack *weft_stack_of_guard(const void *address)
{
    const char *at = address;
    for (size_t i = 0; i < CLASS_COUNT; i++) {
        for (struct weft_stack_slab *slab = classes[i].slabs; slab; slab = slab->next) {
            if (at < slab->memory || at >= slab->memory + slab->count * slab->stride)
                continue;
            size_t index = (size_t)(at - slab->memory) / slab->stride;
            return at < stack_low(slab, index) ? stack_at(slab, index) : NULL;
        }
    }
    return NULL;
}

/* What the sanitizers know of the stacks that still have pages. */
static void forget_warm(struct weft_slab_class *class)
{
    for (struct weft_stack *stack = class->warm; stack; stack = stack->next) {
        if (stack->is_made)
            weft_fiber_fini(&stack->fiber);
#if WEFT_ASAN
        __lsan_unregister_root_region(stack->low, stack->bytes);
#endif
    }
}

void weft_stack_fini(void)
{
    for (size_t i = 0; i < CLASS_COUNT; i++) {
        struct weft_slab_class *class = &classes[i];
        WEFT_REQUIRE(class->reserved == 0, "stacks are still in use at the end");
        if (WEFT_ASAN || WEFT_TSAN)
            forget_warm(class);
        struct weft_stack_slab *slab = class->slabs;
        class->slabs = NULL;
        while (slab) {
            struct weft_stack_slab *next = slab->next;
            (void)munmap(slab->memory, slab->count * slab->stride);
            free(slab);
            slab = next;
        }
        class->warm = NULL;
        class->open = NULL;
        class->warm_count = class->capacity = 0;
    }
    weft_stack_guard_fini();
}
