/* SPDX-License-Identifier: MIT
 *
 * What a dispatcher is inside, and the elastic set of threads behind the built-in ones.
 *
 * The rest of weft sees only `struct weft_ops`; how a turn finds a thread (one queue a dispatcher
 * today) is pool.c's alone.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <weft/weft.h>

#include "switch.h"

/* A piece of work for a dispatcher: a turn of a coroutine (from a resume to its next park), or a
 * loop of a view. Part of whoever it is for; in one queue at most. */
struct weft_turn {
    struct weft_turn *next; /* for whoever holds it */
    /* Called once for each dispatch, on a thread's own stack, without locks. The turn may be gone
     * when it returns. */
    void (*run)(struct weft_turn *turn);
};

/* A queue of turns in order of arrival. All-zero is empty. */
struct weft_turns {
    struct weft_turn *first, *last;
};

static inline void weft_turns_push(struct weft_turns *turns, struct weft_turn *turn)
{
    turn->next = NULL;
    if (turns->first)
        turns->last->next = turn;
    else
        turns->first = turn;
    turns->last = turn;
}

static inline struct weft_turn *weft_turns_pop(struct weft_turns *turns)
{
    struct weft_turn *turn = turns->first;
    if (turn)
        turns->first = turn->next;
    return turn;
}

struct weft_ops {
    /* Hands over a turn, which the dispatcher runs exactly once. Any thread, any lock held but the
     * pool's own; never waits. Negative: refused. (What was taken and cannot be run after all: by
     * weft_turn_refused().) */
    int (*dispatch)(struct weft_dispatcher *d, struct weft_turn *turn);
    /* Whether the calling thread is running for `d` just now. */
    bool (*is_here)(struct weft_dispatcher *d);
};

struct weft_dispatcher {
    const char *name;
    const struct weft_ops *ops;
    bool intercepts; /* libc calls of its coroutines park: virtual, and views of it */
};

/* A thread that runs coroutines: one of the runtime, which lives until weft_shutdown(), for names
 * of threads are handed out; or a guest (guest.h). */
struct weft_thread {
    struct weft_fiber fiber;     /* its own stack */
    struct weft_task *current;   /* the coroutine that it runs, or NULL */
    struct weft_view_loop *loop; /* the innermost that it runs, or NULL */
    bool is_guest;
    char name[24];
};

/* This thread, or NULL if it is not one of the runtime's. Never inlined, never assumed to be the
 * same after a park: compilers keep addresses of thread-locals across calls. */
struct weft_thread *weft_thread_self(void);

/* What a turn becomes that its dispatcher will not run: its coroutine is cancelled, and cleans up
 * on io; a coroutine on its way to that dispatcher goes back instead, to get `rc` from weft_with().
 * Any thread, any lock held but the pool's. In task.c. */
void weft_turn_refused(struct weft_turn *turn, int rc);

/* For independent views: blocks threads like io, but beside its limit. */
struct weft_dispatcher *weft_pool_blocking(void);

struct weft_pool_limits {
    unsigned threads, io_threads, blocking_threads, virtual_threads, threads_max;
};

/* Starts the pool with one thread. 0 or -errno. */
int weft_pool_open(const struct weft_pool_limits *limits);

/* Ends and joins all threads; no work may be left. */
void weft_pool_close(void);

/* After so long without work a thread ends, all but one. For tests: before the pool opens. */
#define WEFT_IDLE_MS_DEFAULT 10000
void weft_pool_idle_ms_set(int64_t idle_ms);

/* One line on threads and queues, for the dump. */
#define WEFT_LANE_COUNT 4
struct weft_pool_state {
    unsigned threads, idle;
    struct {
        const char *name;
        unsigned running, limit;
        size_t queued;
    } lanes[WEFT_LANE_COUNT];
};
void weft_pool_look(struct weft_pool_state *ret_state);
