/* SPDX-License-Identifier: MIT */
/* Rows to records and back. What comes from the file is checked: a wrong number is an error with
 * the row's name, never a wrong record.
 */
#include "broker/store/store_sqlite.h"

#include <inttypes.h>
#include <string.h>

#include "broker/store/store_record.h"

/* Reads columns in order and remembers whether one was outside its range. */
struct row_reader {
    sqlite3_stmt *row;
    int column;
    bool is_bad;
};

static int64_t next_i64(struct row_reader *reader)
{
    return sqlite3_column_int64(reader->row, reader->column++);
}

static uint64_t next_u64(struct row_reader *reader)
{
    return (uint64_t)next_i64(reader);
}

static uint32_t next_u32(struct row_reader *reader)
{
    int64_t value = next_i64(reader);
    if (value < 0 || value > UINT32_MAX)
        reader->is_bad = true;
    return (uint32_t)value;
}

static uint8_t next_u8(struct row_reader *reader)
{
    int64_t value = next_i64(reader);
    if (value < 0 || value > UINT8_MAX)
        reader->is_bad = true;
    return (uint8_t)value;
}

static int32_t next_i32(struct row_reader *reader)
{
    int64_t value = next_i64(reader);
    if (value < INT32_MIN || value > INT32_MAX)
        reader->is_bad = true;
    return (int32_t)value;
}

/* TEXT, too: as bytes it needs no NUL, so nothing is copied. */
static struct berth_slice next_slice(struct row_reader *reader)
{
    const void *data = sqlite3_column_blob(reader->row, reader->column);
    int bytes = sqlite3_column_bytes(reader->row, reader->column);
    reader->column++;
    if (!data && bytes > 0)
        reader->is_bad = true;
    return (struct berth_slice){ .data = bytes > 0 ? data : NULL, .bytes = (size_t)bytes };
}

/* Exactly `bytes`, or nothing at all. */
static void next_fixed(struct row_reader *reader, void *to, size_t bytes, bool may_be_empty)
{
    struct berth_slice slice = next_slice(reader);
    if (slice.data && slice.bytes == bytes)
        memcpy(to, slice.data, bytes);
    else if (slice.bytes != 0 || !may_be_empty)
        reader->is_bad = true;
}

static void next_name(struct row_reader *reader, char to[static BERTH_NAME_BYTES])
{
    struct berth_slice slice = next_slice(reader);
    if (slice.bytes >= BERTH_NAME_BYTES) {
        reader->is_bad = true;
        return;
    }
    if (slice.data)
        memcpy(to, slice.data, slice.bytes);
    to[slice.bytes] = '\0';
}

static int fail_row(struct berth_error *err, const char *what, uint64_t id, const char *fault)
{
    return berth_fail(err, BERTH_ESTORE, "the database is damaged: %s %" PRIu64 ": %s", what, id,
                      fault);
}

static void read_key(struct row_reader *reader, struct berth_key *key)
{
    key->kind = (enum berth_key_kind)next_u32(reader);
    key->bytes = next_slice(reader);
    key->until_us = next_i64(reader);
    next_fixed(reader, key->body_hash, sizeof key->body_hash, true);
}

/* A long value: its length if it was not asked for, then the value itself, each 0 or NULL if it is
 * not there. */
static struct berth_slice read_long(struct row_reader *reader)
{
    size_t bytes = (size_t)next_u32(reader);
    struct berth_slice slice = next_slice(reader);
    return slice.data ? slice : (struct berth_slice){ .bytes = bytes };
}

/* SQLITE_HEAD_COLUMNS. */
static void read_head(struct row_reader *reader, struct berth_job_record *job)
{
    job->id = next_u64(reader);
    job->dispatcher = next_u32(reader);
    job->state = (enum berth_state)next_u32(reader);
    job->priority = next_i32(reader);
    job->submitted_us = next_i64(reader);
    job->run_at_us = next_i64(reader);
    job->max_attempts = next_u32(reader);
    job->timeout_ms = next_i64(reader);
    job->attempt = next_u32(reader);
    job->failures = next_u32(reader);
    job->deaths = next_u32(reader);
    job->is_cancelled = next_i64(reader) != 0;
    job->is_suspect = next_i64(reader) != 0;
    job->handler = next_slice(reader);
    read_key(reader, &job->key);
    job->last.id = next_u64(reader);
    job->parent = next_u64(reader);
    job->parent_ordinal = next_u32(reader);
    job->parent_attempt = next_u64(reader);
    job->deadline_us = next_i64(reader);
    job->queue_timeout_ms = next_i64(reader);
    job->backoff_ms = next_i64(reader);
    job->backoff_ms_max = next_i64(reader);
    job->group = next_slice(reader);
    job->unique = next_slice(reader);
    job->after = next_slice(reader);
}

