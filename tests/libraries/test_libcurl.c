/* SPDX-License-Identifier: MIT
 *
 * libcurl's easy interface: 100 transfers at once from two slow servers, on one carrier.
 */
#include "libs.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define TRANSFERS 100
#define SLOW_MS   300
#define BODY      "slow but sure"

/* A server of plain threads: one accepts, one answers each connection, after a while. */
struct server {
    int fd;
    uint16_t port;
    pthread_t thread;
};

struct page {
    const struct server *servers;
    atomic_int next, good;
};

struct text {
    char bytes[64];
    size_t count;
};

static void *answer(void *arg)
{
    int fd = *(int *)arg;
    free(arg);
    char request[4096];
    size_t used = 0;
    ssize_t got;
    request[0] = '\0';
    while (!strstr(request, "\r\n\r\n") && used < sizeof request - 1 &&
           (got = recv(fd, request + used, sizeof request - 1 - used, 0)) > 0) {
        used += (size_t)got;
        request[used] = '\0';
    }
    const struct timespec slow = { .tv_nsec = SLOW_MS * 1000000L };
    (void)nanosleep(&slow, NULL); /* sleeps: being slow is what this server is for */
    const char response[] =
        "HTTP/1.1 200 OK\r\nContent-Length: 13\r\nConnection: close\r\n\r\n" BODY;
    (void)!send(fd, response, sizeof response - 1, MSG_NOSIGNAL);
    (void)shutdown(fd, SHUT_WR);
    while (recv(fd, request, sizeof request, 0) > 0) {
    }
    (void)close(fd);
    return NULL;
}

static void *serve(void *arg)
{
    const struct server *server = arg;
    pthread_attr_t attr;
    (void)pthread_attr_init(&attr);
    (void)pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    for (int fd; (fd = accept(server->fd, NULL, NULL)) >= 0;) {
        pthread_t thread;
        int *own = malloc(sizeof *own);
        if (own)
            *own = fd;
        if (!own || pthread_create(&thread, &attr, answer, own) != 0) {
            free(own);
            (void)close(fd);
        }
    }
    (void)pthread_attr_destroy(&attr);
    return NULL;
}

static void server_start(struct server *server)
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t bytes = sizeof address;
    server->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(server->fd >= 0);
    assert_int_equal(bind(server->fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(server->fd, TRANSFERS), 0);
    assert_int_equal(getsockname(server->fd, (struct sockaddr *)&address, &bytes), 0);
    server->port = ntohs(address.sin_port);
    assert_int_equal(pthread_create(&server->thread, NULL, serve, server), 0);
}

static void server_stop(struct server *server)
{
    (void)shutdown(server->fd, SHUT_RDWR);
    assert_int_equal(pthread_join(server->thread, NULL), 0);
    (void)close(server->fd);
}

static size_t collect(char *bytes, size_t size, size_t count, void *arg)
{
    struct text *text = arg;
    size_t room = sizeof text->bytes - text->count;
    size_t take = size * count < room ? size * count : room;
    memcpy(text->bytes + text->count, bytes, take);
    text->count += take;
    return take;
}

/* What any program does that fetches a page with libcurl. */
static int fetch(void *arg)
{
    struct page *page = arg;
    int index = page->next++ % 2;
    char url[64];
    struct text body = { .count = 0 };
    (void)snprintf(url, sizeof url, "http://%s:%u/", index == 0 ? "127.0.0.1" : "localhost",
                   (unsigned)page->servers[index].port);
    CURL *curl = curl_easy_init();
    if (!curl)
        return -ENOMEM;
    (void)curl_easy_setopt(curl, CURLOPT_URL, url);
    (void)curl_easy_setopt(curl, CURLOPT_PROXY, "");
    (void)curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, collect);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEDATA, &body);
    CURLcode code = curl_easy_perform(curl);
    curl_easy_cleanup(curl);
    if (code != CURLE_OK) {
        (void)fprintf(stderr, "%s: %s\n", url, curl_easy_strerror(code));
        return -EIO;
    }
    page->good += body.count == strlen(BODY) && memcmp(body.bytes, BODY, body.count) == 0;
    return 0;
}

static void a_hundred_transfers_at_once_on_one_carrier(void **state)
{
    (void)state;
    struct server servers[2];
    server_start(&servers[0]);
    server_start(&servers[1]);
    struct page page = { .servers = servers };
    struct libs_many many = { .count = TRANSFERS, .fn = fetch, .arg = &page };

    assert_int_equal(libs_run(libs_run_many, &many), 0);

    print_message("%d transfers of %d ms each: %d ms\n", TRANSFERS, SLOW_MS, (int)many.took_ms);
    assert_int_equal(page.good, TRANSFERS);
    assert_in_range(many.took_ms, SLOW_MS, TRANSFERS * SLOW_MS * 3 / 4);
    server_stop(&servers[0]);
    server_stop(&servers[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        libs_test(a_hundred_transfers_at_once_on_one_carrier),
    };
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return 1;
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    curl_global_cleanup();
    return rc;
}
