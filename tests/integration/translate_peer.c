/* SPDX-License-Identifier: MIT
 *
 * A peer of the broker that speaks the wire by hand.
 */
#include "support/berthtest.h"

#include "translate_peer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <zmq.h>

#include "base/clock.h"
#include "proto/columns.h"
#include "proto/validate.h"
#include "proto/wire.h"

#define REPEAT_MS 1000

void peer_open(struct peer *peer, const char *url, const char *name)
{
    int linger = 0, receive_max = 4;
    *peer = (struct peer){ .context = zmq_ctx_new() };
    peer->socket = zmq_socket(peer->context, ZMQ_DEALER);
    assert_non_null(peer->socket);
    (void)snprintf(peer->client, sizeof peer->client, "%-16s", name);
    assert_int_equal(zmq_setsockopt(peer->socket, ZMQ_LINGER, &linger, sizeof linger), 0);
    /* What a peer does not take shall wait at the broker, not in its own memory. */
    assert_int_equal(zmq_setsockopt(peer->socket, ZMQ_RCVHWM, &receive_max, sizeof receive_max), 0);
    assert_int_equal(zmq_connect(peer->socket, url), 0);
    berth_arena_init(&peer->arena, BERTH_WIRE_BUDGET_MAX);
    berth_buf_init(&peer->frame, BERTH_FRAME_BYTES_MAX);
}

void peer_close(struct peer *peer)
{
    (void)zmq_close(peer->socket);
    (void)zmq_ctx_term(peer->context);
    berth_arena_fini(&peer->arena);
    berth_buf_fini(&peer->frame);
}

void peer_send_bytes(struct peer *peer, const void *data, size_t bytes, size_t frames)
{
    for (size_t i = 0; i < frames; i++) {
        int flags = i + 1 < frames ? ZMQ_SNDMORE : 0;
        assert_int_equal(zmq_send(peer->socket, data, bytes, flags), (int)bytes);
    }
}

static ProtobufCBinaryData bytes_of(const char *text)
{
    return (ProtobufCBinaryData){ .data = (uint8_t *)(uintptr_t)text, .len = strlen(text) };
}

static void begin(struct peer *peer, Berth__V1__Envelope *envelope)
{
    berth_wire_init(envelope, ++peer->request);
}

static void send_envelope(struct peer *peer, const Berth__V1__Envelope *envelope)
{
    berth_buf_clear(&peer->frame);
    assert_int_equal(berth_wire_pack(envelope, &peer->frame), 0);
    peer_repeat(peer);
}

#define SEND(peer, e, CASE, member_, message_)                                                     \
    do {                                                                                           \
        (e)->message_case = BERTH__V1__ENVELOPE__MESSAGE_##CASE;                                   \
        (e)->member_ = (message_);                                                                 \
        send_envelope(peer, e);                                                                    \
    } while (0)

void peer_repeat(struct peer *peer)
{
    peer_send_bytes(peer, berth_buf_text(&peer->frame), peer->frame.bytes, 1);
}

void peer_repeat_in_version(struct peer *peer, uint32_t version)
{
    Berth__V1__Envelope *envelope;
    struct berth_error err;
    berth_arena_reset(&peer->arena);
    assert_int_equal(
        berth_wire_unpack(berth_buf_slice(&peer->frame), &peer->arena, &envelope, &err), 0);
    envelope->version = version;
    send_envelope(peer, envelope);
}

static void submit_to(struct peer *peer, const char *dispatcher, const char *handler,
                      Berth__V1__Submit *m)
{
    Berth__V1__Envelope e;
    ProtobufCBinaryData dispatchers = bytes_of(dispatcher), handlers = bytes_of(handler);
    m->has_client = m->has_bodies = 1;
    m->client = bytes_of(peer->client);
    m->n_dispatchers = m->n_handlers = 1;
    m->dispatchers = &dispatchers;
    m->handlers = &handlers;
    begin(peer, &e);
    SEND(peer, &e, SUBMIT, submit, m);
}

void peer_submit(struct peer *peer, const char *dispatcher, const char *handler, size_t count,
                 size_t body_bytes)
{
    Berth__V1__Submit m = BERTH__V1__SUBMIT__INIT;
    uint32_t *lengths = calloc(count, sizeof *lengths);
    uint8_t *bodies = calloc(count, body_bytes + 1);
    assert_non_null(lengths);
    assert_non_null(bodies);
    for (size_t i = 0; i < count; i++)
        lengths[i] = (uint32_t)body_bytes;
    m.n_body_bytes = count;
    m.body_bytes = lengths;
    m.bodies = (ProtobufCBinaryData){ .data = bodies, .len = count * body_bytes };
    submit_to(peer, dispatcher, handler, &m);
    free(lengths);
    free(bodies);
}

