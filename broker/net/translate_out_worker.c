/* SPDX-License-Identifier: MIT */
/* What goes to workers and keepers. */
#include "translate_state.h"

#include <string.h>

#include "base/assert.h"
#include "proto/columns.h"

#define SET       TRANSLATE_SET
#define SET_BYTES TRANSLATE_SET_BYTES

static void put_welcome(const struct berth_do_welcome *from, Berth__V1__WorkerWelcome *m);
static void put_renewed(const struct berth_do_joined *from, Berth__V1__WorkerRenewed *m);
static void put_fenced(const struct berth_do_fenced *from, Berth__V1__WorkerFenced *m);
static void put_gone_ok(const struct berth_do_fenced *from, Berth__V1__WorkerGoneOk *m);
static int put_orders(struct berth_arena *arena, const struct berth_do_orders *from,
                      Berth__V1__WorkerOrders *m);

static struct berth_slice id_slice(const uint8_t id[static BERTH_ID_BYTES])
{
    return (struct berth_slice){ .data = id, .bytes = BERTH_ID_BYTES };
}

int translate_worker_effect(struct berth_arena *arena, const struct berth_effect *effect,
                            union translate_message *message, Berth__V1__Envelope *envelope)
{
    Berth__V1__WorkerJoined *joined;
    Berth__V1__WorkerEpoch *epoch;
    switch (effect->type) {
    case BERTH_DO_WELCOME:
        put_welcome(&effect->welcome,
                    TRANSLATE_BEGIN(message, envelope, worker_welcome, WORKER_WELCOME));
        return 0;
    case BERTH_DO_JOINED:
        joined = TRANSLATE_BEGIN(message, envelope, worker_joined, WORKER_JOINED);
        SET(joined, session, effect->joined.session);
        SET(joined, epoch, (uint32_t)effect->joined.epoch);
        SET(joined, join, effect->joined.join);
        SET(joined, renewal, effect->joined.renewal);
        return 0;
    case BERTH_DO_RENEWED:
        put_renewed(&effect->joined,
                    TRANSLATE_BEGIN(message, envelope, worker_renewed, WORKER_RENEWED));
        return 0;
    case BERTH_DO_EPOCH:
        epoch = TRANSLATE_BEGIN(message, envelope, worker_epoch, WORKER_EPOCH);
        SET(epoch, epoch, (uint32_t)effect->epoch.epoch);
        SET(epoch, lineage, effect->epoch.lineage);
        return 0;
    case BERTH_DO_FENCED:
        put_fenced(&effect->fenced,
                   TRANSLATE_BEGIN(message, envelope, worker_fenced, WORKER_FENCED));
        return 0;
    case BERTH_DO_ORDERS:
        return put_orders(arena, &effect->orders,
                          TRANSLATE_BEGIN(message, envelope, worker_orders, WORKER_ORDERS));
    case BERTH_DO_GONE_OK:
        put_gone_ok(&effect->fenced,
                    TRANSLATE_BEGIN(message, envelope, worker_gone_ok, WORKER_GONE_OK));
        return 0;
    case BERTH_DO_ERROR:
    case BERTH_DO_SUBMITTED:
    case BERTH_DO_WAITED:
    case BERTH_DO_CANCELLED:
    case BERTH_DO_CHANGED:
    case BERTH_DO_EXPLAINED:
    case BERTH_DO_PURGED:
    case BERTH_DO_REMOVED:
    case BERTH_DO_JOBS:
    case BERTH_DO_JOB_OUTPUT:
    case BERTH_DO_DISPATCHERS:
    case BERTH_DO_WORKERS:
    case BERTH_DO_STATUS:
    case BERTH_DO_SCHEDULES:
    case BERTH_DO_READ: break;
    }
    BERTH_UNREACHABLE();
}

static void put_welcome(const struct berth_do_welcome *from, Berth__V1__WorkerWelcome *m)
{
    SET(m, session, from->session);
    SET(m, epoch, (uint32_t)from->epoch);
    SET(m, lineage, from->lineage);
    SET(m, lease_ms, from->lease_ms);
    SET(m, worker_lease_ms, from->worker_lease_ms);
    SET(m, renew_ms, from->renew_ms);
    SET_BYTES(m, nonce, id_slice(from->nonce));
    SET(m, child, from->child);
}

