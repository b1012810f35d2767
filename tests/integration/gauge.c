/* SPDX-License-Identifier: MIT
 *
 * One thread that polls the connections of all commands alive.
 *
 * A command that ended before another one began has hung up before that one connected. So when a
 * connection was taken, and the others are looked at again then, nobody is counted who is dead.
 */
#include "gauge.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/cleanup.h"
#include "base/clock.h"

#define LINE_BYTES 64
#define BACKLOG    256

struct command {
    int fd;
    uint64_t job; /* 0: it has not said yet */
};

struct gauge {
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    int listen_fd, stop_fds[2];
    struct command alive[GAUGE_ALIVE_MAX]; /* oldest first */
    int count, count_max, all_starts, after_ms;
    uint16_t starts[GAUGE_JOBS_MAX], alive_of[GAUGE_JOBS_MAX];
    bool has_overlap;
};

static void *gauge_run(void *arg);

struct gauge *gauge_open(const char *path)
{
    struct gauge *gauge = calloc(1, sizeof *gauge);
    BERTH_ASSERT(gauge != NULL);
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    BERTH_ASSERT(strlen(path) < sizeof address.sun_path);
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    gauge->after_ms = -1;
    gauge->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    BERTH_ASSERT(bind(gauge->listen_fd, (const struct sockaddr *)&address, sizeof address) == 0);
    BERTH_ASSERT(listen(gauge->listen_fd, BACKLOG) == 0);
    BERTH_ASSERT(pipe2(gauge->stop_fds, O_CLOEXEC) == 0);

    pthread_condattr_t attributes;
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&gauge->changed, &attributes);
    (void)pthread_condattr_destroy(&attributes);
    (void)pthread_mutex_init(&gauge->mutex, NULL);
    BERTH_ASSERT(pthread_create(&gauge->thread, NULL, gauge_run, gauge) == 0);
    return gauge;
}

void gauge_close(struct gauge *gauge)
{
    BERTH_ASSERT(write(gauge->stop_fds[1], "x", 1) == 1);
    (void)pthread_join(gauge->thread, NULL);
    for (int i = 0; i < gauge->count; i++)
        berth_close(gauge->alive[i].fd);
    berth_close(gauge->listen_fd);
    berth_close(gauge->stop_fds[0]);
    berth_close(gauge->stop_fds[1]);
    (void)pthread_cond_destroy(&gauge->changed);
    (void)pthread_mutex_destroy(&gauge->mutex);
    free(gauge);
}

/* ---- the thread; the mutex is held in all but gauge_run ---- */

static void forget(struct gauge *gauge, int index)
{
    struct command *command = &gauge->alive[index];
    berth_close(command->fd);
    if (command->job)
        gauge->alive_of[command->job]--;
    gauge->count--;
    memmove(command, command + 1, (size_t)(gauge->count - index) * sizeof *command);
}

