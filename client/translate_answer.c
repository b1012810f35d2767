/* SPDX-License-Identifier: MIT */
/* What the broker answered, as plain structs. See translate.h.
 *
 * Everything is checked (wire.h, validate.h, body.h) before it is translated. Rows that the broker
 * forwards unopened, bodies and results, come from other clients and from workers: one that makes
 * no sense is shown as empty, so that it cannot hide the rest of a job.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <berth/v1/envelope.pb-c.h>

#include "base/assert.h"
#include "base/cleanup.h"
#include "base/text.h"
#include "client/translate.h"
#include "client/translate_explain.h"
#include "client/translate_schedule.h"
#include "proto/body.h"
#include "proto/columns.h"
#include "proto/errors.h"
#include "proto/validate.h"
#include "proto/wire.h"

/* The unpacked frame, and what it is translated to. */
#define ANSWER_BYTES_MAX ((size_t)3 * BERTH_WIRE_BUDGET_MAX)

static int translate(const Berth__V1__Envelope *envelope, struct berth_answer *answer);

static struct berth_answer *answer_new(void)
{
    struct berth_answer *answer = calloc(1, sizeof *answer);
    if (answer)
        berth_arena_init(&answer->arena, ANSWER_BYTES_MAX);
    return answer;
}

void berth_answer_free(struct berth_answer *answer)
{
    if (!answer)
        return;
    berth_arena_fini(&answer->arena);
    free(answer);
}

struct berth_answer *berth_answer_of_error(uint64_t number, const struct berth_error *err)
{
    struct berth_answer *answer = answer_new();
    if (!answer)
        return NULL;
    answer->number = number;
    answer->type = BERTH_ANSWER_ERROR;
    answer->error = *err;
    return answer;
}

int berth_answer_read(struct berth_slice frame, struct berth_answer **ret_answer,
                      uint64_t *ret_number, struct berth_error *err)
{
    *ret_number = berth_wire_head(frame).request;
    BERTH_AUTO(berth_answer) answer = answer_new();
    if (!answer)
        return berth_fail(err, -ENOMEM, "read an answer");
    Berth__V1__Envelope *envelope;
    int rc = berth_wire_unpack(frame, &answer->arena, &envelope, err);
    if (rc == 0)
        rc = berth_validate(envelope, BERTH_SIDE_CLIENT, err, NULL);
    if (rc < 0)
        return rc;
    answer->number = envelope->request;
    rc = translate(envelope, answer);
    if (rc < 0)
        return berth_fail(err, rc, "read an answer");
    *ret_answer = berth_take(answer);
    return 0;
}

static char *text_of(struct berth_arena *arena, ProtobufCBinaryData bytes)
{
    return berth_arena_strndup(arena, bytes.len > 0 ? (const char *)bytes.data : "", bytes.len);
}

/* Texts of one row; a failure is remembered and asked for at the end. */
struct texts {
    struct berth_arena *arena;
    bool has_failed;
};

static const char *take_text(struct texts *texts, ProtobufCBinaryData bytes)
{
    const char *text = text_of(texts->arena, bytes);
    texts->has_failed = texts->has_failed || !text;
    return text;
}

static int translate_submitted(const Berth__V1__Submitted *submitted, struct berth_answer *answer)
{
    struct berth_arena *arena = &answer->arena;
    struct berth_submitted *jobs = berth_arena_alloc_array(arena, submitted->n_id, sizeof *jobs);
    struct berth_refusal *refusals =
        berth_arena_alloc_array(arena, submitted->n_refused, sizeof *refusals);
    if (!jobs || !refusals)
        return -ENOMEM;
    for (size_t i = 0; i < submitted->n_id; i++)
        jobs[i] = (struct berth_submitted){ .id = { submitted->id[i] },
                                            .is_existing = berth_column_u32(
                                                               submitted->is_existing,
                                                               submitted->n_is_existing, i) != 0 };
    for (size_t i = 0; i < submitted->n_refused; i++) {
        int rc = berth_wire_rc(submitted->refused_code[i]);
        refusals[i] = (struct berth_refusal){ .index = submitted->refused[i], .rc = rc };
        jobs[refusals[i].index].rc = rc;
        refusals[i].message =
            submitted->n_refused_message > i ? text_of(arena, submitted->refused_message[i]) : "";
        if (!refusals[i].message)
            return -ENOMEM;
    }
    answer->type = BERTH_ANSWER_SUBMITTED;
    answer->submitted.jobs = jobs;
    answer->submitted.count = submitted->n_id;
    answer->submitted.refusals = refusals;
    answer->submitted.refusals_count = submitted->n_refused;
    return 0;
}

