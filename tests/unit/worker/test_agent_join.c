/* SPDX-License-Identifier: MIT */
/* How an agent joins again: after gaps, changes of the connection and of the broker, and when
 * nobody answers. */
#include "agent_fixture.h"

#include <string.h>

/* ---- joins ---- */

static void a_new_connection_joins_again(void **state)
{
    struct fixture *f = *state;
    given_running(f, 2);

    step_type(f, AGENT_EV_CONNECTED);

    const struct agent_effect *join = effect_get(f, AGENT_DO_JOIN);
    assert_int_equal(join->join.session, SESSION);
    assert_int_equal(join->join.epoch, EPOCH);
    assert_int_equal(join->join.join, 2);
    assert_int_equal(join->join.renewal, 1);
    assert_false(join->join.is_draining);
    assert_int_equal(join->join.count, 2);
    const struct agent_line *line = &join->join.lines[1];
    assert_int_equal(line->attempt, 2);
    assert_int_equal(line->job, 102);
    assert_int_equal(line->number, 1);
    assert_int_equal(line->state, AGENT_RUNNING);
    assert_true(slice_is(line->dispatcher, "newsletter"));
}

static void a_gap_in_the_orders_joins_again(void **state)
{
    struct fixture *f = *state;
    given_joined(f);

    f->orders++; /* one was lost */
    say_grant(f, grant_of(1));

    assert_int_equal(effect_count(f, AGENT_DO_START), 0);
    assert_int_equal(effect_get(f, AGENT_DO_JOIN)->join.join, 2);
}

static void a_copy_of_orders_is_dropped(void **state)
{
    struct fixture *f = *state;
    given_running(f, 1);

    f->orders--;
    say_grant(f, grant_of(2));

    assert_int_equal(f->effects.count, 0);
}

static void orders_lost_at_the_tail_are_seen_by_the_renewal(void **state)
{
    struct fixture *f = *state;
    given_joined(f);
    tick(f, R_MS);

    say_renewed(f, 1, 1, 0);

    assert_int_equal(effect_count(f, AGENT_DO_JOIN), 1);
    assert_int_equal(effect_count(f, AGENT_DO_LEASE), 1); /* it is an answer all the same */
}

static void reports_lost_at_the_tail_are_seen_by_the_renewal(void **state)
{
    struct fixture *f = *state;
    given_running(f, 1);
    ended(f, 1, AGENT_COMPLETED);
    tick(f, R_MS);

    say_renewed(f, 1, 1, 0);

    const struct agent_effect *join = effect_get(f, AGENT_DO_JOIN);
    assert_int_equal(join->join.lines[0].state, AGENT_ENDED);
}

static void a_report_sent_after_the_renewal_is_no_gap(void **state)
{
    struct fixture *f = *state;
    given_running(f, 1);
    tick(f, R_MS);
    ended(f, 1, AGENT_COMPLETED);

    say_renewed(f, 1, 1, 0);

    assert_int_equal(effect_count(f, AGENT_DO_JOIN), 0);
}

static void the_broker_may_ask_to_join_again(void **state)
{
    struct fixture *f = *state;
    given_joined(f);
    tick(f, R_MS);

    step(f, (struct agent_event){ .type = AGENT_EV_RENEWED,
                                  .renewed = { .session = SESSION,
                                               .epoch = EPOCH,
                                               .join = 1,
                                               .renewal = 1,
                                               .join_again = true } });

    assert_int_equal(effect_get(f, AGENT_DO_JOIN)->join.join, 2);
}

static void a_higher_epoch_starts_the_joins_anew(void **state)
{
    struct fixture *f = *state;
    given_running(f, 1);
    step_type(f, AGENT_EV_CONNECTED);
    assert_int_equal(f->join, 2);

    say_epoch(f, EPOCH + 1, LINEAGE + 9);

    const struct agent_effect *join = effect_get(f, AGENT_DO_JOIN);
    assert_int_equal(join->join.epoch, EPOCH + 1);
    assert_int_equal(join->join.join, 1);
    assert_int_equal(join->join.renewal, 2);
    const struct agent_effect *session = effect_get(f, AGENT_DO_SESSION);
    assert_int_equal(session->session.session, SESSION);
    assert_int_equal(session->session.epoch, EPOCH + 1);
    assert_int_equal(session->session.lineage, LINEAGE + 9);
}

