/* SPDX-License-Identifier: MIT
 *
 * The agent's session: hello, welcome, lease, joins, silence.
 */
#include "agent_fixture.h"

#include <string.h>

/* ---- hello ---- */

static void a_start_asks_for_the_epoch(void **state)
{
    struct fixture *f = *state;

    step_type(f, AGENT_EV_START);

    assert_int_equal(effect_get(f, AGENT_DO_HELLO)->hello.epoch, 0);
    assert_int_equal(agent_next_deadline_ms(f->agent), f->now_ms + AGENT_HELLO_EVERY_MS);
}

static void hello_is_repeated_each_second(void **state)
{
    struct fixture *f = *state;
    step_type(f, AGENT_EV_START);

    tick(f, AGENT_HELLO_EVERY_MS - 1);
    assert_int_equal(f->effects.count, 0);
    tick(f, 1);
    assert_int_equal(effect_get(f, AGENT_DO_HELLO)->hello.epoch, 0);
}

static void an_epoch_is_addressed_at_once_and_noted_as_seen(void **state)
{
    struct fixture *f = *state;
    step_type(f, AGENT_EV_START);

    say_epoch(f, EPOCH, LINEAGE);

    const struct agent_effect *hello = effect_get(f, AGENT_DO_HELLO);
    assert_int_equal(hello->hello.epoch, EPOCH);
    assert_int_equal(hello->hello.epoch_seen, EPOCH);
    assert_int_equal(hello->hello.lineage_seen, LINEAGE);
    const struct agent_effect *session = effect_get(f, AGENT_DO_SESSION);
    assert_int_equal(session->session.session, 0);
    assert_int_equal(session->session.epoch, EPOCH);
}

static void the_same_epoch_again_is_ignored(void **state)
{
    struct fixture *f = *state;
    step_type(f, AGENT_EV_START);
    say_epoch(f, EPOCH, LINEAGE);

    say_epoch(f, EPOCH, LINEAGE);

    assert_int_equal(f->effects.count, 0);
}

static void a_restart_of_the_broker_during_hello_is_followed(void **state)
{
    struct fixture *f = *state;
    step_type(f, AGENT_EV_START);
    say_epoch(f, EPOCH, LINEAGE);

    say_epoch(f, EPOCH + 1, LINEAGE + 1);

    assert_int_equal(effect_get(f, AGENT_DO_HELLO)->hello.epoch, EPOCH + 1);
    say_welcome(f);
    assert_int_equal(f->effects.count, 0); /* of the epoch before: refused */
}

static void a_new_connection_says_hello_without_delay(void **state)
{
    struct fixture *f = *state;
    step_type(f, AGENT_EV_START);

    f->now_ms += 10;
    step_type(f, AGENT_EV_CONNECTED);

    assert_int_equal(effect_count(f, AGENT_DO_HELLO), 1);
}

static void a_silent_broker_gets_a_fresh_connection_but_not_too_often(void **state)
{
    struct fixture *f = *state;
    step_type(f, AGENT_EV_START);
    size_t reconnects = 0;

    for (int i = 0; i < 20; i++) {
        tick(f, 500);
        reconnects += effect_count(f, AGENT_DO_RECONNECT);
    }

    assert_int_equal(reconnects, 2); /* after 5 and 10 s */
}

static void an_epoch_below_the_highest_seen_is_refused(void **state)
{
    struct fixture *f = *state;
    struct agent_opts opts = agent_test_opts();
    opts.epoch_seen = EPOCH + 1;
    opts.lineage_seen = LINEAGE;
    agent_replace(f, &opts);
    step_type(f, AGENT_EV_START);

    say_epoch(f, EPOCH, LINEAGE);

    assert_int_equal(f->effects.count, 0);
    say_epoch(f, EPOCH + 1, LINEAGE);
    assert_int_equal(effect_get(f, AGENT_DO_HELLO)->hello.epoch, EPOCH + 1);
}

static void the_seen_epoch_with_another_lineage_is_two_brokers(void **state)
{
    struct fixture *f = *state;
    struct agent_opts opts = agent_test_opts();
    opts.epoch_seen = EPOCH;
    opts.lineage_seen = LINEAGE;
    agent_replace(f, &opts);
    step_type(f, AGENT_EV_START);

    say_epoch(f, EPOCH, LINEAGE + 1);

    assert_int_equal(effect_get(f, AGENT_DO_EXIT)->exit.why, AGENT_EXIT_TWO_BROKERS);
}

