/* SPDX-License-Identifier: MIT */
/* How a session begins: hello, the row, welcome. */
#include <errno.h>

#include "broker/core/batch.h"
#include "broker/core/life/attempt.h"
#include "broker/core/step.h"
#include "offer.h"
#include "session.h"
#include "tombstone.h"

static void welcome(struct berth_core *core, const struct session *session)
{
    if (!session->peer)
        return; /* it says hello again */
    struct berth_effect *effect = step_add(core, BERTH_DO_WELCOME, session->peer, 0);
    effect->welcome = (struct berth_do_welcome){
        .session = session->by_id.id,
        .epoch = core->opts.epoch,
        .lineage = core->opts.lineage,
        .lease_ms = session->record.lease_ms,
        .worker_lease_ms = core->opts.worker_lease_ms,
        .renew_ms = core->opts.renew_ms,
        .child = session->record.child,
    };
    memcpy(effect->welcome.nonce, session->record.nonce, sizeof effect->welcome.nonce);
}

void session_send_epoch(struct berth_core *core, uint64_t peer)
{
    step_add(core, BERTH_DO_EPOCH, peer, 0)->epoch =
        (struct berth_do_epoch){ .epoch = core->opts.epoch, .lineage = core->opts.lineage };
}

void session_send_fenced(struct berth_core *core, uint64_t peer, uint64_t session,
                         const uint8_t *nonce, uint32_t child, const char *reason)
{
    struct berth_effect *effect = step_add(core, BERTH_DO_FENCED, peer, 0);
    effect->fenced =
        (struct berth_do_fenced){ .session = session, .child = child, .reason = reason };
    if (nonce)
        memcpy(effect->fenced.nonce, nonce, sizeof effect->fenced.nonce);
}

static void send_over(struct berth_core *core, const struct session *session, uint64_t peer)
{
    session_send_fenced(core, peer, session->by_id.id, session->record.nonce, session->record.child,
                        "this session is over");
}

static bool has_newer_child(const struct berth_core *core, const struct berth_ev_hello *hello)
{
    BERTH_MAP_FOREACH (node, &core->sessions) {
        const struct session *session = berth_container_of(node, struct session, by_id);
        if (session->record.child > hello->child &&
            memcmp(session->record.nonce, hello->nonce, sizeof hello->nonce) == 0)
            return true;
    }
    return false;
}

/* Draws a session; it is welcomed when it is stored. -ENOMEM. */
static int begin(struct berth_core *core, const struct berth_ev_hello *hello)
{
    struct berth_session_record record = {
        .id = core->opts.epoch << 40 | ++core->session_counter,
        .child = hello->child,
        .lease_ms = core->opts.lease_ms,
    };
    memcpy(record.node, hello->node, sizeof record.node);
    memcpy(record.boot, hello->boot, sizeof record.boot);
    memcpy(record.nonce, hello->nonce, sizeof record.nonce);
    struct session *session = session_new(core, &record);
    if (!session)
        return -ENOMEM;
    if (offer_take(core, session, &hello->offer) < 0) {
        session_free(core, session);
        return -ENOMEM;
    }
    session->peer = hello->peer;
    batch_add(core, BERTH_RECORD_SESSION)->session = session->record;
    return 0;
}

static void take_new(struct berth_core *core, const struct berth_ev_hello *hello)
{
    if (tombstone_is_there(core, hello->nonce, hello->child))
        session_send_fenced(core, hello->peer, 0, hello->nonce, hello->child,
                            "its keeper says that this child is dead");
    else if (has_newer_child(core, hello))
        session_send_fenced(core, hello->peer, 0, hello->nonce, hello->child,
                            "a newer child of this worker is known");
    else if (berth_map_count(&core->sessions) >= SESSIONS_MAX || begin(core, hello) < 0)
        step_error(core, hello->peer, 0, BERTH_ELIMIT, "",
                   step_text(core, "no room for another worker: there may be %u", SESSIONS_MAX));
}

/* It never took a welcome of any epoch, so whatever was granted to it was never started. */
static void recover_empty(struct berth_core *core, struct session *session,
                          const struct berth_ev_hello *hello)
{
    BERTH_LIST_FOREACH_SAFE (node, &session->attempts)
        attempt_release(core, berth_container_of(node, struct attempt, session_node));
    if (session->record.lease_ms < core->opts.lease_ms) {
        /* The next broker would wait for it as long as its row says, which is too short now. */
        session_close(core, session, ATTEMPT_LOST);
        send_over(core, session, hello->peer);
        return;
    }
    if (offer_take(core, session, &hello->offer) < 0)
        return; /* it says hello again */
    session_become_joined(core, session, hello->peer, 1);
    welcome(core, session);
}

void session_on_hello(struct berth_core *core, const struct berth_ev_hello *hello)
{
    if (hello->epoch != core->opts.epoch) {
        session_send_epoch(core, hello->peer);
        return;
    }
    if (hello->offer.served_count) {
        step_error(core, hello->peer, 0, -ENOTSUP, "served",
                   "served: a worker takes jobs of all dispatchers; the list must be empty");
        return;
    }
    struct session *session = session_find_child(core, hello->nonce, hello->child);
    if (!session) {
        take_new(core, hello);
        return;
    }
    switch (session->state) {
    case SESSION_STORING: session->peer = hello->peer; return; /* the welcome follows */
    case SESSION_RECOVERING: recover_empty(core, session, hello); return;
    case SESSION_LIVE:
        if (session->join != 1)
            return; /* a copy: it has joined again since */
        session_renew(core, session, hello->peer);
        welcome(core, session);
        return;
    case SESSION_LOST: /* it may never have heard of its session: it is addressed as a child */
        session_send_fenced(core, hello->peer, 0, hello->nonce, hello->child,
                            "the session of this child is over");
        return;
    case SESSION_CLOSING: send_over(core, session, hello->peer); return;
    }
    BERTH_UNREACHABLE();
}

void session_on_stored(struct berth_core *core, const struct berth_session_record *record)
{
    struct session *session = session_find(core, record->id);
    if (!session || session->state != SESSION_STORING)
        return;
    session_become_joined(core, session, session->peer, 1);
    welcome(core, session);
}
