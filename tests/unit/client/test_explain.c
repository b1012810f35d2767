/* SPDX-License-Identifier: MIT
 *
 * Why jobs wait, as the client library tells it.
 */
#include "fixture.h"

#include <berth/explain.h>

static berth_job_id given(struct fixture *f, enum berth_state state)
{
    berth_job_id id;
    fake_broker_submit_as(f->broker, state);
    assert_ok(berth_submit(f->client,
                           &(struct berth_job_spec){ .dispatcher = "io", .handler = "mail" }, &id,
                           PATIENT, NULL));
    return id;
}

static void a_job_that_waits_has_one_cause_with_its_parts(void **state)
{
    struct fixture *f = *state;
    berth_job_id id = given(f, BERTH_READY);
    struct berth_explanation *why;
    assert_ok(berth_job_explain(f->client, id, &why, PATIENT, NULL));
    assert_int_equal(why->id.v, id.v);
    assert_int_equal(why->state, BERTH_READY);
    assert_string_equal(why->dispatcher, "io");
    assert_int_equal(why->causes_count, 1);
    const struct berth_cause *cause = &why->causes[0];
    assert_string_equal(cause->kind, "slots");
    assert_string_equal(cause->at, "io");
    assert_string_equal(cause->group, "");
    assert_int_equal(cause->in_use, 64);
    assert_int_equal(cause->limit, 64);
    assert_int_equal(cause->since_unix_us, INT64_C(1767225600000250));
    assert_int_equal(why->limits_count, 1);
    assert_true(why->limits[0].has_limit);
    assert_int_equal(why->limits[0].rate_count, 100);
    assert_int_equal(why->holders_count, 1);
    assert_int_equal(why->holders_sum, 64);
    assert_string_equal(why->holders[0].worker, "host-1");
    assert_true(why->holders[0].is_held);
    berth_explanation_free(why);
    berth_explanation_free(NULL);
}

static void one_that_has_ended_has_nothing_but_its_state(void **state)
{
    struct fixture *f = *state;
    berth_job_id id = given(f, BERTH_DEAD);
    struct berth_explanation *why;
    assert_ok(berth_job_explain(f->client, id, &why, PATIENT, NULL));
    assert_int_equal(why->state, BERTH_DEAD);
    assert_int_equal(why->causes_count, 0);
    berth_explanation_free(why);
}

static void of_a_dispatcher_there_are_many(void **state)
{
    struct fixture *f = *state;
    struct berth_explanation *why;
    assert_ok(berth_dispatcher_explain(f->client, "io", &why, PATIENT, NULL));
    assert_int_equal(why->id.v, 0);
    assert_int_equal(why->causes_count, 2);
    assert_int_equal(why->causes[0].count, 8);
    assert_int_equal(why->causes[1].job.v, 8);
    assert_int_equal(why->more, 11);
    assert_int_equal(why->groups_count, 1);
    assert_string_equal(why->groups[0].name, "tenant");
    assert_int_equal(why->groups_sum, 5);
    berth_explanation_free(why);
}

static void what_is_not_there_is_not_found(void **state)
{
    struct fixture *f = *state;
    struct berth_explanation *why;
    assert_rc(berth_job_explain(f->client, (berth_job_id){ 9 }, &why, PATIENT, NULL),
              BERTH_ENOTFOUND);
    assert_rc(berth_job_explain(f->client, (berth_job_id){ 0 }, &why, PATIENT, NULL), BERTH_EVALUE);
    assert_rc(berth_dispatcher_explain(f->client, "nobody", &why, PATIENT, NULL), BERTH_ENOTFOUND);
    assert_rc(berth_dispatcher_explain(f->client, "a b", &why, PATIENT, NULL), BERTH_EVALUE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(a_job_that_waits_has_one_cause_with_its_parts),
        FIXTURE_TEST(one_that_has_ended_has_nothing_but_its_state),
        FIXTURE_TEST(of_a_dispatcher_there_are_many),
        FIXTURE_TEST(what_is_not_there_is_not_found),
    };
    return berth_test_main(tests, NULL, NULL);
}
