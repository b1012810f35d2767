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
#include "store_kit.h"
#include "store_model.h"
#include "store_workload.h"

static const char *backend_under_test;

struct fixture {
    struct kit kit;
    struct model model;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
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

/* Adds to the batch and to the model. */
static void put(struct fixture *f, struct berth_batch *batch, const struct berth_record *record)
{
    kit_add(batch, record);
    model_apply(&f->model, record);
}

static void given_jobs(struct fixture *f, uint64_t first, uint64_t last)
{
    struct berth_batch *batch = kit_batch(&f->kit);
    for (uint64_t id = first; id <= last; id++) {
        struct berth_record job =
            kit_job(id, 1 + (uint32_t)(id % 3), kit_bytes(&f->kit, 50 + id % 7, id));
        put(f, batch, &job);
    }
    kit_store(&f->kit, batch);
}

static void then_load_is_as_the_model(struct fixture *f)
{
    kit_reopen(&f->kit);
    model_check_load(&f->model, &f->kit, UINT64_MAX);
}

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

static void every_type_of_record_comes_back_at_load(void **state)
{
    struct fixture *f = *state;
    struct berth_batch *batch = kit_batch(&f->kit);
    struct berth_record record = kit_dispatcher(7, "newsletter");
    put(f, batch, &record);
    record = kit_session((UINT64_C(0xffffff) << 40) | 9);
    put(f, batch, &record);
    record = kit_job(3, 7, kit_text("body"));
    record.job.key = (struct berth_key){ .kind = BERTH_KEY_IDEMPOTENCY,
                                         .bytes = kit_text("k"),
                                         .until_us = f->kit.wall_us + 1000000,
                                         .body_hash = { 1, 2, 3 } };
    record.job.priority = -100;
    record.job.timeout_ms = 30000;
    record.job.max_attempts = 3;
    put(f, batch, &record);
    record = kit_job(4, 7, kit_text(""));
    record.job.run_at_us = f->kit.wall_us + 5000000;
    put(f, batch, &record);
    record = (struct berth_record){
        .type = BERTH_RECORD_RETRY,
        .retry = { .id = 3,
                   .state = BERTH_RETRYING,
                   .run_at_us = 77,
                   .attempt = 2,
                   .failures = 1,
                   .deaths = 1,
                   .last = { .id = (UINT64_C(0xffffff) << 40) | 2,
                             .started_us = 66,
                             .worker = kit_text("w"),
                             .result = kit_text("result"),
                             .error_kind = kit_text("exit"),
                             .error_message = kit_text("it ended with 1") } },
    };
    put(f, batch, &record);
    record = (struct berth_record){ .type = BERTH_RECORD_CANCEL, .id = 4 };
    put(f, batch, &record);
    kit_store(&f->kit, batch);

    then_load_is_as_the_model(f);
    assert_int_equal(f->kit.info.next_job_id, 5);
    assert_int_equal(f->kit.info.next_dispatcher_id, 8);
}

static struct berth_record job_with_options(struct fixture *f, uint64_t id)
{
    struct berth_record record = kit_job(id, 7, kit_text("body"));
    record.job.group = kit_text("tenant");
    record.job.unique = kit_text("alice");
    record.job.after = kit_bytes(&f->kit, 1000 * sizeof(uint64_t), id);
    record.job.deadline_us = f->kit.wall_us + 3600000000;
    record.job.queue_timeout_ms = 300000;
    record.job.backoff_ms = 250;
    record.job.backoff_ms_max = 60000;
    record.job.parent = (UINT64_C(1) << 53) - 1;
    record.job.parent_ordinal = UINT32_MAX;
    record.job.parent_attempt = UINT64_MAX;
    return record;
}

static void options_of_a_job_come_back_live_and_ended(void **state)
{
    struct fixture *f = *state;
    const uint64_t ids[] = { 1, 2, 3 };
    struct berth_batch *batch = kit_batch(&f->kit);
    for (size_t i = 0; i < 3; i++) {
        struct berth_record record =
            i < 2 ? job_with_options(f, ids[i]) : kit_job(ids[i], 7, kit_text("without"));
        put(f, batch, &record);
    }
    struct berth_record end = kit_end(2, 7, BERTH_COMPLETED, f->kit.wall_us);
    put(f, batch, &end);
    kit_store(&f->kit, batch);

    then_load_is_as_the_model(f);
    const struct berth_read jobs = { .type = BERTH_READ_JOBS, .ids = ids, .id_count = 3 };
    const struct berth_read list = { .type = BERTH_READ_LIST, .count_max = 10 };
    model_check_read(&f->model, &f->kit, &jobs);
    model_check_read(&f->model, &f->kit, &list);
}

static void options_survive_a_body_that_is_read_without(void **state)
{
    struct fixture *f = *state;
    struct berth_batch *batch = kit_batch(&f->kit);
    struct berth_record record = job_with_options(f, 1);
    record.job.body = kit_bytes(&f->kit, 200000, 1);
    put(f, batch, &record);
    kit_store(&f->kit, batch);

    const struct berth_read list = { .type = BERTH_READ_LIST, .count_max = 10 };
    model_check_read(&f->model, &f->kit, &list);
    kit_reopen(&f->kit);
    model_check_load(&f->model, &f->kit, 0);
}

static void settings_of_a_dispatcher_come_back_and_are_replaced(void **state)
{
    struct fixture *f = *state;
    for (unsigned round = 0; round < 2; round++) {
        struct berth_batch *batch = kit_batch(&f->kit);
        struct berth_record record = kit_dispatcher(7, "newsletter");
        record.dispatcher.parent = 3 + round;
        record.dispatcher.weight = 1000 - round;
        record.dispatcher.group_limit = UINT32_MAX - round;
        record.dispatcher.rate_count = 1000000 - round;
        record.dispatcher.rate_ms = round ? 1000 : 86400000;
        record.dispatcher.burst = 1000000 - round;
        record.dispatcher.max_queued = UINT32_MAX - round;
        record.dispatcher.hold = round ? BERTH_HOLD_JOB : BERTH_HOLD_RUNNING;
        record.dispatcher.on_lost = round ? BERTH_ON_LOST_RECLAIM : BERTH_ON_LOST_HOLD;
        record.dispatcher.no_jitter = round == 0;
        record.dispatcher.queue_timeout_ms = 300000 + round;
        record.dispatcher.deadline_ms = 3600000 + round;
        record.dispatcher.retention_ms = 1 + round;
        record.dispatcher.retention_count = 1000000000 - round;
        record.dispatcher.changed_us = f->kit.wall_us + round;
        (void)snprintf(record.dispatcher.changed_by, sizeof record.dispatcher.changed_by, "%064u",
                       round);
        put(f, batch, &record);
        kit_store(&f->kit, batch);
        then_load_is_as_the_model(f);
    }
}

static void end_without_an_attempt_keeps_the_last_one(void **state)
{
    struct fixture *f = *state;
    struct berth_batch *batch = kit_batch(&f->kit);
    struct berth_record record = kit_job(1, 7, kit_text("body"));
    put(f, batch, &record);
    record = (struct berth_record){
        .type = BERTH_RECORD_RETRY,
        .retry = { .id = 1,
                   .state = BERTH_RETRYING,
                   .run_at_us = 77,
                   .attempt = 1,
                   .failures = 1,
                   .last = { .id = UINT64_C(1) << 40 | 1,
                             .started_us = 66,
                             .worker = kit_text("w"),
                             .result = kit_text("result"),
                             .error_kind = kit_text("exit"),
                             .error_message = kit_text("it ended with 1") } },
    };
    put(f, batch, &record);
    record = kit_end(1, 7, BERTH_CANCELLED, f->kit.wall_us);
    record.end.last = (struct berth_attempt_record){ 0 };
    put(f, batch, &record);
    kit_store(&f->kit, batch);

    const uint64_t id = 1;
    const struct berth_read read = { .type = BERTH_READ_JOBS, .ids = &id, .id_count = 1 };
    struct berth_completion answer = kit_read(&f->kit, &read);
    assert_int_equal(answer.jobs[0].state, BERTH_CANCELLED);
    assert_int_equal(answer.jobs[0].attempt, 1);
    assert_int_equal(answer.jobs[0].last.started_us, 66);
    assert_memory_equal(answer.jobs[0].last.error_message.data, "it ended with 1", 15);
    then_load_is_as_the_model(f);
    model_check_read(&f->model, &f->kit, &read);
}

static void end_without_an_attempt_can_say_what_ended_it(void **state)
{
    struct fixture *f = *state;
    struct berth_batch *batch = kit_batch(&f->kit);
    for (uint64_t id = 1; id <= 2; id++) {
        struct berth_record record = kit_job(id, 7, kit_text("body"));
        put(f, batch, &record);
    }
    struct berth_record retry = { .type = BERTH_RECORD_RETRY,
                                  .retry = { .id = 2,
                                             .state = BERTH_READY,
                                             .attempt = 1,
                                             .last = { .id = UINT64_C(1) << 40 | 1,
                                                       .worker = kit_text("w"),
                                                       .result = kit_text("result"),
                                                       .error_kind = kit_text("lost") } } };
    put(f, batch, &retry);
    for (uint64_t id = 1; id <= 2; id++) {
        struct berth_record record = kit_end(id, 7, BERTH_DEAD, f->kit.wall_us);
        record.end.last = (struct berth_attempt_record){ 0 };
        record.end.error_kind = kit_text("queue_timeout");
        record.end.error_message = kit_text("not started within its queue_timeout of 5 ms");
        put(f, batch, &record);
    }
    kit_store(&f->kit, batch);
    kit_reopen(&f->kit);

    const uint64_t ids[] = { 1, 2 };
    const struct berth_read read = { .type = BERTH_READ_JOBS, .ids = ids, .id_count = 2 };
    struct berth_completion answer = kit_read(&f->kit, &read);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(answer.jobs[i].state, BERTH_DEAD);
        assert_memory_equal(answer.jobs[i].last.error_kind.data, "queue_timeout", 13);
        assert_int_equal(answer.jobs[i].last.worker.bytes, i);
    }
    model_check_read(&f->model, &f->kit, &read);
}

