/* SPDX-License-Identifier: MIT */
/* Effects become frames: the frame itself, and the answers to clients. */
#include "translate_state.h"

#include <endian.h>
#include <string.h>

#include "base/assert.h"
#include "proto/columns.h"
#include "proto/errors.h"
#include "proto/wire.h"

#define SET       TRANSLATE_SET
#define SET_BYTES TRANSLATE_SET_BYTES

/* A row of an answer beside its texts: tags, lengths and numbers. */
#define JOB_ROW_BYTES 384
#define ID_BYTES      10 /* a varint, at most */
/* The jobs of one answer; what is left of the frame is for the ids that are unknown. */
#define JOBS_BYTES_MAX (BERTH_FRAME_BYTES_MAX - 10u * BERTH_IDS_MAX - 1024u)

static int make_frame(struct berth_translate *t, const Berth__V1__Envelope *envelope,
                      struct berth_slice *ret_frame);
static int make_message(struct berth_translate *t, const struct berth_effect *effect,
                        uint64_t wal_bytes, union translate_message *message,
                        Berth__V1__Envelope *envelope);

int berth_translate_out(struct berth_translate *t, const struct berth_effect *effect,
                        uint64_t wal_bytes, struct berth_slice *ret_frame)
{
    union translate_message message;
    Berth__V1__Envelope envelope;
    berth_arena_reset(&t->out);
    berth_wire_init(&envelope, effect->request);
    int rc = make_message(t, effect, wal_bytes, &message, &envelope);
    return rc < 0 ? rc : make_frame(t, &envelope, ret_frame);
}

int translate_error(struct berth_translate *t, uint64_t request, int code, const char *field,
                    const char *message, struct berth_slice *ret_frame)
{
    Berth__V1__Envelope envelope;
    Berth__V1__Error error;
    berth_wire_init(&envelope, request);
    berth_wire_error(code, field, message, &error);
    envelope.message_case = BERTH__V1__ENVELOPE__MESSAGE_ERROR;
    envelope.error = &error;
    return make_frame(t, &envelope, ret_frame);
}

int translate_client_welcome(struct berth_translate *t, uint64_t request,
                             struct berth_slice *ret_frame)
{
    union translate_message message;
    Berth__V1__Envelope envelope;
    berth_wire_init(&envelope, request);
    Berth__V1__ClientWelcome *m =
        TRANSLATE_BEGIN(&message, &envelope, client_welcome, CLIENT_WELCOME);
    SET(m, epoch, (uint32_t)t->opts.epoch);
    SET_BYTES(m, software, berth_slice_of(t->opts.software));
    SET(m, frame_bytes_max, BERTH_FRAME_BYTES_MAX);
    SET(m, jobs_max, BERTH_SUBMIT_JOBS_MAX);
    SET(m, body_bytes_max, BERTH_BODY_BYTES_MAX);
    return make_frame(t, &envelope, ret_frame);
}

static int make_frame(struct berth_translate *t, const Berth__V1__Envelope *envelope,
                      struct berth_slice *ret_frame)
{
    berth_buf_clear(&t->frame);
    int rc = berth_wire_pack(envelope, &t->frame);
    if (rc < 0)
        return rc;
    *ret_frame = berth_buf_slice(&t->frame);
    return 0;
}

/* protobuf-c has no const; what it packs it does not write. */
static uint64_t *ids_of(const uint64_t *ids)
{
    uint64_t *without_const;
    memcpy(&without_const, &ids, sizeof ids);
    return without_const;
}

/* A repeated field of messages is an array of pointers: to each of these rows. NULL: no memory. */
void *translate_pointers(struct berth_arena *arena, void *rows, size_t count, size_t row_bytes)
{
    void **pointers = berth_arena_alloc_array(arena, count, sizeof *pointers);
    for (size_t i = 0; pointers && i < count; i++)
        pointers[i] = (char *)rows + i * row_bytes;
    return pointers;
}

