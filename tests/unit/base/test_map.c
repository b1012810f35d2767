/* SPDX-License-Identifier: MIT
 *
 * The hash map: finding, order, and running out of memory.
 */
#include "support/berthtest.h"

#include <errno.h>

#include "base/map.h"
#include "base/text.h"
#include "support/faulty.h"

#define ITEMS_COUNT 500

struct item {
    uint64_t id;
    struct berth_map_node node;
};

static void ids_are_found_and_others_are_not(void **state)
{
    (void)state;
    static struct item items[ITEMS_COUNT];
    struct berth_map map = { .first = NULL };
    for (size_t i = 0; i < ITEMS_COUNT; i++) {
        items[i].id = i * UINT64_C(0x100000001);
        assert_rc(berth_map_insert_id(&map, &items[i].node, items[i].id), 0);
    }

    assert_int_equal(berth_map_count(&map), ITEMS_COUNT);
    for (size_t i = 0; i < ITEMS_COUNT; i++)
        assert_ptr_equal(berth_map_find_id(&map, items[i].id), &items[i].node);
    assert_null(berth_map_find_id(&map, 1));
    berth_map_fini(&map);
}

static void an_empty_map_finds_nothing(void **state)
{
    (void)state;
    struct berth_map map = { .first = NULL };

    assert_null(berth_map_find_id(&map, 0));
    assert_null(berth_map_find_bytes(&map, berth_slice_of("x")));
    assert_null(berth_map_first(&map));
    assert_int_equal(berth_map_count(&map), 0);
    berth_map_fini(&map);
}

static void a_second_element_with_the_key_is_refused(void **state)
{
    (void)state;
    struct item a = { .id = 7 }, b = { .id = 7 };
    struct berth_map map = { .first = NULL };
    assert_rc(berth_map_insert_id(&map, &a.node, 7), 0);

    assert_rc(berth_map_insert_id(&map, &b.node, 7), -EEXIST);

    assert_ptr_equal(berth_map_find_id(&map, 7), &a.node);
    assert_int_equal(berth_map_count(&map), 1);
    berth_map_fini(&map);
}

static void byte_keys_differ_by_every_byte_and_by_length(void **state)
{
    (void)state;
    static const char *const keys[] = { "", "a", "ab", "abc", "abd", "bbc" };
    struct item items[6];
    struct berth_map map = { .first = NULL };
    for (size_t i = 0; i < 6; i++)
        assert_rc(berth_map_insert_bytes(&map, &items[i].node, berth_slice_of(keys[i])), 0);

    for (size_t i = 0; i < 6; i++)
        assert_ptr_equal(berth_map_find_bytes(&map, berth_slice_of(keys[i])), &items[i].node);
    assert_null(berth_map_find_bytes(&map, berth_slice_of("b")));
    struct berth_slice with_nul = { .data = "ab\0", .bytes = 3 };
    assert_null(berth_map_find_bytes(&map, with_nul));
    struct berth_slice none = { .data = NULL, .bytes = 0 };
    assert_ptr_equal(berth_map_find_bytes(&map, none), &items[0].node);
    berth_map_fini(&map);
}

static void a_walk_goes_in_the_order_of_insertion(void **state)
{
    (void)state;
    static struct item items[ITEMS_COUNT];
    struct berth_map map = { .first = NULL };
    for (size_t i = 0; i < ITEMS_COUNT; i++) {
        items[i].id = (i * 7919) % 10007;
        assert_rc(berth_map_insert_id(&map, &items[i].node, items[i].id), 0);
    }
    for (size_t i = 0; i < ITEMS_COUNT; i += 3)
        berth_map_remove(&map, &items[i].node);

    size_t at = 0;
    BERTH_MAP_FOREACH (node, &map) {
        at += at % 3 == 0;
        assert_ptr_equal(node, &items[at++].node);
    }

    assert_int_equal(berth_map_count(&map), at - (at + 2) / 3);
    berth_map_fini(&map);
}

static void a_walk_may_remove_what_it_stands_on(void **state)
{
    (void)state;
    struct item items[10];
    struct berth_map map = { .first = NULL };
    for (size_t i = 0; i < 10; i++)
        assert_rc(berth_map_insert_id(&map, &items[i].node, i), 0);

    BERTH_MAP_FOREACH (node, &map)
        berth_map_remove(&map, node);

    assert_int_equal(berth_map_count(&map), 0);
    assert_rc(berth_map_insert_id(&map, &items[3].node, 3), 0);
    berth_map_fini(&map);
}

static void without_memory_nothing_changes(void **state)
{
    (void)state;
    FAULTY_FOREACH(n)
    {
        static struct item items[ITEMS_COUNT];
        struct berth_map map = { .first = NULL };
        size_t count = 0;
        int rc = 0;
        while (count < ITEMS_COUNT && rc == 0) {
            rc = berth_map_insert_id(&map, &items[count].node, count);
            count += rc == 0;
        }
        bool has_failed = faulty_stop();
        assert_rc(rc, has_failed ? -ENOMEM : 0);
        assert_int_equal(berth_map_count(&map), count);
        assert_null(berth_map_find_id(&map, count));
        for (size_t i = 0; i < count; i++)
            assert_ptr_equal(berth_map_find_id(&map, i), &items[i].node);

        if (has_failed)
            assert_rc(berth_map_insert_id(&map, &items[count].node, count), 0);
        berth_map_fini(&map);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_are_found_and_others_are_not),
        cmocka_unit_test(an_empty_map_finds_nothing),
        cmocka_unit_test(a_second_element_with_the_key_is_refused),
        cmocka_unit_test(byte_keys_differ_by_every_byte_and_by_length),
        cmocka_unit_test(a_walk_goes_in_the_order_of_insertion),
        cmocka_unit_test(a_walk_may_remove_what_it_stands_on),
        cmocka_unit_test(without_memory_nothing_changes),
    };
    return berth_test_main(tests, NULL, NULL);
}
