/* SPDX-License-Identifier: MIT */
/* The statements, one for each thing that is done to a table. Prepared once, when the database is
 * open.
 *
 * INSERT OR FAIL: a statement that may change several rows and may fail would otherwise keep a copy
 * of every page it touches, to undo itself alone (measured: 40 % of a job's instructions). We undo
 * whole transactions only.
 */
#include "broker/store/store_sqlite.h"

#include "base/assert.h"

/* At its end a job moves: what came with it from its row, how it ended from the record; the last
 * attempt from the record, or, if no attempt ended with the job, from the row. */
#define DONE_INSERT(last_id, last_texts, last_result)                                              \
    "INSERT OR FAIL INTO done (id, dispatcher, state, priority, submitted_us, run_at_us,"          \
    " max_attempts, timeout_ms, attempt, failures, deaths, is_cancelled, finished_us, key_kind,"   \
    " key_until_us, last_attempt, last_started_us, handler, key_bytes, body_hash, last_worker,"    \
    " last_error_kind, last_error_message, last_result, body)"                                     \
    " SELECT id, dispatcher, ?2, priority, submitted_us, run_at_us, max_attempts, timeout_ms,"     \
    " ?3, ?4, ?5, is_cancelled, ?6, key_kind, key_until_us, " last_id ", handler, key_bytes,"      \
    " body_hash, " last_texts ", " last_result ", body"                                            \
    " FROM job WHERE id = ?1 AND dispatcher = ?7"

#define JOB_INSERT                                                                                 \
    "INSERT OR FAIL INTO job (id, dispatcher, state, priority, submitted_us, run_at_us,"           \
    " max_attempts, timeout_ms, key_kind, key_until_us, handler, key_bytes, body_hash, body)"      \
    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)"

#define OPTION_INSERT                                                                              \
    "INSERT OR FAIL INTO job_option (of_job, parent, parent_ordinal, deadline_us,"                 \
    " queue_timeout_ms, backoff_ms, backoff_ms_max, group_key, unique_key, after_ids,"             \
    " parent_attempt)"                                                                             \
    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)"

/* And back: what it did stays, what it was allowed begins anew. */
#define JOB_REVIVE                                                                                 \
    "INSERT OR FAIL INTO job (id, dispatcher, state, priority, submitted_us, run_at_us,"           \
    " max_attempts, timeout_ms, attempt, failures, deaths, is_cancelled, finished_us, key_kind,"   \
    " key_until_us, last_attempt, last_started_us, handler, key_bytes, body_hash, last_worker,"    \
    " last_error_kind, last_error_message, last_result, body, is_suspect)"                         \
    " SELECT id, dispatcher, ?2, priority, submitted_us, ?3, max_attempts, timeout_ms, attempt,"   \
    " 0, 0, 0, 0, key_kind, key_until_us, last_attempt, last_started_us, handler, key_bytes,"      \
    " body_hash, last_worker, last_error_kind, last_error_message, last_result, body, deaths > 0"  \
    " FROM done WHERE id = ?1"

#define OPTION_REVIVE                                                                              \
    "UPDATE job_option SET deadline_us = ?2, after_ids = NULL, parent = 0, parent_ordinal = 0,"    \
    " parent_attempt = 0 WHERE of_job = ?1"

#define JOB_RETRY                                                                                  \
    "UPDATE job SET state = ?2, run_at_us = ?3, attempt = ?4, failures = ?5, deaths = ?6,"         \
    " last_attempt = ?7, last_started_us = ?8, last_worker = ?9, last_error_kind = ?10,"           \
    " last_error_message = ?11, last_result = ?12, start_attempt = 0, start_session = 0,"          \
    " start_us = 0, is_suspect = ?13 WHERE id = ?1"

#define DISPATCHER_PUT                                                                             \
    "INSERT INTO dispatcher (id, name, limit_kind, limit_value, is_paused, max_attempts,"          \
    " backoff_ms, backoff_ms_max, timeout_ms, grace_ms, parent, weight, group_limit, rate_count,"  \
    " rate_ms, burst, max_queued, hold, on_lost, no_jitter, queue_timeout_ms, deadline_ms,"        \
    " retention_ms, retention_count, changed_us, changed_by)"                                      \
    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18,"    \
    " ?19, ?20, ?21, ?22, ?23, ?24, ?25, ?26)"                                                     \
    " ON CONFLICT (id) DO UPDATE SET name = ?2, limit_kind = ?3, limit_value = ?4,"                \
    " is_paused = ?5, max_attempts = ?6, backoff_ms = ?7, backoff_ms_max = ?8, timeout_ms = ?9,"   \
    " grace_ms = ?10, parent = ?11, weight = ?12, group_limit = ?13, rate_count = ?14,"            \
    " rate_ms = ?15, burst = ?16, max_queued = ?17, hold = ?18, on_lost = ?19, no_jitter = ?20,"   \
    " queue_timeout_ms = ?21, deadline_ms = ?22, retention_ms = ?23, retention_count = ?24,"       \
    " changed_us = ?25, changed_by = ?26"

