/* SPDX-License-Identifier: MIT */
/* Workers as programs, under a real broker: handlers of a plugin, commands, cancel and timeout,
 * drain and stop, and a broker that dies under them. What they show: test_worker_output.c. */
#include "worker_fixture.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <berth/admin.h>

#include "base/clock.h"
#include "base/text.h"

/* ---- running ---- */

static void a_handler_of_a_plugin_runs_and_its_result_comes_back(void **state)
{
    struct fixture *f = *state;
    given_worker(f, 0);
    const struct berth_field context[] = { { "tenant", "acme" } };

    struct berth_job *job =
        await_end(f,
                  submit(f, &(struct berth_job_spec){ .handler = "echo",
                                                      .payload = berth_slice_of("hello"),
                                                      .context = context,
                                                      .context_count = 1 }),
                  BERTH_COMPLETED);

    assert_slice(job->result, "hello");
    assert_string_equal(job->worker, "w0");
    assert_int_equal(job->attempt, 1);
    assert_true(job->finished_unix_us >= job->started_unix_us);
    berth_job_free(job);
    await_worker_text(f, 0, "echo of 5 bytes");
    await_worker_text(f, 0, "tenant=acme");
}

static void a_command_runs_and_its_output_comes_back(void **state)
{
    struct fixture *f = *state;
    given_worker(f, 0);

    struct berth_job *job =
        await_end(f, submit_shell(f, "echo out $BERTH_ATTEMPT; echo err >&2"), BERTH_COMPLETED);

    assert_true(job->has_exit_code);
    assert_int_equal(job->exit_code, 0);
    assert_slice(job->out, "out 1\n");
    assert_slice(job->err, "err\n");
    berth_job_free(job);
}

static void many_jobs_run_to_their_end(void **state)
{
    struct fixture *f = *state;
    given_worker(f, 0);
    given_worker(f, 1);
    enum { JOBS = 400 };
    static struct berth_job_spec specs[JOBS];
    static struct berth_submitted submitted[JOBS];
    for (size_t i = 0; i < JOBS; i++)
        specs[i] = (struct berth_job_spec){ .handler = "echo", .payload = berth_slice_of("x") };

    assert_int_equal(berth_submit_many(f->client, specs, JOBS, submitted, WAIT_MS, NULL), JOBS);

    for (size_t i = 0; i < JOBS; i++)
        berth_job_free(await_end(f, submitted[i].id, BERTH_COMPLETED));
}

/* ---- failing ---- */

static void a_command_that_fails_is_dead_after_its_attempts(void **state)
{
    struct fixture *f = *state;
    given_worker(f, 0);

    struct berth_job *job = await_end(f, submit_shell(f, "exit 3"), BERTH_DEAD);

    assert_int_equal(job->exit_code, 3);
    assert_string_equal(job->error_kind, "exit");
    assert_in_text(job->error_message, "status 3");
    berth_job_free(job);
}

static void verdicts_decide_what_becomes_of_a_job(void **state)
{
    struct fixture *f = *state;
    given_worker(f, 0);
    berth_job_id third = submit_handler(f, "third-time", ""),
                 never = submit_handler(f, "never", ""), later = submit_handler(f, "later", "");

    struct berth_job *job = await_end(f, third, BERTH_COMPLETED);
    assert_int_equal(job->attempt, 3);
    assert_slice(job->result, "at last");
    berth_job_free(job);

    job = await_end(f, never, BERTH_DEAD);
    assert_int_equal(job->attempt, 1);
    assert_string_equal(job->error_kind, "handler");
    assert_string_equal(job->error_message, "there is no such address");
    berth_job_free(job);

    job = await_end(f, later, BERTH_COMPLETED);
    assert_int_equal(job->attempt, 2);
    berth_job_free(job);
}

