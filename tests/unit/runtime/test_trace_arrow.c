/* SPDX-License-Identifier: MIT */
#include "wefttest.h"

#include "support/faulty.h"

#include "trace_arrow.h"

#define MANY (TEST_IS_SLOW ? 3000 : 30000)

static void each_arrow_has_a_number_of_its_own(void **state)
{
    (void)state;
    struct weft_trace_arrows arrows = { .count = 0 };

    assert_int_equal(weft_trace_arrow_end(&arrows, 7), 0);
    assert_int_equal(weft_trace_arrow_begin(&arrows, 7), 1);
    assert_int_equal(weft_trace_arrow_begin(&arrows, 8), 2);
    assert_int_equal(weft_trace_arrow_end(&arrows, 9), 0);
    assert_int_equal(weft_trace_arrow_end(&arrows, 7), 1);
    assert_int_equal(weft_trace_arrow_end(&arrows, 7), 0);
    assert_int_equal(weft_trace_arrow_begin(&arrows, 7), 3);
    assert_int_equal(weft_trace_arrow_begin(&arrows, 7), 4); /* the third has no end */
    assert_int_equal(weft_trace_arrow_end(&arrows, 7), 4);
    assert_int_equal(weft_trace_arrow_end(&arrows, 8), 2);
    assert_int_equal(arrows.count, 0);
    weft_trace_arrows_fini(&arrows);
}

/* Numbers as they are given, and such as meet in one place of the table. */
static uint64_t coroutine_at(size_t i)
{
    return i % 2 == 0 ? 1 + i : (uint64_t)i << 40;
}

static void many_at_once_are_found_in_any_order(void **state)
{
    (void)state;
    struct weft_trace_arrows arrows = { .count = 0 };
    for (size_t i = 0; i < MANY; i++)
        assert_int_equal(weft_trace_arrow_begin(&arrows, coroutine_at(i)), i + 1);

    for (size_t i = 0; i < MANY; i++) {
        size_t at = (i * 7919) % MANY; /* a prime: each once */
        assert_int_equal(weft_trace_arrow_end(&arrows, coroutine_at(at)), at + 1);
        assert_int_equal(weft_trace_arrow_end(&arrows, coroutine_at(at)), 0);
    }

    assert_int_equal(arrows.count, 0);
    weft_trace_arrows_fini(&arrows);
}

static void without_memory_an_arrow_is_left_out_and_the_others_stay(void **state)
{
    (void)state;
    FAULTY_FOREACH(n)
    {
        struct weft_trace_arrows arrows = { .count = 0 };
        uint64_t numbers[2000];
        for (size_t i = 0; i < 2000; i++)
            numbers[i] = weft_trace_arrow_begin(&arrows, i + 1);
        bool has_failed = faulty_stop();

        unsigned left_out = 0;
        for (size_t i = 0; i < 2000; i++) {
            assert_int_equal(weft_trace_arrow_end(&arrows, i + 1), numbers[i]);
            left_out += numbers[i] == 0;
        }
        assert_int_equal(left_out, has_failed ? 1 : 0);
        weft_trace_arrows_fini(&arrows);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_arrow_has_a_number_of_its_own),
        cmocka_unit_test(many_at_once_are_found_in_any_order),
        cmocka_unit_test(without_memory_an_arrow_is_left_out_and_the_others_stay),
    };
    return berth_test_main(tests, NULL, NULL);
}
