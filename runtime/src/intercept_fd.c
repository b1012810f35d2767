/* SPDX-License-Identifier: MIT
 *
 * read, write and their kin, and what a descriptor's birth and death tell (intercept_kind.h).
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include "intercept.h"
#include "intercept_file.h"
#include "intercept_kind.h"
#include "intercept_transfer.h"
#include "poller.h"

WEFT_NEXT(ssize_t, read, int fd, void *bytes, size_t count)
WEFT_NEXT(ssize_t, write, int fd, const void *bytes, size_t count)
WEFT_NEXT(ssize_t, readv, int fd, const struct iovec *parts, int part_count)
WEFT_NEXT(ssize_t, writev, int fd, const struct iovec *parts, int part_count)
WEFT_NEXT(ssize_t, pread, int fd, void *bytes, size_t count, off_t offset)
WEFT_NEXT(ssize_t, pwrite, int fd, const void *bytes, size_t count, off_t offset)
WEFT_NEXT(ssize_t, preadv, int fd, const struct iovec *parts, int part_count, off_t offset)
WEFT_NEXT(ssize_t, pwritev, int fd, const struct iovec *parts, int part_count, off_t offset)
WEFT_NEXT(int, close, int fd)
WEFT_NEXT(int, close_range, unsigned first, unsigned last, int flags)
WEFT_NEXT(int, dup, int fd)
WEFT_NEXT(int, dup2, int fd, int new_fd)
WEFT_NEXT(int, dup3, int fd, int new_fd, int flags)
WEFT_NEXT(int, pipe, int fds[2])
WEFT_NEXT(int, pipe2, int fds[2], int flags)
WEFT_NEXT(int, fcntl, int fd, int command, ...)
WEFT_NEXT(int, ioctl, int fd, unsigned long request, ...)
WEFT_NEXT(int, fclose, FILE *file)

const char weft_wrappers_fd;

static bool may_wait(const struct iovec *parts, int part_count)
{
    if (part_count <= 0 || part_count > IOV_MAX)
        return false;
    for (int i = 0; i < part_count; i++) {
        if (parts[i].iov_len > 0)
            return true;
    }
    return false;
}

static ssize_t move(struct weft_task *self, const struct weft_transfer *transfer, bool is_out)
{
    return weft_call_leave(self, is_out ? weft_transfer_out(self, transfer)
                                        : weft_transfer_in(self, transfer));
}

ssize_t read(int fd, void *bytes, size_t count)
{
    struct weft_task *self = count > 0 ? weft_call_enter() : NULL;
    if (!self)
        return next_read()(fd, bytes, count);
    return weft_call_leave(self, weft_transfer_read(self, fd, bytes, count, 0, false));
}

ssize_t write(int fd, const void *bytes, size_t count)
{
    struct weft_task *self = count > 0 ? weft_call_enter() : NULL;
    if (!self)
        return next_write()(fd, bytes, count);
    return weft_call_leave(self, weft_transfer_write(self, fd, bytes, count, 0, false));
}

ssize_t readv(int fd, const struct iovec *parts, int part_count)
{
    struct weft_task *self = may_wait(parts, part_count) ? weft_call_enter() : NULL;
    if (!self)
        return next_readv()(fd, parts, part_count);
    return move(self, &(struct weft_transfer){ .fd = fd, .iov = parts, .iov_count = part_count },
                false);
}

ssize_t writev(int fd, const struct iovec *parts, int part_count)
{
    struct weft_task *self = may_wait(parts, part_count) ? weft_call_enter() : NULL;
    if (!self)
        return next_writev()(fd, parts, part_count);
    return move(self, &(struct weft_transfer){ .fd = fd, .iov = parts, .iov_count = part_count },
                true);
}

static ssize_t move_at(struct weft_task *self, int fd, const struct iovec *parts, int part_count,
                       off_t offset, bool is_out)
{
    const struct weft_transfer transfer = {
        .fd = fd,
        .iov = parts,
        .iov_count = part_count,
        .has_offset = true,
        .offset = offset,
    };
    return move(self, &transfer, is_out);
}

ssize_t pread(int fd, void *bytes, size_t count, off_t offset)
{
    struct weft_task *self = count > 0 && offset >= 0 ? weft_call_enter() : NULL;
    if (!self)
        return next_pread()(fd, bytes, count, offset);
    const struct iovec part = { .iov_base = bytes, .iov_len = count };
    return move_at(self, fd, &part, 1, offset, false);
}

ssize_t pwrite(int fd, const void *bytes, size_t count, off_t offset)
{
    struct weft_task *self = count > 0 && offset >= 0 ? weft_call_enter() : NULL;
    if (!self)
        return next_pwrite()(fd, bytes, count, offset);
    const struct iovec part = weft_part_of(bytes, count);
    return move_at(self, fd, &part, 1, offset, true);
}

ssize_t preadv(int fd, const struct iovec *parts, int part_count, off_t offset)
{
    struct weft_task *self = offset >= 0 && may_wait(parts, part_count) ? weft_call_enter() : NULL;
    if (!self)
        return next_preadv()(fd, parts, part_count, offset);
    return move_at(self, fd, parts, part_count, offset, false);
}

ssize_t pwritev(int fd, const struct iovec *parts, int part_count, off_t offset)
{
    struct weft_task *self = offset >= 0 && may_wait(parts, part_count) ? weft_call_enter() : NULL;
    if (!self)
        return next_pwritev()(fd, parts, part_count, offset);
    return move_at(self, fd, parts, part_count, offset, true);
}

/* What programs call that were compiled for large files, or with _FORTIFY_SOURCE. ------------- */

#define SAME_AS(name) __attribute__((alias(#name)))
_Static_assert(sizeof(off_t) == sizeof(off64_t), "the 64-bit names take what the others take");

