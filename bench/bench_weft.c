/* SPDX-License-Identifier: MIT
 *
 * usage: bench_weft TEST [NUMBER [THREADS]] [compact] [delay] [long] [only NAME]
 *
 *   r1         the table of the dispatchers article: 100 coroutines that suspend, block, calculate
 *              (a tenth) or use memory (a twentieth), on different dispatchers. `only NAME`: one
 *              row; `long`: also what takes a minute because a blocked thread serves nobody else
 *   r1b        its calculations and plain threads by turns of half a second
 *   r2 N       N coroutines asleep for a second, by libc's sleep or by `delay`
 *   r3 N       N coroutines that do nothing, started and joined
 *   r4         handing the processor over: yields, and messages to and fro
 *   r5         jobs through a serial view, 10,000 and 1,000,000
 *   r6 N       N timers within a second: in all, and how late
 *   r7         what the recorder costs: the same work with and without it
 *   r8         the monitor: how long a call that it has to find holds up others, and what it costs
 *   echo PORT  a server for the load of another process
 *
 * The arguments are those of the programs that measure other runtimes, and so are the lines that
 * come out (weft_bench.h); runtime.py runs them side by side.
 */
#include "weft_bench.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NUMBER_MAX  100000000
#define THREADS_MAX 1024

static const struct test {
    const char *name;
    int (*run)(const struct bench_args *args);
} tests[] = {
    { "r1", bench_table },  { "r1b", bench_turns },   { "r2", bench_crowd },
    { "r3", bench_spawn },  { "r4", bench_switch },   { "r5", bench_serial },
    { "r6", bench_timers }, { "r7", bench_recorder }, { "r8", bench_monitor },
    { "echo", bench_echo },
};

static const struct test *find(const char *name)
{
    for (size_t i = 0; i < sizeof tests / sizeof tests[0]; i++) {
        if (strcmp(tests[i].name, name) == 0)
            return &tests[i];
    }
    return NULL;
}

static int usage(const char *what)
{
    (void)fprintf(
        stderr,
        "bench_weft: %s\n"
        "usage: bench_weft r1|r2|r3|r4|r5|r6|r7|r8|echo [NUMBER [THREADS]] [compact] [delay] "
        "[long] [only NAME]\n",
        what);
    return 2;
}

/* The index-th number: how many, then threads. */
static bool read_number(const char *text, int index, struct bench_args *args)
{
    char *end;
    errno = 0;
    long value = strtol(text, &end, 10);
    if (errno != 0 || *text == '\0' || *end != '\0' || value < 0)
        return false;
    if (index == 0 && value <= NUMBER_MAX)
        args->number = value;
    else if (index == 1 && value <= THREADS_MAX)
        args->threads = (unsigned)value;
    else
        return false;
    return true;
}

static bool read_args(char **words, struct bench_args *args)
{
    for (int numbers = 0; *words; words++) {
        if (strcmp(*words, "compact") == 0)
            args->is_compact = true;
        else if (strcmp(*words, "delay") == 0)
            args->is_delay = true;
        else if (strcmp(*words, "long") == 0)
            args->is_long = true;
        else if (strcmp(*words, "only") == 0 && words[1])
            args->only = *++words;
        else if (!read_number(*words, numbers++, args))
            return false;
    }
    return true;
}

int main(int argc, char **argv)
{
    struct bench_args args = { 0 };
    const struct test *test = argc > 1 ? find(argv[1]) : NULL;
    if (!test)
        return usage("which test?");
    if (!read_args(argv + 2, &args))
        return usage("what does that argument mean?");
    int rc = test->run(&args);
    if (rc < 0)
        (void)fprintf(stderr, "bench_weft %s: %s\n", test->name, weft_strerror(rc));
    return rc < 0;
}
