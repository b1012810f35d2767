/* SPDX-License-Identifier: MIT
 *
 * usage: weft_echo [PORT]
 *
 * An echo server: plain blocking calls, a coroutine for each connection. It listens on loopback, on
 * PORT (7007; 0: a free one), and ends at Ctrl-C or SIGTERM.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <weft/weft.h>

/* One connection, until its end, an error, or the end of the server: then read fails. */
static int echo(void *arg)
{
    int fd = *(int *)arg;
    char bytes[4096];
    for (ssize_t got; (got = read(fd, bytes, sizeof bytes)) > 0;) {
        if (write(fd, bytes, (size_t)got) != got)
            break;
    }
    return close(fd);
}

/* A supervisor: a connection that fails disturbs no other. */
static int serve(void *arg)
{
    const int *listener = arg;
    struct weft_scope clients;
    int rc = 0;
    weft_supervisor_open(&clients);
    while (rc == 0) {
        int fd = accept4(*listener, NULL, NULL, SOCK_CLOEXEC);
        if (fd >= 0 && weft_launch_copy(&clients, NULL, echo, &fd, sizeof fd) < 0)
            (void)close(fd);
        if (fd < 0)
            rc = errno == ECANCELED ? -ECANCELED : weft_sleep_ms(100); /* EMFILE: it will pass */
    }
    return weft_scope_close(&clients, rc); /* cancels the connections, and waits for their end */
}

static int serve_until_told(void *arg)
{
    const int *fds = arg; /* listener, signals */
    struct weft_scope scope;
    struct signalfd_siginfo info;
    weft_scope_open(&scope);
    weft_launch(&scope, NULL, serve, arg);
    (void)!read(fds[1], &info, sizeof info); /* parks only this coroutine */
    weft_scope_cancel_children(&scope);
    return weft_scope_close(&scope, 0);
}

static int listen_on(int port)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
    socklen_t bytes = sizeof address;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int)) < 0 ||
        bind(fd, (struct sockaddr *)&address, bytes) < 0 || listen(fd, SOMAXCONN) < 0 ||
        getsockname(fd, (struct sockaddr *)&address, &bytes) < 0) {
        perror("echo");
        exit(1);
    }
    (void)printf("listening on 127.0.0.1:%d\n", ntohs(address.sin_port));
    (void)fflush(stdout);
    return fd;
}

int main(int argc, char **argv)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    (void)signal(SIGPIPE, SIG_IGN); /* writing to one that has gone is an error, not our end */

    int fds[2] = { listen_on(argc > 1 ? (int)strtol(argv[1], NULL, 10) : 7007) };
    fds[1] = signalfd(-1, &signals, SFD_CLOEXEC);
    int rc = weft_root_close(weft_root_open(weft_virtual(), serve_until_told, fds));
    if (rc < 0)
        (void)fprintf(stderr, "echo: %s\n", weft_strerror(rc));
    return rc < 0;
}
