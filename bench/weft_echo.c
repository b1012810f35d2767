/* SPDX-License-Identifier: MIT
 *
 * A server that gives back what it is sent: a coroutine for each connection, in straight lines.
 * The load comes from another process.
 */
#include "weft_bench.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define BACKLOG    4096
#define ECHO_BYTES 512

static int serve(void *arg)
{
    int fd = *(int *)arg, rc;
    char bytes[ECHO_BYTES];
    for (;;) {
        ssize_t got = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT);
        if (got < 0 && errno == EAGAIN) {
            if ((rc = weft_fd_wait(fd, POLLIN, WEFT_NEVER)) < 0)
                break;
        } else if (got <= 0 || send(fd, bytes, (size_t)got, MSG_NOSIGNAL) != got) {
            break;
        }
    }
    return weft_fd_close(fd);
}

static int accept_all(void *arg)
{
    int listener = *(int *)arg, rc;
    struct weft_scope clients;
    weft_supervisor_open(&clients);
    while ((rc = weft_fd_wait(listener, POLLIN, WEFT_NEVER)) >= 0) {
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0)
            continue;
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
        if (weft_launch_copy(&clients, NULL, serve, &fd, sizeof fd) < 0)
            (void)close(fd);
    }
    return weft_scope_close(&clients, rc);
}

int bench_echo(const struct bench_args *args)
{
    struct sockaddr_in address = { .sin_family = AF_INET };
    address.sin_port = htons((uint16_t)args->number);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    (void)setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int));
    if (listener < 0 || bind(listener, (const struct sockaddr *)&address, sizeof address) < 0 ||
        listen(listener, BACKLOG) < 0)
        return -errno;
    return bench_run(args->threads, accept_all, &listener);
}
