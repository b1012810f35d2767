/* SPDX-License-Identifier: MIT
 *
 * Each step tries without waiting, in the way that suits the kind of descriptor; only when there is
 * nothing to be had the coroutine parks. O_NONBLOCK is never touched: it belongs to whatever is
 * behind the descriptor, which other threads and processes share.
 */
#include "intercept_transfer.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "intercept.h"
#include "intercept_file.h"
#include "intercept_kind.h"
#include "intercept_ready.h"
#include "switch.h"
#include "test_run.h"
#include "tree.h"

WEFT_NEXT(ssize_t, recv, int fd, void *bytes, size_t count, int flags)
WEFT_NEXT(ssize_t, send, int fd, const void *bytes, size_t count, int flags)
WEFT_NEXT(ssize_t, recvmsg, int fd, struct msghdr *msg, int flags)
WEFT_NEXT(ssize_t, sendmsg, int fd, const struct msghdr *msg, int flags)

#define PROBE_EVERY 64
#define EAGER_COUNT 64

/* How far a transfer has come. */
struct progress {
    const struct weft_transfer *transfer;
    const struct iovec *parts; /* what is left */
    int part_count;
    size_t done, total;
    bool is_final;           /* the last try was the blocking call itself */
    struct iovec one, *copy; /* parts, once they had to be changed */
};

/* Whether libc's call would have gone on behind a first success. */
static bool goes_on(const struct progress *p, bool is_out)
{
    const struct weft_transfer *t = p->transfer;
    enum weft_fd_kind kind = weft_kind(weft_fd_look(t->fd));
    if (p->done >= p->total || p->is_final)
        return false;
    if (is_out)
        return kind == WEFT_KIND_STREAM || kind == WEFT_KIND_NOWAIT;
    if (kind == WEFT_KIND_FILE)
        return true; /* there was only a part of it in the page cache */
    return kind == WEFT_KIND_STREAM && (t->flags & MSG_WAITALL) != 0 && (t->flags & MSG_PEEK) == 0;
}

/* Leaves the next `count` bytes behind. -ENOMEM: it cannot be split. */
static int advance(struct progress *p, size_t count)
{
    p->done += count;
    if (p->done >= p->total)
        return 0;
    if (p->part_count > 1 && !p->copy) {
        p->copy = malloc((size_t)p->part_count * sizeof *p->copy);
        if (!p->copy)
            return -ENOMEM;
        memcpy(p->copy, p->parts, (size_t)p->part_count * sizeof *p->copy);
        p->parts = p->copy;
    } else if (p->part_count == 1) {
        p->one = p->parts[0];
        p->parts = &p->one;
    }
    struct iovec *part = p->part_count == 1 ? &p->one : p->copy + (p->parts - p->copy);
    while (count >= part->iov_len) {
        count -= part->iov_len;
        part++;
        p->part_count--;
    }
    part->iov_base = (char *)part->iov_base + count;
    part->iov_len -= count;
    p->parts = part;
    return 0;
}

/* The tries are never inlined: their caller may have parked since it last saw errno's address.
 *
 * libc's recv() and send() make themselves points of cancellation by two atomic operations, which
 * no thread of weft has a use for. */
static __attribute__((noinline)) ssize_t try_in(int fd, void *bytes, size_t count, int flags)
{
    ssize_t rc = WEFT_ASAN || WEFT_TSAN
                     ? next_recv()(fd, bytes, count, flags)
                     : syscall(SYS_recvfrom, fd, bytes, count, flags, NULL, NULL);
    return rc < 0 ? -errno : rc;
}

static __attribute__((noinline)) ssize_t try_out(int fd, const void *bytes, size_t count, int flags)
{
    ssize_t rc = WEFT_ASAN || WEFT_TSAN ? next_send()(fd, bytes, count, flags)
                                        : syscall(SYS_sendto, fd, bytes, count, flags, NULL, 0);
    return rc < 0 ? -errno : rc;
}

static __attribute__((noinline)) ssize_t try_socket(struct progress *p, bool is_out)
{
    const struct weft_transfer *t = p->transfer;
    int flags = (t->flags | MSG_DONTWAIT) & ~MSG_WAITALL;
    if (is_out && p->done > 0)
        flags |= MSG_NOSIGNAL; /* what was sent counts: the call will not fail any more */
    ssize_t rc;
    if (t->msg && p->done == 0) {
        rc = is_out ? next_sendmsg()(t->fd, t->msg, flags) : next_recvmsg()(t->fd, t->msg, flags);
    } else if (p->part_count == 1) {
        const struct iovec *part = p->parts;
        return is_out ? try_out(t->fd, part->iov_base, part->iov_len, flags)
                      : try_in(t->fd, part->iov_base, part->iov_len, flags);
    } else {
        struct msghdr msg = { .msg_iovlen = (size_t)p->part_count };
        memcpy(&msg.msg_iov, &p->parts, sizeof msg.msg_iov); /* const is cast away: only read */
        rc = is_out ? next_sendmsg()(t->fd, &msg, flags) : next_recvmsg()(t->fd, &msg, flags);
    }
    return rc < 0 ? -errno : rc;
}

