/* SPDX-License-Identifier: MIT */
#include "stack.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <weft/task.h>

#include "die.h"
#include "lock.h"

#if WEFT_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/lsan_interface.h>
#endif

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* include/uapi/asm-generic/mman-common.h, Linux 5.14 */
#endif
#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102 /* ibidem, Linux 6.13 */
#endif
#define PIDFD_OF_SELF (-10000) /* PIDFD_SELF_THREAD of include/uapi/linux/pidfd.h, Linux 6.14 */

#define CLASS_COUNT     17 /* 16 KiB .. 1 GiB */
#define SLAB_STACKS_MIN 16
#define SLAB_STACKS_MAX 4096
#define SLAB_BYTES_MAX  ((size_t)320 << 20)
/* What a cache fetches and returns at once. */
#define CREDITS_BATCH 64
#define STACKS_BATCH  32
/* A class with so many stacks mapped is one of many coroutines: the first pages of those that a
 * cache fetches are brought in together. */
#define POPULATE_STACKS_MIN 1024
/* Coroutines that run the same code would otherwise stand at the same place in their page, and so
 * in the same few sets of the cache. */
#define COLOURS      15
#define COLOUR_BYTES 64
/* A frame that is larger than the guard steps over it. So the guard is as large as the stack,
 * within these; it costs addresses, and 8 bytes of page table a page: 64 KiB 0.1 us more than a
 * page, when a stack is taken for the first time (0.25 us; as below). */
#define GUARD_BYTES_MIN ((size_t)64 << 10)
#define GUARD_BYTES_MAX ((size_t)1 << 20)
/* Below an unguarded stack's reach: must still be zero when it is looked at. */
#define CANARY_WORDS 8

/* A stack without pages, and so without a record. */
struct cold_stack {
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
    struct cold_stack cold[];
};

/* Of the process. Under the lock, which is never held over a system call: slabs are made before,
 * pages are dealt with afterwards. */
struct stack_class {
    struct weft_lock lock;
    struct weft_stack *warm;
    size_t warm_count;
    size_t capacity, reserved;             /* stacks mapped, and of these promised */
    struct weft_stack_slab *_Atomic slabs; /* atomic for the signal handler's sake */
    struct weft_stack_slab *open;
};

/* Stacks on their way from a slab to a cache or back. */
struct batch {
    size_t count;
    bool is_warm; /* all are; or none */
    struct weft_stack *stacks[STACKS_BATCH];
    struct weft_stack_slab *slabs[STACKS_BATCH]; /* these two: not of warm ones */
    struct cold_stack cold[STACKS_BATCH];
};

static struct stack_class classes[CLASS_COUNT];
static atomic_bool has_spare; /* some class has more warm ones than it may keep */
static _Atomic(enum weft_stack_guard) guard_way = WEFT_GUARD_AUTO;
static atomic_long mprotect_budget = -1; /* guards by mprotect still allowed; -1: unknown */
static atomic_bool has_no_vector;        /* no process_madvise() of oneself: an older kernel */

static int class_grow(int size_class);
static size_t slab_count_next(size_t capacity, size_t stride);
static void class_pull(struct stack_class *class, struct batch *batch, size_t count);
static void class_put_cold(struct stack_class *class, const struct batch *batch);
static void batch_warm_up(struct batch *batch, bool is_populated);
static void guards_install(struct batch *batch);
static bool guard_install(const struct iovec *guard);
static size_t advise(struct iovec *ranges, size_t count, int advice);
static void note_spare(const struct stack_class *class);

static size_t page_bytes(void)
{
    static atomic_size_t bytes;
    if (bytes == 0)
        bytes = (size_t)sysconf(_SC_PAGESIZE);
    return bytes;
}

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
    struct stack_class *class = &classes[size_class];
    for (;;) {
        weft_lock_acquire(&class->lock);
        size_t left = class->capacity - class->reserved;
        size_t got = left < count ? left : count;
        class->reserved += got;
        weft_lock_release(&class->lock);
        if (got > 0)
            return (int)got;
        int rc = class_grow(size_class);
        if (rc < 0)
            return rc;
    }
}

static void class_unreserve(int size_class, size_t count)
{
    struct stack_class *class = &classes[size_class];
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
    struct stack_class *class = &classes[cache->size_class];
    weft_lock_acquire(&class->lock);
    while (cache->warm) {
        struct weft_stack *stack = cache->warm;
        cache->warm = stack->next;
        stack->next = class->warm;
        class->warm = stack;
    }
    class->warm_count += cache->count;
    note_spare(class);
    class->reserved -= cache->credits;
    weft_lock_release(&class->lock);
    cache->count = cache->credits = 0;
}

/* Stacks -------------------------------------------------------------------------------------- */

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

