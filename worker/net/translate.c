/* SPDX-License-Identifier: MIT */
/* Effects to frames; see translate.h. Frames to events: translate_in.c. */
#include "worker/net/translate.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <berth/version.h>

#include "base/assert.h"
#include "base/text.h"
#include "proto/columns.h"
#include "proto/errors.h"
#include "proto/validate.h"
#include "proto/wire.h"
#include "worker/net/translate_scope.h"

#define SOFTWARE "berth-worker " BERTH_VERSION

/* Sets an optional field. */
#define PUT(message, field, value)                                                                 \
    do {                                                                                           \
        (message)->has_##field = 1;                                                                \
        (message)->field = (value);                                                                \
    } while (0)

static ProtobufCBinaryData id_bytes(const uint8_t id[BERTH_ID_BYTES])
{
    return berth_bytes_of((struct berth_slice){ id, BERTH_ID_BYTES });
}

static ProtobufCBinaryData text_bytes(const char *text)
{
    return berth_bytes_of(berth_slice_of(text));
}

/* NULL: no memory. */
static ProtobufCBinaryData *names_of(const char *const *names, size_t count,
                                     struct berth_arena *arena)
{
    ProtobufCBinaryData *bytes = berth_arena_alloc_array(arena, count, sizeof *bytes);
    for (size_t i = 0; bytes && i < count; i++)
        bytes[i] = text_bytes(names[i]);
    return bytes;
}

static int pack(Berth__V1__Envelope *envelope, struct berth_buf *buf)
{
    return berth_wire_pack(envelope, buf);
}

static int out_hello(const struct agent_effect *effect, const struct agent_opts *opts,
                     struct berth_arena *arena, struct berth_buf *buf)
{
    Berth__V1__WorkerHello message = BERTH__V1__WORKER_HELLO__INIT;
    PUT(&message, epoch, effect->hello.epoch);
    PUT(&message, node, id_bytes(opts->node));
    PUT(&message, boot, id_bytes(opts->boot));
    PUT(&message, nonce, id_bytes(opts->nonce));
    PUT(&message, child, opts->child);
    PUT(&message, epoch_seen, effect->hello.epoch_seen);
    PUT(&message, lineage_seen, effect->hello.lineage_seen);
    PUT(&message, name, text_bytes(opts->name));
    PUT(&message, capacity, opts->capacity);
    if (opts->suspended_max > 0)
        PUT(&message, suspended_max, opts->suspended_max);
    PUT(&message, cores, opts->cores);
    PUT(&message, software, text_bytes(SOFTWARE));
    PUT(&message, is_alone, opts->is_alone);
    PUT(&message, can_start_alone, opts->can_start_alone);
    message.n_handlers = opts->handler_count;
    message.handlers = names_of(opts->handlers, opts->handler_count, arena);
    message.n_served = opts->dispatcher_count;
    message.served = names_of(opts->dispatchers, opts->dispatcher_count, arena);
    if (!message.handlers || !message.served)
        return -ENOMEM;

    Berth__V1__Envelope envelope;
    berth_wire_init(&envelope, 0);
    envelope.message_case = BERTH__V1__ENVELOPE__MESSAGE_WORKER_HELLO;
    envelope.worker_hello = &message;
    return pack(&envelope, buf);
}

/* The parts of the lines that are joined together, and the columns of their lengths. */
static int fill_spans(const struct agent_line *lines, size_t count, Berth__V1__Ends *ends,
                      struct berth_arena *arena)
{
    size_t messages_bytes = 0, results_bytes = 0;
    for (size_t i = 0; i < count; i++) {
        messages_bytes += lines[i].end.error_message.bytes;
        results_bytes += lines[i].end.result.bytes;
    }
    ends->message_bytes = berth_arena_alloc_array(arena, count, sizeof *ends->message_bytes);
    ends->result_bytes = berth_arena_alloc_array(arena, count, sizeof *ends->result_bytes);
    ends->messages.data = berth_arena_alloc(arena, messages_bytes);
    ends->results.data = berth_arena_alloc(arena, results_bytes);
    if (!ends->message_bytes || !ends->result_bytes || !ends->messages.data || !ends->results.data)
        return -ENOMEM;

