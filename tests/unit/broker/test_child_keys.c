/* SPDX-License-Identifier: MIT
 *
 * Keys of children: for how long they are remembered, and that nothing of them is left.
 */
#include "scope_fixture.h"

#include "broker/core/submit/keys.h"

#define DAY_US (24 * 3600 * SECOND_US)

/* A parent that runs, and children of it that have completed. */
static uint64_t given_parent(struct fixture *f, struct worker *w, uint32_t child_count)
{
    uint64_t parent = given_running(f, (struct submit){ 0 });
    for (uint32_t ordinal = 1; ordinal <= child_count; ordinal++) {
        uint64_t child = given_child(f, w, parent, ordinal, one_child);
        report(f, w, child, BERTH_OUTCOME_COMPLETED);
        store_all(f);
    }
    return parent;
}

static void keys_of_children_go_when_their_parent_has_completed(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_room(f);
    uint64_t parent = given_parent(f, w, 3), other = given_parent(f, w, 1);
    assert_int_equal(f->core->child_key_count, 4);

    report(f, w, parent, BERTH_OUTCOME_COMPLETED);
    turn(f);
    assert_int_equal(f->core->child_key_count, 4); /* it is not stored yet */
    store_all(f);

    assert_int_equal(f->core->child_key_count, 1);
    assert_false(keys_has_children(f->core, parent));
    assert_true(keys_has_children(f->core, other));
    report(f, w, other, BERTH_OUTCOME_COMPLETED);
    store_all(f);
    assert_int_equal(f->core->child_key_count, 0);
    assert_int_equal(f->core->keys.used, 2); /* of the two submits */
}

static void a_parent_that_died_may_be_retried_and_finds_them(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_room(f);
    uint64_t parent = given_parent(f, w, 1);
    report(f, w, parent, BERTH_OUTCOME_FAILED_FOREVER);
    store_all(f);
    assert_int_equal(f->core->child_key_count, 1);

    const struct berth_job_record dead = row(f, parent, BERTH_DEAD);
    ask(f, BERTH_EV_RETRY, &parent, 1);
    answer_read(f, &dead, 1);
    store_all(f);
    submit_children_of(f, w, parent, 1, &one_child, 1);
    store_all(f);
    assert_int_equal(children_of(f, parent, 1)->ids[0], parent + 1);

    report(f, w, parent, BERTH_OUTCOME_COMPLETED);
    store_all(f);
    assert_int_equal(f->core->child_key_count, 0);
}

/* It was told to end with its parent's body. */
static void a_child_that_outlives_its_parent_leaves_none(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_room(f);
    uint64_t parent = given_running(f, (struct submit){ 0 });
    uint64_t child = given_child(f, w, parent, 1, one_child);
    report(f, w, parent, BERTH_OUTCOME_COMPLETED);
    store_all(f);
    assert_non_null(job_of(f, child));
    assert_int_equal(f->core->child_key_count, 0);

    report(f, w, child, BERTH_OUTCOME_COMPLETED);
    store_all(f);
    assert_null(job_of(f, child));
    assert_int_equal(f->core->child_key_count, 0);
}

static void children_that_are_refused_leave_none(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_room(f);
    uint64_t parent = given_running(f, (struct submit){ 0 });
    submit_children_of(f, w, parent, 1,
                       (struct submit[]){ { .body = "a" }, { .dispatcher = "nowhere" } }, 2);
    turn(f);
    assert_int_equal(f->core->child_key_count, 0);
    submit_children_of(f, w, parent, 1, &one_child, 1);
    assert_true(close_batch(f));
    complete(f, FULL);
    assert_int_equal(f->core->child_key_count, 0);
    assert_int_equal(f->core->keys.used, 1);
}

static void keys_of_a_parent_that_runs_on_end_with_their_window(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_room(f);
    uint64_t parent = given_parent(f, w, 2);
    f->wall_us += 7 * DAY_US;
    turn(f);
    assert_int_equal(f->core->keys.used, 0);
    assert_false(keys_has_children(f->core, parent));
    report(f, w, parent, BERTH_OUTCOME_COMPLETED);
    store_all(f);
}

/* ---- loaded ---- */

static struct berth_job_record child_record(const struct fixture *f, uint64_t id, uint64_t parent,
                                            enum berth_state state)
{
    static struct berth_hash128 key;
    key = keys_of_child(parent, (uint32_t)id);
    struct berth_job_record record = row(f, id, state);
    record.parent = parent;
    record.parent_ordinal = (uint32_t)id;
    record.parent_attempt = 1;
    record.key = (struct berth_key){ .kind = BERTH_KEY_CHILD,
                                     .bytes = { &key, sizeof key },
                                     .until_us = f->wall_us + DAY_US };
    return record;
}

