/* SPDX-License-Identifier: MIT
 *
 * The client's request table: who is sent, when, how often, and how each request ends.
 */
#include "support/berthtest.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <berth/error.h>

#include "base/rng.h"
#include "client/core/request.h"
#include "support/faulty.h"

#define PENDING_MAX 4
#define NEVER       INT64_MAX
#define SECOND      INT64_C(1000)

struct fixture {
    struct request_table *table;
    int64_t now_ms;
    struct request_effects effects;
    int args[PENDING_MAX]; /* their addresses are the args */
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    f->table = request_table_new(PENDING_MAX);
    f->now_ms = 100;
    *state = f;
    return f->table ? 0 : -1;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    request_table_free(f->table);
    free(f);
    return 0;
}

static int64_t step(struct fixture *f, struct request_event event)
{
    event.now_ms = f->now_ms;
    return request_step(f->table, &event, &f->effects);
}

static int64_t add(struct fixture *f, enum request_kind kind, int64_t timeout_ms)
{
    int64_t deadline_ms = timeout_ms == NEVER ? NEVER : f->now_ms + timeout_ms;
    return step(f, (struct request_event){ .type = REQUEST_EV_ADD,
                                           .kind = kind,
                                           .deadline_ms = deadline_ms,
                                           .arg = &f->args[0] });
}

static void connected(struct fixture *f)
{
    step(f, (struct request_event){ .type = REQUEST_EV_CONNECTED });
}

static void answer(struct fixture *f, int64_t number, bool is_last)
{
    step(f, (struct request_event){
                .type = REQUEST_EV_ANSWER, .number = (uint64_t)number, .is_last = is_last });
}

static void timer_at(struct fixture *f, int64_t now_ms)
{
    f->now_ms = now_ms;
    step(f, (struct request_event){ .type = REQUEST_EV_TIMER });
}

/* Goes to the next deadline and lets the timer strike. */
static void strike(struct fixture *f)
{
    timer_at(f, request_next_deadline_ms(f->table));
}

static void assert_one(const struct fixture *f, enum request_effect_type type, int64_t number)
{
    assert_int_equal(f->effects.count, 1);
    assert_int_equal(f->effects.items[0].type, type);
    assert_int_equal(f->effects.items[0].number, number);
}

static void assert_finished(const struct fixture *f, int64_t number, int rc, bool is_sent)
{
    assert_one(f, REQUEST_DO_FINISH, number);
    assert_int_equal(f->effects.items[0].rc, rc);
    assert_int_equal(f->effects.items[0].is_sent, is_sent);
    assert_int_equal(request_pending(f->table), 0);
}

static void before_a_connection_nothing_is_sent_and_then_all_in_order(void **state)
{
    struct fixture *f = *state;
    int64_t first = add(f, REQUEST_SUBMIT, NEVER);
    assert_int_equal(f->effects.count, 0);
    int64_t second = add(f, REQUEST_QUERY, NEVER);
    assert_int_equal(f->effects.count, 0);

    connected(f);

    assert_int_equal(first, 1);
    assert_int_equal(second, 2);
    assert_int_equal(f->effects.count, 2);
    assert_int_equal(f->effects.items[0].type, REQUEST_DO_SEND);
    assert_int_equal(f->effects.items[0].number, first);
    assert_ptr_equal(f->effects.items[0].arg, &f->args[0]);
    assert_int_equal(f->effects.items[1].number, second);
}

static void over_a_connection_a_request_leaves_at_once(void **state)
{
    struct fixture *f = *state;
    connected(f);

    int64_t number = add(f, REQUEST_SUBMIT, NEVER);

    assert_one(f, REQUEST_DO_SEND, number);
    assert_ptr_equal(request_find(f->table, (uint64_t)number), &f->args[0]);
}

