/* SPDX-License-Identifier: MIT */
/* What every store promises of its history, run once for each backend: jobs that live again, that
 * are discarded, that are forgotten; dispatchers that are removed.
 */
#include "support/berthtest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "store_kit.h"
#include "store_model.h"
#include "support/await.h"

#define HOUR_US INT64_C(3600000000)

static const char *backend_under_test;

struct fixture {
    struct kit kit;
    struct model model;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    BERTH_ASSERT(f);
    kit_init(&f->kit, backend_under_test);
    kit_open(&f->kit);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    kit_fini(&f->kit);
    free(f);
    return 0;
}

static void store_one(struct fixture *f, struct berth_record record)
{
    struct berth_batch *batch = kit_batch(&f->kit);
    kit_add(batch, &record);
    model_apply(&f->model, &record);
    kit_store(&f->kit, batch);
}

/* A job with options and a user's key, that ended so after a failed attempt. */
static void given_ended(struct fixture *f, uint64_t id, uint32_t dispatcher, enum berth_state state)
{
    struct berth_record job = kit_job(id, dispatcher, kit_bytes(&f->kit, 300, id));
    job.job.group = kit_text("tenant");
    job.job.unique = kit_text("alice");
    job.job.after = kit_bytes(&f->kit, 16, id);
    job.job.deadline_us = f->kit.wall_us;
    job.job.parent = 7;
    job.job.parent_ordinal = 2;
    job.job.run_at_us = f->kit.wall_us - 5;
    job.job.key = (struct berth_key){ .kind = BERTH_KEY_IDEMPOTENCY,
                                      .bytes = kit_bytes(&f->kit, 20, id),
                                      .until_us = f->kit.wall_us + HOUR_US };
    store_one(f, job);
    struct berth_record end = kit_end(id, dispatcher, state, f->kit.wall_us);
    end.end.attempt = end.end.failures = 5;
    end.end.deaths = 1;
    end.end.last.error_kind = kit_text("exit");
    store_one(f, end);
}

static struct berth_record revive(const struct fixture *f, uint64_t id)
{
    return (struct berth_record){ .type = BERTH_RECORD_REVIVE,
                                  .revive = { .id = id, .deadline_us = f->kit.wall_us + HOUR_US } };
}

static void check_all(struct fixture *f, uint64_t last)
{
    uint64_t ids[16];
    for (size_t i = 0; i < last; i++)
        ids[i] = i + 1;
    model_check_read(
        &f->model, &f->kit,
        &(struct berth_read){ .number = 1, .type = BERTH_READ_JOBS, .ids = ids, .id_count = last });
    model_check_read(&f->model, &f->kit,
                     &(struct berth_read){ .number = 2, .type = BERTH_READ_LIST, .count_max = 50 });
    model_check_read(&f->model, &f->kit,
                     &(struct berth_read){ .number = 3, .type = BERTH_READ_COUNTS });
    kit_reopen(&f->kit);
    model_check_load(&f->model, &f->kit, UINT64_MAX);
}

static void a_dead_or_cancelled_job_lives_again_with_fresh_tries(void **state)
{
    struct fixture *f = *state;
    given_ended(f, 1, 1, BERTH_DEAD);
    given_ended(f, 2, 1, BERTH_CANCELLED);
    store_one(f, revive(f, 1));
    store_one(f, revive(f, 2));

    const uint64_t id = 1;
    struct berth_completion answer = kit_read(
        &f->kit,
        &(struct berth_read){ .number = 1, .type = BERTH_READ_JOBS, .ids = &id, .id_count = 1 });
    const struct berth_job_record *job = &answer.jobs[0];
    assert_int_equal(job->state, BERTH_READY);
    assert_int_equal(job->attempt, 5);
    assert_int_equal(job->failures, 0);
    assert_int_equal(job->deaths, 0);
    assert_int_equal(job->run_at_us, 0);
    assert_int_equal(job->finished_us, 0);
    assert_int_equal(job->deadline_us, f->kit.wall_us + HOUR_US);
    assert_int_equal(job->after.bytes, 0);
    assert_int_equal(job->parent, 0);
    assert_int_equal(job->unique.bytes, 5);
    assert_int_equal(job->last.id, UINT64_C(1) << 40 | 1);
    check_all(f, 2);

    store_one(f, kit_end(1, 1, BERTH_COMPLETED, f->kit.wall_us));
    store_one(f, kit_end(2, 1, BERTH_DEAD, f->kit.wall_us));
    check_all(f, 2);
}