    for (size_t i = 0; i < count; i++) {
        struct berth_slice message = lines[i].end.error_message, result = lines[i].end.result;
        ends->message_bytes[i] = (uint32_t)message.bytes;
        ends->result_bytes[i] = (uint32_t)result.bytes;
        if (message.bytes > 0)
            memcpy(ends->messages.data + ends->messages.len, message.data, message.bytes);
        if (result.bytes > 0)
            memcpy(ends->results.data + ends->results.len, result.data, result.bytes);
        ends->messages.len += message.bytes;
        ends->results.len += result.bytes;
    }
    ends->n_message_bytes = berth_column_trim_u32(ends->message_bytes, count);
    ends->n_result_bytes = berth_column_trim_u32(ends->result_bytes, count);
    ends->has_messages = ends->messages.len > 0;
    ends->has_results = ends->results.len > 0;
    return 0;
}

/* The column of error kinds, beside a table of them. */
static int fill_kinds(const struct agent_line *lines, size_t count, Berth__V1__Ends *ends,
                      struct berth_arena *arena)
{
    struct berth_names kinds;
    ends->kind = berth_arena_alloc_array(arena, count, sizeof *ends->kind);
    if (!ends->kind || berth_names_init(&kinds, BERTH_ERROR_KINDS_MAX, arena) < 0)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++) {
        ends->kind[i] = 0;
        if (lines[i].end.error_kind.bytes == 0)
            continue;
        int64_t index = berth_names_put(&kinds, lines[i].end.error_kind);
        if (index < 0)
            return (int)index;
        ends->kind[i] = (uint32_t)index + 1;
    }
    ends->n_kind = berth_column_trim_u32(ends->kind, count);
    ends->n_kinds = kinds.count;
    ends->kinds = kinds.items;
    return 0;
}

/* Lines that did not end hold zeros, but for how long they have run. */
static int fill_ends(const struct agent_line *lines, size_t count, Berth__V1__Ends *ends,
                     struct berth_arena *arena)
{
    ends->outcome = berth_arena_alloc_array(arena, count, sizeof *ends->outcome);
    ends->retry_ms = berth_arena_alloc_array(arena, count, sizeof *ends->retry_ms);
    ends->run_us = berth_arena_alloc_array(arena, count, sizeof *ends->run_us);
    if (!ends->outcome || !ends->retry_ms || !ends->run_us)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++) {
        ends->outcome[i] = (uint32_t)lines[i].end.outcome;
        ends->retry_ms[i] = (uint64_t)lines[i].end.retry_ms;
        ends->run_us[i] = (uint64_t)lines[i].end.run_us;
    }
    ends->n_outcome = berth_column_trim_u32(ends->outcome, count);
    ends->n_retry_ms = berth_column_trim_u64(ends->retry_ms, count);
    ends->n_run_us = berth_column_trim_u64(ends->run_us, count);
    int rc = fill_kinds(lines, count, ends, arena);
    return rc < 0 ? rc : fill_spans(lines, count, ends, arena);
}

/* The columns of a join beside those of its ends. */
static int fill_join(const struct agent_line *lines, size_t count, Berth__V1__WorkerJoin *m,
                     struct berth_arena *arena)
{
    struct berth_names dispatchers;
    m->attempt = berth_arena_alloc_array(arena, count, sizeof *m->attempt);
    m->job = berth_arena_alloc_array(arena, count, sizeof *m->job);
    m->dispatcher = berth_arena_alloc_array(arena, count, sizeof *m->dispatcher);
    m->number = berth_arena_alloc_array(arena, count, sizeof *m->number);
    m->state = berth_arena_alloc_array(arena, count, sizeof *m->state);
    m->is_cancelled = berth_arena_alloc_array(arena, count, sizeof *m->is_cancelled);
    if (!m->attempt || !m->job || !m->dispatcher || !m->number || !m->state || !m->is_cancelled)
        return -ENOMEM;
    size_t names_max = count < BERTH_NAMES_MAX ? count : BERTH_NAMES_MAX;
    if (berth_names_init(&dispatchers, names_max > 0 ? names_max : 1, arena) < 0)
        return -ENOMEM;

