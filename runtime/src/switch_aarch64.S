/* SPDX-License-Identifier: MIT
 *
 * The swap on aarch64 (AAPCS64): a function call that returns on another stack. Only what a callee
 * must keep is saved: x19-x30, the low halves of v8-v15, and fpcr.
 */
#if defined(__aarch64__) && !defined(WEFT_FORCE_UCONTEXT)

    .text
    .globl  weft_switch_stack
    .hidden weft_switch_stack
    .type   weft_switch_stack, %function
    .p2align 4
/* void weft_switch_stack(void **ret_sp [x0], void *sp [x1]) */
weft_switch_stack:
    .cfi_startproc
    sub     sp, sp, #176
    .cfi_adjust_cfa_offset 176
    stp     x19, x20, [sp, #0]
    .cfi_rel_offset x19, 0
    .cfi_rel_offset x20, 8
    stp     x21, x22, [sp, #16]
    .cfi_rel_offset x21, 16
    .cfi_rel_offset x22, 24
    stp     x23, x24, [sp, #32]
    .cfi_rel_offset x23, 32
    .cfi_rel_offset x24, 40
    stp     x25, x26, [sp, #48]
    .cfi_rel_offset x25, 48
    .cfi_rel_offset x26, 56
    stp     x27, x28, [sp, #64]
    .cfi_rel_offset x27, 64
    .cfi_rel_offset x28, 72
    stp     x29, x30, [sp, #80]
    .cfi_rel_offset x29, 80
    .cfi_rel_offset x30, 88
    stp     d8, d9, [sp, #96]
    stp     d10, d11, [sp, #112]
    stp     d12, d13, [sp, #128]
    stp     d14, d15, [sp, #144]
    mrs     x9, fpcr
    str     x9, [sp, #160]

    mov     x10, sp
    str     x10, [x0]
    mov     sp, x1              /* the layout here is the same: the notes for unwinding stay true */

    ldr     x10, [sp, #160]
    cmp     x9, x10
    b.eq    1f
    msr     fpcr, x10
1:  ldp     d14, d15, [sp, #144]
    ldp     d12, d13, [sp, #128]
    ldp     d10, d11, [sp, #112]
    ldp     d8, d9, [sp, #96]
    ldp     x29, x30, [sp, #80]
    ldp     x27, x28, [sp, #64]
    ldp     x25, x26, [sp, #48]
    ldp     x23, x24, [sp, #32]
    ldp     x21, x22, [sp, #16]
    ldp     x19, x20, [sp, #0]
    add     sp, sp, #176
    .cfi_adjust_cfa_offset -176
    ret
    .cfi_endproc
    .size weft_switch_stack, . - weft_switch_stack

    .globl  weft_switch_start
    .hidden weft_switch_start
    .type   weft_switch_start, %function
    .p2align 4
/* The bottom of every coroutine: nobody called it, so unwinding ends here. */
weft_switch_start:
    .cfi_startproc
    .cfi_undefined x30
    blr     x19
    brk     #0
    .cfi_endproc
    .size weft_switch_start, . - weft_switch_start

#endif
    .section .note.GNU-stack, "", %progbits
