/* SPDX-License-Identifier: MIT */
/* What workers and keepers send becomes events. Everything was checked by berth_validate before. */
#include "translate_state.h"

#include <string.h>

#include "base/assert.h"
#include "proto/columns.h"

static int read_hello(struct berth_arena *arena, const Berth__V1__WorkerHello *message,
                      uint64_t peer, struct berth_ev_hello *ret_event);
static int read_join(struct berth_arena *arena, const Berth__V1__WorkerJoin *message, uint64_t peer,
                     struct berth_ev_join *ret_event);
static int read_reports(struct berth_arena *arena, const Berth__V1__WorkerReports *message,
                        uint64_t peer, struct berth_ev_reports *ret_event);
static int read_gone(struct berth_arena *arena, const Berth__V1__WorkerGone *message, uint64_t peer,
                     struct berth_ev_gone *ret_event);

int translate_worker_message(struct berth_arena *arena, const Berth__V1__Envelope *envelope,
                             uint64_t peer, struct berth_event *ret_event)
{
    const Berth__V1__WorkerRenew *renew;
    switch (envelope->message_case) {
    case BERTH__V1__ENVELOPE__MESSAGE_WORKER_HELLO:
        ret_event->type = BERTH_EV_HELLO;
        return read_hello(arena, envelope->worker_hello, peer, &ret_event->hello);
    case BERTH__V1__ENVELOPE__MESSAGE_WORKER_JOIN:
        ret_event->type = BERTH_EV_JOIN;
        return read_join(arena, envelope->worker_join, peer, &ret_event->join);
    case BERTH__V1__ENVELOPE__MESSAGE_WORKER_RENEW:
        renew = envelope->worker_renew;
        ret_event->type = BERTH_EV_RENEW;
        ret_event->renew = (struct berth_ev_renew){
            .peer = peer,
            .session = renew->session,
            .epoch = renew->epoch,
            .join = renew->join,
            .renewal = renew->renewal,
            .sent = renew->sent,
            .taken = renew->taken,
        };
        return 0;
    case BERTH__V1__ENVELOPE__MESSAGE_WORKER_REPORTS:
        ret_event->type = BERTH_EV_REPORTS;
        return read_reports(arena, envelope->worker_reports, peer, &ret_event->reports);
    case BERTH__V1__ENVELOPE__MESSAGE_WORKER_GONE:
        ret_event->type = BERTH_EV_GONE;
        return read_gone(arena, envelope->worker_gone, peer, &ret_event->gone);
    default:
        /* berth_validate lets through only what a broker receives. */
        BERTH_UNREACHABLE();
    }
}

static void read_id(uint8_t ret_id[static BERTH_ID_BYTES], ProtobufCBinaryData id)
{
    BERTH_ASSERT(id.len == BERTH_ID_BYTES);
    memcpy(ret_id, id.data, BERTH_ID_BYTES);
}

static int read_hello(struct berth_arena *arena, const Berth__V1__WorkerHello *message,
                      uint64_t peer, struct berth_ev_hello *ret_event)
{
    const struct berth_slice *handlers =
        translate_slices(arena, message->handlers, message->n_handlers);
    const struct berth_slice *served = translate_slices(arena, message->served, message->n_served);
    if (!handlers || !served)
        return -ENOMEM;
    *ret_event = (struct berth_ev_hello){
        .peer = peer,
        .epoch = message->epoch,
        .child = message->child,
        .offer = {
            .name = berth_slice_from(message->name),
            .software = berth_slice_from(message->software),
            .handlers = handlers,
            .handler_count = message->n_handlers,
            .served = served,
            .served_count = message->n_served,
            .capacity = message->capacity,
            .suspended_max = message->suspended_max,
            .cores = message->cores,
            .is_alone = message->is_alone,
            .can_start_alone = message->can_start_alone,
        },
    };
    read_id(ret_event->node, message->node);
    read_id(ret_event->boot, message->boot);
    read_id(ret_event->nonce, message->nonce);
    return 0;
}

/* Walks the columns of ends, one entry after the other. Without any the entries are empty. */
struct ends {
    const Berth__V1__Ends *message;
    struct berth_spans texts, results;
    size_t index;
};

static struct ends ends_of(const Berth__V1__Ends *message)
{
    struct ends ends = { .message = message };
    if (message) {
        ends.texts =
            berth_spans_of(message->message_bytes, message->n_message_bytes, message->messages);
        ends.results =
            berth_spans_of(message->result_bytes, message->n_result_bytes, message->results);
    }
    return ends;
}

static struct berth_attempt_end next_end(struct ends *ends)
{
    const Berth__V1__Ends *m = ends->message;
    if (!m)
        return (struct berth_attempt_end){ 0 };
    size_t i = ends->index++;
    uint32_t kind = berth_column_u32(m->kind, m->n_kind, i);
    return (struct berth_attempt_end){
        .outcome = (enum berth_outcome)berth_column_u32(m->outcome, m->n_outcome, i),
        .retry_ms = (int64_t)berth_column_u64(m->retry_ms, m->n_retry_ms, i),
        .run_us = (int64_t)berth_column_u64(m->run_us, m->n_run_us, i),
        .error_kind = kind > 0 ? berth_slice_from(m->kinds[kind - 1]) : (struct berth_slice){ 0 },
        .error_message = berth_spans_next(&ends->texts),
        .result = berth_spans_next(&ends->results),
    };
}

