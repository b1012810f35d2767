/* SPDX-License-Identifier: MIT
 *
 * Waiting until a call on a descriptor may succeed, as the descriptor's own settings want it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct weft_task;

/* One libc call on one descriptor. Lies on the caller's stack: nobody else keeps its address. */
struct weft_ready {
    struct weft_task *self;
    int fd;
    short poll_events;   /* POLLIN or POLLOUT */
    bool has_asked;      /* whether the descriptor blocks, and for how long */
    int64_t deadline_ns; /* its time-out; valid when asked */
    unsigned vain_count; /* how often it was ready and the call would have waited all the same */
};

/* Whether the descriptor blocks: 0, or -EAGAIN (its owner made it non-blocking), or -EBADF. Makes
 * the deadline known. */
int weft_ready_ask(struct weft_ready *ready);

/* After a try that would have waited: parks until another may succeed (0), or tells what the call
 * is to return: -EAGAIN (non-blocking, or its time-out is over), -ECANCELED, -EBADF (closed). */
int weft_ready_wait(struct weft_ready *ready);

/* Parks until there may be more on a descriptor that is armed for good (WEFT_FD_IS_ARMED), blocks,
 * and has no time-out: 0. Else -ECANCELED or -EBADF; or -EAGAIN: that takes weft_ready_wait(). */
int weft_ready_more(struct weft_task *self, int fd);

/* Before a try: after many calls that did not have to wait the coroutine goes to the tail of the
 * queue, so that one with a busy descriptor does not keep its thread for ever. 0 or -ECANCELED. */
int weft_ready_fair(struct weft_task *self);
