/* SPDX-License-Identifier: MIT */
/* Jobs in which the process that ran them may have died: who is one, where they run, when they are
 * dead. */
#include "core_fixture.h"

#include "broker/core/worker/suspect.h"

/* A worker with a keeper that starts processes for suspects. */
static struct worker *given_keeper_worker(struct fixture *f)
{
    struct worker *w = new_worker(f, 4);
    w->can_start_alone = true;
    given_joined(f, w);
    return w;
}

/* Such a process of that worker. */
static struct worker *given_alone(struct fixture *f, const struct worker *of)
{
    struct worker *w = new_worker(f, 1);
    w->is_alone = true;
    w->name = of->name;
    given_joined(f, w);
    return w;
}

/* Its process dies while these run; `culprit`: the job that is named, or 0. */
static void dies(struct fixture *f, struct worker *w, const uint64_t *jobs, size_t count,
                 uint64_t culprit)
{
    uint64_t attempts[4] = { 0 };
    for (size_t i = 0; i < count; i++)
        attempts[i] = attempt_of(f, jobs[i]);
    gone_with(f, w,
              (struct berth_ev_gone){ .cause = culprit ? BERTH_GONE_SIGNAL : BERTH_GONE_EXIT,
                                      .attempts = attempts,
                                      .jobs = jobs,
                                      .count = count,
                                      .culprit = culprit ? attempt_of(f, culprit) : 0 });
}

static bool is_suspect(const struct fixture *f, uint64_t job)
{
    return job_of(f, job)->flags & JOB_IS_SUSPECT;
}

/* How many processes this worker was asked for. */
static uint32_t asked(const struct fixture *f, const struct worker *w)
{
    uint32_t count = 0;
    for (size_t i = 0; i < f->said_count; i++)
        if (f->said[i].type == BERTH_DO_ORDERS && f->said[i].peer == w->peer)
            count += f->said[i].orders.start_alone;
    return count;
}

/* A job that is a suspect and waits; the worker that ran it, the only one then, is gone. */
static uint64_t given_suspect(struct fixture *f, struct submit item)
{
    struct worker *w = given_worker(f, 4);
    uint64_t job = given_running(f, item);
    dies(f, w, &job, 1, 0);
    store_all(f);
    return job;
}

/* ---- who is one ---- */

static void the_one_that_is_named_is_a_suspect_and_its_neighbours_are_only_lost(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_worker(f, 4);
    uint64_t jobs[] = { given_running(f, (struct submit){ 0 }),
                        given_running(f, (struct submit){ 0 }) };

    dies(f, w, jobs, 2, jobs[1]);

    assert_true(close_batch(f));
    const struct berth_retry_record *lost = &record_away(f, BERTH_RECORD_RETRY, jobs[0])->retry;
    const struct berth_retry_record *named = &record_away(f, BERTH_RECORD_RETRY, jobs[1])->retry;
    assert_false(lost->is_suspect);
    assert_int_equal(lost->deaths, 0);
    assert_true(slice_is(lost->last.error_kind, "lost"));
    assert_true(named->is_suspect);
    assert_int_equal(named->deaths, 1);
    assert_int_equal(named->failures, 0);
    assert_true(slice_is(named->last.error_kind, "crash"));
    complete(f, STORED);
    struct worker *other = given_worker(f, 4);
    assert_int_equal(grants_to(f, other), 1);
    assert_int_equal(grant_of(f, jobs[0])->number, 2);
}

static void when_nobody_is_named_all_that_ran_are_suspects_and_no_death_counts(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_worker(f, 4);
    uint64_t jobs[] = { given_running(f, (struct submit){ 0 }),
                        given_running(f, (struct submit){ 0 }) };

    dies(f, w, jobs, 2, 0);
    store_all(f);

    for (size_t i = 0; i < 2; i++) {
        assert_true(is_suspect(f, jobs[i]));
        assert_int_equal(job_of(f, jobs[i])->deaths, 0);
        assert_int_equal(job_of(f, jobs[i])->failures, 0);
    }
}

