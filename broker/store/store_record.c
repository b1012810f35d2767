/* SPDX-License-Identifier: MIT */
/* The checks of records. Pure; each returns the first fault as static text. */
#include "broker/store/store_record.h"

#include <string.h>

#include "base/limit.h"

bool store_state_is_live(enum berth_state state)
{
    return state == BERTH_SCHEDULED || state == BERTH_READY || state == BERTH_RETRYING;
}

bool store_state_is_ended(enum berth_state state)
{
    return state == BERTH_COMPLETED || state == BERTH_DEAD || state == BERTH_CANCELLED;
}

enum berth_state store_arrival_state(const struct berth_job_record *job)
{
    return job->run_at_us ? BERTH_SCHEDULED : BERTH_READY;
}

bool store_key_outlives(const struct berth_job_record *job)
{
    return job->key.kind != BERTH_KEY_NONE &&
           (job->key.kind != BERTH_KEY_CHILD || job->state == BERTH_COMPLETED);
}

static bool slice_is_sound(struct berth_slice slice)
{
    return slice.data || slice.bytes == 0;
}

const char *store_key_fault(const struct berth_key *key)
{
    if (!slice_is_sound(key->bytes))
        return "its key has no bytes";
    switch (key->kind) {
    case BERTH_KEY_NONE: return key->bytes.bytes == 0 ? NULL : "it has a key of no kind";
    case BERTH_KEY_REQUEST:
        return key->bytes.bytes == 16 ? NULL : "its request key has not 16 bytes";
    case BERTH_KEY_IDEMPOTENCY:
        if (key->bytes.bytes >= 1 && key->bytes.bytes <= BERTH_KEY_BYTES_MAX)
            return NULL;
        return "its idempotency key has not 1 to 255 bytes";
    case BERTH_KEY_CHILD:
        return key->bytes.bytes == 16 ? NULL : "its key as a child has not 16 bytes";
    case BERTH_KEY_SCHEDULE:
        return key->bytes.bytes == 16 ? NULL : "its schedule key has not 16 bytes";
    }
    return "its key is of an unknown kind";
}

static const char *attempt_fault(const struct berth_attempt_record *last)
{
    if (!slice_is_sound(last->worker) || !slice_is_sound(last->result))
        return "its last attempt has a length without bytes";
    if (!slice_is_sound(last->error_kind) || !slice_is_sound(last->error_message))
        return "its last error has a length without bytes";
    return NULL;
}

static bool is_key_or_nothing(struct berth_slice slice)
{
    return slice_is_sound(slice) && slice.bytes <= BERTH_KEY_BYTES_MAX;
}

static const char *rare_options_fault(const struct berth_job_record *job)
{
    if (!is_key_or_nothing(job->group))
        return "its group has not 1 to 255 bytes";
    if (!is_key_or_nothing(job->unique))
        return "its unique key has not 1 to 255 bytes";
    if (!slice_is_sound(job->after) || job->after.bytes % sizeof(uint64_t) != 0)
        return "what it waits for is no list of ids";
    if (job->deadline_us < 0 || job->queue_timeout_ms < 0 || job->backoff_ms < 0 ||
        job->backoff_ms_max < 0)
        return "one of its times is negative";
    if (job->parent > STORE_JOB_ID_MAX)
        return "its parent is outside 0 .. 2^53 - 1";
    return NULL;
}

/* What arrivals and stored jobs have in common. */
static const char *job_head_fault(const struct berth_job_record *job)
{
    if (job->id == 0 || job->id > STORE_JOB_ID_MAX)
        return "its id is outside 1 .. 2^53 - 1";
    if (job->dispatcher == 0)
        return "it has no dispatcher";
    if (job->handler.bytes == 0 || !job->handler.data)
        return "its handler is empty";
    if (job->timeout_ms < 0 || job->run_at_us < 0)
        return "one of its times is negative";
    const char *fault = store_key_fault(&job->key);
    return fault ? fault : rare_options_fault(job);
}

const char *store_job_fault(const struct berth_job_record *job)
{
    const char *fault = job_head_fault(job);
    if (fault)
        return fault;
    if (!store_state_is_live(job->state) && !store_state_is_ended(job->state))
        return "its state is none that is stored";
    return NULL;
}

