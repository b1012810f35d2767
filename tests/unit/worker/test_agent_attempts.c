/* SPDX-License-Identifier: MIT
 *
 * The attempts that an agent holds: grants, ends, acknowledgements; and memory that
 * runs out at each allocation in turn.
 */
#include "agent_fixture.h"
#include "support/faulty.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- grants ---- */

static void a_grant_is_started_as_it_was_given(void **state)
{
    struct fixture *f = *state;
    given_joined(f);

    say_grant(f, grant_of(1));

    assert_int_equal(f->effects.count, 1);
    const struct agent_grant *start = &effect_get(f, AGENT_DO_START)->start;
    assert_int_equal(start->attempt, 1);
    assert_int_equal(start->job, 101);
    assert_int_equal(start->number, 1);
    assert_true(slice_is(start->handler, "mail"));
    assert_true(slice_is(start->body, "body"));
    assert_int_equal(agent_running_count(f->agent), 1);
}

static void a_grant_for_an_attempt_that_is_held_is_a_copy(void **state)
{
    struct fixture *f = *state;
    given_running(f, 1);

    say_grant(f, grant_of(1));
    assert_int_equal(f->effects.count, 0);
    ended(f, 1, AGENT_COMPLETED);
    step_type(f, AGENT_EV_DRAIN);
    say_grant(f, grant_of(1));

    assert_int_equal(f->effects.count, 0);
}

static void a_grant_for_an_unknown_handler_is_released(void **state)
{
    struct fixture *f = *state;
    given_joined(f);
    struct agent_grant grant = grant_of(1);
    grant.handler = (struct berth_slice){ "mailer", 6 };

    say_grant(f, grant);

    const struct agent_effect *reports = effect_get(f, AGENT_DO_REPORTS);
    assert_int_equal(reports->reports.release_count, 1);
    assert_int_equal(reports->reports.release_attempts[0], 1);
    assert_int_equal(reports->reports.release_reasons[0], AGENT_RELEASE_NO_HANDLER);
    assert_int_equal(agent_running_count(f->agent), 0);
}

static void grants_beyond_the_capacity_are_released(void **state)
{
    struct fixture *f = *state;
    given_joined(f);
    struct agent_grant grants[6];
    for (uint64_t i = 0; i < 6; i++)
        grants[i] = grant_of(i + 1);
    struct agent_event event = orders_next(f);
    event.orders.grants = grants;
    event.orders.grant_count = 6;

    step(f, event);

    assert_int_equal(effect_count(f, AGENT_DO_START), 4);
    const struct agent_effect *reports = effect_get(f, AGENT_DO_REPORTS);
    assert_int_equal(reports->reports.release_count, 2);
    assert_int_equal(reports->reports.release_attempts[1], 6);
    assert_int_equal(reports->reports.release_reasons[1], AGENT_RELEASE_NO_MEMORY);
}

static void an_ended_attempt_holds_its_place_until_it_is_acknowledged(void **state)
{
    struct fixture *f = *state;
    given_running(f, 4);
    ended(f, 1, AGENT_COMPLETED);

    say_grant(f, grant_of(5));
    assert_int_equal(effect_count(f, AGENT_DO_START), 0);

    /* The acknowledgement and the next grant may come in one message. */
    uint64_t ack = 1;
    bool is_stale = false;
    struct agent_grant grant = grant_of(6);
    struct agent_event event = orders_next(f);
    event.orders.acks = &ack;
    event.orders.ack_is_stale = &is_stale;
    event.orders.ack_count = 1;
    event.orders.grants = &grant;
    event.orders.grant_count = 1;
    step(f, event);
    assert_int_equal(effect_count(f, AGENT_DO_START), 1);
}

static void what_could_not_be_started_is_released_and_forgotten(void **state)
{
    struct fixture *f = *state;
    given_running(f, 1);

    step(f, (struct agent_event){ .type = AGENT_EV_RELEASED,
                                  .released = { 1, AGENT_RELEASE_NO_MEMORY } });
    assert_int_equal(f->effects.count, 0);
    assert_int_equal(agent_running_count(f->agent), 0);
    tick(f, 0);

    const struct agent_effect *reports = effect_get(f, AGENT_DO_REPORTS);
    assert_int_equal(reports->reports.count, 0);
    assert_int_equal(reports->reports.release_attempts[0], 1);
    step_type(f, AGENT_EV_CONNECTED);
    assert_int_equal(effect_get(f, AGENT_DO_JOIN)->join.count, 0);
}

