/* SPDX-License-Identifier: MIT
 *
 * Rates: never more starts than burst + rate x time, and the next one as soon as that allows.
 * max_queued, the other limit that counts no slots.
 */
#include "core_fixture.h"

static uint64_t set_rate(struct fixture *f, const char *name, uint32_t count, int64_t ms,
                         uint32_t burst)
{
    return set(f,
               (struct berth_ev_dispatcher_set){ .has_rate = true,
                                                 .rate_count = count,
                                                 .rate_ms = ms,
                                                 .has_burst = true,
                                                 .burst = burst },
               name);
}

static void given_rated(struct fixture *f, const char *name, uint32_t count, int64_t ms,
                        uint32_t burst)
{
    given_dispatcher(f, name, 1000);
    set_rate(f, name, count, ms, burst);
    store_all(f);
}

static uint64_t given_jobs_in(struct fixture *f, const char *name, unsigned count)
{
    uint64_t last = 0;
    for (unsigned i = 0; i < count; i++)
        last = given_job(f, (struct submit){ .dispatcher = name });
    return last;
}

static uint64_t running(const struct fixture *f, const char *name)
{
    return dispatcher(f, name)->running;
}

static int64_t next_ms(const struct fixture *f)
{
    return berth_core_next_deadline_ms(f->core, f->now_ms, f->wall_us) - f->now_ms;
}

/* In one leap; the worker is heard of all the same. */
static void when_time_passes(struct fixture *f, struct worker *w, int64_t ms)
{
    advance(f, ms);
    renew(f, w);
    turn(f);
}

/* ---- tokens ---- */

static void a_new_rate_begins_with_its_burst_and_goes_on_token_by_token(void **state)
{
    struct fixture *f = *state;
    given_rated(f, "slow", 10, 1000, 3);
    given_worker(f, 100);
    given_jobs_in(f, "slow", 20);

    assert_int_equal(running(f, "slow"), 3);
    assert_int_equal(next_ms(f), 100);
    turn_after(f, 99);
    assert_int_equal(running(f, "slow"), 3);
    turn_after(f, 1);
    assert_int_equal(running(f, "slow"), 4);
    turn_after(f, 250);
    assert_int_equal(running(f, "slow"), 6);
    assert_int_equal(next_ms(f), 50); /* what was earned since the last token counts */
}

static void without_a_burst_there_is_one_at_a_time(void **state)
{
    struct fixture *f = *state;
    given_rated(f, "slow", 2, 1000, 0);
    struct worker *w = given_worker(f, 100);
    given_jobs_in(f, "slow", 5);
    assert_int_equal(running(f, "slow"), 1);

    when_time_passes(f, w, 5000); /* no more are kept than the burst */

    assert_int_equal(running(f, "slow"), 2);
}

static void a_broker_that_comes_back_begins_with_nothing(void **state)
{
    struct fixture *f = *state;
    core_replace(f, (struct berth_core_opts){ 0 });
    struct berth_dispatcher_record slow = { .id = 3,
                                            .name = "slow",
                                            .limit = { .kind = BERTH_LIMIT_UNLIMITED },
                                            .max_attempts = 5,
                                            .rate_count = 1,
                                            .rate_ms = 1000,
                                            .burst = 10 };
    assert_int_equal(berth_core_load_dispatcher(f->core, &slow), 0);
    core_start(f);
    store_all(f);
    given_worker(f, 100);
    given_jobs_in(f, "slow", 20);
    assert_int_equal(running(f, "slow"), 0);

    turn_after(f, 999);
    assert_int_equal(running(f, "slow"), 0);
    turn_after(f, 1);
    assert_int_equal(running(f, "slow"), 1);
}

static void a_lost_attempt_that_runs_again_takes_another_token(void **state)
{
    struct fixture *f = *state;
    given_rated(f, "slow", 1, 1000, 2);
    struct worker *w = given_worker(f, 100);
    given_worker(f, 100);
    given_jobs_in(f, "slow", 2);
    assert_int_equal(running(f, "slow"), 2);

    gone(f, w, BERTH_GONE_SIGNAL);
    store_all(f);
    assert_int_equal(running(f, "slow"), 1);

    turn_after(f, 1000);
    assert_int_equal(running(f, "slow"), 2);
}

