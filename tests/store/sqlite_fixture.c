/* SPDX-License-Identifier: MIT */
#include "sqlite_fixture.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/cleanup.h"

int sqlite_setup(void **state)
{
    struct kit *kit = calloc(1, sizeof *kit);
    kit_init(kit, "sqlite");
    *state = kit;
    return 0;
}

int sqlite_teardown(void **state)
{
    kit_fini(*state);
    free(*state);
    return 0;
}

void run_sql(const char *dir, const char *sql)
{
    BERTH_AUTO_MEM char *path = tempdir_path(dir, STORE_SQLITE_FILE);
    sqlite3 *db = NULL;
    BERTH_ASSERT(sqlite3_open(path, &db) == SQLITE_OK);
    char *message = NULL;
    if (sqlite3_exec(db, sql, NULL, NULL, &message) != SQLITE_OK)
        fprintf(stderr, "%s: %s\n", sql, message);
    BERTH_ASSERT(!message);
    (void)sqlite3_close(db);
}

int try_open(const struct kit *kit, struct berth_store **ret_store, struct berth_error *err)
{
    struct berth_store_opts opts = { .dir = kit->dir, .lineage = 3, .wall_us = kit->wall_us };
    struct berth_store_info info;
    return berth_store_open("sqlite", &opts, ret_store, &info, err);
}

void given_jobs(struct kit *kit, uint64_t first, uint64_t last, size_t body_bytes)
{
    struct berth_batch *batch = kit_batch(kit);
    for (uint64_t id = first; id <= last; id++) {
        struct berth_record job = kit_job(id, 1, kit_bytes(kit, body_bytes, id));
        kit_add(batch, &job);
    }
    kit_store(kit, batch);
}

void given_closed_store(struct kit *kit)
{
    kit_open(kit);
    given_jobs(kit, 1, 200, 300);
    kit_close(kit);
}

static int ignore_dispatcher(void *arg, const struct berth_dispatcher_record *record)
{
    (void)arg;
    (void)record;
    return 0;
}

static int ignore_session(void *arg, const struct berth_session_record *record)
{
    (void)arg;
    (void)record;
    return 0;
}

/* Touches each byte, so that a wrong length is seen by the sanitizers. */
static int sum_job(void *arg, const struct berth_job_record *record)
{
    uint64_t *sum = arg;
    const unsigned char *bytes = record->body.data;
    for (size_t i = 0; bytes && i < record->body.bytes; i++)
        *sum += bytes[i];
    return 0;
}

int load_all(struct berth_store *store, struct berth_error *err)
{
    uint64_t sum = 0;
    struct berth_store_visitor visitor = { .arg = &sum,
                                           .dispatcher = ignore_dispatcher,
                                           .session = ignore_session,
                                           .job = sum_job,
                                           .ended_key = sum_job,
                                           .body_bytes_budget = UINT64_MAX };
    return berth_store_load(store, &visitor, err);
}
