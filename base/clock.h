/* SPDX-License-Identifier: MIT
 *
 * The clocks: the only caller of clock_gettime. For shells alone; a core gets its time in events.
 */
#pragma once

#include <stdint.h>

/* Never decreases, stands still while the machine sleeps (CLOCK_MONOTONIC). For timeouts within one
 * process. */
int64_t berth_clock_monotonic_ms(void);
int64_t berth_clock_monotonic_ns(void);

/* Never decreases and counts the time asleep (CLOCK_BOOTTIME): a lease runs on while a laptop's lid
 * is shut. */
int64_t berth_clock_boottime_ns(void);

/* Unix time, may jump. Microseconds since 1970. */
int64_t berth_clock_wall_us(void);
