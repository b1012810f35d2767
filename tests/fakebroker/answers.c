/* SPDX-License-Identifier: MIT
 *
 * What the fake broker does and says: the least that a client can tell from a broker.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/text.h"
#include "internal.h"
#include "proto/columns.h"
#include "proto/errors.h"
#include "proto/wire.h"

void *fake_get(struct berth_arena *arena, size_t count, size_t bytes)
{
    void *memory = berth_arena_zalloc(arena, count * bytes + 1);
    fake_check(memory != NULL, "arena");
    return memory;
}

void fake_error(Berth__V1__Envelope *answer, int rc, const char *field, const char *message,
                struct berth_arena *arena)
{
    Berth__V1__Error *error = fake_get(arena, 1, sizeof *error);
    berth_wire_error(rc, field, message, error);
    answer->message_case = BERTH__V1__ENVELOPE__MESSAGE_ERROR;
    answer->error = error;
}

struct fake_dispatcher *fake_dispatcher_find(struct fake_broker *broker, struct berth_slice name)
{
    for (size_t i = 0; i < broker->dispatchers_count; i++)
        if (berth_slice_is_equal(berth_slice_of(broker->dispatchers[i].name), name))
            return &broker->dispatchers[i];
    return NULL;
}

void fake_copy_text(char *to, size_t bytes, struct berth_slice from)
{
    fake_check(from.bytes < bytes, "a text is too long");
    if (from.bytes > 0)
        memcpy(to, from.data, from.bytes);
    to[from.bytes] = '\0';
}

enum fake_message fake_message_of(const Berth__V1__Envelope *envelope)
{
    switch (envelope->message_case) {
    case BERTH__V1__ENVELOPE__MESSAGE_CLIENT_HELLO: return FAKE_HELLO;
    case BERTH__V1__ENVELOPE__MESSAGE_SUBMIT: return FAKE_SUBMIT;
    case BERTH__V1__ENVELOPE__MESSAGE_JOB_WAIT: return FAKE_WAIT;
    case BERTH__V1__ENVELOPE__MESSAGE_JOB_CANCEL: return FAKE_CANCEL;
    case BERTH__V1__ENVELOPE__MESSAGE_JOB_RETRY: return FAKE_RETRY;
    case BERTH__V1__ENVELOPE__MESSAGE_JOB_DISCARD: return FAKE_DISCARD;
    case BERTH__V1__ENVELOPE__MESSAGE_DISPATCHER_PURGE: return FAKE_PURGE;
    case BERTH__V1__ENVELOPE__MESSAGE_DISPATCHER_REMOVE: return FAKE_REMOVE;
    case BERTH__V1__ENVELOPE__MESSAGE_SCHEDULE_LIST: return FAKE_SCHEDULE_LIST;
    case BERTH__V1__ENVELOPE__MESSAGE_SCHEDULE_REMOVE: return FAKE_SCHEDULE_REMOVE;
    case BERTH__V1__ENVELOPE__MESSAGE_EXPLAIN: return FAKE_EXPLAIN;
    case BERTH__V1__ENVELOPE__MESSAGE_JOB_GET: return FAKE_GET;
    case BERTH__V1__ENVELOPE__MESSAGE_JOB_LIST: return FAKE_LIST;
    case BERTH__V1__ENVELOPE__MESSAGE_JOB_OUTPUT_GET: return FAKE_OUTPUT;
    case BERTH__V1__ENVELOPE__MESSAGE_DISPATCHER_SET: return FAKE_DISPATCHER_SET;
    case BERTH__V1__ENVELOPE__MESSAGE_DISPATCHER_PAUSE: return FAKE_DISPATCHER_PAUSE;
    case BERTH__V1__ENVELOPE__MESSAGE_DISPATCHER_GET: return FAKE_DISPATCHER_GET;
    case BERTH__V1__ENVELOPE__MESSAGE_WORKER_LIST: return FAKE_WORKERS;
    case BERTH__V1__ENVELOPE__MESSAGE_WORKER_DECLARE_GONE: return FAKE_WORKER_GONE;
    case BERTH__V1__ENVELOPE__MESSAGE_BROKER_STATUS_GET: return FAKE_STATUS;
    default: fake_check(false, "a message that no client sends"); return FAKE_ANY;
    }
}

static void welcome(Berth__V1__Envelope *answer, struct berth_arena *arena)
{
    Berth__V1__ClientWelcome *message = fake_get(arena, 1, sizeof *message);
    berth__v1__client_welcome__init(message);
    message->has_epoch = message->has_frame_bytes_max = message->has_jobs_max = 1;
    message->has_body_bytes_max = 1;
    message->epoch = FAKE_EPOCH;
    message->frame_bytes_max = BERTH_FRAME_BYTES_MAX;
    message->jobs_max = BERTH_SUBMIT_JOBS_MAX;
    message->body_bytes_max = BERTH_BODY_BYTES_MAX;
    answer->message_case = BERTH__V1__ENVELOPE__MESSAGE_CLIENT_WELCOME;
    answer->client_welcome = message;
}

/* Finds a job with this dispatcher and key. */
static struct fake_job *job_of_key(struct fake_broker *broker, const struct fake_job *wanted)
{
    for (size_t i = 0; i < broker->jobs_count; i++)
        if (wanted->key[0] != '\0' && strcmp(broker->jobs[i].key, wanted->key) == 0 &&
            strcmp(broker->jobs[i].dispatcher, wanted->dispatcher) == 0)
            return &broker->jobs[i];
    return NULL;
}

