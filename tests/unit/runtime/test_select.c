/* SPDX-License-Identifier: MIT */
#include "chantest.h"

#include "channel.h"
#include "random.h"
#include "support/faulty.h"

struct seen {
    struct weft_chan *a, *b;
    int rc, other_rc, index, count;
    long value;
    int64_t slept_ns;
    struct weft_case cases[6];
    size_t case_count;
    atomic_int waiting;
    atomic_bool is_free;
};

static struct weft_chan *given_chan(size_t capacity)
{
    struct weft_chan *chan = NULL;
    assert_int_equal(weft_chan_new(sizeof(long), capacity, NULL, &chan), 0);
    return chan;
}

static struct seen given_chans(size_t capacity)
{
    return (struct seen){ .a = given_chan(capacity), .b = given_chan(capacity) };
}

static void free_chans(struct seen *seen)
{
    weft_chan_free(seen->a);
    weft_chan_free(seen->b);
}

static struct weft_case recv_case(struct weft_chan *chan, long *item)
{
    return (struct weft_case){ .recv = chan, .item = item, .item_bytes = sizeof *item };
}

static struct weft_case send_case(struct weft_chan *chan, long *item)
{
    return (struct weft_case){ .send = chan, .item = item, .item_bytes = sizeof *item };
}

/* ---- at once --------------------------------------------------------------------------------- */

static void a_case_that_can_happens_and_the_others_do_not(void **state)
{
    (void)state;
    struct seen seen = given_chans(1);
    long in = 0, out = 5;
    struct weft_case cases[] = { recv_case(seen.a, &in), send_case(seen.b, &out) };

    assert_int_equal(weft_select(cases, 2, 0), 1); /* b has room */
    assert_int_equal(cases[1].rc, 0);
    assert_int_equal(weft_select(cases, 2, 0), -ETIMEDOUT);
    assert_int_equal(send_long(seen.a, 4, 0), 0);
    assert_int_equal(weft_select(cases, 2, 0), 0);

    assert_int_equal(cases[0].rc, 1);
    assert_int_equal(in, 4);
    assert_int_equal(recv_long(seen.b, 0), 5);
    free_chans(&seen);
}

static void a_closed_channel_can_at_once(void **state)
{
    (void)state;
    struct seen seen = given_chans(0);
    long item = 7;
    weft_chan_close(seen.a);
    struct weft_case cases[] = { recv_case(seen.b, &item), recv_case(seen.a, &item) };

    assert_int_equal(weft_select(cases, 2, 0), 1);
    assert_int_equal(cases[1].rc, 0);
    cases[1] = send_case(seen.a, &item);
    assert_int_equal(weft_select(cases, 2, 0), 1);

    assert_int_equal(cases[1].rc, -EPIPE);
    assert_int_equal(item, 7);
    free_chans(&seen);
}

static void a_wrong_case_is_named(void **state)
{
    (void)state;
    struct seen seen = given_chans(1);
    long item = 1;
    struct weft_case cases[] = { send_case(seen.a, &item), { .rc = -EINVAL } };
    cases[0].rc = -EINVAL;

    assert_int_equal(weft_select(cases, 2, 0), -EINVAL);
    assert_int_equal(cases[0].rc, 0);
    assert_int_equal(cases[1].rc, -EINVAL);
    cases[1] = recv_case(seen.b, &item);
    cases[1].send = seen.b;
    assert_int_equal(weft_select(cases, 2, 0), -EINVAL);
    assert_int_equal(cases[1].rc, -EINVAL);
    cases[1] = recv_case(seen.b, &item);
    cases[1].item_bytes = 1;
    assert_int_equal(weft_select(cases, 2, 0), -EMSGSIZE);
    assert_int_equal(cases[1].rc, -EMSGSIZE);

    assert_int_equal(weft_select(NULL, WEFT_SELECT_CASES_MAX + 1, 0), -EINVAL);
    assert_int_equal(weft_select(cases, 1, WEFT_NEVER), -EPERM);
    assert_int_equal(recv_long(seen.a, 0), -ETIMEDOUT); /* nothing was sent */
    free_chans(&seen);
}

static void ties_are_broken_evenly(void **state)
{
    (void)state;
    struct seen seen = given_chans(1);
    struct weft_chan *never = given_chan(0);
    assert_int_equal(send_long(seen.a, 1, 0), 0);
    assert_int_equal(send_long(seen.b, 1, 0), 0);
    int counts[4] = { 0 };
    long item = 0;
    weft_random_seed(42);
    for (int i = 0; i < 3000; i++) {
        struct weft_case cases[] = { recv_case(seen.a, &item), recv_case(seen.b, &item),
                                     recv_case(never, &item), recv_case(seen.a, &item) };
        int index = weft_select(cases, 4, 0);
        assert_in_range(index, 0, 3);
        counts[index]++;
        assert_int_equal(send_long(cases[index].recv, 1, 0), 0);
    }
    weft_random_seed(0);
    assert_in_range(counts[0], 900, 1100);
    assert_in_range(counts[1], 900, 1100);
    assert_int_equal(counts[2], 0);
    assert_in_range(counts[3], 900, 1100);
    weft_chan_free(never);
    free_chans(&seen);
}

