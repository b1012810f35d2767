/* SPDX-License-Identifier: MIT */
/* Frames become events: the frame itself, and what clients send. What a message may hold was
 * checked by berth_validate before it is read here.
 */
#include "translate_state.h"

#include <string.h>

#include "base/assert.h"
#include "proto/columns.h"
#include "proto/validate.h"
#include "proto/wire.h"

_Static_assert((int)BERTH_CHANGED_BY_MAX < BERTH_NAME_BYTES, "who changed it fits the record");

static int read_frame(struct berth_translate *t, const struct berth_incoming *incoming,
                      Berth__V1__Envelope **ret_envelope, struct berth_error *err,
                      const char **ret_field);
static int read_message(struct berth_translate *t, const Berth__V1__Envelope *envelope,
                        uint64_t peer, struct berth_event *ret_event);
static int read_submit(struct berth_arena *arena, struct translate_from from,
                       const Berth__V1__Submit *message, struct berth_ev_submit *ret_event);
static struct berth_ev_job_list read_job_list(struct translate_from from,
                                              const Berth__V1__JobList *message);
static struct berth_ev_dispatcher_set read_dispatcher_set(struct translate_from from,
                                                          const Berth__V1__DispatcherSet *message);

enum berth_translated berth_translate_in(struct berth_translate *t,
                                         const struct berth_incoming *incoming,
                                         struct berth_event *ret_event,
                                         struct berth_slice *ret_answer)
{
    struct berth_error err = { 0 };
    const char *field = NULL;
    Berth__V1__Envelope *envelope = NULL;
    berth_arena_reset(&t->in);

    int rc = read_frame(t, incoming, &envelope, &err, &field);
    BERTH_ASSERT(rc < 0 || envelope);
    if (rc >= 0 && envelope->message_case == BERTH__V1__ENVELOPE__MESSAGE_ERROR)
        return BERTH_TRANSLATED_NOTHING;
    if (rc >= 0 && envelope->message_case == BERTH__V1__ENVELOPE__MESSAGE_CLIENT_HELLO) {
        rc = translate_client_welcome(t, envelope->request, ret_answer);
        return rc < 0 ? BERTH_TRANSLATED_NOTHING : BERTH_TRANSLATED_ANSWER;
    }
    if (rc >= 0) {
        rc = read_message(t, envelope, incoming->peer, ret_event);
        if (rc >= 0)
            return BERTH_TRANSLATED_EVENT;
        (void)berth_fail(&err, rc, "the broker could not read the message");
    }
    uint64_t request = berth_wire_head(incoming->frame).request;
    rc = translate_error(t, request, rc, field, err.message, ret_answer);
    return rc < 0 ? BERTH_TRANSLATED_NOTHING : BERTH_TRANSLATED_ANSWER;
}

static int read_frame(struct berth_translate *t, const struct berth_incoming *incoming,
                      Berth__V1__Envelope **ret_envelope, struct berth_error *err,
                      const char **ret_field)
{
    Berth__V1__Envelope *envelope;
    if (incoming->frame_count != 1)
        return berth_fail(err, BERTH_EPROTO, "a message of %zu frames: allowed is 1",
                          incoming->frame_count);
    int rc = berth_wire_unpack(incoming->frame, &t->in, &envelope, err);
    if (rc < 0)
        return rc;
    if (envelope->message_case != BERTH__V1__ENVELOPE__MESSAGE_ERROR) {
        rc = berth_validate(envelope, BERTH_SIDE_BROKER, err, ret_field);
        if (rc < 0)
            return rc;
    }
    *ret_envelope = envelope;
    return 0;
}

static struct berth_ev_ids read_ids(struct translate_from from, const uint64_t *ids, size_t count)
{
    return (struct berth_ev_ids){
        .peer = from.peer, .request = from.request, .ids = ids, .count = count
    };
}

static struct berth_ev_query read_query(struct translate_from from, ProtobufCBinaryData name)
{
    return (struct berth_ev_query){ .peer = from.peer,
                                    .request = from.request,
                                    .name = berth_slice_from(name) };
}

static struct berth_ev_job_output read_job_output(struct translate_from from,
                                                  const Berth__V1__JobOutputGet *message)
{
    return (struct berth_ev_job_output){ .peer = from.peer,
                                         .request = from.request,
                                         .id = message->id,
                                         .attempt = message->attempt,
                                         .out_from = message->out_from,
                                         .err_from = message->err_from };
}

