/* SPDX-License-Identifier: MIT
 *
 * A fiber: a stack and the place where it stopped; and the swap between two of them. Whoever swaps
 * must use these functions, because they tell ASan and TSan about every change of stack.
 *
 * It knows nothing of tasks or threads, and never allocates (but what TSan keeps for itself).
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

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

/* On a variable: of this library alone, hence to be read without a detour through its table. */
#define WEFT_INTERNAL __attribute__((visibility("hidden")))

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
#if WEFT_UCONTEXT || !defined(__x86_64__) || WEFT_ASAN || WEFT_TSAN
    void *carried; /* by the one who switches to it */
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

#if !WEFT_UCONTEXT && defined(__x86_64__)
/* The swap on x86-64, in line: the compiler saves just what is live, and no call is left without
 * its return, which would mislead the return predictor all the way up (15 ns for each function; the
 * way is PhotonLibOS's). rbp may be the frame pointer, so it cannot be a clobber. The words of
 * mxcsr and x87 are always stored, but loaded only if their control bits differ, because loading
 * costs about 45 ns and they hardly ever do; the low six bits of mxcsr are sticky flags, not
 * control. It writes below the stack pointer: whoever uses it is compiled with -mno-red-zone. */
static inline __attribute__((always_inline)) void *weft_switch_stack(void **ret_sp, void *sp,
                                                                     void *carried)
{
    __asm__ volatile("pushq %%rbp\n\t"
                     "leaq 1f(%%rip), %%rax\n\t"
                     "pushq %%rax\n\t"
                     "subq $8, %%rsp\n\t"
                     "stmxcsr (%%rsp)\n\t"
                     "fnstcw 4(%%rsp)\n\t"
                     "movl (%%rsp), %%eax\n\t"
                     "movzwl 4(%%rsp), %%ecx\n\t"
                     "movq %%rsp, (%%rdi)\n\t"
                     "movq %%rsi, %%rsp\n\t"
                     "xorl (%%rsp), %%eax\n\t"
                     "testl $0xffc0, %%eax\n\t"
                     "jne 3f\n"
                     "2:\n\t"
                     "cmpw 4(%%rsp), %%cx\n\t"
                     "jne 5f\n"
                     "4:\n\t"
                     "addq $8, %%rsp\n\t"
                     "popq %%rax\n\t"
                     "jmpq *%%rax\n"
                     "3:\n\t"
                     "ldmxcsr (%%rsp)\n\t"
                     "jmp 2b\n"
                     "5:\n\t"
                     "fldcw 4(%%rsp)\n\t"
                     "jmp 4b\n"
                     "1:\n\t"
                     "popq %%rbp"
                     : "+D"(ret_sp), "+S"(sp), "+d"(carried)
                     :
                     : "rax", "rbx", "rcx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15",
                       "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8",
                       "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "mm0", "mm1",
                       "mm2", "mm3", "mm4", "mm5", "mm6", "mm7", "st", "st(1)", "st(2)", "st(3)",
                       "st(4)", "st(5)", "st(6)", "st(7)", "cc", "memory");
    return carried; /* the register as the one who switched back left it */
}
#endif

/* The processor takes each return for one to whoever made the last call that has not returned, and
 * after a swap that is somebody else: 15 ns. So on x86-64 a function that mostly parks stands
 * behind a thunk (switch_x86_64.S). It returns to that, as whoever parked in its place returns
 * there; and if it has parked, the thunk goes on to its caller by a jump, whose target is foretold
 * from where the program has been. What such a function returns: */
struct weft_came_back {
    int64_t rc;
    int64_t has_parked;
};
#if !WEFT_UCONTEXT && defined(__x86_64__)
#define WEFT_HAS_THUNKS 1
#else
#define WEFT_HAS_THUNKS 0 /* then the function without `_inner` is written in C */
#endif

/* Swaps; returns when somebody swaps back, perhaps on another thread, and returns what that one
 * carries along. */
#if !WEFT_UCONTEXT && defined(__x86_64__) && !WEFT_ASAN && !WEFT_TSAN
static inline __attribute__((always_inline)) void *
weft_fiber_switch_with(struct weft_fiber *from, struct weft_fiber *to, void *carried)
{
    return weft_switch_stack(&from->sp, to->sp, carried);
}

static inline __attribute__((always_inline)) void weft_fiber_switch(struct weft_fiber *from,
                                                                    struct weft_fiber *to)
{
    (void)weft_fiber_switch_with(from, to, NULL);
}
#else
void weft_fiber_switch(struct weft_fiber *from, struct weft_fiber *to);

static inline void *weft_fiber_switch_with(struct weft_fiber *from, struct weft_fiber *to,
                                           void *carried)
{
    to->carried = carried;
    weft_fiber_switch(from, to);
    return from->carried;
}
#endif

/* How deep a fiber stands that is not running: its stack pointer. */
const void *weft_fiber_sp(const struct weft_fiber *fiber);