static void the_last_answer_finishes_a_request_once(void **state)
{
    struct fixture *f = *state;
    connected(f);
    int64_t number = add(f, REQUEST_SUBMIT, NEVER);

    answer(f, number, true);
    assert_finished(f, number, 0, true);
    assert_ptr_equal(f->effects.items[0].arg, &f->args[0]);

    answer(f, number, true);
    assert_int_equal(f->effects.count, 0);
    assert_null(request_find(f->table, (uint64_t)number));
    assert_int_equal(request_next_deadline_ms(f->table), NEVER);
}

static void
an_unanswered_request_is_sent_again_at_doubling_intervals_up_to_the_maximum(void **state)
{
    struct fixture *f = *state;
    connected(f);
    int64_t number = add(f, REQUEST_QUERY, NEVER);
    const int64_t intervals_ms[] = { 1000, 2000, 4000, 5000, 5000 };

    for (size_t i = 0; i < sizeof intervals_ms / sizeof intervals_ms[0]; i++) {
        int64_t due_ms = f->now_ms + intervals_ms[i];
        while (f->now_ms + 500 < due_ms) {
            /* Something else is heard, so that silence does not change the connection. */
            timer_at(f, f->now_ms + 500);
            assert_int_equal(f->effects.count, 0);
            answer(f, 999, true);
        }
        timer_at(f, due_ms);
        assert_one(f, REQUEST_DO_SEND, number);
    }
}

static void a_new_connection_sends_everything_again(void **state)
{
    struct fixture *f = *state;
    connected(f);
    int64_t first = add(f, REQUEST_SUBMIT, NEVER);
    int64_t second = add(f, REQUEST_WAIT, NEVER);
    f->now_ms += 10;

    connected(f);

    assert_int_equal(f->effects.count, 2);
    assert_int_equal(f->effects.items[0].number, first);
    assert_int_equal(f->effects.items[1].number, second);
}

static void while_disconnected_nothing_is_sent(void **state)
{
    struct fixture *f = *state;
    connected(f);
    add(f, REQUEST_QUERY, NEVER);
    step(f, (struct request_event){ .type = REQUEST_EV_DISCONNECTED });
    assert_int_equal(f->effects.count, 0);

    add(f, REQUEST_QUERY, NEVER);
    assert_int_equal(f->effects.count, 0);
    timer_at(f, f->now_ms + REQUEST_RESEND_MS);
    assert_int_equal(f->effects.count, 0);

    connected(f);
    assert_int_equal(f->effects.count, 2);
}

static void a_wait_is_renewed_at_its_own_pace_until_its_last_answer(void **state)
{
    struct fixture *f = *state;
    connected(f);
    int64_t number = add(f, REQUEST_WAIT, NEVER);

    for (int i = 0; i < 5; i++) {
        answer(f, number, false);
        assert_int_equal(f->effects.count, 0);
        timer_at(f, f->now_ms + REQUEST_WAIT_RENEW_MS - 1);
        assert_int_equal(f->effects.count, 0);
        timer_at(f, f->now_ms + 1);
        assert_one(f, REQUEST_DO_SEND, number);
    }

    answer(f, number, true);
    assert_finished(f, number, 0, true);
}

static void a_submit_that_never_left_times_out_and_nothing_has_happened(void **state)
{
    struct fixture *f = *state;
    int64_t number = add(f, REQUEST_SUBMIT, 500);

    strike(f);

    assert_int_equal(f->now_ms, 600);
    assert_finished(f, number, -ETIMEDOUT, false);
}

static void what_has_an_effect_and_was_sent_ends_unknown_at_its_deadline(void **state)
{
    struct fixture *f = *state;
    const enum request_kind kinds[] = { REQUEST_SUBMIT, REQUEST_CANCEL };
    for (size_t i = 0; i < 2; i++) {
        connected(f);
        int64_t number = add(f, kinds[i], 500);

        strike(f);

        assert_finished(f, number, BERTH_EUNKNOWN, true);
    }
}