/* Operators' messages. */
static int read_admin_message(struct berth_translate *t, const Berth__V1__Envelope *envelope,
                              struct translate_from from, struct berth_event *event)
{
    switch (envelope->message_case) {
    case BERTH__V1__ENVELOPE__MESSAGE_DISPATCHER_SET:
        event->type = BERTH_EV_DISPATCHER_SET;
        event->dispatcher_set = read_dispatcher_set(from, envelope->dispatcher_set);
        return 0;
    case BERTH__V1__ENVELOPE__MESSAGE_DISPATCHER_PAUSE:
        event->type = BERTH_EV_DISPATCHER_PAUSE;
        event->dispatcher_pause = (struct berth_ev_dispatcher_pause){
            .peer = from.peer,
            .request = from.request,
            .name = berth_slice_from(envelope->dispatcher_pause->name),
            .is_paused = envelope->dispatcher_pause->is_paused,
            .changed_by = berth_slice_from(envelope->dispatcher_pause->changed_by),
        };
        return 0;
    case BERTH__V1__ENVELOPE__MESSAGE_DISPATCHER_GET:
        event->type = BERTH_EV_DISPATCHER_GET;
        event->query = read_query(from, envelope->dispatcher_get->name);
        return 0;
    case BERTH__V1__ENVELOPE__MESSAGE_WORKER_LIST:
        event->type = BERTH_EV_WORKER_LIST;
        event->query = read_query(from, (ProtobufCBinaryData){ 0 });
        return 0;
    case BERTH__V1__ENVELOPE__MESSAGE_WORKER_DECLARE_GONE:
        event->type = BERTH_EV_WORKER_DECLARE_GONE;
        event->query = read_query(from, envelope->worker_declare_gone->name);
        return 0;
    case BERTH__V1__ENVELOPE__MESSAGE_BROKER_STATUS_GET:
        event->type = BERTH_EV_STATUS;
        event->query = read_query(from, (ProtobufCBinaryData){ 0 });
        return 0;
    case BERTH__V1__ENVELOPE__MESSAGE_DISPATCHER_PURGE:
        event->type = BERTH_EV_DISPATCHER_PURGE;
        event->purge =
            (struct berth_ev_purge){ .peer = from.peer,
                                     .request = from.request,
                                     .name = berth_slice_from(envelope->dispatcher_purge->name),
                                     .below = envelope->dispatcher_purge->below,
                                     .cursor = envelope->dispatcher_purge->cursor };
        return 0;
    case BERTH__V1__ENVELOPE__MESSAGE_EXPLAIN:
        event->type = BERTH_EV_EXPLAIN;
        event->explain = (struct berth_ev_explain){
            .peer = from.peer,
            .request = from.request,
            .id = envelope->explain->id,
            .dispatcher = berth_slice_from(envelope->explain->dispatcher),
        };
        return 0;
    case BERTH__V1__ENVELOPE__MESSAGE_DISPATCHER_REMOVE:
        event->type = BERTH_EV_DISPATCHER_REMOVE;
        event->query = read_query(from, envelope->dispatcher_remove->name);
        return 0;
    case BERTH__V1__ENVELOPE__MESSAGE_SCHEDULE_SET:
    case BERTH__V1__ENVELOPE__MESSAGE_SCHEDULE_PAUSE:
    case BERTH__V1__ENVELOPE__MESSAGE_SCHEDULE_REMOVE:
    case BERTH__V1__ENVELOPE__MESSAGE_SCHEDULE_LIST:
        return translate_schedule_in(&t->in, envelope, from, event);
    default: return translate_worker_message(&t->in, envelope, from.peer, event);
    }
}

