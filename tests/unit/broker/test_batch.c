/* SPDX-License-Identifier: MIT
 *
 * Batches: one at a time, in order; and a store that is full.
 */
#include "core_fixture.h"

static void what_gathers_while_a_batch_is_away_is_the_next_one(void **state)
{
    struct fixture *f = *state;
    submit(f, (struct submit){ 0 });
    assert_true(close_batch(f));
    uint64_t seq = f->away->seq;
    submit(f, (struct submit){ 0 });
    submit(f, (struct submit){ 0 });
    complete(f, STORED);

    assert_true(close_batch(f));
    assert_int_equal(f->away->seq, seq + 1);
    assert_int_equal(f->away->count, 2);
}

static void there_is_no_batch_without_a_record(void **state)
{
    struct fixture *f = *state;

    assert_false(close_batch(f));
    turn(f);
    assert_false(close_batch(f));
}

/* Each record's slices lie in its batch, whatever became of what they were copied from. */
static void a_batch_is_self_contained(void **state)
{
    struct fixture *f = *state;
    char body[] = "first body";
    submit(f, (struct submit){ .body = body });
    memset(body, 'x', sizeof body - 1);
    for (unsigned i = 0; i < 200; i++)
        submit(f, (struct submit){ 0 });
    assert_true(close_batch(f));

    assert_true(slice_is(f->away->records[0].job.body, "first body"));
    assert_true(slice_is(f->away->records[200].job.handler, "mail"));
}

/* ---- full ---- */

static void a_full_store_refuses_the_arrivals_of_the_batch_with_the_reason(void **state)
{
    struct fixture *f = *state;
    uint64_t request = submit(f, (struct submit){ .key = "k", .body = "b" });
    assert_true(close_batch(f));

    complete(f, FULL);

    const struct berth_submitted_item *item =
        &answer(f, request, BERTH_DO_SUBMITTED)->submitted.items[0];
    assert_int_equal(item->id, 0);
    assert_int_equal(item->refusal.code, BERTH_EFULL);
    assert_string_equal(item->refusal.message,
                        "the broker's disk is full: this job was not stored");
    assert_int_equal(f->core->jobs.used, 0);
    assert_int_equal(f->core->keys.used, 0);
}

static void a_failed_batch_refuses_all_who_waited_for_its_jobs(void **state)
{
    struct fixture *f = *state;
    uint64_t first = submit(f, (struct submit){ .key = "k", .body = "b" });
    assert_true(close_batch(f));
    uint64_t second = submit(f, (struct submit){ .key = "k", .body = "b" });
    uint64_t job = submit(f, (struct submit){ 0 }); /* so that the next batch is not empty */
    uint64_t third = submit(f, (struct submit){ .key = "k", .body = "b" });

    complete(f, FULL);

    assert_int_equal(submitted(f, first), 0);
    assert_int_equal(submitted(f, second), 0);
    assert_int_equal(submitted(f, third), 0);
    assert_int_equal(submitted(f, job), 0);
    assert_int_equal(f->core->jobs.used, 0);
}

static void a_repeat_of_a_job_that_is_stored_is_not_refused_with_a_later_batch(void **state)
{
    struct fixture *f = *state;
    submit(f, (struct submit){ .key = "k", .body = "b" });
    assert_true(close_batch(f));
    submit(f, (struct submit){ 0 });
    uint64_t repeat = submit(f, (struct submit){ .key = "k", .body = "b" });
    complete(f, STORED);
    assert_true(close_batch(f));

    complete(f, FULL);

    assert_int_equal(submitted(f, repeat), 1);
    assert_int_equal(f->core->jobs.used, 1);
}

static void while_it_is_full_arrivals_are_refused_at_once_and_then_tried_again(void **state)
{
    struct fixture *f = *state;
    submit(f, (struct submit){ 0 });
    assert_true(close_batch(f));
    complete(f, FULL);

    uint64_t refused = submit(f, (struct submit){ 0 });
    assert_int_equal(submitted(f, refused), 0);
    assert_int_equal(answer(f, refused, BERTH_DO_SUBMITTED)->submitted.items[0].refusal.code,
                     BERTH_EFULL);

    /* Nothing else is written meanwhile that could show that there is room again. */
    advance(f, 500);
    assert_int_not_equal(given_job(f, (struct submit){ 0 }), 0);
}

static void a_broker_with_nothing_to_write_does_not_wake_up_for_a_full_store(void **state)
{
    struct fixture *f = *state;
    submit(f, (struct submit){ 0 });
    assert_true(close_batch(f));
    complete(f, FULL);
    assert_int_equal(berth_core_next_deadline_ms(f->core, f->now_ms, f->wall_us), INT64_MAX);

    set_limit(f, "default", 3);
    assert_int_equal(berth_core_next_deadline_ms(f->core, f->now_ms, f->wall_us), f->now_ms + 500);
}

