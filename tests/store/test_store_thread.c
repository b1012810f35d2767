/* SPDX-License-Identifier: MIT */
/* The thread between a store and its user: the descriptor, the order, an end with work under way,
 * no memory. */
#include "support/berthtest.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "store_kit.h"
#include "support/await.h"
#include "support/faulty.h"

#define WAIT_MS 60000
#define ROUNDS  300

static struct kit kit;

static int setup(void **state)
{
    kit_init(&kit, "sqlite");
    kit_open(&kit);
    *state = &kit;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    kit_fini(&kit);
    return 0;
}

static bool is_readable(void)
{
    struct pollfd ready = { .fd = berth_store_fd(kit.store), .events = POLLIN };
    return poll(&ready, 1, 0) == 1;
}

static void descriptor_is_readable_exactly_while_something_is_to_be_reaped(void **state)
{
    (void)state;
    struct berth_read counts = { .type = BERTH_READ_COUNTS };
    for (size_t round = 0; round < ROUNDS; round++) {
        for (uint64_t i = 0; i < 5; i++) {
            counts.number = i;
            assert_rc(berth_store_read(kit.store, &counts), 0);
        }
        for (uint64_t i = 0; i < 5; i++) {
            assert_true(await_readable(berth_store_fd(kit.store), WAIT_MS));
            struct berth_completion completion;
            assert_rc(berth_store_reap(kit.store, &completion), 1);
            assert_int_equal(completion.number, i);
        }
        assert_false(is_readable());
    }
}

static void batches_and_reads_in_turns_stay_in_order(void **state)
{
    (void)state;
    for (uint64_t id = 1; id <= ROUNDS; id++) {
        struct berth_batch *batch = kit_batch(&kit);
        struct berth_record job = kit_job(id, 1, kit_text("x"));
        kit_add(batch, &job);
        struct berth_read before = {
            .number = id, .type = BERTH_READ_JOBS, .ids = &id, .id_count = 1
        };
        struct berth_read after = before;
        assert_rc(berth_store_read(kit.store, &before), 0);
        assert_rc(berth_store_submit(kit.store, batch), 0);
        assert_rc(berth_store_read(kit.store, &after), 0);
        assert_int_equal(kit_await(&kit).job_count, 0);
        assert_ptr_equal(kit_await(&kit).batch, batch);
        assert_int_equal(kit_await(&kit).job_count, 1);
        kit_batch_free(batch);
    }
}

/* Signals are for the loops that wait for them: here the one thread that could take it blocks it.
 */
static void store_thread_takes_no_signals(void **state)
{
    (void)state;
    sigset_t one, before;
    sigemptyset(&one);
    sigaddset(&one, SIGUSR1);
    assert_int_equal(pthread_sigmask(SIG_BLOCK, &one, &before), 0);
    assert_int_equal(kill(getpid(), SIGUSR1), 0);
    kit_store(&kit, kit_batch(&kit));
    sigset_t pending;
    assert_int_equal(sigpending(&pending), 0);
    assert_int_equal(sigismember(&pending, SIGUSR1), 1);
    int taken = 0;
    assert_int_equal(sigwait(&one, &taken), 0);
    assert_int_equal(pthread_sigmask(SIG_SETMASK, &before, NULL), 0);
}

static void close_finishes_many_reads_that_nobody_reaps(void **state)
{
    (void)state;
    struct berth_read list = { .type = BERTH_READ_LIST, .count_max = 10 };
    for (size_t i = 0; i < BERTH_STORE_READS_MAX; i++)
        assert_rc(berth_store_read(kit.store, &list), 0);
    kit_close(&kit);
    kit_open(&kit);
    kit_store(&kit, kit_batch(&kit));
}

