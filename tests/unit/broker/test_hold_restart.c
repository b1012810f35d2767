/* SPDX-License-Identifier: MIT */
/* on_lost = hold over a restart of the broker: what was started and held stays so, and what may
 * begin though workers are missing. */
#include "core_fixture.h"

#define VAULT 7u /* the id of the held dispatcher, where one is loaded */

/* A worker whose session of the time before is in the store, closed or not. */
static struct worker *given_stored_session(struct fixture *f, uint64_t counter, bool is_closed)
{
    struct worker *w = new_worker(f, 4);
    w->session = (uint64_t)(EPOCH - 1) << 40 | counter;
    struct berth_session_record record = { .id = w->session,
                                           .nonce = { w->nonce },
                                           .child = 1,
                                           .lease_ms = L_MS,
                                           .name = "loaded",
                                           .is_closed = is_closed };
    assert_int_equal(berth_core_load_session(f->core, &record), 0);
    return w;
}

static void given_stored_dispatcher(struct fixture *f, uint32_t id, const char *name,
                                    struct berth_limit limit, enum berth_on_lost on_lost)
{
    struct berth_dispatcher_record record = {
        .id = id, .limit = limit, .max_attempts = 5, .on_lost = (uint8_t)on_lost
    };
    (void)snprintf(record.name, sizeof record.name, "%s", name);
    assert_int_equal(berth_core_load_dispatcher(f->core, &record), 0);
}

static void given_vault(struct fixture *f, uint32_t limit)
{
    struct berth_limit value = { .kind = BERTH_LIMIT_NUMBER, .value = limit };
    given_stored_dispatcher(f, VAULT, "vault", value, BERTH_ON_LOST_HOLD);
}

static uint64_t earlier(uint64_t counter)
{
    return (uint64_t)(EPOCH - 1) << 40 | counter;
}

/* `w` NULL: it did not start. */
static void given_stored_job(struct fixture *f, uint64_t id, uint32_t dispatcher,
                             const struct worker *w)
{
    struct berth_job_record record = { .id = id,
                                       .dispatcher = dispatcher,
                                       .handler = text("mail"),
                                       .state = BERTH_READY,
                                       .body = text("b"),
                                       .start_attempt = w ? earlier(100 + id) : 0,
                                       .start_session = w ? w->session : 0,
                                       .start_us = w ? WALL_US - 5 : 0 };
    assert_int_equal(berth_core_load_job(f->core, &record), 0);
}

static void what_was_started_goes_on_when_its_worker_is_back(void **state)
{
    struct fixture *f = *state;
    core_replace(f, (struct berth_core_opts){ 0 });
    given_vault(f, 2);
    struct worker *w = given_stored_session(f, 1, false);
    given_stored_job(f, 1, VAULT, w);
    given_stored_job(f, 2, VAULT, w); /* its grant never left */
    core_start(f);
    assert_int_equal(dispatcher(f, "vault")->running, 2);

    join(f, w, &(struct berth_join_line[]){ line(earlier(101), 1, 1) }[0], 1);
    store_all(f);

    assert_null(grant_of(f, 1));
    assert_int_equal(grant_of(f, 2)->number, 1);
    report_end(f, w, earlier(101), 1,
               (struct berth_attempt_end){ .outcome = BERTH_OUTCOME_COMPLETED });
    store_all(f);
    assert_null(job_of(f, 1));
}

static void what_was_held_is_held_after_a_restart_and_nobody_waits_for_it(void **state)
{
    struct fixture *f = *state;
    core_replace(f, (struct berth_core_opts){ 0 });
    given_vault(f, 2);
    struct worker *lost = given_stored_session(f, 1, true);
    given_stored_job(f, 1, VAULT, lost);
    given_stored_job(f, 2, VAULT, NULL);
    core_start(f);
    given_worker(f, 4);
    uint64_t job = given_job(f, (struct submit){ 0 });
    store_all(f);

    assert_non_null(grant_of(f, job)); /* nothing is recovering */
    assert_null(grant_of(f, 1));
    assert_non_null(grant_of(f, 2));
    turn_after(f, 3600 * 1000);
    assert_int_equal(session_of(f, lost)->state, SESSION_LOST);
    gone(f, lost, BERTH_GONE_LEASE);
    store_all(f);
    given_worker(f, 4);
    assert_int_equal(grant_of(f, 1)->number, 2);
}

