/* SPDX-License-Identifier: MIT
 *
 * A broker, workers that run commands, a client, and a gauge that counts what really runs.
 */
#pragma once

#include <sys/types.h>

#include <berth/admin.h>
#include <berth/client.h>

#include "gauge.h"
#include "site.h"

#define CLUSTER_WORKERS_MAX 4
#define CLUSTER_JOBS_MAX    512
#define CLUSTER_OPTIONS_MAX 8
#define CLUSTER_TIMEOUT_MS  INT64_C(60000)

struct cluster {
    struct site *site;
    char *gauge_path;
    struct gauge *gauge;
    struct berth_client *client;
    struct process workers[CLUSTER_WORKERS_MAX];
    struct berth_error err;
};

/* cmocka's: a broker runs, no worker does. */
int cluster_setup(void **state);
int cluster_teardown(void **state);

/* Starts worker `index` (named w0, w1, ...) and awaits that it has joined. */
void cluster_start_worker(struct cluster *cluster, int index, int capacity);

/* The same with options of its own instead of --allow-exec; ended by NULL. */
void cluster_start_worker_with(struct cluster *cluster, int index, int capacity,
                               const char *const *options);

/* The runtime child of a worker, the process that has the connection. */
pid_t cluster_child_of(const struct cluster *cluster, int index);

/* SIGKILL to the child alone, the keeper alone, or both at once as when a host is lost. */
void cluster_kill_child(struct cluster *cluster, int index);
void cluster_kill_keeper(struct cluster *cluster, int index);
void cluster_kill_both(struct cluster *cluster, int index);

/* kill -9 and a new start of the broker. */
void cluster_restart_broker(struct cluster *cluster);

void cluster_set_limit(struct cluster *cluster, const char *dispatcher, uint32_t limit);

/* Submits `count` jobs that run `hold`, in one call; ids go to `ret_ids`. */
void cluster_submit(struct cluster *cluster, const char *dispatcher, int count, uint64_t *ret_ids);

/* Submits one job as it is described. */
uint64_t cluster_submit_one(struct cluster *cluster, const struct berth_job_spec *spec);

/* The job as the broker shows it; the caller's to free. */
struct berth_job *cluster_job(struct cluster *cluster, uint64_t id);
enum berth_state cluster_state(struct cluster *cluster, uint64_t id);

/* Awaits that it is in this state, for however short. */
void cluster_await_state(struct cluster *cluster, uint64_t id, enum berth_state state);

/* Awaits their ends, and asserts that each ended so. */
void cluster_await(struct cluster *cluster, const uint64_t *ids, int count, enum berth_state state);
