/* SPDX-License-Identifier: MIT */
#include "guest.h"

#include "overflow.h"
#include "self.h"

void weft_guest_enter(struct weft_guest *guest)
{
    *guest = (struct weft_guest){ .is_nested = weft_thread_self() };
    if (guest->is_nested)
        return;
    guest->thread.is_guest = true;
    weft_stack_cache_init(&guest->thread.stacks, WEFT_STACK_CLASS_NONE);
    weft_thread_self_set(&guest->thread);
    weft_fiber_adopt(&guest->thread.fiber);
    guest->signal_stack = weft_overflow_enter();
}

void weft_guest_leave(struct weft_guest *guest)
{
    if (guest->is_nested)
        return;
    weft_task_blocks_fini(&guest->thread.blocks);
    weft_overflow_leave(guest->signal_stack);
    weft_thread_self_set(NULL);
}
