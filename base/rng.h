/* SPDX-License-Identifier: MIT
 *
 * Seeded random numbers: the same seed gives the same numbers on every machine. For jitter, tests
 * and simulation; never for secrets. Asks the system for nothing: the seed comes from outside.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct berth_rng {
    uint64_t s[4];
};

/* Any seed is good, 0 included. */
void berth_rng_init(struct berth_rng *rng, uint64_t seed);

/* All 64 bits. */
uint64_t berth_rng_next(struct berth_rng *rng);

/* Evenly from 0 .. bound - 1, without bias. `bound` > 0. */
uint64_t berth_rng_below(struct berth_rng *rng, uint64_t bound);

/* Evenly from low .. high, both included. */
int64_t berth_rng_between(struct berth_rng *rng, int64_t low, int64_t high);

/* True in `numerator` of `denominator` cases. */
bool berth_rng_chance(struct berth_rng *rng, uint64_t numerator, uint64_t denominator);
