/* SPDX-License-Identifier: MIT
 *
 * The recorder's hooks: what the core calls at each step of a coroutine.
 *
 * Off, a hook is one load of a flag that nobody writes, and a branch not taken. On, it puts 24
 * bytes into a ring of the calling thread, without a lock. A hook may be called with any lock held,
 * on any stack; it never parks. The first one of a thread makes the ring.
 *
 * Every turn that a wake or a launch brought about comes after exactly one of these two: so hook
 * the step by which a coroutine is queued, not the attempt.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>

#include "switch.h"

struct weft_dispatcher;
struct weft_task;

extern atomic_uint weft_trace_session WEFT_INTERNAL; /* trace.c's; 0: off */

static inline bool weft_trace_is_on(void)
{
    unsigned session = atomic_load_explicit(&weft_trace_session, memory_order_relaxed);
    return __builtin_expect(session != 0, 0);
}

/* The slow ways. */
void weft_trace_put_launch(const struct weft_task *task);
void weft_trace_put_wake(const struct weft_task *task);
void weft_trace_put_turn_begin(const struct weft_task *task, const struct weft_task *left);
void weft_trace_put_turn_end(const struct weft_task *task);
void weft_trace_put_finish(const struct weft_task *task);
void weft_trace_put_loop_begin(const struct weft_dispatcher *view);
void weft_trace_put_loop_end(const struct weft_dispatcher *view);
void weft_trace_put_thread(bool is_end);

/* It has been made: id, name and dispatcher are set. */
static inline void weft_trace_launch(const struct weft_task *task)
{
    if (weft_trace_is_on())
        weft_trace_put_launch(task);
}

/* It was parked and is about to be queued; whoever calls holds it. */
static inline void weft_trace_wake(const struct weft_task *task)
{
    if (weft_trace_is_on())
        weft_trace_put_wake(task);
}

/* This thread goes over to it; task->after still says how the last turn ended (PARK: or none).
 * `left`: who leaves for it, as in turn_end, at this same moment: the clock is read once; or NULL.
 */
static inline void weft_trace_turn_begin(const struct weft_task *task, const struct weft_task *left)
{
    if (weft_trace_is_on())
        weft_trace_put_turn_begin(task, left);
}

/* It has left, and nobody else has it yet; task->after and task->waits_for say why. */
static inline void weft_trace_turn_end(const struct weft_task *task)
{
    if (weft_trace_is_on())
        weft_trace_put_turn_end(task);
}

/* It has ended, or will never run. */
static inline void weft_trace_finish(const struct weft_task *task)
{
    if (weft_trace_is_on())
        weft_trace_put_finish(task);
}

/* This thread runs for the view, from here to there; turns lie in between. */
static inline void weft_trace_loop_begin(const struct weft_dispatcher *view)
{
    if (weft_trace_is_on())
        weft_trace_put_loop_begin(view);
}

static inline void weft_trace_loop_end(const struct weft_dispatcher *view)
{
    if (weft_trace_is_on())
        weft_trace_put_loop_end(view);
}

/* A thread of the runtime begins and ends. */
static inline void weft_trace_thread_begin(void)
{
    if (weft_trace_is_on())
        weft_trace_put_thread(false);
}

static inline void weft_trace_thread_end(void)
{
    if (weft_trace_is_on())
        weft_trace_put_thread(true);
}

/* If WEFT_TRACE names a file: records into it from now until exit(). Once a process; later calls do
 * nothing. */
void weft_trace_start_by_environment(void);
