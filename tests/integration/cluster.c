/* SPDX-License-Identifier: MIT
 *
 * A broker, workers that run commands, a client and a gauge.
 */
#include "cluster.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/await.h"
#include "support/tempdir.h"

#define LAST_WORDS_BYTES 2000

static void check(struct cluster *cluster, int rc)
{
    if (rc >= 0)
        return;
    const char *said = site_err(cluster->site);
    size_t bytes = strlen(said);
    fail_msg("%s (%s); the broker's last words: %s", cluster->err.message, berth_error_name(rc),
             bytes > LAST_WORDS_BYTES ? said + bytes - LAST_WORDS_BYTES : said);
}

int cluster_setup(void **state)
{
    struct cluster *cluster = calloc(1, sizeof *cluster);
    void *site;
    if (!cluster || site_setup(&site) < 0)
        return -1;
    cluster->site = site;
    cluster->gauge_path = tempdir_path(cluster->site->dir, "gauge");
    cluster->gauge = gauge_open(cluster->gauge_path);
    site_start(cluster->site, NULL);
    const struct berth_client_opts opts = { .url = cluster->site->url };
    check(cluster, berth_client_open(&opts, &cluster->client, &cluster->err));
    *state = cluster;
    return 0;
}

int cluster_teardown(void **state)
{
    struct cluster *cluster = *state;
    void *site = cluster->site;
    berth_client_close(cluster->client);
    for (int i = 0; i < CLUSTER_WORKERS_MAX; i++)
        if (cluster->workers[i].pid)
            process_fini(&cluster->workers[i]);
    gauge_close(cluster->gauge);
    free(cluster->gauge_path);
    free(cluster);
    return site_teardown(&site);
}

struct joined {
    struct cluster *cluster;
    char name[16];
    bool is_joined;
};

static int look_for_worker(void *arg, const struct berth_worker_info *worker)
{
    struct joined *joined = arg;
    if (strcmp(worker->name, joined->name) == 0 && strcmp(worker->state, "joined") == 0)
        joined->is_joined = true;
    return 0;
}

static bool is_joined(void *arg)
{
    struct joined *joined = arg;
    struct cluster *cluster = joined->cluster;
    check(cluster, berth_worker_list(cluster->client, look_for_worker, joined, CLUSTER_TIMEOUT_MS,
                                     &cluster->err));
    return joined->is_joined;
}

void cluster_start_worker(struct cluster *cluster, int index, int capacity)
{
    const char *const options[] = { "--allow-exec", "--work-dir", cluster->site->dir, NULL };
    cluster_start_worker_with(cluster, index, capacity, options);
}

void cluster_start_worker_with(struct cluster *cluster, int index, int capacity,
                               const char *const *options)
{
    struct joined joined = { .cluster = cluster };
    char capacity_text[16];
    (void)snprintf(joined.name, sizeof joined.name, "w%d", index);
    (void)snprintf(capacity_text, sizeof capacity_text, "%d", capacity);
    struct process *worker = &cluster->workers[index];
    if (worker->pid)
        process_fini(worker);
    const char *argv[8 + CLUSTER_OPTIONS_MAX] = { BERTH_BIN_DIR "/berth-worker",
                                                  "--broker",
                                                  cluster->site->url,
                                                  "--name",
                                                  joined.name,
                                                  "--capacity",
                                                  capacity_text };
    for (size_t i = 0; options[i]; i++) {
        assert_in_range(i, 0, CLUSTER_OPTIONS_MAX - 1);
        argv[7 + i] = options[i];
    }
    process_start(worker, argv, NULL);
    if (!await(is_joined, &joined, CLUSTER_TIMEOUT_MS))
        fail_msg("worker %d has not joined: %s", index, process_err(worker));
}

pid_t cluster_child_of(const struct cluster *cluster, int index)
{
    char path[64], line[256] = "";
    long keeper = (long)cluster->workers[index].pid;
    (void)snprintf(path, sizeof path, "/proc/%ld/task/%ld/children", keeper, keeper);
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    bool has_line = fgets(line, sizeof line, file) != NULL;
    (void)fclose(file);
    if (!has_line)
        return 0; /* no child now */
    return (pid_t)strtol(line, NULL, 10);
}

void cluster_kill_child(struct cluster *cluster, int index)
{
    pid_t child = cluster_child_of(cluster, index);
    assert_true(child > 1);
    assert_int_equal(kill(child, SIGKILL), 0);
}