static void put_renewed(const struct berth_do_joined *from, Berth__V1__WorkerRenewed *m)
{
    SET(m, session, from->session);
    SET(m, epoch, (uint32_t)from->epoch);
    SET(m, join, from->join);
    SET(m, renewal, from->renewal);
    SET(m, sent, from->sent);
    SET(m, taken, from->taken);
    if (from->join_again)
        SET(m, join_again, 1);
}

static void put_fenced(const struct berth_do_fenced *from, Berth__V1__WorkerFenced *m)
{
    SET(m, session, from->session);
    if (from->child > 0) { /* else the session says who */
        SET_BYTES(m, nonce, id_slice(from->nonce));
        SET(m, child, from->child);
    }
    SET_BYTES(m, reason, berth_slice_of(from->reason));
}

static void put_gone_ok(const struct berth_do_fenced *from, Berth__V1__WorkerGoneOk *m)
{
    SET(m, session, from->session);
    if (from->child > 0) {
        SET_BYTES(m, nonce, id_slice(from->nonce));
        SET(m, child, from->child);
    }
}

/* The bodies, one behind the other. */
static int put_bodies(struct berth_arena *arena, const struct berth_do_orders *from,
                      Berth__V1__WorkerOrders *m)
{
    size_t bytes = 0, at = 0;
    for (size_t i = 0; i < from->grant_count; i++)
        bytes += from->grants[i].body.bytes;
    uint8_t *bodies = berth_arena_alloc(arena, bytes);
    if (!bodies)
        return -ENOMEM;
    for (size_t i = 0; i < from->grant_count; i++) {
        const struct berth_slice body = from->grants[i].body;
        if (body.bytes > 0)
            memcpy(bodies + at, body.data, body.bytes);
        at += body.bytes;
        m->grant_body_bytes[i] = (uint32_t)body.bytes;
    }
    SET_BYTES(m, grant_bodies, ((struct berth_slice){ .data = bodies, .bytes = bytes }));
    m->n_grant_body_bytes = berth_column_trim_u32(m->grant_body_bytes, from->grant_count);
    return 0;
}

/* The columns of the grants, each of its length. */
static bool make_grant_columns(struct berth_arena *arena, size_t count, Berth__V1__WorkerOrders *m)
{
    m->grant_attempt = berth_arena_alloc_array(arena, count, sizeof *m->grant_attempt);
    m->grant_job = berth_arena_alloc_array(arena, count, sizeof *m->grant_job);
    m->grant_dispatcher = berth_arena_alloc_array(arena, count, sizeof *m->grant_dispatcher);
    m->grant_handler = berth_arena_alloc_array(arena, count, sizeof *m->grant_handler);
    m->grant_number = berth_arena_alloc_array(arena, count, sizeof *m->grant_number);
    m->grant_timeout_ms = berth_arena_alloc_array(arena, count, sizeof *m->grant_timeout_ms);
    m->grant_grace_ms = berth_arena_alloc_array(arena, count, sizeof *m->grant_grace_ms);
    m->grant_body_bytes = berth_arena_alloc_array(arena, count, sizeof *m->grant_body_bytes);
    m->grant_deadline_ms = berth_arena_alloc_array(arena, count, sizeof *m->grant_deadline_ms);
    return m->grant_attempt && m->grant_job && m->grant_dispatcher && m->grant_handler &&
           m->grant_number && m->grant_timeout_ms && m->grant_grace_ms && m->grant_body_bytes &&
           m->grant_deadline_ms;
}