static void what_was_released_before_a_list_is_not_in_it(void **state)
{
    struct fixture *f = *state;
    given_running(f, 2);
    step(f, (struct agent_event){ .type = AGENT_EV_RELEASED,
                                  .released = { 1, AGENT_RELEASE_NO_MEMORY } });

    step_type(f, AGENT_EV_CONNECTED);

    /* Not to be listed is enough: it never was started. */
    const struct agent_effect *join = effect_get(f, AGENT_DO_JOIN);
    assert_int_equal(join->join.count, 1);
    assert_int_equal(join->join.lines[0].attempt, 2);
}

static void what_is_released_after_a_list_is_told_when_joined(void **state)
{
    struct fixture *f = *state;
    given_running(f, 1);
    step_type(f, AGENT_EV_CONNECTED);
    step(f, (struct agent_event){ .type = AGENT_EV_RELEASED,
                                  .released = { 1, AGENT_RELEASE_NO_MEMORY } });
    tick(f, 50);
    assert_int_equal(effect_get(f, AGENT_DO_JOIN)->join.count, 1);

    say_joined(f);

    assert_int_equal(effect_get(f, AGENT_DO_REPORTS)->reports.release_count, 1);
}

/* ---- what they show ---- */

static void news(struct fixture *f, uint64_t attempt)
{
    step(f, (struct agent_event){ .type = AGENT_EV_NEWS, .news = { attempt } });
}

static void what_attempts_show_is_told_together_and_not_too_often(void **state)
{
    struct fixture *f = *state;
    given_running(f, 3);
    news(f, 3);
    news(f, 1);
    news(f, 3);
    assert_int_equal(f->effects.count, 0);
    assert_true(agent_next_deadline_ms(f->agent) <= f->now_ms);
    tick(f, 0);

    const struct agent_effect *show = effect_get(f, AGENT_DO_SHOW);
    assert_int_equal(show->show.session, SESSION);
    assert_int_equal(show->show.epoch, EPOCH);
    assert_int_equal(show->show.join, 1);
    assert_int_equal(show->show.number, 1);
    assert_int_equal(show->show.count, 2);
    assert_int_equal(show->show.attempts[0], 3);
    assert_int_equal(show->show.attempts[1], 1);

    news(f, 2);
    assert_int_equal(agent_next_deadline_ms(f->agent), f->now_ms + AGENT_SHOW_EVERY_MS);
    tick(f, AGENT_SHOW_EVERY_MS - 1);
    assert_int_equal(effect_count(f, AGENT_DO_SHOW), 0);
    ended(f, 1, AGENT_COMPLETED); /* an end does not wait */
    assert_int_equal(effect_get(f, AGENT_DO_REPORTS)->reports.number, 2);
    tick(f, 1);
    assert_int_equal(effect_get(f, AGENT_DO_SHOW)->show.number, 3);
}

static void what_has_ended_shows_nothing(void **state)
{
    struct fixture *f = *state;
    given_running(f, 3);
    news(f, 1);
    news(f, 2);
    ended_quietly(f, 1, AGENT_COMPLETED);
    step(f, (struct agent_event){ .type = AGENT_EV_RELEASED,
                                  .released = { 2, AGENT_RELEASE_NO_MEMORY } });
    news(f, 1);
    news(f, 2);
    news(f, 99);
    tick(f, 0);
    assert_int_equal(effect_count(f, AGENT_DO_REPORTS), 1);
    assert_int_equal(effect_count(f, AGENT_DO_SHOW), 0);
}

static void after_a_join_what_was_shown_is_shown_again(void **state)
{
    struct fixture *f = *state;
    given_running(f, 3);
    news(f, 2);
    tick(f, 0);
    assert_int_equal(effect_count(f, AGENT_DO_SHOW), 1);

    step_type(f, AGENT_EV_CONNECTED);
    assert_int_equal(effect_count(f, AGENT_DO_SHOW), 0);
    tick(f, AGENT_SHOW_EVERY_MS);
    assert_int_equal(effect_count(f, AGENT_DO_SHOW), 0); /* not joined yet */
    say_joined(f);

    const struct agent_effect *show = effect_get(f, AGENT_DO_SHOW);
    assert_int_equal(show->show.join, f->join);
    assert_int_equal(show->show.count, 1);
    assert_int_equal(show->show.attempts[0], 2);
}

/* ---- ends ---- */

