/* SPDX-License-Identifier: MIT
 *
 * Nested dispatchers: an attempt counts in its dispatcher and in all above it, and starts only
 * where all of them have room.
 */
#include "broker/core/dispatcher/dispatcher.h"
#include "core_fixture.h"

#define assert_reason(f, job, wanted)                                                              \
    do {                                                                                           \
        struct berth_slice reason_ = shown(f, job)->reason;                                        \
        if (!slice_is(reason_, wanted))                                                            \
            fail_msg("'%.*s' is not '%s'", (int)reason_.bytes, (const char *)reason_.data,         \
                     (const char *)(wanted));                                                      \
    } while (0)

static uint64_t set_parent(struct fixture *f, const char *name, const char *parent)
{
    return set(f, (struct berth_ev_dispatcher_set){ .has_parent = true, .parent = text(parent) },
               name);
}

static void given_child(struct fixture *f, const char *name, uint32_t limit, const char *parent)
{
    given_dispatcher(f, name, limit);
    set_parent(f, name, parent);
    store_all(f);
}

/* mail and push below eu, eu below all. */
static void given_tree(struct fixture *f, uint32_t all, uint32_t eu, uint32_t mail, uint32_t push)
{
    given_dispatcher(f, "all", all);
    given_child(f, "eu", eu, "all");
    given_child(f, "mail", mail, "eu");
    given_child(f, "push", push, "eu");
}

static uint64_t given_job_in(struct fixture *f, const char *name)
{
    return given_job(f, (struct submit){ .dispatcher = name });
}

static uint64_t given_jobs_in(struct fixture *f, const char *name, unsigned count)
{
    uint64_t last = 0;
    for (unsigned i = 0; i < count; i++)
        last = given_job_in(f, name);
    return last;
}

static uint64_t running(const struct fixture *f, const char *name)
{
    return dispatcher(f, name)->running;
}

static void end_job(struct fixture *f, struct worker *w, uint64_t job)
{
    report(f, w, job, BERTH_OUTCOME_COMPLETED);
    store_all(f);
}

/* ---- slots ---- */

static void an_attempt_holds_a_slot_in_each_dispatcher_above_its_own(void **state)
{
    struct fixture *f = *state;
    given_tree(f, 9, 9, 9, 9);
    struct worker *w = given_worker(f, 10);
    uint64_t job = given_job_in(f, "mail");
    given_job_in(f, "push");
    given_job_in(f, "eu");

    assert_int_equal(running(f, "mail"), 1);
    assert_int_equal(running(f, "push"), 1);
    assert_int_equal(running(f, "eu"), 3);
    assert_int_equal(running(f, "all"), 3);

    end_job(f, w, job);
    assert_int_equal(running(f, "mail"), 0);
    assert_int_equal(running(f, "eu"), 2);
    assert_int_equal(running(f, "all"), 2);
}

static void nothing_starts_where_one_of_the_chain_is_full(void **state)
{
    struct fixture *f = *state;
    given_tree(f, 3, 2, 5, 5);
    struct worker *w = given_worker(f, 10);

    uint64_t mail = given_jobs_in(f, "mail", 4); /* eu has 2 */
    assert_int_equal(running(f, "mail"), 2);
    assert_reason(f, mail, "the limit of eu is reached: 2 of 2 slots in use");
    uint64_t all = given_jobs_in(f, "all", 3); /* and all has 3 */
    assert_int_equal(running(f, "all"), 3);
    assert_reason(f, all, "the limit of all is reached: 3 of 3 slots in use");

    set_limit(f, "eu", 5);
    store_all(f);
    assert_int_equal(running(f, "eu"), 2);
    assert_int_equal(grants_to(f, w), 3);
    assert_reason(f, mail, "the limit of all is reached: 3 of 3 slots in use");
}

static void children_may_promise_more_than_their_parent_has(void **state)
{
    struct fixture *f = *state;
    given_tree(f, 9, 4, 4, 4);
    given_worker(f, 20);

    given_jobs_in(f, "mail", 5);
    given_jobs_in(f, "push", 5);

    assert_int_equal(running(f, "mail") + running(f, "push"), 4);
    assert_int_equal(running(f, "eu"), 4);
}

static void a_full_tree_holds_up_no_other_dispatcher(void **state)
{
    struct fixture *f = *state;
    given_tree(f, 1, 5, 5, 5);
    given_dispatcher(f, "free", 5);
    given_worker(f, 20);
    given_jobs_in(f, "mail", 5);

    given_jobs_in(f, "free", 5);

    assert_int_equal(running(f, "free"), 5);
}