static void a_timeout_ends_an_attempt_and_says_so(void **state)
{
    struct fixture *f = *state;
    given_worker(f, 0);
    const char *const argv[] = { "sleep", "60", NULL };
    berth_job_id command = submit(
        f, &(struct berth_job_spec){ .command = argv, .timeout_ms = 200, .max_attempts = 1 });
    berth_job_id handler = submit(
        f,
        &(struct berth_job_spec){ .handler = "wait-long", .timeout_ms = 200, .max_attempts = 1 });

    struct berth_job *job = await_end(f, command, BERTH_DEAD);
    assert_string_equal(job->error_kind, "timeout");
    berth_job_free(job);
    job = await_end(f, handler, BERTH_DEAD);
    assert_string_equal(job->error_kind, "timeout");
    assert_in_text(job->error_message, "200 ms");
    berth_job_free(job);
    await_worker_text(f, 0, "told to end: timeout");
}

static void a_running_job_can_be_cancelled(void **state)
{
    struct fixture *f = *state;
    given_worker(f, 0);
    berth_job_id handler = submit_handler(f, "wait-long", "");
    await_worker_text(f, 0, "message=waiting");
    char *path = tempdir_path(f->site->dir, "trace"), script[PATH_BYTES_MAX];
    tracing_script(script, path, "60");
    berth_job_id command = submit_shell(f, script);
    await_file(path, "begin\n");

    assert_ok(berth_job_cancel(f->client, handler, WAIT_MS, NULL));
    assert_ok(berth_job_cancel(f->client, command, WAIT_MS, NULL));

    berth_job_free(await_end(f, handler, BERTH_CANCELLED));
    berth_job_free(await_end(f, command, BERTH_CANCELLED));
    await_worker_text(f, 0, "told to end: cancel");
    free(path);
}

/* The handler blocks where no cancel reaches it. What runs beside it is lost with its process, and
 * runs again though it may be tried once only. */
static void a_handler_that_ignores_its_cancel_is_ended_by_force(void **state)
{
    struct fixture *f = *state;
    const struct berth_dispatcher_settings settings = { .limit = { .kind = BERTH_LIMIT_UNLIMITED },
                                                        .grace_ms = 100 };
    assert_ok(berth_dispatcher_set(f->client, "curt", &settings, NULL, WAIT_MS, NULL));
    given_worker(f, 0);
    char *fifo = tempdir_path(f->site->dir, "fifo"), *path = tempdir_path(f->site->dir, "trace");
    char script[PATH_BYTES_MAX];
    assert_int_equal(mkfifo(fifo, 0600), 0);
    berth_job_id stuck =
        submit(f, &(struct berth_job_spec){
                      .dispatcher = "curt", .handler = "block", .payload = berth_slice_of(fifo) });
    await_worker_text(f, 0, "message=blocking");
    /* Its first attempt is to be lost; the second one ends. */
    (void)snprintf(script, sizeof script,
                   "echo $BERTH_ATTEMPT >> %s; test $BERTH_ATTEMPT = 2 || "
                   "exec sleep 60",
                   path);
    berth_job_id beside = submit_shell(f, script);
    await_file(path, "1\n");

    assert_ok(berth_job_cancel(f->client, stuck, WAIT_MS, NULL));
    struct berth_job *job;
    int64_t until_ms = berth_clock_monotonic_ms() + WAIT_MS;
    for (bool is_silent = false; !is_silent;) {
        assert_true(berth_clock_monotonic_ms() < until_ms);
        assert_ok(berth_job_get(f->client, stuck, &job, WAIT_MS, NULL));
        is_silent = strstr(job->reason, "does not answer") != NULL;
        assert_int_equal(job->state, BERTH_CANCELLING);
        berth_job_free(job);
    }
    assert_ok(berth_job_cancel_force(f->client, stuck, WAIT_MS, NULL));

    berth_job_free(await_end(f, stuck, BERTH_CANCELLED));
    job = await_end(f, beside, BERTH_COMPLETED);
    assert_int_equal(job->attempt, 2);
    berth_job_free(job);
    await_worker_text(f, 0, "was cancelled by force");
    free(path);
    free(fifo);
}

