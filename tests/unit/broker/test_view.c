/* SPDX-License-Identifier: MIT
 *
 * How jobs, dispatchers, workers and the broker are shown. Every job that waits says for what.
 */
#include "core_fixture.h"

#define assert_reason(f, job, wanted)                                                              \
    do {                                                                                           \
        struct berth_slice reason_ = shown(f, job)->reason;                                        \
        if (!slice_is(reason_, wanted))                                                            \
            fail_msg("'%.*s' is not '%s'", (int)reason_.bytes, (const char *)reason_.data,         \
                     (const char *)(wanted));                                                      \
    } while (0)

/* ---- reasons ---- */

static void a_job_that_waits_for_its_time_says_so(void **state)
{
    struct fixture *f = *state;
    uint64_t job = given_job(f, (struct submit){ .delay_ms = 5000 });

    assert_reason(f, job, "waits for its time");
    assert_int_equal(shown(f, job)->record.state, BERTH_SCHEDULED);
    assert_int_equal(shown(f, job)->record.run_at_us, f->wall_us + 5000000);
}

static void a_job_that_waits_for_its_next_attempt_says_so(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_worker(f, 4);
    uint64_t job = given_running(f, (struct submit){ 0 });
    report_end(f, w, attempt_of(f, job), job,
               (struct berth_attempt_end){ .outcome = BERTH_OUTCOME_FAILED, .retry_ms = 7000 });
    store_all(f);

    assert_reason(f, job, "waits for its next attempt");
    assert_int_equal(shown(f, job)->record.state, BERTH_RETRYING);
    assert_int_equal(shown(f, job)->record.failures, 1);
    assert_int_equal(shown(f, job)->record.run_at_us, f->wall_us + 7000000);
}

static void a_job_of_a_handler_that_nobody_offers_names_it(void **state)
{
    struct fixture *f = *state;
    given_worker(f, 4);

    assert_reason(f, given_job(f, (struct submit){ .handler = "rare" }),
                  "no connected worker offers handler 'rare'");
    assert_reason(f, given_job(f, (struct submit){ .handler = "exec" }),
                  "no connected worker allows commands (berth-worker --allow-exec)");
}

static void a_job_behind_a_limit_names_the_dispatcher_and_the_slots(void **state)
{
    struct fixture *f = *state;
    given_dispatcher(f, "mutex", 1);
    given_worker(f, 4);
    given_running(f, (struct submit){ .dispatcher = "mutex" });

    assert_reason(f, given_job(f, (struct submit){ .dispatcher = "mutex" }),
                  "the limit of mutex is reached: 1 of 1 slots in use");
}

static void a_job_for_which_no_worker_has_room_says_so(void **state)
{
    struct fixture *f = *state;
    given_dispatcher(f, "wide", 10);
    struct worker *w = given_worker(f, 1);
    given_running(f, (struct submit){ .dispatcher = "wide" });
    uint64_t job = given_job(f, (struct submit){ .dispatcher = "wide" });
    const char *full = "every worker that offers 'mail' is full, draining or not heard of";
    assert_reason(f, job, full);

    gone(f, w, BERTH_GONE_EXIT); /* and from that step on it is not there any more */
    assert_reason(f, job, "no connected worker offers handler 'mail'");
}

static void a_job_of_a_paused_dispatcher_is_ready_with_that_as_its_reason(void **state)
{
    struct fixture *f = *state;
    given_worker(f, 4);
    pause_dispatcher(f, "default", true);
    store_all(f);
    uint64_t job = given_job(f, (struct submit){ 0 });

    assert_reason(f, job, "dispatcher default is paused");
    assert_int_equal(shown(f, job)->record.state, BERTH_READY);
}

static void a_job_that_only_the_next_turn_can_start_is_about_to(void **state)
{
    struct fixture *f = *state;
    given_worker(f, 4);
    uint64_t request = submit(f, (struct submit){ 0 });
    store_one(f);

    assert_reason(f, submitted(f, request), "is about to start");
}

static void a_job_that_waits_for_lost_workers_names_the_last_of_them(void **state)
{
    struct fixture *f = *state;
    core_replace(f, (struct berth_core_opts){ 0 });
    struct berth_session_record one = { .id = 1, .nonce = { 1 }, .lease_ms = 9000, .name = "a" };
    struct berth_session_record two = { .id = 2, .nonce = { 2 }, .lease_ms = 9500, .name = "b" };
    assert_int_equal(berth_core_load_session(f->core, &two), 0);
    assert_int_equal(berth_core_load_session(f->core, &one), 0);
    core_start(f);
    uint64_t job = given_job(f, (struct submit){ 0 });
    advance(f, 2400);

    assert_reason(f, job, "waits for worker b to come back, at most 8 s");
    cancel(f, job);
    store_all(f);
    assert_reason(f, job, "waits for worker b to come back, at most 8 s");
    assert_int_equal(shown(f, job)->record.state, BERTH_CANCELLING);
    advance(f, 20000); /* the turn that sees it is still to come */
    assert_reason(f, job, "waits for worker b to come back, at most 0 s");
}

