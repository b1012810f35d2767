/* SPDX-License-Identifier: MIT
 *
 * Groups: a limit for each, turns between them, and no trace of them when their jobs are gone.
 */
#include "core_fixture.h"

static uint64_t set_group_limit(struct fixture *f, const char *name, uint32_t limit)
{
    return set(f, (struct berth_ev_dispatcher_set){ .has_group_limit = true, .group_limit = limit },
               name);
}

static void given_grouped(struct fixture *f, const char *name, uint32_t limit, uint32_t group_limit)
{
    given_dispatcher(f, name, limit);
    set_group_limit(f, name, group_limit);
    store_all(f);
}

static uint64_t given_job_of(struct fixture *f, const char *group)
{
    return given_job(f, (struct submit){ .dispatcher = "news", .group = group });
}

static const struct group *group(const struct fixture *f, const char *name)
{
    struct berth_map_node *node = berth_map_find_bytes(&dispatcher(f, "news")->groups, text(name));
    return node ? berth_container_of(node, struct group, by_name) : NULL;
}

static uint64_t running(const struct fixture *f, const char *name)
{
    const struct group *found = group(f, name);
    return found ? found->running : 0;
}

static void end_job(struct fixture *f, struct worker *w, uint64_t job)
{
    report(f, w, job, BERTH_OUTCOME_COMPLETED);
    store_all(f);
}

/* The group of each job granted, in order, as one letter. */
static void turns(const struct fixture *f, const uint64_t *jobs, const char *letters, size_t count,
                  char *ret_turns)
{
    size_t length = 0;
    for (size_t i = 0; i < f->said_count; i++)
        for (size_t j = 0; f->said[i].type == BERTH_DO_ORDERS && j < f->said[i].orders.grant_count;
             j++)
            for (size_t k = 0; k < count; k++)
                if (jobs[k] == f->said[i].orders.grants[j].job)
                    ret_turns[length++] = letters[k];
    ret_turns[length] = '\0';
}

/* ---- the limit ---- */

static void no_more_of_a_group_run_than_its_limit_and_others_go_on(void **state)
{
    struct fixture *f = *state;
    given_grouped(f, "news", 100, 2);
    struct worker *w = given_worker(f, 50);
    uint64_t first = given_job_of(f, "acme");
    for (unsigned i = 0; i < 4; i++)
        given_job_of(f, "acme");
    uint64_t other = given_job_of(f, "bolt");

    assert_int_equal(running(f, "acme"), 2);
    assert_non_null(grant_of(f, other));
    end_job(f, w, first);
    assert_int_equal(running(f, "acme"), 2);
    assert_int_equal(grants_to(f, w), 4);
}

static void jobs_without_a_group_have_no_limit_of_groups(void **state)
{
    struct fixture *f = *state;
    given_grouped(f, "news", 100, 1);
    given_worker(f, 50);

    for (unsigned i = 0; i < 5; i++)
        given_job_of(f, NULL);

    assert_int_equal(dispatcher(f, "news")->running, 5);
}

static void a_job_of_a_full_group_names_it(void **state)
{
    struct fixture *f = *state;
    given_grouped(f, "news", 100, 1);
    given_worker(f, 50);
    given_job_of(f, "acme");
    uint64_t job = given_job_of(f, "acme");

    struct berth_slice reason = shown(f, job)->reason;
    assert_true(slice_is(reason, "the limit of group 'acme' of news is reached: 1 of 1 places in "
                                 "use"));
}

static void a_name_of_255_bytes_is_shown_whole(void **state)
{
    struct fixture *f = *state;
    char name[256];
    memset(name, 'x', 255);
    name[255] = '\0';
    given_grouped(f, "news", 100, 1);
    given_worker(f, 50);
    given_job_of(f, name);

    struct berth_slice reason = shown(f, given_job_of(f, name))->reason;

    const char *end = "of news is reached: 1 of 1 places in use";
    assert_true(reason.bytes > strlen(end) + 255);
    assert_memory_equal((const char *)reason.data + reason.bytes - strlen(end), end, strlen(end));
}

