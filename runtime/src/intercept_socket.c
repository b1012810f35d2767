/* SPDX-License-Identifier: MIT
 *
 * recv, send and their kin; connect, accept; what tells of sockets.
 *
 * connect: no flag makes it return at once but O_NONBLOCK, which is not ours. socket(7) documents
 * another way: with SO_SNDTIMEO set it gives EINPROGRESS when the time is over, as if it were
 * non-blocking, and goes on by itself. So it is called with the smallest time-out there is (one
 * tick of the kernel's, 1 to 4 ms) in place of the caller's, which is put back at once; the end is
 * then awaited like any output. The tick is waited for on a thread of weft_io(), unless the peer is
 * this machine, which answers within the call. A local socket (AF_UNIX) whose listener has no room
 * gives EAGAIN instead and has nothing to await: it is tried again, at growing distances.
 *
 * accept: the same trick would be seen by whoever else accepts on the listener. So the listener is
 * awaited, then accepted from while no other coroutine may: it cannot wait then. Only where
 * somebody else may be faster (a plain thread is inside accept() just now; the listener is shared
 * with another process or number) it is called on a thread of weft_io(), for then it may wait.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "intercept.h"
#include "intercept_kind.h"
#include "intercept_ready.h"
#include "intercept_transfer.h"
#include "tree.h"

WEFT_NEXT(ssize_t, recv, int fd, void *bytes, size_t count, int flags)
WEFT_NEXT(ssize_t, recvfrom, int fd, void *bytes, size_t count, int flags, struct sockaddr *from,
          socklen_t *from_bytes)
WEFT_NEXT(ssize_t, recvmsg, int fd, struct msghdr *msg, int flags)
WEFT_NEXT(ssize_t, send, int fd, const void *bytes, size_t count, int flags)
WEFT_NEXT(ssize_t, sendto, int fd, const void *bytes, size_t count, int flags,
          const struct sockaddr *to, socklen_t to_bytes)
WEFT_NEXT(ssize_t, sendmsg, int fd, const struct msghdr *msg, int flags)
WEFT_NEXT(int, recvmmsg, int fd, struct mmsghdr *msgs, unsigned count, int flags,
          struct timespec *timeout)
WEFT_NEXT(int, sendmmsg, int fd, struct mmsghdr *msgs, unsigned count, int flags)
WEFT_NEXT(int, connect, int fd, const struct sockaddr *to, socklen_t to_bytes)
WEFT_NEXT(int, accept, int fd, struct sockaddr *from, socklen_t *from_bytes)
WEFT_NEXT(int, accept4, int fd, struct sockaddr *from, socklen_t *from_bytes, int flags)
WEFT_NEXT(int, socket, int family, int type, int protocol)
WEFT_NEXT(int, socketpair, int family, int type, int protocol, int fds[2])
WEFT_NEXT(int, setsockopt, int fd, int level, int name, const void *value, socklen_t bytes)

const char weft_wrappers_socket;

/* Never waits by itself: there is nothing to park for. */
#define NEVER_WAITS (MSG_DONTWAIT | MSG_OOB | MSG_ERRQUEUE)

#define NS_PER_S           1000000000
#define TAKE_YIELDS        64
#define TAKE_NAP_NS        2000000
#define CONNECT_NAP_NS_MIN 1000000
#define CONNECT_NAP_NS_MAX 16000000

/* Bytes ---------------------------------------------------------------------------------------- */

static ssize_t move(struct weft_task *self, int fd, struct msghdr *msg, int flags, bool is_out)
{
    const struct weft_transfer transfer = {
        .fd = fd,
        .iov = msg->msg_iov,
        .iov_count = (int)msg->msg_iovlen,
        .msg = msg,
        .flags = flags,
        .is_socket = true,
    };
    return is_out ? weft_transfer_out(self, &transfer) : weft_transfer_in(self, &transfer);
}

static struct weft_task *enter(int flags)
{
    return flags & NEVER_WAITS ? NULL : weft_call_enter();
}

ssize_t recv(int fd, void *bytes, size_t count, int flags)
{
    struct weft_task *self = enter(flags);
    if (!self)
        return next_recv()(fd, bytes, count, flags);
    return weft_call_leave(self, weft_transfer_read(self, fd, bytes, count, flags, true));
}

