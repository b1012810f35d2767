/* SPDX-License-Identifier: MIT */
/* Attempts with children: what is asked for, asked anew after a join, and what children's ends do
 * to their parent. When it is over: test_agent_over.c. */
#include "agent_fixture.h"

#include <errno.h>
#include <string.h>

#include "support/faulty.h"

/* ---- submits ---- */

static void a_submit_is_told_and_its_answer_passed_on(void **state)
{
    struct fixture *f = *state;
    given_running(f, 1);

    submit_as(f, 1, 7, true);
    tick(f, 0);

    const struct agent_effect *effect = effect_get(f, AGENT_DO_REPORTS);
    assert_int_equal(effect->reports.submit_count, 1);
    const struct agent_submit *told_submit = &effect->reports.submits[0];
    assert_int_equal(told_submit->attempt, 1);
    assert_int_equal(told_submit->job, 101);
    assert_int_equal(told_submit->ordinal, 7);
    assert_true(told_submit->is_supervisor);
    assert_true(slice_is(told_submit->submit, "submit"));
    say_submitted(f, 1, 7, 201, 2);
    const struct agent_effect *answer = effect_get(f, AGENT_DO_CHILDREN);
    assert_int_equal(answer->children.ordinal, 7);
    assert_int_equal(answer->children.ids[1], 202);
    say_submitted(f, 1, 7, 201, 2); /* a copy */
    assert_int_equal(effect_count(f, AGENT_DO_CHILDREN), 0);
}

static void a_submit_is_sent_again_in_each_join_until_it_is_answered(void **state)
{
    struct fixture *f = *state;
    given_running(f, 1);
    submit(f, 1, 1);
    tick(f, 0);

    for (int i = 0; i < 2; i++) {
        join_again(f);
        say_joined(f);
        const struct agent_effect *effect = effect_get(f, AGENT_DO_REPORTS);
        assert_int_equal(effect->reports.submit_count, 1);
        assert_true(slice_is(effect->reports.submits[0].submit, "submit"));
    }
    say_submitted(f, 1, 1, 201, 1);
    join_again(f);
    say_joined(f);

    const struct agent_effect *effect = effect_get(f, AGENT_DO_REPORTS);
    assert_int_equal(effect->reports.submit_count, 0);
    assert_int_equal(effect->reports.ask_count, 1);
}

static void a_refusal_is_passed_on_and_leaves_nothing(void **state)
{
    struct fixture *f = *state;
    given_running(f, 1);
    submit(f, 1, 1);
    tick(f, 0);

    struct agent_submitted answer = {
        .attempt = 1, .ordinal = 1, .code = -EDEADLK, .message = { "a cycle", 7 }
    };
    struct agent_event event = orders_next(f);
    event.orders.submitted = &answer;
    event.orders.submitted_count = 1;
    step(f, event);

    assert_int_equal(effect_get(f, AGENT_DO_CHILDREN)->children.code, -EDEADLK);
    ended(f, 1, AGENT_COMPLETED);
    assert_int_equal(told(f)->end.outcome, AGENT_COMPLETED);
}

/* It cannot be told any more; and an earlier question may have made children that have died. */
static void a_refusal_that_finds_its_handler_over_fails_it(void **state)
{
    struct fixture *f = *state;
    given_running(f, 1);
    submit(f, 1, 1);
    tick(f, 0);
    ended(f, 1, AGENT_COMPLETED);

    struct agent_submitted answer = {
        .attempt = 1, .ordinal = 1, .code = -EDEADLK, .message = { "a cycle", 7 }
    };
    struct agent_event event = orders_next(f);
    event.orders.submitted = &answer;
    event.orders.submitted_count = 1;
    step(f, event);

    assert_null(effect_find(f, AGENT_DO_CHILDREN));
    assert_int_equal(told(f)->end.outcome, AGENT_FAILED);
    assert_true(
        slice_is(told(f)->end.error_message, "its submit of children was refused: a cycle"));
}

