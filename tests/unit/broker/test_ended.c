/* SPDX-License-Identifier: MIT
 *
 * What becomes of ended jobs: retry and discard; purging and removing dispatchers.
 */
#include "core_fixture.h"

#include <errno.h>

#include "broker/core/dispatcher/purge.h"

#define ENDED 900 /* an id that no live job has */

static struct berth_job_record ended(const struct fixture *f, uint64_t id, enum berth_state state)
{
    struct berth_job_record record = row(f, id, state);
    record.attempt = 3;
    record.failures = 3;
    record.max_attempts = 2;
    record.submitted_us = f->wall_us - 100 * SECOND_US;
    record.finished_us = f->wall_us;
    return record;
}

/* The answer for the first job; NULL: there is none yet. */
static const struct berth_changed_item *changed(const struct fixture *f, uint64_t request)
{
    const struct berth_effect *effect = answer(f, request, BERTH_DO_CHANGED);
    return effect ? &effect->changed.items[0] : NULL;
}

/* Asks about one job of which the store has this row. */
static uint64_t ask_with(struct fixture *f, enum berth_event_type type, struct berth_job_record row)
{
    uint64_t request = ask(f, type, &row.id, 1);
    answer_read(f, &row, 1);
    return request;
}

static uint64_t retry(struct fixture *f, struct berth_job_record row)
{
    return ask_with(f, BERTH_EV_RETRY, row);
}

static uint64_t discard(struct fixture *f, struct berth_job_record row)
{
    return ask_with(f, BERTH_EV_DISCARD, row);
}

/* ---- retry ---- */

static void a_dead_job_lives_again_when_that_is_stored(void **state)
{
    struct fixture *f = *state;
    given_worker(f, 4);
    uint64_t request = retry(f, ended(f, ENDED, BERTH_DEAD));
    turn(f);
    assert_null(changed(f, request));
    assert_true(close_batch(f));
    assert_non_null(record_away(f, BERTH_RECORD_REVIVE, ENDED));
    turn(f);
    assert_null(grant_of(f, ENDED));
    complete(f, STORED);
    turn(f);

    assert_int_equal(changed(f, request)->code, 0);
    assert_int_equal(changed(f, request)->state, BERTH_DEAD);
    assert_int_equal(grant_of(f, ENDED)->number, 4); /* what it tried counts on, */
    assert_int_equal(job_of(f, ENDED)->failures, 0); /* and not against it */
    assert_int_equal(job_of(f, ENDED)->deaths, 0);
}

static void until_that_is_stored_it_is_shown_as_dead(void **state)
{
    struct fixture *f = *state;
    struct berth_job_record record = ended(f, ENDED, BERTH_DEAD);
    retry(f, record);

    uint64_t request = ask_with(f, BERTH_EV_JOB_GET, record);
    assert_int_equal(answer(f, request, BERTH_DO_JOBS)->jobs.items[0].record.state, BERTH_DEAD);

    store_all(f);
    request = ask_with(f, BERTH_EV_JOB_GET, record); /* it was read before */
    assert_int_equal(answer(f, request, BERTH_DO_JOBS)->jobs.items[0].record.state, BERTH_READY);
}

static void its_fresh_tries_are_as_many_as_it_came_with(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_worker(f, 4);
    retry(f, ended(f, ENDED, BERTH_CANCELLED));
    store_all(f);
    report(f, w, ENDED, BERTH_OUTCOME_FAILED);
    assert_true(close_batch(f));
    assert_non_null(record_away(f, BERTH_RECORD_RETRY, ENDED));
    complete(f, STORED);
    turn_after(f, 1500);
    store_all(f);
    report(f, w, ENDED, BERTH_OUTCOME_FAILED);
    assert_true(close_batch(f));
    assert_int_equal(record_away(f, BERTH_RECORD_END, ENDED)->end.state, BERTH_DEAD);
}

static void its_deadline_begins_anew(void **state)
{
    struct fixture *f = *state;
    struct berth_job_record record = ended(f, ENDED, BERTH_DEAD);
    record.deadline_us = record.submitted_us + 60 * SECOND_US;
    retry(f, record);
    assert_true(close_batch(f));
    assert_int_equal(record_away(f, BERTH_RECORD_REVIVE, ENDED)->revive.deadline_us,
                     f->wall_us + 60 * SECOND_US);
}

