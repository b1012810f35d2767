/* SPDX-License-Identifier: MIT
 *
 * For tests of code that uses weft: one thread, virtual time, an order drawn from a seed.
 *
 *     static int an_hour_has_sixty_minutes(void *arg);
 *     ...
 *     for (uint64_t seed = 1; seed <= 1000; seed++)
 *         assert(weft_test_run(seed, an_hour_has_sixty_minutes, NULL) == 0);
 *
 * Inside a run, that is, in fn and in every coroutine that it starts:
 * - The built-in dispatchers are the run's own, and so are the views that are made there; they end
 *   with it. All of them run on the calling thread. At each park, yield and end the next coroutine
 *   is drawn from those that are ready; views keep their limits, and serial ones their order. What
 *   lies between two such points is not interleaved.
 * - weft_now_ns() begins at one second, and stands still while anything can run; when everything
 *   waits it jumps to the next deadline. What sleeps by weft, or by libc on weft_virtual(), sleeps
 *   on this clock; timers that fall due in the same instant fire in any order. clock_gettime(2) and
 *   time(2) still tell the real time.
 * - The same seed gives the same run, if the code under test asks nobody else: it must not look at
 *   the real time, at addresses, or at other threads.
 * - What depends on real time is refused with -ENOTSUP and named on stderr: a descriptor that is
 *   not ready (weft_fd_wait(), and libc's calls on weft_virtual()), weft_interruptible(), and
 *   dispatchers that have threads, or were made outside. What libc's calls on weft_virtual() would
 *   leave to another thread (files on disk, for example) holds the run for so long. A coroutine
 *   that is woken by another thread goes on, but the run fails with -ENOTSUP.
 */
#pragma once

#include <stdint.h>

#include <weft/base.h>
#include <weft/dispatcher.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Runs fn as a coroutine on the run's weft_default(), and blocks this thread, a plain one, until
 * that and everything else in the run has ended. Several threads may each have a run. The first of:
 *
 * WEFT_ESTUCK: every coroutine waited, and no timer was left to wake one. -ETIME: it took more than
 * 60 s of real time (a turn that never ends, for example a call that blocks the thread, is not
 * seen). Both print the dump (weft/debug.h), then cancel everything, so that it tidies up; what
 * cannot be cancelled is left as it is, for ever.
 * What fn returned, if negative (WEFT_ECHILD for -ECANCELED); -ENOMEM: it could not start.
 * The failure of a coroutine that was launched into a supervisor without an on_failure, and of
 * which nobody else hears.
 * -EBUSY: weft_root_close() was not called for a root; that has been cancelled, and is still to be
 * closed.
 * -ENOTSUP: another thread meddled.
 * What fn returned.
 *
 * When the result is negative, a line on stderr says with which seed to see it again.
 * -EPERM: not on a plain thread; -EINVAL: no fn. */
int weft_test_run(uint64_t seed, weft_fn fn, void *arg);

/* Waits, in a run, for `ms` milliseconds of its time, and then until everything else waits:
 * whatever falls due on the way, or at its end, has run. 0 ms: what is ready now. 0; -ECANCELED;
 * -EINVAL: negative or without end; -EPERM: not in a run; -ENOMEM. */
int weft_test_advance_ms(int64_t ms);

/* What weft_main() is from now on, and where weft_main_run() runs; NULL: the real one. In a run: of
 * that run, until its end. 0. */
int weft_main_replace(struct weft_dispatcher *d);

#ifdef __cplusplus
}
#endif