ssize_t send(int fd, const void *bytes, size_t count, int flags)
{
    struct weft_task *self = enter(flags);
    if (!self)
        return next_send()(fd, bytes, count, flags);
    return weft_call_leave(self, weft_transfer_write(self, fd, bytes, count, flags, true));
}

ssize_t recvfrom(int fd, void *bytes, size_t count, int flags, struct sockaddr *from,
                 socklen_t *from_bytes)
{
    struct weft_task *self = from && !from_bytes ? NULL : enter(flags);
    if (!self)
        return next_recvfrom()(fd, bytes, count, flags, from, from_bytes);
    struct iovec part = weft_part_of(bytes, count);
    struct msghdr msg = {
        .msg_name = from,
        .msg_namelen = from && from_bytes ? *from_bytes : 0,
        .msg_iov = &part,
        .msg_iovlen = 1,
    };
    ssize_t rc = move(self, fd, &msg, flags, false);
    if (rc >= 0 && from && from_bytes)
        *from_bytes = msg.msg_namelen;
    return weft_call_leave(self, rc);
}

ssize_t sendto(int fd, const void *bytes, size_t count, int flags, const struct sockaddr *to,
               socklen_t to_bytes)
{
    struct weft_task *self = enter(flags);
    if (!self)
        return next_sendto()(fd, bytes, count, flags, to, to_bytes);
    struct iovec part = weft_part_of(bytes, count);
    struct msghdr msg = { .msg_namelen = to_bytes, .msg_iov = &part, .msg_iovlen = 1 };
    memcpy(&msg.msg_name, &to, sizeof to); /* const is cast away: only read */
    return weft_call_leave(self, move(self, fd, &msg, flags, true));
}

static bool is_vector(const struct msghdr *msg)
{
    return msg && msg->msg_iovlen <= IOV_MAX;
}

ssize_t recvmsg(int fd, struct msghdr *msg, int flags)
{
    struct weft_task *self = is_vector(msg) ? enter(flags) : NULL;
    if (!self)
        return next_recvmsg()(fd, msg, flags);
    return weft_call_leave(self, move(self, fd, msg, flags, false));
}

/* Descriptors that are sent away are shared from now on. */
static void share_sent(const struct msghdr *msg)
{
    if (!msg || !msg->msg_control)
        return;
    struct msghdr look = *msg; /* CMSG_NXTHDR wants one that it may change */
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&look); c; c = CMSG_NXTHDR(&look, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        size_t fd_bytes = c->cmsg_len > CMSG_LEN(0) ? c->cmsg_len - CMSG_LEN(0) : 0;
        for (size_t at = 0; at + sizeof(int) <= fd_bytes; at += sizeof(int)) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + at, sizeof fd);
            weft_fd_share(fd);
        }
    }
}

ssize_t sendmsg(int fd, const struct msghdr *msg, int flags)
{
    share_sent(msg);
    struct weft_task *self = is_vector(msg) ? enter(flags) : NULL;
    if (!self)
        return next_sendmsg()(fd, msg, flags);
    struct msghdr same = *msg;
    return weft_call_leave(self, move(self, fd, &same, flags, true));
}

/* Several messages: the first is waited for, and all others if the caller wants just that. The
 * time-out is looked at after each message, as the kernel does it (recvmmsg(2), BUGS). */
int recvmmsg(int fd, struct mmsghdr *msgs, unsigned count, int flags, struct timespec *timeout)
{
    struct weft_task *self = count > 0 ? enter(flags) : NULL;
    if (!self)
        return next_recvmmsg()(fd, msgs, count, flags, timeout);
    int64_t deadline_ns =
        timeout ? weft_call_deadline(timeout->tv_sec * NS_PER_S + timeout->tv_nsec) : WEFT_NEVER;
    unsigned done = 0;
    ssize_t rc = 0;
    int each = flags & ~MSG_WAITFORONE;
    while (done < count && rc >= 0 && (done == 0 || weft_now_ns() < deadline_ns)) {
        rc = is_vector(&msgs[done].msg_hdr) ? move(self, fd, &msgs[done].msg_hdr, each, false)
                                            : -EMSGSIZE;
        if (rc >= 0)
            msgs[done++].msg_len = (unsigned)rc;
        if (flags & MSG_WAITFORONE)
            each |= MSG_DONTWAIT;
    }
    if (timeout) {
        int64_t left_ns = deadline_ns - weft_now_ns();
        left_ns = left_ns > 0 ? left_ns : 0;
        *timeout = (struct timespec){ .tv_sec = left_ns / NS_PER_S, .tv_nsec = left_ns % NS_PER_S };
    }
    return (int)weft_call_leave(self, done > 0 ? (ssize_t)done : rc);
}