/* ---- going and coming ---- */

static void drain_lets_what_runs_end_and_takes_nothing_new(void **state)
{
    struct fixture *f = *state;
    given_worker(f, 0);
    char *fifo;
    berth_job_id running = given_blocked(f, &fifo);

    process_kill(&f->workers[0], SIGTERM);
    await_worker_text(f, 0, "event=draining");
    unblock(fifo);
    berth_job_free(await_end(f, running, BERTH_COMPLETED));

    assert_int_equal(await_worker_exit(f, 0), 0);
    assert_in_text(process_err(&f->workers[0]), "plugin jobs: closed");
    berth_job_id waiting = submit_handler(f, "echo", "");
    given_worker(f, 1);
    berth_job_free(await_end(f, waiting, BERTH_COMPLETED));
}

static void a_second_term_hands_back_unspent(void **state)
{
    struct fixture *f = *state;
    char *path = tempdir_path(f->site->dir, "trace"), script[PATH_BYTES_MAX];
    (void)snprintf(script, sizeof script, "echo begin >> %s; [ $(wc -l < %s) = 2 ] || sleep 60",
                   path, path);
    given_worker(f, 0);
    berth_job_id id = submit_shell(f, script); /* one attempt only */
    await_file(path, "begin\n");

    process_kill(&f->workers[0], SIGTERM);
    await_worker_text(f, 0, "event=draining");
    process_kill(&f->workers[0], SIGTERM);
    assert_int_equal(await_worker_exit(f, 0), 0);
    given_worker(f, 1);

    struct berth_job *job = await_end(f, id, BERTH_COMPLETED);
    assert_string_equal(job->worker, "w1");
    assert_int_equal(job->attempt, 2); /* of one allowed: what was handed back is not counted */
    berth_job_free(job);
    free(path);
}

static void a_broker_that_is_killed_does_not_disturb_what_runs(void **state)
{
    struct fixture *f = *state;
    char *path = tempdir_path(f->site->dir, "trace"), script[PATH_BYTES_MAX];
    char *fifo;
    tracing_script(script, path, "2");
    given_worker(f, 0);
    berth_job_id command = submit_shell(f, script);
    berth_job_id handler = given_blocked(f, &fifo);
    await_file(path, "begin\n");

    (void)site_kill(f->site);
    site_start(f->site, NULL);
    unblock(fifo);

    struct berth_job *job = await_end(f, command, BERTH_COMPLETED);
    assert_int_equal(job->attempt, 1);
    berth_job_free(job);
    berth_job_free(await_end(f, handler, BERTH_COMPLETED));
    await_file(path, "begin\nend\n"); /* once */
    free(path);
}

static void what_ends_while_the_broker_is_away_is_reported_when_it_is_back(void **state)
{
    struct fixture *f = *state;
    char *path = tempdir_path(f->site->dir, "trace"), script[PATH_BYTES_MAX];
    tracing_script(script, path, "0.5");
    given_worker(f, 0);
    berth_job_id id = submit_shell(f, script);
    await_file(path, "begin\n");

    (void)site_kill(f->site);
    await_file(path, "begin\nend\n");
    site_start(f->site, NULL);

    struct berth_job *job = await_end(f, id, BERTH_COMPLETED);
    assert_int_equal(job->attempt, 1);
    berth_job_free(job);
    await_file(path, "begin\nend\n");
    free(path);
}

static void a_worker_may_be_there_before_its_broker(void **state)
{
    struct fixture *f = *state;
    (void)site_kill(f->site);
    static const char *const args[] = { "--plugin", PLUGIN, NULL };
    worker_begin(f, 0, args);
    await_worker_text(f, 0, "event=plugin_loaded");

    site_start(f->site, NULL);

    await_worker_text(f, 0, "event=joined");
    berth_job_free(await_end(f, submit_handler(f, "echo", ""), BERTH_COMPLETED));
}

