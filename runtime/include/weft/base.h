/* SPDX-License-Identifier: MIT
 *
 * What all headers of weft share: the body of a coroutine, results, and time.
 *
 * Six rules carry the whole library.
 * 1. Result: 0 or a useful positive number is success; negative is `-errno` or a `WEFT_E...` code.
 *    weft never reports through `errno`.
 * 2. Time: a duration ends in `_ms`. A deadline is absolute, ends in `_ns` and counts on
 *    weft_now_ns(): 0 means try and never wait, WEFT_NEVER means no limit.
 * 3. Waiting: a call marked "waits" parks the coroutine and may wake it on another thread. It
 *    returns -ECANCELED once the coroutine is cancelled, and then it took nothing: no item, no
 *    permit, no lock. -ECANCELED always means "tidy up and return". On a plain thread such a call
 *    works with deadline 0 and is -EPERM otherwise.
 * 4. Ownership: parameters are borrowed for the call; `_copy` copies; `open/close` are pairs.
 *    Complete structs lie in the caller's memory, opaque ones in weft's.
 * 5. Children end first: a coroutine cannot outlive its scope, so its argument may point to the
 *    locals of its parent, and that is also how a typed result comes back.
 * 6. Options: zero is the default of every member. `reserved` must be zero.
 */
#pragma once

#include <errno.h> /* results are compared with -ECANCELED and the like */
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The body of a coroutine. Negative: it failed. Results go out through `arg`. */
typedef int (*weft_fn)(void *arg);

/* The deadline that does not come. */
#define WEFT_NEVER INT64_MAX

enum weft_error {
    WEFT_ECHILD = -2001, /* what was waited for was cancelled; the caller is not (-ECANCELED) */
    WEFT_ESTUCK =
        -2002, /* in a test run: every coroutine waits, and no timer is left to wake one */
};

/* A sentence fragment for any result of weft; static text. Never fails. */
const char *weft_strerror(int rc);

/* Nanoseconds on a clock that never decreases; its zero means nothing. Inside weft_test_run() it is
 * virtual (weft/test.h). */
int64_t weft_now_ns(void);

/* The deadline `ms` milliseconds from now, saturating; ms <= 0 gives one that has passed. */
int64_t weft_deadline_ms(int64_t ms);

#ifdef __cplusplus
}
#endif
