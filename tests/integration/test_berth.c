/* SPDX-License-Identifier: MIT
 *
 * The client library and the program `berth` against a real broker, which is killed and started
 * again meanwhile.
 */
#include "site.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <berth/admin.h>
#include <berth/client.h>

#include "support/await.h"

#define PATIENT  60000
#define THREADS  4
#define ARGS_MAX 63

static const char program[] = BERTH_BIN_DIR "/berth";

static struct berth_client *open_client(struct site *site)
{
    struct berth_client *client;
    assert_int_equal(
        berth_client_open(&(struct berth_client_opts){ .url = site->url }, &client, NULL), 0);
    return client;
}

/* Runs `berth ... args` and returns its exit code. `ret_process` is the caller's to fini. */
static int run(struct site *site, struct process *ret_process, const char *const *args)
{
    const char *argv[ARGS_MAX + 1] = { program, "--broker", site->url };
    size_t count = 3;
    for (; *args; args++) {
        assert_true(count < ARGS_MAX);
        argv[count++] = *args;
    }
    return process_run(ret_process, argv, NULL, NULL, PATIENT);
}
#define RUN(site, process, ...) run(site, process, (const char *const[]){ __VA_ARGS__, NULL })

static void assert_prints(struct site *site, int code, const char *wanted, const char *const *args)
{
    struct process process;
    int ended = run(site, &process, args);
    if (ended != code)
        fail_msg("ended with %d, not %d: %s", ended, code, process_err(&process));
    if (wanted)
        assert_string_equal(process_out(&process), wanted);
    process_fini(&process);
}
#define PRINTS(site, code, wanted, ...)                                                            \
    assert_prints(site, code, wanted, (const char *const[]){ __VA_ARGS__, NULL })

static void a_full_queue_is_a_limit_and_says_which(void **state)
{
    struct site *site = *state;
    site_start(site, NULL);
    PRINTS(site, 0, "", "dispatcher", "set", "mail", "--limit", "0", "--max-queued", "1");
    PRINTS(site, 0, "1\n", "submit", "-d", "mail", "--", "date");

    struct process process;
    assert_int_equal(RUN(site, &process, "submit", "-d", "mail", "--", "date"), 6);
    assert_string_equal(process_out(&process), "");
    assert_string_equal(process_err(&process),
                        "berth: dispatcher mail has 1 job queued, as many as its max_queued of 1 "
                        "allows\n");
    process_fini(&process);
}

static void what_was_submitted_is_shown_after_a_kill(void **state)
{
    struct site *site = *state;
    site_start(site, NULL);
    PRINTS(site, 0, "", "dispatcher", "set", "newsletter", "--limit", "5");
    PRINTS(site, 0, "1\n", "submit", "-d", "newsletter", "--key", "k", "--", "date");
    PRINTS(site, 0, "2\n", "submit", "--handler", "mail", "--payload", "x");
    PRINTS(site, 0, "", "dispatcher", "pause", "newsletter");
    site_kill(site);
    site_start(site, NULL);

    PRINTS(site, 0, "2\n1\n", "ls", "-q");
    PRINTS(site, 0, "1\n", "ls", "-q", "-d", "newsletter", "--state", "ready");
    PRINTS(site, 0, "1\n", "submit", "-d", "newsletter", "--key", "k", "--", "date");
    PRINTS(site, 1, "", "submit", "-d", "newsletter", "--key", "k", "--", "other");
    PRINTS(site, 0, "3\n", "submit", "-d", "newsletter", "--", "date");
    struct process process;
    assert_int_equal(RUN(site, &process, "show", "1"), 0);
    assert_in_text(process_out(&process), "command     date\n");
    process_fini(&process);
    assert_int_equal(RUN(site, &process, "dispatcher", "show", "newsletter"), 0);
    assert_in_text(process_out(&process), "paused          yes\n");
    process_fini(&process);
    PRINTS(site, 0, "2\n", "broker", "status", "-q");
}

/* All lines stand in what the command prints. */
static void then_shows(const char *const *argv, const char *const *lines)
{
    struct process process;
    assert_int_equal(process_run(&process, argv, NULL, NULL, PATIENT), 0);
    for (size_t i = 0; lines[i]; i++)
        assert_in_text(process_out(&process), lines[i]);
    process_fini(&process);
}