int sendmmsg(int fd, struct mmsghdr *msgs, unsigned count, int flags)
{
    for (unsigned i = 0; i < count; i++)
        share_sent(&msgs[i].msg_hdr);
    struct weft_task *self = count > 0 ? enter(flags) : NULL;
    if (!self)
        return next_sendmmsg()(fd, msgs, count, flags);
    unsigned done = 0;
    ssize_t rc = 0;
    while (done < count && rc >= 0) {
        rc = is_vector(&msgs[done].msg_hdr) ? move(self, fd, &msgs[done].msg_hdr, flags, true)
                                            : -EMSGSIZE;
        if (rc >= 0)
            msgs[done++].msg_len = (unsigned)rc;
    }
    return (int)weft_call_leave(self, done > 0 ? (ssize_t)done : rc);
}

/* connect -------------------------------------------------------------------------------------- */

struct connecting {
    int fd, rc;
    struct sockaddr_storage to;
    socklen_t to_bytes;
};

/* Begins to connect, and waits for one tick at the most. */
static void connect_tick(void *arg)
{
    struct connecting *c = arg;
    const struct timeval tick = { .tv_usec = 1 };
    struct timeval kept = { 0 };
    socklen_t bytes = sizeof kept;
    if (getsockopt(c->fd, SOL_SOCKET, SO_SNDTIMEO, &kept, &bytes) < 0 ||
        next_setsockopt()(c->fd, SOL_SOCKET, SO_SNDTIMEO, &tick, sizeof tick) < 0) {
        c->rc = -errno;
        return;
    }
    c->rc = next_connect()(c->fd, (const struct sockaddr *)&c->to, c->to_bytes) < 0 ? -errno : 0;
    (void)next_setsockopt()(c->fd, SOL_SOCKET, SO_SNDTIMEO, &kept, sizeof kept);
}

static bool is_this_machine(const struct sockaddr_storage *to)
{
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
    switch (to->ss_family) {
    case AF_UNIX: return true;
    case AF_INET: memcpy(&in, to, sizeof in); return ntohl(in.sin_addr.s_addr) >> 24 == 127;
    case AF_INET6: memcpy(&in6, to, sizeof in6); return IN6_IS_ADDR_LOOPBACK(&in6.sin6_addr);
    default: return false;
    }
}

static __attribute__((noinline)) int connect_error(int fd)
{
    int error = 0;
    socklen_t bytes = sizeof error;
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &bytes) < 0 ? -errno : -error;
}

/* The listener had no room. `try_count`: how often that was so. */
static int connect_nap(const struct weft_ready *ready, unsigned try_count)
{
    int64_t nap_ns = CONNECT_NAP_NS_MIN << (try_count < 4 ? try_count : 4);
    int64_t until_ns =
        weft_call_deadline(nap_ns < CONNECT_NAP_NS_MAX ? nap_ns : CONNECT_NAP_NS_MAX);
    int rc = weft_sleep_until(until_ns < ready->deadline_ns ? until_ns : ready->deadline_ns);
    return rc == 0 && until_ns > ready->deadline_ns ? -EAGAIN : rc;
}

static int connect_parked(struct weft_task *self, struct weft_ready *ready, struct connecting *c)
{
    for (unsigned try_count = 0;; try_count++) {
        bool is_near = is_this_machine(&c->to) && try_count == 0;
        if (is_near || weft_call_pooled(self, "connect", connect_tick, c) < 0)
            connect_tick(c);
        if (c->rc != -EAGAIN || c->to.ss_family != AF_UNIX)
            break;
        int rc = connect_nap(ready, try_count);
        if (rc < 0)
            return rc;
    }
    if (c->rc != -EINPROGRESS && c->rc != -EALREADY && c->rc != -EAGAIN)
        return c->rc;
    int rc = weft_ready_wait(ready);
    if (rc == 0)
        return connect_error(c->fd);
    return rc == -EAGAIN ? -EINPROGRESS : rc; /* the caller's own time-out */
}

/* For a socket of messages on a network connecting is only a note. */
static bool may_wait(int fd, sa_family_t family)
{
    unsigned bits = weft_fd_look(fd);
    return weft_kind_is_socket(bits) && family != AF_UNSPEC &&
           (weft_kind(bits) == WEFT_KIND_STREAM || family == AF_UNIX);
}

