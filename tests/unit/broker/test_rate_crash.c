/* SPDX-License-Identifier: MIT
 *
 * Rates of less than one start a minute: when the next token comes is stored before a start leaves,
 * so that a broker that comes back neither starts too much nor waits for a whole period anew.
 */
#include "core_fixture.h"

#include "base/rng.h"
#include "broker/core/life/attempt.h"

#define HOUR_MS   INT64_C(3600000)
#define SEEDS     60
#define STEPS     120
#define BURST_MAX 3
#define GRANTS    512
#define LATE_MS   2 /* of a wall clock in microseconds and a period in parts */
#define SLOW_ID   3
#define BEFORE_MS (40 * INT64_C(60000)) /* in one step, at the most */

static struct berth_dispatcher_record hourly(uint32_t burst)
{
    return (struct berth_dispatcher_record){ .id = SLOW_ID,
                                             .name = "slow",
                                             .limit = { .kind = BERTH_LIMIT_UNLIMITED },
                                             .max_attempts = 5,
                                             .weight = 1,
                                             .retention_ms = 1,
                                             .rate_count = 1,
                                             .rate_ms = HOUR_MS,
                                             .burst = burst };
}

static void given_loaded(struct fixture *f, const struct berth_dispatcher_record *record)
{
    core_replace(f, (struct berth_core_opts){ 0 });
    assert_int_equal(berth_core_load_dispatcher(f->core, record), 0);
    core_start(f);
    store_all(f);
    given_worker(f, 1000);
}

static uint64_t running(const struct fixture *f)
{
    return dispatcher(f, "slow")->running;
}

static void when_time_passes(struct fixture *f, int64_t ms)
{
    advance(f, ms);
    renew(f, &f->workers[0]);
    turn(f);
}

static void a_start_leaves_when_its_token_is_stored(void **state)
{
    struct fixture *f = *state;
    given_dispatcher(f, "slow", 10);
    set(f,
        (struct berth_ev_dispatcher_set){ .has_rate = true, .rate_count = 1, .rate_ms = HOUR_MS },
        "slow");
    assert_true(close_batch(f));
    const struct berth_record *token =
        record_away(f, BERTH_RECORD_TOKEN, dispatcher(f, "slow")->record.id);
    assert_non_null(token);
    assert_int_equal(token->token.token_us, f->wall_us);
    complete(f, STORED);
    given_worker(f, 10);
    uint64_t request = submit(f, (struct submit){ .dispatcher = "slow" });
    store_one(f);
    uint64_t job = submitted(f, request);

    turn(f);

    assert_null(grant_of(f, job));
    assert_true(close_batch(f));
    token = record_away(f, BERTH_RECORD_TOKEN, dispatcher(f, "slow")->record.id);
    assert_non_null(token);
    assert_int_equal(token->token.token_us, f->wall_us + HOUR_MS * 1000);
    complete(f, STORED);
    turn(f);
    assert_non_null(grant_of(f, job));
}

static void a_rate_of_one_a_minute_stores_nothing(void **state)
{
    struct fixture *f = *state;
    given_dispatcher(f, "fast", 10);
    set(f,
        (struct berth_ev_dispatcher_set){ .has_rate = true, .rate_count = 60, .rate_ms = HOUR_MS },
        "fast");
    assert_true(close_batch(f));
    assert_null(record_away(f, BERTH_RECORD_TOKEN, dispatcher(f, "fast")->record.id));
    complete(f, STORED);
    given_worker(f, 10);

    uint64_t job = given_job(f, (struct submit){ .dispatcher = "fast" });
    turn(f);

    assert_non_null(grant_of(f, job));
}

static void a_broker_that_comes_back_waits_for_the_rest_of_the_period(void **state)
{
    struct fixture *f = *state;
    struct berth_dispatcher_record record = hourly(1);
    record.token_us = f->wall_us + 600 * SECOND_US;
    given_loaded(f, &record);
    (void)given_job(f, (struct submit){ .dispatcher = "slow" });

    when_time_passes(f, 599900);
    assert_int_equal(running(f), 0);
    when_time_passes(f, 100);
    assert_int_equal(running(f), 1);
}

static void a_clock_that_was_put_back_costs_one_period_at_most(void **state)
{
    struct fixture *f = *state;
    struct berth_dispatcher_record record = hourly(1);
    record.token_us = f->wall_us + 24 * HOUR_MS * 1000;
    given_loaded(f, &record);
    (void)given_job(f, (struct submit){ .dispatcher = "slow" });

    when_time_passes(f, HOUR_MS - 1000);
    assert_int_equal(running(f), 0);
    when_time_passes(f, 1000);
    assert_int_equal(running(f), 1);
}

/* What else there was in the bucket nobody knows. */
static void a_token_that_was_due_is_one(void **state)
{
    struct fixture *f = *state;
    struct berth_dispatcher_record record = hourly(5);
    record.token_us = f->wall_us - 100 * HOUR_MS * 1000;
    given_loaded(f, &record);
    for (unsigned i = 0; i < 3; i++)
        (void)given_job(f, (struct submit){ .dispatcher = "slow" });
    store_all(f);
    assert_int_equal(running(f), 1);
}

