/* SPDX-License-Identifier: MIT
 *
 * Dispatchers: the built-in ones, settings, limits that change while jobs flow, pause.
 */
#include "broker/core/dispatcher/dispatcher.h"

#include "core_fixture.h"

static uint64_t limit(const struct fixture *f, const char *name)
{
    return dispatcher_limit(f->core, dispatcher(f, name));
}

/* ---- making ---- */

static void default_and_io_are_always_there_and_stored(void **state)
{
    struct fixture *f = *state;
    core_replace(f, (struct berth_core_opts){ 0 });
    core_start(f);
    assert_true(close_batch(f));

    assert_int_equal(f->away->count, 2);
    assert_string_equal(f->away->records[0].dispatcher.name, "default");
    assert_int_equal(f->away->records[0].dispatcher.limit.kind, BERTH_LIMIT_CORES);
    assert_string_equal(f->away->records[1].dispatcher.name, "io");
    assert_int_equal(f->away->records[1].dispatcher.limit.kind, BERTH_LIMIT_MAX_CORES);
    assert_int_equal(f->away->records[1].dispatcher.limit.value, 64);
}

static void what_the_store_has_of_the_built_in_ones_is_left_as_it_is(void **state)
{
    struct fixture *f = *state;
    core_replace(f, (struct berth_core_opts){ 0 });
    struct berth_dispatcher_record io = { .id = 9,
                                          .name = "io",
                                          .limit = { .kind = BERTH_LIMIT_NUMBER, .value = 3 } };
    assert_int_equal(berth_core_load_dispatcher(f->core, &io), 0);
    core_start(f);
    assert_true(close_batch(f));

    assert_int_equal(f->away->count, 1);
    assert_int_equal(f->away->records[0].dispatcher.id, 10); /* ids are never used again */
    assert_int_equal(limit(f, "io"), 3);
}

static void a_new_dispatcher_has_the_defaults_but_for_what_is_set(void **state)
{
    struct fixture *f = *state;
    set(f,
        (struct berth_ev_dispatcher_set){ .has_limit = true,
                                          .limit = { .kind = BERTH_LIMIT_NUMBER, .value = 5 },
                                          .has_timeout = true,
                                          .timeout_ms = 30000 },
        "news");
    assert_true(close_batch(f));

    const struct berth_dispatcher_record *record = &f->away->records[0].dispatcher;
    assert_int_equal(record->limit.value, 5);
    assert_int_equal(record->max_attempts, 5);
    assert_int_equal(record->backoff_ms, 1000);
    assert_int_equal(record->backoff_ms_max, 600000);
    assert_int_equal(record->timeout_ms, 30000);
    assert_int_equal(record->grace_ms, 5000);
    assert_false(record->is_paused);
    assert_int_equal(record->parent, 0);
    assert_int_equal(record->weight, 1);
    assert_int_equal(record->group_limit + record->rate_count + record->burst + record->max_queued +
                         record->hold + record->on_lost,
                     0);
    assert_false(record->no_jitter);
    assert_int_equal(record->rate_ms + record->queue_timeout_ms + record->deadline_ms, 0);
    assert_int_equal(record->retention_ms, INT64_C(7) * 24 * 3600 * 1000);
    assert_int_equal(record->retention_count, 100000);
}

static void a_new_dispatcher_needs_a_limit(void **state)
{
    struct fixture *f = *state;

    uint64_t request =
        set(f, (struct berth_ev_dispatcher_set){ .has_grace = true, .grace_ms = 1 }, "news");

    const struct berth_do_error *error = &answer(f, request, BERTH_DO_ERROR)->error;
    assert_int_equal(error->code, BERTH_ENOTFOUND);
    assert_string_equal(error->field, "limit");
    assert_string_equal(error->message,
                        "dispatcher 'news' does not exist: a new one needs a limit");
    assert_false(close_batch(f));
}

