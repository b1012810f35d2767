/* SPDX-License-Identifier: MIT */
/* Files of the first version: what is in them is kept when they are changed to this one. */
#include "sqlite_fixture.h"

#include <stdlib.h>

#include "store_model.h"
#include "version_1.h"

/* The rows of version_1.h, as this version sees them. */
static void expect_version_1(struct model *model)
{
    static uint8_t zeros[100000];
    struct berth_record record = kit_dispatcher(1, "default");
    record.dispatcher.limit = (struct berth_limit){ .kind = BERTH_LIMIT_CORES };
    model_apply(model, &record);
    record = kit_dispatcher(2, "newsletter");
    record.dispatcher.is_paused = true;
    record.dispatcher.max_attempts = 3;
    record.dispatcher.backoff_ms = 250;
    record.dispatcher.backoff_ms_max = 60000;
    record.dispatcher.timeout_ms = 30000;
    record.dispatcher.grace_ms = 0;
    model_apply(model, &record);

    record = kit_job(1, 2, kit_text("\x01\x02"));
    record.job.handler = kit_text("mail");
    record.job.priority = -7;
    record.job.max_attempts = 3;
    record.job.timeout_ms = 30000;
    model_apply(model, &record);
    record = kit_job(2, 2, (struct berth_slice){ zeros, sizeof zeros });
    record.job.handler = kit_text("mail");
    model_apply(model, &record);
    record =
        (struct berth_record){ .type = BERTH_RECORD_RETRY,
                               .retry = { .id = 2,
                                          .state = BERTH_RETRYING,
                                          .run_at_us = 5000,
                                          .attempt = 2,
                                          .failures = 1,
                                          .last = { .id = 1099511627777,
                                                    .started_us = 1500,
                                                    .worker = kit_text("w1"),
                                                    .result = kit_text("\x08\x01"),
                                                    .error_kind = kit_text("exit"),
                                                    .error_message = kit_text("exit code 1") } } };
    model_apply(model, &record);
    record = kit_job(3, 1, kit_text("\x03"));
    record.job.handler = kit_text("exec");
    record.job.priority = 5;
    model_apply(model, &record);
    record = kit_end(3, 1, BERTH_COMPLETED, 4102444800000000);
    record.end.last = (struct berth_attempt_record){
        .id = 1099511627778, .started_us = 1600, .worker = kit_text("w1"), .result = { "\x08", 2 }
    };
    model_apply(model, &record);
}

static void then_all_is_as_the_model(struct kit *kit, const struct model *model)
{
    const uint64_t ids[] = { 1, 2, 3 };
    model_check_load(model, kit, UINT64_MAX);
    model_check_read(model, kit,
                     &(struct berth_read){ .type = BERTH_READ_JOBS, .ids = ids, .id_count = 3 });
    model_check_read(model, kit, &(struct berth_read){ .type = BERTH_READ_COUNTS });
}

static void database_of_version_1_keeps_all_and_gets_the_defaults(void **state)
{
    struct kit *kit = *state;
    struct model *model = calloc(1, sizeof *model);
    run_sql(kit->dir, version_1_schema);
    run_sql(kit->dir, version_1_rows);
    expect_version_1(model);

    kit_open(kit);

    assert_int_equal(kit->info.epoch, 5);
    assert_int_equal(kit->info.cluster[15], 15);
    assert_int_equal(kit->info.next_job_id, 4);
    then_all_is_as_the_model(kit, model);

    /* Its rows can do all that new ones can. */
    struct berth_batch *batch = kit_batch(kit);
    struct berth_record record = kit_dispatcher(2, "newsletter");
    record.dispatcher.parent = 1;
    record.dispatcher.weight = 7;
    kit_add(batch, &record);
    model_apply(model, &record);
    record = kit_end(2, 2, BERTH_CANCELLED, kit->wall_us);
    record.end.last = (struct berth_attempt_record){ 0 };
    kit_add(batch, &record);
    model_apply(model, &record);
    kit_store(kit, batch);
    kit_reopen(kit);
    then_all_is_as_the_model(kit, model);
    free(model);
}

/* It is one transaction: the next open does all of it again. */
static void migration_that_fails_leaves_version_1(void **state)
{
    struct kit *kit = *state;
    run_sql(kit->dir, version_1_schema);
    run_sql(kit->dir, "CREATE TABLE job_option (id INTEGER PRIMARY KEY)");
    struct berth_store *store = NULL;
    struct berth_error error = { .code = 0 };
    assert_rc(try_open(kit, &store, &error), BERTH_ESTORE);

    run_sql(kit->dir, "DROP TABLE job_option");
    run_sql(kit->dir, version_1_rows);
    struct model *model = calloc(1, sizeof *model);
    expect_version_1(model);
    kit_open(kit);
    then_all_is_as_the_model(kit, model);
    free(model);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, sqlite_setup, sqlite_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(database_of_version_1_keeps_all_and_gets_the_defaults),
        TEST(migration_that_fails_leaves_version_1),
    };
    return berth_test_main(tests, NULL, NULL);
}