static void a_start_is_loaded_until_its_job_is_tried_again_or_ends(void **state)
{
    struct fixture *f = *state;
    struct berth_batch *batch = kit_batch(&f->kit);
    for (uint64_t id = 1; id <= 3; id++) {
        struct berth_record record = kit_job(id, 1, kit_bytes(&f->kit, 20000, id));
        put(f, batch, &record);
        record = (struct berth_record){ .type = BERTH_RECORD_START,
                                        .start = { .id = id,
                                                   .attempt = (UINT64_C(0xffffff) << 40) | id,
                                                   .session = (UINT64_C(0xffffff) << 40) | 9,
                                                   .started_us = 1234567 } };
        put(f, batch, &record);
    }
    kit_store(&f->kit, batch);
    then_load_is_as_the_model(f);

    batch = kit_batch(&f->kit);
    struct berth_record record = { .type = BERTH_RECORD_START,
                                   .start = { .id = 1, .attempt = 7, .session = 8 } };
    put(f, batch, &record); /* instead of the first one */
    record = (struct berth_record){ .type = BERTH_RECORD_RETRY,
                                    .retry = { .id = 2, .state = BERTH_READY, .attempt = 1 } };
    put(f, batch, &record);
    record = kit_end(3, 1, BERTH_COMPLETED, f->kit.wall_us);
    put(f, batch, &record);
    kit_store(&f->kit, batch);

    assert_int_equal(model_find(&f->model, 1)->start_attempt, 7);
    assert_int_equal(model_find(&f->model, 2)->start_attempt, 0);
    then_load_is_as_the_model(f);
}