static void a_cancel_is_not_remembered_beyond_the_end(void **state)
{
    struct fixture *f = *state;
    store_one(f, kit_job(1, 1, kit_text("body")));
    store_one(f, (struct berth_record){ .type = BERTH_RECORD_CANCEL, .id = 1 });
    store_one(f, kit_end(1, 1, BERTH_CANCELLED, f->kit.wall_us));
    struct berth_record again = revive(f, 1);
    again.revive.deadline_us = 0;
    store_one(f, again);
    assert_false(model_find(&f->model, 1)->is_cancelled);
    check_all(f, 1);
}

/* Whether the store found no such job. */
static bool is_missing(struct fixture *f, uint64_t id)
{
    struct berth_batch *batch = kit_batch(&f->kit);
    struct berth_record record = revive(f, id);
    kit_add(batch, &record);
    assert_rc(berth_store_submit(f->kit.store, batch), 0);
    struct berth_completion done = kit_await(&f->kit);
    assert_int_equal(done.result, BERTH_STORED);
    bool is_missing = batch->records[0].revive.is_missing;
    kit_batch_free(batch);
    return is_missing;
}

static void what_cannot_live_again_is_said_to_be_missing(void **state)
{
    struct fixture *f = *state;
    given_ended(f, 1, 1, BERTH_COMPLETED);
    given_ended(f, 2, 1, BERTH_DEAD);
    store_one(f, kit_job(3, 1, kit_text("lives")));
    store_one(f, (struct berth_record){ .type = BERTH_RECORD_DISCARD, .id = 2 });
    for (uint64_t id = 1; id <= 4; id++)
        assert_true(is_missing(f, id));
    check_all(f, 4);
}

static void a_discarded_job_is_gone_and_its_key_is_not(void **state)
{
    struct fixture *f = *state;
    given_ended(f, 1, 1, BERTH_DEAD);
    given_ended(f, 2, 1, BERTH_DEAD);
    given_ended(f, 3, 1, BERTH_CANCELLED);
    for (uint64_t id = 2; id <= 4; id++) /* not of one that is cancelled, or not there */
        store_one(f, (struct berth_record){ .type = BERTH_RECORD_DISCARD, .id = id });
    store_one(f, (struct berth_record){ .type = BERTH_RECORD_DISCARD, .id = 2 });
    assert_true(f->model.is_discarded[1]);
    assert_false(f->model.is_discarded[2]);
    check_all(f, 4);
    f->kit.wall_us += 2 * HOUR_US;
    check_all(f, 4);
}

static void the_largest_id_is_not_used_again_when_it_was_discarded(void **state)
{
    struct fixture *f = *state;
    given_ended(f, 9, 1, BERTH_DEAD);
    store_one(f, (struct berth_record){ .type = BERTH_RECORD_DISCARD, .id = 9 });
    kit_reopen(&f->kit);
    assert_int_equal(f->kit.info.next_job_id, 10);
}

static void a_removed_dispatcher_takes_its_ended_jobs_along(void **state)
{
    struct fixture *f = *state;
    store_one(f, kit_dispatcher(1, "stays"));
    store_one(f, kit_dispatcher(2, "goes"));
    for (uint64_t id = 1; id <= 6; id++)
        given_ended(f, id, 1 + (uint32_t)(id % 2), id < 4 ? BERTH_DEAD : BERTH_COMPLETED);
    store_one(f, (struct berth_record){ .type = BERTH_RECORD_DISPATCHER_END, .id = 2 });
    check_all(f, 6);
    assert_int_equal(f->kit.info.next_dispatcher_id, 3);
    assert_true(is_missing(f, 1));

    store_one(f, kit_dispatcher(3, "goes")); /* the name is free */
    store_one(f, kit_job(7, 3, kit_text("new")));
    check_all(f, 7);
}

static void all_of_that_may_stand_in_one_batch(void **state)
{
    struct fixture *f = *state;
    store_one(f, kit_dispatcher(2, "name"));
    given_ended(f, 1, 2, BERTH_DEAD);
    given_ended(f, 2, 2, BERTH_DEAD);
    const struct berth_record records[] = {
        revive(f, 1),
        kit_end(1, 2, BERTH_DEAD, f->kit.wall_us),
        { .type = BERTH_RECORD_DISCARD, .id = 1 },
        { .type = BERTH_RECORD_DISPATCHER_END, .id = 2 },
        kit_dispatcher(3, "name"),
        kit_job(3, 3, kit_text("new")),
    };
    struct berth_batch *batch = kit_batch(&f->kit);
    for (size_t i = 0; i < sizeof records / sizeof *records; i++) {
        kit_add(batch, &records[i]);
        model_apply(&f->model, &records[i]);
    }
    kit_store(&f->kit, batch);
    check_all(f, 3);
}