static void a_lower_epoch_is_ignored_while_joined(void **state)
{
    struct fixture *f = *state;
    given_joined(f);

    say_epoch(f, EPOCH - 1, LINEAGE);
    assert_int_equal(f->effects.count, 0);
    say_epoch(f, EPOCH, LINEAGE);
    assert_int_equal(f->effects.count, 0);
}

static void another_lineage_of_our_epoch_ends_the_child(void **state)
{
    struct fixture *f = *state;
    given_running(f, 1);

    say_epoch(f, EPOCH, LINEAGE + 1);

    assert_int_equal(f->effects.count, 1);
    const struct agent_effect *exit = effect_get(f, AGENT_DO_EXIT);
    assert_int_equal(exit->exit.why, AGENT_EXIT_TWO_BROKERS);
    assert_non_null(strstr(exit->exit.reason, "epoch 5"));
}

static void orders_of_an_older_join_are_refused_for_ever(void **state)
{
    struct fixture *f = *state;
    given_joined(f);
    struct agent_grant grant = grant_of(1);
    struct agent_event old = orders_next(f);
    old.orders.grants = &grant;
    old.orders.grant_count = 1;

    step_type(f, AGENT_EV_CONNECTED);
    step(f, old);
    assert_int_equal(f->effects.count, 0);
    say_joined(f);
    step(f, old);

    assert_int_equal(f->effects.count, 0);
    assert_int_equal(agent_running_count(f->agent), 0);
}

static void orders_of_another_session_or_epoch_are_refused(void **state)
{
    struct fixture *f = *state;
    given_joined(f);
    struct agent_grant grant = grant_of(1);
    struct agent_event event = orders_next(f);
    event.orders.grants = &grant;
    event.orders.grant_count = 1;
    struct agent_event other[] = { event, event, event };
    other[0].orders.session++;
    other[1].orders.epoch++;
    other[2].orders.join++;

    for (size_t i = 0; i < sizeof other / sizeof other[0]; i++) {
        step(f, other[i]);
        assert_int_equal(f->effects.count, 0);
    }
    step(f, event);
    assert_int_equal(effect_count(f, AGENT_DO_START), 1);
}

static void an_unanswered_join_is_repeated_unchanged_with_back_off(void **state)
{
    struct fixture *f = *state;
    given_running(f, 1);
    step_type(f, AGENT_EV_CONNECTED);
    int64_t wait_ms_max = AGENT_JOIN_EVERY_MS_MIN;

    for (int i = 0; i < 6; i++) {
        int64_t wait_ms = agent_next_deadline_ms(f->agent) - f->now_ms;
        assert_in_range(wait_ms, wait_ms_max / 2, wait_ms_max);
        if (i == 2)
            ended_quietly(f, 1, AGENT_COMPLETED); /* the list stays what it was */
        tick(f, wait_ms);
        const struct agent_effect *join = effect_get(f, AGENT_DO_JOIN);
        assert_int_equal(join->join.join, 2);
        assert_int_equal(join->join.renewal, 1);
        assert_int_equal(join->join.count, 1);
        assert_int_equal(join->join.lines[0].state, AGENT_RUNNING);
        wait_ms_max = wait_ms_max * 2 < R_MS / 2 ? wait_ms_max * 2 : R_MS / 2;
    }
    assert_int_equal(wait_ms_max, R_MS / 2);
}

static void the_lease_of_a_repeated_join_counts_from_its_first_sending(void **state)
{
    struct fixture *f = *state;
    given_joined(f);
    f->now_ms += 500;
    step_type(f, AGENT_EV_CONNECTED);
    int64_t first_ms = f->now_ms;
    while (f->now_ms < first_ms + R_MS)
        tick(f, agent_next_deadline_ms(f->agent) - f->now_ms);

    say_joined(f);

    assert_int_equal(effect_get(f, AGENT_DO_LEASE)->lease.end_ms, first_ms + K_MS);
    assert_int_equal(effect_count(f, AGENT_DO_RENEW), 1); /* at once, for it is due */
}

static void what_ended_while_joining_is_told_when_joined(void **state)
{
    struct fixture *f = *state;
    given_running(f, 1);
    step_type(f, AGENT_EV_CONNECTED);
    ended(f, 1, AGENT_COMPLETED);
    assert_int_equal(effect_count(f, AGENT_DO_REPORTS), 0);

    say_joined(f);

    const struct agent_effect *reports = effect_get(f, AGENT_DO_REPORTS);
    assert_int_equal(reports->reports.join, 2);
    assert_int_equal(reports->reports.number, 1);
    assert_int_equal(reports->reports.count, 1);
    assert_int_equal(reports->reports.lines[0].attempt, 1);
}

