/* SPDX-License-Identifier: MIT
 *
 * The program `berth`, run for real against a broker that answers by script: what goes to stdout
 * and stderr, and with which code it ends.
 */
#include "commands.h"

#include <signal.h>
#include <unistd.h>

#include <berth/error.h>

#include "base/clock.h"

static void submitting_prints_the_id_and_nothing_else(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(run(f, "submit -- date -u"), 0);
    assert_string_equal(out(f), "1\n");
    assert_string_equal(process_err(&f->process), "");
    assert_int_equal(run(f, "submit -q -d io --handler mail --payload x --key k --max-attempts 3 "
                            "--timeout 30s"),
                     0);
    assert_string_equal(out(f), "2\n");

    struct fake_job job = fake_broker_job(f->broker, 2);
    assert_string_equal(job.dispatcher, "io");
    assert_string_equal(job.handler, "mail");
    assert_string_equal(job.key, "k");
    assert_int_equal(job.max_attempts, 3);
    assert_int_equal(job.timeout_ms, 30000);
    assert_string_equal(fake_broker_job(f->broker, 1).handler, "exec");
}

static void what_stands_behind_the_dashes_is_the_command_untouched(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(run_with(f, "submit -d io -- echo --json -- @ -q", "two words", NULL), 0);
    assert_string_equal(out(f), "1\n");
    assert_int_equal(run(f, "show 1 --json"), 0);
    assert_json(f, "d['argv'] == ['echo', '--json', '--', 'two words', '-q']");
}

static void a_payload_comes_from_the_line_a_file_or_stdin(void **state)
{
    struct fixture *f = *state;
    char *path = tempdir_path(f->dir, "payload");
    tempdir_write(path, "from a file");
    assert_int_equal(run_with(f, "submit --handler a --payload-file @", path, NULL), 0);
    assert_int_equal(run_with(f, "submit --handler a --payload-file -", "", "from stdin"), 0);
    assert_int_equal(run_with(f, "submit --payload @ -- cat", "from the line", NULL), 0);

    const char *const wanted[] = { "from a file", "from stdin", "from the line" };
    for (size_t i = 0; i < 3; i++) {
        struct berth_slice body = fake_broker_job(f->broker, i + 1).body;
        assert_non_null(memmem(body.data, body.bytes, wanted[i], strlen(wanted[i])));
    }
    free(path);
}

/* A line of a command that is refused, the word in the place of '@', and what is said. */
struct mistake {
    const char *line, *extra, *says;
};

static void assert_refused(struct fixture *f, const struct mistake *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int code = run_with(f, cases[i].line, cases[i].extra, NULL);
        if (code != (strstr(cases[i].says, "No such file") ? 1 : 2))
            fail_msg("'%s' ended with %d", cases[i].line, code);
        assert_says(f, cases[i].says);
        assert_one_line(process_err(&f->process));
        assert_string_equal(out(f), "");
    }
    assert_int_equal(fake_broker_seen(f->broker, FAKE_ANY), 0);
}

/* One line of more than a payload may have. */
static char *given_big_file(struct fixture *f)
{
    char *big = tempdir_path(f->dir, "big");
    FILE *file = fopen(big, "w");
    assert_non_null(file);
    for (size_t i = 0; i <= 1 << 20; i++)
        (void)fputc('x', file);
    (void)fclose(file);
    return big;
}