static void answer(const struct command *command, int after_ms, int status)
{
    char line[LINE_BYTES];
    int bytes = snprintf(line, sizeof line, "%d %d\n", after_ms, status);
    /* It may have died just now. */
    (void)send(command->fd, line, (size_t)bytes, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* A line with the number of the job, once; then only the end. */
static void take_line(struct gauge *gauge, int index)
{
    struct command *command = &gauge->alive[index];
    char line[LINE_BYTES] = { 0 };
    ssize_t bytes = recv(command->fd, line, sizeof line - 1, MSG_DONTWAIT);
    if (bytes < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (bytes <= 0) {
        forget(gauge, index);
        return;
    }
    uint64_t job = strtoull(line, NULL, 10);
    BERTH_ASSERT(job > 0);
    BERTH_ASSERT(job < GAUGE_JOBS_MAX);
    command->job = job;
    gauge->starts[job]++;
    gauge->all_starts++;
    if (++gauge->alive_of[job] > 1)
        gauge->has_overlap = true;
    if (gauge->after_ms >= 0)
        answer(command, gauge->after_ms, 0);
}

/* Looks at all connections, from the last so that forgetting one moves only those seen. */
static void take_lines(struct gauge *gauge)
{
    struct pollfd fds[GAUGE_ALIVE_MAX];
    for (int i = 0; i < gauge->count; i++)
        fds[i] = (struct pollfd){ .fd = gauge->alive[i].fd, .events = POLLIN };
    if (poll(fds, (nfds_t)gauge->count, 0) <= 0)
        return;
    for (int i = gauge->count - 1; i >= 0; i--)
        if (fds[i].revents)
            take_line(gauge, i);
}

static void take_newcomers(struct gauge *gauge)
{
    int fd;
    while ((fd = accept4(gauge->listen_fd, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
        take_lines(gauge);
        BERTH_ASSERT(gauge->count < GAUGE_ALIVE_MAX);
        gauge->alive[gauge->count++] = (struct command){ .fd = fd };
        if (gauge->count > gauge->count_max)
            gauge->count_max = gauge->count;
    }
}

static void *gauge_run(void *arg)
{
    struct gauge *gauge = arg;
    for (;;) {
        struct pollfd fds[GAUGE_ALIVE_MAX + 2] = {
            { .fd = gauge->stop_fds[0], .events = POLLIN },
            { .fd = gauge->listen_fd, .events = POLLIN },
        };
        (void)pthread_mutex_lock(&gauge->mutex);
        nfds_t used = 2;
        for (int i = 0; i < gauge->count; i++)
            fds[used++] = (struct pollfd){ .fd = gauge->alive[i].fd, .events = POLLIN };
        (void)pthread_mutex_unlock(&gauge->mutex);
        if (poll(fds, used, -1) < 0 && errno != EINTR)
            return NULL;
        if (fds[0].revents)
            return NULL;

        (void)pthread_mutex_lock(&gauge->mutex);
        take_lines(gauge);
        take_newcomers(gauge);
        (void)pthread_cond_broadcast(&gauge->changed);
        (void)pthread_mutex_unlock(&gauge->mutex);
    }
}

/* ---- for the test ---- */

static int get(struct gauge *gauge, const int *value)
{
    (void)pthread_mutex_lock(&gauge->mutex);
    int copy = *value;
    (void)pthread_mutex_unlock(&gauge->mutex);
    return copy;
}

int gauge_alive(struct gauge *gauge)
{
    return get(gauge, &gauge->count);
}

int gauge_alive_max(struct gauge *gauge)
{
    return get(gauge, &gauge->count_max);
}

int gauge_all_starts(struct gauge *gauge)
{
    return get(gauge, &gauge->all_starts);
}

int gauge_starts(struct gauge *gauge, uint64_t job)
{
    BERTH_ASSERT(job < GAUGE_JOBS_MAX);
    (void)pthread_mutex_lock(&gauge->mutex);
    int starts = gauge->starts[job];
    (void)pthread_mutex_unlock(&gauge->mutex);
    return starts;
}

bool gauge_has_overlap(struct gauge *gauge)
{
    (void)pthread_mutex_lock(&gauge->mutex);
    bool has_overlap = gauge->has_overlap;
    (void)pthread_mutex_unlock(&gauge->mutex);
    return has_overlap;
}

static bool is_alive_count(const struct gauge *gauge, int count)
{
    for (int i = 0; i < gauge->count; i++)
        if (!gauge->alive[i].job)
            return false;
    return gauge->count == count;
}

static bool are_starts(const struct gauge *gauge, int count)
{
    return gauge->all_starts >= count;
}

static bool await_state(struct gauge *gauge, bool (*is_so)(const struct gauge *gauge, int count),
                        int count, int64_t timeout_ms)
{
    int64_t until_ns = berth_clock_monotonic_ns() + timeout_ms * 1000000;
    const struct timespec until = { .tv_sec = until_ns / 1000000000,
                                    .tv_nsec = until_ns % 1000000000 };
    (void)pthread_mutex_lock(&gauge->mutex);
    int rc = 0;
    while (!is_so(gauge, count) && rc == 0)
        rc = pthread_cond_timedwait(&gauge->changed, &gauge->mutex, &until);
    bool was_so = is_so(gauge, count);
    (void)pthread_mutex_unlock(&gauge->mutex);
    return was_so;
}

bool gauge_await_alive(struct gauge *gauge, int count, int64_t timeout_ms)
{
    return await_state(gauge, is_alive_count, count, timeout_ms);
}

bool gauge_await_starts(struct gauge *gauge, int count, int64_t timeout_ms)
{
    return await_state(gauge, are_starts, count, timeout_ms);
}

void gauge_release(struct gauge *gauge, int count, int status)
{
    (void)pthread_mutex_lock(&gauge->mutex);
    for (int i = 0; i < gauge->count && i < count; i++)
        answer(&gauge->alive[i], 0, status);
    (void)pthread_mutex_unlock(&gauge->mutex);
}

void gauge_release_after(struct gauge *gauge, int ms)
{
    (void)pthread_mutex_lock(&gauge->mutex);
    gauge->after_ms = ms;
    for (int i = 0; ms >= 0 && i < gauge->count; i++)
        answer(&gauge->alive[i], ms, 0);
    (void)pthread_mutex_unlock(&gauge->mutex);
}
