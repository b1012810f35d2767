/* SPDX-License-Identifier: MIT
 *
 * Seeing what the coroutines do.
 */
#pragma once

#include <weft/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Writes the tree of all coroutines to `fd`: name, state, what it waits for, dispatcher; and a
 * line on the threads. Any thread, not a signal handler; in bounded memory. It holds up the tree
 * that it is writing, so `fd` must not be a pipe that only a coroutine reads. 0, or the -errno of
 * write(2). */
int weft_dump(int fd);

/* Of the thread that runs this; a runtime thread's name stays valid until weft_shutdown(), a plain
 * thread's until its next call. */
const char *weft_thread_name(void);

#ifdef __cplusplus
}
#endif
