/* SPDX-License-Identifier: MIT */
/* The table of sessions, their leases and renewals. How one begins: hello.c; what it says of its
 * attempts: join.c; how it ends: gone.c. */
#include "session.h"

#include <errno.h>

#include "broker/core/life/attempt.h"
#include "broker/core/match/park.h"
#include "broker/core/step.h"
#include "offer.h"
#include "outbox.h"
#include "recovery.h"
#include "suspect.h"

#define SILENT_AFTER_RENEWALS 2

static struct berth_slice child_slice(const struct child_key *key)
{
    return (struct berth_slice){ .data = key, .bytes = sizeof *key };
}

static struct child_key child_key(const uint8_t nonce[16], uint32_t child)
{
    struct child_key key = { .child = child };
    memcpy(key.nonce, nonce, sizeof key.nonce);
    return key;
}

struct session *session_find(const struct berth_core *core, uint64_t id)
{
    struct berth_map_node *node = berth_map_find_id(&core->sessions, id);
    return node ? berth_container_of(node, struct session, by_id) : NULL;
}

struct session *session_find_child(const struct berth_core *core, const uint8_t nonce[16],
                                   uint32_t child)
{
    struct child_key key = child_key(nonce, child);
    struct berth_map_node *node = berth_map_find_bytes(&core->sessions_by_child, child_slice(&key));
    return node ? berth_container_of(node, struct session, by_child) : NULL;
}

/* ---- memory ---- */

static bool expires_first(const struct berth_heap_node *a, const struct berth_heap_node *b)
{
    const struct session *x = berth_container_of(a, struct session, expiry_node);
    const struct session *y = berth_container_of(b, struct session, expiry_node);
    return x->expires_ms != y->expires_ms ? x->expires_ms < y->expires_ms
                                          : x->by_id.id < y->by_id.id;
}

static int reserve_expiry(struct berth_core *core)
{
    size_t count = berth_map_count(&core->sessions) + 1;
    if (count <= core->expiries.capacity)
        return 0;
    size_t room = core->expiries.capacity ? core->expiries.capacity * 2 : 64;
    struct berth_heap_node **nodes = block_resize(core->expiry_nodes, room * sizeof(*nodes));
    if (!nodes)
        return -ENOMEM;
    core->expiry_nodes = nodes;
    if (core->expiries.capacity)
        berth_heap_move(&core->expiries, nodes, room);
    else
        berth_heap_init(&core->expiries, nodes, room, expires_first);
    return 0;
}

struct session *session_new(struct berth_core *core, const struct berth_session_record *record)
{
    if (reserve_expiry(core) < 0)
        return NULL;
    struct session *session = block_new(sizeof *session);
    if (!session)
        return NULL;
    session->state = SESSION_STORING;
    session->record = *record;
    session->child_key = child_key(record->nonce, record->child);
    berth_list_init(&session->attempts);
    berth_list_init(&session->resuming);
    berth_list_init(&session->out_grants);
    berth_list_init(&session->out_cancels);
    berth_list_init(&session->out_resumes);
    berth_list_init(&session->out_children);
    berth_list_init(&session->out_child_ends);
    if (berth_map_insert_bytes(&core->sessions_by_child, &session->by_child,
                               child_slice(&session->child_key)) < 0)
        goto free_session;
    if (berth_map_insert_id(&core->sessions, &session->by_id, record->id) < 0)
        goto remove_child;
    return session;

remove_child:
    berth_map_remove(&core->sessions_by_child, &session->by_child);
free_session:
    block_free(session);
    return NULL;
}

void session_free(struct berth_core *core, struct session *session)
{
    BERTH_ASSERT(session->attempt_count == 0);
    BERTH_ASSERT(session->suspended_count == 0);
    outbox_clear_scopes(session);
    offer_drop(core, session);
    if (berth_heap_is_linked(&session->expiry_node))
        berth_heap_remove(&core->expiries, &session->expiry_node);
    if (berth_list_is_linked(&session->out_node))
        berth_list_remove(&session->out_node);
    if (berth_list_is_linked(&session->heard_node))
        berth_list_remove(&session->heard_node);
    berth_map_remove(&core->sessions_by_child, &session->by_child);
    berth_map_remove(&core->sessions, &session->by_id);
    block_free(session->out_acks);
    block_free(session);
}

void session_free_all(struct berth_core *core)
{
    BERTH_MAP_FOREACH (node, &core->sessions) {
        struct session *session = berth_container_of(node, struct session, by_id);
        BERTH_LIST_FOREACH_SAFE (at, &session->attempts) {
            struct attempt *attempt = berth_container_of(at, struct attempt, session_node);
            attempt->job = 0;
            attempt_free(core, attempt);
        }
        session_free(core, session);
    }
    block_free(core->expiry_nodes);
}

/* ---- leases ---- */

