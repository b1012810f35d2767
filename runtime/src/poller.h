/* SPDX-License-Identifier: MIT
 *
 * The poller: one thread parked in epoll, which serves the timers and the descriptors.
 */
#pragma once

/* Starts and ends the thread. open: 0 or -errno. close: nobody may be waiting any more. */
int weft_poll_open(void);
void weft_poll_close(void);

/* Makes the poller look at the timers again. Any thread, between open and close. */
void weft_poll_wake(void);

/* Wakes all who wait on a descriptor with -EBADF: it is about to be closed. Any thread. */
void weft_fd_forget(int fd);
