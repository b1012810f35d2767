/* SPDX-License-Identifier: MIT
 *
 * Sessions that live: lease, silence, streams, capacity.
 */
#include "core_fixture.h"

#include <errno.h>

#include "broker/core/dispatcher/dispatcher.h"

/* ---- the lease ---- */

static void a_session_that_is_not_renewed_expires_after_its_lease(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_worker(f, 4);
    uint64_t job = given_running(f, (struct submit){ 0 });

    turn_after(f, L_MS - 1);
    assert_int_equal(job_of(f, job)->state, JOB_RUNNING);
    assert_int_equal(berth_core_next_deadline_ms(f->core, f->now_ms, f->wall_us), f->now_ms + 1);
    turn_after(f, 1);

    assert_int_equal(job_of(f, job)->state, JOB_SETTLING);
    assert_int_equal(dispatcher(f, "default")->running, 0);
    assert_true(close_batch(f));
    assert_non_null(record_away(f, BERTH_RECORD_SESSION_END, w->session));
    const struct berth_record *retry = record_away(f, BERTH_RECORD_RETRY, job);
    assert_non_null(retry);
    assert_int_equal(retry->retry.attempt, 1);
    assert_int_equal(retry->retry.failures, 0);
    assert_true(slice_is(retry->retry.last.error_kind, "lost"));
    assert_true(slice_is(retry->retry.last.worker, w->name));
}

static void a_renewal_is_answered_and_extends_the_lease_from_now(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_worker(f, 4);
    advance(f, 4000);

    renew(f, w);

    const struct berth_do_joined *renewed = &get_to(f, BERTH_DO_RENEWED, w->peer)->joined;
    assert_int_equal(renewed->renewal, w->renewal);
    assert_int_equal(renewed->join, 1);
    assert_false(renewed->join_again);
    turn_after(f, L_MS - 1);
    assert_int_equal(session_of(f, w)->state, SESSION_LIVE);
    turn_after(f, 1);
    assert_int_equal(session_of(f, w)->state, SESSION_CLOSING);
}

/* What lies in the sockets is taken before the timers are looked at. */
static void a_renewal_taken_before_the_turn_saves_a_lease_that_has_run_out(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_worker(f, 4);
    advance(f, L_MS + 5000);

    renew(f, w);
    turn(f);

    assert_int_equal(session_of(f, w)->state, SESSION_LIVE);
}

static void after_its_expiry_a_session_is_fenced_whatever_it_says(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_worker(f, 4);
    uint64_t job = given_running(f, (struct submit){ 0 });
    uint64_t attempt = attempt_of(f, job);
    turn_after(f, L_MS);
    forget(f);

    for (unsigned round = 0; round < 2; round++) { /* before it is stored, and after */
        struct berth_join_line lines[] = { line(attempt, job, 1) };
        join(f, w, lines, 1);
        renew(f, w);
        report_end(f, w, attempt, job,
                   (struct berth_attempt_end){ .outcome = BERTH_OUTCOME_COMPLETED });
        assert_int_equal(said(f, BERTH_DO_FENCED), 3 * (round + 1));
        assert_int_equal(get_to(f, BERTH_DO_FENCED, w->peer)->fenced.session, w->session);
        store_all(f);
    }
    assert_null(session_of(f, w));
    assert_int_equal(job_of(f, job)->state, JOB_READY);
}

static void a_hello_of_a_session_that_is_being_closed_is_fenced(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_worker(f, 4);
    turn_after(f, L_MS);

    hello(f, w);

    assert_int_equal(get_to(f, BERTH_DO_FENCED, w->peer)->fenced.session, w->session);
}

static void a_session_silent_for_two_renewals_gets_no_grants_until_it_is_heard(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_worker(f, 4);
    uint64_t before = submit(f, (struct submit){ 0 });
    advance(f, 2 * R_MS - 1);
    store_all(f);
    assert_int_equal(grants_to(f, w), 1);
    assert_int_not_equal(submitted(f, before), 0);

    advance(f, 1);
    uint64_t job = given_job(f, (struct submit){ 0 });
    assert_null(grant_of(f, job));

    renew(f, w);
    turn(f);
    assert_non_null(grant_of(f, job));
}

static void nothing_is_sent_to_a_session_without_a_peer_but_its_stream_goes_on(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_worker(f, 4);
    uint64_t job = given_running(f, (struct submit){ 0 });
    uint64_t number = get(f, BERTH_DO_ORDERS)->orders.number;
    peer_gone(f, w->peer);
    cancel(f, job);
    forget(f);
    store_all(f);
    assert_null(find(f, BERTH_DO_ORDERS));

    /* So that the worker finds the gap, and joins again. */
    w->peer = 999;
    renew(f, w);
    assert_int_equal(get_to(f, BERTH_DO_RENEWED, 999)->joined.sent, number + 1);
}

