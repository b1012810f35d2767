/* SPDX-License-Identifier: MIT */
#include "intercept_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include <weft/task.h>

#include "intercept.h"
#include "switch.h"

#define LOCK_NAP_NS_MIN 1000000
#define LOCK_NAP_NS_MAX 16000000

WEFT_NEXT(ssize_t, readv, int fd, const struct iovec *parts, int part_count)
WEFT_NEXT(ssize_t, writev, int fd, const struct iovec *parts, int part_count)
WEFT_NEXT(ssize_t, preadv, int fd, const struct iovec *parts, int part_count, off_t offset)
WEFT_NEXT(ssize_t, pwritev, int fd, const struct iovec *parts, int part_count, off_t offset)
WEFT_NEXT(int, fsync, int fd)
WEFT_NEXT(int, fdatasync, int fd)
WEFT_NEXT(int, flock, int fd, int operation)
WEFT_NEXT(int, fcntl, int fd, int command, ...)

const char weft_wrappers_file;

static size_t bytes_of(const struct iovec *parts, int part_count)
{
    size_t bytes = 0;
    for (int i = 0; i < part_count; i++)
        bytes += parts[i].iov_len;
    return bytes;
}

/* Sanitizers know nothing of preadv2(). So that they see which bytes of the caller's are touched,
 * these are copied by our own code, which is instrumented; and a call of no bytes tells them that
 * what happened before the write happened before the read. */
static void copy(const struct iovec *parts, int part_count, char *flat, size_t bytes, bool is_out)
{
    for (int i = 0; i < part_count && bytes > 0; i++) {
        size_t some = parts[i].iov_len < bytes ? parts[i].iov_len : bytes;
        if (is_out)
            memcpy(flat, parts[i].iov_base, some);
        else
            memcpy(parts[i].iov_base, flat, some);
        flat += some;
        bytes -= some;
    }
}

static ssize_t nowait(int fd, const struct iovec *parts, int part_count, off_t offset, bool is_out)
{
    ssize_t rc = is_out ? pwritev2(fd, parts, part_count, offset, RWF_NOWAIT)
                        : preadv2(fd, parts, part_count, offset, RWF_NOWAIT);
    return rc < 0 ? -errno : rc;
}

static ssize_t nowait_seen(int fd, const struct iovec *parts, int part_count, off_t offset,
                           bool is_out)
{
    size_t bytes = bytes_of(parts, part_count);
    struct iovec flat = { .iov_base = malloc(bytes > 0 ? bytes : 1), .iov_len = bytes };
    const struct iovec nothing = { .iov_base = &flat, .iov_len = 0 };
    if (!flat.iov_base)
        return -ENOMEM;
    if (is_out) {
        copy(parts, part_count, flat.iov_base, bytes, true);
        (void)next_writev()(fd, &nothing, 1);
    }
    ssize_t rc = nowait(fd, &flat, 1, offset, is_out);
    if (!is_out && rc >= 0) {
        (void)next_readv()(fd, &nothing, 1);
        copy(parts, part_count, flat.iov_base, (size_t)rc, false);
    }
    free(flat.iov_base);
    return rc;
}

ssize_t weft_file_nowait(int fd, const struct iovec *parts, int part_count, off_t offset,
                         bool is_out)
{
    if (WEFT_ASAN || WEFT_TSAN)
        return nowait_seen(fd, parts, part_count, offset, is_out);
    return nowait(fd, parts, part_count, offset, is_out);
}

/* A transfer for another thread: all of it on the heap, but for memory of the caller's that is not
 * on its stack. */
struct job {
    int fd;
    bool is_out;
    off_t offset;
    ssize_t rc;
    int part_count;
    struct iovec parts[]; /* behind them the bounce buffer */
};

static void job_run(void *arg)
{
    struct job *job = arg;
    ssize_t rc;
    if (job->offset >= 0)
        rc = job->is_out ? next_pwritev()(job->fd, job->parts, job->part_count, job->offset)
                         : next_preadv()(job->fd, job->parts, job->part_count, job->offset);
    else
        rc = job->is_out ? next_writev()(job->fd, job->parts, job->part_count)
                         : next_readv()(job->fd, job->parts, job->part_count);
    job->rc = rc < 0 ? -errno : rc;
}

/* Parts that lie on the coroutine's stack are bounced. They are as small as it is. */
static struct job *job_new(const struct weft_task *self, const struct iovec *parts, int part_count,
                           bool is_out)
{
    size_t bounce_bytes = 0;
    for (int i = 0; i < part_count; i++) {
        if (weft_call_is_on_stack(self, parts[i].iov_base, parts[i].iov_len))
            bounce_bytes += parts[i].iov_len;
    }
    size_t parts_bytes = (size_t)part_count * sizeof parts[0];
    struct job *job = malloc(sizeof *job + parts_bytes + bounce_bytes);
    if (!job)
        return NULL;
    *job = (struct job){ .part_count = part_count, .is_out = is_out };
    char *bounce = (char *)job->parts + parts_bytes;
    for (int i = 0; i < part_count; i++) {
        job->parts[i] = parts[i];
        if (!weft_call_is_on_stack(self, parts[i].iov_base, parts[i].iov_len))
            continue;
        job->parts[i].iov_base = bounce;
        if (is_out)
            memcpy(bounce, parts[i].iov_base, parts[i].iov_len);
        bounce += parts[i].iov_len;
    }
    return job;
}

