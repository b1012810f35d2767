/* SPDX-License-Identifier: MIT
 *
 * Dispatchers: where code runs. A dispatcher limits how many coroutines RUN at once; a parked one
 * has left its place. Built-in dispatchers need no opening and no closing.
 *
 * default, io and the independent views are served, in order of arrival, by one elastic set of
 * threads, each within its own limit, so none can starve another.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

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

/* The plain thread inside weft_main_run(). While there is none, starts there fail with -ENODEV;
 * what was there when it ended is cancelled, and cleans up on weft_io(). */
struct weft_dispatcher *weft_main(void);

/* For glue and tests: starts in the caller, like WEFT_START_UNDISPATCHED, and goes on on the thread
 * that wakes it, when the coroutine that woke it parks or ends; on weft_default() if that was no
 * coroutine. No order is promised. Starts inside such a start are queued, and have run when the
 * outermost returns. There are no views of it. */
struct weft_dispatcher *weft_unconfined(void);

/* Views: dispatchers with a limit of their own on how many coroutines RUN at once; a parked one has
 * left its place. (To limit what is in progress: a semaphore.) A view serves its queue in order of
 * arrival, and holds a place of its parent only while it runs; after 16 turns it lets others have
 * it. They live as long as the runtime, until weft_shutdown(): make them at start.
 *
 * `limit`: 1..65535, larger than the parent's if you like. `name`: 1..64 bytes, copied. 0; -EINVAL:
 * the limit, the name, or a parent that is unconfined or NULL; -ENODEV: a pool that was closed;
 * -EEXIST: the name is in use; -ENOMEM. */

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

/* Threads of its own, which stay: "NAME-1", "NAME-2" and so on. A call that blocks holds its
 * thread, unless the coroutine has said weft_intercept(true). `threads`: 1..65535, and no more than
 * weft_opts.threads_max leaves, else -EAGAIN; `name`: as of a view. 0; -EINVAL, -EEXIST, -ENOMEM,
 * -EMFILE: it needs a descriptor a thread. */
int weft_pool_open(int threads, const char *name, struct weft_dispatcher **ret_pool);

/* Waits (blocks a plain thread) for what runs just now. Whatever else is there, queued or parked,
 * is cancelled and cleans up on weft_io(). Then the threads are weft's again and the name is free;
 * the handle refuses everything with -ENODEV until weft_shutdown(), which is -EBUSY before. 0;
 * -EDEADLK: inside itself; -ENODEV: closed before; -EINVAL: not one that weft_pool_open() made. */
int weft_pool_close(struct weft_dispatcher *pool);

/* A dispatcher of your own, for example an event loop or the queue of a device. It is handed pieces
 * of work and runs each exactly once. */
struct weft_work {
    struct weft_work *next; /* yours while you hold it: your queue needs no malloc */
    uint64_t opaque[3];
};

/* Runs a piece here, on a plain thread or in a coroutine (of another dispatcher), and returns when
 * what it is for parks or ends; `work` is gone then. Not from inside dispatch. */
void weft_work_run(struct weft_work *work);

struct weft_dispatcher_ops {
    /* Takes a piece of work. Called on any thread, by one at a time; must not wait. Negative: it is
     * refused, and its coroutine is cancelled: it cleans up on weft_io(), or never starts if it had
     * not; a coroutine in weft_with() gets this number. */
    int (*dispatch)(void *self, struct weft_work *work);
    /* Optional, for weft_immediate(): is this thread running for `self`? Inside weft_work_run()
     * weft knows that itself. Must not wait, nor close the dispatcher. */
    bool (*is_here)(void *self);
    void *reserved[4];
};

/* `ops` is copied; `self` is what its functions get. `name`: as of a view. 0; -EINVAL, -EEXIST,
 * -ENOMEM. */
int weft_dispatcher_open(const struct weft_dispatcher_ops *ops, void *self, const char *name,
                         struct weft_dispatcher **ret_dispatcher);

/* Waits (blocks a plain thread) for what runs just now. Whatever else is there is cancelled and
 * cleans up on weft_io(); that includes the pieces which you hold: they are taken back, and to run
 * one does nothing any more. Then weft holds no pointer to self or ops, and the name is free; the
 * handle refuses everything with -ENODEV until weft_shutdown(). 0; -EDEADLK: inside itself;
 * -ENODEV: closed before; -EINVAL: not one that weft_dispatcher_open() made. */
int weft_dispatcher_close(struct weft_dispatcher *d);

/* The one that this coroutine runs on (never an immediate one); NULL on a plain thread. */
struct weft_dispatcher *weft_current(void);

#ifdef __cplusplus
}
#endif