/* ---- waiting --------------------------------------------------------------------------------- */

static int select_cases(void *arg)
{
    struct seen *seen = arg;
    seen->waiting++;
    seen->index = weft_select(seen->cases, seen->case_count, WEFT_NEVER);
    return seen->index < 0 ? seen->index : 0;
}

static void launch_select(struct weft_scope *scope, struct seen *seen)
{
    weft_launch(scope, NULL, select_cases, seen);
    while (seen->waiting < 1)
        (void)weft_yield();
}

static int send_to_one_of_two(void *arg)
{
    struct seen *seen = arg;
    struct weft_scope scope;
    weft_scope_open(&scope);
    launch_select(&scope, seen);
    seen->rc = send_long(seen->b, 6, 0);
    seen->other_rc = send_long(seen->a, 7, 0); /* the select has been served, and left this queue */
    return weft_scope_close(&scope, 0);
}

static void whoever_comes_first_serves_it_and_it_waits_nowhere_else(void **state)
{
    (void)state;
    for (size_t count = 2; count <= 6; count += 4) {
        struct seen seen = given_chans(0);
        struct weft_chan *never = given_chan(0);
        seen.case_count = count;
        for (size_t i = 0; i < count; i++)
            seen.cases[i] = recv_case(i == 0 ? seen.a : i == 1 ? seen.b : never, &seen.value);

        assert_int_equal(on_one_thread(send_to_one_of_two, &seen), 0);

        assert_int_equal(seen.rc, 0);
        assert_int_equal(seen.other_rc, -ETIMEDOUT);
        assert_int_equal(seen.index, 1);
        assert_int_equal(seen.cases[1].rc, 1);
        assert_int_equal(seen.cases[0].rc, 0);
        assert_int_equal(seen.value, 6);
        weft_chan_free(never);
        free_chans(&seen);
        assert_int_equal(weft_shutdown(), 0);
    }
}

static int take_from_one_of_two(void *arg)
{
    struct seen *seen = arg;
    struct weft_scope scope;
    weft_scope_open(&scope);
    launch_select(&scope, seen);
    seen->rc = (int)recv_long(seen->b, 0);
    seen->other_rc = (int)recv_long(seen->a, 0);
    return weft_scope_close(&scope, 0);
}

static void what_a_select_sends_is_taken_once(void **state)
{
    (void)state;
    for (int is_boxed = 0; is_boxed < 2; is_boxed++) {
        weft_handover_boxes_all = is_boxed;
        struct seen seen = given_chans(0);
        long to_a = 1, to_b = 2;
        seen.cases[0] = send_case(seen.a, &to_a);
        seen.cases[1] = send_case(seen.b, &to_b);
        seen.case_count = 2;

        assert_int_equal(on_one_thread(take_from_one_of_two, &seen), 0);

        assert_int_equal(seen.rc, 2);
        assert_int_equal(seen.other_rc, -ETIMEDOUT);
        assert_int_equal(seen.index, 1);
        assert_int_equal(seen.cases[1].rc, 0);
        free_chans(&seen);
        assert_int_equal(weft_shutdown(), 0);
    }
    weft_handover_boxes_all = false;
}

static int select_with_deadline(void *arg)
{
    struct seen *seen = arg;
    int64_t before_ns = weft_now_ns();
    int rc = weft_select(seen->cases, seen->case_count, weft_deadline_ms(20));
    seen->slept_ns = weft_now_ns() - before_ns;
    seen->rc = send_long(seen->a, 1, 0);
    return rc == -ETIMEDOUT ? 0 : -EINVAL;
}

static void both_ends_of_one_channel_do_not_meet_in_one_select(void **state)
{
    (void)state;
    struct seen seen = given_chans(0);
    long out = 1;
    seen.cases[0] = recv_case(seen.a, &seen.value);
    seen.cases[1] = send_case(seen.a, &out);
    seen.cases[2] = recv_case(seen.a, &seen.value);
    seen.case_count = 3;

    assert_int_equal(on_one_thread(select_with_deadline, &seen), 0);

    assert_int_equal(seen.rc, -ETIMEDOUT); /* and nothing of it stays in the channel */
    free_chans(&seen);
}

