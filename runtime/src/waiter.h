/* SPDX-License-Identifier: MIT
 *
 * Waiters: who is parked until something is done, and queues of them, each under the lock of what
 * they wait for. In wait.c.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>

struct weft_task;

/* Somebody who is parked until `is_done`. Lies in the task's block or on the heap, never on the
 * stack of a compact coroutine. */
struct weft_waiter {
    struct weft_waiter *next, *prev; /* in one queue */
    struct weft_task *task;
    atomic_bool *is_done;    /* set by who wakes */
    union {                  /* by what it waits for */
        atomic_size_t *left; /* the end of a task: of weft_await_all(), how many have not ended
                              * well; else NULL */
        const void *object;  /* inside a libc call: on which it is parked */
        struct {
            short events;
            bool is_closed; /* by weft_fd_close() */
        };                  /* a descriptor */
    };
    bool is_queued;
};

/* All-zero is an empty queue. */
struct weft_waiters {
    struct weft_waiter *first, *last;
};

/* join: the task's own waiter (weft_task_waiter()), at the tail, not done. join_first: at the head.
 * push: any waiter. leave: if still queued. wake: done, unlinked, woken. */
void weft_waiters_join(struct weft_waiters *waiters, struct weft_task *task);
void weft_waiters_join_first(struct weft_waiters *waiters, struct weft_task *task);
void weft_waiters_push(struct weft_waiters *waiters, struct weft_waiter *waiter);
void weft_waiters_leave(struct weft_waiters *waiters, struct weft_waiter *waiter);
void weft_waiters_wake(struct weft_waiters *waiters, struct weft_waiter *waiter);