static void refuse(Berth__V1__Submitted *submitted, size_t index, int rc, const char *field,
                   const char *message)
{
    size_t at = submitted->n_refused++;
    submitted->refused[at] = (uint32_t)index;
    submitted->refused_code[submitted->n_refused_code++] = (uint32_t)berth_wire_code(rc);
    submitted->refused_field[submitted->n_refused_field++] = berth_bytes_of(berth_slice_of(field));
    submitted->refused_message[submitted->n_refused_message++] =
        berth_bytes_of(berth_slice_of(message));
}

static void take_job(struct fake_broker *broker, Berth__V1__Submitted *submitted, size_t index,
                     struct fake_job *job)
{
    if (!fake_dispatcher_find(broker, berth_slice_of(job->dispatcher))) {
        refuse(submitted, index, BERTH_ENOTFOUND, "dispatcher", "there is no such dispatcher");
        return;
    }
    struct fake_job *existing = job_of_key(broker, job);
    if (existing && !berth_slice_is_equal(existing->body, job->body)) {
        refuse(submitted, index, BERTH_ECONFLICT, "key", "the key belongs to another job");
        return;
    }
    if (existing) {
        submitted->id[index] = existing->id;
        submitted->is_existing[index] = 1;
        return;
    }
    fake_check(broker->jobs_count < FAKE_JOBS_MAX, "too many jobs");
    job->body = fake_copy(job->body);
    job->state = broker->submit_as;
    job->id = broker->jobs_count + 1;
    broker->jobs[broker->jobs_count++] = *job;
    submitted->id[index] = job->id;
}

static Berth__V1__Submitted *submitted_new(size_t count, struct berth_arena *arena)
{
    Berth__V1__Submitted *submitted = fake_get(arena, 1, sizeof *submitted);
    berth__v1__submitted__init(submitted);
    submitted->n_id = submitted->n_is_existing = count;
    submitted->id = fake_get(arena, count, sizeof *submitted->id);
    submitted->is_existing = fake_get(arena, count, sizeof *submitted->is_existing);
    submitted->refused = fake_get(arena, count, sizeof *submitted->refused);
    submitted->refused_code = fake_get(arena, count, sizeof *submitted->refused_code);
    submitted->refused_field = fake_get(arena, count, sizeof *submitted->refused_field);
    submitted->refused_message = fake_get(arena, count, sizeof *submitted->refused_message);
    return submitted;
}

static struct fake_submit *submit_find(struct fake_broker *broker,
                                       const Berth__V1__Envelope *envelope)
{
    for (size_t i = 0; i < broker->submits_count; i++)
        if (broker->submits[i].request == envelope->request &&
            memcmp(broker->submits[i].client, envelope->submit->client.data, 16) == 0)
            return &broker->submits[i];
    return NULL;
}

/* Remembers the answer under the client and the number of the request. */
static void submit_remember(struct fake_broker *broker, const Berth__V1__Envelope *envelope,
                            const Berth__V1__Submitted *submitted)
{
    fake_check(broker->submits_count < FAKE_SUBMITS_MAX, "too many submits");
    struct fake_submit *entry = &broker->submits[broker->submits_count++];
    memcpy(entry->client, envelope->submit->client.data, 16);
    entry->request = envelope->request;
    size_t bytes = protobuf_c_message_get_packed_size(&submitted->base);
    uint8_t *packed = malloc(bytes + 1);
    fake_check(packed != NULL, "malloc");
    protobuf_c_message_pack(&submitted->base, packed);
    entry->answer = (struct berth_slice){ .data = packed, .bytes = bytes };
}