/* ---- welcome ---- */

static void a_welcome_joins_and_counts_the_lease_from_the_hello(void **state)
{
    struct fixture *f = *state;
    step_type(f, AGENT_EV_START);
    say_epoch(f, EPOCH, LINEAGE);
    int64_t hello_ms = f->now_ms;
    tick(f, AGENT_HELLO_EVERY_MS); /* repeated: which one is answered is not known */

    f->now_ms += 300;
    say_welcome(f);

    const struct agent_effect *session = effect_get(f, AGENT_DO_SESSION);
    assert_int_equal(session->session.session, SESSION);
    assert_int_equal(session->session.epoch, EPOCH);
    assert_int_equal(session->session.lineage, LINEAGE);
    assert_int_equal(session->session.worker_lease_ms, K_MS);
    assert_int_equal(effect_get(f, AGENT_DO_LEASE)->lease.end_ms, hello_ms + K_MS);
    assert_int_equal(agent_lease_end_ms(f->agent), hello_ms + K_MS);
    assert_int_equal(agent_next_deadline_ms(f->agent), hello_ms + R_MS);
}

static void a_welcome_for_another_child_is_ignored(void **state)
{
    struct fixture *f = *state;
    step_type(f, AGENT_EV_START);
    say_epoch(f, EPOCH, LINEAGE);
    struct agent_event event = { .type = AGENT_EV_WELCOME,
                                 .welcome = { .session = SESSION,
                                              .lineage = LINEAGE,
                                              .epoch = EPOCH,
                                              .lease_ms = L_MS,
                                              .worker_lease_ms = K_MS,
                                              .renew_ms = R_MS,
                                              .nonce = { 3 },
                                              .child = 5 } };
    step(f, event);
    event.welcome.child = 4;
    event.welcome.nonce[15] = 1;
    step(f, event);

    assert_int_equal(f->effects.count, 0);
    assert_int_equal(agent_lease_end_ms(f->agent), 0);
}

static void a_welcome_whose_lease_cannot_be_kept_is_ignored(void **state)
{
    struct fixture *f = *state;
    step_type(f, AGENT_EV_START);
    say_epoch(f, EPOCH, LINEAGE);
    struct agent_event good = { .type = AGENT_EV_WELCOME,
                                .welcome = { .session = SESSION,
                                             .lineage = LINEAGE,
                                             .epoch = EPOCH,
                                             .lease_ms = L_MS,
                                             .worker_lease_ms = K_MS,
                                             .renew_ms = R_MS,
                                             .nonce = { 3 },
                                             .child = 4 } };
    struct agent_event bad[] = { good, good, good, good };
    bad[0].welcome.renew_ms = 0;
    bad[1].welcome.worker_lease_ms = L_MS;
    bad[2].welcome.worker_lease_ms = R_MS;
    bad[3].welcome.session = 0;

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        step(f, bad[i]);
        assert_int_equal(f->effects.count, 0);
    }
    step(f, good);
    assert_int_equal(effect_count(f, AGENT_DO_LEASE), 1);
}

static void a_welcome_before_an_epoch_was_addressed_is_ignored(void **state)
{
    struct fixture *f = *state;
    step_type(f, AGENT_EV_START);

    say_welcome(f);

    assert_int_equal(f->effects.count, 0);
}

static void a_second_welcome_changes_nothing(void **state)
{
    struct fixture *f = *state;
    given_running(f, 1);

    say_welcome(f);

    assert_int_equal(f->effects.count, 0);
    assert_int_equal(agent_running_count(f->agent), 1);
}

static void a_welcome_that_comes_after_its_lease_ends_the_child(void **state)
{
    struct fixture *f = *state;
    step_type(f, AGENT_EV_START);
    say_epoch(f, EPOCH, LINEAGE);

    f->now_ms += K_MS;
    say_welcome(f);

    assert_int_equal(effect_get(f, AGENT_DO_EXIT)->exit.why, AGENT_EXIT_LEASE_OVER);
}

/* ---- lease ---- */

