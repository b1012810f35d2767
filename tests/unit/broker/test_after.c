/* SPDX-License-Identifier: MIT
 *
 * Jobs that wait until others have completed.
 */
#include "core_fixture.h"

static struct submit after_one(const uint64_t *id)
{
    return (struct submit){ .after = id, .after_count = 1 };
}

static const struct berth_end_record *end_of(const struct fixture *f, uint64_t job)
{
    const struct berth_record *record = record_away(f, BERTH_RECORD_END, job);
    return record ? &record->end : NULL;
}

static const struct berth_do_error *refusal_of(const struct fixture *f, uint64_t request)
{
    const struct berth_submitted_item *item =
        &answer(f, request, BERTH_DO_SUBMITTED)->submitted.items[0];
    assert_int_equal(item->id, 0);
    return &item->refusal;
}

/* ---- waiting ---- */

static void a_job_waits_until_all_have_completed_and_that_is_stored(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_worker(f, 4);
    uint64_t before[] = { given_running(f, (struct submit){ 0 }),
                          given_running(f, (struct submit){ 0 }) };
    uint64_t job = given_job(f, (struct submit){ .after = before, .after_count = 2 });
    assert_int_equal(job_of(f, job)->state, JOB_SCHEDULED);
    assert_true(
        slice_is(shown(f, job)->reason, "waits for 2 jobs to complete, the first of them is 1"));
    assert_int_equal(shown(f, job)->record.state, BERTH_SCHEDULED);
    assert_int_equal(shown(f, job)->record.run_at_us, 0);

    report(f, w, before[0], BERTH_OUTCOME_COMPLETED);
    store_all(f);
    assert_true(slice_is(shown(f, job)->reason, "waits for job 2 to complete"));
    report(f, w, before[1], BERTH_OUTCOME_COMPLETED);
    assert_int_equal(job_of(f, job)->state, JOB_SCHEDULED);
    store_one(f);

    assert_int_equal(job_of(f, job)->state, JOB_READY);
}

static void named_twice_it_is_waited_for_once(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_worker(f, 4);
    uint64_t one = given_running(f, (struct submit){ 0 });
    const uint64_t before[] = { one, one, one };
    uint64_t job = given_job(f, (struct submit){ .after = before, .after_count = 3 });
    assert_true(slice_is(shown(f, job)->reason, "waits for job 1 to complete"));

    report(f, w, one, BERTH_OUTCOME_COMPLETED);
    store_one(f);

    assert_int_equal(job_of(f, job)->state, JOB_READY);
}

static void a_delay_goes_on_when_all_have_completed(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_worker(f, 4);
    uint64_t one = given_running(f, (struct submit){ 0 });
    uint64_t job =
        given_job(f, (struct submit){ .after = &one, .after_count = 1, .delay_ms = 3000 });
    report(f, w, one, BERTH_OUTCOME_COMPLETED);
    store_all(f);
    assert_int_equal(job_of(f, job)->state, JOB_SCHEDULED);
    assert_true(slice_is(shown(f, job)->reason, "waits for its time"));

    turn_after(f, 3000);

    assert_int_equal(job_of(f, job)->state, JOB_RUNNING);
}

static void a_retry_of_the_one_before_is_no_end(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_worker(f, 4);
    uint64_t one = given_running(f, (struct submit){ 0 });
    uint64_t job = given_job(f, after_one(&one));

    report(f, w, one, BERTH_OUTCOME_FAILED);
    store_all(f);

    assert_int_equal(job_of(f, job)->state, JOB_SCHEDULED);
}

/* ---- those before it fail ---- */

static void all_that_wait_for_a_dead_job_end_in_the_batch_of_its_end(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_worker(f, 4);
    uint64_t one = given_running(f, (struct submit){ 0 });
    uint64_t two = given_job(f, after_one(&one));
    uint64_t three = given_job(f, after_one(&two));
    uint64_t beside = given_job(f, after_one(&one));

    report(f, w, one, BERTH_OUTCOME_FAILED_FOREVER);
    assert_true(close_batch(f));

    assert_int_equal(end_of(f, one)->state, BERTH_DEAD);
    const struct {
        uint64_t id;
        const char *says;
    } rows[] = { { two, "job 1, which it waited for, is dead" },
                 { three, "job 2, which it waited for, was cancelled" },
                 { beside, "job 1, which it waited for, is dead" } };
    for (size_t i = 0; i < 3; i++) {
        const struct berth_end_record *end = end_of(f, rows[i].id);
        assert_non_null(end);
        assert_int_equal(end->state, BERTH_CANCELLED);
        assert_true(slice_is(end->error_kind, "refused"));
        assert_true(slice_is(end->error_message, rows[i].says));
    }
    complete(f, STORED);
    assert_int_equal(f->core->jobs.used, 0);
    assert_int_equal(f->core->rares.used, 0);
}

static void a_chain_may_be_long(void **state)
{
    enum { LENGTH = 2000 };
    struct fixture *f = *state;
    uint64_t first = given_job(f, (struct submit){ 0 }), last = first;
    for (int i = 0; i < LENGTH; i++) {
        uint64_t request = submit(f, after_one(&last));
        store_one(f);
        last = submitted(f, request);
        forget(f);
    }

    cancel(f, first);
    store_all(f);

    assert_int_equal(f->core->jobs.used, 0);
}

