/* SPDX-License-Identifier: MIT
 *
 * Submitting: what is refused before anything is sent, what the broker gets, and what comes back.
 */
#include "fixture.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "support/faulty.h"

static void a_job_arrives_as_it_was_given(void **state)
{
    struct fixture *f = *state;
    berth_job_id id;
    assert_ok(berth_submit(f->client,
                           &(struct berth_job_spec){ .dispatcher = "io",
                                                     .handler = "mail",
                                                     .payload = { "to\0alice", 8 },
                                                     .idempotency_key = "Grüße-1",
                                                     .timeout_ms = 30000,
                                                     .max_attempts = 3,
                                                     .priority = -7 },
                           &id, PATIENT, NULL));

    struct fake_job job = fake_broker_job(f->broker, id.v);
    assert_string_equal(job.dispatcher, "io");
    assert_string_equal(job.handler, "mail");
    assert_string_equal(job.key, "Grüße-1");
    assert_int_equal(job.timeout_ms, 30000);
    assert_int_equal(job.max_attempts, 3);
    assert_int_equal(job.priority, -7);
    struct berth_job *got;
    assert_ok(berth_job_get(f->client, id, &got, PATIENT, NULL));
    assert_int_equal(got->payload.bytes, 8);
    assert_memory_equal(got->payload.data, "to\0alice", 8);
    berth_job_free(got);
}

static void the_options_of_a_job_come_back_with_it(void **state)
{
    struct fixture *f = *state;
    berth_job_id id, other;
    assert_ok(
        berth_submit(f->client, &(struct berth_job_spec){ .handler = "m" }, &other, PATIENT, NULL));
    const struct berth_job_spec spec = { .handler = "mail",
                                         .group = "Grüße",
                                         .unique = "alice",
                                         .on_conflict = BERTH_UNIQUE_EXISTING,
                                         .run_at_unix_us = 4102444800000000,
                                         .queue_timeout_ms = 300000,
                                         .deadline_ms = 60000,
                                         .backoff_ms = 250,
                                         .backoff_ms_max = 1000,
                                         .after = &other,
                                         .after_count = 1 };
    assert_ok(berth_submit(f->client, &spec, &id, PATIENT, NULL));

    struct fake_job job = fake_broker_job(f->broker, id.v);
    assert_int_equal(job.on_conflict, 1);
    assert_int_equal(job.deadline_ms, 60000);
    struct berth_job *got;
    assert_ok(berth_job_get(f->client, id, &got, PATIENT, NULL));
    assert_string_equal(got->group, "Grüße");
    assert_string_equal(got->unique, "alice");
    assert_int_equal(got->run_at_unix_us, 4102444800000000);
    assert_int_equal(got->deadline_unix_us, got->submitted_unix_us + 60000000);
    assert_int_equal(got->queue_timeout_ms, 300000);
    assert_int_equal(got->backoff_ms, 250);
    assert_int_equal(got->backoff_ms_max, 1000);
    assert_int_equal(got->after_count, 1);
    assert_int_equal(got->after[0].v, other.v);
    berth_job_free(got);

    assert_ok(berth_job_get(f->client, other, &got, PATIENT, NULL));
    assert_string_equal(got->group, "");
    assert_string_equal(got->unique, "");
    assert_null(got->after);
    berth_job_free(got);
}

static void a_delay_is_counted_by_the_broker(void **state)
{
    struct fixture *f = *state;
    berth_job_id id;
    assert_ok(berth_submit(f->client, &(struct berth_job_spec){ .handler = "m", .delay_ms = 10000 },
                           &id, PATIENT, NULL));
    assert_int_equal(fake_broker_job(f->broker, id.v).delay_ms, 10000);
}

static void a_command_goes_to_exec_and_to_the_default_dispatcher(void **state)
{
    struct fixture *f = *state;
    const char *const argv[] = { "echo", "", "two words", NULL };
    const struct berth_field context[] = { { "tenant", "blue" }, { "empty", "" } };
    berth_job_id id;
    assert_ok(berth_submit(
        f->client,
        &(struct berth_job_spec){ .command = argv, .context = context, .context_count = 2 }, &id,
        PATIENT, NULL));

    struct berth_job *job;
    assert_ok(berth_job_get(f->client, id, &job, PATIENT, NULL));
    assert_string_equal(job->dispatcher, "default");
    assert_string_equal(job->handler, "exec");
    for (size_t i = 0; i < 3; i++)
        assert_string_equal(job->command[i], argv[i]);
    assert_null(job->command[3]);
    assert_int_equal(job->context_count, 2);
    assert_string_equal(job->context[0].key, "tenant");
    assert_string_equal(job->context[0].value, "blue");
    assert_string_equal(job->context[1].value, "");
    berth_job_free(job);
}