static void a_query_that_was_sent_times_out_at_its_deadline(void **state)
{
    struct fixture *f = *state;
    const enum request_kind kinds[] = { REQUEST_QUERY, REQUEST_WAIT };
    for (size_t i = 0; i < 2; i++) {
        connected(f);
        int64_t number = add(f, kinds[i], 500);

        strike(f);

        assert_finished(f, number, -ETIMEDOUT, true);
    }
}

static void a_request_whose_deadline_has_passed_is_not_sent(void **state)
{
    struct fixture *f = *state;
    connected(f);

    int64_t number = add(f, REQUEST_SUBMIT, 0);

    assert_finished(f, number, -ETIMEDOUT, false);
}

static void a_connection_that_comes_at_the_deadline_does_not_send(void **state)
{
    struct fixture *f = *state;
    int64_t number = add(f, REQUEST_SUBMIT, 500);
    f->now_ms += 500;

    connected(f);

    assert_int_equal(f->effects.count, 0);
    strike(f);
    assert_finished(f, number, -ETIMEDOUT, false);
}

static void a_submit_is_never_repeated_after_the_window_and_then_ends_unknown(void **state)
{
    struct fixture *f = *state;
    connected(f);
    int64_t number = add(f, REQUEST_SUBMIT, NEVER);
    int64_t end_ms = f->now_ms + REQUEST_SUBMIT_REPEAT_MS;
    size_t sends = 0, finishes = 0;

    while (request_pending(f->table) > 0) {
        strike(f);
        bool is_to_connect = false;
        for (size_t i = 0; i < f->effects.count; i++) {
            const struct request_effect *effect = &f->effects.items[i];
            switch (effect->type) {
            case REQUEST_DO_RECONNECT: is_to_connect = true; break;
            case REQUEST_DO_SEND:
                assert_true(f->now_ms < end_ms);
                sends++;
                break;
            case REQUEST_DO_FINISH:
                assert_int_equal(effect->rc, BERTH_EUNKNOWN);
                assert_int_equal(effect->number, number);
                finishes++;
                break;
            }
        }
        if (is_to_connect)
            connected(f);
    }

    assert_int_equal(f->now_ms, end_ms);
    assert_int_equal(finishes, 1);
    assert_true(sends > 100);
}

static void a_submit_is_not_sent_over_a_connection_that_comes_after_the_window(void **state)
{
    struct fixture *f = *state;
    connected(f);
    int64_t number = add(f, REQUEST_SUBMIT, NEVER);
    step(f, (struct request_event){ .type = REQUEST_EV_DISCONNECTED });
    f->now_ms += REQUEST_SUBMIT_REPEAT_MS;

    connected(f);

    assert_int_equal(f->effects.count, 0);
    strike(f);
    assert_finished(f, number, BERTH_EUNKNOWN, true);
}

static void silence_changes_the_connection_once_in_its_time(void **state)
{
    struct fixture *f = *state;
    connected(f);
    add(f, REQUEST_QUERY, NEVER);
    int64_t start_ms = f->now_ms;
    int64_t at_ms[2] = { 0 };
    size_t count = 0;

    while (count < 2) {
        strike(f);
        for (size_t i = 0; i < f->effects.count; i++)
            if (f->effects.items[i].type == REQUEST_DO_RECONNECT)
                at_ms[count++] = f->now_ms;
    }

    assert_int_equal(at_ms[0], start_ms + REQUEST_SILENCE_MS);
    assert_int_equal(at_ms[1], start_ms + (int64_t)2 * REQUEST_SILENCE_MS);
}

static void after_a_change_of_connection_nothing_is_sent_before_the_new_one(void **state)
{
    struct fixture *f = *state;
    connected(f);
    int64_t number = add(f, REQUEST_WAIT, NEVER);

    timer_at(f, f->now_ms + REQUEST_SILENCE_MS);
    assert_one(f, REQUEST_DO_RECONNECT, 0);
    timer_at(f, f->now_ms + REQUEST_SILENCE_MS - 1);
    assert_int_equal(f->effects.count, 0);

    connected(f);
    assert_one(f, REQUEST_DO_SEND, number);
}