static int read_message(struct berth_translate *t, const Berth__V1__Envelope *envelope,
                        uint64_t peer, struct berth_event *ret_event)
{
    const struct translate_from from = { .peer = peer, .request = envelope->request };
    struct berth_event *event = ret_event;
    *event = (struct berth_event){ 0 };
    switch (envelope->message_case) {
    case BERTH__V1__ENVELOPE__MESSAGE_SUBMIT:
        event->type = BERTH_EV_SUBMIT;
        return read_submit(&t->in, from, envelope->submit, &event->submit);
    case BERTH__V1__ENVELOPE__MESSAGE_JOB_WAIT:
        event->type = BERTH_EV_WAIT;
        event->ids = read_ids(from, envelope->job_wait->id, envelope->job_wait->n_id);
        return 0;
    case BERTH__V1__ENVELOPE__MESSAGE_JOB_CANCEL:
        event->type = BERTH_EV_CANCEL;
        event->ids = read_ids(from, envelope->job_cancel->id, envelope->job_cancel->n_id);
        event->ids.is_forced = envelope->job_cancel->is_forced;
        return 0;
    case BERTH__V1__ENVELOPE__MESSAGE_JOB_RETRY:
        event->type = BERTH_EV_RETRY;
        event->ids = read_ids(from, envelope->job_retry->id, envelope->job_retry->n_id);
        return 0;
    case BERTH__V1__ENVELOPE__MESSAGE_JOB_DISCARD:
        event->type = BERTH_EV_DISCARD;
        event->ids = read_ids(from, envelope->job_discard->id, envelope->job_discard->n_id);
        return 0;
    case BERTH__V1__ENVELOPE__MESSAGE_JOB_GET:
        event->type = BERTH_EV_JOB_GET;
        event->ids = read_ids(from, envelope->job_get->id, envelope->job_get->n_id);
        return 0;
    case BERTH__V1__ENVELOPE__MESSAGE_JOB_LIST:
        event->type = BERTH_EV_JOB_LIST;
        event->job_list = read_job_list(from, envelope->job_list);
        return 0;
    case BERTH__V1__ENVELOPE__MESSAGE_JOB_OUTPUT_GET:
        event->type = BERTH_EV_JOB_OUTPUT;
        event->job_output = read_job_output(from, envelope->job_output_get);
        return 0;
    default: return read_admin_message(t, envelope, from, event);
    }
}

const struct berth_slice *translate_slices(struct berth_arena *arena,
                                           const ProtobufCBinaryData *items, size_t count)
{
    struct berth_slice *slices = berth_arena_alloc_array(arena, count, sizeof *slices);
    for (size_t i = 0; slices && i < count; i++)
        slices[i] = berth_slice_from(items[i]);
    return slices;
}

/* The columns of what few jobs bring, read in order. */
struct rare_columns {
    const Berth__V1__Submit *message;
    struct berth_spans groups, uniques;
    const uint64_t *after;
};

static struct rare_columns rare_columns_of(const Berth__V1__Submit *m)
{
    return (struct rare_columns){
        .message = m,
        .groups = berth_spans_of(m->group_bytes, m->n_group_bytes, m->groups),
        .uniques = berth_spans_of(m->unique_bytes, m->n_unique_bytes, m->uniques),
        .after = m->after,
    };
}

/* Of job `i`, the next one. */
static void read_rare_options(struct rare_columns *rare, size_t i, struct berth_submit_item *item)
{
    const Berth__V1__Submit *m = rare->message;
    item->group = berth_spans_next(&rare->groups);
    item->run_at_us = (int64_t)berth_column_u64(m->run_at_us, m->n_run_at_us, i);
    item->queue_timeout_ms =
        (int64_t)berth_column_u64(m->queue_timeout_ms, m->n_queue_timeout_ms, i);
    item->deadline_ms = (int64_t)berth_column_u64(m->deadline_ms, m->n_deadline_ms, i);
    item->backoff_ms = (int64_t)berth_column_u64(m->backoff_ms, m->n_backoff_ms, i);
    item->backoff_ms_max = (int64_t)berth_column_u64(m->backoff_max_ms, m->n_backoff_max_ms, i);
    item->unique = berth_spans_next(&rare->uniques);
    item->on_conflict =
        (enum berth_on_conflict)berth_column_u32(m->on_conflict, m->n_on_conflict, i);
    item->after_count = berth_column_u32(m->after_count, m->n_after_count, i);
    if (item->after_count == 0)
        return;
    item->after = rare->after;
    rare->after += item->after_count;
}

int translate_jobs(struct berth_arena *arena, const Berth__V1__Submit *message,
                   struct berth_ev_submit *ret_jobs)
{
    const Berth__V1__Submit *m = message;
    const size_t count = m->n_body_bytes;
    struct berth_submit_item *items = berth_arena_alloc_array(arena, count, sizeof *items);
    const struct berth_slice *dispatchers =
        translate_slices(arena, m->dispatchers, m->n_dispatchers);
    const struct berth_slice *handlers = translate_slices(arena, m->handlers, m->n_handlers);
    if (!items || !dispatchers || !handlers)
        return -ENOMEM;

