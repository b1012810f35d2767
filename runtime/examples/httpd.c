/* SPDX-License-Identifier: MIT
 *
 * The provider of the examples. Plain blocking code in virtual threads: accept, read, nanosleep and
 * write park the coroutine that calls them, and nothing here says so.
 */
#include "httpd.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <weft/weft.h>

#define BACKLOG       1024
#define REQUEST_BYTES 1024
#define ANSWER_BYTES  256
#define MS_MAX        60000

/* ---- what it does ------------------------------------------------------------------------------
 */

static struct kind {
    const char *name;
    atomic_int now, most;
} kinds[] = { { .name = "call" }, { .name = "newsletter" }, { .name = "auth" } };

static struct kind *find_kind(const char *name)
{
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (strcmp(kinds[i].name, name) == 0)
            return &kinds[i];
    }
    return NULL;
}

static void take_time(struct kind *kind, long ms)
{
    int now = atomic_fetch_add(&kind->now, 1) + 1, most = kind->most;
    while (most < now && !atomic_compare_exchange_weak(&kind->most, &most, now)) {
    }
    (void)nanosleep(&(struct timespec){ ms / 1000, ms % 1000 * 1000000 }, NULL);
    atomic_fetch_sub(&kind->now, 1); /* before the answer: after it the client may begin another */
}

/* The body of the answer to `GET /A/B`. The status. */
static int work(const char *request, char *ret_body, size_t body_bytes)
{
    char a[32], b[32], *end;
    if (sscanf(request, "GET /%31[a-z]/%31[a-z0-9] ", a, b) != 2)
        return 404;
    struct kind *kind = find_kind(strcmp(a, "most") == 0 ? b : a);
    if (!kind)
        return 404;
    if (strcmp(a, "most") == 0)
        return (void)snprintf(ret_body, body_bytes, "%d\n", kind->most), 200;
    long ms = strtol(b, &end, 10);
    if (*end != '\0' || ms < 0 || ms > MS_MAX)
        return 400;
    take_time(kind, ms);
    return (void)snprintf(ret_body, body_bytes, "done\n"), 200;
}

/* ---- one connection ----------------------------------------------------------------------------
 */

/* Reads until the empty line that ends the head. */
static bool read_head(int fd, char *ret_request, size_t bytes)
{
    size_t used = 0;
    for (ssize_t got; used < bytes - 1; used += (size_t)got) {
        got = read(fd, ret_request + used, bytes - 1 - used);
        if (got <= 0)
            return false;
        ret_request[used + (size_t)got] = '\0';
        if (strstr(ret_request, "\r\n\r\n"))
            return true;
    }
    return false;
}

static int serve(void *arg)
{
    int fd = *(int *)arg;
    char request[REQUEST_BYTES], body[ANSWER_BYTES] = "", answer[2 * ANSWER_BYTES];
    if (read_head(fd, request, sizeof request)) {
        int status = work(request, body, sizeof body);
        int bytes = snprintf(answer, sizeof answer,
                             "HTTP/1.1 %d %s\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s",
                             status, status == 200 ? "OK" : "No", strlen(body), body);
        (void)!write(fd, answer, (size_t)bytes); /* a client that has gone is not our trouble */
    }
    return close(fd);
}

static int accept_all(void *arg)
{
    struct weft_scope clients;
    weft_supervisor_open(&clients);
    for (int fd; (fd = accept(*(int *)arg, NULL, NULL)) >= 0;) {
        if (weft_launch_copy(&clients, NULL, serve, &fd, sizeof fd) < 0)
            (void)close(fd);
    }
    return weft_scope_close(&clients, -errno); /* cancelled: then its clients are, too */
}

/* ---- the process -------------------------------------------------------------------------------
 */

struct house {
    int listener, stop_fd;
};

static int run_until_stopped(void *arg)
{
    struct house *house = arg;
    struct weft_scope scope;
    char byte;
    weft_scope_open(&scope);
    weft_launch(&scope, NULL, accept_all, &house->listener);
    while (read(house->stop_fd, &byte, 1) > 0) {
    }
    weft_scope_cancel_children(&scope);
    return weft_scope_close(&scope, 0);
}

static int live(void *house)
{
    return weft_with(weft_virtual(), run_until_stopped, house);
}

static int listen_on_loopback(int *ret_port)
{
    struct sockaddr_in address = { .sin_family = AF_INET };
    socklen_t bytes = sizeof address;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    if (bind(fd, (const struct sockaddr *)&address, bytes) < 0 || listen(fd, BACKLOG) < 0 ||
        getsockname(fd, (struct sockaddr *)&address, &bytes) < 0) {
        int rc = -errno;
        (void)close(fd);
        return rc;
    }
    *ret_port = ntohs(address.sin_port);
    return fd;
}

/* The child's life; does not return. */
static void be_the_provider(const struct house *house)
{
    (void)unsetenv("WEFT_TRACE"); /* that picture is the parent's */
    struct house own = *house;
    int rc = weft_run(live, &own);
    if (rc < 0)
        (void)fprintf(stderr, "httpd: %s\n", weft_strerror(rc));
    _exit(rc < 0 || weft_shutdown() < 0);
}

int httpd_start(struct httpd *ret_httpd)
{
    int port = 0, ends[2];
    int listener = listen_on_loopback(&port);
    if (listener < 0)
        return listener;
    if (pipe(ends) < 0) {
        (void)close(listener);
        return -errno;
    }
    pid_t pid = fork();
    int rc = pid < 0 ? -errno : 0;
    if (pid == 0) {
        (void)close(ends[1]);
        be_the_provider(&(struct house){ .listener = listener, .stop_fd = ends[0] });
    }
    (void)close(listener);
    (void)close(ends[0]);
    if (rc == 0)
        *ret_httpd = (struct httpd){ .port = port, .stop_fd = ends[1], .pid = pid };
    else
        (void)close(ends[1]);
    return rc;
}

int httpd_stop(struct httpd *httpd)
{
    int status = 1;
    (void)close(httpd->stop_fd);
    (void)waitpid(httpd->pid, &status, 0);
    return status == 0 ? 0 : -EIO;
}