static void anything_heard_breaks_the_silence(void **state)
{
    struct fixture *f = *state;
    connected(f);
    add(f, REQUEST_QUERY, NEVER);
    f->now_ms += 2900;
    answer(f, 12345, false);

    timer_at(f, f->now_ms + REQUEST_SILENCE_MS - 1);

    for (size_t i = 0; i < f->effects.count; i++)
        assert_int_equal(f->effects.items[i].type, REQUEST_DO_SEND);
}

static void a_long_idle_connection_is_not_silent_when_the_first_request_comes(void **state)
{
    struct fixture *f = *state;
    connected(f);
    assert_int_equal(request_next_deadline_ms(f->table), NEVER);
    f->now_ms += 60 * SECOND;

    int64_t number = add(f, REQUEST_QUERY, NEVER);

    assert_one(f, REQUEST_DO_SEND, number);
    timer_at(f, f->now_ms + 1);
    assert_int_equal(f->effects.count, 0);
}

static void a_dropped_request_never_finishes(void **state)
{
    struct fixture *f = *state;
    connected(f);
    int64_t number = add(f, REQUEST_WAIT, 500);

    step(f, (struct request_event){ .type = REQUEST_EV_DROP, .number = (uint64_t)number });

    assert_int_equal(f->effects.count, 0);
    assert_int_equal(request_pending(f->table), 0);
    answer(f, number, true);
    assert_int_equal(f->effects.count, 0);
    step(f, (struct request_event){ .type = REQUEST_EV_DROP, .number = (uint64_t)number });
    assert_int_equal(f->effects.count, 0);
}

static void beyond_the_maximum_a_request_is_refused_and_later_taken(void **state)
{
    struct fixture *f = *state;
    int64_t number = 0;
    for (int i = 0; i < PENDING_MAX; i++)
        number = add(f, REQUEST_QUERY, NEVER);
    assert_int_equal(number, PENDING_MAX);

    assert_int_equal(add(f, REQUEST_QUERY, NEVER), -EAGAIN);
    assert_int_equal(request_pending(f->table), PENDING_MAX);

    answer(f, number, true);
    assert_int_equal(add(f, REQUEST_QUERY, NEVER), PENDING_MAX + 1);
}

static void out_of_memory_refuses_the_request_and_changes_nothing(void **state)
{
    (void)state;
    const struct request_event event = { .type = REQUEST_EV_ADD,
                                         .kind = REQUEST_QUERY,
                                         .deadline_ms = NEVER };
    size_t failures = 0;
    FAULTY_FOREACH(n)
    {
        struct request_effects effects;
        struct request_table *table = request_table_new(1);
        int64_t rc = table ? request_step(table, &event, &effects) : -ENOMEM;
        if (faulty_stop()) {
            failures++;
            assert_int_equal(rc, -ENOMEM);
            if (!table)
                continue;
            assert_int_equal(effects.count, 0);
            assert_int_equal(request_pending(table), 0);
            rc = request_step(table, &event, &effects);
        }
        assert_int_equal(rc, 1);
        request_table_free(table);
    }
    assert_true(failures >= 4);
}

