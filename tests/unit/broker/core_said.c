/* SPDX-License-Identifier: MIT
 *
 * Copies of what the core said, that outlive the step.
 */
#include "core_said.h"

static void *copy(struct fixture *f, const void *data, size_t count, size_t element_bytes)
{
    void *fresh = berth_arena_memdup(&f->arena, data, count * element_bytes);
    assert_non_null(fresh);
    return fresh;
}

static void keep(struct fixture *f, struct berth_slice *slice)
{
    if (slice->data)
        slice->data = copy(f, slice->data, slice->bytes, 1);
}

static void keep_text(struct fixture *f, const char **text)
{
    if (*text)
        *text = copy(f, *text, strlen(*text) + 1, 1);
}

static void keep_error(struct fixture *f, struct berth_do_error *error)
{
    keep_text(f, &error->field);
    keep_text(f, &error->message);
}

static void keep_submitted(struct fixture *f, struct berth_do_submitted *submitted)
{
    struct berth_submitted_item *items = copy(f, submitted->items, submitted->count, sizeof *items);
    for (size_t i = 0; i < submitted->count; i++)
        keep_error(f, &items[i].refusal);
    submitted->items = items;
}

static void keep_jobs(struct fixture *f, struct berth_do_jobs *jobs)
{
    struct berth_job_view *items = copy(f, jobs->items, jobs->count, sizeof *items);
    for (size_t i = 0; i < jobs->count; i++) {
        struct berth_job_view *view = &items[i];
        keep(f, &view->dispatcher);
        keep(f, &view->reason);
        keep(f, &view->record.handler);
        keep(f, &view->record.body);
        keep(f, &view->record.last.worker);
        keep(f, &view->record.last.result);
        keep(f, &view->record.last.error_kind);
        keep(f, &view->record.last.error_message);
    }
    jobs->items = items;
    jobs->unknown = copy(f, jobs->unknown, jobs->unknown_count, sizeof *jobs->unknown);
}

static void keep_workers(struct fixture *f, struct berth_do_workers *workers)
{
    struct berth_worker_view *items = copy(f, workers->items, workers->count, sizeof *items);
    for (size_t i = 0; i < workers->count; i++) {
        keep(f, &items[i].name);
        keep(f, &items[i].software);
        keep_text(f, &items[i].state);
        struct berth_slice *handlers =
            copy(f, items[i].handlers, items[i].handler_count, sizeof *handlers);
        for (size_t j = 0; j < items[i].handler_count; j++)
            keep(f, &handlers[j]);
        items[i].handlers = handlers;
    }
    workers->items = items;
}

static void keep_explained(struct fixture *f, struct berth_do_explained *explained)
{
    struct berth_explain_cause *causes =
        copy(f, explained->causes, explained->cause_count, sizeof *causes);
    struct berth_explain_limit *limits =
        copy(f, explained->limits, explained->limit_count, sizeof *limits);
    struct berth_explain_holder *holders =
        copy(f, explained->holders, explained->holder_count, sizeof *holders);
    for (size_t i = 0; i < explained->cause_count; i++) {
        keep(f, &causes[i].reason);
        keep(f, &causes[i].at);
    }
    for (size_t i = 0; i < explained->limit_count; i++)
        keep(f, &limits[i].name);
    for (size_t i = 0; i < explained->holder_count; i++) {
        keep(f, &holders[i].dispatcher);
        keep(f, &holders[i].worker);
    }
    explained->causes = causes;
    explained->limits = limits;
    explained->holders = holders;
    explained->groups =
        copy(f, explained->groups, explained->group_count, sizeof *explained->groups);
}

