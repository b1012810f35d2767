/* SPDX-License-Identifier: MIT */
/* Repeats: requests and keys that come again find the job that they made, as long as they are
 * known. */
#include "core_fixture.h"

#include "broker/core/submit/keys.h"

static void a_request_that_is_repeated_gets_the_same_answer(void **state)
{
    struct fixture *f = *state;
    uint64_t request = submit(f, (struct submit){ .body = "b" });
    store_all(f);
    uint64_t id = submitted(f, request);
    forget(f);

    submit_again(f, request, (struct submit){ .body = "b" });

    assert_int_equal(submitted(f, request), id); /* at once: it is stored */
    assert_false(answer(f, request, BERTH_DO_SUBMITTED)->submitted.items[0].is_existing);
    assert_false(close_batch(f));
}

static void a_repeat_of_what_is_being_stored_waits_for_it(void **state)
{
    struct fixture *f = *state;
    uint64_t request = submit(f, (struct submit){ .body = "b" });
    submit_again(f, request, (struct submit){ .body = "b" }); /* gathering */
    assert_true(close_batch(f));
    assert_int_equal(f->away->count, 1);
    submit_again(f, request, (struct submit){ .body = "b" }); /* away */
    assert_int_equal(f->said_count, 0);

    complete(f, STORED);

    assert_int_equal(said(f, BERTH_DO_SUBMITTED), 3);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(f->said[i].submitted.items[0].id, 1);
}

static void a_key_of_the_users_is_one_job_per_dispatcher(void **state)
{
    struct fixture *f = *state;
    uint64_t id = given_job(f, (struct submit){ .key = "k", .body = "b" });

    uint64_t request = submit(f, (struct submit){ .key = "k", .body = "b" });
    assert_int_equal(submitted(f, request), id);
    assert_true(answer(f, request, BERTH_DO_SUBMITTED)->submitted.items[0].is_existing);

    assert_int_not_equal(
        given_job(f, (struct submit){ .dispatcher = "io", .key = "k", .body = "b" }), id);
}

static void options_under_a_key_are_each_one_of_their_own(void **state)
{
    struct fixture *f = *state;
    const uint64_t after[] = { given_job(f, (struct submit){ 0 }),
                               given_job(f, (struct submit){ 0 }) };
    const struct submit items[] = {
        { .body = "b" },
        { .body = "b", .group = "g" },
        { .body = "b", .unique = "g" },
        { .body = "b", .unique = "h", .on_conflict = BERTH_ON_CONFLICT_EXISTING },
        { .body = "b", .queue_timeout_ms = 5 },
        { .body = "b", .deadline_ms = 5 },
        { .body = "b", .backoff_ms = 5 },
        { .body = "b", .backoff_ms_max = 5000 },
        { .body = "b", .run_at_us = 5 },
        { .body = "b", .after = after, .after_count = 1 },
        { .body = "b", .after = after, .after_count = 2 },
    };
    enum { COUNT = sizeof items / sizeof *items };
    for (size_t i = 0; i < COUNT; i++) {
        char key[8];
        (void)snprintf(key, sizeof key, "k%zu", i);
        struct submit item = items[i];
        item.key = key;
        uint64_t id = given_job(f, item);
        assert_int_equal(submitted(f, submit(f, item)), id); /* the same again is no conflict */
        for (size_t j = 0; j < COUNT; j++) {
            struct submit other = items[j];
            other.key = key;
            if (j != i)
                assert_int_equal(submitted(f, submit(f, other)), 0);
        }
    }
}

static void a_key_with_anything_else_in_it_is_a_conflict(void **state)
{
    enum { OTHERS = 16 };
    struct fixture *f = *state;
    const struct submit same = { .key = "k", .body = "b", .priority = 1, .max_attempts = 2 };
    given_job(f, same);
    const uint64_t after[] = { 1, given_job(f, (struct submit){ 0 }) };
    struct submit others[OTHERS];
    for (size_t i = 0; i < OTHERS; i++)
        others[i] = same;
    others[0].body = "c";
    others[1].handler = "exec";
    others[2].priority = 2;
    others[3].max_attempts = 3;
    others[4].timeout_ms = 1000;
    others[5].delay_ms = 1000;
    others[6].group = "g";
    others[7].run_at_us = 1;
    others[8].queue_timeout_ms = 1;
    others[9].deadline_ms = 1;
    others[10].backoff_ms = 1;
    others[11].backoff_ms_max = 2000;
    others[12].unique = "g";
    others[13].unique = "g";
    others[13].on_conflict = BERTH_ON_CONFLICT_EXISTING;
    others[14].after = after;
    others[14].after_count = 2;
    others[15].after = after;
    others[15].after_count = 1;

    uint64_t request = submit_many(f, others, OTHERS);

    const struct berth_do_submitted *answered = &answer(f, request, BERTH_DO_SUBMITTED)->submitted;
    for (size_t i = 0; i < OTHERS; i++) {
        assert_int_equal(answered->items[i].id, 0);
        assert_int_equal(answered->items[i].refusal.code, BERTH_ECONFLICT);
        assert_string_equal(answered->items[i].refusal.field, "key");
        assert_string_equal(answered->items[i].refusal.message,
                            "key: it was used for job 1 with another handler, body or options; a "
                            "repeat must be the same");
    }
}

