/* SPDX-License-Identifier: MIT
 *
 * For runtime.c: the signal mask that children get.
 */
#pragma once

/* Remembers the calling thread's mask as the program's. At the start of the runtime. */
void weft_child_open(void);