static const char *arrival_fault(const struct berth_job_record *job)
{
    const char *fault = job_head_fault(job);
    if (fault)
        return fault;
    if (!slice_is_sound(job->body))
        return "its body has a length without bytes";
    if (job->state != 0 || job->attempt != 0 || job->last.id != 0 || job->start_attempt != 0)
        return "it arrives with a past";
    return NULL;
}

static const char *limits_fault(const struct berth_dispatcher_record *dispatcher)
{
    if (dispatcher->parent == dispatcher->id)
        return "its parent is itself";
    if (dispatcher->weight == 0 || dispatcher->weight > STORE_WEIGHT_MAX)
        return "its weight is outside 1 .. 1000";
    if (!berth_rate_is_valid(dispatcher->rate_count, dispatcher->rate_ms))
        return "its rate is for no second, minute, hour or day";
    if (dispatcher->burst > STORE_BURST_MAX)
        return "its burst is outside 0 .. 1,000,000";
    if (dispatcher->hold > BERTH_HOLD_RUNNING || dispatcher->on_lost > BERTH_ON_LOST_HOLD)
        return "its hold or on_lost is of an unknown kind";
    if (dispatcher->queue_timeout_ms < 0 || dispatcher->deadline_ms < 0)
        return "one of its durations is negative";
    if (dispatcher->retention_ms <= 0 || dispatcher->retention_count > STORE_RETENTION_COUNT_MAX)
        return "its retention is outside its range";
    size_t bytes = strnlen(dispatcher->changed_by, sizeof dispatcher->changed_by);
    return bytes == sizeof dispatcher->changed_by ? "who changed it has more than 64 bytes" : NULL;
}

const char *store_dispatcher_fault(const struct berth_dispatcher_record *dispatcher)
{
    if (dispatcher->id == 0)
        return "its id is 0";
    size_t bytes = strnlen(dispatcher->name, sizeof dispatcher->name);
    if (bytes == 0 || bytes == sizeof dispatcher->name)
        return "its name has not 1 to 64 bytes";
    if (dispatcher->limit.kind < BERTH_LIMIT_NUMBER ||
        dispatcher->limit.kind > BERTH_LIMIT_MAX_CORES)
        return "its limit is of an unknown kind";
    if (dispatcher->max_attempts == 0)
        return "its max_attempts is 0";
    if (dispatcher->backoff_ms < 0 || dispatcher->backoff_ms_max < 0 ||
        dispatcher->timeout_ms < 0 || dispatcher->grace_ms < 0)
        return "one of its durations is negative";
    return limits_fault(dispatcher);
}

const char *store_session_fault(const struct berth_session_record *session)
{
    if (session->id == 0)
        return "its id is 0";
    if (strnlen(session->name, sizeof session->name) == sizeof session->name)
        return "its name has more than 64 bytes";
    return NULL;
}

static const char *start_fault(const struct berth_start_record *start)
{
    if (start->id == 0)
        return "its id is 0";
    bool is_sound = (start->attempt == 0) == (start->session == 0);
    return is_sound ? NULL : "its start has an attempt or a session alone";
}

static const char *schedule_job_fault(const struct berth_schedule_record *schedule)
{
    if (schedule->dispatcher == 0)
        return "it has no dispatcher";
    if (schedule->handler.bytes == 0 || !schedule->handler.data)
        return "its handler is empty";
    if (!slice_is_sound(schedule->body))
        return "its body has a length without bytes";
    if (!is_key_or_nothing(schedule->group) || !is_key_or_nothing(schedule->unique))
        return "its group or unique key has not 1 to 255 bytes";
    if (schedule->delay_ms < 0 || schedule->timeout_ms < 0 || schedule->queue_timeout_ms < 0 ||
        schedule->deadline_ms < 0 || schedule->backoff_ms < 0 || schedule->backoff_ms_max < 0)
        return "one of its durations is negative";
    return schedule->on_conflict > 1 ? "its on_conflict is of an unknown kind" : NULL;
}

