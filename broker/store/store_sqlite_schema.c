/* SPDX-License-Identifier: MIT */
/* The tables, by numbered migrations.
 *
 * 1. A file is ours by its application_id; its version is its user_version: the number of
 * migrations it went through. A newer one, and one that is not ours, is left exactly as it was
 * found.
 * 2. A migration is one transaction. Its text is never changed after a release: the next one is
 * appended.
 */
#include "broker/store/store_sqlite.h"

#include <errno.h>
#include <inttypes.h>
#include <sys/random.h>

#include "base/assert.h"

#define APPLICATION_ID 0x42727468 /* "Brth" */
#define PAGE_BYTES     "8192"     /* measured: docs/STORE.md */

#define STRINGIFY_(x) #x
#define STRINGIFY(x)  STRINGIFY_(x)

/* Of `job` and of `done`. The short columns stand before the long ones, so that a list does not
 * touch overflow pages. */
#define JOB_TABLE_COLUMNS                                                                          \
    "id INTEGER PRIMARY KEY,"                                                                      \
    "dispatcher INTEGER NOT NULL,"                                                                 \
    "state INTEGER NOT NULL,"                                                                      \
    "priority INTEGER NOT NULL,"                                                                   \
    "submitted_us INTEGER NOT NULL,"                                                               \
    "run_at_us INTEGER NOT NULL,"                                                                  \
    "max_attempts INTEGER NOT NULL,"                                                               \
    "timeout_ms INTEGER NOT NULL,"                                                                 \
    "attempt INTEGER NOT NULL DEFAULT 0,"                                                          \
    "failures INTEGER NOT NULL DEFAULT 0,"                                                         \
    "deaths INTEGER NOT NULL DEFAULT 0,"                                                           \
    "is_cancelled INTEGER NOT NULL DEFAULT 0,"                                                     \
    "finished_us INTEGER NOT NULL DEFAULT 0,"                                                      \
    "key_kind INTEGER NOT NULL,"                                                                   \
    "key_until_us INTEGER NOT NULL,"                                                               \
    "last_attempt INTEGER NOT NULL DEFAULT 0,"                                                     \
    "last_started_us INTEGER NOT NULL DEFAULT 0,"                                                  \
    "handler TEXT NOT NULL,"                                                                       \
    "key_bytes BLOB,"                                                                              \
    "body_hash BLOB,"                                                                              \
    "last_worker TEXT,"                                                                            \
    "last_error_kind TEXT,"                                                                        \
    "last_error_message TEXT,"                                                                     \
    "last_result BLOB,"                                                                            \
    "body BLOB"

#define MIGRATION_1                                                                                \
    "CREATE TABLE meta ("                                                                          \
    "one INTEGER PRIMARY KEY CHECK (one = 1),"                                                     \
    "cluster BLOB NOT NULL CHECK (length(cluster) = 16),"                                          \
    "epoch INTEGER NOT NULL,"                                                                      \
    "lineage INTEGER NOT NULL,"                                                                    \
    "next_job INTEGER NOT NULL,"                                                                   \
    "is_clean INTEGER NOT NULL) STRICT;"                                                           \
                                                                                                   \
    "CREATE TABLE dispatcher ("                                                                    \
    "id INTEGER PRIMARY KEY,"                                                                      \
    "name TEXT NOT NULL UNIQUE,"                                                                   \
    "limit_kind INTEGER NOT NULL,"                                                                 \
    "limit_value INTEGER NOT NULL,"                                                                \
    "is_paused INTEGER NOT NULL,"                                                                  \
    "max_attempts INTEGER NOT NULL,"                                                               \
    "backoff_ms INTEGER NOT NULL,"                                                                 \
    "backoff_ms_max INTEGER NOT NULL,"                                                             \
    "timeout_ms INTEGER NOT NULL,"                                                                 \
    "grace_ms INTEGER NOT NULL) STRICT;"                                                           \
                                                                                                   \
    "CREATE TABLE session ("                                                                       \
    "id INTEGER PRIMARY KEY,"                                                                      \
    "node BLOB NOT NULL,"                                                                          \
    "boot BLOB NOT NULL,"                                                                          \
    "nonce BLOB NOT NULL,"                                                                         \
    "child INTEGER NOT NULL,"                                                                      \
    "lease_ms INTEGER NOT NULL,"                                                                   \
    "name TEXT NOT NULL) STRICT;"                                                                  \
                                                                                                   \
    "CREATE TABLE job (" JOB_TABLE_COLUMNS ") STRICT;"                                             \
    "CREATE TABLE done (" JOB_TABLE_COLUMNS ") STRICT;"                                            \
    "CREATE INDEX done_key ON done (key_until_us) WHERE key_kind <> 0;"                            \
                                                                                                   \
    "CREATE TABLE idempotency ("                                                                   \
    "id INTEGER PRIMARY KEY,"                                                                      \
    "dispatcher INTEGER NOT NULL,"                                                                 \
    "key_kind INTEGER NOT NULL,"                                                                   \
    "key_bytes BLOB NOT NULL,"                                                                     \
    "key_until_us INTEGER NOT NULL,"                                                               \
    "body_hash BLOB NOT NULL) STRICT;"                                                             \
                                                                                                   \
    "CREATE TABLE dispatcher_count ("                                                              \
    "dispatcher INTEGER PRIMARY KEY,"                                                              \
    "completed INTEGER NOT NULL,"                                                                  \
    "dead INTEGER NOT NULL,"                                                                       \
    "cancelled INTEGER NOT NULL,"                                                                  \
    "completed_total INTEGER NOT NULL) STRICT;"

