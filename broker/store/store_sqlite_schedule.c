/* SPDX-License-Identifier: MIT */
/* Schedules, written: what people set in `schedule`, how far each has come in `schedule_done`. */
#include <string.h>

#include "broker/store/store_sqlite.h"

static void bind_i64(sqlite3_stmt *statement, int place, int64_t value)
{
    (void)sqlite3_bind_int64(statement, place, value);
}

/* "" is no NULL. */
static void bind_text(sqlite3_stmt *statement, int place, const char *text)
{
    (void)sqlite3_bind_text(statement, place, text, (int)strlen(text), SQLITE_STATIC);
}

/* Runs a statement that must change exactly one row. */
static int run_one(struct store_sqlite *self, enum sqlite_statement which)
{
    int rc = sqlite_run(self, which);
    if (rc != SQLITE_OK)
        return rc;
    return sqlite3_changes64(self->db) == 1 ? SQLITE_OK : SQLITE_NOTFOUND;
}

static void bind_job(sqlite3_stmt *put, const struct berth_schedule_record *schedule)
{
    bind_i64(put, 6, schedule->dispatcher);
    bind_i64(put, 7, schedule->priority);
    bind_i64(put, 8, schedule->delay_ms);
    bind_i64(put, 9, schedule->max_attempts);
    bind_i64(put, 10, schedule->timeout_ms);
    bind_i64(put, 11, schedule->queue_timeout_ms);
    bind_i64(put, 12, schedule->deadline_ms);
    bind_i64(put, 13, schedule->backoff_ms);
    bind_i64(put, 14, schedule->backoff_ms_max);
    bind_i64(put, 15, schedule->on_conflict);
    sqlite_bind_text(put, 20, schedule->handler);
    sqlite_bind_text(put, 21, schedule->group);
    sqlite_bind_text(put, 22, schedule->unique);
    sqlite_bind_blob(put, 24, schedule->body);
}

int sqlite_write_schedule(struct store_sqlite *self, const struct berth_schedule_record *schedule)
{
    sqlite3_stmt *put = self->statements[SQL_SCHEDULE_PUT];
    bind_i64(put, 1, schedule->id);
    bind_text(put, 2, schedule->name);
    bind_i64(put, 3, schedule->overlap);
    bind_i64(put, 4, schedule->catch_up);
    bind_i64(put, 5, schedule->is_paused);
    bind_i64(put, 16, schedule->changed_us);
    bind_text(put, 17, schedule->changed_by);
    sqlite_bind_text(put, 18, schedule->cron);
    sqlite_bind_text(put, 19, schedule->zone);
    sqlite_bind_blob(put, 23, schedule->tzif);
    bind_job(put, schedule);
    int rc = run_one(self, SQL_SCHEDULE_PUT);
    if (rc != SQLITE_OK || !schedule->has_done)
        return rc;
    sqlite3_stmt *begin = self->statements[SQL_SCHEDULE_BEGIN];
    bind_i64(begin, 1, schedule->id);
    bind_i64(begin, 2, schedule->done_us);
    return run_one(self, SQL_SCHEDULE_BEGIN);
}

int sqlite_write_schedule_done(struct store_sqlite *self,
                               const struct berth_schedule_done_record *done)
{
    sqlite3_stmt *update = self->statements[SQL_SCHEDULE_DONE];
    bind_i64(update, 1, done->id);
    bind_i64(update, 2, done->done_us);
    sqlite_bind_u64(update, 3, done->last_job);
    bind_i64(update, 4, done->last_us);
    bind_i64(update, 5, done->last_fate);
    sqlite_bind_text(update, 6, done->last_text);
    return run_one(self, SQL_SCHEDULE_DONE);
}

int sqlite_write_schedule_end(struct store_sqlite *self, uint64_t id)
{
    sqlite_bind_u64(self->statements[SQL_SCHEDULE_DONE_DELETE], 1, id);
    int rc = run_one(self, SQL_SCHEDULE_DONE_DELETE);
    if (rc != SQLITE_OK)
        return rc;
    sqlite_bind_u64(self->statements[SQL_SCHEDULE_DELETE], 1, id);
    return run_one(self, SQL_SCHEDULE_DELETE);
}