static Berth__V1__Submitted *submitted_again(const struct fake_submit *entry,
                                             struct berth_arena *arena)
{
    ProtobufCAllocator allocator = { .alloc = berth_arena_alloc_hook,
                                     .free = berth_arena_free_hook,
                                     .allocator_data = arena };
    return berth__v1__submitted__unpack(&allocator, entry->answer.bytes, entry->answer.data);
}

/* The columns of what few jobs bring, while they are read. */
struct rare {
    const Berth__V1__Submit *submit;
    struct berth_spans groups, uniques;
    size_t after;
};

static void take_rare_options(struct rare *rare, size_t i, struct fake_job *job)
{
    const Berth__V1__Submit *submit = rare->submit;
    fake_copy_text(job->group, sizeof job->group, berth_spans_next(&rare->groups));
    fake_copy_text(job->unique, sizeof job->unique, berth_spans_next(&rare->uniques));
    job->delay_ms = berth_column_u64(submit->delay_ms, submit->n_delay_ms, i);
    job->run_at_us = berth_column_u64(submit->run_at_us, submit->n_run_at_us, i);
    job->queue_timeout_ms =
        berth_column_u64(submit->queue_timeout_ms, submit->n_queue_timeout_ms, i);
    job->deadline_ms = berth_column_u64(submit->deadline_ms, submit->n_deadline_ms, i);
    job->backoff_ms = berth_column_u64(submit->backoff_ms, submit->n_backoff_ms, i);
    job->backoff_max_ms = berth_column_u64(submit->backoff_max_ms, submit->n_backoff_max_ms, i);
    job->on_conflict = berth_column_u32(submit->on_conflict, submit->n_on_conflict, i);
    size_t count = berth_column_u32(submit->after_count, submit->n_after_count, i);
    for (size_t j = 0; j < count && j < FAKE_AFTER_MAX; j++)
        job->after[job->after_count++] = submit->after[rare->after + j];
    rare->after += count;
}

static Berth__V1__Submitted *submit_do(struct fake_broker *broker,
                                       const Berth__V1__Envelope *envelope,
                                       struct berth_arena *arena)
{
    const Berth__V1__Submit *submit = envelope->submit;
    size_t count = submit->n_body_bytes;
    Berth__V1__Submitted *submitted = submitted_new(count, arena);
    struct berth_spans keys = berth_spans_of(submit->key_bytes, submit->n_key_bytes, submit->keys);
    struct berth_spans bodies = berth_spans_of(submit->body_bytes, count, submit->bodies);
    struct rare rare = {
        .submit = submit,
        .groups = berth_spans_of(submit->group_bytes, submit->n_group_bytes, submit->groups),
        .uniques = berth_spans_of(submit->unique_bytes, submit->n_unique_bytes, submit->uniques),
    };
    for (size_t i = 0; i < count; i++) {
        struct fake_job job = { .state = broker->submit_as };
        uint32_t dispatcher = berth_column_u32(submit->dispatcher, submit->n_dispatcher, i);
        uint32_t handler = berth_column_u32(submit->handler, submit->n_handler, i);
        fake_copy_text(job.dispatcher, sizeof job.dispatcher,
                       berth_slice_from(submit->dispatchers[dispatcher]));
        fake_copy_text(job.handler, sizeof job.handler,
                       berth_slice_from(submit->handlers[handler]));
        fake_copy_text(job.key, sizeof job.key, berth_spans_next(&keys));
        job.body = berth_spans_next(&bodies);
        job.max_attempts = berth_column_u32(submit->max_attempts, submit->n_max_attempts, i);
        job.priority = berth_column_s32(submit->priority, submit->n_priority, i);
        job.timeout_ms = berth_column_u64(submit->timeout_ms, submit->n_timeout_ms, i);
        take_rare_options(&rare, i, &job);
        take_job(broker, submitted, i, &job);
    }
    submit_remember(broker, envelope, submitted);
    return submitted;
}

static void submit(struct fake_broker *broker, const Berth__V1__Envelope *envelope,
                   Berth__V1__Envelope *answer, struct berth_arena *arena)
{
    const struct fake_submit *known = submit_find(broker, envelope);
    answer->message_case = BERTH__V1__ENVELOPE__MESSAGE_SUBMITTED;
    answer->submitted = known ? submitted_again(known, arena) : submit_do(broker, envelope, arena);
}