static void only_what_is_given_is_changed(void **state)
{
    struct fixture *f = *state;
    given_dispatcher(f, "news", 5);
    set(f,
        (struct berth_ev_dispatcher_set){ .has_max_attempts = true,
                                          .max_attempts = 2,
                                          .has_backoff = true,
                                          .backoff_ms = 10,
                                          .has_backoff_max = true,
                                          .backoff_ms_max = 20,
                                          .has_grace = true,
                                          .grace_ms = 30 },
        "news");
    assert_true(close_batch(f));

    const struct berth_dispatcher_record *record = &f->away->records[0].dispatcher;
    assert_int_equal(record->limit.value, 5);
    assert_int_equal(record->max_attempts, 2);
    assert_int_equal(record->backoff_ms, 10);
    assert_int_equal(record->backoff_ms_max, 20);
    assert_int_equal(record->grace_ms, 30);
}

static void all_settings_are_kept_as_they_were_given(void **state)
{
    struct fixture *f = *state;
    given_dispatcher(f, "news", 5);
    set(f,
        (struct berth_ev_dispatcher_set){ .has_parent = true,
                                          .parent = text("default"),
                                          .has_weight = true,
                                          .weight = 7,
                                          .has_group_limit = true,
                                          .group_limit = 2,
                                          .has_rate = true,
                                          .rate_count = 100,
                                          .rate_ms = 60000,
                                          .has_burst = true,
                                          .burst = 10,
                                          .has_max_queued = true,
                                          .max_queued = 1000,
                                          .has_hold = true,
                                          .hold = BERTH_HOLD_RUNNING,
                                          .has_on_lost = true,
                                          .on_lost = BERTH_ON_LOST_HOLD,
                                          .has_jitter = true,
                                          .no_jitter = true,
                                          .has_queue_timeout = true,
                                          .queue_timeout_ms = 300000,
                                          .has_deadline = true,
                                          .deadline_ms = 3600000,
                                          .has_retention = true,
                                          .retention_ms = 1,
                                          .has_retention_count = true,
                                          .retention_count = 0,
                                          .changed_by = text("alice@host") },
        "news");
    assert_true(close_batch(f));

    const struct berth_dispatcher_record *record = &f->away->records[0].dispatcher;
    assert_int_equal(record->limit.value, 5);
    assert_int_equal(record->parent, dispatcher(f, "default")->record.id);
    assert_int_equal(record->weight, 7);
    assert_int_equal(record->group_limit, 2);
    assert_int_equal(record->rate_count, 100);
    assert_int_equal(record->rate_ms, 60000);
    assert_int_equal(record->burst, 10);
    assert_int_equal(record->max_queued, 1000);
    assert_int_equal(record->hold, BERTH_HOLD_RUNNING);
    assert_int_equal(record->on_lost, BERTH_ON_LOST_HOLD);
    assert_true(record->no_jitter);
    assert_int_equal(record->queue_timeout_ms, 300000);
    assert_int_equal(record->deadline_ms, 3600000);
    assert_int_equal(record->retention_ms, 1);
    assert_int_equal(record->retention_count, 0);
    assert_string_equal(record->changed_by, "alice@host");
    assert_int_equal(record->changed_us, f->wall_us);
}

static void who_changed_it_last_is_known_also_by_a_pause(void **state)
{
    struct fixture *f = *state;
    assert_string_equal(dispatcher(f, "default")->record.changed_by, "broker");
    set(f, (struct berth_ev_dispatcher_set){ .has_grace = true, .changed_by = text("alice@host") },
        "default");
    store_all(f);
    assert_string_equal(dispatcher(f, "default")->record.changed_by, "alice@host");

    advance(f, 1000);
    step(f, (struct berth_event){ .type = BERTH_EV_DISPATCHER_PAUSE,
                                  .dispatcher_pause = { .peer = CLIENT,
                                                        .request = ++f->request,
                                                        .name = text("default"),
                                                        .is_paused = true,
                                                        .changed_by = text("bob@h") } });
    store_all(f);
    assert_string_equal(dispatcher(f, "default")->record.changed_by, "bob@h");
    assert_int_equal(dispatcher(f, "default")->record.changed_us, f->wall_us);
}

/* ---- parents ---- */

static uint64_t set_parent(struct fixture *f, const char *name, const char *parent)
{
    return set(f,
               (struct berth_ev_dispatcher_set){ .has_limit = true,
                                                 .limit = { BERTH_LIMIT_NUMBER, 3 },
                                                 .has_parent = true,
                                                 .parent = text(parent) },
               name);
}

