/* SPDX-License-Identifier: MIT */
/* bench.so: handlers for bench_dispatch: `noop` does nothing, `stamp` says when it started. */
#include <stdint.h>
#include <time.h>

#include <berth/worker.h>

static int noop(struct berth_attempt *attempt, void *arg)
{
    (void)attempt;
    (void)arg;
    return 0;
}

/* The result is CLOCK_MONOTONIC in nanoseconds, 8 bytes of this machine. */
static int stamp(struct berth_attempt *attempt, void *arg)
{
    (void)arg;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    int64_t now_ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
    return berth_attempt_result(attempt, &now_ns, sizeof now_ns);
}

static int bench_open(struct berth_worker *worker, struct berth_error *err)
{
    int rc = berth_worker_handler(worker, "noop", noop, NULL, NULL, err);
    return rc < 0 ? rc : berth_worker_handler(worker, "stamp", stamp, NULL, NULL, err);
}

const struct berth_plugin berth_plugin = { .abi = BERTH_PLUGIN_ABI,
                                           .bytes = sizeof(struct berth_plugin),
                                           .name = "bench",
                                           .version = "1.0",
                                           .open = bench_open };
