/* SPDX-License-Identifier: MIT
 *
 * Effects become frames that a client reads and finds valid.
 */
#include "translate_fixture.h"

static struct berth_effect effect_of(enum berth_effect_type type)
{
    return (struct berth_effect){ .type = type, .peer = PEER, .request = REQUEST };
}

static struct berth_slice slice(const char *text)
{
    return (struct berth_slice){ .data = text, .bytes = strlen(text) };
}

static void an_error_has_code_field_and_sentence(void **state)
{
    struct fixture *f = *state;
    struct berth_effect effect = effect_of(BERTH_DO_ERROR);
    effect.error = (struct berth_do_error){ .code = BERTH_ENOTFOUND,
                                            .field = "dispatcher",
                                            .message = "no dispatcher 'x'" };

    Berth__V1__Envelope *e = sent(f, &effect, BERTH_SIDE_CLIENT);

    assert_int_equal(e->request, REQUEST);
    assert_int_equal(e->error->code, BERTH__V1__ERROR_CODE__ERROR_NOT_FOUND);
    assert_bytes(e->error->field, "dispatcher");
    assert_bytes(e->error->message, "no dispatcher 'x'");
}

static void submitted_jobs_have_ids_and_the_others_reasons(void **state)
{
    struct fixture *f = *state;
    const struct berth_submitted_item items[] = {
        { .id = 11 },
        { .refusal = { .code = BERTH_ECONFLICT, .field = "key", .message = "another body" } },
        { .id = 7, .is_existing = true },
        { .refusal = { .code = BERTH_EFULL, .field = "", .message = "full" } },
    };
    struct berth_effect effect = effect_of(BERTH_DO_SUBMITTED);
    effect.submitted = (struct berth_do_submitted){ .items = items, .count = 4 };

    Berth__V1__Submitted *m = sent(f, &effect, BERTH_SIDE_CLIENT)->submitted;

    assert_int_equal(m->n_id, 4);
    assert_int_equal(m->id[0], 11);
    assert_int_equal(m->id[1], 0);
    assert_int_equal(m->id[2], 7);
    assert_int_equal(m->n_is_existing, 4);
    assert_int_equal(m->is_existing[2], 1);
    assert_int_equal(m->n_refused, 2);
    assert_int_equal(m->refused[0], 1);
    assert_int_equal(m->refused[1], 3);
    assert_int_equal(m->refused_code[0], BERTH__V1__ERROR_CODE__ERROR_CONFLICT);
    assert_int_equal(m->refused_code[1], BERTH__V1__ERROR_CODE__ERROR_FULL);
    assert_bytes(m->refused_field[0], "key");
    assert_bytes(m->refused_message[1], "full");
}

static void waited_and_cancelled_jobs_have_states(void **state)
{
    struct fixture *f = *state;
    const struct berth_job_state states[] = {
        { .id = 1, .state = BERTH_COMPLETED },
        { .id = 2, .state = BERTH_DEAD, .code = -EALREADY },
    };
    const uint64_t unknown[] = { 99 };
    struct berth_effect effect = effect_of(BERTH_DO_WAITED);
    effect.waited = (struct berth_do_waited){
        .ended = states, .count = 2, .unknown = unknown, .unknown_count = 1, .pending = 3
    };
    Berth__V1__JobWaited *waited = sent(f, &effect, BERTH_SIDE_CLIENT)->job_waited;
    assert_int_equal(waited->n_id, 2);
    assert_int_equal(waited->id[1], 2);
    assert_int_equal(waited->state[1], BERTH__V1__JOB_STATE__JOB_STATE_DEAD);
    assert_int_equal(waited->n_unknown, 1);
    assert_int_equal(waited->unknown[0], 99);
    assert_int_equal(waited->pending, 3);

    effect = effect_of(BERTH_DO_CANCELLED);
    effect.cancelled = (struct berth_do_cancelled){ .items = states, .count = 2 };
    Berth__V1__JobCancelled *cancelled = sent(f, &effect, BERTH_SIDE_CLIENT)->job_cancelled;
    assert_int_equal(cancelled->n_id, 2);
    assert_int_equal(cancelled->code[0], 0);
    assert_int_equal(cancelled->code[1], BERTH__V1__ERROR_CODE__ERROR_ALREADY);
    assert_int_equal(cancelled->state[0], BERTH__V1__JOB_STATE__JOB_STATE_COMPLETED);
}

