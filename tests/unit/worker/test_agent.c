/* SPDX-License-Identifier: MIT */
/* The agent's session: hello, welcome, lease. Joins: test_agent_join.c. */
#include "agent_fixture.h"

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
    };
    return berth_test_main(tests, NULL, NULL);
}