static void what_lives_or_has_completed_is_not_retried(void **state)
{
    struct fixture *f = *state;
    uint64_t live = given_job(f, (struct submit){ .delay_ms = 1000 });
    uint64_t request = retry(f, row(f, live, BERTH_SCHEDULED));
    assert_int_equal(changed(f, request)->code, -EALREADY);
    assert_int_equal(changed(f, request)->state, BERTH_SCHEDULED);

    request = retry(f, ended(f, ENDED, BERTH_COMPLETED));
    assert_int_equal(changed(f, request)->code, BERTH_ECONFLICT);
    assert_int_equal(changed(f, request)->state, BERTH_COMPLETED);

    uint64_t unknown = ENDED + 1;
    request = ask(f, BERTH_EV_RETRY, &unknown, 1);
    answer_read(f, NULL, 0);
    assert_int_equal(changed(f, request)->code, BERTH_ENOTFOUND);
    assert_int_equal(changed(f, request)->id, unknown);
    assert_false(close_batch(f));
}

static void a_unique_key_that_a_live_job_has_keeps_it_dead(void **state)
{
    struct fixture *f = *state;
    uint64_t holder = given_job(f, (struct submit){ .unique = "alice" });
    struct berth_job_record record = ended(f, ENDED, BERTH_DEAD);
    record.dispatcher = dispatcher(f, "default")->record.id;
    record.unique = text("alice");
    uint64_t request = retry(f, record);
    assert_int_equal(changed(f, request)->code, BERTH_ECONFLICT);
    assert_int_equal(changed(f, request)->other, holder);
    assert_null(job_of(f, ENDED));

    cancel(f, holder);
    store_all(f);
    retry(f, record); /* and now it has the key itself */
    uint64_t refused = submit(f, (struct submit){ .unique = "alice" });
    assert_int_equal(answer(f, refused, BERTH_DO_SUBMITTED)->submitted.items[0].refusal.code,
                     BERTH_ECONFLICT);
    store_all(f);
}

static void two_who_retry_it_at_once_wait_for_the_same_batch(void **state)
{
    struct fixture *f = *state;
    uint64_t first = retry(f, ended(f, ENDED, BERTH_DEAD));
    uint64_t second = retry(f, ended(f, ENDED, BERTH_DEAD));
    assert_null(changed(f, second));
    assert_true(close_batch(f));
    assert_int_equal(f->away->count, 1);
    complete(f, STORED);
    assert_int_equal(changed(f, first)->code, 0);
    assert_int_equal(changed(f, second)->code, 0);
}

static void one_that_the_store_has_forgotten_meanwhile_is_not_found(void **state)
{
    struct fixture *f = *state;
    uint64_t request = retry(f, ended(f, ENDED, BERTH_DEAD));
    assert_true(close_batch(f));
    assert_int_equal(f->away->records[0].type, BERTH_RECORD_REVIVE);
    f->away->records[0].revive.is_missing = true;
    complete(f, STORED);
    assert_int_equal(changed(f, request)->code, BERTH_ENOTFOUND);
    assert_null(job_of(f, ENDED));
}

/* Retries take no room on the disk, but work that comes anew is refused there. */
static void a_full_disk_takes_what_was_asked_and_refuses_more(void **state)
{
    struct fixture *f = *state;
    uint64_t first = retry(f, ended(f, ENDED, BERTH_DEAD));
    assert_true(close_batch(f));
    complete(f, FULL);
    uint64_t second = retry(f, ended(f, ENDED + 1, BERTH_DEAD));
    assert_int_equal(changed(f, second)->code, BERTH_EFULL);
    assert_null(changed(f, first));
    turn_after(f, 1000);
    assert_true(close_batch(f));
    complete(f, STORED);
    assert_int_equal(changed(f, first)->code, 0);
}

