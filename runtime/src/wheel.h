/* SPDX-License-Identifier: MIT
 *
 * A wheel of timers: who wants to be woken when. Hierarchical (Varghese and Lauck, 1987): near
 * deadlines have a slot for each tick of 65,536 ns, farther ones share slots that are the wider the
 * farther they are, and are poured into nearer ones long before they are due.
 *
 * It never asks the time, never allocates once it is made, and has no lock: whoever owns it calls
 * it. It keeps no timer alive and owns none.
 *
 *     weft_wheel_advance(wheel, now_ns);
 *     while ((timer = weft_wheel_pop(wheel)))
 *         timer->fire(timer);                     (which may set and cancel timers)
 *     sleep until weft_wheel_next_ns(wheel);
 *
 * Invariants
 * 1. A timer is never popped before its deadline: ticks are rounded up. One that is due is popped
 *    after the next advance, but see WEFT_WHEEL_POURS_MAX.
 * 2. Timers are popped in the order of their ticks; those of one tick that were set less than a
 *    second ahead, in the order in which they were set.
 * 3. All slots before `tick` are empty, and tick <= due_tick.
 * 4. An occupied slot of a far level lies less than one round ahead, and does not begin before
 *    `tick`.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"

#define WEFT_WHEEL_TICK_SHIFT 16
#define WEFT_WHEEL_TICK_NS    ((int64_t)1 << WEFT_WHEEL_TICK_SHIFT)

/* 2^14 slots of 16 bytes, 1.07 s: of 10^6 timers within one second none is poured. Measured (2 GHz
 * Xeon, blocks of 160 bytes, polled at every tick, 2026-11): set 30-38 ns, pop 204-227 ns each, all
 * of it cache and TLB misses; with 2^13 slots pop takes 310-360 ns, with 2^12 375-430. While blocks
 * are in the cache, set and cancel take 12 ns together. */
#define WEFT_WHEEL_NEAR_SHIFT 14
#define WEFT_WHEEL_NEAR_SLOTS ((size_t)1 << WEFT_WHEEL_NEAR_SHIFT)
#define WEFT_WHEEL_NEAR_WORDS (WEFT_WHEEL_NEAR_SLOTS / 64)
#define WEFT_WHEEL_FAR_LEVELS 8 /* the last one reaches beyond INT64_MAX */
#define WEFT_WHEEL_FAR_SLOTS  64
#define WEFT_WHEEL_FAR_SHIFT  10 /* a slot of the first far level is 2^10 ticks, 67 ms */
#define WEFT_WHEEL_FAR_STEP   5  /* of the next one 2^5 times as much */

/* So many timers at most are poured from far slots into nearer ones in one advance and the pops
 * that follow. Where more are due at once (after a leap of the clock), pop says NULL early and
 * next_ns says "now". */
#define WEFT_WHEEL_POURS_MAX 256

struct weft_timer {
    struct berth_list_node node; /* linked: it is set */
    int64_t deadline_ns;
    /* The caller's; the wheel does not look at them. */
    void (*fire)(struct weft_timer *timer);
    _Atomic(uintptr_t) clock; /* timer.c */
};

struct weft_wheel_slots;

struct weft_wheel {
    int64_t tick;      /* how far the wheel has been emptied */
    int64_t due_tick;  /* what is due: up to here, inclusive */
    int64_t next_tick; /* before this one no slot is occupied */
    int64_t pour_tick; /* before this one no far slot can be poured */
    unsigned pours_left;
    size_t count; /* of timers that are set */
    struct weft_wheel_slots *slots;
    uint64_t near_words[WEFT_WHEEL_NEAR_WORDS / 64]; /* which words of the near bitmap are not 0 */
    uint64_t far[WEFT_WHEEL_FAR_LEVELS];             /* which slots of each level are occupied */
};

/* Makes an empty wheel at the time `now_ns`. Its memory, 266 KiB, is touched only where used.
 * 0 or -ENOMEM. */
int weft_wheel_init(struct weft_wheel *wheel, int64_t now_ns);

/* Gives the memory back; no timer may be set. All-zero is fine. */
void weft_wheel_fini(struct weft_wheel *wheel);

/* Sets a timer that is not set. Any deadline: one that has passed is due at once. Near and far are
 * counted from the last advance. O(1). */
void weft_wheel_set(struct weft_wheel *wheel, struct weft_timer *timer, int64_t deadline_ns);

/* Takes back one that is set, also when it is due already. O(1). */
void weft_wheel_cancel(struct weft_wheel *wheel, struct weft_timer *timer);

/* Whether it is set: neither popped nor cancelled. All-zero is not. */
static inline bool weft_timer_is_set(const struct weft_timer *timer)
{
    return berth_list_is_linked(&timer->node);
}

/* Says what time it is. Going back is ignored; any leap forward costs the same. */
void weft_wheel_advance(struct weft_wheel *wheel, int64_t now_ns);

/* Takes out the next of those due, or NULL. It is not set any more and belongs to the caller. */
struct weft_timer *weft_wheel_pop(struct weft_wheel *wheel);

/* When to look again: the moment at which the next timer can be popped if that is within
 * 2^WEFT_WHEEL_NEAR_SHIFT ticks, else perhaps sooner, so that it can be poured; has passed if there
 * is something to do now; INT64_MAX: never. */
int64_t weft_wheel_next_ns(const struct weft_wheel *wheel);
