/* SPDX-License-Identifier: MIT
 *
 * A broker that comes back: every limit is full until each session of the earlier one has joined,
 * is proven gone, or has run out.
 */
#include "core_fixture.h"

static struct worker *given_stored_session(struct fixture *f, uint64_t counter)
{
    struct worker *w = new_worker(f, 4);
    w->session = (uint64_t)(EPOCH - 1) << 40 | counter;
    struct berth_session_record record = {
        .id = w->session, .nonce = { w->nonce }, .child = 1, .lease_ms = L_MS, .name = "loaded"
    };
    assert_int_equal(berth_core_load_session(f->core, &record), 0);
    return w;
}

static void given_stored_job(struct fixture *f, uint64_t id)
{
    struct berth_job_record record = {
        .id = id, .dispatcher = 1, .handler = text("mail"), .state = BERTH_READY, .body = text("b")
    };
    assert_int_equal(berth_core_load_job(f->core, &record), 0);
}

static void given_stored_default(struct fixture *f)
{
    struct berth_dispatcher_record record = { .id = 1,
                                              .name = "default",
                                              .limit = { .kind = BERTH_LIMIT_NUMBER, .value = 4 },
                                              .max_attempts = 5 };
    assert_int_equal(berth_core_load_dispatcher(f->core, &record), 0);
}

static void after_a_restart_nothing_is_granted_until_every_session_is_resolved(void **state)
{
    struct fixture *f = *state;
    core_replace(f, (struct berth_core_opts){ 0 });
    given_stored_default(f);
    struct worker *one = given_stored_session(f, 1), *two = given_stored_session(f, 2),
                  *three = given_stored_session(f, 3);
    given_stored_job(f, 1);
    core_start(f);
    struct worker *fresh = given_worker(f, 4); /* new ones are welcomed meanwhile */
    uint64_t job = given_job(f, (struct submit){ 0 });

    join(f, one, NULL, 0); /* joins with nothing */
    store_all(f);
    assert_int_equal(grants_to(f, NULL), 0);
    gone(f, two, BERTH_GONE_EXIT); /* is proven gone */
    store_all(f);
    assert_int_equal(grants_to(f, NULL), 0);
    renew(f, fresh);
    turn_after(f, L_MS - 1);
    assert_int_equal(grants_to(f, NULL), 0);
    renew(f, one);
    renew(f, fresh);
    turn_after(f, 1); /* has run out */

    assert_int_equal(grants_to(f, NULL), 2);
    assert_non_null(grant_of(f, job));
    assert_int_equal(session_of(f, three)->state, SESSION_CLOSING);
}

static void a_loaded_lease_counts_from_the_start_of_this_broker(void **state)
{
    struct fixture *f = *state;
    core_replace(f, (struct berth_core_opts){ 0 });
    struct worker *w = given_stored_session(f, 1);
    core_start(f);

    assert_int_equal(berth_core_next_deadline_ms(f->core, f->now_ms, f->wall_us), f->now_ms + L_MS);
    turn_after(f, L_MS - 1);
    assert_int_equal(session_of(f, w)->state, SESSION_RECOVERING);
    turn_after(f, 1);
    assert_int_equal(session_of(f, w)->state, SESSION_CLOSING);
}

static void a_loaded_session_that_says_hello_never_took_a_welcome_and_runs_nothing(void **state)
{
    struct fixture *f = *state;
    core_replace(f, (struct berth_core_opts){ 0 });
    given_stored_default(f);
    struct worker *w = given_stored_session(f, 1);
    given_stored_job(f, 1);
    core_start(f);

    hello(f, w);
    turn(f);

    assert_int_equal(get_to(f, BERTH_DO_WELCOME, w->peer)->welcome.session, w->session);
    assert_int_equal(get(f, BERTH_DO_WELCOME)->welcome.epoch, EPOCH);
    assert_non_null(grant_of(f, 1));
}

/* Its row holds the shorter lease: a broker that starts after us would wait too short for it. */
static void a_loaded_session_is_never_promised_a_longer_lease_than_was_stored(void **state)
{
    struct fixture *f = *state;
    core_replace(f, (struct berth_core_opts){ .lease_ms = 20000, .worker_lease_ms = 17000 });
    struct worker *w = given_stored_session(f, 1);
    core_start(f);

    hello(f, w);
    assert_null(find(f, BERTH_DO_WELCOME));
    assert_int_equal(get_to(f, BERTH_DO_FENCED, w->peer)->fenced.session, w->session);

    w->child = 2;
    given_joined(f, w);
    assert_int_equal(get(f, BERTH_DO_WELCOME)->welcome.worker_lease_ms, 17000);
}

static void the_same_session_twice_in_the_store_is_an_error_and_not_the_end(void **state)
{
    struct fixture *f = *state;
    core_replace(f, (struct berth_core_opts){ 0 });
    struct berth_session_record record = { .id = 1, .nonce = { 1 }, .child = 1, .lease_ms = L_MS };
    assert_int_equal(berth_core_load_session(f->core, &record), 0);

    assert_int_equal(berth_core_load_session(f->core, &record), BERTH_ESTORE);
    record.id = 2;
    assert_int_equal(berth_core_load_session(f->core, &record), BERTH_ESTORE);
    core_start(f);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, core_setup, core_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(after_a_restart_nothing_is_granted_until_every_session_is_resolved),
        TEST(a_loaded_lease_counts_from_the_start_of_this_broker),
        TEST(a_loaded_session_that_says_hello_never_took_a_welcome_and_runs_nothing),
        TEST(a_loaded_session_is_never_promised_a_longer_lease_than_was_stored),
        TEST(the_same_session_twice_in_the_store_is_an_error_and_not_the_end),
    };
    return berth_test_main(tests, NULL, NULL);
}