static bool has_ended(enum berth_state state)
{
    return state == BERTH_COMPLETED || state == BERTH_DEAD || state == BERTH_CANCELLED;
}

void fake_waited(struct fake_broker *broker, const struct fake_wait *wait,
                 Berth__V1__Envelope *answer, struct berth_arena *arena)
{
    Berth__V1__JobWaited *waited = fake_get(arena, 1, sizeof *waited);
    berth__v1__job_waited__init(waited);
    waited->id = fake_get(arena, wait->count, sizeof *waited->id);
    waited->state = fake_get(arena, wait->count, sizeof *waited->state);
    waited->unknown = fake_get(arena, wait->count, sizeof *waited->unknown);
    waited->has_pending = 1;
    for (size_t i = 0; i < wait->count; i++) {
        if (wait->ids[i] > broker->jobs_count) {
            waited->unknown[waited->n_unknown++] = wait->ids[i];
            continue;
        }
        enum berth_state state = broker->jobs[wait->ids[i] - 1].state;
        if (!has_ended(state)) {
            waited->pending++;
            continue;
        }
        waited->id[waited->n_id++] = wait->ids[i];
        waited->state[waited->n_state++] = state;
    }
    berth_wire_init(answer, wait->request);
    answer->message_case = BERTH__V1__ENVELOPE__MESSAGE_JOB_WAITED;
    answer->job_waited = waited;
}

static void wait_for(struct fake_broker *broker, const Berth__V1__Envelope *envelope,
                     struct berth_slice peer, Berth__V1__Envelope *answer,
                     struct berth_arena *arena)
{
    struct fake_wait *wait = NULL;
    for (size_t i = 0; i < FAKE_WAITS_MAX && !wait; i++)
        if (!broker->waits[i].is_used ||
            (broker->waits[i].request == envelope->request &&
             broker->waits[i].peer_bytes == peer.bytes &&
             memcmp(broker->waits[i].peer, peer.data, peer.bytes) == 0))
            wait = &broker->waits[i];
    fake_check(wait != NULL, "too many waits");
    free(wait->ids);
    *wait = (struct fake_wait){ .is_used = true,
                                .peer_bytes = peer.bytes,
                                .request = envelope->request,
                                .count = envelope->job_wait->n_id };
    memcpy(wait->peer, peer.data, peer.bytes);
    BERTH_ASSERT(wait->count > 0);
    wait->ids = calloc(wait->count, sizeof *wait->ids);
    BERTH_ASSERT(wait->ids);
    memcpy(wait->ids, envelope->job_wait->id, wait->count * sizeof *wait->ids);
    fake_waited(broker, wait, answer, arena);
}

static void cancel(struct fake_broker *broker, const Berth__V1__Envelope *envelope,
                   Berth__V1__Envelope *answer, struct berth_arena *arena)
{
    const Berth__V1__JobCancel *message = envelope->job_cancel;
    Berth__V1__JobCancelled *cancelled = fake_get(arena, 1, sizeof *cancelled);
    berth__v1__job_cancelled__init(cancelled);
    cancelled->n_id = cancelled->n_code = cancelled->n_state = message->n_id;
    cancelled->id = message->id;
    cancelled->code = fake_get(arena, message->n_id, sizeof *cancelled->code);
    cancelled->state = fake_get(arena, message->n_id, sizeof *cancelled->state);
    for (size_t i = 0; i < message->n_id; i++) {
        if (message->id[i] > broker->jobs_count) {
            cancelled->code[i] = (uint32_t)berth_wire_code(BERTH_ENOTFOUND);
            continue;
        }
        struct fake_job *job = &broker->jobs[message->id[i] - 1];
        if (has_ended(job->state))
            cancelled->code[i] = (uint32_t)berth_wire_code(-EALREADY);
        else
            job->state = job->state == BERTH_RUNNING ? BERTH_CANCELLING : BERTH_CANCELLED;
        cancelled->state[i] = job->state;
    }
    answer->message_case = BERTH__V1__ENVELOPE__MESSAGE_JOB_CANCELLED;
    answer->job_cancelled = cancelled;
}

