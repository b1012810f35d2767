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

#include <berth/admin.h>
#include <berth/client.h>

#define CALL_MS       60000
#define PAYLOAD_BYTES 100
#define ENQUEUE_JOBS  200000
#define THROUGH_JOBS  100000
#define BATCH_JOBS    1000
#define RATE_PER_S    200
#define LATENCY_S     10
#define CAPACITY      "1024"

static char bin[PATH_MAX], dir[PATH_MAX];
static pid_t broker, worker;

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static double seconds_since(int64_t start_ns)
{
    return (double)(now_ns() - start_ns) / 1e9;
}

static void stop(pid_t pid)
{
    if (pid <= 0)
        return;
    kill(pid, SIGTERM);
    waitpid(pid, NULL, 0);
}

static void clean_up(void)
{
    char command[PATH_MAX + 16];
    stop(worker);
    stop(broker);
    snprintf(command, sizeof command, "rm -rf '%s'", dir);
    if (*dir && system(command) != 0)
        fprintf(stderr, "bench_dispatch: %s is left behind\n", dir);
}

static void die(const char *what, const struct berth_error *err)
{
    fprintf(stderr, "bench_dispatch: %s: %s\n", what, err ? err->message : strerror(errno));
    exit(1);
}

/* ---- the processes ---- */

static pid_t start(const char *program, const char *const argv[])
{
    char path[PATH_MAX], log[PATH_MAX];
    if (snprintf(path, sizeof path, "%s/%s", bin, program) >= (int)sizeof path ||
        snprintf(log, sizeof log, "%s/%s.log", dir, program) >= (int)sizeof log)
        die("the path is too long", NULL);
    pid_t pid = fork();
    if (pid < 0)
        die("fork", NULL);
    if (pid == 0) {
        int fd = open(log, O_CREAT | O_WRONLY | O_APPEND, 0600);
        dup2(fd, STDOUT_FILENO);
        dup2(fd, STDERR_FILENO);
        execv(path, (char *const *)(uintptr_t)argv);
        _exit(127);
    }
    return pid;
}

static void start_broker(const char *url)
{
    char data[PATH_MAX];
    snprintf(data, sizeof data, "%.*s/data", PATH_MAX - 8, dir);
    broker = start("berthd", (const char *[]){ "berthd", "--data", data, "--listen", url, "--http",
                                               "off", NULL });
}

static void start_worker(const char *url)
{
    char plugin[PATH_MAX];
    snprintf(plugin, sizeof plugin, "%.*s/bench.so", PATH_MAX - 16, bin);
    worker =
        start("berth-worker", (const char *[]){ "berth-worker", "--broker", url, "--name", "bench",
                                                "--capacity", CAPACITY, "--plugin", plugin, NULL });
}

/* ---- the raw limit ---- */

/* Jobs a second of appending `batch` jobs' bytes and syncing, for about a second. */
static double raw_append(size_t batch)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%.*s/raw", PATH_MAX - 8, dir);
    int fd = open(path, O_CREAT | O_WRONLY | O_APPEND, 0600);
    size_t bytes = batch * PAYLOAD_BYTES;
    char *data = calloc(1, bytes);
    if (fd < 0 || !data)
        die("raw append", NULL);
    size_t batches = 0;
    int64_t start_ns = now_ns();
    while (seconds_since(start_ns) < 1) {
        if (write(fd, data, bytes) != (ssize_t)bytes || fdatasync(fd) < 0)
            die("raw append", NULL);
        batches++;
    }
    double rate = (double)(batches * batch) / seconds_since(start_ns);
    free(data);
    close(fd);
    unlink(path);
    return rate;
}

/* ---- submitting ---- */

static char payload[PAYLOAD_BYTES];

static void submit_batch(struct berth_client *client, const char *dispatcher, const char *handler,
                         size_t count, berth_job_id *ret_ids)
{
    static struct berth_job_spec specs[BATCH_JOBS];
    static struct berth_submitted submitted[BATCH_JOBS];
    struct berth_error err;
    for (size_t i = 0; i < count; i++)
        specs[i] = (struct berth_job_spec){ .dispatcher = dispatcher,
                                            .handler = handler,
                                            .payload = { payload, sizeof payload } };
    int rc = berth_submit_many(client, specs, count, submitted, CALL_MS, &err);
    if (rc < 0 || (size_t)rc != count)
        die("submit", &err);
    for (size_t i = 0; ret_ids && i < count; i++)
        ret_ids[i] = submitted[i].id;
}

static void set_limit(struct berth_client *client, const char *name, enum berth_limit_kind kind,
                      uint32_t value)
{
    struct berth_error err;
    struct berth_dispatcher_settings settings = { .limit = { .kind = kind, .value = value } };
    if (berth_dispatcher_set(client, name, &settings, NULL, CALL_MS, &err) < 0)
        die("dispatcher set", &err);
}

