/* SPDX-License-Identifier: MIT */
/* `berth submit` against a broker that answers by script: one job or many, and what is refused
 * before anything is sent. */
#include "commands.h"

#include <berth/error.h>

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

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(submitting_prints_the_id_and_nothing_else),
        TEST(what_stands_behind_the_dashes_is_the_command_untouched),
        TEST(a_payload_comes_from_the_line_a_file_or_stdin),
        TEST(what_is_malformed_is_refused_before_anything_is_sent),
        TEST(many_that_make_no_sense_are_refused_before_anything_is_sent),
        TEST(many_are_submitted_in_batches_and_awaited_in_turns),
        TEST(many_as_json_are_one_document),
        TEST(a_batch_that_is_refused_is_the_last),
    };
    return berth_test_main(tests, NULL, NULL);
}
