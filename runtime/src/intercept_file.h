/* SPDX-License-Identifier: MIT
 *
 * What cannot be awaited, disk files above all: from the page cache if it is there, else on a
 * thread of weft_io().
 */
#pragma once

#include <fcntl.h>
#include <stdbool.h>
#include <sys/types.h>
#include <sys/uio.h>

struct weft_task;

/* preadv2 or pwritev2 with RWF_NOWAIT; offset -1: at the file's own position. Bytes, or -errno:
 * -EAGAIN would wait, -EOPNOTSUPP cannot be asked. A sanitizer sees the memory and the order. */
ssize_t weft_file_nowait(int fd, const struct iovec *parts, int part_count, off_t offset,
                         bool is_out);

/* The blocking call, away from the coroutine's thread; deaf to cancelling. Bytes, or -errno. */
ssize_t weft_file_pooled(struct weft_task *self, int fd, const struct iovec *parts, int part_count,
                         off_t offset, bool is_out);

/* fcntl(fd, F_SETLKW or F_OFD_SETLKW, lock), parked, and the end of the call. */
int weft_file_lock(struct weft_task *self, int fd, int command, const struct flock *lock);