static void without_cases_it_sleeps(void **state)
{
    (void)state;
    struct seen seen = given_chans(0);

    assert_int_equal(on_one_thread(select_with_deadline, &seen), 0);

    assert_true(seen.slept_ns >= 20000000);
    assert_int_equal(weft_select(NULL, 0, 0), -ETIMEDOUT);
    free_chans(&seen);
}

static int both_ends_meet(void *arg)
{
    struct seen *seen = arg;
    struct weft_scope scope;
    weft_scope_open(&scope);
    launch_select(&scope, seen);
    long in = 0, out = 8;
    struct weft_case cases[] = { send_case(seen->a, &out), recv_case(seen->a, &in) };
    seen->rc = weft_select(cases, 2, WEFT_NEVER);
    seen->other_rc = seen->rc == 1 ? (int)in : 0;
    return weft_scope_close(&scope, 0);
}

static void two_selects_with_both_ends_meet_each_other(void **state)
{
    (void)state;
    struct seen seen = given_chans(0);
    long out = 9;
    seen.cases[0] = send_case(seen.a, &out);
    seen.cases[1] = recv_case(seen.a, &seen.value);
    seen.case_count = 2;

    assert_int_equal(on_one_thread(both_ends_meet, &seen), 0);

    assert_int_equal(seen.index, 1 - seen.rc);
    if (seen.rc == 1)
        assert_int_equal(seen.other_rc, 9);
    else
        assert_int_equal(seen.value, 8);
    free_chans(&seen);
}

static int close_under_select(void *arg)
{
    struct seen *seen = arg;
    struct weft_scope scope;
    weft_scope_open(&scope);
    launch_select(&scope, seen);
    weft_chan_close(seen->b);
    return weft_scope_close(&scope, 0);
}

static void closing_serves_a_select(void **state)
{
    (void)state;
    struct seen seen = given_chans(0);
    long out = 1;
    seen.case_count = 2;
    seen.cases[0] = recv_case(seen.a, &seen.value);
    seen.cases[1] = send_case(seen.b, &out);

    assert_int_equal(on_one_thread(close_under_select, &seen), 0);

    assert_int_equal(seen.index, 1);
    assert_int_equal(seen.cases[1].rc, -EPIPE);
    free_chans(&seen);
}

/* ---- tasks ----------------------------------------------------------------------------------- */

static int return_when_free(void *arg)
{
    struct seen *seen = arg;
    return test_await(&seen->is_free) ? 17 : -ETIMEDOUT;
}

static int return_eighteen(void *arg)
{
    (void)arg;
    return 18;
}

static int select_tasks(void *arg)
{
    struct seen *seen = arg;
    struct weft_scope scope;
    weft_scope_open(&scope);
    struct weft_task *waits = weft_async(&scope, NULL, return_when_free, seen);
    struct weft_task *held = weft_async_opts(&scope, NULL, return_eighteen, NULL,
                                             &(struct weft_task_opts){ .start = WEFT_START_HELD });
    struct weft_case cases[] = { recv_case(seen->a, &seen->value),
                                 { .await = waits },
                                 { .await = held } };
    seen->rc = weft_select(cases, 3, 0); /* does not start it */
    seen->index = weft_select(cases, 3, WEFT_NEVER);
    seen->value = cases[2].rc;
    seen->is_free = true;
    seen->count = weft_select(cases, 2, WEFT_NEVER);
    seen->other_rc = cases[1].rc;
    return weft_scope_close(&scope, 0);
}

static void a_task_that_ends_is_a_case_and_a_held_one_starts(void **state)
{
    (void)state;
    struct seen seen = given_chans(0);

    assert_int_equal(weft_run(select_tasks, &seen), 0);

    assert_int_equal(seen.rc, -ETIMEDOUT);
    assert_int_equal(seen.index, 2);
    assert_int_equal(seen.value, 18);
    assert_int_equal(seen.count, 1);
    assert_int_equal(seen.other_rc, 17);
    free_chans(&seen);
}

static int sleep_long(void *arg)
{
    (void)arg;
    return weft_sleep_ms(TEST_WAIT_MS);
}

static int select_cancelled_and_itself(void *arg)
{
    struct seen *seen = arg;
    struct weft_scope scope;
    weft_scope_open(&scope);
    struct weft_task *task = weft_async(&scope, NULL, sleep_long, NULL);
    weft_cancel(task);
    struct weft_case cases[] = { { .await = task }, { .await = weft_self() } };
    seen->index = weft_select(cases, 1, WEFT_NEVER);
    seen->rc = cases[0].rc;
    seen->other_rc = weft_select(cases, 2, WEFT_NEVER);
    seen->count = cases[1].rc;
    return weft_scope_close(&scope, 0);
}

