/* SPDX-License-Identifier: MIT
 *
 * The poller's thread, and waiting for descriptors.
 *
 * A descriptor is in the epoll set just while somebody waits on it, and only for one report
 * (EPOLLONESHOT); so a descriptor that was closed and opened anew never inherits anything. A report
 * only wakes: whether the descriptor is ready says poll(2), asked by the coroutine itself.
 */
#include "poller.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "die.h"
#include "timer.h"
#include "tree.h"

#define EVENTS_MAX         64
#define BUCKET_COUNT       256 /* of waiters by descriptor */
#define NS_PER_S           1000000000
#define NS_PER_MS          1000000
#define POLL_BITS          (POLLIN | POLLOUT | POLLPRI | POLLRDHUP)
#define THREAD_STACK_BYTES ((size_t)(WEFT_ASAN || WEFT_TSAN ? 1024 : 256) << 10)

static pthread_t poller;
static int epoll_fd = -1, wake_fd = -1;
static atomic_bool is_stopping;
static bool has_pwait2; /* Linux 5.11, and not forbidden by a container */

/* Those who wait on descriptors, by descriptor modulo BUCKET_COUNT. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct weft_waiters buckets[BUCKET_COUNT];

static void *poller_run(void *arg);
static void report(int fd);

static int poller_start(void)
{
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (epoll_fd < 0)
        return -errno;
    wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (wake_fd < 0)
        return -errno;
    struct epoll_event event = { .events = EPOLLIN, .data.fd = wake_fd };
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, wake_fd, &event) < 0)
        return -errno;
    is_stopping = false;
    has_pwait2 = true;
    pthread_attr_t attr;
    int rc = -pthread_attr_init(&attr);
    if (rc < 0)
        return rc;
    sigset_t all, before;
    (void)sigfillset(&all);
    (void)pthread_attr_setstacksize(&attr, THREAD_STACK_BYTES);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    rc = -pthread_create(&poller, &attr, poller_run, NULL);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    (void)pthread_attr_destroy(&attr);
    return rc;
}

static void descriptors_close(void)
{
    if (wake_fd >= 0)
        (void)close(wake_fd);
    if (epoll_fd >= 0)
        (void)close(epoll_fd);
    wake_fd = epoll_fd = -1;
}

int weft_poll_open(void)
{
    int rc = poller_start();
    if (rc < 0)
        descriptors_close();
    return rc;
}

void weft_poll_close(void)
{
    is_stopping = true;
    weft_poll_wake();
    (void)pthread_join(poller, NULL);
    descriptors_close();
}

void weft_poll_wake(void)
{
    uint64_t one = 1;
    ssize_t written = write(wake_fd, &one, sizeof one); /* full: it will wake anyway */
    (void)written;
}

/* Sleeps until an event or the time. Negative: interrupted. */
static int sleep_until(struct epoll_event *events, int64_t deadline_ns)
{
    int64_t left_ns = deadline_ns == WEFT_NEVER ? -1 : deadline_ns - weft_now_ns();
    if (deadline_ns != WEFT_NEVER && left_ns < 0)
        left_ns = 0;
#ifdef SYS_epoll_pwait2
    if (has_pwait2) {
        struct timespec left = { .tv_sec = left_ns / NS_PER_S, .tv_nsec = left_ns % NS_PER_S };
        long count = syscall(SYS_epoll_pwait2, epoll_fd, events, EVENTS_MAX,
                             left_ns < 0 ? NULL : &left, NULL, (size_t)0);
        if (count >= 0 || (errno != ENOSYS && errno != EPERM))
            return (int)count;
        has_pwait2 = false;
    }
#endif
    int64_t left_ms = left_ns < 0 ? -1 : (left_ns + NS_PER_MS - 1) / NS_PER_MS;
    return epoll_wait(epoll_fd, events, EVENTS_MAX, left_ms > INT32_MAX ? INT32_MAX : (int)left_ms);
}

static void *poller_run(void *arg)
{
    (void)arg;
    (void)pthread_setname_np(pthread_self(), "weft-poll");
    (void)prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
    while (!is_stopping) {
        int64_t next_ns = weft_timer_run();
        struct epoll_event events[EVENTS_MAX];
        int count = sleep_until(events, next_ns);
        for (int i = 0; i < count; i++) {
            if (events[i].data.fd == wake_fd) {
                uint64_t value;
                ssize_t got = read(wake_fd, &value, sizeof value);
                (void)got;
            } else {
                report(events[i].data.fd);
            }
        }
    }
    return NULL;
}