static void what_had_not_begun_is_no_suspect(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_worker(f, 4);
    uint64_t ran = given_running(f, (struct submit){ 0 });
    uint64_t granted = given_running(f, (struct submit){ 0 });

    dies(f, w, &ran, 1, 0);
    store_all(f);

    assert_true(is_suspect(f, ran));
    assert_false(is_suspect(f, granted));
}

static void a_lost_host_and_an_end_by_the_keeper_blame_nobody(void **state)
{
    struct fixture *f = *state;
    static const enum berth_gone_cause causes[] = { BERTH_GONE_LEASE, BERTH_GONE_FENCED,
                                                    BERTH_GONE_DRAIN };
    uint64_t job = given_job(f, (struct submit){ 0 });
    for (size_t i = 0; i < 3; i++) {
        struct worker *w = given_worker(f, 4);
        uint64_t attempt = attempt_of(f, job);
        gone_with(f, w,
                  (struct berth_ev_gone){ .cause = causes[i],
                                          .attempts = &attempt,
                                          .jobs = &job,
                                          .count = 1,
                                          .culprit = attempt });
        store_all(f);
    }
    struct worker *w = given_worker(f, 4);
    turn_after(f, L_MS);
    store_all(f);

    assert_null(session_of(f, w));
    assert_false(is_suspect(f, job));
    assert_int_equal(job_of(f, job)->deaths, 0);
}

static void a_cancelled_job_ends_cancelled_whatever_died_of_it(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_worker(f, 4);
    uint64_t job = given_running(f, (struct submit){ 0 });
    (void)cancel(f, job);
    store_all(f);

    dies(f, w, &job, 1, job);

    assert_true(close_batch(f));
    assert_int_equal(record_away(f, BERTH_RECORD_END, job)->end.state, BERTH_CANCELLED);
}

static void what_a_liar_lists_changes_nothing(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_worker(f, 1), *liar = given_worker(f, 1);
    uint64_t job = given_running(f, (struct submit){ 0 }), attempt = attempt_of(f, job);
    struct worker *runs = grants_to(f, w) ? w : liar, *other = runs == w ? liar : w;
    uint64_t attempts[] = { attempt, attempt + 77 }, jobs[] = { job, 123456 };

    gone_with(f, other,
              (struct berth_ev_gone){ .cause = BERTH_GONE_SIGNAL,
                                      .attempts = attempts,
                                      .jobs = jobs,
                                      .count = 2,
                                      .culprit = attempt });
    store_all(f);

    assert_int_equal(job_of(f, job)->state, JOB_RUNNING);
    assert_int_equal(session_of(f, runs)->attempt_count, 1);
    gone(f, runs, BERTH_GONE_LEASE);
    assert_true(close_batch(f));
    assert_false(record_away(f, BERTH_RECORD_RETRY, job)->retry.is_suspect);
}

/* ---- dead ---- */

static void at_the_second_death_of_its_own_a_job_is_dead(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_keeper_worker(f);
    uint64_t job = given_running(f, (struct submit){ .max_attempts = 1 });
    dies(f, w, &job, 1, job);
    store_all(f);
    struct worker *alone = given_alone(f, w);

    dies(f, alone, &job, 1, job);

    assert_true(close_batch(f));
    const struct berth_end_record *end = &record_away(f, BERTH_RECORD_END, job)->end;
    assert_int_equal(end->state, BERTH_DEAD);
    assert_int_equal(end->deaths, 2);
    assert_int_equal(end->failures, 0);
    assert_int_equal(end->attempt, 2);
    assert_true(slice_is(end->last.error_kind, "crash"));
}