    for (size_t i = 0; i < count; i++) {
        int64_t dispatcher = berth_names_put(&dispatchers, lines[i].dispatcher);
        if (dispatcher < 0)
            return (int)dispatcher;
        m->attempt[i] = lines[i].attempt;
        m->job[i] = lines[i].job;
        m->dispatcher[i] = (uint32_t)dispatcher;
        m->number[i] = lines[i].number;
        m->state[i] = (uint32_t)lines[i].state;
        m->is_cancelled[i] = lines[i].is_cancelled ? 1 : 0;
    }
    m->n_attempt = m->n_job = m->n_number = m->n_state = count;
    m->n_dispatcher = berth_column_trim_u32(m->dispatcher, count);
    m->n_is_cancelled = berth_column_trim_u32(m->is_cancelled, count);
    m->n_dispatchers = dispatchers.count;
    m->dispatchers = dispatchers.items;
    return translate_suspensions(lines, count, arena, m);
}

static int out_join(const struct agent_effect *effect, const struct agent_opts *opts,
                    struct berth_arena *arena, struct berth_buf *buf)
{
    Berth__V1__WorkerJoin message = BERTH__V1__WORKER_JOIN__INIT;
    Berth__V1__Ends ends = BERTH__V1__ENDS__INIT;
    PUT(&message, session, effect->join.session);
    PUT(&message, epoch, effect->join.epoch);
    PUT(&message, join, effect->join.join);
    PUT(&message, renewal, effect->join.renewal);
    PUT(&message, is_draining, effect->join.is_draining);
    PUT(&message, name, text_bytes(opts->name));
    PUT(&message, capacity, opts->capacity);
    if (opts->suspended_max > 0)
        PUT(&message, suspended_max, opts->suspended_max);
    PUT(&message, cores, opts->cores);
    PUT(&message, software, text_bytes(SOFTWARE));
    PUT(&message, is_alone, opts->is_alone);
    PUT(&message, can_start_alone, opts->can_start_alone);
    message.n_handlers = opts->handler_count;
    message.handlers = names_of(opts->handlers, opts->handler_count, arena);
    message.n_served = opts->dispatcher_count;
    message.served = names_of(opts->dispatchers, opts->dispatcher_count, arena);
    if (!message.handlers || !message.served)
        return -ENOMEM;
    int rc = fill_join(effect->join.lines, effect->join.count, &message, arena);
    if (rc < 0)
        return rc;
    rc = fill_ends(effect->join.lines, effect->join.count, &ends, arena);
    if (rc < 0)
        return rc;
    message.ends = &ends;

    Berth__V1__Envelope envelope;
    berth_wire_init(&envelope, 0);
    envelope.message_case = BERTH__V1__ENVELOPE__MESSAGE_WORKER_JOIN;
    envelope.worker_join = &message;
    return pack(&envelope, buf);
}

static int out_renew(const struct agent_effect *effect, struct berth_buf *buf)
{
    Berth__V1__WorkerRenew message = BERTH__V1__WORKER_RENEW__INIT;
    PUT(&message, session, effect->renew.session);
    PUT(&message, epoch, effect->renew.epoch);
    PUT(&message, join, effect->renew.join);
    PUT(&message, renewal, effect->renew.renewal);
    PUT(&message, sent, effect->renew.sent);
    PUT(&message, taken, effect->renew.taken);

    Berth__V1__Envelope envelope;
    berth_wire_init(&envelope, 0);
    envelope.message_case = BERTH__V1__ENVELOPE__MESSAGE_WORKER_RENEW;
    envelope.worker_renew = &message;
    return pack(&envelope, buf);
}

static int fill_reports(const struct agent_effect *effect, Berth__V1__WorkerReports *m,
                        struct berth_arena *arena)
{
    size_t count = effect->reports.count, release_count = effect->reports.release_count;
    m->attempt = berth_arena_alloc_array(arena, count, sizeof *m->attempt);
    m->job = berth_arena_alloc_array(arena, count, sizeof *m->job);
    m->release_attempt = berth_arena_alloc_array(arena, release_count, sizeof *m->release_attempt);
    m->release_reason = berth_arena_alloc_array(arena, release_count, sizeof *m->release_reason);
    if (!m->attempt || !m->job || !m->release_attempt || !m->release_reason)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++) {
        m->attempt[i] = effect->reports.lines[i].attempt;
        m->job[i] = effect->reports.lines[i].job;
    }
    for (size_t i = 0; i < release_count; i++) {
        m->release_attempt[i] = effect->reports.release_attempts[i];
        m->release_reason[i] = (uint32_t)effect->reports.release_reasons[i];
    }
    m->n_attempt = m->n_job = count;
    m->n_release_attempt = m->n_release_reason = release_count;
    return 0;
}

