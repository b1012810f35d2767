/* SPDX-License-Identifier: MIT */
#include "agent_fixture.h"

#include <stdlib.h>
#include <string.h>

static const char *const handlers[] = { "mail", "exec" };

struct agent_opts agent_test_opts(void)
{
    return (struct agent_opts){
        .node = { 1 },
        .boot = { 2 },
        .nonce = { 3 },
        .child = 4,
        .name = "w1",
        .handlers = handlers,
        .handler_count = 2,
        .capacity = 4,
        .cores = 2,
        .seed = 42,
    };
}

int agent_setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    struct agent_opts opts = agent_test_opts();
    f->agent = agent_new(&opts);
    assert_non_null(f->agent);
    f->now_ms = 1000000;
    *state = f;
    return 0;
}

int agent_teardown(void **state)
{
    struct fixture *f = *state;
    agent_free(f->agent);
    free(f);
    return 0;
}

void agent_replace(struct fixture *f, const struct agent_opts *opts)
{
    agent_free(f->agent);
    f->agent = agent_new(opts);
    assert_non_null(f->agent);
}

void step(struct fixture *f, struct agent_event event)
{
    event.now_ms = f->now_ms;
    assert_int_equal(agent_step(f->agent, &event, &f->effects), 0);
    agent_check(f->agent);
    for (size_t i = 0; i < f->effects.count; i++) {
        const struct agent_effect *effect = &f->effects.items[i];
        if (effect->type == AGENT_DO_RENEW)
            f->renewal = effect->renew.renewal;
        if (effect->type != AGENT_DO_JOIN)
            continue;
        f->renewal = effect->join.renewal;
        f->epoch = effect->join.epoch;
        f->join = effect->join.join;
        f->orders = 0;
    }
}

void step_type(struct fixture *f, enum agent_event_type type)
{
    step(f, (struct agent_event){ .type = type });
}

void tick(struct fixture *f, int64_t ms)
{
    f->now_ms += ms;
    step_type(f, AGENT_EV_TIMER);
}

size_t effect_count(const struct fixture *f, enum agent_effect_type type)
{
    size_t count = 0;
    for (size_t i = 0; i < f->effects.count; i++)
        count += f->effects.items[i].type == type;
    return count;
}

const struct agent_effect *effect_find(const struct fixture *f, enum agent_effect_type type)
{
    for (size_t i = 0; i < f->effects.count; i++) {
        if (f->effects.items[i].type == type)
            return &f->effects.items[i];
    }
    return NULL;
}

const struct agent_effect *effect_get(const struct fixture *f, enum agent_effect_type type)
{
    const struct agent_effect *effect = effect_find(f, type);
    assert_non_null(effect);
    assert_int_equal(effect_count(f, type), 1);
    return effect;
}

void say_epoch(struct fixture *f, uint32_t epoch, uint64_t lineage)
{
    step(f, (struct agent_event){ .type = AGENT_EV_EPOCH, .epoch = { epoch, lineage } });
}

void say_welcome(struct fixture *f)
{
    f->join = 1;
    f->epoch = EPOCH;
    f->orders = 0;
    step(f, (struct agent_event){ .type = AGENT_EV_WELCOME,
                                  .welcome = { .session = SESSION,
                                               .lineage = LINEAGE,
                                               .epoch = EPOCH,
                                               .lease_ms = L_MS,
                                               .worker_lease_ms = K_MS,
                                               .renew_ms = R_MS,
                                               .nonce = { 3 },
                                               .child = 4 } });
}

void say_joined(struct fixture *f)
{
    step(f, (struct agent_event){ .type = AGENT_EV_JOINED,
                                  .joined = { .session = SESSION,
                                              .epoch = f->epoch,
                                              .join = f->join,
                                              .renewal = f->renewal } });
}

void say_renewed(struct fixture *f, uint64_t renewal, uint64_t sent, uint64_t taken)
{
    step(f, (struct agent_event){ .type = AGENT_EV_RENEWED,
                                  .renewed = { .session = SESSION,
                                               .epoch = f->epoch,
                                               .join = f->join,
                                               .renewal = renewal,
                                               .sent = sent,
                                               .taken = taken } });
}

void say_fenced(struct fixture *f, uint64_t session)
{
    step(f, (struct agent_event){ .type = AGENT_EV_FENCED,
                                  .fenced = { .session = session,
                                              .nonce = { 3 },
                                              .child = 4,
                                              .reason = { "newer child", 11 } } });
}

struct agent_event orders_next(struct fixture *f)
{
    return (struct agent_event){
        .type = AGENT_EV_ORDERS,
        .orders = { .session = SESSION, .epoch = f->epoch, .join = f->join, .number = ++f->orders }
    };
}

void say_grant(struct fixture *f, struct agent_grant grant)
{
    struct agent_event event = orders_next(f);
    event.orders.grants = &grant;
    event.orders.grant_count = 1;
    step(f, event);
}

void say_cancel(struct fixture *f, uint64_t attempt, int64_t grace_ms)
{
    struct agent_cancel cancel = { .attempt = attempt,
                                   .grace_ms = grace_ms,
                                   .reason = AGENT_CANCEL_JOB };
    struct agent_event event = orders_next(f);
    event.orders.cancels = &cancel;
    event.orders.cancel_count = 1;
    step(f, event);
}

