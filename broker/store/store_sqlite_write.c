/* SPDX-License-Identifier: MIT */
/* One transaction for each batch.
 *
 * 1. Nothing of a batch is left behind unless its COMMIT succeeded: every other way out rolls back
 * explicitly, because a statement that fails with SQLITE_FULL leaves the transaction open.
 * 2. FULL is said only where it is certain that nothing was written; every other failure ends this
 * connection's writing.
 * 3. The epoch is compared inside of the transaction, with the row that a newer broker would have
 * changed.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "broker/store/store_record.h"
#include "broker/store/store_sqlite.h"

/* A record that speaks of what is not there: the file and the core disagree. Not one of SQLite's
 * own results here. */
#define NOT_THERE SQLITE_NOTFOUND
#define FENCED    SQLITE_AUTH

static struct berth_slice fixed(const void *data, size_t bytes)
{
    return (struct berth_slice){ .data = data, .bytes = bytes };
}

/* "" is no NULL. */
static void bind_text(sqlite3_stmt *statement, int place, const char *text)
{
    (void)sqlite3_bind_text(statement, place, text, (int)strlen(text), SQLITE_STATIC);
}

static void bind_i64(sqlite3_stmt *statement, int place, int64_t value)
{
    (void)sqlite3_bind_int64(statement, place, value);
}

/* Runs a statement that must change exactly one row. */
static int run_one(struct store_sqlite *self, enum sqlite_statement which)
{
    int rc = sqlite_run(self, which);
    if (rc != SQLITE_OK)
        return rc;
    return sqlite3_changes64(self->db) == 1 ? SQLITE_OK : NOT_THERE;
}

/* One function for each type of record. */

/* What few jobs bring. */
static bool has_options(const struct berth_job_record *job)
{
    return job->group.bytes || job->unique.bytes || job->after.bytes || job->deadline_us ||
           job->queue_timeout_ms || job->backoff_ms || job->backoff_ms_max || job->parent ||
           job->parent_ordinal || job->parent_attempt;
}

static int write_options(struct store_sqlite *self, const struct berth_job_record *job)
{
    sqlite3_stmt *insert = self->statements[SQL_OPTION_INSERT];
    sqlite_bind_u64(insert, 1, job->id);
    sqlite_bind_u64(insert, 2, job->parent);
    bind_i64(insert, 3, job->parent_ordinal);
    bind_i64(insert, 4, job->deadline_us);
    bind_i64(insert, 5, job->queue_timeout_ms);
    bind_i64(insert, 6, job->backoff_ms);
    bind_i64(insert, 7, job->backoff_ms_max);
    sqlite_bind_text(insert, 8, job->group);
    sqlite_bind_text(insert, 9, job->unique);
    sqlite_bind_blob(insert, 10, job->after);
    sqlite_bind_u64(insert, 11, job->parent_attempt);
    return sqlite_run(self, SQL_OPTION_INSERT);
}

static int write_job(struct store_sqlite *self, const struct berth_job_record *job)
{
    sqlite3_stmt *insert = self->statements[SQL_JOB_INSERT];
    bool has_key = job->key.kind != BERTH_KEY_NONE;
    sqlite_bind_u64(insert, 1, job->id);
    bind_i64(insert, 2, job->dispatcher);
    bind_i64(insert, 3, store_arrival_state(job));
    bind_i64(insert, 4, job->priority);
    bind_i64(insert, 5, job->submitted_us);
    bind_i64(insert, 6, job->run_at_us);
    bind_i64(insert, 7, job->max_attempts);
    bind_i64(insert, 8, job->timeout_ms);
    bind_i64(insert, 9, job->key.kind);
    bind_i64(insert, 10, job->key.until_us);
    sqlite_bind_text(insert, 11, job->handler);
    sqlite_bind_blob(insert, 12, job->key.bytes);
    sqlite_bind_blob(insert, 13,
                     fixed(job->key.body_hash, has_key ? sizeof job->key.body_hash : 0));
    sqlite_bind_blob(insert, 14, job->body);
    int rc = sqlite_run(self, SQL_JOB_INSERT);
    return rc == SQLITE_OK && has_options(job) ? write_options(self, job) : rc;
}