static void then_parent_is_refused(struct fixture *f, uint64_t request, int code,
                                   const char *message)
{
    const struct berth_do_error *error = &answer(f, request, BERTH_DO_ERROR)->error;
    assert_int_equal(error->code, code);
    assert_string_equal(error->field, "parent");
    assert_string_equal(error->message, message);
}

static void a_parent_must_be_there_and_not_below(void **state)
{
    struct fixture *f = *state;
    then_parent_is_refused(f, set_parent(f, "a", "nobody"), BERTH_ENOTFOUND,
                           "parent: dispatcher 'nobody' does not exist");
    assert_null(dispatcher_find(f->core, text("a"))); /* nothing is made of it */

    set_parent(f, "a", "default");
    set_parent(f, "b", "a");
    set_parent(f, "c", "b");
    then_parent_is_refused(f, set_parent(f, "a", "a"), BERTH_EVALUE,
                           "parent 'a' is 'a' itself or stands below it");
    then_parent_is_refused(f, set_parent(f, "a", "c"), BERTH_EVALUE,
                           "parent 'c' is 'a' itself or stands below it");
    store_all(f);
    then_parent_is_refused(f, set_parent(f, "default", "c"), BERTH_EVALUE,
                           "parent 'c' is 'default' itself or stands below it");

    set_parent(f, "b", "");
    set_parent(f, "a", "c");
    store_all(f);
    assert_int_equal(dispatcher(f, "b")->record.parent, 0);
    assert_int_equal(dispatcher(f, "a")->record.parent, dispatcher(f, "c")->record.id);
}

static void a_dispatcher_is_shown_with_its_parents_name(void **state)
{
    struct fixture *f = *state;
    uint64_t request = set_parent(f, "a", "io");
    store_one(f);
    answer_read(f, NULL, 0);
    const struct berth_do_dispatchers *answered =
        &answer(f, request, BERTH_DO_DISPATCHERS)->dispatchers;
    assert_true(slice_is(answered->items[0].parent, "io"));

    request = set_parent(f, "a", "");
    store_one(f);
    answer_read(f, NULL, 0);
    assert_int_equal(answer(f, request, BERTH_DO_DISPATCHERS)->dispatchers.items[0].parent.bytes,
                     0);
}

static void a_backoff_above_the_longest_is_refused_also_if_one_is_given(void **state)
{
    struct fixture *f = *state;
    const struct berth_ev_dispatcher_set bad[] = {
        { .has_backoff = true, .backoff_ms = 600001 },
        { .has_backoff_max = true, .backoff_ms_max = 999 },
        { .has_backoff = true, .backoff_ms = 2, .has_backoff_max = true, .backoff_ms_max = 1 },
    };
    static const char *const says[] = {
        "backoff 600001 ms: allowed is 0 to backoff_max, which is 600000 ms",
        "backoff 1000 ms: allowed is 0 to backoff_max, which is 999 ms",
        "backoff 2 ms: allowed is 0 to backoff_max, which is 1 ms",
    };
    for (size_t i = 0; i < 3; i++) {
        const struct berth_do_error *error =
            &answer(f, set(f, bad[i], "default"), BERTH_DO_ERROR)->error;
        assert_int_equal(error->code, BERTH_EVALUE);
        assert_string_equal(error->field, i == 1 ? "backoff_max" : "backoff");
        assert_string_equal(error->message, says[i]);
    }
    assert_false(close_batch(f));
}

static void a_change_is_answered_when_it_is_stored(void **state)
{
    struct fixture *f = *state;
    uint64_t request = set_limit(f, "news", 5);
    turn(f);
    assert_int_equal(f->said_count, 0);
    store_one(f);
    answer_read(f, NULL, 0);

    const struct berth_do_dispatchers *answered =
        &answer(f, request, BERTH_DO_DISPATCHERS)->dispatchers;
    assert_int_equal(answered->count, 1);
    assert_string_equal(answered->items[0].record.name, "news");
}

static void a_change_of_the_configuration_is_not_answered(void **state)
{
    struct fixture *f = *state;
    step(f, (struct berth_event){ .type = BERTH_EV_DISPATCHER_SET,
                                  .dispatcher_set = { .name = text("news"),
                                                      .has_limit = true,
                                                      .limit = { BERTH_LIMIT_NUMBER, 5 } } });
    step(f, (struct berth_event){ .type = BERTH_EV_DISPATCHER_SET,
                                  .dispatcher_set = { .name = text("refused") } });
    store_all(f);

    assert_int_equal(f->said_count, 0);
    assert_int_equal(limit(f, "news"), 5);
}

