/* SPDX-License-Identifier: MIT
 *
 * Jobs that take the process along that runs them, under real programs: they are dead after the
 * second time, and who stood beside them ran again, once, and lost no try.
 */
#include "site.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <berth/admin.h>
#include <berth/client.h>

#include "base/text.h"
#include "support/tempdir.h"

#define PLUGIN    BERTH_BIN_DIR "/jobs_plugin.so"
#define WAIT_MS   60000
#define BESIDE    3
#define LINES_MAX 256

struct fixture {
    struct site *site;
    struct berth_client *client;
    struct process worker;
    char *path; /* where the lines are left */
    berth_job_id beside[BESIDE], command;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    if (!f || site_setup((void **)&f->site) < 0)
        return -1;
    site_start(f->site, NULL);
    f->path = tempdir_path(f->site->dir, "lines");
    *state = f;
    return berth_client_open(&(struct berth_client_opts){ .url = f->site->url }, &f->client, NULL);
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    berth_client_close(f->client);
    if (f->worker.pid)
        process_fini(&f->worker);
    void *site = f->site;
    (void)site_teardown(&site);
    free(f->path);
    free(f);
    return 0;
}

/* ---- words of the tests ---- */

static void await_text(struct fixture *f, const char *text)
{
    if (!process_await_text(&f->worker, text, WAIT_MS))
        fail_msg("the worker does not say '%s': %s", text, process_err(&f->worker));
}

static berth_job_id submit(struct fixture *f, const struct berth_job_spec *spec)
{
    berth_job_id id;
    struct berth_error err;
    if (berth_submit(f->client, spec, &id, WAIT_MS, &err) < 0)
        fail_msg("%s", err.message);
    return id;
}

/* May be tried once only. */
static berth_job_id submit_handler(struct fixture *f, const char *handler)
{
    return submit(f, &(struct berth_job_spec){ .dispatcher = "io",
                                               .handler = handler,
                                               .payload = berth_slice_of(f->path),
                                               .max_attempts = 1 });
}

/* The job at its end; the caller frees it. */
static struct berth_job *await_end(struct fixture *f, berth_job_id id, enum berth_state state)
{
    struct berth_job *job;
    struct berth_error err;
    if (berth_job_wait(f->client, id, &job, WAIT_MS, &err) < 0)
        fail_msg("job %llu: %s; %s", (unsigned long long)id.v, err.message,
                 process_err(&f->worker));
    if (job->state != state)
        fail_msg("job %llu is %s, not %s: %s", (unsigned long long)id.v,
                 berth_state_name(job->state), berth_state_name(state), job->error_message);
    return job;
}

/* A worker, and some that run in it: handlers and a command. */
static void given_neighbours(struct fixture *f)
{
    const char *const argv[] = { BERTH_BIN_DIR "/berth-worker",
                                 "--broker",
                                 f->site->url,
                                 "--name",
                                 "w0",
                                 "--plugin",
                                 PLUGIN,
                                 "--allow-exec",
                                 NULL };
    const char *const command[] = { "/bin/sh", "-c",
                                    "test $BERTH_ATTEMPT = 2 || { echo up; exec sleep 60; }",
                                    NULL };
    process_start(&f->worker, argv, NULL);
    await_text(f, "event=joined");
    for (size_t i = 0; i < BESIDE; i++) {
        char text[64];
        f->beside[i] = submit_handler(f, "beside");
        (void)snprintf(text, sizeof text, "job=%llu", (unsigned long long)f->beside[i].v);
        await_text(f, text);
    }
    f->command = submit(
        f, &(struct berth_job_spec){ .dispatcher = "io", .command = command, .max_attempts = 1 });
    for (bool is_up = false; !is_up;) {
        struct berth_job *job;
        assert_ok(berth_job_get(f->client, f->command, &job, WAIT_MS, NULL));
        is_up = job->state == BERTH_RUNNING;
        berth_job_free(job);
    }
}