/* The columns of what was refused: index, code, field, message. */
static int put_refusals(struct berth_arena *arena, const struct berth_do_submitted *from,
                        size_t refused_count, Berth__V1__Submitted *m)
{
    m->refused = berth_arena_alloc_array(arena, refused_count, sizeof *m->refused);
    m->refused_code = berth_arena_alloc_array(arena, refused_count, sizeof *m->refused_code);
    m->refused_field = berth_arena_alloc_array(arena, refused_count, sizeof *m->refused_field);
    m->refused_message = berth_arena_alloc_array(arena, refused_count, sizeof *m->refused_message);
    if (!m->refused || !m->refused_code || !m->refused_field || !m->refused_message)
        return -ENOMEM;
    size_t at = 0;
    for (size_t i = 0; i < from->count; i++) {
        const struct berth_do_error *refusal = &from->items[i].refusal;
        if (from->items[i].id != 0)
            continue;
        m->refused[at] = (uint32_t)i;
        m->refused_code[at] = berth_wire_code(refusal->code);
        m->refused_field[at] = berth_bytes_of(berth_slice_of(refusal->field));
        m->refused_message[at] = berth_bytes_of(berth_slice_of(refusal->message));
        at++;
    }
    m->n_refused = m->n_refused_code = m->n_refused_field = m->n_refused_message = at;
    return 0;
}

static int put_submitted(struct berth_arena *arena, const struct berth_do_submitted *from,
                         Berth__V1__Submitted *m)
{
    size_t refused_count = 0;
    m->id = berth_arena_alloc_array(arena, from->count, sizeof *m->id);
    m->is_existing = berth_arena_alloc_array(arena, from->count, sizeof *m->is_existing);
    if (!m->id || !m->is_existing)
        return -ENOMEM;
    for (size_t i = 0; i < from->count; i++) {
        m->id[i] = from->items[i].id;
        m->is_existing[i] = from->items[i].is_existing;
        refused_count += m->id[i] == 0;
    }
    m->n_id = from->count;
    m->n_is_existing = berth_column_trim_u32(m->is_existing, from->count);
    return refused_count > 0 ? put_refusals(arena, from, refused_count, m) : 0;
}

static int put_waited(struct berth_arena *arena, const struct berth_do_waited *from,
                      Berth__V1__JobWaited *m)
{
    m->id = berth_arena_alloc_array(arena, from->count, sizeof *m->id);
    m->state = berth_arena_alloc_array(arena, from->count, sizeof *m->state);
    if (!m->id || !m->state)
        return -ENOMEM;
    for (size_t i = 0; i < from->count; i++) {
        m->id[i] = from->ended[i].id;
        m->state[i] = from->ended[i].state;
    }
    m->n_id = m->n_state = from->count;
    m->unknown = ids_of(from->unknown);
    m->n_unknown = from->unknown_count;
    SET(m, pending, from->pending);
    return 0;
}

static int put_cancelled(struct berth_arena *arena, const struct berth_do_cancelled *from,
                         Berth__V1__JobCancelled *m)
{
    m->id = berth_arena_alloc_array(arena, from->count, sizeof *m->id);
    m->code = berth_arena_alloc_array(arena, from->count, sizeof *m->code);
    m->state = berth_arena_alloc_array(arena, from->count, sizeof *m->state);
    if (!m->id || !m->code || !m->state)
        return -ENOMEM;
    for (size_t i = 0; i < from->count; i++) {
        m->id[i] = from->items[i].id;
        m->code[i] = berth_wire_code(from->items[i].code);
        m->state[i] = from->items[i].state;
    }
    m->n_id = m->n_state = from->count;
    m->n_code = berth_column_trim_u32(m->code, from->count);
    return 0;
}

