/* SPDX-License-Identifier: MIT */
#include "wefttest.h"

#include <sched.h>

#include "fence.h"

#define ROUNDS  (TEST_IS_SLOW ? 2000 : 20000) /* or as many as there are in */
#define MOST_MS 10000                         /* on one core each takes a slice of it */

/* Each side says that it is there, and looks whether the other one is. A cell a round, a cache line
 * each, so that no round meets what an earlier one has left. */
struct cell {
    _Alignas(64) atomic_int often_came;
    _Alignas(64) atomic_int rarely_came;
    int often_saw, rarely_saw;
};

struct litmus {
    struct cell *cells;
    int count;                     /* of rounds */
    _Alignas(64) atomic_int round; /* begun so far */
    _Alignas(64) atomic_int ended; /* on the side that runs often */
};

static void wait_for(atomic_int *value, int least)
{
    for (int spins = 1; atomic_load_explicit(value, memory_order_acquire) < least; spins++) {
        if (spins % 1000 == 0)
            (void)sched_yield();
    }
}

static void *come_often(void *arg)
{
    struct litmus *litmus = arg;
    for (int i = 0; i < ROUNDS; i++) {
        struct cell *cell = &litmus->cells[i];
        wait_for(&litmus->round, i + 1);
        if (i >= litmus->count)
            break;
        atomic_store_explicit(&cell->often_came, 1, memory_order_relaxed);
        weft_fence_light();
        cell->often_saw = atomic_load_explicit(&cell->rarely_came, memory_order_relaxed);
        atomic_store_explicit(&litmus->ended, i + 1, memory_order_release);
    }
    return NULL;
}

static void come_rarely(struct litmus *litmus)
{
    int64_t until_ns = weft_deadline_ms(MOST_MS);
    for (int i = 0; i < litmus->count; i++) {
        if (weft_now_ns() >= until_ns) {
            litmus->count = i;
            atomic_store_explicit(&litmus->round, i + 1, memory_order_release);
            break;
        }
        struct cell *cell = &litmus->cells[i];
        atomic_store_explicit(&litmus->round, i + 1, memory_order_release);
        atomic_store_explicit(&cell->rarely_came, 1, memory_order_relaxed);
        weft_fence_heavy();
        cell->rarely_saw = atomic_load_explicit(&cell->often_came, memory_order_relaxed);
        wait_for(&litmus->ended, i + 1);
    }
}

static void check_litmus(void)
{
    struct litmus litmus = { .cells = aligned_alloc(64, ROUNDS * sizeof(struct cell)),
                             .count = ROUNDS };
    assert_non_null(litmus.cells);
    memset(litmus.cells, 0, ROUNDS * sizeof(struct cell));
    pthread_t often;
    assert_int_equal(pthread_create(&often, NULL, come_often, &litmus), 0);
    come_rarely(&litmus);
    assert_int_equal(pthread_join(often, NULL), 0);

    int missed = 0;
    for (int i = 0; i < litmus.count; i++)
        missed += !litmus.cells[i].often_saw && !litmus.cells[i].rarely_saw;
    free(litmus.cells);
    assert_true(litmus.count > 0);
    assert_int_equal(missed, 0);
}

static void at_least_one_of_the_two_sees_the_other(void **state)
{
    (void)state;
    weft_fence_open();
    check_litmus();
}

static void the_same_where_the_kernel_has_no_membarrier(void **state)
{
    (void)state;
    weft_fence_is_unequal = false;
    check_litmus();
}

static void opening_twice_is_fine(void **state)
{
    (void)state;
    weft_fence_open();
    bool is_unequal = weft_fence_is_unequal;
    weft_fence_open();
    assert_int_equal(weft_fence_is_unequal, is_unequal);
    if (WEFT_TSAN)
        assert_false(is_unequal);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(at_least_one_of_the_two_sees_the_other),
        cmocka_unit_test(the_same_where_the_kernel_has_no_membarrier),
        cmocka_unit_test(opening_twice_is_fine),
    };
    return berth_test_main(tests, NULL, NULL);
}