/* It is ready as far as the broker knows. */
static void what_a_lost_worker_may_run_says_so(void **state)
{
    struct fixture *f = *state;
    core_replace(f, (struct berth_core_opts){ 0 });
    const struct berth_session_record session = { .id = 1, .lease_ms = 9000, .name = "a" };
    const struct berth_dispatcher_record record = {
        .id = 1,
        .name = "default",
        .limit = { .kind = BERTH_LIMIT_NUMBER, .value = 9 },
        .max_attempts = 5,
    };
    struct berth_job_record job = row(f, 1, BERTH_READY);
    job.dispatcher = 1;
    assert_int_equal(berth_core_load_session(f->core, &session), 0);
    assert_int_equal(berth_core_load_dispatcher(f->core, &record), 0);
    assert_int_equal(berth_core_load_job(f->core, &job), 0);
    core_start(f);
    uint64_t fresh = given_job(f, (struct submit){ 0 });
    advance(f, 2400);

    assert_reason(f, 1, "may be running: worker a has not joined again yet (7 s at most)");
    assert_int_equal(shown(f, 1)->record.state, BERTH_READY);
    assert_reason(f, fresh, "waits for worker a to come back, at most 7 s");
}

static void a_running_job_needs_no_reason_until_it_is_told_to_stop(void **state)
{
    struct fixture *f = *state;
    given_worker(f, 4);
    uint64_t job = given_running(f, (struct submit){ 0 });
    assert_reason(f, job, "");

    cancel(f, job);

    assert_reason(f, job, "was told to stop");
    assert_int_equal(shown(f, job)->record.state, BERTH_CANCELLING);
    assert_true(shown(f, job)->record.is_cancelled);
}

static void a_job_that_does_not_stop_says_since_when(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_worker(f, 4);
    uint64_t job = given_running(f, (struct submit){ 0 });
    cancel(f, job);
    store_all(f);
    for (int i = 0; i < 4; i++) {
        advance(f, R_MS);
        renew(f, w);
        turn(f);
        if (i == 1)
            assert_reason(f, job, "was told to stop"); /* within its grace */
    }
    assert_reason(f, job,
                  "was told to stop 8 s ago, and does not answer; berth cancel --force ends the "
                  "process that runs it");

    step(f, (struct berth_event){ .type = BERTH_EV_CANCEL,
                                  .ids = { .peer = CLIENT,
                                           .request = ++f->request,
                                           .ids = &job,
                                           .count = 1,
                                           .is_forced = true } });
    assert_reason(f, job,
                  "was told to stop 8 s ago, and is being ended with the process that runs it");
}

static void an_ended_job_is_shown_as_its_row_says(void **state)
{
    struct fixture *f = *state;
    uint64_t id = 77, request = ask(f, BERTH_EV_JOB_GET, &id, 1);
    struct berth_job_record record = row(f, id, BERTH_DEAD);
    record.max_attempts = 3;
    record.last.worker = text("w9");

    answer_read(f, &record, 1);

    const struct berth_job_view *view = &answer(f, request, BERTH_DO_JOBS)->jobs.items[0];
    assert_int_equal(view->record.state, BERTH_DEAD);
    assert_int_equal(view->max_attempts, 3);
    assert_true(slice_is(view->record.last.worker, "w9"));
    assert_int_equal(view->reason.bytes, 0);
}

/* ---- dispatchers ---- */

static const struct berth_dispatcher_view *shown_dispatcher(struct fixture *f, const char *name)
{
    uint64_t request = query(f, BERTH_EV_DISPATCHER_GET, name);
    struct berth_ended_row counts[] = {
        { .dispatcher = 999, .dead = 1 },
        { .dispatcher = dispatcher(f, name)->record.id, .dead = 7, .completed_total = 8 },
    };
    assert_int_equal(get(f, BERTH_DO_READ)->read.type, BERTH_DO_READ_COUNTS);
    step(f, (struct berth_event){ .type = BERTH_EV_READ,
                                  .read = { .number = get(f, BERTH_DO_READ)->read.number,
                                            .counts = counts,
                                            .count_count = 2 } });
    const struct berth_do_dispatchers *dispatchers =
        &answer(f, request, BERTH_DO_DISPATCHERS)->dispatchers;
    assert_int_equal(dispatchers->count, 1);
    return &dispatchers->items[0];
}

