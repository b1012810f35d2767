/* SPDX-License-Identifier: MIT
 *
 * Frames of the broker into events, effects into frames that a broker takes.
 */
#include "support/berthtest.h"

#include <errno.h>
#include <string.h>

#include <berth/v1/envelope.pb-c.h>

#include "base/text.h"
#include "proto/columns.h"
#include "proto/errors.h"
#include "proto/validate.h"
#include "proto/wire.h"
#include "worker/net/translate.h"

#define ID(n)   ((UINT64_C(5) << 40) | (n))
#define SESSION ID(9)

struct fixture {
    struct berth_arena arena, unpacked;
    struct berth_buf frame;
    struct heard heard;
    struct agent_opts opts;
};

static const char *const handlers[] = { "mail", "exec" };
static const char *const served[] = { "newsletter" };

static int translate_setup(void **state)
{
    static struct fixture fixture;
    fixture = (struct fixture){ .opts = { .node = { 1 },
                                          .boot = { 2 },
                                          .nonce = { 3 },
                                          .child = 4,
                                          .name = "w1",
                                          .handlers = handlers,
                                          .handler_count = 2,
                                          .dispatchers = served,
                                          .dispatcher_count = 1,
                                          .capacity = 16,
                                          .suspended_max = 4096,
                                          .cores = 2 } };
    berth_arena_init(&fixture.arena, TRANSLATE_ARENA_BYTES_MAX);
    berth_arena_init(&fixture.unpacked, BERTH_WIRE_BUDGET_MAX);
    berth_buf_init(&fixture.frame, BERTH_FRAME_BYTES_MAX);
    *state = &fixture;
    return 0;
}

static int translate_teardown(void **state)
{
    struct fixture *f = *state;
    berth_arena_fini(&f->arena);
    berth_arena_fini(&f->unpacked);
    berth_buf_fini(&f->frame);
    return 0;
}

/* ---- in ---- */

static int take(struct fixture *f, const Berth__V1__Envelope *envelope, struct berth_error *err)
{
    berth_buf_clear(&f->frame);
    assert_ok(berth_wire_pack(envelope, &f->frame));
    return translate_in(berth_buf_slice(&f->frame), &f->arena, &f->heard, err);
}

#define SAY(f, NAME, member, message_)                                                             \
    do {                                                                                           \
        Berth__V1__Envelope envelope_;                                                             \
        berth_wire_init(&envelope_, 0);                                                            \
        envelope_.message_case = BERTH__V1__ENVELOPE__MESSAGE_##NAME;                              \
        envelope_.member = (message_);                                                             \
        struct berth_error err_;                                                                   \
        if (take((f), &envelope_, &err_) < 0)                                                      \
            fail_msg("%s", err_.message);                                                          \
    } while (0)

#define PUT(message, field, value) ((message)->has_##field = 1, (message)->field = (value))

static void a_welcome_comes_in(void **state)
{
    struct fixture *f = *state;
    Berth__V1__WorkerWelcome message = BERTH__V1__WORKER_WELCOME__INIT;
    PUT(&message, session, SESSION);
    PUT(&message, epoch, 5);
    PUT(&message, lineage, 77);
    PUT(&message, lease_ms, 10000);
    PUT(&message, worker_lease_ms, 8500);
    PUT(&message, renew_ms, 2000);
    PUT(&message, child, 4);
    PUT(&message, nonce,
        berth_bytes_of((struct berth_slice){ f->opts.nonce, sizeof f->opts.nonce }));

    SAY(f, WORKER_WELCOME, worker_welcome, &message);

    const struct agent_event *event = &f->heard.event;
    assert_int_equal(f->heard.kind, HEARD_EVENT);
    assert_int_equal(event->type, AGENT_EV_WELCOME);
    assert_int_equal(event->welcome.session, SESSION);
    assert_int_equal(event->welcome.epoch, 5);
    assert_int_equal(event->welcome.lineage, 77);
    assert_int_equal(event->welcome.lease_ms, 10000);
    assert_int_equal(event->welcome.worker_lease_ms, 8500);
    assert_int_equal(event->welcome.renew_ms, 2000);
    assert_int_equal(event->welcome.child, 4);
    assert_memory_equal(event->welcome.nonce, f->opts.nonce, 16);
}

