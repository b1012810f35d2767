/* SPDX-License-Identifier: MIT */
/* Loading: one pass over each table in order of id, handed over row by row; nothing is gathered. */
#include <string.h>

#include "broker/store/store_sqlite.h"

struct load {
    struct store_sqlite *self;
    const struct berth_store_visitor *visitor;
    uint64_t body_bytes_left;
    uint64_t last_job;
    struct berth_error *err;
};

typedef int visit_fn(struct load *load, sqlite3_stmt *row);

/* 0 when all rows were visited, 1 when `visit` had enough, or an error. */
static int visit_rows(struct load *load, const char *sql, int64_t parameter, visit_fn *visit)
{
    sqlite3_stmt *row = NULL;
    int rc = sqlite3_prepare_v2(load->self->db, sql, -1, &row, NULL);
    if (rc == SQLITE_OK && sqlite3_bind_parameter_count(row) > 0)
        (void)sqlite3_bind_int64(row, 1, parameter);
    int visit_rc = 0;
    while (rc == SQLITE_OK && visit_rc == 0) {
        rc = sqlite3_step(row);
        if (rc == SQLITE_ROW) {
            visit_rc = visit(load, row);
            rc = SQLITE_OK;
        }
    }
    (void)sqlite3_finalize(row);
    if (visit_rc != 0)
        return visit_rc;
    return rc == SQLITE_DONE ? 0 : sqlite_fail(load->self, rc, "load", load->err);
}

/* What a visitor returned: its sentence is its own affair, so `err` gets the bare fact. */
static int visited(struct load *load, int rc)
{
    if (rc < 0)
        return berth_fail(load->err, rc, "load the database '%s'", load->self->path);
    return 0;
}

static int visit_dispatcher(struct load *load, sqlite3_stmt *row)
{
    struct berth_dispatcher_record dispatcher;
    int rc = sqlite_row_dispatcher(row, &dispatcher, load->err);
    return rc < 0 ? rc : visited(load, load->visitor->dispatcher(load->visitor->arg, &dispatcher));
}

static int visit_session(struct load *load, sqlite3_stmt *row)
{
    struct berth_session_record session;
    int rc = sqlite_row_session(row, &session, load->err);
    return rc < 0 ? rc : visited(load, load->visitor->session(load->visitor->arg, &session));
}

static int visit_schedule(struct load *load, sqlite3_stmt *row)
{
    struct berth_schedule_record schedule;
    struct berth_schedule_done_record done;
    int rc = sqlite_row_schedule(row, &schedule, &done, load->err);
    if (rc < 0 || !load->visitor->schedule)
        return rc;
    return visited(load, load->visitor->schedule(load->visitor->arg, &schedule, &done));
}

static int visit_job_without_body(struct load *load, sqlite3_stmt *row)
{
    struct berth_job_record job;
    int rc = sqlite_row_live(row, &job, load->err);
    return rc < 0 ? rc : visited(load, load->visitor->job(load->visitor->arg, &job));
}

/* Returns 1 behind the first job whose body does not fit: from there on bodies are not even read.
 */
static int visit_job(struct load *load, sqlite3_stmt *row)
{
    struct berth_job_record job;
    int rc = sqlite_row_live(row, &job, load->err);
    if (rc < 0)
        return rc;
    bool fits = job.body.bytes <= load->body_bytes_left;
    if (fits)
        load->body_bytes_left -= job.body.bytes;
    else
        job.body.data = NULL;
    load->last_job = job.id;
    rc = visited(load, load->visitor->job(load->visitor->arg, &job));
    return rc < 0 ? rc : !fits;
}

static int visit_key(struct load *load, sqlite3_stmt *row)
{
    struct berth_job_record job;
    int rc = sqlite_row_key(row, &job, load->err);
    return rc < 0 ? rc : visited(load, load->visitor->ended_key(load->visitor->arg, &job));
}

int sqlite_load(struct store_blocking *backend, const struct berth_store_visitor *visitor,
                struct berth_error *err)
{
    struct load load = { .self = sqlite_of(backend),
                         .visitor = visitor,
                         .body_bytes_left = visitor->body_bytes_budget,
                         .err = err };
    int rc = visit_rows(&load, "SELECT " SQLITE_DISPATCHER_COLUMNS " FROM dispatcher ORDER BY id",
                        0, visit_dispatcher);
    if (rc == 0) /* ids of epochs from 2^23 on are negative in SQLite */
        rc = visit_rows(&load,
                        "SELECT id, node, boot, nonce, child, lease_ms, name, is_closed FROM "
                        "session ORDER BY id < 0, id",
                        0, visit_session);
    if (rc == 0)
        rc = visit_rows(&load, SQLITE_SCHEDULES, 0, visit_schedule);
    if (rc == 0)
        rc = visit_rows(&load, "SELECT " SQLITE_LIVE_BODY SQLITE_FROM("job") " ORDER BY id", 0,
                        visit_job);
    if (rc == 1)
        rc = visit_rows(&load,
                        "SELECT " SQLITE_LIVE_BARE SQLITE_FROM("job") " WHERE id > ?1 ORDER BY id",
                        (int64_t)load.last_job, visit_job_without_body);
    if (rc == 0)
        rc = visit_rows(
            &load,
            "SELECT id, dispatcher, key_kind, key_bytes, key_until_us, body_hash,"
            " iif(key_kind = 3, " SQLITE_PARENT_OF(
                "done.id") ", 0)"
                           " FROM done INDEXED BY done_key WHERE key_until_us > ?1 "
                           "AND " SQLITE_DONE_KEY_OUTLIVES
                           " UNION ALL SELECT id, dispatcher, key_kind, key_bytes, key_until_us, "
                           "body_hash, parent"
                           " FROM idempotency WHERE key_until_us > ?1 AND " SQLITE_KEY_IS_WANTED
                           " ORDER BY id",
            load.self->open_wall_us, visit_key);
    return rc;
}