/* Any order of events: each request finishes exactly once, unless dropped, and by its deadline. */
static void under_random_events_every_request_finishes_exactly_once(void **state)
{
    (void)state;
    enum { REQUESTS = 300, PENDING = 40 };
    for (uint64_t seed = 1; seed <= 50; seed++) {
        struct berth_rng rng;
        berth_rng_init(&rng, seed);
        struct request_table *table = request_table_new(PENDING);
        static int64_t deadline_ms[REQUESTS + 1];
        static int ends[REQUESTS + 1];
        memset(ends, 0, sizeof ends);
        int64_t now_ms = 0, added = 0;
        size_t open = 0;
        while (added < REQUESTS || open > 0) {
            struct request_event event = { .type = REQUEST_EV_TIMER };
            int64_t next_ms = request_next_deadline_ms(table);
            now_ms += berth_rng_between(&rng, 0, 300);
            if (next_ms != INT64_MAX && berth_rng_chance(&rng, 1, 4) && next_ms > now_ms)
                now_ms = next_ms;
            switch (berth_rng_below(&rng, 6)) {
            case 0:
            case 1:
                if (added == REQUESTS)
                    break;
                event.type = REQUEST_EV_ADD;
                event.kind = (enum request_kind)berth_rng_between(&rng, 1, 4);
                event.deadline_ms = now_ms + berth_rng_between(&rng, -10, 20000);
                break;
            case 2:
                event.type = REQUEST_EV_ANSWER;
                event.number = berth_rng_below(&rng, REQUESTS) + 1;
                event.is_last = berth_rng_chance(&rng, 1, 2);
                break;
            case 3: event.type = REQUEST_EV_CONNECTED; break;
            case 4: event.type = REQUEST_EV_DISCONNECTED; break;
            default: break;
            }
            event.now_ms = now_ms;
            struct request_effects effects;
            int64_t rc = request_step(table, &event, &effects);
            if (event.type == REQUEST_EV_ADD && rc > 0) {
                assert_int_equal(rc, ++added);
                deadline_ms[added] = event.deadline_ms;
                open++;
            } else if (event.type == REQUEST_EV_ADD) {
                assert_int_equal(rc, -EAGAIN);
            }
            for (size_t i = 0; i < effects.count; i++) {
                if (effects.items[i].type != REQUEST_DO_FINISH)
                    continue;
                assert_int_equal(++ends[effects.items[i].number], 1);
                open--;
            }
            assert_int_equal(request_pending(table), open);
            if (event.type == REQUEST_EV_TIMER)
                for (int64_t n = 1; n <= added; n++)
                    assert_true(ends[n] == 1 || deadline_ms[n] > now_ms);
        }
        request_table_free(table);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(before_a_connection_nothing_is_sent_and_then_all_in_order),
        TEST(over_a_connection_a_request_leaves_at_once),
        TEST(the_last_answer_finishes_a_request_once),
        TEST(an_unanswered_request_is_sent_again_at_doubling_intervals_up_to_the_maximum),
        TEST(a_new_connection_sends_everything_again),
        TEST(while_disconnected_nothing_is_sent),
        TEST(a_wait_is_renewed_at_its_own_pace_until_its_last_answer),
        TEST(a_submit_that_never_left_times_out_and_nothing_has_happened),
        TEST(what_has_an_effect_and_was_sent_ends_unknown_at_its_deadline),
        TEST(a_query_that_was_sent_times_out_at_its_deadline),
        TEST(a_request_whose_deadline_has_passed_is_not_sent),
        TEST(a_connection_that_comes_at_the_deadline_does_not_send),
        TEST(a_submit_is_never_repeated_after_the_window_and_then_ends_unknown),
        TEST(a_submit_is_not_sent_over_a_connection_that_comes_after_the_window),
        TEST(silence_changes_the_connection_once_in_its_time),
        TEST(after_a_change_of_connection_nothing_is_sent_before_the_new_one),
        TEST(anything_heard_breaks_the_silence),
        TEST(a_long_idle_connection_is_not_silent_when_the_first_request_comes),
        TEST(a_dropped_request_never_finishes),
        TEST(beyond_the_maximum_a_request_is_refused_and_later_taken),
        TEST(out_of_memory_refuses_the_request_and_changes_nothing),
        TEST(under_random_events_every_request_finishes_exactly_once),
    };
    return berth_test_main(tests, NULL, NULL);
}
