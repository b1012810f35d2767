/* SPDX-License-Identifier: MIT
 *
 * Descriptors, on any dispatcher. weft never touches O_NONBLOCK: wait here, then use calls that do
 * not block (MSG_DONTWAIT), or a descriptor that its owner made non-blocking.
 */
#pragma once

#include <weft/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Waits until one of `poll_events` (POLLIN, POLLOUT, POLLPRI, POLLRDHUP) is there. Returns the
 * ready bits, POLLERR and POLLHUP among them; -ETIMEDOUT; -EBADF: no such descriptor, or closed by
 * weft_fd_close() meanwhile; or what epoll_ctl(2) gave (-ENOMEM, -ENOSPC). A file that cannot be
 * polled is always ready. Several coroutines may wait on one descriptor. */
int weft_fd_wait(int fd, short poll_events, int64_t deadline_ns);

/* Wakes all who wait on it with -EBADF, then close(fd): 0 or -errno. A plain close(2) must not be
 * used while somebody waits. */
int weft_fd_close(int fd);

#ifdef __cplusplus
}
#endif