static void settings_and_options_outlive_a_kill(void **state)
{
    struct site *site = *state;
    static const char *const settings[] = {
        "parent          parent\n",
        "weight          3\n",
        "group limit     2\n",
        "rate            100/m\n",
        "burst           10\n",
        "max queued      1000\n",
        "hold            running\n",
        "on lost         hold\n",
        "jitter          off\n",
        "queue timeout   5m\n",
        "deadline        1h\n",
        "retention       1d\n",
        "retention count 7\n",
        "changed         20",
        "@",
        NULL,
    };
    static const char *const options[] = {
        "state       scheduled\n", "group       tenant\n",
        "unique      alice\n",     "after       1,2\n",
        "deadline    20",          "queue time  1m\n",
        "backoff     250ms\n",     "backoff max 2s\n",
        "tenant      blue\n",      NULL,
    };
    site_start(site, NULL);
    PRINTS(site, 0, "", "dispatcher", "set", "parent", "--limit", "5");
    PRINTS(site, 0, "", "dispatcher", "set", "child", "--limit", "5", "--parent", "parent",
           "--weight", "3", "--group-limit", "2", "--rate", "100/m", "--burst", "10",
           "--max-queued", "1000", "--hold", "running", "--on-lost", "hold", "--jitter", "off",
           "--queue-timeout", "5m", "--deadline", "1h", "--retention", "1d", "--retention-count",
           "7");
    PRINTS(site, 0, "1\n", "submit", "--delay", "1h", "--", "date");
    PRINTS(site, 0, "2\n", "submit", "--delay", "1h", "--", "date");
    PRINTS(site, 0, "3\n", "submit", "-d", "child", "--group", "tenant", "--delay", "1h",
           "--queue-timeout", "1m", "--backoff", "250ms", "--backoff-max", "2s", "--context",
           "tenant=blue", "--after", "1,2", "--unique", "alice", "--", "date");
    for (int round = 0; round < 2; round++) {
        const char *const show_child[] = { program, "--broker", site->url, "dispatcher",
                                           "show",  "child",    NULL };
        const char *const show_job[] = { program, "--broker", site->url, "show", "3", NULL };
        then_shows(show_child, settings);
        then_shows(show_job, options);
        site_kill(site);
        site_start(site, NULL);
    }
    PRINTS(site, 0, "3\n", "cancel", "3");
    const char *const show_job[] = { program, "--broker", site->url, "show", "3", NULL };
    then_shows(show_job, options + 1); /* from the history */
}

static void refusals_of_a_real_broker_have_their_codes(void **state)
{
    struct site *site = *state;
    site_start(site, NULL);
    PRINTS(site, 5, "", "submit", "-d", "nowhere", "--", "date");
    PRINTS(site, 5, "", "show", "1");
    PRINTS(site, 5, "", "wait", "1");
    PRINTS(site, 5, "", "cancel", "1");
    PRINTS(site, 5, "", "ls", "-d", "nowhere");
    PRINTS(site, 5, "", "dispatcher", "show", "nowhere");
    PRINTS(site, 5, "", "dispatcher", "pause", "nowhere");
    PRINTS(site, 5, "", "dispatcher", "set", "new", "--max-attempts", "2");
    PRINTS(site, 2, "", "dispatcher", "set", "default", "--backoff", "2h", "--backoff-max", "1h");
    PRINTS(site, 2, "", "dispatcher", "set", "default", "--backoff", "11m");
    PRINTS(site, 2, "", "dispatcher", "set", "default", "--backoff-max", "999ms");
    PRINTS(site, 2, "", "submit", "--backoff", "11m", "--", "date");
    PRINTS(site, 5, "", "dispatcher", "set", "new", "--limit", "1", "--parent", "nowhere");
    PRINTS(site, 5, "", "dispatcher", "show", "new");
    PRINTS(site, 0, "", "dispatcher", "set", "new", "--limit", "1", "--parent", "default");
    PRINTS(site, 2, "", "dispatcher", "set", "default", "--parent", "new");
    PRINTS(site, 2, "", "dispatcher", "set", "new", "--parent", "new");
    PRINTS(site, 0, "", "dispatcher", "set", "new", "--parent", "none");
    PRINTS(site, 0, "", "dispatcher", "set", "default", "--parent", "new");
    site_stop(site);
    PRINTS(site, 69, "", "ls", "--connect-timeout", "200ms");
}

static void a_cancelled_job_ends_the_wait_for_it_across_a_kill(void **state)
{
    struct site *site = *state;
    site_start(site, NULL);
    PRINTS(site, 0, "1\n", "submit", "--handler", "mail");
    struct process waiting;
    const char *const argv[] = { program, "--broker",  site->url, "wait",
                                 "1",     "--timeout", "30s",     NULL };
    process_start(&waiting, argv, NULL);
    site_kill(site);
    site_start(site, NULL);

    PRINTS(site, 0, "1\n", "cancel", "1");

    assert_int_equal(process_await_exit(&waiting, PATIENT), 4);
    assert_string_equal(process_out(&waiting), "1 cancelled\n");
    process_fini(&waiting);
    PRINTS(site, 1, "", "cancel", "1");
    PRINTS(site, 4, "1 cancelled\n", "wait", "1");
}

