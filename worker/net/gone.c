/* SPDX-License-Identifier: MIT
 *
 * Certificates are kept as packed frames: they never change.
 */
#include "worker/net/gone.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/list.h"
#include "worker/net/socket.h"

struct certificate {
    struct berth_list_node node;
    uint64_t session;
    uint32_t child;
    int64_t due_ms;
    struct berth_buf frame;
};

struct gone_desk {
    const char *url;
    const uint8_t *nonce;
    struct worker_socket *socket;   /* NULL: nothing to prove, or none could be opened */
    struct berth_list certificates; /* oldest first */
    size_t count;
    int64_t heard_ms; /* from when on the broker is silent */
};

struct gone_desk *gone_desk_new(const char *url, const uint8_t *nonce)
{
    struct gone_desk *desk = calloc(1, sizeof *desk);
    if (!desk)
        return NULL;
    desk->url = url;
    desk->nonce = nonce;
    berth_list_init(&desk->certificates);
    return desk;
}

static void drop(struct gone_desk *desk, struct certificate *certificate)
{
    berth_list_remove(&certificate->node);
    berth_buf_fini(&certificate->frame);
    free(certificate);
    desk->count--;
}

static struct certificate *certificate_of(struct berth_list_node *node)
{
    return berth_container_of(node, struct certificate, node);
}

void gone_desk_free(struct gone_desk *desk)
{
    if (!desk)
        return;
    worker_socket_close(desk->socket, 0);
    while (desk->count > 0)
        drop(desk, certificate_of(berth_list_first(&desk->certificates)));
    free(desk);
}

/* ---- making one ---- */

static bool could_be_granted(const struct fence_attempt *attempt)
{
    return attempt->attempt >= BERTH_FENCED_ID_MIN && attempt->job > 0 &&
           attempt->job <= BERTH_JOB_ID_MAX;
}

static int by_attempt(const void *a, const void *b)
{
    uint64_t left = ((const struct fence_attempt *)a)->attempt;
    uint64_t right = ((const struct fence_attempt *)b)->attempt;
    return (left > right) - (left < right);
}

/* Moves those worth sending, each once, to the front. Returns their number. */
static size_t sift(struct fence_attempt *attempts, size_t count)
{
    if (count == 0)
        return 0;
    qsort(attempts, count, sizeof *attempts, by_attempt);
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        if (!could_be_granted(&attempts[i]))
            continue;
        if (kept > 0 && attempts[kept - 1].attempt == attempts[i].attempt)
            continue;
        attempts[kept++] = attempts[i];
    }
    return kept;
}

static uint64_t culprit_of(const struct gone_notice *notice, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (notice->attempts[i].attempt == notice->culprit)
            return notice->culprit;
    return 0;
}

struct columns {
    uint64_t attempts[FENCE_ATTEMPTS_MAX], jobs[FENCE_ATTEMPTS_MAX];
    uint32_t numbers[FENCE_ATTEMPTS_MAX];
};

static int pack(const struct gone_desk *desk, const struct gone_notice *notice,
                struct berth_buf *frame)
{
    struct columns *columns = calloc(1, sizeof *columns);
    if (!columns)
        return -ENOMEM;
    BERTH_ASSERT(notice->count <= FENCE_ATTEMPTS_MAX);
    size_t count = sift(notice->attempts, notice->count);
    for (size_t i = 0; i < count; i++) {
        columns->attempts[i] = notice->attempts[i].attempt;
        columns->jobs[i] = notice->attempts[i].job;
        columns->numbers[i] = notice->attempts[i].number;
    }
    struct gone gone = { .session = notice->session,
                         .nonce = desk->nonce,
                         .child = notice->child,
                         .cause = notice->cause,
                         .status = notice->status,
                         .attempts = columns->attempts,
                         .jobs = columns->jobs,
                         .numbers = columns->numbers,
                         .count = count,
                         .culprit = culprit_of(notice, count) };
    int rc = translate_gone_out(&gone, frame);
    free(columns);
    return rc;
}

static int open_socket(struct gone_desk *desk, int64_t now_ms, struct berth_error *err)
{
    if (desk->socket)
        return 0;
    desk->heard_ms = now_ms;
    return worker_socket_open(desk->url, &desk->socket, err);
}

static void send_one(struct gone_desk *desk, struct certificate *certificate, int64_t now_ms)
{
    certificate->due_ms = now_ms + GONE_EVERY_MS;
    if (desk->socket) /* without a connection it is dropped; gone_turn() hears of the next one */
        (void)worker_socket_send(desk->socket, berth_buf_slice(&certificate->frame));
}

