/* SPDX-License-Identifier: MIT */
/* What every store promises (broker/store/store.h), run once for each backend.
 *
 * The SQLite backend is driven through its thread, the memory backend by command.
 */
#include "support/berthtest.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "contract.h"
#include "store_workload.h"

static void new_store_is_empty_and_begins_at_one(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(f->kit.info.epoch, 1);
    assert_int_equal(f->kit.info.next_job_id, 1);
    assert_int_equal(f->kit.info.next_dispatcher_id, 1);
    model_check_load(&f->model, &f->kit, UINT64_MAX);
}

static void each_open_is_one_epoch_further_in_the_same_cluster(void **state)
{
    struct fixture *f = *state;
    uint8_t cluster[16];
    memcpy(cluster, f->kit.info.cluster, sizeof cluster);
    for (uint64_t epoch = 2; epoch <= 4; epoch++) {
        kit_reopen(&f->kit);
        assert_int_equal(f->kit.info.epoch, epoch);
        assert_memory_equal(f->kit.info.cluster, cluster, sizeof cluster);
    }
}

static void empty_batch_is_stored(void **state)
{
    struct fixture *f = *state;
    kit_store(&f->kit, kit_batch(&f->kit));
    then_load_is_as_the_model(f);
}

static void second_batch_waits_until_the_first_is_reaped(void **state)
{
    struct fixture *f = *state;
    struct berth_batch *first = kit_batch(&f->kit), *second = kit_batch(&f->kit);
    assert_true(berth_store_is_idle(f->kit.store));
    assert_rc(berth_store_submit(f->kit.store, first), 0);
    assert_false(berth_store_is_idle(f->kit.store));
    assert_rc(berth_store_submit(f->kit.store, second), -EAGAIN);

    struct berth_completion completion = kit_await(&f->kit);

    assert_ptr_equal(completion.batch, first);
    assert_true(berth_store_is_idle(f->kit.store));
    kit_batch_free(first);
    kit_store(&f->kit, second);
}

static void read_sees_the_batch_before_it_and_completes_behind_it(void **state)
{
    struct fixture *f = *state;
    struct berth_batch *batch = kit_batch(&f->kit);
    struct berth_record record = kit_job(1, 1, kit_text("a"));
    kit_add(batch, &record);
    uint64_t id = 1;
    struct berth_read read = { .number = 5, .type = BERTH_READ_JOBS, .ids = &id, .id_count = 1 };

    assert_rc(berth_store_submit(f->kit.store, batch), 0);
    assert_rc(berth_store_read(f->kit.store, &read), 0);
    id = 99; /* the question was copied */

    struct berth_completion completion = kit_await(&f->kit);
    assert_ptr_equal(completion.batch, batch);
    assert_int_equal(completion.result, BERTH_STORED);
    completion = kit_await(&f->kit);
    assert_null(completion.batch);
    assert_int_equal(completion.number, 5);
    assert_int_equal(completion.job_count, 1);
    assert_int_equal(completion.jobs[0].id, 1);
    kit_batch_free(batch);
}

static void reads_beyond_their_bound_are_put_off(void **state)
{
    struct fixture *f = *state;
    struct berth_read read = { .type = BERTH_READ_COUNTS };
    for (uint64_t i = 0; i < BERTH_STORE_READS_MAX; i++) {
        read.number = i;
        assert_rc(berth_store_read(f->kit.store, &read), 0);
    }
    assert_rc(berth_store_read(f->kit.store, &read), -EAGAIN);

    for (uint64_t i = 0; i < BERTH_STORE_READS_MAX; i++)
        assert_int_equal(kit_await(&f->kit).number, i);

    assert_rc(berth_store_read(f->kit.store, &read), 0);
    (void)kit_await(&f->kit);
}

static void nothing_is_reaped_when_nothing_was_asked(void **state)
{
    struct fixture *f = *state;
    struct berth_completion completion;
    assert_rc(berth_store_reap(f->kit.store, &completion), 0);
    struct pollfd ready = { .fd = berth_store_fd(f->kit.store), .events = POLLIN };
    assert_int_equal(poll(&ready, 1, 0), 0);
}

static void batch_of_an_older_epoch_is_fenced_without_effect(void **state)
{
    struct fixture *f = *state;
    given_jobs(f, 1, 3);
    kit_reopen(&f->kit);
    struct berth_batch *late = kit_batch(&f->kit);
    late->epoch--;
    struct berth_record record = kit_job(4, 1, kit_text("late"));
    kit_add(late, &record);
    struct berth_error error = { .code = 0 };

    assert_int_equal(kit_write(&f->kit, late, &error), BERTH_STORE_FENCED);

    assert_int_equal(error.code, BERTH_EFENCED);
    then_load_is_as_the_model(f);
}

