/* SPDX-License-Identifier: MIT */
/* Housekeeping of the SQLite backend, step by step, without its thread: what is forgotten, and what
 * is not. */
#include "support/berthtest.h"

#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "broker/store/store_sqlite.h"
#include "faulty_vfs.h"
#include "store_kit.h"
#include "support/await.h"
#include "support/tempdir.h"

#define DAY_US    (INT64_C(24) * 3600 * 1000000)
#define HOUR_US   (INT64_C(3600) * 1000000)
#define IDLE_MS   100000
#define STEPS_MAX 5000
#define WAIT_MS   60000

struct fixture {
    struct kit kit; /* for its directory, memory and epoch */
    struct store_blocking *backend;
    int64_t now_us;
};

static void open_backend(struct fixture *f)
{
    struct berth_store_opts opts = { .dir = f->kit.dir, .lineage = 1, .wall_us = f->now_us };
    struct berth_error error = { .code = 0 };
    assert_int_equal(store_sqlite_blocking.open(&opts, &f->backend, &f->kit.info, &error), 0);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    BERTH_ASSERT(f);
    kit_init(&f->kit, "sqlite");
    f->now_us = berth_clock_wall_us();
    open_backend(f);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    if (f->backend)
        f->backend->ops->close(f->backend);
    kit_fini(&f->kit);
    free(f);
    return 0;
}

/* All that is due, one step after the other. */
static void tend(struct fixture *f)
{
    for (size_t i = 0; f->backend->ops->tend(f->backend, IDLE_MS) == 0; i++)
        assert_true(i < STEPS_MAX);
}

/* The walks that take place by the hour are due now. */
static void tend_all(struct fixture *f)
{
    struct sqlite_chores *chores = &sqlite_of(f->backend)->chores;
    chores->age_due_ms = chores->key_due_ms = chores->count_due_ms = 0;
    tend(f);
}

static void write_batch(struct fixture *f, struct berth_batch *batch)
{
    struct berth_error error = { .code = 0 };
    assert_int_equal(f->backend->ops->write(f->backend, batch, &error), BERTH_STORED);
    kit_batch_free(batch);
}

/* Jobs first..last that ended at `finished_us`, an hour after they came. */
static void given_ended(struct fixture *f, uint64_t first, uint64_t last, uint32_t dispatcher,
                        int64_t finished_us, struct berth_key key)
{
    for (uint64_t id = first; id <= last;) {
        struct berth_batch *batch = kit_batch(&f->kit);
        for (; id <= last && batch->count + 2 <= batch->count_max; id++) {
            struct berth_record record = kit_job(id, dispatcher, kit_text("body"));
            record.job.submitted_us = finished_us - HOUR_US;
            record.job.key = key;
            kit_add(batch, &record);
            record = kit_end(id, dispatcher, id % 3 ? BERTH_COMPLETED : BERTH_DEAD, finished_us);
            kit_add(batch, &record);
        }
        write_batch(f, batch);
    }
}

static const struct berth_key no_key;

static struct berth_key key_of(enum berth_key_kind kind, int64_t until_us)
{
    return (struct berth_key){ .kind = kind,
                               .bytes = { .data = "0123456789abcdef", .bytes = 16 },
                               .until_us = until_us };
}

static struct berth_ended_count count_of(struct fixture *f, uint32_t dispatcher)
{
    struct store_answer answer;
    struct berth_error error;
    store_answer_init(&answer);
    struct berth_read read = { .type = BERTH_READ_COUNTS };
    assert_int_equal(f->backend->ops->read(f->backend, &read, &answer, &error), 0);
    struct berth_ended_count found = { .dispatcher = 0 };
    for (size_t i = 0; i < answer.count_count; i++) {
        if (answer.counts[i].dispatcher == dispatcher)
            found = answer.counts[i];
    }
    store_answer_fini(&answer);
    return found;
}

static uint64_t kept_of(struct fixture *f, uint32_t dispatcher)
{
    struct berth_ended_count count = count_of(f, dispatcher);
    return count.completed + count.dead + count.cancelled;
}

static bool has_job(struct fixture *f, uint64_t id)
{
    struct store_answer answer;
    struct berth_error error;
    store_answer_init(&answer);
    struct berth_read read = { .type = BERTH_READ_JOBS, .ids = &id, .id_count = 1 };
    assert_int_equal(f->backend->ops->read(f->backend, &read, &answer, &error), 0);
    bool is_found = answer.job_count == 1;
    store_answer_fini(&answer);
    return is_found;
}