static void a_dispatcher_shows_its_jobs_by_state_and_its_history(void **state)
{
    struct fixture *f = *state;
    given_dispatcher(f, "news", 2);
    struct worker *w = given_worker(f, 8);
    uint64_t failing = given_running(f, (struct submit){ .dispatcher = "news" });
    report_end(f, w, attempt_of(f, failing), failing,
               (struct berth_attempt_end){ .outcome = BERTH_OUTCOME_FAILED, .retry_ms = 60000 });
    store_all(f);
    given_job(f, (struct submit){ .dispatcher = "news", .delay_ms = 60000 });
    given_running(f, (struct submit){ .dispatcher = "news" });
    given_running(f, (struct submit){ .dispatcher = "news" });
    advance(f, 1000);
    given_job(f, (struct submit){ .dispatcher = "news" });
    int64_t oldest_us = f->wall_us;
    advance(f, 3000);
    given_job(f, (struct submit){ .dispatcher = "news", .priority = 5 });

    const struct berth_dispatcher_view *view = shown_dispatcher(f, "news");

    assert_string_equal(view->record.name, "news");
    assert_int_equal(view->effective_limit, 2);
    assert_int_equal(view->running, 2);
    assert_int_equal(view->ready, 2);
    assert_int_equal(view->scheduled, 1);
    assert_int_equal(view->retrying, 1);
    assert_int_equal(view->dead, 7);
    assert_int_equal(view->completed_total, 8);
    assert_int_equal(view->oldest_ready_us, oldest_us / 1000000 * 1000000);
}

static void an_unlimited_dispatcher_has_no_effective_limit(void **state)
{
    struct fixture *f = *state;
    set(f,
        (struct berth_ev_dispatcher_set){ .has_limit = true,
                                          .limit = { .kind = BERTH_LIMIT_UNLIMITED } },
        "free");
    store_all(f);

    assert_int_equal(shown_dispatcher(f, "free")->effective_limit, -1);
    assert_int_equal(shown_dispatcher(f, "free")->oldest_ready_us, 0);
    assert_int_equal(shown_dispatcher(f, "io")->effective_limit, 64);
}

static void all_dispatchers_are_shown_in_the_order_in_which_they_were_made(void **state)
{
    struct fixture *f = *state;
    given_dispatcher(f, "news", 2);
    uint64_t request = query(f, BERTH_EV_DISPATCHER_GET, "");
    answer_read(f, NULL, 0);

    const struct berth_do_dispatchers *all = &answer(f, request, BERTH_DO_DISPATCHERS)->dispatchers;
    assert_int_equal(all->count, 3);
    assert_string_equal(all->items[0].record.name, "default");
    assert_string_equal(all->items[1].record.name, "io");
    assert_string_equal(all->items[2].record.name, "news");
}

static void an_unknown_dispatcher_is_named(void **state)
{
    struct fixture *f = *state;
    uint64_t request = query(f, BERTH_EV_DISPATCHER_GET, "news");

    assert_int_equal(answer(f, request, BERTH_DO_ERROR)->error.code, BERTH_ENOTFOUND);
    assert_string_equal(answer(f, request, BERTH_DO_ERROR)->error.message,
                        "dispatcher 'news' does not exist");
}

/* ---- workers ---- */

static const struct berth_do_workers *shown_workers(struct fixture *f)
{
    uint64_t request = query(f, BERTH_EV_WORKER_LIST, "");
    return &answer(f, request, BERTH_DO_WORKERS)->workers;
}

static void a_worker_shows_what_it_offers_and_how_it_is(void **state)
{
    struct fixture *f = *state;
    struct worker *w = new_worker(f, 4);
    w->handlers[1] = "exec";
    given_joined(f, w);
    given_running(f, (struct submit){ 0 });
    advance(f, 1500);

    const struct berth_do_workers *workers = shown_workers(f);

    assert_int_equal(workers->count, 1);
    const struct berth_worker_view *view = &workers->items[0];
    assert_int_equal(view->session, w->session);
    assert_true(slice_is(view->name, w->name));
    assert_true(slice_is(view->software, "test"));
    assert_string_equal(view->state, "joined");
    assert_int_equal(view->capacity, 4);
    assert_int_equal(view->running, 1);
    assert_int_equal(view->cores, 2);
    assert_int_equal(view->handler_count, 2);
    assert_true(slice_is(view->handlers[1], "exec"));
    assert_int_equal(view->silent_ms, 1500);
    assert_int_equal(view->lease_left_ms, L_MS - 1500);
}

