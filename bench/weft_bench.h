/* SPDX-License-Identifier: MIT
 *
 * What the tests of bench_weft share: the clock, the memory of this process, the lines that they
 * print, and the two busy functions of the dispatchers article.
 *
 * A line is "weft", the test, the variant, the value and its unit, with tabs between, as the
 * programs that measure other runtimes print it: so one table can hold all of them.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weft/weft.h>

#define VARIANT_BYTES 96

/* What the command line asked for. */
struct bench_args {
    long number;      /* how many, or the port; 0: the test's own */
    unsigned threads; /* limit of the default dispatcher; 0: weft's own */
    bool is_compact;  /* parked coroutines are copied out */
    bool is_delay;    /* weft_sleep_ms on default instead of sleep(3) on virtual */
    bool is_long;     /* also what takes minutes */
    const char *only; /* r1: one row of the table; NULL: all */
};

/* The tests. 0, or negative: what weft returned. */
int bench_table(const struct bench_args *args);    /* r1 */
int bench_turns(const struct bench_args *args);    /* r1b */
int bench_crowd(const struct bench_args *args);    /* r2 */
int bench_spawn(const struct bench_args *args);    /* r3 */
int bench_switch(const struct bench_args *args);   /* r4 */
int bench_serial(const struct bench_args *args);   /* r5 */
int bench_timers(const struct bench_args *args);   /* r6 */
int bench_recorder(const struct bench_args *args); /* r7 */
int bench_monitor(const struct bench_args *args);  /* r8 */
int bench_echo(const struct bench_args *args);     /* echo; does not return while it can serve */

/* Runs fn(arg) in a runtime whose default dispatcher has `threads` (0: weft's own), and ends that
 * runtime. The result of fn, or of what failed. */
int bench_run(unsigned threads, weft_fn fn, void *arg);

/* Prints one line. `variant` is a format. */
__attribute__((format(printf, 4, 5))) void bench_line(const char *test, double value,
                                                      const char *unit, const char *variant, ...);

/* Of this process, all its threads. */
int64_t bench_cpu_ns(void);
long bench_rss_kib(void), bench_rss_peak_kib(void), bench_page_tables_kib(void);

/* A number that looks random; the state is never 0 afterwards. */
uint64_t bench_random(uint64_t *state);

/* The article's functions, a tenth and a twentieth of them as the other programs have it. */
int bench_work_cpu(void);
int bench_work_memory(void); /* negative: no memory */