struct weft_stack *weft_stack_take_slow(struct weft_stack_cache *cache, int size_class)
{
    struct stack_class *class = &classes[size_class];
    struct batch batch;
    batch.count = 0;
    bool is_cached = cache && cache->size_class == size_class;
    size_t want = 1;
    weft_lock_acquire(&class->lock);
    if (is_cached) { /* as many more as there are reservations to keep them by */
        size_t spare = cache->credits - cache->count, left = class->capacity - class->reserved;
        size_t more = STACKS_BATCH - 1;
        size_t lacking = spare < more ? more - spare : 0;
        lacking = lacking < left ? lacking : left;
        class->reserved += lacking;
        cache->credits += (unsigned)lacking;
        want += spare + lacking < more ? spare + lacking : more;
    }
    class_pull(class, &batch, want);
    bool is_populated = batch.count > 1 && class->capacity >= POPULATE_STACKS_MIN;
    weft_lock_release(&class->lock);
    WEFT_REQUIRE(batch.count > 0, "a stack was taken that nobody reserved");
    if (!batch.is_warm)
        batch_warm_up(&batch, is_populated);
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
    struct stack_class *class = &classes[size_class];
    struct weft_stack *first = stack, *last = stack;
    size_t count = 1;
    if (cache && cache->size_class == size_class && cache->count >= WEFT_STACK_CACHED_MAX) {
        struct weft_stack *kept = cache->warm;
        for (size_t i = 1; i < WEFT_STACK_CACHED_MAX - STACKS_BATCH; i++)
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
    last->next = class->warm;
    class->warm = first;
    class->warm_count += count;
    note_spare(class);
    weft_lock_release(&class->lock);
}

void weft_stack_make(struct weft_stack *stack, void (*entry)(void))
{
    weft_fiber_make(&stack->fiber, stack->low, stack->bytes, entry);
    stack->is_made = true;
}

/* Under the lock: takes out up to `count`; cold and fresh ones only when there is no warm one. */
static void class_pull(struct stack_class *class, struct batch *batch, size_t count)
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
        struct cold_stack *cold = &batch->cold[batch->count];
        if (slab->cold_count > 0) {
            *cold = slab->cold[--slab->cold_count];
        } else if (slab->fresh < slab->count) {
            *cold = (struct cold_stack){ .index = (uint32_t)slab->fresh++ };
        } else {
            class->open = slab->next_open;
            slab->is_open = false;
            continue;
        }
        batch->slabs[batch->count] = slab;
        batch->stacks[batch->count++] = stack_at(slab, cold->index);
    }
}

/* Under the lock. */
static void class_put_cold(struct stack_class *class, const struct batch *batch)
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

/* Gives cold stacks their guards and their records. To take a fresh stack and to switch to it and
 * back takes 1.6 us with the first pages of 32 stacks brought in by one call, 2.0 by page faults;
 * 1.2 and 1.7 for a stack that has its guard already (2 GHz Xeon, virtual, Linux 6.18, 100,000
 * stacks, 2026-11). */