/* An answer that names it says that it lives. */
static void over_a_full_disk_who_is_told_of_it_waits_for_its_retry(void **state)
{
    struct fixture *f = *state;
    struct berth_job_record record = ended(f, ENDED, BERTH_DEAD);
    record.dispatcher = dispatcher(f, "default")->record.id;
    record.unique = text("alice");
    retry(f, record);
    const struct submit same = { .unique = "alice", .on_conflict = BERTH_ON_CONFLICT_EXISTING };
    uint64_t request = submit(f, same);
    assert_true(close_batch(f));

    complete(f, FULL);
    assert_null(answer(f, request, BERTH_DO_SUBMITTED));

    turn_after(f, 1000);
    assert_true(close_batch(f));
    complete(f, STORED);
    assert_int_equal(submitted(f, request), ENDED);
}

static void a_row_that_is_outdated_is_read_again(void **state)
{
    struct fixture *f = *state;
    struct berth_job_record record = ended(f, ENDED, BERTH_READY);
    uint64_t request = retry(f, record); /* it lived when it was read, and has ended since */
    assert_null(changed(f, request));
    record.state = BERTH_DEAD;
    answer_read(f, &record, 1);
    store_all(f);
    assert_int_equal(changed(f, request)->code, 0);
}

static void many_are_answered_together_in_their_order(void **state)
{
    struct fixture *f = *state;
    const uint64_t ids[] = { ENDED, ENDED + 1, ENDED + 2, ENDED };
    const struct berth_job_record rows[] = { ended(f, ENDED, BERTH_DEAD),
                                             ended(f, ENDED + 2, BERTH_COMPLETED),
                                             ended(f, ENDED, BERTH_DEAD) };
    uint64_t request = ask(f, BERTH_EV_RETRY, ids, 4);
    answer_read(f, rows, 3);
    store_all(f);
    static const int codes[] = { 0, BERTH_ENOTFOUND, BERTH_ECONFLICT, 0 };
    const struct berth_do_changed *all = &answer(f, request, BERTH_DO_CHANGED)->changed;
    assert_int_equal(all->count, 4);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(all->items[i].id, ids[i]);
        assert_int_equal(all->items[i].code, codes[i]);
    }
}

/* ---- discard ---- */

static void a_dead_job_is_discarded_when_that_is_stored(void **state)
{
    struct fixture *f = *state;
    uint64_t request = discard(f, ended(f, ENDED, BERTH_DEAD));
    assert_null(changed(f, request));
    assert_true(close_batch(f));
    assert_non_null(record_away(f, BERTH_RECORD_DISCARD, ENDED));
    complete(f, STORED);
    assert_int_equal(changed(f, request)->code, 0);
}

static void only_what_is_dead_is_discarded(void **state)
{
    struct fixture *f = *state;
    uint64_t request = discard(f, ended(f, ENDED, BERTH_COMPLETED));
    assert_int_equal(changed(f, request)->code, BERTH_ECONFLICT);
    request = discard(f, ended(f, ENDED, BERTH_CANCELLED));
    assert_int_equal(changed(f, request)->code, BERTH_ECONFLICT);
    uint64_t live = given_job(f, (struct submit){ 0 });
    request = discard(f, row(f, live, BERTH_READY));
    assert_int_equal(changed(f, request)->code, BERTH_ECONFLICT);
    assert_int_equal(changed(f, request)->state, BERTH_READY);
    assert_false(close_batch(f));
}

static void what_is_being_discarded_is_neither_retried_nor_discarded_twice(void **state)
{
    struct fixture *f = *state;
    uint64_t first = discard(f, ended(f, ENDED, BERTH_DEAD));
    uint64_t second = discard(f, ended(f, ENDED, BERTH_DEAD));
    uint64_t third = retry(f, ended(f, ENDED, BERTH_DEAD));
    assert_int_equal(changed(f, third)->code, BERTH_ENOTFOUND);
    assert_true(close_batch(f));
    assert_int_equal(f->away->count, 1);
    complete(f, STORED);
    assert_int_equal(changed(f, first)->code, 0);
    assert_int_equal(changed(f, second)->code, 0);
}

static void what_is_coming_to_life_is_not_discarded(void **state)
{
    struct fixture *f = *state;
    retry(f, ended(f, ENDED, BERTH_DEAD));
    uint64_t request = discard(f, ended(f, ENDED, BERTH_DEAD));
    store_all(f);
    assert_int_equal(changed(f, request)->code, BERTH_ECONFLICT);
    assert_int_equal(changed(f, request)->state, BERTH_READY);
}