static struct berth_job_view view_of(uint64_t id)
{
    return (struct berth_job_view){
        .record = { .id = id,
                    .dispatcher = 1,
                    .handler = slice("mail"),
                    .state = BERTH_READY,
                    .submitted_us = 1000 },
        .dispatcher = slice("default"),
        .reason = slice(""),
        .max_attempts = 5,
    };
}

static void a_job_shows_what_there_is_and_leaves_out_the_rest(void **state)
{
    struct fixture *f = *state;
    struct berth_job_view views[] = { view_of(1), view_of(2) };
    views[1].record.state = BERTH_DEAD;
    views[1].record.attempt = 5;
    views[1].record.priority = -3;
    views[1].record.key = (struct berth_key){ .kind = BERTH_KEY_IDEMPOTENCY, .bytes = slice("k") };
    views[0].record.key = (struct berth_key){ .kind = BERTH_KEY_REQUEST, .bytes = slice("hidden") };
    views[1].record.run_at_us = 1500;
    views[1].record.finished_us = 3000;
    views[1].record.body = slice("body");
    views[1].reason = slice("dead");
    views[1].has_progress = true;
    views[1].progress_done = 3;
    views[1].progress_total = 10;
    views[1].record.last = (struct berth_attempt_record){ .id = SESSION(1),
                                                          .started_us = 2000,
                                                          .worker = slice("host-1"),
                                                          .result = slice("result"),
                                                          .error_kind = slice("exit"),
                                                          .error_message = slice("status 1") };
    const uint64_t unknown[] = { 3 };
    struct berth_effect effect = effect_of(BERTH_DO_JOBS);
    effect.jobs = (struct berth_do_jobs){
        .items = views, .count = 2, .unknown = unknown, .unknown_count = 1, .next = 2
    };

    Berth__V1__Jobs *m = sent(f, &effect, BERTH_SIDE_CLIENT)->jobs;

    assert_int_equal(m->n_job, 2);
    const Berth__V1__Job *a = m->job[0], *b = m->job[1];
    assert_int_equal(a->id, 1);
    assert_bytes(a->dispatcher, "default");
    assert_bytes(a->handler, "mail");
    assert_int_equal(a->state, BERTH__V1__JOB_STATE__JOB_STATE_READY);
    assert_int_equal(a->max_attempts, 5);
    assert_int_equal(a->submitted_us, 1000);
    assert_false(a->has_key || a->has_run_at_us || a->has_started_us || a->has_finished_us ||
                 a->has_worker || a->has_body || a->has_result || a->has_error_kind ||
                 a->has_progress_done);
    assert_int_equal(b->progress_done, 3);
    assert_int_equal(b->progress_total, 10);
    assert_int_equal(b->attempt, 5);
    assert_int_equal(b->priority, -3);
    assert_bytes(b->key, "k");
    assert_bytes(b->reason, "dead");
    assert_int_equal(b->run_at_us, 1500);
    assert_int_equal(b->started_us, 2000);
    assert_int_equal(b->finished_us, 3000);
    assert_bytes(b->worker, "host-1");
    assert_bytes(b->body, "body");
    assert_bytes(b->result, "result");
    assert_bytes(b->error_kind, "exit");
    assert_bytes(b->error_message, "status 1");
    assert_int_equal(m->unknown[0], 3);
    assert_int_equal(m->next, 2);
}

