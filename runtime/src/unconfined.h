/* SPDX-License-Identifier: MIT
 *
 * The unconfined dispatcher: no threads of its own, and no queue but one a thread.
 *
 * What is started there starts in the caller. What is woken there is queued for the thread that
 * woke it, for a waker may hold locks; it runs when the coroutine that runs there parks or ends.
 * While a thread is inside such a start, further ones are queued, too, and run before the first
 * returns: so however deep they are nested, stacks are not.
 *
 * A thread runs WEFT_UNCONFINED_TURNS_MAX woken ones in a row; those beyond, and what yields, are
 * taken in by weft_default(), so that they cannot keep others from it. So is what is woken by a
 * plain thread.
 */
#pragma once

#include <stdbool.h>

#include "pool.h"

struct weft_task;

#define WEFT_UNCONFINED_TURNS_MAX 64

extern struct weft_dispatcher weft_unconfined_dispatcher;

/* Starts a task in place, in a coroutine; and with it what it leaves behind for this thread. */
void weft_unconfined_start(struct weft_thread *thread, struct weft_task *task);

/* After a turn, on the thread's own stack: runs what is queued for the thread; comes back before
 * the end if a turn is pending there. */
void weft_unconfined_run(struct weft_thread *thread);