/* ---- signals and refusals ---- */

static void hup_reads_the_level_again_and_quit_shows_the_coroutines(void **state)
{
    struct fixture *f = *state;
    char *path = tempdir_path(f->site->dir, "worker.conf");
    tempdir_write(path, "[worker]\nlog_level = info\n");
    const char *const args[] = { "--plugin", PLUGIN, "--config", path, NULL };
    worker_begin(f, 0, args);
    await_worker_text(f, 0, "event=joined");
    (void)submit_handler(f, "wait-long", "");
    await_worker_text(f, 0, "message=waiting");

    process_kill(&f->workers[0], SIGQUIT);
    await_worker_text(f, 0, "wait-long");
    tempdir_write(path, "[worker]\nlog_level = debug\ncapacity = 3\n");
    process_kill(&f->workers[0], SIGHUP);
    await_worker_text(f, 0, "setting=capacity");
    await_worker_text(f, 0, "event=reloaded");
    tempdir_write(path, "[worker]\nlog_level = loud\n");
    process_kill(&f->workers[0], SIGHUP);

    await_worker_text(f, 0, "the old configuration stays in force");
    free(path);
}

static void what_cannot_work_ends_at_once_with_a_sentence(void **state)
{
    static const struct {
        const char *args[5];
        int code;
        const char *text;
    } rows[] = {
        { { "--allow-exec", "--capacity", "-1" }, 2, "--capacity" },
        { { NULL }, 2, "nothing to offer" },
        { { "--plugin", "/nonexistent/p.so" }, 1, "/nonexistent/p.so" },
        { { "--plugin", BERTH_BIN_DIR "/berthd" }, 1, "plugin" },
        { { "--allow-exec", "--work-dir", "/nonexistent" }, 1, "/nonexistent" },
        { { "--allow-exec", "--config", "/nonexistent.conf" }, 1, "/nonexistent.conf" },
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        worker_begin(f, 0, rows[i].args);
        int code = await_worker_exit(f, 0);
        if (code != rows[i].code)
            fail_msg("row %zu ended with %d: %s", i, code, process_err(&f->workers[0]));
        assert_in_text(process_err(&f->workers[0]), rows[i].text);
        process_fini(&f->workers[0]);
        f->workers[0].pid = 0;
    }
}

int main(void)
{
#define WORKER_TEST(fact) cmocka_unit_test_setup_teardown(fact, worker_setup, worker_teardown)
    const struct CMUnitTest tests[] = {
        WORKER_TEST(a_handler_of_a_plugin_runs_and_its_result_comes_back),
        WORKER_TEST(a_command_runs_and_its_output_comes_back),
        WORKER_TEST(many_jobs_run_to_their_end),
        WORKER_TEST(a_command_that_fails_is_dead_after_its_attempts),
        WORKER_TEST(verdicts_decide_what_becomes_of_a_job),
        WORKER_TEST(a_timeout_ends_an_attempt_and_says_so),
        WORKER_TEST(a_running_job_can_be_cancelled),
        WORKER_TEST(a_handler_that_ignores_its_cancel_is_ended_by_force),
        WORKER_TEST(drain_lets_what_runs_end_and_takes_nothing_new),
        WORKER_TEST(a_second_term_hands_back_unspent),
        WORKER_TEST(a_broker_that_is_killed_does_not_disturb_what_runs),
        WORKER_TEST(what_ends_while_the_broker_is_away_is_reported_when_it_is_back),
        WORKER_TEST(a_worker_may_be_there_before_its_broker),
        WORKER_TEST(hup_reads_the_level_again_and_quit_shows_the_coroutines),
        WORKER_TEST(what_cannot_work_ends_at_once_with_a_sentence),
    };
    return berth_test_main(tests, NULL, NULL);
}
