/* SPDX-License-Identifier: MIT */
#include "rest.h"

#include "sys.h"

void weft_rest_come(struct weft_rest *rest)
{
    weft_lock_acquire(&rest->lock);
    rest->has_come = 1;
    if (rest->closer.first)
        weft_waiters_wake(&rest->closer, rest->closer.first);
    weft_lock_release(&rest->lock);
    weft_sys_futex_wake(&rest->has_come);
}

void weft_rest_await(struct weft_rest *rest)
{
    struct weft_task *self = weft_self();
    bool has_waiter = self && weft_waiter_reserve(self) == 0; /* else it blocks */
    weft_lock_acquire(&rest->lock);
    bool must_park = has_waiter && rest->has_come == 0;
    if (must_park)
        weft_waiters_join(&rest->closer, self);
    weft_lock_release(&rest->lock);
    if (must_park)
        weft_wait_deaf(self, "close", &self->is_done);
    while (rest->has_come == 0)
        weft_sys_futex_wait(&rest->has_come, 0);
    weft_lock_acquire(&rest->lock); /* the waker is out of there */
    weft_lock_release(&rest->lock);
}
