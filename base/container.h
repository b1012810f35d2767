/* SPDX-License-Identifier: MIT
 *
 * From an intrusive node to the element that it lies in. Header-only and needs nothing of ours, for
 * the coroutine runtime uses it too.
 */
#pragma once

#include <stddef.h>

/* The struct of `type` in which `pointer` points at `member`. `pointer` must not be NULL. Keeps no
 * const: that is for the variable it goes to. (A union, since a cast would be warned of where a
 * const is dropped.) */
#define berth_container_of(pointer, type, member)                                                  \
    ((type *)(union {                                                                              \
         const void *in;                                                                           \
         void *out;                                                                                \
     }){ .in = (const char *)(pointer)-offsetof(type, member) }                                    \
         .out)