static void answers_to_joins_and_renewals_come_in(void **state)
{
    struct fixture *f = *state;
    Berth__V1__WorkerJoined joined = BERTH__V1__WORKER_JOINED__INIT;
    PUT(&joined, session, SESSION);
    PUT(&joined, epoch, 5);
    PUT(&joined, join, 3);
    PUT(&joined, renewal, 8);
    SAY(f, WORKER_JOINED, worker_joined, &joined);
    assert_int_equal(f->heard.event.type, AGENT_EV_JOINED);
    assert_int_equal(f->heard.event.joined.session, SESSION);
    assert_int_equal(f->heard.event.joined.epoch, 5);
    assert_int_equal(f->heard.event.joined.join, 3);
    assert_int_equal(f->heard.event.joined.renewal, 8);

    Berth__V1__WorkerRenewed renewed = BERTH__V1__WORKER_RENEWED__INIT;
    PUT(&renewed, session, SESSION);
    PUT(&renewed, epoch, 5);
    PUT(&renewed, join, 3);
    PUT(&renewed, renewal, 9);
    PUT(&renewed, sent, 10);
    PUT(&renewed, taken, 11);
    PUT(&renewed, join_again, 1);
    SAY(f, WORKER_RENEWED, worker_renewed, &renewed);
    assert_int_equal(f->heard.event.type, AGENT_EV_RENEWED);
    assert_int_equal(f->heard.event.renewed.renewal, 9);
    assert_int_equal(f->heard.event.renewed.sent, 10);
    assert_int_equal(f->heard.event.renewed.taken, 11);
    assert_true(f->heard.event.renewed.join_again);
}

static void the_epoch_comes_in(void **state)
{
    struct fixture *f = *state;
    Berth__V1__WorkerEpoch message = BERTH__V1__WORKER_EPOCH__INIT;
    PUT(&message, epoch, 6);
    PUT(&message, lineage, UINT64_MAX);

    SAY(f, WORKER_EPOCH, worker_epoch, &message);

    assert_int_equal(f->heard.event.type, AGENT_EV_EPOCH);
    assert_int_equal(f->heard.event.epoch.epoch, 6);
    assert_int_equal(f->heard.event.epoch.lineage, UINT64_MAX);
}

static void being_fenced_comes_in_by_session_and_by_child(void **state)
{
    struct fixture *f = *state;
    Berth__V1__WorkerFenced message = BERTH__V1__WORKER_FENCED__INIT;
    PUT(&message, session, SESSION);
    PUT(&message, reason, berth_bytes_of(berth_slice_of("too late")));
    SAY(f, WORKER_FENCED, worker_fenced, &message);
    assert_int_equal(f->heard.event.type, AGENT_EV_FENCED);
    assert_int_equal(f->heard.event.fenced.session, SESSION);
    assert_int_equal(f->heard.event.fenced.reason.bytes, 8);

    Berth__V1__WorkerFenced child = BERTH__V1__WORKER_FENCED__INIT;
    PUT(&child, nonce, berth_bytes_of((struct berth_slice){ f->opts.nonce, 16 }));
    PUT(&child, child, 4);
    SAY(f, WORKER_FENCED, worker_fenced, &child);
    assert_int_equal(f->heard.event.fenced.session, 0);
    assert_int_equal(f->heard.event.fenced.child, 4);
    assert_memory_equal(f->heard.event.fenced.nonce, f->opts.nonce, 16);
}

