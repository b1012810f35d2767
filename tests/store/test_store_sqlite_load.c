/* SPDX-License-Identifier: MIT */
/* Rows of a SQLite file that cannot be end the load with a sentence that names them. */
#include "sqlite_fixture.h"

#include <stdio.h>
#include <string.h>

static void then_load_fails_naming(struct kit *kit, const char *text)
{
    struct berth_error error = { .code = 0 };
    kit_open(kit);
    assert_rc(load_all(kit->store, &error), BERTH_ESTORE);
    assert_non_null(strstr(error.message, text));
    kit_close(kit);
}

static void row_that_cannot_be_ends_the_load_naming_it(void **state)
{
    struct kit *kit = *state;
    given_closed_store(kit);
    run_sql(kit->dir, "UPDATE job SET state = 77 WHERE id = 17");
    then_load_fails_naming(kit, "job 17: its state");
    run_sql(kit->dir, "UPDATE job SET state = 2, priority = 9999999999 WHERE id = 17");
    then_load_fails_naming(kit, "job 17: a value");
    run_sql(kit->dir, "UPDATE job SET priority = 0, handler = '' WHERE id = 17");
    then_load_fails_naming(kit, "job 17: its handler");
    run_sql(kit->dir,
            "UPDATE job SET handler = 'h', key_kind = 1, key_bytes = x'00' WHERE id = 17");
    then_load_fails_naming(kit, "job 17: its request key");
    run_sql(kit->dir,
            "DELETE FROM job; INSERT INTO session VALUES (5, x'00', x'00', x'00', 1, 1, 'w', 0)");
    then_load_fails_naming(kit, "session 5");
    run_sql(kit->dir, "DELETE FROM session;"
                      "INSERT INTO dispatcher (id, name, limit_kind, limit_value, is_paused,"
                      " max_attempts, backoff_ms, backoff_ms_max, timeout_ms, grace_ms)"
                      " VALUES (3, 'd', 9, 1, 0, 5, 1, 1, 1, 1)");
    then_load_fails_naming(kit, "dispatcher 3: its limit");
    const struct {
        const char *set, *says;
    } cases[] = {
        { "parent = 3", "its parent is itself" },
        { "weight = 0", "its weight" },
        { "weight = 1001", "its weight" },
        { "rate_count = 5", "its rate" },
        { "rate_count = 5, rate_ms = 2000", "its rate" },
        { "burst = 1000001", "its burst" },
        { "hold = 2", "its hold or on_lost" },
        { "hold = 256", "a value is outside its range" },
        { "on_lost = 2", "its hold or on_lost" },
        { "deadline_ms = -1", "one of its durations" },
        { "retention_ms = 0", "its retention" },
        { "retention_count = -1", "its retention" },
        { "changed_by = printf('%065d', 1)", "a value is outside its range" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char sql[200];
        run_sql(kit->dir, "UPDATE dispatcher SET limit_kind = 1, parent = 0, weight = 1,"
                          " rate_count = 0, rate_ms = 0, burst = 0, hold = 0, on_lost = 0");
        (void)snprintf(sql, sizeof sql, "UPDATE dispatcher SET %s", cases[i].set);
        run_sql(kit->dir, sql);
        then_load_fails_naming(kit, cases[i].says);
        run_sql(kit->dir, "UPDATE dispatcher SET deadline_ms = 0, retention_ms = 1,"
                          " retention_count = 1, changed_by = ''");
    }
}

static void options_of_a_job_that_cannot_be_end_the_load(void **state)
{
    struct kit *kit = *state;
    given_closed_store(kit);
    run_sql(kit->dir, "INSERT INTO job_option VALUES (17, 0, 0, 0, 0, 0, 0, NULL, NULL, NULL, 0)");
    const struct {
        const char *set, *says;
    } cases[] = {
        { "after_ids = x'0102030405060708ff'", "job 17: what it waits for" },
        { "after_ids = NULL, group_key = printf('%0256d', 1)", "job 17: its group" },
        { "group_key = NULL, unique_key = printf('%0256d', 1)", "job 17: its unique key" },
        { "unique_key = NULL, deadline_us = -1", "job 17: one of its times" },
        { "deadline_us = 0, backoff_ms_max = -1", "job 17: one of its times" },
        { "backoff_ms_max = 0, parent = -1", "job 17: its parent" },
        { "parent = 0, parent_ordinal = -1", "job 17: a value" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char sql[200];
        (void)snprintf(sql, sizeof sql, "UPDATE job_option SET %s", cases[i].set);
        run_sql(kit->dir, sql);
        then_load_fails_naming(kit, cases[i].says);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, sqlite_setup, sqlite_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(row_that_cannot_be_ends_the_load_naming_it),
        TEST(options_of_a_job_that_cannot_be_end_the_load),
    };
    return berth_test_main(tests, NULL, NULL);
}