/* SQLITE_TAIL_COLUMNS. */
static void read_tail(struct row_reader *reader, struct berth_job_record *job)
{
    job->finished_us = next_i64(reader);
    job->last.started_us = next_i64(reader);
    job->last.worker = next_slice(reader);
    job->last.error_kind = next_slice(reader);
    job->last.error_message = next_slice(reader);
}

static int check_job(const struct row_reader *reader, const struct berth_job_record *job,
                     struct berth_error *err)
{
    const char *fault = reader->is_bad ? "a value is outside its range" : store_job_fault(job);
    return fault ? fail_row(err, "job", job->id, fault) : 0;
}

int sqlite_row_live(sqlite3_stmt *row, struct berth_job_record *ret_job, struct berth_error *err)
{
    struct row_reader reader = { .row = row };
    *ret_job = (struct berth_job_record){ .id = 0 };
    read_head(&reader, ret_job);
    ret_job->start_attempt = next_u64(&reader);
    ret_job->start_session = next_u64(&reader);
    ret_job->start_us = next_i64(&reader);
    ret_job->body = read_long(&reader);
    return check_job(&reader, ret_job, err);
}

int sqlite_row_job(sqlite3_stmt *row, struct berth_job_record *ret_job, struct berth_error *err)
{
    struct row_reader reader = { .row = row };
    *ret_job = (struct berth_job_record){ .id = 0 };
    read_head(&reader, ret_job);
    read_tail(&reader, ret_job);
    ret_job->body = read_long(&reader);
    ret_job->last.result = read_long(&reader);
    return check_job(&reader, ret_job, err);
}

static void read_limits(struct row_reader *reader, struct berth_dispatcher_record *dispatcher)
{
    dispatcher->parent = next_u32(reader);
    dispatcher->weight = next_u32(reader);
    dispatcher->group_limit = next_u32(reader);
    dispatcher->rate_count = next_u32(reader);
    dispatcher->rate_ms = next_i64(reader);
    dispatcher->burst = next_u32(reader);
    dispatcher->max_queued = next_u32(reader);
    dispatcher->hold = next_u8(reader);
    dispatcher->on_lost = next_u8(reader);
    dispatcher->no_jitter = next_i64(reader) != 0;
    dispatcher->queue_timeout_ms = next_i64(reader);
    dispatcher->deadline_ms = next_i64(reader);
    dispatcher->retention_ms = next_i64(reader);
    dispatcher->retention_count = next_u64(reader);
    dispatcher->changed_us = next_i64(reader);
    next_name(reader, dispatcher->changed_by);
    dispatcher->token_us = next_i64(reader);
}

int sqlite_row_dispatcher(sqlite3_stmt *row, struct berth_dispatcher_record *ret_dispatcher,
                          struct berth_error *err)
{
    struct row_reader reader = { .row = row };
    struct berth_dispatcher_record dispatcher = { .id = next_u32(&reader) };
    next_name(&reader, dispatcher.name);
    dispatcher.limit.kind = (enum berth_limit_kind)next_u32(&reader);
    dispatcher.limit.value = next_u32(&reader);
    dispatcher.is_paused = next_i64(&reader) != 0;
    dispatcher.max_attempts = next_u32(&reader);
    dispatcher.backoff_ms = next_i64(&reader);
    dispatcher.backoff_ms_max = next_i64(&reader);
    dispatcher.timeout_ms = next_i64(&reader);
    dispatcher.grace_ms = next_i64(&reader);
    read_limits(&reader, &dispatcher);
    const char *fault =
        reader.is_bad ? "a value is outside its range" : store_dispatcher_fault(&dispatcher);
    if (fault)
        return fail_row(err, "dispatcher", dispatcher.id, fault);
    *ret_dispatcher = dispatcher;
    return 0;
}

