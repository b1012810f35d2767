/* SPDX-License-Identifier: MIT
 *
 * The end of the program for what can only be a bug of the caller (or of weft): one line on stderr
 * that begins with "weft: ", then abort().
 */
#pragma once

void weft_die(const char *format, ...) __attribute__((noreturn, cold, format(printf, 1, 2)));

/* The line alone. Needs about 1 KiB of stack. */
void weft_say(const char *format, ...) __attribute__((cold, format(printf, 1, 2)));

/* Dies with the message unless the condition holds. One condition each. */
#define WEFT_REQUIRE(condition, ...)                                                               \
    (__builtin_expect(!(condition), 0) ? weft_die(__VA_ARGS__) : (void)0)
