/* SPDX-License-Identifier: MIT */
#include "backoff.h"

#include "base/assert.h"

int64_t backoff_delay_ms(struct berth_rng *rng, uint32_t failures, int64_t base_ms, int64_t max_ms)
{
    BERTH_ASSERT(failures >= 1);
    int64_t ceiling = base_ms;
    for (uint32_t i = 1; i < failures && ceiling < max_ms; i++)
        ceiling = ceiling > max_ms / 2 ? max_ms : ceiling * 2;
    if (ceiling > max_ms)
        ceiling = max_ms;
    if (ceiling <= 0)
        return 0;
    return rng ? berth_rng_between(rng, 0, ceiling) : ceiling;
}