#define SESSION_INSERT                                                                             \
    "INSERT INTO session (id, node, boot, nonce, child, lease_ms, name)"                           \
    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)"

#define SCHEDULE_PUT                                                                               \
    "INSERT INTO schedule (id, name, overlap, catch_up, is_paused, dispatcher, priority,"          \
    " delay_ms, max_attempts, timeout_ms, queue_timeout_ms, deadline_ms, backoff_ms,"              \
    " backoff_ms_max, on_conflict, changed_us, changed_by, cron, zone, handler, group_key,"        \
    " unique_key, tzif, body)"                                                                     \
    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18,"    \
    " ?19, ?20, ?21, ?22, ?23, ?24)"                                                               \
    " ON CONFLICT (id) DO UPDATE SET name = ?2, overlap = ?3, catch_up = ?4, is_paused = ?5,"      \
    " dispatcher = ?6, priority = ?7, delay_ms = ?8, max_attempts = ?9, timeout_ms = ?10,"         \
    " queue_timeout_ms = ?11, deadline_ms = ?12, backoff_ms = ?13, backoff_ms_max = ?14,"          \
    " on_conflict = ?15, changed_us = ?16, changed_by = ?17, cron = ?18, zone = ?19,"              \
    " handler = ?20, group_key = ?21, unique_key = ?22, tzif = ?23, body = ?24"

#define COUNT_PUT                                                                                  \
    "INSERT INTO dispatcher_count (dispatcher, completed, dead, cancelled, completed_total)"       \
    " VALUES (?1, ?2, ?3, ?4, ?5)"                                                                 \
    " ON CONFLICT (dispatcher) DO UPDATE SET completed = ?2, dead = ?3, cancelled = ?4,"           \
    " completed_total = ?5"

#define KEY_KEEP                                                                                   \
    "INSERT INTO idempotency (id, dispatcher, key_kind, key_bytes, key_until_us, body_hash,"       \
    " parent) SELECT id, dispatcher, key_kind, key_bytes, key_until_us, body_hash,"                \
    " iif(key_kind = 3, " SQLITE_PARENT_OF(                                                        \
        "done.id") ", 0) FROM done"                                                                \
                   " WHERE id = ?1 AND " SQLITE_DONE_KEY_OUTLIVES

#define DONE_AGES                                                                                  \
    "SELECT id, dispatcher, state, submitted_us, finished_us, key_kind, key_until_us FROM done"    \
    " WHERE id >= ?1 ORDER BY id LIMIT ?2"

