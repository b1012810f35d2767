/* SPDX-License-Identifier: MIT
 *
 * The swap on x86-64 (System V ABI): a function call that returns on another stack.
 *
 * Only what a callee must keep is saved. The words of mxcsr and x87 are always stored, but loaded
 * only if their control bits differ, because loading costs about 45 ns and they hardly ever do.
 * It ends in an indirect jump and not in ret, which would mislead the return predictor each time.
 */
#if defined(__x86_64__) && !defined(WEFT_FORCE_UCONTEXT)

    .text
    .globl  weft_switch_stack
    .hidden weft_switch_stack
    .type   weft_switch_stack, @function
    .p2align 4
/* void weft_switch_stack(void **ret_sp [rdi], void *sp [rsi]) */
weft_switch_stack:
    .cfi_startproc
    pushq   %rbp
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset rbp, 0
    pushq   %rbx
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset rbx, 0
    pushq   %r12
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset r12, 0
    pushq   %r13
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset r13, 0
    pushq   %r14
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset r14, 0
    pushq   %r15
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset r15, 0
    subq    $8, %rsp
    .cfi_adjust_cfa_offset 8
    stmxcsr (%rsp)
    fnstcw  4(%rsp)
    movl    (%rsp), %eax
    movzwl  4(%rsp), %ecx

    movq    %rsp, (%rdi)
    movq    %rsi, %rsp          /* the layout here is the same: the notes for unwinding stay true */

    xorl    (%rsp), %eax
    testl   $0xffc0, %eax       /* the low six bits are sticky flags, not control */
    jne     .Lload_mxcsr
.Lmxcsr_done:
    cmpw    4(%rsp), %cx
    jne     .Lload_x87
.Lx87_done:
    addq    $8, %rsp
    .cfi_adjust_cfa_offset -8
    .cfi_remember_state
    popq    %r15
    .cfi_adjust_cfa_offset -8
    .cfi_restore r15
    popq    %r14
    .cfi_adjust_cfa_offset -8
    .cfi_restore r14
    popq    %r13
    .cfi_adjust_cfa_offset -8
    .cfi_restore r13
    popq    %r12
    .cfi_adjust_cfa_offset -8
    .cfi_restore r12
    popq    %rbx
    .cfi_adjust_cfa_offset -8
    .cfi_restore rbx
    popq    %rbp
    .cfi_adjust_cfa_offset -8
    .cfi_restore rbp
    popq    %rdx
    .cfi_adjust_cfa_offset -8
    .cfi_register rip, rdx
    jmpq    *%rdx

    .cfi_restore_state
    .cfi_adjust_cfa_offset 8
.Lload_mxcsr:
    ldmxcsr (%rsp)
    jmp     .Lmxcsr_done
.Lload_x87:
    fldcw   4(%rsp)
    jmp     .Lx87_done
    .cfi_endproc
    .size weft_switch_stack, . - weft_switch_stack

    .globl  weft_switch_start
    .hidden weft_switch_start
    .type   weft_switch_start, @function
    .p2align 4
/* The bottom of every coroutine: nobody called it, so unwinding ends here. */
weft_switch_start:
    .cfi_startproc
    .cfi_undefined rip
    callq   *%r12
    ud2
    .cfi_endproc
    .size weft_switch_start, . - weft_switch_start

#endif
    .section .note.GNU-stack, "", @progbits
