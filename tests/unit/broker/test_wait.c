/* SPDX-License-Identifier: MIT
 *
 * Waiting for jobs to end.
 */
#include "core_fixture.h"

static const struct berth_do_waited *waited(const struct fixture *f, uint64_t request)
{
    const struct berth_effect *effect = answer(f, request, BERTH_DO_WAITED);
    assert_non_null(effect);
    return &effect->waited;
}

static void a_wait_says_at_once_how_many_are_pending_and_tells_of_the_end(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_worker(f, 4);
    uint64_t job = given_running(f, (struct submit){ 0 });

    uint64_t request = wait_for(f, job);
    assert_int_equal(waited(f, request)->count, 0);
    assert_int_equal(waited(f, request)->pending, 1);
    report(f, w, job, BERTH_OUTCOME_COMPLETED);
    turn(f);
    assert_int_equal(waited(f, request)->pending, 1); /* it is not stored */
    store_all(f);

    assert_int_equal(waited(f, request)->count, 1);
    assert_int_equal(waited(f, request)->ended[0].id, job);
    assert_int_equal(waited(f, request)->ended[0].state, BERTH_COMPLETED);
    assert_int_equal(waited(f, request)->pending, 0);
    assert_int_equal(berth_map_count(&f->core->waits), 0);
}

static void all_that_ends_in_one_batch_is_told_in_one_message(void **state)
{
    struct fixture *f = *state;
    uint64_t ids[5];
    for (size_t i = 0; i < 5; i++)
        ids[i] = given_job(f, (struct submit){ 0 });
    uint64_t request = ask(f, BERTH_EV_WAIT, ids, 5);
    ask(f, BERTH_EV_CANCEL, ids, 3);
    forget(f);

    store_all(f);
    assert_int_equal(said(f, BERTH_DO_WAITED), 1);
    assert_int_equal(waited(f, request)->count, 3);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(waited(f, request)->ended[i].id, ids[i]);
    assert_int_equal(waited(f, request)->pending, 2);
}

static void everybody_who_waits_for_a_job_is_told(void **state)
{
    struct fixture *f = *state;
    uint64_t job = given_job(f, (struct submit){ 0 });
    uint64_t requests[3];
    for (size_t i = 0; i < 3; i++)
        requests[i] = wait_for(f, job);

    cancel(f, job);
    store_all(f);

    for (size_t i = 0; i < 3; i++)
        assert_int_equal(waited(f, requests[i])->pending, 0);
    assert_int_equal(f->core->watch_count, 0);
    assert_int_equal(berth_map_count(&f->core->watches), 0);
}

static void a_wait_for_ended_and_unknown_jobs_asks_the_store(void **state)
{
    struct fixture *f = *state;
    uint64_t live = given_job(f, (struct submit){ 0 });
    const uint64_t ids[] = { 50, live, 51 };
    uint64_t request = ask(f, BERTH_EV_WAIT, ids, 3);
    assert_null(answer(f, request, BERTH_DO_WAITED));
    struct berth_job_record dead = row(f, 51, BERTH_DEAD);

    answer_read(f, &dead, 1);

    assert_int_equal(waited(f, request)->count, 1);
    assert_int_equal(waited(f, request)->ended[0].state, BERTH_DEAD);
    assert_int_equal(waited(f, request)->unknown_count, 1);
    assert_int_equal(waited(f, request)->unknown[0], 50);
    assert_int_equal(waited(f, request)->pending, 1);
}

static void an_id_that_is_waited_for_twice_ends_twice(void **state)
{
    struct fixture *f = *state;
    uint64_t job = given_job(f, (struct submit){ 0 });
    const uint64_t ids[] = { job, job };
    uint64_t request = ask(f, BERTH_EV_WAIT, ids, 2);
    assert_int_equal(waited(f, request)->pending, 2);

    cancel(f, job);
    store_all(f);

    assert_int_equal(waited(f, request)->count, 2);
    assert_int_equal(waited(f, request)->pending, 0);
}

static uint64_t wait_as(struct fixture *f, uint64_t peer, uint64_t request, uint64_t job)
{
    step(f, (struct berth_event){
                .type = BERTH_EV_WAIT,
                .ids = { .peer = peer, .request = request, .ids = &job, .count = 1 } });
    return request;
}

static void a_wait_that_is_repeated_takes_the_place_of_the_first(void **state)
{
    struct fixture *f = *state;
    uint64_t job = given_job(f, (struct submit){ 0 });
    wait_as(f, CLIENT, 500, job);
    advance(f, 29000);
    wait_as(f, CLIENT, 500, job);
    assert_int_equal(f->core->watch_count, 1);

    turn_after(f, 29000);
    cancel(f, job);
    store_all(f);

    assert_int_equal(waited(f, 500)->pending, 0);
}

static void a_wait_that_is_not_repeated_is_forgotten_after_30_s(void **state)
{
    struct fixture *f = *state;
    uint64_t job = given_job(f, (struct submit){ 0 });
    uint64_t request = wait_for(f, job);

    turn_after(f, 29999);
    assert_int_equal(f->core->watch_count, 1);
    turn_after(f, 1);
    assert_int_equal(f->core->watch_count, 0);
    cancel(f, job);
    store_all(f);

    assert_int_equal(waited(f, request)->pending, 1); /* the first answer was the last */
}

static void the_waits_of_a_peer_go_with_it(void **state)
{
    struct fixture *f = *state;
    uint64_t job = given_job(f, (struct submit){ 0 });
    wait_as(f, 11, 500, job);
    wait_as(f, 12, 500, job);

    peer_gone(f, 11);
    forget(f);
    cancel(f, job);
    store_all(f);

    assert_null(find_to(f, BERTH_DO_WAITED, 11));
    assert_int_equal(get_to(f, BERTH_DO_WAITED, 12)->waited.pending, 0);
}

static void more_waits_than_allowed_are_refused_and_nothing_of_them_is_left(void **state)
{
    struct fixture *f = *state;
    uint64_t jobs[3];
    for (size_t i = 0; i < 3; i++)
        jobs[i] = given_job(f, (struct submit){ 0 });
    uint64_t first = wait_for(f, jobs[0]);
    f->core->watch_count += WATCHES_MAX - 2; /* as if so many were there */

    uint64_t request = ask(f, BERTH_EV_WAIT, jobs, 3);
    assert_int_equal(answer(f, request, BERTH_DO_ERROR)->error.code, BERTH_EFULL);
    assert_string_equal(answer(f, request, BERTH_DO_ERROR)->error.message,
                        "the broker keeps 1000000 waits, as many as it may");
    assert_null(answer(f, request, BERTH_DO_WAITED));
    f->core->watch_count -= WATCHES_MAX - 2;
    assert_int_equal(f->core->watch_count, 1);
    cancel(f, jobs[0]);
    store_all(f);

    assert_int_equal(waited(f, first)->pending, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, core_setup, core_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_wait_says_at_once_how_many_are_pending_and_tells_of_the_end),
        TEST(all_that_ends_in_one_batch_is_told_in_one_message),
        TEST(everybody_who_waits_for_a_job_is_told),
        TEST(a_wait_for_ended_and_unknown_jobs_asks_the_store),
        TEST(an_id_that_is_waited_for_twice_ends_twice),
        TEST(a_wait_that_is_repeated_takes_the_place_of_the_first),
        TEST(a_wait_that_is_not_repeated_is_forgotten_after_30_s),
        TEST(the_waits_of_a_peer_go_with_it),
        TEST(more_waits_than_allowed_are_refused_and_nothing_of_them_is_left),
    };
    return berth_test_main(tests, NULL, NULL);
}