static void ends_are_told_together_at_the_next_deadline(void **state)
{
    struct fixture *f = *state;
    given_running(f, 3);

    ended_quietly(f, 2, AGENT_FAILED);
    ended_quietly(f, 1, AGENT_COMPLETED);
    assert_int_equal(f->effects.count, 0);
    assert_int_equal(agent_next_deadline_ms(f->agent), f->now_ms);
    tick(f, 0);

    const struct agent_effect *reports = effect_get(f, AGENT_DO_REPORTS);
    assert_int_equal(reports->reports.session, SESSION);
    assert_int_equal(reports->reports.epoch, EPOCH);
    assert_int_equal(reports->reports.join, 1);
    assert_int_equal(reports->reports.number, 1);
    assert_false(reports->reports.is_draining);
    assert_int_equal(reports->reports.count, 2);
    const struct agent_line *line = &reports->reports.lines[0];
    assert_int_equal(line->attempt, 2);
    assert_int_equal(line->job, 102);
    assert_int_equal(line->state, AGENT_ENDED);
    assert_int_equal(line->end.outcome, AGENT_FAILED);
    assert_int_equal(line->end.run_us, 7);
    assert_true(slice_is(line->end.error_kind, "handler"));
    assert_true(slice_is(line->end.error_message, "why"));
    assert_true(slice_is(line->end.result, "result"));
    assert_int_equal(reports->reports.lines[1].end.outcome, AGENT_COMPLETED);
    assert_true(agent_next_deadline_ms(f->agent) > f->now_ms);
}

static void an_end_is_reported_once_in_a_join(void **state)
{
    struct fixture *f = *state;
    given_running(f, 1);
    ended(f, 1, AGENT_COMPLETED);
    assert_int_equal(effect_count(f, AGENT_DO_REPORTS), 1);

    tick(f, 100);
    assert_int_equal(effect_count(f, AGENT_DO_REPORTS), 0);
    step_type(f, AGENT_EV_CONNECTED);
    const struct agent_effect *join = effect_get(f, AGENT_DO_JOIN);
    assert_int_equal(join->join.lines[0].state, AGENT_ENDED);
    assert_int_equal(join->join.lines[0].end.outcome, AGENT_COMPLETED);
    assert_true(slice_is(join->join.lines[0].end.result, "result"));
    say_joined(f);

    assert_int_equal(effect_count(f, AGENT_DO_REPORTS), 0); /* the list has told it */
}

static void an_end_stays_in_every_list_until_it_is_acknowledged(void **state)
{
    struct fixture *f = *state;
    given_running(f, 1);
    ended(f, 1, AGENT_COMPLETED);
    for (int i = 0; i < 3; i++) {
        step_type(f, AGENT_EV_CONNECTED);
        assert_int_equal(effect_get(f, AGENT_DO_JOIN)->join.count, 1);
        say_joined(f);
    }

    say_ack(f, 1);
    step_type(f, AGENT_EV_CONNECTED);

    assert_int_equal(effect_get(f, AGENT_DO_JOIN)->join.count, 0);
}

static void an_acknowledgement_of_what_runs_is_ignored(void **state)
{
    struct fixture *f = *state;
    given_running(f, 1);

    say_ack(f, 1);
    say_ack(f, 77);

    assert_int_equal(agent_running_count(f->agent), 1);
}

static void a_big_result(struct fixture *f, uint64_t attempt, const char *bytes, size_t count)
{
    step(f, (struct agent_event){
                .type = AGENT_EV_ENDED,
                .ended = { .attempt = attempt,
                           .end = { .outcome = AGENT_COMPLETED, .result = { bytes, count } } } });
}

static void big_results_are_spread_over_messages(void **state)
{
    struct fixture *f = *state;
    given_running(f, 4);
    size_t bytes = AGENT_MESSAGE_BYTES_MAX / 2;
    char *result = calloc(1, bytes);
    assert_non_null(result);
    for (uint64_t i = 1; i <= 4; i++)
        a_big_result(f, i, result, bytes);
    free(result);

    tick(f, 0);
    assert_int_equal(effect_count(f, AGENT_DO_REPORTS), 4);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(f->effects.items[i].reports.number, i + 1);

    /* In a list the first is told, the others run on for the broker until the stream tells them. */
    step_type(f, AGENT_EV_CONNECTED);
    const struct agent_effect *join = effect_get(f, AGENT_DO_JOIN);
    assert_int_equal(join->join.count, 4);
    assert_int_equal(join->join.lines[0].state, AGENT_ENDED);
    for (size_t i = 1; i < 4; i++) {
        assert_int_equal(join->join.lines[i].state, AGENT_RUNNING);
        assert_int_equal(join->join.lines[i].end.result.bytes, 0);
    }
    say_joined(f);
    assert_int_equal(effect_count(f, AGENT_DO_REPORTS), 3);
}

/* ---- memory ---- */

