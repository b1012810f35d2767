/* SPDX-License-Identifier: MIT */
/* How many durable job lifecycles a store takes, beside what the disk itself takes in the same run;
 * and how long a load lasts. The method and how to read the figures: bench/README.md.
 *
 * Each row is one fresh store with a backlog. A commit brings B arrivals and ends the B oldest live
 * jobs; the next batch is made while the store writes the one before, as in the broker.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "broker/store/store.h"

#define DISPATCHERS    8
#define FILL_BATCH     5000
#define COMMITS_MAX    2000000
#define APPEND_BYTES   4096
#define APPEND_NS      400000000
#define READ_REPEATS   20
#define HANDLER        "send-mail"
#define NS_PER_S       1e9
#define BYTES_TEXT_MAX 4096

struct options {
    const char *backend, *dir;
    const char *batches;
    uint64_t backlog, body_bytes, load_jobs, commits;
    double seconds;
};

struct bench {
    const struct options *options;
    struct berth_store *store;
    struct berth_store_info info;
    struct berth_batch batches[2];
    struct berth_arena arenas[2];
    uint64_t seq, next_arrival, next_end;
    char body[BYTES_TEXT_MAX];
    int64_t *commit_ns;
    size_t commit_count;
};

static int open_store(struct bench *bench)
{
    struct berth_error error = { .code = 0 };
    struct berth_store_opts opts = { .dir = bench->options->dir,
                                     .lineage = 1,
                                     .wall_us = berth_clock_wall_us() };
    int rc = berth_store_open(bench->options->backend, &opts, &bench->store, &bench->info, &error);
    if (rc < 0)
        fprintf(stderr, "bench_store: %s\n", error.message);
    return rc;
}

static void remove_files(const char *dir)
{
    static const char *const names[] = { "berth.db", "berth.db-wal", "reserve", "lock" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[BYTES_TEXT_MAX];
        (void)snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        (void)unlink(path);
    }
}

static struct berth_slice text(const char *from)
{
    return (struct berth_slice){ .data = from, .bytes = strlen(from) };
}

static uint32_t dispatcher_of(uint64_t id)
{
    return 1 + (uint32_t)(id % DISPATCHERS);
}

/* As a client library submits: with a request key of a few minutes. */
static void add_arrival(struct bench *bench, struct berth_batch *batch, int64_t now_us)
{
    uint64_t id = bench->next_arrival++;
    unsigned char *key = berth_arena_zalloc(batch->arena, 16);
    BERTH_ASSERT(key);
    memcpy(key, &id, sizeof id);
    batch->records[batch->count++] = (struct berth_record){
        .type = BERTH_RECORD_JOB,
        .job = { .id = id,
                 .dispatcher = dispatcher_of(id),
                 .handler = text(HANDLER),
                 .submitted_us = now_us,
                 .key = { .kind = BERTH_KEY_REQUEST,
                          .bytes = { .data = key, .bytes = 16 },
                          .until_us = now_us + 600000000 },
                 .body = { .data = bench->body, .bytes = (size_t)bench->options->body_bytes } },
    };
}

static void add_end(struct bench *bench, struct berth_batch *batch, int64_t now_us)
{
    uint64_t id = bench->next_end++;
    batch->records[batch->count++] = (struct berth_record){
        .type = BERTH_RECORD_END,
        .end = { .id = id,
                 .dispatcher = dispatcher_of(id),
                 .state = BERTH_COMPLETED,
                 .attempt = 1,
                 .finished_us = now_us,
                 .last = { .id = bench->info.epoch << 40 | id,
                           .started_us = now_us - 1000,
                           .worker = text("host-1234"),
                           .result = text("\x08\x00\x12\x05hello") } },
    };
}

static struct berth_batch *make_batch(struct bench *bench, uint64_t arrivals, uint64_t ends)
{
    struct berth_batch *batch = &bench->batches[bench->seq % 2];
    berth_arena_reset(batch->arena);
    batch->seq = ++bench->seq;
    batch->epoch = bench->info.epoch;
    batch->count = 0;
    int64_t now_us = berth_clock_wall_us();
    for (uint64_t i = 0; i < arrivals; i++)
        add_arrival(bench, batch, now_us);
    for (uint64_t i = 0; i < ends; i++)
        add_end(bench, batch, now_us);
    return batch;
}