static void await_done(struct berth_client *client, const char *name, uint64_t total)
{
    struct berth_error err;
    for (;;) {
        struct berth_dispatcher *dispatcher;
        if (berth_dispatcher_get(client, name, &dispatcher, CALL_MS, &err) < 0)
            die("dispatcher show", &err);
        bool is_done = dispatcher->completed_total + dispatcher->dead >= total;
        berth_dispatcher_free(dispatcher);
        if (is_done)
            return;
        nanosleep(&(struct timespec){ .tv_nsec = 2000000 }, NULL);
    }
}

/* ---- the figures ---- */

static void enqueue(struct berth_client *client, size_t batch, size_t jobs)
{
    double raw = raw_append(batch);
    int64_t start_ns = now_ns();
    for (size_t done = 0; done < jobs; done += batch)
        submit_batch(client, "parked", "noop", batch, NULL);
    double rate = (double)jobs / seconds_since(start_ns);
    printf("durable enqueue, %4zu jobs a call   %10.0f jobs/s   raw append + sync %10.0f/s   "
           "ratio %.2f\n",
           batch, rate, raw, rate / raw);
    fflush(stdout);
}

static void through(struct berth_client *client)
{
    double raw = raw_append(BATCH_JOBS);
    int64_t start_ns = now_ns();
    for (size_t done = 0; done < THROUGH_JOBS; done += BATCH_JOBS)
        submit_batch(client, "through", "noop", BATCH_JOBS, NULL);
    await_done(client, "through", 1 + THROUGH_JOBS);
    double rate = (double)THROUGH_JOBS / seconds_since(start_ns);
    printf("end to end, %d jobs a call        %10.0f jobs/s   raw append + sync %10.0f/s   "
           "ratio %.2f\n",
           BATCH_JOBS, rate, raw, rate / raw);
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

static void latency(struct berth_client *client)
{
    enum { COUNT = RATE_PER_S * LATENCY_S };
    static int64_t called_ns[COUNT], waited_ns[COUNT], answered_ns[COUNT];
    static berth_job_id ids[COUNT];
    struct berth_error err;
    double sync_ms = raw_sync_ms();
    int64_t next_ns = now_ns();
    for (size_t i = 0; i < COUNT; i++, next_ns += 1000000000 / RATE_PER_S) {
        struct timespec due = { .tv_sec = next_ns / 1000000000, .tv_nsec = next_ns % 1000000000 };
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL);
        struct berth_job_spec spec = { .dispatcher = "stamp",
                                       .handler = "stamp",
                                       .payload = { payload, sizeof payload } };
        called_ns[i] = now_ns();
        if (berth_submit(client, &spec, &ids[i], CALL_MS, &err) < 0)
            die("submit", &err);
        answered_ns[i] = now_ns() - called_ns[i];
    }
    for (size_t i = 0; i < COUNT; i++) {
        struct berth_job *job;
        int64_t started_ns;
        if (berth_job_wait(client, ids[i], &job, CALL_MS, &err) < 0)
            die("wait", &err);
        if (job->result.bytes != sizeof started_ns)
            die("a job without its stamp", NULL);
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
    ssize_t bytes = readlink("/proc/self/exe", bin, sizeof bin - 1);
    if (bytes < 0)
        die("/proc/self/exe", NULL);
    bin[bytes] = '\0';
    dirname(bin);
    const char *tmp = getenv("TMPDIR");
    snprintf(dir, sizeof dir, "%s/berth-bench.XXXXXX", tmp ? tmp : "/tmp");
    if (!mkdtemp(dir))
        die(dir, NULL);
    atexit(clean_up);
    char url[PATH_MAX];
    snprintf(url, sizeof url, "ipc://%.*s/broker.sock", PATH_MAX - 32, dir);
    start_broker(url);
    start_worker(url);
    struct berth_client *client;
    struct berth_error err;
    if (berth_client_open(&(struct berth_client_opts){ .url = url }, &client, &err) < 0)
        die("open", &err);
    set_limit(client, "parked", BERTH_LIMIT_NUMBER, 0);
    set_limit(client, "through", BERTH_LIMIT_NUMBER, 512);
    set_limit(client, "stamp", BERTH_LIMIT_NUMBER, 64);
    submit_batch(client, "through", "noop", 1, NULL);
    await_done(client, "through", 1);
    latency(client);
    enqueue(client, 1, 5000);
    enqueue(client, 100, ENQUEUE_JOBS / 4);
    enqueue(client, BATCH_JOBS, ENQUEUE_JOBS);
    through(client);
    berth_client_close(client);
    return 0;
}