static const char *const texts[SQL_STATEMENT_COUNT] = {
    [SQL_BEGIN] = "BEGIN IMMEDIATE",
    [SQL_COMMIT] = "COMMIT",
    [SQL_ROLLBACK] = "ROLLBACK",
    [SQL_META_CHECK] = "SELECT epoch, lineage FROM meta",
    [SQL_META_CLEAN] = "UPDATE meta SET is_clean = 1, next_job = ?1",
    [SQL_META_NEXT_JOB] = "UPDATE meta SET next_job = ?1",
    [SQL_JOB_INSERT] = JOB_INSERT,
    [SQL_OPTION_INSERT] = OPTION_INSERT,
    [SQL_OPTION_DELETE] = "DELETE FROM job_option WHERE of_job = ?1",
    [SQL_JOB_START] = "UPDATE job SET start_attempt = ?2, start_session = ?3, start_us = ?4"
                      " WHERE id = ?1",
    [SQL_JOB_RETRY] = JOB_RETRY,
    [SQL_JOB_CANCEL] = "UPDATE job SET is_cancelled = 1 WHERE id = ?1",
    [SQL_JOB_DELETE] = "DELETE FROM job WHERE id = ?1",
    [SQL_DONE_INSERT] = DONE_INSERT("?8, ?9", "?10, ?11, ?12", "?13"),
    [SQL_DONE_INSERT_KEPT] =
        DONE_INSERT("last_attempt, last_started_us",
                    "last_worker, last_error_kind, last_error_message", "last_result"),
    [SQL_DONE_INSERT_ENDED] =
        DONE_INSERT("last_attempt, last_started_us", "last_worker, ?8, ?9", "last_result"),
    [SQL_DISPATCHER_PUT] = DISPATCHER_PUT,
    [SQL_DISPATCHER_TOKEN] = "UPDATE dispatcher SET token_us = ?2 WHERE id = ?1",
    [SQL_SESSION_INSERT] = SESSION_INSERT,
    [SQL_SESSION_CLOSE] = "UPDATE session SET is_closed = 1 WHERE id = ?1",
    [SQL_SESSION_DELETE] = "DELETE FROM session WHERE id = ?1",
    [SQL_COUNT_PUT] = COUNT_PUT,
    [SQL_COUNT_DELETE] = "DELETE FROM dispatcher_count WHERE dispatcher = ?1",
    [SQL_JOB_REVIVE] = JOB_REVIVE,
    [SQL_OPTION_REVIVE] = OPTION_REVIVE,
    [SQL_DONE_HEAD] = "SELECT dispatcher, state FROM done WHERE id = ?1",
    [SQL_DISPATCHER_DELETE] = "DELETE FROM dispatcher WHERE id = ?1",
    [SQL_GONE_INSERT] = "INSERT INTO dispatcher_gone (id) VALUES (?1)",
    [SQL_GONE_DELETE] = "DELETE FROM dispatcher_gone WHERE id = ?1",
    [SQL_META_NEXT_DISPATCHER] = "UPDATE meta SET next_dispatcher = max(next_dispatcher, ?1 + 1)",
    [SQL_JOB_GET] = "SELECT " SQLITE_JOB_FULL SQLITE_FROM("job") " WHERE id = ?1",
    [SQL_DONE_GET] = "SELECT " SQLITE_JOB_FULL SQLITE_FROM("done") " WHERE id = ?1",
    [SQL_JOB_GET_BARE] = "SELECT " SQLITE_JOB_BARE SQLITE_FROM("job") " WHERE id = ?1",
    [SQL_DONE_GET_BARE] = "SELECT " SQLITE_JOB_BARE SQLITE_FROM("done") " WHERE id = ?1",
    [SQL_JOB_UP] = "SELECT id, dispatcher, state FROM job WHERE id > ?1 ORDER BY id",
    [SQL_JOB_DOWN] = "SELECT id, dispatcher, state FROM job WHERE id < ?1 ORDER BY id DESC",
    [SQL_DONE_UP] = "SELECT id, dispatcher, state FROM done WHERE id > ?1 ORDER BY id",
    [SQL_DONE_DOWN] = "SELECT id, dispatcher, state FROM done WHERE id < ?1 ORDER BY id DESC",
    [SQL_DONE_AGES] = DONE_AGES,
    [SQL_DONE_DELETE] = "DELETE FROM done WHERE id = ?1",
    [SQL_SCHEDULE_PUT] = SCHEDULE_PUT,
    [SQL_SCHEDULE_BEGIN] = "INSERT INTO schedule_done (of_schedule, done_us) VALUES (?1, ?2)"
                           " ON CONFLICT (of_schedule) DO UPDATE SET done_us = ?2",
    [SQL_SCHEDULE_DONE] = "UPDATE schedule_done SET done_us = ?2, last_job = ?3, last_us = ?4,"
                          " last_fate = ?5, last_text = ?6 WHERE of_schedule = ?1",
    [SQL_SCHEDULE_DELETE] = "DELETE FROM schedule WHERE id = ?1",
    [SQL_SCHEDULE_DONE_DELETE] = "DELETE FROM schedule_done WHERE of_schedule = ?1",
    [SQL_KEY_KEEP] = KEY_KEEP,
    [SQL_KEY_AGES] = "SELECT id, iif(" SQLITE_KEY_IS_WANTED ", key_until_us, 0) FROM idempotency"
                     " WHERE id >= ?1 ORDER BY id LIMIT ?2",
    [SQL_KEY_DELETE] = "DELETE FROM idempotency WHERE id = ?1",
};

int sqlite_statements_prepare(struct store_sqlite *self, struct berth_error *err)
{
    for (size_t i = 0; i < SQL_STATEMENT_COUNT; i++) {
        BERTH_ASSERT(texts[i]);
        int rc = sqlite3_prepare_v3(self->db, texts[i], -1, SQLITE_PREPARE_PERSISTENT,
                                    &self->statements[i], NULL);
        if (rc != SQLITE_OK)
            return sqlite_fail(self, rc, "prepare", err);
    }
    return 0;
}
