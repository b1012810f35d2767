/* SPDX-License-Identifier: MIT */
/* The one place that sees xxhash: its header brings functions that allocate, which no pure core may
 * name. */
#include "base/hash.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

uint64_t berth_hash64(struct berth_slice bytes, uint64_t seed)
{
    return XXH3_64bits_withSeed(bytes.data, bytes.bytes, seed);
}

struct berth_hash128 berth_hash128(struct berth_slice bytes, uint64_t seed)
{
    XXH128_hash_t hash = XXH3_128bits_withSeed(bytes.data, bytes.bytes, seed);
    return (struct berth_hash128){ .low = hash.low64, .high = hash.high64 };
}
