/* SPDX-License-Identifier: MIT
 *
 * Recurring jobs as a person and a service have them: the program, the client library and a real
 * broker, which is killed. That time has passed is written into its database while it is down.
 */
#include "site.h"

#include <inttypes.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <berth/client.h>
#include <berth/schedule.h>

#include "support/await.h"
#include "support/tempdir.h"

#define PATIENT   60000
#define WORDS_MAX 32
#define MINUTES   30

static const char program[] = BERTH_BIN_DIR "/berth";

#define WORDS(...) ((const char *const[]){ __VA_ARGS__, NULL })

/* Runs `berth ... args`, asserts how it ends, and that it prints this (NULL: anything). */
static void assert_runs(struct site *site, int code, const char *says, const char *const *args)
{
    const char *argv[WORDS_MAX] = { program, "--broker", site->url };
    size_t count = 3;
    for (; *args; args++) {
        assert_true(count + 1 < WORDS_MAX);
        argv[count++] = *args;
    }
    struct process process;
    int ended = process_run(&process, argv, NULL, NULL, PATIENT);
    if (ended != code)
        fail_msg("ended with %d, not %d: %s", ended, code, process_err(&process));
    if (says)
        assert_in_text(code == 0 ? process_out(&process) : process_err(&process), says);
    process_fini(&process);
}

static struct berth_client *connected(struct site *site)
{
    struct berth_client *client;
    assert_ok(berth_client_open(&(struct berth_client_opts){ .url = site->url }, &client, NULL));
    return client;
}

static void a_person_makes_changes_and_removes_a_schedule(void **state)
{
    struct site *site = *state;
    site_start(site, NULL);

    assert_runs(site, 0, NULL,
                WORDS("schedule", "set", "report", "--cron", "0 3 * * *", "--tz", "Europe/Berlin",
                      "-d", "io", "--priority", "7", "--", "make-report", "all of it"));
    assert_runs(site, 0, "make-report 'all of it'", WORDS("schedule", "ls"));
    assert_runs(site, 0, NULL, WORDS("schedule", "set", "report", "--overlap", "queue"));
    assert_runs(site, 0, "\"overlap\":\"queue\",\"catch_up\":\"one\",\"paused\":false",
                WORDS("schedule", "ls", "--json"));
    assert_runs(site, 0, "\"tz\":\"Europe/Berlin\"", WORDS("schedule", "ls", "--json"));
    assert_runs(site, 0, "\"priority\":7", WORDS("schedule", "ls", "--json"));
    assert_runs(site, 0, "report\t", WORDS("completion", "words", "--", "schedule", "pause", "re"));
    assert_runs(site, 0, NULL, WORDS("schedule", "pause", "report"));
    assert_runs(site, 0, "paused", WORDS("schedule", "ls"));
    assert_runs(site, 0, "\"paused\":false", WORDS("schedule", "resume", "report", "--json"));
    assert_runs(site, 0, "{\"schema\":\"berth.removed/1\",\"name\":\"report\"}",
                WORDS("schedule", "rm", "report", "--json"));
    assert_runs(site, 5, "schedule 'report' does not exist", WORDS("schedule", "rm", "report"));
    assert_int_equal(site_stop(site), 0);
}

static void what_cannot_be_is_refused_by_name(void **state)
{
    struct site *site = *state;
    site_start(site, NULL);
    assert_runs(site, 2, "minute '61'",
                WORDS("schedule", "set", "x", "--cron", "61 * * * *", "--", "true"));
    assert_runs(site, 2, "never comes",
                WORDS("schedule", "set", "x", "--cron", "* 2 29 3 */7", "--tz", "Europe/Berlin",
                      "--", "true"));
    assert_runs(
        site, 2, "tz: there is no time zone 'Nowhere/Land'",
        WORDS("schedule", "set", "x", "--cron", "@daily", "--tz", "Nowhere/Land", "--", "true"));
    assert_runs(site, 5, "dispatcher 'nope' does not exist",
                WORDS("schedule", "set", "x", "--cron", "@daily", "-d", "nope", "--", "true"));
    assert_runs(site, 5, "a new one needs a cron expression",
                WORDS("schedule", "set", "x", "--", "true"));
    assert_runs(site, 5, "a new one needs a command or a handler",
                WORDS("schedule", "set", "x", "--cron", "@daily"));
    assert_runs(site, 2, "nothing to set", WORDS("schedule", "set", "x"));
    assert_runs(site, 2, "a command is wanted", WORDS("schedule", "set", "x", "--priority", "3"));
    assert_runs(site, 2, "--catch-up", WORDS("schedule", "set", "x", "--catch-up", "some"));
    assert_runs(site, 0, "\"items\":[]", WORDS("schedule", "ls", "--json"));
    assert_int_equal(site_stop(site), 0);
}

