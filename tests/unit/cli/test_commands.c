/* SPDX-License-Identifier: MIT */
/* The program `berth`, run for real against a broker that answers by script: what all commands have
 * in common, and those of dispatchers, workers and the broker. Others: test_cmd_*.c. */
#include "commands.h"

#include <berth/error.h>

#include "base/clock.h"

static void what_comes_later_is_refused_by_name(void **state)
{
    struct fixture *f = *state;
    const char *const lines[] = {
        "worker drain w",   "key new k --allow x", "top",
        "trace --out file", "broker backup file",  "broker check file",
    };
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        int code = run(f, lines[i]);
        if (code != 2)
            fail_msg("'%s' ended with %d", lines[i], code);
        assert_says(f, "is not there yet");
        assert_one_line(process_err(&f->process));
    }
    assert_int_equal(fake_broker_seen(f->broker, FAKE_ANY), 0);
}

static void options_stand_before_or_after(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(run(f, "--json -q submit -d io -- date"), 0);
    assert_json(f, "d['items'][0]['id'] == 1");
    assert_int_equal(run(f, "show --json 1 --connect-timeout 5s"), 0);
    assert_int_equal(run(f, "--connect-timeout=5s show 1 --json"), 0);
    assert_int_equal(run(f, "show -q -- 1"), 0);
    assert_string_equal(out(f), "1\n");
}

static void a_flag_wins_over_the_environment(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(run_with(f, "broker status --broker @ -q --connect-timeout 100ms",
                              "tcp://127.0.0.1:1", NULL),
                     69);
    assert_says(f, "tcp://127.0.0.1:1");
    assert_int_equal(run(f, "broker status -q"), 0);
}

static void a_broker_that_refuses_gives_each_reason_its_code(void **state)
{
    struct fixture *f = *state;
    const struct {
        int rc, code;
    } cases[] = { { BERTH_ELIMIT, 6 },    { BERTH_EFULL, 75 },    { BERTH_ELATER, 75 },
                  { BERTH_ECONFLICT, 1 }, { BERTH_ENOTFOUND, 5 }, { BERTH_EVALUE, 2 },
                  { BERTH_EDENIED, 1 },   { -EMSGSIZE, 2 },       { -EREMOTEIO, 1 } };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        fake_broker_next_error(f->broker, FAKE_SUBMIT, cases[i].rc, "so says the broker", 1);
        assert_int_equal(run(f, "submit -- date"), cases[i].code);
        assert_string_equal(process_err(&f->process), "berth: so says the broker\n");
        assert_string_equal(out(f), "");
    }
}

static void conflicts_unknown_dispatchers_and_versions_are_told_apart(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(run(f, "submit --key k -- a"), 0);
    assert_int_equal(run(f, "submit --key k -- a"), 0);
    assert_string_equal(out(f), "1\n");
    assert_int_equal(run(f, "submit --key k -- b"), 1);
    assert_says(f, "another job");
    assert_int_equal(run(f, "submit -d nowhere -- a"), 5);
    assert_says(f, "no such dispatcher");
    fake_broker_next(f->broker, FAKE_ANY, FAKE_VERSION, 100);
    assert_int_equal(run(f, "ls"), 1);
    assert_says(f, "the broker speaks version 2 to 3 of the protocol");
}

static void without_an_answer_a_command_ends_with_69_in_time(void **state)
{
    struct fixture *f = *state;
    fake_broker_next(f->broker, FAKE_ANY, FAKE_DROP, 1000);
    const char *const lines[] = { "submit -- date",
                                  "ls",
                                  "show 1",
                                  "cancel 1",
                                  "retry -d io",
                                  "dispatcher ls",
                                  "dispatcher show io",
                                  "dispatcher pause io",
                                  "dispatcher set io --limit 5",
                                  "worker ls",
                                  "broker status" };
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        char line[100];
        (void)snprintf(line, sizeof line, "--connect-timeout 150ms %s", lines[i]);
        int64_t start_ms = berth_clock_monotonic_ms();
        int code = run(f, line);
        if (code != 69)
            fail_msg("'%s' ended with %d", lines[i], code);
        assert_true(berth_clock_monotonic_ms() - start_ms >= 150);
        assert_says(f, fake_broker_url(f->broker));
        assert_one_line(process_err(&f->process));
    }
    assert_int_equal(run(f, "ls"), 69); /* the default is 3 s */
    assert_int_equal(run(f, "ls --json --connect-timeout 150ms"), 69);
    assert_string_equal(out(f), ""); /* no list that looks empty */
}

static void who_answers_but_is_no_broker_is_told_apart(void **state)
{
    struct fixture *f = *state;
    fake_broker_next(f->broker, FAKE_ANY, FAKE_GARBAGE, 1000);
    assert_int_equal(run(f, "ls --connect-timeout 1500ms"), 69);
    assert_says(f, "not as a broker does");
}

