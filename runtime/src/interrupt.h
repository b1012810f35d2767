/* SPDX-License-Identifier: MIT
 *
 * For cancel.c: a coroutine inside weft_interruptible() is told by a signal.
 */
#pragma once

struct weft_interrupt;

/* Begins to send the signal. Under the lock of the task's tree; does not wait. */
void weft_interrupt(struct weft_interrupt *interrupt);