static void a_schedule_survives_a_broker_that_is_killed(void **state)
{
    struct site *site = *state;
    site_start(site, NULL);
    struct berth_client *client = connected(site);
    const struct berth_field context[] = { { "tenant", "a" } };
    const char *const command[] = { "echo", "hi", NULL };
    const struct berth_job_spec job = { .dispatcher = "io",
                                        .command = command,
                                        .payload = { "in", 2 },
                                        .context = context,
                                        .context_count = 1,
                                        .group = "g",
                                        .unique = "u",
                                        .on_conflict = BERTH_UNIQUE_EXISTING,
                                        .timeout_ms = 1000,
                                        .delay_ms = 2000 };
    const struct berth_schedule_settings settings = { .cron = "@yearly",
                                                      .tz = "Europe/Berlin",
                                                      .overlap = BERTH_OVERLAP_QUEUE,
                                                      .catch_up = BERTH_CATCH_UP_NONE,
                                                      .job = &job };
    struct berth_schedule *made, *found;
    struct berth_error err = { 0 };
    if (berth_schedule_set(client, "yearly", &settings, &made, PATIENT, &err) < 0)
        fail_msg("%s", err.message);
    assert_int_equal(site_kill(site), 128 + SIGKILL);
    site_start(site, NULL);

    assert_ok(berth_schedule_get(client, "yearly", &found, PATIENT, NULL));

    assert_string_equal(found->cron, "@yearly");
    assert_string_equal(found->tz, "Europe/Berlin");
    assert_int_equal(found->overlap, BERTH_OVERLAP_QUEUE);
    assert_int_equal(found->catch_up, BERTH_CATCH_UP_NONE);
    assert_int_equal(found->next_unix_us, made->next_unix_us);
    assert_string_equal(found->job.dispatcher, "io");
    assert_null(found->job.handler);
    assert_string_equal(found->job.command[1], "hi");
    assert_int_equal(found->job.payload.bytes, 2);
    assert_string_equal(found->job.context[0].value, "a");
    assert_string_equal(found->job.group, "g");
    assert_string_equal(found->job.unique, "u");
    assert_int_equal(found->job.on_conflict, BERTH_UNIQUE_EXISTING);
    assert_int_equal(found->job.timeout_ms, 1000);
    assert_int_equal(found->job.delay_ms, 2000);
    assert_string_equal(found->changed_by, made->changed_by);
    /* As it is shown it can be set again. */
    assert_ok(berth_schedule_set(client, "again",
                                 &(struct berth_schedule_settings){
                                     .cron = found->cron, .tz = found->tz, .job = &found->job },
                                 NULL, PATIENT, NULL));
    berth_schedule_free(made);
    berth_schedule_free(found);
    berth_client_close(client);
    assert_int_equal(site_stop(site), 0);
}

static int64_t query(struct site *site, const char *sql)
{
    sqlite3 *db;
    sqlite3_stmt *row;
    BERTH_AUTO_MEM char *path = tempdir_path(site->data, "berth.db");
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &row, NULL), SQLITE_OK);
    int64_t value = sqlite3_step(row) == SQLITE_ROW ? sqlite3_column_int64(row, 0) : -1;
    assert_int_equal(sqlite3_finalize(row), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    return value;
}

static int count(void *arg, const struct berth_job *job)
{
    (void)job;
    ++*(size_t *)arg;
    return 0;
}

static bool are_enough(void *arg)
{
    size_t jobs = 0;
    assert_ok(berth_job_list(arg, NULL, count, &jobs, PATIENT, NULL));
    return jobs >= MINUTES;
}

/* The broker was away for half an hour, and is killed while it catches up, and once more. */
static void each_missed_instant_has_one_job_over_kill_9(void **state)
{
    struct site *site = *state;
    site_start(site, NULL);
    assert_runs(site, 0, NULL,
                WORDS("schedule", "set", "minutely", "--cron", "* * * * *", "--overlap", "queue",
                      "--catch-up", "all", "--", "true"));
    assert_int_equal(site_stop(site), 0);
    int64_t before = query(site, "SELECT count(*) FROM job");
    assert_int_equal(query(site, "UPDATE schedule_done SET done_us = done_us - 30 * 60 * 1000000"),
                     -1);

    for (unsigned i = 0; i < 3; i++) {
        site_start(site, NULL);
        struct berth_client *client = connected(site);
        if (i > 0)
            assert_true(await(are_enough, client, PATIENT));
        berth_client_close(client);
        assert_int_equal(site_kill(site), 128 + SIGKILL);
    }

    int64_t jobs = query(site, "SELECT count(*) FROM job");
    assert_in_range(jobs - before, MINUTES, MINUTES + 5);
    assert_int_equal(query(site, "SELECT count(DISTINCT key_bytes) FROM job"), jobs);
    assert_int_equal(query(site, "SELECT count(*) FROM job WHERE key_kind <> 4"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_person_makes_changes_and_removes_a_schedule, site_setup,
                                        site_teardown),
        cmocka_unit_test_setup_teardown(what_cannot_be_is_refused_by_name, site_setup,
                                        site_teardown),
        cmocka_unit_test_setup_teardown(a_schedule_survives_a_broker_that_is_killed, site_setup,
                                        site_teardown),
        cmocka_unit_test_setup_teardown(each_missed_instant_has_one_job_over_kill_9, site_setup,
                                        site_teardown),
    };
    return berth_test_main(tests, NULL, NULL);
}
