/* SPDX-License-Identifier: MIT
 *
 * The program `berth`, run for real against a broker that answers by script: what a command writes
 * while it runs, and a worker that is lost.
 */
#include "support/berthtest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fakebroker/fakebroker.h"
#include "support/process.h"

#define PATIENT   60000
#define WORDS_MAX 8

struct fixture {
    struct fake_broker *broker;
    struct process process; /* that was run last */
    bool has_process;
    char url[80];
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    f->broker = fake_broker_new();
    (void)snprintf(f->url, sizeof f->url, "BERTH_URL=%s", fake_broker_url(f->broker));
    *state = f;
    return 0;
}

static void forget(struct fixture *f)
{
    if (f->has_process)
        process_fini(&f->process);
    f->has_process = false;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    forget(f);
    fake_broker_free(f->broker);
    free(f);
    return 0;
}

/* Cuts `line` at blanks. */
static void start(struct fixture *f, const char *line)
{
    static char copy[200];
    const char *words[WORDS_MAX + 2] = { BERTH_BIN_DIR "/berth" };
    const char *const env[] = { f->url, NULL };
    size_t count = 1;
    (void)snprintf(copy, sizeof copy, "%s", line);
    for (char *at = copy, *word; (word = strsep(&at, " ")) != NULL;) {
        assert_true(count < WORDS_MAX);
        words[count++] = word;
    }
    forget(f);
    process_start(&f->process, words, env);
    f->has_process = true;
}

static int run(struct fixture *f, const char *line)
{
    start(f, line);
    process_close_stdin(&f->process);
    return process_await_exit(&f->process, PATIENT);
}

static const char *out(const struct fixture *f)
{
    return process_out(&f->process);
}

static void assert_says(const struct fixture *f, const char *part)
{
    if (!strstr(process_err(&f->process), part))
        fail_msg("'%s' does not say '%s'", process_err(&f->process), part);
}

static void logs_shows_what_was_written_each_stream_in_its_own(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(run(f, "submit -- a"), 0);
    assert_int_equal(run(f, "logs 1"), 0);
    assert_string_equal(out(f), "");
    fake_broker_write(f->broker, 1, 1, 3, "out\x1b\n", 0, "oops\n");

    assert_int_equal(run(f, "logs 1"), 0);
    assert_string_equal(out(f), "out\x1b\n"); /* no terminal: as it is */
    assert_string_equal(process_err(&f->process), "berth: 3 bytes of stdout were not kept\noops\n");
    assert_int_equal(run(f, "logs 1 --json"), 0);
    assert_string_equal(out(f), "{\"schema\":\"berth.logs/1\",\"id\":1,\"state\":\"running\","
                                "\"attempt\":1,\"stdout\":\"out\\u001b\\n\",\"stderr\":\"oops\\n\","
                                "\"stdout_truncated\":true,\"stderr_truncated\":false}\n");
    assert_int_equal(run(f, "logs 9"), 5);
    assert_says(f, "there is no job 9");
    assert_int_equal(run(f, "logs -f 1 --json"), 2);
    assert_int_equal(run(f, "logs"), 2);
}

static void logs_that_are_followed_end_as_the_job_does(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 2; i++)
        assert_int_equal(run(f, "submit -- a"), 0);
    fake_broker_write(f->broker, 1, 1, 0, "one\n", 0, "");
    start(f, "logs -f 1");
    assert_true(process_await_text(&f->process, "one\n", PATIENT));
    fake_broker_write(f->broker, 1, 1, 0, "one\ntwo\n", 0, "");
    assert_true(process_await_text(&f->process, "two\n", PATIENT));
    fake_broker_report(f->broker, 1, BERTH_DEAD, 3, (struct berth_slice){ "one\ntwo\nthree\n", 14 },
                       (struct berth_slice){ NULL, 0 }, "exit", "it ended with 3");

    assert_int_equal(process_await_exit(&f->process, PATIENT), 3);
    assert_string_equal(out(f), "one\ntwo\nthree\n");
    fake_broker_move(f->broker, 2, BERTH_CANCELLED);
    assert_int_equal(run(f, "logs -f 2"), 4);
    assert_int_equal(run(f, "logs 2"), 0);
    assert_int_equal(run(f, "logs --follow 9"), 5);
}

static void a_worker_is_declared_gone_only_by_who_is_sure(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(run(f, "worker gone host-1"), 2);
    assert_says(f, "runs twice");
    assert_int_equal(fake_broker_seen(f->broker, FAKE_WORKER_GONE), 0);
    assert_int_equal(run(f, "worker gone host-1 --yes"), 0);
    assert_string_equal(out(f), "host-1 is gone; 3 attempts of it were known to run\n");
    assert_int_equal(run(f, "worker gone host-1 --yes -q"), 0);
    assert_string_equal(out(f), "host-1\n");
    assert_int_equal(run(f, "worker gone host-1 --yes --json"), 0);
    assert_non_null(strstr(out(f), "\"state\":\"gone\""));
    assert_int_equal(run(f, "worker gone host-9 --yes"), 5);
    assert_says(f, "no such worker");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(logs_shows_what_was_written_each_stream_in_its_own),
        TEST(logs_that_are_followed_end_as_the_job_does),
        TEST(a_worker_is_declared_gone_only_by_who_is_sure),
    };
    return berth_test_main(tests, NULL, NULL);
}
