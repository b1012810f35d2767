/* SPDX-License-Identifier: MIT
 *
 * The record of a live job: its size, its one container at a time, the heap of due times, the
 * lanes.
 */
#include "broker/core/job.h"

#include <signal.h>

#include "base/rng.h"
#include "core_fixture.h"
#include "support/process.h"

#define DEADLINE_MS 10000

static void a_live_job_is_48_bytes(void **state)
{
    (void)state;
    assert_int_equal(sizeof(struct job), 48);
}

static void an_id_finds_its_job_while_it_lives(void **state)
{
    struct fixture *f = *state;
    uint64_t ids[100];
    for (unsigned i = 0; i < 100; i++)
        ids[i] = given_job(f, (struct submit){ 0 });
    for (unsigned i = 0; i < 100; i += 2)
        cancel(f, ids[i]);
    store_all(f);

    for (unsigned i = 0; i < 100; i++) {
        uint32_t index = job_find(f->core, ids[i]);
        assert_int_equal(index != 0, i % 2);
        if (index)
            assert_int_equal(job_at(&f->core->jobs, index)->id, ids[i]);
    }
    assert_int_equal(f->core->jobs.used, 50);
}

static void an_arriving_job_is_found_by_its_batch_alone(void **state)
{
    struct fixture *f = *state;
    submit(f, (struct submit){ 0 });

    assert_int_not_equal(job_find(f->core, 1), 0);
    assert_int_equal(job_find_known(f->core, 1), 0);
    store_one(f);
    assert_int_not_equal(job_find_known(f->core, 1), 0);
}

static void jobs_are_due_in_the_order_of_their_times_and_ids(void **state)
{
    struct fixture *f = *state;
    struct berth_rng rng;
    berth_rng_init(&rng, 5);
    for (unsigned i = 0; i < 300; i++)
        submit(f, (struct submit){ .delay_ms = berth_rng_between(&rng, 1, 50) });
    store_all(f);
    for (uint64_t id = 3; id <= 300; id += 3)
        cancel(f, id);
    store_all(f);
    assert_int_equal(f->core->due_count, 200);
    given_dispatcher(f, "default", 1000);
    struct worker *w = given_worker(f, 1000);

    int64_t due_us = 0;
    uint64_t due_id = 0;
    while (f->core->due_count) {
        const struct job *first = job_at(&f->core->jobs, f->core->due[0]);
        assert_true(first->due_us > due_us || (first->due_us == due_us && first->id > due_id));
        due_us = first->due_us;
        due_id = first->id;
        int64_t wait_ms = berth_core_next_deadline_ms(f->core, f->now_ms, f->wall_us) - f->now_ms;
        turn_after(f, wait_ms);
        assert_int_not_equal(job_of(f, due_id)->state, JOB_SCHEDULED);
    }
    assert_int_equal(grants_to(f, w), 200);
}

static void a_wall_clock_that_jumps_shifts_what_is_due_and_no_lease(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_worker(f, 4);
    uint64_t job = given_job(f, (struct submit){ .delay_ms = 3600 * 1000 });

    f->wall_us += 3600 * SECOND_US;
    turn(f);

    assert_int_equal(job_of(f, job)->state, JOB_RUNNING);
    assert_int_equal(session_of(f, w)->state, SESSION_LIVE);
    assert_int_equal(berth_core_next_deadline_ms(f->core, f->now_ms, f->wall_us), f->now_ms + L_MS);
}

static void bodies_are_counted_against_their_budget_until_their_jobs_end(void **state)
{
    struct fixture *f = *state;
    core_replace(f, (struct berth_core_opts){ .body_bytes_max = 8 });
    core_start(f);
    store_all(f);
    uint64_t kept = given_job(f, (struct submit){ .body = "12345" });
    uint64_t left = given_job(f, (struct submit){ .body = "6789" });
    uint64_t empty = given_job(f, (struct submit){ .body = "" });
    assert_non_null(job_of(f, kept)->body);
    assert_null(job_of(f, left)->body);
    assert_non_null(job_of(f, empty)->body);
    assert_int_equal(f->core->body_bytes, 5);

    cancel(f, kept);
    store_all(f);
    assert_int_equal(f->core->body_bytes, 0);
    assert_non_null(job_of(f, given_job(f, (struct submit){ .body = "12345678" }))->body);
}

