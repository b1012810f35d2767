/* SPDX-License-Identifier: MIT
 *
 * A server that gives back what it is sent: a virtual thread for each connection, with plain
 * accept, read and write. The load comes from another process.
 */
#include "weft_bench.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#define BACKLOG    4096
#define ECHO_BYTES 512

static int serve(void *arg)
{
    int fd = *(int *)arg;
    char bytes[ECHO_BYTES];
    ssize_t got;
    while ((got = read(fd, bytes, sizeof bytes)) > 0) {
        if (write(fd, bytes, (size_t)got) != got)
            break;
    }
    return close(fd);
}

static int accept_all(void *arg)
{
    int listener = *(int *)arg;
    struct weft_scope clients;
    weft_supervisor_open(&clients);
    for (int fd; (fd = accept(listener, NULL, NULL)) >= 0;) {
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
        if (weft_launch_copy(&clients, NULL, serve, &fd, sizeof fd) < 0)
            (void)close(fd);
    }
    return weft_scope_close(&clients, -errno);
}

static int in_virtual_threads(void *listener)
{
    return weft_with(weft_virtual(), accept_all, listener);
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
    return bench_run(args->threads, in_virtual_threads, &listener);
}
