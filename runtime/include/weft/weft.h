/* SPDX-License-Identifier: MIT
 *
 * weft: structured coroutines for C. This header includes the others and has the doors for plain
 * threads.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <weft/base.h>
#include <weft/chan.h>
#include <weft/debug.h>
#include <weft/dispatcher.h>
#include <weft/fd.h>
#include <weft/scope.h>
#include <weft/sync.h>
#include <weft/task.h>

#ifdef __cplusplus
extern "C" {
#endif

struct weft_opts {
    unsigned threads;     /* limit of default, and threads of virtual; 0: the cores, at least 2 */
    unsigned io_threads;  /* limit of io; 0: 64 or the cores; cut to what threads_max leaves */
    unsigned threads_max; /* threads but virtual's, more than `threads`; 0: 4,096 */
    size_t stack_bytes;   /* of a coroutine; 0: 64 KiB, reserved and not committed */
    size_t tasks_max;     /* coroutines alive at once, beyond it -ENOMEM; 0: no maximum */
    bool no_intercept;    /* libc calls block their thread on virtual, too */
    bool no_sigquit_dump; /* SIGQUIT stays what it was; else see weft_dump() */
    uint64_t reserved[8];
};

/* Optional, before the first coroutine. 0; -EALREADY: the runtime has started; -EINVAL. */
int weft_configure(const struct weft_opts *opts);

/* Runs fn as a coroutine on weft_default() and blocks this thread until it has ended; its result,
 * or WEFT_ECHILD for -ECANCELED (nobody cancelled the caller), or why it could not start: -ENOMEM,
 * -EMFILE and the like. Called in a coroutine it parks that coroutine instead of its thread, and
 * cancelling reaches fn.
 */
int weft_run(weft_fn fn, void *arg);

/* The same with fn on weft_main(), which is this thread until fn has ended. For a plain thread:
 * else -EPERM; -EBUSY: another one is inside; -EINVAL: no fn. */
int weft_main_run(weft_fn fn, void *arg);

/* Starts a coroutine that has no scope around it; d NULL: weft_default(). Any thread, never waits.
 * NULL: no memory, or `d` refuses it. Cancelled before it starts, it never runs. */
struct weft_task *weft_root_open(struct weft_dispatcher *d, weft_fn fn, void *arg);

/* Waits (blocks a plain thread) for the end of a root, and frees it; its result as weft_await()
 * gives it. To hurry: weft_cancel() first. -EDEADLK: itself. NULL: why weft_root_open() failed, if
 * it was the last one of this thread; else -ENOMEM. Whether it would have to wait says
 * weft_await_until(root, 0), on any thread. */
int weft_root_close(struct weft_task *root);

/* Ends all threads of weft and gives its memory back, for leak checkers; after it everything,
 * weft_configure() included, is possible again. -EBUSY while a root, a fixed pool, or a dispatcher
 * of the user's has not been closed. The handles of all dispatchers but the built-in ones are dead
 * then: a call that is given one ends the program with a line that names both. (Of each kind the
 * last 256 are known by then; an older one may be anything.) */
int weft_shutdown(void);

#ifdef __cplusplus
}
#endif
