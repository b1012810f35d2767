/* SPDX-License-Identifier: MIT */
/* The SQLite backend: opening, closing, and what its other files share. */
#include "broker/store/store_sqlite.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/assert.h"
#include "base/cleanup.h"
#include "base/clock.h"

/* 24 bits of an attempt's id are the epoch's (docs: protocol, section 2). */
#define EPOCH_MAX ((UINT64_C(1) << 24) - 1)

/* The check after an unclean stop may take so long; what it did not get to is checked when it is
 * read. */
#define CHECK_MS_MAX        1500
#define CHECK_STEPS_BETWEEN 10000 /* virtual machine steps between two looks at the clock */

int sqlite_run(struct store_sqlite *self, enum sqlite_statement which)
{
    sqlite3_stmt *statement = self->statements[which];
    int rc = sqlite3_step(statement);
    BERTH_ASSERT(rc != SQLITE_ROW);
    (void)sqlite3_reset(statement);
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

int sqlite_exec(struct store_sqlite *self, const char *sql)
{
    return sqlite3_exec(self->db, sql, NULL, NULL, NULL);
}

int sqlite_number(struct store_sqlite *self, const char *sql, int64_t *ret_number)
{
    sqlite3_stmt *statement = NULL;
    int rc = sqlite3_prepare_v2(self->db, sql, -1, &statement, NULL);
    if (rc != SQLITE_OK)
        return rc;
    rc = sqlite3_step(statement);
    if (rc == SQLITE_ROW)
        *ret_number = sqlite3_column_int64(statement, 0);
    int final_rc = sqlite3_finalize(statement);
    return rc == SQLITE_ROW ? SQLITE_OK : final_rc;
}

static int fail_access(struct store_sqlite *self, const char *doing, struct berth_error *err)
{
    int system_error = sqlite3_system_errno(self->db);
    return berth_fail(err, system_error > 0 ? -system_error : -EACCES, "%s the database '%s'",
                      doing, self->path);
}

int sqlite_fail(struct store_sqlite *self, int rc, const char *doing, struct berth_error *err)
{
    switch (rc & 0xff) {
    case SQLITE_NOMEM: return berth_fail(err, -ENOMEM, "%s the database '%s'", doing, self->path);
    case SQLITE_FULL:
        return berth_fail(err, BERTH_EFULL, "no room to %s the database '%s'", doing, self->path);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return berth_fail(err, -EBUSY, "another program has the database '%s' open", self->path);
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
    case SQLITE_PERM: return fail_access(self, doing, err);
    case SQLITE_NOTADB: return berth_fail(err, BERTH_ESTORE, "'%s' is no database", self->path);
    case SQLITE_CORRUPT:
        return berth_fail(err, BERTH_ESTORE,
                          "the database '%s' is damaged and was left as it is: restore a backup, "
                          "or save what can "
                          "be read with: sqlite3 '%s' .recover",
                          self->path, self->path);
    default: break;
    }
    return berth_fail(err, BERTH_ESTORE, "%s the database '%s': %s (SQLite error %d)", doing,
                      self->path, sqlite3_errmsg(self->db), rc);
}

int sqlite_die(struct store_sqlite *self, int rc, const char *doing, struct berth_error *err)
{
    if (self->death.code == 0) {
        (void)sqlite_fail(self, rc, doing, &self->death);
        (void)sqlite3_db_config(self->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    }
    if (err)
        *err = self->death;
    return self->death.code;
}

void sqlite_rollback(struct store_sqlite *self)
{
    if (sqlite3_get_autocommit(self->db) == 0)
        (void)sqlite_run(self, SQL_ROLLBACK);
}

static int on_commit(void *arg, sqlite3 *db, const char *schema, int pages)
{
    (void)db;
    (void)schema;
    struct store_sqlite *self = arg;
    self->wal_pages = (uint64_t)pages;
    return SQLITE_OK;
}

static int connect(struct store_sqlite *self, struct berth_error *err)
{
    /* Counting its memory costs SQLite two mutexes for each allocation. Refused once it is in use,
     * which is fine. */
    (void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
    int rc = sqlite3_open_v2(self->path, &self->db, flags, NULL);
    if (!self->db)
        return berth_fail(err, -ENOMEM, "open the database '%s'", self->path);
    if (rc != SQLITE_OK)
        return sqlite_fail(self, rc, "open", err);
    /* A file that is refused stays as it was found: no checkpoint at its closing. Neither is it
     * trusted to bring code of its own. */
    (void)sqlite3_db_config(self->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    (void)sqlite3_db_config(self->db, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
    (void)sqlite3_db_config(self->db, SQLITE_DBCONFIG_ENABLE_VIEW, 0, NULL);
    /* A torn write leaves the bytes around it alone (as SQLite assumes by default). Then the commit
     * frame is the last that a COMMIT writes, and one that found no room is certain to have left
     * nothing. */
    int is_powersafe = 1;
    (void)sqlite3_file_control(self->db, NULL, SQLITE_FCNTL_POWERSAFE_OVERWRITE, &is_powersafe);
    return 0;
}

static int is_check_over(void *arg)
{
    const int64_t *end_ms = arg;
    return berth_clock_monotonic_ms() >= *end_ms;
}

/* After an unclean stop: is the file sound? Bounded in time, because workers wait for the broker.
 */
static int check(struct store_sqlite *self, struct berth_error *err)
{
    int64_t is_clean = 0;
    int rc = sqlite_number(self, "SELECT is_clean FROM meta", &is_clean);
    if (rc != SQLITE_OK)
        return sqlite_fail(self, rc, "read", err);
    if (is_clean)
        return 0;
    int64_t end_ms = berth_clock_monotonic_ms() + CHECK_MS_MAX;
    sqlite3_stmt *statement = NULL;
    rc = sqlite3_prepare_v2(self->db, "PRAGMA quick_check(1)", -1, &statement, NULL);
    if (rc == SQLITE_OK) {
        sqlite3_progress_handler(self->db, CHECK_STEPS_BETWEEN, is_check_over, &end_ms);
        rc = sqlite3_step(statement);
        sqlite3_progress_handler(self->db, 0, NULL, NULL);
    }
    const unsigned char *text = rc == SQLITE_ROW ? sqlite3_column_text(statement, 0) : NULL;
    bool is_sound = text && strcmp((const char *)text, "ok") == 0;
    (void)sqlite3_finalize(statement);
    if (rc == SQLITE_ROW)
        return is_sound ? 0 : sqlite_fail(self, SQLITE_CORRUPT, "check", err);
    return (rc & 0xff) == SQLITE_INTERRUPT ? 0 : sqlite_fail(self, rc, "check", err);
}

/* The epoch of this start, durable before anything else happens. */
static int begin_epoch(struct store_sqlite *self, struct berth_error *err)
{
    int64_t epoch = 0;
    int rc = sqlite_run(self, SQL_BEGIN);
    if (rc == SQLITE_OK)
        rc = sqlite_number(self, "SELECT epoch FROM meta", &epoch);
    if (rc == SQLITE_OK && (epoch < 0 || (uint64_t)epoch >= EPOCH_MAX)) {
        sqlite_rollback(self);
        return berth_fail(err, BERTH_ESTORE,
                          "the database '%s' has epoch %" PRId64 ", outside 0 .. %" PRIu64,
                          self->path, epoch, EPOCH_MAX - 1);
    }
    char sql[128];
    (void)sqlite3_snprintf(sizeof sql, sql,
                           "UPDATE meta SET epoch = %lld, lineage = %lld, is_clean = 0",
                           (long long)epoch + 1, (long long)self->lineage);
    if (rc == SQLITE_OK)
        rc = sqlite_exec(self, sql);
    if (rc == SQLITE_OK)
        rc = sqlite_run(self, SQL_COMMIT);
    if (rc != SQLITE_OK) {
        int code = sqlite_fail(self, rc, "begin a new epoch in", err);
        sqlite_rollback(self);
        return code;
    }
    self->epoch = (uint64_t)epoch + 1;
    return 0;
}

static int read_info(struct store_sqlite *self, struct berth_store_info *ret_info,
                     struct berth_error *err)
{
    sqlite3_stmt *row = NULL;
    int rc = sqlite3_prepare_v2(
        self->db,
        "SELECT cluster, max(next_job, 1 + coalesce((SELECT max(id) FROM job), 0),"
        " 1 + coalesce((SELECT max(id) FROM done), 0)),"
        " max(next_dispatcher, 1 + coalesce((SELECT max(id) FROM dispatcher), 0)),"
        " 1 + coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'schedule'), 0) FROM meta",
        -1, &row, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(row);
    struct berth_store_info info = { .epoch = self->epoch };
    bool is_sound = rc == SQLITE_ROW && sqlite3_column_bytes(row, 0) == sizeof info.cluster;
    if (is_sound) {
        memcpy(info.cluster, sqlite3_column_blob(row, 0), sizeof info.cluster);
        info.next_job_id = (uint64_t)sqlite3_column_int64(row, 1);
        info.next_dispatcher_id = (uint32_t)sqlite3_column_int64(row, 2);
        info.next_schedule_id = (uint32_t)sqlite3_column_int64(row, 3);
    }
    (void)sqlite3_finalize(row);
    if (rc != SQLITE_ROW)
        return sqlite_fail(self, rc == SQLITE_DONE ? SQLITE_CORRUPT : rc, "read", err);
    if (!is_sound)
        return sqlite_fail(self, SQLITE_CORRUPT, "read", err);
    self->next_job_id = info.next_job_id;
    *ret_info = info;
    return 0;
}

static void make_reserve(struct store_sqlite *self)
{
    int rc = sqlite_reserve_make(self);
    self->is_short = rc == -ENOSPC || rc == -EDQUOT;
}

static int open_database(struct store_sqlite *self, struct berth_store_info *ret_info,
                         struct berth_error *err)
{
    int rc = connect(self, err);
    if (rc == 0)
        rc = sqlite_schema_open(self, err);
    /* Behind the settings, since wal_autocheckpoint takes the hook for itself. */
    if (rc == 0)
        (void)sqlite3_wal_hook(self->db, on_commit, self);
    if (rc == 0)
        rc = check(self, err);
    if (rc == 0)
        rc = sqlite_statements_prepare(self, err);
    if (rc == 0)
        rc = begin_epoch(self, err);
    if (rc == 0)
        rc = sqlite_counts_read(self, err);
    if (rc == 0)
        rc = read_info(self, ret_info, err);
    return rc;
}

static void sqlite_free(struct store_sqlite *self)
{
    for (size_t i = 0; i < SQL_STATEMENT_COUNT; i++)
        (void)sqlite3_finalize(self->statements[i]);
    (void)sqlite3_close(self->db);
    free(self->counts);
    free(self->path);
    berth_close(self->dir_fd);
    berth_close(self->lock_fd); /* last: lets the next one in */
    free(self);
}

static int sqlite_open(const struct berth_store_opts *opts, struct store_blocking **ret_backend,
                       struct berth_store_info *ret_info, struct berth_error *err)
{
    struct store_sqlite *self = calloc(1, sizeof *self);
    if (!self)
        return berth_fail(err, -ENOMEM, "open the store");
    self->blocking.ops = &store_sqlite_blocking;
    self->dir_fd = self->lock_fd = -1;
    self->lineage = opts->lineage;
    self->open_wall_us = opts->wall_us;
    self->bytes_max = opts->bytes_max;
    self->is_reserve_opened = true; /* a new connection has no page limit */
    int rc = sqlite_dir_open(self, opts->dir, err);
    if (rc == 0)
        rc = open_database(self, ret_info, err);
    if (rc < 0) {
        sqlite_free(self);
        return rc;
    }
    make_reserve(self);
    (void)sqlite3_db_config(self->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, NULL);
    *ret_backend = &self->blocking;
    return 0;
}

static void sqlite_close(struct store_blocking *backend)
{
    struct store_sqlite *self = sqlite_of(backend);
    if (self->death.code == 0) {
        sqlite_bind_u64(self->statements[SQL_META_CLEAN], 1, self->next_job_id);
        (void)sqlite_run(self, SQL_META_CLEAN);
    }
    sqlite_free(self);
}

static void sqlite_stats(const struct store_blocking *backend, struct berth_store_stats *ret_stats)
{
    const struct store_sqlite *self = (const struct store_sqlite *)(const void *)backend;
    *ret_stats = (struct berth_store_stats){
        .wal_bytes = self->wal_pages * self->page_bytes,
        .file_bytes = self->file_bytes,
    };
}

const struct store_blocking_ops store_sqlite_blocking = {
    .open = sqlite_open,
    .load = sqlite_load,
    .write = sqlite_write,
    .read = sqlite_read,
    .tend = sqlite_tend,
    .is_overdue = sqlite_is_overdue,
    .stats = sqlite_stats,
    .close = sqlite_close,
};

extern const struct berth_store_ops store_sqlite_ops;

static int open_on_thread(const struct berth_store_opts *opts, struct berth_store **ret_store,
                          struct berth_store_info *ret_info, struct berth_error *err)
{
    return store_thread_open(&store_sqlite_ops, &store_sqlite_blocking, opts, ret_store, ret_info,
                             err);
}

const struct berth_store_ops store_sqlite_ops = {
    .name = "sqlite",
    .open = open_on_thread,
    .load = store_thread_load,
    .submit = store_thread_submit,
    .is_idle = store_thread_is_idle,
    .read = store_thread_read,
    .fd = store_thread_fd,
    .reap = store_thread_reap,
    .stats = store_thread_stats,
    .close = store_thread_close,
};
