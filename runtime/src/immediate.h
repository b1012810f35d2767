/* SPDX-License-Identifier: MIT
 *
 * Immediate dispatchers, and whether a coroutine may start in place.
 *
 * An immediate is only a way to name a dispatcher: at each door it is taken for what it stands for,
 * together with the wish to run at once if the caller is inside. So no coroutine ever belongs to
 * one, and nothing behind the doors knows of them. It is told by its address, one byte into its
 * dispatcher: thus each dispatcher has exactly one, which needs no memory.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "pool.h"
#include "unconfined.h"

static inline bool weft_is_immediate(const struct weft_dispatcher *d)
{
    return ((uintptr_t)d & 1) != 0;
}

/* What `d` stands for: itself, unless it is an immediate. NULL: NULL. */
static inline struct weft_dispatcher *weft_queued(struct weft_dispatcher *d)
{
    return weft_is_immediate(d) ? (struct weft_dispatcher *)(void *)((char *)d - 1) : d;
}

/* At a door, `*d` not NULL: replaces it by what it stands for. Whether a coroutine that is to start
 * there may start here and now. */
bool weft_starts_here_slow(struct weft_dispatcher **d);
static inline bool weft_starts_here(struct weft_dispatcher **d)
{
    bool may_be = weft_is_immediate(*d) || *d == &weft_unconfined_dispatcher;
    return may_be && weft_starts_here_slow(d);
}

/* Starts a task in place. */
void weft_start_here(struct weft_task *task);
