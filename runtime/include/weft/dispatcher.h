/* SPDX-License-Identifier: MIT
 *
 * Dispatchers: where code runs. A dispatcher limits how many coroutines RUN at once; a parked one
 * has left its place. Built-in dispatchers need no opening and no closing.
 *
 * default, io and the independent views are served, in order of arrival, by one elastic set of
 * threads, each within its own limit, so none can starve another.
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

/* For blocking C as it is: libc's sleep, read, write, connect, accept, poll and their like park
 * only the coroutine, in the program and in the shared libraries that it uses; docs/RUNTIME.md has
 * the list. A parked call of a coroutine that is cancelled fails with errno ECANCELED. As many
 * running at once as the process has cores; a coroutine comes back from such a call on the same
 * thread. */
struct weft_dispatcher *weft_virtual(void);

/* Views: dispatchers with a limit of their own on how many coroutines RUN at once; a parked one has
 * left its place. (To limit what is in progress: a semaphore.) A view serves its queue in order of
 * arrival, and holds a place of its parent only while it runs; after 16 turns it lets others have
 * it. They live as long as the runtime, until weft_shutdown(): make them at start.
 *
 * `limit`: 1..65535, larger than the parent's if you like. `name`: 1..64 bytes, copied. 0; -EINVAL:
 * the limit, the name, or a parent that is unconfined or NULL; -EEXIST: the name is in use;
 * -ENOMEM. */

/* Within the parent's limit, and its own. */
int weft_view_nested(struct weft_dispatcher *parent, int limit, const char *name,
                     struct weft_dispatcher **ret_view);

/* For calls that block a thread: beside weft_io() and all others, not of them. */
int weft_view_independent(int limit, const char *name, struct weft_dispatcher **ret_view);

/* One at a time: each turn sees what the last one wrote, on whatever thread. Not a mutex: while one
 * coroutine is parked others run. */
int weft_view_serial(struct weft_dispatcher *parent, const char *name,
                     struct weft_dispatcher **ret_view);

/* The same as `d`, but what is started there (weft_launch(), weft_async(), weft_with(),
 * weft_root_open()) runs in place, at once, if the caller is already inside `d`; else it is queued.
 * For every dispatcher; cannot fail; needs no closing. A coroutine that was started so belongs to
 * `d` like any other, and is queued there when it is woken. NULL: NULL. */
struct weft_dispatcher *weft_immediate(struct weft_dispatcher *d);

/* The one that this coroutine runs on (never an immediate one); NULL on a plain thread. */
struct weft_dispatcher *weft_current(void);

#ifdef __cplusplus
}
#endif
