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

#include "base/list.h"

#include "switch.h"

/* One turn of a coroutine: from a resume to its next park. Part of its task; in one queue at most.
 */
struct weft_turn {
    struct berth_list_node node;
    bool is_withdrawable; /* written before it is dispatched: may be taken back while queued */
};

struct weft_ops {
    /* Hands over a turn, which the dispatcher runs exactly once, by weft_turn_run(). Any thread,
     * any lock held but the pool's own; never waits. Negative: refused. */
    int (*dispatch)(struct weft_dispatcher *d, struct weft_turn *turn);
    /* Takes a withdrawable turn back if it is still queued: true, and it is the caller's. */
    bool (*withdraw)(struct weft_dispatcher *d, struct weft_turn *turn);
};

struct weft_dispatcher {
    const char *name;
    const struct weft_ops *ops;
};

/* A thread of the runtime. It lives until weft_shutdown(), for names of threads are handed out. */
struct weft_thread {
    struct weft_fiber fiber;   /* its own stack */
    struct weft_task *current; /* the coroutine that it runs, or NULL */
    char name[24];
};

/* This thread, or NULL if it is not one of the runtime's. Never inlined, never assumed to be the
 * same after a park: compilers keep addresses of thread-locals across calls. */
struct weft_thread *weft_thread_self(void);

struct weft_pool_limits {
    unsigned threads, io_threads, threads_max;
};

/* Starts the pool with one thread. 0 or -errno. */
int weft_pool_open(const struct weft_pool_limits *limits);

/* Ends and joins all threads; no work may be left. */
void weft_pool_close(void);

/* After so long without work a thread ends, all but one. For tests: before the pool opens. */
#define WEFT_IDLE_MS_DEFAULT 10000
void weft_pool_idle_ms_set(int64_t idle_ms);

/* One line on threads and queues, for the dump. */
struct weft_pool_state {
    unsigned threads, idle;
    struct {
        const char *name;
        unsigned running, limit;
        size_t queued;
    } lanes[2];
};
void weft_pool_look(struct weft_pool_state *ret_state);

/* Runs one turn. Implemented in task.c. */
void weft_turn_run(struct weft_turn *turn);