static void what_is_malformed_is_refused_before_anything_is_sent(void **state)
{
    struct fixture *f = *state;
    char *big = given_big_file(f);
    const struct mistake cases[] = {
        { "submit", "", "command is wanted" },
        { "submit --", "", "command behind '--' is missing" },
        { "submit -- @", "", "empty" },
        { "submit date", "", "behind '--'" },
        { "submit --handler a -- date", "", "one of the two" },
        { "submit --handler exec", "", "handler: 'exec' is how commands run" },
        { "submit --handler a/b", "", "--handler: 'a/b' is not a name" },
        { "submit --handler @", "", "--handler: '' is not a name" },
        { "submit -d @ -- date", "a b", "--dispatcher: 'a b' is not a name" },
        { "submit --key @ -- date", "", "--key" },
        { "submit --timeout 30 -- date", "", "--timeout: '30'" },
        { "submit --timeout 30y -- date", "", "--timeout: '30y'" },
        { "submit --timeout -5s -- date", "", "--timeout: '-5s'" },
        { "submit --max-attempts 0 -- date", "", "--max-attempts: '0'" },
        { "submit --max-attempts -1 -- date", "", "--max-attempts: '-1'" },
        { "submit --handler a --payload x --payload-file y", "", "one payload" },
        { "submit --handler a --payload-file @", big, "more than 1MiB" },
        { "submit --handler a --payload-file /nowhere/at/all", "", "No such file" },
        { "submit --no-such-option -- date", "", "unknown option '--no-such-option'" },
        { "submit --handeler a", "", "did you mean '--handler'?" },
        { "ls --state runing", "", "did you mean 'running'?" },
        { "completion bsh", "", "did you mean 'bash'?" },
        { "completion", "", "needs more: bash|zsh|fish" },
        { "completion bash zsh", "", "takes no 'zsh'" },
        { "dispatcher set a --limit -1", "", "--limit: '-1' is no limit" },
        { "dispatcher set a/b --limit 1", "", "dispatcher: 'a/b' is not a name" },
        { "dispatcher set a --limit 1 --grace 2d", "", "--grace: '2d'" },
        { "dispatcher set a --limit 1 --backoff 5", "", "--backoff: '5'" },
        { "dispatcher show", "", "needs more" },
        { "wait", "", "needs more" },
        { "wait 1 x", "", "ID: 'x'" },
        { "wait 1 --timeout 5", "", "--timeout: '5'" },
        { "show 0", "", "ID: '0'" },
        { "show 1 2", "", "takes no '2'" },
        { "cancel 9007199254740992", "", "ID: '9007199254740992'" },
        { "ls --state sleeping", "", "--state: 'sleeping'" },
        { "ls -n 0", "", "--number: '0'" },
        { "ls --broker example.org", "", "--broker: 'example.org'" },
        { "ls --connect-timeout 0s", "", "--connect-timeout: '0s'" },
        { "sumbit -- date", "", "did you mean 'submit'?" },
        { "", "", "a command is wanted" },
        { "dispatcher", "", "needs one more word: ls, show, set, pause, resume, purge, rm" },
        { "key", "", "'berth key' is not there yet" },
        { "up --data @", "", "--data: '' is not allowed" },
        { "up --workers 65", "", "--workers: '65'" },
    };
    assert_refused(f, cases, sizeof cases / sizeof cases[0]);
    free(big);
}

static void many_that_make_no_sense_are_refused_before_anything_is_sent(void **state)
{
    struct fixture *f = *state;
    char *big = given_big_file(f);
    const struct mistake cases[] = {
        { "submit --array 5 -- date", "", "--array: '5' is no range of indices" },
        { "submit --array 0-1000000 -- date", "", "allowed are 1000000" },
        { "submit --array 1-2 --each-line x -- date", "", "one of the two" },
        { "submit --array 1-2 --handler a", "", "--array is for commands" },
        { "submit --each-line x --handler a", "", "--each-line is for commands" },
        { "submit --each-line - --payload-file - -- cat", "", "stdin can be read once" },
        { "submit --each-line /nowhere/at/all -- date", "", "No such file" },
        { "submit --each-line @ -- date", big, "line 1 has 1048577 bytes; allowed is 64KiB" },
        { "submit -array 1-2 -- date", "", "did you mean '--array'?" },
        { "--array 1-2 submit -- date", "", "stands behind its command" },
    };
    assert_refused(f, cases, sizeof cases / sizeof cases[0]);
    free(big);
}

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

static void waiting_ends_with_what_became_of_the_jobs(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 4; i++)
        assert_int_equal(run(f, "submit -- a"), 0);
    fake_broker_move(f->broker, 1, BERTH_COMPLETED);
    fake_broker_move(f->broker, 2, BERTH_DEAD);
    fake_broker_move(f->broker, 3, BERTH_CANCELLED);

    assert_int_equal(run(f, "wait 1"), 0);
    assert_string_equal(out(f), "1 completed\n");
    assert_int_equal(run(f, "wait 2"), 3);
    assert_string_equal(out(f), "2 dead\n");
    assert_int_equal(run(f, "wait 3 1"), 4);
    assert_string_equal(out(f), "1 completed\n3 cancelled\n");
    assert_int_equal(run(f, "wait 3 2 1"), 3);
    assert_int_equal(run(f, "wait -q 1"), 0);
    assert_string_equal(out(f), "1\n");
    assert_int_equal(run(f, "wait 1 99"), 5);
    assert_string_equal(out(f), "");
    assert_int_equal(run(f, "wait 2 4 --timeout 1500ms"), 124);
    assert_string_equal(out(f), "2 dead\n");
    assert_says(f, "1 of 2 jobs have ended");
    assert_int_equal(run(f, "wait 2 4 --timeout 1500ms --json"), 124);
    assert_json(f, "d == {'schema': 'berth.waited/1', 'items': [{'id': 2, 'state': 'dead'}], "
                   "'next': None}");
    assert_int_equal(run(f, "wait 4 --timeout 0s"), 124);
    assert_int_equal(run(f, "wait 1 --timeout 0s"), 0);
    assert_string_equal(out(f), "1 completed\n");
    assert_int_equal(run(f, "wait 2 4 --timeout 0s"), 124);
    assert_string_equal(out(f), "2 dead\n");
    assert_int_equal(run(f, "wait 99 --timeout 0s"), 5);
}

