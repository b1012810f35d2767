/* SPDX-License-Identifier: MIT
 *
 * The table of the dispatchers article (r1): a hundred independent coroutines with one task, on
 * different dispatchers. Plain threads stand beside them, with the same functions from the same
 * compiler: what a row costs beyond them is the runtime's. Where that is to be told to some percent
 * (r1b) they take turns of half a second, for the machine changes by more than that meanwhile.
 */
#include "weft_bench.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define TASKS       100
#define THREADS_MAX 100

/* ---- the four tasks ----------------------------------------------------------------------------
 */

static int suspend_task(void *arg)
{
    (void)arg;
    return weft_sleep_ms(1000);
}

static int block_task(void *arg)
{
    (void)arg;
    return (int)sleep(1);
}

/* The same on a dispatcher that would be blocked, did it not ask for what virtual has. */
static int parked_task(void *arg)
{
    (void)arg;
    (void)weft_intercept(true);
    return (int)sleep(1);
}

static int cpu_task(void *arg)
{
    (void)arg;
    return bench_work_cpu() > 0 ? -EIO : 0;
}

static int memory_task(void *arg)
{
    (void)arg;
    return bench_work_memory() < 0 ? -ENOMEM : 0;
}

enum column { SUSPEND, BLOCK, PARK, CPU, MEMORY, COLUMN_COUNT };

static const struct {
    const char *name;
    weft_fn fn;
} columns[COLUMN_COUNT] = {
    [SUSPEND] = { "suspend", suspend_task }, [BLOCK] = { "block", block_task },
    [PARK] = { "park", parked_task },        [CPU] = { "cpu/10", cpu_task },
    [MEMORY] = { "memory/20", memory_task },
};

static void print(const char *row, enum column column, int64_t start_ns)
{
    bench_line("R1_table", (double)(weft_now_ns() - start_ns) / 1e6, "ms", "%s:%s", row,
               columns[column].name);
}

/* ---- rows of coroutines ------------------------------------------------------------------------
 */

struct row {
    const char *name;
    struct weft_dispatcher *(*on)(void); /* NULL: a view of so many threads */
    int view_limit;
    unsigned threads; /* of the runtime */
    bool is_slow;     /* its few threads are blocked for a minute */
};

static const struct row rows[] = {
    { "1 thread", weft_default, 0, 1, true }, { "default", weft_default, 0, 0, true },
    { "io", weft_io, 0, 0, false },           { "view of 50", NULL, 50, 0, false },
    { "view of 100", NULL, 100, 0, false },   { "virtual, 1 thread", weft_virtual, 0, 1, false },
    { "virtual", weft_virtual, 0, 0, false },
};

static int run_coroutines(struct weft_dispatcher *d, int tasks, enum column column)
{
    struct weft_scope scope;
    weft_scope_open(&scope);
    for (int i = 0; i < tasks; i++)
        weft_launch(&scope, d, columns[column].fn, NULL);
    return weft_scope_close(&scope, 0);
}

static int measure(struct weft_dispatcher *d, const struct row *row, enum column column)
{
    int64_t start_ns = weft_now_ns();
    int rc = run_coroutines(d, TASKS, column);
    if (rc == 0)
        print(row->name, column, start_ns);
    return rc;
}

struct run {
    const struct row *row;
    bool is_long;
};

static int measure_row(void *arg)
{
    const struct run *run = arg;
    const struct row *row = run->row;
    struct weft_dispatcher *d = row->on ? row->on() : NULL;
    int rc = d ? 0 : weft_view_independent(row->view_limit, row->name, &d);
    for (enum column column = 0; rc == 0 && column < COLUMN_COUNT; column++) {
        bool blocks = column == BLOCK || column == PARK;
        if (!blocks || !row->is_slow || run->is_long)
            rc = measure(d, row, column);
    }
    return rc;
}

/* ---- rows of plain threads ---------------------------------------------------------------------
 */

struct gang {
    weft_fn fn;
    atomic_int left;
};

static void *gang_member(void *arg)
{
    struct gang *gang = arg;
    while (atomic_fetch_sub(&gang->left, 1) > 0)
        (void)gang->fn(NULL);
    return NULL;
}

