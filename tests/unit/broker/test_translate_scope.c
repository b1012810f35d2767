/* SPDX-License-Identifier: MIT
 *
 * What reports and orders say of scopes.
 */
#include "translate_fixture.h"

#include <errno.h>

static struct berth_slice slice(const char *text)
{
    return (struct berth_slice){ .data = text, .bytes = strlen(text) };
}

static Berth__V1__WorkerReports reports_of(void)
{
    Berth__V1__WorkerReports m = BERTH__V1__WORKER_REPORTS__INIT;
    m.has_session = m.has_epoch = m.has_join = m.has_number = 1;
    m.session = SESSION(1);
    m.epoch = 3;
    m.join = 2;
    m.number = 4;
    return m;
}

static void reports_say_who_is_suspended_and_who_may_go_on(void **state)
{
    struct fixture *f = *state;
    Berth__V1__Envelope e;
    Berth__V1__WorkerReports m = reports_of();
    uint64_t suspended[] = { SESSION(10), SESSION(11) }, resumed[] = { SESSION(12) },
             ended[] = { SESSION(13) }, asking[] = { SESSION(14) }, asked[] = { 77 };
    uint32_t suspension[] = { 1, 9 }, resumption[] = { 3 };
    m.n_suspend_attempt = m.n_suspend_number = 2;
    m.suspend_attempt = suspended;
    m.suspend_number = suspension;
    m.n_resume_attempt = m.n_resume_number = 1;
    m.resume_attempt = resumed;
    m.resume_number = resumption;
    m.n_end_children_attempt = m.n_child_ask_attempt = m.n_child_ask_job = 1;
    m.end_children_attempt = ended;
    m.child_ask_attempt = asking;
    m.child_ask_job = asked;
    ENVELOPE(&e, WORKER_REPORTS, worker_reports, &m);
    e.request = 0;

    const struct berth_event event = taken(f, &e);

    const struct berth_ev_reports *r = &event.reports;
    assert_int_equal(r->suspend_count, 2);
    assert_int_equal(r->suspends[1].attempt, SESSION(11));
    assert_int_equal(r->suspends[1].number, 9);
    assert_int_equal(r->resume_count, 1);
    assert_int_equal(r->resumes[0].attempt, SESSION(12));
    assert_int_equal(r->resumes[0].number, 3);
    assert_int_equal(r->end_children_count, 1);
    assert_int_equal(r->end_children[0], SESSION(13));
    assert_int_equal(r->child_ask_count, 1);
    assert_int_equal(r->child_asks[0].attempt, SESSION(14));
    assert_int_equal(r->child_asks[0].job, 77);
    assert_int_equal(r->child_submit_count, 0);
}

static void a_submit_of_children_has_their_jobs(void **state)
{
    struct fixture *f = *state;
    Berth__V1__Envelope e;
    Berth__V1__WorkerReports m = reports_of();
    Berth__V1__Submit jobs = BERTH__V1__SUBMIT__INIT;
    Berth__V1__ChildSubmit child = BERTH__V1__CHILD_SUBMIT__INIT, *children[] = { &child };
    ProtobufCBinaryData dispatcher = bytes("io"), handler = bytes("mail");
    uint32_t body_bytes[] = { 1, 2 };
    jobs.n_dispatchers = jobs.n_handlers = 1;
    jobs.dispatchers = &dispatcher;
    jobs.handlers = &handler;
    jobs.n_body_bytes = 2;
    jobs.body_bytes = body_bytes;
    jobs.has_bodies = 1;
    jobs.bodies = bytes("abb");
    child.has_attempt = child.has_job = child.has_ordinal = child.has_is_supervisor = 1;
    child.attempt = SESSION(10);
    child.job = 5;
    child.ordinal = 7;
    child.is_supervisor = 1;
    child.submit = &jobs;
    m.n_child_submit = 1;
    m.child_submit = children;
    ENVELOPE(&e, WORKER_REPORTS, worker_reports, &m);
    e.request = 0;

    const struct berth_event event = taken(f, &e);

    assert_int_equal(event.reports.child_submit_count, 1);
    const struct berth_child_submit *submit = event.reports.child_submits;
    assert_int_equal(submit->attempt, SESSION(10));
    assert_int_equal(submit->job, 5);
    assert_int_equal(submit->ordinal, 7);
    assert_true(submit->is_supervisor);
    assert_int_equal(submit->jobs.count, 2);
    assert_slice(submit->jobs.dispatchers[submit->jobs.items[1].dispatcher], "io");
    assert_slice(submit->jobs.handlers[submit->jobs.items[1].handler], "mail");
    assert_slice(submit->jobs.items[1].body, "bb");
    assert_int_equal(submit->jobs.request, 0);
}

