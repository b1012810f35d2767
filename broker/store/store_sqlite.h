/* SPDX-License-Identifier: MIT */
/* The SQLite backend, private to store_sqlite*.c. What is stored when, and why so: docs/STORE.md.
 *
 * 1. One connection, exclusive, used by one thread at a time. Whoever holds DIR/lock owns the
 * directory.
 * 2. Outside of a call no transaction is open and no statement is under way.
 * 3. After a failure that leaves the file in doubt (`death.code` < 0) nothing is written any more,
 * not even a checkpoint.
 */
#pragma once

#include <sqlite3.h>

#include "broker/store/store_thread.h"

#define STORE_SQLITE_FILE    "berth.db"
#define STORE_SQLITE_LOCK    "lock"
#define STORE_SQLITE_RESERVE "reserve"

/* How far arrivals must stay from the bound of the file, and the room kept on the disk for what
 * must go on when it is full: ends, cancels, limits, sessions. */
#define STORE_SQLITE_RESERVE_BYTES (16u << 20)

enum sqlite_statement {
    SQL_BEGIN,
    SQL_COMMIT,
    SQL_ROLLBACK,
    SQL_META_CHECK,
    SQL_META_CLEAN,
    SQL_META_NEXT_JOB,
    SQL_JOB_INSERT,
    SQL_OPTION_INSERT,
    SQL_OPTION_DELETE,
    SQL_JOB_START,
    SQL_JOB_RETRY,
    SQL_JOB_CANCEL,
    SQL_JOB_DELETE,
    SQL_DONE_INSERT,
    SQL_DONE_INSERT_KEPT,
    SQL_DONE_INSERT_ENDED,
    SQL_DISPATCHER_PUT,
    SQL_DISPATCHER_TOKEN,
    SQL_SESSION_INSERT,
    SQL_SESSION_CLOSE,
    SQL_SESSION_DELETE,
    SQL_COUNT_PUT,
    SQL_COUNT_DELETE,
    SQL_JOB_REVIVE,
    SQL_OPTION_REVIVE,
    SQL_DONE_HEAD,
    SQL_DISPATCHER_DELETE,
    SQL_GONE_INSERT,
    SQL_GONE_DELETE,
    SQL_META_NEXT_DISPATCHER,
    SQL_JOB_GET,
    SQL_DONE_GET,
    SQL_JOB_GET_BARE,
    SQL_DONE_GET_BARE,
    SQL_JOB_UP,
    SQL_JOB_DOWN,
    SQL_DONE_UP,
    SQL_DONE_DOWN,
    SQL_DONE_AGES,
    SQL_DONE_DELETE,
    SQL_SCHEDULE_PUT,
    SQL_SCHEDULE_BEGIN,
    SQL_SCHEDULE_DONE,
    SQL_SCHEDULE_DELETE,
    SQL_SCHEDULE_DONE_DELETE,
    SQL_KEY_KEEP,
    SQL_KEY_AGES,
    SQL_KEY_DELETE,
    SQL_STATEMENT_COUNT,
};

/* Ended jobs of one dispatcher: what the table has, and what the open transaction adds. */
struct sqlite_count {
    struct berth_ended_count stored;
    int64_t completed, dead, cancelled, completed_total;
    bool is_touched;
    bool is_gone;         /* removed: its ended jobs are not read any more */
    bool is_ending;       /* the open transaction removes it */
    int64_t retention_us; /* of its ended jobs; as stored */
    uint64_t retention_count;
    bool has_wanted; /* the open transaction sets them: */
    int64_t wanted_us;
    uint64_t wanted_count;
    uint64_t trim_from; /* no ended job of this dispatcher has a smaller id, as far as is known */
};

/* Housekeeping: where the walks stand, and when each is due (monotonic, 0: now). */
struct sqlite_chores {
    bool is_walking_done, is_walking_keys, is_walking_gone;
    uint64_t done_cursor, key_cursor, gone_cursor;
    bool has_gone_left; /* this walk met one that must stay for its request key */
    int64_t age_due_ms, count_due_ms, key_due_ms, checkpoint_due_ms, reserve_due_ms, gone_due_ms;
};

struct store_sqlite {
    struct store_blocking blocking;
    sqlite3 *db;
    sqlite3_stmt *statements[SQL_STATEMENT_COUNT];
    char *path; /* of the database */
    int dir_fd, lock_fd;

    uint64_t epoch, lineage;
    int64_t open_wall_us; /* what `load` takes for now */
    uint64_t next_job_id;
    struct berth_error death;

    uint32_t page_bytes;
    uint64_t wal_pages;     /* to be copied into the database */
    uint64_t file_bytes;    /* at the last checkpoint: nothing else changes it */
    uint64_t bytes_max;     /* of the database, 0: none */
    bool is_reserve_opened; /* the connection's page limit is the one beyond the reserve */
    bool is_short; /* the reserve on the disk is given up or could not be made: no arrivals */

