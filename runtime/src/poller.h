/* SPDX-License-Identifier: MIT
 *
 * A poller: an epoll instance in which one thread at a time sleeps, and an eventfd to wake it. Each
 * seat has one, and the service thread.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct weft_poller {
    int epoll_fd, wake_fd;
    atomic_bool is_kicked; /* the eventfd was written, and nobody has read it since */
    /* Coroutines that are parked on descriptors of this one: the sum. The first is counted by who
     * sits at its seat, inside it, by plain stores; each may be below 0. */
    atomic_uint waiting_here, waiting_elsewhere;
};

static inline bool weft_poller_is_waited_for(const struct weft_poller *poller)
{
    return atomic_load_explicit(&poller->waiting_here, memory_order_relaxed) +
               atomic_load_explicit(&poller->waiting_elsewhere, memory_order_relaxed) !=
           0;
}

/* 0 or -errno. fini: nobody may sleep there. */
int weft_poller_init(struct weft_poller *poller);
void weft_poller_fini(struct weft_poller *poller);

/* Sleeps until something happens, it is kicked, or the deadline (0: does not sleep; WEFT_NEVER: no
 * limit), and wakes the coroutines whose descriptors are ready. */
void weft_poller_wait(struct weft_poller *poller, int64_t deadline_ns);

/* The two halves of it. sleep: returns how many events it has put into `events`. */
#define WEFT_POLLER_EVENTS_MAX 128
struct epoll_event;
int weft_poller_sleep(struct weft_poller *poller, struct epoll_event *events, int64_t deadline_ns);
void weft_poller_report(struct weft_poller *poller, const struct epoll_event *events, int count);

/* Wakes the coroutines whose descriptors are ready, without sleeping, beside whoever sleeps there:
 * his kicks are left to him. */
void weft_poller_serve(struct weft_poller *poller);

/* Ends a sleep, the present one or the next. Any thread. */
void weft_poller_kick(struct weft_poller *poller);

/* A descriptor of this poller is ready: wakes who waits on it. In fd.c. */
void weft_fd_report(int fd, uint32_t events);

/* A report on it will come soon, or next: hints for the processor. */
void weft_fd_fetch(int fd, bool is_next);

/* Wakes all who wait on a descriptor with -EBADF: it is about to be closed. Any thread. */
void weft_fd_forget(int fd);

enum weft_arm {
    WEFT_ARM_ONCE,     /* for this wait */
    WEFT_ARM_FOR_GOOD, /* nobody can close it unseen: it may stay armed */
    WEFT_ARM_KEPT,     /* it was armed for good, and is the same descriptor still */
};

/* As weft_fd_wait(), for a caller who has just seen that it is not ready, and who tries again after
 * it. */
int weft_fd_await(int fd, short poll_events, int64_t deadline_ns, enum weft_arm how);

/* The poller is about to go: no descriptor may be looked for there. Nobody waits. */
void weft_fd_purge(const struct weft_poller *poller);

/* Gives the table's memory back; nobody may wait. */
void weft_fd_fini(void);
