/* SPDX-License-Identifier: MIT
 *
 * Hashes of bytes: XXH3 (https://github.com/Cyan4973/xxHash, header-only from Debian). The same
 * bytes and seed give the same hash on every machine and in every version, so a hash may be stored.
 * Not cryptographic: somebody who chooses the bytes can make two collide, so what must be equal is
 * compared.
 */
#pragma once

#include <stdint.h>

#include <berth/types.h>

struct berth_hash128 {
    uint64_t low, high;
};

uint64_t berth_hash64(struct berth_slice bytes, uint64_t seed);
struct berth_hash128 berth_hash128(struct berth_slice bytes, uint64_t seed);