void peer_submit_with_key(struct peer *peer, const char *dispatcher, const char *key,
                          const char *body)
{
    Berth__V1__Submit m = BERTH__V1__SUBMIT__INIT;
    uint32_t key_bytes = (uint32_t)strlen(key), body_bytes = (uint32_t)strlen(body);
    m.n_body_bytes = m.n_key_bytes = 1;
    m.body_bytes = &body_bytes;
    m.bodies = bytes_of(body);
    m.key_bytes = &key_bytes;
    m.has_keys = 1;
    m.keys = bytes_of(key);
    submit_to(peer, dispatcher, "exec", &m);
}

void peer_get(struct peer *peer, const uint64_t *ids, size_t count)
{
    Berth__V1__Envelope e;
    Berth__V1__JobGet m = BERTH__V1__JOB_GET__INIT;
    m.n_id = count;
    m.id = (uint64_t *)(uintptr_t)ids;
    begin(peer, &e);
    SEND(peer, &e, JOB_GET, job_get, &m);
}

void peer_list(struct peer *peer)
{
    Berth__V1__Envelope e;
    Berth__V1__JobList m = BERTH__V1__JOB_LIST__INIT;
    begin(peer, &e);
    SEND(peer, &e, JOB_LIST, job_list, &m);
}

void peer_wait_all(struct peer *peer, const uint64_t *ids, size_t count)
{
    Berth__V1__Envelope e;
    Berth__V1__JobWait m = BERTH__V1__JOB_WAIT__INIT;
    m.n_id = count;
    m.id = (uint64_t *)(uintptr_t)ids;
    begin(peer, &e);
    SEND(peer, &e, JOB_WAIT, job_wait, &m);
}

void peer_wait(struct peer *peer, uint64_t id)
{
    peer_wait_all(peer, &id, 1);
}

void peer_cancel_all(struct peer *peer, const uint64_t *ids, size_t count)
{
    Berth__V1__Envelope e;
    Berth__V1__JobCancel m = BERTH__V1__JOB_CANCEL__INIT;
    m.n_id = count;
    m.id = (uint64_t *)(uintptr_t)ids;
    begin(peer, &e);
    SEND(peer, &e, JOB_CANCEL, job_cancel, &m);
}

void peer_cancel(struct peer *peer, uint64_t id)
{
    peer_cancel_all(peer, &id, 1);
}

void peer_hello(struct peer *peer)
{
    Berth__V1__Envelope e;
    Berth__V1__ClientHello m = BERTH__V1__CLIENT_HELLO__INIT;
    m.has_client = 1;
    m.client = bytes_of(peer->client);
    begin(peer, &e);
    SEND(peer, &e, CLIENT_HELLO, client_hello, &m);
}

void peer_status(struct peer *peer)
{
    Berth__V1__Envelope e;
    Berth__V1__BrokerStatusGet m = BERTH__V1__BROKER_STATUS_GET__INIT;
    begin(peer, &e);
    SEND(peer, &e, BROKER_STATUS_GET, broker_status_get, &m);
}

void peer_set_limit(struct peer *peer, const char *dispatcher, uint32_t limit)
{
    Berth__V1__Envelope e;
    Berth__V1__DispatcherSet m = BERTH__V1__DISPATCHER_SET__INIT;
    m.has_name = m.has_limit_kind = m.has_limit_value = 1;
    m.name = bytes_of(dispatcher);
    m.limit_kind = BERTH__V1__LIMIT_KIND__LIMIT_NUMBER;
    m.limit_value = limit;
    begin(peer, &e);
    SEND(peer, &e, DISPATCHER_SET, dispatcher_set, &m);
}

void peer_pause(struct peer *peer, const char *dispatcher, bool is_paused)
{
    Berth__V1__Envelope e;
    Berth__V1__DispatcherPause m = BERTH__V1__DISPATCHER_PAUSE__INIT;
    m.has_name = m.has_is_paused = 1;
    m.name = bytes_of(dispatcher);
    m.is_paused = is_paused;
    begin(peer, &e);
    SEND(peer, &e, DISPATCHER_PAUSE, dispatcher_pause, &m);
}

void peer_show_dispatcher(struct peer *peer, const char *dispatcher)
{
    Berth__V1__Envelope e;
    Berth__V1__DispatcherGet m = BERTH__V1__DISPATCHER_GET__INIT;
    m.has_name = 1;
    m.name = bytes_of(dispatcher);
    begin(peer, &e);
    SEND(peer, &e, DISPATCHER_GET, dispatcher_get, &m);
}

/* ---- answers ---- */

static void copy_text(char *to, size_t to_bytes, ProtobufCBinaryData from)
{
    (void)snprintf(to, to_bytes, "%.*s", (int)from.len, (const char *)from.data);
}

static void read_jobs(const Berth__V1__Jobs *m, struct peer_answer *answer)
{
    assert_in_range(m->n_job, 0, PEER_IDS_MAX);
    for (size_t i = 0; i < m->n_job; i++) {
        answer->ids[i] = m->job[i]->id;
        answer->states[i] = m->job[i]->state;
        answer->body_bytes += m->job[i]->body.len;
    }
    answer->count = m->n_job;
    answer->next = m->next;
    answer->unknown_count = m->n_unknown;
}