static void a_malformed_job_is_refused_before_anything_is_sent(void **state)
{
    struct fixture *f = *state;
    static char big[BERTH_PAYLOAD_BYTES_MAX + 1];
    static const char *const nothing[] = { NULL };
    static const char *const argv[] = { "date", NULL };
    static char long_key[257];
    memset(long_key, 'k', 256);
    const struct berth_field twice[] = { { "a", "1" }, { "a", "2" } };
    const struct {
        struct berth_job_spec spec;
        int rc;
        const char *says;
    } cases[] = {
        { { .handler = NULL }, BERTH_EVALUE, "either a handler or a command" },
        { { .handler = "m", .command = argv }, BERTH_EVALUE, "either a handler or a command" },
        { { .command = nothing }, BERTH_EVALUE, "empty" },
        { { .handler = "no blanks" }, BERTH_EVALUE, "handler" },
        { { .handler = "" }, BERTH_EVALUE, "handler" },
        { { .handler = "m", .dispatcher = "-x" }, BERTH_EVALUE, "dispatcher" },
        { { .handler = "m", .payload = { big, sizeof big } }, -EMSGSIZE, "payload" },
        { { .handler = "m", .idempotency_key = "" }, BERTH_EVALUE, "key" },
        { { .handler = "m", .idempotency_key = long_key }, BERTH_EVALUE, "key" },
        { { .handler = "m", .idempotency_key = "\xff" }, BERTH_EVALUE, "key" },
        { { .handler = "m", .priority = 101 }, BERTH_EVALUE, "priority" },
        { { .handler = "m", .priority = -101 }, BERTH_EVALUE, "priority" },
        { { .handler = "m", .timeout_ms = -1 }, BERTH_EVALUE, "timeout" },
        { { .handler = "m", .max_attempts = 1000001 }, BERTH_EVALUE, "max_attempts" },
        { { .handler = "m", .context = twice, .context_count = 2 }, BERTH_EVALUE, "context" },
        { { .handler = "m", .reserved = { 1 } }, BERTH_EVALUE, "reserved" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        berth_job_id id = { 77 };
        struct berth_error err;

        assert_rc(berth_submit(f->client, &cases[i].spec, &id, PATIENT, &err), cases[i].rc);

        assert_non_null(strstr(err.message, cases[i].says));
        assert_int_equal(id.v, 77);
    }
    assert_int_equal(fake_broker_seen(f->broker, FAKE_ANY), 0);
}

static void options_out_of_range_are_refused_before_anything_is_sent(void **state)
{
    struct fixture *f = *state;
    static char long_key[257];
    static const berth_job_id nobody[1];
    memset(long_key, 'k', 256);
    const struct {
        struct berth_job_spec spec;
        int rc;
        const char *says;
    } cases[] = {
        { { .handler = "m", .delay_ms = -1 }, BERTH_EVALUE, "delay_ms -1" },
        { { .handler = "m", .delay_ms = 315360000001 }, BERTH_EVALUE, "delay_ms 315360000001" },
        { { .handler = "m", .delay_ms = 1, .run_at_unix_us = 1 }, BERTH_EVALUE, "one of the two" },
        { { .handler = "m", .run_at_unix_us = -1 }, BERTH_EVALUE, "run_at_unix_us -1" },
        { { .handler = "m", .run_at_unix_us = 253402300800000000 },
          BERTH_EVALUE,
          "run_at_unix_us 253402300800000000" },
        { { .handler = "m", .group = "" }, BERTH_EVALUE, "group" },
        { { .handler = "m", .group = long_key }, BERTH_EVALUE, "group" },
        { { .handler = "m", .group = "\xff" }, BERTH_EVALUE, "group" },
        { { .handler = "m", .queue_timeout_ms = -1 }, BERTH_EVALUE, "queue_timeout_ms -1" },
        { { .handler = "m", .deadline_ms = -1 }, BERTH_EVALUE, "deadline_ms -1" },
        { { .handler = "m", .backoff_ms = -1 }, BERTH_EVALUE, "backoff_ms -1" },
        { { .handler = "m", .backoff_ms_max = -1 }, BERTH_EVALUE, "backoff_ms_max -1" },
        { { .handler = "m", .backoff_ms = 2, .backoff_ms_max = 1 },
          BERTH_EVALUE,
          "backoff_ms 2 is more than backoff_ms_max 1" },
        { { .handler = "m", .unique = "" }, BERTH_EVALUE, "unique" },
        { { .handler = "m", .unique = long_key }, BERTH_EVALUE, "unique" },
        { { .handler = "m", .on_conflict = BERTH_UNIQUE_EXISTING }, BERTH_EVALUE, "unique key" },
        { { .handler = "m", .unique = "u", .on_conflict = (enum berth_unique_conflict)2 },
          BERTH_EVALUE,
          "on_conflict 2" },
        { { .handler = "m", .after = nobody, .after_count = 1 }, BERTH_EVALUE, "after: id 0" },
        { { .handler = "m", .after = nobody, .after_count = 1001 },
          BERTH_EVALUE,
          "after has 1001" },
        { { .handler = "m", .has_array_index = true, .array_index = UINT64_C(1) << 53 },
          BERTH_EVALUE,
          "array_index 9007199254740992" },
        { { .handler = "exec" }, BERTH_EVALUE, "handler: 'exec'" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        berth_job_id id = { 77 };
        struct berth_error err;
        assert_rc(berth_submit(f->client, &cases[i].spec, &id, PATIENT, &err), cases[i].rc);
        if (!strstr(err.message, cases[i].says))
            fail_msg("'%s' does not say '%s'", err.message, cases[i].says);
        assert_int_equal(id.v, 77);
    }
    assert_int_equal(fake_broker_seen(f->broker, FAKE_ANY), 0);
}

static void the_largest_payload_is_taken(void **state)
{
    struct fixture *f = *state;
    static char big[BERTH_PAYLOAD_BYTES_MAX];
    memset(big, 'x', sizeof big);
    berth_job_id id;

    assert_ok(berth_submit(
        f->client, &(struct berth_job_spec){ .handler = "m", .payload = { big, sizeof big } }, &id,
        PATIENT, NULL));
}

static void the_broker_refuses_an_unknown_dispatcher(void **state)
{
    struct fixture *f = *state;
    berth_job_id id;
    struct berth_error err;

    assert_rc(berth_submit(f->client,
                           &(struct berth_job_spec){ .dispatcher = "nowhere", .handler = "m" }, &id,
                           PATIENT, &err),
              BERTH_ENOTFOUND);

    assert_string_equal(err.message, "there is no such dispatcher");
}

static void the_same_key_finds_the_same_job_and_another_body_is_a_conflict(void **state)
{
    struct fixture *f = *state;
    struct berth_job_spec spec = { .handler = "m", .idempotency_key = "k", .payload = { "a", 1 } };
    struct berth_submitted first, again;
    assert_rc(berth_submit_many(f->client, &spec, 1, &first, PATIENT, NULL), 1);

    assert_rc(berth_submit_many(f->client, &spec, 1, &again, PATIENT, NULL), 1);
    spec.payload = (struct berth_slice){ "b", 1 };
    berth_job_id id;

    assert_false(first.is_existing);
    assert_true(again.is_existing);
    assert_int_equal(first.id.v, again.id.v);
    assert_rc(berth_submit(f->client, &spec, &id, PATIENT, NULL), BERTH_ECONFLICT);
}

static void of_many_each_has_its_own_result(void **state)
{
    struct fixture *f = *state;
    const struct berth_job_spec specs[] = {
        { .handler = "a" },
        { .handler = "b", .dispatcher = "nowhere" },
        { .handler = "c", .dispatcher = "io" },
        { .handler = "d", .dispatcher = "neither" },
    };
    struct berth_submitted submitted[4];
    struct berth_error err;

    assert_rc(berth_submit_many(f->client, specs, 4, submitted, PATIENT, &err), 2);

    assert_int_equal(submitted[0].id.v, 1);
    assert_int_equal(submitted[1].rc, BERTH_ENOTFOUND);
    assert_int_equal(submitted[1].id.v, 0);
    assert_int_equal(submitted[2].id.v, 2);
    assert_int_equal(submitted[3].rc, BERTH_ENOTFOUND);
    assert_int_equal(err.code, BERTH_ENOTFOUND);
    assert_string_equal(fake_broker_job(f->broker, 2).handler, "c");
}

static void if_none_is_taken_the_reason_is_the_result(void **state)
{
    struct fixture *f = *state;
    const struct berth_job_spec specs[2] = { { .handler = "a", .dispatcher = "nowhere" },
                                             { .handler = "a", .dispatcher = "nowhere" } };
    struct berth_submitted submitted[2];

    assert_rc(berth_submit_many(f->client, specs, 2, submitted, PATIENT, NULL), BERTH_ENOTFOUND);

    assert_int_equal(submitted[1].rc, BERTH_ENOTFOUND);
}

static void a_malformed_one_of_many_is_named_by_its_place(void **state)
{
    struct fixture *f = *state;
    const struct berth_job_spec specs[3] = { { .handler = "a" },
                                             { .handler = "a" },
                                             { .handler = "a b" } };
    struct berth_submitted submitted[3];
    struct berth_error err;

    assert_rc(berth_submit_many(f->client, specs, 3, submitted, PATIENT, &err), BERTH_EVALUE);

    assert_memory_equal(err.message, "job 2: ", 7);
    assert_int_equal(fake_broker_seen(f->broker, FAKE_ANY), 0);
}

static void none_and_too_many_at_once_are_refused(void **state)
{
    struct fixture *f = *state;
    struct berth_submitted submitted;
    struct berth_job_spec spec = { .handler = "a" };
    assert_rc(berth_submit_many(f->client, &spec, 0, &submitted, PATIENT, NULL), -E2BIG);
    assert_rc(
        berth_submit_many(f->client, &spec, BERTH_SUBMIT_JOBS_MAX + 1, &submitted, PATIENT, NULL),
        -E2BIG);
}

static struct berth_job_spec specs[BERTH_SUBMIT_JOBS_MAX];
static struct berth_submitted submitted[BERTH_SUBMIT_JOBS_MAX];

static void assert_all_in_order(struct fixture *f, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(submitted[i].rc, 0);
        assert_int_equal(submitted[i].id.v, i + 1);
    }
    assert_int_equal(fake_broker_jobs(f->broker), count);
}

static void ten_thousand_small_jobs_are_one_message(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < BERTH_SUBMIT_JOBS_MAX; i++)
        specs[i] = (struct berth_job_spec){ .handler = i % 2 ? "a" : "b", .payload = { "x", 1 } };

    assert_rc(berth_submit_many(f->client, specs, BERTH_SUBMIT_JOBS_MAX, submitted, PATIENT, NULL),
              BERTH_SUBMIT_JOBS_MAX);

    assert_int_equal(fake_broker_submits(f->broker), 1);
    assert_all_in_order(f, BERTH_SUBMIT_JOBS_MAX);
}