static void orders_of_the_new_join_say_that_we_have_joined(void **state)
{
    struct fixture *f = *state;
    given_joined(f);
    step_type(f, AGENT_EV_CONNECTED);

    say_grant(f, grant_of(1)); /* JOINED was lost */

    assert_int_equal(effect_count(f, AGENT_DO_START), 1);
}

static void a_new_connection_repeats_the_join_at_once(void **state)
{
    struct fixture *f = *state;
    given_joined(f);
    step_type(f, AGENT_EV_CONNECTED);
    for (int i = 0; i < 5; i++)
        tick(f, agent_next_deadline_ms(f->agent) - f->now_ms);

    f->now_ms++;
    step_type(f, AGENT_EV_CONNECTED);

    assert_int_equal(effect_get(f, AGENT_DO_JOIN)->join.join, 2);
    assert_in_range(agent_next_deadline_ms(f->agent) - f->now_ms, 25, 50);
}

static void gap_after_gap_backs_off(void **state)
{
    struct fixture *f = *state;
    given_joined(f);
    int64_t begin_ms = f->now_ms;
    uint32_t joins = 0;

    while (f->now_ms < begin_ms + 1500) { /* each join is answered, and torn again */
        f->orders++;
        step(f, orders_next(f));
        joins += effect_find(f, AGENT_DO_JOIN) != NULL;
        tick(f, 5);
        joins += effect_find(f, AGENT_DO_JOIN) != NULL;
    }

    assert_in_range(joins, 4, 10);
}

/* ---- silence ---- */

static void no_answer_for_two_renewals_changes_the_connection_and_joins(void **state)
{
    struct fixture *f = *state;
    given_joined(f);
    tick(f, R_MS);
    assert_int_equal(effect_count(f, AGENT_DO_RENEW), 1);

    tick(f, R_MS);

    assert_int_equal(f->effects.count, 2);
    assert_int_equal(f->effects.items[0].type, AGENT_DO_RECONNECT);
    assert_int_equal(f->effects.items[1].type, AGENT_DO_JOIN);
}

static void orders_are_no_answer_to_renewals(void **state)
{
    struct fixture *f = *state;
    given_joined(f);
    tick(f, R_MS);
    tick(f, R_MS - 1);
    say_grant(f, grant_of(1));
    assert_int_equal(effect_count(f, AGENT_DO_JOIN), 0);

    tick(f, 1);

    assert_int_equal(effect_count(f, AGENT_DO_JOIN), 1);
}

int main(void)
{
#define AGENT_TEST(fact) cmocka_unit_test_setup_teardown(fact, agent_setup, agent_teardown)
    const struct CMUnitTest tests[] = {
        AGENT_TEST(a_new_connection_joins_again),
        AGENT_TEST(a_gap_in_the_orders_joins_again),
        AGENT_TEST(a_copy_of_orders_is_dropped),
        AGENT_TEST(orders_lost_at_the_tail_are_seen_by_the_renewal),
        AGENT_TEST(reports_lost_at_the_tail_are_seen_by_the_renewal),
        AGENT_TEST(a_report_sent_after_the_renewal_is_no_gap),
        AGENT_TEST(the_broker_may_ask_to_join_again),
        AGENT_TEST(a_higher_epoch_starts_the_joins_anew),
        AGENT_TEST(a_lower_epoch_is_ignored_while_joined),
        AGENT_TEST(another_lineage_of_our_epoch_ends_the_child),
        AGENT_TEST(orders_of_an_older_join_are_refused_for_ever),
        AGENT_TEST(orders_of_another_session_or_epoch_are_refused),
        AGENT_TEST(an_unanswered_join_is_repeated_unchanged_with_back_off),
        AGENT_TEST(the_lease_of_a_repeated_join_counts_from_its_first_sending),
        AGENT_TEST(what_ended_while_joining_is_told_when_joined),
        AGENT_TEST(orders_of_the_new_join_say_that_we_have_joined),
        AGENT_TEST(a_new_connection_repeats_the_join_at_once),
        AGENT_TEST(gap_after_gap_backs_off),
        AGENT_TEST(no_answer_for_two_renewals_changes_the_connection_and_joins),
        AGENT_TEST(orders_are_no_answer_to_renewals),
    };
    return berth_test_main(tests, NULL, NULL);
}
