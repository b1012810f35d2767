/* SPDX-License-Identifier: MIT */
#include "seat.h"

#include <limits.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/container.h"

#include "monitor.h"
#include "tree.h"

#define LINE_BYTES   64
#define FRAME_LINES  10 /* of a stack: from where it stands up to the code that called libc */
#define STACKS_AHEAD 8

/* Inside, or before anybody can be. */
static void set_queued_max(struct weft_seat *seat, unsigned max)
{
    weft_put(&seat->queued_max, max);
    weft_put(&seat->rotates, max > 0 && weft_fence_is_unequal ? &seat->pool->base : NULL);
}

int weft_seat_init(struct weft_seat *seat, struct weft_pool *pool, unsigned queued_max)
{
    seat->pool = pool;
    set_queued_max(seat, queued_max);
    int rc = weft_clock_init(&seat->clock, seat);
    if (rc < 0)
        return rc;
    rc = weft_poller_init(&seat->poller);
    if (rc < 0)
        weft_clock_fini(&seat->clock);
    return rc;
}

void weft_seat_fini(struct weft_seat *seat)
{
    if (seat->region.stack)
        weft_region_fini(&seat->region);
    weft_blocks_trim(&seat->blocks);
    weft_poller_fini(&seat->poller);
    weft_clock_fini(&seat->clock);
}

/* Somebody is inside, or about to be: waits outside. */
void weft_seat_enter_slow(struct weft_thread *thread, struct weft_seat *seat)
{
    for (;;) {
        atomic_store_explicit(&thread->is_inside, 0, memory_order_release);
        for (unsigned spins = 0; atomic_load_explicit(&seat->wanted, memory_order_acquire) != 0;
             spins++) {
            if (spins % 64 == 63)
                (void)syscall(SYS_sched_yield);
        }
        atomic_store_explicit(&thread->is_inside, 1, memory_order_relaxed);
        weft_fence_light();
        if (atomic_load_explicit(&seat->wanted, memory_order_acquire) == 0)
            return;
    }
}

void weft_seat_intrude(struct weft_seat *seat)
{
    weft_lock_acquire(&seat->guard);
    if (!weft_fence_is_unequal)
        return;
    atomic_store_explicit(&seat->wanted, 1, memory_order_relaxed);
    weft_fence_heavy();
    const struct weft_thread *thread = seat->thread;
    for (unsigned spins = 0;
         thread && atomic_load_explicit(&thread->is_inside, memory_order_acquire) != 0; spins++) {
        if (spins % 64 == 63) /* it may have lost its core inside */
            (void)syscall(SYS_sched_yield);
    }
}

void weft_seat_retreat(struct weft_seat *seat)
{
    if (weft_fence_is_unequal)
        atomic_store_explicit(&seat->wanted, 0, memory_order_release);
    weft_lock_release(&seat->guard);
}

bool weft_seat_take(struct weft_thread *thread, struct weft_seat *seat)
{
    struct weft_thread *nobody = NULL;
    if (!atomic_compare_exchange_strong(&seat->thread, &nobody, thread))
        return false;
    weft_seat_count_turn(seat); /* a new sitter has moved, too */
    thread->sat = seat;
    thread->seat = seat;
    seat->pool->vacant--;
    if (weft_monitor_is_asleep)
        weft_monitor_rouse();
    return true;
}

/* Whoever clears thread->seat, the thread itself or who takes it away, has the seat in hand. */
static void release(struct weft_seat *seat)
{
    seat->thread = NULL;
    seat->pool->vacant++;
}

bool weft_seat_vacate(struct weft_thread *thread)
{
    struct weft_seat *seat = atomic_exchange(&thread->seat, NULL);
    thread->sat = NULL;
    if (seat)
        release(seat);
    return seat;
}