    struct berth_spans keys = berth_spans_of(m->key_bytes, m->n_key_bytes, m->keys);
    struct berth_spans bodies = berth_spans_of(m->body_bytes, m->n_body_bytes, m->bodies);
    struct rare_columns rare = rare_columns_of(m);
    for (size_t i = 0; i < count; i++) {
        items[i] = (struct berth_submit_item){
            .dispatcher = berth_column_u32(m->dispatcher, m->n_dispatcher, i),
            .handler = berth_column_u32(m->handler, m->n_handler, i),
            .priority = berth_column_s32(m->priority, m->n_priority, i),
            .delay_ms = (int64_t)berth_column_u64(m->delay_ms, m->n_delay_ms, i),
            .max_attempts = berth_column_u32(m->max_attempts, m->n_max_attempts, i),
            .timeout_ms = (int64_t)berth_column_u64(m->timeout_ms, m->n_timeout_ms, i),
            .key = berth_spans_next(&keys),
            .body = berth_spans_next(&bodies),
        };
        read_rare_options(&rare, i, &items[i]);
    }

    *ret_jobs = (struct berth_ev_submit){
        .dispatchers = dispatchers,
        .dispatcher_count = m->n_dispatchers,
        .handlers = handlers,
        .handler_count = m->n_handlers,
        .items = items,
        .count = count,
    };
    return 0;
}

static int read_submit(struct berth_arena *arena, struct translate_from from,
                       const Berth__V1__Submit *message, struct berth_ev_submit *ret_event)
{
    struct berth_ev_submit event;
    int rc = translate_jobs(arena, message, &event);
    if (rc < 0)
        return rc;
    event.peer = from.peer;
    event.request = from.request;
    BERTH_ASSERT(message->client.len == sizeof event.client);
    memcpy(event.client, message->client.data, sizeof event.client);
    *ret_event = event;
    return 0;
}

static struct berth_ev_job_list read_job_list(struct translate_from from,
                                              const Berth__V1__JobList *message)
{
    return (struct berth_ev_job_list){
        .peer = from.peer,
        .request = from.request,
        .dispatcher = berth_slice_from(message->dispatcher),
        .state = (enum berth_state)message->state,
        .after = message->after,
        .is_newest_first = message->newest_first,
        .with_bodies = message->with_bodies,
        .count_max = message->count_max > 0 ? message->count_max : BERTH_JOBS_ANSWER_COUNT,
    };
}

static struct berth_ev_dispatcher_set read_dispatcher_set(struct translate_from from,
                                                          const Berth__V1__DispatcherSet *message)
{
    return (struct berth_ev_dispatcher_set){
        .peer = from.peer,
        .request = from.request,
        .name = berth_slice_from(message->name),
        .has_limit = message->has_limit_kind,
        .limit = { .kind = (enum berth_limit_kind)message->limit_kind,
                   .value = message->limit_value },
        .has_max_attempts = message->has_max_attempts,
        .max_attempts = message->max_attempts,
        .has_backoff = message->has_backoff_ms,
        .backoff_ms = (int64_t)message->backoff_ms,
        .has_backoff_max = message->has_backoff_max_ms,
        .backoff_ms_max = (int64_t)message->backoff_max_ms,
        .has_timeout = message->has_timeout_ms,
        .timeout_ms = (int64_t)message->timeout_ms,
        .has_grace = message->has_grace_ms,
        .grace_ms = (int64_t)message->grace_ms,
        .has_parent = message->has_parent,
        .parent = berth_slice_from(message->parent),
        .has_weight = message->has_weight,
        .weight = message->weight,
        .has_group_limit = message->has_group_limit,
        .group_limit = message->group_limit,
        .has_rate = message->has_rate_count,
        .rate_count = message->rate_count,
        .rate_ms = (int64_t)message->rate_ms,
        .has_burst = message->has_burst,
        .burst = message->burst,
        .has_max_queued = message->has_max_queued,
        .max_queued = message->max_queued,
        .has_hold = message->has_hold,
        .hold = (enum berth_hold)message->hold,
        .has_on_lost = message->has_on_lost,
        .on_lost = (enum berth_on_lost)message->on_lost,
        .has_jitter = message->has_no_jitter,
        .no_jitter = message->no_jitter,
        .has_queue_timeout = message->has_queue_timeout_ms,
        .queue_timeout_ms = (int64_t)message->queue_timeout_ms,
        .has_deadline = message->has_deadline_ms,
        .deadline_ms = (int64_t)message->deadline_ms,
        .has_retention = message->has_retention_ms,
        .retention_ms = (int64_t)message->retention_ms,
        .has_retention_count = message->has_retention_count,
        .retention_count = message->retention_count,
        .changed_by = berth_slice_from(message->changed_by),
    };
}
