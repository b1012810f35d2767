/* SPDX-License-Identifier: MIT */
#include "wefttest.h"

#include "support/faulty.h"

#include "task_block.h"
#include "tree.h"

#define KIND   WEFT_BLOCK_SMALL
#define BYTES  WEFT_TASK_BYTES_SMALL
#define BLOCKS 1000

static int compare(const void *a, const void *b)
{
    const char *const *left = a, *const *right = b;
    return *left < *right ? -1 : *left > *right;
}

static void take_all(struct weft_task_blocks *own, void *blocks[], int count)
{
    for (int i = 0; i < count; i++) {
        blocks[i] = weft_task_block_take(own, KIND);
        assert_non_null(blocks[i]);
        memset(blocks[i], i, BYTES);
    }
}

static void give_all(struct weft_task_blocks *own, void *blocks[], int count)
{
    for (int i = 0; i < count; i++)
        weft_task_block_give(own, blocks[i], KIND);
}

static void blocks_in_use_are_apart_and_aligned(void **state)
{
    (void)state;
    struct weft_task_blocks own = { 0 };
    void *blocks[BLOCKS];
    for (int round = 0; round < 3; round++) {
        take_all(&own, blocks, BLOCKS);
        qsort(blocks, BLOCKS, sizeof blocks[0], compare);
        for (int i = 0; i < BLOCKS; i++) {
            assert_int_equal((uintptr_t)blocks[i] % _Alignof(max_align_t), 0);
            if (i > 0)
                assert_true((char *)blocks[i] - (char *)blocks[i - 1] >= (ptrdiff_t)BYTES);
        }
        give_all(&own, blocks, BLOCKS);
    }
    weft_task_blocks_fini(&own);
    weft_task_block_fini();
}

static void a_block_that_was_just_given_is_the_next_one_taken(void **state)
{
    (void)state;
    if (WEFT_ASAN)
        skip(); /* there it is quarantined */
    struct weft_task_blocks own = { 0 };
    void *first = weft_task_block_take(&own, KIND);
    weft_task_block_give(&own, first, KIND);
    assert_ptr_equal(weft_task_block_take(&own, KIND), first);
    weft_task_block_give(&own, first, KIND);
    weft_task_blocks_fini(&own);
    weft_task_block_fini();
}

/* One only takes and another one only gives, as when one thread launches and another one ends. */
static void what_one_thread_gives_another_takes_without_new_memory(void **state)
{
    (void)state;
    if (WEFT_ASAN)
        skip(); /* there each is an allocation */
    struct weft_task_blocks taker = { 0 }, giver = { 0 };
    void *blocks[BLOCKS];
    take_all(&taker, blocks, BLOCKS);
    give_all(&giver, blocks, BLOCKS);

    faulty_fail_at(1); /* and there is no more than what was given */
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < BLOCKS - 200; i++) /* what either keeps may be missing */
            assert_non_null(blocks[i] = weft_task_block_take(&taker, KIND));
        give_all(&giver, blocks, BLOCKS - 200);
    }
    assert_false(faulty_stop());

    weft_task_blocks_fini(&taker);
    weft_task_blocks_fini(&giver);
    weft_task_block_fini();
}

/* A small block handed out as a full one would be written beyond its end. */
static void the_two_sizes_are_never_mixed_up(void **state)
{
    (void)state;
    struct weft_task_blocks own = { 0 };
    void *small = weft_task_block_take(&own, WEFT_BLOCK_SMALL);
    weft_task_block_give(&own, small, WEFT_BLOCK_SMALL);
    void *full = weft_task_block_take(&own, WEFT_BLOCK_FULL);
    assert_non_null(full);
    assert_ptr_not_equal(full, small);
    memset(full, 1, sizeof(struct weft_task));
    weft_task_block_give(&own, full, WEFT_BLOCK_FULL);
    weft_task_blocks_fini(&own);
    weft_task_block_fini();
}