static int read_join(struct berth_arena *arena, const Berth__V1__WorkerJoin *message, uint64_t peer,
                     struct berth_ev_join *ret_event)
{
    const Berth__V1__WorkerJoin *m = message;
    struct berth_join_line *lines = berth_arena_alloc_array(arena, m->n_attempt, sizeof *lines);
    const struct berth_slice *handlers = translate_slices(arena, m->handlers, m->n_handlers);
    const struct berth_slice *served = translate_slices(arena, m->served, m->n_served);
    if (!lines || !handlers || !served)
        return -ENOMEM;

    struct ends ends = ends_of(m->ends);
    for (size_t i = 0; i < m->n_attempt; i++) {
        uint32_t dispatcher = berth_column_u32(m->dispatcher, m->n_dispatcher, i);
        lines[i] = (struct berth_join_line){
            .attempt = m->attempt[i],
            .job = m->job[i],
            .dispatcher = berth_slice_from(m->dispatchers[dispatcher]),
            .number = berth_column_u32(m->number, m->n_number, i),
            .state = (enum berth_attempt_state)berth_column_u32(m->state, m->n_state, i),
            .suspensions = berth_column_u32(m->suspensions, m->n_suspensions, i),
            .is_cancelled = berth_column_u32(m->is_cancelled, m->n_is_cancelled, i) != 0,
            .end = next_end(&ends),
        };
    }
    *ret_event = (struct berth_ev_join){
        .peer = peer,
        .session = m->session,
        .epoch = m->epoch,
        .join = m->join,
        .renewal = m->renewal,
        .lines = lines,
        .count = m->n_attempt,
        .is_draining = m->is_draining,
        .offer = {
            .name = berth_slice_from(m->name),
            .software = berth_slice_from(m->software),
            .handlers = handlers,
            .handler_count = m->n_handlers,
            .served = served,
            .served_count = m->n_served,
            .capacity = m->capacity,
            .suspended_max = m->suspended_max,
            .cores = m->cores,
            .is_alone = m->is_alone,
            .can_start_alone = m->can_start_alone,
        },
    };
    return 0;
}

/* NULL: no memory. */
static const struct berth_show *read_shows(struct berth_arena *arena,
                                           const Berth__V1__WorkerReports *m)
{
    struct berth_show *shows = berth_arena_alloc_array(arena, m->n_show_attempt, sizeof *shows);
    struct berth_spans outs = berth_spans_of(m->show_out_bytes, m->n_show_out_bytes, m->show_outs);
    struct berth_spans errs = berth_spans_of(m->show_err_bytes, m->n_show_err_bytes, m->show_errs);
    for (size_t i = 0; shows && i < m->n_show_attempt; i++)
        shows[i] = (struct berth_show){
            .attempt = m->show_attempt[i],
            .has_progress = berth_column_u32(m->show_has_progress, m->n_show_has_progress, i) != 0,
            .done = berth_column_u64(m->show_done, m->n_show_done, i),
            .total = berth_column_u64(m->show_total, m->n_show_total, i),
            .out_from = berth_column_u64(m->show_out_from, m->n_show_out_from, i),
            .err_from = berth_column_u64(m->show_err_from, m->n_show_err_from, i),
            .out = berth_spans_next(&outs),
            .err = berth_spans_next(&errs),
        };
    return shows;
}

static int read_reports(struct berth_arena *arena, const Berth__V1__WorkerReports *message,
                        uint64_t peer, struct berth_ev_reports *ret_event)
{
    const Berth__V1__WorkerReports *m = message;
    struct berth_report *reports = berth_arena_alloc_array(arena, m->n_attempt, sizeof *reports);
    uint8_t *reasons = berth_arena_alloc(arena, m->n_release_attempt);
    const struct berth_show *shows = read_shows(arena, m);
    if (!reports || !reasons || !shows)
        return -ENOMEM;

    struct ends ends = ends_of(m->ends);
    for (size_t i = 0; i < m->n_attempt; i++)
        reports[i] = (struct berth_report){
            .attempt = m->attempt[i],
            .job = m->job[i],
            .end = next_end(&ends),
        };
    for (size_t i = 0; i < m->n_release_attempt; i++)
        reasons[i] = (uint8_t)berth_column_u32(m->release_reason, m->n_release_reason, i);

    *ret_event = (struct berth_ev_reports){
        .peer = peer,
        .session = m->session,
        .epoch = m->epoch,
        .join = m->join,
        .number = m->number,
        .reports = reports,
        .count = m->n_attempt,
        .releases = m->release_attempt,
        .release_reasons = reasons,
        .release_count = m->n_release_attempt,
        .shows = shows,
        .show_count = m->n_show_attempt,
        .is_draining = m->is_draining,
    };
    return translate_scope_in(arena, m, ret_event);
}

static int read_gone(struct berth_arena *arena, const Berth__V1__WorkerGone *message, uint64_t peer,
                     struct berth_ev_gone *ret_event)
{
    const Berth__V1__WorkerGone *m = message;
    uint32_t *numbers = berth_arena_alloc_array(arena, m->n_attempt, sizeof *numbers);
    if (!numbers)
        return -ENOMEM;
    for (size_t i = 0; i < m->n_attempt; i++)
        numbers[i] = berth_column_u32(m->number, m->n_number, i);
    *ret_event = (struct berth_ev_gone){
        .peer = peer,
        .session = m->session,
        .child = m->child,
        .cause = (enum berth_gone_cause)m->cause,
        .status = m->status,
        .attempts = m->attempt,
        .jobs = m->job,
        .numbers = numbers,
        .count = m->n_attempt,
        .culprit = m->culprit,
    };
    if (m->nonce.len > 0)
        read_id(ret_event->nonce, m->nonce);
    return 0;
}
