/* SPDX-License-Identifier: MIT
 *
 * xoshiro256** by David Blackman and Sebastiano Vigna, seeded through splitmix64 as they advise
 * (https://prng.di.unimi.it/, "Scrambled Linear Pseudorandom Number Generators", ACM TOMS 47(4),
 * 2021). The range without bias is Daniel Lemire's ("Fast Random Integer Generation in an
 * Interval", ACM TOMACS 29(1), 2019).
 */
#include "base/rng.h"

#include "base/assert.h"

__extension__ typedef unsigned __int128 uint128;

static uint64_t splitmix64(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static uint64_t rotl(uint64_t x, int bits)
{
    return (x << bits) | (x >> (64 - bits));
}

void berth_rng_init(struct berth_rng *rng, uint64_t seed)
{
    for (int i = 0; i < 4; i++)
        rng->s[i] = splitmix64(&seed);
}

uint64_t berth_rng_next(struct berth_rng *rng)
{
    uint64_t *s = rng->s;
    uint64_t result = rotl(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotl(s[3], 45);
    return result;
}

uint64_t berth_rng_below(struct berth_rng *rng, uint64_t bound)
{
    BERTH_ASSERT(bound > 0);
    uint64_t threshold = -bound % bound; /* 2^64 mod bound */
    for (;;) {
        uint128 product = (uint128)berth_rng_next(rng) * bound;
        if ((uint64_t)product >= threshold)
            return (uint64_t)(product >> 64);
    }
}

int64_t berth_rng_between(struct berth_rng *rng, int64_t low, int64_t high)
{
    BERTH_ASSERT(low <= high);
    uint64_t span = (uint64_t)high - (uint64_t)low;
    uint64_t drawn = span == UINT64_MAX ? berth_rng_next(rng) : berth_rng_below(rng, span + 1);
    return (int64_t)((uint64_t)low + drawn);
}

bool berth_rng_chance(struct berth_rng *rng, uint64_t numerator, uint64_t denominator)
{
    BERTH_ASSERT(numerator <= denominator);
    return berth_rng_below(rng, denominator) < numerator;
}