static void a_closed_session_is_loaded_as_one_until_it_ends(void **state)
{
    struct fixture *f = *state;
    struct berth_batch *batch = kit_batch(&f->kit);
    for (uint64_t id = 5; id <= 7; id++) {
        struct berth_record record = kit_session(id);
        put(f, batch, &record);
    }
    struct berth_record record = { .type = BERTH_RECORD_SESSION_CLOSED, .id = 6 };
    put(f, batch, &record);
    kit_store(&f->kit, batch);
    assert_true(f->model.sessions[1].is_closed);
    then_load_is_as_the_model(f);

    batch = kit_batch(&f->kit);
    record = (struct berth_record){ .type = BERTH_RECORD_SESSION_END, .id = 6 };
    put(f, batch, &record);
    kit_store(&f->kit, batch);

    then_load_is_as_the_model(f);
}

static void records_of_a_batch_are_applied_in_order(void **state)
{
    struct fixture *f = *state;
    struct berth_batch *batch = kit_batch(&f->kit);
    struct berth_record record = kit_job(1, 1, kit_text("a"));
    put(f, batch, &record);
    record = kit_end(1, 1, BERTH_COMPLETED, f->kit.wall_us);
    put(f, batch, &record);
    record = kit_session(5);
    put(f, batch, &record);
    record = (struct berth_record){ .type = BERTH_RECORD_SESSION_END, .id = 5 };
    put(f, batch, &record);
    record = kit_session(6);
    put(f, batch, &record);
    kit_store(&f->kit, batch);

    then_load_is_as_the_model(f);
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

/* A job with this key, ended. */
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
        kit_init(&f->kit, backend_under_test);
        kit_open(&f->kit);
        run_random_sequence(f, seed);
        kit_fini(&f->kit);
        free(f);
    }
}

