/* SPDX-License-Identifier: MIT
 *
 * How a parent's slots are divided among its branches: by slot time and weight, whoever has how
 * many jobs, of whatever length.
 */
#include "core_fixture.h"

#define TICK_MS  100
#define JOBS     600
#define ENDS_MAX 64

static void given_child(struct fixture *f, const char *name, const char *parent, uint32_t weight)
{
    set(f,
        (struct berth_ev_dispatcher_set){ .has_limit = true,
                                          .limit = { .kind = BERTH_LIMIT_UNLIMITED },
                                          .has_parent = true,
                                          .parent = text(parent),
                                          .has_weight = true,
                                          .weight = weight },
        name);
    store_all(f);
}

static void given_jobs(struct fixture *f, const char *name, size_t count)
{
    struct submit items[JOBS];
    for (size_t i = 0; i < count; i++)
        items[i] = (struct submit){ .dispatcher = name };
    submit_many(f, items, count);
    store_all(f);
}

/* Jobs of a dispatcher, and how long each of them runs. */
struct load {
    const char *name;
    int64_t job_ms;
    uint64_t slot_ticks; /* what it has had */
};

static int64_t job_ms(const struct load *loads, size_t count, const struct dispatcher *d)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(loads[i].name, d->record.name) == 0)
            return loads[i].job_ms;
    return 1000;
}

static void end_what_is_over(struct fixture *f, struct worker *w, const struct load *loads,
                             size_t count)
{
    uint64_t attempts[ENDS_MAX], jobs[ENDS_MAX];
    size_t over = 0;
    BERTH_MAP_FOREACH (node, &f->core->attempts) {
        const struct attempt *attempt = berth_container_of(node, struct attempt, by_id);
        int64_t gone_ms = f->now_ms - attempt->slot_ms;
        if (attempt->state != ATTEMPT_RUNNING || over == ENDS_MAX ||
            gone_ms < job_ms(loads, count, attempt->dispatcher))
            continue;
        attempts[over] = node->id;
        jobs[over++] = attempt->job_id;
    }
    for (size_t i = 0; i < over; i++)
        report_end(f, w, attempts[i], jobs[i],
                   (struct berth_attempt_end){ .outcome = BERTH_OUTCOME_COMPLETED });
}

static void run_for(struct fixture *f, struct worker *w, int64_t ms, struct load *loads,
                    size_t count)
{
    for (int64_t gone_ms = 0; gone_ms < ms; gone_ms += TICK_MS) {
        for (size_t i = 0; i < count; i++)
            loads[i].slot_ticks += dispatcher(f, loads[i].name)->own_running;
        advance(f, TICK_MS);
        renew(f, w);
        end_what_is_over(f, w, loads, count);
        store_all(f);
        forget(f);
    }
}

/* In percent, of all that the loads have had. */
static unsigned share(const struct load *loads, size_t count, size_t of)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += loads[i].slot_ticks;
    return (unsigned)(loads[of].slot_ticks * 100 / sum);
}

/* ---- weights ---- */

static void slot_time_goes_by_weight(void **state)
{
    struct fixture *f = *state;
    given_dispatcher(f, "top", 4);
    given_child(f, "heavy", "top", 3);
    given_child(f, "light", "top", 1);
    given_jobs(f, "heavy", JOBS);
    given_jobs(f, "light", JOBS);
    struct worker *w = given_worker(f, 100);
    struct load loads[] = { { "heavy", 500, 0 }, { "light", 500, 0 } };

    run_for(f, w, 40000, loads, 2);

    assert_in_range(share(loads, 2, 0), 73, 77);
}

static void of_a_single_slot_each_has_its_share_too(void **state)
{
    struct fixture *f = *state;
    given_dispatcher(f, "top", 1);
    given_child(f, "heavy", "top", 9);
    given_child(f, "light", "top", 1);
    given_jobs(f, "heavy", JOBS);
    given_jobs(f, "light", JOBS);
    struct worker *w = given_worker(f, 100);
    struct load loads[] = { { "heavy", 100, 0 }, { "light", 100, 0 } };

    run_for(f, w, 20000, loads, 2);

    assert_in_range(share(loads, 2, 0), 88, 92);
}

