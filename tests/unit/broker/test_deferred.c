/* SPDX-License-Identifier: MIT
 *
 * Submits that are held until the store has said how those have ended that their jobs wait for.
 */
#include "core_fixture.h"

#include "broker/core/submit/deferred.h"

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

static void who_is_not_live_is_looked_up_before_the_submit_is_taken(void **state)
{
    struct fixture *f = *state;
    uint64_t live = given_job(f, (struct submit){ 0 });
    const uint64_t before[] = { 999, live, 998 };
    uint64_t request = submit(f, (struct submit){ .after = before,
                                                  .after_count = 3,
                                                  .unique = "u",
                                                  .group = "g",
                                                  .key = "k",
                                                  .body = "the body" });
    const struct berth_do_read *read = &get(f, BERTH_DO_READ)->read;
    assert_int_equal(read->id_count, 2);
    assert_int_equal(read->ids[0], 998);
    assert_int_equal(read->ids[1], 999);
    assert_false(close_batch(f));

    const struct berth_job_record rows[] = { row(f, 998, BERTH_COMPLETED),
                                             row(f, 999, BERTH_COMPLETED) };
    answer_read(f, rows, 2);
    assert_true(close_batch(f));
    const struct berth_job_record *job = &f->away->records[0].job;
    assert_true(slice_is(job->body, "the body"));
    assert_true(slice_is(job->unique, "u"));
    assert_true(slice_is(job->group, "g"));
    assert_true(slice_is(job->key.bytes, "k"));
    complete(f, STORED);

    uint64_t id = submitted(f, request);
    assert_true(slice_is(shown(f, id)->reason, "waits for job 1 to complete"));
    assert_int_equal(f->core->deferred_bytes, 0);
}

static void one_that_has_failed_cancels_and_one_that_is_unknown_refuses(void **state)
{
    struct fixture *f = *state;
    uint64_t id = 998;
    uint64_t request = submit(f, after_one(&id));
    struct berth_job_record dead = row(f, id, BERTH_DEAD);
    answer_read(f, &dead, 1);
    assert_true(close_batch(f));
    assert_true(slice_is(end_of(f, 1)->error_message, "job 998, which it waited for, is dead"));
    complete(f, STORED);
    assert_int_equal(submitted(f, request), 1);

    request = submit(f, after_one(&id));
    answer_read(f, NULL, 0);
    assert_int_equal(refusal_of(f, request)->code, BERTH_ENOTFOUND);
    assert_string_equal(refusal_of(f, request)->field, "after");
    assert_string_equal(refusal_of(f, request)->message, "after: job 998 is not known");
    assert_int_equal(f->core->jobs.used, 0);
}

static void a_store_that_cannot_read_refuses_the_submit(void **state)
{
    struct fixture *f = *state;
    uint64_t id = 998;
    uint64_t request = submit(f, after_one(&id));

    fail_read(f);

    assert_int_equal(answer(f, request, BERTH_DO_ERROR)->error.code, BERTH_ESTORE);
    assert_int_equal(f->core->deferred_bytes, 0);
}

static void nobody_waits_for_himself_or_for_who_comes_later(void **state)
{
    struct fixture *f = *state;
    uint64_t own = 1;
    uint64_t request = submit(f, after_one(&own));
    answer_read(f, NULL, 0);

    assert_int_equal(refusal_of(f, request)->code, BERTH_ENOTFOUND);
}

static void who_has_ended_while_it_was_looked_up_is_asked_about_again(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_worker(f, 4);
    uint64_t live = given_running(f, (struct submit){ 0 });
    const uint64_t before[] = { live, 998 };
    uint64_t request = submit(f, (struct submit){ .after = before, .after_count = 2 });
    report(f, w, live, BERTH_OUTCOME_COMPLETED);
    store_all(f);
    struct berth_job_record completed = row(f, 998, BERTH_COMPLETED);
    answer_read(f, &completed, 1);
    completed = row(f, live, BERTH_COMPLETED);
    answer_read(f, &completed, 1);
    store_all(f);

    assert_int_equal(job_of(f, submitted(f, request))->state, JOB_RUNNING);
}

static void too_many_to_look_up_are_refused(void **state)
{
    enum { JOBS = 11, EACH = 1000 };
    struct fixture *f = *state;
    static uint64_t ids[JOBS * EACH];
    struct submit items[JOBS] = { { 0 } };
    for (size_t i = 0; i < JOBS * EACH; i++)
        ids[i] = 1000 + i;
    for (size_t i = 0; i < JOBS; i++)
        items[i] = (struct submit){ .after = ids + i * EACH, .after_count = EACH };

    uint64_t request = submit_many(f, items, JOBS);

    assert_string_equal(
        answer(f, request, BERTH_DO_ERROR)->error.message,
        "after: the jobs of one submit wait for 11000 different ones; allowed are 10000");
}

static void more_than_may_be_held_is_told_to_try_later(void **state)
{
    enum { BYTES = DEFERRED_BYTES_MAX / 2 };
    struct fixture *f = *state;
    static char big[BYTES + 1];
    memset(big, 'x', BYTES);
    uint64_t id = 998;
    struct submit items[] = { after_one(&id), after_one(&id) };
    items[0].body = big;
    items[1].handler = big; /* the names weigh, too */
    for (size_t i = 0; i < 2; i++) {
        submit(f, items[i]);
        uint64_t request = submit(f, items[i]);
        assert_int_equal(answer(f, request, BERTH_DO_ERROR)->error.code, BERTH_ELATER);

        fail_read(f);
        assert_int_equal(f->core->deferred_bytes, 0);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, core_setup, core_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(who_is_not_live_is_looked_up_before_the_submit_is_taken),
        TEST(one_that_has_failed_cancels_and_one_that_is_unknown_refuses),
        TEST(a_store_that_cannot_read_refuses_the_submit),
        TEST(nobody_waits_for_himself_or_for_who_comes_later),
        TEST(who_has_ended_while_it_was_looked_up_is_asked_about_again),
        TEST(too_many_to_look_up_are_refused),
        TEST(more_than_may_be_held_is_told_to_try_later),
    };
    return berth_test_main(tests, NULL, NULL);
}