static int out_reports(const struct agent_effect *effect, struct berth_arena *arena,
                       struct berth_buf *buf)
{
    Berth__V1__WorkerReports message = BERTH__V1__WORKER_REPORTS__INIT;
    Berth__V1__Ends ends = BERTH__V1__ENDS__INIT;
    PUT(&message, session, effect->reports.session);
    PUT(&message, epoch, effect->reports.epoch);
    PUT(&message, join, effect->reports.join);
    PUT(&message, number, effect->reports.number);
    PUT(&message, is_draining, effect->reports.is_draining);
    int rc = fill_reports(effect, &message, arena);
    if (rc >= 0)
        rc = translate_scope_out(effect, arena, &message);
    if (rc < 0)
        return rc;
    rc = fill_ends(effect->reports.lines, effect->reports.count, &ends, arena);
    if (rc < 0)
        return rc;
    if (effect->reports.count > 0)
        message.ends = &ends;

    Berth__V1__Envelope envelope;
    berth_wire_init(&envelope, 0);
    envelope.message_case = BERTH__V1__ENVELOPE__MESSAGE_WORKER_REPORTS;
    envelope.worker_reports = &message;
    return pack(&envelope, buf);
}

/* One stream of what is shown: the places, the lengths, and everything joined together. */
struct show_columns {
    uint64_t *from;
    uint32_t *bytes;
    ProtobufCBinaryData joined;
};

static bool show_columns_init(struct show_columns *columns, size_t count, size_t bytes,
                              struct berth_arena *arena)
{
    columns->from = berth_arena_alloc_array(arena, count, sizeof *columns->from);
    columns->bytes = berth_arena_alloc_array(arena, count, sizeof *columns->bytes);
    columns->joined = (ProtobufCBinaryData){ .data = berth_arena_alloc(arena, bytes) };
    return columns->from && columns->bytes && columns->joined.data;
}

static void show_columns_put(struct show_columns *columns, size_t index, uint64_t from,
                             struct berth_slice bytes)
{
    columns->from[index] = from;
    columns->bytes[index] = (uint32_t)bytes.bytes;
    if (bytes.bytes > 0)
        memcpy(columns->joined.data + columns->joined.len, bytes.data, bytes.bytes);
    columns->joined.len += bytes.bytes;
}

static int fill_output(const struct agent_show *shows, size_t count, Berth__V1__WorkerReports *m,
                       struct berth_arena *arena)
{
    struct show_columns out, err;
    size_t out_bytes = 0, err_bytes = 0;
    for (size_t i = 0; i < count; i++) {
        out_bytes += shows[i].out.bytes;
        err_bytes += shows[i].err.bytes;
    }
    if (!show_columns_init(&out, count, out_bytes, arena) ||
        !show_columns_init(&err, count, err_bytes, arena))
        return -ENOMEM;
    for (size_t i = 0; i < count; i++) {
        show_columns_put(&out, i, shows[i].out_from, shows[i].out);
        show_columns_put(&err, i, shows[i].err_from, shows[i].err);
    }
    m->show_out_from = out.from;
    m->n_show_out_from = berth_column_trim_u64(out.from, count);
    m->show_out_bytes = out.bytes;
    m->n_show_out_bytes = berth_column_trim_u32(out.bytes, count);
    m->has_show_outs = out.joined.len > 0;
    m->show_outs = out.joined;
    m->show_err_from = err.from;
    m->n_show_err_from = berth_column_trim_u64(err.from, count);
    m->show_err_bytes = err.bytes;
    m->n_show_err_bytes = berth_column_trim_u32(err.bytes, count);
    m->has_show_errs = err.joined.len > 0;
    m->show_errs = err.joined;
    return 0;
}