static void a_closed_session_that_holds_nothing_any_more_is_forgotten(void **state)
{
    struct fixture *f = *state;
    core_replace(f, (struct berth_core_opts){ 0 });
    struct worker *lost = given_stored_session(f, 1, true);
    core_start(f);

    assert_true(close_batch(f));
    assert_non_null(record_away(f, BERTH_RECORD_SESSION_END, lost->session));
}

static void a_start_by_a_session_that_is_gone_is_no_start(void **state)
{
    struct fixture *f = *state;
    core_replace(f, (struct berth_core_opts){ 0 });
    given_vault(f, 1);
    given_stored_job(f, 1, VAULT, &(struct worker){ .session = earlier(1) });
    core_start(f);

    given_worker(f, 1);

    assert_int_equal(grant_of(f, 1)->number, 1);
}

static void what_is_held_begins_while_workers_are_missing_and_counts_what_they_run(void **state)
{
    struct fixture *f = *state;
    core_replace(f, (struct berth_core_opts){ 0 });
    given_vault(f, 2);
    given_stored_dispatcher(f, 1, "default", (struct berth_limit){ BERTH_LIMIT_NUMBER, 4 },
                            BERTH_ON_LOST_RECLAIM);
    struct worker *missing = given_stored_session(f, 1, false);
    given_stored_job(f, 1, VAULT, missing);
    given_stored_job(f, 2, VAULT, NULL);
    given_stored_job(f, 3, VAULT, NULL);
    given_stored_job(f, 4, 1, NULL);
    core_start(f);

    given_worker(f, 8);
    store_all(f);

    assert_non_null(grant_of(f, 2));
    assert_null(grant_of(f, 3)); /* the second slot is what the missing one has */
    assert_null(grant_of(f, 4));
    assert_true(reason_is(f, 3, "the limit of vault is reached: 2 of 2 slots in use"));
    assert_true(slice_starts_with(shown(f, 4)->reason, "may be running: worker loaded has not"));
}

static void below_a_limit_that_is_not_held_nothing_begins_while_workers_are_missing(void **state)
{
    struct fixture *f = *state;
    core_replace(f, (struct berth_core_opts){ 0 });
    given_stored_dispatcher(f, 1, "all", (struct berth_limit){ BERTH_LIMIT_NUMBER, 4 },
                            BERTH_ON_LOST_RECLAIM);
    struct berth_dispatcher_record record = { .id = VAULT,
                                              .name = "vault",
                                              .limit = { BERTH_LIMIT_NUMBER, 4 },
                                              .max_attempts = 5,
                                              .parent = 1,
                                              .on_lost = BERTH_ON_LOST_HOLD };
    assert_int_equal(berth_core_load_dispatcher(f->core, &record), 0);
    struct worker *missing = given_stored_session(f, 1, false);
    given_stored_job(f, 1, VAULT, NULL);
    core_start(f);

    given_worker(f, 8);
    store_all(f);
    assert_null(grant_of(f, 1));
    gone(f, missing, BERTH_GONE_EXIT);
    store_all(f);

    assert_non_null(grant_of(f, 1));
}

static void where_nothing_is_limited_what_arrives_begins_while_workers_are_missing(void **state)
{
    struct fixture *f = *state;
    core_replace(f, (struct berth_core_opts){ 0 });
    given_stored_dispatcher(f, 1, "free", (struct berth_limit){ .kind = BERTH_LIMIT_UNLIMITED },
                            BERTH_ON_LOST_RECLAIM);
    struct worker *missing = given_stored_session(f, 1, false);
    given_stored_job(f, 1, 1, NULL); /* the missing one may run it */
    core_start(f);
    given_worker(f, 8);
    store_all(f);

    uint64_t second = given_job(f, (struct submit){ .dispatcher = "free" });
    uint64_t third = given_job(f, (struct submit){ .dispatcher = "free" });
    store_all(f);

    assert_non_null(grant_of(f, second));
    assert_non_null(grant_of(f, third));
    assert_null(grant_of(f, 1));
    assert_true(slice_starts_with(shown(f, 1)->reason, "may be running: worker loaded has not"));
    gone(f, missing, BERTH_GONE_EXIT);
    store_all(f);
    assert_non_null(grant_of(f, 1));
}

