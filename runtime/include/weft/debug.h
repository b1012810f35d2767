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

/* Writes the tree of all coroutines to `fd`: name, state, what it waits for, dispatcher; and a
 * line on the threads. Any thread, not a signal handler; in bounded memory. It holds up the tree
 * that it is writing, so `fd` must not be a pipe that only a coroutine reads. 0, or the -errno of
 * write(2). */
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
