/* SPDX-License-Identifier: MIT
 *
 * The calls that only let time pass: sleep, usleep, nanosleep, clock_nanosleep, thrd_sleep, and
 * sched_yield.
 *
 * A cancelled sleep ends early, with errno ECANCELED where there is an errno, and says what is
 * left. thrd_sleep() then returns -2, "another error", and not -1, "a signal came", upon which
 * programs go on sleeping.
 */
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <sys/timerfd.h>
#include <threads.h>
#include <time.h>
#include <unistd.h>

#include "intercept.h"
#include "tree.h"

#define NS_PER_S  1000000000
#define NS_PER_US 1000

WEFT_NEXT(unsigned, sleep, unsigned seconds)
WEFT_NEXT(int, usleep, useconds_t us)
WEFT_NEXT(int, nanosleep, const struct timespec *wanted, struct timespec *ret_left)
WEFT_NEXT(int, clock_nanosleep, clockid_t clock, int flags, const struct timespec *wanted,
          struct timespec *ret_left)
WEFT_NEXT(int, thrd_sleep, const struct timespec *wanted, struct timespec *ret_left)
WEFT_NEXT(int, sched_yield, void)

const char weft_wrappers_sleep;

static bool is_valid(const struct timespec *time)
{
    return time->tv_sec >= 0 && time->tv_nsec >= 0 && time->tv_nsec < NS_PER_S;
}

static int64_t ns_of(const struct timespec *time)
{
    return time->tv_sec < INT64_MAX / NS_PER_S - 1 ? time->tv_sec * NS_PER_S + time->tv_nsec
                                                   : INT64_MAX;
}

/* Parks until then: 0 or negative. A sleep of no time lets others run. */
static int sleep_until(int64_t deadline_ns)
{
    return deadline_ns <= weft_now_ns() ? weft_yield() : weft_sleep_until(deadline_ns);
}

static int64_t left_of(int64_t deadline_ns)
{
    int64_t left_ns = deadline_ns - weft_now_ns();
    return left_ns > 0 ? left_ns : 0;
}

/* What is left of a relative sleep, for those that ask. */
static void tell_left(int64_t deadline_ns, struct timespec *ret_left)
{
    int64_t left_ns = left_of(deadline_ns);
    if (ret_left)
        *ret_left =
            (struct timespec){ .tv_sec = left_ns / NS_PER_S, .tv_nsec = left_ns % NS_PER_S };
}

static int sleep_relative(const struct timespec *wanted, struct timespec *ret_left)
{
    int64_t deadline_ns = weft_call_deadline(ns_of(wanted));
    int rc = sleep_until(deadline_ns);
    if (rc < 0)
        tell_left(deadline_ns, ret_left);
    return rc;
}

unsigned sleep(unsigned seconds)
{
    struct weft_task *self = weft_call_enter();
    if (!self)
        return next_sleep()(seconds);
    int64_t deadline_ns = weft_call_deadline((int64_t)seconds * NS_PER_S);
    int rc = sleep_until(deadline_ns);
    int64_t left_s = rc < 0 ? (left_of(deadline_ns) + NS_PER_S - 1) / NS_PER_S : 0;
    (void)weft_call_leave(self, rc);
    return (unsigned)left_s;
}

int usleep(useconds_t us)
{
    struct weft_task *self = weft_call_enter();
    if (!self)
        return next_usleep()(us);
    return (int)weft_call_leave(self, sleep_until(weft_call_deadline((int64_t)us * NS_PER_US)));
}

int nanosleep(const struct timespec *wanted, struct timespec *ret_left)
{
    struct weft_task *self = wanted && is_valid(wanted) ? weft_call_enter() : NULL;
    if (!self)
        return next_nanosleep()(wanted, ret_left);
    return (int)weft_call_leave(self, sleep_relative(wanted, ret_left));
}

int thrd_sleep(const struct timespec *wanted, struct timespec *ret_left)
{
    struct weft_task *self = wanted && is_valid(wanted) ? weft_call_enter() : NULL;
    if (!self)
        return next_thrd_sleep()(wanted, ret_left);
    return weft_call_leave(self, sleep_relative(wanted, ret_left)) < 0 ? -2 : 0;
}

/* Sleeps by a clock that can be set, or that runs while the machine is suspended: the kernel looks
 * after it. -EMFILE and the like: it cannot. */
static int sleep_on_clock(clockid_t clock, int flags, const struct timespec *wanted)
{
    if (wanted->tv_sec == 0 && wanted->tv_nsec == 0)
        return weft_yield(); /* to a timer it would mean never */
    int fd = timerfd_create(clock, TFD_CLOEXEC | TFD_NONBLOCK);
    if (fd < 0)
        return -errno;
    struct itimerspec when = { .it_value = *wanted };
    int rc = timerfd_settime(fd, flags & TIMER_ABSTIME ? TFD_TIMER_ABSTIME : 0, &when, NULL);
    rc = rc < 0 ? -errno : weft_fd_wait(fd, POLLIN, WEFT_NEVER);
    (void)close(fd);
    return rc < 0 ? rc : 0;
}

int clock_nanosleep(clockid_t clock, int flags, const struct timespec *wanted,
                    struct timespec *ret_left)
{
    bool is_known = clock == CLOCK_REALTIME || clock == CLOCK_MONOTONIC || clock == CLOCK_BOOTTIME;
    struct weft_task *self = is_known && wanted && is_valid(wanted) ? weft_call_enter() : NULL;
    if (!self)
        return next_clock_nanosleep()(clock, flags, wanted, ret_left);
    bool is_absolute = (flags & TIMER_ABSTIME) != 0;
    int rc;
    if (clock == CLOCK_MONOTONIC && is_absolute)
        rc = sleep_until(ns_of(wanted));
    else if (clock != CLOCK_BOOTTIME && !is_absolute)
        rc = sleep_relative(wanted, ret_left); /* setting the clock does not change a duration */
    else
        rc = sleep_on_clock(clock, flags, wanted);
    if (rc < 0 && rc != -ECANCELED && rc != -ENOTSUP) /* no descriptor, no memory: then it blocks */
        rc = -next_clock_nanosleep()(clock, flags, wanted, ret_left);
    (void)weft_call_leave(self, 0);
    return -rc;
}

/* Who spins until another coroutine of the same thread has done something lets it run. */
int sched_yield(void)
{
    struct weft_task *self = weft_call_enter();
    if (!self)
        return next_sched_yield()();
    (void)weft_yield();
    return (int)weft_call_leave(self, 0);
}
