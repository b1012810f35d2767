/* SPDX-License-Identifier: MIT */
/* What the core says, as the messages that the broker's loop would send: what an effect points at
 * is copied, since it goes with its step. */
#include "broker_says.h"

#include <string.h>

/* ---- effects to workers ---- */

static enum agent_cancel_reason agent_reason(enum berth_cancel_reason reason)
{
    return reason == BERTH_CANCEL_DEADLINE ? AGENT_CANCEL_DEADLINE
           : reason == BERTH_CANCEL_CHILD  ? AGENT_CANCEL_CHILD
                                           : AGENT_CANCEL_JOB;
}

static void fill_scopes(struct note *note, const struct berth_do_orders *orders)
{
    struct berth_arena *arena = &note->arena;
    struct agent_suspension *resumes =
        berth_arena_alloc_array(arena, orders->resume_count + 1, sizeof *resumes);
    struct agent_submitted *submitted =
        berth_arena_alloc_array(arena, orders->children_count + 1, sizeof *submitted);
    struct agent_child_end *ends =
        berth_arena_alloc_array(arena, orders->child_end_count + 1, sizeof *ends);
    for (size_t i = 0; i < orders->resume_count; i++)
        resumes[i] = (struct agent_suspension){ .attempt = orders->resumes[i].attempt,
                                                .number = orders->resumes[i].number };
    for (size_t i = 0; i < orders->children_count; i++) {
        const struct berth_order_children *from = &orders->children[i];
        submitted[i] = (struct agent_submitted){
            .attempt = from->attempt,
            .ordinal = from->ordinal,
            .ids = note_copy(note, from->ids, from->count * sizeof *from->ids),
            .count = from->count,
            .code = from->refusal.code,
        };
    }
    for (size_t i = 0; i < orders->child_end_count; i++) {
        const struct berth_order_child_end *from = &orders->child_ends[i];
        ends[i] =
            (struct agent_child_end){ .attempt = from->attempt,
                                      .job = from->job,
                                      .state = from->state,
                                      .error_kind = note_slice(note, from->error_kind),
                                      .error_message = note_slice(note, from->error_message) };
    }
    note->child.orders.resumes = resumes;
    note->child.orders.resume_count = orders->resume_count;
    note->child.orders.submitted = submitted;
    note->child.orders.submitted_count = orders->children_count;
    note->child.orders.child_ends = ends;
    note->child.orders.child_end_count = orders->child_end_count;
}

static void fill_orders(struct note *note, const struct berth_do_orders *orders)
{
    struct agent_grant *grants =
        berth_arena_alloc_array(&note->arena, orders->grant_count + 1, sizeof *grants);
    struct agent_cancel *cancels =
        berth_arena_alloc_array(&note->arena, orders->cancel_count + 1, sizeof *cancels);
    uint64_t *acks = berth_arena_alloc_array(&note->arena, orders->ack_count + 1, sizeof *acks);
    bool *is_stale = berth_arena_alloc_array(&note->arena, orders->ack_count + 1, sizeof *is_stale);
    for (size_t i = 0; i < orders->grant_count; i++) {
        const struct berth_order_grant *from = &orders->grants[i];
        grants[i] = (struct agent_grant){ .attempt = from->attempt,
                                          .job = from->job,
                                          .dispatcher = note_slice(note, from->dispatcher),
                                          .handler = note_slice(note, from->handler),
                                          .number = from->number,
                                          .timeout_ms = from->timeout_ms,
                                          .grace_ms = from->grace_ms,
                                          .deadline_ms = from->deadline_ms,
                                          .body = note_slice(note, from->body) };
    }
    for (size_t i = 0; i < orders->cancel_count; i++)
        cancels[i] = (struct agent_cancel){ .attempt = orders->cancels[i].attempt,
                                            .grace_ms = orders->cancels[i].grace_ms,
                                            .reason = agent_reason(orders->cancels[i].reason),
                                            .is_forced = orders->cancels[i].is_forced };
    for (size_t i = 0; i < orders->ack_count; i++) {
        acks[i] = orders->acks[i].attempt;
        is_stale[i] = orders->acks[i].is_stale;
    }
    note->child.orders.session = orders->session;
    note->child.orders.epoch = (uint32_t)orders->epoch;
    note->child.orders.join = orders->join;
    note->child.orders.number = orders->number;
    note->child.orders.grants = grants;
    note->child.orders.grant_count = orders->grant_count;
    note->child.orders.cancels = cancels;
    note->child.orders.cancel_count = orders->cancel_count;
    note->child.orders.acks = acks;
    note->child.orders.ack_is_stale = is_stale;
    note->child.orders.ack_count = orders->ack_count;
    note->child.orders.start_alone = orders->start_alone;
    fill_scopes(note, orders);
}

