/* SPDX-License-Identifier: MIT
 *
 * Columns, spans and tables of names.
 */
#include "support/berthtest.h"

#include <errno.h>
#include <stdio.h>

#include "proto/columns.h"
#include "proto/limits.h"

static void empty_column_is_all_zeros(void **state)
{
    (void)state;
    uint32_t u32[] = { 1, 2 };
    uint64_t u64[] = { 3, 4 };
    int32_t s32[] = { -5, 6 };
    assert_int_equal(berth_column_u32(NULL, 0, 7), 0);
    assert_int_equal(berth_column_u64(NULL, 0, 7), 0);
    assert_int_equal(berth_column_s32(NULL, 0, 7), 0);
    assert_int_equal(berth_column_u32(u32, 2, 1), 2);
    assert_int_equal(berth_column_u64(u64, 2, 1), 4);
    assert_int_equal(berth_column_s32(s32, 2, 0), -5);
}

static void column_of_zeros_need_not_be_sent(void **state)
{
    (void)state;
    uint32_t u32[] = { 0, 0, 1 };
    uint64_t u64[] = { 0, 0, UINT64_C(1) << 40 };
    int32_t s32[] = { 0, 0, -1 };
    assert_int_equal(berth_column_trim_u32(u32, 2), 0);
    assert_int_equal(berth_column_trim_u32(u32, 3), 3);
    assert_int_equal(berth_column_trim_u64(u64, 2), 0);
    assert_int_equal(berth_column_trim_u64(u64, 3), 3);
    assert_int_equal(berth_column_trim_s32(s32, 2), 0);
    assert_int_equal(berth_column_trim_s32(s32, 3), 3);
}

static void column_of_another_length_is_named(void **state)
{
    (void)state;
    struct berth_error err;
    assert_ok(berth_column_check("priority", 0, 5, "jobs", &err));
    assert_ok(berth_column_check("priority", 5, 5, "jobs", &err));
    assert_rc(berth_column_check("priority", 3, 5, "jobs", &err), BERTH_EPROTO);
    assert_string_equal(err.message, "priority has 3 values for 5 jobs");
}

static void spans_must_add_up_even_beyond_32_bits(void **state)
{
    (void)state;
    struct berth_error err;
    uint32_t lengths[] = { 2, 0, 3 }, large[] = { UINT32_MAX, UINT32_MAX, 7 };
    assert_ok(berth_spans_check("key_bytes", lengths, 3, "keys", 5, &err));
    assert_ok(berth_spans_check("key_bytes", NULL, 0, "keys", 0, &err));
    assert_rc(berth_spans_check("key_bytes", lengths, 3, "keys", 6, &err), BERTH_EPROTO);
    assert_string_equal(err.message, "key_bytes adds up to 5, but keys has 6 bytes");
    assert_rc(berth_spans_check("key_bytes", large, 3, "keys", 5, &err), BERTH_EPROTO);
}

static void spans_come_in_order(void **state)
{
    (void)state;
    uint32_t lengths[] = { 2, 0, 3 };
    uint8_t bytes[] = { 'a', 'b', 'c', 'd', 'e' };
    struct berth_spans spans = berth_spans_of(lengths, 3, (ProtobufCBinaryData){ 5, bytes });
    struct berth_slice first = berth_spans_next(&spans);
    assert_int_equal(first.bytes, 2);
    assert_memory_equal(first.data, "ab", 2);
    struct berth_slice second = berth_spans_next(&spans);
    assert_int_equal(second.bytes, 0);
    assert_null(second.data);
    struct berth_slice third = berth_spans_next(&spans);
    assert_int_equal(third.bytes, 3);
    assert_memory_equal(third.data, "cde", 3);
}

static void spans_of_an_empty_column_are_all_empty(void **state)
{
    (void)state;
    struct berth_spans spans = berth_spans_of(NULL, 0, (ProtobufCBinaryData){ 0, NULL });
    for (int i = 0; i < 3; i++)
        assert_int_equal(berth_spans_next(&spans).bytes, 0);
}

