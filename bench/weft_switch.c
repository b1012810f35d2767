/* SPDX-License-Identifier: MIT
 *
 * What it costs to start and join a coroutine (r3), to hand the processor to another (r4), and to
 * have a job done by one that does one at a time (r5).
 */
#include "weft_bench.h"

#include <errno.h>

#define ROUNDS        3
#define SPAWN_DEFAULT 1000000
#define PAIR_TIMES    3000000
#define CROWD         1000
#define CROWD_TIMES   5000
#define MESSAGES      1000000
#define MESSAGES_FAR  100000 /* where another core may have to be woken for each */

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

#define BATCH 1000

/* Nanoseconds for each of `count`, of which BATCH are there at once. */
static double in_batches_ns(long count)
{
    int64_t start_ns = weft_now_ns();
    for (long left = count; left > 0; left -= BATCH) {
        if (all_at_once_ns(BATCH, WEFT_START_DEFAULT) < 0)
            return -1;
    }
    return (double)(weft_now_ns() - start_ns) / (double)count;
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
        bench_line("R3_spawn", in_batches_ns(s->count / BATCH * BATCH), "ns",
                   "%d_at_a_time_threads%u", BATCH, s->threads);
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

/* Two channels, and a coroutine that sends back what it receives. */
struct table_tennis {
    struct weft_chan *there, *back;
};

static int pong(void *arg)
{
    struct table_tennis *t = arg;
    long ball;
    int rc;
    while ((rc = weft_chan_recv(t->there, &ball, sizeof ball, WEFT_NEVER)) > 0) {
        rc = weft_chan_send(t->back, &ball, sizeof ball, WEFT_NEVER);
        if (rc < 0)
            break;
    }
    return rc;
}

static int ping(struct table_tennis *t, long times)
{
    int rc = 0;
    for (long i = 0; rc >= 0 && i < times; i++) {
        long ball = i;
        rc = weft_chan_send(t->there, &ball, sizeof ball, WEFT_NEVER);
        if (rc >= 0)
            rc = weft_chan_recv(t->back, &ball, sizeof ball, WEFT_NEVER);
    }
    weft_chan_close(t->there);
    return rc < 0 ? rc : 0;
}

static int play(struct table_tennis *t, size_t capacity, unsigned threads)
{
    long messages = threads == 1 ? MESSAGES : MESSAGES_FAR;
    /* It waits for the first ball, as libdill's coroutines do that run at once. */
    const struct weft_task_opts at_once = { .start = WEFT_START_UNDISPATCHED };
    struct weft_scope scope;
    int64_t start_ns = weft_now_ns();
    weft_scope_open(&scope);
    weft_launch_opts(&scope, NULL, pong, t, &at_once);
    int rc = weft_scope_close(&scope, ping(t, messages));
    if (rc == 0)
        bench_line("R4_switch", (double)(weft_now_ns() - start_ns) / (2.0 * (double)messages),
                   "ns/msg", "chan_pingpong_capacity%zu_threads%u", capacity, threads);
    return rc;
}

static int ping_pong(size_t capacity, unsigned threads)
{
    struct table_tennis t;
    int rc = weft_chan_new(sizeof(long), capacity, NULL, &t.there);
    if (rc < 0)
        return rc;
    rc = weft_chan_new(sizeof(long), capacity, NULL, &t.back);
    if (rc == 0) {
        rc = play(&t, capacity, threads);
        weft_chan_free(t.back);
    }
    weft_chan_free(t.there);
    return rc;
}

static int one_worker(void *arg)
{
    (void)arg;
    bench_line("R4_switch", yield_ns(2, PAIR_TIMES), "ns", "pair_yield_threads1");
    bench_line("R4_switch", yield_ns(CROWD, CROWD_TIMES), "ns", "%d_yield_threads1", CROWD);
    int rc = ping_pong(0, 1);
    return rc < 0 ? rc : ping_pong(1, 1);
}

static int two_workers(void *arg)
{
    (void)arg;
    bench_line("R4_switch", yield_ns(CROWD, CROWD_TIMES), "ns", "%d_yield_threads2", CROWD);
    int rc = ping_pong(0, 2);
    return rc < 0 ? rc : ping_pong(1, 2);
}

int bench_switch(const struct bench_args *args)
{
    (void)args;
    int rc = bench_run(1, one_worker, NULL);
    return rc < 0 ? rc : bench_run(2, two_workers, NULL);
}

/* ---- r5 ----------------------------------------------------------------------------------------
 */

static int increment(void *arg)
{
    ++*(long *)arg;
    return 0;
}

/* A coroutine for each job. */
static int serial_launch(struct weft_dispatcher *serial, long count, unsigned threads)
{
    long counter = 0;
    struct weft_scope scope;
    int64_t start_ns = weft_now_ns();
    weft_scope_open(&scope);
    for (long i = 0; i < count; i++)
        weft_launch(&scope, serial, increment, &counter);
    int rc = weft_scope_close(&scope, 0);
    if (rc == 0)
        bench_line("R5_serial", (double)(weft_now_ns() - start_ns) / (double)count, "ns",
                   "launch_%ld_threads%u", count, threads);
    return rc < 0 || counter == count ? rc : -ERANGE;
}

/* One coroutine that goes there for each job, and comes back. */
static int serial_with(struct weft_dispatcher *serial, long count, unsigned threads)
{
    long counter = 0;
    int rc = 0;
    int64_t start_ns = weft_now_ns();
    for (long i = 0; rc >= 0 && i < count; i++)
        rc = weft_with(serial, increment, &counter);
    if (rc >= 0)
        bench_line("R5_serial", (double)(weft_now_ns() - start_ns) / (double)count, "ns",
                   "with_%ld_threads%u", count, threads);
    return rc < 0 || counter == count ? rc : -ERANGE;
}

static int serial(void *arg)
{
    static const long counts[] = { 10000, 1000000 };
    unsigned threads = *(const unsigned *)arg;
    struct weft_dispatcher *view;
    int rc = weft_view_serial(weft_default(), "counter", &view);
    for (int i = 0; rc >= 0 && i < 2 * ROUNDS; i++)
        rc = serial_launch(view, counts[i % 2], threads);
    return rc < 0 ? rc : serial_with(view, counts[1], threads);
}

int bench_serial(const struct bench_args *args)
{
    (void)args;
    int rc = 0;
    for (unsigned threads = 1; rc >= 0 && threads <= 2; threads++)
        rc = bench_run(threads, serial, &threads);
    return rc;
}