/* In the file, once the store is closed. */
static int64_t number_in_file(struct fixture *f, const char *sql)
{
    f->backend->ops->close(f->backend);
    f->backend = NULL;
    BERTH_AUTO_MEM char *path = tempdir_path(f->kit.dir, STORE_SQLITE_FILE);
    sqlite3 *db = NULL;
    sqlite3_stmt *row = NULL;
    BERTH_ASSERT(sqlite3_open(path, &db) == SQLITE_OK);
    BERTH_ASSERT(sqlite3_prepare_v2(db, sql, -1, &row, NULL) == SQLITE_OK);
    BERTH_ASSERT(sqlite3_step(row) == SQLITE_ROW);
    int64_t number = sqlite3_column_int64(row, 0);
    (void)sqlite3_finalize(row);
    (void)sqlite3_close(db);
    open_backend(f);
    return number;
}

static void jobs_that_ended_too_long_ago_are_forgotten(void **state)
{
    struct fixture *f = *state;
    given_ended(f, 1, 1500, 1, f->now_us - BERTH_STORE_HISTORY_US - HOUR_US, no_key);
    given_ended(f, 1501, 1600, 1, f->now_us - BERTH_STORE_HISTORY_US + HOUR_US, no_key);
    given_ended(f, 1601, 1700, 2, f->now_us, no_key);

    tend_all(f);

    assert_false(has_job(f, 1));
    assert_false(has_job(f, 1500));
    assert_true(has_job(f, 1501));
    assert_int_equal(kept_of(f, 1), 100);
    assert_int_equal(kept_of(f, 2), 100);
    assert_int_equal(count_of(f, 1).completed_total, 1000 + 67);
    assert_int_equal(number_in_file(f, "SELECT count(*) FROM done"), 200);
    assert_int_equal(
        number_in_file(f, "SELECT completed + dead FROM dispatcher_count WHERE dispatcher = 1"),
        100);
}

static void live_jobs_are_kept_however_old(void **state)
{
    struct fixture *f = *state;
    struct berth_batch *batch = kit_batch(&f->kit);
    struct berth_record job = kit_job(1, 1, kit_text("old"));
    kit_add(batch, &job);
    write_batch(f, batch);
    tend_all(f);
    assert_true(has_job(f, 1));
}

/* Dispatcher 2 has the oldest ids and stays as it is. */
static void options_are_forgotten_with_their_job(void **state)
{
    struct fixture *f = *state;
    const int64_t now_us = berth_clock_wall_us();
    struct berth_batch *batch = kit_batch(&f->kit);
    for (uint64_t id = 1; id <= 3; id++) {
        struct berth_record record = kit_job(id, 1, kit_text("body"));
        record.job.group = kit_text("tenant");
        kit_add(batch, &record);
    }
    struct berth_record end = kit_end(1, 1, BERTH_DEAD, now_us - BERTH_STORE_HISTORY_US - HOUR_US);
    kit_add(batch, &end);
    end = kit_end(2, 1, BERTH_DEAD, now_us);
    kit_add(batch, &end);
    write_batch(f, batch);

    tend_all(f);

    assert_false(has_job(f, 1));
    assert_int_equal(number_in_file(f, "SELECT count(*) * 100 + sum(of_job) FROM job_option"), 205);
}

static void dispatcher_with_too_many_forgets_its_oldest(void **state)
{
    struct fixture *f = *state;
    uint64_t excess = BERTH_STORE_HISTORY_COUNT / 50;
    uint64_t last = 101 + BERTH_STORE_HISTORY_COUNT + excess;
    given_ended(f, 1, 100, 2, f->now_us, no_key);
    struct berth_batch *batch = kit_batch(&f->kit);
    struct berth_record job = kit_job(101, 1, kit_text("late"));
    kit_add(batch, &job);
    write_batch(f, batch);
    given_ended(f, 102, last, 1, f->now_us, no_key);

    tend(f);

    assert_int_equal(kept_of(f, 1), BERTH_STORE_HISTORY_COUNT);
    assert_int_equal(kept_of(f, 2), 100);
    assert_true(has_job(f, 1));
    assert_false(has_job(f, 101 + excess));
    assert_true(has_job(f, 101 + excess + 1));

    /* The next walk begins where this one ended, but not above the oldest, which ends only now. */
    batch = kit_batch(&f->kit);
    struct berth_record end = kit_end(101, 1, BERTH_CANCELLED, f->now_us);
    kit_add(batch, &end);
    write_batch(f, batch);
    given_ended(f, last + 1, last + excess, 1, f->now_us, no_key);
    tend(f);
    assert_int_equal(kept_of(f, 1), BERTH_STORE_HISTORY_COUNT);
    assert_false(has_job(f, 101));
    assert_false(has_job(f, 101 + 2 * excess));
    assert_true(has_job(f, 101 + 2 * excess + 1));
}