static void a_job_shows_its_options_if_it_has_any(void **state)
{
    struct fixture *f = *state;
    struct berth_job_view views[] = { view_of(1), view_of(2) };
    static const uint8_t after[] = { 0, 7, 0, 0, 0, 0, 0, 0, 0, 8, 1, 0, 0, 0, 0, 0, 0 };
    struct berth_job_record *record = &views[1].record;
    record->group = slice("tenant");
    record->parent = 77;
    record->deadline_us = 5000;
    record->queue_timeout_ms = 6;
    record->backoff_ms = 7;
    record->backoff_ms_max = 8;
    record->unique = slice("alice");
    record->after = (struct berth_slice){ after + 1, 16 }; /* wherever it lies */
    struct berth_effect effect = effect_of(BERTH_DO_JOBS);
    effect.jobs = (struct berth_do_jobs){ .items = views, .count = 2 };

    Berth__V1__Jobs *m = sent(f, &effect, BERTH_SIDE_CLIENT)->jobs;

    const Berth__V1__Job *a = m->job[0], *b = m->job[1];
    assert_false(a->has_group || a->has_parent || a->has_deadline_us || a->has_queue_timeout_ms ||
                 a->has_backoff_ms || a->has_backoff_max_ms || a->has_unique);
    assert_int_equal(a->n_after, 0);
    assert_bytes(b->group, "tenant");
    assert_int_equal(b->parent, 77);
    assert_int_equal(b->deadline_us, 5000);
    assert_int_equal(b->queue_timeout_ms, 6);
    assert_int_equal(b->backoff_ms, 7);
    assert_int_equal(b->backoff_max_ms, 8);
    assert_bytes(b->unique, "alice");
    assert_int_equal(b->n_after, 2);
    assert_int_equal(b->after[0], 7);
    assert_int_equal(b->after[1], 264);
}

static void output_says_whose_it_is_and_where_it_begins(void **state)
{
    struct fixture *f = *state;
    struct berth_effect effect = effect_of(BERTH_DO_JOB_OUTPUT);
    effect.job_output = (struct berth_do_job_output){
        .id = 5, .state = BERTH_RUNNING, .attempt = 2, .out_from = 70000, .out = slice("abc")
    };

    const Berth__V1__JobOutput *m = sent(f, &effect, BERTH_SIDE_CLIENT)->job_output;

    assert_int_equal(m->id, 5);
    assert_int_equal(m->state, BERTH__V1__JOB_STATE__JOB_STATE_RUNNING);
    assert_int_equal(m->attempt, 2);
    assert_false(m->is_over);
    assert_int_equal(m->out_from, 70000);
    assert_bytes(m->out, "abc");
    assert_int_equal(m->err_from, 0);
    assert_false(m->has_err);
}

static void jobs_that_do_not_fit_into_a_frame_are_left_for_the_next_one(void **state)
{
    struct fixture *f = *state;
    enum { COUNT = 40 };
    BERTH_AUTO_MEM char *body = calloc(1, BERTH_BODY_BYTES_MAX);
    struct berth_job_view views[COUNT];
    for (uint64_t i = 0; i < COUNT; i++) {
        views[i] = view_of(i + 1);
        views[i].record.body = (struct berth_slice){ .data = body, .bytes = BERTH_BODY_BYTES_MAX };
    }
    struct berth_effect effect = effect_of(BERTH_DO_JOBS);
    effect.jobs = (struct berth_do_jobs){ .items = views, .count = COUNT, .next = COUNT };

    Berth__V1__Jobs *m = sent(f, &effect, BERTH_SIDE_CLIENT)->jobs;

    assert_in_range(m->n_job, 10, 15);
    assert_int_equal(m->next, m->job[m->n_job - 1]->id);
}

static void an_evicted_body_is_left_out(void **state)
{
    struct fixture *f = *state;
    struct berth_job_view view = view_of(1);
    view.record.body = (struct berth_slice){ .data = NULL, .bytes = 100 };
    struct berth_effect effect = effect_of(BERTH_DO_JOBS);
    effect.jobs = (struct berth_do_jobs){ .items = &view, .count = 1 };

    Berth__V1__Jobs *m = sent(f, &effect, BERTH_SIDE_CLIENT)->jobs;

    assert_false(m->job[0]->has_body);
    assert_false(m->has_next);
}

