/* SPDX-License-Identifier: MIT
 *
 * The bottom of a stack on x86-64 (System V ABI). The swap itself is in line, in switch.h.
 */
#if defined(__x86_64__) && !defined(WEFT_FORCE_UCONTEXT)

    .text
    .globl  weft_switch_start
    .hidden weft_switch_start
    .type   weft_switch_start, @function
    .p2align 4
/* The bottom of every coroutine: nobody called it, so unwinding ends here. */
weft_switch_start:
    .cfi_startproc
    .cfi_undefined rip
    xorl    %ebp, %ebp          /* for unwinders that follow frame pointers */
    callq   *(%rsp)             /* entry, of the frame made in switch.c */
    ud2
    .cfi_endproc
    .size weft_switch_start, . - weft_switch_start

#endif
    .section .note.GNU-stack, "", @progbits
