/* SPDX-License-Identifier: MIT
 *
 * Looking at jobs, waiting for them, cancelling them.
 */
#include "fixture.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "base/clock.h"
#include "client/core/request.h"
#include "support/await.h"

static void a_job_is_shown_with_what_its_last_attempt_left(void **state)
{
    struct fixture *f = *state;
    berth_job_id id = given_job(f);
    fake_broker_report(f->broker, id.v, BERTH_DEAD, 3, (struct berth_slice){ "out\n", 4 },
                       (struct berth_slice){ "oops\n", 5 }, "exit", "it ended with 3");

    struct berth_job *job;
    assert_ok(berth_job_get(f->client, id, &job, PATIENT, NULL));

    assert_int_equal(job->id.v, id.v);
    assert_int_equal(job->state, BERTH_DEAD);
    assert_int_equal(job->attempt, 1);
    assert_int_equal(job->max_attempts, 5);
    assert_string_equal(job->handler, "mail");
    assert_null(job->command);
    assert_string_equal(job->worker, "host-1");
    assert_string_equal(job->group, "");
    assert_string_equal(job->error_kind, "exit");
    assert_string_equal(job->error_message, "it ended with 3");
    assert_true(job->has_result);
    assert_true(job->has_exit_code);
    assert_int_equal(job->exit_code, 3);
    assert_int_equal(job->out.bytes, 4);
    assert_memory_equal(job->err.data, "oops\n", 5);
    assert_int_equal(job->finished_unix_us - job->submitted_unix_us, 2500000);
    berth_job_free(job);
    berth_job_free(NULL);
}

static void an_unknown_job_is_not_found(void **state)
{
    struct fixture *f = *state;
    struct berth_job *job;
    struct berth_error err;
    berth_job_id id = { 42 };

    assert_rc(berth_job_get(f->client, id, &job, PATIENT, &err), BERTH_ENOTFOUND);
    assert_string_equal(err.message, "there is no job 42");
    assert_rc(berth_job_wait(f->client, id, NULL, PATIENT, &err), BERTH_ENOTFOUND);
    assert_string_equal(err.message, "there is no job 42");
    assert_rc(berth_job_cancel(f->client, id, PATIENT, &err), BERTH_ENOTFOUND);
    assert_string_equal(err.message, "there is no job 42");
}

static void an_id_out_of_range_is_not_asked_for(void **state)
{
    struct fixture *f = *state;
    struct berth_job *job;
    const berth_job_id bad[] = { { 0 }, { UINT64_C(1) << 53 } };
    for (size_t i = 0; i < 2; i++) {
        assert_rc(berth_job_get(f->client, bad[i], &job, PATIENT, NULL), BERTH_EVALUE);
        assert_rc(berth_job_wait(f->client, bad[i], &job, PATIENT, NULL), BERTH_EVALUE);
        assert_rc(berth_job_cancel(f->client, bad[i], PATIENT, NULL), BERTH_EVALUE);
    }
    assert_int_equal(fake_broker_seen(f->broker, FAKE_ANY), 0);
}

static void waiting_for_what_has_ended_returns_at_once_with_the_job(void **state)
{
    struct fixture *f = *state;
    fake_broker_submit_as(f->broker, BERTH_CANCELLED);
    berth_job_id id = given_job(f);

    struct berth_job *job;
    assert_ok(berth_job_wait(f->client, id, &job, PATIENT, NULL));

    assert_int_equal(job->state, BERTH_CANCELLED);
    berth_job_free(job);
}

static void a_wait_that_takes_too_long_times_out(void **state)
{
    struct fixture *f = *state;
    berth_job_id id = given_job(f);
    assert_rc(berth_job_wait(f->client, id, NULL, 200, NULL), -ETIMEDOUT);
    assert_rc(berth_job_wait(f->client, id, NULL, 0, NULL), -ETIMEDOUT);
}

/* Several waits in threads, told by an array of ends. */
struct ends {
    struct fixture *f;
    pthread_t thread;
    pthread_mutex_t lock;
    berth_job_id ids[8];
    size_t ids_count;
    int64_t timeout_ms;
    berth_job_id ended[16];
    enum berth_state states[16];
    size_t count;
    int stop_rc; /* what `each` returns */
    bool uses_client;
    int rc;
    struct berth_error err;
};