#define ADD(table, column) "ALTER TABLE " table " ADD COLUMN " column ";"

/* What few jobs bring, live or ended, has a table of its own: the others pay nothing for it, and at
 * its end a job's row there stays where it is. */
#define JOB_OPTION_TABLE                                                                           \
    "CREATE TABLE job_option ("                                                                    \
    "of_job INTEGER PRIMARY KEY,"                                                                  \
    "parent INTEGER NOT NULL,"                                                                     \
    "parent_ordinal INTEGER NOT NULL,"                                                             \
    "deadline_us INTEGER NOT NULL,"                                                                \
    "queue_timeout_ms INTEGER NOT NULL,"                                                           \
    "backoff_ms INTEGER NOT NULL,"                                                                 \
    "backoff_ms_max INTEGER NOT NULL,"                                                             \
    "group_key TEXT,"                                                                              \
    "unique_key TEXT,"                                                                             \
    "after_ids BLOB) STRICT;"

#define MIGRATION_2                                                                                \
    ADD("dispatcher", "parent INTEGER NOT NULL DEFAULT 0")                                         \
    ADD("dispatcher", "weight INTEGER NOT NULL DEFAULT 1")                                         \
    ADD("dispatcher", "group_limit INTEGER NOT NULL DEFAULT 0")                                    \
    ADD("dispatcher", "rate_count INTEGER NOT NULL DEFAULT 0")                                     \
    ADD("dispatcher", "rate_ms INTEGER NOT NULL DEFAULT 0")                                        \
    ADD("dispatcher", "burst INTEGER NOT NULL DEFAULT 0")                                          \
    ADD("dispatcher", "max_queued INTEGER NOT NULL DEFAULT 0")                                     \
    ADD("dispatcher", "hold INTEGER NOT NULL DEFAULT 0")                                           \
    ADD("dispatcher", "on_lost INTEGER NOT NULL DEFAULT 0")                                        \
    ADD("dispatcher", "no_jitter INTEGER NOT NULL DEFAULT 0")                                      \
    ADD("dispatcher", "queue_timeout_ms INTEGER NOT NULL DEFAULT 0")                               \
    ADD("dispatcher", "deadline_ms INTEGER NOT NULL DEFAULT 0")                                    \
    ADD("dispatcher", "retention_ms INTEGER NOT NULL DEFAULT 604800000")                           \
    ADD("dispatcher", "retention_count INTEGER NOT NULL DEFAULT 100000")                           \
    ADD("dispatcher", "changed_us INTEGER NOT NULL DEFAULT 0")                                     \
    ADD("dispatcher", "changed_by TEXT NOT NULL DEFAULT ''")                                       \
    JOB_OPTION_TABLE

#define MIGRATION_3                                                                                \
    ADD("job", "start_attempt INTEGER NOT NULL DEFAULT 0")                                         \
    ADD("job", "start_session INTEGER NOT NULL DEFAULT 0")                                         \
    ADD("job", "start_us INTEGER NOT NULL DEFAULT 0")                                              \
    ADD("session", "is_closed INTEGER NOT NULL DEFAULT 0")

/* An ended job is no suspect any more, but rows of both tables are read by the same statements. */
#define MIGRATION_4                                                                                \
    ADD("job", "is_suspect INTEGER NOT NULL DEFAULT 0")                                            \
    ADD("done", "is_suspect INTEGER NOT NULL DEFAULT 0")

/* Ids of dispatchers are never used again, also when the largest one was removed; what a removed
 * one had is deleted bit by bit. */
