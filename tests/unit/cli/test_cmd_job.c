/* SPDX-License-Identifier: MIT */
/* `berth ls`, `show` and `cancel` against a broker that answers by script. */
#include "commands.h"

static void a_list_says_why_a_job_waits_rather_than_how_its_last_attempt_ended(void **state)
{
    struct fixture *f = *state;
    const struct berth_slice nothing = { .data = NULL };
    assert_int_equal(run(f, "submit -- a"), 0);

    fake_broker_report(f->broker, 1, BERTH_READY, 3, nothing, nothing, "exit", "status 3");
    assert_int_equal(run(f, "ls"), 0);
    assert_non_null(strstr(out(f), "  no worker offers it\n"));
    assert_null(strstr(out(f), "status 3"));

    fake_broker_report(f->broker, 1, BERTH_DEAD, 3, nothing, nothing, "exit", "status 3");
    assert_int_equal(run(f, "ls"), 0);
    assert_non_null(strstr(out(f), "  status 3\n"));
}

static void a_list_is_a_table_ids_or_json(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(run(f, "ls"), 0);
    assert_string_equal(out(f), "");
    assert_string_equal(process_err(&f->process), "berth: there are no jobs\n");
    assert_int_equal(run(f, "ls --state dead"), 0);
    assert_string_equal(process_err(&f->process), "berth: no such jobs\n");
    assert_int_equal(run(f, "ls -q"), 0);
    assert_string_equal(process_err(&f->process), "");
    for (int i = 0; i < 3; i++)
        assert_int_equal(run(f, i == 1 ? "submit -d io -- b -c d" : "submit -- a"), 0);
    fake_broker_move(f->broker, 3, BERTH_DEAD);

    assert_int_equal(run(f, "ls"), 0);
    assert_memory_equal(out(f), "ID  STATE  DISPATCHER  HANDLER  ATTEMPT", 39);
    assert_non_null(strstr(out(f), "\n 2  ready  io          exec         0/5"));
    assert_non_null(strstr(out(f), "  b -c d"));
    assert_int_equal(run(f, "ls -q"), 0);
    assert_string_equal(out(f), "3\n2\n1\n");
    assert_int_equal(run(f, "ls -q -d io"), 0);
    assert_string_equal(out(f), "2\n");
    assert_int_equal(run(f, "ls -q --state dead"), 0);
    assert_string_equal(out(f), "3\n");
    assert_int_equal(run(f, "ls -n 2 --json"), 0);
    assert_json(f, "d['schema'] == 'berth.jobs/1' and [j['id'] for j in d['items']] == [3, 2] and "
                   "d['next'] == 2");
    assert_int_equal(run(f, "ls -n 3 --json"), 0);
    assert_json(f, "len(d['items']) == 3 and d['next'] is None");
    assert_json(f, "[j['argv'] for j in d['items']] == [['a'], ['b', '-c', 'd'], ['a']]");
    assert_int_equal(run(f, "ls -n 1"), 0);
    assert_says(f, "there are more");
}

static void a_job_as_json_has_every_member_always(void **state)
{
    struct fixture *f = *state;
    static const char members[] =
        "'id dispatcher handler argv state reason attempt max_attempts priority key group parent "
        "submitted_at run_at started_at finished_at worker progress result error context "
        "array_index "
        "line deadline_at queue_timeout_ms backoff_ms backoff_max_ms unique after'.split()";
    char expression[600];
    (void)snprintf(expression, sizeof expression, "set(d) == set(%s) | {'schema'}", members);
    assert_int_equal(run(f, "submit --handler mail"), 0);

    assert_int_equal(run(f, "show 1 --json"), 0);
    assert_one_line(out(f));
    assert_json(f, expression);
    assert_json(f, "d['schema'] == 'berth.job/1' and list(d)[0] == 'schema'");
    assert_json(
        f, "all(d[k] is None for k in 'argv key group parent run_at started_at finished_at "
           "worker progress result error deadline_at queue_timeout_ms backoff_ms backoff_max_ms "
           "unique'.split())");
    assert_json(f, "d['after'] == []");
    assert_json(f, "d['state'] == 'ready' and d['context'] == {} and d['attempt'] == 0");
    assert_json(f, "d['submitted_at'] == '2026-01-01T00:00:00.000250Z'");

    (void)snprintf(expression, sizeof expression, "set(d['items'][0]) == set(%s)", members);
    assert_int_equal(run(f, "ls --json"), 0);
    assert_json(f, expression);
}