static void a_suspect_that_completes_alone_is_like_any_other(void **state)
{
    struct fixture *f = *state;
    uint64_t job = given_suspect(f, (struct submit){ 0 });
    struct worker *w = given_keeper_worker(f);
    struct worker *alone = given_alone(f, w);

    report(f, alone, job, BERTH_OUTCOME_COMPLETED);

    assert_true(close_batch(f));
    assert_int_equal(record_away(f, BERTH_RECORD_END, job)->end.state, BERTH_COMPLETED);
}

static void a_suspect_that_fails_stays_one(void **state)
{
    struct fixture *f = *state;
    uint64_t job = given_suspect(f, (struct submit){ 0 });
    struct worker *w = given_keeper_worker(f);
    struct worker *alone = given_alone(f, w);

    report(f, alone, job, BERTH_OUTCOME_FAILED);

    assert_true(close_batch(f));
    assert_true(record_away(f, BERTH_RECORD_RETRY, job)->retry.is_suspect);
    complete(f, STORED);
}

/* Its deaths are forgiven, but not forgotten. */
static void one_that_died_and_is_retried_by_hand_is_a_suspect(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_keeper_worker(f), *alone = given_alone(f, w);
    uint64_t job = given_job(f, (struct submit){ .max_attempts = 1 });
    report(f, w, job, BERTH_OUTCOME_FAILED);
    store_all(f);
    struct berth_job_record dead = row(f, job, BERTH_DEAD);
    dead.attempt = 2;
    dead.deaths = 2;

    (void)ask(f, BERTH_EV_RETRY, &job, 1);
    answer_read(f, &dead, 1);
    store_all(f);

    assert_true(is_suspect(f, job));
    assert_int_equal(job_of(f, job)->deaths, 0);
    assert_int_equal(grants_to(f, alone), 1);
}

/* ---- where they run ---- */

static void a_suspect_is_given_to_a_process_of_its_own_alone(void **state)
{
    struct fixture *f = *state;
    uint64_t job = given_suspect(f, (struct submit){ 0 });
    struct worker *w = given_keeper_worker(f);
    uint64_t other = given_job(f, (struct submit){ 0 });
    assert_int_equal(grants_to(f, w), 1); /* of the other */

    struct worker *alone = given_alone(f, w);

    assert_int_equal(grants_to(f, w), 1);
    assert_int_equal(grants_to(f, alone), 1);
    assert_int_equal(grant_of(f, job)->number, 2);
    assert_true(slice_is(grant_of(f, job)->handler, "mail")); /* by its name */
    assert_int_equal(grant_of(f, other)->number, 1);
}

static void a_process_for_suspects_gets_nothing_else(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_keeper_worker(f);
    struct worker *alone = given_alone(f, w);
    gone(f, w, BERTH_GONE_DRAIN);

    uint64_t job = given_job(f, (struct submit){ 0 });

    assert_int_equal(grants_to(f, alone), 0);
    assert_true(slice_is(shown(f, job)->reason, "no connected worker offers handler 'mail'"));
}

static void a_worker_with_a_keeper_is_asked_for_a_process(void **state)
{
    struct fixture *f = *state;
    given_suspect(f, (struct submit){ 0 });
    struct worker *embedded = given_worker(f, 4), *w = given_keeper_worker(f);

    assert_int_equal(asked(f, w), 1);
    assert_int_equal(asked(f, embedded), 0);
}

static void a_worker_without_the_handler_or_that_drains_is_not_asked(void **state)
{
    struct fixture *f = *state;
    struct worker *draining = given_keeper_worker(f), *other = new_worker(f, 4);
    draining->is_draining = true;
    send_reports(f, draining, (struct berth_ev_reports){ 0 });
    other->can_start_alone = true;
    other->handlers[0] = "post";
    given_joined(f, other);

    uint64_t job = given_suspect(f, (struct submit){ 0 });

    assert_int_equal(asked(f, draining) + asked(f, other), 0);
    assert_true(slice_is(shown(f, job)->reason,
                         "its worker's process may have died of it, and no connected worker can "
                         "run 'mail' in a process of its own"));
    struct worker *w = given_keeper_worker(f); /* it comes later */
    assert_int_equal(asked(f, w), 1);
    assert_true(slice_is(shown(f, job)->reason,
                         "its worker's process may have died of it: it waits for one of its own"));
}

