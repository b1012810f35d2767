/* SPDX-License-Identifier: MIT */
#include "intake.h"

#include <stdarg.h>
#include <stdio.h>

#include "broker/core/batch.h"
#include "broker/core/dispatcher/dispatcher.h"
#include "broker/core/life/after.h"
#include "broker/core/life/rare.h"
#include "broker/core/match/lane.h"
#include "keys.h"

#define TEXT_BYTES_MAX 256

/* The ids as the record has them: little-endian, on every machine. */
static bool write_after(struct berth_core *core, const struct berth_submit_item *item,
                        struct berth_slice *ret_after)
{
    if (!item->after_count)
        return true;
    size_t bytes = item->after_count * sizeof *item->after;
    uint8_t *packed = berth_arena_alloc(core->open->arena, bytes);
    for (size_t i = 0; packed && i < bytes; i++)
        packed[i] = (uint8_t)(item->after[i / 8] >> 8 * (i % 8));
    *ret_after = (struct berth_slice){ packed, bytes };
    return packed;
}

/* A child has no more time than its parent. */
static void write_parent(const struct berth_core *core, const struct scope_parent *parent,
                         struct berth_job_record *job)
{
    const struct rare *rare = rare_of(core, job_at(&core->jobs, job_find(core, parent->job)));
    int64_t deadline_us = rare ? rare->deadline_us : 0;
    job->parent = parent->job;
    job->parent_ordinal = parent->ordinal;
    job->parent_attempt = parent->attempt;
    if (deadline_us && (!job->deadline_us || deadline_us < job->deadline_us))
        job->deadline_us = deadline_us;
}

static bool write_rare_options(struct berth_core *core, const struct arrival *arrival,
                               struct berth_job_record *job)
{
    const struct berth_submit_item *item = arrival->item;
    int64_t deadline_ms =
        item->deadline_ms ? item->deadline_ms : arrival->dispatcher->record.deadline_ms;
    if (item->run_at_us)
        job->run_at_us = item->run_at_us;
    if (deadline_ms)
        job->deadline_us = core->wall_us + deadline_ms * 1000;
    if (arrival->parent.job)
        write_parent(core, &arrival->parent, job);
    job->queue_timeout_ms = item->queue_timeout_ms;
    job->backoff_ms = item->backoff_ms;
    job->backoff_ms_max = item->backoff_ms_max;
    job->group = item->group;
    job->unique = item->unique;
    return batch_try_copy(core, &job->group) && batch_try_copy(core, &job->unique) &&
           write_after(core, item, &job->after);
}

/* False: no memory. */
static bool write_arrival(struct berth_core *core, const struct arrival *arrival, uint64_t id)
{
    const struct berth_submit_item *item = arrival->item;
    struct berth_record *record = batch_try_add(core, BERTH_RECORD_JOB);
    if (!record)
        return false;
    struct berth_slice key = { &arrival->key, sizeof arrival->key };
    bool is_hash = arrival->kind == BERTH_KEY_REQUEST || arrival->kind == BERTH_KEY_CHILD;
    record->job = (struct berth_job_record){
        .id = id,
        .dispatcher = arrival->dispatcher->record.id,
        .handler = arrival->handler,
        .priority = item->priority,
        .submitted_us = core->wall_us,
        .run_at_us = item->delay_ms ? core->wall_us + item->delay_ms * 1000 : 0,
        .max_attempts = item->max_attempts,
        .timeout_ms = item->timeout_ms,
        .key = { .kind = arrival->kind,
                 .bytes = is_hash ? key : item->key,
                 .until_us = arrival->until_us },
        .body = item->body,
    };
    memcpy(record->job.key.body_hash, &arrival->body, sizeof record->job.key.body_hash);
    if (batch_try_copy(core, &record->job.handler) &&
        batch_try_copy(core, &record->job.key.bytes) && batch_try_copy(core, &record->job.body) &&
        write_rare_options(core, arrival, &record->job))
        return true;
    batch_undo(core);
    return false;
}

/* In memory, with its lane. 0: no room. */
static uint32_t make_job(struct berth_core *core, const struct arrival *arrival, uint64_t id)
{
    struct lane *lane =
        lane_get(core, arrival->dispatcher, arrival->handler,
                 arrival->parent.job ? DESK_CHILDREN : DESK_ROOTS, arrival->item->group);
    if (!lane)
        return 0;
    uint32_t index = job_new(core, id, lane, arrival->item->priority);
    if (!index)
        lane_release(core, lane);
    return index;
}