static void orders_come_in_column_by_column(void **state)
{
    struct fixture *f = *state;
    uint64_t attempts[] = { ID(1), ID(2) }, jobs[] = { 11, 12 }, timeouts[] = { 0, 3000 };
    uint64_t graces[] = { 5000, 6000 }, cancels[] = { ID(3) }, cancel_graces[] = { 700 };
    uint64_t acks[] = { ID(4), ID(5) };
    uint32_t handler[] = { 1, 0 }, numbers[] = { 1, 2 }, body_bytes[] = { 3, 4 },
             stale[] = { 0, 1 };
    ProtobufCBinaryData dispatchers[] = { berth_bytes_of(berth_slice_of("auth")) };
    ProtobufCBinaryData names[] = { berth_bytes_of(berth_slice_of("exec")),
                                    berth_bytes_of(berth_slice_of("mail")) };
    Berth__V1__WorkerOrders m = BERTH__V1__WORKER_ORDERS__INIT;
    PUT(&m, session, SESSION);
    PUT(&m, epoch, 5);
    PUT(&m, join, 1);
    PUT(&m, number, 2);
    m.n_grant_attempt = 2, m.grant_attempt = attempts;
    m.n_grant_job = 2, m.grant_job = jobs;
    m.n_dispatchers = 1, m.dispatchers = dispatchers; /* an empty column: 0 for both */
    m.n_handlers = 2, m.handlers = names;
    m.n_grant_handler = 2, m.grant_handler = handler;
    m.n_grant_number = 2, m.grant_number = numbers;
    m.n_grant_timeout_ms = 2, m.grant_timeout_ms = timeouts;
    m.n_grant_grace_ms = 2, m.grant_grace_ms = graces;
    m.n_grant_body_bytes = 2, m.grant_body_bytes = body_bytes;
    PUT(&m, grant_bodies, berth_bytes_of(berth_slice_of("onetwo2")));
    m.n_cancel_attempt = 1, m.cancel_attempt = cancels;
    m.n_cancel_grace_ms = 1, m.cancel_grace_ms = cancel_graces;
    m.n_grant_deadline_ms = 2, m.grant_deadline_ms = (uint64_t[]){ 0, 9000 };
    m.n_cancel_reason = 1, m.cancel_reason = (uint32_t[]){ 2 };
    m.n_cancel_is_forced = 1, m.cancel_is_forced = (uint32_t[]){ 1 };
    m.has_start_alone = 1, m.start_alone = 3;
    m.n_ack_attempt = 2, m.ack_attempt = acks;
    m.n_ack_is_stale = 2, m.ack_is_stale = stale;

    SAY(f, WORKER_ORDERS, worker_orders, &m);

    const struct agent_event *event = &f->heard.event;
    assert_int_equal(event->type, AGENT_EV_ORDERS);
    assert_int_equal(event->orders.number, 2);
    assert_int_equal(event->orders.grant_count, 2);
    const struct agent_grant *grant = &event->orders.grants[1];
    assert_int_equal(grant->attempt, ID(2));
    assert_int_equal(grant->job, 12);
    assert_int_equal(grant->number, 2);
    assert_int_equal(grant->timeout_ms, 3000);
    assert_int_equal(grant->grace_ms, 6000);
    assert_true(berth_slice_is_equal(grant->dispatcher, berth_slice_of("auth")));
    assert_true(berth_slice_is_equal(grant->handler, berth_slice_of("exec")));
    assert_true(berth_slice_is_equal(grant->body, berth_slice_of("two2")));
    assert_true(berth_slice_is_equal(event->orders.grants[0].body, berth_slice_of("one")));
    assert_int_equal(event->orders.cancel_count, 1);
    assert_int_equal(event->orders.cancels[0].attempt, ID(3));
    assert_int_equal(event->orders.cancels[0].grace_ms, 700);
    assert_int_equal(grant->deadline_ms, 9000);
    assert_int_equal(event->orders.cancels[0].reason, AGENT_CANCEL_DEADLINE);
    assert_true(event->orders.cancels[0].is_forced);
    assert_int_equal(event->orders.start_alone, 3);
    assert_int_equal(event->orders.ack_count, 2);
    assert_int_equal(event->orders.acks[1], ID(5));
    assert_false(event->orders.ack_is_stale[0]);
    assert_true(event->orders.ack_is_stale[1]);
}