static void a_worker_is_draining_silent_or_recovering(void **state)
{
    struct fixture *f = *state;
    core_replace(f, (struct berth_core_opts){ 0 });
    struct berth_session_record record = { .id = 1, .nonce = { 77 }, .lease_ms = L_MS };
    assert_int_equal(berth_core_load_session(f->core, &record), 0);
    core_start(f);
    struct worker *draining = given_worker(f, 4), *silent = given_worker(f, 4),
                  *gone_one = given_worker(f, 4), *storing = new_worker(f, 4);
    draining->is_draining = true;
    send_reports(f, draining, (struct berth_ev_reports){ 0 });
    peer_gone(f, silent->peer);
    gone(f, gone_one, BERTH_GONE_EXIT);
    hello(f, storing);

    const struct berth_do_workers *workers = shown_workers(f);

    assert_int_equal(workers->count, 3);
    assert_string_equal(workers->items[0].state, "recovering");
    assert_string_equal(workers->items[1].state, "draining");
    assert_string_equal(workers->items[2].state, "silent");
}

/* ---- the broker ---- */

static void the_status_counts_jobs_sessions_and_recovery(void **state)
{
    struct fixture *f = *state;
    core_replace(f, (struct berth_core_opts){ 0 });
    struct berth_session_record record = { .id = 1, .nonce = { 77 }, .lease_ms = 9000 };
    assert_int_equal(berth_core_load_session(f->core, &record), 0);
    core_start(f);
    given_worker(f, 4);
    given_job(f, (struct submit){ 0 });
    given_job(f, (struct submit){ .delay_ms = 60000 });
    advance(f, 1000);
    uint64_t request = query(f, BERTH_EV_STATUS, "");
    struct berth_ended_row counts[] = { { .dispatcher = 1, .completed = 1, .dead = 2 },
                                        { .dispatcher = 2, .completed = 3, .cancelled = 4 } };
    step(f, (struct berth_event){ .type = BERTH_EV_READ,
                                  .read = { .number = get(f, BERTH_DO_READ)->read.number,
                                            .counts = counts,
                                            .count_count = 2 } });

    const struct berth_do_status *status = &answer(f, request, BERTH_DO_STATUS)->status;
    assert_int_equal(status->epoch, EPOCH);
    assert_int_equal(status->uptime_ms, 1000);
    assert_int_equal(status->recovering, 1);
    assert_int_equal(status->recovery_left_ms, 8000);
    assert_int_equal(status->ready, 1);
    assert_int_equal(status->scheduled, 1);
    assert_int_equal(status->completed, 4);
    assert_int_equal(status->dead, 2);
    assert_int_equal(status->cancelled, 4);
    assert_int_equal(status->workers, 1);
}

static void the_status_tells_running_from_cancelling_jobs(void **state)
{
    struct fixture *f = *state;
    given_worker(f, 4);
    given_running(f, (struct submit){ 0 });
    uint64_t job = given_running(f, (struct submit){ 0 });
    cancel(f, job);
    uint64_t request = query(f, BERTH_EV_STATUS, "");
    answer_read(f, NULL, 0);

    const struct berth_do_status *status = &answer(f, request, BERTH_DO_STATUS)->status;
    assert_int_equal(status->running, 1);
    assert_int_equal(status->cancelling, 1);
    assert_int_equal(status->recovering, 0);
    assert_int_equal(status->recovery_left_ms, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, core_setup, core_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_job_that_waits_for_its_time_says_so),
        TEST(a_job_that_waits_for_its_next_attempt_says_so),
        TEST(a_job_of_a_handler_that_nobody_offers_names_it),
        TEST(a_job_behind_a_limit_names_the_dispatcher_and_the_slots),
        TEST(a_job_for_which_no_worker_has_room_says_so),
        TEST(a_job_of_a_paused_dispatcher_is_ready_with_that_as_its_reason),
        TEST(a_job_that_only_the_next_turn_can_start_is_about_to),
        TEST(a_job_that_waits_for_lost_workers_names_the_last_of_them),
        TEST(what_a_lost_worker_may_run_says_so),
        TEST(a_running_job_needs_no_reason_until_it_is_told_to_stop),
        TEST(a_job_that_does_not_stop_says_since_when),
        TEST(an_ended_job_is_shown_as_its_row_says),
        TEST(a_dispatcher_shows_its_jobs_by_state_and_its_history),
        TEST(an_unlimited_dispatcher_has_no_effective_limit),
        TEST(all_dispatchers_are_shown_in_the_order_in_which_they_were_made),
        TEST(an_unknown_dispatcher_is_named),
        TEST(a_worker_shows_what_it_offers_and_how_it_is),
        TEST(a_worker_is_draining_silent_or_recovering),
        TEST(the_status_counts_jobs_sessions_and_recovery),
        TEST(the_status_tells_running_from_cancelling_jobs),
    };
    return berth_test_main(tests, NULL, NULL);
}