bool weft_seat_wrest(struct weft_seat *seat, struct weft_thread *thread, unsigned turns)
{
    weft_seat_intrude(seat);
    struct weft_seat *seen = seat;
    bool is_done = atomic_load(&seat->thread) == thread && seat->turns == turns &&
                   !thread->runs_compact &&
                   atomic_compare_exchange_strong(&thread->seat, &seen, NULL);
    if (is_done)
        release(seat);
    weft_seat_retreat(seat);
    return is_done;
}

void weft_seat_halt(struct weft_seat *seat)
{
    weft_seat_intrude(seat);
    struct weft_thread *thread = atomic_load(&seat->thread);
    struct weft_seat *seen = seat;
    if (thread && atomic_compare_exchange_strong(&thread->seat, &seen, NULL))
        release(seat);
    weft_seat_retreat(seat);
}

bool weft_seat_post(struct weft_seat *seat, struct weft_turn *turn)
{
    struct weft_turn *head = atomic_load_explicit(&seat->inbox, memory_order_relaxed);
    do {
        turn->next = head;
    } while (!atomic_compare_exchange_weak(&seat->inbox, &head, turn));
    return !atomic_load(&seat->thread);
}

/* What was posted, in order. */
static struct weft_turn *take_posted(struct weft_seat *seat)
{
    struct weft_turn *newest = atomic_exchange(&seat->inbox, NULL), *oldest = NULL;
    while (newest) {
        struct weft_turn *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    return oldest;
}

void weft_seat_empty(struct weft_seat *seat, struct weft_turns ret_queues[static 4])
{
    weft_seat_intrude(seat);
    ret_queues[0] = seat->queue;
    ret_queues[1] = seat->surplus;
    ret_queues[2] = seat->bound;
    ret_queues[3] = (struct weft_turns){ .first = take_posted(seat) };
    seat->queue = seat->surplus = seat->bound = (struct weft_turns){ 0 };
    seat->queued = seat->surplus_count = 0;
    weft_seat_retreat(seat);
}

bool weft_seat_push_surplus(struct weft_thread *thread, struct weft_seat *seat,
                            struct weft_turn *turn)
{
    struct weft_turns batch = { 0 };
    if (!weft_seat_enter(thread, seat))
        return false;
    if (!seat->surplus.first)
        seat->surplus_after = weft_get(&seat->pool->batches_published);
    weft_turns_push(&seat->surplus, turn);
    set_queued_max(seat, 0); /* whoever comes now stands behind it, or its batch */
    weft_seat_count_add(seat, 1);
    weft_put(&seat->surplus_count, weft_get(&seat->surplus_count) + 1);
    if (weft_get(&seat->surplus_count) == WEFT_BATCH) {
        batch = seat->surplus;
        seat->surplus = (struct weft_turns){ 0 };
        weft_put(&seat->surplus_count, 0);
        weft_seat_count_add(seat, -(unsigned)WEFT_BATCH);
    }
    weft_seat_leave(thread, seat);
    if (batch.first)
        weft_pool_publish(seat->pool, &batch);
    return true;
}

/* Inside. */
static void append(struct weft_turns *turns, const struct weft_turns *more)
{
    if (turns->first)
        turns->last->next = more->first;
    else
        turns->first = more->first;
    turns->last = more->last;
}

void weft_seat_append_surplus(struct weft_seat *seat)
{
    const struct weft_pool *pool = seat->pool;
    bool is_due = (int)(weft_get(&pool->batches_taken) - seat->surplus_after) >= 0;
    if (seat->surplus.first ? !is_due : weft_pool_batches(pool) > 0)
        return;
    if (seat->surplus.first)
        append(&seat->queue, &seat->surplus);
    seat->surplus = (struct weft_turns){ 0 };
    weft_put(&seat->surplus_count, 0);
    set_queued_max(seat, WEFT_SEAT_QUEUED_MAX);
}

void weft_seat_take_surplus(struct weft_thread *thread, struct weft_seat *seat)
{
    if (weft_get(&seat->queued_max) != 0 || !weft_seat_enter(thread, seat))
        return;
    weft_seat_append_surplus(seat);
    weft_seat_leave(thread, seat);
}

bool weft_seat_push_batch(struct weft_thread *thread, struct weft_seat *seat,
                          const struct weft_turns *batch, unsigned count)
{
    if (!weft_seat_enter(thread, seat))
        return false;
    append(&seat->queue, batch);
    weft_seat_count_add(seat, count);
    weft_seat_leave(thread, seat);
    return true;
}

void weft_seat_close(struct weft_seat *seat)
{
    weft_clock_close(&seat->clock);
    weft_poller_fini(&seat->poller);
}

void weft_seat_collect(struct weft_thread *thread, struct weft_seat *seat)
{
    if (!atomic_load_explicit(&seat->inbox, memory_order_relaxed))
        return;
    if (!weft_seat_enter(thread, seat))
        return;
    struct weft_turn *oldest = take_posted(seat);
    while (oldest) {
        struct weft_turn *next = oldest->next;
        weft_seat_put(seat, oldest);
        oldest = next;
    }
    weft_seat_leave(thread, seat);
}

struct weft_turn *weft_seat_steal(struct weft_seat *seat, unsigned count_max, bool takes_single,
                                  unsigned *ret_count)
{
    *ret_count = 0;
    unsigned least = takes_single ? 1 : 2;
    if (atomic_load_explicit(&seat->queued, memory_order_relaxed) < least)
        return NULL;
    weft_seat_intrude(seat);
    if (weft_get(&seat->queued_max) == 0)
        weft_seat_append_surplus(seat);
    unsigned there = weft_get(&seat->queued) - weft_get(&seat->surplus_count);
    unsigned count = (there + 1) / 2 < count_max ? (there + 1) / 2 : count_max;
    struct weft_turn *first = NULL;
    if (there >= least) {
        first = seat->queue.first;
        struct weft_turn *last = first;
        for (unsigned i = 1; i < count; i++)
            last = last->next;
        seat->queue.first = last->next;
        last->next = NULL;
        weft_seat_count_add(seat, -count);
        if (weft_get(&seat->queued_max) != UINT_MAX)
            set_queued_max(seat, 0); /* from now on it brings batches, undisturbed */
        *ret_count = count;
    }
    weft_seat_retreat(seat);
    return first;
}

bool weft_seat_has_work(const struct weft_seat *seat)
{
    return atomic_load(&seat->inbox) ||
           atomic_load_explicit(&seat->queued, memory_order_relaxed) > 0;
}

/* The stack of a bound turn's coroutine; NULL: it is no coroutine that has begun. */
static const struct weft_stack *stack_of(const struct weft_turn *turn)
{
    const struct weft_task *task = berth_container_of(turn, const struct weft_task, turn);
    bool has_begun = weft_turn_is_task(turn) && weft_get(&task->has_begun);
    return has_begun ? task->stack : NULL;
}

/* Each stack has a page of its own, and a line of the page table: where it lies is seldom known to
 * the processor, and finding out takes 100 to 300 ns, which even a hint waits for. Several at once
 * take no longer than one. */
static unsigned fetch_stacks(const struct weft_turn *turn)
{
    unsigned count = 0;
    for (; turn && count < STACKS_AHEAD; turn = turn->next, count++)
        __builtin_prefetch(stack_of(turn));
    return count;
}

void weft_seat_fetch(struct weft_seat *seat)
{
    const struct weft_turn *next = seat->bound.first;
    if (seat->fetched <= 2) /* the one that was taken, and `next` */
        seat->fetched = (uint8_t)(1 + fetch_stacks(next->next));
    else
        seat->fetched--;
    const struct weft_stack *stack = stack_of(next);
    if (stack) {
        const char *sp = weft_fiber_sp(&stack->fiber);
        for (unsigned i = 0; i < FRAME_LINES; i++)
            __builtin_prefetch(sp + (size_t)i * LINE_BYTES);
    }
}
