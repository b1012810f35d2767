/* SPDX-License-Identifier: MIT
 *
 * Coroutines: starting them, waiting for them, moving between dispatchers, sleeping.
 *
 * A dispatcher that is NULL means the one on which the scope was opened.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <weft/base.h>
#include <weft/dispatcher.h>
#include <weft/scope.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A handle, as weft_async() returns it: valid until its scope has closed. To use it later is a bug,
 * which ends the program unless the memory belongs to another one with a handle by then. */
struct weft_task;

enum weft_start {
    WEFT_START_DEFAULT, /* queued; cancelled before it starts, it never runs */
    WEFT_START_HELD,    /* not queued until released or awaited; close cancels it */
    WEFT_START_ATOMIC,  /* queued; runs even if cancelled meanwhile, for it owns its argument */
    WEFT_START_UNDISPATCHED, /* runs here at once until it first parks */
};

/* The least and the most that a coroutine may ask for as its stack. */
#define WEFT_STACK_BYTES_MIN ((size_t)16 << 10)
#define WEFT_STACK_BYTES_MAX ((size_t)1 << 30)

struct weft_task_opts {
    const char *name; /* in dumps; borrowed until its scope has closed; NULL: the symbol of fn */
    enum weft_start start;
    size_t stack_bytes; /* 0: the runtime's; else within the two limits, rounded up */
    /* For very many that wait long: they run on a stack that others use, too, and while one is
     * parked the used part is copied out, some hundred bytes. Such a coroutine is a leaf: it opens
     * no scope, lends none of its locals to anybody, and stays on its dispatcher (weft_with() to
     * another one is -ENOTSUP). stack_bytes is the runtime's. Only on default, virtual and their
     * views, and not under ASan and TSan: elsewhere it gets an ordinary stack. */
    bool compact;
    uint64_t reserved[4];
};

/* Start a coroutine in the scope. For the body and for every coroutine inside the scope; anybody
 * else's call ends the program.
 *
 * A start that fails (-ENOMEM; -EINVAL: no fn, or options that cannot be) fails its scope too, so
 * the result may be ignored: close has it. (A supervisor goes on: check there.) -ECANCELED: the
 * scope is cancelled and fn will not run. */
int weft_launch(struct weft_scope *scope, struct weft_dispatcher *d, weft_fn fn, void *arg);
int weft_launch_opts(struct weft_scope *scope, struct weft_dispatcher *d, weft_fn fn, void *arg,
                     const struct weft_task_opts *opts);

/* The same, but fn gets its own copy of the item, and what that owns. 0: it starts, as ATOMIC;
 * negative: what the item owns is still the caller's. -EINVAL if it is larger than
 * WEFT_ITEM_BYTES_MAX. The copy is aligned for any type. */
#define WEFT_ITEM_BYTES_MAX 1024
int weft_launch_copy(struct weft_scope *scope, struct weft_dispatcher *d, weft_fn fn,
                     const void *item, size_t item_bytes);

/* Start a coroutine whose result will be awaited. NULL: the start failed, as above; NULL may be
 * awaited, cancelled and released all the same. HELD makes sense only here. */
struct weft_task *weft_async(struct weft_scope *scope, struct weft_dispatcher *d, weft_fn fn,
                             void *arg);
struct weft_task *weft_async_opts(struct weft_scope *scope, struct weft_dispatcher *d, weft_fn fn,
                                  void *arg, const struct weft_task_opts *opts);

/* Waits. What fn returned, as often as it is asked for. WEFT_ECHILD if the task was cancelled
 * (that is, it never ran, or returned -ECANCELED); -EDEADLK: the caller itself; NULL: -ECANCELED.
 */
int weft_await(struct weft_task *task);

/* The same until a deadline. -ETIMEDOUT: it runs on. */
int weft_await_until(struct weft_task *task, int64_t deadline_ns);

/* Waits until all have ended well (0), or one has not: then it returns the failure that came
 * first. -ENOMEM: too many at once. */
int weft_await_all(struct weft_task *const *tasks, size_t count);

/* Queues a HELD task; nothing if it is not held any more. */
void weft_task_release(struct weft_task *task);

/* Cancels a task and everything inside it. Any thread, while the handle is valid; never waits. */
void weft_cancel(struct weft_task *task);

/* Waits. Runs fn(arg) on `d`, in this same coroutine, then comes back. If the coroutine is
 * cancelled by then, -ECANCELED although fn has ended: tidy up what it left in arg. Cancelled
 * while waiting for `d`: -ECANCELED, and fn did not run. */
int weft_with(struct weft_dispatcher *d, weft_fn fn, void *arg);

/* Wait. yield goes to the tail of its dispatcher's queue. A sleep that has passed only checks. */
int weft_sleep_ms(int64_t ms);
int weft_sleep_until(int64_t deadline_ns);
int weft_yield(void);

/* Runs fn(arg), whose blocking calls cancelling is to reach: it then signals this thread, again and
 * again, until fn has returned; so whatever blocks in there returns EINTR. Belongs on weft_io(),
 * for it does block its thread. What fn returned, or -ECANCELED, as weft_with(). Inside fn no call
 * of weft may wait, and none of libc is parked. -EAGAIN: too many at once (a timer each); -EBUSY:
 * no real-time signal is free (it takes the highest that had no handler at the first use, and
 * leaves one without SA_RESTART).
 */
int weft_interruptible(weft_fn fn, void *arg);

/* 0 or -ECANCELED, at once: for long calculations. 0 on a plain thread. */
int weft_check(void);

/* Switches parking of libc calls on or off for the calling coroutine; returns whether it was on.
 * On: on weft_virtual() until switched off, and where else it is asked for and threads stay at
 * their seats: fixed pools, and views of either. Elsewhere switching it on has no effect: who parks
 * inside a libc call must wake on the same thread. Nor on a plain thread, nor under no_intercept.
 */
bool weft_intercept(bool is_on);

#ifdef __cplusplus
}
#endif
