/* SPDX-License-Identifier: MIT
 *
 * The monitor (r8): how long one that blocks where weft does not see it holds up the others of its
 * carrier, and what the monitor costs while somebody runs.
 */
#include "weft_bench.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS     100
#define BLOCK_NS   30000000
#define SLEEP_US   200
#define APART_US   10000 /* at the most, at random, before the next one blocks */
#define COST_MS    3000
#define NS_PER_MS  1e6
#define TEXT_BYTES 64

/* ---- one that blocks beside one that sleeps again and again ---- */

struct held {
    atomic_bool is_over;
    int64_t longest_ns;                /* between two wakes of the sleeper */
    _Atomic(int64_t) plain_longest_ns; /* the same of a plain thread: what the machine does */
    uint64_t random;
    double ms[ROUNDS], plain_ms[ROUNDS];
};

static void *sleep_on_plain(void *arg)
{
    struct held *held = arg;
    struct timespec limit = { .tv_nsec = SLEEP_US * 1000L };
    int64_t before_ns = weft_now_ns();
    while (!held->is_over) {
        (void)nanosleep(&limit, NULL);
        int64_t now_ns = weft_now_ns();
        if (now_ns - before_ns > held->plain_longest_ns)
            held->plain_longest_ns = now_ns - before_ns;
        before_ns = now_ns;
    }
    return NULL;
}

static int sleep_on(void *arg)
{
    struct held *held = arg;
    int64_t before_ns = weft_now_ns();
    while (!held->is_over) {
        (void)usleep(SLEEP_US); /* parks */
        int64_t now_ns = weft_now_ns();
        if (now_ns - before_ns > held->longest_ns)
            held->longest_ns = now_ns - before_ns;
        before_ns = now_ns;
    }
    return 0;
}

static int block(void *arg)
{
    struct timespec limit = { .tv_nsec = BLOCK_NS };
    (void)arg;
    return syscall(SYS_nanosleep, &limit, NULL) < 0 ? -errno : 0; /* holds its thread */
}

static int block_again_and_again(void *arg)
{
    struct held *held = arg;
    int rc = 0;
    for (int i = 0; i < ROUNDS && rc == 0; i++) {
        struct weft_scope one;
        (void)usleep((useconds_t)(bench_random(&held->random) % APART_US));
        held->longest_ns = 0;
        held->plain_longest_ns = 0;
        weft_scope_open(&one);
        weft_launch(&one, NULL, block, NULL);
        rc = weft_scope_close(&one, 0);
        held->ms[i] = (double)held->longest_ns / NS_PER_MS;
        held->plain_ms[i] = (double)held->plain_longest_ns / NS_PER_MS;
    }
    held->is_over = true;
    return rc;
}

static int hold(void *arg)
{
    struct weft_scope scope;
    weft_scope_open(&scope);
    weft_launch(&scope, NULL, sleep_on, arg);
    weft_launch(&scope, NULL, block_again_and_again, arg);
    return weft_scope_close(&scope, 0);
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void show(double ms[static ROUNDS], const char *name)
{
    qsort(ms, ROUNDS, sizeof ms[0], compare);
    bench_line("R8_monitor", ms[ROUNDS / 2], "ms", "%s_p50", name);
    bench_line("R8_monitor", ms[ROUNDS * 9 / 10], "ms", "%s_p90", name);
    bench_line("R8_monitor", ms[ROUNDS - 1], "ms", "%s_max", name);
}

static int hold_on_virtual(void *arg)
{
    struct held *held = arg;
    pthread_t plain;
    int rc = -pthread_create(&plain, NULL, sleep_on_plain, held);
    if (rc < 0)
        return rc;
    rc = weft_with(weft_virtual(), hold, held);
    held->is_over = true;
    (void)pthread_join(plain, NULL);
    show(held->ms, "held");
    show(held->plain_ms, "plain_thread");
    return rc;
}

/* ---- what it costs ---- */

/* What the kernel says of a thread of this process in one of its files. False: it says nothing. */
static bool read_of(const char *tid, const char *file, char text[static TEXT_BYTES])
{
    char path[300];
    (void)snprintf(path, sizeof path, "/proc/self/task/%s/%s", tid, file);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t count = fd >= 0 ? read(fd, text, TEXT_BYTES - 1) : -1;
    if (fd >= 0)
        (void)close(fd);
    text[count > 0 ? count : 0] = '\0';
    return count > 0;
}

/* The processor's time of the service thread, on which the monitor is; or -errno. */
static int64_t service_ns(void)
{
    DIR *tasks = opendir("/proc/self/task");
    if (!tasks)
        return -errno;
    int64_t ns = -ENOENT;
    char text[TEXT_BYTES];
    for (const struct dirent *entry; ns < 0 && (entry = readdir(tasks));) {
        if (read_of(entry->d_name, "comm", text) && strcmp(text, "weft-service\n") == 0 &&
            read_of(entry->d_name, "schedstat", text))
            ns = strtoll(text, NULL, 10);
    }
    (void)closedir(tasks);
    return ns;
}

static int run_on(void *arg)
{
    int64_t end_ns = *(int64_t *)arg;
    while (weft_now_ns() < end_ns) {
        int rc = weft_yield();
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int cost(struct weft_dispatcher *d, const char *name)
{
    (void)weft_sleep_ms(100); /* the thread has its name by then */
    int64_t before_ns = service_ns(), end_ns = weft_deadline_ms(COST_MS);
    if (before_ns < 0)
        return (int)before_ns;
    int rc = weft_with(d, run_on, &end_ns);
    double part = (double)(service_ns() - before_ns) / (COST_MS * NS_PER_MS);
    bench_line("R8_monitor", part * 100, "% of a core", "cost_%s", name);
    return rc;
}

static int cost_on_both(void *arg)
{
    (void)arg;
    int rc = cost(weft_default(), "default");
    return rc < 0 ? rc : cost(weft_virtual(), "virtual");
}

int bench_monitor(const struct bench_args *args)
{
    struct held held = { .random = 1 };
    int rc = bench_run(1, hold_on_virtual, &held);
    return rc < 0 ? rc : bench_run(args->threads, cost_on_both, NULL);
}