static void a_lane_goes_with_its_last_job_and_a_handler_with_its_last_name(void **state)
{
    struct fixture *f = *state;
    uint64_t one = given_job(f, (struct submit){ .handler = "rare" });
    uint64_t two = given_job(f, (struct submit){ .handler = "rare", .dispatcher = "io" });
    assert_int_equal(f->core->lanes.used, 2);
    assert_int_equal(berth_map_count(&f->core->handlers), 1);

    cancel(f, one);
    store_all(f);
    assert_int_equal(f->core->lanes.used, 1);
    assert_int_equal(berth_map_count(&f->core->handlers), 1);
    cancel(f, two);
    store_all(f);
    assert_int_equal(f->core->lanes.used, 0);
    assert_int_equal(berth_map_count(&f->core->handlers), 0);
}

/* Moves of one job through each arrow; an arrow that is not in the diagram ends the process. */
static void only_the_arrows_of_the_diagram_can_be_taken(void **state)
{
    struct fixture *f = *state;
    uint64_t id = given_job(f, (struct submit){ .delay_ms = 1000 });
    uint32_t index = job_find(f->core, id);
    job_move(f->core, index, JOB_READY, JOB_AT_TAIL);
    job_move(f->core, index, JOB_SETTLING, JOB_AT_TAIL);
    job_move_due(f->core, index, JOB_RETRYING, f->wall_us);
    job_move(f->core, index, JOB_READY, JOB_AT_OLD_PLACE);
    berth_core_check(f->core);
    assert_int_equal(dispatcher(f, "default")->count[JOB_READY], 1);
}

/* Run by the next test as a process of its own. */
static int take_a_wrong_arrow(void)
{
    void *state;
    core_setup(&state);
    struct fixture *f = state;
    uint64_t id = given_job(f, (struct submit){ .delay_ms = 1000 });
    job_move(f->core, job_find(f->core, id), JOB_RUNNING, JOB_AT_TAIL);
    return 0;
}

static const char *program;

static void an_arrow_that_is_not_in_the_diagram_is_our_own_mistake(void **state)
{
    (void)state;
    struct process process;
    int code = process_run(&process, (const char *const[]){ program, "wrong-arrow", NULL }, NULL,
                           NULL, DEADLINE_MS);

    assert_int_equal(code, 128 + SIGABRT);
    assert_non_null(strstr(process_err(&process), "job_next[job->state]"));
    process_fini(&process);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, core_setup, core_teardown)

int main(int argc, char **argv)
{
    program = argv[0];
    if (argc > 1 && strcmp(argv[1], "wrong-arrow") == 0)
        return take_a_wrong_arrow();
    const struct CMUnitTest tests[] = {
        TEST(a_live_job_is_48_bytes),
        TEST(an_id_finds_its_job_while_it_lives),
        TEST(an_arriving_job_is_found_by_its_batch_alone),
        TEST(jobs_are_due_in_the_order_of_their_times_and_ids),
        TEST(a_wall_clock_that_jumps_shifts_what_is_due_and_no_lease),
        TEST(bodies_are_counted_against_their_budget_until_their_jobs_end),
        TEST(a_lane_goes_with_its_last_job_and_a_handler_with_its_last_name),
        TEST(only_the_arrows_of_the_diagram_can_be_taken),
        TEST(an_arrow_that_is_not_in_the_diagram_is_our_own_mistake),
    };
    return berth_test_main(tests, NULL, NULL);
}
