/* SPDX-License-Identifier: MIT
 *
 * Assertions about our own mistakes: preconditions, impossible states, both sides of a promise.
 * They stay on in release builds. What comes from the wire, the disk, the configuration or the user
 * is never asserted.
 *
 * Header-only and without a dependency: the coroutine runtime uses it too. Failing needs next to no
 * stack (the text is made at compile time), because a coroutine may have little left.
 */
#pragma once

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BERTH_STRINGIFY_(x) #x
#define BERTH_STRINGIFY(x)  BERTH_STRINGIFY_(x)

/* Prints file:line:expression to stderr and aborts if `expression` is false. One condition per
 * line. */
#define BERTH_ASSERT(expression)                                                                   \
    (__builtin_expect(!(expression), 0) ? berth_assert_fail(__FILE__ ":" BERTH_STRINGIFY(          \
                                              __LINE__) ": assertion failed: " #expression "\n")   \
                                        : (void)0)

/* Marks what cannot be reached, for example behind a switch over all values of an enum. */
#define BERTH_UNREACHABLE()                                                                        \
    berth_assert_fail(__FILE__ ":" BERTH_STRINGIFY(__LINE__) ": reached the unreachable\n")

__attribute__((noreturn, cold, unused)) static void berth_assert_fail(const char *line)
{
    ssize_t written = write(STDERR_FILENO, line, strlen(line));
    (void)written;
    abort();
}
