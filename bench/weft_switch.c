/* SPDX-License-Identifier: MIT
 *
 * What it costs to start and join a coroutine (r3), and to hand the processor to another (r4).
 */
#include "weft_bench.h"

#define ROUNDS        3
#define SPAWN_DEFAULT 1000000
#define PAIR_TIMES    3000000
#define CROWD         1000
#define CROWD_TIMES   5000

/* ---- r3 ----------------------------------------------------------------------------------------
 */

struct spawn {
    long count;
    unsigned threads;
};

static int nothing(void *arg)
{
    (void)arg;
    return 0;
}

/* Nanoseconds for each of `count`, all of which are there at once unless they start in place. */
static double all_at_once_ns(long count, enum weft_start start)
{
    const struct weft_task_opts opts = { .start = start };
    struct weft_scope scope;
    int64_t start_ns = weft_now_ns();
    weft_scope_open(&scope);
    for (long i = 0; i < count; i++)
        weft_launch_opts(&scope, NULL, nothing, NULL, &opts);
    int rc = weft_scope_close(&scope, 0);
    return rc < 0 ? -1 : (double)(weft_now_ns() - start_ns) / (double)count;
}

static double one_at_a_time_ns(long count)
{
    int64_t start_ns = weft_now_ns();
    for (long i = 0; i < count; i++) {
        struct weft_scope scope;
        weft_scope_open(&scope);
        weft_launch(&scope, NULL, nothing, NULL);
        if (weft_scope_close(&scope, 0) < 0)
            return -1;
    }
    return (double)(weft_now_ns() - start_ns) / (double)count;
}

static int spawn(void *arg)
{
    const struct spawn *s = arg;
    for (int round = 0; round < ROUNDS; round++) {
        bench_line("R3_spawn", all_at_once_ns(s->count, WEFT_START_DEFAULT), "ns",
                   "%ld_all_threads%u", s->count, s->threads);
        bench_line("R3_spawn", all_at_once_ns(s->count, WEFT_START_UNDISPATCHED), "ns",
                   "%ld_undispatched_threads%u", s->count, s->threads);
        bench_line("R3_spawn", one_at_a_time_ns(s->count / 10), "ns", "each_threads%u", s->threads);
    }
    return 0;
}

int bench_spawn(const struct bench_args *args)
{
    struct spawn s = { .count = args->number ? args->number : SPAWN_DEFAULT,
                       .threads = args->threads ? args->threads : 2 };
    return bench_run(s.threads, spawn, &s);
}

/* ---- r4 ----------------------------------------------------------------------------------------
 */

static int yields(void *arg)
{
    for (long left = *(const long *)arg; left > 0; left--) {
        int rc = weft_yield();
        if (rc < 0)
            return rc;
    }
    return 0;
}

static double yield_ns(int count, long times)
{
    struct weft_scope scope;
    int64_t start_ns = weft_now_ns();
    weft_scope_open(&scope);
    for (int i = 0; i < count; i++)
        weft_launch(&scope, NULL, yields, &times);
    int rc = weft_scope_close(&scope, 0);
    return rc < 0 ? -1 : (double)(weft_now_ns() - start_ns) / ((double)times * count);
}

static int one_worker(void *arg)
{
    (void)arg;
    bench_line("R4_switch", yield_ns(2, PAIR_TIMES), "ns", "pair_yield_threads1");
    bench_line("R4_switch", yield_ns(CROWD, CROWD_TIMES), "ns", "%d_yield_threads1", CROWD);
    return 0;
}

static int two_workers(void *arg)
{
    (void)arg;
    bench_line("R4_switch", yield_ns(CROWD, CROWD_TIMES), "ns", "%d_yield_threads2", CROWD);
    return 0;
}

int bench_switch(const struct bench_args *args)
{
    (void)args;
    int rc = bench_run(1, one_worker, NULL);
    return rc < 0 ? rc : bench_run(2, two_workers, NULL);
}