#define MIGRATION_5                                                                                \
    ADD("meta", "next_dispatcher INTEGER NOT NULL DEFAULT 1")                                      \
    "CREATE TABLE dispatcher_gone (id INTEGER PRIMARY KEY) STRICT;"

#define MIGRATION_6 ADD("job_option", "parent_attempt INTEGER NOT NULL DEFAULT 0")

/* A schedule's row is written when people change it; what changes at each instant has a table of
 * its own, so that a body is not written again each minute. AUTOINCREMENT: an id is never used
 * again, for it makes the keys of instants. */
#define MIGRATION_7                                                                                \
    "CREATE TABLE schedule ("                                                                      \
    "id INTEGER PRIMARY KEY AUTOINCREMENT,"                                                        \
    "name TEXT NOT NULL UNIQUE,"                                                                   \
    "overlap INTEGER NOT NULL,"                                                                    \
    "catch_up INTEGER NOT NULL,"                                                                   \
    "is_paused INTEGER NOT NULL,"                                                                  \
    "dispatcher INTEGER NOT NULL,"                                                                 \
    "priority INTEGER NOT NULL,"                                                                   \
    "delay_ms INTEGER NOT NULL,"                                                                   \
    "max_attempts INTEGER NOT NULL,"                                                               \
    "timeout_ms INTEGER NOT NULL,"                                                                 \
    "queue_timeout_ms INTEGER NOT NULL,"                                                           \
    "deadline_ms INTEGER NOT NULL,"                                                                \
    "backoff_ms INTEGER NOT NULL,"                                                                 \
    "backoff_ms_max INTEGER NOT NULL,"                                                             \
    "on_conflict INTEGER NOT NULL,"                                                                \
    "changed_us INTEGER NOT NULL,"                                                                 \
    "changed_by TEXT NOT NULL,"                                                                    \
    "cron TEXT NOT NULL,"                                                                          \
    "zone TEXT NOT NULL,"                                                                          \
    "handler TEXT NOT NULL,"                                                                       \
    "group_key TEXT,"                                                                              \
    "unique_key TEXT,"                                                                             \
    "tzif BLOB,"                                                                                   \
    "body BLOB) STRICT;"                                                                           \
                                                                                                   \
    "CREATE TABLE schedule_done ("                                                                 \
    "of_schedule INTEGER PRIMARY KEY,"                                                             \
    "done_us INTEGER NOT NULL,"                                                                    \
    "last_job INTEGER NOT NULL DEFAULT 0,"                                                         \
    "last_us INTEGER NOT NULL DEFAULT 0,"                                                          \
    "last_fate INTEGER NOT NULL DEFAULT 0,"                                                        \
    "last_text TEXT) STRICT;"

#define MIGRATION_8 ADD("dispatcher", "token_us INTEGER NOT NULL DEFAULT 0")

#define MIGRATION_9 ADD("idempotency", "parent INTEGER NOT NULL DEFAULT 0")

/* Number n brings a database from version n - 1 to n. */
static const char *const migrations[] = {
    /* 1: the first release. Ids are dense and ascending, so every table is its own index. `job` and
     * `done` have the same columns, so that a job is moved by one INSERT ... SELECT at its end, and
     * a start scans the live ones alone. The one index finds the keys of ended jobs at a start. */
    MIGRATION_1,
    /* 2: settings of dispatchers for the tree, rates, groups and what ends; options of jobs.
     * Rows are left as they are; what they lack has its default. */
    MIGRATION_2,
    /* 3: starts that are stored before they leave, and sessions that are lost and not proven gone.
     */
    MIGRATION_3,
    /* 4: jobs that may have killed their worker's process. */
    MIGRATION_4,
    /* 5: dispatchers can be removed. */
    MIGRATION_5,
    /* 6: which attempt submitted a child. */
    MIGRATION_6,
    /* 7: recurring jobs. */
    MIGRATION_7,
    /* 8: rates of less than one start a minute go on after a restart. */
    MIGRATION_8,
    /* 9: keys of children go with their parent. */
    MIGRATION_9,
};

#define VERSION ((int64_t)(sizeof migrations / sizeof *migrations))