static void keep_scopes(struct fixture *f, struct berth_do_orders *orders)
{
    struct berth_order_children *children =
        copy(f, orders->children, orders->children_count, sizeof *children);
    struct berth_order_child_end *ends =
        copy(f, orders->child_ends, orders->child_end_count, sizeof *ends);
    for (size_t i = 0; i < orders->children_count; i++) {
        keep_error(f, &children[i].refusal);
        children[i].ids = copy(f, children[i].ids, children[i].count, sizeof *children[i].ids);
    }
    for (size_t i = 0; i < orders->child_end_count; i++) {
        keep(f, &ends[i].error_kind);
        keep(f, &ends[i].error_message);
    }
    orders->children = children;
    orders->child_ends = ends;
    orders->resumes = copy(f, orders->resumes, orders->resume_count, sizeof *orders->resumes);
}

static void keep_orders(struct fixture *f, struct berth_do_orders *orders)
{
    struct berth_order_grant *grants = copy(f, orders->grants, orders->grant_count, sizeof *grants);
    for (size_t i = 0; i < orders->grant_count; i++) {
        keep(f, &grants[i].dispatcher);
        keep(f, &grants[i].handler);
        keep(f, &grants[i].body);
    }
    orders->grants = grants;
    orders->cancels = copy(f, orders->cancels, orders->cancel_count, sizeof *orders->cancels);
    orders->acks = copy(f, orders->acks, orders->ack_count, sizeof *orders->acks);
    keep_scopes(f, orders);
}

static void keep_waited(struct fixture *f, struct berth_do_waited *waited)
{
    waited->ended = copy(f, waited->ended, waited->count, sizeof *waited->ended);
    waited->unknown = copy(f, waited->unknown, waited->unknown_count, sizeof *waited->unknown);
}

struct berth_effect said_copy(struct fixture *f, const struct berth_effect *effect)
{
    struct berth_effect kept = *effect;
    switch (effect->type) {
    case BERTH_DO_ERROR: keep_error(f, &kept.error); return kept;
    case BERTH_DO_SUBMITTED: keep_submitted(f, &kept.submitted); return kept;
    case BERTH_DO_WAITED: keep_waited(f, &kept.waited); return kept;
    case BERTH_DO_CANCELLED:
        kept.cancelled.items =
            copy(f, kept.cancelled.items, kept.cancelled.count, sizeof *kept.cancelled.items);
        return kept;
    case BERTH_DO_EXPLAINED: keep_explained(f, &kept.explained); return kept;
    case BERTH_DO_CHANGED:
        kept.changed.items =
            copy(f, kept.changed.items, kept.changed.count, sizeof *kept.changed.items);
        return kept;
    case BERTH_DO_JOBS: keep_jobs(f, &kept.jobs); return kept;
    case BERTH_DO_JOB_OUTPUT:
        keep(f, &kept.job_output.out);
        keep(f, &kept.job_output.err);
        return kept;
    case BERTH_DO_DISPATCHERS:
        kept.dispatchers.items =
            copy(f, kept.dispatchers.items, kept.dispatchers.count, sizeof *kept.dispatchers.items);
        return kept;
    case BERTH_DO_WORKERS: keep_workers(f, &kept.workers); return kept;
    case BERTH_DO_ORDERS: keep_orders(f, &kept.orders); return kept;
    case BERTH_DO_FENCED: keep_text(f, &kept.fenced.reason); return kept;
    case BERTH_DO_READ:
        kept.read.ids = copy(f, kept.read.ids, kept.read.id_count, sizeof *kept.read.ids);
        return kept;
    case BERTH_DO_SCHEDULES:
        kept.schedules.items =
            copy(f, kept.schedules.items, kept.schedules.count, sizeof *kept.schedules.items);
        return kept;
    case BERTH_DO_PURGED:
    case BERTH_DO_REMOVED:
    case BERTH_DO_STATUS:
    case BERTH_DO_WELCOME:
    case BERTH_DO_JOINED:
    case BERTH_DO_RENEWED:
    case BERTH_DO_EPOCH:
    case BERTH_DO_GONE_OK: return kept;
    }
    fail_msg("an effect of type %d", (int)effect->type);
    return kept;
}