static void job_take(const struct job *job, const struct iovec *parts)
{
    size_t left = job->rc > 0 ? (size_t)job->rc : 0;
    for (int i = 0; i < job->part_count && left > 0; i++) {
        size_t some = parts[i].iov_len < left ? parts[i].iov_len : left;
        if (job->parts[i].iov_base != parts[i].iov_base)
            memcpy(parts[i].iov_base, job->parts[i].iov_base, some);
        left -= some;
    }
}

ssize_t weft_file_pooled(struct weft_task *self, int fd, const struct iovec *parts, int part_count,
                         off_t offset, bool is_out)
{
    struct job *job = job_new(self, parts, part_count, is_out);
    if (!job)
        return -ENOMEM;
    job->fd = fd;
    job->offset = offset;
    if (weft_call_pooled(self, "file", job_run, job) < 0)
        job_run(job); /* then it blocks here */
    if (!is_out)
        job_take(job, parts);
    ssize_t rc = job->rc;
    free(job);
    return rc;
}

/* Calls of one descriptor and one number. */
struct simple {
    int (*fn)(struct simple *simple);
    int fd, operation, rc;
    struct flock lock; /* of F_SETLKW */
};

static __attribute__((noinline)) void simple_run(void *arg)
{
    struct simple *simple = arg;
    simple->rc = simple->fn(simple) < 0 ? -errno : 0;
}

static int simple_pooled(struct weft_task *self, const struct simple *like)
{
    struct simple *simple = malloc(sizeof *simple);
    if (!simple)
        return (int)weft_call_leave(self, -ENOMEM);
    *simple = *like;
    if (weft_call_pooled(self, "file", simple_run, simple) < 0)
        simple_run(simple);
    int rc = simple->rc;
    free(simple);
    return (int)weft_call_leave(self, rc);
}

static int run_fsync(struct simple *simple)
{
    return next_fsync()(simple->fd);
}

static int run_fdatasync(struct simple *simple)
{
    return next_fdatasync()(simple->fd);
}

int fsync(int fd)
{
    struct weft_task *self = weft_call_enter();
    return self ? simple_pooled(self, &(struct simple){ .fn = run_fsync, .fd = fd, .operation = 0 })
                : next_fsync()(fd);
}

int fdatasync(int fd)
{
    struct weft_task *self = weft_call_enter();
    return self ? simple_pooled(self,
                                &(struct simple){ .fn = run_fdatasync, .fd = fd, .operation = 0 })
                : next_fdatasync()(fd);
}

/* Locks. To wait for one on a thread of weft_io() could take all of them away from the holder, who
 * may need one to go on. So the call that does not wait is tried again, at growing distances; what
 * gets lost is the order of arrival, and that the kernel notices a deadlock (EDEADLK). */
static int lock_by_trying(struct weft_task *self, int (*fn)(struct simple *simple),
                          struct simple simple)
{
    int64_t nap_ns = LOCK_NAP_NS_MIN;
    for (;;) {
        simple.fn = fn;
        simple_run(&simple);
        if (simple.rc != -EAGAIN && simple.rc != -EACCES)
            return (int)weft_call_leave(self, simple.rc);
        int rc = weft_sleep_until(weft_call_deadline(nap_ns));
        if (rc < 0)
            return (int)weft_call_leave(self, rc);
        nap_ns = nap_ns < LOCK_NAP_NS_MAX ? 2 * nap_ns : nap_ns;
    }
}

static int run_flock(struct simple *simple)
{
    return next_flock()(simple->fd, simple->operation);
}

int flock(int fd, int operation)
{
    bool may_wait = (operation & LOCK_NB) == 0 && operation != LOCK_UN;
    struct weft_task *self = may_wait ? weft_call_enter() : NULL;
    if (!self)
        return next_flock()(fd, operation);
    return lock_by_trying(self, run_flock,
                          (struct simple){ .fd = fd, .operation = operation | LOCK_NB });
}

static int run_lock(struct simple *simple)
{
    struct flock lock = simple->lock;
    return next_fcntl()(simple->fd, simple->operation, &lock);
}

int weft_file_lock(struct weft_task *self, int fd, int command, const struct flock *lock)
{
    return lock_by_trying(self, run_lock,
                          (struct simple){
                              .fd = fd,
                              .operation = command == F_SETLKW ? F_SETLK : F_OFD_SETLK,
                              .lock = *lock,
                          });
}
