/* SPDX-License-Identifier: MIT
 *
 * errno for code that waits by weft. Include it last, in the files that read errno after such a
 * call.
 *
 * A coroutine that waits by one of weft's own calls may wake on another thread. errno is a
 * thread's; weft carries its value along. But compilers take the address of errno for the same all
 * through a function, so what they read or write after the call may be the errno of the thread that
 * the coroutine has left. With this header each use asks anew.
 *
 * Not needed after calls of libc that weft parks: these wake on the thread on which they began. Nor
 * in functions that do not wait.
 */
#pragma once

#include <errno.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Where the errno of the calling coroutine, or plain thread, is now. Good until the next call that
 * waits. Deliberately neither const nor inline. */
int *weft_errno(void);

#ifdef __cplusplus
}
#endif

#undef errno
#define errno (*weft_errno())