/* ---- retention ---- */

static void given_retention(struct fixture *f, uint32_t id, const char *name, int64_t ms,
                            uint64_t count)
{
    struct berth_record record = kit_dispatcher(id, name);
    record.dispatcher.retention_ms = ms;
    record.dispatcher.retention_count = count;
    store_one(f, record);
}

struct kept {
    struct fixture *f;
    uint64_t of_1, of_2;
};

static bool are_kept(void *arg)
{
    const struct kept *wanted = arg;
    struct berth_completion answer =
        kit_read(&wanted->f->kit, &(struct berth_read){ .number = 1, .type = BERTH_READ_COUNTS });
    uint64_t of_1 = 0, of_2 = 0;
    for (size_t i = 0; i < answer.count_count; i++) {
        const struct berth_ended_count *count = &answer.counts[i];
        uint64_t kept = count->completed + count->dead + count->cancelled;
        of_1 += count->dispatcher == 1 ? kept : 0;
        of_2 += count->dispatcher == 2 ? kept : 0;
    }
    return of_1 == wanted->of_1 && of_2 == wanted->of_2;
}

static void ended_without_keys(struct fixture *f, uint64_t first, uint64_t last,
                               int64_t finished_us)
{
    struct berth_batch *batch = kit_batch(&f->kit);
    for (uint64_t id = first; id <= last; id++) {
        struct berth_record records[] = {
            kit_job(id, 1 + (uint32_t)(id % 2), kit_text("body")),
            kit_end(id, 1 + (uint32_t)(id % 2), BERTH_COMPLETED, finished_us),
        };
        records[0].job.submitted_us = finished_us - 1;
        for (size_t i = 0; i < 2; i++) {
            kit_add(batch, &records[i]);
            model_apply(&f->model, &records[i]);
        }
    }
    kit_store(&f->kit, batch);
}

static void each_dispatcher_keeps_as_many_as_it_may(void **state)
{
    struct fixture *f = *state;
    given_retention(f, 1, "few", 604800000, 5);
    given_retention(f, 2, "many", 604800000, 100);
    ended_without_keys(f, 1, 60, f->kit.wall_us);
    assert_true(await(are_kept, &(struct kept){ f, 5, 30 }, KIT_WAIT_MS));
    model_keep(&f->model, 1, 5);
    check_all(f, 16);

    given_retention(f, 2, "many", 604800000, 3); /* fewer from now on */
    ended_without_keys(f, 61, 62, f->kit.wall_us);
    assert_true(await(are_kept, &(struct kept){ f, 5, 3 }, KIT_WAIT_MS));
    model_keep(&f->model, 1, 5);
    model_keep(&f->model, 2, 3);
    check_all(f, 16);
}

static void each_dispatcher_keeps_them_as_long_as_it_may(void **state)
{
    struct fixture *f = *state;
    given_retention(f, 1, "short", 60000, 1000);
    given_retention(f, 2, "long", 604800000, 1000);
    ended_without_keys(f, 1, 40, f->kit.wall_us - HOUR_US);
    ended_without_keys(f, 41, 42, f->kit.wall_us);
    kit_reopen(
        &f->kit); /* what is too old is looked for at the start, and then from time to time */
    ended_without_keys(f, 43, 44, f->kit.wall_us + 1);
    assert_true(await(are_kept, &(struct kept){ f, 2, 22 }, KIT_WAIT_MS));
    model_keep(&f->model, 1, 2);
    check_all(f, 16);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_dead_or_cancelled_job_lives_again_with_fresh_tries),
        TEST(a_cancel_is_not_remembered_beyond_the_end),
        TEST(what_cannot_live_again_is_said_to_be_missing),
        TEST(a_discarded_job_is_gone_and_its_key_is_not),
        TEST(the_largest_id_is_not_used_again_when_it_was_discarded),
        TEST(a_removed_dispatcher_takes_its_ended_jobs_along),
        TEST(all_of_that_may_stand_in_one_batch),
        TEST(each_dispatcher_keeps_as_many_as_it_may),
        TEST(each_dispatcher_keeps_them_as_long_as_it_may),
    };
    int failed = 0;
    static const char *const backends[] = { "sqlite", "mem" };
    for (size_t i = 0; i < sizeof backends / sizeof *backends; i++) {
        backend_under_test = backends[i];
        failed += cmocka_run_group_tests_name(backends[i], tests, NULL, NULL);
    }
    return failed;
}
