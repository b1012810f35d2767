/* SPDX-License-Identifier: MIT */
#include "intercept_owner.h"

#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Used again after so many coroutines that locked such a lock, which is not within the time that
 * one of them holds it. */
#define IDS 0x3ffffff0u

static atomic_uint ids;
static _Thread_local int this_thread; /* 0: not asked yet */

int weft_owner_id(struct weft_task *self)
{
    if (!self->has_lock_id)
        self->lock_id = WEFT_OWNER_BIT + (int)(atomic_fetch_add(&ids, 1) % IDS);
    self->has_lock_id = true;
    return self->lock_id;
}

struct weft_task *weft_owner_self(int owner)
{
    struct weft_task *self = weft_self();
    return self && self->has_lock_id && self->lock_id == owner ? self : NULL;
}

/* Never inlined: the caller may have come from another thread. */
__attribute__((noinline)) int weft_owner_thread(void)
{
    __asm__ volatile("" ::: "memory");
    if (this_thread == 0)
        this_thread = (int)syscall(SYS_gettid);
    return this_thread;
}

static void forget(void)
{
    this_thread = 0;
}

static __attribute__((constructor)) void watch_fork(void)
{
    (void)pthread_atfork(NULL, NULL, forget);
}