static void submits_beyond_what_a_message_holds_go_into_the_next(void **state)
{
    static char bytes[AGENT_SUBMIT_BYTES_MAX - 10];
    struct fixture *f = *state;
    given_running(f, 2);
    for (uint64_t i = 1; i <= 2; i++)
        step(f,
             (struct agent_event){
                 .type = AGENT_EV_CHILDREN,
                 .children = { .attempt = i, .ordinal = 1, .submit = { bytes, sizeof bytes } } });

    tick(f, 0);

    assert_int_equal(effect_count(f, AGENT_DO_REPORTS), 2);
    for (size_t i = 0; i < f->effects.count; i++)
        if (f->effects.items[i].type == AGENT_DO_REPORTS)
            assert_int_equal(f->effects.items[i].reports.submit_count, 1);
}

/* ---- children's ends ---- */

static void the_end_of_a_child_is_passed_on_once(void **state)
{
    struct fixture *f = *state;
    given_children(f, 2);

    say_child_end(f, 1, 202, BERTH_COMPLETED);

    const struct agent_effect *effect = effect_get(f, AGENT_DO_CHILD_ENDED);
    assert_int_equal(effect->child_ended.job, 202);
    assert_int_equal(effect->child_ended.state, BERTH_COMPLETED);
    say_child_end(f, 1, 202, BERTH_COMPLETED);
    assert_int_equal(effect_count(f, AGENT_DO_CHILD_ENDED), 0);
    say_child_end(f, 1, 999, BERTH_COMPLETED);
    say_child_end(f, 9, 201, BERTH_COMPLETED);
    assert_int_equal(effect_count(f, AGENT_DO_CHILD_ENDED), 0);
}

static void after_a_join_those_that_live_are_asked_for(void **state)
{
    struct fixture *f = *state;
    given_children(f, 3);
    say_child_end(f, 1, 202, BERTH_COMPLETED);

    join_again(f);
    say_joined(f);

    const struct agent_effect *effect = effect_get(f, AGENT_DO_REPORTS);
    assert_int_equal(effect->reports.ask_count, 2);
    assert_int_equal(effect->reports.asks[0].attempt, 1);
    assert_int_equal(effect->reports.asks[0].job, 201);
    assert_int_equal(effect->reports.asks[1].job, 203);
}

static void those_that_an_earlier_attempt_may_have_made_are_asked_for_at_once(void **state)
{
    struct fixture *f = *state;
    struct agent_grant grant = grant_of(1);
    given_joined(f);
    grant.number = 2;
    say_grant(f, grant);
    submit(f, 1, 1);
    tick(f, 0);

    say_submitted(f, 1, 1, 201, 2);

    const struct agent_effect *effect = effect_get(f, AGENT_DO_REPORTS);
    assert_int_equal(effect->reports.ask_count, 2);
    assert_int_equal(effect->reports.asks[1].job, 202);
}

static void those_of_a_submit_that_was_repeated_are_asked_for_at_once(void **state)
{
    struct fixture *f = *state;
    given_running(f, 1);
    submit(f, 1, 1);
    tick(f, 0);
    join_again(f);
    say_joined(f);

    say_submitted(f, 1, 1, 201, 1);

    assert_int_equal(effect_get(f, AGENT_DO_REPORTS)->reports.ask_count, 1);
}

static void a_dead_child_ends_the_body_and_the_siblings_and_fails_the_attempt(void **state)
{
    struct fixture *f = *state;
    given_children(f, 2);

    say_child_end(f, 1, 201, BERTH_DEAD);
    assert_int_equal(effect_get(f, AGENT_DO_CHILD_ENDED)->child_ended.state, BERTH_DEAD);
    assert_int_equal(effect_get(f, AGENT_DO_CANCEL)->cancel.reason, AGENT_CANCEL_CHILD);
    assert_int_equal(effect_get(f, AGENT_DO_CANCEL)->cancel.grace_ms, 5000);
    const struct agent_effect *effect = effect_get(f, AGENT_DO_REPORTS);
    assert_int_equal(effect->reports.end_children_count, 1);
    assert_int_equal(effect->reports.end_children[0], 1);
    ended(f, 1, AGENT_CANCELLED);
    assert_int_equal(effect_get(f, AGENT_DO_REPORTS)->reports.count, 0); /* 202 has not ended */
    say_child_end(f, 1, 202, BERTH_CANCELLED);

    const struct agent_line *line = told(f);
    assert_int_equal(line->end.outcome, AGENT_FAILED);
    assert_true(slice_is(line->end.error_kind, "handler"));
    assert_true(slice_is(line->end.error_message, "child 201 is dead: ended with status 3"));
}