/* Each process is asked for when the one before has come, and again when it does not come. */
static void a_worker_is_asked_for_one_after_the_other_and_has_four_at_most(void **state)
{
    struct fixture *f = *state;
    set_limit(f, "default", 100);
    store_all(f);
    for (int i = 0; i < 6; i++)
        given_suspect(f, (struct submit){ 0 });
    struct worker *w = given_keeper_worker(f);
    assert_int_equal(asked(f, w), 1);
    renew(f, w);
    turn_after(f, SUSPECT_ASK_WAIT_MS - 1000);
    renew(f, w);
    assert_int_equal(asked(f, w), 1);
    turn_after(f, 1000);
    assert_int_equal(asked(f, w), 2);

    struct worker *alone = NULL;
    for (uint32_t i = 1; i <= SUSPECT_ALONE_MAX; i++) {
        alone = given_alone(f, w);
        assert_int_equal(grants_to(f, alone), 1);
        assert_int_equal(asked(f, w), i < SUSPECT_ALONE_MAX ? 2 + i : 1 + SUSPECT_ALONE_MAX);
    }
    gone(f, alone, BERTH_GONE_DRAIN);
    store_all(f);
    assert_int_equal(asked(f, w), 2 + SUSPECT_ALONE_MAX);
}

static void whoever_was_asked_in_vain_is_asked_again_without_other_news(void **state)
{
    struct fixture *f = *state;
    given_suspect(f, (struct submit){ 0 });
    given_keeper_worker(f);

    int64_t due_ms = berth_core_next_deadline_ms(f->core, f->now_ms, f->wall_us);
    assert_true(due_ms <= f->now_ms + SUSPECT_ASK_WAIT_MS);
    assert_int_equal(f->core->alone_again_ms, f->now_ms + SUSPECT_ASK_WAIT_MS);
}

/* However often it was looked meanwhile. */
static void other_suspects_that_come_do_not_put_off_the_next_question(void **state)
{
    struct fixture *f = *state;
    struct worker *one = given_worker(f, 1);
    uint64_t first = given_running(f, (struct submit){ 0 });
    struct worker *other = given_worker(f, 1);
    uint64_t second = given_running(f, (struct submit){ 0 });
    dies(f, one, &first, 1, 0);
    store_all(f);
    struct worker *w = given_keeper_worker(f);
    int64_t asked_ms = f->now_ms;
    assert_int_equal(asked(f, w), 1);

    turn_after(f, SUSPECT_ASK_WAIT_MS / 2);
    dies(f, other, &second, 1, 0);
    store_all(f);

    assert_true(is_suspect(f, second));
    assert_int_equal(f->core->alone_again_ms, asked_ms + SUSPECT_ASK_WAIT_MS);
}

static void suspects_keep_their_group_and_their_order(void **state)
{
    struct fixture *f = *state;
    set_limit(f, "default", 1);
    store_all(f);
    uint64_t late = given_suspect(f, (struct submit){ .group = "a" });
    uint64_t urgent = given_suspect(f, (struct submit){ .group = "b", .priority = 9 });
    struct worker *w = given_keeper_worker(f);

    struct worker *one = given_alone(f, w), *two = given_alone(f, w);

    assert_non_null(grant_of(f, urgent));
    assert_int_equal(grants_to(f, one) + grants_to(f, two), 1);
    assert_int_equal(job_of(f, urgent)->state, JOB_RUNNING);
    assert_int_equal(job_of(f, late)->state, JOB_READY);
    assert_int_equal(dispatcher(f, "default")->running, 1);
}

