/* SPDX-License-Identifier: MIT */
#include "wefttest.h"

#include "random.h"

#define COUNT 8

static void the_same_seed_gives_the_same_numbers(void **state)
{
    (void)state;
    uint32_t first[COUNT];
    weft_random_seed(7);
    for (int i = 0; i < COUNT; i++)
        first[i] = weft_random();

    weft_random_seed(7);
    for (int i = 0; i < COUNT; i++)
        assert_int_equal(weft_random(), first[i]);

    weft_random_seed(8);
    assert_int_not_equal(weft_random(), first[0]);
}

static void draw(uint32_t numbers[COUNT])
{
    weft_random_seed(0);
    for (int i = 0; i < COUNT; i++)
        numbers[i] = weft_random();
}

static void without_a_seed_the_numbers_are_others_each_time(void **state)
{
    (void)state;
    uint32_t first[COUNT], second[COUNT];
    draw(first);
    draw(second);
    assert_memory_not_equal(first, second, sizeof first);
}

static void all_bits_come_up_about_half_of_the_time(void **state)
{
    (void)state;
    int counts[32] = { 0 };
    weft_random_seed(1);
    for (int i = 0; i < 4096; i++) {
        uint32_t number = weft_random();
        for (unsigned bit = 0; bit < 32; bit++)
            counts[bit] += (int)(number >> bit & 1);
    }
    for (int bit = 0; bit < 32; bit++)
        assert_in_range(counts[bit], 1848, 2248); /* 2048 and six deviations */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        weft_unit_test(the_same_seed_gives_the_same_numbers),
        weft_unit_test(without_a_seed_the_numbers_are_others_each_time),
        weft_unit_test(all_bits_come_up_about_half_of_the_time),
    };
    return berth_test_main(tests, NULL, NULL);
}
