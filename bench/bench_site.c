/* SPDX-License-Identifier: MIT */
#include "bench_site.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char bin[PATH_MAX], dir[PATH_MAX];
static pid_t broker, worker;

int64_t site_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

double site_seconds_since(int64_t start_ns)
{
    return (double)(site_now_ns() - start_ns) / 1e9;
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
        fprintf(stderr, "bench: %s is left behind\n", dir);
}

void site_die(const char *what, const struct berth_error *err)
{
    fprintf(stderr, "bench: %s: %s\n", what, err ? err->message : strerror(errno));
    exit(1);
}

const char *site_dir(void)
{
    return dir;
}

pid_t site_broker(void)
{
    return broker;
}

static pid_t start(const char *program, const char *const argv[])
{
    char path[PATH_MAX], log[PATH_MAX];
    if (snprintf(path, sizeof path, "%s/%s", bin, program) >= (int)sizeof path ||
        snprintf(log, sizeof log, "%s/%s.log", dir, program) >= (int)sizeof log)
        site_die("the path is too long", NULL);
    pid_t pid = fork();
    if (pid < 0)
        site_die("fork", NULL);
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
    worker = start("berth-worker",
                   (const char *[]){ "berth-worker", "--broker", url, "--name", "bench",
                                     "--capacity", SITE_CAPACITY, "--plugin", plugin, NULL });
}

struct berth_client *site_begin(void)
{
    ssize_t bytes = readlink("/proc/self/exe", bin, sizeof bin - 1);
    if (bytes < 0)
        site_die("/proc/self/exe", NULL);
    bin[bytes] = '\0';
    dirname(bin);
    const char *tmp = getenv("TMPDIR");
    snprintf(dir, sizeof dir, "%s/berth-bench.XXXXXX", tmp ? tmp : "/tmp");
    if (!mkdtemp(dir))
        site_die(dir, NULL);
    atexit(clean_up);
    char url[PATH_MAX];
    snprintf(url, sizeof url, "ipc://%.*s/broker.sock", PATH_MAX - 32, dir);
    start_broker(url);
    start_worker(url);
    struct berth_client *client;
    struct berth_error err;
    if (berth_client_open(&(struct berth_client_opts){ .url = url }, &client, &err) < 0)
        site_die("open", &err);
    return client;
}

/* ---- jobs ---- */

static char payload[SITE_PAYLOAD_BYTES];

void site_submit(struct berth_client *client, const char *dispatcher, const char *handler,
                 const char *group, size_t count)
{
    static struct berth_job_spec specs[SITE_BATCH_JOBS];
    static struct berth_submitted submitted[SITE_BATCH_JOBS];
    struct berth_error err;
    for (size_t i = 0; i < count; i++)
        specs[i] = (struct berth_job_spec){ .dispatcher = dispatcher,
                                            .handler = handler,
                                            .group = group,
                                            .payload = { payload, sizeof payload } };
    int rc = berth_submit_many(client, specs, count, submitted, SITE_CALL_MS, &err);
    if (rc < 0 || (size_t)rc != count)
        site_die("submit", &err);
}

void site_set_limit(struct berth_client *client, const char *name, enum berth_limit_kind kind,
                    uint32_t value)
{
    struct berth_error err;
    struct berth_dispatcher_settings settings = { .limit = { .kind = kind, .value = value } };
    if (berth_dispatcher_set(client, name, &settings, NULL, SITE_CALL_MS, &err) < 0)
        site_die("dispatcher set", &err);
}

void site_await_done(struct berth_client *client, const char *name, uint64_t total)
{
    struct berth_error err;
    for (;;) {
        struct berth_dispatcher *dispatcher;
        if (berth_dispatcher_get(client, name, &dispatcher, SITE_CALL_MS, &err) < 0)
            site_die("dispatcher show", &err);
        bool is_done = dispatcher->completed_total + dispatcher->dead >= total;
        berth_dispatcher_free(dispatcher);
        if (is_done)
            return;
        nanosleep(&(struct timespec){ .tv_nsec = 2000000 }, NULL);
    }
}