static off_t offset_of(const struct progress *p)
{
    return p->transfer->has_offset ? p->transfer->offset + (off_t)p->done : -1;
}

/* Pipes and what is like them. */
static __attribute__((noinline)) ssize_t try_nowait(struct progress *p, bool is_out)
{
    const struct weft_transfer *t = p->transfer;
    ssize_t rc = weft_file_nowait(t->fd, p->parts, p->part_count, offset_of(p), is_out);
    if (rc == -EOPNOTSUPP || rc == -ENOSYS) {
        weft_fd_has_no_nowait(t->fd);
        return -EINPROGRESS;
    }
    return rc;
}

static ssize_t try_pooled(struct weft_task *self, struct progress *p, bool is_out)
{
    p->is_final = true;
    return weft_file_pooled(self, p->transfer->fd, p->parts, p->part_count, offset_of(p), is_out);
}

/* What is in the page cache needs no other thread. Writing may have to wait for the disk at any
 * time, and is to be one call. */
static ssize_t try_file(struct weft_task *self, struct progress *p, bool is_out)
{
    ssize_t rc = -EAGAIN;
    if (!is_out)
        rc = weft_file_nowait(p->transfer->fd, p->parts, p->part_count, offset_of(p), false);
    return rc >= 0 || rc == -EBADF ? rc : try_pooled(self, p, is_out);
}

/* Whether the call can be made at all: on the wrong end of a pipe one would wait for ever for what
 * fails at once. */
static __attribute__((noinline)) bool is_open_for(int fd, bool is_out)
{
    long mode = syscall(SYS_fcntl, fd, F_GETFL) & O_ACCMODE;
    return mode == O_RDWR || mode == (is_out ? O_WRONLY : O_RDONLY);
}

/* Terminals and the like, and pipes where the kernel knows no RWF_NOWAIT for them (Linux 6.1):
 * asked whether they are ready; then by another thread, for somebody may be faster, and then the
 * call waits. At an offset, which none of these has, it fails without waiting. */
static ssize_t try_other(struct weft_task *self, struct progress *p, struct weft_ready *ready,
                         bool is_out)
{
    struct pollfd pollfd = { .fd = p->transfer->fd, .events = ready->poll_events };
    if (!p->transfer->has_offset && weft_ready_ask(ready) == 0 && poll(&pollfd, 1, 0) == 0 &&
        is_open_for(pollfd.fd, is_out))
        return -EAGAIN;
    return try_pooled(self, p, is_out);
}

/* One try. -EAGAIN: it would have waited. -EINPROGRESS: the kind of descriptor is another. */
static ssize_t try_kind(struct weft_task *self, struct progress *p, struct weft_ready *ready,
                        bool is_out)
{
    unsigned bits = weft_fd_look(p->transfer->fd);
    if (weft_kind_is_socket(bits) || p->transfer->is_socket) {
        ssize_t rc = p->transfer->has_offset ? -ESPIPE : try_socket(p, is_out);
        if (rc != -ENOTSOCK || p->transfer->is_socket)
            return rc;
        bits = weft_fd_look_again(p->transfer->fd); /* the number was reused */
    }
    switch (weft_kind(bits)) {
    case WEFT_KIND_NOWAIT: return try_nowait(p, is_out);
    case WEFT_KIND_OTHER: return try_other(self, p, ready, is_out);
    case WEFT_KIND_UNKNOWN:
    case WEFT_KIND_STREAM:
    case WEFT_KIND_MESSAGES:
    case WEFT_KIND_FILE: break;
    }
    return try_file(self, p, is_out);
}

/* Until enough is done: 0, or why it does not go on. `first`: of a try that has been made, or
 * -EINPROGRESS. */
static ssize_t go_on(struct weft_task *self, struct progress *p, bool is_out, ssize_t first)
{
    struct weft_ready ready = {
        .self = self,
        .fd = p->transfer->fd,
        .poll_events = is_out ? POLLOUT : POLLIN,
    };
    for (ssize_t rc = first;; rc = try_kind(self, p, &ready, is_out)) {
        if (rc == -EINPROGRESS)
            continue;
        if (rc == -EAGAIN) {
            rc = weft_ready_wait(&ready);
            if (rc < 0)
                return rc;
            continue;
        }
        if (rc <= 0)
            return rc;
        ready.vain_count = 0;
        if (advance(p, (size_t)rc) < 0 || !goes_on(p, is_out))
            return 0;
    }
}

/* `first`: what the first try gave. */
static ssize_t run_steps(struct weft_task *self, const struct weft_transfer *transfer, bool is_out,
                         ssize_t first)
{
    struct progress p = {
        .transfer = transfer,
        .parts = transfer->iov,
        .part_count = transfer->iov_count,
    };
    for (int i = 0; i < transfer->iov_count; i++)
        p.total += transfer->iov[i].iov_len;
    ssize_t why = go_on(self, &p, is_out, first);
    free(p.copy);
    return p.done > 0 ? (ssize_t)p.done : why;
}

/* One piece and a socket, done at once: the usual case, in functions of their own that keep little
 * on the stack. What is on a stack has left the processor's cache when the coroutine goes on, and
 * each line of it costs as much as fifty instructions. ----------------------------------------- */

