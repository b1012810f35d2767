/* SPDX-License-Identifier: MIT
 *
 * The bump arena.
 */
#include "support/berthtest.h"

#include <string.h>

#include "base/arena.h"
#include "base/rng.h"
#include "support/faulty.h"

static void what_is_handed_out_is_aligned_and_apart(void **state)
{
    (void)state;
    struct berth_arena arena;
    berth_arena_init(&arena, 1 << 20);
    struct berth_rng rng;
    berth_rng_init(&rng, 1);
    unsigned char *parts[200];
    size_t sizes[200];

    for (size_t i = 0; i < 200; i++) {
        sizes[i] = berth_rng_below(&rng, 3000);
        parts[i] = berth_arena_alloc(&arena, sizes[i]);
        assert_non_null(parts[i]);
        assert_int_equal((uintptr_t)parts[i] % _Alignof(max_align_t), 0);
        memset(parts[i], (int)i, sizes[i]);
    }

    for (size_t i = 0; i < 200; i++)
        for (size_t j = 0; j < sizes[i]; j++)
            assert_int_equal(parts[i][j], i);
    berth_arena_fini(&arena);
}

static void the_budget_is_never_passed(void **state)
{
    (void)state;
    struct berth_arena arena;
    berth_arena_init(&arena, 5000);
    size_t got = 0;

    while (berth_arena_alloc(&arena, 16))
        got += 16;

    assert_in_range(got, 4900, 5000);
    assert_in_range(arena.chunk_bytes, got, 5000);
    assert_null(berth_arena_alloc(&arena, 5001));
    assert_null(berth_arena_alloc(&arena, SIZE_MAX));
    assert_null(berth_arena_alloc_array(&arena, SIZE_MAX / 2, 3));
    berth_arena_fini(&arena);
}

static void a_large_piece_gets_what_the_budget_has(void **state)
{
    (void)state;
    struct berth_arena arena;
    berth_arena_init(&arena, 1 << 20);

    void *large = berth_arena_alloc(&arena, 1 << 20);

    assert_non_null(large);
    assert_null(berth_arena_alloc(&arena, 1));
    berth_arena_fini(&arena);
}

static void a_reset_makes_room_and_keeps_within_the_budget(void **state)
{
    (void)state;
    struct berth_arena arena;
    berth_arena_init(&arena, 100000);

    for (int round = 0; round < 50; round++) {
        for (int i = 0; i < 90; i++)
            assert_non_null(berth_arena_alloc(&arena, 512));
        assert_in_range(arena.chunk_bytes, 90 * 512, 100000);
        berth_arena_reset(&arena);
    }
    berth_arena_fini(&arena);
    berth_arena_reset(&arena);
    assert_int_equal(arena.chunk_bytes, 0);
}

static void copies_are_whole(void **state)
{
    (void)state;
    struct berth_arena arena;
    berth_arena_init(&arena, 10000);

    assert_string_equal(berth_arena_strdup(&arena, "text"), "text");
    assert_string_equal(berth_arena_strndup(&arena, "text", 2), "te");
    assert_string_equal(berth_arena_strndup(&arena, NULL, 0), "");
    assert_memory_equal(berth_arena_memdup(&arena, "a\0b", 3), "a\0b", 3);
    const char *zeros = berth_arena_zalloc(&arena, 100);
    for (int i = 0; i < 100; i++)
        assert_int_equal(zeros[i], 0);
    berth_arena_fini(&arena);
}

static void the_hooks_allocate_from_the_arena(void **state)
{
    (void)state;
    struct berth_arena arena;
    berth_arena_init(&arena, 1000);

    void *memory = berth_arena_alloc_hook(&arena, 100);
    berth_arena_free_hook(&arena, memory);

    assert_non_null(memory);
    assert_true(arena.chunk_bytes > 0);
    berth_arena_fini(&arena);
}

static void without_memory_an_allocation_is_null(void **state)
{
    (void)state;
    FAULTY_FOREACH(n)
    {
        struct berth_arena arena;
        berth_arena_init(&arena, 1 << 20);
        size_t count = 0;
        while (count < 100 && berth_arena_alloc(&arena, 500))
            count++;
        bool has_failed = faulty_stop();

        assert_int_equal(count == 100, !has_failed);
        assert_non_null(berth_arena_alloc(&arena, 500));
        berth_arena_fini(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_handed_out_is_aligned_and_apart),
        cmocka_unit_test(the_budget_is_never_passed),
        cmocka_unit_test(a_large_piece_gets_what_the_budget_has),
        cmocka_unit_test(a_reset_makes_room_and_keeps_within_the_budget),
        cmocka_unit_test(copies_are_whole),
        cmocka_unit_test(the_hooks_allocate_from_the_arena),
        cmocka_unit_test(without_memory_an_allocation_is_null),
    };
    return berth_test_main(tests, NULL, NULL);
}
