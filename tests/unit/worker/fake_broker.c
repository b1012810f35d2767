/* SPDX-License-Identifier: MIT */
#include "fake_broker.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <zmq.h>

#include "base/clock.h"
#include "base/text.h"
#include "proto/body.h"
#include "proto/columns.h"
#include "proto/validate.h"
#include "proto/wire.h"
#include "support/await.h"

#define PUT(message, field, value) ((message)->has_##field = 1, (message)->field = (value))

static void listen_on(struct fake_broker *broker, const char *url)
{
    int linger_ms = 0, is_mandatory = 1;
    broker->router = zmq_socket(broker->context, ZMQ_ROUTER);
    assert_non_null(broker->router);
    assert_int_equal(zmq_setsockopt(broker->router, ZMQ_LINGER, &linger_ms, sizeof linger_ms), 0);
    assert_int_equal(
        zmq_setsockopt(broker->router, ZMQ_ROUTER_MANDATORY, &is_mandatory, sizeof is_mandatory),
        0);
    int64_t until_ms = berth_clock_monotonic_ms() + FAKE_AWAIT_MS;
    while (zmq_bind(broker->router, url) < 0) /* the port may be on its way out */
        assert_true(berth_clock_monotonic_ms() < until_ms);
    size_t bytes = sizeof broker->url;
    assert_int_equal(zmq_getsockopt(broker->router, ZMQ_LAST_ENDPOINT, broker->url, &bytes), 0);
}

void fake_open(struct fake_broker *broker)
{
    *broker = (struct fake_broker){ .lease_ms = FAKE_LEASE_MS,
                                    .worker_lease_ms = FAKE_K_MS,
                                    .renew_ms = FAKE_R_MS,
                                    .epoch = FAKE_EPOCH,
                                    .session = FAKE_SESSION };
    berth_arena_init(&broker->arena, BERTH_WIRE_BUDGET_MAX);
    berth_buf_init(&broker->frame, BERTH_FRAME_BYTES_MAX);
    broker->context = zmq_ctx_new();
    (void)snprintf(broker->url, sizeof broker->url, "tcp://127.0.0.1:%u", free_port());
    listen_on(broker, broker->url);
}

void fake_close(struct fake_broker *broker)
{
    (void)zmq_close(broker->router);
    (void)zmq_ctx_term(broker->context);
    berth_arena_fini(&broker->arena);
    berth_buf_fini(&broker->frame);
}

void fake_restart(struct fake_broker *broker)
{
    char url[sizeof broker->url];
    memcpy(url, broker->url, sizeof url);
    (void)zmq_close(broker->router);
    listen_on(broker, url);
}

static bool await_readable_router(struct fake_broker *broker, int64_t timeout_ms)
{
    zmq_pollitem_t item = { .socket = broker->router, .events = ZMQ_POLLIN };
    return zmq_poll(&item, 1, (long)timeout_ms) > 0;
}

const Berth__V1__Envelope *fake_await(struct fake_broker *broker, int message_case)
{
    int64_t until_ms = berth_clock_monotonic_ms() + FAKE_AWAIT_MS;
    for (;;) {
        int64_t left_ms = until_ms - berth_clock_monotonic_ms();
        if (left_ms <= 0 || !await_readable_router(broker, left_ms))
            fail_msg("no message %d came", message_case);
        int bytes = zmq_recv(broker->router, broker->peer, sizeof broker->peer, 0);
        assert_true(bytes > 0);
        broker->peer_bytes = (size_t)bytes;
        zmq_msg_t frame;
        (void)zmq_msg_init(&frame);
        assert_true(zmq_msg_recv(&frame, broker->router, 0) >= 0);
        assert_false(zmq_msg_more(&frame));
        Berth__V1__Envelope *envelope;
        struct berth_error err;
        berth_arena_reset(&broker->arena);
        struct berth_slice slice = { zmq_msg_data(&frame), zmq_msg_size(&frame) };
        if (berth_wire_unpack(slice, &broker->arena, &envelope, &err) < 0 ||
            berth_validate(envelope, BERTH_SIDE_BROKER, &err, NULL) < 0)
            fail_msg("%s", err.message);
        (void)zmq_msg_close(&frame);
        if ((int)envelope->message_case == message_case)
            return envelope;
    }
}

void fake_say_bytes(struct fake_broker *broker, const void *data, size_t bytes)
{
    assert_true(zmq_send(broker->router, broker->peer, broker->peer_bytes, ZMQ_SNDMORE) >= 0);
    assert_true(zmq_send(broker->router, data, bytes, 0) >= 0);
}

static void say(struct fake_broker *broker, Berth__V1__Envelope *envelope)
{
    berth_buf_clear(&broker->frame);
    assert_ok(berth_wire_pack(envelope, &broker->frame));
    fake_say_bytes(broker, broker->frame.data, broker->frame.bytes);
}

#define SAY(broker, NAME, member, message_)                                                        \
    do {                                                                                           \
        Berth__V1__Envelope envelope_;                                                             \
        berth_wire_init(&envelope_, 0);                                                            \
        envelope_.message_case = BERTH__V1__ENVELOPE__MESSAGE_##NAME;                              \
        envelope_.member = (message_);                                                             \
        say((broker), &envelope_);                                                                 \
    } while (0)

void fake_say_epoch(struct fake_broker *broker)
{
    Berth__V1__WorkerEpoch message = BERTH__V1__WORKER_EPOCH__INIT;
    PUT(&message, epoch, broker->epoch);
    PUT(&message, lineage, FAKE_LINEAGE);
    SAY(broker, WORKER_EPOCH, worker_epoch, &message);
}