static void given_large_jobs(size_t count)
{
    static char big[BERTH_PAYLOAD_BYTES_MAX];
    for (size_t i = 0; i < count; i++)
        specs[i] = (struct berth_job_spec){ .handler = "a", .payload = { big, sizeof big } };
}

static void large_jobs_are_split_by_bytes(void **state)
{
    struct fixture *f = *state;
    enum { COUNT = 40 };
    given_large_jobs(COUNT);

    assert_rc(berth_submit_many(f->client, specs, COUNT, submitted, PATIENT, NULL), COUNT);

    assert_in_range(fake_broker_submits(f->broker), 10, COUNT / 2);
    for (size_t i = 0; i < fake_broker_seen(f->broker, FAKE_SUBMIT); i++)
        assert_true(fake_broker_frame(f->broker, FAKE_SUBMIT, i).bytes <= 5u << 20);
    assert_all_in_order(f, COUNT);
}

static void more_names_than_a_table_holds_are_split(void **state)
{
    struct fixture *f = *state;
    enum { COUNT = 3000 };
    static char names[COUNT][16];
    for (size_t i = 0; i < COUNT; i++) {
        (void)snprintf(names[i], sizeof names[i], "handler-%zu", i);
        specs[i] = (struct berth_job_spec){ .handler = names[i] };
    }

    assert_rc(berth_submit_many(f->client, specs, COUNT, submitted, PATIENT, NULL), COUNT);

    assert_int_equal(fake_broker_submits(f->broker), 3);
    assert_all_in_order(f, COUNT);
    assert_string_equal(fake_broker_job(f->broker, COUNT).handler, names[COUNT - 1]);
}