/* A stream that last gave less than was asked for has most probably nothing yet: then the coroutine
 * parks without a try, which saves one system call of four in a dialogue. To park looks whether
 * there is something, so nothing is missed. Now and then it is tried all the same, and if there was
 * something after all, a while longer. */
static bool is_empty(struct weft_task *self, int flags, unsigned bits)
{
    const unsigned known = WEFT_FD_IS_OWN | WEFT_FD_IS_DRAINED | WEFT_FD_IS_ARMED;
    const unsigned unlike = WEFT_FD_IS_NONBLOCK | WEFT_FD_HAS_TIMEOUT;
    if ((bits & (known | unlike | WEFT_FD_KIND)) != (known | WEFT_KIND_STREAM) || flags != 0)
        return false;
    if (self->eager_count > 0) {
        self->eager_count--;
        return false;
    }
    if (weft_task_is_cancelled(self) || weft_test_here())
        return false; /* a test run refuses to wait for what is real, but takes what is there */
    return ++self->drained_count % PROBE_EVERY != 0;
}

static void note_drained(int fd, unsigned bits, bool is_drained)
{
    bool was_drained = (bits & WEFT_FD_IS_DRAINED) != 0;
    if (is_drained && !was_drained)
        weft_fd_mark(fd, WEFT_FD_IS_DRAINED);
    else if (was_drained && !is_drained)
        weft_fd_unmark(fd, WEFT_FD_IS_DRAINED);
}

/* In all other cases. `first`: what the first try gave. */
static __attribute__((noinline)) ssize_t run_piece(struct weft_task *self, int fd,
                                                   struct iovec part, int flags, bool is_socket,
                                                   bool is_out, ssize_t first)
{
    const struct weft_transfer transfer = {
        .fd = fd,
        .iov = &part,
        .iov_count = 1,
        .flags = flags,
        .is_socket = is_socket,
    };
    return run_steps(self, &transfer, is_out,
                     first == -ENOTSOCK && !is_socket ? -EINPROGRESS : first);
}

ssize_t weft_transfer_read(struct weft_task *self, int fd, void *bytes, size_t count, int flags,
                           bool is_socket)
{
    ssize_t rc = weft_ready_fair(self);
    if (rc < 0)
        return rc;
    unsigned bits = weft_fd_look(fd);
    if (!weft_kind_is_socket(bits))
        return run_piece(self, fd, weft_part_of(bytes, count), flags, is_socket, false,
                         -EINPROGRESS);
    bool was_empty = is_empty(self, flags, bits);
    if (was_empty) {
        rc = weft_ready_more(self, fd);
        if (rc < 0 && rc != -EAGAIN)
            return rc;
    }
    if (rc >= 0)
        rc = try_in(fd, bytes, count, (flags | MSG_DONTWAIT) & ~MSG_WAITALL);
    if (!was_empty && rc > 0 && (bits & WEFT_FD_IS_DRAINED) != 0 && self->eager_count == 0)
        self->eager_count = EAGER_COUNT;
    bool is_enough = rc == 0 || (rc > 0 && ((flags & MSG_WAITALL) == 0 || (size_t)rc == count));
    if (!is_enough)
        rc = run_piece(self, fd, weft_part_of(bytes, count), flags, is_socket, false, rc);
    if (rc > 0 && weft_kind(bits) == WEFT_KIND_STREAM)
        note_drained(fd, bits, (size_t)rc < count);
    return rc;
}

ssize_t weft_transfer_write(struct weft_task *self, int fd, const void *bytes, size_t count,
                            int flags, bool is_socket)
{
    ssize_t rc = weft_ready_fair(self);
    if (rc < 0)
        return rc;
    rc = -EINPROGRESS;
    if (weft_kind_is_socket(weft_fd_look(fd)))
        rc = try_out(fd, bytes, count, (flags | MSG_DONTWAIT) & ~MSG_WAITALL);
    if (rc >= 0 && (size_t)rc == count)
        return rc;
    return run_piece(self, fd, weft_part_of(bytes, count), flags, is_socket, true, rc);
}

/* --------------------------------------------------------------------------------------------- */

ssize_t weft_transfer_in(struct weft_task *self, const struct weft_transfer *t)
{
    const struct iovec *part = t->iov;
    if (t->iov_count == 1 && !t->msg && !t->has_offset)
        return weft_transfer_read(self, t->fd, part->iov_base, part->iov_len, t->flags,
                                  t->is_socket);
    int rc = weft_ready_fair(self);
    return rc < 0 ? rc : run_steps(self, t, false, -EINPROGRESS);
}

ssize_t weft_transfer_out(struct weft_task *self, const struct weft_transfer *t)
{
    const struct iovec *part = t->iov;
    if (t->iov_count == 1 && !t->msg && !t->has_offset)
        return weft_transfer_write(self, t->fd, part->iov_base, part->iov_len, t->flags,
                                   t->is_socket);
    int rc = weft_ready_fair(self);
    return rc < 0 ? rc : run_steps(self, t, true, -EINPROGRESS);
}
