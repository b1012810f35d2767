/* SPDX-License-Identifier: MIT */
/* Checker 9: whatever is promised is on the disk when it is sent. The disk is followed batch by
 * batch, a crash that wrote one included, so that a promise that came too early is seen at once and
 * not only after a crash that happens to make a lie of it. */
#include "sim.h"

static struct check_session *session_of(struct sim *sim, uint64_t id)
{
    struct berth_map_node *node = berth_map_find_id(&sim->checkers.sessions, id);
    if (node)
        return berth_container_of(node, struct check_session, by_id);
    struct check_session *session = berth_arena_zalloc(&sim->checkers.arena, sizeof *session);
    BERTH_ASSERT(session != NULL);
    BERTH_ASSERT(berth_map_insert_id(&sim->checkers.sessions, &session->by_id, id) == 0);
    return session;
}

static void note_record(struct sim *sim, const struct berth_record *record)
{
    switch (record->type) {
    case BERTH_RECORD_JOB: check_arrived(sim, &record->job); return;
    case BERTH_RECORD_RETRY:
        check_attempt_of(sim, record->retry.last.id)->is_end_stored = true;
        check_suspect_stored(sim, record);
        return;
    case BERTH_RECORD_END:
        check_ended(sim, &record->end);
        check_attempt_of(sim, record->end.last.id)->is_end_stored = true;
        check_suspect_stored(sim, record);
        return;
    case BERTH_RECORD_CANCEL: check_job_of(sim, record->id)->is_cancel_stored = true; return;
    case BERTH_RECORD_START:
        check_attempt_of(sim, record->start.attempt)->is_start_stored = true;
        return;
    case BERTH_RECORD_DISPATCHER: check_made(sim, &record->dispatcher); return;
    case BERTH_RECORD_SCHEDULE:
    case BERTH_RECORD_SCHEDULE_DONE:
    case BERTH_RECORD_SCHEDULE_END:
    case BERTH_RECORD_SESSION_CLOSED: return;
    case BERTH_RECORD_TOKEN:
        check_attempt_of(sim, record->token.attempt)->is_token_stored = true;
        return;
    case BERTH_RECORD_SESSION: session_of(sim, record->session.id)->is_stored = true; return;
    case BERTH_RECORD_SESSION_END: session_of(sim, record->id)->is_stored = false; return;
    case BERTH_RECORD_REVIVE: check_revived(sim, record->revive.id); return;
    case BERTH_RECORD_DISCARD: check_discarded(sim, record->id); return;
    case BERTH_RECORD_DISPATCHER_END: check_removed(sim, (uint32_t)record->id); return;
    }
}

void check_stored(struct sim *sim, const struct berth_batch *batch)
{
    for (size_t i = 0; i < batch->count; i++) {
        bool is_end = batch->records[i].type == BERTH_RECORD_END;
        if (is_end)
            check_life_stored(sim, &batch->records[i]);
        note_record(sim, &batch->records[i]);
        check_tries_stored(sim, &batch->records[i]);
        check_retention_stored(sim, &batch->records[i]);
        check_scope_stored(sim, &batch->records[i]);
        check_queue_stored(sim, &batch->records[i]);
        if (!is_end)
            check_life_stored(sim, &batch->records[i]);
    }
    check_queue_batch(sim);
    check_life_batch(sim, batch);
    check_recur_stored(sim, batch);
    check_scope_batch(sim, batch);
}

/* ---- what leaves ---- */

static void check_submitted(struct sim *sim, const struct berth_do_submitted *submitted)
{
    for (size_t i = 0; i < submitted->count; i++)
        check_queue_refused(sim, &submitted->items[i].refusal);
    for (size_t i = 0; i < submitted->count; i++)
        if (submitted->items[i].id && !check_job_of(sim, submitted->items[i].id)->is_stored)
            sim_fail(sim, "job %llu is acknowledged and not stored",
                     (unsigned long long)submitted->items[i].id);
}