static void bodies_are_handed_over_until_the_budget_is_spent(void **state)
{
    struct fixture *f = *state;
    given_jobs(f, 1, 40);
    static const uint64_t budgets[] = { 0, 1, 51, 500, 1023, 100000 };
    for (size_t i = 0; i < sizeof budgets / sizeof *budgets; i++) {
        kit_reopen(&f->kit);
        model_check_load(&f->model, &f->kit, budgets[i]);
    }
}

static int stop_at_third(void *arg, const struct berth_job_record *record)
{
    (void)arg;
    return record->id == 3 ? -ECANCELED : 0;
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

static void visitor_that_fails_ends_the_load_with_its_code(void **state)
{
    struct fixture *f = *state;
    given_jobs(f, 1, 9);
    kit_reopen(&f->kit);
    struct berth_store_visitor visitor = { .dispatcher = ignore_dispatcher,
                                           .session = ignore_session,
                                           .job = stop_at_third,
                                           .ended_key = stop_at_third,
                                           .body_bytes_budget = UINT64_MAX };
    struct berth_error error = { .code = 0 };
    assert_rc(berth_store_load(f->kit.store, &visitor, &error), -ECANCELED);
}

static void given_ended_job_with_key(struct fixture *f, uint64_t id, enum berth_key_kind kind,
                                     int64_t until_us)
{
    struct berth_batch *batch = kit_batch(&f->kit);
    struct berth_record record = kit_job(id, 1, kit_text("x"));
    if (kind != BERTH_KEY_NONE)
        record.job.key = (struct berth_key){ .kind = kind,
                                             .bytes = kit_bytes(&f->kit, 16, id),
                                             .until_us = until_us };
    put(f, batch, &record);
    record = kit_end(id, 1, BERTH_DEAD, f->kit.wall_us);
    put(f, batch, &record);
    kit_store(&f->kit, batch);
}

static void keys_of_ended_jobs_are_loaded_while_their_window_lasts(void **state)
{
    struct fixture *f = *state;
    given_ended_job_with_key(f, 1, BERTH_KEY_REQUEST, f->kit.wall_us + 1000000);
    given_ended_job_with_key(f, 2, BERTH_KEY_IDEMPOTENCY, f->kit.wall_us + 3000000);
    given_ended_job_with_key(f, 3, BERTH_KEY_IDEMPOTENCY, f->kit.wall_us - 1);
    given_ended_job_with_key(f, 4, BERTH_KEY_NONE, 0);
    then_load_is_as_the_model(f);

    f->kit.wall_us += 2000000;
    then_load_is_as_the_model(f);

    f->kit.wall_us += 2000000;
    then_load_is_as_the_model(f);
}

static void full_store_refuses_arrivals_and_takes_ends(void **state)
{
    struct fixture *f = *state;
    kit_close(&f->kit);
    f->kit.bytes_max = 2u << 20;
    kit_open(&f->kit);
    struct berth_error error = { .code = 0 };
    enum berth_store_result result = BERTH_STORED;
    uint64_t id = 0;
    while (result == BERTH_STORED) {
        assert_true(id < 100);
        struct berth_batch *batch = kit_batch(&f->kit);
        id++;
        struct berth_record job = kit_job(id, 1, kit_bytes(&f->kit, 100000, id));
        kit_add(batch, &job);
        result = kit_write(&f->kit, batch, &error);
        if (result == BERTH_STORED)
            model_apply(&f->model, &job);
    }
    assert_int_equal(result, BERTH_STORE_FULL);
    assert_int_equal(error.code, BERTH_EFULL);
    assert_true(id > 5);

    for (uint64_t ended = 1; ended < id; ended++) {
        struct berth_batch *batch = kit_batch(&f->kit);
        struct berth_record end = kit_end(ended, 1, BERTH_COMPLETED, f->kit.wall_us);
        end.end.last.result = kit_bytes(&f->kit, 1000, ended);
        put(f, batch, &end);
        struct berth_record limit = kit_dispatcher(1, "newsletter");
        put(f, batch, &limit);
        kit_store(&f->kit, batch);
    }
    then_load_is_as_the_model(f);
}

/* Random sequences of all records, against the model. */

static void check_random_reads(struct fixture *f, struct berth_rng *rng)
{
    uint64_t ids[30];
    uint64_t id_max = f->model.job_count ? f->model.jobs[f->model.job_count - 1].id + 5 : 5;
    for (size_t i = 0; i < 30; i++)
        ids[i] = 1 + berth_rng_below(rng, id_max);
    model_check_read(
        &f->model, &f->kit,
        &(struct berth_read){ .number = 1, .type = BERTH_READ_JOBS, .ids = ids, .id_count = 30 });
    model_check_read(&f->model, &f->kit,
                     &(struct berth_read){ .number = 2, .type = BERTH_READ_COUNTS });
    for (uint64_t number = 3; number < 8; number++) {
        static const enum berth_state states[] = { 0, BERTH_COMPLETED, BERTH_DEAD,
                                                   BERTH_CANCELLED };
        struct berth_read list = {
            .number = number,
            .type = BERTH_READ_LIST,
            .scope = (enum berth_read_scope)berth_rng_below(rng, 3),
            .state = states[berth_rng_below(rng, 4)],
            .dispatcher = (uint32_t)berth_rng_below(rng, 5),
            .after = berth_rng_chance(rng, 1, 2) ? berth_rng_below(rng, id_max) : 0,
            .is_newest_first = berth_rng_chance(rng, 1, 2),
            .with_bodies = berth_rng_chance(rng, 1, 2),
            .count_max = 1 + (size_t)berth_rng_below(rng, 40),
        };
        model_check_read(&f->model, &f->kit, &list);
    }
}

static void run_random_sequence(struct fixture *f, uint64_t seed)
{
    struct berth_rng rng;
    berth_rng_init(&rng, seed);
    for (size_t i = 0; i < 40; i++) {
        kit_store(&f->kit, workload_batch(&f->kit, &f->model, &rng, 30));
        f->kit.wall_us += 1000;
        check_random_reads(f, &rng);
        if (berth_rng_chance(&rng, 1, 6)) {
            kit_reopen(&f->kit);
            model_check_load(&f->model, &f->kit, berth_rng_below(&rng, 100000));
        }
    }
    then_load_is_as_the_model(f);
}

static void load_and_reads_after_random_batches_are_as_the_model(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 12; seed++) {
        struct fixture *f = calloc(1, sizeof *f);
        kit_init(&f->kit, contract_backend);
        kit_open(&f->kit);
        run_random_sequence(f, seed);
        kit_fini(&f->kit);
        free(f);
    }
}

