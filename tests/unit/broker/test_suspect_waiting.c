/* SPDX-License-Identifier: MIT */
/* Who is suspected when a process dies in which attempts ran beside others that only waited. */
#include "scope_fixture.h"

/* Its process dies of nobody known, with these in it. */
static void dies(struct fixture *f, struct worker *w, const uint64_t *jobs, size_t count)
{
    uint64_t attempts[4] = { 0 };
    for (size_t i = 0; i < count; i++)
        attempts[i] = attempt_of(f, jobs[i]);
    gone_with(f, w,
              (struct berth_ev_gone){ .cause = BERTH_GONE_SIGNAL,
                                      .status = 9,
                                      .attempts = attempts,
                                      .jobs = jobs,
                                      .count = count });
    store_all(f);
}

static bool is_suspect(const struct fixture *f, uint64_t job)
{
    return job_of(f, job)->flags & JOB_IS_SUSPECT;
}

static void who_waits_is_no_suspect_while_others_ran(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_room(f);
    uint64_t jobs[] = { given_running(f, (struct submit){ 0 }),
                        given_running(f, (struct submit){ 0 }) };
    suspend_attempt(f, w, jobs[0], 1);

    dies(f, w, jobs, 2);

    assert_false(is_suspect(f, jobs[0]));
    assert_true(is_suspect(f, jobs[1]));
    struct worker *other = given_worker(f, 4);
    assert_int_equal(grants_to(f, other), 1);
    assert_int_equal(grant_of(f, jobs[0])->number, 2);
}

static void who_was_told_to_go_on_is_one(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_room(f);
    uint64_t jobs[] = { given_running(f, (struct submit){ 0 }),
                        given_running(f, (struct submit){ 0 }) };
    suspend_attempt(f, w, jobs[0], 1);
    ask_to_resume(f, w, jobs[0], 1);
    turn(f);

    dies(f, w, jobs, 2);

    assert_true(is_suspect(f, jobs[0]));
    assert_true(is_suspect(f, jobs[1]));
}

/* Something killed it, and there is nobody else. */
static void if_all_waited_all_are(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_room(f);
    uint64_t jobs[] = { given_running(f, (struct submit){ 0 }),
                        given_running(f, (struct submit){ 0 }) };
    suspend_attempt(f, w, jobs[0], 1);
    suspend_attempt(f, w, jobs[1], 1);

    dies(f, w, jobs, 2);

    assert_true(is_suspect(f, jobs[0]));
    assert_true(is_suspect(f, jobs[1]));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, core_setup, core_teardown)
    const struct CMUnitTest tests[] = {
        TEST(who_waits_is_no_suspect_while_others_ran),
        TEST(who_was_told_to_go_on_is_one),
        TEST(if_all_waited_all_are),
    };
    return berth_test_main(tests, NULL, NULL);
}