/* ---- purge ---- */

static uint64_t purge(struct fixture *f, const char *name, uint64_t below, uint64_t cursor)
{
    uint64_t request = ++f->request;
    step(f, (struct berth_event){ .type = BERTH_EV_DISPATCHER_PURGE,
                                  .purge = { .peer = CLIENT,
                                             .request = request,
                                             .name = text(name),
                                             .below = below,
                                             .cursor = cursor } });
    return request;
}

static void a_purge_cancels_what_waits_and_nothing_else(void **state)
{
    struct fixture *f = *state;
    given_dispatcher(f, "other", 5);
    given_worker(f, 1);
    uint64_t running = given_running(f, (struct submit){ 0 });
    uint64_t ready = given_job(f, (struct submit){ 0 });
    uint64_t scheduled = given_job(f, (struct submit){ .delay_ms = 5000 });
    uint64_t elsewhere = given_job(f, (struct submit){ .dispatcher = "other" });

    uint64_t request = purge(f, "default", 0, 0);
    assert_null(answer(f, request, BERTH_DO_PURGED));
    store_all(f);

    const struct berth_do_purged *purged = &answer(f, request, BERTH_DO_PURGED)->purged;
    assert_int_equal(purged->count, 2);
    assert_int_equal(purged->cursor, 0);
    assert_int_equal(purged->below, elsewhere + 1);
    assert_null(job_of(f, ready));
    assert_null(job_of(f, scheduled));
    assert_non_null(job_of(f, running));
    assert_non_null(job_of(f, elsewhere));
    assert_false(job_of(f, running)->flags & JOB_CANCEL_ASKED);
}

static void a_purge_goes_on_where_it_stopped_and_spares_what_came_since(void **state)
{
    struct fixture *f = *state;
    static struct submit many[PURGE_JOBS_MAX];
    uint64_t submits = submit_many(f, many, PURGE_JOBS_MAX);
    store_all(f);
    assert_int_equal(answer(f, submits, BERTH_DO_SUBMITTED)->submitted.count, PURGE_JOBS_MAX);
    given_job(f, (struct submit){ .delay_ms = 1 });

    uint64_t request = purge(f, "default", 0, 0);
    uint64_t newer = given_job(f, (struct submit){ .delay_ms = 1000 });
    struct berth_do_purged part = answer(f, request, BERTH_DO_PURGED)->purged;
    assert_int_equal(part.count, PURGE_JOBS_MAX);
    assert_int_not_equal(part.cursor, 0);

    request = purge(f, "default", part.below, part.cursor);
    store_all(f);
    part = answer(f, request, BERTH_DO_PURGED)->purged;
    assert_int_equal(part.count, 1);
    assert_int_equal(part.cursor, 0);
    assert_non_null(job_of(f, newer));
}

static void who_waited_for_what_is_purged_is_counted_with_it(void **state)
{
    struct fixture *f = *state;
    uint64_t first = given_job(f, (struct submit){ 0 });
    uint64_t next = given_job(f, (struct submit){ .after = &first, .after_count = 1 });
    given_job(f, (struct submit){ .after = &next, .after_count = 1 });

    uint64_t request = purge(f, "default", 0, 0);
    store_all(f);

    assert_int_equal(answer(f, request, BERTH_DO_PURGED)->purged.count, 3);
    assert_int_equal(dispatcher(f, "default")->count[JOB_SCHEDULED], 0);
}

static void while_a_worker_is_missing_a_purge_asks_and_ends_nothing(void **state)
{
    struct fixture *f = *state;
    core_replace(f, (struct berth_core_opts){ 0 });
    assert_int_equal(
        berth_core_load_dispatcher(
            f->core, &(struct berth_dispatcher_record){ .id = 1,
                                                        .name = "default",
                                                        .limit = { BERTH_LIMIT_NUMBER, 5 },
                                                        .max_attempts = 5,
                                                        .weight = 1 }),
        0);
    assert_int_equal(berth_core_load_session(
                         f->core,
                         &(struct berth_session_record){
                             .id = UINT64_C(4) << 40, .child = 1, .lease_ms = L_MS, .name = "w" }),
                     0);
    struct berth_job_record record = row(f, 5, BERTH_READY);
    assert_int_equal(berth_core_load_job(f->core, &record), 0);
    core_start(f);
    store_all(f);

    uint64_t request = purge(f, "default", 0, 0);
    assert_true(close_batch(f));
    assert_non_null(record_away(f, BERTH_RECORD_CANCEL, 5));
    complete(f, STORED);
    assert_int_equal(answer(f, request, BERTH_DO_PURGED)->purged.count, 1);
    assert_non_null(job_of(f, 5));
    turn_after(f, L_MS + 1); /* it is given up */
    store_all(f);
    store_all(f);
    assert_null(job_of(f, 5));
}