static void name_stands_in_its_table_once(void **state)
{
    (void)state;
    struct berth_arena arena;
    struct berth_names names;
    berth_arena_init(&arena, 4096);
    assert_ok(berth_names_init(&names, 10, &arena));
    assert_int_equal(berth_names_put(&names, berth_slice_of("mail")), 0);
    assert_int_equal(berth_names_put(&names, berth_slice_of("auth")), 1);
    assert_int_equal(berth_names_put(&names, berth_slice_of("auth")), 1);
    assert_int_equal(berth_names_put(&names, berth_slice_of("mail")), 0);
    assert_int_equal(berth_names_put(&names, berth_slice_of("mai")), 2);
    assert_int_equal(names.count, 3);
    assert_memory_equal(names.items[1].data, "auth", 4);
    berth_arena_fini(&arena);
}

static void full_table_of_names_says_so(void **state)
{
    (void)state;
    struct berth_arena arena;
    struct berth_names names;
    berth_arena_init(&arena, 4096);
    assert_ok(berth_names_init(&names, 1, &arena));
    assert_int_equal(berth_names_put(&names, berth_slice_of("mail")), 0);
    assert_int_equal(berth_names_put(&names, berth_slice_of("auth")), -EMSGSIZE);
    assert_int_equal(berth_names_put(&names, berth_slice_of("mail")), 0);
    assert_rc(berth_names_init(&names, 1000, &arena), -ENOMEM);
    berth_arena_fini(&arena);
}

static void table_takes_every_dispatcher_that_there_may_be(void **state)
{
    (void)state;
    struct berth_arena arena;
    struct berth_names names;
    static char texts[BERTH_DISPATCHERS_MAX][16];
    berth_arena_init(&arena, 1 << 20);
    assert_ok(berth_names_init(&names, BERTH_NAMES_MAX, &arena));
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < BERTH_DISPATCHERS_MAX; i++) {
            (void)snprintf(texts[i], sizeof texts[i], "d%d", i);
            assert_int_equal(berth_names_put(&names, berth_slice_of(texts[i])), i);
        }
    }
    assert_int_equal(names.count, BERTH_DISPATCHERS_MAX);
    berth_arena_fini(&arena);
}

static void name_is_checked_without_a_nul(void **state)
{
    (void)state;
    assert_true(berth_name_slice_is_valid((struct berth_slice){ "mail!", 4 }));
    assert_false(berth_name_slice_is_valid((struct berth_slice){ "mail!", 5 }));
    assert_false(berth_name_slice_is_valid((struct berth_slice){ "a\0b", 3 }));
    assert_false(berth_name_slice_is_valid((struct berth_slice){ NULL, 0 }));
    char name[BERTH_NAME_BYTES_MAX + 1];
    for (size_t i = 0; i < sizeof name; i++)
        name[i] = 'n';
    assert_true(berth_name_slice_is_valid((struct berth_slice){ name, BERTH_NAME_BYTES_MAX }));
    assert_false(berth_name_slice_is_valid((struct berth_slice){ name, BERTH_NAME_BYTES_MAX + 1 }));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(empty_column_is_all_zeros),
        cmocka_unit_test(column_of_zeros_need_not_be_sent),
        cmocka_unit_test(column_of_another_length_is_named),
        cmocka_unit_test(spans_must_add_up_even_beyond_32_bits),
        cmocka_unit_test(spans_come_in_order),
        cmocka_unit_test(spans_of_an_empty_column_are_all_empty),
        cmocka_unit_test(name_stands_in_its_table_once),
        cmocka_unit_test(full_table_of_names_says_so),
        cmocka_unit_test(table_takes_every_dispatcher_that_there_may_be),
        cmocka_unit_test(name_is_checked_without_a_nul),
    };
    return berth_test_main(tests, NULL, NULL);
}