static void what_is_not_an_arrival_is_tried_again_first_and_in_order(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_worker(f, 4);
    uint64_t job = given_running(f, (struct submit){ 0 });
    uint64_t attempt = attempt_of(f, job);
    report(f, w, job, BERTH_OUTCOME_COMPLETED);
    uint64_t limit = set_limit(f, "io", 7);
    uint64_t refused = submit(f, (struct submit){ 0 });
    assert_true(close_batch(f));
    complete(f, FULL);
    assert_int_equal(submitted(f, refused), 0);
    assert_null(ack_of(f, attempt));
    set_limit(f, "io", 8);
    turn(f);
    assert_false(close_batch(f));

    turn_after(f, 500);
    assert_true(close_batch(f));
    assert_int_equal(f->away->count, 2);
    assert_int_equal(f->away->records[0].type, BERTH_RECORD_END);
    assert_int_equal(f->away->records[1].dispatcher.limit.value, 7);
    complete(f, FULL); /* once more */
    turn_after(f, 500);
    assert_true(close_batch(f));
    assert_int_equal(f->away->count, 2);
    complete(f, STORED);
    turn(f);

    assert_non_null(ack_of(f, attempt));
    assert_int_equal(dispatcher(f, "io")->record.limit.value, 7);
    assert_non_null(find(f, BERTH_DO_READ)); /* the answer to the change, with its counts */
    assert_null(answer(f, limit, BERTH_DO_ERROR));
    assert_true(close_batch(f));
    assert_int_equal(f->away->records[0].dispatcher.limit.value, 8);
}

/* The cancel's own record is in the batch that failed; what gathered since were arrivals only. */
static void an_answer_that_waited_with_refused_arrivals_still_comes(void **state)
{
    struct fixture *f = *state;
    uint64_t job = given_job(f, (struct submit){ 0 });
    cancel(f, job);
    assert_true(close_batch(f));
    submit(f, (struct submit){ 0 });
    uint64_t again = cancel(f, job); /* its end is away, and something is gathering */
    complete(f, FULL);
    assert_null(answer(f, again, BERTH_DO_CANCELLED));

    advance(f, 500);
    store_all(f);

    assert_int_equal(cancelled(f, again)->state, BERTH_CANCELLED);
    assert_int_equal(cancelled(f, again)->code, 0);
}

static void reports_stay_unacknowledged_in_the_workers_and_fill_them(void **state)
{
    struct fixture *f = *state;
    given_dispatcher(f, "wide", 100);
    struct worker *w = given_worker(f, 2);
    uint64_t first = given_running(f, (struct submit){ .dispatcher = "wide" });
    uint64_t second = given_running(f, (struct submit){ .dispatcher = "wide" });
    uint64_t waiting = given_job(f, (struct submit){ .dispatcher = "wide" });
    report(f, w, first, BERTH_OUTCOME_COMPLETED);
    report(f, w, second, BERTH_OUTCOME_COMPLETED);
    for (unsigned i = 0; i < 10; i++) {
        turn_after(f, 500);
        assert_true(close_batch(f));
        complete(f, FULL);
        renew(f, w);
    }
    assert_null(grant_of(f, waiting));

    advance(f, 500);
    store_all(f);
    assert_non_null(ack_of(f, attempt_of(f, first)));
    assert_non_null(grant_of(f, waiting));
}

static void sessions_begin_and_end_on_a_full_store_when_it_has_room_again(void **state)
{
    struct fixture *f = *state;
    struct worker *w = new_worker(f, 4);
    hello(f, w);
    assert_true(close_batch(f));
    complete(f, FULL);
    gone(f, w, BERTH_GONE_EXIT);
    assert_null(find(f, BERTH_DO_WELCOME));
    assert_null(find(f, BERTH_DO_GONE_OK));

    advance(f, 500);
    store_all(f);

    assert_null(find(f, BERTH_DO_WELCOME));
    assert_int_equal(said(f, BERTH_DO_GONE_OK), 1);
    assert_int_equal(berth_map_count(&f->core->sessions), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, core_setup, core_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_gathers_while_a_batch_is_away_is_the_next_one),
        TEST(there_is_no_batch_without_a_record),
        TEST(a_batch_is_self_contained),
        TEST(a_full_store_refuses_the_arrivals_of_the_batch_with_the_reason),
        TEST(a_failed_batch_refuses_all_who_waited_for_its_jobs),
        TEST(a_repeat_of_a_job_that_is_stored_is_not_refused_with_a_later_batch),
        TEST(while_it_is_full_arrivals_are_refused_at_once_and_then_tried_again),
        TEST(a_broker_with_nothing_to_write_does_not_wake_up_for_a_full_store),
        TEST(what_is_not_an_arrival_is_tried_again_first_and_in_order),
        TEST(an_answer_that_waited_with_refused_arrivals_still_comes),
        TEST(reports_stay_unacknowledged_in_the_workers_and_fill_them),
        TEST(sessions_begin_and_end_on_a_full_store_when_it_has_room_again),
    };
    return berth_test_main(tests, NULL, NULL);
}