static void what_waits_for_a_job_that_has_failed_is_cancelled_as_it_arrives(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_worker(f, 4);
    uint64_t one = given_running(f, (struct submit){ 0 });
    report(f, w, one, BERTH_OUTCOME_FAILED_FOREVER); /* its end is not stored yet */

    uint64_t request = submit(f, after_one(&one));
    assert_true(close_batch(f));

    assert_non_null(record_away(f, BERTH_RECORD_JOB, 2));
    assert_true(slice_is(end_of(f, 2)->error_message, "job 1, which it waited for, is dead"));
    assert_int_equal(said(f, BERTH_DO_SUBMITTED), 1); /* of the one before */
    complete(f, STORED);
    assert_int_equal(submitted(f, request), 2);
    assert_null(job_of(f, 2));
}

static void one_that_arrives_while_the_one_before_it_fails_is_cancelled_behind_it(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_worker(f, 4);
    uint64_t one = given_running(f, (struct submit){ 0 });
    struct submit item = after_one(&one);
    item.body = "b";
    uint64_t request = submit(f, item);
    assert_true(close_batch(f)); /* its arrival is under way */

    report(f, w, one, BERTH_OUTCOME_FAILED_FOREVER);
    submit_again(f, request, item); /* the answer to a repeat waits for the arrival */
    assert_int_equal(said(f, BERTH_DO_SUBMITTED), 1); /* of the one before */
    complete(f, STORED);
    assert_int_equal(said(f, BERTH_DO_SUBMITTED), 2);
    assert_true(close_batch(f));

    assert_int_equal(end_of(f, 2)->state, BERTH_CANCELLED);
    complete(f, STORED);
    assert_int_equal(said(f, BERTH_DO_SUBMITTED), 3);
    assert_int_equal(f->core->jobs.used, 0);
}

static void of_a_refused_arrival_no_end_is_written(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_worker(f, 4);
    uint64_t one = given_running(f, (struct submit){ 0 });
    submit(f, after_one(&one));
    assert_true(close_batch(f));
    report(f, w, one, BERTH_OUTCOME_FAILED_FOREVER);

    complete(f, FULL);
    turn_after(f, 500);
    assert_true(close_batch(f));

    assert_non_null(end_of(f, one));
    assert_null(end_of(f, 2));
    complete(f, STORED);
    assert_int_equal(f->core->jobs.used, 0);
}

static void one_that_waits_is_cancelled_as_any_other(void **state)
{
    struct fixture *f = *state;
    uint64_t one = given_job(f, (struct submit){ 0 });
    uint64_t job = given_job(f, after_one(&one));

    uint64_t request = cancel(f, job);
    store_all(f);

    assert_int_equal(cancelled(f, request)->state, BERTH_CANCELLED);
    assert_int_equal(job_of(f, one)->state, JOB_READY);
    cancel(f, one);
    store_all(f);
    assert_int_equal(f->core->jobs.used, 0);
}

/* ---- after a restart ---- */

static void load(struct fixture *f, uint64_t id, const uint8_t *after, size_t bytes)
{
    const struct berth_job_record job = { .id = id,
                                          .dispatcher = 1,
                                          .handler = text("mail"),
                                          .body = text("b"),
                                          .unique = id == 3 ? text("u") : text(""),
                                          .after = { after, bytes } };
    assert_int_equal(berth_core_load_job(f->core, &job), 0);
}

static void who_is_missing_at_a_load_has_completed(void **state)
{
    static const uint8_t one_and_three[] = { 1, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0 };
    struct fixture *f = *state;
    core_replace(f, (struct berth_core_opts){ .next_dispatcher_id = 2 });
    const struct berth_dispatcher_record dispatcher = { .id = 1,
                                                        .name = "default",
                                                        .limit = { .kind = BERTH_LIMIT_CORES },
                                                        .max_attempts = 5,
                                                        .weight = 1 };
    assert_int_equal(berth_core_load_dispatcher(f->core, &dispatcher), 0);
    load(f, 3, NULL, 0);
    load(f, 4, one_and_three, 16);
    load(f, 5, one_and_three, 8);
    core_start(f);
    store_all(f);

    assert_true(slice_is(shown(f, 4)->reason, "waits for job 3 to complete"));
    assert_int_equal(job_of(f, 5)->state, JOB_READY);
    uint64_t request = submit(f, (struct submit){ .unique = "u" });
    assert_int_equal(refusal_of(f, request)->code, BERTH_ECONFLICT);
    cancel(f, 3);
    request = cancel(f, 3); /* while its end is being stored it is known as before */
    store_all(f);
    assert_int_equal(cancelled(f, request)->code, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, core_setup, core_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_job_waits_until_all_have_completed_and_that_is_stored),
        TEST(named_twice_it_is_waited_for_once),
        TEST(a_delay_goes_on_when_all_have_completed),
        TEST(a_retry_of_the_one_before_is_no_end),
        TEST(all_that_wait_for_a_dead_job_end_in_the_batch_of_its_end),
        TEST(a_chain_may_be_long),
        TEST(what_waits_for_a_job_that_has_failed_is_cancelled_as_it_arrives),
        TEST(one_that_arrives_while_the_one_before_it_fails_is_cancelled_behind_it),
        TEST(of_a_refused_arrival_no_end_is_written),
        TEST(one_that_waits_is_cancelled_as_any_other),
        TEST(who_is_missing_at_a_load_has_completed),
    };
    return berth_test_main(tests, NULL, NULL);
}