static int on_end(void *arg, berth_job_id id, enum berth_state state)
{
    struct ends *ends = arg;
    pthread_mutex_lock(&ends->lock);
    ends->ended[ends->count] = id;
    ends->states[ends->count] = state;
    ends->count++;
    pthread_mutex_unlock(&ends->lock);
    struct berth_job *job = NULL;
    if (ends->uses_client && berth_job_get(ends->f->client, id, &job, PATIENT, NULL) < 0)
        return -EIO;
    berth_job_free(job);
    return ends->stop_rc;
}

static void *wait_many(void *arg)
{
    struct ends *ends = arg;
    ends->rc = berth_job_wait_many(ends->f->client, ends->ids, ends->ids_count, on_end, ends,
                                   ends->timeout_ms, &ends->err);
    return NULL;
}

static bool has_ended_one(void *arg)
{
    struct ends *ends = arg;
    pthread_mutex_lock(&ends->lock);
    bool has = ends->count > 0;
    pthread_mutex_unlock(&ends->lock);
    return has;
}

static struct ends ends_of(struct fixture *f, size_t jobs)
{
    struct ends ends = { .f = f, .ids_count = jobs, .timeout_ms = PATIENT };
    pthread_mutex_init(&ends.lock, NULL);
    for (size_t i = 0; i < jobs; i++)
        ends.ids[i] = given_job(f);
    return ends;
}

static void each_of_many_is_said_once_when_it_ends(void **state)
{
    struct fixture *f = *state;
    struct ends ends = ends_of(f, 3);
    ends.ids[ends.ids_count++] = ends.ids[0]; /* given twice */
    ends.uses_client = true;
    fake_broker_move(f->broker, 2, BERTH_DEAD);
    assert_int_equal(pthread_create(&ends.thread, NULL, wait_many, &ends), 0);

    assert_true(await(has_ended_one, &ends, PATIENT));
    fake_broker_move(f->broker, 3, BERTH_CANCELLED);
    fake_broker_move(f->broker, 1, BERTH_COMPLETED);
    pthread_join(ends.thread, NULL);

    assert_int_equal(ends.rc, 0);
    assert_int_equal(ends.count, 3);
    assert_int_equal(ends.ended[0].v, 2);
    assert_int_equal(ends.states[0], BERTH_DEAD);
    for (size_t i = 1; i < 3; i++)
        assert_int_equal(ends.states[i], ends.ended[i].v == 1 ? BERTH_COMPLETED : BERTH_CANCELLED);
}

static void an_unknown_one_of_many_is_said_before_any_end(void **state)
{
    struct fixture *f = *state;
    struct ends ends = ends_of(f, 2);
    fake_broker_move(f->broker, 1, BERTH_COMPLETED);
    ends.ids[1].v = 99;

    wait_many(&ends);

    assert_int_equal(ends.rc, BERTH_ENOTFOUND);
    assert_string_equal(ends.err.message, "there is no job 99");
    assert_int_equal(ends.count, 0);
}

static void when_time_runs_out_those_that_ended_have_been_said(void **state)
{
    struct fixture *f = *state;
    struct ends ends = ends_of(f, 2);
    fake_broker_move(f->broker, 1, BERTH_COMPLETED);
    ends.timeout_ms = 400;

    wait_many(&ends);

    assert_int_equal(ends.rc, -ETIMEDOUT);
    assert_int_equal(ends.count, 1);
}

static void the_caller_can_end_a_wait(void **state)
{
    struct fixture *f = *state;
    struct ends ends = ends_of(f, 2);
    fake_broker_move(f->broker, 1, BERTH_COMPLETED);
    ends.stop_rc = -ECANCELED;

    wait_many(&ends);

    assert_int_equal(ends.rc, -ECANCELED);
    assert_int_equal(ends.count, 1);
}

static void a_wait_outlives_a_restart_of_the_broker(void **state)
{
    struct fixture *f = *state;
    struct ends ends = ends_of(f, 2);
    assert_int_equal(pthread_create(&ends.thread, NULL, wait_many, &ends), 0);
    assert_true(fake_broker_await(f->broker, FAKE_WAIT, 1, PATIENT));
    fake_broker_move(f->broker, 1, BERTH_COMPLETED);
    assert_true(await(has_ended_one, &ends, PATIENT));

    fake_broker_stop(f->broker);
    fake_broker_next_error(f->broker, FAKE_WAIT, BERTH_ELATER, "starting", 1);
    fake_broker_start(f->broker);
    assert_true(fake_broker_await(f->broker, FAKE_WAIT, 3, PATIENT));
    fake_broker_move(f->broker, 2, BERTH_COMPLETED);
    pthread_join(ends.thread, NULL);

    assert_int_equal(ends.rc, 0);
    assert_int_equal(ends.count, 2);
}