static int put_changed(struct berth_arena *arena, const struct berth_do_changed *from,
                       Berth__V1__JobChanged *m)
{
    m->id = berth_arena_alloc_array(arena, from->count, sizeof *m->id);
    m->code = berth_arena_alloc_array(arena, from->count, sizeof *m->code);
    m->state = berth_arena_alloc_array(arena, from->count, sizeof *m->state);
    m->other = berth_arena_alloc_array(arena, from->count, sizeof *m->other);
    if (!m->id || !m->code || !m->state || !m->other)
        return -ENOMEM;
    for (size_t i = 0; i < from->count; i++) {
        m->id[i] = from->items[i].id;
        m->code[i] = berth_wire_code(from->items[i].code);
        m->state[i] = from->items[i].state;
        m->other[i] = from->items[i].other;
    }
    m->n_id = m->n_state = from->count;
    m->n_code = berth_column_trim_u32(m->code, from->count);
    m->n_other = berth_column_trim_u64(m->other, from->count);
    return 0;
}

static void put_purged(const struct berth_do_purged *from, Berth__V1__DispatcherPurged *m)
{
    SET(m, count, from->count);
    SET(m, below, from->below);
    if (from->cursor)
        SET(m, cursor, from->cursor);
}

/* The record has them packed, for wherever they lie. */
static int put_after(struct berth_arena *arena, struct berth_slice after, Berth__V1__Job *m)
{
    size_t count = after.bytes / sizeof(uint64_t);
    m->after = berth_arena_alloc_array(arena, count, sizeof *m->after);
    if (!m->after)
        return -ENOMEM;
    memcpy(m->after, after.data, count * sizeof *m->after);
    for (size_t i = 0; i < count; i++)
        m->after[i] = le64toh(m->after[i]);
    m->n_after = count;
    return 0;
}

static int put_rare_options(struct berth_arena *arena, const struct berth_job_record *record,
                            Berth__V1__Job *m)
{
    if (record->group.bytes > 0)
        SET_BYTES(m, group, record->group);
    if (record->parent)
        SET(m, parent, record->parent);
    if (record->deadline_us)
        SET(m, deadline_us, record->deadline_us);
    if (record->queue_timeout_ms)
        SET(m, queue_timeout_ms, (uint64_t)record->queue_timeout_ms);
    if (record->backoff_ms)
        SET(m, backoff_ms, (uint64_t)record->backoff_ms);
    if (record->backoff_ms_max)
        SET(m, backoff_max_ms, (uint64_t)record->backoff_ms_max);
    if (record->unique.bytes > 0)
        SET_BYTES(m, unique, record->unique);
    return record->after.bytes > 0 ? put_after(arena, record->after, m) : 0;
}

static int put_job(struct berth_arena *arena, const struct berth_job_view *view, Berth__V1__Job *m)
{
    const struct berth_job_record *record = &view->record;
    berth__v1__job__init(m);
    SET(m, id, record->id);
    SET_BYTES(m, dispatcher, view->dispatcher);
    SET_BYTES(m, handler, record->handler);
    SET(m, state, (Berth__V1__JobState)record->state);
    SET_BYTES(m, reason, view->reason);
    SET(m, attempt, record->attempt);
    SET(m, max_attempts, view->max_attempts);
    SET(m, priority, record->priority);
    if (record->key.kind == BERTH_KEY_IDEMPOTENCY)
        SET_BYTES(m, key, record->key.bytes);
    SET(m, submitted_us, record->submitted_us);
    if (record->run_at_us)
        SET(m, run_at_us, record->run_at_us);
    if (record->last.started_us)
        SET(m, started_us, record->last.started_us);
    if (record->finished_us)
        SET(m, finished_us, record->finished_us);
    if (record->last.worker.bytes > 0)
        SET_BYTES(m, worker, record->last.worker);
    if (record->body.data)
        SET_BYTES(m, body, record->body);
    if (record->last.result.data)
        SET_BYTES(m, result, record->last.result);
    if (record->last.error_kind.bytes > 0) {
        SET_BYTES(m, error_kind, record->last.error_kind);
        SET_BYTES(m, error_message, record->last.error_message);
    }
    if (view->has_progress) {
        SET(m, progress_done, view->progress_done);
        SET(m, progress_total, view->progress_total);
    }
    return put_rare_options(arena, record, m);
}

