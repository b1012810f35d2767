/* SPDX-License-Identifier: MIT
 *
 * Frames of workers and keepers become events.
 */
#include "translate_fixture.h"

static void a_hello_says_who_and_what_it_offers(void **state)
{
    struct fixture *f = *state;
    Berth__V1__Envelope e;
    Berth__V1__WorkerHello m = BERTH__V1__WORKER_HELLO__INIT;
    ProtobufCBinaryData handlers[] = { bytes("exec"), bytes("mail") }, served = bytes("io");
    m.has_epoch = m.has_node = m.has_boot = m.has_nonce = m.has_child = m.has_name =
        m.has_capacity = m.has_cores = m.has_software = 1;
    m.epoch = 3;
    m.node = bytes("node............");
    m.boot = bytes("boot............");
    m.nonce = bytes("nonce...........");
    m.child = 2;
    m.name = bytes("host-1");
    m.software = bytes("berth-worker test");
    m.capacity = 256;
    m.has_suspended_max = 1;
    m.suspended_max = 4096;
    m.cores = 4;
    m.n_handlers = 2;
    m.handlers = handlers;
    m.n_served = 1;
    m.served = &served;
    m.has_can_start_alone = m.can_start_alone = 1;
    ENVELOPE(&e, WORKER_HELLO, worker_hello, &m);
    e.request = 0;

    struct berth_event event = taken(f, &e);

    assert_int_equal(event.type, BERTH_EV_HELLO);
    assert_int_equal(event.hello.peer, PEER);
    assert_int_equal(event.hello.epoch, 3);
    assert_memory_equal(event.hello.node, "node............", 16);
    assert_memory_equal(event.hello.boot, "boot............", 16);
    assert_memory_equal(event.hello.nonce, "nonce...........", 16);
    assert_int_equal(event.hello.child, 2);
    assert_slice(event.hello.offer.name, "host-1");
    assert_slice(event.hello.offer.software, "berth-worker test");
    assert_int_equal(event.hello.offer.handler_count, 2);
    assert_slice(event.hello.offer.handlers[1], "mail");
    assert_int_equal(event.hello.offer.served_count, 1);
    assert_slice(event.hello.offer.served[0], "io");
    assert_int_equal(event.hello.offer.capacity, 256);
    assert_int_equal(event.hello.offer.suspended_max, 4096);
    assert_int_equal(event.hello.offer.cores, 4);
    assert_false(event.hello.offer.is_alone);
    assert_true(event.hello.offer.can_start_alone);
}

static Berth__V1__WorkerJoin join_of(void)
{
    Berth__V1__WorkerJoin m = BERTH__V1__WORKER_JOIN__INIT;
    m.has_session = m.has_epoch = m.has_join = m.has_renewal = m.has_name = m.has_capacity =
        m.has_cores = m.has_software = 1;
    m.session = SESSION(1);
    m.epoch = 3;
    m.join = 2;
    m.renewal = 5;
    m.name = bytes("host-1");
    m.capacity = 8;
    m.has_suspended_max = 1;
    m.suspended_max = 32;
    m.cores = 2;
    m.software = bytes("test");
    return m;
}