static struct weft_waiters *bucket_of(int fd)
{
    return &buckets[(unsigned)fd % BUCKET_COUNT];
}

/* What all who wait on the descriptor want; 0: nobody does. */
static uint32_t wanted(int fd)
{
    uint32_t events = 0;
    for (const struct weft_waiter *waiter = bucket_of(fd)->first; waiter; waiter = waiter->next) {
        if (waiter->fd == fd)
            events |= (uint32_t)(unsigned short)waiter->events | EPOLLONESHOT;
    }
    return events;
}

static void wake_all(int fd, bool is_closed)
{
    struct weft_waiter *next;
    for (struct weft_waiter *waiter = bucket_of(fd)->first; waiter; waiter = next) {
        next = waiter->next;
        if (waiter->fd != fd)
            continue;
        waiter->is_closed = is_closed;
        weft_waiters_wake(bucket_of(fd), waiter);
    }
}

/* Something happened: everybody who waits on it looks for himself. */
static void report(int fd)
{
    (void)pthread_mutex_lock(&lock);
    if (wanted(fd) != 0) {
        (void)epoll_ctl(epoll_fd, EPOLL_CTL_DEL, fd, NULL);
        wake_all(fd, false);
    }
    (void)pthread_mutex_unlock(&lock);
}

static int ask(int fd, short events)
{
    struct pollfd pollfd = { .fd = fd, .events = events };
    int count;
    do {
        count = poll(&pollfd, 1, 0);
    } while (count < 0 && errno == EINTR);
    if (count < 0)
        return -errno;
    return pollfd.revents & POLLNVAL ? -EBADF : pollfd.revents;
}

/* Puts the caller among those who wait on the descriptor. */
static int join(struct weft_task *self, int fd, short events)
{
    (void)pthread_mutex_lock(&lock);
    uint32_t before = wanted(fd);
    struct epoll_event event = {
        .events = before | (uint32_t)(unsigned short)events | EPOLLONESHOT,
        .data.fd = fd,
    };
    int op = before != 0 ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
    int rc = epoll_ctl(epoll_fd, op, fd, &event) < 0 ? -errno : 0;
    if (rc == 0) {
        self->waiter.fd = fd;
        self->waiter.events = events;
        self->waiter.is_closed = false;
        weft_waiters_join(bucket_of(fd), self);
    }
    (void)pthread_mutex_unlock(&lock);
    return rc;
}

/* Takes the caller out again, if it is still there. */
static void leave(struct weft_task *self, int fd)
{
    (void)pthread_mutex_lock(&lock);
    if (self->waiter.is_queued) {
        weft_waiters_leave(bucket_of(fd), &self->waiter);
        struct epoll_event event = { .events = wanted(fd), .data.fd = fd };
        (void)epoll_ctl(epoll_fd, event.events != 0 ? EPOLL_CTL_MOD : EPOLL_CTL_DEL, fd, &event);
    }
    (void)pthread_mutex_unlock(&lock);
}

int weft_fd_wait(int fd, short poll_events, int64_t deadline_ns)
{
    struct weft_task *self = weft_self();
    int rc = weft_wait_check(self, deadline_ns);
    if (rc < 0)
        return rc;
    if ((poll_events & ~POLL_BITS) != 0 || poll_events == 0)
        return -EINVAL;
    if (fd < 0)
        return -EBADF;
    for (;;) {
        rc = ask(fd, poll_events);
        if (rc != 0)
            return rc;
        if (deadline_ns == 0)
            return -ETIMEDOUT;
        rc = join(self, fd, poll_events);
        if (rc < 0)
            return rc;
        rc = weft_wait(self, "descriptor", &self->is_done, deadline_ns);
        leave(self, fd);
        if (rc == 0 && self->waiter.is_closed)
            rc = -EBADF;
        if (rc < 0)
            return rc;
    }
}

void weft_fd_forget(int fd)
{
    (void)pthread_mutex_lock(&lock);
    if (wanted(fd) != 0) {
        (void)epoll_ctl(epoll_fd, EPOLL_CTL_DEL, fd, NULL);
        wake_all(fd, true);
    }
    (void)pthread_mutex_unlock(&lock);
}

int weft_fd_close(int fd)
{
    if (fd < 0)
        return -EBADF;
    weft_fd_forget(fd);
    return close(fd) < 0 ? -errno : 0;
}