/* Six columns in a row: id, start, worker, kind and message of the error, result. */
static void bind_last(sqlite3_stmt *statement, int place, const struct berth_attempt_record *last)
{
    sqlite_bind_u64(statement, place, last->id);
    bind_i64(statement, place + 1, last->started_us);
    sqlite_bind_text(statement, place + 2, last->worker);
    sqlite_bind_text(statement, place + 3, last->error_kind);
    sqlite_bind_text(statement, place + 4, last->error_message);
    sqlite_bind_blob(statement, place + 5, last->result);
}

static int write_start(struct store_sqlite *self, const struct berth_start_record *start)
{
    sqlite3_stmt *update = self->statements[SQL_JOB_START];
    sqlite_bind_u64(update, 1, start->id);
    sqlite_bind_u64(update, 2, start->attempt);
    sqlite_bind_u64(update, 3, start->session);
    bind_i64(update, 4, start->started_us);
    return run_one(self, SQL_JOB_START);
}

static int write_retry(struct store_sqlite *self, const struct berth_retry_record *retry)
{
    sqlite3_stmt *update = self->statements[SQL_JOB_RETRY];
    sqlite_bind_u64(update, 1, retry->id);
    bind_i64(update, 2, retry->state);
    bind_i64(update, 3, retry->run_at_us);
    bind_i64(update, 4, retry->attempt);
    bind_i64(update, 5, retry->failures);
    bind_i64(update, 6, retry->deaths);
    bind_last(update, 7, &retry->last);
    bind_i64(update, 13, retry->is_suspect);
    return run_one(self, SQL_JOB_RETRY);
}

static int count_end(struct store_sqlite *self, const struct berth_end_record *end)
{
    struct sqlite_count *count = sqlite_count_get(self, end->dispatcher);
    if (!count)
        return SQLITE_NOMEM;
    sqlite_count_job(count, end->state, 1);
    count->completed_total += end->state == BERTH_COMPLETED;
    if (end->id < count->trim_from)
        count->trim_from = end->id;
    return SQLITE_OK;
}

static int write_end(struct store_sqlite *self, const struct berth_end_record *end)
{
    bool has_attempt = end->last.id != 0;
    bool has_error = end->error_kind.bytes > 0;
    enum sqlite_statement which = has_attempt ? SQL_DONE_INSERT
                                  : has_error ? SQL_DONE_INSERT_ENDED
                                              : SQL_DONE_INSERT_KEPT;
    sqlite3_stmt *done = self->statements[which];
    sqlite_bind_u64(done, 1, end->id);
    bind_i64(done, 2, end->state);
    bind_i64(done, 3, end->attempt);
    bind_i64(done, 4, end->failures);
    bind_i64(done, 5, end->deaths);
    bind_i64(done, 6, end->finished_us);
    bind_i64(done, 7, end->dispatcher);
    if (has_attempt)
        bind_last(done, 8, &end->last);
    if (has_error) {
        sqlite_bind_text(done, 8, end->error_kind);
        sqlite_bind_text(done, 9, end->error_message);
    }
    int rc = run_one(self, which);
    if (rc != SQLITE_OK)
        return rc;

    sqlite_bind_u64(self->statements[SQL_JOB_DELETE], 1, end->id);
    rc = run_one(self, SQL_JOB_DELETE);
    return rc == SQLITE_OK ? count_end(self, end) : rc;
}

static int write_id(struct store_sqlite *self, enum sqlite_statement which, uint64_t id)
{
    sqlite_bind_u64(self->statements[which], 1, id);
    return run_one(self, which);
}