static void a_start_needs_a_token_of_each_rate_above_it(void **state)
{
    struct fixture *f = *state;
    given_rated(f, "top", 1, 1000, 4);
    given_rated(f, "fast", 100, 1000, 3);
    set(f, (struct berth_ev_dispatcher_set){ .has_parent = true, .parent = text("top") }, "fast");
    store_all(f);
    given_worker(f, 100);

    given_jobs_in(f, "fast", 20);
    assert_int_equal(running(f, "fast"), 3);
    turn_after(f, 10);
    assert_int_equal(running(f, "fast"), 4);
    turn_after(f, 500);
    assert_int_equal(running(f, "fast"), 4);
    turn_after(f, 490);
    assert_int_equal(running(f, "fast"), 5);
}

/* All or nothing: what one limit refuses costs nothing of another. */
static void who_misses_a_slot_takes_no_token(void **state)
{
    struct fixture *f = *state;
    given_rated(f, "slow", 1, 60000, 5);
    given_dispatcher(f, "top", 1);
    set(f, (struct berth_ev_dispatcher_set){ .has_parent = true, .parent = text("top") }, "slow");
    store_all(f);
    struct worker *w = given_worker(f, 100);
    given_jobs_in(f, "slow", 1);
    uint64_t tokens = dispatcher(f, "slow")->tokens;
    given_jobs_in(f, "slow", 3);
    assert_int_equal(dispatcher(f, "slow")->tokens, tokens);

    set_limit(f, "top", 4);
    store_all(f);
    assert_int_equal(grants_to(f, w), 4);
}

static void a_rate_changes_while_jobs_flow(void **state)
{
    struct fixture *f = *state;
    given_rated(f, "slow", 1, 60000, 1);
    struct worker *w = given_worker(f, 100);
    given_jobs_in(f, "slow", 30);
    assert_int_equal(running(f, "slow"), 1);
    when_time_passes(f, w, 6000); /* a tenth of a token */

    set_rate(f, "slow", 1, 1000, 1);
    turn_after(f, 1000);
    assert_int_equal(running(f, "slow"), 1); /* faster only when it is stored */
    store_all(f);
    turn_after(f, 884);
    assert_int_equal(running(f, "slow"), 2);

    set_rate(f, "slow", 0, 0, 0);
    store_all(f);
    assert_int_equal(running(f, "slow"), 30);
}

/* Over every stretch of time, with turns at odd moments. */
static void no_stretch_of_time_has_more_starts_than_burst_and_rate(void **state)
{
    struct fixture *f = *state;
    enum { STARTS = 400 };
    static int64_t at_ms[STARTS];
    size_t count = 0;
    given_rated(f, "slow", 7, 1000, 5);
    struct worker *w = given_worker(f, 1000);
    struct submit items[STARTS];
    for (size_t i = 0; i < STARTS; i++)
        items[i] = (struct submit){ .dispatcher = "slow" };
    submit_many(f, items, STARTS);
    store_all(f);
    for (unsigned i = 0; count < STARTS; i++) {
        for (size_t seen = running(f, "slow"); count < seen; count++)
            at_ms[count] = f->now_ms;
        advance(f, 1 + (int64_t)(i * 7919 % 1700));
        renew(f, w);
        turn(f);
    }
    for (size_t i = 0; i < count; i++)
        for (size_t j = i; j < count; j++)
            assert_true((int64_t)(j - i + 1) * 1000 <= 5 * 1000 + 7 * (at_ms[j] - at_ms[i]));
}

static void a_job_that_waits_for_a_token_says_when_it_comes(void **state)
{
    struct fixture *f = *state;
    given_rated(f, "slow", 2, 60000, 1);
    given_worker(f, 100);
    uint64_t job = given_jobs_in(f, "slow", 2);
    advance(f, 5001);

    struct berth_slice reason = shown(f, job)->reason;

    assert_true(slice_is(reason, "the rate of slow allows the next start in 25 s"));
}

static void a_pause_needs_no_turn_for_tokens(void **state)
{
    struct fixture *f = *state;
    given_rated(f, "slow", 1, 1000, 1);
    struct worker *w = given_worker(f, 100);
    given_jobs_in(f, "slow", 2);
    assert_int_equal(next_ms(f), 1000);
    pause_dispatcher(f, "slow", true);
    store_all(f);
    assert_int_equal(next_ms(f), L_MS);

    turn_after(f, 5000);
    renew(f, w);
    pause_dispatcher(f, "slow", false);
    store_all(f);
    assert_int_equal(running(f, "slow"), 2);
}