static struct berth_effect orders_of(void)
{
    struct berth_effect effect = { .type = BERTH_DO_ORDERS, .peer = PEER };
    effect.orders =
        (struct berth_do_orders){ .session = SESSION(1), .epoch = 3, .join = 2, .number = 5 };
    return effect;
}

static void orders_say_who_may_go_on(void **state)
{
    struct fixture *f = *state;
    const struct berth_suspension resumes[] = { { SESSION(10), 2 }, { SESSION(11), 1 } };
    struct berth_effect effect = orders_of();
    effect.orders.resumes = resumes;
    effect.orders.resume_count = 2;

    const Berth__V1__WorkerOrders *m = sent(f, &effect, BERTH_SIDE_WORKER)->worker_orders;

    assert_int_equal(m->n_resume_attempt, 2);
    assert_int_equal(m->resume_attempt[1], SESSION(11));
    assert_int_equal(m->resume_number[0], 2);
    assert_int_equal(m->n_child_submitted, 0);
    assert_int_equal(m->n_child_end_attempt, 0);
}

static void orders_answer_submits_of_children(void **state)
{
    struct fixture *f = *state;
    const uint64_t ids[] = { 20, 21 };
    const struct berth_order_children children[] = {
        { .attempt = SESSION(10), .ordinal = 4, .ids = ids, .count = 2 },
        { .attempt = SESSION(11),
          .ordinal = 1,
          .refusal = { .code = -EDEADLK, .field = "dispatcher", .message = "a cycle" } },
    };
    struct berth_effect effect = orders_of();
    effect.orders.children = children;
    effect.orders.children_count = 2;

    const Berth__V1__WorkerOrders *m = sent(f, &effect, BERTH_SIDE_WORKER)->worker_orders;

    assert_int_equal(m->n_child_submitted, 2);
    assert_int_equal(m->child_submitted[0]->attempt, SESSION(10));
    assert_int_equal(m->child_submitted[0]->ordinal, 4);
    const Berth__V1__Submitted *taken = m->child_submitted[0]->submitted;
    assert_int_equal(taken->n_id, 2);
    assert_int_equal(taken->id[1], 21);
    assert_int_equal(taken->n_refused, 0);
    const Berth__V1__Submitted *refused = m->child_submitted[1]->submitted;
    assert_int_equal(refused->n_id, 1);
    assert_int_equal(refused->n_refused, 1);
    assert_int_equal(refused->refused_code[0], BERTH__V1__ERROR_CODE__ERROR_DEADLOCK);
    assert_bytes(refused->refused_field[0], "dispatcher");
    assert_bytes(refused->refused_message[0], "a cycle");
}

static void orders_say_how_children_ended(void **state)
{
    struct fixture *f = *state;
    const struct berth_order_child_end ends[] = {
        { .attempt = SESSION(10), .job = 20, .state = BERTH_COMPLETED },
        { .attempt = SESSION(10),
          .job = 21,
          .state = BERTH_DEAD,
          .error_kind = slice("exit"),
          .error_message = slice("exit code 2") },
        { .attempt = SESSION(11),
          .job = 30,
          .state = BERTH_CANCELLED,
          .error_kind = slice("parent_cancelled"),
          .error_message = slice("why") },
    };
    struct berth_effect effect = orders_of();
    effect.orders.child_ends = ends;
    effect.orders.child_end_count = 3;

    const Berth__V1__WorkerOrders *m = sent(f, &effect, BERTH_SIDE_WORKER)->worker_orders;

    assert_int_equal(m->n_child_end_attempt, 3);
    assert_int_equal(m->child_end_attempt[2], SESSION(11));
    assert_int_equal(m->child_end_job[1], 21);
    assert_int_equal(m->child_end_state[1], BERTH_DEAD);
    assert_int_equal(m->child_end_kind[0], 0);
    assert_bytes(m->child_end_kinds[m->child_end_kind[1] - 1], "exit");
    assert_bytes(m->child_end_kinds[m->child_end_kind[2] - 1], "parent_cancelled");
    assert_int_equal(m->child_end_message_bytes[1], 11);
    assert_bytes(m->child_end_messages, "exit code 2why");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(reports_say_who_is_suspended_and_who_may_go_on),
        TEST(a_submit_of_children_has_their_jobs),
        TEST(orders_say_who_may_go_on),
        TEST(orders_answer_submits_of_children),
        TEST(orders_say_how_children_ended),
    };
    return berth_test_main(tests, NULL, NULL);
}