static int write_dispatcher(struct store_sqlite *self,
                            const struct berth_dispatcher_record *dispatcher)
{
    sqlite3_stmt *put = self->statements[SQL_DISPATCHER_PUT];
    bind_i64(put, 1, dispatcher->id);
    sqlite_bind_text(put, 2, fixed(dispatcher->name, strlen(dispatcher->name)));
    bind_i64(put, 3, dispatcher->limit.kind);
    bind_i64(put, 4, dispatcher->limit.value);
    bind_i64(put, 5, dispatcher->is_paused);
    bind_i64(put, 6, dispatcher->max_attempts);
    bind_i64(put, 7, dispatcher->backoff_ms);
    bind_i64(put, 8, dispatcher->backoff_ms_max);
    bind_i64(put, 9, dispatcher->timeout_ms);
    bind_i64(put, 10, dispatcher->grace_ms);
    bind_i64(put, 11, dispatcher->parent);
    bind_i64(put, 12, dispatcher->weight);
    bind_i64(put, 13, dispatcher->group_limit);
    bind_i64(put, 14, dispatcher->rate_count);
    bind_i64(put, 15, dispatcher->rate_ms);
    bind_i64(put, 16, dispatcher->burst);
    bind_i64(put, 17, dispatcher->max_queued);
    bind_i64(put, 18, dispatcher->hold);
    bind_i64(put, 19, dispatcher->on_lost);
    bind_i64(put, 20, dispatcher->no_jitter);
    bind_i64(put, 21, dispatcher->queue_timeout_ms);
    bind_i64(put, 22, dispatcher->deadline_ms);
    bind_i64(put, 23, dispatcher->retention_ms);
    sqlite_bind_u64(put, 24, dispatcher->retention_count);
    bind_i64(put, 25, dispatcher->changed_us);
    bind_text(put, 26, dispatcher->changed_by);
    struct sqlite_count *count = sqlite_count_get(self, dispatcher->id);
    if (!count)
        return SQLITE_NOMEM;
    count->has_wanted = true;
    count->wanted_us = dispatcher->retention_ms * 1000;
    count->wanted_count = dispatcher->retention_count;
    return sqlite_run(self, SQL_DISPATCHER_PUT);
}

/* Its rows of the history go later, bit by bit. */
static int write_dispatcher_end(struct store_sqlite *self, uint64_t id)
{
    struct sqlite_count *count = sqlite_count_get(self, (uint32_t)id);
    if (!count)
        return SQLITE_NOMEM;
    count->is_touched = count->is_ending = true;
    int rc = write_id(self, SQL_DISPATCHER_DELETE, id);
    if (rc == SQLITE_OK)
        rc = write_id(self, SQL_GONE_INSERT, id);
    return rc == SQLITE_OK ? write_id(self, SQL_META_NEXT_DISPATCHER, id) : rc;
}

/* What the history says of a job. SQLITE_OK; NOT_THERE: nothing. */
static int read_done_head(struct store_sqlite *self, uint64_t id, struct sqlite_count **ret_count,
                          enum berth_state *ret_state)
{
    sqlite3_stmt *row = self->statements[SQL_DONE_HEAD];
    sqlite_bind_u64(row, 1, id);
    int rc = sqlite3_step(row);
    uint32_t dispatcher = 0;
    if (rc == SQLITE_ROW) {
        dispatcher = (uint32_t)sqlite3_column_int64(row, 0);
        *ret_state = (enum berth_state)sqlite3_column_int64(row, 1);
    }
    (void)sqlite3_reset(row);
    if (rc != SQLITE_ROW)
        return rc == SQLITE_DONE ? NOT_THERE : rc;
    *ret_count = sqlite_count_get(self, dispatcher);
    if (!*ret_count)
        return SQLITE_NOMEM;
    return (*ret_count)->is_gone || (*ret_count)->is_ending ? NOT_THERE : SQLITE_OK;
}