/* Before anything is written: whose file is it? 0: ours, 1: an empty one. */
static int check_owner(struct store_sqlite *self, int64_t *ret_version, struct berth_error *err)
{
    int64_t application = 0, version = 0, tables = 0;
    int rc = sqlite_number(self, "PRAGMA application_id", &application);
    if (rc == SQLITE_OK)
        rc = sqlite_number(self, "PRAGMA user_version", &version);
    if (rc == SQLITE_OK)
        rc = sqlite_number(self, "SELECT count(*) FROM sqlite_schema", &tables);
    if (rc != SQLITE_OK)
        return sqlite_fail(self, rc, "open", err);
    if (application == 0 && version == 0 && tables == 0)
        return 1;
    if (application != APPLICATION_ID)
        return berth_fail(err, BERTH_ESTORE, "'%s' is the database of another program", self->path);
    if (version > VERSION)
        return berth_fail(err, BERTH_EVERSION,
                          "'%s' has version %" PRId64
                          " of the database, this program knows versions up to %" PRId64
                          ": run the newer program",
                          self->path, version, VERSION);
    if (version < 1)
        return berth_fail(err, BERTH_ESTORE,
                          "'%s' has version %" PRId64 " of the database, which never was",
                          self->path, version);
    *ret_version = version;
    return 0;
}

/* What must be said before a database has its first page. */
static int configure_new(struct store_sqlite *self)
{
    int rc = sqlite_exec(self, "PRAGMA page_size = " PAGE_BYTES);
    return rc == SQLITE_OK ? sqlite_exec(self, "PRAGMA auto_vacuum = INCREMENTAL") : rc;
}

/* The lock stands before the WAL: with EXCLUSIVE first there is no shared memory file, and a second
 * connection, which could trigger the WAL-reset bug of SQLite before 3.51.3, cannot exist. */
static int configure(struct store_sqlite *self)
{
    static const char *const settings[] = {
        "PRAGMA journal_mode = WAL",     "PRAGMA synchronous = FULL",
        "PRAGMA wal_autocheckpoint = 0", "PRAGMA journal_size_limit = 16777216",
        "PRAGMA cache_size = -65536",    "PRAGMA mmap_size = 0",
        "PRAGMA temp_store = MEMORY",    "PRAGMA trusted_schema = OFF",
    };
    int rc = SQLITE_OK;
    for (size_t i = 0; rc == SQLITE_OK && i < sizeof settings / sizeof *settings; i++)
        rc = sqlite_exec(self, settings[i]);
    return rc;
}

static int migrate(struct store_sqlite *self, int64_t from)
{
    int rc = sqlite_exec(self, "BEGIN IMMEDIATE");
    for (int64_t i = from; rc == SQLITE_OK && i < VERSION; i++)
        rc = sqlite_exec(self, migrations[i]);
    if (rc == SQLITE_OK)
        rc = sqlite_exec(self, "PRAGMA application_id = " STRINGIFY(APPLICATION_ID));
    char pragma[64];
    (void)sqlite3_snprintf(sizeof pragma, pragma, "PRAGMA user_version = %lld", (long long)VERSION);
    if (rc == SQLITE_OK)
        rc = sqlite_exec(self, pragma);
    if (rc == SQLITE_OK && from == 0) {
        char sql[160];
        uint8_t id[16];
        if (getrandom(id, sizeof id, 0) != sizeof id)
            rc = SQLITE_ERROR;
        char hex[2 * sizeof id + 1];
        for (size_t i = 0; i < sizeof id; i++)
            (void)sqlite3_snprintf(3, hex + 2 * i, "%02x", id[i]);
        (void)sqlite3_snprintf(sizeof sql, sql,
                               "INSERT INTO meta (one, cluster, epoch, lineage, next_job, is_clean)"
                               " VALUES (1, x'%s', 0, 0, 1, 1)",
                               hex);
        if (rc == SQLITE_OK)
            rc = sqlite_exec(self, sql);
    }
    if (rc == SQLITE_OK)
        rc = sqlite_exec(self, "COMMIT");
    if (rc != SQLITE_OK && sqlite3_get_autocommit(self->db) == 0)
        (void)sqlite_exec(self, "ROLLBACK");
    return rc;
}

int sqlite_schema_open(struct store_sqlite *self, struct berth_error *err)
{
    int64_t version = 0;
    int rc = sqlite_exec(self, "PRAGMA locking_mode = EXCLUSIVE");
    if (rc != SQLITE_OK)
        return sqlite_fail(self, rc, "open", err);
    int is_new = check_owner(self, &version, err);
    if (is_new < 0)
        return is_new;
    if (is_new)
        rc = configure_new(self);
    if (rc == SQLITE_OK)
        rc = configure(self);
    if (rc == SQLITE_OK && version < VERSION)
        rc = migrate(self, version);
    int64_t page_bytes = 0;
    if (rc == SQLITE_OK)
        rc = sqlite_number(self, "PRAGMA page_size", &page_bytes);
    if (rc != SQLITE_OK)
        return sqlite_fail(self, rc, "set up", err);
    self->page_bytes = (uint32_t)page_bytes;
    return 0;
}