static void a_join_lists_what_runs_and_what_has_ended(void **state)
{
    struct fixture *f = *state;
    Berth__V1__Envelope e;
    Berth__V1__WorkerJoin m = join_of();
    Berth__V1__Ends ends = BERTH__V1__ENDS__INIT;
    ProtobufCBinaryData dispatcher_names[] = { bytes("default"), bytes("io") },
                        kind = bytes("exit");
    uint64_t attempts[] = { SESSION(10), SESSION(11) }, jobs[] = { 1, 2 };
    uint32_t dispatcher[] = { 1, 0 }, number[] = { 1, 4 }, is_cancelled[] = { 1, 0 };
    uint32_t states[] = { BERTH__V1__ATTEMPT_STATE__ATTEMPT_STATE_RUNNING,
                          BERTH__V1__ATTEMPT_STATE__ATTEMPT_STATE_ENDED };
    uint32_t outcome[] = { 0, BERTH__V1__OUTCOME__OUTCOME_FAILED }, kind_of[] = { 0, 1 };
    uint32_t message_bytes[] = { 0, 4 }, result_bytes[] = { 0, 3 };
    m.n_attempt = m.n_job = m.n_dispatchers = m.n_dispatcher = m.n_number = m.n_state =
        m.n_is_cancelled = 2;
    m.attempt = attempts;
    m.job = jobs;
    m.dispatchers = dispatcher_names;
    m.dispatcher = dispatcher;
    m.number = number;
    m.state = states;
    m.is_cancelled = is_cancelled;
    m.ends = &ends;
    m.has_is_draining = m.is_draining = 1;
    ends.n_outcome = ends.n_kind = ends.n_message_bytes = ends.n_result_bytes = 2;
    ends.outcome = outcome;
    ends.n_kinds = 1;
    ends.kinds = &kind;
    ends.kind = kind_of;
    ends.message_bytes = message_bytes;
    ends.result_bytes = result_bytes;
    ends.has_messages = ends.has_results = 1;
    ends.messages = bytes("why?");
    ends.results = bytes("out");
    ENVELOPE(&e, WORKER_JOIN, worker_join, &m);
    e.request = 0;

    struct berth_event event = taken(f, &e);

    assert_int_equal(event.type, BERTH_EV_JOIN);
    assert_int_equal(event.join.session, SESSION(1));
    assert_int_equal(event.join.join, 2);
    assert_int_equal(event.join.renewal, 5);
    assert_true(event.join.is_draining);
    assert_slice(event.join.offer.name, "host-1");
    assert_int_equal(event.join.offer.capacity, 8);
    assert_int_equal(event.join.offer.suspended_max, 32);
    assert_int_equal(event.join.count, 2);
    const struct berth_join_line *a = &event.join.lines[0], *b = &event.join.lines[1];
    assert_int_equal(a->attempt, SESSION(10));
    assert_int_equal(a->job, 1);
    assert_slice(a->dispatcher, "io");
    assert_int_equal(a->state, BERTH_ATTEMPT_RUNNING);
    assert_true(a->is_cancelled);
    assert_int_equal(a->end.outcome, 0);
    assert_slice(a->end.error_kind, "");
    assert_int_equal(b->number, 4);
    assert_int_equal(b->state, BERTH_ATTEMPT_ENDED);
    assert_false(b->is_cancelled);
    assert_int_equal(b->end.outcome, BERTH_OUTCOME_FAILED);
    assert_slice(b->end.error_kind, "exit");
    assert_slice(b->end.error_message, "why?");
    assert_slice(b->end.result, "out");
}

static void an_empty_join_has_no_lines(void **state)
{
    struct fixture *f = *state;
    Berth__V1__Envelope e;
    Berth__V1__WorkerJoin m = join_of();
    ENVELOPE(&e, WORKER_JOIN, worker_join, &m);
    e.request = 0;

    struct berth_event event = taken(f, &e);

    assert_int_equal(event.join.count, 0);
    assert_false(event.join.is_draining);
}

static void a_renewal_carries_both_streams(void **state)
{
    struct fixture *f = *state;
    Berth__V1__Envelope e;
    Berth__V1__WorkerRenew m = BERTH__V1__WORKER_RENEW__INIT;
    m.has_session = m.has_epoch = m.has_join = m.has_renewal = m.has_sent = m.has_taken = 1;
    m.session = SESSION(1);
    m.epoch = 3;
    m.join = 4;
    m.renewal = 9;
    m.sent = 7;
    m.taken = 8;
    ENVELOPE(&e, WORKER_RENEW, worker_renew, &m);
    e.request = 0;

    struct berth_event event = taken(f, &e);

    assert_int_equal(event.type, BERTH_EV_RENEW);
    assert_int_equal(event.renew.session, SESSION(1));
    assert_int_equal(event.renew.join, 4);
    assert_int_equal(event.renew.renewal, 9);
    assert_int_equal(event.renew.sent, 7);
    assert_int_equal(event.renew.taken, 8);
}