static int write_revive(struct store_sqlite *self, struct berth_revive_record *revive)
{
    struct sqlite_count *count;
    enum berth_state state;
    int rc = read_done_head(self, revive->id, &count, &state);
    revive->is_missing = rc == NOT_THERE || (rc == SQLITE_OK && state == BERTH_COMPLETED);
    if (rc != SQLITE_OK || revive->is_missing)
        return rc == NOT_THERE ? SQLITE_OK : rc;
    sqlite_bind_u64(self->statements[SQL_JOB_REVIVE], 1, revive->id);
    bind_i64(self->statements[SQL_JOB_REVIVE], 2, BERTH_READY);
    bind_i64(self->statements[SQL_JOB_REVIVE], 3, revive->run_at_us);
    rc = run_one(self, SQL_JOB_REVIVE);
    if (rc == SQLITE_OK)
        rc = write_id(self, SQL_DONE_DELETE, revive->id);
    if (rc != SQLITE_OK)
        return rc;
    sqlite_count_job(count, state, -1);
    sqlite_bind_u64(self->statements[SQL_OPTION_REVIVE], 1, revive->id);
    bind_i64(self->statements[SQL_OPTION_REVIVE], 2, revive->deadline_us);
    return sqlite_run(self, SQL_OPTION_REVIVE); /* few jobs have any */
}

/* Its key stays, so that nobody's repeat of the submit makes it anew. */
static int write_discard(struct store_sqlite *self, uint64_t id)
{
    struct sqlite_count *count;
    enum berth_state state;
    int rc = read_done_head(self, id, &count, &state);
    if (rc != SQLITE_OK || state != BERTH_DEAD)
        return rc == NOT_THERE ? SQLITE_OK : rc;
    static const enum sqlite_statement steps[] = { SQL_KEY_KEEP, SQL_OPTION_DELETE,
                                                   SQL_DONE_DELETE };
    for (size_t i = 0; rc == SQLITE_OK && i < sizeof steps / sizeof *steps; i++) {
        sqlite_bind_u64(self->statements[steps[i]], 1, id);
        rc = sqlite_run(self, steps[i]);
    }
    sqlite_count_job(count, state, -1);
    return rc;
}

static int write_session(struct store_sqlite *self, const struct berth_session_record *session)
{
    sqlite3_stmt *insert = self->statements[SQL_SESSION_INSERT];
    sqlite_bind_u64(insert, 1, session->id);
    sqlite_bind_blob(insert, 2, fixed(session->node, sizeof session->node));
    sqlite_bind_blob(insert, 3, fixed(session->boot, sizeof session->boot));
    sqlite_bind_blob(insert, 4, fixed(session->nonce, sizeof session->nonce));
    bind_i64(insert, 5, session->child);
    bind_i64(insert, 6, session->lease_ms);
    bind_text(insert, 7, session->name);
    return sqlite_run(self, SQL_SESSION_INSERT);
}

static int write_token(struct store_sqlite *self, const struct berth_token_record *token)
{
    sqlite3_stmt *update = self->statements[SQL_DISPATCHER_TOKEN];
    bind_i64(update, 1, token->dispatcher);
    bind_i64(update, 2, token->token_us);
    return run_one(self, SQL_DISPATCHER_TOKEN);
}