static void dispatchers_are_made_changed_paused_and_shown(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(run(f, "dispatcher set mail --max-attempts 2"), 5);
    assert_says(f, "needs a limit");
    assert_int_equal(run(f, "dispatcher set mail --limit 5 --timeout 30s --backoff 250ms "
                            "--backoff-max 1m --grace none --max-attempts 2"),
                     0);
    assert_string_equal(out(f), "");
    assert_int_equal(run(f, "dispatcher show mail --json"), 0);
    assert_json(
        f, "d['schema'] == 'berth.dispatcher/1' and d['name'] == 'mail' and d['limit'] == 5 and "
           "d['effective_limit'] == 5 and d['parent'] is None and d['paused'] is False and "
           "d['oldest_ready_seconds'] is None and d['timeout_ms'] == 30000 and "
           "d['backoff_ms'] == 250 and d['backoff_max_ms'] == 60000 and d['grace_ms'] == 0 "
           "and d['max_attempts'] == 2");
    assert_json(f, "set('name limit effective_limit parent paused running ready scheduled retrying "
                   "dead completed_total oldest_ready_seconds'.split()) <= set(d)");
    const struct {
        const char *limit, *json;
    } limits[] = { { "unlimited", "d['limit'] == 'unlimited' and d['effective_limit'] is None" },
                   { "cores", "d['limit'] == 'cores' and d['timeout_ms'] == 30000" },
                   { "max(64,cores)", "d['limit'] == 'max(64,cores)'" },
                   { "0", "d['limit'] == 0" } };
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(run_with(f, "dispatcher set mail --json --limit @", limits[i].limit, NULL),
                         0);
        assert_json(f, limits[i].json);
    }
    assert_int_equal(run(f, "dispatcher pause mail"), 0);
    assert_string_equal(out(f), "");
    assert_int_equal(run(f, "dispatcher show mail"), 0);
    assert_non_null(strstr(out(f), "paused          yes\n"));
    assert_int_equal(run(f, "dispatcher resume mail --json"), 0);
    assert_json(f, "d['paused'] is False");
    assert_int_equal(run(f, "dispatcher ls"), 0);
    assert_non_null(strstr(out(f), "NAME     LIMIT"));
    assert_int_equal(run(f, "dispatcher ls -q"), 0);
    assert_string_equal(out(f), "default\nio\nmail\n");
    assert_int_equal(run(f, "submit -d mail -- a"), 0);
    assert_int_equal(run(f, "dispatcher ls --json"), 0);
    assert_json(f, "d['schema'] == 'berth.dispatchers/1' and [i['name'] for i in d['items']] == "
                   "['default', 'io', 'mail'] and d['items'][2]['ready'] == 1 and "
                   "d['items'][2]['oldest_ready_seconds'] >= 0 and d['next'] is None");
}

static void workers_and_the_broker_are_shown(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(run(f, "worker ls"), 0);
    assert_string_equal(out(f),
                        "NAME    STATE   RUNNING  CAPACITY  SUSPENDED  CORES  SILENT  HANDLERS\n"
                        "host-1  joined        3       256          5      4   800ms  exec,mail\n");
    assert_int_equal(run(f, "worker ls -q"), 0);
    assert_string_equal(out(f), "host-1\n");
    assert_int_equal(run(f, "worker ls --json"), 0);
    assert_json(
        f,
        "d == {'schema': 'berth.workers/1', 'items': [{'name': 'host-1', 'state': "
        "'joined', 'capacity': 256, 'running': 3, 'suspended': 5, 'cores': 4, 'handlers': ['exec', "
        "'mail'], 'software': 'berth-worker 0.1.0', 'silent_ms': 800, 'lease_left_ms': "
        "9200, 'held': 0}], 'next': None}");
    assert_int_equal(run(f, "broker status"), 0);
    assert_non_null(strstr(out(f), "recovery        waits for 1 worker to come back, at most 7s"));
    assert_int_equal(run(f, "broker status -q"), 0);
    assert_string_equal(out(f), "7\n");
    assert_int_equal(run(f, "broker status --json"), 0);
    assert_json(f, "d['schema'] == 'berth.broker/1' and d['version'] == 'berthd 0.1.0' and "
                   "d['epoch'] == 7 and d['uptime_seconds'] == 90 and d['wal_bytes'] == 4096 and "
                   "d['recovery'] == {'workers_missing': 1, 'left_ms': 7000} and "
                   "d['jobs']['suspended'] == 2 and "
                   "set(d['jobs']) == set('scheduled ready running suspended cancelling retrying "
                   "completed dead cancelled'.split())");
}

static void data_that_cannot_be_written_is_a_failure(void **state)
{
    struct fixture *f = *state;
    struct process shell;
    const char *const env[] = { f->url, NULL };
    const char *const argv[] = { "sh", "-c", BERTH_BIN_DIR "/berth broker status > /dev/full",
                                 NULL };
    int code = process_run(&shell, argv, env, NULL, PATIENT);
    assert_non_null(strstr(process_err(&shell), "write to stdout"));
    process_fini(&shell);
    assert_int_equal(code, 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(what_comes_later_is_refused_by_name),
        TEST(options_stand_before_or_after),
        TEST(a_flag_wins_over_the_environment),
        TEST(a_broker_that_refuses_gives_each_reason_its_code),
        TEST(conflicts_unknown_dispatchers_and_versions_are_told_apart),
        TEST(without_an_answer_a_command_ends_with_69_in_time),
        TEST(who_answers_but_is_no_broker_is_told_apart),
        TEST(dispatchers_are_made_changed_paused_and_shown),
        TEST(workers_and_the_broker_are_shown),
        TEST(data_that_cannot_be_written_is_a_failure),
    };
    return berth_test_main(tests, NULL, NULL);
}