/* They were lost with the poison once, and not again. */
static void then_neighbours_complete_at_their_second_attempt(struct fixture *f)
{
    for (size_t i = 0; i <= BESIDE; i++) {
        berth_job_id id = i < BESIDE ? f->beside[i] : f->command;
        struct berth_job *job = await_end(f, id, BERTH_COMPLETED);
        assert_int_equal(job->attempt, 2);
        berth_job_free(job);
    }
}

static void then_it_is_dead_after(struct fixture *f, berth_job_id id, uint32_t attempts)
{
    struct berth_job *job = await_end(f, id, BERTH_DEAD);
    assert_string_equal(job->error_kind, "crash");
    if (job->attempt != attempts) {
        (void)process_await_text(&f->worker, "nothing that it says", 100);
        const char *first = strstr(process_err(&f->worker), "child_gone");
        fail_msg("it is dead after %u attempts: %s", job->attempt, first ? first : "");
    }
    berth_job_free(job);
    char lines[LINES_MAX];
    FILE *file = fopen(f->path, "re");
    assert_non_null(file);
    size_t bytes = fread(lines, 1, sizeof lines, file);
    (void)fclose(file);
    uint32_t count = 0;
    for (size_t i = 0; i < bytes; i++)
        count += lines[i] == '\n';
    assert_int_equal(count, attempts);
}

/* ---- the stories ---- */

static void the_handler_that_a_fault_names_is_dead_after_two_attempts(void **state)
{
    struct fixture *f = *state;
    given_neighbours(f);

    berth_job_id poison = submit_handler(f, "crash");

    then_it_is_dead_after(f, poison, 2);
    then_neighbours_complete_at_their_second_attempt(f);
}

static void the_handler_that_aborts_is_named_too(void **state)
{
    struct fixture *f = *state;
    given_neighbours(f);

    berth_job_id poison = submit_handler(f, "give-up");

    then_it_is_dead_after(f, poison, 2);
    then_neighbours_complete_at_their_second_attempt(f);
}

/* Nobody is named: all are suspects, and each runs alone. */
static void the_handler_that_exits_is_found_by_running_all_suspects_alone(void **state)
{
    struct fixture *f = *state;
    given_neighbours(f);

    berth_job_id poison = submit_handler(f, "leave");

    then_it_is_dead_after(f, poison, 3);
    then_neighbours_complete_at_their_second_attempt(f);
}

static void what_is_known_of_a_suspect_outlives_the_broker(void **state)
{
    struct fixture *f = *state;
    given_neighbours(f);
    berth_job_id poison = submit_handler(f, "leave");
    await_text(f, "event=alone_started");

    assert_int_equal(site_kill(f->site), 128 + SIGKILL);
    site_start(f->site, NULL);

    struct berth_job *job = await_end(f, poison, BERTH_DEAD);
    assert_string_equal(job->error_kind, "crash");
    berth_job_free(job);
    then_neighbours_complete_at_their_second_attempt(f);
}

/* A worker is done when its processes for suspects are. */
static void a_drain_waits_for_suspects_too(void **state)
{
    struct fixture *f = *state;
    given_neighbours(f);
    berth_job_id poison = submit_handler(f, "crash-once");
    struct berth_job *job = await_end(f, poison, BERTH_COMPLETED);
    assert_int_equal(job->attempt, 2);
    berth_job_free(job);
    then_neighbours_complete_at_their_second_attempt(f);

    assert_ok(kill(f->worker.pid, SIGTERM));

    assert_int_equal(process_await_exit(&f->worker, WAIT_MS), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(the_handler_that_a_fault_names_is_dead_after_two_attempts),
        TEST(the_handler_that_aborts_is_named_too),
        TEST(the_handler_that_exits_is_found_by_running_all_suspects_alone),
        TEST(what_is_known_of_a_suspect_outlives_the_broker),
        TEST(a_drain_waits_for_suspects_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
