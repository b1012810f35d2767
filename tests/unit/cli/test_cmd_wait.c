/* SPDX-License-Identifier: MIT */
/* `berth wait`, and submits that wait, against a broker that answers by script. */
#include "commands.h"

#include <signal.h>

static void waiting_ends_with_what_became_of_the_jobs(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 4; i++)
        assert_int_equal(run(f, "submit -- a"), 0);
    fake_broker_move(f->broker, 1, BERTH_COMPLETED);
    fake_broker_move(f->broker, 2, BERTH_DEAD);
    fake_broker_move(f->broker, 3, BERTH_CANCELLED);

    assert_int_equal(run(f, "wait 1"), 0);
    assert_string_equal(out(f), "1 completed\n");
    assert_int_equal(run(f, "wait 2"), 3);
    assert_string_equal(out(f), "2 dead\n");
    assert_int_equal(run(f, "wait 3 1"), 4);
    assert_string_equal(out(f), "1 completed\n3 cancelled\n");
    assert_int_equal(run(f, "wait 3 2 1"), 3);
    assert_int_equal(run(f, "wait -q 1"), 0);
    assert_string_equal(out(f), "1\n");
    assert_int_equal(run(f, "wait 1 99"), 5);
    assert_string_equal(out(f), "");
    assert_int_equal(run(f, "wait 2 4 --timeout 1500ms"), 124);
    assert_string_equal(out(f), "2 dead\n");
    assert_says(f, "1 of 2 jobs have ended");
    assert_int_equal(run(f, "wait 2 4 --timeout 1500ms --json"), 124);
    assert_json(f, "d == {'schema': 'berth.waited/1', 'items': [{'id': 2, 'state': 'dead'}], "
                   "'next': None}");
    assert_int_equal(run(f, "wait 4 --timeout 0s"), 124);
    assert_int_equal(run(f, "wait 1 --timeout 0s"), 0);
    assert_string_equal(out(f), "1 completed\n");
    assert_int_equal(run(f, "wait 2 4 --timeout 0s"), 124);
    assert_string_equal(out(f), "2 dead\n");
    assert_int_equal(run(f, "wait 99 --timeout 0s"), 5);
}

static void each_end_is_printed_when_it_comes(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 2; i++)
        assert_int_equal(run(f, "submit -- a"), 0);
    start(f, "wait 1 2", "");
    assert_true(fake_broker_await(f->broker, FAKE_WAIT, 1, PATIENT));

    fake_broker_move(f->broker, 2, BERTH_COMPLETED);
    assert_true(process_await_text(&f->process, "2 completed\n", PATIENT));
    fake_broker_move(f->broker, 1, BERTH_CANCELLED);

    assert_int_equal(process_await_exit(&f->process, PATIENT), 4);
    assert_string_equal(out(f), "2 completed\n1 cancelled\n");
}

static void a_wait_outlives_a_restart_of_the_broker(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(run(f, "submit -- a"), 0);
    start(f, "wait 1 --connect-timeout 100ms", "");
    assert_true(fake_broker_await(f->broker, FAKE_WAIT, 1, PATIENT));
    fake_broker_stop(f->broker);
    fake_broker_start(f->broker);
    assert_true(fake_broker_await(f->broker, FAKE_WAIT, 2, PATIENT));
    fake_broker_move(f->broker, 1, BERTH_COMPLETED);
    assert_int_equal(process_await_exit(&f->process, PATIENT), 0);
}

static void submit_and_wait_prints_the_id_first_and_ends_as_the_job_does(void **state)
{
    struct fixture *f = *state;
    start(f, "submit --wait -- a", "");
    assert_true(process_await_text(&f->process, "1\n", PATIENT));
    assert_true(fake_broker_await(f->broker, FAKE_WAIT, 1, PATIENT));
    fake_broker_stop(f->broker);
    fake_broker_start(f->broker);
    assert_true(fake_broker_await(f->broker, FAKE_WAIT, 2, PATIENT));
    fake_broker_move(f->broker, 1, BERTH_DEAD);
    assert_int_equal(process_await_exit(&f->process, PATIENT), 3);
    assert_string_equal(out(f), "1\n");
    assert_says(f, "berth: job 1 is dead");

    fake_broker_submit_as(f->broker, BERTH_CANCELLED);
    assert_int_equal(run(f, "submit --wait -- a"), 4);
    assert_says(f, "berth: job 2 is cancelled");
    fake_broker_submit_as(f->broker, BERTH_COMPLETED);
    assert_int_equal(run(f, "submit --wait -- a --json"), 0);
    assert_string_equal(out(f), "3\n");
    assert_int_equal(run(f, "submit --json --wait -- a"), 0);
    assert_json(f, "d == {'schema': 'berth.submitted/1', 'items': [{'id': 4, 'existing': False, "
                   "'state': 'completed'}], 'next': None}");
    assert_int_equal(run(f, "submit --json --key k -- a"), 0);
    assert_int_equal(run(f, "submit --json --key k -- a"), 0);
    assert_json(f, "d['items'] == [{'id': 5, 'existing': True, 'state': None}]");
}

static void an_interrupt_ends_with_130(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(run(f, "submit -- a"), 0);
    start(f, "wait 1", "");
    assert_true(fake_broker_await(f->broker, FAKE_WAIT, 1, PATIENT));
    process_kill(&f->process, SIGINT);
    assert_int_equal(process_await_exit(&f->process, PATIENT), 130);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(waiting_ends_with_what_became_of_the_jobs),
        TEST(each_end_is_printed_when_it_comes),
        TEST(a_wait_outlives_a_restart_of_the_broker),
        TEST(submit_and_wait_prints_the_id_first_and_ends_as_the_job_does),
        TEST(an_interrupt_ends_with_130),
    };
    return berth_test_main(tests, NULL, NULL);
}