static int run_threads(int count, int tasks, enum column column)
{
    struct gang gang = { .fn = columns[column].fn, .left = tasks };
    pthread_t threads[THREADS_MAX];
    int started = 0, rc = 0;
    while (started < count && rc == 0) {
        rc = -pthread_create(&threads[started], NULL, gang_member, &gang);
        if (rc == 0)
            started++;
    }
    for (int i = 0; i < started; i++)
        (void)pthread_join(threads[i], NULL);
    return rc;
}

static int measure_threads(const char *name, int count, enum column column)
{
    int64_t start_ns = weft_now_ns();
    int rc = run_threads(count, TASKS, column);
    if (rc == 0)
        print(name, column, start_ns);
    return rc;
}

static int measure_gang(int count, const struct bench_args *args)
{
    char name[VARIANT_BYTES / 2];
    (void)snprintf(name, sizeof name, "%d plain threads", count);
    if (args->only && strcmp(args->only, name) != 0)
        return 0;
    int rc = 0;
    for (enum column column = BLOCK; rc == 0 && column < COLUMN_COUNT; column++) {
        if (column != PARK && (column != BLOCK || count > 2 || args->is_long))
            rc = measure_threads(name, count, column);
    }
    return rc;
}

int bench_table(const struct bench_args *args)
{
    static const int gangs[] = { 1, 2, 64, 100 };
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < sizeof gangs / sizeof gangs[0]; i++)
        rc = measure_gang(gangs[i], args);
    for (size_t i = 0; rc >= 0 && i < sizeof rows / sizeof rows[0]; i++) {
        struct run run = { .row = &rows[i], .is_long = args->is_long };
        if (!args->only || strcmp(args->only, rows[i].name) == 0)
            rc = bench_run(rows[i].threads, measure_row, &run);
    }
    return rc;
}

/* ---- by turns ----------------------------------------------------------------------------------
 */

#define SLICES 10

/* One of those that take turns. */
struct side {
    const char *name;
    struct weft_dispatcher *(*on)(void); /* NULL: plain threads */
    int threads;
    enum column column; /* just now */
    int64_t spent_ns;
};

static int run_slice(void *arg)
{
    const struct side *side = arg;
    return run_coroutines(side->on(), TASKS / SLICES, side->column);
}

static int measure_slice(struct side *side)
{
    int64_t start_ns = weft_now_ns();
    int rc = side->on ? weft_run(run_slice, side)
                      : run_threads(side->threads, TASKS / SLICES, side->column);
    side->spent_ns += weft_now_ns() - start_ns;
    return rc;
}

static int measure_by_turns(struct side *sides, size_t count, enum column column)
{
    int rc = 0;
    for (size_t i = 0; i < count; i++) {
        sides[i].column = column;
        sides[i].spent_ns = 0;
    }
    for (int slice = 0; rc == 0 && slice < SLICES; slice++) {
        for (size_t i = 0; rc == 0 && i < count; i++)
            rc = measure_slice(&sides[i]);
    }
    for (size_t i = 0; rc == 0 && i < count; i++)
        bench_line("R1_turns", (double)sides[i].spent_ns / 1e6, "ms", "%s:%s", sides[i].name,
                   columns[column].name);
    return rc;
}

static int measure_sides(unsigned threads, struct side *sides, size_t count)
{
    int rc = weft_configure(&(struct weft_opts){ .threads = threads });
    if (rc == 0)
        rc = measure_by_turns(sides, count, CPU);
    if (rc == 0)
        rc = measure_by_turns(sides, count, MEMORY);
    int ended = weft_shutdown();
    return rc < 0 ? rc : ended;
}

int bench_turns(const struct bench_args *args)
{
    (void)args;
    struct side of_two[] = {
        { .name = "2 plain threads", .threads = 2 },
        { .name = "default", .on = weft_default },
        { .name = "virtual", .on = weft_virtual },
    };
    struct side of_one[] = {
        { .name = "1 plain threads", .threads = 1 },
        { .name = "virtual, 1 thread", .on = weft_virtual },
    };
    int rc = measure_sides(2, of_two, sizeof of_two / sizeof of_two[0]);
    return rc < 0 ? rc : measure_sides(1, of_one, sizeof of_one / sizeof of_one[0]);
}