static size_t job_bytes(const struct berth_job_view *view)
{
    const struct berth_job_record *record = &view->record;
    return JOB_ROW_BYTES + view->dispatcher.bytes + view->reason.bytes + record->handler.bytes +
           record->key.bytes.bytes + (record->body.data ? record->body.bytes : 0) +
           record->last.worker.bytes + (record->last.result.data ? record->last.result.bytes : 0) +
           record->last.error_kind.bytes + record->last.error_message.bytes + record->group.bytes +
           record->unique.bytes + record->after.bytes / sizeof(uint64_t) * ID_BYTES;
}

/* As many as fit into a frame; one always does. */
static int put_jobs(struct berth_arena *arena, const struct berth_do_jobs *from, Berth__V1__Jobs *m)
{
    Berth__V1__Job *rows = berth_arena_alloc_array(arena, from->count, sizeof *rows);
    if (!rows)
        return -ENOMEM;
    size_t bytes = 0;
    for (size_t i = 0; i < from->count; i++) {
        bytes += job_bytes(&from->items[i]);
        if (bytes > JOBS_BYTES_MAX && i > 0) {
            SET(m, next, from->items[i - 1].record.id);
            break;
        }
        int rc = put_job(arena, &from->items[i], &rows[i]);
        if (rc < 0)
            return rc;
        m->n_job++;
    }
    m->job = translate_pointers(arena, rows, m->n_job, sizeof *rows);
    if (!m->job)
        return -ENOMEM;
    if (!m->has_next && from->next)
        SET(m, next, from->next);
    m->unknown = ids_of(from->unknown);
    m->n_unknown = from->unknown_count;
    return 0;
}

static void put_limits(const struct berth_dispatcher_view *view, Berth__V1__Dispatcher *m)
{
    const struct berth_dispatcher_record *record = &view->record;
    if (view->parent.bytes > 0)
        SET_BYTES(m, parent, view->parent);
    SET(m, weight, record->weight);
    SET(m, group_limit, record->group_limit);
    SET(m, rate_count, record->rate_count);
    SET(m, rate_ms, (uint64_t)record->rate_ms);
    SET(m, burst, record->burst);
    SET(m, max_queued, record->max_queued);
    SET(m, hold, record->hold);
    SET(m, on_lost, record->on_lost);
    SET(m, no_jitter, record->no_jitter);
    SET(m, queue_timeout_ms, (uint64_t)record->queue_timeout_ms);
    SET(m, deadline_ms, (uint64_t)record->deadline_ms);
    SET(m, retention_ms, (uint64_t)record->retention_ms);
    SET(m, retention_count, record->retention_count);
    if (record->changed_us)
        SET(m, changed_us, record->changed_us);
    if (record->changed_by[0] != '\0')
        SET_BYTES(m, changed_by, berth_slice_of(record->changed_by));
    if (view->remark.bytes > 0)
        SET_BYTES(m, remark, view->remark);
}

static void put_job_output(const struct berth_do_job_output *from, Berth__V1__JobOutput *m)
{
    SET(m, id, from->id);
    SET(m, state, (Berth__V1__JobState)from->state);
    SET(m, attempt, from->attempt);
    SET(m, is_over, from->is_over);
    SET(m, out_from, from->out_from);
    SET(m, err_from, from->err_from);
    if (from->out.bytes > 0)
        SET_BYTES(m, out, from->out);
    if (from->err.bytes > 0)
        SET_BYTES(m, err, from->err);
}

