/* SPDX-License-Identifier: MIT
 *
 * Waiting in tests. The one place that lets time pass between two looks.
 */
#include "support/await.h"

#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>

#include "base/assert.h"
#include "base/cleanup.h"
#include "base/clock.h"

bool await(bool (*is_true)(void *arg), void *arg, int64_t timeout_ms)
{
    int64_t deadline_ms = berth_clock_monotonic_ms() + timeout_ms;
    while (!is_true(arg)) {
        if (berth_clock_monotonic_ms() >= deadline_ms)
            return is_true(arg);
        (void)poll(NULL, 0, 1);
    }
    return true;
}

bool await_readable(int fd, int64_t timeout_ms)
{
    int64_t deadline_ms = berth_clock_monotonic_ms() + timeout_ms;
    for (;;) {
        int64_t left_ms = deadline_ms - berth_clock_monotonic_ms();
        struct pollfd wanted = { .fd = fd, .events = POLLIN };
        int rc = poll(&wanted, 1, left_ms > 0 ? (int)left_ms : 0);
        if (rc > 0)
            return true;
        if (rc == 0)
            return false;
        BERTH_ASSERT(errno == EINTR);
    }
}

uint16_t free_port(void)
{
    BERTH_AUTO_FD int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    BERTH_ASSERT(fd >= 0);
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t bytes = sizeof address;
    int rc = bind(fd, (struct sockaddr *)&address, bytes);
    BERTH_ASSERT(rc == 0);
    rc = getsockname(fd, (struct sockaddr *)&address, &bytes);
    BERTH_ASSERT(rc == 0);
    return ntohs(address.sin_port);
}