static void dispatchers_have_settings_and_counts(void **state)
{
    struct fixture *f = *state;
    const struct berth_dispatcher_view views[] = {
        { .record = { .id = 1,
                      .name = "default",
                      .limit = { .kind = BERTH_LIMIT_CORES },
                      .max_attempts = 5,
                      .backoff_ms = 1000,
                      .backoff_ms_max = 600000,
                      .grace_ms = 5000 },
          .effective_limit = 8,
          .running = 2,
          .ready = 3,
          .scheduled = 4,
          .retrying = 5,
          .dead = 6,
          .completed_total = 7,
          .oldest_ready_us = 99 },
        { .record = { .id = 2,
                      .name = "all",
                      .limit = { .kind = BERTH_LIMIT_UNLIMITED },
                      .is_paused = true,
                      .max_attempts = 1,
                      .timeout_ms = 30 },
          .effective_limit = -1 },
    };
    struct berth_effect effect = effect_of(BERTH_DO_DISPATCHERS);
    effect.dispatchers = (struct berth_do_dispatchers){ .items = views, .count = 2 };

    Berth__V1__Dispatchers *m = sent(f, &effect, BERTH_SIDE_CLIENT)->dispatchers;

    assert_int_equal(m->n_dispatcher, 2);
    const Berth__V1__Dispatcher *a = m->dispatcher[0], *b = m->dispatcher[1];
    assert_bytes(a->name, "default");
    assert_int_equal(a->limit_kind, BERTH__V1__LIMIT_KIND__LIMIT_CORES);
    assert_int_equal(a->effective_limit, 8);
    assert_false(a->is_paused);
    assert_int_equal(a->running, 2);
    assert_int_equal(a->ready, 3);
    assert_int_equal(a->scheduled, 4);
    assert_int_equal(a->retrying, 5);
    assert_int_equal(a->dead, 6);
    assert_int_equal(a->completed_total, 7);
    assert_int_equal(a->oldest_ready_us, 99);
    assert_int_equal(a->max_attempts, 5);
    assert_int_equal(a->backoff_ms, 1000);
    assert_int_equal(a->backoff_max_ms, 600000);
    assert_int_equal(a->grace_ms, 5000);
    assert_false(b->has_effective_limit);
    assert_false(b->has_oldest_ready_us);
    assert_true(b->is_paused);
    assert_int_equal(b->timeout_ms, 30);
}

static void limits_of_a_dispatcher_are_shown(void **state)
{
    struct fixture *f = *state;
    const struct berth_dispatcher_view views[] = {
        { .record = { .id = 1,
                      .name = "news",
                      .limit = { .kind = BERTH_LIMIT_CORES },
                      .max_attempts = 5,
                      .parent = 2,
                      .weight = 3,
                      .group_limit = 4,
                      .rate_count = 5,
                      .rate_ms = 60000,
                      .burst = 6,
                      .max_queued = 7,
                      .hold = BERTH_HOLD_RUNNING,
                      .on_lost = BERTH_ON_LOST_HOLD,
                      .no_jitter = true,
                      .queue_timeout_ms = 8,
                      .deadline_ms = 9,
                      .retention_ms = 10,
                      .retention_count = 11,
                      .changed_us = 12,
                      .changed_by = "alice@host" },
          .parent = slice("default") },
        { .record = { .id = 2,
                      .name = "default",
                      .limit = { .kind = BERTH_LIMIT_CORES },
                      .max_attempts = 5,
                      .weight = 1,
                      .retention_ms = 1 } },
    };
    struct berth_effect effect = effect_of(BERTH_DO_DISPATCHERS);
    effect.dispatchers = (struct berth_do_dispatchers){ .items = views, .count = 2 };

    Berth__V1__Dispatchers *m = sent(f, &effect, BERTH_SIDE_CLIENT)->dispatchers;

    const Berth__V1__Dispatcher *a = m->dispatcher[0], *b = m->dispatcher[1];
    assert_bytes(a->parent, "default");
    assert_int_equal(a->weight, 3);
    assert_int_equal(a->group_limit, 4);
    assert_int_equal(a->rate_count, 5);
    assert_int_equal(a->rate_ms, 60000);
    assert_int_equal(a->burst, 6);
    assert_int_equal(a->max_queued, 7);
    assert_int_equal(a->hold, 1);
    assert_int_equal(a->on_lost, 1);
    assert_true(a->no_jitter);
    assert_int_equal(a->queue_timeout_ms, 8);
    assert_int_equal(a->deadline_ms, 9);
    assert_int_equal(a->retention_ms, 10);
    assert_int_equal(a->retention_count, 11);
    assert_int_equal(a->changed_us, 12);
    assert_bytes(a->changed_by, "alice@host");
    assert_false(b->has_parent || b->has_changed_us || b->has_changed_by);
    assert_int_equal(b->hold + b->on_lost, 0);
    assert_false(b->no_jitter);
}