/* Slabs grow up to huge pages, and all of their blocks can be written. */
static void a_hundred_thousand_blocks_are_apart(void **state)
{
    (void)state;
    enum { MANY = 100000 };
    struct weft_task_blocks own = { 0 };
    uintptr_t **blocks = calloc(MANY, sizeof *blocks);
    assert_non_null(blocks);
    for (uintptr_t i = 0; i < MANY; i++) {
        blocks[i] = weft_task_block_take(&own, KIND);
        assert_non_null(blocks[i]);
        blocks[i][0] = blocks[i][BYTES / sizeof(uintptr_t) - 1] = i;
    }
    size_t wrong = 0;
    for (uintptr_t i = 0; i < MANY; i++)
        wrong += blocks[i][0] != i || blocks[i][BYTES / sizeof(uintptr_t) - 1] != i;
    assert_int_equal(wrong, 0);
    for (uintptr_t i = 0; i < MANY; i++)
        weft_task_block_give(&own, blocks[i], KIND);
    free(blocks);
    weft_task_blocks_fini(&own);
    weft_task_block_fini();
}

static void a_plain_thread_keeps_none(void **state)
{
    (void)state;
    void *blocks[BLOCKS];
    take_all(NULL, blocks, BLOCKS);
    give_all(NULL, blocks, BLOCKS);
    weft_task_block_fini();
}

static void without_memory_there_is_none_and_nothing_is_lost(void **state)
{
    (void)state;
    struct weft_task_blocks own = { 0 };
    faulty_fail_at(1);
    void *with_own = weft_task_block_take(&own, KIND);
    assert_true(faulty_stop());
    faulty_fail_at(1);
    void *without = weft_task_block_take(NULL, KIND);
    assert_true(faulty_stop());
    assert_null(with_own);
    assert_null(without);

    void *block = weft_task_block_take(&own, KIND);
    assert_non_null(block);
    weft_task_block_give(&own, block, KIND);
    weft_task_blocks_fini(&own);
    weft_task_block_fini();
}

enum { THREADS = 4, HELD = 50 };
#define ROUNDS (TEST_IS_SLOW ? 2000 : 20000)

static atomic_int mixed_up;

/* Writes its mark into each block, and finds it there when it gives the block back. */
static void *take_and_give(void *arg)
{
    struct weft_task_blocks own = { 0 };
    uintptr_t *held[HELD] = { 0 };
    uintptr_t mark = (uintptr_t)arg;
    for (int i = 0; i < ROUNDS; i++) {
        uintptr_t **place = &held[(i * 7) % HELD];
        if (*place) {
            mixed_up += **place != mark + (uintptr_t)*place;
            weft_task_block_give(i % 5 == 0 ? NULL : &own, *place, KIND);
        }
        *place = weft_task_block_take(i % 3 == 0 ? NULL : &own, KIND);
        if (!*place)
            abort();
        **place = mark + (uintptr_t)*place;
    }
    for (int i = 0; i < HELD; i++) {
        if (held[i])
            weft_task_block_give(&own, held[i], KIND);
    }
    weft_task_blocks_fini(&own);
    return NULL;
}

static void no_block_has_two_users_at_once(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    mixed_up = 0;
    for (uintptr_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, take_and_give, (void *)(i + 1)), 0);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(mixed_up, 0);
    weft_task_block_fini();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_in_use_are_apart_and_aligned),
        cmocka_unit_test(a_block_that_was_just_given_is_the_next_one_taken),
        cmocka_unit_test(what_one_thread_gives_another_takes_without_new_memory),
        cmocka_unit_test(the_two_sizes_are_never_mixed_up),
        cmocka_unit_test(a_hundred_thousand_blocks_are_apart),
        cmocka_unit_test(a_plain_thread_keeps_none),
        cmocka_unit_test(without_memory_there_is_none_and_nothing_is_lost),
        cmocka_unit_test(no_block_has_two_users_at_once),
    };
    return berth_test_main(tests, NULL, NULL);
}