static void put_dispatcher(const struct berth_dispatcher_view *view, Berth__V1__Dispatcher *m)
{
    const struct berth_dispatcher_record *record = &view->record;
    berth__v1__dispatcher__init(m);
    SET_BYTES(m, name, berth_slice_of(record->name));
    SET(m, limit_kind, (Berth__V1__LimitKind)record->limit.kind);
    SET(m, limit_value, record->limit.value);
    if (view->effective_limit >= 0)
        SET(m, effective_limit, (uint32_t)view->effective_limit);
    SET(m, is_paused, record->is_paused);
    SET(m, running, view->running);
    SET(m, ready, view->ready);
    SET(m, scheduled, view->scheduled);
    SET(m, retrying, view->retrying);
    SET(m, dead, view->dead);
    SET(m, completed_total, view->completed_total);
    if (view->oldest_ready_us)
        SET(m, oldest_ready_us, view->oldest_ready_us);
    SET(m, max_attempts, record->max_attempts);
    SET(m, backoff_ms, (uint64_t)record->backoff_ms);
    SET(m, backoff_max_ms, (uint64_t)record->backoff_ms_max);
    SET(m, timeout_ms, (uint64_t)record->timeout_ms);
    SET(m, grace_ms, (uint64_t)record->grace_ms);
    put_limits(view, m);
}

static int put_dispatchers(struct berth_arena *arena, const struct berth_do_dispatchers *from,
                           Berth__V1__Dispatchers *m)
{
    Berth__V1__Dispatcher *rows = berth_arena_alloc_array(arena, from->count, sizeof *rows);
    if (!rows)
        return -ENOMEM;
    for (size_t i = 0; i < from->count; i++)
        put_dispatcher(&from->items[i], &rows[i]);
    m->n_dispatcher = from->count;
    m->dispatcher = translate_pointers(arena, rows, from->count, sizeof *rows);
    return m->dispatcher ? 0 : -ENOMEM;
}

/* A duration as it is shown: what does not fit is shown as the longest that does. */
static uint32_t shown_ms(int64_t ms)
{
    return ms < 0 ? 0 : ms > UINT32_MAX ? UINT32_MAX : (uint32_t)ms;
}

static int put_worker(struct berth_arena *arena, const struct berth_worker_view *view,
                      Berth__V1__Worker *m)
{
    berth__v1__worker__init(m);
    size_t count = view->handler_count;
    if (count > BERTH_WORKER_SHOWN_MAX)
        count = BERTH_WORKER_SHOWN_MAX;
    m->handlers = berth_arena_alloc_array(arena, count, sizeof *m->handlers);
    if (!m->handlers)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++)
        m->handlers[i] = berth_bytes_of(view->handlers[i]);
    m->n_handlers = count;
    SET(m, session, view->session);
    SET_BYTES(m, name, view->name);
    SET_BYTES(m, state, berth_slice_of(view->state));
    SET(m, capacity, view->capacity);
    SET(m, running, view->running);
    SET(m, cores, view->cores);
    SET_BYTES(m, software, view->software);
    SET(m, silent_ms, shown_ms(view->silent_ms));
    SET(m, lease_left_ms, shown_ms(view->lease_left_ms));
    if (view->held)
        SET(m, held, view->held);
    if (view->suspended)
        SET(m, suspended, view->suspended);
    return 0;
}

static int put_workers(struct berth_arena *arena, const struct berth_do_workers *from,
                       Berth__V1__Workers *m)
{
    Berth__V1__Worker *rows = berth_arena_alloc_array(arena, from->count, sizeof *rows);
    if (!rows)
        return -ENOMEM;
    for (size_t i = 0; i < from->count; i++) {
        int rc = put_worker(arena, &from->items[i], &rows[i]);
        if (rc < 0)
            return rc;
    }
    m->n_worker = from->count;
    m->worker = translate_pointers(arena, rows, from->count, sizeof *rows);
    return m->worker ? 0 : -ENOMEM;
}

