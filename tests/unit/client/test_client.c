/* SPDX-License-Identifier: MIT
 *
 * The client's shell: connecting, resending, reconnecting, time limits, threads. Against a broker
 * that answers by script.
 */
#include "fixture.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "base/clock.h"

static const struct berth_job_spec mail = { .handler = "mail",
                                            .payload = { .data = "alice", .bytes = 5 } };

static int submit(struct fixture *f, int64_t timeout_ms, struct berth_error *err)
{
    berth_job_id id;
    return berth_submit(f->client, &mail, &id, timeout_ms, err);
}

/* A broker that is gone, and a client that has never met it. */
static void given_no_broker(struct fixture *f)
{
    fake_broker_stop(f->broker);
    berth_client_close(f->client);
    assert_ok(berth_client_open(&(struct berth_client_opts){ .url = fake_broker_url(f->broker) },
                                &f->client, NULL));
}

static void opening_takes_a_url_and_does_not_wait_for_a_broker(void **state)
{
    (void)state;
    struct berth_client *client;
    struct berth_error err;
    const struct {
        const char *url;
        int rc;
    } cases[] = {
        { "tcp://127.0.0.1:1", 0 },    { "ipc:///tmp/berth-nobody", 0 },
        { "tcp://[::1]:7411", 0 },     { "http://127.0.0.1:1", BERTH_EVALUE },
        { "127.0.0.1", BERTH_EVALUE }, { "tcp://host", BERTH_EVALUE },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int rc =
            berth_client_open(&(struct berth_client_opts){ .url = cases[i].url }, &client, &err);
        assert_int_equal(rc, cases[i].rc);
        if (rc == 0)
            berth_client_close(client);
    }
}

static void the_url_comes_from_the_environment_if_it_is_not_given(void **state)
{
    struct fixture *f = *state;
    setenv("BERTH_URL", fake_broker_url(f->broker), 1);
    struct berth_client *client;
    assert_ok(berth_client_open(NULL, &client, NULL));
    unsetenv("BERTH_URL");

    berth_job_id id;
    assert_ok(berth_submit(client, &mail, &id, PATIENT, NULL));
    assert_int_equal(id.v, 1);
    berth_client_close(client);
}

static void reserved_members_must_be_zero(void **state)
{
    (void)state;
    struct berth_client *client;
    struct berth_client_opts opts = { .reserved = { [7] = 1 } };
    assert_rc(berth_client_open(&opts, &client, NULL), BERTH_EVALUE);
    opts = (struct berth_client_opts){ .unreachable_ms = -1 };
    assert_rc(berth_client_open(&opts, &client, NULL), BERTH_EVALUE);
}

static void a_hello_comes_first_on_a_connection(void **state)
{
    struct fixture *f = *state;

    assert_ok(submit(f, PATIENT, NULL));

    assert_int_equal(fake_broker_first(f->broker), FAKE_HELLO);
    assert_int_equal(fake_broker_seen(f->broker, FAKE_HELLO), fake_broker_peers(f->broker));
}

static void a_request_whose_answer_is_lost_is_sent_again_unchanged(void **state)
{
    struct fixture *f = *state;
    fake_broker_next(f->broker, FAKE_SUBMIT, FAKE_DROP, 1);
    fake_broker_next(f->broker, FAKE_SUBMIT, FAKE_SWALLOW, 1);

    assert_ok(submit(f, PATIENT, NULL));

    assert_true(fake_broker_seen(f->broker, FAKE_SUBMIT) >= 3);
    assert_int_equal(fake_broker_jobs(f->broker), 1);
    struct berth_slice first = fake_broker_frame(f->broker, FAKE_SUBMIT, 0);
    for (size_t i = 1; i < 3; i++) {
        struct berth_slice again = fake_broker_frame(f->broker, FAKE_SUBMIT, i);
        assert_int_equal(again.bytes, first.bytes);
        assert_memory_equal(again.data, first.data, first.bytes);
    }
}

static void without_a_broker_a_submit_times_out_and_nothing_has_happened(void **state)
{
    struct fixture *f = *state;
    struct berth_error err;
    given_no_broker(f);
    int64_t start_ms = berth_clock_monotonic_ms();

    assert_rc(submit(f, 200, &err), -ETIMEDOUT);

    assert_true(berth_clock_monotonic_ms() - start_ms >= 200);
    assert_int_equal(err.code, -ETIMEDOUT);
    assert_non_null(strstr(err.message, "no connection"));
    assert_non_null(strstr(err.message, fake_broker_url(f->broker)));
    fake_broker_start(f->broker);
    assert_int_equal(fake_broker_jobs(f->broker), 0);
}

