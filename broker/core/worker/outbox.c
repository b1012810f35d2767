/* SPDX-License-Identifier: MIT */
#include "outbox.h"

#include "broker/core/life/job_clock.h"
#include "broker/core/step.h"
#include "offer.h"
#include "suspect.h"

/* One message of orders: a frame has 16 MiB, a table of names 4096 rows (proto/limits.h). */
#define ORDERS_GRANTS_MAX     1024
#define ORDERS_BODY_BYTES_MAX (8u << 20)

#define ACKS_ROOM_MIN 16

/* ---- putting in ---- */

void outbox_want_flush(struct berth_core *core, struct session *session)
{
    if (!berth_list_is_linked(&session->out_node))
        berth_list_push_back(&core->outboxes, &session->out_node);
}

void outbox_grant(struct berth_core *core, struct attempt *attempt)
{
    berth_list_push_back(&attempt->session->out_grants, &attempt->grant_node);
    outbox_want_flush(core, attempt->session);
}

void outbox_cancel(struct berth_core *core, struct attempt *attempt)
{
    bool is_out = attempt->state == ATTEMPT_RUNNING || attempt->state == ATTEMPT_DOOMED;
    if (!is_out)
        return;
    if (!berth_list_is_linked(&attempt->cancel_node))
        berth_list_push_back(&attempt->session->out_cancels, &attempt->cancel_node);
    outbox_want_flush(core, attempt->session);
}

void outbox_start_alone(struct berth_core *core, struct session *session)
{
    session->out_start_alone++;
    outbox_want_flush(core, session);
}

/* Without memory the worker is not answered now, and lists it again. */
static bool has_ack_room(struct session *session)
{
    if (session->out_ack_count < session->out_ack_room)
        return true;
    size_t room = session->out_ack_room ? session->out_ack_room * 2 : ACKS_ROOM_MIN;
    struct berth_order_ack *acks = block_resize(session->out_acks, room * sizeof *acks);
    if (!acks) {
        session->shall_join_again = true;
        return false;
    }
    session->out_acks = acks;
    session->out_ack_room = room;
    return true;
}

/* A worker's table holds no more than that; what claims otherwise is not answered. */
void outbox_ack(struct berth_core *core, struct session *session, uint64_t attempt, bool is_stale)
{
    bool is_heard = session->state == SESSION_LIVE || session->state == SESSION_RECOVERING;
    if (!is_heard || session->out_ack_count >= offer_attempts_max(session) ||
        !has_ack_room(session))
        return;
    session->out_acks[session->out_ack_count++] =
        (struct berth_order_ack){ .attempt = attempt, .is_stale = is_stale };
    outbox_want_flush(core, session);
}

void outbox_forget(struct attempt *attempt)
{
    if (berth_list_is_linked(&attempt->grant_node))
        berth_list_remove(&attempt->grant_node);
    if (berth_list_is_linked(&attempt->cancel_node))
        berth_list_remove(&attempt->cancel_node);
}

/* ---- sending ---- */

size_t outbox_count(const struct berth_list *list, size_t most)
{
    size_t count = 0;
    for (const struct berth_list_node *node = berth_list_first(list); node && count < most;
         node = berth_list_next(list, node))
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
        .handler = suspect_plain_name(job_lane(core, job)->gate->handler),
        .body = { .data = job->body->data, .bytes = job->body->bytes },
        .number = attempt->number,
        .timeout_ms = job->body->timeout_ms ? job->body->timeout_ms : dispatcher->record.timeout_ms,
        .grace_ms = dispatcher->record.grace_ms,
        .deadline_ms = job_clock_left_ms(core, job),
    };
}

/* The grants of one message: as many as its frame and its tables of names can hold. */
static void take_grants(struct berth_core *core, struct session *session,
                        struct berth_do_orders *orders)
{
    size_t count = outbox_count(&session->out_grants, ORDERS_GRANTS_MAX), body_bytes = 0;
    struct berth_order_grant *grants = step_alloc(core, count, sizeof *grants);
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

/* A cancel says more than a deadline. */
static enum berth_cancel_reason cancel_reason(const struct berth_core *core,
                                              const struct attempt *attempt)
{
    bool is_asked = attempt->job && job_at(&core->jobs, attempt->job)->flags & JOB_CANCEL_STORED;
    return attempt->is_late && !is_asked ? BERTH_CANCEL_DEADLINE : BERTH_CANCEL_ASKED;
}

static void take_cancels(struct berth_core *core, struct session *session,
                         struct berth_do_orders *orders)
{
    struct berth_order_cancel *cancels =
        step_alloc(core, outbox_count(&session->out_cancels, SIZE_MAX), sizeof *cancels);
    struct berth_list_node *node;
    while ((node = berth_list_pop_front(&session->out_cancels))) {
        struct attempt *attempt = berth_container_of(node, struct attempt, cancel_node);
        if (!attempt->told_ms)
            attempt->told_ms = core->now_ms;
        cancels[orders->cancel_count++] =
            (struct berth_order_cancel){ .attempt = attempt->by_id.id,
                                         .grace_ms = grace_ms(attempt),
                                         .reason = cancel_reason(core, attempt),
                                         .is_forced = attempt->is_forced };
    }
    orders->cancels = cancels;
}

static void take_acks(struct berth_core *core, struct session *session,
                      struct berth_do_orders *orders)
{
    struct berth_order_ack *acks = step_alloc(core, session->out_ack_count, sizeof *acks);
    if (session->out_ack_count)
        memcpy(acks, session->out_acks, session->out_ack_count * sizeof *acks);
    orders->acks = acks;
    orders->ack_count = session->out_ack_count;
    session->out_ack_count = 0;
}

static void send_next(struct berth_core *core, struct session *session)
{
    struct berth_do_orders orders = {
        .session = session->by_id.id,
        .epoch = core->opts.epoch,
        .join = session->join,
        .number = ++session->sent,
        .start_alone = session->out_start_alone,
    };
    session->out_start_alone = 0;
    take_grants(core, session, &orders);
    take_cancels(core, session, &orders);
    take_acks(core, session, &orders);
    outbox_take_scopes(core, session, &orders);
    if (session->peer)
        step_add(core, BERTH_DO_ORDERS, session->peer, 0)->orders = orders;
}

/* What cannot be sent now has its number all the same: the worker sees the gap and joins again. */
void outbox_flush(struct berth_core *core)
{
    struct berth_list_node *node;
    while ((node = berth_list_pop_front(&core->outboxes))) {
        struct session *session = berth_container_of(node, struct session, out_node);
        if (session->state != SESSION_LIVE)
            continue;
        do
            send_next(core, session);
        while (!berth_list_is_empty(&session->out_grants) || outbox_has_scopes(session));
    }
}