/* ---- max_queued ---- */

static void set_max_queued(struct fixture *f, const char *name, uint32_t most)
{
    set(f, (struct berth_ev_dispatcher_set){ .has_max_queued = true, .max_queued = most }, name);
}

static const struct berth_do_error *refusal(const struct fixture *f, uint64_t request)
{
    const struct berth_effect *effect = answer(f, request, BERTH_DO_SUBMITTED);
    assert_non_null(effect);
    assert_int_equal(effect->submitted.items[0].id, 0);
    return &effect->submitted.items[0].refusal;
}

static void a_submit_beyond_max_queued_is_refused_and_says_so(void **state)
{
    struct fixture *f = *state;
    given_dispatcher(f, "news", 2);
    set_max_queued(f, "news", 3);
    store_all(f);
    given_worker(f, 10);
    given_jobs_in(f, "news", 2); /* they run */
    given_job(f, (struct submit){ .dispatcher = "news", .delay_ms = 60000 });
    given_jobs_in(f, "news", 1);
    submit(f, (struct submit){ .dispatcher = "news" }); /* counts before it is stored */

    uint64_t request = submit(f, (struct submit){ .dispatcher = "news" });

    assert_int_equal(refusal(f, request)->code, BERTH_ELIMIT);
    assert_string_equal(refusal(f, request)->field, "dispatcher");
    assert_string_equal(refusal(f, request)->message,
                        "dispatcher news has 3 jobs queued, as many as its max_queued of 3 allows");
    store_all(f);
    submit(f, (struct submit){ .dispatcher = "default" });
    assert_null(answer(f, f->request, BERTH_DO_SUBMITTED)); /* another one takes it */
}

static void what_goes_back_to_the_queue_is_never_refused(void **state)
{
    struct fixture *f = *state;
    given_dispatcher(f, "news", 1);
    set_max_queued(f, "news", 1);
    store_all(f);
    struct worker *w = given_worker(f, 10);
    uint64_t job = given_running(f, (struct submit){ .dispatcher = "news" });
    given_job(f, (struct submit){ .dispatcher = "news" });

    report_end(f, w, attempt_of(f, job), job,
               (struct berth_attempt_end){ .outcome = BERTH_OUTCOME_FAILED, .retry_ms = 60000 });
    store_all(f);

    assert_int_equal(job_of(f, job)->state, JOB_RETRYING);
    uint64_t request = submit(f, (struct submit){ .dispatcher = "news" });
    assert_int_equal(refusal(f, request)->code, BERTH_ELIMIT);
}

static void a_repeat_of_a_submit_is_answered_though_the_queue_is_full(void **state)
{
    struct fixture *f = *state;
    given_dispatcher(f, "news", 0);
    set_max_queued(f, "news", 1);
    store_all(f);
    struct submit item = { .dispatcher = "news", .key = "once", .body = "b" };
    uint64_t job = given_job(f, item);

    uint64_t request = submit(f, item);

    assert_int_equal(submitted(f, request), job);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, core_setup, core_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_new_rate_begins_with_its_burst_and_goes_on_token_by_token),
        TEST(without_a_burst_there_is_one_at_a_time),
        TEST(a_broker_that_comes_back_begins_with_nothing),
        TEST(a_lost_attempt_that_runs_again_takes_another_token),
        TEST(a_start_needs_a_token_of_each_rate_above_it),
        TEST(who_misses_a_slot_takes_no_token),
        TEST(a_rate_changes_while_jobs_flow),
        TEST(no_stretch_of_time_has_more_starts_than_burst_and_rate),
        TEST(a_job_that_waits_for_a_token_says_when_it_comes),
        TEST(a_pause_needs_no_turn_for_tokens),
        TEST(a_submit_beyond_max_queued_is_refused_and_says_so),
        TEST(what_goes_back_to_the_queue_is_never_refused),
        TEST(a_repeat_of_a_submit_is_answered_though_the_queue_is_full),
    };
    return berth_test_main(tests, NULL, NULL);
}