static void long_jobs_have_no_more_slot_time_than_short_ones(void **state)
{
    struct fixture *f = *state;
    given_dispatcher(f, "top", 4);
    given_child(f, "long", "top", 1);
    given_child(f, "short", "top", 1);
    given_jobs(f, "long", JOBS);
    given_jobs(f, "short", JOBS);
    struct worker *w = given_worker(f, 100);
    struct load loads[] = { { "long", 3000, 0 }, { "short", 300, 0 } };

    run_for(f, w, 60000, loads, 2);

    assert_in_range(share(loads, 2, 0), 45, 55);
}

static void a_dispatchers_own_jobs_are_one_branch_more_of_weight_1(void **state)
{
    struct fixture *f = *state;
    given_dispatcher(f, "top", 4);
    given_child(f, "child", "top", 3);
    given_jobs(f, "top", JOBS);
    given_jobs(f, "child", JOBS);
    struct worker *w = given_worker(f, 100);
    struct load loads[] = { { "top", 500, 0 }, { "child", 500, 0 } };

    run_for(f, w, 40000, loads, 2);

    assert_in_range(share(loads, 2, 0), 23, 27);
}

static void shares_go_by_branch_and_then_within_it(void **state)
{
    struct fixture *f = *state;
    given_dispatcher(f, "top", 8);
    given_child(f, "left", "top", 1);
    given_child(f, "right", "top", 1);
    given_child(f, "left-1", "left", 1);
    given_child(f, "left-2", "left", 3);
    given_jobs(f, "left-1", JOBS);
    given_jobs(f, "left-2", JOBS);
    given_jobs(f, "right", JOBS);
    struct worker *w = given_worker(f, 100);
    struct load loads[] = { { "right", 500, 0 }, { "left-1", 500, 0 }, { "left-2", 500, 0 } };

    run_for(f, w, 40000, loads, 3);

    assert_in_range(share(loads, 3, 0), 48, 52);
    assert_in_range(share(loads, 3, 1), 11, 14);
    assert_in_range(share(loads, 3, 2), 35, 39);
}

/* ---- rests ---- */

static void nobody_saves_up_and_nobody_pays_for_what_no_other_wanted(void **state)
{
    struct fixture *f = *state;
    given_dispatcher(f, "top", 4);
    given_child(f, "early", "top", 1);
    given_child(f, "late", "top", 1);
    given_jobs(f, "early", JOBS);
    struct worker *w = given_worker(f, 100);
    struct load loads[] = { { "early", 500, 0 }, { "late", 500, 0 } };
    run_for(f, w, 30000, loads, 2); /* early has had all of it */
    given_jobs(f, "late", JOBS);
    loads[0].slot_ticks = 0;

    run_for(f, w, 10000, loads, 2);

    assert_in_range(share(loads, 2, 1), 42, 55);
}

static void who_waited_at_its_own_limit_has_saved_nothing_up(void **state)
{
    struct fixture *f = *state;
    given_dispatcher(f, "top", 4);
    given_child(f, "wide", "top", 1);
    given_child(f, "narrow", "top", 1);
    set_limit(f, "narrow", 1);
    store_all(f);
    given_jobs(f, "wide", JOBS);
    given_jobs(f, "narrow", JOBS);
    struct worker *w = given_worker(f, 100);
    struct load loads[] = { { "wide", 500, 0 }, { "narrow", 500, 0 } };
    run_for(f, w, 30000, loads, 2);
    assert_in_range(share(loads, 2, 1), 23, 27);
    loads[0].slot_ticks = loads[1].slot_ticks = 0;
    set_limit(f, "narrow", 100);

    run_for(f, w, 10000, loads, 2);

    assert_in_range(share(loads, 2, 1), 45, 57);
}

static void slots_that_come_back_at_once_do_not_all_go_to_one(void **state)
{
    struct fixture *f = *state;
    given_dispatcher(f, "top", 0);
    given_child(f, "one", "top", 1);
    given_child(f, "two", "top", 1);
    given_child(f, "three", "top", 2);
    given_jobs(f, "one", 50);
    given_jobs(f, "two", 50);
    given_jobs(f, "three", 50);
    given_worker(f, 100);

    set_limit(f, "top", 12);
    store_all(f);

    assert_int_equal(dispatcher(f, "one")->running, 3);
    assert_int_equal(dispatcher(f, "two")->running, 3);
    assert_int_equal(dispatcher(f, "three")->running, 6);
}