static void reports_carry_ends_and_releases(void **state)
{
    struct fixture *f = *state;
    Berth__V1__Envelope e;
    Berth__V1__WorkerReports m = BERTH__V1__WORKER_REPORTS__INIT;
    Berth__V1__Ends ends = BERTH__V1__ENDS__INIT;
    uint64_t attempt = SESSION(10), job = 1, retry_ms = 50, run_us = 1234;
    uint64_t released[] = { SESSION(12), SESSION(13) };
    uint32_t reasons[] = { BERTH__V1__RELEASE_REASON__RELEASE_DRAINING,
                           BERTH__V1__RELEASE_REASON__RELEASE_NO_HANDLER };
    uint32_t outcome = BERTH__V1__OUTCOME__OUTCOME_SNOOZED;
    m.has_session = m.has_epoch = m.has_join = m.has_number = 1;
    m.session = SESSION(1);
    m.epoch = 3;
    m.join = 1;
    m.number = 6;
    m.n_attempt = m.n_job = ends.n_outcome = ends.n_retry_ms = ends.n_run_us = 1;
    m.attempt = &attempt;
    m.job = &job;
    m.ends = &ends;
    ends.outcome = &outcome;
    ends.retry_ms = &retry_ms;
    ends.run_us = &run_us;
    m.n_release_attempt = m.n_release_reason = 2;
    m.release_attempt = released;
    m.release_reason = reasons;
    ENVELOPE(&e, WORKER_REPORTS, worker_reports, &m);
    e.request = 0;

    struct berth_event event = taken(f, &e);

    assert_int_equal(event.type, BERTH_EV_REPORTS);
    assert_int_equal(event.reports.number, 6);
    assert_int_equal(event.reports.count, 1);
    assert_int_equal(event.reports.reports[0].attempt, SESSION(10));
    assert_int_equal(event.reports.reports[0].job, 1);
    assert_int_equal(event.reports.reports[0].end.outcome, BERTH_OUTCOME_SNOOZED);
    assert_int_equal(event.reports.reports[0].end.retry_ms, 50);
    assert_int_equal(event.reports.reports[0].end.run_us, 1234);
    assert_int_equal(event.reports.release_count, 2);
    assert_int_equal(event.reports.releases[1], SESSION(13));
    assert_int_equal(event.reports.release_reasons[1],
                     BERTH__V1__RELEASE_REASON__RELEASE_NO_HANDLER);
}

static void what_attempts_show_comes_with_reports(void **state)
{
    struct fixture *f = *state;
    Berth__V1__Envelope e;
    Berth__V1__WorkerReports m = BERTH__V1__WORKER_REPORTS__INIT;
    uint64_t attempts[] = { SESSION(10), SESSION(11) }, done[] = { 3, 0 }, total[] = { 10, 0 };
    uint64_t from[] = { 0, 70000 };
    uint32_t has[] = { 1, 0 }, out_bytes[] = { 2, 3 };
    m.has_session = m.has_epoch = m.has_join = m.has_number = 1;
    m.session = SESSION(1);
    m.epoch = 3;
    m.join = 1;
    m.number = 6;
    m.n_show_attempt = m.n_show_done = m.n_show_total = m.n_show_has_progress = 2;
    m.n_show_out_from = m.n_show_out_bytes = 2;
    m.show_attempt = attempts;
    m.show_has_progress = has;
    m.show_done = done;
    m.show_total = total;
    m.show_out_from = from;
    m.show_out_bytes = out_bytes;
    m.has_show_outs = 1;
    m.show_outs = bytes("abcde");
    ENVELOPE(&e, WORKER_REPORTS, worker_reports, &m);
    e.request = 0;

    struct berth_event event = taken(f, &e);

    assert_int_equal(event.reports.count, 0);
    assert_int_equal(event.reports.show_count, 2);
    const struct berth_show *shows = event.reports.shows;
    assert_int_equal(shows[0].attempt, SESSION(10));
    assert_true(shows[0].has_progress);
    assert_int_equal(shows[0].done, 3);
    assert_int_equal(shows[0].total, 10);
    assert_slice(shows[0].out, "ab");
    assert_int_equal(shows[0].err.bytes, 0);
    assert_false(shows[1].has_progress);
    assert_int_equal(shows[1].out_from, 70000);
    assert_int_equal(shows[1].err_from, 0);
    assert_slice(shows[1].out, "cde");
}

