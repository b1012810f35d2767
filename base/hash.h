/* SPDX-License-Identifier: MIT
 *
 * Hashes of bytes: XXH3 (https://github.com/Cyan4973/xxHash, header-only from Debian). The same
 * bytes and seed give the same hash on every machine and in every version, so a hash may be stored.
 * Not cryptographic: somebody who chooses the bytes can make two collide, so what must be equal is
 * compared.
 */
#pragma once

#include <stdint.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <berth/types.h>

struct berth_hash128 {
    uint64_t low, high;
};

static inline uint64_t berth_hash64(struct berth_slice bytes, uint64_t seed)
{
    return XXH3_64bits_withSeed(bytes.data, bytes.bytes, seed);
}

static inline struct berth_hash128 berth_hash128(struct berth_slice bytes, uint64_t seed)
{
    XXH128_hash_t hash = XXH3_128bits_withSeed(bytes.data, bytes.bytes, seed);
    return (struct berth_hash128){ .low = hash.low64, .high = hash.high64 };
}
