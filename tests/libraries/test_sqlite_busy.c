/* SPDX-License-Identifier: MIT
 *
 * SQLite's busy handler: it sleeps while another connection has the write lock, on the same carrier
 * as the one that is to give it back.
 */
#include "libs.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "support/tempdir.h"

#define WRITERS 4
#define HOLD_MS 100

static int run_sql(sqlite3 *db, const char *sql)
{
    char *text = NULL;
    int rc = sqlite3_exec(db, sql, NULL, NULL, &text);
    if (rc != SQLITE_OK)
        (void)fprintf(stderr, "%s: %s\n", sql, text ? text : "?");
    sqlite3_free(text);
    return rc == SQLITE_OK ? 0 : -EIO;
}

/* Takes the write lock, waiting for it in the busy handler, and holds it over a sleep. */
static int write_slowly(void *arg)
{
    sqlite3 *db;
    if (sqlite3_open(arg, &db) != SQLITE_OK)
        return -EIO;
    (void)sqlite3_busy_timeout(db, LIBS_WAIT_MS);
    int rc = run_sql(db, "BEGIN IMMEDIATE");
    if (rc == 0)
        rc = run_sql(db, "UPDATE counter SET value = value + 1");
    if (rc == 0)
        (void)usleep(HOLD_MS * 1000); /* sleeps: with the lock */
    if (rc == 0)
        rc = run_sql(db, "COMMIT");
    return sqlite3_close(db) == SQLITE_OK ? rc : -EIO;
}

static int create(void *arg)
{
    sqlite3 *db;
    if (sqlite3_open(arg, &db) != SQLITE_OK)
        return -EIO;
    int rc = run_sql(db, "CREATE TABLE counter (value INTEGER); INSERT INTO counter VALUES (0)");
    return sqlite3_close(db) == SQLITE_OK ? rc : -EIO;
}

static int read_counter(const char *path)
{
    sqlite3 *db;
    sqlite3_stmt *stmt;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, "SELECT value FROM counter", -1, &stmt, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
    int value = sqlite3_column_int(stmt, 0);
    (void)sqlite3_finalize(stmt);
    (void)sqlite3_close(db);
    return value;
}

static void the_busy_handlers_sleep_lets_the_lock_be_given_back(void **state)
{
    (void)state;
    char *dir = tempdir_new(), *path = tempdir_path(dir, "counter.db");
    assert_int_equal(libs_run(create, path), 0);
    struct libs_many many = { .count = WRITERS, .fn = write_slowly, .arg = path };

    assert_int_equal(libs_run(libs_run_many, &many), 0);

    print_message("%d writers that hold the lock for %d ms: %d ms\n", WRITERS, HOLD_MS,
                  (int)many.took_ms);
    assert_int_equal(read_counter(path), WRITERS);
    assert_in_range(many.took_ms, WRITERS * HOLD_MS, LIBS_WAIT_MS / 2);
    free(path);
    tempdir_free(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        libs_test(the_busy_handlers_sleep_lets_the_lock_be_given_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
