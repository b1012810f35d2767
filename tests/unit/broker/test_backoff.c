/* SPDX-License-Identifier: MIT */
#include "support/berthtest.h"

#include "broker/core/life/backoff.h"

#define DRAWS 2000

struct spread {
    int64_t low_ms, high_ms;
    double mean_ms;
};

static struct spread draw(uint32_t failures, int64_t base_ms, int64_t max_ms)
{
    struct berth_rng rng;
    berth_rng_init(&rng, 7);
    struct spread spread = { .low_ms = INT64_MAX };
    for (unsigned i = 0; i < DRAWS; i++) {
        int64_t ms = backoff_delay_ms(&rng, failures, base_ms, max_ms);
        spread.low_ms = ms < spread.low_ms ? ms : spread.low_ms;
        spread.high_ms = ms > spread.high_ms ? ms : spread.high_ms;
        spread.mean_ms += (double)ms / DRAWS;
    }
    return spread;
}

static void the_delay_is_drawn_evenly_from_0_to_the_ceiling(void **state)
{
    (void)state;
    struct spread spread = draw(1, 1000, 600000);

    assert_in_range(spread.low_ms, 0, 10);
    assert_in_range(spread.high_ms, 990, 1000);
    assert_in_range((int64_t)spread.mean_ms, 470, 530);
}

static void the_ceiling_doubles_with_each_failure(void **state)
{
    (void)state;
    for (uint32_t failures = 1; failures <= 9; failures++) {
        int64_t ceiling_ms = INT64_C(1000) << (failures - 1);
        assert_in_range(draw(failures, 1000, 600000).high_ms, ceiling_ms - ceiling_ms / 100,
                        ceiling_ms);
    }
}

static void the_ceiling_stops_at_the_maximum(void **state)
{
    (void)state;
    assert_in_range(draw(11, 1000, 600000).high_ms, 594000, 600000);
    assert_in_range(draw(UINT32_MAX, 1000, 600000).high_ms, 594000, 600000);
    assert_in_range(draw(1, 1000, 10).high_ms, 9, 10);
}

static void without_jitter_it_is_the_ceiling(void **state)
{
    (void)state;
    assert_int_equal(backoff_delay_ms(NULL, 1, 1000, 600000), 1000);
    assert_int_equal(backoff_delay_ms(NULL, 4, 1000, 600000), 8000);
    assert_int_equal(backoff_delay_ms(NULL, 11, 1000, 600000), 600000);
    assert_int_equal(backoff_delay_ms(NULL, 3, 0, 600000), 0);
}

static void doubling_does_not_overflow(void **state)
{
    (void)state;
    struct spread spread = draw(200, 1, INT64_MAX);

    assert_true(spread.low_ms >= 0);
    assert_true(spread.high_ms > INT64_MAX / 2);
}

static void without_a_backoff_there_is_no_delay(void **state)
{
    (void)state;
    assert_int_equal(draw(5, 0, 600000).high_ms, 0);
    assert_int_equal(draw(5, 1000, 0).high_ms, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_delay_is_drawn_evenly_from_0_to_the_ceiling),
        cmocka_unit_test(the_ceiling_doubles_with_each_failure),
        cmocka_unit_test(the_ceiling_stops_at_the_maximum),
        cmocka_unit_test(without_jitter_it_is_the_ceiling),
        cmocka_unit_test(doubling_does_not_overflow),
        cmocka_unit_test(without_a_backoff_there_is_no_delay),
    };
    return berth_test_main(tests, NULL, NULL);
}
