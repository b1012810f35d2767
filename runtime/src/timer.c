/* SPDX-License-Identifier: MIT
 *
 * A timer's word `clock` says where it stands: 0: not set; a clock: set there; a clock with its
 * lowest bit: taken from there and being fired. Whoever cancels one that is being fired waits for
 * the end of that, which is near: `fire` never waits.
 */
#include "timer.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <weft/base.h>

#include "pool.h"
#include "seat.h"
#include "service.h"
#include "test_run.h"

#define IS_FIRING ((uintptr_t)1)
/* Taken at once; then the lock is given back, so that nobody waits for it long. */
#define FIRE_BATCH_MAX 64
/* In a coroutine's block (tree.h), on a machine with 64-bit pointers. */
#define WEFT_TIMER_OFFSET 192

/* How a clock was locked. */
enum access { AS_OWNER, AS_INTRUDER, BY_LOCK };

static enum access clock_lock(struct weft_clock *clock)
{
    if (!clock->seat) {
        weft_lock_acquire(&clock->lock);
        return BY_LOCK;
    }
    struct weft_thread *thread = weft_thread_self();
    if (thread && thread->seat == clock->seat && weft_seat_enter(thread, clock->seat))
        return AS_OWNER;
    weft_seat_intrude(clock->seat);
    return AS_INTRUDER;
}

static void clock_unlock(struct weft_clock *clock, enum access access)
{
    switch (access) {
    case AS_OWNER: weft_seat_leave(weft_thread_self(), clock->seat); break;
    case AS_INTRUDER: weft_seat_retreat(clock->seat); break;
    case BY_LOCK: weft_lock_release(&clock->lock); break;
    }
}

int weft_clock_init(struct weft_clock *clock, struct weft_seat *seat)
{
    clock->seat = seat;
    clock->next_ns = INT64_MAX;
    return weft_wheel_init(&clock->wheel, weft_now_ns());
}

void weft_clock_fini(struct weft_clock *clock)
{
    weft_wheel_fini(&clock->wheel);
}

static void set_on(struct weft_clock *clock, struct weft_timer *timer, int64_t deadline_ns)
{
    weft_wheel_set(&clock->wheel, timer, deadline_ns);
    atomic_store_explicit(&timer->clock, (uintptr_t)clock, memory_order_relaxed);
    if (deadline_ns < atomic_load_explicit(&clock->next_ns, memory_order_relaxed))
        atomic_store_explicit(&clock->next_ns, deadline_ns, memory_order_relaxed);
}

void weft_timer_set(struct weft_timer *timer, int64_t deadline_ns)
{
    struct weft_thread *thread = weft_thread_self();
    struct weft_seat *seat = thread ? thread->seat : NULL;
    if (thread && thread->test) {
        weft_test_timer_set(timer, deadline_ns);
        return;
    }
    if (seat && weft_seat_enter(thread, seat)) {
        set_on(&seat->clock, timer, deadline_ns);
        weft_seat_leave(thread, seat);
        return;
    }
    struct weft_clock *clock = weft_service_clock();
    weft_lock_acquire(&clock->lock);
    int64_t before_ns = clock->next_ns;
    set_on(clock, timer, deadline_ns);
    weft_lock_release(&clock->lock);
    if (deadline_ns < before_ns)
        weft_service_kick();
}

/* Who cancels one of them waits for our locks, and then finds where it is now. */
void weft_clock_close(struct weft_clock *clock)
{
    struct weft_clock *service = weft_service_clock();
    enum access access = clock_lock(clock);
    weft_lock_acquire(&service->lock);
    while (clock->wheel.count > 0) {
        weft_wheel_advance(&clock->wheel, INT64_MAX);
        for (struct weft_timer *timer; (timer = weft_wheel_pop(&clock->wheel));) {
            timer->node = (struct berth_list_node){ 0 };
            set_on(service, timer, timer->deadline_ns);
        }
    }
    weft_lock_release(&service->lock);
    atomic_store_explicit(&clock->next_ns, INT64_MAX, memory_order_relaxed);
    weft_wheel_fini(&clock->wheel);
    clock_unlock(clock, access);
    weft_service_kick();
}

void weft_timer_cancel(struct weft_timer *timer)
{
    if (weft_test_here()) {
        weft_test_timer_cancel(timer);
        return;
    }
    for (unsigned spins = 0;; spins++) {
        uintptr_t word = atomic_load_explicit(&timer->clock, memory_order_acquire);
        if (word == 0)
            return;
        if ((word & IS_FIRING) != 0) {
            if (spins % 64 == 63) /* the thread that fires it may have lost its core */
                (void)syscall(SYS_sched_yield);
            continue;
        }
        struct weft_clock *clock = (struct weft_clock *)word;
        enum access access = clock_lock(clock);
        bool is_mine = atomic_load_explicit(&timer->clock, memory_order_relaxed) == word;
        if (is_mine) {
            weft_wheel_cancel(&clock->wheel, timer);
            if (clock->wheel.count == 0)
                atomic_store_explicit(&clock->next_ns, INT64_MAX, memory_order_relaxed);
            atomic_store_explicit(&timer->clock, 0, memory_order_relaxed);
        }
        clock_unlock(clock, access);
        if (is_mine)
            return;
    }
}

/* Most timers are part of a coroutine's block, behind the lines that firing it touches: those come
 * while the rest of the batch is taken out. Of another timer it asks for its neighbours, in vain.
 */
static void prefetch_owner(const struct weft_timer *timer)
{
    const char *at = (const char *)timer;
    for (size_t before = WEFT_TIMER_OFFSET; before > 0; before -= 64)
        __builtin_prefetch(at - before, 1);
}

/* Takes out what is due, as a chain by node.next. */
static struct berth_list_node *take_due(struct weft_clock *clock)
{
    struct berth_list_node *first = NULL, **last = &first;
    for (unsigned i = 0; i < FIRE_BATCH_MAX; i++) {
        struct weft_timer *timer = weft_wheel_pop(&clock->wheel);
        if (!timer)
            break;
        prefetch_owner(timer);
        atomic_store_explicit(&timer->clock, (uintptr_t)clock | IS_FIRING, memory_order_relaxed);
        *last = &timer->node;
        last = &timer->node.next;
    }
    *last = NULL;
    return first;
}

void weft_clock_run(struct weft_clock *clock, int64_t now_ns)
{
    bool has_more = true;
    while (has_more) {
        enum access access = clock_lock(clock);
        weft_wheel_advance(&clock->wheel, now_ns);
        struct berth_list_node *node = take_due(clock);
        int64_t next_ns = weft_wheel_next_ns(&clock->wheel);
        atomic_store_explicit(&clock->next_ns, next_ns, memory_order_relaxed);
        clock_unlock(clock, access);
        has_more = next_ns <= now_ns;
        while (node) {
            struct weft_timer *timer = berth_container_of(node, struct weft_timer, node);
            node = node->next;
            timer->node = (struct berth_list_node){ 0 };
            timer->fire(timer);
            atomic_store_explicit(&timer->clock, 0, memory_order_release);
        }
    }
}