static void batch_warm_up(struct batch *batch, bool is_populated)
{
    guards_install(batch);
    if (is_populated) {
        struct iovec pages[STACKS_BATCH];
        for (size_t i = 0; i < batch->count; i++) {
            char *record = (char *)batch->stacks[i];
            pages[i].iov_base = record - (uintptr_t)record % page_bytes();
            pages[i].iov_len = page_bytes();
        }
        (void)advise(pages, batch->count, MADV_POPULATE_WRITE); /* it would come by faults too */
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

/* Under the lock. */
static void note_spare(const struct stack_class *class)
{
    if (class->warm_count > WEFT_STACKS_WARM_MAX && !weft_stack_has_spare())
        atomic_store_explicit(&has_spare, true, memory_order_relaxed);
}

bool weft_stack_has_spare(void)
{
    return atomic_load_explicit(&has_spare, memory_order_relaxed);
}

/* Under the lock: takes up to a batch of those that are warm beyond need. */
static void class_pull_spare(struct stack_class *class, struct batch *batch, size_t count)
{
    batch->count = 0;
    while (batch->count<count &&class->warm_count> WEFT_STACKS_WARM_MAX) {
        batch->stacks[batch->count++] = class->warm;
        class->warm = class->warm->next;
        class->warm_count--;
    }
}

/* Takes the pages away, and with them the records. 32 stacks by one call: 0.6 us each; one by one
 * 1.3-1.6 (as above). */
static void batch_cool_down(struct batch *batch)
{
    struct iovec ranges[STACKS_BATCH];
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
            (struct cold_stack){ .index = stack->index, .is_guarded = stack->is_guarded };
        ranges[i].iov_base = stack->low;
        ranges[i].iov_len = slab->stride - slab->guard_bytes;
    }
    (void)advise(ranges, batch->count, MADV_DONTNEED);
}

size_t weft_stack_trim(size_t count_max)
{
    size_t done = 0;
    atomic_store_explicit(&has_spare, false, memory_order_relaxed);
    for (size_t i = 0; i < CLASS_COUNT && done < count_max; i++) {
        struct stack_class *class = &classes[i];
        for (;;) {
            struct batch batch;
            size_t left = count_max - done;
            weft_lock_acquire(&class->lock);
            class_pull_spare(class, &batch, left < STACKS_BATCH ? left : STACKS_BATCH);
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
        for (struct weft_stack_slab *slab = classes[i].slabs; slab; slab = slab->next) {
            if (at < slab->memory || at >= slab->memory + slab->count * slab->stride)
                continue;
            size_t index = (size_t)(at - slab->memory) / slab->stride;
            return at < stack_low(slab, index) ? stack_at(slab, index) : NULL;
        }
    }
    return NULL;
}

/* Slabs --------------------------------------------------------------------------------------- */

/* What the sanitizers know of the stacks that still have pages. */
static void forget_warm(struct stack_class *class)
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
        struct stack_class *class = &classes[i];
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
    mprotect_budget = -1;
}

/* With the stack an odd number of pages: else the hot ends of all stacks would share a few sets of
 * the TLB. */
static size_t guard_bytes_of(size_t stack_bytes)
{
    size_t bytes = stack_bytes < GUARD_BYTES_MAX ? stack_bytes : GUARD_BYTES_MAX;
    return (bytes > GUARD_BYTES_MIN ? bytes : GUARD_BYTES_MIN) + page_bytes();
}

/* Maps one more slab, as large as all before it within the limits. Of two threads that do so at the
 * same time each adds one: it costs addresses only. */
static int class_grow(int size_class)
{
    struct stack_class *class = &classes[size_class];
    size_t bytes = WEFT_STACK_BYTES_MIN << size_class, guard_bytes = guard_bytes_of(bytes);
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

/* Guards -------------------------------------------------------------------------------------- */

void weft_stack_guard_set(enum weft_stack_guard guard)
{
    guard_way = guard;
}

/* One call for many, 0.3-0.4 us each; one by one 0.45-0.7 (as above). */
static void guards_install(struct batch *batch)
{
    struct iovec guards[STACKS_BATCH];
    size_t where[STACKS_BATCH], count = 0;
    for (size_t i = 0; i < batch->count; i++) {
        if (batch->cold[i].is_guarded)
            continue;
        const struct weft_stack_slab *slab = batch->slabs[i];
        guards[count].iov_base = stack_low(slab, batch->cold[i].index) - slab->guard_bytes;
        guards[count].iov_len = slab->guard_bytes;
        where[count++] = i;
    }
    enum weft_stack_guard way = guard_way;
    size_t done = 0;
    if (way == WEFT_GUARD_AUTO || way == WEFT_GUARD_MADVISE)
        done = advise(guards, count, MADV_GUARD_INSTALL);
    for (size_t i = 0; i < count; i++)
        batch->cold[where[i]].is_guarded = i < done || guard_install(&guards[i]);
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

static bool mprotect_budget_take(void)
{
    long budget = mprotect_budget;
    if (budget < 0) {
        long found = mprotect_budget_find();
        if (atomic_compare_exchange_strong(&mprotect_budget, &budget, found))
            budget = found;
    }
    while (budget > 0 && !atomic_compare_exchange_weak(&mprotect_budget, &budget, budget - 1))
        ;
    return budget > 0;
}

static bool guard_install(const struct iovec *guard)
{
    enum weft_stack_guard way = guard_way;
    if (way == WEFT_GUARD_NONE)
        return false;
    if (way != WEFT_GUARD_MPROTECT) {
        if (madvise(guard->iov_base, guard->iov_len, MADV_GUARD_INSTALL) == 0)
            return true;
        if (way == WEFT_GUARD_MADVISE || errno != EINVAL)
            return false;
        guard_way = WEFT_GUARD_MPROTECT; /* an older kernel: do not ask again */
    }
    return mprotect_budget_take() && mprotect(guard->iov_base, guard->iov_len, PROT_NONE) == 0;
}

/* The same advice for many ranges: how many of them took it, counted from the first. By one call
 * where the kernel allows process_madvise() for the process itself. */
static size_t advise(struct iovec *ranges, size_t count, int advice)
{
    size_t done = 0;
    if (count > 1 && !has_no_vector) {
        long bytes = syscall(SYS_process_madvise, PIDFD_OF_SELF, ranges, count, advice, 0);
        if (bytes < 0 && (errno == EBADF || errno == ENOSYS || errno == EPERM))
            has_no_vector = true;
        for (; done < count && bytes >= (long)ranges[done].iov_len; done++)
            bytes -= (long)ranges[done].iov_len;
    }
    while (done < count && madvise(ranges[done].iov_base, ranges[done].iov_len, advice) == 0)
        done++;
    return done;
}
