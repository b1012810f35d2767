/* SPDX-License-Identifier: MIT
 *
 * Dispatchers: where code runs. A dispatcher limits how many coroutines RUN at once; a parked one
 * has left its place. Built-in dispatchers need no opening and no closing.
 *
 * Both built-ins are served, in order of arrival, by one elastic set of threads, each within its
 * own limit, so neither can starve the other.
 */
#pragma once

#include <weft/base.h>

#ifdef __cplusplus
extern "C" {
#endif

struct weft_dispatcher;

/* The longest name of a dispatcher, without its NUL. */
#define WEFT_DISPATCHER_NAME_BYTES_MAX 64

/* For calculation: as many running at once as the process has cores (those of its affinity mask
 * and of its cgroup's quota), at least 2. */
struct weft_dispatcher *weft_default(void);

/* For calls that block a thread: 64 running at once, or the number of cores if that is larger. */
struct weft_dispatcher *weft_io(void);

/* For blocking C as it is: libc's sleep, read, write, connect, accept, poll and their like park only
 * the coroutine, in the program and in the shared libraries that it uses; docs/RUNTIME.md has the
 * list. A parked call of a coroutine that is cancelled fails with errno ECANCELED. As many running
 * at once as the process has cores; a coroutine comes back from such a call on the same thread. */
struct weft_dispatcher *weft_virtual(void);

/* The one that this coroutine runs on; NULL on a plain thread. */
struct weft_dispatcher *weft_current(void);

#ifdef __cplusplus
}
#endif