static int translate_waited(const Berth__V1__JobWaited *waited, struct berth_answer *answer)
{
    struct berth_job_end *ends =
        berth_arena_alloc_array(&answer->arena, waited->n_id, sizeof *ends);
    if (!ends)
        return -ENOMEM;
    for (size_t i = 0; i < waited->n_id; i++)
        ends[i] = (struct berth_job_end){ .id = { waited->id[i] },
                                          .state = (enum berth_state)waited->state[i] };
    answer->type = BERTH_ANSWER_WAITED;
    answer->waited.ends = ends;
    answer->waited.count = waited->n_id;
    answer->waited.unknown = waited->unknown;
    answer->waited.unknown_count = waited->n_unknown;
    answer->waited.pending = waited->pending;
    return 0;
}

static int translate_cancelled(const Berth__V1__JobCancelled *cancelled,
                               struct berth_answer *answer)
{
    answer->type = BERTH_ANSWER_CANCELLED;
    answer->cancelled.rc = berth_wire_rc(berth_column_u32(cancelled->code, cancelled->n_code, 0));
    answer->cancelled.state =
        (enum berth_state)berth_column_u32(cancelled->state, cancelled->n_state, 0);
    return 0;
}

/* -ENOMEM; another failure is one of the bytes' maker, and leaves the job as it is. */
static int translate_body(ProtobufCBinaryData packed, struct berth_arena *arena,
                          struct berth_job *job)
{
    struct berth_body body;
    int rc = berth_body_unpack(berth_slice_from(packed), arena, &body, NULL);
    if (rc < 0)
        return rc == -ENOMEM ? rc : 0;
    job->command = body.argv_count > 0 ? body.argv : NULL;
    job->payload = body.payload;
    job->context = body.context;
    job->context_count = body.context_count;
    job->has_array_index = body.has_array_index;
    job->array_index = body.array_index;
    job->has_line = body.line != NULL;
    if (body.line)
        job->line = body.line;
    return 0;
}

static int translate_result(ProtobufCBinaryData packed, struct berth_arena *arena,
                            struct berth_job *job)
{
    struct berth_result result;
    int rc = berth_result_unpack(berth_slice_from(packed), arena, &result, NULL);
    if (rc < 0)
        return rc == -ENOMEM ? rc : 0;
    job->has_result = true;
    job->has_exit_code = result.has_exit_code;
    job->exit_code = result.exit_code;
    job->out = result.out;
    job->err = result.err;
    job->is_out_truncated = result.out_truncated;
    job->is_err_truncated = result.err_truncated;
    job->out_offset = result.out_from;
    job->err_offset = result.err_from;
    if (result.has_progress && job->state >= BERTH_COMPLETED) {
        job->has_progress = true;
        job->progress_done = result.done;
        job->progress_total = result.total;
    }
    job->result = result.payload;
    return 0;
}

static int translate_after(const Berth__V1__Job *row, struct berth_arena *arena,
                           struct berth_job *job)
{
    if (row->n_after == 0)
        return 0;
    berth_job_id *after = berth_arena_alloc_array(arena, row->n_after, sizeof *after);
    if (!after)
        return -ENOMEM;
    for (size_t i = 0; i < row->n_after; i++)
        after[i].v = row->after[i];
    job->after = after;
    job->after_count = row->n_after;
    return 0;
}

