/* SPDX-License-Identifier: MIT */
/* bench_dispatch: a broker, a worker and this client as three real processes on one machine; what a
 * user would feel.
 *
 *   durable enqueue     jobs a second into a paused dispatcher, by one client, in batches
 *   end to end          jobs a second from submit to the stored end, the handler doing nothing
 *   latency             submit call to handler start at 200 jobs/s, one job a call
 *   raw limit           the same bytes appended to a file beside the database, with fdatasync after
 * each batch
 *
 * Prints one line a figure, with the ratio to the raw limit measured in the same run. Everything
 * lives in a temporary folder under $TMPDIR (/tmp), which therefore decides which disk is measured.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench_site.h"

#define ENQUEUE_JOBS 200000
#define THROUGH_JOBS 100000
#define RATE_PER_S   200
#define LATENCY_S    10

/* ---- the raw limit ---- */

/* Jobs a second of appending `batch` jobs' bytes and syncing, for about a second. */
static double raw_append(size_t batch)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%.*s/raw", PATH_MAX - 8, site_dir());
    int fd = open(path, O_CREAT | O_WRONLY | O_APPEND, 0600);
    size_t bytes = batch * SITE_PAYLOAD_BYTES;
    char *data = calloc(1, bytes);
    if (fd < 0 || !data)
        site_die("raw append", NULL);
    size_t batches = 0;
    int64_t start_ns = site_now_ns();
    while (site_seconds_since(start_ns) < 1) {
        if (write(fd, data, bytes) != (ssize_t)bytes || fdatasync(fd) < 0)
            site_die("raw append", NULL);
        batches++;
    }
    double rate = (double)(batches * batch) / site_seconds_since(start_ns);
    free(data);
    close(fd);
    unlink(path);
    return rate;
}

/* ---- the figures ---- */

static void enqueue(struct berth_client *client, size_t batch, size_t jobs)
{
    double raw = raw_append(batch);
    int64_t start_ns = site_now_ns();
    for (size_t done = 0; done < jobs; done += batch)
        site_submit(client, "parked", "noop", NULL, batch);
    double rate = (double)jobs / site_seconds_since(start_ns);
    printf("durable enqueue, %4zu jobs a call   %10.0f jobs/s   raw append + sync %10.0f/s   "
           "ratio %.2f\n",
           batch, rate, raw, rate / raw);
    fflush(stdout);
}

static void through(struct berth_client *client)
{
    double raw = raw_append(SITE_BATCH_JOBS);
    int64_t start_ns = site_now_ns();
    for (size_t done = 0; done < THROUGH_JOBS; done += SITE_BATCH_JOBS)
        site_submit(client, "through", "noop", NULL, SITE_BATCH_JOBS);
    site_await_done(client, "through", 1 + THROUGH_JOBS);
    double rate = (double)THROUGH_JOBS / site_seconds_since(start_ns);
    printf("end to end, %d jobs a call        %10.0f jobs/s   raw append + sync %10.0f/s   "
           "ratio %.2f\n",
           SITE_BATCH_JOBS, rate, raw, rate / raw);
    fflush(stdout);
}

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

static double percentile_ms(const int64_t *sorted_ns, size_t count, unsigned permille)
{
    size_t rank = (count * permille + 999) / 1000;
    return (double)sorted_ns[rank ? rank - 1 : 0] / 1e6;
}

/* The durable write that a job waits for before it may start, by itself. */
static double raw_sync_ms(void)
{
    return 1000.0 / raw_append(1);
}

static char payload[SITE_PAYLOAD_BYTES];

static void latency(struct berth_client *client)
{
    enum { COUNT = RATE_PER_S * LATENCY_S };
    static int64_t called_ns[COUNT], waited_ns[COUNT], answered_ns[COUNT];
    static berth_job_id ids[COUNT];
    struct berth_error err;
    double sync_ms = raw_sync_ms();
    int64_t next_ns = site_now_ns();
    for (size_t i = 0; i < COUNT; i++, next_ns += 1000000000 / RATE_PER_S) {
        struct timespec due = { .tv_sec = next_ns / 1000000000, .tv_nsec = next_ns % 1000000000 };
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL);
        struct berth_job_spec spec = { .dispatcher = "stamp",
                                       .handler = "stamp",
                                       .payload = { payload, sizeof payload } };
        called_ns[i] = site_now_ns();
        if (berth_submit(client, &spec, &ids[i], SITE_CALL_MS, &err) < 0)
            site_die("submit", &err);
        answered_ns[i] = site_now_ns() - called_ns[i];
    }
    for (size_t i = 0; i < COUNT; i++) {
        struct berth_job *job;
        int64_t started_ns;
        if (berth_job_wait(client, ids[i], &job, SITE_CALL_MS, &err) < 0)
            site_die("wait", &err);
        if (job->result.bytes != sizeof started_ns)
            site_die("a job without its stamp", NULL);
        memcpy(&started_ns, job->result.data, sizeof started_ns);
        waited_ns[i] = started_ns - called_ns[i];
        berth_job_free(job);
    }
    qsort(waited_ns, COUNT, sizeof *waited_ns, compare);
    qsort(answered_ns, COUNT, sizeof *answered_ns, compare);
    printf(
        "at %d jobs/s, submit to answer        p50 %.3f ms   p99 %.3f ms   one raw sync %.3f ms\n",
        RATE_PER_S, percentile_ms(answered_ns, COUNT, 500), percentile_ms(answered_ns, COUNT, 990),
        sync_ms);
    printf("at %d jobs/s, submit to handler start p50 %.3f ms   p99 %.3f ms   p99.9 %.3f ms   "
           "p50 / raw sync %.1f\n",
           RATE_PER_S, percentile_ms(waited_ns, COUNT, 500), percentile_ms(waited_ns, COUNT, 990),
           percentile_ms(waited_ns, COUNT, 999), percentile_ms(waited_ns, COUNT, 500) / sync_ms);
}

int main(void)
{
    struct berth_client *client = site_begin();
    site_set_limit(client, "parked", BERTH_LIMIT_NUMBER, 0);
    site_set_limit(client, "through", BERTH_LIMIT_NUMBER, 512);
    site_set_limit(client, "stamp", BERTH_LIMIT_NUMBER, 64);
    site_submit(client, "through", "noop", NULL, 1);
    site_await_done(client, "through", 1);
    latency(client);
    enqueue(client, 1, 5000);
    enqueue(client, 100, ENQUEUE_JOBS / 4);
    enqueue(client, SITE_BATCH_JOBS, ENQUEUE_JOBS);
    through(client);
    berth_client_close(client);
    return 0;
}