static void the_end_of_a_session_is_acknowledged(void **state)
{
    struct fixture *f = *state;
    Berth__V1__WorkerGoneOk message = BERTH__V1__WORKER_GONE_OK__INIT;
    PUT(&message, session, SESSION);

    SAY(f, WORKER_GONE_OK, worker_gone_ok, &message);

    assert_int_equal(f->heard.kind, HEARD_GONE_OK);
    assert_int_equal(f->heard.session, SESSION);
}

static void a_refusal_keeps_its_sentence(void **state)
{
    struct fixture *f = *state;
    Berth__V1__Error error;
    berth_wire_error(BERTH_EPROTO, "capacity", "capacity 0: allowed is 1 to 65535", &error);

    SAY(f, ERROR, error, &error);

    assert_int_equal(f->heard.kind, HEARD_REFUSAL);
    assert_non_null(strstr(f->heard.sentence, "capacity 0"));
}

static void what_is_malformed_is_an_error_and_no_event(void **state)
{
    struct fixture *f = *state;
    struct berth_error err;
    assert_true(translate_in((struct berth_slice){ "garbage", 7 }, &f->arena, &f->heard, &err) < 0);
    assert_true(translate_in((struct berth_slice){ NULL, 0 }, &f->arena, &f->heard, &err) < 0);

    Berth__V1__WorkerEpoch message = BERTH__V1__WORKER_EPOCH__INIT; /* without its epoch */
    Berth__V1__Envelope envelope;
    berth_wire_init(&envelope, 0);
    envelope.message_case = BERTH__V1__ENVELOPE__MESSAGE_WORKER_EPOCH;
    envelope.worker_epoch = &message;
    assert_true(take(f, &envelope, &err) < 0);
    assert_non_null(strstr(err.message, "epoch"));
}

static void what_a_worker_never_receives_is_refused(void **state)
{
    struct fixture *f = *state;
    struct berth_error err;
    Berth__V1__ClientWelcome message = BERTH__V1__CLIENT_WELCOME__INIT;
    Berth__V1__Envelope envelope;
    berth_wire_init(&envelope, 1);
    envelope.message_case = BERTH__V1__ENVELOPE__MESSAGE_CLIENT_WELCOME;
    envelope.client_welcome = &message;

    assert_rc(take(f, &envelope, &err), BERTH_EPROTO);
}

/* ---- out ---- */

/* What a broker unpacks and finds valid. */
static const Berth__V1__Envelope *say(struct fixture *f, const struct agent_effect *effect)
{
    struct berth_error err;
    Berth__V1__Envelope *envelope;
    berth_buf_clear(&f->frame);
    if (translate_out(effect, &f->opts, &f->arena, &f->frame, &err) < 0)
        fail_msg("%s", err.message);
    if (berth_wire_unpack(berth_buf_slice(&f->frame), &f->unpacked, &envelope, &err) < 0 ||
        berth_validate(envelope, BERTH_SIDE_BROKER, &err, NULL) < 0)
        fail_msg("%s", err.message);
    return envelope;
}

static bool bytes_are(ProtobufCBinaryData bytes, const char *text)
{
    return berth_slice_is_equal(berth_slice_from(bytes), berth_slice_of(text));
}

