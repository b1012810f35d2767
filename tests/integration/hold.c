/* SPDX-License-Identifier: MIT
 *
 * hold SOCKET: what jobs of the integration tests run. Tells the gauge (gauge.h) which job it is,
 * stays connected, and ends as the gauge says, "MILLISECONDS STATUS". Alive and connected are one.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/text.h"

#define EXIT_BROKEN 70

/* Until it is told, or the gauge hangs up. */
static int await_command(int fd, int *ret_after_ms)
{
    char line[64] = { 0 };
    ssize_t bytes = recv(fd, line, sizeof line - 1, 0);
    if (bytes <= 0)
        return EXIT_BROKEN;
    char *end;
    *ret_after_ms = (int)strtol(line, &end, 10);
    return (int)strtol(end, NULL, 10);
}

int main(int argc, char **argv)
{
    const char *job = getenv("BERTH_JOB");
    if (argc != 2 || !job)
        return EXIT_BROKEN;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s", argv[1]);
    if (connect(fd, (const struct sockaddr *)&address, sizeof address) < 0)
        return EXIT_BROKEN;
    char line[64];
    int bytes = snprintf(line, sizeof line, "%s\n", job);
    if (send(fd, line, (size_t)bytes, MSG_NOSIGNAL) != bytes)
        return EXIT_BROKEN;

    int after_ms = 0, status = await_command(fd, &after_ms);
    struct pollfd item = { .fd = fd, .events = 0 };
    if (after_ms > 0)
        (void)poll(&item, 1, after_ms);
    return status;
}