static void list_goes_on_where_it_stopped_in_both_directions(void **state)
{
    struct fixture *f = *state;
    given_jobs(f, 1, 100);
    for (int is_down = 0; is_down < 2; is_down++) {
        struct berth_read read = { .type = BERTH_READ_LIST,
                                   .count_max = 7,
                                   .is_newest_first = is_down };
        size_t seen = 0;
        struct berth_completion page;
        do {
            page = kit_read(&f->kit, &read);
            for (size_t i = 0; i < page.job_count; i++, seen++)
                assert_int_equal(page.jobs[i].id, is_down ? 100 - seen : seen + 1);
            read.after = page.next;
        } while (page.has_more);
        assert_int_equal(seen, 100);
    }
}

static void list_that_finds_little_stops_and_says_where(void **state)
{
    struct fixture *f = *state;
    uint64_t last = BERTH_STORE_READ_ROWS_MAX + 100;
    for (uint64_t id = 1; id <= last;) {
        struct berth_batch *batch = kit_batch(&f->kit);
        for (size_t i = 0; i < 4000 && id <= last; i++, id++) {
            struct berth_record job = kit_job(id, id == last ? 2 : 1, kit_text("x"));
            kit_add(batch, &job);
        }
        kit_store(&f->kit, batch);
    }
    struct berth_read read = { .type = BERTH_READ_LIST, .count_max = 10, .dispatcher = 2 };

    struct berth_completion page = kit_read(&f->kit, &read);
    assert_int_equal(page.job_count, 0);
    assert_true(page.has_more);
    assert_int_equal(page.next, BERTH_STORE_READ_ROWS_MAX);

    read.after = page.next;
    page = kit_read(&f->kit, &read);
    assert_int_equal(page.job_count, 1);
    assert_int_equal(page.jobs[0].id, last);
    assert_false(page.has_more);
}

static void page_with_bodies_ends_at_its_bound_of_bytes(void **state)
{
    struct fixture *f = *state;
    static char body[1 << 20];
    for (uint64_t id = 1; id <= 10; id++) {
        struct berth_batch *batch = kit_batch(&f->kit);
        struct berth_record job =
            kit_job(id, 1, (struct berth_slice){ .data = body, .bytes = sizeof body });
        kit_add(batch, &job);
        kit_store(&f->kit, batch);
    }
    struct berth_read read = { .type = BERTH_READ_LIST, .count_max = 10, .with_bodies = true };
    static const size_t counts[] = { 4, 4, 2 };
    for (size_t i = 0; i < 3; i++) {
        struct berth_completion page = kit_read(&f->kit, &read);
        assert_int_equal(page.job_count, counts[i]);
        assert_int_equal(page.jobs[0].body.bytes, sizeof body);
        assert_memory_equal(page.jobs[0].body.data, body, sizeof body);
        assert_int_equal(page.has_more, i < 2);
        read.after = page.next;
    }
    read = (struct berth_read){ .type = BERTH_READ_LIST, .count_max = 10 };
    struct berth_completion page = kit_read(&f->kit, &read);
    assert_int_equal(page.job_count, 10);
    assert_null(page.jobs[0].body.data);
}