void say_ack(struct fixture *f, uint64_t attempt)
{
    bool is_stale = false;
    struct agent_event event = orders_next(f);
    event.orders.acks = &attempt;
    event.orders.ack_is_stale = &is_stale;
    event.orders.ack_count = 1;
    step(f, event);
}

void say_resume(struct fixture *f, uint64_t attempt, uint32_t number)
{
    struct agent_suspension resume = { attempt, number };
    struct agent_event event = orders_next(f);
    event.orders.resumes = &resume;
    event.orders.resume_count = 1;
    step(f, event);
}

void say_submitted(struct fixture *f, uint64_t attempt, uint32_t ordinal, uint64_t first,
                   size_t count)
{
    static uint64_t ids[SUBMITTED_MAX];
    assert_in_range(count, 1, SUBMITTED_MAX);
    for (size_t i = 0; i < count; i++)
        ids[i] = first + i;
    struct agent_submitted answer = {
        .attempt = attempt, .ordinal = ordinal, .ids = ids, .count = count
    };
    struct agent_event event = orders_next(f);
    event.orders.submitted = &answer;
    event.orders.submitted_count = 1;
    step(f, event);
}

void say_child_end(struct fixture *f, uint64_t attempt, uint64_t job, enum berth_state state)
{
    struct agent_child_end end = { .attempt = attempt, .job = job, .state = state };
    if (state != BERTH_COMPLETED) {
        end.error_kind = (struct berth_slice){ "exit", 4 };
        end.error_message = (struct berth_slice){ "ended with status 3", 19 };
    }
    struct agent_event event = orders_next(f);
    event.orders.child_ends = &end;
    event.orders.child_end_count = 1;
    step(f, event);
}

void ended_quietly(struct fixture *f, uint64_t attempt, enum agent_outcome outcome)
{
    char result[] = "result", message[] = "why";
    struct agent_event event = {
        .type = AGENT_EV_ENDED,
        .ended = { .attempt = attempt,
                   .end = { .outcome = outcome, .run_us = 7, .result = { result, 6 } } }
    };
    if (outcome != AGENT_COMPLETED) {
        event.ended.end.error_kind = (struct berth_slice){ "handler", 7 };
        event.ended.end.error_message = (struct berth_slice){ message, 3 };
    }
    step(f, event);
    /* What the agent kept must be its own. */
    memset(result, 'x', sizeof result);
    memset(message, 'x', sizeof message);
}

void ended(struct fixture *f, uint64_t attempt, enum agent_outcome outcome)
{
    ended_quietly(f, attempt, outcome);
    tick(f, 0);
}

void given_joined(struct fixture *f)
{
    step_type(f, AGENT_EV_START);
    say_epoch(f, EPOCH, LINEAGE);
    say_welcome(f);
}

struct agent_grant grant_of(uint64_t attempt)
{
    return (struct agent_grant){ .attempt = attempt,
                                 .job = 100 + attempt,
                                 .dispatcher = { "newsletter", 10 },
                                 .handler = { "mail", 4 },
                                 .number = 1,
                                 .grace_ms = 5000,
                                 .body = { "body", 4 } };
}

void given_running(struct fixture *f, uint64_t count)
{
    given_joined(f);
    for (uint64_t i = 1; i <= count; i++)
        say_grant(f, grant_of(i));
}

bool slice_is(struct berth_slice slice, const char *text)
{
    return slice.bytes == strlen(text) && memcmp(slice.data, text, slice.bytes) == 0;
}

void suspend(struct fixture *f, uint64_t attempt)
{
    step(f, (struct agent_event){ .type = AGENT_EV_SUSPEND, .suspend = { attempt } });
}

void resume_me(struct fixture *f, uint64_t attempt)
{
    step(f, (struct agent_event){ .type = AGENT_EV_RESUME_ME, .resume_me = { attempt } });
}

void submit_as(struct fixture *f, uint64_t attempt, uint32_t ordinal, bool is_supervisor)
{
    char bytes[] = "submit";
    step(f, (struct agent_event){ .type = AGENT_EV_CHILDREN,
                                  .children = { .attempt = attempt,
                                                .ordinal = ordinal,
                                                .is_supervisor = is_supervisor,
                                                .submit = { bytes, 6 } } });
    memset(bytes, 'x', sizeof bytes); /* what the agent kept must be its own */
}

void submit(struct fixture *f, uint64_t attempt, uint32_t ordinal)
{
    submit_as(f, attempt, ordinal, false);
}

void given_children(struct fixture *f, size_t count)
{
    given_running(f, 1);
    submit(f, 1, 1);
    tick(f, 0);
    say_submitted(f, 1, 1, 201, count);
    assert_int_equal(effect_get(f, AGENT_DO_CHILDREN)->children.count, count);
}

void join_again(struct fixture *f)
{
    step_type(f, AGENT_EV_CONNECTED);
    (void)effect_get(f, AGENT_DO_JOIN);
}

const struct agent_line *told(struct fixture *f)
{
    const struct agent_effect *effect = effect_get(f, AGENT_DO_REPORTS);
    assert_int_equal(effect->reports.count, 1);
    return &effect->reports.lines[0];
}