static void the_limit_of_groups_changes_while_jobs_flow(void **state)
{
    struct fixture *f = *state;
    given_grouped(f, "news", 100, 3);
    struct worker *w = given_worker(f, 50);
    uint64_t jobs[6];
    for (unsigned i = 0; i < 6; i++)
        jobs[i] = given_job_of(f, "acme");
    assert_int_equal(running(f, "acme"), 3);

    set_group_limit(f, "news", 1); /* not stored: lower at once */
    report(f, w, jobs[0], BERTH_OUTCOME_COMPLETED);
    turn(f);
    assert_int_equal(running(f, "acme"), 2);
    store_all(f);
    set_group_limit(f, "news", 4);
    turn(f);
    assert_int_equal(running(f, "acme"), 2);
    store_all(f); /* raised when it is stored */
    assert_int_equal(running(f, "acme"), 4);
    set_group_limit(f, "news", 0);
    store_all(f);
    assert_int_equal(running(f, "acme"), 5);
}

static void a_group_is_of_one_dispatcher(void **state)
{
    struct fixture *f = *state;
    given_grouped(f, "news", 100, 1);
    given_grouped(f, "auth", 100, 1);
    struct worker *w = given_worker(f, 50);

    given_job(f, (struct submit){ .dispatcher = "news", .group = "acme" });
    given_job(f, (struct submit){ .dispatcher = "auth", .group = "acme" });

    assert_int_equal(grants_to(f, w), 2);
}

static void what_a_worker_lists_holds_a_place_of_its_group(void **state)
{
    struct fixture *f = *state;
    given_grouped(f, "news", 100, 1);
    struct worker *w = new_worker(f, 4);
    w->handlers[0] = "rare";
    given_joined(f, w);
    uint64_t job = given_job_of(f, "acme"), next = given_job_of(f, "acme");
    struct berth_join_line lines[] = { line((uint64_t)4 << 40 | 7, job, 1) };
    lines[0].dispatcher = text("news");
    join(f, w, lines, 1);
    assert_int_equal(running(f, "acme"), 1);

    struct worker *other = given_worker(f, 4);
    assert_int_equal(grants_to(f, other), 0);
    report_end(f, w, lines[0].attempt, job,
               (struct berth_attempt_end){ .outcome = BERTH_OUTCOME_COMPLETED });
    store_all(f);
    assert_non_null(grant_of(f, next));
}

/* ---- turns ---- */

static void groups_take_turns_one_job_each(void **state)
{
    struct fixture *f = *state;
    given_dispatcher(f, "news", 1);
    uint64_t jobs[9];
    const char *letters = "aaaaabbbc", *names[] = { "a", "b", "c" };
    for (unsigned i = 0; i < 9; i++)
        jobs[i] = given_job_of(f, names[letters[i] - 'a']);
    struct worker *w = given_worker(f, 5);
    char order[16];
    for (unsigned i = 0; i < 8; i++) {
        for (unsigned j = 0; j < 9; j++)
            if (job_of(f, jobs[j]) && job_of(f, jobs[j])->state == JOB_RUNNING) {
                end_job(f, w, jobs[j]);
                break;
            }
    }

    turns(f, jobs, letters, 9, order);
    assert_string_equal(order, "abcababaa");
}

static void a_higher_priority_goes_before_the_turn_of_a_group(void **state)
{
    struct fixture *f = *state;
    given_dispatcher(f, "news", 1);
    uint64_t jobs[4] = { given_job_of(f, "a"), given_job_of(f, "b") };
    jobs[2] = given_job(f, (struct submit){ .dispatcher = "news", .group = "a", .priority = 1 });
    jobs[3] = given_job(f, (struct submit){ .dispatcher = "news", .group = "a", .priority = 1 });
    struct worker *w = given_worker(f, 5);
    end_job(f, w, jobs[2]);
    end_job(f, w, jobs[3]);
    end_job(f, w, jobs[0]);

    char order[8];
    turns(f, jobs, "1234", 4, order);
    assert_string_equal(order, "3412");
}