/* The bounded wait: each time one that waits is given a slot before each other has had two. */
static void nobody_is_passed_over_for_long(void **state)
{
    struct fixture *f = *state;
    static const char *const names[] = { "a", "b", "c", "d", "e" };
    given_dispatcher(f, "top", 1);
    for (size_t i = 0; i < 5; i++) {
        given_child(f, names[i], "top", 1);
        given_jobs(f, names[i], 100);
    }
    struct worker *w = given_worker(f, 100);
    struct load loads[5] = {
        { "a", 100, 0 }, { "b", 100, 0 }, { "c", 100, 0 }, { "d", 100, 0 }, { "e", 100, 0 }
    };
    for (unsigned round = 0; round < 20; round++) {
        for (size_t i = 0; i < 5; i++)
            loads[i].slot_ticks = 0;
        run_for(f, w, 1000, loads, 5);
        for (size_t i = 0; i < 5; i++)
            assert_in_range(loads[i].slot_ticks, 1, 3);
    }
}

/* What comes back at the top and below it in one turn: whose end came first makes no difference. */
static void who_waits_low_in_the_tree_is_not_passed_over_by_one_that_waits_further_up(void **state)
{
    struct fixture *f = *state;
    given_dispatcher(f, "top", 2);
    given_child(f, "beside", "top", 1);
    given_child(f, "mid", "top", 1);
    given_child(f, "high", "mid", 1);
    given_child(f, "low", "mid", 1);
    set_limit(f, "mid", 1);
    store_all(f);
    struct worker *w = given_worker(f, 100);
    uint64_t first = given_running(f, (struct submit){ .dispatcher = "beside" });
    uint64_t second = given_running(f, (struct submit){ .dispatcher = "beside" });
    given_jobs(f, "high", 2); /* they wait at the top, and one goes on: it has had something */
    turn(f);
    report(f, w, second, BERTH_OUTCOME_COMPLETED);
    store_all(f);
    given_jobs(f, "low", 1); /* it waits in the middle */
    advance(f, 100);
    renew(f, w);
    store_all(f);
    assert_ptr_equal(dispatcher(f, "high")->waits_at, dispatcher(f, "top"));
    assert_ptr_equal(dispatcher(f, "low")->waits_at, dispatcher(f, "mid"));

    report(f, w, first, BERTH_OUTCOME_COMPLETED);
    const struct attempt *of_high = NULL;
    BERTH_MAP_FOREACH (node, &f->core->attempts) {
        const struct attempt *attempt = berth_container_of(node, struct attempt, by_id);
        if (attempt->dispatcher == dispatcher(f, "high"))
            of_high = attempt;
    }
    assert_non_null(of_high);
    report_end(f, w, of_high->by_id.id, of_high->job_id,
               (struct berth_attempt_end){ .outcome = BERTH_OUTCOME_COMPLETED });
    turn(f);

    assert_int_equal(dispatcher(f, "low")->running, 1);
    assert_int_equal(dispatcher(f, "high")->running, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, core_setup, core_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(slot_time_goes_by_weight),
        TEST(of_a_single_slot_each_has_its_share_too),
        TEST(long_jobs_have_no_more_slot_time_than_short_ones),
        TEST(a_dispatchers_own_jobs_are_one_branch_more_of_weight_1),
        TEST(shares_go_by_branch_and_then_within_it),
        TEST(nobody_saves_up_and_nobody_pays_for_what_no_other_wanted),
        TEST(who_waited_at_its_own_limit_has_saved_nothing_up),
        TEST(slots_that_come_back_at_once_do_not_all_go_to_one),
        TEST(nobody_is_passed_over_for_long),
        TEST(who_waits_low_in_the_tree_is_not_passed_over_by_one_that_waits_further_up),
    };
    return berth_test_main(tests, NULL, NULL);
}
