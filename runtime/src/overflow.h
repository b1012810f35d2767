/* SPDX-License-Identifier: MIT
 *
 * A clear message when a coroutine runs into the guard below its stack.
 *
 * While the runtime is started it handles SIGSEGV, but only if nobody else does; a handler that the
 * program installs later replaces it. It never goes on: after the line on stderr the program dies
 * of the signal, as it would have. Sanitizers have handlers of their own: there this does nothing.
 */
#pragma once

/* With the runtime. close leaves a handler alone that is not ours. */
void weft_overflow_open(void);
void weft_overflow_close(void);

/* With each thread that runs coroutines, on that thread: gives it a stack for signal handlers, and
 * takes it away, unless the thread had one. Without memory it has none, and dies without a message.
 */
void *weft_overflow_enter(void);
void weft_overflow_leave(void *memory);
