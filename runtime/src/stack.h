/* SPDX-License-Identifier: MIT
 *
 * Stacks for coroutines: address space that is reserved and not committed, with a guard below each
 * stack, reused warm.
 *
 * Stacks come in size classes, powers of two from WEFT_STACK_BYTES_MIN. Each class maps slabs of
 * many stacks, so that a stack costs no mapping of its own.
 *
 * Guards: MADV_GUARD_INSTALL where the kernel has it (Linux 6.13): no mapping is split. Elsewhere
 * an mprotect'ed page, which costs two mappings, as long as a quarter of vm.max_map_count lasts;
 * beyond that a stack has no guard, and weft_stack_is_intact() looks instead whether it overflowed.
 *
 * Invariants
 * 1. Reserve at the door: whoever holds a reservation can take a stack without fail. Reserving
 *    touches no memory, so many waiting coroutines cost addresses only.
 * 2. A stack is given back before its reservation is.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "switch.h"

/* A place for a stack; lives as long as its slab. */
struct weft_stack {
    struct weft_fiber fiber; /* kept with a warm stack, so that its next user need not make it */
    bool is_made;            /* the fiber is */
    bool is_guarded;
    struct weft_stack *next; /* in the list of free ones */
    char *low;               /* the lowest usable byte: the guard is below it */
    size_t bytes;            /* usable */
};

/* Reserves room for one stack of at least `bytes`. Returns its class, or -ENOMEM, or -EINVAL for a
 * size out of range. Any thread. */
int weft_stack_reserve(size_t bytes);
void weft_stack_unreserve(int size_class);

/* Takes one of those reserved (the warmest), its fiber made with `entry` (always the same one) and
 * at its beginning or where its last user swapped away; and gives it back. */
struct weft_stack *weft_stack_take(int size_class, void (*entry)(void));
void weft_stack_give(int size_class, struct weft_stack *stack);

/* Whether a stack without a guard is still whole. `sp`: where its user stands. */
bool weft_stack_is_intact(const struct weft_stack *stack, const void *sp);

/* The stack in whose guard `address` lies, or NULL. For a signal handler: no lock is taken, so the
 * answer is reliable only for a stack in use. */
const struct weft_stack *weft_stack_of_guard(const void *address);

/* Unmaps everything; no reservation may be left. */
void weft_stack_fini(void);

/* How guards are made; the default is to find out. For tests: before the first reservation. */
enum weft_stack_guard { WEFT_GUARD_AUTO, WEFT_GUARD_MADVISE, WEFT_GUARD_MPROTECT, WEFT_GUARD_NONE };
void weft_stack_guard_set(enum weft_stack_guard guard);