static void more_dispatchers_than_one_answer_can_hold_are_refused(void **state)
{
    struct fixture *f = *state;
    char name[32];
    for (unsigned i = 0; i < 4094; i++) {
        snprintf(name, sizeof name, "d%u", i);
        set_limit(f, name, 1);
    }

    uint64_t request = set_limit(f, "one-more", 1);

    assert_int_equal(answer(f, request, BERTH_DO_ERROR)->error.code, BERTH_ELIMIT);
    assert_string_equal(answer(f, request, BERTH_DO_ERROR)->error.message,
                        "no room for another dispatcher: there may be 4096");
}

static void a_job_may_be_submitted_to_a_dispatcher_that_is_being_stored(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_worker(f, 4);
    set_limit(f, "news", 5);
    uint64_t request = submit(f, (struct submit){ .dispatcher = "news" });
    assert_true(close_batch(f));
    assert_int_equal(f->away->records[0].type, BERTH_RECORD_DISPATCHER); /* and stands first */
    complete(f, STORED);
    turn(f);

    assert_int_not_equal(submitted(f, request), 0);
    assert_int_equal(grants_to(f, w), 1);
}

/* ---- limits ---- */

static void no_more_run_than_the_limit(void **state)
{
    struct fixture *f = *state;
    given_dispatcher(f, "news", 2);
    struct worker *w = given_worker(f, 10);
    uint64_t first = given_running(f, (struct submit){ .dispatcher = "news" });
    for (unsigned i = 0; i < 4; i++)
        given_job(f, (struct submit){ .dispatcher = "news" });
    assert_int_equal(grants_to(f, w), 2);

    report(f, w, first, BERTH_OUTCOME_COMPLETED); /* the slot is free at once */
    turn(f);
    assert_int_equal(grants_to(f, w), 3);
}

static void lowering_works_at_once_and_ends_nothing(void **state)
{
    struct fixture *f = *state;
    given_dispatcher(f, "news", 3);
    struct worker *w = given_worker(f, 10);
    uint64_t jobs[3];
    for (unsigned i = 0; i < 3; i++)
        jobs[i] = given_running(f, (struct submit){ .dispatcher = "news" });
    given_job(f, (struct submit){ .dispatcher = "news" });

    set_limit(f, "news", 1); /* not stored yet */
    assert_int_equal(limit(f, "news"), 1);
    report(f, w, jobs[0], BERTH_OUTCOME_COMPLETED);
    store_all(f);
    report(f, w, jobs[1], BERTH_OUTCOME_COMPLETED);
    store_all(f);
    assert_int_equal(grants_to(f, w), 3);
    assert_int_equal(job_of(f, jobs[2])->state, JOB_RUNNING);

    report(f, w, jobs[2], BERTH_OUTCOME_COMPLETED); /* the surplus has drained */
    store_all(f);
    assert_int_equal(grants_to(f, w), 4);
}

static void raising_works_when_it_is_stored(void **state)
{
    struct fixture *f = *state;
    given_dispatcher(f, "news", 1);
    struct worker *w = given_worker(f, 10);
    for (unsigned i = 0; i < 3; i++)
        given_job(f, (struct submit){ .dispatcher = "news" });
    set_limit(f, "news", 3);
    turn(f);
    assert_int_equal(limit(f, "news"), 1);
    assert_int_equal(grants_to(f, w), 1);

    store_all(f);
    assert_int_equal(grants_to(f, w), 3);
}

static void a_limit_of_0_starts_nothing(void **state)
{
    struct fixture *f = *state;
    given_dispatcher(f, "news", 0);
    struct worker *w = given_worker(f, 10);
    given_job(f, (struct submit){ .dispatcher = "news" });
    assert_int_equal(grants_to(f, w), 0);

    set_limit(f, "news", 1);
    store_all(f);
    assert_int_equal(grants_to(f, w), 1);
}