ssize_t pread64(int fd, void *bytes, size_t count, off64_t offset) SAME_AS(pread);
ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t offset) SAME_AS(pwrite);
ssize_t preadv64(int fd, const struct iovec *parts, int part_count, off64_t offset) SAME_AS(preadv);
ssize_t pwritev64(int fd, const struct iovec *parts, int part_count, off64_t offset)
    SAME_AS(pwritev);

ssize_t __read_chk(int fd, void *bytes, size_t count, size_t room);
ssize_t __pread_chk(int fd, void *bytes, size_t count, off_t offset, size_t room);
ssize_t __pread64_chk(int fd, void *bytes, size_t count, off64_t offset, size_t room)
    SAME_AS(__pread_chk);

WEFT_NEXT(ssize_t, __read_chk, int fd, void *bytes, size_t count, size_t room)
WEFT_NEXT(ssize_t, __pread_chk, int fd, void *bytes, size_t count, off_t offset, size_t room)

/* Too many for the buffer: libc ends the program. */
ssize_t __read_chk(int fd, void *bytes, size_t count, size_t room)
{
    return count <= room ? read(fd, bytes, count) : next___read_chk()(fd, bytes, count, room);
}

ssize_t __pread_chk(int fd, void *bytes, size_t count, off_t offset, size_t room)
{
    return count <= room ? pread(fd, bytes, count, offset)
                         : next___pread_chk()(fd, bytes, count, offset, room);
}

/* Birth and death ----------------------------------------------------------------------------- */

/* Wakes who is parked on the number, and forgets what is known of it. */
static void end(int fd)
{
    if (!weft_fd_is_known(fd))
        return;
    int kept_errno = errno;
    bool is_awaited = weft_fd_was_awaited(fd);
    if (!is_awaited || weft_fd_is_this_process()) {
        if (is_awaited)
            weft_fd_forget(fd);
        weft_fd_write_down(fd, 0); /* a guess that is lost costs little */
    }
    errno = kept_errno;
}

int close(int fd)
{
    end(fd);
    return next_close()(fd);
}

int close_range(unsigned first, unsigned last, int flags)
{
    int end_fd = weft_fd_number_max();
    bool are_closed = (flags & (int)CLOSE_RANGE_CLOEXEC) == 0;
    for (unsigned fd = first; are_closed && fd <= last && fd <= (unsigned)end_fd; fd++)
        end((int)fd);
    return next_close_range()(first, last, flags);
}

int fclose(FILE *file)
{
    int fd = file ? fileno_unlocked(file) : -1;
    if (fd >= 0)
        end(fd); /* not afterwards: then the number may be somebody else's */
    return next_fclose()(file);
}

/* Two numbers for one: neither knows what happens by way of the other. */
static int duplicated(int fd, int new_fd)
{
    if (new_fd < 0 || new_fd == fd)
        return new_fd;
    int kept_errno = errno;
    weft_fd_share(fd);
    weft_fd_write_down(new_fd, 0);
    errno = kept_errno;
    return new_fd;
}

int dup(int fd)
{
    return duplicated(fd, next_dup()(fd));
}

int dup2(int fd, int new_fd)
{
    if (fd != new_fd && fcntl(fd, F_GETFD) >= 0)
        end(new_fd);
    return duplicated(fd, next_dup2()(fd, new_fd));
}

int dup3(int fd, int new_fd, int flags)
{
    if (fd != new_fd && fcntl(fd, F_GETFD) >= 0)
        end(new_fd);
    return duplicated(fd, next_dup3()(fd, new_fd, flags));
}

static int piped(const int *fds, int flags, int rc)
{
    unsigned nonblock = flags & O_NONBLOCK ? WEFT_FD_IS_NONBLOCK : 0;
    for (int i = 0; i < 2 && rc == 0; i++)
        weft_fd_write_down(fds[i], WEFT_KIND_NOWAIT | WEFT_FD_IS_OWN | nonblock);
    return rc;
}

int pipe(int fds[2])
{
    return piped(fds, 0, next_pipe()(fds));
}

int pipe2(int fds[2], int flags)
{
    return piped(fds, flags, next_pipe2()(fds, flags));
}

/* One that is shared is asked each time anyhow. */
static void set_nonblock(int fd, bool is_nonblock)
{
    if (is_nonblock)
        weft_fd_mark(fd, WEFT_FD_IS_NONBLOCK);
    else
        weft_fd_unmark(fd, WEFT_FD_IS_NONBLOCK);
}

int fcntl(int fd, int command, ...)
{
    va_list args;
    va_start(args, command);
    void *arg = va_arg(args, void *); /* as libc does it: whatever it is, it is one register */
    va_end(args);
    bool may_wait_for_lock = (command == F_SETLKW || command == F_OFD_SETLKW) && arg;
    struct weft_task *self = may_wait_for_lock ? weft_call_enter() : NULL;
    if (self)
        return weft_file_lock(self, fd, command, arg);
    int rc = next_fcntl()(fd, command, arg);
    if (rc < 0)
        return rc;
    if (command == F_SETFL)
        set_nonblock(fd, ((intptr_t)arg & O_NONBLOCK) != 0);
    else if (command == F_DUPFD || command == F_DUPFD_CLOEXEC)
        (void)duplicated(fd, rc);
    return rc;
}

int fcntl64(int fd, int command, ...) SAME_AS(fcntl);

int ioctl(int fd, unsigned long request, ...)
{
    va_list args;
    va_start(args, request);
    void *arg = va_arg(args, void *);
    va_end(args);
    int rc = next_ioctl()(fd, request, arg);
    if (rc == 0 && request == FIONBIO)
        set_nonblock(fd, *(const int *)arg != 0);
    return rc;
}