static void who_does_not_exist_is_not_purged(void **state)
{
    struct fixture *f = *state;
    uint64_t request = purge(f, "nobody", 0, 0);
    assert_int_equal(answer(f, request, BERTH_DO_ERROR)->error.code, BERTH_ENOTFOUND);
}

/* ---- removing ---- */

static uint64_t remove_dispatcher(struct fixture *f, const char *name)
{
    return query(f, BERTH_EV_DISPATCHER_REMOVE, name);
}

static void then_it_is_refused(struct fixture *f, uint64_t request, int code, const char *words)
{
    const struct berth_effect *effect = answer(f, request, BERTH_DO_ERROR);
    assert_non_null(effect);
    assert_int_equal(effect->error.code, code);
    assert_non_null(strstr(effect->error.message, words));
    assert_string_equal(effect->error.field, "name");
    assert_false(close_batch(f));
}

static void an_empty_dispatcher_goes_and_its_name_is_free_at_once(void **state)
{
    struct fixture *f = *state;
    given_dispatcher(f, "mail", 5);
    uint32_t id = dispatcher(f, "mail")->record.id;
    uint64_t request = remove_dispatcher(f, "mail");
    uint64_t refused = submit(f, (struct submit){ .dispatcher = "mail" });
    assert_int_equal(answer(f, refused, BERTH_DO_SUBMITTED)->submitted.items[0].refusal.code,
                     BERTH_ENOTFOUND);
    set_limit(f, "mail", 7);
    assert_null(answer(f, request, BERTH_DO_REMOVED));
    assert_true(close_batch(f));
    assert_int_equal(f->away->records[0].type, BERTH_RECORD_DISPATCHER_END);
    assert_int_equal(f->away->records[0].id, id);
    assert_int_equal(f->away->records[1].dispatcher.id, id + 1);
    complete(f, STORED);
    assert_non_null(answer(f, request, BERTH_DO_REMOVED));
    assert_int_equal(dispatcher(f, "mail")->record.limit.value, 7);
}

/* A client that asks again takes it as a yes. */
static void a_dispatcher_is_said_to_be_away_when_that_is_stored(void **state)
{
    struct fixture *f = *state;
    given_dispatcher(f, "mail", 5);
    remove_dispatcher(f, "mail");
    uint64_t first = remove_dispatcher(f, "mail");
    assert_null(answer(f, first, BERTH_DO_ERROR));
    assert_true(close_batch(f));
    uint64_t second = remove_dispatcher(f, "mail");
    assert_null(answer(f, second, BERTH_DO_ERROR));
    complete(f, STORED);
    assert_int_equal(answer(f, first, BERTH_DO_ERROR)->error.code, BERTH_ENOTFOUND);
    then_it_is_refused(f, second, BERTH_ENOTFOUND, "dispatcher 'mail' does not exist");
}

static void a_change_that_is_not_stored_yet_goes_before_its_end(void **state)
{
    struct fixture *f = *state;
    given_dispatcher(f, "mail", 5);
    set_limit(f, "mail", 6);
    assert_true(close_batch(f));
    set_limit(f, "mail", 7);
    uint64_t request = remove_dispatcher(f, "mail");
    complete(f, STORED);
    store_all(f);
    assert_non_null(answer(f, request, BERTH_DO_REMOVED));
}

