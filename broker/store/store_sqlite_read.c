/* SPDX-License-Identifier: MIT */
/* Reads: by id, by page, by count. Each is bounded, because the batches behind it wait. */
#include <errno.h>

#include "base/assert.h"
#include "broker/store/store_record.h"
#include "broker/store/store_sqlite.h"

/* Copies the row into the answer. */
static int add_row(struct store_sqlite *self, sqlite3_stmt *row, struct store_answer *answer,
                   struct berth_error *err)
{
    struct berth_job_record job;
    int rc = sqlite_row_job(row, &job, err);
    if (rc < 0)
        return rc;
    rc = store_answer_add(answer, &job);
    return rc < 0 ? berth_fail(err, rc, "read the database '%s'", self->path) : 0;
}

/* One row by its id. 1: found, 0: not there, or an error. */
static int add_by_id(struct store_sqlite *self, enum sqlite_statement which, uint64_t id,
                     struct store_answer *answer, struct berth_error *err)
{
    sqlite3_stmt *row = self->statements[which];
    sqlite_bind_u64(row, 1, id);
    int rc = sqlite3_step(row), result = 0;
    if (rc == SQLITE_ROW && !sqlite_is_hidden(self, (uint32_t)sqlite3_column_int64(row, 1))) {
        result = add_row(self, row, answer, err);
        if (result == 0)
            result = 1;
    } else if (rc == SQLITE_ROW) {
        result = 0;
    } else if (rc != SQLITE_DONE) {
        result = sqlite_fail(self, rc, "read", err);
    }
    (void)sqlite3_reset(row);
    return result;
}

static int read_jobs(struct store_sqlite *self, const struct berth_read *read,
                     struct store_answer *answer, struct berth_error *err)
{
    int rc = store_answer_reserve(answer, read->id_count);
    if (rc < 0)
        return berth_fail(err, rc, "read the database '%s'", self->path);
    for (size_t i = 0; rc >= 0 && i < read->id_count; i++) {
        bool is_full = store_answer_is_full(answer);
        rc = add_by_id(self, is_full ? SQL_JOB_GET_BARE : SQL_JOB_GET, read->ids[i], answer, err);
        if (rc == 0)
            rc = add_by_id(self, is_full ? SQL_DONE_GET_BARE : SQL_DONE_GET, read->ids[i], answer,
                           err);
        if (rc > 0 && is_full)
            answer->has_more = true;
    }
    return rc < 0 ? rc : 0;
}

/* One of the two tables that a list walks at once, standing on its next row. The walk looks at
 * three columns; only of a row that is wanted are the others fetched. */
struct cursor {
    sqlite3_stmt *row; /* NULL: at its end */
    uint64_t id;
};

static int cursor_next(struct store_sqlite *self, struct cursor *cursor, struct berth_error *err)
{
    if (!cursor->row)
        return 0;
    int rc = sqlite3_step(cursor->row);
    if (rc == SQLITE_ROW) {
        cursor->id = (uint64_t)sqlite3_column_int64(cursor->row, 0);
        return 0;
    }
    int result = rc == SQLITE_DONE ? 0 : sqlite_fail(self, rc, "read", err);
    (void)sqlite3_reset(cursor->row);
    cursor->row = NULL;
    return result;
}

static int cursor_open(struct store_sqlite *self, struct cursor *cursor,
                       enum sqlite_statement which, const struct berth_read *read,
                       struct berth_error *err)
{
    cursor->row = self->statements[which];
    uint64_t from = read->is_newest_first && read->after == 0 ? INT64_MAX : read->after;
    sqlite_bind_u64(cursor->row, 1, from);
    return cursor_next(self, cursor, err);
}

static void cursor_close(struct cursor *cursor)
{
    if (cursor->row)
        (void)sqlite3_reset(cursor->row);
}

/* Whose row comes first in the direction of the read; NULL: both are at their end. */
static struct cursor *cursor_first(struct cursor *live, struct cursor *done, bool is_newest_first)
{
    if (!live->row || !done->row)
        return live->row ? live : done->row ? done : NULL;
    return (live->id < done->id) != is_newest_first ? live : done;
}

/* Dispatcher and state are columns 1 and 2; of a live job the state is not asked for. */
static bool is_wanted(const struct berth_read *read, sqlite3_stmt *row, bool is_live)
{
    if (read->dispatcher != 0 && sqlite3_column_int64(row, 1) != read->dispatcher)
        return false;
    return is_live || read->state == 0 ||
           sqlite3_column_int64(row, 2) == (sqlite3_int64)read->state;
}

static int walk(struct store_sqlite *self, const struct berth_read *read, struct cursor *live,
                struct cursor *done, struct store_answer *answer, struct berth_error *err)
{
    struct cursor *first;
    for (size_t looked_at = 0; (first = cursor_first(live, done, read->is_newest_first)) != NULL;
         looked_at++) {
        if (answer->job_count == read->count_max || looked_at == BERTH_STORE_READ_ROWS_MAX ||
            answer->copied_bytes >= BERTH_STORE_LIST_BYTES_MAX) {
            answer->has_more = true;
            return 0;
        }
        enum sqlite_statement get = read->with_bodies ? SQL_JOB_GET : SQL_JOB_GET_BARE;
        if (first != live)
            get = read->with_bodies ? SQL_DONE_GET : SQL_DONE_GET_BARE;
        int rc = 0;
        if (is_wanted(read, first->row, first == live))
            rc = add_by_id(self, get, first->id, answer, err);
        if (rc < 0)
            return rc;
        answer->next = first->id;
        rc = cursor_next(self, first, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int read_list(struct store_sqlite *self, const struct berth_read *read,
                     struct store_answer *answer, struct berth_error *err)
{
    int rc = store_answer_reserve(answer, read->count_max);
    if (rc < 0)
        return berth_fail(err, rc, "read the database '%s'", self->path);
    struct cursor live = { .row = NULL }, done = { .row = NULL };
    bool is_down = read->is_newest_first;
    if (read->scope != BERTH_SCOPE_ENDED)
        rc = cursor_open(self, &live, is_down ? SQL_JOB_DOWN : SQL_JOB_UP, read, err);
    if (rc == 0 && read->scope != BERTH_SCOPE_LIVE)
        rc = cursor_open(self, &done, is_down ? SQL_DONE_DOWN : SQL_DONE_UP, read, err);
    if (rc == 0)
        rc = walk(self, read, &live, &done, answer, err);
    cursor_close(&live);
    cursor_close(&done);
    return rc;
}

static int read_counts(struct store_sqlite *self, struct store_answer *answer,
                       struct berth_error *err)
{
    int rc = store_answer_reserve_counts(answer, self->count_count);
    if (rc < 0)
        return berth_fail(err, rc, "read the database '%s'", self->path);
    for (size_t i = 0; i < self->count_count; i++)
        if (!self->counts[i].is_gone)
            answer->counts[answer->count_count++] = self->counts[i].stored;
    return 0;
}

int sqlite_read(struct store_blocking *backend, const struct berth_read *read,
                struct store_answer *answer, struct berth_error *err)
{
    struct store_sqlite *self = sqlite_of(backend);
    switch (read->type) {
    case BERTH_READ_JOBS: return read_jobs(self, read, answer, err);
    case BERTH_READ_LIST: return read_list(self, read, answer, err);
    case BERTH_READ_COUNTS: return read_counts(self, answer, err);
    }
    BERTH_UNREACHABLE();
}