/* Threads that submit one job after the other, each with a payload of its own. */
struct submitter {
    struct berth_client *client;
    pthread_t thread;
    atomic_bool *is_over;
    size_t answered, failed;
    unsigned number;
    char first_failure[BERTH_ERROR_MESSAGE_MAX];
};

static atomic_size_t answered_in_all;

static void *submit_until_over(void *arg)
{
    struct submitter *submitter = arg;
    while (!atomic_load(submitter->is_over)) {
        char payload[64];
        struct berth_error err;
        int bytes = snprintf(payload, sizeof payload, "%u/%zu", submitter->number,
                             submitter->answered + submitter->failed);
        struct berth_job_spec spec = { .handler = "mail", .payload = { payload, (size_t)bytes } };
        berth_job_id id;
        if (berth_submit(submitter->client, &spec, &id, PATIENT, &err) == 0) {
            submitter->answered++;
            atomic_fetch_add(&answered_in_all, 1);
        } else if (submitter->failed++ == 0) {
            memcpy(submitter->first_failure, err.message, sizeof submitter->first_failure);
        }
    }
    return NULL;
}

static bool is_reached(void *arg)
{
    return atomic_load(&answered_in_all) >= *(size_t *)arg;
}

static int count_job(void *arg, const struct berth_job *job)
{
    size_t *count = arg;
    (*count)++;
    assert_int_equal(job->state, BERTH_READY);
    return 0;
}

static void submits_across_kills_are_taken_once_each(void **state)
{
    struct site *site = *state;
    site_start(site, NULL);
    struct berth_client *client = open_client(site);
    atomic_bool is_over = false;
    atomic_store(&answered_in_all, 0);
    static struct submitter submitters[THREADS];
    for (unsigned i = 0; i < THREADS; i++) {
        submitters[i] = (struct submitter){ .client = client, .number = i, .is_over = &is_over };
        assert_int_equal(
            pthread_create(&submitters[i].thread, NULL, submit_until_over, &submitters[i]), 0);
    }
    for (size_t kills = 1; kills <= 3; kills++) {
        size_t wanted = atomic_load(&answered_in_all) + 20;
        assert_true(await(is_reached, &wanted, PATIENT));
        site_kill(site);
        site_start(site, NULL);
    }
    size_t wanted = atomic_load(&answered_in_all) + 20;
    assert_true(await(is_reached, &wanted, PATIENT));
    atomic_store(&is_over, true);
    size_t answered = 0, listed = 0;
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(submitters[i].thread, NULL);
        assert_string_equal(submitters[i].first_failure, "");
        answered += submitters[i].answered;
    }

    assert_int_equal(berth_job_list(client, NULL, count_job, &listed, PATIENT, NULL), 0);
    assert_int_equal(listed, answered);
    berth_client_close(client);
}

static void ten_thousand_jobs_are_taken_listed_and_cancelled_in_part(void **state)
{
    struct site *site = *state;
    site_start(site, NULL);
    struct berth_client *client = open_client(site);
    static struct berth_job_spec specs[BERTH_SUBMIT_JOBS_MAX];
    static struct berth_submitted submitted[BERTH_SUBMIT_JOBS_MAX];
    static char body[600];
    for (size_t i = 0; i < BERTH_SUBMIT_JOBS_MAX; i++)
        specs[i] = (struct berth_job_spec){ .handler = "mail", .payload = { body, sizeof body } };

    assert_int_equal(
        berth_submit_many(client, specs, BERTH_SUBMIT_JOBS_MAX, submitted, PATIENT, NULL),
        BERTH_SUBMIT_JOBS_MAX);

    size_t listed = 0;
    assert_int_equal(berth_job_list(client, NULL, count_job, &listed, PATIENT, NULL), 0);
    assert_int_equal(listed, BERTH_SUBMIT_JOBS_MAX);
    assert_int_equal(berth_job_cancel(client, submitted[9999].id, PATIENT, NULL), 0);
    struct berth_job *job;
    assert_int_equal(berth_job_wait(client, submitted[9999].id, &job, PATIENT, NULL), 0);
    assert_int_equal(job->state, BERTH_CANCELLED);
    assert_int_equal(job->payload.bytes, sizeof body);
    berth_job_free(job);
    berth_client_close(client);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, site_setup, site_teardown)
    const struct CMUnitTest tests[] = {
        TEST(what_was_submitted_is_shown_after_a_kill),
        TEST(a_full_queue_is_a_limit_and_says_which),
        TEST(settings_and_options_outlive_a_kill),
        TEST(refusals_of_a_real_broker_have_their_codes),
        TEST(a_cancelled_job_ends_the_wait_for_it_across_a_kill),
        TEST(submits_across_kills_are_taken_once_each),
        TEST(ten_thousand_jobs_are_taken_listed_and_cancelled_in_part),
    };
    return berth_test_main(tests, NULL, NULL);
}
