/* SPDX-License-Identifier: MIT */
#include "sys.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <weft/base.h>

#define NS_PER_S  1000000000
#define NS_PER_MS 1000000

void weft_sys_event_write(int fd)
{
    uint64_t one = 1;
    (void)syscall(SYS_write, fd, &one, sizeof one); /* full: it will wake anyway */
}

void weft_sys_event_read(int fd)
{
    uint64_t value;
    (void)syscall(SYS_read, fd, &value, sizeof value);
}

int weft_sys_close(int fd)
{
    return (int)syscall(SYS_close, fd);
}

int weft_sys_epoll_wait(int epoll_fd, struct epoll_event *events, int count_max,
                        int64_t deadline_ns)
{
    static atomic_bool has_no_pwait2; /* before Linux 5.11, or forbidden by a container */
    int64_t left_ns = deadline_ns == WEFT_NEVER ? -1 : 0;
    if (deadline_ns != WEFT_NEVER && deadline_ns != 0) {
        left_ns = deadline_ns - weft_now_ns();
        left_ns = left_ns > 0 ? left_ns : 0;
    }
    long count;
    if (left_ns > 0 && !atomic_load_explicit(&has_no_pwait2, memory_order_relaxed)) {
        struct timespec left = { .tv_sec = left_ns / NS_PER_S, .tv_nsec = left_ns % NS_PER_S };
        count = syscall(SYS_epoll_pwait2, epoll_fd, events, count_max, &left, NULL, (size_t)0);
        if (count >= 0 || (errno != ENOSYS && errno != EPERM))
            return count > 0 ? (int)count : 0;
        has_no_pwait2 = true;
    }
    int64_t left_ms = left_ns < 0 ? -1 : (left_ns + NS_PER_MS - 1) / NS_PER_MS;
    int wait_ms = left_ms > INT32_MAX ? INT32_MAX : (int)left_ms;
    count = syscall(SYS_epoll_pwait, epoll_fd, events, count_max, wait_ms, NULL, (size_t)0);
    return count > 0 ? (int)count : 0;
}

void weft_sys_futex_wait(atomic_uint *word, unsigned value)
{
    (void)syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
}

void weft_sys_futex_wake(atomic_uint *word)
{
    (void)syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}
