/* SPDX-License-Identifier: MIT */
/* Frames to events; see translate.h. */
#include "worker/net/translate.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/text.h"
#include "proto/columns.h"
#include "proto/errors.h"
#include "proto/validate.h"
#include "proto/wire.h"
#include "worker/net/translate_scope.h"

static int take_message(const Berth__V1__Envelope *envelope, struct berth_arena *arena,
                        struct heard *ret_heard);

/* To a question of the host's, who knows how to read it. */
static bool is_answer(const Berth__V1__Envelope *envelope)
{
    bool can_be = envelope->message_case == BERTH__V1__ENVELOPE__MESSAGE_JOBS ||
                  envelope->message_case == BERTH__V1__ENVELOPE__MESSAGE_ERROR;
    return can_be && envelope->request != 0;
}

int translate_in(struct berth_slice frame, struct berth_arena *arena, struct heard *ret_heard,
                 struct berth_error *err)
{
    Berth__V1__Envelope *envelope;
    int rc = berth_wire_unpack(frame, arena, &envelope, err);
    if (rc < 0)
        return rc;
    if (is_answer(envelope)) {
        *ret_heard = (struct heard){ .kind = HEARD_ANSWER, .number = envelope->request };
        return 0;
    }
    rc = berth_validate(envelope, BERTH_SIDE_WORKER, err, NULL);
    if (rc < 0)
        return berth_fail_wrap(err, rc, "%s", berth_wire_name(envelope));
    struct heard heard = { .kind = HEARD_EVENT };
    rc = take_message(envelope, arena, &heard);
    if (rc < 0)
        return berth_fail(err, rc, "take %s", berth_wire_name(envelope));
    *ret_heard = heard;
    return 0;
}

static void copy_id(uint8_t ret_id[BERTH_ID_BYTES], ProtobufCBinaryData id)
{
    memset(ret_id, 0, BERTH_ID_BYTES);
    if (id.len == BERTH_ID_BYTES)
        memcpy(ret_id, id.data, BERTH_ID_BYTES);
}

static void take_welcome(const Berth__V1__WorkerWelcome *message, struct agent_event *event)
{
    event->type = AGENT_EV_WELCOME;
    event->welcome.session = message->session;
    event->welcome.lineage = message->lineage;
    event->welcome.epoch = message->epoch;
    event->welcome.lease_ms = message->lease_ms;
    event->welcome.worker_lease_ms = message->worker_lease_ms;
    event->welcome.renew_ms = message->renew_ms;
    event->welcome.child = message->child;
    copy_id(event->welcome.nonce, message->nonce);
}

static void take_joined(const Berth__V1__WorkerJoined *message, struct agent_event *event)
{
    event->type = AGENT_EV_JOINED;
    event->joined.session = message->session;
    event->joined.epoch = message->epoch;
    event->joined.join = message->join;
    event->joined.renewal = message->renewal;
}

static void take_renewed(const Berth__V1__WorkerRenewed *message, struct agent_event *event)
{
    event->type = AGENT_EV_RENEWED;
    event->renewed.session = message->session;
    event->renewed.epoch = message->epoch;
    event->renewed.join = message->join;
    event->renewed.renewal = message->renewal;
    event->renewed.sent = message->sent;
    event->renewed.taken = message->taken;
    event->renewed.join_again = message->join_again;
}

static void take_fenced(const Berth__V1__WorkerFenced *message, struct agent_event *event)
{
    event->type = AGENT_EV_FENCED;
    event->fenced.session = message->session;
    event->fenced.child = message->child;
    event->fenced.reason = berth_slice_from(message->reason);
    copy_id(event->fenced.nonce, message->nonce);
}

static int take_grants(const Berth__V1__WorkerOrders *m, struct berth_arena *arena,
                       struct agent_event *event)
{
    size_t count = m->n_grant_attempt;
    struct agent_grant *grants = berth_arena_alloc_array(arena, count, sizeof *grants);
    if (!grants)
        return -ENOMEM;
    struct berth_spans bodies =
        berth_spans_of(m->grant_body_bytes, m->n_grant_body_bytes, m->grant_bodies);
    for (size_t i = 0; i < count; i++) {
        uint32_t dispatcher = berth_column_u32(m->grant_dispatcher, m->n_grant_dispatcher, i);
        uint32_t handler = berth_column_u32(m->grant_handler, m->n_grant_handler, i);
        BERTH_ASSERT(dispatcher < m->n_dispatchers);
        BERTH_ASSERT(handler < m->n_handlers);
        grants[i] = (struct agent_grant){
            .attempt = m->grant_attempt[i],
            .job = berth_column_u64(m->grant_job, m->n_grant_job, i),
            .dispatcher = berth_slice_from(m->dispatchers[dispatcher]),
            .handler = berth_slice_from(m->handlers[handler]),
            .number = berth_column_u32(m->grant_number, m->n_grant_number, i),
            .timeout_ms = (int64_t)berth_column_u64(m->grant_timeout_ms, m->n_grant_timeout_ms, i),
            .grace_ms = (int64_t)berth_column_u64(m->grant_grace_ms, m->n_grant_grace_ms, i),
            .deadline_ms =
                (int64_t)berth_column_u64(m->grant_deadline_ms, m->n_grant_deadline_ms, i),
            .body = berth_spans_next(&bodies),
        };
    }
    event->orders.grants = grants;
    event->orders.grant_count = count;
    return 0;
}

