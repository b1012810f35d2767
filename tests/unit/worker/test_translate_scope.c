/* SPDX-License-Identifier: MIT
 *
 * Suspended attempts and children: orders into events, reports into frames that a broker takes.
 */
#include "support/berthtest.h"

#include <errno.h>
#include <string.h>

#include <berth/v1/envelope.pb-c.h>

#include "base/text.h"
#include "client/children.h"
#include "proto/columns.h"
#include "proto/validate.h"
#include "proto/wire.h"
#include "worker/net/translate.h"

#define ID(n)   ((UINT64_C(5) << 40) | (n))
#define SESSION ID(9)

struct fixture {
    struct berth_arena arena, unpacked;
    struct berth_buf frame;
    struct heard heard;
};

static int setup(void **state)
{
    static struct fixture fixture;
    fixture = (struct fixture){ 0 };
    berth_arena_init(&fixture.arena, TRANSLATE_ARENA_BYTES_MAX);
    berth_arena_init(&fixture.unpacked, BERTH_WIRE_BUDGET_MAX);
    berth_buf_init(&fixture.frame, BERTH_FRAME_BYTES_MAX);
    *state = &fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    berth_arena_fini(&f->arena);
    berth_arena_fini(&f->unpacked);
    berth_buf_fini(&f->frame);
    return 0;
}

static void take(struct fixture *f, const Berth__V1__Envelope *envelope)
{
    struct berth_error err;
    berth_buf_clear(&f->frame);
    assert_ok(berth_wire_pack(envelope, &f->frame));
    if (translate_in(berth_buf_slice(&f->frame), &f->arena, &f->heard, &err) < 0)
        fail_msg("%s", err.message);
}

static void orders(struct fixture *f, Berth__V1__WorkerOrders *message)
{
    Berth__V1__Envelope envelope;
    message->has_session = message->has_epoch = message->has_join = message->has_number = 1;
    message->session = SESSION;
    message->epoch = 5;
    message->join = 1;
    message->number = 1;
    berth_wire_init(&envelope, 0);
    envelope.message_case = BERTH__V1__ENVELOPE__MESSAGE_WORKER_ORDERS;
    envelope.worker_orders = message;
    take(f, &envelope);
}

static void resumes_come_in(void **state)
{
    struct fixture *f = *state;
    uint64_t attempts[] = { ID(1), ID(2) };
    uint32_t numbers[] = { 3, 4 };
    Berth__V1__WorkerOrders message = BERTH__V1__WORKER_ORDERS__INIT;
    message.n_resume_attempt = message.n_resume_number = 2;
    message.resume_attempt = attempts;
    message.resume_number = numbers;

    orders(f, &message);

    const struct agent_event *event = &f->heard.event;
    assert_int_equal(event->orders.resume_count, 2);
    assert_int_equal(event->orders.resumes[1].attempt, ID(2));
    assert_int_equal(event->orders.resumes[1].number, 4);
}

static void answers_to_submits_come_in_as_ids_or_as_a_refusal(void **state)
{
    struct fixture *f = *state;
    uint64_t ids[] = { 201, 202 }, none[] = { 0 };
    uint32_t first[] = { 0 }, codes[] = { BERTH__V1__ERROR_CODE__ERROR_DEADLOCK };
    ProtobufCBinaryData empty = { 0 }, text = berth_bytes_of(berth_slice_of("a cycle"));
    Berth__V1__Submitted taken = BERTH__V1__SUBMITTED__INIT, refused = BERTH__V1__SUBMITTED__INIT;
    taken.n_id = 2;
    taken.id = ids;
    refused.n_id = refused.n_refused = refused.n_refused_code = 1;
    refused.n_refused_field = refused.n_refused_message = 1;
    refused.id = none;
    refused.refused = first;
    refused.refused_code = codes;
    refused.refused_field = &empty;
    refused.refused_message = &text;
    Berth__V1__ChildSubmitted rows[2] = { BERTH__V1__CHILD_SUBMITTED__INIT,
                                          BERTH__V1__CHILD_SUBMITTED__INIT };
    Berth__V1__ChildSubmitted *pointers[] = { &rows[0], &rows[1] };
    for (uint32_t i = 0; i < 2; i++) {
        rows[i].has_attempt = rows[i].has_ordinal = 1;
        rows[i].attempt = ID(1);
        rows[i].ordinal = 7 + i;
        rows[i].submitted = i == 0 ? &taken : &refused;
    }
    Berth__V1__WorkerOrders message = BERTH__V1__WORKER_ORDERS__INIT;
    message.n_child_submitted = 2;
    message.child_submitted = pointers;

    orders(f, &message);

    const struct agent_event *event = &f->heard.event;
    assert_int_equal(event->orders.submitted_count, 2);
    const struct agent_submitted *answer = event->orders.submitted;
    assert_int_equal(answer[0].ordinal, 7);
    assert_int_equal(answer[0].count, 2);
    assert_int_equal(answer[0].ids[1], 202);
    assert_int_equal(answer[1].count, 0);
    assert_int_equal(answer[1].code, -EDEADLK);
    assert_true(berth_slice_is_equal(answer[1].message, berth_slice_of("a cycle")));
}

