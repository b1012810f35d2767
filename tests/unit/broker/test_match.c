/* SPDX-License-Identifier: MIT
 *
 * Which job starts next, and where: order within a dispatcher, turns between them, and nobody who
 * stands in another one's way.
 */
#include "core_fixture.h"

/* The jobs granted so far, in the order in which they were. */
static size_t granted(const struct fixture *f, uint64_t *jobs, size_t count_max)
{
    size_t count = 0;
    for (size_t i = 0; i < f->said_count; i++)
        for (size_t j = 0; f->said[i].type == BERTH_DO_ORDERS && j < f->said[i].orders.grant_count;
             j++)
            if (count < count_max)
                jobs[count++] = f->said[i].orders.grants[j].job;
    return count;
}

static const char *dispatcher_of(const struct fixture *f, size_t place)
{
    static char name[65];
    uint64_t jobs[1000];
    assert_true(granted(f, jobs, 1000) > place);
    const struct berth_order_grant *grant = grant_of(f, jobs[place]);
    snprintf(name, sizeof name, "%.*s", (int)grant->dispatcher.bytes,
             (const char *)grant->dispatcher.data);
    return name;
}

/* Ends the newest attempt, and lets the room it leaves be given away. */
static void end_newest(struct fixture *f, struct worker *w)
{
    uint64_t jobs[1000];
    size_t count = granted(f, jobs, 1000);
    report(f, w, jobs[count - 1], BERTH_OUTCOME_COMPLETED);
    store_all(f);
}

/* ---- within a dispatcher ---- */

static void jobs_start_first_come_first_served(void **state)
{
    struct fixture *f = *state;
    uint64_t ids[4], jobs[4];
    given_dispatcher(f, "wide", 100);
    for (unsigned i = 0; i < 4; i++)
        ids[i] = given_job(f, (struct submit){ .dispatcher = "wide" });

    given_worker(f, 10);

    assert_int_equal(granted(f, jobs, 4), 4);
    assert_memory_equal(jobs, ids, sizeof ids);
}

static void a_higher_priority_starts_first_whatever_its_handler(void **state)
{
    struct fixture *f = *state;
    given_dispatcher(f, "wide", 100);
    const struct submit items[5] = { { .dispatcher = "wide" },
                                     { .dispatcher = "wide", .priority = 5 },
                                     { .dispatcher = "wide", .priority = 100, .handler = "exec" },
                                     { .dispatcher = "wide", .priority = -100 },
                                     { .dispatcher = "wide", .priority = 5, .handler = "exec" } };
    submit_many(f, items, 5);
    store_all(f);
    struct worker *w = new_worker(f, 1);
    w->handlers[1] = "exec";
    given_joined(f, w);
    for (unsigned i = 0; i < 4; i++)
        end_newest(f, w);

    uint64_t jobs[5];
    assert_int_equal(granted(f, jobs, 5), 5);
    const uint64_t wanted[] = { 3, 2, 5, 1, 4 };
    assert_memory_equal(jobs, wanted, sizeof wanted);
}

static void a_job_that_was_handed_back_takes_its_old_place(void **state)
{
    struct fixture *f = *state;
    given_dispatcher(f, "wide", 1);
    struct worker *w = given_worker(f, 4);
    uint64_t first = given_job(f, (struct submit){ .dispatcher = "wide" });
    given_job(f, (struct submit){ .dispatcher = "wide" });
    given_job(f, (struct submit){ .dispatcher = "wide" });

    release(f, w, attempt_of(f, first));
    turn(f);

    uint64_t jobs[2];
    assert_int_equal(granted(f, jobs, 2), 2);
    assert_int_equal(jobs[1], first);
    assert_int_equal(grant_of(f, first)->number, 1);
}

/* ---- nobody in the way ---- */

static void a_handler_that_nobody_offers_holds_nobody_up(void **state)
{
    struct fixture *f = *state;
    given_dispatcher(f, "wide", 100);
    given_worker(f, 10);
    for (unsigned i = 0; i < 5; i++)
        given_job(f, (struct submit){ .dispatcher = "wide", .handler = "rare", .priority = 50 });

    uint64_t job = given_job(f, (struct submit){ .dispatcher = "wide" });

    assert_non_null(grant_of(f, job));
}

static void a_worker_that_comes_with_a_handler_starts_what_waited_for_it(void **state)
{
    struct fixture *f = *state;
    given_worker(f, 10);
    uint64_t job = given_job(f, (struct submit){ .handler = "rare" });
    struct worker *w = new_worker(f, 1);
    w->handlers[0] = "rare";

    given_joined(f, w);

    assert_int_equal(grants_to(f, w), 1);
    assert_true(slice_is(grant_of(f, job)->handler, "rare"));
}