static void check_waited(struct sim *sim, const struct berth_do_waited *waited)
{
    for (size_t i = 0; i < waited->count; i++)
        if (check_job_of(sim, waited->ended[i].id)->lives)
            check_told_some_end(sim, waited->ended[i].id, waited->ended[i].state);
        else if (check_job_of(sim, waited->ended[i].id)->stored_end != waited->ended[i].state)
            sim_fail(sim, "the end of job %llu is told and not stored: state %d, on the disk %d",
                     (unsigned long long)waited->ended[i].id, (int)waited->ended[i].state,
                     (int)check_job_of(sim, waited->ended[i].id)->stored_end);
}

static void check_cancelled(struct sim *sim, const struct berth_do_cancelled *cancelled)
{
    for (size_t i = 0; i < cancelled->count; i++) {
        const struct berth_job_state *item = &cancelled->items[i];
        const struct check_job *job = check_job_of(sim, item->id);
        bool is_stored = item->state == BERTH_CANCELLING
                             ? job->is_cancel_stored || job->stored_end == BERTH_CANCELLED
                             : job->stored_end == item->state;
        if (item->code != BERTH_ENOTFOUND && !is_stored && !job->lives)
            sim_fail(sim, "the cancel of job %llu is answered and not stored",
                     (unsigned long long)item->id);
    }
}

static void check_orders(struct sim *sim, const struct berth_do_orders *orders)
{
    if (!session_of(sim, orders->session)->is_stored)
        sim_fail(sim, "session %llx gets orders and is not stored",
                 (unsigned long long)orders->session);
    for (size_t i = 0; i < orders->grant_count; i++) {
        check_start_stored(sim, &orders->grants[i]);
        check_token_stored(sim, &orders->grants[i]);
    }
    for (size_t i = 0; i < orders->cancel_count; i++) {
        uint64_t job = check_attempt_of(sim, orders->cancels[i].attempt)->job;
        if (!job)
            continue; /* its grant could not be sent: the worker sees the gap, and joins again */
        if (orders->cancels[i].reason == BERTH_CANCEL_DEADLINE)
            check_life_told(sim, &orders->cancels[i], job);
        else if (!check_job_of(sim, job)->is_cancel_stored)
            sim_fail(sim, "job %llu is told to stop and its cancel is not stored",
                     (unsigned long long)job);
    }
    check_scope_orders(sim, orders);
    for (size_t i = 0; i < orders->ack_count; i++)
        if (!orders->acks[i].is_stale &&
            !check_attempt_of(sim, orders->acks[i].attempt)->is_end_stored)
            sim_fail(sim, "attempt %llx is acknowledged and its end is not stored",
                     (unsigned long long)orders->acks[i].attempt);
}

void check_effect(struct sim *sim, const struct berth_effect *effect)
{
    if (sim->opts.has_no_promises)
        return;
    switch (effect->type) {
    case BERTH_DO_SUBMITTED: check_submitted(sim, &effect->submitted); return;
    case BERTH_DO_WAITED: check_waited(sim, &effect->waited); return;
    case BERTH_DO_CANCELLED: check_cancelled(sim, &effect->cancelled); return;
    case BERTH_DO_ORDERS: check_orders(sim, &effect->orders); return;
    case BERTH_DO_WELCOME:
        if (!session_of(sim, effect->welcome.session)->is_stored)
            sim_fail(sim, "session %llx is welcomed and not stored",
                     (unsigned long long)effect->welcome.session);
        return;
    case BERTH_DO_GONE_OK:
        if (session_of(sim, effect->fenced.session)->is_stored)
            sim_fail(sim, "the end of session %llx is confirmed and not stored",
                     (unsigned long long)effect->fenced.session);
        return;
    case BERTH_DO_CHANGED: check_changed(sim, &effect->changed); return;
    case BERTH_DO_ERROR:
    case BERTH_DO_JOBS:
    case BERTH_DO_JOB_OUTPUT:
    case BERTH_DO_EXPLAINED:
    case BERTH_DO_PURGED:
    case BERTH_DO_REMOVED:
    case BERTH_DO_DISPATCHERS:
    case BERTH_DO_WORKERS:
    case BERTH_DO_STATUS:
    case BERTH_DO_SCHEDULES:
    case BERTH_DO_JOINED:
    case BERTH_DO_RENEWED:
    case BERTH_DO_EPOCH:
    case BERTH_DO_FENCED:
    case BERTH_DO_READ: return;
    }
}