static void each_end_is_printed_when_it_comes(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 2; i++)
        assert_int_equal(run(f, "submit -- a"), 0);
    start(f, "wait 1 2", "");
    assert_true(fake_broker_await(f->broker, FAKE_WAIT, 1, PATIENT));

    fake_broker_move(f->broker, 2, BERTH_COMPLETED);
    assert_true(process_await_text(&f->process, "2 completed\n", PATIENT));
    fake_broker_move(f->broker, 1, BERTH_CANCELLED);

    assert_int_equal(process_await_exit(&f->process, PATIENT), 4);
    assert_string_equal(out(f), "2 completed\n1 cancelled\n");
}

static void a_wait_outlives_a_restart_of_the_broker(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(run(f, "submit -- a"), 0);
    start(f, "wait 1 --connect-timeout 100ms", "");
    assert_true(fake_broker_await(f->broker, FAKE_WAIT, 1, PATIENT));
    fake_broker_stop(f->broker);
    fake_broker_start(f->broker);
    assert_true(fake_broker_await(f->broker, FAKE_WAIT, 2, PATIENT));
    fake_broker_move(f->broker, 1, BERTH_COMPLETED);
    assert_int_equal(process_await_exit(&f->process, PATIENT), 0);
}

static void submit_and_wait_prints_the_id_first_and_ends_as_the_job_does(void **state)
{
    struct fixture *f = *state;
    start(f, "submit --wait -- a", "");
    assert_true(process_await_text(&f->process, "1\n", PATIENT));
    assert_true(fake_broker_await(f->broker, FAKE_WAIT, 1, PATIENT));
    fake_broker_stop(f->broker);
    fake_broker_start(f->broker);
    assert_true(fake_broker_await(f->broker, FAKE_WAIT, 2, PATIENT));
    fake_broker_move(f->broker, 1, BERTH_DEAD);
    assert_int_equal(process_await_exit(&f->process, PATIENT), 3);
    assert_string_equal(out(f), "1\n");
    assert_says(f, "berth: job 1 is dead");

    fake_broker_submit_as(f->broker, BERTH_CANCELLED);
    assert_int_equal(run(f, "submit --wait -- a"), 4);
    assert_says(f, "berth: job 2 is cancelled");
    fake_broker_submit_as(f->broker, BERTH_COMPLETED);
    assert_int_equal(run(f, "submit --wait -- a --json"), 0);
    assert_string_equal(out(f), "3\n");
    assert_int_equal(run(f, "submit --json --wait -- a"), 0);
    assert_json(f, "d == {'schema': 'berth.submitted/1', 'items': [{'id': 4, 'existing': False, "
                   "'state': 'completed'}], 'next': None}");
    assert_int_equal(run(f, "submit --json --key k -- a"), 0);
    assert_int_equal(run(f, "submit --json --key k -- a"), 0);
    assert_json(f, "d['items'] == [{'id': 5, 'existing': True, 'state': None}]");
}

static void many_are_submitted_in_batches_and_awaited_in_turns(void **state)
{
    struct fixture *f = *state;
    fake_broker_submit_as(f->broker, BERTH_COMPLETED);
    assert_int_equal(run(f, "submit --array 1-11000 --wait -- echo {}"), 0);
    assert_int_equal(fake_broker_jobs(f->broker), 11000);
    assert_true(fake_broker_submits(f->broker) >= 2);
    assert_true(fake_broker_seen(f->broker, FAKE_WAIT) >= 2);
    const char *at = out(f);
    for (unsigned long id = 1; id <= 11000; id++, at = strchr(at, '\n') + 1)
        assert_int_equal(strtoul(at, NULL, 10), id);
    size_t ended = 0;
    for (; (at = strstr(at, " completed\n")) != NULL; at++)
        ended++;
    assert_int_equal(ended, 11000);
}

