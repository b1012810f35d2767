/* SPDX-License-Identifier: MIT */
/* What every store promises of lists, pages and answers, and of their bounds. Run once for each
 * backend. */
#include "support/berthtest.h"

#include <string.h>

#include "contract.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(list_goes_on_where_it_stopped_in_both_directions),
        TEST(list_that_finds_little_stops_and_says_where),
        TEST(page_with_bodies_ends_at_its_bound_of_bytes),
        TEST(answer_to_ids_leaves_bodies_out_beyond_its_bound),
        TEST(answer_to_one_id_always_has_its_body),
    };
    return contract_main(tests, sizeof tests / sizeof *tests);
}
