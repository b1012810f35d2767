/* SPDX-License-Identifier: MIT
 *
 * Interception of libc's blocking calls: the decision and what every wrapper needs.
 *
 * A wrapper has libc's own name and lies in libweft, so it wins over libc's for the program and for
 * every shared library in it. It asks weft_call_enter() whether the caller is a coroutine whose
 * calls park. If not, it calls the next definition of that name (libc's, a sanitizer's, another
 * interposer's) with the same arguments: errno, signals, cancellation points are then exactly what
 * they were without weft. Nothing here needs a constructor to have run.
 *
 * Invariants
 * 1. Between enter and leave every libc call of the same coroutine is passed through, so weft's own
 *    code never meets its own wrappers.
 * 2. Such a coroutine wakes at the seat where it parked, because compilers keep errno's address
 *    over a call; and the thread of that seat is the same, unless it got stuck in a call that weft
 *    does not see, and its seat was given to another (monitor.h); or the kernel gave no further
 *    thread, and it helped out elsewhere meanwhile (thread_set.c). Then errno is written on both
 *    threads, and the old one does not end before that (thread->calls_parked). What remains, until
 *    the function that made the call returns: other thread-locals whose address was kept, errno of
 *    its next calls, and errno of this one if the old thread fails in a call of its own just then.
 * 3. No address on the coroutine's stack is ever given to somebody who writes to it while the
 *    coroutine is parked: it may have been copied away.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct weft_task;

/* The calling coroutine, if its libc calls park: it runs on weft_virtual() or asked for it by
 * weft_intercept(true), weft_opts.no_intercept is not set, and the call does not come from inside
 * weft or from a signal handler on another stack. Else NULL: pass the call through. */
struct weft_task *weft_call_enter(void);

/* The end of what enter began. Negative rc: errno = -rc, and the result is -1. Else rc, and errno
 * is what it was before the call. */
ssize_t weft_call_leave(struct weft_task *self, ssize_t rc);

/* Before a coroutine leaves its stack inside such a call: it will wake at the seat where it is. */
struct weft_thread;
void weft_call_park(struct weft_task *self, struct weft_thread *thread);

/* A deadline on weft_now_ns() that many nanoseconds from now, saturating. */
int64_t weft_call_deadline(int64_t left_ns);

/* Runs fn(arg) on a thread of weft_io() while the coroutine is parked, deaf to cancelling. Nothing
 * that fn writes may lie on the coroutine's stack: weft_call_is_on_stack() tells. 0, or -ENOMEM or
 * what io's refusal was, and then fn did not run. In a test run fn runs here and now. */
int weft_call_pooled(struct weft_task *self, const char *what, void (*fn)(void *arg), void *arg);

/* The same, for waits that may take for ever: not within io's limit, so that they do not keep
 * others from it. */
int weft_call_pooled_long(struct weft_task *self, const char *what, void (*fn)(void *arg),
                          void *arg);

/* Whether any of these bytes lies on the coroutine's own stack. */
bool weft_call_is_on_stack(const struct weft_task *self, const void *bytes, size_t count);

/* For runtime.c: the switch of weft_opts. */
void weft_intercept_set(bool is_allowed);
bool weft_intercept_is_allowed(void);

/* One in each file of wrappers, named in intercept.c, so that the linker does not leave it out. */
extern const char weft_wrappers_copy, weft_wrappers_fd, weft_wrappers_file, weft_wrappers_poll,
    weft_wrappers_sleep, weft_wrappers_socket;

/* The next definition ------------------------------------------------------------------------- */

typedef void (*weft_any_fn)(void);

/* `interceptor`: a sanitizer's name for it, or NULL. Ends the program if there is none. */
weft_any_fn weft_next_find(weft_any_fn interceptor, const char *name);

/* Makes next_NAME(), which gives the next definition of a function. It is looked up when the
 * library is loaded, so that signal handlers and children of fork() find it there; or earlier, if
 * somebody's constructor is first. (clang's sanitizers are linked into the program itself, where
 * dlsym(RTLD_NEXT) would pass them over: hence their own name for it.) */
#define WEFT_NEXT(returns, name, ...)                                                              \
    extern returns __interceptor_##name(__VA_ARGS__) __attribute__((weak));                        \
    static weft_any_fn found_##name;                                                               \
    static __attribute__((constructor)) void find_##name(void)                                     \
    {                                                                                              \
        __atomic_store_n(&found_##name, weft_next_find((weft_any_fn)__interceptor_##name, #name),  \
                         __ATOMIC_RELAXED);                                                        \
    }                                                                                              \
    static inline returns (*next_##name(void))(__VA_ARGS__)                                        \
    {                                                                                              \
        weft_any_fn found = __atomic_load_n(&found_##name, __ATOMIC_RELAXED);                      \
        if (__builtin_expect(!found, 0)) {                                                         \
            find_##name();                                                                         \
            found = __atomic_load_n(&found_##name, __ATOMIC_RELAXED);                              \
        }                                                                                          \
        return (returns(*)(__VA_ARGS__))found;                                                     \
    }