static enum agent_cancel_reason cancel_reason(uint32_t reason)
{
    switch ((Berth__V1__CancelReason)reason) {
    case BERTH__V1__CANCEL_REASON__CANCEL_REASON_DEADLINE: return AGENT_CANCEL_DEADLINE;
    case BERTH__V1__CANCEL_REASON__CANCEL_REASON_CHILD: return AGENT_CANCEL_CHILD;
    case BERTH__V1__CANCEL_REASON__CANCEL_REASON_CANCEL: break;
    default: break; /* 0: not said */
    }
    return AGENT_CANCEL_JOB;
}

static int take_cancels(const Berth__V1__WorkerOrders *m, struct berth_arena *arena,
                        struct agent_event *event)
{
    size_t count = m->n_cancel_attempt;
    struct agent_cancel *cancels = berth_arena_alloc_array(arena, count, sizeof *cancels);
    if (!cancels)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++) {
        cancels[i].attempt = m->cancel_attempt[i];
        cancels[i].grace_ms =
            (int64_t)berth_column_u64(m->cancel_grace_ms, m->n_cancel_grace_ms, i);
        cancels[i].reason =
            cancel_reason(berth_column_u32(m->cancel_reason, m->n_cancel_reason, i));
        cancels[i].is_forced = berth_column_u32(m->cancel_is_forced, m->n_cancel_is_forced, i) != 0;
    }
    event->orders.cancels = cancels;
    event->orders.cancel_count = count;
    return 0;
}

static int take_orders(const Berth__V1__WorkerOrders *m, struct berth_arena *arena,
                       struct agent_event *event)
{
    event->type = AGENT_EV_ORDERS;
    event->orders.session = m->session;
    event->orders.epoch = m->epoch;
    event->orders.join = m->join;
    event->orders.number = m->number;
    event->orders.start_alone = m->start_alone;
    bool *is_stale = berth_arena_alloc_array(arena, m->n_ack_attempt, sizeof *is_stale);
    if (!is_stale)
        return -ENOMEM;
    for (size_t i = 0; i < m->n_ack_attempt; i++)
        is_stale[i] = berth_column_u32(m->ack_is_stale, m->n_ack_is_stale, i) != 0;
    event->orders.acks = m->ack_attempt;
    event->orders.ack_is_stale = is_stale;
    event->orders.ack_count = m->n_ack_attempt;
    int rc = take_grants(m, arena, event);
    if (rc >= 0)
        rc = take_cancels(m, arena, event);
    return rc < 0 ? rc : translate_scope_in(m, arena, event);
}

static void take_error(const Berth__V1__Error *error, struct heard *heard)
{
    struct berth_error said;
    (void)berth_wire_error_fail(error, &said);
    heard->kind = HEARD_REFUSAL;
    (void)snprintf(heard->sentence, sizeof heard->sentence, "%s", said.message);
}

static int take_message(const Berth__V1__Envelope *envelope, struct berth_arena *arena,
                        struct heard *heard)
{
    struct agent_event *event = &heard->event;
    switch ((int)envelope->message_case) {
    case BERTH__V1__ENVELOPE__MESSAGE_WORKER_WELCOME:
        take_welcome(envelope->worker_welcome, event);
        return 0;
    case BERTH__V1__ENVELOPE__MESSAGE_WORKER_JOINED:
        take_joined(envelope->worker_joined, event);
        return 0;
    case BERTH__V1__ENVELOPE__MESSAGE_WORKER_RENEWED:
        take_renewed(envelope->worker_renewed, event);
        return 0;
    case BERTH__V1__ENVELOPE__MESSAGE_WORKER_EPOCH:
        event->type = AGENT_EV_EPOCH;
        event->epoch.epoch = envelope->worker_epoch->epoch;
        event->epoch.lineage = envelope->worker_epoch->lineage;
        return 0;
    case BERTH__V1__ENVELOPE__MESSAGE_WORKER_FENCED:
        take_fenced(envelope->worker_fenced, event);
        return 0;
    case BERTH__V1__ENVELOPE__MESSAGE_WORKER_ORDERS:
        return take_orders(envelope->worker_orders, arena, event);
    case BERTH__V1__ENVELOPE__MESSAGE_WORKER_GONE_OK:
        heard->kind = HEARD_GONE_OK;
        heard->session = envelope->worker_gone_ok->session;
        return 0;
    case BERTH__V1__ENVELOPE__MESSAGE_ERROR: take_error(envelope->error, heard); return 0;
    default: return BERTH_EPROTO; /* validated, but for another kind of worker than this */
    }
}