static void a_message_that_is_refused_leaves_the_jobs_of_the_others_taken(void **state)
{
    struct fixture *f = *state;
    enum { COUNT = 20 };
    given_large_jobs(COUNT);
    fake_broker_next_error(f->broker, FAKE_SUBMIT, BERTH_ELATER, "not now", 1);
    struct berth_error err;

    int taken = berth_submit_many(f->client, specs, COUNT, submitted, PATIENT, &err);

    assert_in_range(taken, 1, COUNT - 1);
    assert_int_equal(submitted[0].rc, BERTH_ELATER);
    assert_int_equal(submitted[0].id.v, 0);
    assert_int_equal(submitted[COUNT - 1].rc, 0);
    assert_string_equal(err.message, "not now");
    assert_int_equal((size_t)taken, fake_broker_jobs(f->broker));
}

static void when_no_answer_comes_each_job_says_what_is_known(void **state)
{
    struct fixture *f = *state;
    enum { COUNT = 40 };
    given_large_jobs(COUNT);
    given_job(f); /* connected */
    fake_broker_next(f->broker, FAKE_SUBMIT, FAKE_DROP, 1000);

    ASSERT_UNKNOWN(800, timeout_ms,
                   berth_submit_many(f->client, specs, COUNT, submitted, timeout_ms, NULL));

    assert_int_equal(submitted[0].rc, BERTH_EUNKNOWN);
    assert_int_equal(submitted[COUNT - 1].rc, -ETIMEDOUT); /* its turn never came */
}