static void many_as_json_are_one_document(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(run(f, "submit --json --array 1-3 --key k -- echo {}"), 0);
    assert_json(f, "d == {'schema': 'berth.submitted/1', 'items': [{'id': i, 'existing': False, "
                   "'state': None} for i in (1, 2, 3)], 'next': None}");
    assert_string_equal(fake_broker_job(f->broker, 2).key, "k/2");
    assert_int_equal(run(f, "submit --json --array 3-4 --key k -- echo {}"), 0);
    assert_json(f, "[(i['id'], i['existing']) for i in d['items']] == [(3, True), (4, False)]");
    fake_broker_submit_as(f->broker, BERTH_DEAD);
    assert_int_equal(run(f, "submit --json --wait --array 1-2 -- echo {}"), 3);
    assert_json(f, "[(i['id'], i['state']) for i in d['items']] == [(5, 'dead'), (6, 'dead')]");
    assert_int_equal(run_with(f, "submit --json --each-line - -- echo {}", "", ""), 0);
    assert_json(f, "d['items'] == []");
    assert_int_equal(run_with(f, "submit --each-line - -- echo {}", "", ""), 0);
    assert_string_equal(out(f), "");
    assert_says(f, "no lines, no jobs");
    assert_int_equal(run(f, "show 3 --json"), 0);
    assert_json(f, "d['array_index'] == 3 and d['line'] is None and d['argv'] == ['echo', '3']");
}

static void a_batch_that_is_refused_is_the_last(void **state)
{
    struct fixture *f = *state;
    fake_broker_next_error(f->broker, FAKE_SUBMIT, BERTH_ELIMIT, "the queue is full", 1);
    assert_int_equal(run(f, "submit --array 5-20000 --wait -- echo {}"), 6);
    assert_string_equal(out(f), "");
    assert_says(f, "berth: 0 of 19996 jobs were taken; index 5: the queue is full");
    assert_int_equal(fake_broker_jobs(f->broker), 0);
    assert_int_equal(fake_broker_seen(f->broker, FAKE_WAIT), 0);
}

static void an_interrupt_ends_with_130(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(run(f, "submit -- a"), 0);
    start(f, "wait 1", "");
    assert_true(fake_broker_await(f->broker, FAKE_WAIT, 1, PATIENT));
    process_kill(&f->process, SIGINT);
    assert_int_equal(process_await_exit(&f->process, PATIENT), 130);
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

static void dispatchers_are_made_changed_paused_and_shown(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(run(f, "dispatcher set mail --max-attempts 2"), 2);
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
    assert_string_equal(out(f), "NAME    STATE   RUNNING  CAPACITY  CORES  SILENT  HANDLERS\n"
                                "host-1  joined        3       256      4   800ms  exec,mail\n");
    assert_int_equal(run(f, "worker ls -q"), 0);
    assert_string_equal(out(f), "host-1\n");
    assert_int_equal(run(f, "worker ls --json"), 0);
    assert_json(f, "d == {'schema': 'berth.workers/1', 'items': [{'name': 'host-1', 'state': "
                   "'joined', 'capacity': 256, 'running': 3, 'cores': 4, 'handlers': ['exec', "
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
        TEST(submitting_prints_the_id_and_nothing_else),
        TEST(what_stands_behind_the_dashes_is_the_command_untouched),
        TEST(a_payload_comes_from_the_line_a_file_or_stdin),
        TEST(what_is_malformed_is_refused_before_anything_is_sent),
        TEST(many_that_make_no_sense_are_refused_before_anything_is_sent),
        TEST(what_comes_later_is_refused_by_name),
        TEST(options_stand_before_or_after),
        TEST(a_flag_wins_over_the_environment),
        TEST(a_broker_that_refuses_gives_each_reason_its_code),
        TEST(conflicts_unknown_dispatchers_and_versions_are_told_apart),
        TEST(without_an_answer_a_command_ends_with_69_in_time),
        TEST(who_answers_but_is_no_broker_is_told_apart),
        TEST(a_list_says_why_a_job_waits_rather_than_how_its_last_attempt_ended),
        TEST(a_list_is_a_table_ids_or_json),
        TEST(a_job_as_json_has_every_member_always),
        TEST(what_a_job_left_is_shown_whatever_it_wrote),
        TEST(an_unknown_job_ends_with_5),
        TEST(waiting_ends_with_what_became_of_the_jobs),
        TEST(each_end_is_printed_when_it_comes),
        TEST(a_wait_outlives_a_restart_of_the_broker),
        TEST(submit_and_wait_prints_the_id_first_and_ends_as_the_job_does),
        TEST(many_are_submitted_in_batches_and_awaited_in_turns),
        TEST(many_as_json_are_one_document),
        TEST(a_batch_that_is_refused_is_the_last),
        TEST(an_interrupt_ends_with_130),
        TEST(cancelling_prints_what_was_taken),
        TEST(dispatchers_are_made_changed_paused_and_shown),
        TEST(workers_and_the_broker_are_shown),
        TEST(data_that_cannot_be_written_is_a_failure),
    };
    return berth_test_main(tests, NULL, NULL);
}
