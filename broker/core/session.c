/* SPDX-License-Identifier: MIT */
/* Sessions from hello to end: who is known, who holds a lease, whose word counts. Joins and
 * reports: join.c. */
#include "session.h"

#include <errno.h>

#include "attempt.h"
#include "batch.h"
#include "dispatcher.h"
#include "match.h"
#include "out.h"

#define SILENT_AFTER_RENEWALS 2
/* One message of orders: a frame has 16 MiB, a table of names 1024 rows (proto/limits.h). */
#define ORDERS_GRANTS_MAX     1024
#define ORDERS_BODY_BYTES_MAX (8u << 20)

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

/* In both maps; NULL: too many, or no memory. */
static struct session *session_new(struct berth_core *core,
                                   const struct berth_session_record *record)
{
    if (berth_map_count(&core->sessions) >= BERTH_SESSIONS_MAX || reserve_expiry(core) < 0)
        return NULL;
    struct session *session = block_new(sizeof *session);
    if (!session)
        return NULL;
    session->record = *record;
    berth_list_init(&session->attempts);
    berth_list_init(&session->out_grants);
    berth_list_init(&session->out_cancels);
    struct child_key key = child_key(record->nonce, record->child);
    struct berth_map_node *older =
        berth_map_find_bytes(&core->sessions_by_child, child_slice(&key));
    BERTH_ASSERT(!older);
    session->child_key = key;
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

static void leave_free_lists(struct session *session)
{
    for (size_t i = 0; session->has_room && i < session->offer_count; i++)
        berth_list_remove(&session->offers[i].free_node);
    session->has_room = false;
}

static void drop_offers(struct berth_core *core, struct session *session)
{
    leave_free_lists(session);
    for (size_t i = 0; i < session->offer_count; i++) {
        session->offers[i].handler->offer_count--;
        handler_release(core, session->offers[i].handler);
    }
    block_free(session->offers);
    session->offers = NULL;
    session->offer_count = 0;
}

static void session_free(struct berth_core *core, struct session *session)
{
    BERTH_ASSERT(session->attempt_count == 0);
    drop_offers(core, session);
    if (berth_heap_is_linked(&session->expiry_node))
        berth_heap_remove(&core->expiries, &session->expiry_node);
    if (berth_list_is_linked(&session->out_node))
        berth_list_remove(&session->out_node);
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

/* ---- what a worker offers ---- */

void session_update_room(struct berth_core *core, struct session *session)
{
    bool has_room = session->state == SESSION_LIVE && session->peer && !session->is_draining &&
                    session->attempt_count < session->capacity;
    if (has_room == session->has_room)
        return;
    if (!has_room) {
        leave_free_lists(session);
        return;
    }
    session->has_room = true;
    for (size_t i = 0; i < session->offer_count; i++) {
        struct offer *offer = &session->offers[i];
        berth_list_push_back(&offer->handler->free, &offer->free_node);
        match_wake_handler(core, offer->handler);
    }
}

static void copy_name(char to[BERTH_NAME_BYTES], struct berth_slice name)
{
    size_t bytes = name.bytes < BERTH_NAME_BYTES - 1 ? name.bytes : BERTH_NAME_BYTES - 1;
    memset(to, 0, BERTH_NAME_BYTES);
    if (bytes)
        memcpy(to, name.data, bytes);
}

/* 0, or -ENOMEM: the session offers nothing then. */
static int take_offer(struct berth_core *core, struct session *session,
                      const struct berth_offer *offer)
{
    drop_offers(core, session);
    struct berth_order_ack *acks =
        block_resize(session->out_acks, (offer->capacity + 1) * sizeof *acks);
    struct offer *offers = block_new((offer->handler_count + 1) * sizeof *offers);
    if (acks)
        session->out_acks = acks;
    if (!acks || !offers) {
        block_free(offers);
        return -ENOMEM;
    }
    session->offers = offers;
    session->capacity = offer->capacity;
    copy_name(session->record.name, offer->name);
    copy_name(session->software, offer->software);
    for (size_t i = 0; i < offer->handler_count; i++) {
        struct handler *handler = handler_get(core, offer->handlers[i]);
        if (!handler)
            return -ENOMEM;
        session->offers[session->offer_count++] =
            (struct offer){ .session = session, .handler = handler };
        handler->offer_count++;
    }
    if (session->state == SESSION_LIVE)
        core->cores += (uint64_t)offer->cores - session->cores;
    session->cores = offer->cores;
    return 0;
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

static void renew(struct berth_core *core, struct session *session, uint64_t peer)
{
    session->heard_ms = core->now_ms;
    session->peer = peer;
    set_expiry(core, session, core->now_ms + session->record.lease_ms);
    session_update_room(core, session);
}

void session_all_resolved(struct berth_core *core)
{
    match_wake_all(core);
    if (!core->has_queued_cancels)
        return;
    core->has_queued_cancels = false;
    for (uint32_t i = 1; i <= core->jobs.top; i++) {
        const struct job *job = job_at(&core->jobs, i);
        bool is_queued =
            job->state == JOB_SCHEDULED || job->state == JOB_READY || job->state == JOB_RETRYING;
        if (is_queued && job->flags & JOB_CANCEL_STORED)
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
        match_wake_all(core); /* `cores` has grown */
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

int session_take_offer(struct berth_core *core, struct session *session,
                       const struct berth_offer *offer)
{
    return take_offer(core, session, offer);
}

/* ---- hello ---- */

static void welcome(struct berth_core *core, const struct session *session)
{
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

static void begin(struct berth_core *core, const struct berth_ev_hello *hello)
{
    struct berth_session_record record = {
        .id = core->opts.epoch << 40 | ++core->session_counter,
        .child = hello->child,
        .lease_ms = core->opts.lease_ms,
    };
    memcpy(record.node, hello->node, sizeof record.node);
    memcpy(record.boot, hello->boot, sizeof record.boot);
    memcpy(record.nonce, hello->nonce, sizeof record.nonce);
    copy_name(record.name, hello->offer.name);
    struct session *session = session_new(core, &record);
    if (!session ||
        (session->state = SESSION_STORING, take_offer(core, session, &hello->offer) < 0)) {
        if (session)
            session_free(core, session);
        out_error(
            core, hello->peer, 0, BERTH_EFULL, "",
            out_text(core, "no room for another worker: there may be %u", BERTH_SESSIONS_MAX));
        return;
    }
    session->peer = hello->peer;
    batch_add(core, BERTH_RECORD_SESSION)->session = session->record;
}

/* It never took a welcome of any epoch, so whatever was granted to it was never started. */
static void recover_empty(struct berth_core *core, struct session *session,
                          const struct berth_ev_hello *hello)
{
    if (take_offer(core, session, &hello->offer) < 0)
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
    if (session && session->state == SESSION_CLOSING) {
        session_send_fenced(core, hello->peer, session->by_id.id, hello->nonce, hello->child,
                            "this session is over");
    } else if (session && session->state == SESSION_RECOVERING) {
        recover_empty(core, session, hello);
    } else if (session && session->state == SESSION_LIVE) {
        if (session->join == 1) {
            renew(core, session, hello->peer);
            welcome(core, session);
        }
    } else if (session) {
        session->peer = hello->peer; /* still being stored: the welcome follows */
    } else if (has_newer_child(core, hello)) {
        session_send_fenced(core, hello->peer, 0, hello->nonce, hello->child,
                            "a newer child of this worker is known");
    } else {
        begin(core, hello);
    }
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
    session_update_room(core, session);
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
    struct pending *pending =
        pending_add(core, PENDING_GONE_OK, gone->peer, 0, batch_has_records(core));
    pending->gone = (struct berth_do_fenced){ .session = gone->session, .child = gone->child };
    memcpy(pending->gone.nonce, gone->nonce, sizeof gone->nonce);
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
        if (!job || job->state != JOB_READY || attempt_find(core, gone->attempts[i]))
            continue;
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
    BERTH_MAP_FOREACH (node, &core->sessions) {
        struct session *session = berth_container_of(node, struct session, by_id);
        if (session->state == SESSION_LIVE && session->peer && is_silent(core, session)) {
            session->peer = 0;
            session_update_room(core, session);
        }
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
        if (session->peer == peer) {
            session->peer = 0;
            session_update_room(core, session);
        }
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

/* ---- the outbox ---- */

static void want_flush(struct berth_core *core, struct session *session)
{
    if (!berth_list_is_linked(&session->out_node))
        berth_list_push_back(&core->outboxes, &session->out_node);
}

void session_out_grant(struct berth_core *core, struct attempt *attempt)
{
    berth_list_push_back(&attempt->session->out_grants, &attempt->grant_node);
    want_flush(core, attempt->session);
}

void session_out_cancel(struct berth_core *core, struct attempt *attempt)
{
    if (berth_list_is_linked(&attempt->cancel_node) || attempt->state == ATTEMPT_FETCHING)
        return;
    berth_list_push_back(&attempt->session->out_cancels, &attempt->cancel_node);
    want_flush(core, attempt->session);
}

/* A worker's table holds no more than its capacity; what claims otherwise is not answered. */
void session_out_ack(struct berth_core *core, struct session *session, uint64_t attempt,
                     bool is_stale)
{
    bool is_heard = session->state == SESSION_LIVE || session->state == SESSION_RECOVERING;
    if (!is_heard || session->out_ack_count >= session->capacity)
        return;
    session->out_acks[session->out_ack_count++] =
        (struct berth_order_ack){ .attempt = attempt, .is_stale = is_stale };
    want_flush(core, session);
}

static size_t list_count(const struct berth_list *list)
{
    size_t count = 0;
    BERTH_LIST_FOREACH (node, list)
        count++;
    return count;
}

static int64_t grace_ms(const struct attempt *attempt)
{
    return attempt->dispatcher ? attempt->dispatcher->record.grace_ms : 0;
}

static struct berth_order_grant order_grant(const struct berth_core *core,
                                            const struct attempt *attempt)
{
    const struct job *job = job_at(&core->jobs, attempt->job);
    const struct dispatcher *dispatcher = attempt->dispatcher;
    BERTH_ASSERT(job->body != NULL);
    return (struct berth_order_grant){
        .attempt = attempt->by_id.id,
        .job = job->id,
        .dispatcher = slice_of(dispatcher->record.name),
        .handler = slice_of(job_lane(core, job)->handler->name),
        .body = { .data = job->body->data, .bytes = job->body->bytes },
        .number = attempt->number,
        .timeout_ms = job->body->timeout_ms ? job->body->timeout_ms : dispatcher->record.timeout_ms,
        .grace_ms = dispatcher->record.grace_ms,
    };
}

/* The grants of one message: as many as its frame and its tables of names can hold. */
static void take_grants(struct berth_core *core, struct session *session,
                        struct berth_do_orders *orders)
{
    size_t count = list_count(&session->out_grants), body_bytes = 0;
    struct berth_order_grant *grants =
        out_alloc(core, count < ORDERS_GRANTS_MAX ? count : ORDERS_GRANTS_MAX, sizeof *grants);
    struct berth_list_node *node;
    while (orders->grant_count < ORDERS_GRANTS_MAX &&
           (node = berth_list_first(&session->out_grants))) {
        struct berth_order_grant grant =
            order_grant(core, berth_container_of(node, struct attempt, grant_node));
        body_bytes += grant.body.bytes;
        if (orders->grant_count > 0 && body_bytes > ORDERS_BODY_BYTES_MAX)
            break;
        berth_list_remove(node);
        grants[orders->grant_count++] = grant;
    }
    orders->grants = grants;
}

static void take_cancels(struct berth_core *core, struct session *session,
                         struct berth_do_orders *orders)
{
    struct berth_order_cancel *cancels =
        out_alloc(core, list_count(&session->out_cancels), sizeof *cancels);
    struct berth_list_node *node;
    while ((node = berth_list_pop_front(&session->out_cancels))) {
        const struct attempt *attempt = berth_container_of(node, struct attempt, cancel_node);
        cancels[orders->cancel_count++] =
            (struct berth_order_cancel){ .attempt = attempt->by_id.id,
                                         .grace_ms = grace_ms(attempt) };
    }
    orders->cancels = cancels;
}

static void take_acks(struct berth_core *core, struct session *session,
                      struct berth_do_orders *orders)
{
    struct berth_order_ack *acks = out_alloc(core, session->out_ack_count, sizeof *acks);
    if (session->out_ack_count)
        memcpy(acks, session->out_acks, session->out_ack_count * sizeof *acks);
    orders->acks = acks;
    orders->ack_count = session->out_ack_count;
    session->out_ack_count = 0;
}

/* One message of the stream, or several if the grants are too many for one. */
static void flush(struct berth_core *core, struct session *session)
{
    do {
        struct berth_do_orders orders = {
            .session = session->by_id.id,
            .epoch = core->opts.epoch,
            .join = session->join,
            .number = ++session->sent,
        };
        take_grants(core, session, &orders);
        take_cancels(core, session, &orders);
        take_acks(core, session, &orders);
        out_add(core, BERTH_DO_ORDERS, session->peer, 0)->orders = orders;
    } while (!berth_list_is_empty(&session->out_grants));
}

/* What cannot be sent now is not lost: the worker sees the gap and joins again. */
void session_flush(struct berth_core *core)
{
    struct berth_list_node *node;
    while ((node = berth_list_pop_front(&core->outboxes))) {
        struct session *session = berth_container_of(node, struct session, out_node);
        if (session->state == SESSION_LIVE)
            flush(core, session);
    }
}