static void history_of_a_busy_store_is_bounded_between_batches(void **state)
{
    struct fixture *f = *state;
    uint64_t id = 1;
    while (id < BERTH_STORE_HISTORY_COUNT * 5 / 4) {
        given_ended(f, id, id + 1999, 1, f->now_us, no_key);
        id += 2000;
        if (f->backend->ops->is_overdue(f->backend))
            (void)f->backend->ops->tend(f->backend, 0);
    }
    assert_true(kept_of(f, 1) < BERTH_STORE_HISTORY_COUNT * 6 / 5);
}

static void job_with_a_request_key_inside_its_window_is_kept(void **state)
{
    struct fixture *f = *state;
    int64_t old_us = f->now_us - 2 * BERTH_STORE_HISTORY_US;
    given_ended(f, 1, 1, 1, old_us, key_of(BERTH_KEY_REQUEST, f->now_us + HOUR_US));
    given_ended(f, 2, 2, 1, old_us, key_of(BERTH_KEY_REQUEST, f->now_us - 1));
    tend_all(f);
    assert_true(has_job(f, 1));
    assert_false(has_job(f, 2));
}

static void excess_inside_its_window_waits_without_a_busy_loop(void **state)
{
    struct fixture *f = *state;
    given_ended(f, 1, BERTH_STORE_HISTORY_COUNT + 5000, 1, f->now_us,
                key_of(BERTH_KEY_REQUEST, f->now_us + HOUR_US));
    tend(f);
    assert_int_equal(kept_of(f, 1), BERTH_STORE_HISTORY_COUNT + 5000);
    assert_true(f->backend->ops->tend(f->backend, IDLE_MS) > IDLE_MS);
}

/* In the file, while the store is closed. */
static void change_file(struct fixture *f, const char *sql)
{
    f->backend->ops->close(f->backend);
    BERTH_AUTO_MEM char *path = tempdir_path(f->kit.dir, STORE_SQLITE_FILE);
    sqlite3 *db = NULL;
    BERTH_ASSERT(sqlite3_open(path, &db) == SQLITE_OK);
    BERTH_ASSERT(sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK);
    (void)sqlite3_close(db);
    open_backend(f);
}

static void wrong_count_in_the_file_keeps_nobody_busy(void **state)
{
    struct fixture *f = *state;
    given_ended(f, 1, 100, 1, f->now_us - 2 * BERTH_STORE_HISTORY_US, no_key);
    given_ended(f, 101, 200, 2, f->now_us - 2 * BERTH_STORE_HISTORY_US, no_key);
    change_file(f, "UPDATE dispatcher_count SET completed = 10000000 WHERE dispatcher = 1;"
                   "UPDATE dispatcher_count SET completed = 0, dead = 1 WHERE dispatcher = 2");
    tend_all(f);
    assert_int_equal(number_in_file(f, "SELECT count(*) FROM done"), 0);
    assert_int_equal(kept_of(f, 2), 0);
}

static int take_key(void *arg, const struct berth_job_record *record)
{
    struct berth_job_record *taken = arg;
    *taken = *record;
    return 0;
}

static int ignore_job(void *arg, const struct berth_job_record *record)
{
    (void)arg;
    (void)record;
    return 0;
}

static int ignore_dispatcher(void *arg, const struct berth_dispatcher_record *record)
{
    (void)arg;
    (void)record;
    return 0;
}

static int ignore_session(void *arg, const struct berth_session_record *record)
{
    (void)arg;
    (void)record;
    return 0;
}

static uint64_t loaded_key(struct fixture *f)
{
    struct berth_job_record key = { .id = 0 };
    struct berth_store_visitor visitor = { .arg = &key,
                                           .dispatcher = ignore_dispatcher,
                                           .session = ignore_session,
                                           .job = ignore_job,
                                           .ended_key = take_key };
    struct berth_error error = { .code = 0 };
    assert_int_equal(f->backend->ops->load(f->backend, &visitor, &error), 0);
    return key.id;
}

static bool is_past(void *arg)
{
    const int64_t *until_us = arg;
    return berth_clock_wall_us() > *until_us;
}

static void idempotency_key_outlives_its_job_and_not_its_window(void **state)
{
    struct fixture *f = *state;
    int64_t until_us = berth_clock_wall_us() + 700000;
    given_ended(f, 5, 5, 1, f->now_us - 2 * BERTH_STORE_HISTORY_US,
                key_of(BERTH_KEY_IDEMPOTENCY, until_us));
    tend_all(f);
    assert_false(has_job(f, 5));
    assert_int_equal(loaded_key(f), 5);

    assert_true(await(is_past, &until_us, WAIT_MS));
    tend_all(f);
    assert_int_equal(number_in_file(f, "SELECT count(*) FROM idempotency"), 0);
}

