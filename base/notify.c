/* SPDX-License-Identifier: MIT */
#include "base/notify.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/text.h"

#define US_PER_MS 1000

/* "@name" is a name of the abstract kind, whose first byte is a NUL. */
static int address_of(const char *path, struct sockaddr_un *ret_address, socklen_t *ret_bytes)
{
    size_t bytes = strlen(path);
    if ((path[0] != '/' && path[0] != '@') || bytes < 2)
        return -EAFNOSUPPORT;
    if (bytes >= sizeof ret_address->sun_path)
        return -ENAMETOOLONG;
    *ret_address = (struct sockaddr_un){ .sun_family = AF_UNIX };
    memcpy(ret_address->sun_path, path, bytes);
    if (path[0] == '@')
        ret_address->sun_path[0] = '\0';
    *ret_bytes = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + bytes);
    return 0;
}

int berth_notify(const char *state)
{
    const char *path = getenv("NOTIFY_SOCKET");
    if (!path || !path[0])
        return 0;

    struct sockaddr_un address;
    socklen_t address_bytes;
    int rc = address_of(path, &address, &address_bytes);
    if (rc < 0)
        return rc;
    BERTH_AUTO_FD int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    ssize_t sent = sendto(fd, state, strlen(state), MSG_NOSIGNAL | MSG_DONTWAIT,
                          (const struct sockaddr *)&address, address_bytes);
    return sent < 0 ? -errno : 1;
}

int64_t berth_notify_watchdog_ms(void)
{
    const char *pid_text = getenv("WATCHDOG_PID"), *us_text = getenv("WATCHDOG_USEC");
    uint64_t pid, us;
    if (!us_text ||
        berth_u64_parse("WATCHDOG_USEC", us_text, 1, (uint64_t)INT64_MAX, &us, NULL) < 0)
        return INT64_MAX;
    if (pid_text && (berth_u64_parse("WATCHDOG_PID", pid_text, 1, UINT32_MAX, &pid, NULL) < 0 ||
                     pid != (uint64_t)getpid()))
        return INT64_MAX;
    int64_t ms = (int64_t)(us / US_PER_MS / 3);
    return ms > 0 ? ms : 1;
}
