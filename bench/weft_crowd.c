/* SPDX-License-Identifier: MIT
 *
 * Many coroutines at once: asleep (r2), and with a timer each (r6).
 */
#include "weft_bench.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define CROWD_DEFAULT 100000
#define TIMERS_MS     1000

/* ---- r2: asleep for a second -------------------------------------------------------------------
 */

struct crowd {
    const struct bench_args *args;
    long count;
    int64_t spawned_ns, ended_ns; /* when the last one had been launched; when all had ended */
    long page_tables_kib;
};

static int delayed(void *arg)
{
    (void)arg;
    return weft_sleep_ms(1000);
}

static int sleeps(void *arg)
{
    (void)arg;
    return (int)sleep(1); /* libc's */
}

static int crowd(void *arg)
{
    struct crowd *crowd = arg;
    bool is_delay = crowd->args->is_delay;
    struct weft_dispatcher *on = is_delay ? weft_default() : weft_virtual();
    const struct weft_task_opts opts = { .compact = crowd->args->is_compact };
    struct weft_scope scope;
    weft_scope_open(&scope);
    for (long i = 0; i < crowd->count; i++)
        weft_launch_opts(&scope, on, is_delay ? delayed : sleeps, NULL, &opts);
    crowd->spawned_ns = weft_now_ns();
    crowd->page_tables_kib = bench_page_tables_kib();
    int rc = weft_scope_close(&scope, 0);
    crowd->ended_ns = weft_now_ns();
    return rc;
}

int bench_crowd(const struct bench_args *args)
{
    struct crowd c = { .args = args, .count = args->number ? args->number : CROWD_DEFAULT };
    static const char *const ways[2][2] = { { "sleep", "sleep_compact" },
                                            { "delay", "delay_compact" } };
    const char *way = ways[args->is_delay][args->is_compact];
    long rss_kib = bench_rss_kib();
    int64_t cpu_ns = bench_cpu_ns(), start_ns = weft_now_ns();
    int rc = bench_run(args->threads, crowd, &c);
    if (rc < 0)
        return rc;
    double took_ms = (double)(c.ended_ns - start_ns) / 1e6;
    double cpu_ms = (double)(bench_cpu_ns() - cpu_ns) / 1e6;
    double peak_kib = (double)(bench_rss_peak_kib() - rss_kib);
    bench_line("R2_block", took_ms, "ms", "%ld_%s", c.count, way);
    bench_line("R2_block", (double)(c.spawned_ns - start_ns) / 1e6, "ms", "%ld_%s_spawn", c.count,
               way);
    bench_line("R2_block", cpu_ms, "ms", "%ld_%s_cpu", c.count, way);
    bench_line("R2_block", (double)bench_rss_peak_kib() / 1024, "MiB", "%ld_%s_rss", c.count, way);
    bench_line("R2_block", (double)c.page_tables_kib / 1024, "MiB", "%ld_%s_pte", c.count, way);
    bench_line("R2_block", peak_kib * 1024 / (double)c.count, "B", "%ld_%s_bytes_per_task", c.count,
               way);
    return 0;
}

/* ---- r6: a timer each --------------------------------------------------------------------------
 */

struct timers {
    const struct bench_args *args;
    int64_t *late_ns; /* one each; it holds the number of the coroutine until that has woken */
    long count;
    int64_t ended_ns;
};

static int timer(void *arg)
{
    int64_t *late_ns = arg;
    uint64_t state = (uint64_t)(*late_ns + 1) * 0x9E3779B97F4A7C15u;
    int64_t until_ns =
        weft_now_ns() + (int64_t)(bench_random(&state) % ((uint64_t)TIMERS_MS * 1000000));
    int rc = weft_sleep_until(until_ns);
    *late_ns = weft_now_ns() - until_ns;
    return rc;
}

static int timers(void *arg)
{
    struct timers *timers = arg;
    const struct weft_task_opts opts = { .compact = timers->args->is_compact };
    struct weft_scope scope;
    weft_scope_open(&scope);
    for (long i = 0; i < timers->count; i++) {
        timers->late_ns[i] = i;
        weft_launch_opts(&scope, NULL, timer, &timers->late_ns[i], &opts);
    }
    int rc = weft_scope_close(&scope, 0);
    timers->ended_ns = weft_now_ns();
    return rc;
}

static int by_value(const void *left, const void *right)
{
    int64_t a = *(const int64_t *)left, b = *(const int64_t *)right;
    return (a > b) - (a < b);
}

static void print_lateness(int64_t *late_ns, long count, const char *variant)
{
    qsort(late_ns, (size_t)count, sizeof *late_ns, by_value);
    bench_line("R6_timers", (double)late_ns[count / 2] / 1e3, "us", "%s_late_p50", variant);
    bench_line("R6_timers", (double)late_ns[count / 100 * 99] / 1e3, "us", "%s_late_p99", variant);
    bench_line("R6_timers", (double)late_ns[count - 1] / 1e3, "us", "%s_late_max", variant);
}

int bench_timers(const struct bench_args *args)
{
    struct timers t = { .args = args, .count = args->number ? args->number : 10 * CROWD_DEFAULT };
    t.late_ns = malloc((size_t)t.count * sizeof *t.late_ns);
    if (!t.late_ns)
        return -ENOMEM;
    for (long i = 0; i < t.count; i++) /* its pages are not what is measured */
        t.late_ns[i] = -1;
    int64_t cpu_ns = bench_cpu_ns(), start_ns = weft_now_ns();
    int rc = bench_run(args->threads, timers, &t);
    double took_ms = (double)(t.ended_ns - start_ns) / 1e6;
    double cpu_ms = (double)(bench_cpu_ns() - cpu_ns) / 1e6;
    if (rc == 0) {
        char variant[VARIANT_BYTES / 2];
        (void)snprintf(variant, sizeof variant, "%ld_sleepers%s", t.count,
                       args->is_compact ? "_compact" : "");
        bench_line("R6_timers", took_ms, "ms_total", "%s", variant);
        bench_line("R6_timers", cpu_ms, "ms", "%s_cpu", variant);
        print_lateness(t.late_ns, t.count, variant);
    }
    free(t.late_ns);
    return rc;
}