/* Changes that overtake each other on their way to the store: the last one stays. */
static void of_changes_under_way_the_newest_is_the_base_of_the_next(void **state)
{
    struct fixture *f = *state;
    given_dispatcher(f, "news", 9);
    set_limit(f, "news", 5);
    set_limit(f, "news", 3);
    assert_true(close_batch(f));
    set_limit(f, "news", 5);
    complete(f, STORED);
    assert_int_equal(limit(f, "news"), 3); /* stored are 5, then 3; wanted is 5 */

    pause_dispatcher(f, "news", true); /* changes the pause, and not the limit */
    store_all(f);

    assert_int_equal(limit(f, "news"), 5);
    assert_true(dispatcher_is_paused(dispatcher(f, "news")));
}

/* ---- pause ---- */

static void a_pause_works_at_once_and_its_end_when_stored(void **state)
{
    struct fixture *f = *state;
    given_dispatcher(f, "news", 1);
    struct worker *w = given_worker(f, 10);
    uint64_t first = given_running(f, (struct submit){ .dispatcher = "news" });
    uint64_t job = given_job(f, (struct submit){ .dispatcher = "news" });

    uint64_t paused = pause_dispatcher(f, "news", true); /* not stored: it holds all the same */
    report(f, w, first, BERTH_OUTCOME_COMPLETED);
    turn(f);
    assert_int_equal(grants_to(f, w), 1);
    store_all(f);
    assert_int_equal(grants_to(f, w), 1);
    assert_null(answer(f, paused, BERTH_DO_ERROR));

    pause_dispatcher(f, "news", false);
    turn(f);
    assert_int_equal(grants_to(f, w), 1);
    store_all(f);
    assert_int_equal(grants_to(f, w), 2);
    assert_int_equal(job_of(f, job)->state, JOB_RUNNING);
}

static void a_pause_ends_nothing_that_runs_and_survives_a_restart(void **state)
{
    struct fixture *f = *state;
    given_worker(f, 10);
    uint64_t job = given_running(f, (struct submit){ 0 });
    pause_dispatcher(f, "default", true);
    assert_true(close_batch(f));
    struct berth_dispatcher_record record = f->away->records[0].dispatcher;
    complete(f, STORED);
    assert_int_equal(job_of(f, job)->state, JOB_RUNNING);

    core_replace(f, (struct berth_core_opts){ 0 });
    assert_int_equal(berth_core_load_dispatcher(f->core, &record), 0);
    core_start(f);
    assert_true(dispatcher_is_paused(dispatcher(f, "default")));
}

static void a_pause_of_an_unknown_dispatcher_is_refused(void **state)
{
    struct fixture *f = *state;

    uint64_t request = pause_dispatcher(f, "news", true);

    assert_int_equal(answer(f, request, BERTH_DO_ERROR)->error.code, BERTH_ENOTFOUND);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, core_setup, core_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(default_and_io_are_always_there_and_stored),
        TEST(what_the_store_has_of_the_built_in_ones_is_left_as_it_is),
        TEST(a_new_dispatcher_has_the_defaults_but_for_what_is_set),
        TEST(a_new_dispatcher_needs_a_limit),
        TEST(only_what_is_given_is_changed),
        TEST(all_settings_are_kept_as_they_were_given),
        TEST(who_changed_it_last_is_known_also_by_a_pause),
        TEST(a_parent_must_be_there_and_not_below),
        TEST(a_dispatcher_is_shown_with_its_parents_name),
        TEST(a_backoff_above_the_longest_is_refused_also_if_one_is_given),
        TEST(a_change_is_answered_when_it_is_stored),
        TEST(a_change_of_the_configuration_is_not_answered),
        TEST(more_dispatchers_than_one_answer_can_hold_are_refused),
        TEST(a_job_may_be_submitted_to_a_dispatcher_that_is_being_stored),
        TEST(no_more_run_than_the_limit),
        TEST(lowering_works_at_once_and_ends_nothing),
        TEST(raising_works_when_it_is_stored),
        TEST(a_limit_of_0_starts_nothing),
        TEST(of_changes_under_way_the_newest_is_the_base_of_the_next),
        TEST(a_pause_works_at_once_and_its_end_when_stored),
        TEST(a_pause_ends_nothing_that_runs_and_survives_a_restart),
        TEST(a_pause_of_an_unknown_dispatcher_is_refused),
    };
    return berth_test_main(tests, NULL, NULL);
}