static int put_grants(struct berth_arena *arena, const struct berth_do_orders *from,
                      Berth__V1__WorkerOrders *m)
{
    struct berth_names dispatchers, handlers;
    const size_t count = from->grant_count;
    size_t names_max = count < BERTH_NAMES_MAX ? count : BERTH_NAMES_MAX;
    if (!make_grant_columns(arena, count, m) ||
        berth_names_init(&dispatchers, names_max, arena) < 0 ||
        berth_names_init(&handlers, names_max, arena) < 0)
        return -ENOMEM;

    for (size_t i = 0; i < count; i++) {
        const struct berth_order_grant *grant = &from->grants[i];
        int64_t dispatcher = berth_names_put(&dispatchers, grant->dispatcher);
        int64_t handler = berth_names_put(&handlers, grant->handler);
        if (dispatcher < 0 || handler < 0)
            return -EMSGSIZE;
        m->grant_attempt[i] = grant->attempt;
        m->grant_job[i] = grant->job;
        m->grant_dispatcher[i] = (uint32_t)dispatcher;
        m->grant_handler[i] = (uint32_t)handler;
        m->grant_number[i] = grant->number;
        m->grant_timeout_ms[i] = (uint64_t)grant->timeout_ms;
        m->grant_grace_ms[i] = (uint64_t)grant->grace_ms;
        m->grant_deadline_ms[i] = (uint64_t)grant->deadline_ms;
    }
    m->n_grant_attempt = m->n_grant_job = m->n_grant_number = count;
    m->n_grant_dispatcher = berth_column_trim_u32(m->grant_dispatcher, count);
    m->n_grant_handler = berth_column_trim_u32(m->grant_handler, count);
    m->n_grant_timeout_ms = berth_column_trim_u64(m->grant_timeout_ms, count);
    m->n_grant_grace_ms = berth_column_trim_u64(m->grant_grace_ms, count);
    m->n_grant_deadline_ms = berth_column_trim_u64(m->grant_deadline_ms, count);
    m->dispatchers = dispatchers.items;
    m->n_dispatchers = dispatchers.count;
    m->handlers = handlers.items;
    m->n_handlers = handlers.count;
    return put_bodies(arena, from, m);
}

static int put_cancels(struct berth_arena *arena, const struct berth_do_orders *from,
                       Berth__V1__WorkerOrders *m)
{
    const size_t count = from->cancel_count;
    m->cancel_attempt = berth_arena_alloc_array(arena, count, sizeof *m->cancel_attempt);
    m->cancel_grace_ms = berth_arena_alloc_array(arena, count, sizeof *m->cancel_grace_ms);
    m->cancel_is_forced = berth_arena_alloc_array(arena, count, sizeof *m->cancel_is_forced);
    m->cancel_reason = berth_arena_alloc_array(arena, count, sizeof *m->cancel_reason);
    if (!m->cancel_attempt || !m->cancel_grace_ms || !m->cancel_is_forced || !m->cancel_reason)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++) {
        m->cancel_attempt[i] = from->cancels[i].attempt;
        m->cancel_grace_ms[i] = (uint64_t)from->cancels[i].grace_ms;
        m->cancel_is_forced[i] = from->cancels[i].is_forced;
        bool is_usual = from->cancels[i].reason == BERTH_CANCEL_ASKED;
        m->cancel_reason[i] = is_usual ? 0 : from->cancels[i].reason;
    }
    m->n_cancel_attempt = count;
    m->n_cancel_grace_ms = berth_column_trim_u64(m->cancel_grace_ms, count);
    m->n_cancel_is_forced = berth_column_trim_u32(m->cancel_is_forced, count);
    m->n_cancel_reason = berth_column_trim_u32(m->cancel_reason, count);
    return 0;
}

static int put_acks(struct berth_arena *arena, const struct berth_do_orders *from,
                    Berth__V1__WorkerOrders *m)
{
    const size_t count = from->ack_count;
    m->ack_attempt = berth_arena_alloc_array(arena, count, sizeof *m->ack_attempt);
    m->ack_is_stale = berth_arena_alloc_array(arena, count, sizeof *m->ack_is_stale);
    if (!m->ack_attempt || !m->ack_is_stale)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++) {
        m->ack_attempt[i] = from->acks[i].attempt;
        m->ack_is_stale[i] = from->acks[i].is_stale;
    }
    m->n_ack_attempt = count;
    m->n_ack_is_stale = berth_column_trim_u32(m->ack_is_stale, count);
    return 0;
}

static int put_orders(struct berth_arena *arena, const struct berth_do_orders *from,
                      Berth__V1__WorkerOrders *m)
{
    SET(m, session, from->session);
    SET(m, epoch, (uint32_t)from->epoch);
    SET(m, join, from->join);
    SET(m, number, from->number);
    if (from->start_alone > 0)
        SET(m, start_alone, from->start_alone);
    int rc = from->grant_count > 0 ? put_grants(arena, from, m) : 0;
    if (rc == 0)
        rc = put_cancels(arena, from, m);
    if (rc == 0)
        rc = put_acks(arena, from, m);
    return rc == 0 ? translate_scope_out(arena, from, m) : rc;
}
