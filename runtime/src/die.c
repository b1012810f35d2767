/* SPDX-License-Identifier: MIT */
#include "die.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LINE_BYTES_MAX 512

__attribute__((format(printf, 1, 0))) static void say(const char *format, va_list args)
{
    char line[LINE_BYTES_MAX] = "weft: ";
    size_t used = strlen(line);
    size_t room = sizeof line - used - 1; /* behind it a newline */
    /* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): clang 14 loses sight of va_start */
    int wanted = vsnprintf(line + used, room, format, args);
    if (wanted > 0)
        used += (size_t)wanted < room ? (size_t)wanted : room - 1;
    line[used++] = '\n';
    (void)syscall(SYS_write, STDERR_FILENO, line, used); /* never parks */
}

void weft_say(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say(format, args);
    va_end(args);
}

void weft_die(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say(format, args);
    va_end(args);
    abort();
}