static void a_full_dispatcher_holds_up_no_other(void **state)
{
    struct fixture *f = *state;
    given_dispatcher(f, "newsletter", 5);
    given_dispatcher(f, "auth", 50);
    given_worker(f, 100);
    for (unsigned i = 0; i < 50; i++)
        given_job(f, (struct submit){ .dispatcher = "newsletter" });
    for (unsigned i = 0; i < 10; i++)
        given_job(f, (struct submit){ .dispatcher = "auth" });

    assert_int_equal(dispatcher(f, "newsletter")->running, 5);
    assert_int_equal(dispatcher(f, "auth")->running, 10);
}

/* ---- turns ---- */

static void dispatchers_take_turns_over_room_that_is_scarce(void **state)
{
    struct fixture *f = *state;
    given_dispatcher(f, "one", 100);
    given_dispatcher(f, "two", 100);
    given_dispatcher(f, "three", 100);
    for (unsigned i = 0; i < 20; i++)
        given_job(f, (struct submit){ .dispatcher = "one" });
    for (unsigned i = 0; i < 20; i++)
        given_job(f, (struct submit){ .dispatcher = "two" });
    for (unsigned i = 0; i < 20; i++)
        given_job(f, (struct submit){ .dispatcher = "three" });
    struct worker *w = given_worker(f, 1);
    for (unsigned i = 0; i < 11; i++)
        end_newest(f, w);

    unsigned turns[3] = { 0 };
    for (size_t i = 0; i < 12; i++) {
        const char *name = dispatcher_of(f, i);
        turns[strcmp(name, "one") == 0 ? 0 : strcmp(name, "two") == 0 ? 1 : 2]++;
        if (i % 3 == 2)
            for (unsigned j = 0; j < 3; j++)
                assert_int_equal(turns[j], i / 3 + 1);
    }
}

/* One dispatcher has new jobs in every turn, and the other one has waited longer. */
static void a_stream_of_new_jobs_does_not_starve_those_who_wait(void **state)
{
    struct fixture *f = *state;
    given_dispatcher(f, "busy", 100);
    given_dispatcher(f, "quiet", 100);
    struct worker *w = given_worker(f, 1);
    given_job(f, (struct submit){ .dispatcher = "busy" });
    for (unsigned i = 0; i < 10; i++)
        given_job(f, (struct submit){ .dispatcher = "quiet" });

    uint64_t jobs[100];
    for (unsigned i = 0; i < 10; i++) {
        size_t count = granted(f, jobs, 100);
        report(f, w, jobs[count - 1], BERTH_OUTCOME_COMPLETED);
        for (unsigned j = 0; j < 3; j++)
            submit(f, (struct submit){ .dispatcher = "busy" });
        store_one(f); /* the room and the new jobs come in one step */
        turn(f);
    }

    unsigned quiet = 0;
    for (size_t i = 0; i < 11; i++)
        quiet += strcmp(dispatcher_of(f, i), "quiet") == 0;
    assert_in_range(quiet, 5, 6);
}

/* They share the worker and not the handler. */
static void one_handler_does_not_starve_another_on_the_same_worker(void **state)
{
    struct fixture *f = *state;
    given_dispatcher(f, "one", 100);
    given_dispatcher(f, "two", 100);
    struct worker *w = new_worker(f, 1);
    w->handlers[1] = "exec";
    given_joined(f, w);
    for (unsigned i = 0; i < 10; i++)
        given_job(f, (struct submit){ .dispatcher = "one" });
    for (unsigned i = 0; i < 10; i++)
        given_job(f, (struct submit){ .dispatcher = "two", .handler = "exec" });
    for (unsigned i = 0; i < 9; i++)
        end_newest(f, w);

    unsigned two = 0;
    for (size_t i = 0; i < 10; i++)
        two += strcmp(dispatcher_of(f, i), "two") == 0;
    assert_in_range(two, 4, 5); /* the first two were given before "two" had any */
}

