/* SPDX-License-Identifier: MIT */
#include "support/berthtest.h"

#include <string.h>

#include "broker/core/slab.h"
#include "support/faulty.h"

struct thing {
    uint64_t a, b;
};

static struct thing *at(const struct slab *slab, uint32_t index)
{
    return slab_at(slab, index);
}

static void indices_begin_at_1_and_records_are_zeroed(void **state)
{
    (void)state;
    struct slab slab;
    slab_init(&slab, sizeof(struct thing), 10);

    assert_int_equal(slab_take(&slab), 1);
    assert_int_equal(slab_take(&slab), 2);

    assert_int_equal(at(&slab, 2)->a, 0);
    assert_int_equal(at(&slab, 2)->b, 0);
    assert_int_equal(slab.used, 2);
    slab_fini(&slab);
}

static void a_record_stays_where_it_is_while_the_slab_grows(void **state)
{
    (void)state;
    struct slab slab;
    slab_init(&slab, sizeof(struct thing), UINT32_MAX);
    struct thing *first = at(&slab, slab_take(&slab));
    first->a = 17;

    for (uint32_t i = 0; i < 10 * SLAB_CHUNK_RECORDS; i++)
        at(&slab, slab_take(&slab))->a = i;

    assert_ptr_equal(at(&slab, 1), first);
    assert_int_equal(first->a, 17);
    slab_fini(&slab);
}

static void what_was_given_back_is_taken_again_zeroed(void **state)
{
    (void)state;
    struct slab slab;
    slab_init(&slab, sizeof(struct thing), 10);
    uint32_t one = slab_take(&slab), two = slab_take(&slab);
    memset(at(&slab, one), 0xff, sizeof(struct thing));
    memset(at(&slab, two), 0xff, sizeof(struct thing));

    slab_give(&slab, one);
    slab_give(&slab, two);

    assert_int_equal(slab.used, 0);
    assert_int_equal(slab_take(&slab), two);
    assert_int_equal(slab_take(&slab), one);
    assert_int_equal(at(&slab, one)->a, 0);
    assert_int_equal(at(&slab, two)->b, 0);
    assert_int_equal(slab.top, 2);
    slab_fini(&slab);
}

static void no_more_are_in_use_than_allowed(void **state)
{
    (void)state;
    struct slab slab;
    slab_init(&slab, sizeof(struct thing), 2);
    (void)slab_take(&slab);
    uint32_t second = slab_take(&slab);

    assert_int_equal(slab_take(&slab), SLAB_NONE);
    slab_give(&slab, second);
    assert_int_equal(slab_take(&slab), second);
    slab_fini(&slab);
}

static void without_memory_nothing_is_taken_and_later_it_goes_on(void **state)
{
    (void)state;
    for (size_t n = 1; n <= 2; n++) {
        struct slab slab;
        slab_init(&slab, sizeof(struct thing), 10);

        faulty_fail_at(n);
        uint32_t index = slab_take(&slab);
        assert_true(faulty_stop());

        assert_int_equal(index, SLAB_NONE);
        assert_int_equal(slab.used, 0);
        assert_int_equal(slab_take(&slab), 1);
        slab_fini(&slab);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(indices_begin_at_1_and_records_are_zeroed),
        cmocka_unit_test(a_record_stays_where_it_is_while_the_slab_grows),
        cmocka_unit_test(what_was_given_back_is_taken_again_zeroed),
        cmocka_unit_test(no_more_are_in_use_than_allowed),
        cmocka_unit_test(without_memory_nothing_is_taken_and_later_it_goes_on),
    };
    return berth_test_main(tests, NULL, NULL);
}