/* The slow rate may be above, and the dispatcher itself have none. */
static void a_slow_rate_above_is_stored_too(void **state)
{
    struct fixture *f = *state;
    given_dispatcher(f, "slow", 10);
    set(f,
        (struct berth_ev_dispatcher_set){ .has_rate = true, .rate_count = 1, .rate_ms = HOUR_MS },
        "slow");
    given_dispatcher(f, "below", 10);
    set(f, (struct berth_ev_dispatcher_set){ .has_parent = true, .parent = text("slow") }, "below");
    store_all(f);
    given_worker(f, 10);
    uint64_t request = submit(f, (struct submit){ .dispatcher = "below" });
    store_one(f);
    uint64_t job = submitted(f, request);

    turn(f);

    assert_null(grant_of(f, job));
    assert_true(close_batch(f));
    assert_non_null(record_away(f, BERTH_RECORD_TOKEN, dispatcher(f, "slow")->record.id));
    complete(f, STORED);
    turn(f);
    assert_non_null(grant_of(f, job));
}

/* ---- over crashes ---- */

struct world {
    struct fixture *f;
    struct berth_rng rng;
    struct berth_dispatcher_record disk;
    int64_t at_ms[GRANTS]; /* when each was decided that left, by a clock that goes on */
    size_t count, said;
    unsigned crashes;
};

static void store(struct world *w)
{
    struct fixture *f = w->f;
    if (!f->away && !close_batch(f))
        return;
    for (size_t i = 0; i < f->away->count; i++) {
        const struct berth_record *record = &f->away->records[i];
        if (record->type == BERTH_RECORD_TOKEN && record->token.dispatcher == SLOW_ID)
            w->disk.token_us = record->token.token_us;
    }
    complete(f, STORED);
    turn(f);
}

/* Those that have left, by the time at which each was decided. */
static void count_grants(struct world *w)
{
    const struct fixture *f = w->f;
    for (; w->said < f->said_count; w->said++) {
        if (f->said[w->said].type != BERTH_DO_ORDERS)
            continue;
        const struct berth_do_orders *orders = &f->said[w->said].orders;
        for (size_t i = 0; i < orders->grant_count; i++) {
            assert_true(w->count < GRANTS);
            w->at_ms[w->count++] = attempt_find(f->core, orders->grants[i].attempt)->slot_ms;
        }
    }
}

static void crash(struct world *w)
{
    struct fixture *f = w->f;
    w->crashes++;
    if (f->away) { /* the batch is lost, or written, and nobody hears of it */
        bool is_written = berth_rng_chance(&w->rng, 50, 100);
        for (size_t i = 0; is_written && i < f->away->count; i++)
            if (f->away->records[i].type == BERTH_RECORD_TOKEN)
                w->disk.token_us = f->away->records[i].token.token_us;
        complete(f, STORED);
    }
    given_loaded(f, &w->disk);
    w->said = w->f->said_count;
}

static void each_window_has_no_more_starts_than_its_rate_allows(void **state)
{
    unsigned crashes = 0;
    size_t grants = 0;
    static struct world world;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct world *w = &world;
        uint32_t burst = 1 + (uint32_t)(seed % BURST_MAX);
        *w = (struct world){ .f = *state, .disk = hourly(burst) };
        berth_rng_init(&w->rng, seed);
        given_loaded(w->f, &w->disk);
        w->said = w->f->said_count;
        for (unsigned i = 0; i < STEPS; i++) {
            if (berth_rng_chance(&w->rng, 60, 100))
                (void)submit(w->f, (struct submit){ .dispatcher = "slow" });
            when_time_passes(w->f, berth_rng_between(&w->rng, 1, BEFORE_MS) / 4);
            for (unsigned j = 0; j < 3 && berth_rng_chance(&w->rng, 70, 100); j++)
                store(w);
            count_grants(w);
            if (berth_rng_chance(&w->rng, 8, 100))
                crash(w);
        }
        for (size_t i = 0; i < w->count; i++)
            for (size_t j = i; j < w->count; j++)
                assert_true((int64_t)(j - i + 1) * HOUR_MS <=
                            burst * HOUR_MS + w->at_ms[j] - w->at_ms[i] + LATE_MS);
        crashes += w->crashes;
        grants += w->count;
    }
    assert_true(crashes > 5 * SEEDS);
    assert_true(grants > 5 * SEEDS);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, core_setup, core_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_start_leaves_when_its_token_is_stored),
        TEST(a_rate_of_one_a_minute_stores_nothing),
        TEST(a_broker_that_comes_back_waits_for_the_rest_of_the_period),
        TEST(a_clock_that_was_put_back_costs_one_period_at_most),
        TEST(a_token_that_was_due_is_one),
        TEST(a_slow_rate_above_is_stored_too),
        TEST(each_window_has_no_more_starts_than_its_rate_allows),
    };
    return berth_test_main(tests, NULL, NULL);
}