static void a_dispatcher_has_one_turn_at_its_workers_however_many_groups_it_has(void **state)
{
    struct fixture *f = *state;
    given_dispatcher(f, "news", 100);
    given_dispatcher(f, "auth", 100);
    char name[16];
    for (unsigned i = 0; i < 20; i++) {
        snprintf(name, sizeof name, "g%u", i);
        given_job_of(f, name);
    }
    for (unsigned i = 0; i < 20; i++)
        given_job(f, (struct submit){ .dispatcher = "auth" });
    given_worker(f, 10);

    assert_int_equal(dispatcher(f, "news")->running, 5);
    assert_int_equal(dispatcher(f, "auth")->running, 5);
}

static void ten_thousand_groups_all_have_their_place(void **state)
{
    struct fixture *f = *state;
    enum { GROUPS = 10000 };
    static struct submit items[GROUPS];
    static char names[GROUPS][8];
    given_grouped(f, "news", 2 * GROUPS, 1);
    for (unsigned round = 0; round < 2; round++) {
        for (unsigned i = 0; i < GROUPS; i++) {
            snprintf(names[i], sizeof names[i], "g%u", i);
            items[i] = (struct submit){ .dispatcher = "news", .group = names[i] };
        }
        submit_many(f, items, GROUPS);
    }
    assert_true(close_batch(f));
    complete(f, STORED);

    assert_int_equal(berth_map_count(&dispatcher(f, "news")->groups), GROUPS);
    assert_int_equal(dispatcher(f, "news")->count[JOB_READY], 2 * GROUPS);
}

/* ---- life ---- */

static void a_group_goes_with_its_last_job_and_place(void **state)
{
    struct fixture *f = *state;
    given_grouped(f, "news", 100, 1);
    struct worker *w = given_worker(f, 4);
    uint64_t job = given_job_of(f, "acme"), waiting = given_job_of(f, "acme");
    cancel(f, waiting);
    store_all(f);
    assert_non_null(group(f, "acme"));

    end_job(f, w, job);

    assert_null(group(f, "acme"));
    assert_int_equal(berth_map_count(&dispatcher(f, "news")->groups), 0);
    assert_int_equal(f->core->lanes.used, 0);
    assert_int_equal(f->core->gates.used, 0);
}

static void an_attempt_that_goes_on_without_its_job_keeps_its_place(void **state)
{
    struct fixture *f = *state;
    given_grouped(f, "news", 100, 1);
    struct worker *w = given_worker(f, 4);
    uint64_t job = given_job_of(f, "acme");
    uint64_t attempt = attempt_of(f, job);
    struct berth_join_line lines[] = { line(attempt, job, 1), line(attempt - 1, job, 0) };
    lines[0].dispatcher = lines[1].dispatcher = text("news");
    join(f, w, lines, 2); /* the second is of nobody: it is told to end */
    assert_int_equal(running(f, "acme"), 2);
    end_job(f, w, job);
    assert_int_equal(running(f, "acme"), 1);

    report_end(f, w, attempt - 1, job,
               (struct berth_attempt_end){ .outcome = BERTH_OUTCOME_CANCELLED });
    store_all(f);
    assert_null(group(f, "acme"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, core_setup, core_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(no_more_of_a_group_run_than_its_limit_and_others_go_on),
        TEST(jobs_without_a_group_have_no_limit_of_groups),
        TEST(a_job_of_a_full_group_names_it),
        TEST(a_name_of_255_bytes_is_shown_whole),
        TEST(the_limit_of_groups_changes_while_jobs_flow),
        TEST(a_group_is_of_one_dispatcher),
        TEST(what_a_worker_lists_holds_a_place_of_its_group),
        TEST(groups_take_turns_one_job_each),
        TEST(a_higher_priority_goes_before_the_turn_of_a_group),
        TEST(a_dispatcher_has_one_turn_at_its_workers_however_many_groups_it_has),
        TEST(ten_thousand_groups_all_have_their_place),
        TEST(a_group_goes_with_its_last_job_and_place),
        TEST(an_attempt_that_goes_on_without_its_job_keeps_its_place),
    };
    return berth_test_main(tests, NULL, NULL);
}