static void a_slot_that_comes_back_wakes_whoever_waits_above_and_below(void **state)
{
    struct fixture *f = *state;
    given_tree(f, 2, 2, 1, 1);
    struct worker *w = given_worker(f, 20);
    uint64_t first = given_job_in(f, "mail"), second = given_job_in(f, "mail");
    uint64_t push = given_job_in(f, "push"), all = given_job_in(f, "all");
    assert_int_equal(grants_to(f, w), 2);
    assert_reason(f, second, "the limit of mail is reached: 1 of 1 slots in use");
    assert_reason(f, all, "the limit of all is reached: 2 of 2 slots in use");

    end_job(f, w, push); /* the slot of all: only `all` misses nothing else */
    assert_non_null(grant_of(f, all));
    assert_null(grant_of(f, second));
    end_job(f, w, first);
    assert_non_null(grant_of(f, second));
}

static void a_pause_holds_all_below_it(void **state)
{
    struct fixture *f = *state;
    given_tree(f, 9, 9, 9, 9);
    given_worker(f, 20);
    pause_dispatcher(f, "all", true);
    store_all(f);
    uint64_t job = given_job_in(f, "push");
    assert_reason(f, job, "dispatcher all is paused");

    pause_dispatcher(f, "all", false);
    store_all(f);

    assert_non_null(grant_of(f, job));
}

static void raising_the_limit_of_a_parent_starts_as_many_as_it_has_room_for(void **state)
{
    struct fixture *f = *state;
    given_tree(f, 0, 9, 9, 9);
    given_worker(f, 20);
    given_jobs_in(f, "mail", 5);
    given_jobs_in(f, "push", 5);
    assert_int_equal(running(f, "all"), 0);

    set_limit(f, "all", 6);
    store_all(f);

    assert_int_equal(running(f, "all"), 6);
    assert_int_equal(running(f, "mail"), 3);
}

static void an_attempt_that_a_worker_lists_counts_in_the_whole_chain(void **state)
{
    struct fixture *f = *state;
    given_tree(f, 1, 1, 1, 1);
    struct worker *w = given_worker(f, 4);
    given_job_in(f, "push");
    uint64_t job = given_job_in(f, "mail");
    struct berth_join_line lines[] = { line((uint64_t)4 << 40 | 7, job, 1) };
    lines[0].dispatcher = text("mail");

    join(f, w, lines, 1); /* lists nothing of push: that was never started */

    assert_int_equal(running(f, "mail"), 1);
    assert_int_equal(running(f, "all"), 1);
    turn(f);
    assert_int_equal(running(f, "push"), 0);
}

/* ---- shown ---- */

static void the_effective_limit_is_the_least_of_the_chain(void **state)
{
    struct fixture *f = *state;
    given_tree(f, 7, 9, 30, 3);

    assert_int_equal(dispatcher_effective_limit(f->core, dispatcher(f, "mail")), 7);
    assert_int_equal(dispatcher_effective_limit(f->core, dispatcher(f, "push")), 3);
    assert_int_equal(dispatcher_effective_limit(f->core, dispatcher(f, "all")), 7);
    assert_int_equal(dispatcher_limit(f->core, dispatcher(f, "mail")), 30);
}

/* ---- changing the tree ---- */

static const char *refusal(struct fixture *f, const char *name, const char *parent)
{
    uint64_t request = set_parent(f, name, parent);
    const struct berth_effect *effect = answer(f, request, BERTH_DO_ERROR);
    assert_non_null(effect);
    assert_string_equal(effect->error.field, "parent");
    return effect->error.message;
}

static void a_parent_that_stands_below_its_child_is_refused(void **state)
{
    struct fixture *f = *state;
    given_tree(f, 9, 9, 9, 9);

    const char *message = refusal(f, "all", "mail");
    assert_non_null(strstr(message, "'mail'"));
    assert_non_null(strstr(message, "'all'"));
    assert_non_null(strstr(refusal(f, "all", "all"), "'all'"));
    assert_non_null(strstr(refusal(f, "mail", "nobody"), "'nobody' does not exist"));

    set_parent(f, "eu", ""); /* asked for, not stored: the next one is measured by it */
    set_parent(f, "all", "mail");
    assert_non_null(strstr(refusal(f, "eu", "all"), "'all'"));
    store_all(f);
    assert_ptr_equal(dispatcher(f, "all")->parent, dispatcher(f, "mail"));
    assert_null(dispatcher(f, "eu")->parent);
}