static void renewals_go_out_every_r_and_count_from_their_sending(void **state)
{
    struct fixture *f = *state;
    given_joined(f);
    int64_t joined_ms = f->now_ms;

    tick(f, R_MS - 1);
    assert_int_equal(f->effects.count, 0);
    tick(f, 1);
    const struct agent_effect *renew = effect_get(f, AGENT_DO_RENEW);
    assert_int_equal(renew->renew.session, SESSION);
    assert_int_equal(renew->renew.epoch, EPOCH);
    assert_int_equal(renew->renew.join, 1);
    assert_int_equal(renew->renew.renewal, 1);
    f->now_ms += 900; /* the answer waits in a queue */
    say_renewed(f, 1, 0, 0);

    assert_int_equal(effect_get(f, AGENT_DO_LEASE)->lease.end_ms, joined_ms + R_MS + K_MS);
    assert_int_equal(agent_next_deadline_ms(f->agent), joined_ms + 2 * R_MS);
}

static void an_old_answer_never_moves_the_lease_back(void **state)
{
    struct fixture *f = *state;
    given_joined(f);
    tick(f, R_MS);
    tick(f, R_MS - 1);
    say_renewed(f, 1, 0, 0);
    tick(f, 1);
    say_renewed(f, 2, 0, 0);
    int64_t end_ms = agent_lease_end_ms(f->agent);

    say_renewed(f, 1, 0, 0);

    assert_int_equal(effect_count(f, AGENT_DO_LEASE), 0);
    assert_int_equal(agent_lease_end_ms(f->agent), end_ms);
}

static void an_answer_to_a_renewal_that_was_never_sent_counts_for_nothing(void **state)
{
    struct fixture *f = *state;
    given_joined(f);
    int64_t end_ms = agent_lease_end_ms(f->agent);

    say_renewed(f, 1, 0, 0);
    say_renewed(f, 64, 0, 0);
    say_renewed(f, UINT64_MAX, 0, 0);

    assert_int_equal(agent_lease_end_ms(f->agent), end_ms);
}

static void the_end_of_the_lease_is_the_end(void **state)
{
    struct fixture *f = *state;
    given_running(f, 1);
    int64_t end_ms = agent_lease_end_ms(f->agent);

    f->now_ms = end_ms;
    say_renewed(f, 0, 0, 0); /* even if an answer is what comes */

    assert_int_equal(f->effects.count, 1);
    assert_int_equal(effect_get(f, AGENT_DO_EXIT)->exit.why, AGENT_EXIT_LEASE_OVER);
    assert_int_equal(agent_next_deadline_ms(f->agent), INT64_MAX);
    tick(f, 100000);
    assert_int_equal(f->effects.count, 0);
}

static void a_silent_broker_costs_the_lease_and_not_more(void **state)
{
    struct fixture *f = *state;
    given_joined(f);
    int64_t end_ms = agent_lease_end_ms(f->agent);
    int rounds = 0;

    while (!effect_find(f, AGENT_DO_EXIT)) {
        int64_t due_ms = agent_next_deadline_ms(f->agent);
        assert_true(due_ms <= end_ms);
        assert_true(++rounds < 200);
        tick(f, due_ms > f->now_ms ? due_ms - f->now_ms : 0);
    }

    assert_int_equal(f->now_ms, end_ms);
}

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
        AGENT_TEST(a_start_asks_for_the_epoch),
        AGENT_TEST(hello_is_repeated_each_second),
        AGENT_TEST(an_epoch_is_addressed_at_once_and_noted_as_seen),
        AGENT_TEST(the_same_epoch_again_is_ignored),
        AGENT_TEST(a_restart_of_the_broker_during_hello_is_followed),
        AGENT_TEST(a_new_connection_says_hello_without_delay),
        AGENT_TEST(a_silent_broker_gets_a_fresh_connection_but_not_too_often),
        AGENT_TEST(an_epoch_below_the_highest_seen_is_refused),
        AGENT_TEST(the_seen_epoch_with_another_lineage_is_two_brokers),
        AGENT_TEST(a_welcome_joins_and_counts_the_lease_from_the_hello),
        AGENT_TEST(a_welcome_for_another_child_is_ignored),
        AGENT_TEST(a_welcome_whose_lease_cannot_be_kept_is_ignored),
        AGENT_TEST(a_welcome_before_an_epoch_was_addressed_is_ignored),
        AGENT_TEST(a_second_welcome_changes_nothing),
        AGENT_TEST(a_welcome_that_comes_after_its_lease_ends_the_child),
        AGENT_TEST(renewals_go_out_every_r_and_count_from_their_sending),
        AGENT_TEST(an_old_answer_never_moves_the_lease_back),
        AGENT_TEST(an_answer_to_a_renewal_that_was_never_sent_counts_for_nothing),
        AGENT_TEST(the_end_of_the_lease_is_the_end),
        AGENT_TEST(a_silent_broker_costs_the_lease_and_not_more),
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
