/* SPDX-License-Identifier: MIT */
#include "lane.h"

#include <stdbool.h>
#include <stddef.h>

#include "base/container.h"

#include "die.h"
#include "seat.h"
#include "test_run.h"
#include "thread_set.h"

struct weft_lane {
    struct weft_dispatcher base;
    /* Under the lock of the set. */
    struct weft_turns queue;
    size_t queued;
    unsigned running, limit;
    bool is_waking; /* a thread was woken or made for it and has not come yet */
};

static int lane_dispatch(struct weft_dispatcher *d, struct weft_turn *turn);
static bool lane_is_here(struct weft_dispatcher *d);
static bool comes_itself(struct weft_thread *thread, struct weft_lane *lane);
static void serve(struct weft_lane *lane);
static void arrive(struct weft_thread *thread);
static void run_one(struct weft_thread *thread);

static const struct weft_ops lane_ops = { .dispatch = lane_dispatch, .is_here = lane_is_here };

static struct weft_lane lane_io = { .base = { .name = "io", .ops = &lane_ops } };
static struct weft_lane lane_blocking = { .base = { .name = "blocking", .ops = &lane_ops } };
static struct weft_lane *const lanes[] = { &lane_io, &lane_blocking };
#define LANE_COUNT (sizeof lanes / sizeof lanes[0])

struct weft_dispatcher *weft_io(void)
{
    return weft_test_door(WEFT_TEST_IO, &lane_io.base);
}

struct weft_dispatcher *weft_pool_blocking(void)
{
    return weft_test_door(WEFT_TEST_BLOCKING, &lane_blocking.base);
}

static struct weft_lane *lane_of(struct weft_dispatcher *d)
{
    return berth_container_of(d, struct weft_lane, base);
}

void weft_lanes_open(unsigned io_limit, unsigned blocking_limit)
{
    for (size_t i = 0; i < LANE_COUNT; i++) {
        lanes[i]->queue = (struct weft_turns){ 0 };
        lanes[i]->queued = 0;
        lanes[i]->running = 0;
        lanes[i]->is_waking = false;
    }
    lane_io.limit = io_limit;
    lane_blocking.limit = blocking_limit;
}

void weft_lanes_close(void)
{
    for (size_t i = 0; i < LANE_COUNT; i++)
        WEFT_REQUIRE(lanes[i]->queued == 0, "work is left at the end");
}

/* ---- a turn comes ---------------------------------------------------------------------------- */

static int lane_dispatch(struct weft_dispatcher *d, struct weft_turn *turn)
{
    struct weft_lane *lane = lane_of(d);
    struct weft_thread *self = weft_thread_self();
    weft_threads_lock();
    weft_turns_push(&lane->queue, turn);
    lane->queued++;
    if (!self || self->loop || !weft_thread_is_free(self) || !comes_itself(self, lane))
        serve(lane);
    weft_threads_unlock();
    return 0;
}

static bool lane_is_here(struct weft_dispatcher *d)
{
    const struct weft_thread *self = weft_thread_self();
    return self && self->lane == lane_of(d);
}

/* Whether a thread between two turns need not wake anybody for the one that it has just queued: it
 * runs for that lane already, or has nothing else to do and takes a place there. */
static bool comes_itself(struct weft_thread *thread, struct weft_lane *lane)
{
    if (lane->queued > 1)
        return false;
    if (thread->lane)
        return thread->lane == lane;
    const struct weft_seat *seat = thread->seat;
    if (!seat || seat->pool->is_fixed || lane->running == lane->limit)
        return false;
    if (seat->queued > 0 || seat->bound.first)
        return false;
    lane->running++;
    thread->lane = lane;
    thread->budget = 0; /* it goes no further here */
    return true;
}

/* Gives a free place of the lane to a thread. If none can be had, one that exists comes to it as
 * soon as it has nothing else to do. */
static void serve(struct weft_lane *lane)
{
    if (lane->running < lane->limit && !lane->is_waking)
        weft_threads_come(lane);
}

/* ---- places ---------------------------------------------------------------------------------- */

void weft_lane_give(struct weft_lane *lane, struct weft_thread *thread)
{
    thread->lane = lane;
    thread->was_woken_for_lane = true;
    lane->is_waking = true;
    lane->running++;
}

void weft_lane_take_back(struct weft_lane *lane, struct weft_thread *thread)
{
    thread->lane = NULL;
    thread->was_woken_for_lane = false;
    lane->is_waking = false;
    lane->running--;
}

bool weft_lanes_take(struct weft_thread *thread)
{
    for (size_t i = 0; i < LANE_COUNT; i++) {
        struct weft_lane *lane = lanes[i];
        if (lane->queued > 0 && lane->running < lane->limit) {
            lane->running++;
            thread->lane = lane;
            return true;
        }
    }
    return false;
}

/* ---- the work of a thread that has a place --------------------------------------------------- */

void weft_lane_work(struct weft_thread *thread)
{
    weft_threads_lock();
    do {
        arrive(thread);
        while (thread->lane->queued > 0)
            run_one(thread);
        thread->lane->running--;
        thread->lane = NULL;
    } while (weft_lanes_take(thread));
    weft_threads_unlock();
}

/* The thread that was woken is there; if there is more work than for it, it wakes the next. */
static void arrive(struct weft_thread *thread)
{
    struct weft_lane *lane = thread->lane;
    if (!thread->was_woken_for_lane)
        return;
    thread->was_woken_for_lane = false;
    lane->is_waking = false;
    if (lane->queued > 1)
        serve(lane);
}

/* Runs the first turn of its lane, without the lock. */
static void run_one(struct weft_thread *thread)
{
    struct weft_lane *lane = thread->lane;
    struct weft_turn *turn = weft_turns_pop(&lane->queue);
    lane->queued--;
    weft_threads_unlock();
    weft_threads_unpromise(thread);
    weft_thread_run(thread, turn);
    weft_threads_lock();
}

/* ---- seeing ---------------------------------------------------------------------------------- */

static void look_at(const struct weft_lane *lane, struct weft_lane_state *ret_state)
{
    *ret_state = (struct weft_lane_state){
        .name = lane->base.name,
        .running = lane->running,
        .limit = lane->limit,
        .queued = lane->queued,
    };
}

void weft_lanes_look(struct weft_lane_state *ret_io, struct weft_lane_state *ret_blocking)
{
    look_at(&lane_io, ret_io);
    look_at(&lane_blocking, ret_blocking);
}