static Berth__V1__Job *job_row(const struct fake_job *job, bool is_whole, struct berth_arena *arena)
{
    Berth__V1__Job *row = fake_get(arena, 1, sizeof *row);
    berth__v1__job__init(row);
    row->has_id = row->has_dispatcher = row->has_handler = row->has_state = row->has_priority = 1;
    row->has_max_attempts = row->has_submitted_us = 1;
    row->id = job->id;
    row->dispatcher = berth_bytes_of(berth_slice_of(job->dispatcher));
    row->handler = berth_bytes_of(berth_slice_of(job->handler));
    row->state = (Berth__V1__JobState)job->state;
    row->priority = job->priority;
    row->max_attempts = job->max_attempts > 0 ? job->max_attempts : 5;
    row->has_key = job->key[0] != '\0';
    row->key = berth_bytes_of(berth_slice_of(job->key));
    row->submitted_us = FAKE_SUBMITTED_US;
    row->has_error_kind = job->error_kind[0] != '\0';
    row->error_kind = berth_bytes_of(berth_slice_of(job->error_kind));
    row->has_error_message = job->error_message[0] != '\0';
    row->error_message = berth_bytes_of(berth_slice_of(job->error_message));
    if (job->state == BERTH_READY) {
        row->has_reason = 1;
        row->reason = berth_bytes_of(berth_slice_of("no worker offers it"));
    }
    if (has_ended(job->state)) {
        row->has_started_us = row->has_finished_us = row->has_attempt = row->has_worker = 1;
        row->attempt = job->attempt > 0 ? job->attempt : 1;
        row->started_us = FAKE_SUBMITTED_US + 1500;
        row->finished_us = FAKE_SUBMITTED_US + 2500000;
        row->worker = berth_bytes_of(berth_slice_of("host-1"));
    }
    row->has_group = job->group[0] != '\0';
    row->group = berth_bytes_of(berth_slice_of(job->group));
    row->has_unique = job->unique[0] != '\0';
    row->unique = berth_bytes_of(berth_slice_of(job->unique));
    row->has_run_at_us = job->run_at_us > 0 || job->delay_ms > 0;
    row->run_at_us =
        (int64_t)(job->run_at_us > 0 ? job->run_at_us : FAKE_SUBMITTED_US + 1000 * job->delay_ms);
    row->has_deadline_us = job->deadline_ms > 0;
    row->deadline_us = FAKE_SUBMITTED_US + 1000 * (int64_t)job->deadline_ms;
    row->has_queue_timeout_ms = row->has_backoff_ms = row->has_backoff_max_ms = 1;
    row->queue_timeout_ms = job->queue_timeout_ms;
    row->backoff_ms = job->backoff_ms;
    row->backoff_max_ms = job->backoff_max_ms;
    row->n_after = job->after_count;
    row->after = fake_get(arena, job->after_count, sizeof *row->after);
    memcpy(row->after, job->after, job->after_count * sizeof *row->after);
    row->has_body = is_whole;
    row->body = berth_bytes_of(job->body);
    row->has_result = is_whole && job->result.bytes > 0;
    row->result = berth_bytes_of(job->result);
    return row;
}

static Berth__V1__Jobs *jobs_new(Berth__V1__Envelope *answer, struct berth_arena *arena,
                                 size_t count)
{
    Berth__V1__Jobs *jobs = fake_get(arena, 1, sizeof *jobs);
    berth__v1__jobs__init(jobs);
    jobs->job = fake_get(arena, count, sizeof(void *));
    jobs->unknown = fake_get(arena, count, sizeof *jobs->unknown);
    answer->message_case = BERTH__V1__ENVELOPE__MESSAGE_JOBS;
    answer->jobs = jobs;
    return jobs;
}

static void get_jobs(struct fake_broker *broker, const Berth__V1__Envelope *envelope,
                     Berth__V1__Envelope *answer, struct berth_arena *arena)
{
    const Berth__V1__JobGet *message = envelope->job_get;
    Berth__V1__Jobs *jobs = jobs_new(answer, arena, message->n_id);
    for (size_t i = 0; i < message->n_id; i++) {
        if (message->id[i] > broker->jobs_count)
            jobs->unknown[jobs->n_unknown++] = message->id[i];
        else
            jobs->job[jobs->n_job++] = job_row(&broker->jobs[message->id[i] - 1], true, arena);
    }
}

static bool is_listed(const struct fake_job *job, const Berth__V1__JobList *list)
{
    if (list->has_dispatcher &&
        !berth_slice_is_equal(berth_slice_of(job->dispatcher), berth_slice_from(list->dispatcher)))
        return false;
    if (list->after > 0 && (list->newest_first ? job->id >= list->after : job->id <= list->after))
        return false;
    return !list->has_state || (uint32_t)list->state == (uint32_t)job->state;
}

