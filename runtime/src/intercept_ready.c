/* SPDX-License-Identifier: MIT */
#include "intercept_ready.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include "intercept.h"
#include "intercept_kind.h"
#include "poller.h"
#include "tree.h"

#define NS_PER_S       1000000000
#define NS_PER_MS      1000000
#define NS_PER_US      1000
#define CALLS_IN_A_ROW 64
/* So often "ready" may be wrong because somebody else was faster. */
#define VAIN_COUNT_MAX 3
#define VAIN_NAP_NS    NS_PER_MS

/* SO_RCVTIMEO or SO_SNDTIMEO, counted from now; WEFT_NEVER for none, or what is no socket. */
static int64_t timeout_of(int fd, short poll_events)
{
    struct timeval timeout = { 0 };
    socklen_t bytes = sizeof timeout;
    int name = poll_events & POLLIN ? SO_RCVTIMEO : SO_SNDTIMEO;
    if (getsockopt(fd, SOL_SOCKET, name, &timeout, &bytes) < 0 ||
        (timeout.tv_sec == 0 && timeout.tv_usec == 0))
        return WEFT_NEVER;
    if (timeout.tv_sec > INT64_MAX / NS_PER_S - 1)
        return WEFT_NEVER;
    return weft_call_deadline(timeout.tv_sec * NS_PER_S + timeout.tv_usec * NS_PER_US);
}

/* On its own, so that no address of errno is kept over a park. */
static __attribute__((noinline)) int is_nonblocking(int fd)
{
    long flags = syscall(SYS_fcntl, fd, F_GETFL);
    return flags < 0 ? -errno : (flags & O_NONBLOCK) != 0;
}

int weft_ready_ask(struct weft_ready *ready)
{
    unsigned bits = weft_fd_look(ready->fd);
    int is_nonblock =
        bits & WEFT_FD_IS_OWN ? (bits & WEFT_FD_IS_NONBLOCK) != 0 : is_nonblocking(ready->fd);
    if (is_nonblock != 0)
        return is_nonblock < 0 ? is_nonblock : -EAGAIN;
    bool may_time_out = (bits & WEFT_FD_IS_OWN) == 0 || (bits & WEFT_FD_HAS_TIMEOUT) != 0;
    if (!ready->has_asked)
        ready->deadline_ns = may_time_out && weft_kind_is_socket(bits)
                                 ? timeout_of(ready->fd, ready->poll_events)
                                 : WEFT_NEVER;
    ready->has_asked = true;
    return 0;
}

/* It is ready, and yet it is not: others were faster, or the number is not what it was, or it is
 * ready for less than is wanted (an eventfd that is nearly full). */
static int vain(struct weft_ready *ready)
{
    if (++ready->vain_count < VAIN_COUNT_MAX)
        return 0;
    (void)weft_fd_look_again(ready->fd);
    int64_t nap_until_ns = weft_call_deadline(VAIN_NAP_NS);
    int rc = weft_sleep_until(nap_until_ns);
    return rc == 0 && nap_until_ns > ready->deadline_ns ? -EAGAIN : rc;
}

/* Whether it may stay armed. What is known of a number ends with its descriptor, so whether it is
 * armed has to be said anew for the next one. */
static enum weft_arm arm_of(int fd)
{
    unsigned bits = weft_fd_look(fd);
    if ((bits & WEFT_FD_IS_OWN) == 0)
        return WEFT_ARM_ONCE;
    if ((bits & WEFT_FD_IS_ARMED) != 0)
        return WEFT_ARM_KEPT;
    weft_fd_mark(fd, WEFT_FD_IS_ARMED);
    return WEFT_ARM_FOR_GOOD;
}

int weft_ready_wait(struct weft_ready *ready)
{
    int rc = weft_ready_ask(ready);
    if (rc < 0)
        return rc;
    ready->self->calls_in_a_row = 0;
    weft_fd_mark(ready->fd, WEFT_FD_WAS_AWAITED);
    rc = weft_fd_await(ready->fd, ready->poll_events, ready->deadline_ns, arm_of(ready->fd));
    if (rc > 0)
        return vain(ready);
    if (rc == -ETIMEDOUT)
        return -EAGAIN;
    if (rc == -ECANCELED || rc == -EBADF || rc == -ENOTSUP)
        return rc;
    return weft_sleep_until(weft_call_deadline(VAIN_NAP_NS)); /* no memory to wait by */
}

int weft_ready_more(struct weft_task *self, int fd)
{
    self->calls_in_a_row = 0;
    int rc = weft_fd_await(fd, POLLIN, WEFT_NEVER, WEFT_ARM_KEPT);
    if (rc >= 0)
        return 0;
    return rc == -ECANCELED || rc == -EBADF ? rc : -EAGAIN;
}

int weft_ready_fair(struct weft_task *self)
{
    if (++self->calls_in_a_row < CALLS_IN_A_ROW)
        return 0;
    self->calls_in_a_row = 0;
    return weft_yield();
}