static int translate_changed(const Berth__V1__JobChanged *changed, struct berth_answer *answer)
{
    struct berth_job_change *items =
        berth_arena_alloc_array(&answer->arena, changed->n_id, sizeof *items);
    if (!items)
        return -ENOMEM;
    for (size_t i = 0; i < changed->n_id; i++)
        items[i] = (struct berth_job_change){
            .id = { changed->id[i] },
            .rc = berth_wire_rc(berth_column_u32(changed->code, changed->n_code, i)),
            .state = (enum berth_state)berth_column_u32(changed->state, changed->n_state, i),
            .other = { berth_column_u64(changed->other, changed->n_other, i) },
        };
    answer->type = BERTH_ANSWER_CHANGED;
    answer->changed.items = items;
    answer->changed.count = changed->n_id;
    return 0;
}

static int translate_purged(const Berth__V1__DispatcherPurged *purged, struct berth_answer *answer)
{
    answer->type = BERTH_ANSWER_PURGED;
    answer->purged.count = purged->count;
    answer->purged.below = purged->below;
    answer->purged.cursor = purged->cursor;
    return 0;
}

static int translate_job(const Berth__V1__Job *row, struct berth_arena *arena,
                         struct berth_job *ret_job)
{
    struct texts texts = { .arena = arena };
    *ret_job = (struct berth_job){
        .id = { row->id },
        .parent = { row->parent },
        .state = (enum berth_state)row->state,
        .attempt = row->attempt,
        .max_attempts = row->max_attempts,
        .priority = row->priority,
        .dispatcher = take_text(&texts, row->dispatcher),
        .handler = take_text(&texts, row->handler),
        .idempotency_key = take_text(&texts, row->key),
        .group = take_text(&texts, row->group),
        .worker = take_text(&texts, row->worker),
        .reason = take_text(&texts, row->reason),
        .error_kind = take_text(&texts, row->error_kind),
        .error_message = take_text(&texts, row->error_message),
        .submitted_unix_us = row->submitted_us,
        .run_at_unix_us = row->run_at_us,
        .started_unix_us = row->started_us,
        .finished_unix_us = row->finished_us,
        .line = "",
        .deadline_unix_us = row->deadline_us,
        .queue_timeout_ms = (int64_t)row->queue_timeout_ms,
        .backoff_ms = (int64_t)row->backoff_ms,
        .backoff_ms_max = (int64_t)row->backoff_max_ms,
        .unique = take_text(&texts, row->unique),
        .has_progress = row->has_progress_done,
        .progress_done = row->progress_done,
        .progress_total = row->progress_total,
    };
    int rc = texts.has_failed ? -ENOMEM : translate_after(row, arena, ret_job);
    if (rc == 0 && row->has_body)
        rc = translate_body(row->body, arena, ret_job);
    if (rc == 0 && row->has_result && row->result.len > 0)
        rc = translate_result(row->result, arena, ret_job);
    return rc;
}

static int translate_jobs(const Berth__V1__Jobs *jobs, struct berth_answer *answer)
{
    struct berth_job *items = berth_arena_alloc_array(&answer->arena, jobs->n_job, sizeof *items);
    if (!items)
        return -ENOMEM;
    for (size_t i = 0; i < jobs->n_job; i++) {
        int rc = translate_job(jobs->job[i], &answer->arena, &items[i]);
        if (rc < 0)
            return rc;
    }
    answer->type = BERTH_ANSWER_JOBS;
    answer->jobs.items = items;
    answer->jobs.count = jobs->n_job;
    answer->jobs.unknown_count = jobs->n_unknown;
    answer->jobs.next.v = jobs->next;
    return 0;
}

static void translate_output(const Berth__V1__JobOutput *output, struct berth_answer *answer)
{
    answer->type = BERTH_ANSWER_OUTPUT;
    answer->output.state = (enum berth_state)output->state;
    answer->output.attempt = output->attempt;
    answer->output.is_over = output->is_over;
    answer->output.out_from = output->out_from;
    answer->output.err_from = output->err_from;
    answer->output.out = berth_slice_from(output->out);
    answer->output.err = berth_slice_from(output->err);
}