static void what_has_live_jobs_or_children_or_is_built_in_stays(void **state)
{
    struct fixture *f = *state;
    given_dispatcher(f, "mail", 5);
    uint64_t job = given_job(f, (struct submit){ .dispatcher = "mail", .delay_ms = 1000 });
    then_it_is_refused(f, remove_dispatcher(f, "mail"), BERTH_ECONFLICT, "1 live job,");
    cancel(f, job);
    store_all(f);

    set(f,
        (struct berth_ev_dispatcher_set){ .has_limit = true,
                                          .limit = { .kind = BERTH_LIMIT_NUMBER, .value = 1 },
                                          .has_parent = true,
                                          .parent = text("mail") },
        "eu");
    store_all(f);
    then_it_is_refused(f, remove_dispatcher(f, "mail"), BERTH_ECONFLICT, "the parent of 'eu'");
    then_it_is_refused(f, remove_dispatcher(f, "default"), BERTH_ECONFLICT, "built in");
    then_it_is_refused(f, remove_dispatcher(f, "io"), BERTH_ECONFLICT, "built in");
    then_it_is_refused(f, remove_dispatcher(f, "nobody"), BERTH_ENOTFOUND, "does not exist");

    remove_dispatcher(f, "eu");
    uint64_t request = remove_dispatcher(f, "mail"); /* both in one batch */
    store_all(f);
    assert_non_null(answer(f, request, BERTH_DO_REMOVED));
}

static void a_child_that_is_just_being_moved_there_keeps_it(void **state)
{
    struct fixture *f = *state;
    given_dispatcher(f, "mail", 5);
    given_dispatcher(f, "eu", 5);
    set(f, (struct berth_ev_dispatcher_set){ .has_parent = true, .parent = text("mail") }, "eu");
    uint64_t request = remove_dispatcher(f, "mail");
    assert_int_equal(answer(f, request, BERTH_DO_ERROR)->error.code, BERTH_ECONFLICT);
    store_all(f);
}

static void a_job_of_a_removed_dispatcher_is_not_retried(void **state)
{
    struct fixture *f = *state;
    given_dispatcher(f, "mail", 5);
    struct berth_job_record record = ended(f, ENDED, BERTH_DEAD);
    record.dispatcher = dispatcher(f, "mail")->record.id;
    remove_dispatcher(f, "mail");
    uint64_t request = retry(f, record);
    assert_int_equal(changed(f, request)->code, BERTH_ENOTFOUND);
    store_all(f);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, core_setup, core_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_dead_job_lives_again_when_that_is_stored),
        TEST(until_that_is_stored_it_is_shown_as_dead),
        TEST(its_fresh_tries_are_as_many_as_it_came_with),
        TEST(its_deadline_begins_anew),
        TEST(what_lives_or_has_completed_is_not_retried),
        TEST(a_unique_key_that_a_live_job_has_keeps_it_dead),
        TEST(two_who_retry_it_at_once_wait_for_the_same_batch),
        TEST(one_that_the_store_has_forgotten_meanwhile_is_not_found),
        TEST(a_full_disk_takes_what_was_asked_and_refuses_more),
        TEST(over_a_full_disk_who_is_told_of_it_waits_for_its_retry),
        TEST(a_row_that_is_outdated_is_read_again),
        TEST(many_are_answered_together_in_their_order),
        TEST(a_dead_job_is_discarded_when_that_is_stored),
        TEST(only_what_is_dead_is_discarded),
        TEST(what_is_being_discarded_is_neither_retried_nor_discarded_twice),
        TEST(what_is_coming_to_life_is_not_discarded),
        TEST(a_purge_cancels_what_waits_and_nothing_else),
        TEST(a_purge_goes_on_where_it_stopped_and_spares_what_came_since),
        TEST(who_waited_for_what_is_purged_is_counted_with_it),
        TEST(while_a_worker_is_missing_a_purge_asks_and_ends_nothing),
        TEST(who_does_not_exist_is_not_purged),
        TEST(an_empty_dispatcher_goes_and_its_name_is_free_at_once),
        TEST(a_dispatcher_is_said_to_be_away_when_that_is_stored),
        TEST(a_change_that_is_not_stored_yet_goes_before_its_end),
        TEST(what_has_live_jobs_or_children_or_is_built_in_stays),
        TEST(a_child_that_is_just_being_moved_there_keeps_it),
        TEST(a_job_of_a_removed_dispatcher_is_not_retried),
    };
    return berth_test_main(tests, NULL, NULL);
}
