/* SPDX-License-Identifier: MIT
 *
 * A lock for a few instructions: taken by one exchange, given back by one plain store.
 *
 * Never held over a system call that may wait, nor over code of the user's. Not fair. All-zero is
 * unlocked. (A pthread mutex costs two atomic operations and two calls, 25 ns where this takes 8.)
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>

struct weft_lock {
    atomic_uint is_taken;
};

/* For the body of a loop that spins. */
static inline void weft_relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* For a loop that waits for what others do in a few instructions: spins a little, then lets others
 * run, for they may have lost their core. `round`: 0 and up. */
void weft_lock_pause(unsigned round);

/* The slow way. */
void weft_lock_wait(struct weft_lock *lock);

static inline void weft_lock_acquire(struct weft_lock *lock)
{
    if (atomic_exchange_explicit(&lock->is_taken, 1, memory_order_acquire) != 0)
        weft_lock_wait(lock);
}

static inline void weft_lock_release(struct weft_lock *lock)
{
    atomic_store_explicit(&lock->is_taken, 0, memory_order_release);
}

/* Whether nobody has it just now; what the last one did is seen. */
static inline bool weft_lock_is_free(struct weft_lock *lock)
{
    return atomic_load_explicit(&lock->is_taken, memory_order_acquire) == 0;
}
