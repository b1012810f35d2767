/* SPDX-License-Identifier: MIT
 *
 * The one place that reads the thread-local "who am I".
 *
 * A coroutine may wake on another thread, and compilers keep the address of a thread-local over a
 * call (gcc bug 26461, llvm issue 49257). So it is read only here, in functions that cannot be
 * inlined and whose result cannot be taken for a constant; and on x86-64 by two instructions that
 * the compiler cannot look into (pool.h).
 */
#include "self.h"

#include <errno.h>

#include "pool.h"
#include "tree.h"

/* Read by what the compiler does not look into. */
__attribute__((used)) _Thread_local struct weft_thread *weft_this_thread;

#if !defined(__x86_64__)
__attribute__((noinline)) struct weft_thread *weft_thread_self(void)
{
    __asm__ volatile("" ::: "memory");
    return weft_this_thread;
}
#endif

__attribute__((noinline)) void weft_thread_self_set(struct weft_thread *thread)
{
    __asm__ volatile("" ::: "memory");
    if (thread) {
        thread->errno_at = &errno;
        thread->holder = weft_bias_holder_take();
    } else {
        weft_bias_holder_give(weft_this_thread->holder);
    }
    weft_this_thread = thread;
}

__attribute__((noinline)) struct weft_task *weft_self(void)
{
    __asm__ volatile("" ::: "memory");
    return weft_this_thread ? weft_this_thread->current : NULL;
}