static void answer_to_ids_leaves_bodies_out_beyond_its_bound(void **state)
{
    struct fixture *f = *state;
    const uint64_t ids[4] = { 1, 2, 3, 4 };
    struct berth_slice half = kit_bytes(&f->kit, BERTH_STORE_READ_BYTES_MAX / 2, 1);
    for (size_t i = 0; i < 4; i++) {
        struct berth_batch *batch = kit_batch(&f->kit);
        struct berth_record job = kit_job(ids[i], 1, i < 3 ? half : kit_text("short"));
        kit_add(batch, &job);
        kit_store(&f->kit, batch);
    }
    struct berth_read read = { .type = BERTH_READ_JOBS, .ids = ids, .id_count = 4 };
    struct berth_completion answer = kit_read(&f->kit, &read);
    assert_int_equal(answer.job_count, 4);
    assert_true(answer.has_more);
    for (size_t i = 0; i < 2; i++)
        assert_memory_equal(answer.jobs[i].body.data, half.data, half.bytes);
    assert_null(answer.jobs[2].body.data);
    assert_int_equal(answer.jobs[2].body.bytes, half.bytes);
    assert_null(answer.jobs[3].body.data);
    assert_int_equal(answer.jobs[3].body.bytes, 5);

    read.id_count = 2;
    assert_false(kit_read(&f->kit, &read).has_more);
}

static void answer_to_one_id_always_has_its_body(void **state)
{
    struct fixture *f = *state;
    const uint64_t id = 1;
    struct berth_slice large = kit_bytes(&f->kit, BERTH_STORE_READ_BYTES_MAX + 10, 1);
    struct berth_batch *batch = kit_batch(&f->kit);
    struct berth_record job = kit_job(id, 1, large);
    kit_add(batch, &job);
    kit_store(&f->kit, batch);
    struct berth_read read = { .type = BERTH_READ_JOBS, .ids = &id, .id_count = 1 };
    struct berth_completion answer = kit_read(&f->kit, &read);
    assert_int_equal(answer.jobs[0].body.bytes, large.bytes);
    assert_memory_equal(answer.jobs[0].body.data, large.data, large.bytes);
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

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(new_store_is_empty_and_begins_at_one),
        TEST(each_open_is_one_epoch_further_in_the_same_cluster),
        TEST(every_type_of_record_comes_back_at_load),
        TEST(options_of_a_job_come_back_live_and_ended),
        TEST(options_survive_a_body_that_is_read_without),
        TEST(settings_of_a_dispatcher_come_back_and_are_replaced),
        TEST(end_without_an_attempt_keeps_the_last_one),
        TEST(end_without_an_attempt_can_say_what_ended_it),
        TEST(a_start_is_loaded_until_its_job_is_tried_again_or_ends),
        TEST(a_closed_session_is_loaded_as_one_until_it_ends),
        TEST(records_of_a_batch_are_applied_in_order),
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
        TEST(list_goes_on_where_it_stopped_in_both_directions),
        TEST(list_that_finds_little_stops_and_says_where),
        TEST(page_with_bodies_ends_at_its_bound_of_bytes),
        TEST(answer_to_ids_leaves_bodies_out_beyond_its_bound),
        TEST(answer_to_one_id_always_has_its_body),
        TEST(close_finishes_and_drops_what_is_under_way),
        cmocka_unit_test(load_and_reads_after_random_batches_are_as_the_model),
        cmocka_unit_test(unknown_backend_is_refused_by_name),
    };
    int failed = 0;
    static const char *const backends[] = { "sqlite", "mem" };
    for (size_t i = 0; i < sizeof backends / sizeof *backends; i++) {
        backend_under_test = backends[i];
        failed += cmocka_run_group_tests_name(backends[i], tests, NULL, NULL);
    }
    return failed;
}