/* Of a live parent with the number 1. Of the two the one with the number 6 is dead. */
static void given_ended_children(struct fixture *f)
{
    struct berth_batch *batch = kit_batch(&f->kit);
    struct berth_record record = kit_job(1, 1, kit_text("parent"));
    kit_add(batch, &record);
    for (uint64_t id = 5; id <= 6; id++) {
        record = kit_job(id, 1, kit_text("child"));
        record.job.parent = 1;
        record.job.key = key_of(BERTH_KEY_CHILD, berth_clock_wall_us() + HOUR_US);
        kit_add(batch, &record);
        record = kit_end(id, 1, id == 5 ? BERTH_COMPLETED : BERTH_DEAD,
                         f->now_us - 2 * BERTH_STORE_HISTORY_US);
        kit_add(batch, &record);
    }
    write_batch(f, batch);
}

static void key_of_a_child_outlives_its_job_if_it_completed(void **state)
{
    struct fixture *f = *state;
    given_ended_children(f);
    tend_all(f);
    assert_false(has_job(f, 5));
    assert_false(has_job(f, 6));
    assert_int_equal(number_in_file(f, "SELECT count(*) FROM idempotency"), 1);
    assert_int_equal(loaded_key(f), 5);
}

static void key_of_a_child_goes_when_its_parent_has_completed(void **state)
{
    struct fixture *f = *state;
    given_ended_children(f);
    tend_all(f);
    struct berth_batch *batch = kit_batch(&f->kit);
    struct berth_record end = kit_end(1, 1, BERTH_COMPLETED, f->now_us);
    kit_add(batch, &end);
    write_batch(f, batch);
    assert_int_equal(loaded_key(f), 0);
    tend_all(f);
    assert_int_equal(number_in_file(f, "SELECT count(*) FROM idempotency"), 0);
}

/* Of a file from before version 9 nobody knows whose it is: its window ends it. */
static void key_of_a_child_of_an_unknown_parent_is_kept(void **state)
{
    struct fixture *f = *state;
    given_ended_children(f);
    tend_all(f);
    assert_int_equal(sqlite3_exec(sqlite_of(f->backend)->db,
                                  "UPDATE idempotency SET parent = 0; DELETE FROM job", NULL, NULL,
                                  NULL),
                     SQLITE_OK);
    tend_all(f);
    assert_int_equal(number_in_file(f, "SELECT count(*) FROM idempotency"), 1);
    assert_int_equal(loaded_key(f), 5);
}

/* So an instant that a clock put back brings again has one job still. */
static void key_of_an_instant_outlives_its_job(void **state)
{
    struct fixture *f = *state;
    int64_t until_us = berth_clock_wall_us() + HOUR_US;
    given_ended(f, 5, 6, 1, f->now_us - 2 * BERTH_STORE_HISTORY_US,
                key_of(BERTH_KEY_SCHEDULE, until_us));
    tend_all(f);
    assert_false(has_job(f, 5));
    assert_false(has_job(f, 6));
    assert_int_equal(number_in_file(f, "SELECT count(*) FROM idempotency"), 2);
    assert_int_equal(loaded_key(f), 6);
}

/* Power is lost right after the last job went, so that no clean stop could note the number. */
static void next_job_id_survives_the_largest_job(void **state)
{
    struct fixture *f = *state;
    f->backend->ops->close(f->backend);
    faulty_vfs_install();
    open_backend(f);
    given_ended(f, 1, 77, 1, f->now_us - 2 * BERTH_STORE_HISTORY_US, no_key);
    tend_all(f);
    assert_false(has_job(f, 77));
    struct berth_rng rng;
    berth_rng_init(&rng, 1);
    struct vfs_image image;
    faulty_vfs_image(&image, &rng);
    f->backend->ops->close(f->backend);
    faulty_vfs_remove();

    vfs_image_write(&image, f->kit.dir);
    vfs_image_fini(&image);
    open_backend(f);
    assert_int_equal(f->kit.info.next_job_id, 78);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(jobs_that_ended_too_long_ago_are_forgotten),
        TEST(live_jobs_are_kept_however_old),
        TEST(options_are_forgotten_with_their_job),
        TEST(dispatcher_with_too_many_forgets_its_oldest),
        TEST(history_of_a_busy_store_is_bounded_between_batches),
        TEST(job_with_a_request_key_inside_its_window_is_kept),
        TEST(excess_inside_its_window_waits_without_a_busy_loop),
        TEST(idempotency_key_outlives_its_job_and_not_its_window),
        TEST(key_of_a_child_outlives_its_job_if_it_completed),
        TEST(key_of_a_child_goes_when_its_parent_has_completed),
        TEST(key_of_a_child_of_an_unknown_parent_is_kept),
        TEST(key_of_an_instant_outlives_its_job),
        TEST(wrong_count_in_the_file_keeps_nobody_busy),
        TEST(next_job_id_survives_the_largest_job),
    };
    return berth_test_main(tests, NULL, NULL);
}