    struct sqlite_count *counts; /* sorted by dispatcher */
    size_t count_count, count_max;
    size_t end_count; /* in the last batch */
    bool has_gone;    /* dispatchers were removed whose jobs are in the file */

    struct sqlite_chores chores;
};

/* store_sqlite_dir.c: the directory, its lock, its files. */

/* NULL for a file system whose locks and syncs can be relied on, else its name. `magic`: statfs(2).
 */
const char *sqlite_dir_refused_fs(long magic);
/* Makes the directory (with its parents, 0700), wins its lock and sees to it that the database file
 * is there with mode 0600. Fills dir_fd, lock_fd and path. */
int sqlite_dir_open(struct store_sqlite *self, const char *dir, struct berth_error *err);
/* The reserve on the disk: a file that is given up when nothing else fits. make: 0 or -errno. */
int sqlite_reserve_make(struct store_sqlite *self);
void sqlite_reserve_give_up(struct store_sqlite *self);
bool sqlite_disk_is_short(const struct store_sqlite *self);

/* store_sqlite_schema.c */

/* Brings the database to this program's version. BERTH_EVERSION, BERTH_ESTORE, -EBUSY ... */
int sqlite_schema_open(struct store_sqlite *self, struct berth_error *err);

/* store_sqlite_statements.c */
int sqlite_statements_prepare(struct store_sqlite *self, struct berth_error *err);

/* store_sqlite.c */

/* Without the thread: for tests that count what is done to the files. */
extern const struct store_blocking_ops store_sqlite_blocking;

/* Runs SQL without results, or with one number (the first row's first column). SQLite's codes. */
int sqlite_exec(struct store_sqlite *self, const char *sql);
int sqlite_number(struct store_sqlite *self, const char *sql, int64_t *ret_number);
/* Steps a statement that gives no row, resets it. SQLITE_OK or SQLite's code. */
int sqlite_run(struct store_sqlite *self, enum sqlite_statement which);
/* Writes SQLite's code and message to `err` as one of ours and returns that. `doing` is a phrase
 * such as "read". */
int sqlite_fail(struct store_sqlite *self, int rc, const char *doing, struct berth_error *err);
/* What the file holds is in doubt: no further write. Returns `code`. */
int sqlite_die(struct store_sqlite *self, int rc, const char *doing, struct berth_error *err);
void sqlite_rollback(struct store_sqlite *self);

/* store_sqlite_row.c */

/* What a load needs of a live job, and what is shown of any: in the order that sqlite_row_live and
 * sqlite_row_job read. At the end stand the lengths of the long values that were not asked for,
 * then those that were. */
#define SQLITE_HEAD_COLUMNS                                                                        \
    "id, dispatcher, state, priority, submitted_us, run_at_us, max_attempts, timeout_ms, attempt," \
    " failures, deaths, is_cancelled, is_suspect, handler, key_kind, key_bytes, key_until_us,"     \
    " body_hash, last_attempt, parent, parent_ordinal, parent_attempt, deadline_us,"               \
    " queue_timeout_ms, backoff_ms, backoff_ms_max, group_key, unique_key, after_ids"
#define SQLITE_FROM(table)   " FROM " table " LEFT JOIN job_option ON of_job = id"
#define SQLITE_START_COLUMNS ", start_attempt, start_session, start_us"
#define SQLITE_LIVE_BODY     SQLITE_HEAD_COLUMNS SQLITE_START_COLUMNS ", 0, body"
#define SQLITE_LIVE_BARE     SQLITE_HEAD_COLUMNS SQLITE_START_COLUMNS ", length(body), NULL"
#define SQLITE_TAIL_COLUMNS                                                                        \
    ", finished_us, last_started_us, last_worker, last_error_kind, last_error_message"
#define SQLITE_JOB_FULL SQLITE_HEAD_COLUMNS SQLITE_TAIL_COLUMNS ", 0, body, 0, last_result"
#define SQLITE_JOB_BARE                                                                            \
    SQLITE_HEAD_COLUMNS SQLITE_TAIL_COLUMNS ", length(body), NULL, length(last_result), NULL"

/* Kind 3: of a child. Its key is asked for by an attempt of its parent: one that lives, or may be
 * retried. State 7: completed. */
#define SQLITE_PARENT_OF(id) "(SELECT o.parent FROM job_option o WHERE o.of_job = " id ")"
#define SQLITE_PARENT_ASKS(parent)                                                                 \
    "(EXISTS (SELECT 1 FROM job p WHERE p.id = " parent ") OR EXISTS (SELECT 1 FROM done p"        \
    " WHERE p.id = " parent " AND p.state <> 7"                                                    \
    " AND p.dispatcher NOT IN (SELECT id FROM dispatcher_gone)))"
/* Which keys of `done` are loaded, and outlive their rows. A child that failed is made anew. */
#define SQLITE_DONE_KEY_OUTLIVES                                                                   \
    "done.key_kind <> 0 AND (done.key_kind <> 3 OR (done.state = 7 AND " SQLITE_PARENT_ASKS(       \
        SQLITE_PARENT_OF("done.id")) "))"
