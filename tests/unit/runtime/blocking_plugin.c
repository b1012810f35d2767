/* SPDX-License-Identifier: MIT
 *
 * Blocking C as others write it: a shared object that knows nothing of weft, loaded at run time.
 */
#include <poll.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

int blocking_ask(int fd, char *answer, size_t answer_bytes);

/* Sends a line, waits for the answer, and has a rest. */
int blocking_ask(int fd, char *answer, size_t answer_bytes)
{
    struct pollfd pollfd = { .fd = fd, .events = POLLIN };
    if (write(fd, "ask\n", 4) != 4 || poll(&pollfd, 1, -1) != 1)
        return -1;
    memset(answer, 0, answer_bytes);
    if (read(fd, answer, answer_bytes - 1) < 0)
        return -2;
    /* sleeps: as others do */
    return usleep(1000);
}