static void ends_whose_answer_was_lost_are_asked_for_again(void **state)
{
    struct fixture *f = *state;
    struct ends ends = ends_of(f, 2);
    fake_broker_move(f->broker, 1, BERTH_COMPLETED);
    fake_broker_move(f->broker, 2, BERTH_DEAD);
    fake_broker_next(f->broker, FAKE_WAIT, FAKE_NO_ENDS, 1);
    struct berth_error err;

    assert_rc(berth_job_wait(f->client, ends.ids[0], NULL, PATIENT, &err), BERTH_EPROTO);
    wait_many(&ends);
    assert_int_equal(ends.rc, 0);
    assert_int_equal(ends.count, 2);
}

static void a_wait_is_renewed_every_two_seconds(void **state)
{
    struct fixture *f = *state;
    struct ends ends = ends_of(f, 1);
    int64_t begun_ms = berth_clock_monotonic_ms();
    assert_int_equal(pthread_create(&ends.thread, NULL, wait_many, &ends), 0);

    assert_true(fake_broker_await(f->broker, FAKE_WAIT, 3, PATIENT));

    assert_true(berth_clock_monotonic_ms() - begun_ms >= INT64_C(2) * REQUEST_WAIT_RENEW_MS);
    assert_int_equal(fake_broker_peers(f->broker), 1);
    fake_broker_move(f->broker, 1, BERTH_COMPLETED);
    pthread_join(ends.thread, NULL);
    assert_int_equal(ends.rc, 0);
}

static void none_and_too_many_to_wait_for_are_refused(void **state)
{
    struct fixture *f = *state;
    static berth_job_id ids[BERTH_IDS_MAX + 1];
    for (size_t i = 0; i < BERTH_IDS_MAX + 1; i++)
        ids[i].v = i + 1;
    assert_rc(berth_job_wait_many(f->client, ids, 0, on_end, NULL, PATIENT, NULL), -E2BIG);
    assert_rc(berth_job_wait_many(f->client, ids, BERTH_IDS_MAX + 1, on_end, NULL, PATIENT, NULL),
              -E2BIG);
    ids[0].v = 0;
    assert_rc(berth_job_wait_many(f->client, ids, 1, on_end, NULL, PATIENT, NULL), BERTH_EVALUE);
}

static void cancelling_ends_what_waits_and_tells_what_runs(void **state)
{
    struct fixture *f = *state;
    berth_job_id waiting = given_job(f), running = given_job(f);
    fake_broker_move(f->broker, running.v, BERTH_RUNNING);

    assert_ok(berth_job_cancel(f->client, waiting, PATIENT, NULL));
    assert_ok(berth_job_cancel(f->client, running, PATIENT, NULL));

    assert_int_equal(fake_broker_job(f->broker, waiting.v).state, BERTH_CANCELLED);
    assert_int_equal(fake_broker_job(f->broker, running.v).state, BERTH_CANCELLING);
}

static void cancelling_what_had_ended_says_how(void **state)
{
    struct fixture *f = *state;
    berth_job_id id = given_job(f);
    fake_broker_move(f->broker, id.v, BERTH_COMPLETED);
    struct berth_error err;

    assert_rc(berth_job_cancel(f->client, id, PATIENT, &err), -EALREADY);

    assert_non_null(strstr(err.message, "completed"));
}

static void a_cancel_that_was_sent_and_not_answered_is_unknown(void **state)
{
    struct fixture *f = *state;
    berth_job_id id = given_job(f);
    fake_broker_next(f->broker, FAKE_CANCEL, FAKE_SWALLOW, 9);
    ASSERT_UNKNOWN(200, timeout_ms, berth_job_cancel(f->client, id, timeout_ms, NULL));
}

struct list {
    uint64_t ids[3000];
    size_t count, stop_at;
};

static int on_job(void *arg, const struct berth_job *job)
{
    struct list *list = arg;
    list->ids[list->count++] = job->id.v;
    return list->count == list->stop_at ? -ECANCELED : 0;
}

static void given_jobs(struct fixture *f, size_t count)
{
    static struct berth_job_spec specs[3000];
    static struct berth_submitted submitted[3000];
    for (size_t i = 0; i < count; i++)
        specs[i] =
            (struct berth_job_spec){ .handler = "a", .dispatcher = i % 3 == 0 ? "io" : NULL };
    assert_rc(berth_submit_many(f->client, specs, count, submitted, PATIENT, NULL), (int)count);
}

