/* SPDX-License-Identifier: MIT */
#include "stack.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <weft/task.h>

#include "die.h"
#include "switch.h"

#if WEFT_ASAN
#include <sanitizer/lsan_interface.h>
#endif

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102 /* include/uapi/asm-generic/mman-common.h, Linux 6.13 */
#endif

#define CLASS_COUNT     17 /* 16 KiB .. 1 GiB */
#define SLAB_STACKS_MIN 16
#define SLAB_STACKS_MAX 1024
#define SLAB_BYTES_MAX  ((size_t)256 << 20)
/* So many free stacks of a class keep their pages; the pages of others go back to the kernel. */
#define WARM_MAX 1024
/* Coroutines that run the same code would otherwise stand at the same place in their page, and so
 * in the same few sets of the cache. */
#define COLOURS      15
#define COLOUR_BYTES 64
/* Below an unguarded stack's reach: must still be zero when it is looked at. */
#define CANARY_WORDS 8

struct slab {
    struct slab *next;
    char *memory;
    size_t stride, count;
    struct weft_stack stacks[]; /* in the order of their addresses */
};

struct stack_class {
    pthread_mutex_t lock;
    struct weft_stack *warm, *cold;
    size_t warm_count;
    size_t capacity, reserved;  /* stacks mapped, and of these promised */
    struct slab *_Atomic slabs; /* newest first; atomic for the signal handler's sake */
};

static struct stack_class classes[CLASS_COUNT] = {
    [0 ... CLASS_COUNT - 1] = { .lock = PTHREAD_MUTEX_INITIALIZER },
};
static _Atomic(enum weft_stack_guard) guard_way = WEFT_GUARD_AUTO;
static atomic_long mprotect_budget =
    -1; /* guards by mprotect that are still allowed; -1: unknown */

static int class_of(size_t bytes);
static int class_grow(struct stack_class *class, size_t bytes);
static size_t slab_count_next(const struct stack_class *class, size_t stride);
static bool guard_install(char *page);

