/* SPDX-License-Identifier: MIT */
/* The progress bar of a wait, on the last line of a terminal: stderr, if that is one.
 *
 * 1. It is drawn at most ten times a second, by a thread of its own: so it stays right, and its
 *    remaining time goes on, while nothing happens.
 * 2. Lines of data for stdout are written between bar_lift() and bar_lower(): nothing is ever
 *    written into the bar.
 * 3. While there is one, an interrupt (SIGINT) goes to that thread.
 * 4. Without a terminal, with TERM unset or "dumb", or without memory there is none: then it is
 *    NULL, which all functions take. NO_COLOR, not empty, takes the colour away.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct bar;

struct bar *bar_start(size_t total);

/* Draws what there is now for the last time, and leaves it standing. */
void bar_end(struct bar *bar);

/* From one to the other the caller may write lines to stdout. The one that has ended, failed or
 * not, is counted. */
void bar_lift(struct bar *bar);
void bar_lower(struct bar *bar, bool is_failed);

/* For a signal handler that ends the program: what is written next begins a line. */
void bar_interrupt(void);
