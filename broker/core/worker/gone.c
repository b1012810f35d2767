/* SPDX-License-Identifier: MIT */
/* How a session ends: its lease has run out, its keeper proves that it is gone, or an operator says
 * so. */
#include "broker/core/batch.h"
#include "broker/core/life/attempt.h"
#include "broker/core/life/job_clock.h"
#include "broker/core/step.h"
#include "hold.h"
#include "offer.h"
#include "recovery.h"
#include "session.h"
#include "suspect.h"
#include "tombstone.h"

/* It has no lease any more, and nothing new. */
static void retire(struct berth_core *core, struct session *session)
{
    if (session->state == SESSION_LIVE)
        core->cores -= session->cores;
    session->state = SESSION_CLOSING;
    session_lose_peer(core, session);
    suspect_on_closed(core, session);
    offer_drop(core, session);
    if (berth_heap_is_linked(&session->expiry_node))
        berth_heap_remove(&core->expiries, &session->expiry_node);
}

void session_close(struct berth_core *core, struct session *session, enum attempt_loss how)
{
    bool was_recovering = session->state == SESSION_RECOVERING;
    retire(core, session);
    BERTH_LIST_FOREACH_SAFE (node, &session->attempts)
        attempt_lost(core, berth_container_of(node, struct attempt, session_node), how);
    batch_add(core, BERTH_RECORD_SESSION_END)->id = session->by_id.id;
    if (was_recovering) {
        job_clock_on_unknown_loss(core);
        recovery_resolve(core);
    }
}

void session_expire(struct berth_core *core, struct session *session)
{
    bool was_recovering = session->state == SESSION_RECOVERING;
    retire(core, session);
    BERTH_LIST_FOREACH_SAFE (node, &session->attempts) {
        struct attempt *attempt = berth_container_of(node, struct attempt, session_node);
        if (hold_may_still_run(attempt))
            hold_attempt(core, attempt);
        else
            attempt_lost(core, attempt, ATTEMPT_LOST);
    }
    bool is_held = session->attempt_count > 0;
    if (is_held)
        session->state = SESSION_LOST;
    batch_add(core, is_held ? BERTH_RECORD_SESSION_CLOSED : BERTH_RECORD_SESSION_END)->id =
        session->by_id.id;
    if (was_recovering) {
        job_clock_on_unknown_loss(core);
        recovery_resolve(core);
    }
}

void session_on_end_stored(struct berth_core *core, uint64_t id)
{
    struct session *session = session_find(core, id);
    if (session)
        session_free(core, session);
}

static void send_gone_ok(struct berth_core *core, const struct berth_ev_gone *gone)
{
    struct berth_effect *effect = step_add(core, BERTH_DO_GONE_OK, gone->peer, 0);
    effect->fenced = (struct berth_do_fenced){ .session = gone->session, .child = gone->child };
    memcpy(effect->fenced.nonce, gone->nonce, sizeof gone->nonce);
}

static void gone_ok_when_stored(struct berth_core *core, const struct berth_ev_gone *gone)
{
    struct pending *pending = pending_new(PENDING_GONE_OK, gone->peer, 0);
    if (!pending)
        return; /* it is asked again */
    pending->gone = (struct berth_do_fenced){ .session = gone->session, .child = gone->child };
    memcpy(pending->gone.nonce, gone->nonce, sizeof gone->nonce);
    pending_put(core, pending);
}

/* A late hello may have made its child another one. */
static struct session *find_gone(const struct berth_core *core, const struct berth_ev_gone *gone)
{
    struct session *session = gone->session ? session_find(core, gone->session) : NULL;
    return session ? session : session_find_child(core, gone->nonce, gone->child);
}