/* Who took the slot meanwhile keeps it; the next one is the suspect's. */
static void a_suspect_goes_before_those_that_came_while_it_ran(void **state)
{
    struct fixture *f = *state;
    given_dispatcher(f, "one", 1);
    struct worker *w = given_keeper_worker(f);
    uint64_t first = given_running(f, (struct submit){ .dispatcher = "one" });
    uint64_t second = given_job(f, (struct submit){ .dispatcher = "one" });
    uint64_t third = given_job(f, (struct submit){ .dispatcher = "one" });
    advance(f, 5000);
    dies(f, w, &first, 1, 0);
    store_all(f);
    w = given_keeper_worker(f);
    given_alone(f, w);
    assert_non_null(grant_of(f, second));

    report(f, w, second, BERTH_OUTCOME_COMPLETED);
    store_all(f);

    assert_int_equal(grant_of(f, first)->number, 2);
    assert_null(grant_of(f, third));
}

static void a_process_for_suspects_is_no_worker_more_and_adds_no_cores(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_keeper_worker(f);
    uint64_t cores = f->core->cores;

    given_alone(f, w);

    assert_int_equal(f->core->cores, cores);
    uint64_t request = query(f, BERTH_EV_STATUS, "");
    answer_read(f, NULL, 0);
    assert_int_equal(answer(f, request, BERTH_DO_STATUS)->status.workers, 1);
    const struct berth_do_workers *workers =
        &answer(f, query(f, BERTH_EV_WORKER_LIST, ""), BERTH_DO_WORKERS)->workers;
    assert_int_equal(workers->count, 2);
    assert_string_equal(workers->items[1].state, "alone");
    assert_true(slice_is(workers->items[1].handlers[0], "mail"));
}

/* ---- restarts ---- */

/* A broker that comes back to this job, and to a session that is missing. */
static struct worker *given_stored(struct fixture *f, const struct berth_job_record *job)
{
    core_replace(f, (struct berth_core_opts){ 0 });
    struct worker *w = new_worker(f, 4);
    w->session = (uint64_t)(EPOCH - 1) << 40 | 1;
    struct berth_dispatcher_record record = { .id = 1,
                                              .name = "default",
                                              .limit = { .kind = BERTH_LIMIT_NUMBER, .value = 4 },
                                              .max_attempts = 5 };
    struct berth_session_record session = {
        .id = w->session, .nonce = { w->nonce }, .child = 1, .lease_ms = L_MS, .name = "loaded"
    };
    assert_int_equal(berth_core_load_dispatcher(f->core, &record), 0);
    assert_int_equal(berth_core_load_session(f->core, &session), 0);
    assert_int_equal(berth_core_load_job(f->core, job), 0);
    core_start(f);
    return w;
}

#define OLD_ATTEMPT ((uint64_t)(EPOCH - 1) << 40 | 7)

static struct worker *given_old_job(struct fixture *f, uint32_t attempt, bool is_retrying)
{
    struct berth_job_record record = {
        .id = 1, .dispatcher = 1, .handler = text("mail"), .state = BERTH_READY, .body = text("b")
    };
    record.attempt = attempt;
    if (is_retrying) {
        record.state = BERTH_RETRYING;
        record.run_at_us = f->wall_us + 60 * SECOND_US;
    }
    return given_stored(f, &record);
}

static void an_old_attempt_died(struct fixture *f, struct worker *w, uint32_t number)
{
    uint64_t attempt = OLD_ATTEMPT, job = 1;
    gone_with(f, w,
              (struct berth_ev_gone){ .cause = BERTH_GONE_SIGNAL,
                                      .attempts = &attempt,
                                      .jobs = &job,
                                      .numbers = &number,
                                      .count = 1,
                                      .culprit = attempt });
}

