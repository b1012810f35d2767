/* SPDX-License-Identifier: MIT
 *
 * For pool.c: makes the calling thread one of the runtime's (NULL: no more).
 */
#pragma once

struct weft_thread;
void weft_thread_self_set(struct weft_thread *thread);