static void open_without_memory_is_refused_and_harms_nothing(void **state)
{
    (void)state;
    kit_close(&kit);
    size_t refused = 0;
    FAULTY_FOREACH(n)
    {
        struct berth_store_opts opts = { .dir = kit.dir, .lineage = 1, .wall_us = 1 };
        struct berth_store *store = NULL;
        struct berth_store_info info;
        struct berth_error error = { .code = 0 };
        int rc = berth_store_open("sqlite", &opts, &store, &info, &error);
        bool has_failed = faulty_stop();
        assert_rc(rc, has_failed ? -ENOMEM : 0);
        berth_store_close(store);
        refused += has_failed;
    }
    assert_true(refused >= 2);
    kit_open(&kit);
}

static void read_without_memory_is_an_error_of_that_read(void **state)
{
    (void)state;
    struct berth_batch *batch = kit_batch(&kit);
    struct berth_record job = kit_job(1, 1, kit_bytes(&kit, 5000, 1));
    kit_add(batch, &job);
    kit_store(&kit, batch);
    uint64_t id = 1;
    struct berth_read reads[3] = { { .type = BERTH_READ_JOBS, .ids = &id, .id_count = 1 },
                                   { .type = BERTH_READ_LIST, .count_max = 100 },
                                   { .type = BERTH_READ_COUNTS } };
    for (size_t i = 0; i < 3; i++) {
        size_t refused = 0;
        FAULTY_FOREACH(n)
        {
            int rc = berth_store_read(kit.store, &reads[i]);
            struct berth_completion completion = { .error.code = rc };
            if (rc == 0)
                completion = kit_await(&kit);
            bool has_failed = faulty_stop();
            assert_int_equal(completion.error.code, has_failed ? -ENOMEM : 0);
            if (rc == 0)
                assert_int_equal(completion.result,
                                 has_failed ? BERTH_STORE_UNKNOWN : BERTH_STORED);
            assert_int_equal(completion.job_count, !has_failed && i < 2);
            refused += has_failed;
        }
        assert_true(refused >= 1);
    }
}

/* Ends in as many dispatchers, so that their counts need memory. */
static void batch_without_memory_is_full_and_not_written(void **state)
{
    (void)state;
    size_t refused = 0;
    FAULTY_FOREACH(n)
    {
        (void)faulty_stop();
        struct berth_batch *batch = kit_batch(&kit);
        for (uint64_t id = 1; id <= 40; id++) {
            struct berth_record job = kit_job(id, (uint32_t)id, kit_text("x"));
            kit_add(batch, &job);
            struct berth_record end = kit_end(id, (uint32_t)id, BERTH_DEAD, 5);
            kit_add(batch, &end);
        }
        assert_rc(berth_store_read(kit.store, &(struct berth_read){ .type = BERTH_READ_COUNTS }),
                  0);
        (void)kit_await(&kit);

        faulty_fail_at(n);
        assert_rc(berth_store_submit(kit.store, batch), 0);
        struct berth_completion completion = kit_await(&kit);
        bool has_failed = faulty_stop();

        assert_int_equal(completion.result, has_failed ? BERTH_STORE_FULL : BERTH_STORED);
        assert_int_equal(completion.error.code, has_failed ? -ENOMEM : 0);
        kit_batch_free(batch);
        struct berth_read list = { .type = BERTH_READ_LIST, .count_max = 100 };
        assert_int_equal(kit_read(&kit, &list).job_count, has_failed ? 0 : 40);
        refused += has_failed;
    }
    assert_true(refused >= 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(descriptor_is_readable_exactly_while_something_is_to_be_reaped),
        TEST(batches_and_reads_in_turns_stay_in_order),
        TEST(store_thread_takes_no_signals),
        TEST(close_finishes_many_reads_that_nobody_reaps),
        TEST(open_without_memory_is_refused_and_harms_nothing),
        TEST(read_without_memory_is_an_error_of_that_read),
        TEST(batch_without_memory_is_full_and_not_written),
    };
    return berth_test_main(tests, NULL, NULL);
}