static int write_record(struct store_sqlite *self, struct berth_record *record)
{
    switch (record->type) {
    case BERTH_RECORD_JOB: return write_job(self, &record->job);
    case BERTH_RECORD_START: return write_start(self, &record->start);
    case BERTH_RECORD_RETRY: return write_retry(self, &record->retry);
    case BERTH_RECORD_END: return write_end(self, &record->end);
    case BERTH_RECORD_CANCEL: return write_id(self, SQL_JOB_CANCEL, record->id);
    case BERTH_RECORD_DISPATCHER: return write_dispatcher(self, &record->dispatcher);
    case BERTH_RECORD_SESSION: return write_session(self, &record->session);
    case BERTH_RECORD_SESSION_END: return write_id(self, SQL_SESSION_DELETE, record->id);
    case BERTH_RECORD_SESSION_CLOSED: return write_id(self, SQL_SESSION_CLOSE, record->id);
    case BERTH_RECORD_REVIVE: return write_revive(self, &record->revive);
    case BERTH_RECORD_DISCARD: return write_discard(self, record->id);
    case BERTH_RECORD_DISPATCHER_END: return write_dispatcher_end(self, record->id);
    case BERTH_RECORD_TOKEN: return write_token(self, &record->token);
    case BERTH_RECORD_SCHEDULE: return sqlite_write_schedule(self, &record->schedule);
    case BERTH_RECORD_SCHEDULE_DONE:
        return sqlite_write_schedule_done(self, &record->schedule_done);
    case BERTH_RECORD_SCHEDULE_END: return sqlite_write_schedule_end(self, record->id);
    }
    BERTH_UNREACHABLE();
}

/* The transaction. */

static int check_epoch(struct store_sqlite *self, const struct berth_batch *batch)
{
    sqlite3_stmt *check = self->statements[SQL_META_CHECK];
    int rc = sqlite3_step(check);
    uint64_t epoch = 0, lineage = 0;
    if (rc == SQLITE_ROW) {
        epoch = (uint64_t)sqlite3_column_int64(check, 0);
        lineage = (uint64_t)sqlite3_column_int64(check, 1);
    }
    (void)sqlite3_reset(check);
    if (rc != SQLITE_ROW)
        return rc == SQLITE_DONE ? SQLITE_CORRUPT : rc;
    return epoch == batch->epoch && lineage == self->lineage ? SQLITE_OK : FENCED;
}

/* How large the file may become: with arrivals up to its bound, without them beyond it by the
 * reserve. */
static int set_page_limit(struct store_sqlite *self, bool opens_reserve)
{
    if (self->bytes_max == 0 || self->is_reserve_opened == opens_reserve)
        return SQLITE_OK;
    uint64_t bytes = self->bytes_max + (opens_reserve ? STORE_SQLITE_RESERVE_BYTES : 0);
    uint64_t pages = bytes / self->page_bytes + 1;
    char pragma[64];
    (void)sqlite3_snprintf(sizeof pragma, pragma, "PRAGMA max_page_count = %llu",
                           (unsigned long long)pages);
    int rc = sqlite_exec(self, pragma);
    if (rc == SQLITE_OK)
        self->is_reserve_opened = opens_reserve;
    return rc;
}

static uint64_t next_job_id(const struct berth_batch *batch, uint64_t next)
{
    for (size_t i = 0; i < batch->count; i++) {
        if (batch->records[i].type == BERTH_RECORD_JOB && batch->records[i].job.id >= next)
            next = batch->records[i].job.id + 1;
    }
    return next;
}

/* The largest id may go with one of them, and must be noted. */
static bool has_discards(const struct berth_batch *batch)
{
    for (size_t i = 0; i < batch->count; i++)
        if (batch->records[i].type == BERTH_RECORD_DISCARD)
            return true;
    return false;
}

/* `ret_index`: of the record that failed, if one did. */
static int write_records(struct store_sqlite *self, struct berth_batch *batch, size_t *ret_index)
{
    int rc = SQLITE_OK;
    self->end_count = 0;
    if (has_discards(batch)) {
        sqlite_bind_u64(self->statements[SQL_META_NEXT_JOB], 1,
                        next_job_id(batch, self->next_job_id));
        rc = sqlite_run(self, SQL_META_NEXT_JOB);
    }
    for (size_t i = 0; rc == SQLITE_OK && i < batch->count; i++) {
        *ret_index = i;
        self->end_count += batch->records[i].type == BERTH_RECORD_END;
        rc = write_record(self, &batch->records[i]);
    }
    return rc == SQLITE_OK ? sqlite_counts_write(self) : rc;
}

