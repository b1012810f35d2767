/* SPDX-License-Identifier: MIT */
#include "lock.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define SPINS_MAX  64 /* about a microsecond */
#define YIELDS_MAX 32
#define NAP_NS     50000

void weft_lock_pause(unsigned round)
{
    if (round < SPINS_MAX) {
        weft_relax();
    } else if (round < SPINS_MAX + YIELDS_MAX) {
        (void)syscall(SYS_sched_yield); /* not by libc's names, which may end in weft */
    } else {
        const struct timespec nap = { .tv_nsec = NAP_NS };
        (void)syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &nap, NULL);
    }
}

void weft_lock_wait(struct weft_lock *lock)
{
    for (unsigned round = 0;; round++) {
        bool is_taken = atomic_load_explicit(&lock->is_taken, memory_order_relaxed) != 0;
        if (!is_taken && atomic_exchange_explicit(&lock->is_taken, 1, memory_order_acquire) == 0)
            return;
        weft_lock_pause(round);
    }
}
