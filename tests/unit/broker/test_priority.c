/* SPDX-License-Identifier: MIT
 *
 * Priorities and ageing: the higher one first, and nobody for ever last.
 */
#include "broker/core/match/lane.h"
#include "core_fixture.h"

#define AGE_MS (AGE_S * INT64_C(1000))

static uint64_t given_waiting(struct fixture *f, int32_t priority)
{
    return given_job(f, (struct submit){ .dispatcher = "one", .priority = priority });
}

/* Nobody is there yet who could start them. */
static void given_nothing_starts(struct fixture *f)
{
    given_dispatcher(f, "one", 0);
}

static void when_one_slot_comes(struct fixture *f)
{
    given_worker(f, 4);
    set_limit(f, "one", 1);
    store_all(f);
}

static void a_level_of_priority_is_worth_30_s_of_waiting(void **state)
{
    struct fixture *f = *state;
    given_nothing_starts(f);
    uint64_t low = given_waiting(f, 0);
    advance(f, AGE_MS + 1000);
    uint64_t high = given_waiting(f, 1);

    when_one_slot_comes(f);

    assert_non_null(grant_of(f, low));
    assert_null(grant_of(f, high));
}

static void and_less_waiting_than_that_is_not(void **state)
{
    struct fixture *f = *state;
    given_nothing_starts(f);
    uint64_t low = given_waiting(f, -1);
    advance(f, 2 * AGE_MS);
    uint64_t high = given_waiting(f, 1);

    when_one_slot_comes(f);

    assert_null(grant_of(f, low));
    assert_non_null(grant_of(f, high));
}

/* The lowest one starts after 200 levels x 30 s of arrivals of the highest. */
static void the_lowest_priority_is_not_starved_by_the_highest(void **state)
{
    struct fixture *f = *state;
    given_dispatcher(f, "one", 1);
    struct worker *w = given_worker(f, 4);
    uint64_t running = given_waiting(f, 100);
    uint64_t lowest = given_waiting(f, -100);
    int64_t waited_ms = 0;
    while (!grant_of(f, lowest)) {
        uint64_t next = given_waiting(f, 100);
        for (int64_t gone_ms = 0; gone_ms < 2 * AGE_MS; gone_ms += 5000) {
            advance(f, 5000);
            renew(f, w);
            turn(f);
        }
        waited_ms += 2 * AGE_MS;
        report(f, w, running, BERTH_OUTCOME_COMPLETED);
        store_all(f);
        running = next;
        assert_true(waited_ms <= 200 * AGE_MS + 4 * AGE_MS);
    }
    assert_true(waited_ms >= 199 * AGE_MS);
}

static void a_clock_that_jumps_makes_nobody_older(void **state)
{
    struct fixture *f = *state;
    given_nothing_starts(f);
    uint64_t low = given_waiting(f, 0);
    f->wall_us += 3600 * SECOND_US;
    uint64_t high = given_waiting(f, 1);

    when_one_slot_comes(f);

    assert_null(grant_of(f, low));
    assert_non_null(grant_of(f, high));
}

static void what_is_handed_back_has_waited_all_the_time(void **state)
{
    struct fixture *f = *state;
    given_dispatcher(f, "one", 1);
    struct worker *w = given_worker(f, 1);
    uint64_t low = given_waiting(f, 0);
    for (int64_t gone_ms = 0; gone_ms < 2 * AGE_MS; gone_ms += 5000) {
        advance(f, 5000);
        renew(f, w);
        turn(f);
    }
    uint64_t high = given_waiting(f, 1);
    uint64_t attempt = attempt_of(f, low);
    forget(f);

    release(f, w, attempt);
    store_all(f);

    assert_non_null(grant_of(f, low));
    assert_null(grant_of(f, high));
}

/* It is ready since a moment ago, and stands before one that waits since long. */
static void what_was_lost_does_not_put_off_those_behind_it(void **state)
{
    struct fixture *f = *state;
    given_dispatcher(f, "one", 1);
    struct worker *w = given_worker(f, 4);
    uint64_t lost = given_running(f, (struct submit){ .dispatcher = "one" });
    given_waiting(f, 0);
    advance(f, AGE_MS + 1000);
    gone(f, w, BERTH_GONE_LEASE);
    store_all(f);
    uint64_t high = given_waiting(f, 1);
    forget(f);

    given_worker(f, 4);
    store_all(f);

    assert_non_null(grant_of(f, lost));
    assert_null(grant_of(f, high));
}

static void what_was_loaded_waits_since_the_broker_came(void **state)
{
    struct fixture *f = *state;
    core_replace(f, (struct berth_core_opts){ 0 });
    struct berth_dispatcher_record one = {
        .id = 3, .name = "one", .limit = { .kind = BERTH_LIMIT_NUMBER }, .max_attempts = 5
    };
    struct berth_job_record job = {
        .id = 7, .dispatcher = 3, .handler = text("mail"), .state = BERTH_READY
    };
    assert_int_equal(berth_core_load_dispatcher(f->core, &one), 0);
    assert_int_equal(berth_core_load_job(f->core, &job), 0);
    core_start(f);
    store_all(f);
    uint64_t high = given_waiting(f, 1);

    when_one_slot_comes(f);

    assert_non_null(grant_of(f, high));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, core_setup, core_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_level_of_priority_is_worth_30_s_of_waiting),
        TEST(and_less_waiting_than_that_is_not),
        TEST(the_lowest_priority_is_not_starved_by_the_highest),
        TEST(a_clock_that_jumps_makes_nobody_older),
        TEST(what_is_handed_back_has_waited_all_the_time),
        TEST(what_was_lost_does_not_put_off_those_behind_it),
        TEST(what_was_loaded_waits_since_the_broker_came),
    };
    return berth_test_main(tests, NULL, NULL);
}