/* Until the client has seen that its connection is gone. */
static void await_disconnection(struct fixture *f)
{
    int64_t until_ms = berth_clock_monotonic_ms() + PATIENT;
    struct berth_error err;
    do {
        struct berth_job *job;
        assert_true(berth_clock_monotonic_ms() < until_ms);
        assert_rc(berth_job_get(f->client, (berth_job_id){ 1 }, &job, 200, &err), -ETIMEDOUT);
    } while (!strstr(err.message, "no connection"));
}

static void after_the_broker_is_gone_a_submit_was_not_sent(void **state)
{
    struct fixture *f = *state;
    assert_ok(submit(f, PATIENT, NULL));
    fake_broker_stop(f->broker);
    await_disconnection(f);

    assert_rc(submit(f, 200, NULL), -ETIMEDOUT);

    fake_broker_start(f->broker);
    assert_ok(submit(f, PATIENT, NULL));
}

static void a_submit_that_was_sent_and_not_answered_is_unknown(void **state)
{
    struct fixture *f = *state;
    struct berth_error err;
    fake_broker_next(f->broker, FAKE_SUBMIT, FAKE_SWALLOW, 100);

    ASSERT_UNKNOWN(300, timeout_ms, submit(f, timeout_ms, &err));

    assert_non_null(strstr(err.message, "not known"));
    assert_true(fake_broker_await(f->broker, FAKE_SUBMIT, 1, PATIENT));
    assert_int_equal(fake_broker_jobs(f->broker), 1);
}

static void a_time_limit_of_zero_sends_nothing(void **state)
{
    struct fixture *f = *state;
    assert_ok(submit(f, PATIENT, NULL));

    assert_rc(submit(f, 0, NULL), -ETIMEDOUT);

    assert_int_equal(fake_broker_seen(f->broker, FAKE_SUBMIT), 1);
}

struct submitter {
    struct fixture *f;
    pthread_t thread;
    int rc;
};

static void *submit_one(void *arg)
{
    struct submitter *submitter = arg;
    submitter->rc = submit(submitter->f, PATIENT, NULL);
    return NULL;
}

static void a_submit_begun_before_the_broker_is_there_is_answered_when_it_comes(void **state)
{
    struct fixture *f = *state;
    given_no_broker(f);
    struct submitter submitter = { .f = f, .rc = -1 };
    assert_int_equal(pthread_create(&submitter.thread, NULL, submit_one, &submitter), 0);
    assert_rc(submit(f, 300, NULL), -ETIMEDOUT); /* beside it, and all that long */

    fake_broker_start(f->broker);

    pthread_join(submitter.thread, NULL);
    assert_int_equal(submitter.rc, 0);
    assert_int_equal(fake_broker_jobs(f->broker), 1);
}

static void a_broker_that_restarts_is_soon_found_again(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 3; i++) {
        assert_ok(submit(f, PATIENT, NULL));
        fake_broker_stop(f->broker);
        fake_broker_start(f->broker);

        assert_ok(submit(f, PATIENT, NULL));
    }
    assert_int_equal(fake_broker_jobs(f->broker), 6);
    assert_int_equal(fake_broker_peers(f->broker), 1);
}

static void a_connection_that_stays_silent_is_changed(void **state)
{
    struct fixture *f = *state;
    fake_broker_next(f->broker, FAKE_SUBMIT, FAKE_DROP, 2);
    fake_broker_next(f->broker, FAKE_HELLO, FAKE_DROP, 1);

    assert_ok(submit(f, PATIENT, NULL));

    assert_int_equal(fake_broker_peers(f->broker), 2);
    assert_int_equal(fake_broker_seen(f->broker, FAKE_HELLO), 2);
    assert_int_equal(fake_broker_jobs(f->broker), 1);
}

static void garbage_is_ignored_and_the_request_sent_again(void **state)
{
    struct fixture *f = *state;
    fake_broker_next(f->broker, FAKE_SUBMIT, FAKE_GARBAGE, 2);

    assert_ok(submit(f, PATIENT, NULL));

    assert_int_equal(fake_broker_jobs(f->broker), 1);
}

static void who_only_sends_garbage_is_called_no_broker(void **state)
{
    struct fixture *f = *state;
    struct berth_error err;
    fake_broker_next(f->broker, FAKE_ANY, FAKE_GARBAGE, 100);
    struct berth_job *job;

    /* Longer, if this machine is too busy to hear any of it in that time. */
    int64_t timeout_ms = 300;
    do
        assert_rc(berth_job_get(f->client, (berth_job_id){ 1 }, &job, timeout_ms, &err),
                  -ETIMEDOUT);
    while (!strstr(err.message, "not as a broker does") && (timeout_ms *= 2) <= PATIENT);

    assert_non_null(strstr(err.message, "not as a broker does"));
}