static void await(struct bench *bench)
{
    struct berth_completion completion;
    while (berth_store_reap(bench->store, &completion) == 0) {
        struct pollfd ready = { .fd = berth_store_fd(bench->store), .events = POLLIN };
        (void)poll(&ready, 1, -1);
    }
    if (completion.result != BERTH_STORED) {
        fprintf(stderr, "bench_store: batch not stored: %s\n", completion.error.message);
        exit(1);
    }
}

static void submit(struct bench *bench, struct berth_batch *batch)
{
    int rc = berth_store_submit(bench->store, batch);
    BERTH_ASSERT(rc == 0);
}

static void fill(struct bench *bench, uint64_t jobs)
{
    for (uint64_t done = 0; done < jobs;) {
        uint64_t count = jobs - done < FILL_BATCH ? jobs - done : FILL_BATCH;
        submit(bench, make_batch(bench, count, 0));
        await(bench);
        done += count;
    }
}

static double cpu_seconds(void)
{
    struct rusage usage;
    (void)getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static int compare_ns(const void *left, const void *right)
{
    const int64_t *a = left, *b = right;
    return (*a > *b) - (*a < *b);
}

static double percentile_us(const struct bench *bench, double part)
{
    size_t index = (size_t)(part * (double)(bench->commit_count - 1));
    return (double)bench->commit_ns[index] / 1e3;
}

/* Appends and syncs, one after the other: commits per second that no log on this disk can exceed
 * while it grows. */
static double append_rate(const char *dir)
{
    char path[BYTES_TEXT_MAX];
    (void)snprintf(path, sizeof path, "%s/append", dir);
    BERTH_AUTO_FD int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    static const char page[APPEND_BYTES];
    int64_t start_ns = berth_clock_monotonic_ns(), now_ns = start_ns;
    uint64_t count = 0;
    while (now_ns - start_ns < APPEND_NS) {
        if (write(fd, page, sizeof page) != (ssize_t)sizeof page || fdatasync(fd) < 0) {
            fprintf(stderr, "bench_store: append: %s\n", strerror(errno));
            exit(1);
        }
        count++;
        now_ns = berth_clock_monotonic_ns();
    }
    (void)unlink(path);
    return (double)count * NS_PER_S / (double)(now_ns - start_ns);
}

static void run_commits(struct bench *bench, uint64_t batch_jobs)
{
    int64_t end_ns = berth_clock_monotonic_ns() + (int64_t)(bench->options->seconds * NS_PER_S);
    struct berth_batch *next = make_batch(bench, batch_jobs, batch_jobs);
    while (berth_clock_monotonic_ns() < end_ns && bench->commit_count < bench->options->commits) {
        int64_t start_ns = berth_clock_monotonic_ns();
        submit(bench, next);
        next = make_batch(bench, batch_jobs, batch_jobs);
        await(bench);
        bench->commit_ns[bench->commit_count++] = berth_clock_monotonic_ns() - start_ns;
    }
}

static void print_row(struct bench *bench, uint64_t batch_jobs, double seconds, double cpu,
                      double appends)
{
    double jobs = (double)bench->commit_count * (double)batch_jobs;
    struct berth_store_stats stats;
    berth_store_stats(bench->store, &stats);
    qsort(bench->commit_ns, bench->commit_count, sizeof *bench->commit_ns, compare_ns);
    printf("%6" PRIu64 " %12.0f %10.0f %10.2f %10.0f %10.0f %10.0f %8.1f %12.0f %7.2f\n",
           batch_jobs, jobs / seconds, (double)bench->commit_count / seconds, cpu * 1e6 / jobs,
           percentile_us(bench, 0.5), percentile_us(bench, 0.99), percentile_us(bench, 1.0),
           (double)stats.wal_bytes / 1048576.0, appends,
           (double)bench->commit_count / seconds / appends);
    (void)fflush(stdout);
}

static void run_row(struct bench *bench, uint64_t batch_jobs)
{
    bench->commit_count = 0;
    bench->seq = 0;
    bench->next_arrival = bench->next_end = 1;
    remove_files(bench->options->dir);
    double appends = append_rate(bench->options->dir);
    if (open_store(bench) < 0)
        exit(1);
    fill(bench, bench->options->backlog);
    double cpu = cpu_seconds();
    int64_t start_ns = berth_clock_monotonic_ns();
    run_commits(bench, batch_jobs);
    double seconds = (double)(berth_clock_monotonic_ns() - start_ns) / NS_PER_S;
    cpu = cpu_seconds() - cpu;
    appends = (appends + append_rate(bench->options->dir)) / 2;
    print_row(bench, batch_jobs, seconds, cpu, appends);
    berth_store_close(bench->store);
}

static int count_dispatcher(void *arg, const struct berth_dispatcher_record *record)
{
    (void)arg;
    (void)record;
    return 0;
}

static int count_session(void *arg, const struct berth_session_record *record)
{
    (void)arg;
    (void)record;
    return 0;
}

static int count_job(void *arg, const struct berth_job_record *record)
{
    uint64_t *bytes = arg;
    *bytes += record->body.data ? record->body.bytes : 0;
    return 0;
}

/* Asks the kernel to forget the file, so that the load reads the disk. */
static void drop_cache(const char *dir)
{
    char path[BYTES_TEXT_MAX];
    (void)snprintf(path, sizeof path, "%s/berth.db", dir);
    BERTH_AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0 && (fdatasync(fd) < 0 || posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) != 0))
        fprintf(stderr, "bench_store: the cache was not dropped\n");
}

