/* SPDX-License-Identifier: MIT
 *
 * What a command writes, given once and in order, while the broker says some of it twice and
 * forgets the rest.
 */
#include "fixture.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"

/* All that was given, a line for each piece: "attempt stream offset(+skipped) text". */
struct given {
    struct fixture *f;
    char text[1000];
    void (*then)(struct given *given); /* what happens when a piece was given */
    unsigned count;
};

static int on_output(void *arg, const struct berth_output *output)
{
    struct given *given = arg;
    size_t bytes = strlen(given->text);
    (void)snprintf(given->text + bytes, sizeof given->text - bytes, "%u %s %llu(+%llu) %.*s\n",
                   output->attempt, output->is_err ? "err" : "out",
                   (unsigned long long)output->offset, (unsigned long long)output->skipped,
                   (int)output->bytes.bytes, (const char *)output->bytes.data);
    given->count++;
    if (given->then)
        given->then(given);
    return 0;
}

static void what_a_running_job_has_written_is_given_and_no_more(void **state)
{
    struct fixture *f = *state;
    struct given given = { .f = f };
    enum berth_state ended = 0;
    berth_job_id id = given_job(f);
    fake_broker_write(f->broker, id.v, 2, 5, "world", 0, "oh");

    assert_ok(berth_job_logs(f->client, id, false, on_output, &given, &ended, PATIENT, NULL));

    assert_string_equal(given.text, "2 out 5(+5) world\n2 err 0(+0) oh\n");
    assert_int_equal(ended, BERTH_RUNNING);
    assert_int_equal(fake_broker_seen(f->broker, FAKE_OUTPUT), 1);
}

static void of_a_job_that_has_ended_the_result_is_given(void **state)
{
    struct fixture *f = *state;
    struct given given = { .f = f };
    enum berth_state ended = 0;
    berth_job_id id = given_job(f);
    fake_broker_report(f->broker, id.v, BERTH_DEAD, 3, (struct berth_slice){ "out\n", 4 },
                       (struct berth_slice){ "oops", 4 }, "exit", "it ended with 3");

    assert_ok(berth_job_logs(f->client, id, true, on_output, &given, &ended, PATIENT, NULL));

    assert_string_equal(given.text, "1 out 0(+0) out\n\n1 err 0(+0) oops\n");
    assert_int_equal(ended, BERTH_DEAD);
}

static void a_job_that_has_not_begun_has_written_nothing(void **state)
{
    struct fixture *f = *state;
    struct given given = { .f = f };
    enum berth_state ended = 0;
    berth_job_id id = given_job(f);
    assert_ok(berth_job_logs(f->client, id, false, on_output, &given, &ended, PATIENT, NULL));
    assert_string_equal(given.text, "");
    assert_int_equal(ended, BERTH_READY);
}

/* First there is some, then more of it, then another attempt, then the end. */
static void go_on(struct given *given)
{
    struct fake_broker *broker = given->f->broker;
    switch (given->count) {
    case 1: fake_broker_write(broker, 1, 1, 2, "cdef", 0, ""); return;
    case 2:
        fake_broker_write(broker, 1, 1, 6, "", 0, "");
        fake_broker_report(broker, 1, BERTH_COMPLETED, 0, (struct berth_slice){ "ghi", 3 },
                           (struct berth_slice){ NULL, 0 }, "", "");
        return;
    default: return;
    }
}

/* A job that has written `first` is followed; `then` is what comes of it. How it ended. */
static enum berth_state follow(struct fixture *f, struct given *ret_given, const char *first,
                               void (*then)(struct given *given))
{
    *ret_given = (struct given){ .f = f, .then = then };
    enum berth_state ended = 0;
    berth_job_id id = given_job(f);
    fake_broker_write(f->broker, id.v, 1, 0, first, 0, "");
    assert_ok(berth_job_logs(f->client, id, true, on_output, ret_given, &ended, PATIENT, NULL));
    return ended;
}

