/* SPDX-License-Identifier: MIT */
/* The tables, by numbered migrations, and the statements over them.
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
#define PAGE_BYTES     "16384"    /* measured: docs/STORE.md */

#define STRINGIFY_(x) #x
#define STRINGIFY(x)  STRINGIFY_(x)

#define JOB_TABLE_COLUMNS                                                                          \
    "id INTEGER PRIMARY KEY, dispatcher INTEGER NOT NULL, state INTEGER NOT NULL,"                 \
    "priority INTEGER NOT NULL, submitted_us INTEGER NOT NULL, run_at_us INTEGER NOT NULL,"        \
    "max_attempts INTEGER NOT NULL, timeout_ms INTEGER NOT NULL,"                                  \
    "attempt INTEGER NOT NULL DEFAULT 0, failures INTEGER NOT NULL DEFAULT 0,"                     \
    "deaths INTEGER NOT NULL DEFAULT 0, is_cancelled INTEGER NOT NULL DEFAULT 0,"                  \
    "finished_us INTEGER NOT NULL DEFAULT 0, key_kind INTEGER NOT NULL,"                           \
    "key_until_us INTEGER NOT NULL, last_attempt INTEGER NOT NULL DEFAULT 0,"                      \
    "last_started_us INTEGER NOT NULL DEFAULT 0, handler TEXT NOT NULL, key_bytes BLOB,"           \
    "body_hash BLOB, last_worker TEXT, last_error_kind TEXT, last_error_message TEXT,"             \
    "last_result BLOB, body BLOB"

struct migration {
    const char *reason;
    const char *sql;
};

static const struct migration migrations[] = {
    { "The first release. Ids are dense and ascending, so every table is its own index. `job` and "
      "`done` have the "
      "same columns, so that a job is moved by one INSERT ... SELECT at its end, and a start scans "
      "the live ones "
      "alone. The small columns stand before the long ones: a list does not touch overflow pages.",
      "CREATE TABLE meta (one INTEGER PRIMARY KEY CHECK (one = 1), cluster BLOB NOT NULL CHECK "
      "(length(cluster) = 16),"
      " epoch INTEGER NOT NULL, lineage INTEGER NOT NULL, next_job INTEGER NOT NULL, is_clean "
      "INTEGER NOT NULL) STRICT;"
      "CREATE TABLE dispatcher (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, limit_kind "
      "INTEGER NOT NULL,"
      " limit_value INTEGER NOT NULL, is_paused INTEGER NOT NULL, max_attempts INTEGER NOT NULL,"
      " backoff_ms INTEGER NOT NULL, backoff_ms_max INTEGER NOT NULL, timeout_ms INTEGER NOT NULL,"
      " grace_ms INTEGER NOT NULL) STRICT;"
      "CREATE TABLE session (id INTEGER PRIMARY KEY, node BLOB NOT NULL, boot BLOB NOT NULL, nonce "
      "BLOB NOT NULL,"
      " child INTEGER NOT NULL, lease_ms INTEGER NOT NULL, name TEXT NOT NULL) STRICT;"
      "CREATE TABLE job (" JOB_TABLE_COLUMNS ") STRICT;"
      "CREATE TABLE done (" JOB_TABLE_COLUMNS ") STRICT;"
      "CREATE TABLE ended_key (id INTEGER PRIMARY KEY, dispatcher INTEGER NOT NULL, key_kind "
      "INTEGER NOT NULL,"
      " key_bytes BLOB NOT NULL, key_until_us INTEGER NOT NULL, body_hash BLOB NOT NULL) STRICT;"
      "CREATE TABLE dispatcher_count (dispatcher INTEGER PRIMARY KEY, completed INTEGER NOT NULL,"
      " dead INTEGER NOT NULL, cancelled INTEGER NOT NULL, completed_total INTEGER NOT NULL) "
      "STRICT;" },
};

#define VERSION ((int64_t)(sizeof migrations / sizeof *migrations))

/* Where an END takes its columns from the live row, and where from the record. */
#define DONE_INSERT                                                                                \
    "INSERT INTO done (id, dispatcher, state, priority, submitted_us, run_at_us, max_attempts,"    \
    " timeout_ms, attempt, failures, deaths, is_cancelled, finished_us, key_kind, key_until_us,"   \
    " last_attempt, last_started_us, handler, key_bytes, body_hash, last_worker, last_error_kind," \
    " last_error_message, last_result, body) "                                                     \
    "SELECT id, dispatcher, ?2, priority, submitted_us, run_at_us, max_attempts, timeout_ms, ?3,"  \
    " ?4, ?5, is_cancelled, ?6, key_kind, key_until_us, ?7, ?8, handler, key_bytes, body_hash, "   \
    "?9,"                                                                                          \
    " ?10, ?11, ?12, body FROM job WHERE id = ?1 AND dispatcher = ?13"