static int translate_dispatcher(const Berth__V1__Dispatcher *row, struct berth_arena *arena,
                                struct berth_dispatcher *ret_dispatcher)
{
    struct texts texts = { .arena = arena };
    *ret_dispatcher = (struct berth_dispatcher){
        .name = take_text(&texts, row->name),
        .parent = take_text(&texts, row->parent),
        .limit = { .kind = (enum berth_limit_kind)row->limit_kind, .value = row->limit_value },
        .has_effective_limit = row->has_effective_limit,
        .effective_limit = row->effective_limit,
        .is_paused = row->is_paused,
        .running = row->running,
        .ready = row->ready,
        .scheduled = row->scheduled,
        .retrying = row->retrying,
        .dead = row->dead,
        .completed_total = row->completed_total,
        .oldest_ready_unix_us = row->oldest_ready_us,
        .max_attempts = row->max_attempts,
        .backoff_ms = (int64_t)row->backoff_ms,
        .backoff_ms_max = (int64_t)row->backoff_max_ms,
        .timeout_ms = (int64_t)row->timeout_ms,
        .grace_ms = (int64_t)row->grace_ms,
        .weight = row->weight,
        .group_limit = row->group_limit,
        .rate_count = row->rate_count,
        .rate_ms = (int64_t)row->rate_ms,
        .burst = row->burst,
        .max_queued = row->max_queued,
        .hold = row->hold ? BERTH_HOLDS_RUNNING : BERTH_HOLDS_JOB,
        .on_lost = row->on_lost ? BERTH_LOST_HOLD : BERTH_LOST_RECLAIM,
        .jitter = row->no_jitter ? BERTH_JITTER_OFF : BERTH_JITTER_ON,
        .queue_timeout_ms = (int64_t)row->queue_timeout_ms,
        .deadline_ms = (int64_t)row->deadline_ms,
        .retention_ms = (int64_t)row->retention_ms,
        .retention_count = row->retention_count,
        .changed_unix_us = row->changed_us,
        .changed_by = take_text(&texts, row->changed_by),
        .remark = take_text(&texts, row->remark),
    };
    return texts.has_failed ? -ENOMEM : 0;
}

static int translate_dispatchers(const Berth__V1__Dispatchers *dispatchers,
                                 struct berth_answer *answer)
{
    struct berth_dispatcher *items =
        berth_arena_alloc_array(&answer->arena, dispatchers->n_dispatcher, sizeof *items);
    if (!items)
        return -ENOMEM;
    for (size_t i = 0; i < dispatchers->n_dispatcher; i++) {
        int rc = translate_dispatcher(dispatchers->dispatcher[i], &answer->arena, &items[i]);
        if (rc < 0)
            return rc;
    }
    answer->type = BERTH_ANSWER_DISPATCHERS;
    answer->dispatchers.items = items;
    answer->dispatchers.count = dispatchers->n_dispatcher;
    return 0;
}

static int translate_worker(const Berth__V1__Worker *row, struct berth_arena *arena,
                            struct berth_worker_info *ret_worker)
{
    struct texts texts = { .arena = arena };
    const char **handlers = berth_arena_alloc_array(arena, row->n_handlers + 1, sizeof *handlers);
    if (!handlers)
        return -ENOMEM;
    for (size_t i = 0; i < row->n_handlers; i++)
        handlers[i] = take_text(&texts, row->handlers[i]);
    handlers[row->n_handlers] = NULL;
    *ret_worker = (struct berth_worker_info){
        .session = row->session,
        .name = take_text(&texts, row->name),
        .state = take_text(&texts, row->state),
        .software = take_text(&texts, row->software),
        .handlers = handlers,
        .handlers_count = row->n_handlers,
        .capacity = row->capacity,
        .running = row->running,
        .cores = row->cores,
        .silent_ms = row->silent_ms,
        .lease_left_ms = row->lease_left_ms,
        .held = row->held,
        .suspended = row->suspended,
    };
    return texts.has_failed ? -ENOMEM : 0;
}