static int put_status(const struct berth_translate_opts *opts, const struct berth_do_status *from,
                      uint64_t wal_bytes, Berth__V1__BrokerStatus *m)
{
    SET_BYTES(m, software, berth_slice_of(opts->software));
    SET(m, epoch, (uint32_t)from->epoch);
    SET(m, uptime_ms, (uint64_t)from->uptime_ms);
    SET(m, recovering, from->recovering);
    SET(m, recovery_left_ms, shown_ms(from->recovery_left_ms));
    SET(m, scheduled, from->scheduled);
    SET(m, ready, from->ready);
    SET(m, running, from->running);
    SET(m, cancelling, from->cancelling);
    SET(m, retrying, from->retrying);
    SET(m, completed, from->completed);
    SET(m, dead, from->dead);
    SET(m, cancelled, from->cancelled);
    SET(m, wal_bytes, wal_bytes);
    SET(m, stale_reports, from->stale_reports);
    SET(m, workers, from->workers);
    SET(m, suspended, from->suspended);
    return 0;
}

static int make_message(struct berth_translate *t, const struct berth_effect *effect,
                        uint64_t wal_bytes, union translate_message *message,
                        Berth__V1__Envelope *envelope)
{
    switch (effect->type) {
    case BERTH_DO_ERROR:
        berth_wire_error(effect->error.code, effect->error.field, effect->error.message,
                         TRANSLATE_BEGIN(message, envelope, error, ERROR));
        return 0;
    case BERTH_DO_SUBMITTED:
        return put_submitted(&t->out, &effect->submitted,
                             TRANSLATE_BEGIN(message, envelope, submitted, SUBMITTED));
    case BERTH_DO_WAITED:
        return put_waited(&t->out, &effect->waited,
                          TRANSLATE_BEGIN(message, envelope, job_waited, JOB_WAITED));
    case BERTH_DO_CANCELLED:
        return put_cancelled(&t->out, &effect->cancelled,
                             TRANSLATE_BEGIN(message, envelope, job_cancelled, JOB_CANCELLED));
    case BERTH_DO_CHANGED:
        return put_changed(&t->out, &effect->changed,
                           TRANSLATE_BEGIN(message, envelope, job_changed, JOB_CHANGED));
    case BERTH_DO_PURGED:
        put_purged(&effect->purged,
                   TRANSLATE_BEGIN(message, envelope, dispatcher_purged, DISPATCHER_PURGED));
        return 0;
    case BERTH_DO_EXPLAINED:
        return translate_explained(&t->out, &effect->explained,
                                   TRANSLATE_BEGIN(message, envelope, explained, EXPLAINED));
    case BERTH_DO_REMOVED:
        (void)TRANSLATE_BEGIN(message, envelope, dispatcher_removed, DISPATCHER_REMOVED);
        return 0;
    case BERTH_DO_JOBS:
        return put_jobs(&t->out, &effect->jobs, TRANSLATE_BEGIN(message, envelope, jobs, JOBS));
    case BERTH_DO_JOB_OUTPUT:
        put_job_output(&effect->job_output,
                       TRANSLATE_BEGIN(message, envelope, job_output, JOB_OUTPUT));
        return 0;
    case BERTH_DO_DISPATCHERS:
        return put_dispatchers(&t->out, &effect->dispatchers,
                               TRANSLATE_BEGIN(message, envelope, dispatchers, DISPATCHERS));
    case BERTH_DO_WORKERS:
        return put_workers(&t->out, &effect->workers,
                           TRANSLATE_BEGIN(message, envelope, workers, WORKERS));
    case BERTH_DO_STATUS:
        return put_status(&t->opts, &effect->status, wal_bytes,
                          TRANSLATE_BEGIN(message, envelope, broker_status, BROKER_STATUS));
    case BERTH_DO_SCHEDULES:
        return translate_schedules(&t->out, &effect->schedules,
                                   TRANSLATE_BEGIN(message, envelope, schedules, SCHEDULES));
    case BERTH_DO_WELCOME:
    case BERTH_DO_JOINED:
    case BERTH_DO_RENEWED:
    case BERTH_DO_EPOCH:
    case BERTH_DO_FENCED:
    case BERTH_DO_ORDERS:
    case BERTH_DO_GONE_OK: return translate_worker_effect(&t->out, effect, message, envelope);
    case BERTH_DO_READ: break; /* goes to the store */
    }
    BERTH_UNREACHABLE();
}
