/* SPDX-License-Identifier: MIT
 *
 * Unique keys: of the live jobs of a dispatcher one has it.
 */
#include "core_fixture.h"

static const struct berth_do_error *refusal_of(const struct fixture *f, uint64_t request)
{
    const struct berth_submitted_item *item =
        &answer(f, request, BERTH_DO_SUBMITTED)->submitted.items[0];
    assert_int_equal(item->id, 0);
    return &item->refusal;
}

static void one_live_job_of_a_dispatcher_has_a_key(void **state)
{
    struct fixture *f = *state;
    uint64_t first = submit(f, (struct submit){ .unique = "u" });
    uint64_t second = submit(f, (struct submit){ .unique = "u" }); /* before it is stored */
    assert_int_equal(refusal_of(f, second)->code, BERTH_ECONFLICT);
    assert_string_equal(refusal_of(f, second)->field, "unique");
    assert_string_equal(refusal_of(f, second)->message,
                        "unique: job 1 of dispatcher default has this key, and has not ended");
    store_all(f);
    uint64_t id = submitted(f, first);
    assert_int_not_equal(given_job(f, (struct submit){ .unique = "v" }), 0);
    assert_int_not_equal(given_job(f, (struct submit){ .unique = "u", .dispatcher = "io" }), 0);

    cancel(f, id);
    assert_int_equal(refusal_of(f, submit(f, (struct submit){ .unique = "u" }))->code,
                     BERTH_ECONFLICT); /* its end is not stored yet */
    store_all(f);
    assert_int_not_equal(given_job(f, (struct submit){ .unique = "u" }), 0);
}

static void existing_answers_the_job_that_has_it_when_that_is_stored(void **state)
{
    struct fixture *f = *state;
    const struct submit item = { .unique = "u", .on_conflict = BERTH_ON_CONFLICT_EXISTING };
    uint64_t first = submit(f, item);
    uint64_t second = submit(f, item);
    assert_null(find(f, BERTH_DO_SUBMITTED));
    store_all(f);
    assert_int_equal(submitted(f, first), 1);
    assert_int_equal(submitted(f, second), 1);
    assert_false(answer(f, first, BERTH_DO_SUBMITTED)->submitted.items[0].is_existing);
    assert_true(answer(f, second, BERTH_DO_SUBMITTED)->submitted.items[0].is_existing);

    uint64_t third = submit(f, item);
    assert_int_equal(submitted(f, third), 1);
    assert_int_equal(f->core->jobs.used, 1);
}

static void a_refused_arrival_leaves_its_key_to_others(void **state)
{
    struct fixture *f = *state;
    const struct submit item = { .unique = "u", .on_conflict = BERTH_ON_CONFLICT_EXISTING };
    uint64_t first = submit(f, item), second = submit(f, item);
    assert_true(close_batch(f));
    complete(f, FULL);
    assert_int_equal(refusal_of(f, first)->code, BERTH_EFULL);
    assert_int_equal(refusal_of(f, second)->code, BERTH_EFULL);

    turn_after(f, 500);
    assert_int_not_equal(given_job(f, item), 0);
}

static void a_repeat_of_a_submit_is_no_conflict_with_itself(void **state)
{
    struct fixture *f = *state;
    uint64_t request = submit(f, (struct submit){ .unique = "u", .body = "b" });
    store_all(f);
    forget(f);

    submit_again(f, request, (struct submit){ .unique = "u", .body = "b" });

    assert_int_equal(submitted(f, request), 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, core_setup, core_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(one_live_job_of_a_dispatcher_has_a_key),
        TEST(existing_answers_the_job_that_has_it_when_that_is_stored),
        TEST(a_refused_arrival_leaves_its_key_to_others),
        TEST(a_repeat_of_a_submit_is_no_conflict_with_itself),
    };
    return berth_test_main(tests, NULL, NULL);
}
