/* SPDX-License-Identifier: MIT */
/* The memory backend's commands: what happens when, and what a disk is left with. */
#include "support/berthtest.h"

#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "broker/store/store_mem.h"
#include "store_kit.h"
#include "support/faulty.h"

static int setup(void **state)
{
    static struct kit kit;
    kit_init(&kit, "mem");
    kit_open(&kit);
    *state = &kit;
    return 0;
}

static int teardown(void **state)
{
    kit_fini(*state);
    return 0;
}

static struct berth_batch *batch_with_job(struct kit *kit, uint64_t id)
{
    struct berth_batch *batch = kit_batch(kit);
    struct berth_record job = kit_job(id, 1, kit_text("body"));
    kit_add(batch, &job);
    return batch;
}

/* Ids of all jobs that a freshly opened store has, as a bit mask. */
static uint64_t jobs_of_disk(struct kit *kit)
{
    kit_open(kit);
    struct berth_read list = { .type = BERTH_READ_LIST, .count_max = 64 };
    struct berth_completion page = kit_read(kit, &list);
    uint64_t mask = 0;
    for (size_t i = 0; i < page.job_count; i++)
        mask |= UINT64_C(1) << page.jobs[i].id;
    kit_close(kit);
    return mask;
}

static void nothing_completes_before_the_command(void **state)
{
    struct kit *kit = *state;
    struct berth_batch *batch = batch_with_job(kit, 1);
    struct berth_completion completion;
    assert_false(berth_mem_complete(kit->store, BERTH_STORED, true));
    assert_rc(berth_store_submit(kit->store, batch), 0);
    assert_int_equal(berth_mem_under_way(kit->store), 1);
    assert_rc(berth_store_reap(kit->store, &completion), 0);

    assert_true(berth_mem_complete(kit->store, BERTH_STORED, true));

    assert_int_equal(berth_mem_under_way(kit->store), 0);
    assert_rc(berth_store_reap(kit->store, &completion), 1);
    assert_ptr_equal(completion.batch, batch);
    assert_int_equal(completion.result, BERTH_STORED);
    kit_batch_free(batch);
}

/* Submits a batch with job `id`, completes it so, and returns what was reaped. */
static enum berth_store_result complete_as(struct kit *kit, uint64_t id,
                                           enum berth_store_result result, bool is_written)
{
    struct berth_batch *batch = batch_with_job(kit, id);
    struct berth_completion completion;
    assert_rc(berth_store_submit(kit->store, batch), 0);
    assert_true(berth_mem_complete(kit->store, result, is_written));
    assert_rc(berth_store_reap(kit->store, &completion), 1);
    assert_true((completion.result == BERTH_STORED) == (completion.error.code == 0));
    kit_batch_free(batch);
    return completion.result;
}

static void full_writes_nothing_and_goes_on(void **state)
{
    struct kit *kit = *state;
    assert_int_equal(complete_as(kit, 1, BERTH_STORE_FULL, true), BERTH_STORE_FULL);
    assert_int_equal(complete_as(kit, 2, BERTH_STORED, true), BERTH_STORED);
    kit_close(kit);
    assert_int_equal(jobs_of_disk(kit), 1u << 2);
}

static void unknown_may_have_been_written_and_takes_nothing_more(void **state)
{
    struct kit *kit = *state;
    assert_int_equal(complete_as(kit, 1, BERTH_STORE_UNKNOWN, true), BERTH_STORE_UNKNOWN);
    assert_int_equal(complete_as(kit, 2, BERTH_STORED, true), BERTH_STORE_UNKNOWN);
    kit_reopen(kit);
    assert_int_equal(complete_as(kit, 3, BERTH_STORE_UNKNOWN, false), BERTH_STORE_UNKNOWN);
    kit_close(kit);
    assert_int_equal(jobs_of_disk(kit), 1u << 1);
}

static void crash_leaves_the_batch_under_way_as_told(void **state)
{
    struct kit *kit = *state;
    for (uint64_t id = 1; id <= 2; id++) {
        struct berth_batch *batch = batch_with_job(kit, id);
        struct berth_read counts = { .type = BERTH_READ_COUNTS };
        assert_rc(berth_store_read(kit->store, &counts), 0);
        assert_rc(berth_store_submit(kit->store, batch), 0);
        berth_mem_crash(kit->store, id == 2);
        kit->store = NULL;
        kit_batch_free(batch);
        kit_open(kit);
    }
    assert_int_equal(kit->info.epoch, 3);
    kit_close(kit);
    assert_int_equal(jobs_of_disk(kit), 1u << 2);
}

static void completed_but_not_reaped_survives_a_crash(void **state)
{
    struct kit *kit = *state;
    struct berth_batch *batch = batch_with_job(kit, 1);
    assert_rc(berth_store_submit(kit->store, batch), 0);
    assert_true(berth_mem_complete(kit->store, BERTH_STORED, true));
    berth_mem_crash(kit->store, false);
    kit->store = NULL;
    kit_batch_free(batch);
    assert_int_equal(jobs_of_disk(kit), 1u << 1);
}