/* What a failure before or at the COMMIT means. Called before the rollback, which would change
 * SQLite's message. */
static enum berth_store_result judge(struct store_sqlite *self, int rc, bool is_commit,
                                     size_t index, struct berth_error *err)
{
    if (rc == FENCED) {
        (void)berth_fail(err, BERTH_EFENCED, "a newer broker has taken over the database '%s'",
                         self->path);
        return BERTH_STORE_FENCED;
    }
    if (rc == NOT_THERE) {
        (void)berth_fail(
            &self->death, BERTH_ESTORE,
            "record %zu of the batch changes something that the database '%s' does not have", index,
            self->path);
        (void)sqlite_die(self, rc, "write", err);
        return BERTH_STORE_UNKNOWN;
    }
    bool is_certain = (rc & 0xff) == SQLITE_FULL || ((rc & 0xff) == SQLITE_NOMEM && !is_commit);
    if (is_certain) {
        (void)sqlite_fail(self, rc, "write", err);
        return BERTH_STORE_FULL;
    }
    (void)sqlite_die(self, rc, "write", err);
    return BERTH_STORE_UNKNOWN;
}

static enum berth_store_result write_once(struct store_sqlite *self, struct berth_batch *batch,
                                          bool opens_reserve, struct berth_error *err)
{
    size_t index = 0;
    bool is_commit = false;
    int rc = set_page_limit(self, opens_reserve);
    if (rc == SQLITE_OK)
        rc = sqlite_run(self, SQL_BEGIN);
    if (rc == SQLITE_OK)
        rc = check_epoch(self, batch);
    if (rc == SQLITE_OK)
        rc = write_records(self, batch, &index);
    if (rc == SQLITE_OK) {
        is_commit = true;
        rc = sqlite_run(self, SQL_COMMIT);
    }
    sqlite_counts_settle(self, rc == SQLITE_OK);
    if (rc == SQLITE_OK) {
        self->next_job_id = next_job_id(batch, self->next_job_id);
        return BERTH_STORED;
    }
    enum berth_store_result result = judge(self, rc, is_commit, index, err);
    sqlite_rollback(self);
    if (result == BERTH_STORE_FULL && sqlite3_get_autocommit(self->db) == 0) {
        (void)sqlite_die(self, rc, "roll back", err);
        return BERTH_STORE_UNKNOWN;
    }
    return result;
}

/* Makes room for a batch without arrivals: the reserve on the disk goes, if it is the disk that is
 * full; and the log is copied back before it grows any further, since the database needs room for
 * that, too. */
static void make_room(struct store_sqlite *self)
{
    if (!self->is_short && sqlite_disk_is_short(self)) {
        sqlite_reserve_give_up(self);
        self->is_short = true;
    }
    sqlite_checkpoint(self);
}

enum berth_store_result sqlite_write(struct store_blocking *backend, struct berth_batch *batch,
                                     struct berth_error *err)
{
    struct store_sqlite *self = sqlite_of(backend);
    bool has_arrivals = store_batch_has_arrivals(batch);
    if (self->death.code == 0 && has_arrivals && self->is_short) {
        (void)berth_fail(err, BERTH_EFULL, "the disk under '%s' is full: no new jobs", self->path);
        return BERTH_STORE_FULL;
    }
    enum berth_store_result result = BERTH_STORE_FULL;
    if (self->death.code == 0)
        result = write_once(self, batch, !has_arrivals, err);
    if (self->death.code == 0 && result == BERTH_STORE_FULL && !has_arrivals) {
        make_room(self);
        *err = (struct berth_error){ .code = 0 };
        if (self->death.code == 0)
            result = write_once(self, batch, true, err);
    }
    if (self->death.code == 0)
        return result;
    *err = self->death;
    return BERTH_STORE_UNKNOWN;
}
