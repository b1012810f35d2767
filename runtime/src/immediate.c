/* SPDX-License-Identifier: MIT */
#include "immediate.h"

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