static void deaths_that_only_the_keeper_saw_are_counted_and_stored(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_old_job(f, 2, true);

    an_old_attempt_died(f, w, 3);

    assert_true(close_batch(f));
    const struct berth_retry_record *retry = &record_away(f, BERTH_RECORD_RETRY, 1)->retry;
    assert_int_equal(retry->deaths, 1);
    assert_int_equal(retry->attempt, 3);
    assert_true(retry->is_suspect);
    assert_int_equal(retry->last.id, OLD_ATTEMPT);
    complete(f, STORED);
    assert_int_equal(job_of(f, 1)->state, JOB_READY);
    assert_int_equal(dispatcher(f, "default")->running, 0);
    struct worker *fresh = given_keeper_worker(f), *alone = given_alone(f, fresh);
    assert_int_equal(grants_to(f, alone), 1);
    assert_int_equal(grant_of(f, 1)->number, 4);
}

static void deaths_that_are_stored_are_not_counted_again(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_old_job(f, 3, false);

    an_old_attempt_died(f, w, 3);
    store_all(f);

    assert_int_equal(job_of(f, 1)->deaths, 0);
    assert_false(is_suspect(f, 1));
    assert_int_equal(job_of(f, 1)->attempt_number, 3);
}

static void a_suspect_is_one_for_the_next_broker(void **state)
{
    struct fixture *f = *state;
    struct berth_job_record record = { .id = 1,
                                       .dispatcher = 1,
                                       .handler = text("mail"),
                                       .state = BERTH_READY,
                                       .attempt = 1,
                                       .deaths = 1,
                                       .is_suspect = true,
                                       .body = text("b") };
    gone(f, given_stored(f, &record), BERTH_GONE_LEASE);
    store_all(f);
    struct worker *other = given_worker(f, 4), *keeper = given_keeper_worker(f);
    assert_int_equal(grants_to(f, other) + grants_to(f, keeper), 0);
    assert_int_equal(asked(f, keeper), 1);

    struct worker *alone = given_alone(f, keeper);
    assert_int_equal(grants_to(f, alone), 1);
    uint64_t job = 1;
    dies(f, alone, &job, 1, job);

    assert_true(close_batch(f));
    assert_int_equal(record_away(f, BERTH_RECORD_END, 1)->end.state, BERTH_DEAD);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, core_setup, core_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_one_that_is_named_is_a_suspect_and_its_neighbours_are_only_lost),
        TEST(when_nobody_is_named_all_that_ran_are_suspects_and_no_death_counts),
        TEST(what_had_not_begun_is_no_suspect),
        TEST(a_lost_host_and_an_end_by_the_keeper_blame_nobody),
        TEST(a_cancelled_job_ends_cancelled_whatever_died_of_it),
        TEST(what_a_liar_lists_changes_nothing),
        TEST(at_the_second_death_of_its_own_a_job_is_dead),
        TEST(a_suspect_that_completes_alone_is_like_any_other),
        TEST(a_suspect_that_fails_stays_one),
        TEST(one_that_died_and_is_retried_by_hand_is_a_suspect),
        TEST(a_suspect_is_given_to_a_process_of_its_own_alone),
        TEST(a_process_for_suspects_gets_nothing_else),
        TEST(a_worker_with_a_keeper_is_asked_for_a_process),
        TEST(a_worker_without_the_handler_or_that_drains_is_not_asked),
        TEST(a_worker_is_asked_for_one_after_the_other_and_has_four_at_most),
        TEST(whoever_was_asked_in_vain_is_asked_again_without_other_news),
        TEST(other_suspects_that_come_do_not_put_off_the_next_question),
        TEST(suspects_keep_their_group_and_their_order),
        TEST(a_suspect_goes_before_those_that_came_while_it_ran),
        TEST(a_process_for_suspects_is_no_worker_more_and_adds_no_cores),
        TEST(deaths_that_only_the_keeper_saw_are_counted_and_stored),
        TEST(deaths_that_are_stored_are_not_counted_again),
        TEST(a_suspect_is_one_for_the_next_broker),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