static void given_dispatcher_record(struct fixture *f)
{
    struct berth_dispatcher_record record = {
        .id = 1, .name = "default", .weight = 1, .max_attempts = 5, .retention_ms = 1
    };
    record.limit = (struct berth_limit){ .kind = BERTH_LIMIT_NUMBER, .value = 100 };
    assert_int_equal(berth_core_load_dispatcher(f->core, &record), 0);
}

static void keys_that_were_loaded_go_with_their_parent(void **state)
{
    struct fixture *f = *state;
    given_dispatcher_record(f);
    struct berth_job_record parent = row(f, 1, BERTH_READY);
    assert_int_equal(berth_core_load_job(f->core, &parent), 0);
    for (uint64_t id = 2; id <= 3; id++) {
        const struct berth_job_record child = child_record(f, id, 1, BERTH_COMPLETED);
        assert_int_equal(berth_core_load_ended_key(f->core, &child), 0);
    }
    core_start(f);
    assert_int_equal(f->core->child_key_count, 2);
    struct worker *w = given_worker(f, 8);
    store_all(f);

    report(f, w, 1, BERTH_OUTCOME_COMPLETED);
    store_all(f);
    assert_int_equal(f->core->child_key_count, 0);
}

/* Of a file of an older version. */
static void a_key_of_an_unknown_parent_stays_for_its_window(void **state)
{
    struct fixture *f = *state;
    given_dispatcher_record(f);
    struct berth_job_record child = child_record(f, 2, 1, BERTH_COMPLETED);
    child.parent = 0;
    assert_int_equal(berth_core_load_ended_key(f->core, &child), 0);
    core_start(f);
    store_all(f);
    assert_non_null(keys_find(f->core, keys_of_child(1, 2)));
    f->wall_us += DAY_US;
    turn(f);
    assert_int_equal(f->core->keys.used, 0);
}

/* ---- many ---- */

static void given_keys(struct fixture *f, uint64_t parent, uint32_t count)
{
    for (uint32_t ordinal = 1; ordinal <= count; ordinal++) {
        const struct key_use use = { .kind = BERTH_KEY_CHILD,
                                     .key = keys_of_child(parent, ordinal),
                                     .job = parent + ordinal,
                                     .parent = parent,
                                     .until_us = f->wall_us + DAY_US };
        assert_int_equal(keys_remember(f->core, &use), 0);
    }
}

static void many_go_some_in_each_turn(void **state)
{
    struct fixture *f = *state;
    given_keys(f, 1, 10000);
    given_keys(f, 20000, 10000);
    keys_forget_children(f->core, 1);
    keys_forget_children(f->core, 20000);
    size_t turns = 0;
    for (; f->core->child_key_count; turns++) {
        assert_int_equal(berth_core_next_deadline_ms(f->core, f->now_ms, f->wall_us), f->now_ms);
        uint32_t before = f->core->child_key_count;
        turn(f);
        assert_in_range(before - f->core->child_key_count, 1, 1500);
    }
    assert_in_range(turns, 14, 25);
    assert_int_equal(f->core->keys.used, 0);
    assert_true(berth_core_next_deadline_ms(f->core, f->now_ms, f->wall_us) > f->now_ms);
}

/* The one that was found again meanwhile is a new one. */
static void a_parent_of_the_same_number_begins_anew(void **state)
{
    struct fixture *f = *state;
    given_keys(f, 1, 3);
    keys_forget_children(f->core, 1);
    given_keys(f, 1, 2);
    keys_check(f->core);
    turn(f);
    assert_int_equal(f->core->child_key_count, 2);
    assert_non_null(keys_find(f->core, keys_of_child(1, 2)));
    assert_null(keys_find(f->core, keys_of_child(1, 3)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(keys_of_children_go_when_their_parent_has_completed,
                                        core_setup, core_teardown),
        cmocka_unit_test_setup_teardown(a_parent_that_died_may_be_retried_and_finds_them,
                                        core_setup, core_teardown),
        cmocka_unit_test_setup_teardown(a_child_that_outlives_its_parent_leaves_none, core_setup,
                                        core_teardown),
        cmocka_unit_test_setup_teardown(children_that_are_refused_leave_none, core_setup,
                                        core_teardown),
        cmocka_unit_test_setup_teardown(keys_of_a_parent_that_runs_on_end_with_their_window,
                                        core_setup, core_teardown),
        cmocka_unit_test_setup_teardown(keys_that_were_loaded_go_with_their_parent, core_setup_bare,
                                        core_teardown),
        cmocka_unit_test_setup_teardown(a_key_of_an_unknown_parent_stays_for_its_window,
                                        core_setup_bare, core_teardown),
        cmocka_unit_test_setup_teardown(many_go_some_in_each_turn, core_setup, core_teardown),
        cmocka_unit_test_setup_teardown(a_parent_of_the_same_number_begins_anew, core_setup,
                                        core_teardown),
    };
    return berth_test_main(tests, NULL, NULL);
}
