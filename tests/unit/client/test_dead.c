/* SPDX-License-Identifier: MIT
 *
 * Dead letters retried and discarded, one or all of a dispatcher; dispatchers purged and removed.
 */
#include "fixture.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <berth/admin.h>

static berth_job_id given_job_in(struct fixture *f, enum berth_state state, const char *unique)
{
    berth_job_id id;
    fake_broker_submit_as(f->broker, state);
    assert_ok(berth_submit(
        f->client,
        &(struct berth_job_spec){ .dispatcher = "io", .handler = "mail", .unique = unique }, &id,
        PATIENT, NULL));
    return id;
}

static enum berth_state state_of(struct fixture *f, berth_job_id id)
{
    return fake_broker_job(f->broker, id.v).state;
}

static void a_dead_or_cancelled_job_is_retried(void **state)
{
    struct fixture *f = *state;
    berth_job_id dead = given_job_in(f, BERTH_DEAD, NULL);
    berth_job_id cancelled = given_job_in(f, BERTH_CANCELLED, NULL);
    assert_ok(berth_job_retry(f->client, dead, PATIENT, NULL));
    assert_ok(berth_job_retry(f->client, cancelled, PATIENT, NULL));
    assert_int_equal(state_of(f, dead), BERTH_READY);
    assert_int_equal(state_of(f, cancelled), BERTH_READY);
}

static void what_cannot_be_retried_says_why(void **state)
{
    struct fixture *f = *state;
    struct berth_error err;
    berth_job_id live = given_job_in(f, BERTH_RUNNING, NULL);
    berth_job_id done = given_job_in(f, BERTH_COMPLETED, NULL);
    berth_job_id unique = given_job_in(f, BERTH_DEAD, "alice");
    assert_rc(berth_job_retry(f->client, live, PATIENT, &err), -EALREADY);
    assert_string_equal(err.message,
                        "job 1 is running: only a dead or cancelled one can be retried");
    assert_rc(berth_job_retry(f->client, done, PATIENT, &err), BERTH_ECONFLICT);
    assert_string_equal(err.message,
                        "job 2 is completed: only a dead or cancelled one can be retried");
    assert_rc(berth_job_retry(f->client, unique, PATIENT, &err), BERTH_ECONFLICT);
    assert_string_equal(err.message, "job 3 cannot live again: job 1 has its unique key");
    assert_rc(berth_job_retry(f->client, (berth_job_id){ 9 }, PATIENT, &err), BERTH_ENOTFOUND);
    assert_rc(berth_job_retry(f->client, (berth_job_id){ 0 }, PATIENT, &err), BERTH_EVALUE);
    assert_rc(berth_job_discard(f->client, done, PATIENT, &err), BERTH_ECONFLICT);
    assert_string_equal(err.message, "job 2 is completed: only a dead one can be discarded");
}

static void a_discarded_job_is_gone(void **state)
{
    struct fixture *f = *state;
    berth_job_id id = given_job_in(f, BERTH_DEAD, NULL);
    assert_ok(berth_job_discard(f->client, id, PATIENT, NULL));
    assert_rc(berth_job_discard(f->client, id, PATIENT, NULL), BERTH_ENOTFOUND);
}

struct told {
    size_t count, failed;
    char message[200];
    int rc;
};

static int on_outcome(void *arg, const struct berth_job_outcome *outcome)
{
    struct told *told = arg;
    told->count++;
    if (outcome->rc < 0) {
        told->failed++;
        (void)snprintf(told->message, sizeof told->message, "%s", outcome->message);
    } else {
        assert_string_equal(outcome->message, "");
    }
    return told->rc;
}

static void all_that_are_dead_in_a_dispatcher_are_changed_and_told(void **state)
{
    struct fixture *f = *state;
    berth_job_id ids[6];
    for (size_t i = 0; i < 6; i++)
        ids[i] = given_job_in(f, i % 2 ? BERTH_DEAD : BERTH_COMPLETED, i == 3 ? "bob" : NULL);
    struct told told = { .rc = 0 };
    uint64_t count;
    assert_ok(berth_job_retry_dead(f->client, "io", on_outcome, &told, &count, PATIENT, NULL));
    assert_int_equal(count, 2);
    assert_int_equal(told.count, 3);
    assert_int_equal(told.failed, 1);
    assert_non_null(strstr(told.message, "has its unique key"));
    assert_int_equal(state_of(f, ids[1]), BERTH_READY);
    assert_int_equal(state_of(f, ids[3]), BERTH_DEAD);

    assert_ok(berth_job_discard_dead(f->client, "io", NULL, NULL, &count, PATIENT, NULL));
    assert_int_equal(count, 1);
    assert_ok(berth_job_discard_dead(f->client, "io", NULL, NULL, NULL, PATIENT, NULL));
    assert_rc(berth_job_retry_dead(f->client, "a b", NULL, NULL, &count, PATIENT, NULL),
              BERTH_EVALUE);
    assert_int_equal(count, 0);
}

static void who_is_told_may_end_it(void **state)
{
    struct fixture *f = *state;
    given_job_in(f, BERTH_DEAD, NULL);
    given_job_in(f, BERTH_DEAD, NULL);
    struct told told = { .rc = -ECANCELED };
    uint64_t count;
    assert_rc(berth_job_discard_dead(f->client, "io", on_outcome, &told, &count, PATIENT, NULL),
              -ECANCELED);
    assert_int_equal(told.count, 1);
}

static void a_purge_goes_on_until_all_is_done(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < 7; i++)
        given_job_in(f, i == 3 ? BERTH_RUNNING : BERTH_READY, NULL);
    uint64_t count;
    assert_ok(berth_dispatcher_purge(f->client, "io", &count, PATIENT, NULL));
    assert_int_equal(count, 6);
    assert_int_equal(state_of(f, (berth_job_id){ 4 }), BERTH_RUNNING);
    assert_true(fake_broker_seen(f->broker, FAKE_PURGE) > 1);
    assert_rc(berth_dispatcher_purge(f->client, "nobody", &count, PATIENT, NULL), BERTH_ENOTFOUND);
    assert_rc(berth_dispatcher_purge(f->client, "a b", NULL, PATIENT, NULL), BERTH_EVALUE);
}

static void a_dispatcher_is_removed_unless_something_needs_it(void **state)
{
    struct fixture *f = *state;
    struct berth_error err;
    berth_job_id id = given_job_in(f, BERTH_READY, NULL);
    assert_rc(berth_dispatcher_remove(f->client, "io", PATIENT, &err), BERTH_ECONFLICT);
    assert_non_null(strstr(err.message, "live jobs"));
    fake_broker_move(f->broker, id.v, BERTH_COMPLETED);
    assert_ok(berth_dispatcher_remove(f->client, "io", PATIENT, NULL));
    assert_rc(berth_dispatcher_remove(f->client, "io", PATIENT, NULL), BERTH_ENOTFOUND);
    assert_rc(berth_dispatcher_remove(f->client, "a b", PATIENT, NULL), BERTH_EVALUE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(a_dead_or_cancelled_job_is_retried),
        FIXTURE_TEST(what_cannot_be_retried_says_why),
        FIXTURE_TEST(a_discarded_job_is_gone),
        FIXTURE_TEST(all_that_are_dead_in_a_dispatcher_are_changed_and_told),
        FIXTURE_TEST(who_is_told_may_end_it),
        FIXTURE_TEST(a_purge_goes_on_until_all_is_done),
        FIXTURE_TEST(a_dispatcher_is_removed_unless_something_needs_it),
    };
    return berth_test_main(tests, NULL, NULL);
}
