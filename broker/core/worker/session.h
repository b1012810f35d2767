/* SPDX-License-Identifier: MIT */
/* Workers: sessions, joins, leases, streams, capacity. docs/PROTOCOL.md has the rules by number. */
#pragma once

#include "broker/core/life/attempt.h"
#include "broker/core/state.h"

void session_on_hello(struct berth_core *core, const struct berth_ev_hello *hello);
void session_on_join(struct berth_core *core, const struct berth_ev_join *join);
void session_on_renew(struct berth_core *core, const struct berth_ev_renew *renew);
void session_on_reports(struct berth_core *core, const struct berth_ev_reports *reports);
void session_on_gone(struct berth_core *core, const struct berth_ev_gone *gone);
/* An operator says that what is not heard of a worker is gone. */
void session_on_declared_gone(struct berth_core *core, const struct berth_ev_query *ev);
void session_on_peer_gone(struct berth_core *core, uint64_t peer);
void session_on_stored(struct berth_core *core, const struct berth_session_record *record);
void session_on_end_stored(struct berth_core *core, uint64_t id);
/* 0, -ENOMEM, or BERTH_ESTORE: it, or its child, is there already. */
int session_load(struct berth_core *core, const struct berth_session_record *record);
void session_start_leases(struct berth_core *core);
/* Leases that have run out, workers that have been silent for 2 R. */
void session_on_turn(struct berth_core *core);
int64_t session_next_deadline_ms(const struct berth_core *core);
void session_free_all(struct berth_core *core);

struct session *session_find(const struct berth_core *core, uint64_t id);
struct session *session_find_child(const struct berth_core *core, const uint8_t nonce[16],
                                   uint32_t child);
/* Its word counts. */
static inline bool session_is_known(const struct session *session)
{
    return session && session->state != SESSION_CLOSING && session->state != SESSION_LOST;
}

/* Shared by session.c, hello.c, join.c and gone.c. */
/* In both maps, STORING; NULL: no memory. Neither its id nor its child may be known yet. */
struct session *session_new(struct berth_core *core, const struct berth_session_record *record);
/* Without attempts. */
void session_free(struct berth_core *core, struct session *session);
/* Something came from it on this connection that extends its lease. */
void session_renew(struct berth_core *core, struct session *session, uint64_t peer);
/* It cannot be reached: it keeps what it has, and gets nothing new. */
void session_lose_peer(struct berth_core *core, struct session *session);
/* A new join begins: streams from 0, lease from now, the session is no longer unresolved. */
void session_become_joined(struct berth_core *core, struct session *session, uint64_t peer,
                           uint32_t join);
/* Its lease has run out: it is over, too, unless it holds what may still run. */
void session_expire(struct berth_core *core, struct session *session);
/* It is over, and with it its attempts; its row goes. */
void session_close(struct berth_core *core, struct session *session, enum attempt_loss how);
void session_send_epoch(struct berth_core *core, uint64_t peer);
void session_send_fenced(struct berth_core *core, uint64_t peer, uint64_t session,
                         const uint8_t *nonce, uint32_t child, const char *reason);