static void hello_says_who_and_what_is_offered(void **state)
{
    struct fixture *f = *state;
    const struct agent_effect effect = {
        .type = AGENT_DO_HELLO, .hello = { .epoch = 5, .epoch_seen = 6, .lineage_seen = 7 }
    };

    const Berth__V1__WorkerHello *hello = say(f, &effect)->worker_hello;

    assert_non_null(hello);
    assert_int_equal(hello->epoch, 5);
    assert_int_equal(hello->epoch_seen, 6);
    assert_int_equal(hello->lineage_seen, 7);
    assert_memory_equal(hello->node.data, f->opts.node, 16);
    assert_memory_equal(hello->boot.data, f->opts.boot, 16);
    assert_memory_equal(hello->nonce.data, f->opts.nonce, 16);
    assert_int_equal(hello->child, 4);
    assert_true(bytes_are(hello->name, "w1"));
    assert_int_equal(hello->n_handlers, 2);
    assert_true(bytes_are(hello->handlers[1], "exec"));
    assert_int_equal(hello->n_served, 1);
    assert_true(bytes_are(hello->served[0], "newsletter"));
    assert_int_equal(hello->capacity, 16);
    assert_int_equal(hello->suspended_max, 4096);
    assert_int_equal(hello->cores, 2);
    assert_true(hello->software.len > 0);
    assert_false(hello->is_alone);
    f->opts.is_alone = true;
    assert_true(say(f, &effect)->worker_hello->is_alone);
    f->opts.is_alone = false;
    f->opts.can_start_alone = true;
    assert_true(say(f, &effect)->worker_hello->can_start_alone);
}

static void a_hello_that_asks_is_valid_too(void **state)
{
    const struct agent_effect effect = { .type = AGENT_DO_HELLO };
    assert_int_equal(say(*state, &effect)->worker_hello->epoch, 0);
}

static void a_join_lists_what_runs_and_what_ended(void **state)
{
    struct fixture *f = *state;
    const struct agent_line lines[] = {
        { .attempt = ID(1),
          .job = 11,
          .dispatcher = { "auth", 4 },
          .number = 1,
          .state = AGENT_RUNNING,
          .is_cancelled = true },
        { .attempt = ID(2),
          .job = 12,
          .dispatcher = { "newsletter", 10 },
          .number = 3,
          .state = AGENT_ENDED,
          .end = { .outcome = AGENT_FAILED,
                   .retry_ms = 50,
                   .run_us = 60,
                   .error_kind = { "exit", 4 },
                   .error_message = { "status 3", 8 },
                   .result = { "packed", 6 } } },
        { .attempt = ID(3),
          .job = 13,
          .dispatcher = { "auth", 4 },
          .number = 1,
          .state = AGENT_ENDED,
          .end = { .outcome = AGENT_COMPLETED, .result = { "r", 1 } } },
    };
    const struct agent_effect effect = { .type = AGENT_DO_JOIN,
                                         .join = { .session = SESSION,
                                                   .epoch = 5,
                                                   .join = 2,
                                                   .renewal = 9,
                                                   .lines = lines,
                                                   .count = 3,
                                                   .is_draining = true } };

    const Berth__V1__WorkerJoin *join = say(f, &effect)->worker_join;

    assert_int_equal(join->session, SESSION);
    assert_int_equal(join->join, 2);
    assert_int_equal(join->renewal, 9);
    assert_true(join->is_draining);
    assert_int_equal(join->n_attempt, 3);
    assert_int_equal(join->attempt[1], ID(2));
    assert_int_equal(join->job[2], 13);
    assert_int_equal(join->n_dispatchers, 2);
    assert_true(bytes_are(join->dispatchers[join->dispatcher[1]], "newsletter"));
    assert_int_equal(join->dispatcher[0], join->dispatcher[2]);
    assert_int_equal(join->number[1], 3);
    assert_int_equal(join->state[0], BERTH__V1__ATTEMPT_STATE__ATTEMPT_STATE_RUNNING);
    assert_int_equal(join->state[2], BERTH__V1__ATTEMPT_STATE__ATTEMPT_STATE_ENDED);
    assert_int_equal(join->is_cancelled[0], 1);
    assert_int_equal(join->is_cancelled[1], 0);
    const Berth__V1__Ends *ends = join->ends;
    assert_int_equal(ends->outcome[0], 0);
    assert_int_equal(ends->outcome[1], BERTH__V1__OUTCOME__OUTCOME_FAILED);
    assert_int_equal(ends->retry_ms[1], 50);
    assert_int_equal(ends->run_us[1], 60);
    assert_int_equal(ends->kind[0], 0);
    assert_true(bytes_are(ends->kinds[ends->kind[1] - 1], "exit"));
    assert_true(bytes_are(ends->messages, "status 3"));
    assert_int_equal(ends->result_bytes[1], 6);
    assert_true(bytes_are(ends->results, "packedr"));
    assert_true(bytes_are(join->name, "w1"));
    assert_int_equal(join->capacity, 16);
    assert_int_equal(join->suspended_max, 4096);
}