static void run_load_once(struct bench *bench, const char *name, uint64_t budget_bytes)
{
    uint64_t bytes = 0;
    struct berth_store_visitor visitor = { .arg = &bytes,
                                           .dispatcher = count_dispatcher,
                                           .session = count_session,
                                           .job = count_job,
                                           .ended_key = count_job,
                                           .body_bytes_budget = budget_bytes };
    int64_t start_ns = berth_clock_monotonic_ns();
    if (open_store(bench) < 0)
        exit(1);
    int64_t opened_ns = berth_clock_monotonic_ns();
    struct berth_error error = { .code = 0 };
    if (berth_store_load(bench->store, &visitor, &error) < 0) {
        fprintf(stderr, "bench_store: %s\n", error.message);
        exit(1);
    }
    int64_t loaded_ns = berth_clock_monotonic_ns();
    printf("%-28s open %7.1f ms, load %7.1f ms, bodies %" PRIu64 " bytes\n", name,
           (double)(opened_ns - start_ns) / 1e6, (double)(loaded_ns - opened_ns) / 1e6, bytes);
    berth_store_close(bench->store);
}

static void time_read(struct bench *bench, const char *name, const struct berth_read *read)
{
    struct berth_completion completion;
    int64_t best_ns = INT64_MAX;
    for (int i = 0; i < READ_REPEATS; i++) {
        int64_t start_ns = berth_clock_monotonic_ns();
        int rc = berth_store_read(bench->store, read);
        BERTH_ASSERT(rc == 0);
        while (berth_store_reap(bench->store, &completion) == 0) {
            struct pollfd ready = { .fd = berth_store_fd(bench->store), .events = POLLIN };
            (void)poll(&ready, 1, -1);
        }
        int64_t ns = berth_clock_monotonic_ns() - start_ns;
        best_ns = ns < best_ns ? ns : best_ns;
    }
    printf("%-28s %7.2f ms, %zu jobs\n", name, (double)best_ns / 1e6, completion.job_count);
}

/* What the longest questions take, from which a batch behind them suffers. */
static void run_reads(struct bench *bench)
{
    uint64_t ids[BERTH_STORE_READ_JOBS_MAX];
    for (uint64_t i = 0; i < BERTH_STORE_READ_JOBS_MAX; i++)
        ids[i] = 1 + i;
    if (open_store(bench) < 0)
        exit(1);
    time_read(bench, "list that finds nothing",
              &(struct berth_read){ .type = BERTH_READ_LIST, .dispatcher = 99, .count_max = 1000 });
    time_read(
        bench, "list of 1000",
        &(struct berth_read){ .type = BERTH_READ_LIST, .count_max = BERTH_STORE_READ_JOBS_MAX });
    time_read(bench, "1000 ids with bodies",
              &(struct berth_read){
                  .type = BERTH_READ_JOBS, .ids = ids, .id_count = BERTH_STORE_READ_JOBS_MAX });
    berth_store_close(bench->store);
}

static void run_load(struct bench *bench)
{
    remove_files(bench->options->dir);
    bench->next_arrival = 1;
    if (open_store(bench) < 0)
        exit(1);
    fill(bench, bench->options->load_jobs);
    berth_store_close(bench->store);
    printf("load of %" PRIu64 " live jobs\n", bench->options->load_jobs);
    run_load_once(bench, "warm, all bodies", UINT64_MAX);
    run_load_once(bench, "warm, no bodies", 0);
    drop_cache(bench->options->dir);
    run_load_once(bench, "cold, all bodies", UINT64_MAX);
    run_reads(bench);
}

