/* SPDX-License-Identifier: MIT */
/* What runs at a worker is shown while it runs: what it writes, and how far it is. */
#include "worker_fixture.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"

/* Prints a line on stdout, waits for a writer of the FIFO, and prints one on each stream. */
static berth_job_id given_printing(struct fixture *f, char **ret_fifo, const char *last)
{
    char script[PATH_BYTES_MAX];
    *ret_fifo = tempdir_path(f->site->dir, "fifo");
    assert_int_equal(mkfifo(*ret_fifo, 0600), 0);
    (void)snprintf(script, sizeof script, "echo one; read x < %s; echo two; echo three >&2; %s",
                   *ret_fifo, last);
    return submit_shell(f, script);
}

static void start_following(struct fixture *f, struct process *process, berth_job_id id)
{
    char text[32];
    (void)snprintf(text, sizeof text, "%llu", (unsigned long long)id.v);
    const char *const argv[] = {
        BERTH_BIN_DIR "/berth", "--broker", f->site->url, "logs", "-f", text, NULL
    };
    process_start(process, argv, NULL);
}

static void output_is_followed_while_it_is_written(void **state)
{
    struct fixture *f = *state;
    struct process following;
    char *fifo;
    given_worker(f, 0);
    berth_job_id id = given_printing(f, &fifo, "exit 0");
    start_following(f, &following, id);

    assert_true(process_await_text(&following, "one\n", WAIT_MS)); /* it has not ended */
    assert_int_equal(process_await_exit(&following, 0), PROCESS_TIMED_OUT);
    unblock(fifo);

    assert_int_equal(process_await_exit(&following, WAIT_MS), 0);
    assert_string_equal(process_out(&following), "one\ntwo\n");
    assert_string_equal(process_err(&following), "three\n");
    process_fini(&following);
    start_following(f, &following, id); /* of what has ended the result is left */
    assert_int_equal(process_await_exit(&following, WAIT_MS), 0);
    assert_string_equal(process_out(&following), "one\ntwo\n");
    process_fini(&following);
}

static void following_goes_on_over_a_restart_of_the_broker(void **state)
{
    struct fixture *f = *state;
    struct process following;
    char *fifo;
    given_worker(f, 0);
    start_following(f, &following, given_printing(f, &fifo, "exit 3"));
    assert_true(process_await_text(&following, "one\n", WAIT_MS));

    assert_int_equal(site_kill(f->site), 128 + SIGKILL);
    site_start(f->site, NULL);
    unblock(fifo);

    assert_int_equal(process_await_exit(&following, WAIT_MS), 3);
    assert_string_equal(process_out(&following), "one\ntwo\n");
    assert_string_equal(process_err(&following), "three\n");
    process_fini(&following);
}

static void what_is_written_without_end_is_followed_to_its_end(void **state)
{
    struct fixture *f = *state;
    struct process following;
    given_worker(f, 0);
    /* More than is ever kept, and faster than it is shown: the last line is there all the same. */
    berth_job_id id = submit_shell(f, "seq 1 300000; echo end");
    start_following(f, &following, id);

    assert_int_equal(process_await_exit(&following, WAIT_MS), 0);
    const char *out = process_out(&following);
    assert_string_equal(out + strlen(out) - 11, "300000\nend\n");
    process_fini(&following);
}

static void a_handler_says_how_far_it_is(void **state)
{
    struct fixture *f = *state;
    given_worker(f, 0);
    char *fifo = tempdir_path(f->site->dir, "fifo");
    assert_int_equal(mkfifo(fifo, 0600), 0);
    berth_job_id id = submit_handler(f, "halfway", fifo);

    int64_t until_ms = berth_clock_monotonic_ms() + WAIT_MS;
    bool is_shown = false;
    while (!is_shown) {
        struct berth_job *job;
        assert_true(berth_clock_monotonic_ms() < until_ms);
        assert_ok(berth_job_get(f->client, id, &job, WAIT_MS, NULL));
        is_shown = job->has_progress && job->progress_done == 1 && job->progress_total == 2;
        berth_job_free(job);
    }
    unblock(fifo);

    struct berth_job *job = await_end(f, id, BERTH_COMPLETED);
    assert_true(job->has_progress);
    assert_int_equal(job->progress_done, 2);
    berth_job_free(job);
}

int main(void)
{
#define WORKER_TEST(fact) cmocka_unit_test_setup_teardown(fact, worker_setup, worker_teardown)
    const struct CMUnitTest tests[] = {
        WORKER_TEST(output_is_followed_while_it_is_written),
        WORKER_TEST(following_goes_on_over_a_restart_of_the_broker),
        WORKER_TEST(what_is_written_without_end_is_followed_to_its_end),
        WORKER_TEST(a_handler_says_how_far_it_is),
    };
    return berth_test_main(tests, NULL, NULL);
}