static void an_empty_join_is_valid(void **state)
{
    const struct agent_effect effect = {
        .type = AGENT_DO_JOIN, .join = { .session = SESSION, .epoch = 5, .join = 1, .renewal = 1 }
    };
    assert_int_equal(say(*state, &effect)->worker_join->n_attempt, 0);
}

static void a_renewal_says_how_far_the_streams_are(void **state)
{
    const struct agent_effect effect = {
        .type = AGENT_DO_RENEW,
        .renew = { .session = SESSION, .epoch = 5, .join = 2, .renewal = 7, .sent = 8, .taken = 9 }
    };

    const Berth__V1__WorkerRenew *renew = say(*state, &effect)->worker_renew;

    assert_int_equal(renew->session, SESSION);
    assert_int_equal(renew->epoch, 5);
    assert_int_equal(renew->join, 2);
    assert_int_equal(renew->renewal, 7);
    assert_int_equal(renew->sent, 8);
    assert_int_equal(renew->taken, 9);
}

static void reports_tell_ends_and_releases(void **state)
{
    const struct agent_line line = { .attempt = ID(1),
                                     .job = 11,
                                     .state = AGENT_ENDED,
                                     .end = { .outcome = AGENT_SNOOZED, .retry_ms = 60000 } };
    const uint64_t releases[] = { ID(2), ID(3) };
    const enum agent_release_reason reasons[] = { AGENT_RELEASE_DRAINING,
                                                  AGENT_RELEASE_NO_HANDLER };
    struct agent_effect effect = { .type = AGENT_DO_REPORTS,
                                   .reports = { .session = SESSION,
                                                .epoch = 5,
                                                .join = 2,
                                                .number = 4,
                                                .lines = &line,
                                                .count = 1,
                                                .release_attempts = releases,
                                                .release_reasons = reasons,
                                                .release_count = 2,
                                                .is_draining = true } };

    const Berth__V1__WorkerReports *reports = say(*state, &effect)->worker_reports;

    assert_int_equal(reports->number, 4);
    assert_true(reports->is_draining);
    assert_int_equal(reports->n_attempt, 1);
    assert_int_equal(reports->attempt[0], ID(1));
    assert_int_equal(reports->job[0], 11);
    assert_int_equal(reports->ends->outcome[0], BERTH__V1__OUTCOME__OUTCOME_SNOOZED);
    assert_int_equal(reports->ends->retry_ms[0], 60000);
    assert_int_equal(reports->n_release_attempt, 2);
    assert_int_equal(reports->release_attempt[1], ID(3));
    assert_int_equal(reports->release_reason[1], BERTH__V1__RELEASE_REASON__RELEASE_NO_HANDLER);

    effect.reports.count = effect.reports.release_count = 0; /* only: we drain */
    assert_true(say(*state, &effect)->worker_reports->is_draining);
}