/* Not one for each handler: the urgent jobs of one would use up the turns of the other. */
static void a_dispatcher_with_two_handlers_has_one_turn(void **state)
{
    struct fixture *f = *state;
    given_dispatcher(f, "two", 100);
    given_dispatcher(f, "one", 100);
    struct worker *w = new_worker(f, 1);
    w->handlers[1] = "exec";
    given_joined(f, w);
    join(f, w, NULL, 0);
    given_running(f, (struct submit){ .dispatcher = "one" });
    given_job(f, (struct submit){ .dispatcher = "two", .handler = "exec" });
    for (unsigned i = 0; i < 4; i++)
        given_job(f, (struct submit){ .dispatcher = "two", .priority = 10 });
    given_job(f, (struct submit){ .dispatcher = "one" });

    end_newest(f, w);
    assert_string_equal(dispatcher_of(f, 1), "two");
    end_newest(f, w);

    assert_string_equal(dispatcher_of(f, 2), "one");
}

static void workers_take_turns_too(void **state)
{
    struct fixture *f = *state;
    given_dispatcher(f, "wide", 100);
    struct worker *one = given_worker(f, 10), *two = given_worker(f, 10);
    for (unsigned i = 0; i < 10; i++)
        given_job(f, (struct submit){ .dispatcher = "wide" });

    assert_int_equal(grants_to(f, one), 5);
    assert_int_equal(grants_to(f, two), 5);
}

static void attempt_ids_carry_the_epoch_and_grow(void **state)
{
    struct fixture *f = *state;
    given_worker(f, 10);
    uint64_t first = given_running(f, (struct submit){ 0 });
    uint64_t second = given_running(f, (struct submit){ 0 });

    assert_int_equal(attempt_of(f, first) >> 40, EPOCH);
    assert_true(attempt_of(f, second) > attempt_of(f, first));
}

static void a_grant_says_all_that_the_worker_needs(void **state)
{
    struct fixture *f = *state;
    set(f,
        (struct berth_ev_dispatcher_set){ .has_limit = true,
                                          .limit = { BERTH_LIMIT_NUMBER, 3 },
                                          .has_timeout = true,
                                          .timeout_ms = 60000,
                                          .has_grace = true,
                                          .grace_ms = 700 },
        "news");
    store_all(f);
    given_worker(f, 4);
    uint64_t plain = given_running(f, (struct submit){ .dispatcher = "news", .body = "abc" });
    uint64_t own = given_running(f, (struct submit){ .dispatcher = "news", .timeout_ms = 50 });

    const struct berth_order_grant *grant = grant_of(f, plain);
    assert_int_equal(grant->job, plain);
    assert_true(slice_is(grant->dispatcher, "news"));
    assert_true(slice_is(grant->handler, "mail"));
    assert_true(slice_is(grant->body, "abc"));
    assert_int_equal(grant->number, 1);
    assert_int_equal(grant->timeout_ms, 60000);
    assert_int_equal(grant->grace_ms, 700);
    assert_int_equal(grant_of(f, own)->timeout_ms, 50);
}

static void jobs_of_a_thousand_dispatchers_all_start(void **state)
{
    struct fixture *f = *state;
    char name[32];
    for (unsigned i = 0; i < 1000; i++) {
        snprintf(name, sizeof name, "d%u", i);
        set_limit(f, name, 1);
    }
    store_all(f);
    for (unsigned round = 0; round < 2; round++)
        for (unsigned i = 0; i < 1000; i++) {
            snprintf(name, sizeof name, "d%u", i);
            submit(f, (struct submit){ .dispatcher = name });
        }
    store_all(f);
    forget(f);
    struct worker *w = new_worker(f, 10000);
    given_joined(f, w);

    assert_int_equal(grants_to(f, w), 1000);
    for (unsigned i = 0; i < 1000; i++) {
        snprintf(name, sizeof name, "d%u", i);
        assert_int_equal(dispatcher(f, name)->running, 1);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, core_setup, core_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(jobs_start_first_come_first_served),
        TEST(a_higher_priority_starts_first_whatever_its_handler),
        TEST(a_job_that_was_handed_back_takes_its_old_place),
        TEST(a_handler_that_nobody_offers_holds_nobody_up),
        TEST(a_worker_that_comes_with_a_handler_starts_what_waited_for_it),
        TEST(a_full_dispatcher_holds_up_no_other),
        TEST(dispatchers_take_turns_over_room_that_is_scarce),
        TEST(a_stream_of_new_jobs_does_not_starve_those_who_wait),
        TEST(one_handler_does_not_starve_another_on_the_same_worker),
        TEST(a_dispatcher_with_two_handlers_has_one_turn),
        TEST(workers_take_turns_too),
        TEST(attempt_ids_carry_the_epoch_and_grow),
        TEST(a_grant_says_all_that_the_worker_needs),
        TEST(jobs_of_a_thousand_dispatchers_all_start),
    };
    return berth_test_main(tests, NULL, NULL);
}