static void ends_of_children_come_in(void **state)
{
    struct fixture *f = *state;
    uint64_t attempts[] = { ID(1), ID(1) }, jobs[] = { 201, 202 };
    uint32_t states[] = { BERTH_COMPLETED, BERTH_DEAD }, kind[] = { 0, 1 }, bytes[] = { 0, 3 };
    ProtobufCBinaryData kinds[] = { berth_bytes_of(berth_slice_of("exit")) };
    Berth__V1__WorkerOrders message = BERTH__V1__WORKER_ORDERS__INIT;
    message.n_child_end_attempt = message.n_child_end_job = message.n_child_end_state = 2;
    message.n_child_end_kind = message.n_child_end_message_bytes = 2;
    message.n_child_end_kinds = 1;
    message.child_end_attempt = attempts;
    message.child_end_job = jobs;
    message.child_end_state = states;
    message.child_end_kinds = kinds;
    message.child_end_kind = kind;
    message.child_end_message_bytes = bytes;
    message.has_child_end_messages = 1;
    message.child_end_messages = berth_bytes_of(berth_slice_of("why"));

    orders(f, &message);

    const struct agent_event *event = &f->heard.event;
    assert_int_equal(event->orders.child_end_count, 2);
    const struct agent_child_end *end = event->orders.child_ends;
    assert_int_equal(end[0].state, BERTH_COMPLETED);
    assert_int_equal(end[0].error_kind.bytes, 0);
    assert_int_equal(end[1].attempt, ID(1));
    assert_int_equal(end[1].job, 202);
    assert_int_equal(end[1].state, BERTH_DEAD);
    assert_true(berth_slice_is_equal(end[1].error_kind, berth_slice_of("exit")));
    assert_true(berth_slice_is_equal(end[1].error_message, berth_slice_of("why")));
}

static void an_answer_to_a_question_is_left_to_who_asked(void **state)
{
    struct fixture *f = *state;
    Berth__V1__Jobs jobs = BERTH__V1__JOBS__INIT;
    Berth__V1__Envelope envelope;
    berth_wire_init(&envelope, 77);
    envelope.message_case = BERTH__V1__ENVELOPE__MESSAGE_JOBS;
    envelope.jobs = &jobs;

    take(f, &envelope);

    assert_int_equal(f->heard.kind, HEARD_ANSWER);
    assert_int_equal(f->heard.number, 77);
}

/* ---- out ---- */

static const Berth__V1__Envelope *sent(struct fixture *f)
{
    Berth__V1__Envelope *envelope;
    struct berth_error err;
    berth_arena_reset(&f->unpacked);
    if (berth_wire_unpack(berth_buf_slice(&f->frame), &f->unpacked, &envelope, &err) < 0)
        fail_msg("%s", err.message);
    if (berth_validate(envelope, BERTH_SIDE_BROKER, &err, NULL) < 0)
        fail_msg("%s", err.message);
    return envelope;
}

static const Berth__V1__WorkerReports *send_reports(struct fixture *f,
                                                    const struct agent_effect *effect)
{
    const struct agent_opts opts = { .name = "w1" };
    berth_buf_clear(&f->frame);
    assert_ok(translate_out(effect, &opts, &f->arena, &f->frame, NULL));
    return sent(f)->worker_reports;
}

static void what_attempts_wait_and_ask_for_goes_out(void **state)
{
    struct fixture *f = *state;
    const struct agent_suspension suspends[] = { { ID(1), 1 }, { ID(2), 5 } };
    const struct agent_suspension resumes[] = { { ID(2), 5 } };
    const uint64_t end_children[] = { ID(3) };
    const struct agent_child asks[] = { { ID(4), 401 }, { ID(4), 402 } };
    const struct agent_effect effect = { .type = AGENT_DO_REPORTS,
                                         .reports = { .session = SESSION,
                                                      .epoch = 5,
                                                      .join = 1,
                                                      .number = 1,
                                                      .suspends = suspends,
                                                      .suspend_count = 2,
                                                      .resumes = resumes,
                                                      .resume_count = 1,
                                                      .end_children = end_children,
                                                      .end_children_count = 1,
                                                      .asks = asks,
                                                      .ask_count = 2 } };

    const Berth__V1__WorkerReports *reports = send_reports(f, &effect);

    assert_int_equal(reports->n_suspend_attempt, 2);
    assert_int_equal(reports->suspend_attempt[1], ID(2));
    assert_int_equal(reports->suspend_number[1], 5);
    assert_int_equal(reports->n_resume_attempt, 1);
    assert_int_equal(reports->resume_number[0], 5);
    assert_int_equal(reports->n_end_children_attempt, 1);
    assert_int_equal(reports->end_children_attempt[0], ID(3));
    assert_int_equal(reports->n_child_ask_attempt, 2);
    assert_int_equal(reports->child_ask_job[1], 402);
}