/* And which of `idempotency` are still of use. Parent 0: from before version 9. */
#define SQLITE_KEY_IS_WANTED                                                                       \
    "(idempotency.key_kind <> 3 OR idempotency.parent = 0 OR " SQLITE_PARENT_ASKS(                 \
        "idempotency.parent") ")"

/* The row a statement stands on, borrowed until its next step. 0 or BERTH_ESTORE. */
int sqlite_row_live(sqlite3_stmt *row, struct berth_job_record *ret_job, struct berth_error *err);
int sqlite_row_job(sqlite3_stmt *row, struct berth_job_record *ret_job, struct berth_error *err);
/* In the order that sqlite_row_dispatcher reads. */
#define SQLITE_DISPATCHER_COLUMNS                                                                  \
    "id, name, limit_kind, limit_value, is_paused, max_attempts, backoff_ms, backoff_ms_max,"      \
    " timeout_ms, grace_ms, parent, weight, group_limit, rate_count, rate_ms, burst, max_queued,"  \
    " hold, on_lost, no_jitter, queue_timeout_ms, deadline_ms, retention_ms, retention_count,"     \
    " changed_us, changed_by, token_us"
int sqlite_row_dispatcher(sqlite3_stmt *row, struct berth_dispatcher_record *ret_dispatcher,
                          struct berth_error *err);
int sqlite_row_session(sqlite3_stmt *row, struct berth_session_record *ret_session,
                       struct berth_error *err);
int sqlite_row_key(sqlite3_stmt *row, struct berth_job_record *ret_job, struct berth_error *err);

/* store_sqlite_schedule.c */
int sqlite_write_schedule(struct store_sqlite *self, const struct berth_schedule_record *schedule);
int sqlite_write_schedule_done(struct store_sqlite *self,
                               const struct berth_schedule_done_record *done);
int sqlite_write_schedule_end(struct store_sqlite *self, uint64_t id);
/* A row of SQLITE_SCHEDULES. */
#define SQLITE_SCHEDULES                                                                           \
    "SELECT id, name, overlap, catch_up, is_paused, dispatcher, priority, delay_ms, max_attempts," \
    " timeout_ms, queue_timeout_ms, deadline_ms, backoff_ms, backoff_ms_max, on_conflict,"         \
    " changed_us, changed_by, cron, zone, handler, group_key, unique_key, tzif, body, done_us,"    \
    " last_job, last_us, last_fate, last_text"                                                     \
    " FROM schedule LEFT JOIN schedule_done ON of_schedule = id ORDER BY id"
int sqlite_row_schedule(sqlite3_stmt *row, struct berth_schedule_record *ret_schedule,
                        struct berth_schedule_done_record *ret_done, struct berth_error *err);

/* Binding: empty slices become NULL; nothing is copied. */
void sqlite_bind_u64(sqlite3_stmt *statement, int place, uint64_t value);
void sqlite_bind_blob(sqlite3_stmt *statement, int place, struct berth_slice bytes);
void sqlite_bind_text(sqlite3_stmt *statement, int place, struct berth_slice text);

/* store_sqlite_write.c */
enum berth_store_result sqlite_write(struct store_blocking *backend, struct berth_batch *batch,
                                     struct berth_error *err);

/* store_sqlite_count.c */

/* 0 or an error: what the file has. */
int sqlite_counts_read(struct store_sqlite *self, struct berth_error *err);
/* NULL: nothing is known of it. */
const struct sqlite_count *sqlite_count_find(const struct store_sqlite *self, uint32_t dispatcher);
/* The same, made if need be; NULL: no memory. */
struct sqlite_count *sqlite_count_get(struct store_sqlite *self, uint32_t dispatcher);
/* In the open transaction an ended job comes (1) or goes (-1). */
void sqlite_count_job(struct sqlite_count *count, enum berth_state state, int change);
/* Its dispatcher was removed: no read finds it. */
bool sqlite_is_hidden(const struct store_sqlite *self, uint32_t dispatcher);
/* Writes the counts that the open transaction touched; then, by its outcome, keeps or forgets what
 * it added. */
int sqlite_counts_write(struct store_sqlite *self);
void sqlite_counts_settle(struct store_sqlite *self, bool is_committed);

/* store_sqlite_load.c, store_sqlite_read.c, store_sqlite_tend.c */
int sqlite_load(struct store_blocking *backend, const struct berth_store_visitor *visitor,
                struct berth_error *err);
int sqlite_read(struct store_blocking *backend, const struct berth_read *read,
                struct store_answer *answer, struct berth_error *err);
int64_t sqlite_tend(struct store_blocking *backend, int64_t idle_ms);
/* Copies the log back, as far as there is room. */
void sqlite_checkpoint(struct store_sqlite *self);
bool sqlite_is_overdue(const struct store_blocking *backend);

static inline struct store_sqlite *sqlite_of(struct store_blocking *backend)
{
    return (struct store_sqlite *)(void *)backend;
}
