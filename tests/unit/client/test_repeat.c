/* SPDX-License-Identifier: MIT
 *
 * Changes that are asked for again because their first answer was lost: what has been done is done.
 * The broker of these tests carries a message out and swallows the answer.
 */
#include "fixture.h"

#include <errno.h>

#include <berth/admin.h>
#include <berth/schedule.h>

static berth_job_id given_job_as(struct fixture *f, enum berth_state state)
{
    berth_job_id id;
    fake_broker_submit_as(f->broker, state);
    assert_ok(
        berth_submit(f->client, &(struct berth_job_spec){ .handler = "mail" }, &id, PATIENT, NULL));
    return id;
}

static void then_it_came_twice(struct fixture *f, enum fake_message message)
{
    assert_int_equal(fake_broker_seen(f->broker, message), 2);
}

/* The first one is lost, and the second is told that there is nothing of that name. */
static void given_lost_and_not_found(struct fixture *f, enum fake_message message)
{
    fake_broker_next(f->broker, message, FAKE_DROP, 1);
    fake_broker_next_error(f->broker, message, BERTH_ENOTFOUND, "it does not exist", 1);
}

static void a_cancel_whose_answer_was_lost_is_done(void **state)
{
    struct fixture *f = *state;
    berth_job_id id = given_job_as(f, BERTH_READY);
    fake_broker_next(f->broker, FAKE_CANCEL, FAKE_SWALLOW, 1);

    assert_ok(berth_job_cancel(f->client, id, PATIENT, NULL));

    then_it_came_twice(f, FAKE_CANCEL);
    assert_rc(berth_job_cancel(f->client, id, PATIENT, NULL), -EALREADY);
}

static void a_retry_whose_answer_was_lost_is_done(void **state)
{
    struct fixture *f = *state;
    berth_job_id id = given_job_as(f, BERTH_DEAD);
    fake_broker_next(f->broker, FAKE_RETRY, FAKE_SWALLOW, 1);

    assert_ok(berth_job_retry(f->client, id, PATIENT, NULL));

    then_it_came_twice(f, FAKE_RETRY);
    assert_rc(berth_job_retry(f->client, id, PATIENT, NULL), -EALREADY);
}

static void a_retry_whose_job_has_completed_meanwhile_is_done(void **state)
{
    struct fixture *f = *state;
    berth_job_id id = given_job_as(f, BERTH_COMPLETED);
    fake_broker_next(f->broker, FAKE_RETRY, FAKE_DROP, 1);

    assert_ok(berth_job_retry(f->client, id, PATIENT, NULL));

    assert_rc(berth_job_retry(f->client, id, PATIENT, NULL), BERTH_ECONFLICT);
}

static void a_discard_whose_answer_was_lost_is_done(void **state)
{
    struct fixture *f = *state;
    berth_job_id id = given_job_as(f, BERTH_DEAD);
    fake_broker_next(f->broker, FAKE_DISCARD, FAKE_SWALLOW, 1);

    assert_ok(berth_job_discard(f->client, id, PATIENT, NULL));

    then_it_came_twice(f, FAKE_DISCARD);
    assert_rc(berth_job_discard(f->client, id, PATIENT, NULL), BERTH_ENOTFOUND);
}

static void a_discard_of_all_counts_those_whose_answer_was_lost(void **state)
{
    struct fixture *f = *state;
    (void)given_job_as(f, BERTH_DEAD);
    (void)given_job_as(f, BERTH_DEAD);
    fake_broker_next(f->broker, FAKE_DISCARD, FAKE_SWALLOW, 1);
    uint64_t count = 0;

    assert_ok(berth_job_discard_dead(f->client, "default", NULL, NULL, &count, PATIENT, NULL));

    assert_int_equal(count, 2);
}

static void a_dispatcher_whose_removal_was_not_answered_is_removed(void **state)
{
    struct fixture *f = *state;
    fake_broker_next(f->broker, FAKE_REMOVE, FAKE_SWALLOW, 1);

    assert_ok(berth_dispatcher_remove(f->client, "io", PATIENT, NULL));

    then_it_came_twice(f, FAKE_REMOVE);
    assert_rc(berth_dispatcher_remove(f->client, "io", PATIENT, NULL), BERTH_ENOTFOUND);
}

static void a_schedule_whose_removal_was_not_answered_is_removed(void **state)
{
    struct fixture *f = *state;
    given_lost_and_not_found(f, FAKE_SCHEDULE_REMOVE);

    assert_ok(berth_schedule_remove(f->client, "nightly", PATIENT, NULL));

    then_it_came_twice(f, FAKE_SCHEDULE_REMOVE);
    struct berth_error err;
    fake_broker_next_error(f->broker, FAKE_SCHEDULE_REMOVE, BERTH_ENOTFOUND, "there is none", 1);
    assert_rc(berth_schedule_remove(f->client, "nightly", PATIENT, &err), BERTH_ENOTFOUND);
    assert_string_equal(err.message, "there is none");
}

static void a_worker_that_was_declared_gone_twice_is_gone(void **state)
{
    struct fixture *f = *state;
    given_lost_and_not_found(f, FAKE_WORKER_GONE);

    assert_int_equal(berth_worker_gone(f->client, "host-1", NULL, NULL, PATIENT, NULL), 0);

    then_it_came_twice(f, FAKE_WORKER_GONE);
}

static void another_error_to_a_repeat_stays_one(void **state)
{
    struct fixture *f = *state;
    fake_broker_next(f->broker, FAKE_REMOVE, FAKE_DROP, 1);
    fake_broker_next_error(f->broker, FAKE_REMOVE, BERTH_ECONFLICT, "it has live jobs", 1);
    struct berth_error err;

    assert_rc(berth_dispatcher_remove(f->client, "io", PATIENT, &err), BERTH_ECONFLICT);

    assert_string_equal(err.message, "it has live jobs");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(a_cancel_whose_answer_was_lost_is_done),
        FIXTURE_TEST(a_retry_whose_answer_was_lost_is_done),
        FIXTURE_TEST(a_retry_whose_job_has_completed_meanwhile_is_done),
        FIXTURE_TEST(a_discard_whose_answer_was_lost_is_done),
        FIXTURE_TEST(a_discard_of_all_counts_those_whose_answer_was_lost),
        FIXTURE_TEST(a_dispatcher_whose_removal_was_not_answered_is_removed),
        FIXTURE_TEST(a_schedule_whose_removal_was_not_answered_is_removed),
        FIXTURE_TEST(a_worker_that_was_declared_gone_twice_is_gone),
        FIXTURE_TEST(another_error_to_a_repeat_stays_one),
    };
    return berth_test_main(tests, NULL, NULL);
}