static int fill_shows(const struct agent_show *shows, size_t count, Berth__V1__WorkerReports *m,
                      struct berth_arena *arena)
{
    m->show_attempt = berth_arena_alloc_array(arena, count, sizeof *m->show_attempt);
    m->show_has_progress = berth_arena_alloc_array(arena, count, sizeof *m->show_has_progress);
    m->show_done = berth_arena_alloc_array(arena, count, sizeof *m->show_done);
    m->show_total = berth_arena_alloc_array(arena, count, sizeof *m->show_total);
    if (!m->show_attempt || !m->show_has_progress || !m->show_done || !m->show_total)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++) {
        m->show_attempt[i] = shows[i].attempt;
        m->show_has_progress[i] = shows[i].has_progress ? 1 : 0;
        m->show_done[i] = shows[i].done;
        m->show_total[i] = shows[i].total;
    }
    m->n_show_attempt = count;
    m->n_show_has_progress = berth_column_trim_u32(m->show_has_progress, count);
    m->n_show_done = berth_column_trim_u64(m->show_done, count);
    m->n_show_total = berth_column_trim_u64(m->show_total, count);
    return fill_output(shows, count, m, arena);
}

int translate_show(const struct agent_effect *effect, const struct agent_show *shows, size_t count,
                   struct berth_arena *arena, struct berth_buf *buf, struct berth_error *err)
{
    Berth__V1__WorkerReports message = BERTH__V1__WORKER_REPORTS__INIT;
    BERTH_ASSERT(effect->type == AGENT_DO_SHOW);
    PUT(&message, session, effect->show.session);
    PUT(&message, epoch, effect->show.epoch);
    PUT(&message, join, effect->show.join);
    PUT(&message, number, effect->show.number);
    int rc = fill_shows(shows, count, &message, arena);

    Berth__V1__Envelope envelope;
    berth_wire_init(&envelope, 0);
    envelope.message_case = BERTH__V1__ENVELOPE__MESSAGE_WORKER_REPORTS;
    envelope.worker_reports = &message;
    if (rc >= 0)
        rc = pack(&envelope, buf);
    return rc < 0 ? berth_fail(err, rc, "pack a message for the broker") : 0;
}

int translate_out(const struct agent_effect *effect, const struct agent_opts *opts,
                  struct berth_arena *arena, struct berth_buf *buf, struct berth_error *err)
{
    int rc = 0;
    switch (effect->type) {
    case AGENT_DO_HELLO: rc = out_hello(effect, opts, arena, buf); break;
    case AGENT_DO_JOIN: rc = out_join(effect, opts, arena, buf); break;
    case AGENT_DO_RENEW: rc = out_renew(effect, buf); break;
    case AGENT_DO_REPORTS: rc = out_reports(effect, arena, buf); break;
    case AGENT_DO_SHOW:
    case AGENT_DO_START:
    case AGENT_DO_CANCEL:
    case AGENT_DO_RESUME:
    case AGENT_DO_CHILDREN:
    case AGENT_DO_CHILD_ENDED:
    case AGENT_DO_SESSION:
    case AGENT_DO_LEASE:
    case AGENT_DO_START_ALONE:
    case AGENT_DO_RECONNECT:
    case AGENT_DO_EXIT: BERTH_UNREACHABLE();
    }
    return rc < 0 ? berth_fail(err, rc, "pack a message for the broker") : 0;
}

int translate_ask(uint64_t number, berth_job_id id, struct berth_buf *buf)
{
    Berth__V1__JobGet message = BERTH__V1__JOB_GET__INIT;
    message.n_id = 1;
    message.id = &id.v;

    Berth__V1__Envelope envelope;
    berth_wire_init(&envelope, number);
    envelope.message_case = BERTH__V1__ENVELOPE__MESSAGE_JOB_GET;
    envelope.job_get = &message;
    return pack(&envelope, buf);
}

int translate_gone(uint64_t session, const struct agent_opts *opts, struct berth_buf *buf)
{
    Berth__V1__WorkerGone message = BERTH__V1__WORKER_GONE__INIT;
    PUT(&message, session, session);
    PUT(&message, nonce, id_bytes(opts->nonce));
    PUT(&message, child, opts->child);
    PUT(&message, cause, BERTH__V1__GONE_CAUSE__GONE_DRAIN);

    Berth__V1__Envelope envelope;
    berth_wire_init(&envelope, 0);
    envelope.message_case = BERTH__V1__ENVELOPE__MESSAGE_WORKER_GONE;
    envelope.worker_gone = &message;
    return pack(&envelope, buf);
}