static void the_same_key_twice_in_one_submit_is_one_job(void **state)
{
    struct fixture *f = *state;
    const struct submit items[2] = { { .key = "k", .body = "b" }, { .key = "k", .body = "b" } };

    uint64_t request = submit_many(f, items, 2);
    store_all(f);

    const struct berth_submitted_item *answered =
        answer(f, request, BERTH_DO_SUBMITTED)->submitted.items;
    assert_int_equal(answered[0].id, 1);
    assert_int_equal(answered[1].id, 1);
    assert_false(answered[0].is_existing);
    assert_true(answered[1].is_existing);
}

static void a_key_is_known_after_its_job_has_ended_until_its_window_is_over(void **state)
{
    struct fixture *f = *state;
    uint64_t id = given_job(f, (struct submit){ .key = "k", .body = "b" });
    cancel(f, id);
    store_all(f);
    assert_null(job_of(f, id));

    advance(f, 24 * 3600 * 1000 - 1000);
    uint64_t request = submit(f, (struct submit){ .key = "k", .body = "b" });
    assert_int_equal(submitted(f, request), id);

    advance(f, 1000); /* looked at before a turn has swept it out, and after */
    uint64_t other = given_job(f, (struct submit){ .key = "k", .body = "c" });
    assert_int_not_equal(other, id);
    assert_int_equal(f->core->keys.used, 1);
}

static void keys_are_freed_when_their_window_is_over(void **state)
{
    struct fixture *f = *state;
    given_job(f, (struct submit){ .key = "k" });
    given_job(f, (struct submit){ 0 });
    assert_int_equal(f->core->keys.used, 2);

    turn_after(f, 600 * 1000);
    assert_int_equal(f->core->keys.used, 1);
    turn_after(f, 24 * 3600 * 1000);
    assert_int_equal(f->core->keys.used, 0);
    assert_int_equal(f->core->keys_by_hash.count, 0);
}

/* The wall clock jumps ahead. */
static void many_whose_windows_end_at_once_go_some_in_each_turn(void **state)
{
    struct fixture *f = *state;
    for (uint64_t job = 1; job <= 10000; job++) {
        const struct key_use use = { .kind = job % 2 ? BERTH_KEY_REQUEST : BERTH_KEY_IDEMPOTENCY,
                                     .key = { .low = job, .high = 1 },
                                     .job = job,
                                     .until_us = f->wall_us + 1000000 };
        assert_int_equal(keys_remember(f->core, &use), 0);
    }
    f->wall_us += INT64_C(3600) * 1000000;
    uint32_t before = f->core->keys.used;
    turn(f);
    size_t turns = 1;
    for (; f->core->keys.used; turns++) {
        assert_in_range(before - f->core->keys.used, 1, 1500);
        assert_int_equal(berth_core_next_deadline_ms(f->core, f->now_ms, f->wall_us), f->now_ms);
        before = f->core->keys.used;
        turn(f);
    }
    assert_in_range(turns, 7, 13);
    assert_true(berth_core_next_deadline_ms(f->core, f->now_ms, f->wall_us) > f->now_ms);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, core_setup, core_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_request_that_is_repeated_gets_the_same_answer),
        TEST(a_repeat_of_what_is_being_stored_waits_for_it),
        TEST(a_key_of_the_users_is_one_job_per_dispatcher),
        TEST(options_under_a_key_are_each_one_of_their_own),
        TEST(a_key_with_anything_else_in_it_is_a_conflict),
        TEST(the_same_key_twice_in_one_submit_is_one_job),
        TEST(a_key_is_known_after_its_job_has_ended_until_its_window_is_over),
        TEST(keys_are_freed_when_their_window_is_over),
        TEST(many_whose_windows_end_at_once_go_some_in_each_turn),
    };
    return berth_test_main(tests, NULL, NULL);
}
