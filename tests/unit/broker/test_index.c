/* SPDX-License-Identifier: MIT */
#include "support/berthtest.h"

#include <errno.h>
#include <stdbool.h>

#include "base/rng.h"
#include "broker/core/index.h"
#include "support/faulty.h"

#define RECORDS 5000u

/* Record n has the value values[n] and the hash that the test chooses. */
struct table {
    struct index index;
    uint64_t values[RECORDS + 1];
    uint64_t hash_mask; /* small: collisions */
};

static uint64_t hash_of_value(const struct table *t, uint64_t value)
{
    return (value * 0x9E3779B97F4A7C15u >> 20) & t->hash_mask;
}

static uint64_t hash_of(const void *arg, uint32_t record)
{
    const struct table *t = arg;
    return hash_of_value(t, t->values[record]);
}

static bool has_value(const void *arg, uint32_t record, const void *key)
{
    const struct table *t = arg;
    return t->values[record] == *(const uint64_t *)key;
}

static void table_init(struct table *t, uint64_t hash_mask)
{
    *t = (struct table){ .hash_mask = hash_mask };
    index_init(&t->index, hash_of, t);
}

static void put(struct table *t, uint32_t record, uint64_t value)
{
    t->values[record] = value;
    assert_int_equal(index_reserve(&t->index, 1), 0);
    index_insert(&t->index, hash_of(t, record), record);
}

static uint32_t find(const struct table *t, uint64_t value)
{
    return index_find(&t->index, hash_of_value(t, value), has_value, &value);
}

static void an_empty_index_finds_nothing(void **state)
{
    (void)state;
    struct table t;
    table_init(&t, UINT64_MAX);

    assert_int_equal(find(&t, 1), 0);
    index_fini(&t.index);
}

static void what_was_put_is_found_after_the_index_has_grown(void **state)
{
    (void)state;
    static struct table t;
    table_init(&t, UINT64_MAX);

    for (uint32_t i = 1; i <= RECORDS; i++)
        put(&t, i, i * 7);

    for (uint32_t i = 1; i <= RECORDS; i++)
        assert_int_equal(find(&t, i * 7), i);
    assert_int_equal(find(&t, 8), 0);
    assert_int_equal(t.index.count, RECORDS);
    index_fini(&t.index);
}

/* Removing closes the gap, so that what was pushed on by a collision is still found. */
static void what_collides_is_found_after_each_removal(void **state)
{
    (void)state;
    static struct table t;
    table_init(&t, 0);
    for (uint32_t i = 1; i <= 40; i++)
        put(&t, i, i);

    for (uint32_t gone = 1; gone <= 40; gone++) {
        index_remove(&t.index, hash_of(&t, gone), gone);
        for (uint32_t i = 1; i <= 40; i++)
            assert_int_equal(find(&t, i), i > gone ? i : 0);
    }
    index_fini(&t.index);
}

static void a_random_walk_agrees_with_a_plain_array(void **state)
{
    (void)state;
    static struct table t;
    static bool is_in[501];
    struct berth_rng rng;
    berth_rng_init(&rng, 1);
    table_init(&t, 63); /* the last places are often taken, so that chains wrap around */

    for (unsigned i = 0; i < 50000; i++) {
        uint32_t record = (uint32_t)berth_rng_between(&rng, 1, 500);
        if (is_in[record])
            index_remove(&t.index, hash_of(&t, record), record);
        else
            put(&t, record, record);
        is_in[record] = !is_in[record];
        uint32_t other = (uint32_t)berth_rng_between(&rng, 1, 500);
        assert_int_equal(find(&t, other), is_in[other] ? other : 0);
    }
    index_fini(&t.index);
}

static void without_memory_a_reserve_fails_and_changes_nothing(void **state)
{
    (void)state;
    static struct table t;
    table_init(&t, UINT64_MAX);
    put(&t, 1, 11);

    faulty_fail_at(1);
    int rc = index_reserve(&t.index, 1000);
    assert_true(faulty_stop());

    assert_int_equal(rc, -ENOMEM);
    assert_int_equal(find(&t, 11), 1);
    index_fini(&t.index);
}

static void more_places_than_32_bits_can_name_are_refused(void **state)
{
    (void)state;
    struct table t;
    table_init(&t, UINT64_MAX);

    assert_int_equal(index_reserve(&t.index, UINT32_MAX), -ENOMEM);
    index_fini(&t.index);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_index_finds_nothing),
        cmocka_unit_test(what_was_put_is_found_after_the_index_has_grown),
        cmocka_unit_test(what_collides_is_found_after_each_removal),
        cmocka_unit_test(a_random_walk_agrees_with_a_plain_array),
        cmocka_unit_test(without_memory_a_reserve_fails_and_changes_nothing),
        cmocka_unit_test(more_places_than_32_bits_can_name_are_refused),
    };
    return berth_test_main(tests, NULL, NULL);
}
