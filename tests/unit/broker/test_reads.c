/* SPDX-License-Identifier: MIT
 *
 * Questions to the store: in order, bounded, none forgotten. The store is the memory backend, which
 * answers when it is told to.
 */
#include "support/berthtest.h"

#include <stdlib.h>

#include "broker/reads.h"
#include "broker/store/store_mem.h"

#define WAITING_MAX    3
#define UNDER_WAY_MAX  64 /* store.h */
#define FIRST_EVER     1
#define FIRST_TOO_MANY (UNDER_WAY_MAX + WAITING_MAX + 1)

struct fixture {
    struct berth_mem_disk *disk;
    struct berth_store *store;
    struct reads *reads;
};

static int take_dispatcher(void *arg, const struct berth_dispatcher_record *record)
{
    (void)arg;
    (void)record;
    return 0;
}

static int take_session(void *arg, const struct berth_session_record *record)
{
    (void)arg;
    (void)record;
    return 0;
}

static int take_job(void *arg, const struct berth_job_record *record)
{
    (void)arg;
    (void)record;
    return 0;
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct berth_store_info info;
    f->disk = berth_mem_disk_new();
    assert_ok(berth_mem_open(f->disk, &(struct berth_store_opts){ .lineage = 1 }, &f->store, &info,
                             NULL));
    const struct berth_store_visitor visitor = { .dispatcher = take_dispatcher,
                                                 .session = take_session,
                                                 .job = take_job,
                                                 .ended_key = take_job };
    assert_ok(berth_store_load(f->store, &visitor, NULL));
    f->reads = reads_new(f->store, WAITING_MAX);
    *state = f;
    return f->reads ? 0 : -1;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    reads_free(f->reads);
    berth_store_close(f->store);
    berth_mem_disk_free(f->disk);
    free(f);
    return 0;
}

static void ask(struct fixture *f, uint64_t number)
{
    /* Gone after the call: the question must have been copied. */
    uint64_t *id = malloc(sizeof *id);
    *id = number;
    reads_ask(f->reads,
              &(struct berth_do_read){
                  .number = number, .type = BERTH_DO_READ_JOBS, .ids = id, .id_count = 1 });
    free(id);
}

static uint64_t next_answer(struct fixture *f)
{
    struct berth_completion completion;
    struct berth_event event;
    if (!berth_mem_complete(f->store, BERTH_STORED, false) ||
        berth_store_reap(f->store, &completion) != 1)
        return 0;
    reads_event(f->reads, &completion, &event);
    assert_int_equal(event.type, BERTH_EV_READ);
    assert_false(event.read.is_failed);
    assert_int_equal(event.read.job_count, 0);
    return event.read.number;
}

static void questions_are_answered_in_order_beyond_what_the_store_takes_at_once(void **state)
{
    struct fixture *f = *state;
    for (uint64_t number = FIRST_EVER; number < FIRST_TOO_MANY; number++)
        ask(f, number);
    assert_int_equal(berth_mem_under_way(f->store), UNDER_WAY_MAX);

    for (uint64_t number = FIRST_EVER; number < FIRST_TOO_MANY; number++) {
        assert_int_equal(next_answer(f), number);
        reads_push(f->reads);
    }
    uint64_t refused;
    assert_false(reads_next_refused(f->reads, &refused));
    assert_int_equal(berth_mem_under_way(f->store), 0);
}

static void a_question_beyond_the_bound_is_refused_by_number(void **state)
{
    struct fixture *f = *state;
    for (uint64_t number = FIRST_EVER; number <= FIRST_TOO_MANY; number++)
        ask(f, number);

    uint64_t refused = 0;
    assert_true(reads_next_refused(f->reads, &refused));
    assert_int_equal(refused, FIRST_TOO_MANY);
    assert_false(reads_next_refused(f->reads, &refused));
}

static void a_read_that_failed_says_so(void **state)
{
    struct fixture *f = *state;
    const struct berth_completion completion = { .number = 5, .result = BERTH_STORE_UNKNOWN };
    struct berth_event event;

    reads_event(f->reads, &completion, &event);

    assert_int_equal(event.read.number, 5);
    assert_true(event.read.is_failed);
}

static void counts_come_in_the_words_of_the_core(void **state)
{
    struct fixture *f = *state;
    const struct berth_ended_count counts[] = {
        { .dispatcher = 1, .completed = 2, .dead = 3, .cancelled = 4, .completed_total = 5 },
        { .dispatcher = 6, .completed = 7 },
    };
    struct berth_completion completion = {
        .number = 1, .result = BERTH_STORED, .counts = counts, .count_count = 2
    };
    struct berth_event event;

    reads_event(f->reads, &completion, &event);

    assert_false(event.read.is_failed);
    assert_int_equal(event.read.count_count, 2);
    assert_int_equal(event.read.counts[0].dispatcher, 1);
    assert_int_equal(event.read.counts[0].completed, 2);
    assert_int_equal(event.read.counts[0].dead, 3);
    assert_int_equal(event.read.counts[0].cancelled, 4);
    assert_int_equal(event.read.counts[0].completed_total, 5);
    assert_int_equal(event.read.counts[1].dispatcher, 6);
    assert_int_equal(event.read.counts[1].completed, 7);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(questions_are_answered_in_order_beyond_what_the_store_takes_at_once),
        TEST(a_question_beyond_the_bound_is_refused_by_number),
        TEST(a_read_that_failed_says_so),
        TEST(counts_come_in_the_words_of_the_core),
    };
    return berth_test_main(tests, NULL, NULL);
}
