/* SPDX-License-Identifier: MIT
 *
 * A ROUTER with as much of the protocol as the keeper speaks.
 */
#include "translate_broker.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <zmq.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "proto/columns.h"
#include "proto/validate.h"
#include "proto/wire.h"
#include "support/await.h"

#define PEER_BYTES_MAX 64
#define URL_BYTES_MAX  64

struct broker {
    void *context, *router;
    char url[URL_BYTES_MAX];
    unsigned char peer[PEER_BYTES_MAX]; /* whom the last frame came from */
    size_t peer_bytes;
};

static void listen_on(struct broker *broker, const char *url)
{
    int linger_ms = 0;
    broker->router = zmq_socket(broker->context, ZMQ_ROUTER);
    assert_non_null(broker->router);
    assert_int_equal(zmq_setsockopt(broker->router, ZMQ_LINGER, &linger_ms, sizeof linger_ms), 0);
    /* The port of a socket just closed may be held for a moment. */
    int64_t deadline_ms = berth_clock_monotonic_ms() + BROKER_DEADLINE_MS;
    while (zmq_bind(broker->router, url) < 0) {
        assert_int_equal(errno, EADDRINUSE);
        assert_true(berth_clock_monotonic_ms() < deadline_ms);
    }
    size_t bytes = sizeof broker->url;
    assert_int_equal(zmq_getsockopt(broker->router, ZMQ_LAST_ENDPOINT, broker->url, &bytes), 0);
}

struct broker *broker_new(void)
{
    struct broker *broker = calloc(1, sizeof *broker);
    assert_non_null(broker);
    broker->context = zmq_ctx_new();
    (void)snprintf(broker->url, sizeof broker->url, "tcp://127.0.0.1:%u", free_port());
    listen_on(broker, broker->url);
    return broker;
}

void broker_free(struct broker *broker)
{
    if (broker->router)
        (void)zmq_close(broker->router);
    (void)zmq_ctx_term(broker->context);
    free(broker);
}

const char *broker_url(const struct broker *broker)
{
    return broker->url;
}

void broker_go_deaf(struct broker *broker)
{
    (void)zmq_close(broker->router);
    broker->router = NULL;
}

void broker_listen_again(struct broker *broker)
{
    char url[URL_BYTES_MAX];
    memcpy(url, broker->url, sizeof url);
    listen_on(broker, url);
}

static void read_gone(struct berth_slice frame, struct heard_gone *ret_gone)
{
    struct berth_arena arena;
    struct berth_error err;
    Berth__V1__Envelope *envelope;
    berth_arena_init(&arena, BERTH_WIRE_BUDGET_MAX);
    if (berth_wire_unpack(frame, &arena, &envelope, &err) < 0 ||
        berth_validate(envelope, BERTH_SIDE_BROKER, &err, NULL) < 0)
        fail_msg("the broker would refuse it: %s", err.message);
    assert_int_equal(envelope->message_case, BERTH__V1__ENVELOPE__MESSAGE_WORKER_GONE);
    const Berth__V1__WorkerGone *gone = envelope->worker_gone;
    *ret_gone = (struct heard_gone){ .session = gone->session,
                                     .child = gone->child,
                                     .cause = (int)gone->cause,
                                     .status = gone->status,
                                     .count = gone->n_attempt,
                                     .culprit = gone->culprit,
                                     .at_ms = berth_clock_monotonic_ms() };
    memcpy(ret_gone->nonce, gone->nonce.data, sizeof ret_gone->nonce);
    assert_in_range(gone->n_attempt, 0, BROKER_ATTEMPTS_MAX);
    for (size_t i = 0; i < gone->n_attempt; i++) {
        ret_gone->attempts[i] = gone->attempt[i];
        ret_gone->jobs[i] = berth_column_u64(gone->job, gone->n_job, i);
        ret_gone->numbers[i] = berth_column_u32(gone->number, gone->n_number, i);
    }
    berth_arena_fini(&arena);
}

bool broker_poll_gone(struct broker *broker, int timeout_ms, struct heard_gone *ret_gone)
{
    zmq_pollitem_t item = { .socket = broker->router, .events = ZMQ_POLLIN };
    if (zmq_poll(&item, 1, timeout_ms) <= 0)
        return false;
    int bytes = zmq_recv(broker->router, broker->peer, sizeof broker->peer, 0);
    assert_in_range(bytes, 1, PEER_BYTES_MAX);
    broker->peer_bytes = (size_t)bytes;
    zmq_msg_t frame;
    assert_int_equal(zmq_msg_init(&frame), 0);
    assert_true(zmq_msg_recv(&frame, broker->router, 0) > 0);
    assert_int_equal(zmq_msg_more(&frame), 0);
    read_gone((struct berth_slice){ zmq_msg_data(&frame), zmq_msg_size(&frame) }, ret_gone);
    assert_int_equal(zmq_msg_close(&frame), 0);
    assert_true(broker->peer_bytes >= sizeof ret_gone->peer);
    memcpy(&ret_gone->peer, broker->peer, sizeof ret_gone->peer);
    return true;
}

void broker_await_gone(struct broker *broker, struct heard_gone *ret_gone)
{
    assert_true(broker_poll_gone(broker, BROKER_DEADLINE_MS, ret_gone));
}

static void answer(struct broker *broker, const void *frame, size_t bytes)
{
    assert_true(zmq_send(broker->router, broker->peer, broker->peer_bytes, ZMQ_SNDMORE) >= 0);
    assert_true(zmq_send(broker->router, frame, bytes, 0) >= 0);
}

static void answer_with(struct broker *broker, const Berth__V1__Envelope *envelope)
{
    struct berth_buf buf;
    berth_buf_init(&buf, BERTH_FRAME_BYTES_MAX);
    assert_ok(berth_wire_pack(envelope, &buf));
    answer(broker, buf.data, buf.bytes);
    berth_buf_fini(&buf);
}

void broker_acknowledge(struct broker *broker, const struct heard_gone *gone, bool is_by_session)
{
    Berth__V1__Envelope envelope;
    Berth__V1__WorkerGoneOk ok = BERTH__V1__WORKER_GONE_OK__INIT;
    berth_wire_init(&envelope, 0);
    envelope.message_case = BERTH__V1__ENVELOPE__MESSAGE_WORKER_GONE_OK;
    envelope.worker_gone_ok = &ok;
    if (is_by_session) {
        ok.has_session = 1;
        ok.session = gone->session;
    } else {
        ok.has_nonce = ok.has_child = 1;
        ok.nonce = berth_bytes_of((struct berth_slice){ gone->nonce, sizeof gone->nonce });
        ok.child = gone->child;
    }
    answer_with(broker, &envelope);
}

void broker_refuse(struct broker *broker, const char *sentence)
{
    Berth__V1__Envelope envelope;
    Berth__V1__Error error = BERTH__V1__ERROR__INIT;
    berth_wire_init(&envelope, 0);
    envelope.message_case = BERTH__V1__ENVELOPE__MESSAGE_ERROR;
    envelope.error = &error;
    error.has_code = 1;
    error.code = BERTH__V1__ERROR_CODE__ERROR_DENIED;
    error.has_message = 1;
    error.message = berth_bytes_of((struct berth_slice){ sentence, strlen(sentence) });
    answer_with(broker, &envelope);
}

void broker_send_garbage(struct broker *broker)
{
    answer(broker, "\377\377\377", 3);
}
