/* SPDX-License-Identifier: MIT */
/* A database as version 1 of the schema left it: the text of that schema, unchanged, and some rows.
 * Never changed: it is what users have.
 */
#pragma once

#define VERSION_1_JOB_COLUMNS                                                                      \
    "id INTEGER PRIMARY KEY, dispatcher INTEGER NOT NULL, state INTEGER NOT NULL,"                 \
    " priority INTEGER NOT NULL, submitted_us INTEGER NOT NULL, run_at_us INTEGER NOT NULL,"       \
    " max_attempts INTEGER NOT NULL, timeout_ms INTEGER NOT NULL,"                                 \
    " attempt INTEGER NOT NULL DEFAULT 0, failures INTEGER NOT NULL DEFAULT 0,"                    \
    " deaths INTEGER NOT NULL DEFAULT 0, is_cancelled INTEGER NOT NULL DEFAULT 0,"                 \
    " finished_us INTEGER NOT NULL DEFAULT 0, key_kind INTEGER NOT NULL,"                          \
    " key_until_us INTEGER NOT NULL, last_attempt INTEGER NOT NULL DEFAULT 0,"                     \
    " last_started_us INTEGER NOT NULL DEFAULT 0, handler TEXT NOT NULL, key_bytes BLOB,"          \
    " body_hash BLOB, last_worker TEXT, last_error_kind TEXT, last_error_message TEXT,"            \
    " last_result BLOB, body BLOB"

static const char version_1_schema[] =
    "PRAGMA page_size = 8192; PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL;"
    "BEGIN;"
    "CREATE TABLE meta (one INTEGER PRIMARY KEY CHECK (one = 1),"
    " cluster BLOB NOT NULL CHECK (length(cluster) = 16), epoch INTEGER NOT NULL,"
    " lineage INTEGER NOT NULL, next_job INTEGER NOT NULL, is_clean INTEGER NOT NULL) STRICT;"
    "CREATE TABLE dispatcher (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE,"
    " limit_kind INTEGER NOT NULL, limit_value INTEGER NOT NULL, is_paused INTEGER NOT NULL,"
    " max_attempts INTEGER NOT NULL, backoff_ms INTEGER NOT NULL,"
    " backoff_ms_max INTEGER NOT NULL, timeout_ms INTEGER NOT NULL, grace_ms INTEGER NOT NULL)"
    " STRICT;"
    "CREATE TABLE session (id INTEGER PRIMARY KEY, node BLOB NOT NULL, boot BLOB NOT NULL,"
    " nonce BLOB NOT NULL, child INTEGER NOT NULL, lease_ms INTEGER NOT NULL,"
    " name TEXT NOT NULL) STRICT;"
    "CREATE TABLE job (" VERSION_1_JOB_COLUMNS ") STRICT;"
    "CREATE TABLE done (" VERSION_1_JOB_COLUMNS ") STRICT;"
    "CREATE INDEX done_key ON done (key_until_us) WHERE key_kind <> 0;"
    "CREATE TABLE idempotency (id INTEGER PRIMARY KEY, dispatcher INTEGER NOT NULL,"
    " key_kind INTEGER NOT NULL, key_bytes BLOB NOT NULL, key_until_us INTEGER NOT NULL,"
    " body_hash BLOB NOT NULL) STRICT;"
    "CREATE TABLE dispatcher_count (dispatcher INTEGER PRIMARY KEY, completed INTEGER NOT NULL,"
    " dead INTEGER NOT NULL, cancelled INTEGER NOT NULL, completed_total INTEGER NOT NULL) STRICT;"
    "PRAGMA application_id = 1114797160; PRAGMA user_version = 1;"
    "COMMIT;";

/* Two dispatchers; job 1 is ready, 2 waits for its next attempt, 3 has ended, late enough not to be
 * forgotten. */
static const char version_1_rows[] =
    "BEGIN;"
    "INSERT INTO meta VALUES (1, x'000102030405060708090a0b0c0d0e0f', 4, 77, 4, 1);"
    "INSERT INTO dispatcher VALUES (1, 'default', 3, 0, 0, 5, 1000, 600000, 0, 5000);"
    "INSERT INTO dispatcher VALUES (2, 'newsletter', 1, 5, 1, 3, 250, 60000, 30000, 0);"
    "INSERT INTO job (id, dispatcher, state, priority, submitted_us, run_at_us, max_attempts,"
    " timeout_ms, key_kind, key_until_us, handler, body)"
    " VALUES (1, 2, 2, -7, 1001, 0, 3, 30000, 0, 0, 'mail', x'0102');"
    "INSERT INTO job VALUES (2, 2, 6, 0, 1002, 5000, 0, 0, 2, 1, 0, 0, 0, 0, 0, 1099511627777,"
    " 1500, 'mail', NULL, NULL, 'w1', 'exit', 'exit code 1', x'0801', zeroblob(100000));"
    "INSERT INTO done VALUES (3, 1, 7, 5, 1003, 0, 0, 0, 1, 0, 0, 0, 4102444800000000, 0, 0, "
    "1099511627778,"
    " 1600, 'exec', NULL, NULL, 'w1', NULL, NULL, x'0800', x'03');"
    "INSERT INTO dispatcher_count VALUES (1, 1, 0, 0, 1);"
    "COMMIT;";