const char *store_schedule_fault(const struct berth_schedule_record *schedule)
{
    if (schedule->id == 0)
        return "its id is 0";
    size_t bytes = strnlen(schedule->name, sizeof schedule->name);
    if (bytes == 0 || bytes == sizeof schedule->name)
        return "its name has not 1 to 64 bytes";
    if (schedule->cron.bytes == 0 || !schedule->cron.data)
        return "it has no cron expression";
    if (schedule->zone.bytes == 0 || !schedule->zone.data || !slice_is_sound(schedule->tzif))
        return "it has no time zone";
    if (schedule->overlap > 1 || schedule->catch_up > 2)
        return "its overlap or catch_up is of an unknown kind";
    if (strnlen(schedule->changed_by, sizeof schedule->changed_by) == sizeof schedule->changed_by)
        return "who changed it has more than 64 bytes";
    return schedule_job_fault(schedule);
}

const char *store_schedule_done_fault(const struct berth_schedule_done_record *done)
{
    if (done->id == 0)
        return "its id is 0";
    if (done->last_job > STORE_JOB_ID_MAX)
        return "its last job is outside 0 .. 2^53 - 1";
    if (done->last_fate > 3)
        return "what became of its last instant is unknown";
    return slice_is_sound(done->last_text) ? NULL : "its text has a length without bytes";
}

static const char *retry_fault(const struct berth_retry_record *retry)
{
    if (retry->id == 0)
        return "its id is 0";
    if (retry->state != BERTH_READY && retry->state != BERTH_RETRYING)
        return "its state is neither ready nor retrying";
    return attempt_fault(&retry->last);
}

static const char *end_fault(const struct berth_end_record *end)
{
    if (end->id == 0)
        return "its id is 0";
    if (end->dispatcher == 0)
        return "it has no dispatcher";
    if (!store_state_is_ended(end->state))
        return "its state is none of an end";
    if (!slice_is_sound(end->error_kind) || !slice_is_sound(end->error_message))
        return "what ended it has a length without bytes";
    if (end->last.id != 0 && end->error_kind.bytes)
        return "it has two errors";
    return attempt_fault(&end->last);
}

static const char *revive_fault(const struct berth_revive_record *revive)
{
    if (revive->id == 0)
        return "its id is 0";
    if (revive->deadline_us < 0 || revive->run_at_us < 0)
        return "one of its times is negative";
    return revive->is_missing ? "it is missing before it was looked for" : NULL;
}

const char *store_record_fault(const struct berth_record *record)
{
    switch (record->type) {
    case BERTH_RECORD_JOB: return arrival_fault(&record->job);
    case BERTH_RECORD_START: return start_fault(&record->start);
    case BERTH_RECORD_RETRY: return retry_fault(&record->retry);
    case BERTH_RECORD_END: return end_fault(&record->end);
    case BERTH_RECORD_TOKEN:
        return record->token.dispatcher && record->token.token_us > 0 ? NULL : "it is of nobody";
    case BERTH_RECORD_SCHEDULE: return store_schedule_fault(&record->schedule);
    case BERTH_RECORD_SCHEDULE_DONE: return store_schedule_done_fault(&record->schedule_done);
    case BERTH_RECORD_CANCEL:
    case BERTH_RECORD_SCHEDULE_END:
    case BERTH_RECORD_SESSION_END:
    case BERTH_RECORD_SESSION_CLOSED:
    case BERTH_RECORD_DISCARD: return record->id ? NULL : "its id is 0";
    case BERTH_RECORD_DISPATCHER_END:
        return record->id && record->id <= UINT32_MAX ? NULL : "its id is outside 1 .. 2^32 - 1";
    case BERTH_RECORD_REVIVE: return revive_fault(&record->revive);
    case BERTH_RECORD_DISPATCHER: return store_dispatcher_fault(&record->dispatcher);
    case BERTH_RECORD_SESSION: return store_session_fault(&record->session);
    }
    return "its type is unknown";
}

bool store_batch_has_arrivals(const struct berth_batch *batch)
{
    for (size_t i = 0; i < batch->count; i++) {
        if (batch->records[i].type == BERTH_RECORD_JOB)
            return true;
    }
    return false;
}