static void set_expiry(struct berth_core *core, struct session *session, int64_t expires_ms)
{
    session->expires_ms = expires_ms;
    if (berth_heap_is_linked(&session->expiry_node))
        berth_heap_update(&core->expiries, &session->expiry_node);
    else
        berth_heap_push(&core->expiries, &session->expiry_node);
}

/* Something came from it, on this connection. */
static void hear(struct berth_core *core, struct session *session, uint64_t peer)
{
    session->heard_ms = core->now_ms;
    session->peer = peer;
    if (berth_list_is_linked(&session->heard_node))
        berth_list_remove(&session->heard_node);
    if (peer)
        berth_list_push_back(&core->heard, &session->heard_node);
}

void session_lose_peer(struct berth_core *core, struct session *session)
{
    session->peer = 0;
    if (berth_list_is_linked(&session->heard_node))
        berth_list_remove(&session->heard_node);
    offer_update_room(core, session);
}

void session_renew(struct berth_core *core, struct session *session, uint64_t peer)
{
    hear(core, session, peer);
    set_expiry(core, session, core->now_ms + session->record.lease_ms);
    offer_update_room(core, session);
}

static void become_live(struct berth_core *core, struct session *session)
{
    bool was_recovering = session->state == SESSION_RECOVERING;
    if (session->state != SESSION_LIVE) {
        session->state = SESSION_LIVE;
        core->cores += session->cores;
        park_wake_all(core); /* `cores` has grown */
    }
    if (was_recovering)
        recovery_resolve(core);
}

void session_become_joined(struct berth_core *core, struct session *session, uint64_t peer,
                           uint32_t join)
{
    session->join = join;
    session->sent = session->taken = 0;
    become_live(core, session);
    session_renew(core, session, peer);
    suspect_on_joined(core, session);
}

static void expire(struct berth_core *core)
{
    struct berth_heap_node *node;
    while ((node = berth_heap_first(&core->expiries))) {
        struct session *session = berth_container_of(node, struct session, expiry_node);
        if (session->expires_ms > core->now_ms)
            return;
        session_expire(core, session);
    }
}

static bool is_silent(const struct berth_core *core, const struct session *session)
{
    return core->now_ms - session->heard_ms >= (int64_t)SILENT_AFTER_RENEWALS * core->opts.renew_ms;
}

static void forget_silent(struct berth_core *core)
{
    struct berth_list_node *node;
    while ((node = berth_list_first(&core->heard))) {
        struct session *session = berth_container_of(node, struct session, heard_node);
        if (!is_silent(core, session))
            return;
        session_lose_peer(core, session);
    }
}

void session_on_turn(struct berth_core *core)
{
    expire(core);
    forget_silent(core);
}

void session_on_peer_gone(struct berth_core *core, uint64_t peer)
{
    BERTH_MAP_FOREACH (node, &core->sessions) {
        struct session *session = berth_container_of(node, struct session, by_id);
        if (session->peer == peer)
            session_lose_peer(core, session);
    }
}

int64_t session_next_deadline_ms(const struct berth_core *core)
{
    struct berth_heap_node *node = berth_heap_first(&core->expiries);
    return node ? berth_container_of(node, struct session, expiry_node)->expires_ms : INT64_MAX;
}

/* ---- loading ---- */

int session_load(struct berth_core *core, const struct berth_session_record *record)
{
    if (session_find(core, record->id) || session_find_child(core, record->nonce, record->child))
        return BERTH_ESTORE;
    struct session *session = session_new(core, record);
    if (!session)
        return -ENOMEM;
    session->state = record->is_closed ? SESSION_LOST : SESSION_RECOVERING;
    core->unresolved += !record->is_closed;
    return 0;
}

void session_start_leases(struct berth_core *core)
{
    BERTH_MAP_FOREACH (node, &core->sessions) {
        struct session *session = berth_container_of(node, struct session, by_id);
        session->heard_ms = core->now_ms;
        if (session->state == SESSION_RECOVERING)
            set_expiry(core, session, core->now_ms + session->record.lease_ms);
    }
}

/* ---- the renewal ---- */

void session_on_renew(struct berth_core *core, const struct berth_ev_renew *ev)
{
    struct session *session = session_find(core, ev->session);
    if (ev->epoch != core->opts.epoch) {
        session_send_epoch(core, ev->peer);
        return;
    }
    if (!session_is_known(session)) {
        session_send_fenced(core, ev->peer, ev->session, NULL, 0, "this session is not known");
        return;
    }
    if (session->state != SESSION_LIVE || ev->join != session->join)
        return;
    session_renew(core, session, ev->peer);
    step_add(core, BERTH_DO_RENEWED, ev->peer, 0)->joined = (struct berth_do_joined){
        .session = ev->session,
        .epoch = core->opts.epoch,
        .join = session->join,
        .renewal = ev->renewal,
        .sent = session->sent,
        .taken = session->taken,
        .join_again = ev->sent > session->taken || session->shall_join_again,
    };
}