static void a_worker_whose_connection_broke_gets_grants_again_when_it_is_heard(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_worker(f, 4);
    peer_gone(f, w->peer);
    uint64_t job = given_job(f, (struct submit){ 0 });
    assert_null(grant_of(f, job));

    w->peer = 999;
    renew(f, w);
    turn(f);

    assert_int_equal(get(f, BERTH_DO_ORDERS)->peer, 999);
    assert_non_null(grant_of(f, job));
}

/* ---- streams ---- */

static void a_renewal_that_tells_of_reports_not_taken_asks_for_a_join(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_worker(f, 4);
    w->reported = 1; /* it was lost */

    renew(f, w);

    assert_true(get(f, BERTH_DO_RENEWED)->joined.join_again);
    assert_int_equal(get(f, BERTH_DO_RENEWED)->joined.taken, 0);
}

static void a_renewal_of_another_join_is_not_answered(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_worker(f, 4);
    join(f, w, NULL, 0);
    forget(f);

    w->join = 1;
    renew(f, w);
    w->join = 3;
    renew(f, w);

    assert_int_equal(f->said_count, 0);
}

static void messages_of_another_epoch_get_the_epoch(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_worker(f, 4);
    uint64_t job = given_running(f, (struct submit){ 0 });
    w->epoch = EPOCH - 1;
    forget(f);
    struct berth_join_line lines[] = { line(77, job, 9) };

    join(f, w, lines, 1);
    renew(f, w);
    send_reports(f, w, (struct berth_ev_reports){ 0 });

    assert_int_equal(f->said_count, 3);
    assert_int_equal(said(f, BERTH_DO_EPOCH), 3);
    assert_int_equal(job_of(f, job)->state, JOB_RUNNING);
}

static void messages_of_an_unknown_session_are_fenced(void **state)
{
    struct fixture *f = *state;
    struct worker *w = new_worker(f, 4);
    w->session = (uint64_t)EPOCH << 40 | 99;

    join(f, w, NULL, 0);
    renew(f, w);
    send_reports(f, w, (struct berth_ev_reports){ 0 });

    assert_int_equal(said(f, BERTH_DO_FENCED), 3);
}

static void the_orders_of_a_join_are_numbered_from_1_without_a_gap(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_worker(f, 8);
    for (unsigned round = 0; round < 2; round++) {
        for (uint64_t number = 1; number <= 2; number++) {
            forget(f);
            given_job(f, (struct submit){ .dispatcher = "io" });
            assert_int_equal(get(f, BERTH_DO_ORDERS)->orders.number, number);
            assert_int_equal(get(f, BERTH_DO_ORDERS)->orders.join, w->join);
            assert_int_equal(get(f, BERTH_DO_ORDERS)->orders.epoch, EPOCH);
        }
        join(f, w, NULL, 0);
        for (uint64_t job = 1; job <= f->core->next_job_id; job++)
            if (job_of(f, job))
                cancel(f, job);
        store_all(f);
    }
}

static void orders_too_large_for_a_frame_leave_as_several(void **state)
{
    struct fixture *f = *state;
    static char body[1 << 20];
    memset(body, 'x', sizeof body - 1);
    given_dispatcher(f, "big", 100);
    for (unsigned i = 0; i < 20; i++)
        given_job(f, (struct submit){ .dispatcher = "big", .body = body });

    struct worker *w = given_worker(f, 100);

    assert_int_equal(grants_to(f, w), 20);
    assert_true(said(f, BERTH_DO_ORDERS) > 2);
    uint64_t number = 0;
    for (size_t i = 0; i < f->said_count; i++) {
        if (f->said[i].type != BERTH_DO_ORDERS)
            continue;
        size_t bytes = 0;
        for (size_t j = 0; j < f->said[i].orders.grant_count; j++)
            bytes += f->said[i].orders.grants[j].body.bytes;
        assert_true(bytes <= 8 << 20);
        assert_int_equal(f->said[i].orders.number, ++number);
    }
}

/* ---- capacity ---- */

static void a_worker_is_given_no_more_than_its_capacity(void **state)
{
    struct fixture *f = *state;
    given_dispatcher(f, "wide", 100);
    struct worker *w = given_worker(f, 3);
    for (unsigned i = 0; i < 5; i++)
        given_job(f, (struct submit){ .dispatcher = "wide" });

    assert_int_equal(grants_to(f, w), 3);
}

