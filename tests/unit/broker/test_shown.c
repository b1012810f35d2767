/* SPDX-License-Identifier: MIT
 *
 * What running attempts show: kept at its place, the end of it only, within one bound, and gone
 * with the attempt.
 */
#include "core_fixture.h"

#include <stdlib.h>

#include "broker/core/show/shown.h"

#define TAIL SHOWN_TAIL_BYTES_MAX

static void show(struct fixture *f, struct worker *w, struct berth_show show)
{
    send_reports(f, w, (struct berth_ev_reports){ .shows = &show, .show_count = 1 });
}

static void write_out(struct fixture *f, struct worker *w, uint64_t job, uint64_t from,
                      struct berth_slice bytes)
{
    show(f, w,
         (struct berth_show){ .attempt = attempt_of(f, job), .out_from = from, .out = bytes });
}

/* Good until the next step. */
static const struct berth_do_job_output *asked(struct fixture *f, uint64_t job, uint32_t attempt,
                                               uint64_t out_from)
{
    uint64_t request = ++f->request;
    step(f, (struct berth_event){ .type = BERTH_EV_JOB_OUTPUT,
                                  .job_output = { .peer = CLIENT,
                                                  .request = request,
                                                  .id = job,
                                                  .attempt = attempt,
                                                  .out_from = out_from } });
    const struct berth_effect *effect = answer(f, request, BERTH_DO_JOB_OUTPUT);
    assert_non_null(effect);
    return &effect->job_output;
}

static void assert_out(struct fixture *f, uint64_t job, uint64_t known, uint64_t from,
                       const char *want)
{
    const struct berth_do_job_output *output = asked(f, job, 1, known);
    assert_int_equal(output->out_from, from);
    assert_true(slice_is(output->out, want));
}

static void what_an_attempt_writes_is_given_from_any_place_on(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_worker(f, 4);
    uint64_t job = given_running(f, (struct submit){ 0 });
    show(f, w,
         (struct berth_show){
             .attempt = attempt_of(f, job), .out = text("hello"), .err = text("oh") });
    write_out(f, w, job, 5, text(" world"));

    const struct berth_do_job_output *output = asked(f, job, 0, 3);
    assert_int_equal(output->id, job);
    assert_int_equal(output->state, BERTH_RUNNING);
    assert_int_equal(output->attempt, 1);
    assert_false(output->is_over);
    assert_true(slice_is(output->out, "hello world")); /* nothing of attempt 1 was known */
    assert_true(slice_is(output->err, "oh"));
    assert_out(f, job, 3, 3, "lo world");
    assert_out(f, job, 11, 11, "");
    assert_out(f, job, 500, 500, ""); /* known from an earlier broker */
}

static void what_comes_twice_is_taken_once(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_worker(f, 4);
    uint64_t job = given_running(f, (struct submit){ 0 });
    write_out(f, w, job, 0, text("abcd"));
    write_out(f, w, job, 0, text("abcd"));
    write_out(f, w, job, 1, text("bc"));
    write_out(f, w, job, 2, text("cdef"));
    assert_out(f, job, 0, 0, "abcdef");
}

static void behind_a_gap_it_begins_anew(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_worker(f, 4);
    uint64_t job = given_running(f, (struct submit){ 0 });
    write_out(f, w, job, 0, text("abcd"));
    write_out(f, w, job, 10, text("xyz"));
    assert_out(f, job, 2, 10, "xyz");
}

static void of_a_stream_the_end_is_kept(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_worker(f, 4);
    uint64_t job = given_running(f, (struct submit){ 0 });
    static char bytes[3 * TAIL];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (char)(i % 251);
    for (size_t at = 0; at < sizeof bytes; at += 10000) {
        size_t left = sizeof bytes - at;
        write_out(f, w, job, at, (struct berth_slice){ bytes + at, left < 10000 ? left : 10000 });
    }

    const struct berth_do_job_output *output = asked(f, job, 1, 0);
    assert_int_equal(output->out_from, sizeof bytes - TAIL);
    assert_int_equal(output->out.bytes, TAIL);
    assert_memory_equal(output->out.data, bytes + 2 * TAIL, TAIL);
    write_out(f, w, job, sizeof bytes, (struct berth_slice){ bytes, 2 * TAIL });
    output = asked(f, job, 1, 0);
    assert_int_equal(output->out_from, sizeof bytes + TAIL);
    assert_memory_equal(output->out.data, bytes + TAIL, TAIL);
}

