/* SPDX-License-Identifier: MIT */
/* What every store promises of each type of record: what it says is there at the next load,
 * and for whoever reads it. Run once for each backend. */
#include "support/berthtest.h"

#include <stdio.h>
#include <string.h>

#include "contract.h"

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

static void the_next_token_of_a_rate_is_loaded_whatever_is_set(void **state)
{
    struct fixture *f = *state;
    struct berth_batch *batch = kit_batch(&f->kit);
    struct berth_record record = kit_dispatcher(7, "daily"), token;
    put(f, batch, &record);
    for (int64_t i = 1; i <= 2; i++) {
        token = (struct berth_record){
            .type = BERTH_RECORD_TOKEN,
            .token = { .dispatcher = 7, .token_us = f->kit.wall_us + i, .attempt = 5 }
        };
        put(f, batch, &token);
    }
    put(f, batch, &record);
    kit_store(&f->kit, batch);
    then_load_is_as_the_model(f);
    assert_int_equal(f->model.dispatchers[0].token_us, f->kit.wall_us + 2);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_type_of_record_comes_back_at_load),
        TEST(options_of_a_job_come_back_live_and_ended),
        TEST(options_survive_a_body_that_is_read_without),
        TEST(settings_of_a_dispatcher_come_back_and_are_replaced),
        TEST(the_next_token_of_a_rate_is_loaded_whatever_is_set),
        TEST(end_without_an_attempt_keeps_the_last_one),
        TEST(end_without_an_attempt_can_say_what_ended_it),
        TEST(a_start_is_loaded_until_its_job_is_tried_again_or_ends),
        TEST(a_closed_session_is_loaded_as_one_until_it_ends),
        TEST(records_of_a_batch_are_applied_in_order),
    };
    return contract_main(tests, sizeof tests / sizeof *tests);
}