int sqlite_row_session(sqlite3_stmt *row, struct berth_session_record *ret_session,
                       struct berth_error *err)
{
    struct row_reader reader = { .row = row };
    struct berth_session_record session = { .id = next_u64(&reader) };
    next_fixed(&reader, session.node, sizeof session.node, false);
    next_fixed(&reader, session.boot, sizeof session.boot, false);
    next_fixed(&reader, session.nonce, sizeof session.nonce, false);
    session.child = next_u32(&reader);
    session.lease_ms = next_u32(&reader);
    next_name(&reader, session.name);
    session.is_closed = next_i64(&reader) != 0;
    const char *fault =
        reader.is_bad ? "a value is outside its range" : store_session_fault(&session);
    if (fault)
        return fail_row(err, "session", session.id, fault);
    *ret_session = session;
    return 0;
}

int sqlite_row_key(sqlite3_stmt *row, struct berth_job_record *ret_job, struct berth_error *err)
{
    struct row_reader reader = { .row = row };
    struct berth_job_record job = { .id = next_u64(&reader) };
    job.dispatcher = next_u32(&reader);
    read_key(&reader, &job.key);
    job.parent = next_u64(&reader);
    const char *fault = reader.is_bad || job.dispatcher == 0 ? "a value is outside its range"
                                                             : store_key_fault(&job.key);
    if (fault)
        return fail_row(err, "the key of job", job.id, fault);
    *ret_job = job;
    return 0;
}

static void read_schedule_job(struct row_reader *reader, struct berth_schedule_record *schedule)
{
    schedule->dispatcher = next_u32(reader);
    schedule->priority = next_i32(reader);
    schedule->delay_ms = next_i64(reader);
    schedule->max_attempts = next_u32(reader);
    schedule->timeout_ms = next_i64(reader);
    schedule->queue_timeout_ms = next_i64(reader);
    schedule->deadline_ms = next_i64(reader);
    schedule->backoff_ms = next_i64(reader);
    schedule->backoff_ms_max = next_i64(reader);
    schedule->on_conflict = next_u8(reader);
}

static void read_schedule_texts(struct row_reader *reader, struct berth_schedule_record *schedule)
{
    schedule->cron = next_slice(reader);
    schedule->zone = next_slice(reader);
    schedule->handler = next_slice(reader);
    schedule->group = next_slice(reader);
    schedule->unique = next_slice(reader);
    schedule->tzif = next_slice(reader);
    schedule->body = next_slice(reader);
}

int sqlite_row_schedule(sqlite3_stmt *row, struct berth_schedule_record *ret_schedule,
                        struct berth_schedule_done_record *ret_done, struct berth_error *err)
{
    struct row_reader reader = { .row = row };
    struct berth_schedule_record schedule = { .id = next_u32(&reader) };
    next_name(&reader, schedule.name);
    schedule.overlap = next_u8(&reader);
    schedule.catch_up = next_u8(&reader);
    schedule.is_paused = next_i64(&reader) != 0;
    read_schedule_job(&reader, &schedule);
    schedule.changed_us = next_i64(&reader);
    next_name(&reader, schedule.changed_by);
    read_schedule_texts(&reader, &schedule);
    struct berth_schedule_done_record done = { .id = schedule.id };
    if (sqlite3_column_type(row, reader.column) == SQLITE_NULL)
        return fail_row(err, "schedule", schedule.id, "how far it has come is missing");
    done.done_us = next_i64(&reader);
    done.last_job = next_u64(&reader);
    done.last_us = next_i64(&reader);
    done.last_fate = next_u8(&reader);
    done.last_text = next_slice(&reader);
    const char *fault = reader.is_bad ? "a value is outside its range" : NULL;
    if (!fault)
        fault = store_schedule_fault(&schedule);
    if (!fault)
        fault = store_schedule_done_fault(&done);
    if (fault)
        return fail_row(err, "schedule", schedule.id, fault);
    *ret_schedule = schedule;
    *ret_done = done;
    return 0;
}

void sqlite_bind_u64(sqlite3_stmt *statement, int place, uint64_t value)
{
    (void)sqlite3_bind_int64(statement, place, (sqlite3_int64)value);
}

void sqlite_bind_blob(sqlite3_stmt *statement, int place, struct berth_slice bytes)
{
    if (bytes.bytes == 0)
        (void)sqlite3_bind_null(statement, place);
    else
        (void)sqlite3_bind_blob64(statement, place, bytes.data, bytes.bytes, SQLITE_STATIC);
}

void sqlite_bind_text(sqlite3_stmt *statement, int place, struct berth_slice text)
{
    if (text.bytes == 0)
        (void)sqlite3_bind_null(statement, place);
    else
        (void)sqlite3_bind_text64(statement, place, text.data, text.bytes, SQLITE_STATIC,
                                  SQLITE_UTF8);
}