static void each_byte_is_given_once_until_the_job_has_ended(void **state)
{
    struct given given;
    assert_int_equal(follow(*state, &given, "abc", go_on), BERTH_COMPLETED);
    assert_string_equal(given.text, "1 out 0(+0) abc\n1 out 3(+0) def\n1 out 6(+0) ghi\n");
}

/* The next attempt begins at 0 again. */
static void try_again(struct given *given)
{
    struct fake_broker *broker = given->f->broker;
    if (given->count == 1)
        fake_broker_write(broker, 1, 2, 0, "two", 0, "");
    if (given->count == 2)
        fake_broker_report(broker, 1, BERTH_CANCELLED, 0, (struct berth_slice){ "two!", 4 },
                           (struct berth_slice){ NULL, 0 }, "", "");
}

static void the_next_attempt_is_followed_too(void **state)
{
    struct given given;
    assert_int_equal(follow(*state, &given, "one", try_again), BERTH_CANCELLED);
    assert_string_equal(given.text, "1 out 0(+0) one\n2 out 0(+0) two\n2 out 3(+0) !\n");
}

/* Killed, and back without anything of it. */
static void restart(struct given *given)
{
    struct fake_broker *broker = given->f->broker;
    if (given->count == 1) {
        fake_broker_stop(broker);
        fake_broker_write(broker, 1, 1, 0, "", 0, "");
        fake_broker_start(broker);
        fake_broker_write(broker, 1, 1, 0, "abcd", 0, "");
    }
    if (given->count == 2)
        fake_broker_report(broker, 1, BERTH_COMPLETED, 0, (struct berth_slice){ "abcd", 4 },
                           (struct berth_slice){ NULL, 0 }, "", "");
}

static void following_outlives_a_restart_of_the_broker(void **state)
{
    struct fixture *f = *state;
    struct given given = { .f = f, .then = restart };
    enum berth_state ended = 0;
    berth_job_id id = given_job(f);
    fake_broker_write(f->broker, id.v, 1, 0, "ab", 0, "");

    assert_ok(berth_job_logs(f->client, id, true, on_output, &given, &ended, PATIENT, NULL));

    assert_string_equal(given.text, "1 out 0(+0) ab\n1 out 2(+0) cd\n");
    assert_int_equal(ended, BERTH_COMPLETED);
}

static int stop(void *arg, const struct berth_output *output)
{
    (void)arg, (void)output;
    return -EPIPE;
}

static void what_cannot_be_followed_says_why(void **state)
{
    struct fixture *f = *state;
    struct berth_error err;
    struct given given = { .f = f };
    assert_rc(berth_job_logs(f->client, (berth_job_id){ 42 }, true, on_output, &given, NULL,
                             PATIENT, &err),
              BERTH_ENOTFOUND);
    assert_string_equal(err.message, "there is no job 42");
    assert_rc(berth_job_logs(f->client, (berth_job_id){ 0 }, true, on_output, &given, NULL, PATIENT,
                             NULL),
              BERTH_EVALUE);
    berth_job_id id = given_job(f);
    fake_broker_write(f->broker, id.v, 1, 0, "ab", 0, "");
    assert_rc(berth_job_logs(f->client, id, true, stop, NULL, NULL, PATIENT, NULL), -EPIPE);
    assert_rc(berth_job_logs(f->client, id, true, on_output, &given, NULL, 300, NULL), -ETIMEDOUT);
    assert_string_equal(given.text, "1 out 0(+0) ab\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(what_a_running_job_has_written_is_given_and_no_more),
        FIXTURE_TEST(of_a_job_that_has_ended_the_result_is_given),
        FIXTURE_TEST(a_job_that_has_not_begun_has_written_nothing),
        FIXTURE_TEST(each_byte_is_given_once_until_the_job_has_ended),
        FIXTURE_TEST(the_next_attempt_is_followed_too),
        FIXTURE_TEST(following_outlives_a_restart_of_the_broker),
        FIXTURE_TEST(what_cannot_be_followed_says_why),
    };
    return berth_test_main(tests, NULL, NULL);
}
