/* SPDX-License-Identifier: MIT
 *
 * Allocations that fail on command, to walk through error paths: make the n-th one fail, for every
 * n. The test names WRAP malloc calloc realloc in its berth_test(); libc's own allocations (strdup,
 * asprintf) are not reached.
 *
 *     FAULTY_FOREACH (n) {
 *         int rc = thing_new(&thing);
 *         if (faulty_stop())
 *             assert_rc(rc, -ENOMEM);
 *         ...
 *     }
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define FAULTY_RUNS_MAX 10000 /* more allocations than this in one round is a test gone wrong */

/* From now on the n-th allocation (1: the next) of any thread fails, once. */
void faulty_fail_at(size_t n);

/* No more failures. Whether one happened since faulty_fail_at. */
bool faulty_stop(void);

/* The body runs with the 1st, 2nd, ... allocation failing, until it made fewer than that: the last
 * round runs without a failure. The body calls faulty_stop() itself before it asserts. */
/* NOLINTNEXTLINE(bugprone-macro-parentheses): n is a name that is declared */
#define FAULTY_FOREACH(n) for (size_t n = 1; faulty_begin_(n); n++)

/* Whether round n is to be run: the first, and each after one that failed. */
bool faulty_begin_(size_t n);
