/* SPDX-License-Identifier: MIT */
#include "immediate.h"

#include "guest.h"
#include "tree.h"

_Static_assert(_Alignof(struct weft_dispatcher) > 1, "its address is even");

struct weft_dispatcher *weft_immediate(struct weft_dispatcher *d)
{
    return d ? (struct weft_dispatcher *)(void *)((char *)weft_queued(d) + 1) : NULL;
}

bool weft_starts_here_slow(struct weft_dispatcher **d)
{
    *d = weft_queued(*d);
    return (*d)->ops->is_here(*d);
}

/* On a plain thread. */
static void start_as_guest(struct weft_task *task)
{
    struct weft_guest guest;
    weft_guest_enter(&guest);
    weft_thread_run(&guest.thread, &task->turn);
    weft_guest_leave(&guest);
}

void weft_start_here(struct weft_task *task)
{
    struct weft_thread *thread = weft_thread_self();
    if (!thread)
        start_as_guest(task);
    else if (task->dispatcher == &weft_unconfined_dispatcher)
        weft_unconfined_start(thread, task);
    else
        weft_task_turn(&task->turn);
}
