/* SPDX-License-Identifier: MIT */
/* Sessions from hello to end: who is known, who holds a lease, whose word counts. Joins and
 * reports: join.c. */
#include "session.h"

#include <errno.h>

#include "attempt.h"
#include "batch.h"
#include "dispatcher.h"
#include "offer.h"
#include "out.h"
#include "park.h"

#define SILENT_AFTER_RENEWALS 2

static void close_session(struct berth_core *core, struct session *session, enum attempt_loss how);

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

static struct session *find_child(const struct berth_core *core, const uint8_t nonce[16],
                                  uint32_t child)
{
    struct child_key key = child_key(nonce, child);
    struct berth_map_node *node = berth_map_find_bytes(&core->sessions_by_child, child_slice(&key));
    return node ? berth_container_of(node, struct session, by_child) : NULL;
}

static bool is_known(const struct session *session)
{
    return session && session->state != SESSION_CLOSING;
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

/* In both maps, STORING; NULL: no memory. Neither its id nor its child may be known yet. */
static struct session *session_new(struct berth_core *core,
                                   const struct berth_session_record *record)
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
    berth_list_init(&session->out_grants);
    berth_list_init(&session->out_cancels);
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

static void session_free(struct berth_core *core, struct session *session)
{
    BERTH_ASSERT(session->attempt_count == 0);
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

/* It cannot be reached: it keeps what it has, and gets nothing new. */
static void lose_peer(struct berth_core *core, struct session *session)
{
    session->peer = 0;
    if (berth_list_is_linked(&session->heard_node))
        berth_list_remove(&session->heard_node);
    offer_update_room(core, session);
}

static void renew(struct berth_core *core, struct session *session, uint64_t peer)
{
    hear(core, session, peer);
    set_expiry(core, session, core->now_ms + session->record.lease_ms);
    offer_update_room(core, session);
}

void session_all_resolved(struct berth_core *core)
{
    park_wake_all(core);
    if (!core->has_queued_cancels)
        return;
    core->has_queued_cancels = false;
    for (uint32_t i = 1; i <= core->jobs.top; i++) {
        const struct job *job = job_at(&core->jobs, i);
        if (job_is_queued(job) && job->flags & JOB_CANCEL_STORED)
            job_end_cancelled(core, i);
    }
}

/* One session less of which nobody knows what it runs. */
static void resolve(struct berth_core *core)
{
    BERTH_ASSERT(core->unresolved > 0);
    if (--core->unresolved == 0)
        session_all_resolved(core);
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
        resolve(core);
}

void session_become_joined(struct berth_core *core, struct session *session, uint64_t peer,
                           uint32_t join)
{
    session->join = join;
    session->sent = session->taken = 0;
    become_live(core, session);
    renew(core, session, peer);
}

/* ---- hello ---- */

static void welcome(struct berth_core *core, const struct session *session)
{
    if (!session->peer)
        return; /* it says hello again */
    struct berth_effect *effect = out_add(core, BERTH_DO_WELCOME, session->peer, 0);
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
    out_add(core, BERTH_DO_EPOCH, peer, 0)->epoch =
        (struct berth_do_epoch){ .epoch = core->opts.epoch, .lineage = core->opts.lineage };
}

void session_send_fenced(struct berth_core *core, uint64_t peer, uint64_t session,
                         const uint8_t *nonce, uint32_t child, const char *reason)
{
    struct berth_effect *effect = out_add(core, BERTH_DO_FENCED, peer, 0);
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
    if (has_newer_child(core, hello))
        session_send_fenced(core, hello->peer, 0, hello->nonce, hello->child,
                            "a newer child of this worker is known");
    else if (berth_map_count(&core->sessions) >= SESSIONS_MAX || begin(core, hello) < 0)
        out_error(core, hello->peer, 0, BERTH_EFULL, "",
                  out_text(core, "no room for another worker: there may be %u", SESSIONS_MAX));
}

/* It never took a welcome of any epoch, so whatever was granted to it was never started. */
static void recover_empty(struct berth_core *core, struct session *session,
                          const struct berth_ev_hello *hello)
{
    if (session->record.lease_ms < core->opts.lease_ms) {
        /* The next broker would wait for it as long as its row says, which is too short now. */
        close_session(core, session, ATTEMPT_LOST);
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
        out_error(core, hello->peer, 0, -ENOTSUP, "served",
                  "served: a worker takes jobs of all dispatchers; the list must be empty");
        return;
    }
    struct session *session = find_child(core, hello->nonce, hello->child);
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
        renew(core, session, hello->peer);
        welcome(core, session);
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

/* ---- the end ---- */

static void close_session(struct berth_core *core, struct session *session, enum attempt_loss how)
{
    bool was_recovering = session->state == SESSION_RECOVERING;
    if (session->state == SESSION_LIVE)
        core->cores -= session->cores;
    session->state = SESSION_CLOSING;
    lose_peer(core, session);
    offer_drop(core, session);
    BERTH_LIST_FOREACH_SAFE (node, &session->attempts)
        attempt_lost(core, berth_container_of(node, struct attempt, session_node), how);
    if (berth_heap_is_linked(&session->expiry_node))
        berth_heap_remove(&core->expiries, &session->expiry_node);
    batch_add(core, BERTH_RECORD_SESSION_END)->id = session->by_id.id;
    if (was_recovering)
        resolve(core);
}

void session_on_end_stored(struct berth_core *core, uint64_t id)
{
    struct session *session = session_find(core, id);
    if (session)
        session_free(core, session);
}

static void send_gone_ok(struct berth_core *core, const struct berth_ev_gone *gone)
{
    struct berth_effect *effect = out_add(core, BERTH_DO_GONE_OK, gone->peer, 0);
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

/* Deaths that this broker has only the keeper's word of: the attempts were granted by an earlier
 * epoch. */
static void count_unseen_deaths(struct berth_core *core, const struct berth_ev_gone *gone)
{
    if (gone->cause != BERTH_GONE_EXIT && gone->cause != BERTH_GONE_SIGNAL)
        return;
    for (size_t i = 0; i < gone->count; i++) {
        uint32_t index = job_find(core, gone->jobs[i]);
        struct job *job = index ? job_at(&core->jobs, index) : NULL;
        if (!job || !job_is_queued(job))
            continue; /* ended, or retried since */
        if (job->deaths < UINT8_MAX)
            job->deaths++;
        job->attempt_number++;
    }
}

void session_on_gone(struct berth_core *core, const struct berth_ev_gone *gone)
{
    struct session *session = gone->session ? session_find(core, gone->session)
                                            : find_child(core, gone->nonce, gone->child);
    if (!session) {
        send_gone_ok(core, gone);
        return;
    }
    if (memcmp(session->record.nonce, gone->nonce, sizeof gone->nonce) != 0) {
        out_error(core, gone->peer, 0, BERTH_EDENIED, "nonce",
                  "nonce: only the keeper that began a session can end it");
        return;
    }
    if (is_known(session)) {
        if (session->state == SESSION_RECOVERING)
            count_unseen_deaths(core, gone);
        bool is_death = gone->cause == BERTH_GONE_EXIT || gone->cause == BERTH_GONE_SIGNAL;
        close_session(core, session,
                      gone->cause == BERTH_GONE_DRAIN ? ATTEMPT_DRAINED
                      : is_death                      ? ATTEMPT_DIED
                                                      : ATTEMPT_LOST);
    }
    gone_ok_when_stored(core, gone);
}

/* Of that name, and not heard: silent, or not back since the start. */
static bool is_missing(const struct session *session, struct berth_slice name)
{
    bool is_unheard =
        session->state == SESSION_RECOVERING || (session->state == SESSION_LIVE && !session->peer);
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
        *ret_is_known |= is_known(session) && slice_is_equal(slice_of(session->record.name), name);
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
        close_session(core, session_find(core, answer->declared_gone[i].session), ATTEMPT_LOST);
    return true;
}

void session_on_declared_gone(struct berth_core *core, const struct berth_ev_query *ev)
{
    bool is_known_name;
    size_t count = count_missing(core, ev->name, &is_known_name);
    int bytes = (int)ev->name.bytes;
    const char *name = ev->name.data;
    if (!count) {
        out_error(
            core, ev->peer, ev->request, is_known_name ? BERTH_ECONFLICT : BERTH_ENOTFOUND, "name",
            is_known_name ? out_text(core,
                                     "worker '%.*s' is connected, so it is not gone: stop it, "
                                     "and it says so itself",
                                     bytes, name)
                          : out_text(core, "worker '%.*s' is not known", bytes, name));
        return;
    }
    struct pending *answer = pending_new(PENDING_DECLARED_GONE, ev->peer, ev->request);
    if (answer && declare_gone(core, answer, ev->name, count)) {
        pending_put(core, answer);
        return;
    }
    pending_free(answer);
    out_error(core, ev->peer, ev->request, BERTH_EFULL, "",
              "the broker has no memory for this request");
}

static void expire(struct berth_core *core)
{
    struct berth_heap_node *node;
    while ((node = berth_heap_first(&core->expiries))) {
        struct session *session = berth_container_of(node, struct session, expiry_node);
        if (session->expires_ms > core->now_ms)
            return;
        close_session(core, session, ATTEMPT_LOST);
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
        lose_peer(core, session);
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
            lose_peer(core, session);
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
    if (session_find(core, record->id) || find_child(core, record->nonce, record->child))
        return BERTH_ESTORE;
    struct session *session = session_new(core, record);
    if (!session)
        return -ENOMEM;
    session->state = SESSION_RECOVERING;
    core->unresolved++;
    return 0;
}

void session_start_leases(struct berth_core *core)
{
    BERTH_MAP_FOREACH (node, &core->sessions) {
        struct session *session = berth_container_of(node, struct session, by_id);
        session->heard_ms = core->now_ms;
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
    if (!is_known(session)) {
        session_send_fenced(core, ev->peer, ev->session, NULL, 0, "this session is not known");
        return;
    }
    if (session->state != SESSION_LIVE || ev->join != session->join)
        return;
    renew(core, session, ev->peer);
    out_add(core, BERTH_DO_RENEWED, ev->peer, 0)->joined = (struct berth_do_joined){
        .session = ev->session,
        .epoch = core->opts.epoch,
        .join = session->join,
        .renewal = ev->renewal,
        .sent = session->sent,
        .taken = session->taken,
        .join_again = ev->sent > session->taken,
    };
}