static void an_ended_attempt_holds_its_place_until_its_end_is_stored(void **state)
{
    struct fixture *f = *state;
    given_dispatcher(f, "wide", 100);
    struct worker *w = given_worker(f, 1);
    uint64_t first = given_running(f, (struct submit){ .dispatcher = "wide" });
    uint64_t second = given_job(f, (struct submit){ .dispatcher = "wide" });

    report(f, w, first, BERTH_OUTCOME_COMPLETED);
    turn(f);
    assert_int_equal(dispatcher(f, "wide")->running, 0);
    assert_null(grant_of(f, second));

    store_all(f);
    assert_non_null(grant_of(f, second));
}

static void cores_count_the_joined_workers_and_are_at_least_2(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(dispatcher_limit(f->core, dispatcher(f, "default")), 2);
    struct worker *one = new_worker(f, 4), *two = new_worker(f, 4);
    one->cores = 3;
    two->cores = 5;
    given_joined(f, one);
    assert_int_equal(dispatcher_limit(f->core, dispatcher(f, "default")), 3);
    given_joined(f, two);
    assert_int_equal(dispatcher_limit(f->core, dispatcher(f, "default")), 8);
    assert_int_equal(dispatcher_limit(f->core, dispatcher(f, "io")), 64);

    one->cores = 100;
    join(f, one, NULL, 0);
    assert_int_equal(dispatcher_limit(f->core, dispatcher(f, "default")), 105);
    assert_int_equal(dispatcher_limit(f->core, dispatcher(f, "io")), 105);

    gone(f, one, BERTH_GONE_EXIT);
    assert_int_equal(dispatcher_limit(f->core, dispatcher(f, "default")), 5);
}

static void cores_that_grow_by_a_join_start_what_waited_for_them(void **state)
{
    struct fixture *f = *state;
    struct worker *w = new_worker(f, 8);
    w->cores = 1;
    given_joined(f, w);
    for (unsigned i = 0; i < 4; i++)
        given_job(f, (struct submit){ 0 });
    assert_int_equal(grants_to(f, w), 2);
    struct berth_join_line lines[] = { line(attempt_of(f, 1), 1, 1), line(attempt_of(f, 2), 2, 1) };

    w->cores = 4;
    join(f, w, lines, 2);
    turn(f);

    assert_int_equal(grants_to(f, w), 4);
}

static void a_draining_worker_gets_nothing_new_and_its_releases_cost_nothing(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_worker(f, 4);
    uint64_t job = given_running(f, (struct submit){ 0 });

    w->is_draining = true;
    release(f, w, attempt_of(f, job));
    turn(f);

    assert_int_equal(job_of(f, job)->state, JOB_READY);
    assert_int_equal(job_of(f, job)->attempt_number, 0);
    assert_int_equal(grants_to(f, w), 1);
    struct worker *other = given_worker(f, 4);
    assert_int_equal(grants_to(f, other), 1);
    assert_int_equal(grant_of(f, job)->number, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, core_setup, core_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_session_that_is_not_renewed_expires_after_its_lease),
        TEST(a_renewal_is_answered_and_extends_the_lease_from_now),
        TEST(a_renewal_taken_before_the_turn_saves_a_lease_that_has_run_out),
        TEST(after_its_expiry_a_session_is_fenced_whatever_it_says),
        TEST(a_hello_of_a_session_that_is_being_closed_is_fenced),
        TEST(a_session_silent_for_two_renewals_gets_no_grants_until_it_is_heard),
        TEST(nothing_is_sent_to_a_session_without_a_peer_but_its_stream_goes_on),
        TEST(a_worker_whose_connection_broke_gets_grants_again_when_it_is_heard),
        TEST(a_renewal_that_tells_of_reports_not_taken_asks_for_a_join),
        TEST(a_renewal_of_another_join_is_not_answered),
        TEST(messages_of_another_epoch_get_the_epoch),
        TEST(messages_of_an_unknown_session_are_fenced),
        TEST(the_orders_of_a_join_are_numbered_from_1_without_a_gap),
        TEST(orders_too_large_for_a_frame_leave_as_several),
        TEST(a_worker_is_given_no_more_than_its_capacity),
        TEST(an_ended_attempt_holds_its_place_until_its_end_is_stored),
        TEST(cores_count_the_joined_workers_and_are_at_least_2),
        TEST(cores_that_grow_by_a_join_start_what_waited_for_them),
        TEST(a_draining_worker_gets_nothing_new_and_its_releases_cost_nothing),
    };
    return berth_test_main(tests, NULL, NULL);
}
