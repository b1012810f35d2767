/* SPDX-License-Identifier: MIT
 *
 * Both clients of http_get.h.
 */
#include "http_get.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <weft/weft.h>

#define REQUEST_BYTES 256
#define ANSWER_BYTES  1024

/* ---- what both have in common ------------------------------------------------------------------
 */

static struct sockaddr_in loopback(int port)
{
    struct sockaddr_in address = { .sin_family = AF_INET };
    address.sin_port = htons((uint16_t)port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

static size_t make_request(const char *path, char *ret_request, size_t bytes)
{
    int made = snprintf(ret_request, bytes, "GET /%s HTTP/1.1\r\nHost: localhost\r\n\r\n", path);
    return made > 0 && (size_t)made < bytes ? (size_t)made : 0;
}

static int read_answer(const char *answer, char *ret_body, size_t body_bytes)
{
    const char *body = strstr(answer, "\r\n\r\n");
    if (!body || strncmp(answer, "HTTP/1.1 200 ", 13) != 0)
        return -EPROTO;
    (void)snprintf(ret_body, body_bytes, "%s", body + 4);
    return 0;
}

/* ---- with calls that block ---------------------------------------------------------------------
 */

static int exchange(int fd, int port, const char *path, char *ret_answer, size_t answer_bytes)
{
    char request[REQUEST_BYTES];
    size_t bytes = make_request(path, request, sizeof request), used = 0;
    struct sockaddr_in address = loopback(port);
    if (connect(fd, (const struct sockaddr *)&address, sizeof address) < 0)
        return -errno;
    if (write(fd, request, bytes) != (ssize_t)bytes)
        return -errno;
    for (ssize_t got; used < answer_bytes - 1; used += (size_t)got) {
        got = read(fd, ret_answer + used, answer_bytes - 1 - used);
        if (got < 0)
            return -errno;
        if (got == 0)
            break;
    }
    ret_answer[used] = '\0';
    return 0;
}

int http_get_blocking(int port, const char *path, char *ret_body, size_t body_bytes)
{
    char answer[ANSWER_BYTES];
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    int rc = exchange(fd, port, path, answer, sizeof answer);
    (void)close(fd);
    return rc < 0 ? rc : read_answer(answer, ret_body, body_bytes);
}

/* ---- with calls that do not --------------------------------------------------------------------
 */

static int wait_connected(int fd, int port)
{
    struct sockaddr_in address = loopback(port);
    if (connect(fd, (const struct sockaddr *)&address, sizeof address) == 0)
        return 0;
    if (errno != EINPROGRESS)
        return -errno;
    int rc = weft_fd_wait(fd, POLLOUT, WEFT_NEVER), error = 0;
    if (rc < 0)
        return rc;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &(socklen_t){ sizeof error }) < 0)
        return -errno;
    return -error;
}

static int wait_answer(int fd, char *ret_answer, size_t answer_bytes)
{
    size_t used = 0;
    while (used < answer_bytes - 1) {
        ssize_t got = recv(fd, ret_answer + used, answer_bytes - 1 - used, 0);
        if (got == 0)
            break;
        if (got > 0) {
            used += (size_t)got;
            continue;
        }
        if (errno != EAGAIN)
            return -errno;
        int rc = weft_fd_wait(fd, POLLIN, WEFT_NEVER);
        if (rc < 0)
            return rc;
    }
    ret_answer[used] = '\0';
    return 0;
}

static int exchange_waiting(int fd, int port, const char *path, char *ret_answer,
                            size_t answer_bytes)
{
    char request[REQUEST_BYTES];
    size_t bytes = make_request(path, request, sizeof request);
    int rc = wait_connected(fd, port);
    if (rc < 0)
        return rc;
    if (send(fd, request, bytes, MSG_NOSIGNAL) != (ssize_t)bytes) /* a new socket has room */
        return -errno;
    return wait_answer(fd, ret_answer, answer_bytes);
}

int http_get_waiting(int port, const char *path, char *ret_body, size_t body_bytes)
{
    char answer[ANSWER_BYTES];
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    int rc = exchange_waiting(fd, port, path, answer, sizeof answer);
    (void)weft_fd_close(fd);
    return rc < 0 ? rc : read_answer(answer, ret_body, body_bytes);
}