static void a_certificate_says_who_is_gone_and_what_ran(void **state)
{
    struct fixture *f = *state;
    Berth__V1__Envelope e;
    Berth__V1__WorkerGone m = BERTH__V1__WORKER_GONE__INIT;
    uint64_t attempts[] = { SESSION(10), SESSION(11) }, jobs[] = { 1, 2 };
    m.has_nonce = m.has_child = m.has_cause = m.has_status = 1;
    m.nonce = bytes(ID16);
    m.child = 3;
    m.cause = BERTH__V1__GONE_CAUSE__GONE_SIGNAL;
    m.status = 11;
    m.n_attempt = m.n_job = 2;
    m.attempt = attempts;
    m.job = jobs;
    m.n_number = 2; /* 0: not known */
    m.number = (uint32_t[]){ 4, 0 };
    m.has_culprit = 1;
    m.culprit = SESSION(11);
    ENVELOPE(&e, WORKER_GONE, worker_gone, &m);
    e.request = 0;

    struct berth_event event = taken(f, &e);

    assert_int_equal(event.type, BERTH_EV_GONE);
    assert_int_equal(event.gone.session, 0);
    assert_memory_equal(event.gone.nonce, ID16, 16);
    assert_int_equal(event.gone.child, 3);
    assert_int_equal(event.gone.cause, BERTH_GONE_SIGNAL);
    assert_int_equal(event.gone.status, 11);
    assert_int_equal(event.gone.count, 2);
    assert_int_equal(event.gone.attempts[1], SESSION(11));
    assert_int_equal(event.gone.jobs[1], 2);
    assert_int_equal(event.gone.numbers[0], 4);
    assert_int_equal(event.gone.numbers[1], 0);
    assert_int_equal(event.gone.culprit, SESSION(11));
}

static void a_bad_report_is_refused_by_name(void **state)
{
    struct fixture *f = *state;
    Berth__V1__Envelope e;
    Berth__V1__WorkerReports m = BERTH__V1__WORKER_REPORTS__INIT;
    struct berth_event event;
    struct berth_slice answer;
    uint64_t attempt = SESSION(10), job = 1;
    m.has_session = m.has_epoch = m.has_join = m.has_number = 1;
    m.session = SESSION(1);
    m.epoch = 3;
    m.join = 1;
    m.number = 1;
    m.n_attempt = m.n_job = 1;
    m.attempt = &attempt;
    m.job = &job;
    ENVELOPE(&e, WORKER_REPORTS, worker_reports, &m);
    e.request = 0;

    assert_int_equal(take_frame(f, packed(f, &e), &event, &answer), BERTH_TRANSLATED_ANSWER);

    Berth__V1__Envelope *back = opened(f, answer, BERTH_SIDE_WORKER);
    assert_int_equal(back->error->code, BERTH__V1__ERROR_CODE__ERROR_INVALID);
    assert_bytes(back->error->field, "outcome");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_hello_says_who_and_what_it_offers),
        TEST(a_join_lists_what_runs_and_what_has_ended),
        TEST(an_empty_join_has_no_lines),
        TEST(a_renewal_carries_both_streams),
        TEST(reports_carry_ends_and_releases),
        TEST(what_attempts_show_comes_with_reports),
        TEST(a_certificate_says_who_is_gone_and_what_ran),
        TEST(a_bad_report_is_refused_by_name),
    };
    return berth_test_main(tests, NULL, NULL);
}
