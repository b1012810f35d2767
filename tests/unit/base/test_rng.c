/* SPDX-License-Identifier: MIT
 *
 * The random numbers: the published ones, and evenly spread.
 */
#include "support/berthtest.h"

#include "base/rng.h"

static void it_is_xoshiro256_seeded_by_splitmix64(void **state)
{
    (void)state;
    struct berth_rng rng;

    /* The values that the tests of Rust's rand_xoshiro took from the authors' reference code. */
    rng = (struct berth_rng){ .s = { 1, 2, 3, 4 } };
    assert_true(berth_rng_next(&rng) == 11520);
    assert_true(berth_rng_next(&rng) == 0);
    assert_true(berth_rng_next(&rng) == 1509978240);
    assert_true(berth_rng_next(&rng) == UINT64_C(1215971899390074240));

    /* splitmix64 of seed 0: the first outputs in its reference code. */
    berth_rng_init(&rng, 0);
    assert_true(rng.s[0] == UINT64_C(0xe220a8397b1dcdaf));
    assert_true(rng.s[1] == UINT64_C(0x6e789e6aa1b965f4));
}

static void the_same_seed_gives_the_same_numbers(void **state)
{
    (void)state;
    struct berth_rng a, b, c;
    berth_rng_init(&a, 42);
    berth_rng_init(&b, 42);
    berth_rng_init(&c, 43);

    int equal_count = 0;
    for (int i = 0; i < 100; i++) {
        uint64_t drawn = berth_rng_next(&a);
        assert_true(drawn == berth_rng_next(&b));
        equal_count += drawn == berth_rng_next(&c);
    }
    assert_int_equal(equal_count, 0);
}

static void ranges_are_kept_and_all_of_them_is_used(void **state)
{
    (void)state;
    struct berth_rng rng;
    berth_rng_init(&rng, 7);
    int counts[10] = { 0 };

    for (int i = 0; i < 10000; i++)
        counts[berth_rng_below(&rng, 10)]++;

    /* 1000 expected, standard deviation 30: five of them. The seed is fixed, so this never
     * flickers. */
    for (int i = 0; i < 10; i++)
        assert_in_range(counts[i], 850, 1150);
    for (int i = 0; i < 1000; i++) {
        int64_t drawn = berth_rng_between(&rng, -3, 3);
        assert_true(drawn >= -3 && drawn <= 3);
        assert_int_equal(berth_rng_between(&rng, 5, 5), 5);
        assert_int_equal(berth_rng_below(&rng, 1), 0);
    }
}

static void the_widest_range_works(void **state)
{
    (void)state;
    struct berth_rng rng;
    berth_rng_init(&rng, 9);
    int negative_count = 0;
    for (int i = 0; i < 1000; i++)
        negative_count += berth_rng_between(&rng, INT64_MIN, INT64_MAX) < 0;

    assert_in_range(negative_count, 400, 600);
}

static void chances_come_as_often_as_they_should(void **state)
{
    (void)state;
    struct berth_rng rng;
    berth_rng_init(&rng, 11);
    int count = 0;
    for (int i = 0; i < 10000; i++) {
        count += berth_rng_chance(&rng, 1, 4);
        assert_true(berth_rng_chance(&rng, 1, 1));
        assert_false(berth_rng_chance(&rng, 0, 5));
    }

    assert_in_range(count, 2280, 2720);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_xoshiro256_seeded_by_splitmix64),
        cmocka_unit_test(the_same_seed_gives_the_same_numbers),
        cmocka_unit_test(ranges_are_kept_and_all_of_them_is_used),
        cmocka_unit_test(the_widest_range_works),
        cmocka_unit_test(chances_come_as_often_as_they_should),
    };
    return berth_test_main(tests, NULL, NULL);
}