static void an_answer_cut_short_or_to_another_question_is_an_error(void **state)
{
    struct fixture *f = *state;
    struct berth_error err;
    struct berth_job *job;
    assert_ok(submit(f, PATIENT, NULL));
    const enum fake_action actions[] = { FAKE_TRUNCATE, FAKE_OTHER };
    for (size_t i = 0; i < 2; i++) {
        fake_broker_next(f->broker, FAKE_GET, actions[i], 1);
        fake_broker_next(f->broker, FAKE_SUBMIT, actions[i], 1);

        assert_rc(berth_job_get(f->client, (berth_job_id){ 1 }, &job, PATIENT, &err), BERTH_EPROTO);
        assert_true(err.message[0] != '\0');
        assert_rc(submit(f, PATIENT, &err), BERTH_EPROTO);
    }
}

static void a_broker_of_another_version_is_named_as_such(void **state)
{
    struct fixture *f = *state;
    const enum fake_action actions[] = { FAKE_VERSION, FAKE_VERSION_2 };
    for (size_t i = 0; i < 2; i++) {
        struct berth_error err;
        fake_broker_next(f->broker, FAKE_ANY, actions[i], 100);
        struct berth_client *client;
        assert_ok(berth_client_open(
            &(struct berth_client_opts){ .url = fake_broker_url(f->broker) }, &client, NULL));
        berth_job_id id;

        assert_rc(berth_submit(client, &mail, &id, PATIENT, &err), BERTH_EVERSION);

        assert_non_null(strstr(err.message, "version"));
        berth_client_close(client);
    }
    assert_int_equal(fake_broker_jobs(f->broker), 0);
}

static void what_the_broker_says_is_what_the_caller_reads(void **state)
{
    struct fixture *f = *state;
    const int codes[] = { BERTH_ELATER, BERTH_EFULL, BERTH_ELIMIT, BERTH_EDENIED, -EREMOTEIO };
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        struct berth_error err;
        fake_broker_next_error(f->broker, FAKE_SUBMIT, codes[i], "because I say so", 1);

        assert_rc(submit(f, PATIENT, &err), codes[i]);

        assert_string_equal(err.message, "because I say so");
    }
}

static void a_silent_broker_ends_calls_when_a_limit_is_set(void **state)
{
    struct fixture *f = *state;
    struct berth_client *client;
    struct berth_error err;
    assert_ok(berth_client_open(
        &(struct berth_client_opts){ .url = fake_broker_url(f->broker), .unreachable_ms = 300 },
        &client, NULL));
    berth_job_id id;
    /* A busy machine may take longer than that to connect. */
    int rc;
    do
        rc = berth_submit(client, &mail, &id, PATIENT, NULL);
    while (rc == -EHOSTUNREACH || rc == BERTH_EUNKNOWN);
    assert_ok(rc);
    fake_broker_stop(f->broker);

    assert_rc(berth_job_wait(client, id, NULL, INT64_MAX, &err), -EHOSTUNREACH);

    assert_non_null(strstr(err.message, fake_broker_url(f->broker)));
    fake_broker_start(f->broker);
    berth_client_close(client);
}

static void more_than_pending_max_is_refused_at_once(void **state)
{
    struct fixture *f = *state;
    struct berth_client *client;
    struct berth_error err;
    assert_ok(berth_client_open(
        &(struct berth_client_opts){ .url = fake_broker_url(f->broker), .pending_max = 1 }, &client,
        NULL));
    static struct berth_job_spec specs[BERTH_SUBMIT_JOBS_MAX];
    static struct berth_submitted submitted[BERTH_SUBMIT_JOBS_MAX];
    static char big[BERTH_PAYLOAD_BYTES_MAX];
    for (size_t i = 0; i < 8; i++) /* two messages */
        specs[i] = (struct berth_job_spec){ .handler = "mail",
                                            .payload = { .data = big, .bytes = sizeof big } };

    int taken = berth_submit_many(client, specs, 8, submitted, PATIENT, &err);

    assert_in_range(taken, 3, 7);
    assert_int_equal(err.code, -EAGAIN);
    assert_int_equal(submitted[0].rc, 0);
    assert_int_equal(submitted[7].rc, -EAGAIN);
    berth_client_close(client);
}

