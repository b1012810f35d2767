/* SPDX-License-Identifier: MIT
 *
 * Seeing what the coroutines do.
 */
#pragma once

#include <stddef.h>

#include <weft/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Writes all coroutines to `fd`, as trees, a line each, children further in than their parent:
 *
 *     weft: 3 threads, 2 idle, 0 replaced; default: 0 of 2 running, 0 queued; io: 1 of 64 running,
 *         0 queued; virtual: 0 of 2 running, 0 queued; blocking: 0 of 4030 running, 0 queued
 *     weft: view 'newsletter' of io: 0 of 5 running, 0 queued
 *       #1 'body' on default: parked, waits for children
 *         #2 'tick' on default: parked, waits for sleep
 *         #3 'fetch' on io: running
 *     weft: 3 coroutines: 1 running, 2 parked; waiting for children 1, sleep 1
 *
 * (The first line is one line.) "blocking" are pooled calls and independent views. A coroutine that
 * is cancelled has ", cancelled" behind its reason.
 * The states: held (not released yet), queued (for its first turn), ready (for the next), running,
 * parked, ended (and somebody may still ask for its result). The number is the one in recordings.
 * Replaced: threads of virtual that were stuck, and whose seat went to another.
 *
 * About 30 KiB of memory, however many there are. Nobody is held up but for microseconds, whatever
 * `fd` is and however slow its reader; so it is not one moment that is shown: each coroutine as it
 * was when its line was made, and of those that start or end meanwhile some. Any thread, not a
 * signal handler. 0, -ENOMEM, or the -errno of write(2).
 *
 * SIGQUIT (Ctrl-\) does it on stderr, and the program goes on, while weft runs; unless the signal
 * was handled, ignored or blocked when weft started, or weft_opts.no_sigquit_dump is set. A thread
 * of its own does it, also when all others are stuck. */
int weft_dump(int fd);

/* The recorder: from start to stop each thread keeps its newest events in a ring of its own, of at
 * most `ring_bytes` (0: 1 MiB; else 4 KiB..1 GiB; 24 bytes an event; memory is taken as it fills):
 * which coroutine it runs, from when to when and why it stopped; launches, wakes and ends.
 *
 * start: records into `path`, which is made or emptied now. 0; -EALREADY: it records already, or is
 * still writing; -EINVAL; or the -errno of open(2). Any thread.
 *
 * stop: ends it and writes the file, as trace-event JSON, which https://ui.perfetto.dev and
 * chrome://tracing open: a track a thread with the turns of its coroutines, a track a coroutine
 * from launch to end, arrows from wakes to what they woke, and how many run on each dispatcher at
 * each moment. Coroutines go on meanwhile. 0; -EALREADY: it does not record; -ENOMEM; or the -errno
 * of write(2): then the file is not whole. Any thread; blocks it on `path`.
 *
 * WEFT_TRACE=path in the environment records from the start of the runtime until exit(3), unless
 * the program stops it itself. */
int weft_trace_start(const char *path, size_t ring_bytes);
int weft_trace_stop(void);

/* Of the thread that runs this; a runtime thread's name stays valid until weft_shutdown(), a plain
 * thread's until its next call. */
const char *weft_thread_name(void);

#ifdef __cplusplus
}
#endif