static void a_handler_whose_child_is_dead_may_say_its_own_verdict(void **state)
{
    static const enum agent_outcome verdicts[] = { AGENT_FAILED_FOREVER, AGENT_SNOOZED };
    for (size_t i = 0; i < 2; i++) {
        struct fixture *f = *state;
        struct agent_opts opts = agent_test_opts();
        agent_replace(f, &opts);
        given_children(f, 1);
        say_child_end(f, 1, 201, BERTH_DEAD);

        ended(f, 1, verdicts[i]);

        assert_int_equal(told(f)->end.outcome, verdicts[i]);
        assert_true(slice_is(told(f)->end.error_message, "why"));
    }
}

static void the_child_of_a_supervisor_dies_alone(void **state)
{
    struct fixture *f = *state;
    given_running(f, 1);
    submit_as(f, 1, 1, true);
    tick(f, 0);
    say_submitted(f, 1, 1, 201, 2);

    say_child_end(f, 1, 201, BERTH_DEAD);
    assert_int_equal(effect_count(f, AGENT_DO_CANCEL), 0);
    assert_int_equal(effect_count(f, AGENT_DO_REPORTS), 0);
    ended(f, 1, AGENT_COMPLETED);
    say_child_end(f, 1, 202, BERTH_DEAD);

    assert_int_equal(told(f)->end.outcome, AGENT_COMPLETED);
}

static void a_cancelled_child_fails_nobody(void **state)
{
    struct fixture *f = *state;
    given_children(f, 1);

    say_child_end(f, 1, 201, BERTH_CANCELLED);
    assert_int_equal(effect_count(f, AGENT_DO_CANCEL), 0);
    ended(f, 1, AGENT_COMPLETED);

    assert_int_equal(told(f)->end.outcome, AGENT_COMPLETED);
}

static void a_long_error_of_a_child_is_cut_between_characters(void **state)
{
    struct fixture *f = *state;
    char text[3000];
    for (size_t i = 0; i + 3 <= sizeof text; i += 3)
        memcpy(text + i, "\xe2\x82\xac", 3);
    given_children(f, 1);
    struct agent_child_end end = {
        .attempt = 1, .job = 201, .state = BERTH_DEAD, .error_message = { text, sizeof text }
    };
    struct agent_event event = orders_next(f);
    event.orders.child_ends = &end;
    event.orders.child_end_count = 1;

    step(f, event);
    ended(f, 1, AGENT_CANCELLED);

    struct berth_slice message = told(f)->end.error_message;
    assert_in_range(message.bytes, 1000, 1023);
    assert_memory_equal((const char *)message.data + message.bytes - 3, "\xe2\x82\xac", 3);
}

/* ---- memory ---- */

static int step_raw(struct agent *agent, const struct agent_event *event)
{
    struct agent_effects effects;
    return agent_step(agent, event, &effects);
}

static int live(struct agent *agent)
{
    const struct agent_grant grant = grant_of(1);
    const uint64_t ids[] = { 201, 202 };
    const struct agent_submitted answer = { .attempt = 1, .ordinal = 1, .ids = ids, .count = 2 };
    const struct agent_child_end dead = { .attempt = 1, .job = 201, .state = BERTH_DEAD };
    const struct agent_child_end done = { .attempt = 1, .job = 202, .state = BERTH_CANCELLED };
#define ORDERS(number_) .session = SESSION, .epoch = EPOCH, .join = 1, .number = (number_)
    const struct agent_event events[] = {
        { .type = AGENT_EV_START },
        { .type = AGENT_EV_EPOCH, .epoch = { EPOCH, LINEAGE } },
        { .type = AGENT_EV_WELCOME,
          .welcome = { .session = SESSION,
                       .lineage = LINEAGE,
                       .epoch = EPOCH,
                       .lease_ms = L_MS,
                       .worker_lease_ms = K_MS,
                       .renew_ms = R_MS,
                       .nonce = { 3 },
                       .child = 4 } },
        { .type = AGENT_EV_ORDERS, .orders = { ORDERS(1), .grants = &grant, .grant_count = 1 } },
        { .type = AGENT_EV_CHILDREN,
          .children = { .attempt = 1, .ordinal = 1, .submit = { "submit", 6 } } },
        { .type = AGENT_EV_TIMER },
        { .type = AGENT_EV_ORDERS,
          .orders = { ORDERS(2), .submitted = &answer, .submitted_count = 1 } },
        { .type = AGENT_EV_ENDED, .ended = { 1, { .outcome = AGENT_COMPLETED } } },
        { .type = AGENT_EV_ORDERS,
          .orders = { ORDERS(3), .child_ends = &dead, .child_end_count = 1 } },
        { .type = AGENT_EV_ORDERS,
          .orders = { ORDERS(4), .child_ends = &done, .child_end_count = 1 } },
    };
#undef ORDERS
    for (size_t i = 0; i < sizeof events / sizeof events[0]; i++) {
        int rc = step_raw(agent, &events[i]);
        /* Without memory the grant is handed back, and there is no attempt to go on with. */
        if (rc == 0 && i == 3 && agent_running_count(agent) == 0)
            return -ENOMEM;
        if (rc < 0)
            return rc;
    }
    agent_check(agent);
    return 0;
}

