/* SPDX-License-Identifier: MIT
 *
 * The clocks. clock_gettime cannot fail for clocks that Linux has had since 2.6.39
 * (clock_gettime(2)), so a failure is a mistake of ours and asserted.
 */
#include "base/clock.h"

#include <time.h>

#include "base/assert.h"

static int64_t now_ns(clockid_t clock)
{
    struct timespec now;
    int rc = clock_gettime(clock, &now);
    BERTH_ASSERT(rc == 0);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t berth_clock_monotonic_ms(void)
{
    return now_ns(CLOCK_MONOTONIC) / 1000000;
}

int64_t berth_clock_monotonic_ns(void)
{
    return now_ns(CLOCK_MONOTONIC);
}

int64_t berth_clock_boottime_ns(void)
{
    return now_ns(CLOCK_BOOTTIME);
}

int64_t berth_clock_wall_us(void)
{
    return now_ns(CLOCK_REALTIME) / 1000;
}
