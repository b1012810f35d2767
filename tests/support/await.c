/* SPDX-License-Identifier: MIT
 *
 * Waiting in tests. The one place that lets time pass between two looks.
 */
#include "support/await.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/cleanup.h"
#include "base/clock.h"

#define PORT_MIN 10000 /* below it live services */

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

/* The first port that the kernel gives to connections; 0 if it does not say. */
static unsigned first_passing_port(void)
{
    char text[32] = "";
    BERTH_AUTO_FD int fd = open("/proc/sys/net/ipv4/ip_local_port_range", O_RDONLY | O_CLOEXEC);
    if (fd < 0 || read(fd, text, sizeof text - 1) <= 0)
        return 0;
    return (unsigned)strtoul(text, NULL, 10);
}

/* No other program that asks here gets it, as long as this one lives: the name is held until then.
 */
static bool is_reserved(unsigned port)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int bytes = snprintf(address.sun_path + 1, sizeof address.sun_path - 1, "berth-test-%u", port);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    BERTH_ASSERT(fd >= 0);
    socklen_t address_bytes = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1);
    address_bytes += (socklen_t)bytes;
    if (bind(fd, (struct sockaddr *)&address, address_bytes) == 0)
        return true;
    berth_close(fd);
    return false;
}

/* Binds it, or any that is free if it is 0, and lets it go again: the port, or 0. */
static unsigned bind_once(unsigned port)
{
    BERTH_AUTO_FD int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    BERTH_ASSERT(fd >= 0);
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_port = htons((uint16_t)port),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t bytes = sizeof address;
    if (bind(fd, (struct sockaddr *)&address, bytes) < 0)
        return 0;
    int rc = getsockname(fd, (struct sockaddr *)&address, &bytes);
    BERTH_ASSERT(rc == 0);
    return ntohs(address.sin_port);
}

uint16_t free_port(void)
{
    static unsigned tried_count;
    unsigned end = first_passing_port();
    unsigned count = end > PORT_MIN ? end - PORT_MIN : 0;
    for (unsigned i = 0; i < count; i++) {
        unsigned port = PORT_MIN + ((unsigned)getpid() * 7 + tried_count++) % count;
        if (is_reserved(port) && bind_once(port) == port)
            return (uint16_t)port;
    }
    unsigned port = bind_once(0);
    BERTH_ASSERT(port != 0);
    return (uint16_t)port;
}