/* As it was written just now. One that is to be cancelled at once waits for nobody. */
static bool take_rare(struct berth_core *core, uint32_t index, const struct arrival *arrival)
{
    const struct berth_job_record *record = &core->open->records[core->open->count - 1].job;
    if (rare_take(core, index, record) < 0)
        return false;
    if (!record->after.bytes)
        return true;
    struct ties *ties = rare_get_ties(core, index);
    if (!ties)
        return false;
    ties->run_at_us = record->run_at_us;
    return arrival->failed || after_take(core, index, record->after) == 0;
}

/* All that the job's life needs, or nothing. */
static bool make_all(struct berth_core *core, const struct arrival *arrival, uint64_t id)
{
    const struct berth_submit_item *item = arrival->item;
    uint32_t index = make_job(core, arrival, id);
    if (!index)
        return false;
    struct job *job = job_at(&core->jobs, index);
    job->max_attempts = item->max_attempts;
    if (job_keep_body(core, job, item->body, item->timeout_ms, false) == 0 &&
        write_arrival(core, arrival, id)) {
        bool is_taken = !arrival->parent.job || scope_take(core, index, &arrival->parent) == 0;
        const struct key_use use = { .kind = arrival->kind,
                                     .key = arrival->key,
                                     .body = arrival->body,
                                     .job = id,
                                     .parent = arrival->parent.job,
                                     .until_us = arrival->until_us };
        if (is_taken && take_rare(core, index, arrival) && keys_remember(core, &use) == 0)
            return true;
        batch_undo(core);
    }
    job_free(core, index);
    return false;
}

bool intake_is_backoff_sound(const struct berth_submit_item *item,
                             const struct dispatcher *dispatcher, int64_t *ret_backoff_ms,
                             int64_t *ret_backoff_ms_max)
{
    const struct berth_dispatcher_record *settings = &dispatcher->record;
    *ret_backoff_ms = item->backoff_ms ? item->backoff_ms : settings->backoff_ms;
    *ret_backoff_ms_max = item->backoff_ms_max ? item->backoff_ms_max : settings->backoff_ms_max;
    return (!item->backoff_ms && !item->backoff_ms_max) || *ret_backoff_ms <= *ret_backoff_ms_max;
}

/* Those that wait for something, and those that will when they are stored. */
static uint64_t queued_count(const struct dispatcher *dispatcher)
{
    const uint64_t *count = dispatcher->count;
    return count[JOB_ARRIVING] + count[JOB_SCHEDULED] + count[JOB_READY] + count[JOB_RETRYING];
}

struct berth_submitted_item intake_take(struct berth_core *core, const struct arrival *arrival,
                                        struct pending *answer)
{
    int64_t backoff_ms, backoff_ms_max;
    if (!intake_is_backoff_sound(arrival->item, arrival->dispatcher, &backoff_ms, &backoff_ms_max))
        return intake_refusal(
            BERTH_EVALUE, "backoff",
            intake_say(answer, "backoff %lld ms: allowed is 0 to backoff_max, which is %lld ms",
                       (long long)backoff_ms, (long long)backoff_ms_max));
    if (!batch_takes_arrivals(core))
        return intake_refusal_full();
    if (core->jobs.used >= core->jobs.count_max)
        return intake_refusal(BERTH_EFULL, "",
                              intake_say(answer, "the broker holds %u live jobs, as many as it may",
                                         core->jobs.count_max));
    const struct dispatcher *dispatcher = arrival->dispatcher;
    uint64_t queued = queued_count(dispatcher), queued_max = dispatcher_max_queued(dispatcher);
    if (queued >= queued_max)
        return intake_refusal(
            BERTH_ELIMIT, "dispatcher",
            intake_say(answer,
                       "dispatcher %s has %llu job%s queued, as many as its max_queued of %llu "
                       "allows",
                       dispatcher->record.name, (unsigned long long)queued, queued == 1 ? "" : "s",
                       (unsigned long long)queued_max));
    uint64_t id = core->next_job_id;
    if (!make_all(core, arrival, id))
        return intake_refusal(BERTH_EFULL, "", "the broker has no memory for another job");
    core->next_job_id++;
    if (arrival->failed)
        after_end(core, job_find(core, id), arrival->failed, arrival->failed_state);
    return (struct berth_submitted_item){ .id = id };
}

/* ---- refusals ---- */

struct berth_submitted_item intake_refusal(int code, const char *field, const char *message)
{
    return (struct berth_submitted_item){ .refusal = {
                                              .code = code, .field = field, .message = message } };
}

struct berth_submitted_item intake_refusal_full(void)
{
    return intake_refusal(BERTH_EFULL, "", "the broker's disk is full: this job was not stored");
}

const char *intake_say(struct pending *answer, const char *format, ...)
{
    char text[TEXT_BYTES_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    const char *copy = berth_arena_strdup(&answer->memory, text);
    return copy ? copy : "the broker has no memory to say why";
}