/* Everything an agent does in its life; the first step that fails, or 0. */
static int live(struct agent *agent)
{
    struct agent_effects effects;
    struct agent_grant grants[20];
    for (uint64_t i = 0; i < 20; i++)
        grants[i] = grant_of(i + 1);
    const struct agent_event events[] = {
        { .type = AGENT_EV_START },
        { .type = AGENT_EV_EPOCH, .epoch = { EPOCH, LINEAGE } },
        { .type = AGENT_EV_WELCOME,
          .welcome = { SESSION, LINEAGE, EPOCH, L_MS, K_MS, R_MS, { 3 }, 4 } },
        { .type = AGENT_EV_ORDERS,
          .orders = { .session = SESSION,
                      .epoch = EPOCH,
                      .join = 1,
                      .number = 1,
                      .grants = grants,
                      .grant_count = 20 } },
        { .type = AGENT_EV_DRAIN },
        { .type = AGENT_EV_CONNECTED },
    };
    uint64_t started[20];
    size_t count = 0;
    for (size_t i = 0; i < sizeof events / sizeof events[0]; i++) {
        int rc = agent_step(agent, &events[i], &effects);
        if (rc < 0)
            return rc;
        for (size_t k = 0; k < effects.count; k++) {
            if (effects.items[k].type == AGENT_DO_START)
                started[count++] = effects.items[k].start.attempt;
        }
    }
    for (size_t i = 0; i < count; i++) {
        struct agent_event event = { .type = AGENT_EV_ENDED,
                                     .ended = { started[i], { .outcome = AGENT_COMPLETED } } };
        int rc = agent_step(agent, &event, &effects);
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
    opts.capacity = 20;
    size_t failed = 0;

    FAULTY_FOREACH(n)
    {
        struct agent *agent = agent_new(&opts);
        int rc = agent ? live(agent) : -ENOMEM;
        bool has_failed = faulty_stop();
        agent_free(agent);
        /* An attempt for which there was no room was released: that is no failure of the step. */
        assert_true(rc == 0 || (has_failed && rc == -ENOMEM));
        failed += rc == -ENOMEM;
    }

    assert_in_range(failed, 5, 200);
}

static void a_grant_that_finds_no_memory_is_released(void **state)
{
    struct fixture *f = *state;
    given_running(f, 1);
    struct agent_grant grant = grant_of(2);
    struct agent_event event = orders_next(f);
    event.orders.grants = &grant;
    event.orders.grant_count = 1;

    faulty_fail_at(1);
    step(f, event);
    assert_true(faulty_stop());

    const struct agent_effect *reports = effect_get(f, AGENT_DO_REPORTS);
    assert_int_equal(reports->reports.release_attempts[0], 2);
    assert_int_equal(reports->reports.release_reasons[0], AGENT_RELEASE_NO_MEMORY);
    assert_int_equal(effect_count(f, AGENT_DO_START), 0);
}

int main(void)
{
#define AGENT_TEST(fact) cmocka_unit_test_setup_teardown(fact, agent_setup, agent_teardown)
    const struct CMUnitTest tests[] = {
        AGENT_TEST(a_grant_is_started_as_it_was_given),
        AGENT_TEST(a_grant_for_an_attempt_that_is_held_is_a_copy),
        AGENT_TEST(a_grant_for_an_unknown_handler_is_released),
        AGENT_TEST(grants_beyond_the_capacity_are_released),
        AGENT_TEST(an_ended_attempt_holds_its_place_until_it_is_acknowledged),
        AGENT_TEST(what_could_not_be_started_is_released_and_forgotten),
        AGENT_TEST(what_was_released_before_a_list_is_not_in_it),
        AGENT_TEST(what_is_released_after_a_list_is_told_when_joined),
        AGENT_TEST(what_attempts_show_is_told_together_and_not_too_often),
        AGENT_TEST(what_has_ended_shows_nothing),
        AGENT_TEST(after_a_join_what_was_shown_is_shown_again),
        AGENT_TEST(ends_are_told_together_at_the_next_deadline),
        AGENT_TEST(an_end_is_reported_once_in_a_join),
        AGENT_TEST(an_end_stays_in_every_list_until_it_is_acknowledged),
        AGENT_TEST(an_acknowledgement_of_what_runs_is_ignored),
        AGENT_TEST(big_results_are_spread_over_messages),
        AGENT_TEST(out_of_memory_is_an_answer_at_each_allocation),
        AGENT_TEST(a_grant_that_finds_no_memory_is_released),
    };
    return berth_test_main(tests, NULL, NULL);
}