static void close_finishes_and_drops_what_is_under_way(void **state)
{
    struct fixture *f = *state;
    struct berth_batch *batch = kit_batch(&f->kit);
    struct berth_record record = kit_job(1, 1, kit_text("a"));
    kit_add(batch, &record);
    uint64_t id = 1;
    struct berth_read read = { .type = BERTH_READ_JOBS, .ids = &id, .id_count = 1 };
    assert_rc(berth_store_submit(f->kit.store, batch), 0);
    assert_rc(berth_store_read(f->kit.store, &read), 0);
    kit_close(&f->kit);
    kit_batch_free(batch);

    kit_open(&f->kit);
    if (!f->kit.disk) /* a disk in memory has what was completed by command, and this was not */
        model_apply(&f->model, &record);
    struct berth_read all = { .type = BERTH_READ_LIST, .count_max = 10 };
    assert_int_equal(kit_read(&f->kit, &all).job_count, f->kit.disk ? 0 : 1);
}

static void unknown_backend_is_refused_by_name(void **state)
{
    (void)state;
    struct berth_store *store = NULL;
    struct berth_store_info info;
    struct berth_error error = { .code = 0 };
    struct berth_store_opts opts = { .dir = "/nowhere" };
    assert_rc(berth_store_open("postgres", &opts, &store, &info, &error), BERTH_ECONF);
    assert_non_null(strstr(error.message, "postgres"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(new_store_is_empty_and_begins_at_one),
        TEST(each_open_is_one_epoch_further_in_the_same_cluster),
        TEST(empty_batch_is_stored),
        TEST(second_batch_waits_until_the_first_is_reaped),
        TEST(read_sees_the_batch_before_it_and_completes_behind_it),
        TEST(reads_beyond_their_bound_are_put_off),
        TEST(nothing_is_reaped_when_nothing_was_asked),
        TEST(batch_of_an_older_epoch_is_fenced_without_effect),
        TEST(bodies_are_handed_over_until_the_budget_is_spent),
        TEST(visitor_that_fails_ends_the_load_with_its_code),
        TEST(keys_of_ended_jobs_are_loaded_while_their_window_lasts),
        TEST(full_store_refuses_arrivals_and_takes_ends),
        TEST(close_finishes_and_drops_what_is_under_way),
        cmocka_unit_test(load_and_reads_after_random_batches_are_as_the_model),
        cmocka_unit_test(unknown_backend_is_refused_by_name),
    };
    return contract_main(tests, sizeof tests / sizeof *tests);
}