int connect(int fd, const struct sockaddr *to, socklen_t to_bytes)
{
    bool is_usual =
        to && to_bytes >= sizeof to->sa_family && to_bytes <= sizeof(struct sockaddr_storage);
    struct weft_task *self = is_usual ? weft_call_enter() : NULL;
    if (!self)
        return next_connect()(fd, to, to_bytes);
    struct weft_ready ready = { .self = self, .fd = fd, .poll_events = POLLOUT };
    int rc = may_wait(fd, to->sa_family) ? weft_ready_ask(&ready) : -EAGAIN;
    struct connecting *c = rc == 0 ? calloc(1, sizeof *c) : NULL;
    if (!c) {
        rc = next_connect()(fd, to, to_bytes) < 0 ? -errno : 0;
        return (int)weft_call_leave(self, rc);
    }
    c->fd = fd;
    c->to_bytes = to_bytes;
    memcpy(&c->to, to, to_bytes);
    rc = connect_parked(self, &ready, c);
    free(c);
    return (int)weft_call_leave(self, rc);
}

/* accept --------------------------------------------------------------------------------------- */

static atomic_int plain_accept_count; /* plain threads that are inside accept() */

struct accepting {
    int fd, flags, rc;
    struct sockaddr_storage from;
    socklen_t from_bytes;
};

static void accept_run(void *arg)
{
    struct accepting *a = arg;
    a->from_bytes = sizeof a->from;
    int fd = next_accept4()(a->fd, (struct sockaddr *)&a->from, &a->from_bytes, a->flags);
    a->rc = fd < 0 ? -errno : fd;
}

/* One coroutine at a time: the holder is between two system calls that do not wait, or (seldom, see
 * the top) in one that does, and may be the next to run on this thread. 0, or -ECANCELED. */
static int accept_take(const struct accepting *a)
{
    for (unsigned round = 0; weft_fd_take(a->fd) == 0; round++) {
        int rc =
            round < TAKE_YIELDS ? weft_yield() : weft_sleep_until(weft_call_deadline(TAKE_NAP_NS));
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* When nobody else can take what is there, it does not wait. -EAGAIN: there is nothing. */
static int accept_try(struct weft_task *self, struct accepting *a)
{
    struct pollfd pollfd = { .fd = a->fd, .events = POLLIN };
    int rc = accept_take(a);
    if (rc < 0)
        return rc;
    a->rc = -EAGAIN;
    if (poll(&pollfd, 1, 0) != 0) {
        bool is_alone = (weft_fd_look(a->fd) & WEFT_FD_IS_OWN) != 0 && plain_accept_count == 0;
        if (is_alone || weft_call_pooled(self, "accept", accept_run, a) < 0)
            accept_run(a);
    }
    weft_fd_give(a->fd);
    return a->rc;
}

static int accept_parked(struct weft_task *self, struct accepting *a)
{
    struct weft_ready ready = { .self = self, .fd = a->fd, .poll_events = POLLIN };
    int rc = weft_ready_fair(self);
    if (rc == 0)
        rc = weft_ready_ask(&ready);
    if (rc == -EAGAIN) { /* its owner made it non-blocking */
        accept_run(a);
        return a->rc;
    }
    while (rc == 0) {
        rc = accept_try(self, a);
        if (rc != -EAGAIN)
            return rc;
        rc = weft_ready_wait(&ready);
        ready.vain_count = 0; /* to be late is usual here, and is no reason to sleep */
    }
    return rc;
}

/* What is known of a new connection. The time-outs of a listener are inherited. */
static void write_down(int listener, int fd, int flags)
{
    unsigned bits = weft_fd_look(listener);
    if (weft_kind(bits) != WEFT_KIND_STREAM && weft_kind(bits) != WEFT_KIND_MESSAGES)
        return;
    struct timeval in = { 0 }, out = { 0 };
    socklen_t in_bytes = sizeof in, out_bytes = sizeof out;
    bool has_timeout = (bits & WEFT_FD_HAS_TIMEOUT) != 0;
    if ((bits & WEFT_FD_IS_OWN) == 0) {
        (void)getsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &in, &in_bytes);
        (void)getsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &out, &out_bytes);
        has_timeout = in.tv_sec != 0 || in.tv_usec != 0 || out.tv_sec != 0 || out.tv_usec != 0;
    }
    weft_fd_write_down(fd, (bits & WEFT_FD_KIND) | WEFT_FD_IS_OWN |
                               (has_timeout ? WEFT_FD_HAS_TIMEOUT : 0) |
                               (flags & SOCK_NONBLOCK ? WEFT_FD_IS_NONBLOCK : 0));
}