static const char *const statement_texts[SQL_STATEMENT_COUNT] = {
    [SQL_BEGIN] = "BEGIN IMMEDIATE",
    [SQL_COMMIT] = "COMMIT",
    [SQL_ROLLBACK] = "ROLLBACK",
    [SQL_META_CHECK] = "SELECT epoch, lineage FROM meta",
    [SQL_META_CLEAN] = "UPDATE meta SET is_clean = 1, next_job = ?1",
    [SQL_META_NEXT_JOB] = "UPDATE meta SET next_job = ?1",
    [SQL_JOB_INSERT] = "INSERT INTO job (id, dispatcher, state, priority, submitted_us, run_at_us, "
                       "max_attempts, timeout_ms,"
                       " key_kind, key_until_us, handler, key_bytes, body_hash, body)"
                       " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
    [SQL_JOB_RETRY] =
        "UPDATE job SET state = ?2, run_at_us = ?3, attempt = ?4, failures = ?5, deaths = ?6, "
        "last_attempt = ?7,"
        " last_started_us = ?8, last_worker = ?9, last_error_kind = ?10, last_error_message = ?11,"
        " last_result = ?12 WHERE id = ?1",
    [SQL_JOB_CANCEL] = "UPDATE job SET is_cancelled = 1 WHERE id = ?1",
    [SQL_JOB_DELETE] = "DELETE FROM job WHERE id = ?1",
    [SQL_DONE_INSERT] = DONE_INSERT,
    [SQL_KEY_INSERT] =
        "INSERT INTO ended_key (id, dispatcher, key_kind, key_bytes, key_until_us, body_hash)"
        " SELECT id, dispatcher, key_kind, key_bytes, key_until_us, body_hash FROM job"
        " WHERE id = ?1 AND key_kind <> 0 AND key_until_us > ?2",
    [SQL_DISPATCHER_PUT] =
        "INSERT INTO dispatcher (id, name, limit_kind, limit_value, is_paused, max_attempts, "
        "backoff_ms,"
        " backoff_ms_max, timeout_ms, grace_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)"
        " ON CONFLICT (id) DO UPDATE SET name = ?2, limit_kind = ?3, limit_value = ?4, is_paused = "
        "?5,"
        " max_attempts = ?6, backoff_ms = ?7, backoff_ms_max = ?8, timeout_ms = ?9, grace_ms = ?10",
    [SQL_SESSION_INSERT] = "INSERT INTO session (id, node, boot, nonce, child, lease_ms, name)"
                           " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    [SQL_SESSION_DELETE] = "DELETE FROM session WHERE id = ?1",
    [SQL_COUNT_PUT] =
        "INSERT INTO dispatcher_count (dispatcher, completed, dead, cancelled, completed_total)"
        " VALUES (?1, ?2, ?3, ?4, ?5)"
        " ON CONFLICT (dispatcher) DO UPDATE SET completed = ?2, dead = ?3, cancelled = ?4, "
        "completed_total = ?5",
    [SQL_JOB_GET] = "SELECT " SQLITE_JOB_FULL " FROM job WHERE id = ?1",
    [SQL_DONE_GET] = "SELECT " SQLITE_JOB_FULL " FROM done WHERE id = ?1",
    [SQL_JOB_UP] = "SELECT " SQLITE_JOB_BARE " FROM job WHERE id > ?1 ORDER BY id",
    [SQL_JOB_DOWN] = "SELECT " SQLITE_JOB_BARE " FROM job WHERE id < ?1 ORDER BY id DESC",
    [SQL_DONE_UP] = "SELECT " SQLITE_JOB_BARE " FROM done WHERE id > ?1 ORDER BY id",
    [SQL_DONE_DOWN] = "SELECT " SQLITE_JOB_BARE " FROM done WHERE id < ?1 ORDER BY id DESC",
    [SQL_DONE_AGES] =
        "SELECT id, dispatcher, state, submitted_us, finished_us, key_kind, key_until_us FROM done"
        " WHERE id >= ?1 ORDER BY id LIMIT ?2",
    [SQL_DONE_DELETE] = "DELETE FROM done WHERE id = ?1",
    [SQL_KEY_AGES] = "SELECT id, key_until_us FROM ended_key WHERE id >= ?1 ORDER BY id LIMIT ?2",
    [SQL_KEY_DELETE] = "DELETE FROM ended_key WHERE id = ?1",
};

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
        rc = sqlite_exec(self, migrations[i].sql);
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
        (void)sqlite3_snprintf(sizeof sql, sql, "INSERT INTO meta VALUES (1, x'%s', 0, 0, 1, 1)",
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

int sqlite_schema_prepare(struct store_sqlite *self, struct berth_error *err)
{
    for (size_t i = 0; i < SQL_STATEMENT_COUNT; i++) {
        BERTH_ASSERT(statement_texts[i]);
        int rc = sqlite3_prepare_v3(self->db, statement_texts[i], -1, SQLITE_PREPARE_PERSISTENT,
                                    &self->statements[i], NULL);
        if (rc != SQLITE_OK)
            return sqlite_fail(self, rc, "prepare", err);
    }
    return 0;
}
