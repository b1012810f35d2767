/* SPDX-License-Identifier: MIT
 *
 * The program `berth`, run for real against a broker that answers by script: dead letters, and
 * dispatchers that are purged and removed.
 */
#include "commands.h"

static void given_jobs(struct fixture *f, enum berth_state state, unsigned count)
{
    fake_broker_submit_as(f->broker, state);
    for (unsigned i = 0; i < count; i++)
        assert_int_equal(run(f, "submit -d io -- false"), 0);
}

static void retry_prints_what_lives_again(void **state)
{
    struct fixture *f = *state;
    given_jobs(f, BERTH_DEAD, 2);
    given_jobs(f, BERTH_COMPLETED, 1);
    assert_int_equal(run(f, "retry 1 2"), 0);
    assert_string_equal(out(f), "1\n2\n");
    assert_int_equal(run(f, "retry 3"), 1);
    assert_says(f, "job 3 is completed: only a dead or cancelled one can be retried");
    assert_int_equal(run(f, "retry 7 --json"), 5);
    assert_json(f, "d['schema'] == 'berth.retried/1' and d['items'][0]['id'] == 7 and"
                   " d['items'][0]['error'] == 'there is no job 7'");
}

static void all_dead_of_a_dispatcher_are_retried_or_discarded(void **state)
{
    struct fixture *f = *state;
    given_jobs(f, BERTH_DEAD, 3);
    assert_int_equal(run(f, "retry -d io --json"), 0);
    assert_json(f, "[i['id'] for i in d['items']] == [1, 2, 3]");
    assert_int_equal(run(f, "discard -d io"), 0);
    assert_string_equal(out(f), "");
    assert_says(f, "no job is dead there");
    given_jobs(f, BERTH_DEAD, 1);
    assert_int_equal(run(f, "discard -d io"), 0);
    assert_string_equal(out(f), "4\n");
    assert_int_equal(run(f, "discard 4"), 5);
}

static void ids_and_a_dispatcher_are_one_of_the_two(void **state)
{
    struct fixture *f = *state;
    static const char *const lines[] = { "retry",   "discard",   "retry 1 -d io", "discard -d io 1",
                                         "retry 0", "discard x", "retry -d a/b" };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        if (run(f, lines[i]) != 2)
            fail_msg("'%s' is no usage error", lines[i]);
        assert_one_line(process_err(&f->process));
    }
    assert_int_equal(fake_broker_seen(f->broker, FAKE_ANY), 0);
}

static void a_purge_wants_to_be_meant(void **state)
{
    struct fixture *f = *state;
    given_jobs(f, BERTH_READY, 5);
    assert_int_equal(run(f, "dispatcher purge io"), 2);
    assert_says(f, "say --yes");
    assert_int_equal(fake_broker_seen(f->broker, FAKE_PURGE), 0);
    assert_int_equal(run(f, "dispatcher purge io --yes"), 0);
    assert_string_equal(out(f), "5 jobs of io cancelled\n");
    assert_int_equal(run(f, "dispatcher purge io --yes --json"), 0);
    assert_json(f, "d['name'] == 'io' and d['cancelled'] == 0");
    assert_int_equal(run(f, "dispatcher purge nobody --yes"), 5);
    assert_int_equal(run(f, "dispatcher purge a/b --yes"), 2);
}

static void rm_says_what_is_in_its_way(void **state)
{
    struct fixture *f = *state;
    given_jobs(f, BERTH_READY, 1);
    assert_int_equal(run(f, "dispatcher rm io"), 1);
    assert_says(f, "live jobs");
    fake_broker_move(f->broker, 1, BERTH_COMPLETED);
    assert_int_equal(run(f, "dispatcher rm io"), 0);
    assert_string_equal(out(f), "");
    assert_int_equal(run(f, "dispatcher rm io --json"), 5);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(retry_prints_what_lives_again),
        TEST(all_dead_of_a_dispatcher_are_retried_or_discarded),
        TEST(ids_and_a_dispatcher_are_one_of_the_two),
        TEST(a_purge_wants_to_be_meant),
        TEST(rm_says_what_is_in_its_way),
    };
    return berth_test_main(tests, NULL, NULL);
}
