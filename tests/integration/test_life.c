/* SPDX-License-Identifier: MIT
 *
 * The life of a job with real processes, and over restarts of the broker: clocks, a backoff of its
 * own, jobs that wait for others, unique keys.
 */
#include "cluster.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"

static const char *const quick[] = { "true", NULL };
static const char *const failing[] = { "false", NULL };
static const char *const slow[] = { "sleep", "600", NULL };

static uint64_t given(struct cluster *c, const char *const *command, struct berth_job_spec spec)
{
    berth_job_id id = { 0 };
    spec.command = command;
    assert_int_equal(berth_submit(c->client, &spec, &id, CLUSTER_TIMEOUT_MS, &c->err), 0);
    return id.v;
}

static void assert_ended(struct cluster *c, uint64_t id, enum berth_state state, const char *kind,
                         const char *message)
{
    struct berth_job *job = NULL;
    assert_int_equal(
        berth_job_wait(c->client, (berth_job_id){ id }, &job, CLUSTER_TIMEOUT_MS, &c->err), 0);
    assert_int_equal(job->state, state);
    assert_string_equal(job->error_kind, kind);
    assert_string_equal(job->error_message, message);
    berth_job_free(job);
}

static void assert_waits(struct cluster *c, uint64_t id, const char *reason)
{
    struct berth_job *job = cluster_job(c, id);
    assert_int_equal(job->state, BERTH_SCHEDULED);
    assert_string_equal(job->reason, reason);
    berth_job_free(job);
}

/* ---- order ---- */

static void what_waits_goes_on_in_order_over_a_restart(void **state)
{
    struct cluster *c = *state;
    uint64_t one = given(c, quick, (struct berth_job_spec){ 0 });
    const berth_job_id first = { one };
    uint64_t two = given(c, quick, (struct berth_job_spec){ .after = &first, .after_count = 1 });
    const berth_job_id both[] = { { two }, { one } };
    uint64_t three = given(c, quick, (struct berth_job_spec){ .after = both, .after_count = 2 });
    cluster_restart_broker(c);
    assert_waits(c, two, "waits for job 1 to complete");
    assert_waits(c, three, "waits for 2 jobs to complete, the first of them is 2");

    cluster_start_worker(c, 0, 4);
    const uint64_t ids[] = { one, two, three };
    cluster_await(c, ids, 3, BERTH_COMPLETED);

    int64_t before_us = 0;
    for (size_t i = 0; i < 3; i++) {
        struct berth_job *job = cluster_job(c, ids[i]);
        assert_true(job->started_unix_us >= before_us);
        before_us = job->finished_unix_us;
        berth_job_free(job);
    }
}

static void who_waits_for_what_fails_is_cancelled_and_says_so(void **state)
{
    struct cluster *c = *state;
    cluster_start_worker(c, 0, 4);
    uint64_t one = given(c, failing, (struct berth_job_spec){ .max_attempts = 1, .delay_ms = 300 });
    const berth_job_id first = { one };
    uint64_t two = given(c, quick, (struct berth_job_spec){ .after = &first, .after_count = 1 });
    const berth_job_id second = { two };
    uint64_t three = given(c, quick, (struct berth_job_spec){ .after = &second, .after_count = 1 });

    assert_ended(c, one, BERTH_DEAD, "exit", "the command ended with status 1");
    assert_ended(c, two, BERTH_CANCELLED, "refused", "job 1, which it waited for, is dead");
    assert_ended(c, three, BERTH_CANCELLED, "refused", "job 2, which it waited for, was cancelled");

    cluster_restart_broker(c); /* of those that have ended only the store knows */
    uint64_t four = given(c, quick, (struct berth_job_spec){ .after = &first, .after_count = 1 });
    assert_ended(c, four, BERTH_CANCELLED, "refused", "job 1, which it waited for, is dead");
    const berth_job_id nobody = { 999 };
    berth_job_id id;
    assert_int_equal(berth_submit(c->client,
                                  &(struct berth_job_spec){
                                      .command = quick, .after = &nobody, .after_count = 1 },
                                  &id, CLUSTER_TIMEOUT_MS, &c->err),
                     BERTH_ENOTFOUND);
    assert_string_equal(c->err.message, "after: job 999 is not known");
}

/* ---- clocks ---- */

static void a_command_is_ended_at_its_deadline(void **state)
{
    struct cluster *c = *state;
    cluster_start_worker(c, 0, 4);
    int64_t begun_ms = berth_clock_monotonic_ms();
    uint64_t job = given(c, slow, (struct berth_job_spec){ .deadline_ms = 700 });

    assert_ended(c, job, BERTH_DEAD, "deadline", "its deadline passed while it ran");

    assert_true(berth_clock_monotonic_ms() - begun_ms >= 700);
}

static void the_time_in_the_queue_counts_over_a_restart(void **state)
{
    struct cluster *c = *state;
    cluster_set_limit(c, "newsletter", 0);
    const struct berth_job_spec spec = { .dispatcher = "newsletter", .queue_timeout_ms = 2500 };
    int64_t begun_ms = berth_clock_monotonic_ms();
    uint64_t job = given(c, quick, spec);
    cluster_restart_broker(c);

    assert_ended(c, job, BERTH_DEAD, "queue_timeout",
                 "not started within its queue_timeout of 2500 ms");

    int64_t took_ms = berth_clock_monotonic_ms() - begun_ms;
    assert_true(took_ms >= 2500);
    assert_true(took_ms < 2 * 2500); /* it did not begin anew when the broker was back */
}

static void a_backoff_of_its_own_goes_before_the_dispatchers(void **state)
{
    struct cluster *c = *state;
    cluster_start_worker(c, 0, 4);
    const struct berth_dispatcher_settings slowly = { .backoff_ms = 600000,
                                                      .jitter = BERTH_JITTER_OFF };
    assert_int_equal(
        berth_dispatcher_set(c->client, "default", &slowly, NULL, CLUSTER_TIMEOUT_MS, &c->err), 0);
    uint64_t job =
        given(c, failing, (struct berth_job_spec){ .max_attempts = 3, .backoff_ms = 10 });

    assert_ended(c, job, BERTH_DEAD, "exit", "the command ended with status 1");
}

/* ---- unique keys ---- */

static void a_unique_key_is_held_over_a_restart_until_its_job_has_ended(void **state)
{
    struct cluster *c = *state;
    struct berth_job_spec spec = { .command = quick, .unique = "alice" };
    uint64_t one = given(c, quick, spec);
    cluster_restart_broker(c);

    berth_job_id id = { 0 };
    assert_int_equal(berth_submit(c->client, &spec, &id, CLUSTER_TIMEOUT_MS, &c->err),
                     BERTH_ECONFLICT);
    assert_string_equal(c->err.message,
                        "unique: job 1 of dispatcher default has this key, and has not ended");
    spec.on_conflict = BERTH_UNIQUE_EXISTING;
    assert_int_equal(given(c, quick, spec), one);

    cluster_start_worker(c, 0, 4);
    assert_ended(c, one, BERTH_COMPLETED, "", "");
    assert_int_not_equal(given(c, quick, spec), one);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, cluster_setup, cluster_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_waits_goes_on_in_order_over_a_restart),
        TEST(who_waits_for_what_fails_is_cancelled_and_says_so),
        TEST(a_command_is_ended_at_its_deadline),
        TEST(the_time_in_the_queue_counts_over_a_restart),
        TEST(a_backoff_of_its_own_goes_before_the_dispatchers),
        TEST(a_unique_key_is_held_over_a_restart_until_its_job_has_ended),
    };
    return berth_test_main(tests, NULL, NULL);
}
