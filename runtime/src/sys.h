/* SPDX-License-Identifier: MIT
 *
 * What weft itself asks of the kernel, past libc's names: those may be intercepted for coroutines.
 */
#pragma once

#include <stdatomic.h>
#include <stdint.h>
#include <sys/epoll.h>

/* Adds one to an eventfd, and empties it. Cannot wait: it is non-blocking. */
void weft_sys_event_write(int fd);
void weft_sys_event_read(int fd);

int weft_sys_close(int fd);

/* epoll_wait with a deadline on weft_now_ns(): how many events, 0 also when interrupted.
 * WEFT_NEVER: none; 0: does not wait. */
int weft_sys_epoll_wait(int epoll_fd, struct epoll_event *events, int count_max,
                        int64_t deadline_ns);

/* Blocks the thread while *word is `value`; may return without cause. wake: all who wait there; the
 * word may be gone. */
void weft_sys_futex_wait(atomic_uint *word, unsigned value);
void weft_sys_futex_wake(atomic_uint *word);