static void out_of_memory_is_an_answer(void **state)
{
    struct fixture *f = *state;
    struct berth_job_spec spec = { .handler = "mail", .payload = { "alice", 5 } };
    given_job(f);
    /* The first allocations are ours, and made before anything is sent. */
    for (size_t n = 1; n <= 4; n++) {
        berth_job_id id;
        faulty_fail_at(n);
        int rc = berth_submit(f->client, &spec, &id, PATIENT, NULL);
        assert_true(faulty_stop());
        assert_int_equal(rc, -ENOMEM);
    }
    given_job(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(a_job_arrives_as_it_was_given),
        FIXTURE_TEST(the_options_of_a_job_come_back_with_it),
        FIXTURE_TEST(a_delay_is_counted_by_the_broker),
        FIXTURE_TEST(a_command_goes_to_exec_and_to_the_default_dispatcher),
        FIXTURE_TEST(a_malformed_job_is_refused_before_anything_is_sent),
        FIXTURE_TEST(options_out_of_range_are_refused_before_anything_is_sent),
        FIXTURE_TEST(the_largest_payload_is_taken),
        FIXTURE_TEST(the_broker_refuses_an_unknown_dispatcher),
        FIXTURE_TEST(the_same_key_finds_the_same_job_and_another_body_is_a_conflict),
        FIXTURE_TEST(of_many_each_has_its_own_result),
        FIXTURE_TEST(if_none_is_taken_the_reason_is_the_result),
        FIXTURE_TEST(a_malformed_one_of_many_is_named_by_its_place),
        FIXTURE_TEST(none_and_too_many_at_once_are_refused),
        FIXTURE_TEST(ten_thousand_small_jobs_are_one_message),
        FIXTURE_TEST(large_jobs_are_split_by_bytes),
        FIXTURE_TEST(more_names_than_a_table_holds_are_split),
        FIXTURE_TEST(a_message_that_is_refused_leaves_the_jobs_of_the_others_taken),
        FIXTURE_TEST(when_no_answer_comes_each_job_says_what_is_known),
        FIXTURE_TEST(out_of_memory_is_an_answer),
    };
    return berth_test_main(tests, NULL, NULL);
}