static int translate_workers(const Berth__V1__Workers *workers, struct berth_answer *answer)
{
    struct berth_worker_info *items =
        berth_arena_alloc_array(&answer->arena, workers->n_worker, sizeof *items);
    if (!items)
        return -ENOMEM;
    for (size_t i = 0; i < workers->n_worker; i++) {
        int rc = translate_worker(workers->worker[i], &answer->arena, &items[i]);
        if (rc < 0)
            return rc;
    }
    answer->type = BERTH_ANSWER_WORKERS;
    answer->workers.items = items;
    answer->workers.count = workers->n_worker;
    return 0;
}

static int translate_status(const Berth__V1__BrokerStatus *status, struct berth_answer *answer)
{
    answer->type = BERTH_ANSWER_STATUS;
    answer->status = (struct berth_broker_status){
        .software = text_of(&answer->arena, status->software),
        .epoch = status->epoch,
        .uptime_ms = (int64_t)status->uptime_ms,
        .recovering = status->recovering,
        .recovery_left_ms = status->recovery_left_ms,
        .scheduled = status->scheduled,
        .ready = status->ready,
        .running = status->running,
        .cancelling = status->cancelling,
        .retrying = status->retrying,
        .completed = status->completed,
        .dead = status->dead,
        .cancelled = status->cancelled,
        .wal_bytes = status->wal_bytes,
        .stale_reports = status->stale_reports,
        .workers = status->workers,
        .suspended = status->suspended,
    };
    return answer->status.software ? 0 : -ENOMEM;
}

static int translate_error(const Berth__V1__Error *error, struct berth_answer *answer)
{
    answer->type = BERTH_ANSWER_ERROR;
    if (berth_wire_error_fail(error, &answer->error) != BERTH_EVERSION)
        return 0;
    (void)berth_fail(&answer->error, BERTH_EVERSION,
                     "the broker speaks version %u to %u of the protocol, and this program %u",
                     error->version_min, error->version_max, BERTH_PROTOCOL_VERSION);
    return 0;
}

static int translate(const Berth__V1__Envelope *envelope, struct berth_answer *answer)
{
    switch (envelope->message_case) {
    case BERTH__V1__ENVELOPE__MESSAGE_ERROR: return translate_error(envelope->error, answer);
    case BERTH__V1__ENVELOPE__MESSAGE_CLIENT_WELCOME: answer->type = BERTH_ANSWER_WELCOME; return 0;
    case BERTH__V1__ENVELOPE__MESSAGE_SUBMITTED:
        return translate_submitted(envelope->submitted, answer);
    case BERTH__V1__ENVELOPE__MESSAGE_JOB_WAITED:
        return translate_waited(envelope->job_waited, answer);
    case BERTH__V1__ENVELOPE__MESSAGE_JOB_CANCELLED:
        return translate_cancelled(envelope->job_cancelled, answer);
    case BERTH__V1__ENVELOPE__MESSAGE_JOB_CHANGED:
        return translate_changed(envelope->job_changed, answer);
    case BERTH__V1__ENVELOPE__MESSAGE_DISPATCHER_PURGED:
        return translate_purged(envelope->dispatcher_purged, answer);
    case BERTH__V1__ENVELOPE__MESSAGE_EXPLAINED:
        return berth_translate_explained(envelope->explained, answer);
    case BERTH__V1__ENVELOPE__MESSAGE_DISPATCHER_REMOVED:
        answer->type = BERTH_ANSWER_REMOVED;
        return 0;
    case BERTH__V1__ENVELOPE__MESSAGE_JOBS: return translate_jobs(envelope->jobs, answer);
    case BERTH__V1__ENVELOPE__MESSAGE_JOB_OUTPUT:
        translate_output(envelope->job_output, answer);
        return 0;
    case BERTH__V1__ENVELOPE__MESSAGE_DISPATCHERS:
        return translate_dispatchers(envelope->dispatchers, answer);
    case BERTH__V1__ENVELOPE__MESSAGE_WORKERS: return translate_workers(envelope->workers, answer);
    case BERTH__V1__ENVELOPE__MESSAGE_BROKER_STATUS:
        return translate_status(envelope->broker_status, answer);
    case BERTH__V1__ENVELOPE__MESSAGE_SCHEDULES:
        return berth_translate_schedules(envelope->schedules, answer);
    default: BERTH_UNREACHABLE(); /* validated: a client gets no other */
    }
}
