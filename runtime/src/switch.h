/* SPDX-License-Identifier: MIT
 *
 * A fiber: a stack and the place where it stopped; and the swap between two of them. Whoever swaps
 * must use these functions, because they tell ASan and TSan about every change of stack.
 *
 * It knows nothing of tasks or threads, and never allocates (but what TSan keeps for itself).
 */
#pragma once

#include <stddef.h>

#if defined(__SANITIZE_ADDRESS__)
#define WEFT_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WEFT_ASAN 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define WEFT_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define WEFT_TSAN 1
#endif
#endif
#ifndef WEFT_ASAN
#define WEFT_ASAN 0
#endif
#ifndef WEFT_TSAN
#define WEFT_TSAN 0
#endif

/* WEFT_FORCE_UCONTEXT comes from the build, for tests of the portable way. */
#if !defined(WEFT_FORCE_UCONTEXT) && (defined(__x86_64__) || defined(__aarch64__))
#define WEFT_UCONTEXT 0
#else
#define WEFT_UCONTEXT 1
#include <ucontext.h>
#endif

struct weft_fiber {
#if WEFT_UCONTEXT
    ucontext_t context;
#else
    void *sp; /* everything else that must survive lies on the stack, above it */
#endif
#if WEFT_ASAN
    const void *stack_low;
    size_t stack_bytes;
    void *fake_stack;
#endif
#if WEFT_TSAN
    void *tsan;
#endif
};

/* Makes `fiber` stand for the calling thread's own stack. Its end needs no call. */
void weft_fiber_adopt(struct weft_fiber *fiber);

/* Prepares a fiber that will run `entry` on the stack [low, low + bytes). `entry` must call
 * weft_fiber_entered() first, and must never return: it swaps away, for good or until it is wanted
 * again. Then weft_fiber_fini(), once nobody is on that stack any more. */
void weft_fiber_make(struct weft_fiber *fiber, void *low, size_t bytes, void (*entry)(void));
void weft_fiber_entered(struct weft_fiber *fiber);
void weft_fiber_fini(struct weft_fiber *fiber);

/* Swaps; returns when somebody swaps back, perhaps on another thread. */
void weft_fiber_switch(struct weft_fiber *from, struct weft_fiber *to);

/* How deep a fiber stands that is not running: its stack pointer. */
const void *weft_fiber_sp(const struct weft_fiber *fiber);