void session_on_gone(struct berth_core *core, const struct berth_ev_gone *gone)
{
    struct session *session = find_gone(core, gone);
    if (!session) {
        if (gone->child)
            tombstone_put(core, gone->nonce, gone->child);
        send_gone_ok(core, gone);
        return;
    }
    if (memcmp(session->record.nonce, gone->nonce, sizeof gone->nonce) != 0) {
        step_error(core, gone->peer, 0, BERTH_EDENIED, "nonce",
                   "nonce: only the keeper that began a session can end it");
        return;
    }
    tombstone_put(core, session->record.nonce, session->record.child);
    if (session->state != SESSION_CLOSING) {
        suspect_blame(core, session, gone);
        session_close(core, session,
                      gone->cause == BERTH_GONE_DRAIN ? ATTEMPT_DRAINED : ATTEMPT_LOST);
    }
    gone_ok_when_stored(core, gone);
}

/* Of that name, and not heard: silent, lost, or not back since the start. */
static bool is_missing(const struct session *session, struct berth_slice name)
{
    bool is_unheard = session->state == SESSION_RECOVERING || session->state == SESSION_LOST ||
                      (session->state == SESSION_LIVE && !session->peer);
    return is_unheard && slice_is_equal(slice_of(session->record.name), name);
}

static size_t count_missing(const struct berth_core *core, struct berth_slice name,
                            bool *ret_is_known)
{
    size_t count = 0;
    *ret_is_known = false;
    BERTH_MAP_FOREACH (node, &core->sessions) {
        const struct session *session = berth_container_of(node, struct session, by_id);
        count += is_missing(session, name);
        *ret_is_known |=
            session_is_known(session) && slice_is_equal(slice_of(session->record.name), name);
    }
    return count;
}

/* As it is told when it is over. NULL data: no memory. */
static struct berth_slice keep_text(struct pending *pending, const char *text)
{
    size_t bytes = strlen(text);
    char *copy = pending_alloc(pending, bytes + 1, 1);
    if (copy)
        memcpy(copy, text, bytes);
    return (struct berth_slice){ .data = copy, .bytes = bytes };
}

/* False: no memory. Then nothing has happened. */
static bool declare_gone(struct berth_core *core, struct pending *answer, struct berth_slice name,
                         size_t count)
{
    answer->declared_gone = pending_alloc(answer, count, sizeof *answer->declared_gone);
    if (!answer->declared_gone)
        return false;
    BERTH_MAP_FOREACH (node, &core->sessions) {
        const struct session *session = berth_container_of(node, struct session, by_id);
        if (!is_missing(session, name))
            continue;
        struct berth_worker_view *view = &answer->declared_gone[answer->count++];
        *view = (struct berth_worker_view){ .session = session->by_id.id,
                                            .name = keep_text(answer, session->record.name),
                                            .software = keep_text(answer, session->software),
                                            .state = "gone",
                                            .capacity = session->capacity,
                                            .running = session->attempt_count,
                                            .cores = session->cores,
                                            .silent_ms = core->now_ms - session->heard_ms };
        if (!view->name.data || !view->software.data)
            return false;
    }
    for (size_t i = 0; i < answer->count; i++)
        session_close(core, session_find(core, answer->declared_gone[i].session), ATTEMPT_LOST);
    return true;
}

void session_on_declared_gone(struct berth_core *core, const struct berth_ev_query *ev)
{
    bool is_known_name;
    size_t count = count_missing(core, ev->name, &is_known_name);
    int bytes = (int)ev->name.bytes;
    const char *name = ev->name.data;
    if (!count) {
        pending_refuse(
            core, ev->peer, ev->request, is_known_name ? BERTH_ECONFLICT : BERTH_ENOTFOUND, "name",
            is_known_name ? step_text(core,
                                      "worker '%.*s' is connected, so it is not gone: stop it, "
                                      "and it says so itself",
                                      bytes, name)
                          : step_text(core, "worker '%.*s' is not known", bytes, name));
        return;
    }
    struct pending *answer = pending_new(PENDING_DECLARED_GONE, ev->peer, ev->request);
    if (answer && declare_gone(core, answer, ev->name, count)) {
        pending_put(core, answer);
        return;
    }
    pending_free(answer);
    step_error(core, ev->peer, ev->request, BERTH_EFULL, "",
               "the broker has no memory for this request");
}