static void out_of_memory_is_an_answer_at_each_allocation(void **state)
{
    (void)state;
    struct agent_opts opts = agent_test_opts();
    size_t failed = 0;
    FAULTY_FOREACH(n)
    {
        struct agent *agent = agent_new(&opts);
        int rc = agent ? live(agent) : -ENOMEM;
        bool has_failed = faulty_stop();
        agent_free(agent);
        assert_int_equal(rc, has_failed ? -ENOMEM : 0);
        failed += rc == -ENOMEM;
    }
    assert_in_range(failed, 10, 200);
}

/* All in one step would need memory without bound. */
static void very_many_children_are_asked_for_in_several_steps(void **state)
{
    enum { SUBMITS = 8, CHILDREN = SUBMITS * SUBMITTED_MAX };
    struct fixture *f = *state;
    given_running(f, 1);
    for (uint32_t ordinal = 1; ordinal < CHILDREN; ordinal += SUBMITTED_MAX) {
        submit(f, 1, ordinal);
        tick(f, 0);
        say_submitted(f, 1, ordinal, 200 + ordinal, SUBMITTED_MAX);
    }
    join_again(f);

    say_joined(f);
    size_t messages = effect_count(f, AGENT_DO_REPORTS);
    assert_int_equal(messages, AGENT_TELLS_MAX);
    while (agent_next_deadline_ms(f->agent) <= f->now_ms) {
        tick(f, 0);
        assert_in_range(effect_count(f, AGENT_DO_REPORTS), 1, AGENT_TELLS_MAX);
        messages += effect_count(f, AGENT_DO_REPORTS);
    }

    assert_int_equal(messages, (CHILDREN + AGENT_ASKS_MAX - 1) / AGENT_ASKS_MAX);
}

int main(void)
{
#define AGENT_TEST(fact) cmocka_unit_test_setup_teardown(fact, agent_setup, agent_teardown)
    const struct CMUnitTest tests[] = {
        AGENT_TEST(a_submit_is_told_and_its_answer_passed_on),
        AGENT_TEST(a_submit_is_sent_again_in_each_join_until_it_is_answered),
        AGENT_TEST(a_refusal_is_passed_on_and_leaves_nothing),
        AGENT_TEST(a_refusal_that_finds_its_handler_over_fails_it),
        AGENT_TEST(submits_beyond_what_a_message_holds_go_into_the_next),
        AGENT_TEST(the_end_of_a_child_is_passed_on_once),
        AGENT_TEST(after_a_join_those_that_live_are_asked_for),
        AGENT_TEST(very_many_children_are_asked_for_in_several_steps),
        AGENT_TEST(those_that_an_earlier_attempt_may_have_made_are_asked_for_at_once),
        AGENT_TEST(those_of_a_submit_that_was_repeated_are_asked_for_at_once),
        AGENT_TEST(a_dead_child_ends_the_body_and_the_siblings_and_fails_the_attempt),
        AGENT_TEST(a_handler_whose_child_is_dead_may_say_its_own_verdict),
        AGENT_TEST(the_child_of_a_supervisor_dies_alone),
        AGENT_TEST(a_cancelled_child_fails_nobody),
        AGENT_TEST(a_long_error_of_a_child_is_cut_between_characters),
        cmocka_unit_test(out_of_memory_is_an_answer_at_each_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
