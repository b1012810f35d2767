/* SPDX-License-Identifier: MIT */
/* bench_limits [ROUNDS [JOBS]]: what a limit costs that is there and not reached.
 *
 * Dispatchers that differ in nothing but their limits, in turns, round after round: JOBS jobs of
 * one of 8 groups each, from the first call until the last end is stored, the handler doing
 * nothing. What is compared are the ratios to the dispatcher without any limit in the same round:
 * of jobs a second, which a neighbour can change, and of the CPU time that the broker takes for a
 * job.
 */
#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench_site.h"

#define ROUNDS_MAX  200
#define GROUPS      8
#define FAR         1000000 /* a number that is never reached */
#define SETTLE_JOBS 2000

struct variant {
    const char *name; /* of its dispatcher */
    const char *shown;
    struct berth_dispatcher_settings settings;
    uint64_t done;
    double rates[ROUNDS_MAX], cpus[ROUNDS_MAX]; /* jobs/s; microseconds a job */
};

#define UNLIMITED .limit = { .kind = BERTH_LIMIT_UNLIMITED }
#define LIMIT     .limit = { .kind = BERTH_LIMIT_NUMBER, .value = FAR }

static struct variant variants[] = {
    { .name = "none", .shown = "no limit", .settings = { UNLIMITED } },
    { .name = "again", .shown = "no limit, once more", .settings = { UNLIMITED } },
    { .name = "limit", .shown = "limit", .settings = { LIMIT } },
    { .name = "nested", .shown = "limits of three levels", .settings = { LIMIT, .parent = "mid" } },
    { .name = "grouped", .shown = "group_limit", .settings = { UNLIMITED, .group_limit = FAR } },
    { .name = "rated",
      .shown = "rate and burst",
      .settings = { UNLIMITED, .rate_count = FAR, .rate_ms = 1000, .burst = FAR } },
    { .name = "queued", .shown = "max_queued", .settings = { UNLIMITED, .max_queued = FAR } },
    { .name = "every",
      .shown = "all of them",
      .settings = { LIMIT, .parent = "mid", .group_limit = FAR, .rate_count = FAR, .rate_ms = 1000,
                    .burst = FAR, .max_queued = FAR } },
};
#define VARIANTS (sizeof variants / sizeof *variants)

static void make(struct berth_client *client, const char *name,
                 const struct berth_dispatcher_settings *settings)
{
    struct berth_error err;
    if (berth_dispatcher_set(client, name, settings, NULL, SITE_CALL_MS, &err) < 0)
        site_die("dispatcher set", &err);
}

/* CPU time of all threads of the broker, in nanoseconds. */
static uint64_t broker_cpu_ns(void)
{
    char path[64], line[128];
    snprintf(path, sizeof path, "/proc/%d/task", (int)site_broker());
    DIR *tasks = opendir(path);
    uint64_t sum_ns = 0;
    for (struct dirent *task; tasks && (task = readdir(tasks));) {
        if (task->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "/proc/%d/task/%.16s/schedstat", (int)site_broker(),
                 task->d_name);
        FILE *file = fopen(path, "re");
        if (file && fgets(line, sizeof line, file))
            sum_ns += strtoull(line, NULL, 10);
        if (file)
            fclose(file);
    }
    if (tasks)
        closedir(tasks);
    return sum_ns;
}

static void run(struct berth_client *client, struct variant *variant, size_t jobs)
{
    static const char *const groups[GROUPS] = { "a", "b", "c", "d", "e", "f", "g", "h" };
    for (size_t done = 0; done < jobs; done += SITE_BATCH_JOBS)
        site_submit(client, variant->name, "noop", groups[done / SITE_BATCH_JOBS % GROUPS],
                    SITE_BATCH_JOBS);
    variant->done += jobs;
    site_await_done(client, variant->name, variant->done);
}

static void measure(struct berth_client *client, struct variant *variant, size_t jobs, size_t round)
{
    uint64_t cpu_ns = broker_cpu_ns();
    int64_t start_ns = site_now_ns();
    run(client, variant, jobs);
    variant->rates[round] = (double)jobs / site_seconds_since(start_ns);
    variant->cpus[round] = (double)(broker_cpu_ns() - cpu_ns) / 1000.0 / (double)jobs;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

struct spread {
    double low, median, high; /* the quartiles */
};

static struct spread spread_of(const double *values, const double *beside, size_t count)
{
    double ratios[ROUNDS_MAX];
    for (size_t i = 0; i < count; i++)
        ratios[i] = values[i] / (beside ? beside[i] : 1.0);
    qsort(ratios, count, sizeof *ratios, compare);
    return (struct spread){ ratios[count / 4], ratios[count / 2], ratios[count * 3 / 4] };
}

static void print(const struct variant *variant, size_t rounds)
{
    struct spread rate = spread_of(variant->rates, NULL, rounds);
    struct spread cpu = spread_of(variant->cpus, NULL, rounds);
    struct spread rates = spread_of(variant->rates, variants[0].rates, rounds);
    struct spread cpus = spread_of(variant->cpus, variants[0].cpus, rounds);
    printf("%-24s %8.0f jobs/s  ratio %.3f (%.3f-%.3f)   broker %6.2f us/job  ratio %.3f "
           "(%.3f-%.3f)\n",
           variant->shown, rate.median, rates.median, rates.low, rates.high, cpu.median,
           cpus.median, cpus.low, cpus.high);
}

int main(int argc, char **argv)
{
    size_t rounds = argc > 1 ? strtoull(argv[1], NULL, 10) : 31;
    size_t jobs = argc > 2 ? strtoull(argv[2], NULL, 10) : 10000;
    if (rounds < 1 || rounds > ROUNDS_MAX || jobs < SITE_BATCH_JOBS || jobs % SITE_BATCH_JOBS) {
        fprintf(stderr, "usage: bench_limits [ROUNDS [JOBS]]; 1 to %d, and thousands\n",
                ROUNDS_MAX);
        return 2;
    }
    struct berth_client *client = site_begin();
    make(client, "top", &(struct berth_dispatcher_settings){ LIMIT });
    make(client, "mid", &(struct berth_dispatcher_settings){ LIMIT, .parent = "top" });
    for (size_t i = 0; i < VARIANTS; i++) {
        make(client, variants[i].name, &variants[i].settings);
        run(client, &variants[i], SETTLE_JOBS);
    }
    for (size_t round = 0; round < rounds; round++)
        for (size_t i = 0; i < VARIANTS; i++)
            measure(client, &variants[(round + i) % VARIANTS], jobs, round);
    printf("%zu rounds of %zu jobs; medians, quartiles of the ratios to 'no limit' in brackets\n",
           rounds, jobs);
    for (size_t i = 0; i < VARIANTS; i++)
        print(&variants[i], rounds);
    berth_client_close(client);
    return 0;
}
