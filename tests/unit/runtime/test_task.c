/* SPDX-License-Identifier: MIT */
#include "wefttest.h"

static int add_one(void *arg)
{
    ++*(atomic_int *)arg;
    return 7;
}

static void run_returns_what_fn_returned(void **state)
{
    (void)state;
    atomic_int count = 0;

    assert_int_equal(weft_run(add_one, &count), 7);

    assert_int_equal(count, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        weft_unit_test(run_returns_what_fn_returned),
    };
    return berth_test_main(tests, NULL, NULL);
}
