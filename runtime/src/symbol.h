/* SPDX-License-Identifier: MIT
 *
 * Names of functions that are not exported: from the symbol table in the program's file, unless it
 * was stripped. dladdr(3) knows only what shared objects may link to.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* The function that begins at `address`, cut to bytes - 1; false: not found. Reads files: not under
 * a lock, not in a signal handler. */
bool weft_symbol_find(const void *address, char *ret_name, size_t bytes);
