/* SPDX-License-Identifier: MIT
 *
 * Pairs of descriptors for the tests of intercepted calls.
 */
#pragma once

#include "intercepttest.h"

#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum sort { PIPE, STREAM, DATAGRAM, EVENT, SORT_COUNT };

static inline int open_ends(enum sort sort, int fds[2])
{
    switch (sort) {
    case PIPE: return pipe(fds);
    case STREAM: return socketpair(AF_UNIX, SOCK_STREAM, 0, fds);
    case DATAGRAM: return socketpair(AF_UNIX, SOCK_DGRAM, 0, fds);
    case EVENT:
        fds[0] = eventfd(0, EFD_SEMAPHORE);
        fds[1] = dup(fds[0]);
        break;
    case SORT_COUNT: break;
    }
    return 0;
}

static inline void close_ends(const int fds[2])
{
    (void)close(fds[0]);
    (void)close(fds[1]);
}

struct outcome {
    ssize_t rc;
    int error;
};

static inline struct outcome outcome_of(ssize_t rc)
{
    return (struct outcome){ .rc = rc, .error = rc < 0 ? errno : 0 };
}

/* Somebody inside read(), and who disturbs it. */
struct parked {
    int fd;
    ssize_t rc;
    int error;
    atomic_bool is_inside;
    void (*disturb)(struct parked *parked, struct weft_task *task);
    int other_fd;
};
