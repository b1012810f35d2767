/* SPDX-License-Identifier: MIT
 *
 * The program `berth`, run for real against a broker that answers by script: explain.
 */
#include "commands.h"

static void given_job(struct fixture *f, enum berth_state state)
{
    fake_broker_submit_as(f->broker, state);
    assert_int_equal(run(f, "submit -d io -- true"), 0);
}

static void assert_line(const struct fixture *f, const char *line)
{
    if (!strstr(out(f), line))
        fail_msg("stdout is '%s', without '%s'", out(f), line);
}

static void a_job_is_explained_in_words(void **state)
{
    struct fixture *f = *state;
    given_job(f, BERTH_READY);
    given_job(f, BERTH_DEAD);
    assert_int_equal(run(f, "explain 1"), 0);
    assert_line(f, "job 1 is ready: the limit of io is reached: 64 of 64 slots in use\nfor ");
    assert_line(f, "\nheld by:\n");
    assert_line(f, "host-1");
    assert_line(f, "lost, held\nand 63 more\n");
    assert_line(f, "100/m");
    assert_int_equal(run(f, "explain 2"), 0);
    assert_string_equal(out(f), "job 2 is dead\n");
    assert_int_equal(run(f, "explain -q 1"), 0);
    assert_string_equal(out(f), "slots\n");
}

static void what_is_the_jobs_own_attempt_does_not_hold_it_up(void **state)
{
    struct fixture *f = *state;
    given_job(f, BERTH_SUSPENDED);
    assert_int_equal(run(f, "explain 1"), 0);
    assert_line(f, "job 1 is suspended: its handler waits\n");
    assert_line(f, "\nattempt:\n");
    assert_null(strstr(out(f), "held by:"));
}

static void a_dispatcher_is_explained_in_sums(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(run(f, "explain -d io"), 0);
    assert_line(f, "   8  slots");
    assert_line(f, "   1  pause");
    assert_line(f, "and 11 jobs more\n");
    assert_line(f, "full groups: tenant (3) and 4 more\n");
}

static void all_of_it_is_there_as_json(void **state)
{
    struct fixture *f = *state;
    given_job(f, BERTH_READY);
    assert_int_equal(run(f, "explain --json 1"), 0);
    assert_json(f, "d['schema'] == 'berth.explanation/1' and d['id'] == 1 and d['state'] == 'ready'"
                   " and d['causes'][0]['at'] == 'io' and d['causes'][0]['in_use'] == 64"
                   " and d['causes'][0]['next_at'] is None and d['holders'][0]['held']"
                   " and d['limits'][0]['rate'] == '100/m' and d['holders_total'] == 64");
    assert_int_equal(run(f, "explain --json -d io"), 0);
    assert_json(f, "d['id'] is None and d['state'] is None and sum(c['count'] for c in d['causes'])"
                   " == 9 and d['full_groups'] == [{'name': 'tenant', 'in_use': 3}]");
}

static void one_of_the_two_is_wanted(void **state)
{
    struct fixture *f = *state;
    static const char *const lines[] = { "explain", "explain 1 -d io", "explain 0", "explain 1 2",
                                         "explain -d a/b" };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        if (run(f, lines[i]) != 2)
            fail_msg("'%s' is no usage error", lines[i]);
    assert_int_equal(run(f, "explain 9"), 5);
    assert_int_equal(run(f, "explain -d nobody"), 5);
    assert_one_line(process_err(&f->process));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_job_is_explained_in_words),
        TEST(what_is_the_jobs_own_attempt_does_not_hold_it_up),
        TEST(a_dispatcher_is_explained_in_sums),
        TEST(all_of_it_is_there_as_json),
        TEST(one_of_the_two_is_wanted),
    };
    return berth_test_main(tests, NULL, NULL);
}