static void bench_init(struct bench *bench, const struct options *options, uint64_t batch_jobs_max)
{
    bench->options = options;
    bench->commit_ns = calloc(COMMITS_MAX, sizeof *bench->commit_ns);
    BERTH_ASSERT(bench->commit_ns);
    for (size_t i = 0; i < sizeof bench->body; i++)
        bench->body[i] = (char)('a' + i % 26);
    for (size_t i = 0; i < 2; i++) {
        berth_arena_init(&bench->arenas[i], SIZE_MAX);
        bench->batches[i].count_max = 2 * batch_jobs_max;
        bench->batches[i].records = calloc(2 * batch_jobs_max, sizeof *bench->batches[i].records);
        bench->batches[i].arena = &bench->arenas[i];
        BERTH_ASSERT(bench->batches[i].records);
    }
}

static void bench_fini(struct bench *bench)
{
    for (size_t i = 0; i < 2; i++) {
        free(bench->batches[i].records);
        berth_arena_fini(&bench->arenas[i]);
    }
    free(bench->commit_ns);
}

static void usage(void)
{
    printf("bench_store [--backend sqlite|mem] [--dir DIR] [--batches 1,10,100,1000] [--backlog "
           "100000]\n"
           "            [--body 100] [--seconds 2] [--commits N] [--load JOBS]\n");
}

static int parse(int argc, char **argv, struct options *options)
{
    static const struct option known[] = {
        { "backend", required_argument, NULL, 'b' },
        { "dir", required_argument, NULL, 'd' },
        { "batches", required_argument, NULL, 'n' },
        { "backlog", required_argument, NULL, 'l' },
        { "body", required_argument, NULL, 'y' },
        { "seconds", required_argument, NULL, 's' },
        { "load", required_argument, NULL, 'o' },
        { "commits", required_argument, NULL, 'c' },
        { NULL, 0, NULL, 0 },
    };
    for (int found; (found = getopt_long(argc, argv, "", known, NULL)) != -1;) {
        switch (found) {
        case 'b': options->backend = optarg; break;
        case 'd': options->dir = optarg; break;
        case 'n': options->batches = optarg; break;
        case 'l': options->backlog = strtoull(optarg, NULL, 10); break;
        case 'y': options->body_bytes = strtoull(optarg, NULL, 10); break;
        case 's': options->seconds = strtod(optarg, NULL); break;
        case 'c': options->commits = strtoull(optarg, NULL, 10); break;
        case 'o': options->load_jobs = strtoull(optarg, NULL, 10); break;
        default: usage(); return -1;
        }
    }
    if (options->body_bytes > BYTES_TEXT_MAX || options->seconds <= 0 || options->commits == 0 ||
        options->commits > COMMITS_MAX)
        return usage(), -1;
    return 0;
}

int main(int argc, char **argv)
{
    struct options options = {
        .backend = "sqlite",
        .dir = NULL,
        .batches = "1,10,100,1000",
        .backlog = 100000,
        .body_bytes = 100,
        .seconds = 2,
        .commits = COMMITS_MAX,
    };
    if (parse(argc, argv, &options) < 0)
        return 2;
    char made[] = "/tmp/bench-store-XXXXXX";
    if (!options.dir)
        options.dir = mkdtemp(made);
    if (!options.dir)
        return 1;
    static struct bench bench;
    bench_init(&bench, &options, 100000);
    printf("%s in %s, backlog %" PRIu64 ", body %" PRIu64 " bytes\n", options.backend, options.dir,
           options.backlog, options.body_bytes);
    if (!options.load_jobs)
        printf("%6s %12s %10s %10s %10s %10s %10s %8s %12s %7s\n", "batch", "lifecycles/s",
               "commits/s", "cpu us/job", "p50 us", "p99 us", "max us", "WAL MiB", "appends/s",
               "ratio");
    const char *at = options.batches;
    BERTH_ASSERT(at);
    while (!options.load_jobs && *at) {
        char *end;
        uint64_t batch_jobs = strtoull(at, &end, 10);
        if (end == at || batch_jobs == 0 || batch_jobs > 100000)
            return usage(), 2;
        run_row(&bench, batch_jobs);
        at = *end == ',' ? end + 1 : end;
    }
    if (options.load_jobs)
        run_load(&bench);
    remove_files(options.dir);
    if (options.dir == made)
        (void)rmdir(made);
    bench_fini(&bench);
    return 0;
}