void fake_say_welcome(struct fake_broker *broker, const Berth__V1__WorkerHello *hello)
{
    Berth__V1__WorkerWelcome message = BERTH__V1__WORKER_WELCOME__INIT;
    PUT(&message, session, broker->session);
    PUT(&message, epoch, broker->epoch);
    PUT(&message, lineage, FAKE_LINEAGE);
    PUT(&message, lease_ms, broker->lease_ms);
    PUT(&message, worker_lease_ms, broker->worker_lease_ms);
    PUT(&message, renew_ms, broker->renew_ms);
    PUT(&message, nonce, hello->nonce);
    PUT(&message, child, hello->child);
    broker->orders = 0;
    broker->join = 1;
    SAY(broker, WORKER_WELCOME, worker_welcome, &message);
}

void fake_say_joined(struct fake_broker *broker, uint64_t renewal)
{
    Berth__V1__WorkerJoined message = BERTH__V1__WORKER_JOINED__INIT;
    PUT(&message, session, broker->session);
    PUT(&message, epoch, broker->epoch);
    PUT(&message, join, broker->join);
    PUT(&message, renewal, renewal);
    SAY(broker, WORKER_JOINED, worker_joined, &message);
}

void fake_say_renewed(struct fake_broker *broker, const Berth__V1__WorkerRenew *renew)
{
    Berth__V1__WorkerRenewed message = BERTH__V1__WORKER_RENEWED__INIT;
    PUT(&message, session, renew->session);
    PUT(&message, epoch, renew->epoch);
    PUT(&message, join, renew->join);
    PUT(&message, renewal, renew->renewal);
    PUT(&message, sent, broker->orders);
    PUT(&message, taken, renew->sent);
    SAY(broker, WORKER_RENEWED, worker_renewed, &message);
}

void fake_say_fenced(struct fake_broker *broker)
{
    Berth__V1__WorkerFenced message = BERTH__V1__WORKER_FENCED__INIT;
    PUT(&message, session, broker->session);
    PUT(&message, reason, berth_bytes_of(berth_slice_of("the test says so")));
    SAY(broker, WORKER_FENCED, worker_fenced, &message);
}

void fake_say_gone_ok(struct fake_broker *broker)
{
    Berth__V1__WorkerGoneOk message = BERTH__V1__WORKER_GONE_OK__INIT;
    PUT(&message, session, broker->session);
    SAY(broker, WORKER_GONE_OK, worker_gone_ok, &message);
}

static Berth__V1__WorkerOrders orders_next(struct fake_broker *broker)
{
    Berth__V1__WorkerOrders message = BERTH__V1__WORKER_ORDERS__INIT;
    PUT(&message, session, broker->session);
    PUT(&message, epoch, broker->epoch);
    PUT(&message, join, broker->join);
    PUT(&message, number, ++broker->orders);
    return message;
}

void fake_say_grant(struct fake_broker *broker, uint64_t attempt, const char *handler,
                    const char *payload)
{
    struct berth_buf body;
    berth_buf_init(&body, BERTH_BODY_BYTES_MAX);
    const struct berth_body spec = { .payload = berth_slice_of(payload) };
    assert_ok(berth_body_pack(&spec, &body, NULL));
    uint64_t job = 100 + (attempt & 0xff), grace_ms = 5000;
    uint32_t index = 0, number = 1, body_bytes = (uint32_t)body.bytes;
    ProtobufCBinaryData dispatcher = berth_bytes_of(berth_slice_of("newsletter"));
    ProtobufCBinaryData name = berth_bytes_of(berth_slice_of(handler));
    Berth__V1__WorkerOrders message = orders_next(broker);
    message.n_grant_attempt = 1, message.grant_attempt = &attempt;
    message.n_grant_job = 1, message.grant_job = &job;
    message.n_dispatchers = 1, message.dispatchers = &dispatcher;
    message.n_handlers = 1, message.handlers = &name;
    message.n_grant_dispatcher = 1, message.grant_dispatcher = &index;
    message.n_grant_handler = 1, message.grant_handler = &index;
    message.n_grant_number = 1, message.grant_number = &number;
    message.n_grant_grace_ms = 1, message.grant_grace_ms = &grace_ms;
    message.n_grant_body_bytes = 1, message.grant_body_bytes = &body_bytes;
    PUT(&message, grant_bodies, berth_bytes_of(berth_buf_slice(&body)));
    SAY(broker, WORKER_ORDERS, worker_orders, &message);
    berth_buf_fini(&body);
}

void fake_say_cancel(struct fake_broker *broker, uint64_t attempt)
{
    Berth__V1__WorkerOrders message = orders_next(broker);
    message.n_cancel_attempt = 1, message.cancel_attempt = &attempt;
    SAY(broker, WORKER_ORDERS, worker_orders, &message);
}

void fake_say_resume(struct fake_broker *broker, uint64_t attempt, uint32_t number)
{
    Berth__V1__WorkerOrders message = orders_next(broker);
    message.n_resume_attempt = 1, message.resume_attempt = &attempt;
    message.n_resume_number = 1, message.resume_number = &number;
    SAY(broker, WORKER_ORDERS, worker_orders, &message);
}

void fake_say_ack(struct fake_broker *broker, uint64_t attempt)
{
    Berth__V1__WorkerOrders message = orders_next(broker);
    message.n_ack_attempt = 1, message.ack_attempt = &attempt;
    SAY(broker, WORKER_ORDERS, worker_orders, &message);
}

void fake_join(struct fake_broker *broker)
{
    const Berth__V1__Envelope *envelope;
    do {
        envelope = fake_await(broker, BERTH__V1__ENVELOPE__MESSAGE_WORKER_HELLO);
        if (envelope->worker_hello->epoch != broker->epoch)
            fake_say_epoch(broker);
    } while (envelope->worker_hello->epoch != broker->epoch);
    fake_say_welcome(broker, envelope->worker_hello);
}
