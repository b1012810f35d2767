/* SPDX-License-Identifier: MIT
 *
 * The hashes: XXH3's own test values, since they may be stored.
 */
#include "support/berthtest.h"

#include "base/hash.h"
#include "base/text.h"

static void the_empty_input_hashes_as_published(void **state)
{
    (void)state;
    struct berth_slice none = { .data = NULL, .bytes = 0 };

    /* From the documentation of XXH3 0.8: XXH3_64bits("") and XXH3_128bits(""). */
    assert_true(berth_hash64(none, 0) == UINT64_C(0x2d06800538d394c2));
    struct berth_hash128 hash = berth_hash128(none, 0);
    assert_true(hash.high == UINT64_C(0x99aa06d3014798d8));
    assert_true(hash.low == UINT64_C(0x6001c324468d497f));
}

static void bytes_and_seed_both_count(void **state)
{
    (void)state;
    struct berth_slice a = berth_slice_of("newsletter"), b = berth_slice_of("newslettes");

    assert_true(berth_hash64(a, 0) == berth_hash64(berth_slice_of("newsletter"), 0));
    assert_true(berth_hash64(a, 0) != berth_hash64(b, 0));
    assert_true(berth_hash64(a, 0) != berth_hash64(a, 1));
    assert_true(berth_hash128(a, 0).low != berth_hash128(b, 0).low);
    assert_true(berth_hash128(a, 0).high != berth_hash128(a, 1).high);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_empty_input_hashes_as_published),
        cmocka_unit_test(bytes_and_seed_both_count),
    };
    return berth_test_main(tests, NULL, NULL);
}