static void fill_welcome(struct agent_event *event, const struct berth_do_welcome *welcome)
{
    event->type = AGENT_EV_WELCOME;
    event->welcome.session = welcome->session;
    event->welcome.epoch = (uint32_t)welcome->epoch;
    event->welcome.lineage = welcome->lineage;
    event->welcome.lease_ms = welcome->lease_ms;
    event->welcome.worker_lease_ms = welcome->worker_lease_ms;
    event->welcome.renew_ms = welcome->renew_ms;
    event->welcome.child = welcome->child;
    memcpy(event->welcome.nonce, welcome->nonce, sizeof event->welcome.nonce);
}

static void fill_renewed(struct agent_event *event, const struct berth_do_joined *joined)
{
    event->type = AGENT_EV_RENEWED;
    event->renewed.session = joined->session;
    event->renewed.epoch = (uint32_t)joined->epoch;
    event->renewed.join = joined->join;
    event->renewed.renewal = joined->renewal;
    event->renewed.sent = joined->sent;
    event->renewed.taken = joined->taken;
    event->renewed.join_again = joined->join_again;
}

static void fill_fenced(struct note *note, const struct berth_do_fenced *fenced)
{
    note->child.type = AGENT_EV_FENCED;
    note->child.fenced.session = fenced->session;
    note->child.fenced.child = fenced->child;
    memcpy(note->child.fenced.nonce, fenced->nonce, sizeof fenced->nonce);
    note->child.fenced.reason =
        note_slice(note, (struct berth_slice){ fenced->reason, strlen(fenced->reason) });
}

/* True: it is one for a worker. */
static bool fill_worker(struct note *note, const struct berth_effect *effect)
{
    switch (effect->type) {
    case BERTH_DO_WELCOME: fill_welcome(&note->child, &effect->welcome); return true;
    case BERTH_DO_JOINED:
        note->child.type = AGENT_EV_JOINED;
        note->child.joined.session = effect->joined.session;
        note->child.joined.epoch = (uint32_t)effect->joined.epoch;
        note->child.joined.join = effect->joined.join;
        note->child.joined.renewal = effect->joined.renewal;
        return true;
    case BERTH_DO_RENEWED: fill_renewed(&note->child, &effect->joined); return true;
    case BERTH_DO_EPOCH:
        note->child.type = AGENT_EV_EPOCH;
        note->child.epoch.epoch = (uint32_t)effect->epoch.epoch;
        note->child.epoch.lineage = effect->epoch.lineage;
        return true;
    case BERTH_DO_FENCED: fill_fenced(note, &effect->fenced); return true;
    case BERTH_DO_ORDERS:
        note->child.type = AGENT_EV_ORDERS;
        fill_orders(note, &effect->orders);
        return true;
    case BERTH_DO_GONE_OK: note->gone_ok = effect->fenced; return true;
    default: return false;
    }
}

/* ---- effects to clients ---- */

static void fill_client(struct note *note, const struct berth_effect *effect)
{
    struct berth_effect *copy = &note->client.effect;
    note->client.request = effect->request;
    *copy = *effect;
    if (effect->type == BERTH_DO_SUBMITTED)
        copy->submitted.items =
            note_copy(note, effect->submitted.items,
                      effect->submitted.count * sizeof *effect->submitted.items);
    if (effect->type == BERTH_DO_WAITED) {
        copy->waited.ended = note_copy(note, effect->waited.ended,
                                       effect->waited.count * sizeof *effect->waited.ended);
        copy->waited.unknown =
            note_copy(note, effect->waited.unknown,
                      effect->waited.unknown_count * sizeof *effect->waited.unknown);
    }
    if (effect->type == BERTH_DO_CANCELLED)
        copy->cancelled.items =
            note_copy(note, effect->cancelled.items,
                      effect->cancelled.count * sizeof *effect->cancelled.items);
    if (effect->type == BERTH_DO_CHANGED)
        copy->changed.items = note_copy(note, effect->changed.items,
                                        effect->changed.count * sizeof *effect->changed.items);
    if (effect->type == BERTH_DO_JOB_OUTPUT)
        copy->job_output.out = note_slice(note, effect->job_output.out);
    if (effect->type == BERTH_DO_JOBS)
        copy->jobs.items =
            note_copy(note, effect->jobs.items, effect->jobs.count * sizeof *effect->jobs.items);
}

void broker_say(struct note *note, const struct berth_effect *effect)
{
    if (!fill_worker(note, effect))
        fill_client(note, effect);
}
