/* SPDX-License-Identifier: MIT
 *
 * Timers and clocks. A clock is a wheel (wheel.h) with the lock that guards it: each seat has one,
 * under the seat's own lock; the one of the service thread is for threads that have no seat.
 *
 * `fire` is called on whatever thread runs the clock, without locks, once for each timer that is
 * set and not cancelled in time.
 */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

#include "lock.h"
#include "wheel.h"

struct weft_seat;

struct weft_clock {
    struct weft_wheel wheel;
    struct weft_seat *seat; /* whose lock it is; NULL: `lock` */
    struct weft_lock lock;
    _Atomic(int64_t) next_ns; /* when it must be run at the latest; others may look */
};

/* 0 or -ENOMEM. */
int weft_clock_init(struct weft_clock *clock, struct weft_seat *seat);
void weft_clock_fini(struct weft_clock *clock);

/* What is set there moves to the clock of the service thread; the wheel is given back. Nobody sets
 * any timer there any more. For a seat's. */
void weft_clock_close(struct weft_clock *clock);

/* Sets a timer that is not set, on the clock of the caller's seat, or on that of the service
 * thread. `fire` has been filled in. Any thread. */
void weft_timer_set(struct weft_timer *timer, int64_t deadline_ns);

/* When it returns, `fire` has been called and has returned, or will never be. Cancelling one that
 * is not set is fine. Any thread, but not from within `fire`. */
void weft_timer_cancel(struct weft_timer *timer);

/* Fires what is due at `now_ns`. Any thread. */
void weft_clock_run(struct weft_clock *clock, int64_t now_ns);