int gone_add(struct gone_desk *desk, const struct gone_notice *notice, int64_t now_ms)
{
    struct certificate *certificate = calloc(1, sizeof *certificate);
    if (!certificate)
        return -ENOMEM;
    certificate->session = notice->session;
    certificate->child = notice->child;
    berth_buf_init(&certificate->frame, BERTH_FRAME_BYTES_MAX);
    int rc = pack(desk, notice, &certificate->frame);
    if (rc < 0) {
        berth_buf_fini(&certificate->frame);
        free(certificate);
        return rc;
    }
    if (desk->count == GONE_CERTIFICATES_MAX)
        drop(desk, certificate_of(berth_list_first(&desk->certificates)));
    berth_list_push_back(&desk->certificates, &certificate->node);
    desk->count++;
    (void)open_socket(desk, now_ms, NULL); /* tried again in each turn */
    send_one(desk, certificate, now_ms);
    return 0;
}

/* ---- a turn ---- */

static void acknowledge(struct gone_desk *desk, const struct gone_answer *answer,
                        struct gone_news *news)
{
    bool is_named = memcmp(answer->nonce, desk->nonce, sizeof answer->nonce) == 0;
    BERTH_LIST_FOREACH_SAFE (node, &desk->certificates) {
        struct certificate *certificate = certificate_of(node);
        bool is_its_session = answer->session != 0 && answer->session == certificate->session;
        if (!is_its_session && !(is_named && answer->child == certificate->child))
            continue;
        drop(desk, certificate);
        news->acknowledged_count++;
    }
}

static void take_answers(struct gone_desk *desk, int64_t now_ms, struct gone_news *news)
{
    struct berth_slice frame;
    for (int i = 0; i < GONE_FRAMES_MAX; i++) {
        int rc = worker_socket_receive(desk->socket, &frame);
        if (rc <= 0)
            return;
        desk->heard_ms = now_ms;
        struct gone_answer answer;
        if (translate_gone_in(frame, &answer, &news->trouble) < 0)
            continue;
        if (answer.kind == GONE_ANSWER_OK)
            acknowledge(desk, &answer, news);
        else
            (void)berth_fail(&news->trouble, BERTH_EPROTO, "the broker refused it: %s",
                             answer.sentence);
    }
}

static void send_due(struct gone_desk *desk, int64_t now_ms)
{
    bool is_connected = desk->socket && worker_socket_connected(desk->socket);
    BERTH_LIST_FOREACH (node, &desk->certificates) {
        struct certificate *certificate = certificate_of(node);
        if (is_connected || certificate->due_ms <= now_ms)
            send_one(desk, certificate, now_ms);
    }
}

static void close_socket(struct gone_desk *desk)
{
    worker_socket_close(desk->socket, 0);
    desk->socket = NULL;
}

void gone_turn(struct gone_desk *desk, int64_t now_ms, struct gone_news *ret_news)
{
    *ret_news = (struct gone_news){ .acknowledged_count = 0 };
    if (desk->count == 0)
        return;
    (void)open_socket(desk, now_ms, &ret_news->trouble);
    if (desk->socket)
        take_answers(desk, now_ms, ret_news);
    send_due(desk, now_ms);
    /* An idle keeper has no connection and no thread of ZeroMQ's; a silent broker gets a new one.
     */
    if (desk->count == 0 || now_ms - desk->heard_ms >= GONE_SILENT_MS)
        close_socket(desk);
}

size_t gone_count(const struct gone_desk *desk)
{
    return desk->count;
}

int64_t gone_next_deadline_ms(struct gone_desk *desk)
{
    int64_t next_ms = INT64_MAX;
    BERTH_LIST_FOREACH (node, &desk->certificates) {
        int64_t due_ms = certificate_of(node)->due_ms;
        if (due_ms < next_ms)
            next_ms = due_ms;
    }
    return next_ms;
}

void gone_wait(struct gone_desk *desk, int fd, int64_t timeout_ms)
{
    if (desk->socket) {
        (void)worker_socket_wait(desk->socket, fd, timeout_ms);
        return;
    }
    struct pollfd ready = { .fd = fd, .events = POLLIN };
    (void)poll(&ready, 1, timeout_ms < 0 ? -1 : timeout_ms < INT_MAX ? (int)timeout_ms : INT_MAX);
}