static size_t page_bytes(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

int weft_stack_reserve(size_t bytes)
{
    int size_class = class_of(bytes);
    if (size_class < 0)
        return size_class;
    struct stack_class *class = &classes[size_class];
    (void)pthread_mutex_lock(&class->lock);
    int rc = 0;
    if (class->reserved == class->capacity)
        rc = class_grow(class, WEFT_STACK_BYTES_MIN << size_class);
    if (rc == 0)
        class->reserved++;
    (void)pthread_mutex_unlock(&class->lock);
    return rc < 0 ? rc : size_class;
}

void weft_stack_unreserve(int size_class)
{
    struct stack_class *class = &classes[size_class];
    (void)pthread_mutex_lock(&class->lock);
    class->reserved--;
    (void)pthread_mutex_unlock(&class->lock);
}

static void fiber_fini(struct weft_stack *stack)
{
    if (stack->is_made)
        weft_fiber_fini(&stack->fiber);
    stack->is_made = false;
}

struct weft_stack *weft_stack_take(int size_class, void (*entry)(void))
{
    struct stack_class *class = &classes[size_class];
    (void)pthread_mutex_lock(&class->lock);
    struct weft_stack *stack = class->warm;
    if (stack) {
        class->warm = stack->next;
        class->warm_count--;
    } else {
        stack = class->cold;
        WEFT_REQUIRE(stack, "a stack was taken that nobody reserved");
        class->cold = stack->next;
    }
    (void)pthread_mutex_unlock(&class->lock);
    if (!stack->is_made)
        weft_fiber_make(&stack->fiber, stack->low, stack->bytes, entry);
    stack->is_made = true;
    return stack;
}

void weft_stack_give(int size_class, struct weft_stack *stack)
{
    struct stack_class *class = &classes[size_class];
    (void)pthread_mutex_lock(&class->lock);
    bool is_warm = class->warm_count < WARM_MAX;
    if (is_warm) {
        stack->next = class->warm;
        class->warm = stack;
        class->warm_count++;
    }
    (void)pthread_mutex_unlock(&class->lock);
    if (is_warm)
        return;
    fiber_fini(stack);
    (void)madvise(stack->low, stack->bytes, MADV_DONTNEED);
    (void)pthread_mutex_lock(&class->lock);
    stack->next = class->cold;
    class->cold = stack;
    (void)pthread_mutex_unlock(&class->lock);
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

const struct weft_stack *weft_stack_of_guard(const void *address)
{
    const char *at = address;
    for (size_t i = 0; i < CLASS_COUNT; i++) {
        for (struct slab *slab = classes[i].slabs; slab; slab = slab->next) {
            if (at < slab->memory || at >= slab->memory + slab->count * slab->stride)
                continue;
            const struct weft_stack *stack =
                &slab->stacks[(size_t)(at - slab->memory) / slab->stride];
            return at < stack->low ? stack : NULL;
        }
    }
    return NULL;
}

void weft_stack_fini(void)
{
    for (size_t i = 0; i < CLASS_COUNT; i++) {
        struct stack_class *class = &classes[i];
        (void)pthread_mutex_lock(&class->lock);
        WEFT_REQUIRE(class->reserved == 0, "stacks are still in use at the end");
        struct slab *slab = class->slabs;
        class->slabs = NULL;
        while (slab) {
            struct slab *next = slab->next;
            for (size_t k = 0; k < slab->count; k++) {
                fiber_fini(&slab->stacks[k]);
#if WEFT_ASAN
                __lsan_unregister_root_region(slab->stacks[k].low, slab->stacks[k].bytes);
#endif
            }
            (void)munmap(slab->memory, slab->count * slab->stride);
            free(slab);
            slab = next;
        }
        class->warm = class->cold = NULL;
        class->warm_count = class->capacity = 0;
        (void)pthread_mutex_unlock(&class->lock);
    }
    mprotect_budget = -1;
}

void weft_stack_guard_set(enum weft_stack_guard guard)
{
    guard_way = guard;
}

static int class_of(size_t bytes)
{
    if (bytes < WEFT_STACK_BYTES_MIN || bytes > WEFT_STACK_BYTES_MAX)
        return -EINVAL;
    int size_class = 0;
    while (WEFT_STACK_BYTES_MIN << size_class < bytes)
        size_class++;
    return size_class;
}

/* Maps one more slab, each as large as all before it within the limits. */
static int class_grow(struct stack_class *class, size_t bytes)
{
    size_t stride = bytes + page_bytes();
    size_t count = slab_count_next(class, stride);
    struct slab *slab = calloc(1, sizeof *slab + count * sizeof slab->stacks[0]);
    if (!slab)
        return -ENOMEM;
    void *memory = mmap(NULL, count * stride, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (memory == MAP_FAILED) {
        free(slab);
        return -ENOMEM;
    }
    (void)madvise(memory, count * stride, MADV_NOHUGEPAGE); /* 2 MiB for one coroutine */
    *slab =
        (struct slab){ .memory = memory, .stride = stride, .count = count, .next = class->slabs };
    for (size_t i = count; i-- > 0;) {
        struct weft_stack *stack = &slab->stacks[i];
        char *guard = slab->memory + i * stride;
        stack->low = guard + page_bytes();
        stack->bytes = bytes - i % COLOURS * COLOUR_BYTES;
        stack->is_guarded = guard_install(guard);
        stack->next = class->cold;
        class->cold = stack;
#if WEFT_ASAN
        __lsan_register_root_region(stack->low, stack->bytes);
#endif
    }
    class->capacity += count;
    class->slabs = slab;
    return 0;
}

static size_t slab_count_next(const struct stack_class *class, size_t stride)
{
    size_t count = class->capacity < SLAB_STACKS_MIN ? SLAB_STACKS_MIN : class->capacity;
    if (count > SLAB_STACKS_MAX)
        count = SLAB_STACKS_MAX;
    while (count > 1 && count * stride > SLAB_BYTES_MAX)
        count /= 2;
    return count;
}

/* How many guards mprotect may make: two mappings each, a quarter of what the kernel allows. */
static long mprotect_budget_find(void)
{
    char line[32] = "";
    FILE *file = fopen("/proc/sys/vm/max_map_count", "re");
    if (file) {
        if (!fgets(line, sizeof line, file))
            line[0] = '\0';
        (void)fclose(file);
    }
    long maps_max = strtol(line, NULL, 10);
    if (maps_max <= 0)
        maps_max = 65530; /* the kernel's default */
    return maps_max / 4 / 2;
}

static bool guard_install(char *page)
{
    enum weft_stack_guard way = guard_way;
    if (way == WEFT_GUARD_NONE)
        return false;
    if (way != WEFT_GUARD_MPROTECT) {
        if (madvise(page, page_bytes(), MADV_GUARD_INSTALL) == 0)
            return true;
        if (way == WEFT_GUARD_MADVISE || errno != EINVAL)
            return false;
        guard_way = WEFT_GUARD_MPROTECT; /* an older kernel: do not ask again */
    }
    if (mprotect_budget < 0)
        mprotect_budget = mprotect_budget_find();
    if (mprotect_budget == 0)
        return false;
    if (mprotect(page, page_bytes(), PROT_NONE) != 0)
        return false;
    mprotect_budget--;
    return true;
}
