/* SPDX-License-Identifier: MIT
 *
 * How sessions begin: epoch, hello, the stored row, welcome.
 */
#include "core_fixture.h"

#include <errno.h>

#include "broker/core/dispatcher/dispatcher.h"

static void a_hello_of_another_epoch_gets_the_epoch_and_nothing_else(void **state)
{
    struct fixture *f = *state;
    struct worker *w = new_worker(f, 4);
    const uint32_t epochs[] = { 0, EPOCH - 1, EPOCH + 1 };

    for (size_t i = 0; i < 3; i++) {
        forget(f);
        w->epoch = epochs[i];
        hello(f, w);
        store_all(f);
        assert_int_equal(f->said_count, 1);
        assert_int_equal(get_to(f, BERTH_DO_EPOCH, w->peer)->epoch.epoch, EPOCH);
        assert_int_equal(get(f, BERTH_DO_EPOCH)->epoch.lineage, LINEAGE);
    }
    assert_int_equal(berth_map_count(&f->core->sessions), 0);
}

static void a_session_is_welcomed_only_when_it_is_stored(void **state)
{
    struct fixture *f = *state;
    struct worker *w = new_worker(f, 4);

    hello(f, w);
    turn(f);
    assert_true(close_batch(f));
    hello(f, w); /* once more, meanwhile */
    turn(f);
    assert_int_equal(f->said_count, 0);
    assert_int_equal(f->away->count, 1);
    assert_int_equal(f->away->records[0].type, BERTH_RECORD_SESSION);
    complete(f, STORED);

    assert_int_equal(said(f, BERTH_DO_WELCOME), 1);
    const struct berth_do_welcome *welcome = &get_to(f, BERTH_DO_WELCOME, w->peer)->welcome;
    assert_int_equal(welcome->session >> 40, EPOCH);
    assert_int_equal(welcome->epoch, EPOCH);
    assert_int_equal(welcome->lineage, LINEAGE);
    assert_int_equal(welcome->lease_ms, L_MS);
    assert_int_equal(welcome->worker_lease_ms, K_MS);
    assert_int_equal(welcome->renew_ms, R_MS);
    assert_int_equal(welcome->nonce[0], w->nonce);
    assert_int_equal(welcome->child, w->child);
}

static void the_stored_session_says_who_it_is_and_how_long_it_may_live(void **state)
{
    struct fixture *f = *state;
    struct worker *w = new_worker(f, 4);
    hello(f, w);
    assert_true(close_batch(f));

    const struct berth_session_record *record = &f->away->records[0].session;
    assert_int_equal(record->id >> 40, EPOCH);
    assert_int_equal(record->nonce[0], w->nonce);
    assert_int_equal(record->child, 1);
    assert_int_equal(record->lease_ms, L_MS);
    assert_string_equal(record->name, w->name);
}

static void nothing_is_granted_before_the_session_is_stored(void **state)
{
    struct fixture *f = *state;
    uint64_t job = given_job(f, (struct submit){ 0 });
    struct worker *w = new_worker(f, 4);

    hello(f, w);
    turn(f);
    assert_true(close_batch(f));
    turn(f);
    assert_null(grant_of(f, job));

    complete(f, STORED);
    turn(f);
    assert_non_null(grant_of(f, job));
}

static void a_hello_that_is_repeated_is_welcomed_to_the_same_session(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_worker(f, 4);
    forget(f);

    hello(f, w);
    store_all(f);

    assert_int_equal(get_to(f, BERTH_DO_WELCOME, w->peer)->welcome.session, w->session);
    assert_int_equal(berth_map_count(&f->core->sessions), 1);
}

static void a_hello_after_a_second_join_is_a_late_copy(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_worker(f, 4);
    uint64_t job = given_running(f, (struct submit){ 0 });
    struct berth_join_line lines[] = { line(attempt_of(f, job), job, 1) };
    join(f, w, lines, 1);
    forget(f);

    hello(f, w);

    assert_int_equal(f->said_count, 0);
    assert_int_equal(job_of(f, job)->state, JOB_RUNNING);
}

static void the_welcome_goes_to_where_the_last_hello_came_from(void **state)
{
    struct fixture *f = *state;
    struct worker *w = new_worker(f, 4);
    hello(f, w);
    w->peer = 999;
    hello(f, w);

    store_all(f);

    assert_int_equal(get(f, BERTH_DO_WELCOME)->peer, 999);
}

static void
a_session_whose_peer_went_before_it_was_stored_is_welcomed_at_its_next_hello(void **state)
{
    struct fixture *f = *state;
    uint64_t job = given_job(f, (struct submit){ 0 });
    struct worker *w = new_worker(f, 4);
    hello(f, w);
    peer_gone(f, w->peer);
    store_all(f);
    assert_null(find(f, BERTH_DO_WELCOME));
    assert_null(grant_of(f, job));

    w->peer = 999;
    hello(f, w);
    turn(f);

    assert_int_equal(get(f, BERTH_DO_WELCOME)->peer, 999);
    assert_non_null(grant_of(f, job));
}

static void a_child_below_the_newest_of_its_keeper_is_fenced(void **state)
{
    struct fixture *f = *state;
    struct worker *newer = new_worker(f, 4), *older = new_worker(f, 4);
    newer->child = 3;
    given_joined(f, newer);
    older->nonce = newer->nonce;
    older->child = 2;

    hello(f, older);

    const struct berth_do_fenced *fenced = &get_to(f, BERTH_DO_FENCED, older->peer)->fenced;
    assert_int_equal(fenced->child, 2);
    assert_int_equal(fenced->nonce[0], older->nonce);
    assert_int_equal(berth_map_count(&f->core->sessions), 1);
}

static void a_worker_that_serves_only_some_dispatchers_is_refused(void **state)
{
    struct fixture *f = *state;
    struct berth_slice served = text("news");
    struct berth_event event = { .type = BERTH_EV_HELLO,
                                 .hello = { .peer = 9, .epoch = EPOCH, .child = 1 } };
    event.hello.offer.served = &served;
    event.hello.offer.served_count = 1;

    step(f, event);

    assert_int_equal(get_to(f, BERTH_DO_ERROR, 9)->error.code, -ENOTSUP);
    assert_int_equal(berth_map_count(&f->core->sessions), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, core_setup, core_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_hello_of_another_epoch_gets_the_epoch_and_nothing_else),
        TEST(a_session_is_welcomed_only_when_it_is_stored),
        TEST(the_stored_session_says_who_it_is_and_how_long_it_may_live),
        TEST(nothing_is_granted_before_the_session_is_stored),
        TEST(a_hello_that_is_repeated_is_welcomed_to_the_same_session),
        TEST(a_hello_after_a_second_join_is_a_late_copy),
        TEST(the_welcome_goes_to_where_the_last_hello_came_from),
        TEST(a_session_whose_peer_went_before_it_was_stored_is_welcomed_at_its_next_hello),
        TEST(a_child_below_the_newest_of_its_keeper_is_fenced),
        TEST(a_worker_that_serves_only_some_dispatchers_is_refused),
    };
    return berth_test_main(tests, NULL, NULL);
}