static void older_store_of_a_disk_is_fenced(void **state)
{
    struct kit *kit = *state;
    struct kit older = *kit;
    kit->store = NULL;
    kit_open(kit);

    assert_int_equal(complete_as(&older, 1, BERTH_STORED, true), BERTH_STORE_FENCED);
    assert_int_equal(complete_as(kit, 2, BERTH_STORED, true), BERTH_STORED);

    berth_store_close(older.store);
    kit_close(kit);
    assert_int_equal(jobs_of_disk(kit), 1u << 2);
}

static void answer_stays_as_it_was_while_the_disk_changes(void **state)
{
    struct kit *kit = *state;
    kit_store(kit, batch_with_job(kit, 1));
    uint64_t id = 1;
    struct berth_read read = { .type = BERTH_READ_JOBS, .ids = &id, .id_count = 1 };
    struct berth_completion answer = kit_read(kit, &read);

    struct berth_batch *batch = kit_batch(kit);
    struct berth_record end = kit_end(1, 1, BERTH_DEAD, 5);
    kit_add(batch, &end);
    assert_rc(berth_store_submit(kit->store, batch), 0);
    assert_true(berth_mem_complete(kit->store, BERTH_STORED, true));

    assert_int_equal(answer.jobs[0].state, BERTH_READY);
    assert_memory_equal(answer.jobs[0].body.data, "body", 4);
    struct berth_completion completion;
    assert_rc(berth_store_reap(kit->store, &completion), 1);
    kit_batch_free(batch);
}

static void opened_by_name_it_completes_by_itself(void **state)
{
    struct kit *kit = *state;
    struct berth_store_opts opts = { .lineage = 1 };
    struct berth_store *store = NULL;
    struct berth_store_info info;
    struct berth_error error = { .code = 0 };
    assert_rc(berth_store_open("mem", &opts, &store, &info, &error), 0);
    struct berth_batch *batch = batch_with_job(kit, 1);
    batch->epoch = info.epoch;
    struct berth_completion completion;

    assert_rc(berth_store_submit(store, batch), 0);

    assert_rc(berth_store_reap(store, &completion), 1);
    assert_int_equal(completion.result, BERTH_STORED);
    assert_rc(berth_store_reap(store, &completion), 0);
    assert_int_equal(berth_store_fd(store), -1);
    berth_store_close(store);
    kit_batch_free(batch);
}

static void same_lineage_draws_the_same_cluster(void **state)
{
    (void)state;
    uint8_t clusters[3][16];
    for (size_t i = 0; i < 3; i++) {
        struct berth_store_opts opts = { .lineage = i / 2 };
        struct berth_store *store = NULL;
        struct berth_store_info info;
        assert_rc(berth_store_open("mem", &opts, &store, &info, NULL), 0);
        memcpy(clusters[i], info.cluster, sizeof clusters[i]);
        berth_store_close(store);
    }
    assert_memory_equal(clusters[0], clusters[1], sizeof clusters[0]);
    assert_memory_not_equal(clusters[0], clusters[2], sizeof clusters[0]);
}

/* Batches and reads of all kinds, each with the n-th allocation refused: whole or not at all. */

static void end_record(struct berth_batch *batch, uint64_t id)
{
    struct berth_record end = kit_end(id, 1, BERTH_COMPLETED, 5);
    end.end.last.result = kit_text("result");
    kit_add(batch, &end);
}

static void batch_without_memory_is_full_and_not_written(void **state)
{
    struct kit *kit = *state;
    size_t refused = 0;
    const uint64_t id = 1;
    FAULTY_FOREACH(n)
    {
        (void)faulty_stop();
        struct berth_batch *batch = batch_with_job(kit, id);
        struct berth_record record = kit_dispatcher((uint32_t)id, "d");
        kit_add(batch, &record);
        record = kit_session(id);
        kit_add(batch, &record);
        end_record(batch, id);
        assert_rc(berth_store_submit(kit->store, batch), 0);

        faulty_fail_at(n);
        assert_true(berth_mem_complete(kit->store, BERTH_STORED, true));
        bool has_failed = faulty_stop();

        struct berth_completion completion;
        assert_rc(berth_store_reap(kit->store, &completion), 1);
        kit_batch_free(batch);
        assert_int_equal(completion.result, has_failed ? BERTH_STORE_FULL : BERTH_STORED);
        assert_int_equal(completion.error.code, has_failed ? -ENOMEM : 0);
        struct berth_read list = { .type = BERTH_READ_LIST, .count_max = 64 };
        assert_int_equal(kit_read(kit, &list).job_count, has_failed ? id - 1 : id);
        refused += has_failed;
    }
    assert_true(refused >= 4);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(nothing_completes_before_the_command),
        TEST(full_writes_nothing_and_goes_on),
        TEST(unknown_may_have_been_written_and_takes_nothing_more),
        TEST(crash_leaves_the_batch_under_way_as_told),
        TEST(completed_but_not_reaped_survives_a_crash),
        TEST(older_store_of_a_disk_is_fenced),
        TEST(answer_stays_as_it_was_while_the_disk_changes),
        TEST(opened_by_name_it_completes_by_itself),
        TEST(same_lineage_draws_the_same_cluster),
        TEST(batch_without_memory_is_full_and_not_written),
    };
    return berth_test_main(tests, NULL, NULL);
}
