/* SPDX-License-Identifier: MIT */
/* mail-api: a small mail provider for the story: HTTP on loopback, answering after 700 to 1400 ms
 * as in the article.
 *
 *   POST /send?kind=newsletter&to=ADDRESS&job=ID     202 after a while
 *   GET  /stats                                      a line per kind: what it counted
 *
 * It counts for itself how many requests of a kind it ever saw at once, and trusts nobody else's
 * word for it. A request counts from its arrival until its client's connection is closed, so what a
 * killed worker left behind is over when the kernel has closed its sockets: before each new request
 * is counted, the others' connections are looked at.
 */
#include <errno.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>

#define ANSWER_MS_MIN 700
#define ANSWER_MS_MAX 1400
#define REQUESTS_MAX  1024
#define KINDS_MAX     16
#define KIND_BYTES    32
#define JOBS_MAX      100000

struct kind {
    char name[KIND_BYTES];
    unsigned now, most, requests, delivered, distinct;
    uint8_t seen[JOBS_MAX / 8 + 1]; /* jobs that were delivered, by id */
};

/* A connection with a request that counts. */
struct request {
    struct MHD_Connection *connection; /* NULL: a free place */
    int fd;
    struct kind *kind;
    uint64_t job;
    int64_t due_ms;
    bool is_waiting; /* suspended until due */
};

struct api {
    struct kind kinds[KINDS_MAX];
    size_t kind_count;
    struct request requests[REQUESTS_MAX];
    unsigned seed;
};

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static struct kind *kind_of(struct api *api, const char *name)
{
    for (size_t i = 0; i < api->kind_count; i++)
        if (strcmp(api->kinds[i].name, name) == 0)
            return &api->kinds[i];
    if (api->kind_count == KINDS_MAX || strlen(name) >= KIND_BYTES)
        return NULL;
    struct kind *kind = &api->kinds[api->kind_count++];
    snprintf(kind->name, sizeof kind->name, "%s", name);
    return kind;
}

/* ---- what counts ---- */

static void end_request(struct request *request)
{
    if (!request->connection)
        return;
    request->kind->now--;
    if (request->is_waiting)
        MHD_resume_connection(request->connection);
    request->connection = NULL;
}

/* Requests whose client has closed its connection. */
static void end_closed(struct api *api)
{
    for (size_t i = 0; i < REQUESTS_MAX; i++) {
        struct request *request = &api->requests[i];
        if (!request->connection)
            continue;
        struct pollfd fd = { .fd = request->fd, .events = POLLRDHUP };
        if (poll(&fd, 1, 0) > 0 && fd.revents & (POLLRDHUP | POLLHUP | POLLERR))
            end_request(request);
    }
}

static struct request *begin(struct api *api, struct MHD_Connection *connection, struct kind *kind,
                             uint64_t job)
{
    end_closed(api);
    for (size_t i = 0; i < REQUESTS_MAX; i++) {
        struct request *request = &api->requests[i];
        if (request->connection)
            continue;
        const union MHD_ConnectionInfo *info =
            MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
        int spread_ms = rand_r(&api->seed) % (ANSWER_MS_MAX - ANSWER_MS_MIN + 1);
        *request = (struct request){ .connection = connection,
                                     .fd = info->connect_fd,
                                     .kind = kind,
                                     .job = job,
                                     .due_ms = now_ms() + ANSWER_MS_MIN + spread_ms,
                                     .is_waiting = true };
        kind->requests++;
        if (++kind->now > kind->most)
            kind->most = kind->now;
        return request;
    }
    return NULL;
}

static void deliver(struct request *request)
{
    struct kind *kind = request->kind;
    kind->delivered++;
    uint8_t bit = (uint8_t)(1u << (request->job % 8));
    if (!(kind->seen[request->job / 8] & bit))
        kind->distinct++;
    kind->seen[request->job / 8] |= bit;
}

/* ---- HTTP ---- */

static enum MHD_Result answer(struct MHD_Connection *connection, unsigned status, const char *text)
{
    struct MHD_Response *response = MHD_create_response_from_buffer(
        strlen(text), (void *)(uintptr_t)text, MHD_RESPMEM_MUST_COPY);
    if (!response)
        return MHD_NO;
    MHD_add_response_header(response, "Content-Type", "text/plain");
    enum MHD_Result rc = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return rc;
}

static enum MHD_Result stats(struct api *api, struct MHD_Connection *connection)
{
    char text[KINDS_MAX * 128] = "";
    size_t used = 0;
    end_closed(api);
    for (size_t i = 0; i < api->kind_count; i++) {
        const struct kind *kind = &api->kinds[i];
        used += (size_t)snprintf(text + used, sizeof text - used, "%s %u %u %u %u %u\n", kind->name,
                                 kind->requests, kind->delivered, kind->distinct, kind->most,
                                 kind->now);
    }
    return answer(connection, MHD_HTTP_OK, text);
}

static const char *argument(struct MHD_Connection *connection, const char *name)
{
    return MHD_lookup_connection_value(connection, MHD_GET_ARGUMENT_KIND, name);
}

