/* SPDX-License-Identifier: MIT */
/* The fence of a worker without a keeper; see watchdog.h. */
#include "worker/watchdog.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/cleanup.h"
#include "base/clock.h"

#define RECHECK_MS     20 /* past the end: an attempt may have been on its way to its start */
#define LINE_BYTES_MAX 256

struct watchdog {
    size_t (*running_count)(void *arg);
    void *arg;
    _Atomic int64_t end_ms;
    _Atomic(const char *) what;
    int timer_fd, stop_fd;
    bool has_thread;
    pthread_t thread;
};

static void *watchdog_run(void *arg);

static int open_all(struct watchdog *watchdog)
{
    watchdog->timer_fd = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
    if (watchdog->timer_fd < 0)
        return -errno;
    watchdog->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (watchdog->stop_fd < 0)
        return -errno;
    int rc = -pthread_create(&watchdog->thread, NULL, watchdog_run, watchdog);
    watchdog->has_thread = rc == 0;
    return rc;
}

int watchdog_open(size_t (*running_count)(void *arg), void *arg, struct watchdog **ret_watchdog,
                  struct berth_error *err)
{
    struct watchdog *watchdog = calloc(1, sizeof *watchdog);
    if (!watchdog)
        return berth_fail(err, -ENOMEM, "start the watchdog");
    watchdog->running_count = running_count;
    watchdog->arg = arg;
    watchdog->timer_fd = watchdog->stop_fd = -1;
    atomic_init(&watchdog->end_ms, 0);
    atomic_init(&watchdog->what, "");
    int rc = open_all(watchdog);
    if (rc < 0) {
        watchdog_close(watchdog);
        return berth_fail(err, rc, "start the watchdog");
    }
    *ret_watchdog = watchdog;
    return 0;
}

void watchdog_close(struct watchdog *watchdog)
{
    if (!watchdog)
        return;
    if (watchdog->has_thread) {
        uint64_t one = 1;
        ssize_t written = write(watchdog->stop_fd, &one, sizeof one);
        BERTH_ASSERT(written == (ssize_t)sizeof one);
        BERTH_ASSERT(pthread_join(watchdog->thread, NULL) == 0);
    }
    berth_close(watchdog->timer_fd);
    berth_close(watchdog->stop_fd);
    free(watchdog);
}

static void timer_set(const struct watchdog *watchdog, int64_t at_ms)
{
    const struct itimerspec at = { .it_value = { .tv_sec = (time_t)(at_ms / 1000),
                                                 .tv_nsec = (long)(at_ms % 1000 * 1000000) } };
    BERTH_ASSERT(timerfd_settime(watchdog->timer_fd, TFD_TIMER_ABSTIME, &at, NULL) == 0);
}

void watchdog_set(struct watchdog *watchdog, int64_t end_ms, const char *what)
{
    atomic_store(&watchdog->what, what);
    atomic_store(&watchdog->end_ms, end_ms);
    timer_set(watchdog, end_ms); /* 0 disarms it */
}

void watchdog_bite(const char *what, size_t running_count)
{
    char line[LINE_BYTES_MAX];
    int bytes = snprintf(line, sizeof line,
                         "berth: %s is over and %zu attempts still run: this process ends\n", what,
                         running_count);
    /* A reader that has stopped reading must not hold up the end: what does not fit now is lost. */
    struct pollfd out = { .fd = STDERR_FILENO, .events = POLLOUT };
    if (poll(&out, 1, 0) > 0) {
        ssize_t written = write(STDERR_FILENO, line, (size_t)bytes);
        (void)written;
    }
    _exit(WATCHDOG_EXIT_STATUS);
}

static void look(const struct watchdog *watchdog)
{
    int64_t end_ms = atomic_load(&watchdog->end_ms);
    int64_t now_ms = berth_clock_boottime_ns() / 1000000;
    if (end_ms == 0)
        return;
    if (now_ms < end_ms) {
        timer_set(watchdog, end_ms);
        return;
    }
    size_t running = watchdog->running_count(watchdog->arg);
    if (running > 0)
        watchdog_bite(atomic_load(&watchdog->what), running);
    timer_set(watchdog, now_ms + RECHECK_MS);
}

static void *watchdog_run(void *arg)
{
    const struct watchdog *watchdog = arg;
    for (;;) {
        struct pollfd fds[] = { { .fd = watchdog->timer_fd, .events = POLLIN },
                                { .fd = watchdog->stop_fd, .events = POLLIN } };
        if (poll(fds, 2, -1) < 0)
            continue;
        if (fds[1].revents != 0)
            return NULL;
        uint64_t count;
        if (read(watchdog->timer_fd, &count, sizeof count) > 0)
            look(watchdog);
    }
}