void cluster_kill_keeper(struct cluster *cluster, int index)
{
    process_kill(&cluster->workers[index], SIGKILL);
}

void cluster_kill_both(struct cluster *cluster, int index)
{
    pid_t child = cluster_child_of(cluster, index);
    assert_true(child > 1);
    /* Stopped first, so that it cannot say what it sees of its child's end. */
    process_kill(&cluster->workers[index], SIGSTOP);
    assert_int_equal(kill(child, SIGKILL), 0);
    process_kill(&cluster->workers[index], SIGKILL);
}

void cluster_restart_broker(struct cluster *cluster)
{
    assert_int_equal(site_kill(cluster->site), 128 + SIGKILL);
    site_start(cluster->site, NULL);
}

void cluster_set_limit(struct cluster *cluster, const char *dispatcher, uint32_t limit)
{
    const struct berth_dispatcher_settings settings = { .limit = { .kind = BERTH_LIMIT_NUMBER,
                                                                   .value = limit } };
    check(cluster, berth_dispatcher_set(cluster->client, dispatcher, &settings, NULL,
                                        CLUSTER_TIMEOUT_MS, &cluster->err));
}

void cluster_submit(struct cluster *cluster, const char *dispatcher, int count, uint64_t *ret_ids)
{
    const char *const command[] = { BERTH_BIN_DIR "/hold", cluster->gauge_path, NULL };
    struct berth_job_spec specs[CLUSTER_JOBS_MAX];
    struct berth_submitted submitted[CLUSTER_JOBS_MAX];
    assert_in_range(count, 1, CLUSTER_JOBS_MAX);
    for (int i = 0; i < count; i++)
        specs[i] = (struct berth_job_spec){ .dispatcher = dispatcher,
                                            .command = command,
                                            .max_attempts = 1 };
    check(cluster, berth_submit_many(cluster->client, specs, (size_t)count, submitted,
                                     CLUSTER_TIMEOUT_MS, &cluster->err));
    for (int i = 0; i < count; i++)
        ret_ids[i] = submitted[i].id.v;
}

uint64_t cluster_submit_one(struct cluster *cluster, const struct berth_job_spec *spec)
{
    berth_job_id id;
    check(cluster, berth_submit(cluster->client, spec, &id, CLUSTER_TIMEOUT_MS, &cluster->err));
    return id.v;
}

struct berth_job *cluster_job(struct cluster *cluster, uint64_t id)
{
    struct berth_job *job = NULL;
    check(cluster, berth_job_get(cluster->client, (berth_job_id){ id }, &job, CLUSTER_TIMEOUT_MS,
                                 &cluster->err));
    return job;
}

enum berth_state cluster_state(struct cluster *cluster, uint64_t id)
{
    struct berth_job *job = cluster_job(cluster, id);
    enum berth_state state = job->state;
    berth_job_free(job);
    return state;
}

struct state_of {
    struct cluster *cluster;
    uint64_t id;
    enum berth_state state;
};

static bool is_in_state(void *arg)
{
    const struct state_of *of = arg;
    return cluster_state(of->cluster, of->id) == of->state;
}

void cluster_await_state(struct cluster *cluster, uint64_t id, enum berth_state state)
{
    struct state_of of = { cluster, id, state };
    if (!await(is_in_state, &of, CLUSTER_TIMEOUT_MS))
        fail_msg("job %lu is not %s", (unsigned long)id, berth_state_name(state));
}

struct wanted {
    enum berth_state state;
    int count;
};

static int count_ended(void *arg, berth_job_id id, enum berth_state state)
{
    struct wanted *wanted = arg;
    if (state != wanted->state)
        fail_msg("job %lu is %s, not %s", (unsigned long)id.v, berth_state_name(state),
                 berth_state_name(wanted->state));
    wanted->count++;
    return 0;
}

void cluster_await(struct cluster *cluster, const uint64_t *ids, int count, enum berth_state state)
{
    berth_job_id job_ids[CLUSTER_JOBS_MAX];
    struct wanted wanted = { .state = state };
    for (int i = 0; i < count; i++)
        job_ids[i] = (berth_job_id){ ids[i] };
    check(cluster, berth_job_wait_many(cluster->client, job_ids, (size_t)count, count_ended,
                                       &wanted, 2 * CLUSTER_TIMEOUT_MS, &cluster->err));
    assert_int_equal(wanted.count, count);
}