static enum MHD_Result begin_send(struct api *api, struct MHD_Connection *connection,
                                  void **context)
{
    const char *name = argument(connection, "kind"), *job = argument(connection, "job");
    struct kind *kind = name ? kind_of(api, name) : NULL;
    char *end = NULL;
    unsigned long long id = job ? strtoull(job, &end, 10) : 0;
    if (!kind || !id || *end || id >= JOBS_MAX || !argument(connection, "to"))
        return answer(connection, MHD_HTTP_BAD_REQUEST,
                      "wanted: kind (at most 16 of them), to, job (1 to 99999)\n");
    struct request *request = begin(api, connection, kind, id);
    if (!request)
        return answer(connection, MHD_HTTP_SERVICE_UNAVAILABLE, "too many requests at once\n");
    *context = request;
    MHD_suspend_connection(connection);
    return MHD_YES;
}

/* libmicrohttpd calls this first with *context unset, and again when a suspended connection goes
 * on. */
static enum MHD_Result on_request(void *arg, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *body,
                                  size_t *body_bytes, void **context)
{
    static char seen_headers;
    struct api *api = arg;
    (void)version;
    (void)body;
    if (!*context) {
        *context = &seen_headers;
        return MHD_YES;
    }
    if (*body_bytes) {
        *body_bytes = 0;
        return MHD_YES;
    }
    if (strcmp(url, "/stats") == 0 && strcmp(method, "GET") == 0)
        return stats(api, connection);
    if (strcmp(url, "/send") != 0 || strcmp(method, "POST") != 0)
        return answer(connection, MHD_HTTP_NOT_FOUND, "POST /send or GET /stats\n");
    if (*context == &seen_headers)
        return begin_send(api, connection, context);
    struct request *request = *context;
    if (request->connection != connection)
        return MHD_NO; /* its client has gone meanwhile */
    return answer(connection, MHD_HTTP_ACCEPTED, "accepted\n");
}

static void on_connection(void *arg, struct MHD_Connection *connection, void **context,
                          enum MHD_ConnectionNotificationCode code)
{
    struct api *api = arg;
    (void)context;
    if (code != MHD_CONNECTION_NOTIFY_CLOSED)
        return;
    for (size_t i = 0; i < REQUESTS_MAX; i++) {
        if (api->requests[i].connection != connection)
            continue;
        api->requests[i].is_waiting = false;
        end_request(&api->requests[i]);
    }
}

/* ---- the loop ---- */

/* Answers what is due; returns the milliseconds until the next one, -1: none. */
static int answer_due(struct api *api)
{
    int64_t now = now_ms(), next = INT64_MAX;
    for (size_t i = 0; i < REQUESTS_MAX; i++) {
        struct request *request = &api->requests[i];
        if (!request->connection || !request->is_waiting)
            continue;
        if (request->due_ms > now) {
            next = request->due_ms < next ? request->due_ms : next;
            continue;
        }
        request->is_waiting = false;
        deliver(request);
        MHD_resume_connection(request->connection);
    }
    return next == INT64_MAX ? -1 : (int)(next - now);
}

static int wait_ms(struct MHD_Daemon *daemon, int due_ms)
{
    MHD_UNSIGNED_LONG_LONG timeout;
    if (MHD_get_timeout(daemon, &timeout) != MHD_YES)
        return due_ms;
    return due_ms < 0 || timeout < (MHD_UNSIGNED_LONG_LONG)due_ms ? (int)timeout : due_ms;
}

static int serve(struct api *api, struct MHD_Daemon *daemon, int signals)
{
    int epoll = MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
    for (;;) {
        int due_ms = answer_due(api);
        if (MHD_run(daemon) != MHD_YES)
            return 1;
        struct pollfd fds[REQUESTS_MAX + 2] = { { .fd = epoll, .events = POLLIN },
                                                { .fd = signals, .events = POLLIN } };
        nfds_t count = 2;
        for (size_t i = 0; i < REQUESTS_MAX; i++)
            if (api->requests[i].connection)
                fds[count++] = (struct pollfd){ .fd = api->requests[i].fd, .events = POLLRDHUP };
        if (poll(fds, count, wait_ms(daemon, due_ms)) < 0 && errno != EINTR)
            return 1;
        if (fds[1].revents)
            return 0;
        end_closed(api);
    }
}

int main(int argc, char **argv)
{
    char *end = NULL;
    unsigned long port = argc == 2 ? strtoul(argv[1], &end, 10) : 0;
    if (argc != 2 || *end || port > 65535) {
        fprintf(stderr, "usage: mail-api PORT (0: any that is free)\n");
        return 2;
    }
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigprocmask(SIG_BLOCK, &set, NULL);
    int signals = signalfd(-1, &set, SFD_CLOEXEC);
    struct api *api = calloc(1, sizeof *api);
    if (signals < 0 || !api)
        return 1;
    api->seed = (unsigned)now_ms();
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_port = htons((uint16_t)port),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    struct MHD_Daemon *daemon =
        MHD_start_daemon(MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, (uint16_t)port, NULL, NULL,
                         on_request, api, MHD_OPTION_SOCK_ADDR, &address,
                         MHD_OPTION_NOTIFY_CONNECTION, on_connection, api, MHD_OPTION_END);
    if (!daemon) {
        fprintf(stderr, "mail-api: cannot listen on 127.0.0.1:%lu: %s\n", port, strerror(errno));
        return 1;
    }
    printf("mail-api listens on 127.0.0.1:%u\n",
           MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_BIND_PORT)->port);
    fflush(stdout);
    int rc = serve(api, daemon, signals);
    for (size_t i = 0; i < REQUESTS_MAX; i++)
        end_request(&api->requests[i]);
    MHD_stop_daemon(daemon);
    free(api);
    return rc;
}
