/* SPDX-License-Identifier: MIT
 *
 * The bottom of a stack on x86-64 (System V ABI), and how those come back who have parked. The swap
 * itself is in line, in switch.h.
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

/* `name` is the thunk of the function name_inner, which returns struct weft_came_back (switch.h): in
 * rax what the caller gets, and in rdx whether others have run meanwhile. */
.macro thunk name
    .globl  \name
    .type   \name, @function
    .p2align 4
\name:
    .cfi_startproc
    subq    $8, %rsp
    .cfi_adjust_cfa_offset 8
    call    \name\()_inner
    addq    $8, %rsp
    .cfi_adjust_cfa_offset -8
    testl   %edx, %edx
    jne     1f
    ret
1:
    popq    %rcx
    .cfi_adjust_cfa_offset -8
    .cfi_register rip, rcx
    jmpq    *%rcx
    .cfi_endproc
    .size \name, . - \name
.endm

    .hidden weft_chan_send_inner
    .hidden weft_chan_recv_inner
    thunk   weft_chan_send
    thunk   weft_chan_recv

#endif
    .section .note.GNU-stack, "", @progbits