static void nothing_comes_to_hold_while_workers_are_missing(void **state)
{
    struct fixture *f = *state;
    core_replace(f, (struct berth_core_opts){ 0 });
    given_stored_dispatcher(f, 1, "mails", (struct berth_limit){ BERTH_LIMIT_NUMBER, 4 },
                            BERTH_ON_LOST_RECLAIM);
    given_vault(f, 4);
    struct worker *missing = given_stored_session(f, 1, false);
    core_start(f);

    uint64_t first = set(
        f, (struct berth_ev_dispatcher_set){ .has_on_lost = true, .on_lost = BERTH_ON_LOST_HOLD },
        "mails");
    assert_int_equal(answer(f, first, BERTH_DO_ERROR)->error.code, BERTH_ECONFLICT);
    assert_string_equal(answer(f, first, BERTH_DO_ERROR)->error.field, "on_lost");
    uint64_t second =
        set(f, (struct berth_ev_dispatcher_set){ .has_parent = true, .parent = text("vault") },
            "mails");
    assert_string_equal(answer(f, second, BERTH_DO_ERROR)->error.field, "parent");
    gone(f, missing, BERTH_GONE_EXIT);
    store_all(f);

    (void)set(
        f, (struct berth_ev_dispatcher_set){ .has_on_lost = true, .on_lost = BERTH_ON_LOST_HOLD },
        "mails");
    store_all(f);
    assert_true(dispatcher(f, "mails")->is_held);
}

static void a_job_that_was_cancelled_before_is_not_started_while_workers_are_missing(void **state)
{
    struct fixture *f = *state;
    core_replace(f, (struct berth_core_opts){ 0 });
    given_vault(f, 2);
    given_stored_session(f, 1, false);
    struct berth_job_record record = { .id = 1,
                                       .dispatcher = VAULT,
                                       .handler = text("mail"),
                                       .state = BERTH_READY,
                                       .is_cancelled = true,
                                       .body = text("b") };
    assert_int_equal(berth_core_load_job(f->core, &record), 0);
    core_start(f);

    given_worker(f, 4);
    store_all(f);

    assert_null(grant_of(f, 1));
    assert_null(job_of(f, 1));
}

static void a_loaded_session_that_says_hello_gives_back_what_it_never_started(void **state)
{
    struct fixture *f = *state;
    core_replace(f, (struct berth_core_opts){ 0 });
    given_vault(f, 1);
    struct worker *w = given_stored_session(f, 1, false);
    given_stored_job(f, 1, VAULT, w);
    core_start(f);

    hello(f, w);
    take_welcome(f, w);
    store_all(f);

    assert_int_equal(grant_of(f, 1)->number, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, core_setup, core_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_was_started_goes_on_when_its_worker_is_back),
        TEST(what_was_held_is_held_after_a_restart_and_nobody_waits_for_it),
        TEST(a_closed_session_that_holds_nothing_any_more_is_forgotten),
        TEST(a_start_by_a_session_that_is_gone_is_no_start),
        TEST(what_is_held_begins_while_workers_are_missing_and_counts_what_they_run),
        TEST(below_a_limit_that_is_not_held_nothing_begins_while_workers_are_missing),
        TEST(where_nothing_is_limited_what_arrives_begins_while_workers_are_missing),
        TEST(nothing_comes_to_hold_while_workers_are_missing),
        TEST(a_job_that_was_cancelled_before_is_not_started_while_workers_are_missing),
        TEST(a_loaded_session_that_says_hello_gives_back_what_it_never_started),
    };
    return berth_test_main(tests, NULL, NULL);
}
