/* SPDX-License-Identifier: MIT
 *
 * What the parts of weft cost by themselves, without a runtime around them: timers in a wheel,
 * stacks from a cache, stacks that are copied out. The comments beside their constants cite it.
 *
 *     bench_parts [wheel|stack|compact] [NUMBER]
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "compact.h"
#include "stack.h"
#include "wheel.h"

#define SECOND_NS    INT64_C(1000000000)
#define ROUNDS_WARM  20000000L
#define NUMBER_USUAL 1000000L
#define STACK_BYTES  ((size_t)64 << 10)

/* As large as the block of a task, so that as many cache lines and pages are touched. */
struct block {
    struct weft_timer timer;
    struct weft_compact compact;
    struct weft_stack *stack;
    _Alignas(32) char rest[64];
};

static struct weft_fiber main_fiber;
static struct weft_region region;
static struct weft_blocks blocks;
static struct block *current;
static long parks_left;

static int64_t now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * SECOND_NS + now.tv_nsec;
}

static void report(const char *what, int64_t begin_ns, long count)
{
    printf("%-48s %8.1f ns\n", what, (double)(now_ns() - begin_ns) / (double)count);
}

static uint64_t random_next(void)
{
    static uint64_t seed = 88172645463325252u;
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

/* Touched, so that the first page faults are not measured. */
static struct block *blocks_new(long number)
{
    struct block *all = malloc((size_t)number * sizeof *all);
    if (!all)
        exit(1);
    memset(all, 0, (size_t)number * sizeof *all);
    return all;
}

static void bench_wheel(long number)
{
    struct block *all = blocks_new(number);
    struct weft_wheel wheel;
    int64_t begin_ns = now_ns(), busy_ns = 0;
    if (weft_wheel_init(&wheel, begin_ns) < 0)
        exit(1);
    for (long i = 0; i < number; i++)
        weft_wheel_set(&wheel, &all[i].timer, begin_ns + (int64_t)(random_next() % SECOND_NS));
    report("wheel: set, within a second", begin_ns, number);
    while (wheel.count > 0) {
        int64_t look_ns = now_ns();
        weft_wheel_advance(&wheel, look_ns);
        while (weft_wheel_pop(&wheel))
            ;
        busy_ns += now_ns() - look_ns;
        while (wheel.count > 0 && now_ns() < weft_wheel_next_ns(&wheel))
            ;
    }
    report("wheel: pop, looking at every tick", now_ns() - busy_ns, number);
    begin_ns = now_ns();
    for (long i = 0; i < ROUNDS_WARM; i++) {
        struct weft_timer *timer = &all[i % (number < 1000 ? number : 1000)].timer;
        weft_wheel_set(&wheel, timer, begin_ns + SECOND_NS);
        weft_wheel_cancel(&wheel, timer);
    }
    report("wheel: set and cancel, in the cache", begin_ns, ROUNDS_WARM);
    weft_wheel_fini(&wheel);
    free(all);
}

/* On an ordinary stack: only there and back. */
static void stack_entry(void)
{
    weft_fiber_entered(&current->stack->fiber);
    for (;;)
        weft_fiber_switch(&current->stack->fiber, &main_fiber);
}

static void stack_cycles(struct weft_stack_cache *cache, int size_class, const char *what)
{
    int64_t begin_ns = now_ns();
    for (long i = 0; i < ROUNDS_WARM; i++) {
        if (weft_stack_reserve(cache, size_class) < 0)
            exit(1);
        struct weft_stack *stack = weft_stack_take(cache, size_class, stack_entry);
        weft_stack_give(cache, size_class, stack);
        weft_stack_unreserve(cache, size_class);
    }
    report(what, begin_ns, ROUNDS_WARM);
}

static void stack_crowd(struct weft_stack_cache *cache, int size_class, long number,
                        const char *what)
{
    struct block *all = blocks_new(number);
    int64_t begin_ns = now_ns();
    for (long i = 0; i < number; i++) {
        if (weft_stack_reserve(cache, size_class) < 0)
            exit(1);
        current = &all[i];
        current->stack = weft_stack_take(cache, size_class, stack_entry);
        weft_fiber_switch(&main_fiber, &current->stack->fiber);
    }
    report(what, begin_ns, number);
    begin_ns = now_ns();
    for (long i = 0; i < number; i++) {
        weft_stack_give(cache, size_class, all[i].stack);
        weft_stack_unreserve(cache, size_class);
    }
    report("stack: give back", begin_ns, number);
    begin_ns = now_ns();
    size_t trimmed = weft_stack_trim((size_t)number);
    if (trimmed > 0)
        report("stack: trim", begin_ns, (long)trimmed);
    free(all);
}

static void bench_stack(long number)
{
    struct weft_stack_cache cache;
    int size_class = weft_stack_class(STACK_BYTES);
    weft_stack_cache_init(&cache, size_class);
    stack_cycles(&cache, size_class, "stack: reserve, take, give, unreserve; cached");
    stack_cycles(NULL, size_class, "stack: the same without a cache");
    stack_crowd(&cache, size_class, number, "stack: fresh, there and back");
    stack_crowd(&cache, size_class, number, "stack: without pages, there and back");
    weft_stack_cache_fini(&cache);
    weft_stack_fini();
}

/* 200 bytes or so, as a thin chain of calls has. */
static __attribute__((noinline)) void compact_park(struct block *self)
{
    volatile char local[128];
    local[0] = 1;
    while (parks_left > 0) {
        if (weft_compact_prepare(&region) < 0)
            exit(1);
        weft_fiber_switch(&self->compact.fiber, &main_fiber);
    }
    local[1] = local[0];
}

static void compact_entry(void)
{
    struct block *self = current;
    weft_fiber_entered(&self->compact.fiber);
    compact_park(self);
    weft_fiber_switch(&self->compact.fiber, &main_fiber);
}

static void compact_turn(struct block *block)
{
    if (weft_compact_enter(&region, &block->compact) < 0)
        exit(1);
    weft_fiber_switch(&main_fiber, &block->compact.fiber);
}

static void compact_turns(struct block *all, long number, const char *what)
{
    int64_t begin_ns = now_ns();
    for (long i = 0; i < number; i++) {
        if (i + 3 < number)
            weft_compact_prefetch(&all[i + 3].compact);
        compact_turn(&all[i]);
    }
    report(what, begin_ns, number);
}

static void bench_compact(long number)
{
    if (!weft_compact_is_possible())
        return;
    struct block *all = blocks_new(number);
    if (weft_region_init(&region, &blocks, STACK_BYTES) < 0)
        exit(1);
    parks_left = 1;
    int64_t begin_ns = now_ns();
    for (long i = 0; i < number; i++) {
        current = &all[i];
        if (weft_compact_begin(&region, &current->compact, compact_entry) < 0)
            exit(1);
        weft_fiber_switch(&main_fiber, &current->compact.fiber);
    }
    report("compact: start and park", begin_ns, number);
    printf("%-48s %8u bytes\n", "compact: saved",
           (unsigned)(region.top - (const char *)weft_fiber_sp(&all[0].compact.fiber)));
    compact_turns(all, number, "compact: resume and park");
    begin_ns = now_ns();
    for (long i = 0; i < ROUNDS_WARM && number > 1; i++)
        compact_turn(&all[i % 2]);
    report("compact: two in turn", begin_ns, ROUNDS_WARM);
    parks_left = 0;
    for (long i = 0; i < number; i++) {
        compact_turn(&all[i]);
        weft_compact_end(&region, &all[i].compact);
    }
    weft_region_fini(&region);
    weft_blocks_trim(&blocks);
    weft_stack_fini();
    free(all);
}

int main(int argc, char **argv)
{
    const char *only = argc > 1 ? argv[1] : "";
    long number = argc > 2 ? strtol(argv[2], NULL, 10) : NUMBER_USUAL;
    if (number < 1 || number > 100 * NUMBER_USUAL)
        return 2;
    weft_fiber_adopt(&main_fiber);
    if (!*only || strcmp(only, "wheel") == 0)
        bench_wheel(number);
    if (!*only || strcmp(only, "stack") == 0)
        bench_stack(number);
    if (!*only || strcmp(only, "compact") == 0)
        bench_compact(number);
    return 0;
}
