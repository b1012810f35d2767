/* SPDX-License-Identifier: MIT
 *
 * Coroutines as owners of pthread locks.
 *
 * A lock that knows its owner writes down the id of the thread, and answers by it: "you hold it
 * already", "it is not yours". Coroutines that share a thread must not be taken for one another,
 * nor for the thread; and one that has waited may unlock from another thread. So while a coroutine
 * holds such a lock, its owner's field says a number that is no thread's: ids of threads stay below
 * 2^22 (PID_MAX_LIMIT). For the moment of giving it back it says the thread's, and libc does that.
 *
 * What the fields are called is known of glibc.
 */
#pragma once

#include <stdbool.h>

#include "tree.h"

#define WEFT_OWNER_BIT 0x40000000

/* The number of a coroutine: its own until it ends, given at the first use. */
int weft_owner_id(struct weft_task *self);

/* Whether a number is a coroutine's. */
static inline bool weft_owner_is_task(int owner)
{
    return (owner & WEFT_OWNER_BIT) != 0 && owner > 0 && owner < WEFT_OWNER_BIT + 0x3ffffff0;
}

/* The calling coroutine, intercepted or not, if the number is its own; else NULL. */
struct weft_task *weft_owner_self(int owner);

/* Of this thread, as the kernel calls it. */
int weft_owner_thread(void);

/* Not seen by ThreadSanitizer, which knows nothing of what libc does to the field. Whoever writes
 * holds the lock. */
__attribute__((no_sanitize("thread"))) static inline int weft_owner_get(const int *owner)
{
    return *(const volatile int *)owner;
}

__attribute__((no_sanitize("thread"))) static inline void weft_owner_set(int *owner, int number)
{
    *(volatile int *)owner = number;
}