static void a_cancelled_task_has_happened_and_oneself_cannot(void **state)
{
    (void)state;
    struct seen seen = given_chans(0);

    assert_int_equal(weft_run(select_cancelled_and_itself, &seen), 0);

    assert_int_equal(seen.index, 0);
    assert_int_equal(seen.rc, WEFT_ECHILD);
    assert_int_equal(seen.other_rc, -EDEADLK);
    assert_int_equal(seen.count, -EDEADLK);
    free_chans(&seen);
}

/* ---- cancelling ------------------------------------------------------------------------------ */

static int cancel_served_select(void *arg)
{
    struct seen *seen = arg;
    struct weft_scope scope;
    weft_scope_open(&scope);
    launch_select(&scope, seen);
    seen->rc = send_long(seen->b, 1, 0);
    weft_scope_cancel_children(&scope);
    int rc = weft_scope_close(&scope, 0);
    seen->other_rc = (int)recv_long(seen->b, 0);
    return rc;
}

static void what_a_cancelled_select_was_given_goes_back(void **state)
{
    (void)state;
    struct seen seen = given_chans(0);
    seen.case_count = 2;
    seen.cases[0] = recv_case(seen.a, &seen.value);
    seen.cases[1] = recv_case(seen.b, &seen.value);

    assert_int_equal(on_one_thread(cancel_served_select, &seen), 0);

    assert_int_equal(seen.rc, 0);
    assert_int_equal(seen.index, -ECANCELED);
    assert_int_equal(seen.other_rc, 1);
    assert_int_equal(seen.value, 0);
    free_chans(&seen);
}

static int cancel_taken_select(void *arg)
{
    struct seen *seen = arg;
    struct weft_scope scope;
    weft_scope_open(&scope);
    launch_select(&scope, seen);
    seen->rc = (int)recv_long(seen->b, 0);
    weft_scope_cancel_children(&scope);
    return weft_scope_close(&scope, 0);
}

static void what_was_taken_from_a_cancelled_select_has_been_sent(void **state)
{
    (void)state;
    struct seen seen = given_chans(0);
    long out = 3;
    seen.case_count = 2;
    seen.cases[0] = recv_case(seen.a, &seen.value);
    seen.cases[1] = send_case(seen.b, &out);

    assert_int_equal(on_one_thread(cancel_taken_select, &seen), 0);

    assert_int_equal(seen.rc, 3);
    assert_int_equal(seen.index, 1);
    free_chans(&seen);
}

/* ---- memory ---------------------------------------------------------------------------------- */

static int select_six(void *arg)
{
    struct seen *seen = arg;
    long item = 0;
    struct weft_case cases[6];
    for (int i = 0; i < 6; i++)
        cases[i] = recv_case(seen->a, &item);
    int index = weft_select(cases, 6, WEFT_NEVER);
    if (index >= 0)
        seen->value = item;
    return index < 0 ? index : 0;
}

static int send_to_six(void *arg)
{
    struct seen *seen = arg;
    struct weft_scope scope;
    weft_scope_open(&scope);
    weft_launch(&scope, NULL, select_six, seen);
    int rc = send_long(seen->a, 5, WEFT_NEVER);
    return weft_scope_close(&scope, rc);
}

static void whatever_allocation_fails_is_an_error_to_the_caller(void **state)
{
    (void)state;
    struct seen seen = given_chans(0);
    FAULTY_FOREACH(n)
    {
        seen.value = 0;
        int rc = weft_run(send_to_six, &seen);
        bool has_failed = faulty_stop();
        if (!has_failed || rc != -ENOMEM) {
            assert_int_equal(rc, 0);
            assert_int_equal(seen.value, 5);
        }
        assert_int_equal(weft_shutdown(), 0);
    }
    free_chans(&seen);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        weft_unit_test(a_case_that_can_happens_and_the_others_do_not),
        weft_unit_test(a_closed_channel_can_at_once),
        weft_unit_test(a_wrong_case_is_named),
        weft_unit_test(ties_are_broken_evenly),
        weft_unit_test(whoever_comes_first_serves_it_and_it_waits_nowhere_else),
        weft_unit_test(what_a_select_sends_is_taken_once),
        weft_unit_test(both_ends_of_one_channel_do_not_meet_in_one_select),
        weft_unit_test(without_cases_it_sleeps),
        weft_unit_test(two_selects_with_both_ends_meet_each_other),
        weft_unit_test(closing_serves_a_select),
        weft_unit_test(a_task_that_ends_is_a_case_and_a_held_one_starts),
        weft_unit_test(a_cancelled_task_has_happened_and_oneself_cannot),
        weft_unit_test(what_a_cancelled_select_was_given_goes_back),
        weft_unit_test(what_was_taken_from_a_cancelled_select_has_been_sent),
        weft_unit_test(whatever_allocation_fails_is_an_error_to_the_caller),
    };
    return berth_test_main(tests, NULL, NULL);
}
