/* SPDX-License-Identifier: MIT
 *
 * The clocks: they go forward and agree with their units.
 */
#include "support/berthtest.h"

#include <time.h>

#include "base/clock.h"

static void monotonic_clocks_never_decrease(void **state)
{
    (void)state;
    int64_t ns = berth_clock_monotonic_ns(), boot_ns = berth_clock_boottime_ns();
    for (int i = 0; i < 1000; i++) {
        int64_t now_ns = berth_clock_monotonic_ns(), now_boot_ns = berth_clock_boottime_ns();
        assert_true(now_ns >= ns);
        assert_true(now_boot_ns >= boot_ns);
        ns = now_ns;
        boot_ns = now_boot_ns;
    }
}

static void units_agree(void **state)
{
    (void)state;
    int64_t before_ms = berth_clock_monotonic_ns() / 1000000;
    int64_t now_ms = berth_clock_monotonic_ms();
    int64_t after_ms = berth_clock_monotonic_ns() / 1000000;
    assert_true(before_ms <= now_ms);
    assert_true(now_ms <= after_ms);
}

static void the_wall_clock_counts_microseconds_since_1970(void **state)
{
    (void)state;
    int64_t before = time(NULL);
    int64_t seconds = berth_clock_wall_us() / 1000000;
    int64_t after = time(NULL);
    assert_true(seconds >= before);
    assert_true(seconds <= after + 1); /* time() may be a tick behind */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(monotonic_clocks_never_decrease),
        cmocka_unit_test(units_agree),
        cmocka_unit_test(the_wall_clock_counts_microseconds_since_1970),
    };
    return berth_test_main(tests, NULL, NULL);
}