/* Also one whose length takes several bytes. */
static void a_packed_submit_goes_out_as_a_broker_takes_it(void **state)
{
    static char payload[70000];
    struct fixture *f = *state;
    struct berth_buf packed;
    berth_buf_init(&packed, AGENT_SUBMIT_BYTES_MAX);
    for (size_t bytes = 0; bytes <= sizeof payload; bytes += sizeof payload / 2) {
        const struct berth_job_spec specs[] = {
            { .handler = "mail" }, { .handler = "mail", .payload = { payload, bytes } }
        };
        berth_buf_clear(&packed);
        assert_ok(berth_child_pack(specs, 2, NULL, 0, &packed, NULL));
        const struct agent_submit submits[] = { { .attempt = ID(1),
                                                  .job = 101,
                                                  .ordinal = 3,
                                                  .is_supervisor = true,
                                                  .submit = berth_buf_slice(&packed) } };
        const struct agent_effect effect = { .type = AGENT_DO_REPORTS,
                                             .reports = { .session = SESSION,
                                                          .epoch = 5,
                                                          .join = 1,
                                                          .number = 1,
                                                          .submits = submits,
                                                          .submit_count = 1 } };

        const Berth__V1__WorkerReports *reports = send_reports(f, &effect);

        assert_int_equal(reports->n_child_submit, 1);
        const Berth__V1__ChildSubmit *submit = reports->child_submit[0];
        assert_int_equal(submit->attempt, ID(1));
        assert_int_equal(submit->job, 101);
        assert_int_equal(submit->ordinal, 3);
        assert_true(submit->is_supervisor);
        assert_int_equal(submit->submit->n_body_bytes, 2);
        assert_true(submit->submit->body_bytes[1] >= bytes);
    }
    berth_buf_fini(&packed);
}

static void a_list_says_how_often_each_was_suspended(void **state)
{
    struct fixture *f = *state;
    static const char *const handlers[] = { "mail" };
    const struct agent_opts opts = {
        .name = "w1", .handlers = handlers, .handler_count = 1, .capacity = 4, .cores = 1
    };
    const struct agent_line lines[] = {
        { ID(1), 101, { "d", 1 }, .number = 1, .state = AGENT_SUSPENDED, .suspensions = 3 },
        { ID(2), 102, { "d", 1 }, .number = 1, .state = AGENT_RUNNING }
    };
    const struct agent_effect effect = {
        .type = AGENT_DO_JOIN,
        .join = { .session = SESSION, .epoch = 5, .join = 2, .lines = lines, .count = 2 }
    };

    berth_buf_clear(&f->frame);
    assert_ok(translate_out(&effect, &opts, &f->arena, &f->frame, NULL));

    const Berth__V1__WorkerJoin *join = sent(f)->worker_join;
    assert_int_equal(join->state[0], BERTH__V1__ATTEMPT_STATE__ATTEMPT_STATE_SUSPENDED);
    assert_int_equal(join->suspensions[0], 3);
    assert_int_equal(join->suspensions[1], 0);
}

static void a_question_is_one_that_a_broker_answers(void **state)
{
    struct fixture *f = *state;
    berth_buf_clear(&f->frame);

    assert_ok(translate_ask(77, (berth_job_id){ 201 }, &f->frame));

    const Berth__V1__Envelope *envelope = sent(f);
    assert_int_equal(envelope->request, 77);
    assert_int_equal(envelope->job_get->n_id, 1);
    assert_int_equal(envelope->job_get->id[0], 201);
}

int main(void)
{
#define SCOPE_TEST(fact) cmocka_unit_test_setup_teardown(fact, setup, teardown)
    const struct CMUnitTest tests[] = {
        SCOPE_TEST(resumes_come_in),
        SCOPE_TEST(answers_to_submits_come_in_as_ids_or_as_a_refusal),
        SCOPE_TEST(ends_of_children_come_in),
        SCOPE_TEST(an_answer_to_a_question_is_left_to_who_asked),
        SCOPE_TEST(what_attempts_wait_and_ask_for_goes_out),
        SCOPE_TEST(a_packed_submit_goes_out_as_a_broker_takes_it),
        SCOPE_TEST(a_list_says_how_often_each_was_suspended),
        SCOPE_TEST(a_question_is_one_that_a_broker_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