static void workers_and_status_are_shown(void **state)
{
    struct fixture *f = *state;
    const struct berth_slice handlers[] = { slice("exec"), slice("mail") };
    const struct berth_worker_view view = {
        .session = SESSION(1),
        .name = slice("host-1"),
        .software = slice("berth-worker test"),
        .state = "joined",
        .capacity = 256,
        .running = 3,
        .suspended = 5,
        .cores = 4,
        .handlers = handlers,
        .handler_count = 2,
        .silent_ms = 17,
        .lease_left_ms = INT64_MAX,
    };
    struct berth_effect effect = effect_of(BERTH_DO_WORKERS);
    effect.workers = (struct berth_do_workers){ .items = &view, .count = 1 };
    const Berth__V1__Worker *worker = sent(f, &effect, BERTH_SIDE_CLIENT)->workers->worker[0];
    assert_int_equal(worker->session, SESSION(1));
    assert_bytes(worker->name, "host-1");
    assert_bytes(worker->state, "joined");
    assert_int_equal(worker->n_handlers, 2);
    assert_bytes(worker->handlers[1], "mail");
    assert_int_equal(worker->running, 3);
    assert_int_equal(worker->suspended, 5);
    assert_int_equal(worker->silent_ms, 17);
    assert_int_equal(worker->lease_left_ms, UINT32_MAX);

    effect = effect_of(BERTH_DO_STATUS);
    effect.status = (struct berth_do_status){ .epoch = 3,
                                              .uptime_ms = 5000,
                                              .recovering = 1,
                                              .recovery_left_ms = -4,
                                              .ready = 2,
                                              .suspended = 5,
                                              .workers = 6 };
    const Berth__V1__BrokerStatus *status = sent(f, &effect, BERTH_SIDE_CLIENT)->broker_status;
    assert_bytes(status->software, "berthd test");
    assert_int_equal(status->epoch, 3);
    assert_int_equal(status->uptime_ms, 5000);
    assert_int_equal(status->recovering, 1);
    assert_int_equal(status->recovery_left_ms, 0);
    assert_int_equal(status->ready, 2);
    assert_int_equal(status->suspended, 5);
    assert_int_equal(status->workers, 6);
    assert_int_equal(status->wal_bytes, 4096);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(an_error_has_code_field_and_sentence),
        TEST(submitted_jobs_have_ids_and_the_others_reasons),
        TEST(waited_and_cancelled_jobs_have_states),
        TEST(a_job_shows_what_there_is_and_leaves_out_the_rest),
        TEST(a_job_shows_its_options_if_it_has_any),
        TEST(output_says_whose_it_is_and_where_it_begins),
        TEST(jobs_that_do_not_fit_into_a_frame_are_left_for_the_next_one),
        TEST(an_evicted_body_is_left_out),
        TEST(dispatchers_have_settings_and_counts),
        TEST(limits_of_a_dispatcher_are_shown),
        TEST(workers_and_status_are_shown),
    };
    return berth_test_main(tests, NULL, NULL);
}