static void memory_is_bounded_and_those_who_are_silent_make_room(void **state)
{
    struct fixture *f = *state;
    core_replace(f, (struct berth_core_opts){ .output_bytes_max = 3 * TAIL });
    core_start(f);
    store_all(f);
    given_dispatcher(f, "wide", 100);
    struct worker *w = given_worker(f, 8);
    static char bytes[TAIL];
    uint64_t jobs[4];
    for (int i = 0; i < 4; i++) {
        jobs[i] = given_running(f, (struct submit){ .dispatcher = "wide" });
        write_out(f, w, jobs[i], 0, (struct berth_slice){ bytes, TAIL });
        write_out(f, w, jobs[0], (uint64_t)i, text("x"));
        assert_true(f->core->shown_bytes <= 3 * TAIL);
    }

    /* The first one was never silent; what the second one wrote is gone, and its place is known. */
    assert_int_equal(asked(f, jobs[0], 1, 0)->out.bytes, TAIL);
    assert_int_equal(asked(f, jobs[1], 1, 0)->out.bytes, 0);
    assert_int_equal(asked(f, jobs[1], 1, 0)->out_from, TAIL);
    assert_int_equal(asked(f, jobs[3], 1, 0)->out.bytes, TAIL);
    write_out(f, w, jobs[1], TAIL, text("again"));
    assert_out(f, jobs[1], 0, TAIL, "again");
}

static void how_far_it_is_is_shown_with_the_job_while_it_runs(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_worker(f, 4);
    uint64_t job = given_running(f, (struct submit){ 0 });
    assert_false(shown(f, job)->has_progress);
    show(f, w,
         (struct berth_show){
             .attempt = attempt_of(f, job), .has_progress = true, .done = 3, .total = 10 });
    write_out(f, w, job, 0, text("says nothing of it"));

    const struct berth_job_view *view = shown(f, job);
    assert_true(view->has_progress);
    assert_int_equal(view->progress_done, 3);
    assert_int_equal(view->progress_total, 10);
    report(f, w, job, BERTH_OUTCOME_FAILED);
    assert_int_equal(f->core->shown_bytes, 0);
    assert_false(shown(f, job)->has_progress);
}

static void when_the_attempt_has_ended_its_result_says_more(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_worker(f, 4);
    uint64_t job = given_running(f, (struct submit){ 0 });
    write_out(f, w, job, 0, text("abc"));
    report_end(f, w, attempt_of(f, job), job,
               (struct berth_attempt_end){ .outcome = BERTH_OUTCOME_FAILED, .retry_ms = 5000 });

    assert_false(asked(f, job, 1, 0)->is_over); /* not stored yet */
    store_all(f);
    const struct berth_do_job_output *output = asked(f, job, 1, 0);
    assert_true(output->is_over);
    assert_int_equal(output->attempt, 1);
    assert_int_equal(output->state, BERTH_RETRYING);
    assert_int_equal(output->out.bytes, 0);
    advance(f, 5000);
    renew(f, w);
    store_all(f);
    output = asked(f, job, 1, 3);
    assert_int_equal(output->attempt, 2);
    assert_int_equal(output->out_from, 0);
    assert_false(output->is_over);
}

static void of_a_job_that_does_not_live_nothing_is_there(void **state)
{
    struct fixture *f = *state;
    uint64_t request = ++f->request;
    step(f, (struct berth_event){ .type = BERTH_EV_JOB_OUTPUT,
                                  .job_output = { .peer = CLIENT, .request = request, .id = 77 } });
    const struct berth_effect *refusal = answer(f, request, BERTH_DO_ERROR);
    assert_non_null(refusal);
    assert_int_equal(refusal->error.code, BERTH_ENOTFOUND);
}

static void what_others_say_of_an_attempt_counts_for_nothing(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_worker(f, 4);
    uint64_t job = given_running(f, (struct submit){ 0 });
    struct worker *other = given_worker(f, 4);
    write_out(f, other, job, 0, text("lies"));
    show(f, w, (struct berth_show){ .attempt = 12345, .out = text("of nobody") });
    assert_out(f, job, 0, 0, "");
}

static void what_is_shown_is_gone_when_the_worker_is(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_worker(f, 4);
    uint64_t job = given_running(f, (struct submit){ 0 });
    write_out(f, w, job, 0, text("abc"));
    gone(f, w, BERTH_GONE_LEASE);
    assert_int_equal(f->core->shown_bytes, 0);
    store_all(f);
    assert_true(asked(f, job, 1, 0)->is_over);
}

int main(void)
{
#define TEST(fact) cmocka_unit_test_setup_teardown(fact, core_setup, core_teardown)
    const struct CMUnitTest tests[] = {
        TEST(what_an_attempt_writes_is_given_from_any_place_on),
        TEST(what_comes_twice_is_taken_once),
        TEST(behind_a_gap_it_begins_anew),
        TEST(of_a_stream_the_end_is_kept),
        TEST(memory_is_bounded_and_those_who_are_silent_make_room),
        TEST(how_far_it_is_is_shown_with_the_job_while_it_runs),
        TEST(when_the_attempt_has_ended_its_result_says_more),
        TEST(of_a_job_that_does_not_live_nothing_is_there),
        TEST(what_others_say_of_an_attempt_counts_for_nothing),
        TEST(what_is_shown_is_gone_when_the_worker_is),
    };
    return berth_test_main(tests, NULL, NULL);
}
