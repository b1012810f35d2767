/* SPDX-License-Identifier: MIT
 *
 * The swap for all machines: the sanitizers' part, and the choice between assembly and ucontext.
 */
#include "switch.h"

#include <stdint.h>
#include <string.h>

#include "die.h"

#if WEFT_ASAN
#include <pthread.h>
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#if WEFT_TSAN
#include <sanitizer/tsan_interface.h>
#endif

/* Whether weft_fiber_switch() is here and not in line. */
#if WEFT_UCONTEXT || !defined(__x86_64__) || WEFT_ASAN || WEFT_TSAN
#define HAS_OWN_SWITCH 1
#else
#define HAS_OWN_SWITCH 0
#endif

#if !WEFT_UCONTEXT

#if !defined(__x86_64__)
/* In switch_ARCH.S. Saves what the ABI lets a function keep, stores the stack pointer in *ret_sp,
 * goes to the stack `sp` and takes the same from there. */
void weft_switch_stack(void **ret_sp, void *sp);
#endif
/* The first code on a new stack: calls the function that lies in the frame made below. */
void weft_switch_start(void);

#if defined(__x86_64__)

/* What weft_switch_stack() takes from the stack, lowest address first. */
struct frame {
    unsigned mxcsr;
    unsigned short x87, unused;
    void (*start)(void);
    void (*entry)(void); /* start() calls it */
    void *end_of_stack;  /* where a caller's return address would be: unwinders stop at NULL */
};

static void frame_fill(struct frame *frame, void (*entry)(void))
{
    __asm__("stmxcsr %0" : "=m"(frame->mxcsr));
    __asm__("fnstcw %0" : "=m"(frame->x87));
    frame->entry = entry;
    frame->start = weft_switch_start;
}

#else

struct frame {
    void (*x19)(void);
    void *x20_to_x28[9], *x29;
    void (*x30)(void);
    unsigned long long d8_to_d15[8];
    unsigned long long fpcr, unused;
};

static void frame_fill(struct frame *frame, void (*entry)(void))
{
    __asm__("mrs %0, fpcr" : "=r"(frame->fpcr));
    frame->x19 = entry;
    frame->x30 = weft_switch_start;
}

#endif

static void context_make(struct weft_fiber *fiber, char *low, size_t bytes, void (*entry)(void))
{
    char *place = low + bytes - sizeof(struct frame);
    place -= (uintptr_t)place % 16; /* both machines want it so when weft_switch_start() begins */
    struct frame *frame = (struct frame *)(void *)place;
    memset(frame, 0, sizeof *frame);
    frame_fill(frame, entry);
    fiber->sp = frame;
}

#if HAS_OWN_SWITCH
static void context_switch(struct weft_fiber *from, struct weft_fiber *to)
{
#if defined(__x86_64__)
    (void)weft_switch_stack(&from->sp, to->sp, NULL);
#else
    weft_switch_stack(&from->sp, to->sp);
#endif
}
#endif

const void *weft_fiber_sp(const struct weft_fiber *fiber)
{
    return fiber->sp;
}

#else

static void context_make(struct weft_fiber *fiber, char *low, size_t bytes, void (*entry)(void))
{
    if (getcontext(&fiber->context) < 0)
        weft_die("getcontext failed");
    fiber->context.uc_stack.ss_sp = low;
    fiber->context.uc_stack.ss_size = bytes;
    fiber->context.uc_link = NULL;
    makecontext(&fiber->context, entry, 0);
}

static void context_switch(struct weft_fiber *from, struct weft_fiber *to)
{
    if (swapcontext(&from->context, &to->context) < 0)
        weft_die("swapcontext failed");
}

const void *weft_fiber_sp(const struct weft_fiber *fiber)
{
#if defined(__x86_64__)
    /* NOLINTNEXTLINE(performance-no-int-to-ptr): it is a number there */
    return (const void *)fiber->context.uc_mcontext.gregs[REG_RSP];
#elif defined(__aarch64__)
    return (const void *)fiber->context.uc_mcontext.sp;
#else
    return fiber->context.uc_stack.ss_sp; /* not known here: says nothing */
#endif
}

#endif

void weft_fiber_adopt(struct weft_fiber *fiber)
{
    memset(fiber, 0, sizeof *fiber);
#if WEFT_ASAN
    pthread_attr_t attr;
    void *low;
    size_t bytes;
    if (pthread_getattr_np(pthread_self(), &attr) != 0)
        weft_die("pthread_getattr_np failed");
    if (pthread_attr_getstack(&attr, &low, &bytes) != 0)
        weft_die("pthread_attr_getstack failed");
    (void)pthread_attr_destroy(&attr);
    fiber->stack_low = low;
    fiber->stack_bytes = bytes;
#endif
#if WEFT_TSAN
    fiber->tsan = __tsan_get_current_fiber();
#endif
}

void weft_fiber_make(struct weft_fiber *fiber, void *low, size_t bytes, void (*entry)(void))
{
    memset(fiber, 0, sizeof *fiber);
#if WEFT_ASAN
    __asan_unpoison_memory_region(low, bytes); /* its last user left without returning */
    fiber->stack_low = low;
    fiber->stack_bytes = bytes;
#endif
#if WEFT_TSAN
    fiber->tsan = __tsan_create_fiber(0);
#endif
    context_make(fiber, low, bytes, entry);
}

static void entered(struct weft_fiber *fiber)
{
    (void)fiber;
#if WEFT_ASAN
    __sanitizer_finish_switch_fiber(fiber->fake_stack, NULL, NULL);
#endif
}

void weft_fiber_entered(struct weft_fiber *fiber)
{
    entered(fiber);
}

#if HAS_OWN_SWITCH
/* Where there is no sanitizer the swap has to be the last thing here, so that it becomes a jump: a
 * return from here would be mispredicted each time, 15 ns. Hence `entered` is not the public one,
 * which in position-independent code is no inline function. */
void weft_fiber_switch(struct weft_fiber *from, struct weft_fiber *to)
{
#if WEFT_ASAN
    __sanitizer_start_switch_fiber(&from->fake_stack, to->stack_low, to->stack_bytes);
#endif
#if WEFT_TSAN
    __tsan_switch_to_fiber(to->tsan, 0);
#endif
    context_switch(from, to);
    entered(from);
}
#endif

void weft_fiber_fini(struct weft_fiber *fiber)
{
    (void)fiber;
#if WEFT_TSAN
    __tsan_destroy_fiber(fiber->tsan);
#endif
}