static void who_moves_takes_its_slots_along_when_that_is_stored(void **state)
{
    struct fixture *f = *state;
    given_tree(f, 9, 9, 9, 9);
    given_dispatcher(f, "other", 1);
    struct worker *w = given_worker(f, 20);
    given_job_in(f, "mail");
    uint64_t job = given_job_in(f, "mail");
    set_parent(f, "eu", "other");
    turn(f);
    assert_int_equal(running(f, "all"), 2);

    store_all(f);
    assert_int_equal(running(f, "all"), 0);
    assert_int_equal(running(f, "eu"), 2);
    assert_int_equal(running(f, "other"), 2); /* nothing ends, nothing starts */
    given_job_in(f, "mail");
    end_job(f, w, job);
    assert_int_equal(running(f, "other"), 1);
    assert_int_equal(grants_to(f, w), 2);
}

static void who_moves_away_from_a_full_parent_starts(void **state)
{
    struct fixture *f = *state;
    given_tree(f, 0, 9, 9, 9);
    given_worker(f, 20);
    uint64_t mail = given_job_in(f, "mail"), eu = given_job_in(f, "eu");
    assert_reason(f, mail, "the limit of all is reached: 0 of 0 slots in use");

    set_parent(f, "eu", "");
    store_all(f);

    assert_non_null(grant_of(f, mail));
    assert_non_null(grant_of(f, eu));
}

/* ---- loading ---- */

static struct berth_dispatcher_record loaded(uint32_t id, const char *name, uint32_t parent)
{
    struct berth_dispatcher_record record;
    dispatcher_defaults(&record);
    record.id = id;
    record.parent = parent;
    record.limit.value = 1;
    snprintf(record.name, sizeof record.name, "%s", name);
    return record;
}

static int start_with(struct fixture *f, const struct berth_dispatcher_record *records,
                      size_t count)
{
    core_replace(f, (struct berth_core_opts){ 0 });
    for (size_t i = 0; i < count; i++)
        assert_int_equal(berth_core_load_dispatcher(f->core, &records[i]), 0);
    return berth_core_start(f->core, f->now_ms, f->wall_us);
}

static void a_tree_is_loaded_in_any_order(void **state)
{
    struct fixture *f = *state;
    struct berth_dispatcher_record records[] = { loaded(3, "a", 7), loaded(5, "b", 3),
                                                 loaded(7, "c", 0) };
    assert_int_equal(start_with(f, records, 3), 0);
    store_all(f);
    struct worker *w = given_worker(f, 9);
    given_job_in(f, "b");
    given_job_in(f, "c");

    assert_ptr_equal(dispatcher(f, "b")->parent->parent, dispatcher(f, "c"));
    assert_int_equal(grants_to(f, w), 1);
}

static void a_tree_that_cannot_be_is_not_loaded(void **state)
{
    struct fixture *f = *state;
    struct berth_dispatcher_record missing[] = { loaded(3, "a", 7) };
    struct berth_dispatcher_record loop[] = { loaded(3, "a", 5), loaded(5, "b", 3) };

    assert_int_equal(start_with(f, missing, 1), BERTH_ESTORE);
    assert_int_equal(start_with(f, loop, 2), BERTH_ESTORE);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, core_setup, core_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_attempt_holds_a_slot_in_each_dispatcher_above_its_own),
        TEST(nothing_starts_where_one_of_the_chain_is_full),
        TEST(children_may_promise_more_than_their_parent_has),
        TEST(a_full_tree_holds_up_no_other_dispatcher),
        TEST(a_slot_that_comes_back_wakes_whoever_waits_above_and_below),
        TEST(a_pause_holds_all_below_it),
        TEST(raising_the_limit_of_a_parent_starts_as_many_as_it_has_room_for),
        TEST(an_attempt_that_a_worker_lists_counts_in_the_whole_chain),
        TEST(the_effective_limit_is_the_least_of_the_chain),
        TEST(a_parent_that_stands_below_its_child_is_refused),
        TEST(who_moves_takes_its_slots_along_when_that_is_stored),
        TEST(who_moves_away_from_a_full_parent_starts),
        TEST(a_tree_is_loaded_in_any_order),
        TEST(a_tree_that_cannot_be_is_not_loaded),
    };
    return berth_test_main(tests, NULL, NULL);
}