static void what_attempts_show_goes_out_column_by_column(void **state)
{
    struct fixture *f = *state;
    struct berth_error err;
    Berth__V1__Envelope *envelope;
    const struct agent_effect effect = {
        .type = AGENT_DO_SHOW, .show = { .session = SESSION, .epoch = 5, .join = 2, .number = 4 }
    };
    const struct agent_show shows[] = {
        { .attempt = ID(1), .has_progress = true, .done = 3, .total = 10 },
        { .attempt = ID(2), .out_from = 70000, .out = { "ab", 2 }, .err = { "c", 1 } },
    };

    assert_ok(translate_show(&effect, shows, 2, &f->arena, &f->frame, &err));

    assert_ok(berth_wire_unpack(berth_buf_slice(&f->frame), &f->unpacked, &envelope, &err));
    assert_ok(berth_validate(envelope, BERTH_SIDE_BROKER, &err, NULL));
    const Berth__V1__WorkerReports *m = envelope->worker_reports;
    assert_int_equal(m->number, 4);
    assert_int_equal(m->n_attempt, 0);
    assert_int_equal(m->n_show_attempt, 2);
    assert_int_equal(m->show_attempt[1], ID(2));
    assert_int_equal(m->show_has_progress[0], 1);
    assert_int_equal(m->show_has_progress[1], 0);
    assert_int_equal(m->show_done[0], 3);
    assert_int_equal(m->show_total[0], 10);
    assert_int_equal(m->show_out_from[1], 70000);
    assert_int_equal(m->n_show_err_from, 0);
    assert_int_equal(m->show_out_bytes[0], 0);
    assert_int_equal(m->show_out_bytes[1], 2);
    assert_memory_equal(m->show_outs.data, "ab", 2);
    assert_memory_equal(m->show_errs.data, "c", 1);

    berth_buf_clear(&f->frame);
    assert_ok(translate_show(&effect, shows, 0, &f->arena, &f->frame, &err)); /* nothing is fine */
    assert_ok(berth_wire_unpack(berth_buf_slice(&f->frame), &f->unpacked, &envelope, &err));
    assert_ok(berth_validate(envelope, BERTH_SIDE_BROKER, &err, NULL));
}

static void the_end_of_a_session_is_valid(void **state)
{
    struct fixture *f = *state;
    struct berth_error err;
    Berth__V1__Envelope *envelope;

    assert_ok(translate_gone(SESSION, &f->opts, &f->frame));

    assert_ok(berth_wire_unpack(berth_buf_slice(&f->frame), &f->unpacked, &envelope, &err));
    assert_ok(berth_validate(envelope, BERTH_SIDE_BROKER, &err, NULL));
    assert_int_equal(envelope->worker_gone->session, SESSION);
    assert_int_equal(envelope->worker_gone->cause, BERTH__V1__GONE_CAUSE__GONE_DRAIN);
}

static void memory_that_runs_out_is_an_answer(void **state)
{
    struct fixture *f = *state;
    struct berth_error err;
    const struct agent_effect effect = { .type = AGENT_DO_HELLO };
    struct berth_arena none;
    berth_arena_init(&none, 0);

    assert_rc(translate_out(&effect, &f->opts, &none, &f->frame, &err), -ENOMEM);
}

int main(void)
{
#define TRANSLATE_TEST(fact)                                                                       \
    cmocka_unit_test_setup_teardown(fact, translate_setup, translate_teardown)
    const struct CMUnitTest tests[] = {
        TRANSLATE_TEST(a_welcome_comes_in),
        TRANSLATE_TEST(answers_to_joins_and_renewals_come_in),
        TRANSLATE_TEST(the_epoch_comes_in),
        TRANSLATE_TEST(being_fenced_comes_in_by_session_and_by_child),
        TRANSLATE_TEST(orders_come_in_column_by_column),
        TRANSLATE_TEST(the_end_of_a_session_is_acknowledged),
        TRANSLATE_TEST(a_refusal_keeps_its_sentence),
        TRANSLATE_TEST(what_is_malformed_is_an_error_and_no_event),
        TRANSLATE_TEST(what_a_worker_never_receives_is_refused),
        TRANSLATE_TEST(hello_says_who_and_what_is_offered),
        TRANSLATE_TEST(a_hello_that_asks_is_valid_too),
        TRANSLATE_TEST(a_join_lists_what_runs_and_what_ended),
        TRANSLATE_TEST(an_empty_join_is_valid),
        TRANSLATE_TEST(a_renewal_says_how_far_the_streams_are),
        TRANSLATE_TEST(reports_tell_ends_and_releases),
        TRANSLATE_TEST(what_attempts_show_goes_out_column_by_column),
        TRANSLATE_TEST(the_end_of_a_session_is_valid),
        TRANSLATE_TEST(memory_that_runs_out_is_an_answer),
    };
    return berth_test_main(tests, NULL, NULL);
}