static void read_states(const uint64_t *ids, const uint32_t *states, size_t count,
                        struct peer_answer *answer)
{
    for (size_t i = 0; i < count && i < PEER_IDS_MAX; i++) {
        answer->ids[i] = ids[i];
        answer->states[i] = states ? states[i] : 0;
    }
    answer->count = count;
}

static void read_answer(const Berth__V1__Envelope *e, struct peer_answer *answer)
{
    *answer = (struct peer_answer){ .name = berth_wire_name(e), .request = e->request };
    switch (e->message_case) {
    case BERTH__V1__ENVELOPE__MESSAGE_ERROR:
        answer->code = e->error->code;
        copy_text(answer->field, sizeof answer->field, e->error->field);
        copy_text(answer->message, sizeof answer->message, e->error->message);
        answer->version_min = e->error->version_min;
        answer->version_max = e->error->version_max;
        return;
    case BERTH__V1__ENVELOPE__MESSAGE_CLIENT_WELCOME:
        answer->epoch = e->client_welcome->epoch;
        return;
    case BERTH__V1__ENVELOPE__MESSAGE_SUBMITTED:
        if (e->submitted->n_refused > 0) {
            answer->code = e->submitted->refused_code[0];
            copy_text(answer->field, sizeof answer->field, e->submitted->refused_field[0]);
            copy_text(answer->message, sizeof answer->message, e->submitted->refused_message[0]);
        }
        read_states(e->submitted->id, NULL, e->submitted->n_id, answer);
        return;
    case BERTH__V1__ENVELOPE__MESSAGE_JOB_WAITED:
        read_states(e->job_waited->id, e->job_waited->state, e->job_waited->n_id, answer);
        answer->pending = e->job_waited->pending;
        answer->unknown_count = e->job_waited->n_unknown;
        return;
    case BERTH__V1__ENVELOPE__MESSAGE_JOB_CANCELLED:
        read_states(e->job_cancelled->id, e->job_cancelled->state, e->job_cancelled->n_id, answer);
        return;
    case BERTH__V1__ENVELOPE__MESSAGE_JOBS: read_jobs(e->jobs, answer); return;
    case BERTH__V1__ENVELOPE__MESSAGE_DISPATCHERS:
        if (e->dispatchers->n_dispatcher > 0) {
            answer->limit_value = e->dispatchers->dispatcher[0]->limit_value;
            answer->is_paused = e->dispatchers->dispatcher[0]->is_paused;
        }
        return;
    case BERTH__V1__ENVELOPE__MESSAGE_BROKER_STATUS:
        answer->epoch = e->broker_status->epoch;
        return;
    default: return;
    }
}

/* 1: an answer; 0: none within the time. */
static int next_within(struct peer *peer, int64_t timeout_ms, struct peer_answer *ret_answer)
{
    zmq_pollitem_t item = { .socket = peer->socket, .events = ZMQ_POLLIN };
    if (zmq_poll(&item, 1, (long)(timeout_ms < 0 ? 0 : timeout_ms)) <= 0)
        return 0;
    zmq_msg_t message;
    (void)zmq_msg_init(&message);
    assert_true(zmq_msg_recv(&message, peer->socket, 0) >= 0);
    assert_false(zmq_msg_more(&message));

    const struct berth_slice frame = { .data = zmq_msg_data(&message),
                                       .bytes = zmq_msg_size(&message) };
    Berth__V1__Envelope *envelope;
    struct berth_error err;
    berth_arena_reset(&peer->arena);
    if (berth_wire_unpack(frame, &peer->arena, &envelope, &err) < 0 ||
        berth_validate(envelope, BERTH_SIDE_CLIENT, &err, NULL) < 0)
        fail_msg("%s", err.message);
    read_answer(envelope, ret_answer);
    (void)zmq_msg_close(&message);
    return 1;
}

bool peer_next(struct peer *peer, struct peer_answer *ret_answer)
{
    return next_within(peer, PEER_TIMEOUT_MS, ret_answer) == 1;
}

struct peer_answer peer_await(struct peer *peer, const char *name)
{
    int64_t now_ms = berth_clock_monotonic_ms();
    int64_t until_ms = now_ms + PEER_TIMEOUT_MS, repeat_ms = now_ms + REPEAT_MS;
    struct peer_answer answer;
    for (;; now_ms = berth_clock_monotonic_ms()) {
        if (now_ms >= until_ms)
            fail_msg("no %s within %d ms", name, PEER_TIMEOUT_MS);
        if (now_ms >= repeat_ms) {
            peer_repeat(peer);
            repeat_ms = now_ms + REPEAT_MS;
        }
        if (next_within(peer, repeat_ms - now_ms, &answer) != 1 || answer.request != peer->request)
            continue;
        if (strcmp(answer.name, name) != 0)
            fail_msg("%s (%s: %s), not %s", answer.name, answer.field, answer.message, name);
        return answer;
    }
}