static void list_jobs(struct fake_broker *broker, const Berth__V1__Envelope *envelope,
                      Berth__V1__Envelope *answer, struct berth_arena *arena)
{
    const Berth__V1__JobList *list = envelope->job_list;
    size_t count_max = list->count_max > 0 ? list->count_max : 100;
    Berth__V1__Jobs *jobs = jobs_new(answer, arena, count_max);
    for (size_t i = 0; i < broker->jobs_count; i++) {
        size_t at = list->newest_first ? broker->jobs_count - 1 - i : i;
        const struct fake_job *job = &broker->jobs[at];
        if (!is_listed(job, list))
            continue;
        if (jobs->n_job == count_max) {
            jobs->has_next = 1;
            jobs->next = jobs->job[jobs->n_job - 1]->id;
            return;
        }
        jobs->job[jobs->n_job++] = job_row(job, list->with_bodies, arena);
    }
}

static void output(struct fake_broker *broker, const Berth__V1__JobOutputGet *asked,
                   Berth__V1__Envelope *answer, struct berth_arena *arena)
{
    const struct fake_job *job =
        asked->id <= broker->jobs_count ? &broker->jobs[asked->id - 1] : NULL;
    if (!job || has_ended(job->state)) {
        fake_error(answer, BERTH_ENOTFOUND, "id", "no such job lives", arena);
        return;
    }
    Berth__V1__JobOutput *message = fake_get(arena, 1, sizeof *message);
    berth__v1__job_output__init(message);
    message->has_id = message->has_state = message->has_attempt = message->has_is_over = 1;
    message->has_out_from = message->has_err_from = message->has_out = message->has_err = 1;
    message->id = job->id;
    message->state = (Berth__V1__JobState)job->state;
    message->attempt = job->attempt;
    message->is_over = job->state != BERTH_RUNNING;
    message->out_from = job->out_from;
    message->out = berth_bytes_of(berth_slice_of(job->out));
    message->err_from = job->err_from;
    message->err = berth_bytes_of(berth_slice_of(job->err));
    answer->message_case = BERTH__V1__ENVELOPE__MESSAGE_JOB_OUTPUT;
    answer->job_output = message;
}

static void no_schedules(Berth__V1__Envelope *answer, struct berth_arena *arena)
{
    Berth__V1__Schedules *message = fake_get(arena, 1, sizeof *message);
    berth__v1__schedules__init(message);
    answer->message_case = BERTH__V1__ENVELOPE__MESSAGE_SCHEDULES;
    answer->schedules = message;
}

void fake_answer(struct fake_broker *broker, const Berth__V1__Envelope *envelope,
                 struct berth_slice peer, Berth__V1__Envelope *answer, struct berth_arena *arena)
{
    berth_wire_init(answer, envelope->request);
    switch (fake_message_of(envelope)) {
    case FAKE_HELLO: welcome(answer, arena); return;
    case FAKE_SUBMIT: submit(broker, envelope, answer, arena); return;
    case FAKE_WAIT: wait_for(broker, envelope, peer, answer, arena); return;
    case FAKE_CANCEL: cancel(broker, envelope, answer, arena); return;
    case FAKE_RETRY:
    case FAKE_DISCARD:
    case FAKE_PURGE:
    case FAKE_REMOVE: fake_answer_dead(broker, envelope, answer, arena); return;
    case FAKE_SCHEDULE_LIST:
    case FAKE_SCHEDULE_REMOVE: no_schedules(answer, arena); return;
    case FAKE_EXPLAIN: fake_answer_explain(broker, envelope->explain, answer, arena); return;
    case FAKE_GET: get_jobs(broker, envelope, answer, arena); return;
    case FAKE_LIST: list_jobs(broker, envelope, answer, arena); return;
    case FAKE_OUTPUT: output(broker, envelope->job_output_get, answer, arena); return;
    case FAKE_DISPATCHER_SET:
    case FAKE_DISPATCHER_PAUSE:
    case FAKE_DISPATCHER_GET:
    case FAKE_WORKERS:
    case FAKE_WORKER_GONE:
    case FAKE_STATUS: fake_answer_admin(broker, envelope, answer, arena); return;
    case FAKE_ANY:
    case FAKE_MESSAGES: break;
    }
    fake_check(false, "a message that no client sends");
}