static int accept_on(struct weft_task *self, int fd, struct sockaddr *from, socklen_t *from_bytes,
                     int flags)
{
    struct accepting *a = calloc(1, sizeof *a);
    if (!a)
        return (int)weft_call_leave(self, -ENOMEM);
    a->fd = fd;
    a->flags = flags;
    int rc = accept_parked(self, a);
    if (rc >= 0) {
        write_down(fd, rc, flags);
        if (from && from_bytes) {
            memcpy(from, &a->from, *from_bytes < a->from_bytes ? *from_bytes : a->from_bytes);
            *from_bytes = a->from_bytes;
        }
    }
    free(a);
    return (int)weft_call_leave(self, rc);
}

static int accept_plain(int fd, int listener, int flags)
{
    int kept_errno = errno;
    plain_accept_count--;
    if (fd >= 0)
        write_down(listener, fd, flags);
    errno = kept_errno;
    return fd;
}

int accept(int fd, struct sockaddr *from, socklen_t *from_bytes)
{
    struct weft_task *self = weft_call_enter();
    if (self)
        return accept_on(self, fd, from, from_bytes, 0);
    plain_accept_count++;
    return accept_plain(next_accept()(fd, from, from_bytes), fd, 0);
}

int accept4(int fd, struct sockaddr *from, socklen_t *from_bytes, int flags)
{
    struct weft_task *self = weft_call_enter();
    if (self)
        return accept_on(self, fd, from, from_bytes, flags);
    plain_accept_count++;
    return accept_plain(next_accept4()(fd, from, from_bytes, flags), fd, flags);
}

/* What tells of sockets ------------------------------------------------------------------------ */

static unsigned bits_of(int type)
{
    bool is_stream = (type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC)) == SOCK_STREAM;
    return (is_stream ? WEFT_KIND_STREAM : WEFT_KIND_MESSAGES) | WEFT_FD_IS_OWN |
           (type & SOCK_NONBLOCK ? WEFT_FD_IS_NONBLOCK : 0);
}

int socket(int family, int type, int protocol)
{
    int fd = next_socket()(family, type, protocol);
    if (fd >= 0)
        weft_fd_write_down(fd, bits_of(type));
    return fd;
}

int socketpair(int family, int type, int protocol, int fds[2])
{
    int rc = next_socketpair()(family, type, protocol, fds);
    for (int i = 0; i < 2 && rc == 0; i++)
        weft_fd_write_down(fds[i], bits_of(type));
    return rc;
}

int setsockopt(int fd, int level, int name, const void *value, socklen_t bytes)
{
    int rc = next_setsockopt()(fd, level, name, value, bytes);
    if (rc == 0 && level == SOL_SOCKET && (name == SO_RCVTIMEO || name == SO_SNDTIMEO))
        weft_fd_mark(fd, WEFT_FD_HAS_TIMEOUT);
    return rc;
}

/* What programs call that were compiled with _FORTIFY_SOURCE ----------------------------------- */

ssize_t __recv_chk(int fd, void *bytes, size_t count, size_t room, int flags);
ssize_t __recvfrom_chk(int fd, void *bytes, size_t count, size_t room, int flags,
                       struct sockaddr *from, socklen_t *from_bytes);

WEFT_NEXT(ssize_t, __recv_chk, int fd, void *bytes, size_t count, size_t room, int flags)
WEFT_NEXT(ssize_t, __recvfrom_chk, int fd, void *bytes, size_t count, size_t room, int flags,
          struct sockaddr *from, socklen_t *from_bytes)

ssize_t __recv_chk(int fd, void *bytes, size_t count, size_t room, int flags)
{
    return count <= room ? recv(fd, bytes, count, flags)
                         : next___recv_chk()(fd, bytes, count, room, flags);
}

ssize_t __recvfrom_chk(int fd, void *bytes, size_t count, size_t room, int flags,
                       struct sockaddr *from, socklen_t *from_bytes)
{
    return count <= room ? recvfrom(fd, bytes, count, flags, from, from_bytes)
                         : next___recvfrom_chk()(fd, bytes, count, room, flags, from, from_bytes);
}