static void what_a_job_left_is_shown_whatever_it_wrote(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(run(f, "submit -- sh"), 0);
    static const char output[] = "gr\xc3\xbc\xc3\x9f\x65\n\xff\x1b[31m\"\0end";
    fake_broker_report(f->broker, 1, BERTH_DEAD, 143,
                       (struct berth_slice){ output, sizeof output - 1 },
                       (struct berth_slice){ "oops\n", 5 }, "signal", "ended by signal 15");

    assert_int_equal(run(f, "show 1 --json"), 0);
    assert_json(f, "d['result'] == {'exit_code': 143, 'stdout': "
                   "'gr\\u00fc\\u00dfe\\n\\ufffd\\x1b[31m\"\\x00end',"
                   " 'stderr': 'oops\\n', 'stdout_truncated': False, 'stderr_truncated': False, "
                   "'payload': None}");
    assert_json(f, "d['error'] == {'kind': 'signal', 'message': 'ended by signal 15'}");
    assert_json(f, "d['worker'] == 'host-1' and d['attempt'] == 1");
    assert_int_equal(run(f, "show 1"), 0);
    assert_null(strchr(out(f), '\x1b'));
    assert_non_null(strstr(out(f), "\nstdout:\ngr\xc3\xbc\xc3\x9f\x65\n?"));
    assert_non_null(strstr(out(f), "error       signal: ended by signal 15\n"));
    assert_non_null(strstr(out(f), "exit code   143\n"));
}

static void an_unknown_job_ends_with_5(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(run(f, "show 9"), 5);
    assert_string_equal(process_err(&f->process), "berth: there is no job 9\n");
    assert_int_equal(run(f, "wait 9"), 5);
    assert_int_equal(run(f, "cancel 9"), 5);
    assert_int_equal(run(f, "ls -d io"), 0);
    assert_int_equal(run(f, "dispatcher show nowhere"), 5);
    assert_int_equal(run(f, "dispatcher pause nowhere"), 5);
}

static void cancelling_prints_what_was_taken(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 3; i++)
        assert_int_equal(run(f, "submit -- a"), 0);
    fake_broker_move(f->broker, 2, BERTH_COMPLETED);

    assert_int_equal(run(f, "cancel 1 2 3"), 1);
    assert_string_equal(out(f), "1\n3\n");
    assert_says(f, "job 2 had ended: it is completed");
    assert_int_equal(run(f, "cancel 2 --json"), 1);
    assert_json(f, "d == {'schema': 'berth.cancelled/1', 'items': [{'id': 2, 'error': 'job 2 had "
                   "ended: it is completed'}], 'next': None}");
    assert_int_equal(run(f, "cancel 9 2"), 5);
    assert_int_equal(run(f, "submit -- a"), 0);
    assert_int_equal(run(f, "cancel --force 4"), 0);
    assert_string_equal(out(f), "4\n");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_list_says_why_a_job_waits_rather_than_how_its_last_attempt_ended),
        TEST(a_list_is_a_table_ids_or_json),
        TEST(a_job_as_json_has_every_member_always),
        TEST(what_a_job_left_is_shown_whatever_it_wrote),
        TEST(an_unknown_job_ends_with_5),
        TEST(cancelling_prints_what_was_taken),
    };
    return berth_test_main(tests, NULL, NULL);
}
