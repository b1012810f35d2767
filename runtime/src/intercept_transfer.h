/* SPDX-License-Identifier: MIT
 *
 * Moving bytes between a descriptor and memory: what read, write, recv, send and their kin share.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

struct weft_task;

/* One call. `iov` and `msg` are the caller's. A socket call has msg (or only iov) and flags; the
 * others have msg NULL and flags 0. */
struct weft_transfer {
    int fd;
    const struct iovec *iov;
    int iov_count;
    struct msghdr *msg;
    int flags;       /* MSG_... */
    bool is_socket;  /* recv or send, not read or write: on anything else it is ENOTSOCK */
    bool has_offset; /* pread, pwrite */
    off_t offset;
};

/* Bytes that are only read, as a part of a vector, whose type cannot say so. */
static inline struct iovec weft_part_of(const void *bytes, size_t count)
{
    struct iovec part = { .iov_len = count };
    memcpy(&part.iov_base, &bytes, sizeof part.iov_base);
    return part;
}

/* Do it as libc's blocking call would, but park. Bytes, or -errno. For calls that may wait: no
 * MSG_DONTWAIT, at most IOV_MAX parts, some bytes in all (a call of 0 bytes is passed through). */
ssize_t weft_transfer_in(struct weft_task *self, const struct weft_transfer *transfer);
ssize_t weft_transfer_out(struct weft_task *self, const struct weft_transfer *transfer);

/* The same of one piece: read, write, recv, send. */
ssize_t weft_transfer_read(struct weft_task *self, int fd, void *bytes, size_t count, int flags,
                           bool is_socket);
ssize_t weft_transfer_write(struct weft_task *self, int fd, const void *bytes, size_t count,
                            int flags, bool is_socket);
