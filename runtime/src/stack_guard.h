/* SPDX-License-Identifier: MIT
 *
 * The guards below stacks: how they are made on this kernel, and how large they are; and advice
 * about many ranges of memory by one call, of which a guard is one kind.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/uio.h>

/* How guards are made; the default is to find out. For tests: before the first reservation. */
enum weft_stack_guard { WEFT_GUARD_AUTO, WEFT_GUARD_MADVISE, WEFT_GUARD_MPROTECT, WEFT_GUARD_NONE };
void weft_stack_guard_set(enum weft_stack_guard guard);

/* Forgets how many guards mprotect has made: all have been unmapped. */
void weft_stack_guard_fini(void);

/* How large the guard of such a stack is: with the stack an odd number of pages. Else the hot ends
 * of all stacks would share a few sets of the TLB. */
size_t weft_stack_guard_bytes(size_t stack_bytes);

/* Makes them, each `ret_is_guarded` if that went well. One call for many, 0.3-0.4 us each; one by
 * one 0.45-0.7 (2 GHz Xeon, virtual, Linux 6.18, 100,000 stacks, 2026-11). */
void weft_stack_guards_install(struct iovec *guards, size_t count, bool *ret_is_guarded);

/* The same advice for many ranges: how many of them took it, counted from the first. By one call
 * where the kernel allows process_madvise() for the process itself. */
size_t weft_stack_advise(struct iovec *ranges, size_t count, int advice);

size_t weft_stack_page_bytes(void);