#define THREADS 16
#define ROUNDS  25

struct racer {
    struct fixture *f;
    pthread_t thread;
    int failures;
    uint64_t ids[ROUNDS];
};

static void *race(void *arg)
{
    struct racer *racer = arg;
    for (int i = 0; i < ROUNDS; i++) {
        berth_job_id id = { 0 };
        if (berth_submit(racer->f->client, &mail, &id, PATIENT, NULL) < 0)
            racer->failures++;
        racer->ids[i] = id.v;
        struct berth_job *job = NULL;
        if (berth_job_get(racer->f->client, id, &job, PATIENT, NULL) < 0 || job->id.v != id.v)
            racer->failures++;
        berth_job_free(job);
    }
    return NULL;
}

static void many_threads_share_one_client(void **state)
{
    struct fixture *f = *state;
    static struct racer racers[THREADS];
    static bool is_seen[THREADS * ROUNDS + 1];
    memset(is_seen, 0, sizeof is_seen);
    for (size_t i = 0; i < THREADS; i++) {
        racers[i] = (struct racer){ .f = f };
        assert_int_equal(pthread_create(&racers[i].thread, NULL, race, &racers[i]), 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        pthread_join(racers[i].thread, NULL);
        assert_int_equal(racers[i].failures, 0);
        for (size_t j = 0; j < ROUNDS; j++) {
            assert_in_range(racers[i].ids[j], 1, THREADS * ROUNDS);
            assert_false(is_seen[racers[i].ids[j]]);
            is_seen[racers[i].ids[j]] = true;
        }
    }
    assert_int_equal(fake_broker_jobs(f->broker), THREADS * ROUNDS);
    assert_int_equal(fake_broker_peers(f->broker), 1);
}

static void *wait_for_first(void *arg)
{
    struct racer *racer = arg;
    racer->failures = berth_job_wait(racer->f->client, (berth_job_id){ 1 }, NULL, INT64_MAX, NULL);
    return NULL;
}

static void a_thread_that_waits_long_does_not_hold_up_the_others(void **state)
{
    struct fixture *f = *state;
    assert_ok(submit(f, PATIENT, NULL));
    struct racer waiter = { .f = f };
    assert_int_equal(pthread_create(&waiter.thread, NULL, wait_for_first, &waiter), 0);
    assert_true(fake_broker_await(f->broker, FAKE_WAIT, 1, PATIENT));

    for (int i = 0; i < 20; i++)
        assert_ok(submit(f, PATIENT, NULL)); /* it waits all the while, and longer */

    fake_broker_move(f->broker, 1, BERTH_COMPLETED);
    pthread_join(waiter.thread, NULL);
    assert_int_equal(waiter.failures, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(opening_takes_a_url_and_does_not_wait_for_a_broker),
        FIXTURE_TEST(the_url_comes_from_the_environment_if_it_is_not_given),
        cmocka_unit_test(reserved_members_must_be_zero),
        FIXTURE_TEST(a_hello_comes_first_on_a_connection),
        FIXTURE_TEST(a_request_whose_answer_is_lost_is_sent_again_unchanged),
        FIXTURE_TEST(without_a_broker_a_submit_times_out_and_nothing_has_happened),
        FIXTURE_TEST(after_the_broker_is_gone_a_submit_was_not_sent),
        FIXTURE_TEST(a_submit_that_was_sent_and_not_answered_is_unknown),
        FIXTURE_TEST(a_time_limit_of_zero_sends_nothing),
        FIXTURE_TEST(a_submit_begun_before_the_broker_is_there_is_answered_when_it_comes),
        FIXTURE_TEST(a_broker_that_restarts_is_soon_found_again),
        FIXTURE_TEST(a_connection_that_stays_silent_is_changed),
        FIXTURE_TEST(garbage_is_ignored_and_the_request_sent_again),
        FIXTURE_TEST(who_only_sends_garbage_is_called_no_broker),
        FIXTURE_TEST(an_answer_cut_short_or_to_another_question_is_an_error),
        FIXTURE_TEST(a_broker_of_another_version_is_named_as_such),
        FIXTURE_TEST(what_the_broker_says_is_what_the_caller_reads),
        FIXTURE_TEST(a_silent_broker_ends_calls_when_a_limit_is_set),
        FIXTURE_TEST(more_than_pending_max_is_refused_at_once),
        FIXTURE_TEST(many_threads_share_one_client),
        FIXTURE_TEST(a_thread_that_waits_long_does_not_hold_up_the_others),
    };
    return berth_test_main(tests, NULL, NULL);
}
