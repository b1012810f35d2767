/* SPDX-License-Identifier: MIT
 *
 * usage: weft_pages
 *
 * Structure, in one program: a small server of pages and its client. The server is a supervisor, so
 * a connection that fails disturbs nobody. The client fetches two pages at once; when one fails the
 * other is cancelled, and when the time is up both are; either way the reason comes out of one
 * place, and nothing is left behind.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <weft/weft.h>

#define PAGE_BYTES_MAX 256
#define IO_MS          5000

/* ---- reading and writing without blocking a thread --------------------------------------------
 */

static int read_some(int fd, char *data, size_t bytes)
{
    int rc = weft_fd_wait(fd, POLLIN, weft_deadline_ms(IO_MS));
    if (rc < 0)
        return rc;
    ssize_t got = recv(fd, data, bytes, MSG_DONTWAIT);
    return got < 0 ? -errno : (int)got;
}

static int write_all(int fd, const char *text)
{
    for (size_t left = strlen(text); left > 0;) {
        int rc = weft_fd_wait(fd, POLLOUT, weft_deadline_ms(IO_MS));
        if (rc < 0)
            return rc;
        ssize_t written = send(fd, text, left, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (written < 0)
            return -errno;
        text += written;
        left -= (size_t)written;
    }
    return 0;
}

/* ---- the server --------------------------------------------------------------------------------
 */

/* One connection: reads the name of a page. "front" comes at once, "back" takes its time, and there
 * is no other. */
static int answer(void *arg)
{
    int fd = *(int *)arg;
    char name[PAGE_BYTES_MAX] = "";
    int rc = read_some(fd, name, sizeof name - 1);
    if (rc > 0 && strcmp(name, "front") == 0)
        rc = write_all(fd, "Hello from the front page");
    else if (rc > 0 && strcmp(name, "back") == 0)
        rc = (rc = weft_sleep_ms(50)) < 0 ? rc : write_all(fd, "Hello from the back page");
    (void)close(fd);
    return rc < 0 ? rc : 0;
}

static int serve(void *arg)
{
    int listener = *(int *)arg, rc;
    struct weft_scope clients;
    weft_supervisor_open(&clients);
    while ((rc = weft_fd_wait(listener, POLLIN, WEFT_NEVER)) >= 0) {
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        if (fd >= 0 && weft_launch_copy(&clients, NULL, answer, &fd, sizeof fd) < 0)
            (void)close(fd);
    }
    return weft_scope_close(&clients, rc); /* cancelled: then its clients are, too */
}

static int listen_on_loopback(struct sockaddr_in *ret_address)
{
    *ret_address = (struct sockaddr_in){ .sin_family = AF_INET };
    ret_address->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t bytes = sizeof *ret_address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    if (bind(fd, (struct sockaddr *)ret_address, bytes) < 0 || listen(fd, 16) < 0 ||
        getsockname(fd, (struct sockaddr *)ret_address, &bytes) < 0) {
        int rc = -errno;
        (void)close(fd);
        return rc;
    }
    return fd;
}

/* ---- the client --------------------------------------------------------------------------------
 */

/* Argument and result in one: it lies on the stack of whoever launches, who cannot go before. */
struct page {
    const struct sockaddr_in *server;
    const char *name;
    char text[PAGE_BYTES_MAX];
};

static int fetch_over(int fd, struct page *page)
{
    if (connect(fd, (const struct sockaddr *)page->server, sizeof *page->server) < 0)
        return -errno; /* on loopback it does not block */
    int rc = write_all(fd, page->name);
    if (rc < 0)
        return rc;
    rc = read_some(fd, page->text, sizeof page->text - 1);
    return rc == 0 ? -ENOENT : rc;
}

static int fetch(void *arg)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    int rc = fetch_over(fd, arg);
    (void)close(fd);
    if (rc == -ECANCELED)
        (void)printf("  (%s was cancelled; %s)\n", ((struct page *)arg)->name,
                     weft_field_find("request"));
    return rc;
}

static int both_pages(const struct sockaddr_in *server, const char *left, const char *right,
                      int64_t timeout_ms)
{
    struct page a = { .server = server, .name = left }, b = { .server = server, .name = right };
    struct weft_scope scope;
    weft_scope_open(&scope);
    weft_scope_deadline(&scope, weft_deadline_ms(timeout_ms));
    (void)weft_scope_field(&scope, "request", "asked for by both_pages"); /* seen by both */
    struct weft_task *tasks[] = {
        weft_async(&scope, NULL, fetch, &a),
        weft_async(&scope, NULL, fetch, &b),
    };
    int rc = weft_await_all(tasks, 2);
    if (rc >= 0)
        (void)printf("  %s: %s\n  %s: %s\n", left, a.text, right, b.text);
    return weft_scope_close(&scope, rc); /* the reason, whatever the body met */
}

static int ask(const struct sockaddr_in *server)
{
    static const struct {
        const char *left, *right;
        int64_t timeout_ms;
        int wanted;
    } rows[] = {
        { "front", "back", IO_MS, 0 },
        { "back", "missing", IO_MS, -ENOENT },
        { "front", "back", 10, -ETIMEDOUT },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        (void)printf("%s and %s within %d ms:\n", rows[i].left, rows[i].right,
                     (int)rows[i].timeout_ms);
        int rc = both_pages(server, rows[i].left, rows[i].right, rows[i].timeout_ms);
        (void)printf("  %s\n", weft_strerror(rc));
        if (rc != rows[i].wanted)
            return rc < 0 ? rc : -EIO;
    }
    return 0;
}

static int pages(void *arg)
{
    (void)arg;
    struct sockaddr_in address;
    int listener = listen_on_loopback(&address);
    if (listener < 0)
        return listener;
    struct weft_scope scope;
    weft_scope_open(&scope);
    weft_launch(&scope, NULL, serve, &listener);
    int rc = ask(&address);
    weft_scope_cancel_children(&scope);
    rc = weft_scope_close(&scope, rc);
    (void)close(listener);
    return rc;
}

int main(void)
{
    int rc = weft_run(pages, NULL);
    if (rc < 0)
        (void)fprintf(stderr, "pages: %s\n", weft_strerror(rc));
    return rc < 0 || weft_shutdown() < 0;
}