static void a_list_goes_page_after_page_in_order_of_id(void **state)
{
    struct fixture *f = *state;
    static struct list list;
    list = (struct list){ .count = 0 };
    given_jobs(f, 2500);

    assert_ok(berth_job_list(f->client, NULL, on_job, &list, PATIENT, NULL));

    assert_int_equal(list.count, 2500);
    for (size_t i = 0; i < list.count; i++)
        assert_int_equal(list.ids[i], i + 1);
    assert_int_equal(fake_broker_seen(f->broker, FAKE_LIST), 3);
}

static void a_list_keeps_to_its_filter(void **state)
{
    struct fixture *f = *state;
    static struct list list;
    given_jobs(f, 30);
    fake_broker_move(f->broker, 4, BERTH_DEAD);
    const struct {
        struct berth_job_filter filter;
        size_t count;
        uint64_t first;
    } cases[] = {
        { { .dispatcher = "io" }, 10, 1 },
        { { .state = BERTH_DEAD }, 1, 4 },
        { { .after = { 27 } }, 3, 28 },
        { { .count_max = 7 }, 7, 1 },
        { { .is_newest_first = true, .count_max = 2 }, 2, 30 },
        { { .is_newest_first = true, .after = { 3 } }, 2, 2 },
        { { .dispatcher = "io", .state = BERTH_RUNNING }, 0, 0 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        list = (struct list){ .count = 0 };
        assert_ok(berth_job_list(f->client, &cases[i].filter, on_job, &list, PATIENT, NULL));
        assert_int_equal(list.count, cases[i].count);
        if (list.count > 0)
            assert_int_equal(list.ids[0], cases[i].first);
    }
}

static void the_caller_can_end_a_list(void **state)
{
    struct fixture *f = *state;
    static struct list list;
    list = (struct list){ .stop_at = 5 };
    given_jobs(f, 30);

    assert_rc(berth_job_list(f->client, NULL, on_job, &list, PATIENT, NULL), -ECANCELED);

    assert_int_equal(list.count, 5);
}

static void a_malformed_filter_is_refused(void **state)
{
    struct fixture *f = *state;
    const struct berth_job_filter bad[] = { { .dispatcher = "a b" },
                                            { .state = (enum berth_state)99 },
                                            { .after = { UINT64_MAX } },
                                            { .reserved = { 1 } } };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_rc(berth_job_list(f->client, &bad[i], on_job, NULL, PATIENT, NULL), BERTH_EVALUE);
}

static void states_have_names(void **state)
{
    (void)state;
    assert_string_equal(berth_state_name(BERTH_SCHEDULED), "scheduled");
    assert_string_equal(berth_state_name(BERTH_CANCELLED), "cancelled");
    assert_string_equal(berth_state_name((enum berth_state)0), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(a_job_is_shown_with_what_its_last_attempt_left),
        FIXTURE_TEST(an_unknown_job_is_not_found),
        FIXTURE_TEST(an_id_out_of_range_is_not_asked_for),
        FIXTURE_TEST(waiting_for_what_has_ended_returns_at_once_with_the_job),
        FIXTURE_TEST(a_wait_that_takes_too_long_times_out),
        FIXTURE_TEST(each_of_many_is_said_once_when_it_ends),
        FIXTURE_TEST(an_unknown_one_of_many_is_said_before_any_end),
        FIXTURE_TEST(when_time_runs_out_those_that_ended_have_been_said),
        FIXTURE_TEST(the_caller_can_end_a_wait),
        FIXTURE_TEST(a_wait_outlives_a_restart_of_the_broker),
        FIXTURE_TEST(ends_whose_answer_was_lost_are_asked_for_again),
        FIXTURE_TEST(a_wait_is_renewed_every_two_seconds),
        FIXTURE_TEST(none_and_too_many_to_wait_for_are_refused),
        FIXTURE_TEST(cancelling_ends_what_waits_and_tells_what_runs),
        FIXTURE_TEST(cancelling_what_had_ended_says_how),
        FIXTURE_TEST(a_cancel_that_was_sent_and_not_answered_is_unknown),
        FIXTURE_TEST(a_list_goes_page_after_page_in_order_of_id),
        FIXTURE_TEST(a_list_keeps_to_its_filter),
        FIXTURE_TEST(the_caller_can_end_a_list),
        FIXTURE_TEST(a_malformed_filter_is_refused),
        cmocka_unit_test(states_have_names),
    };
    return berth_test_main(tests, NULL, NULL);
}
