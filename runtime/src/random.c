/* SPDX-License-Identifier: MIT */
#include "random.h"

#include <weft/base.h>

static _Thread_local uint64_t state; /* 0: not seeded yet */

/* splitmix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014): any state
 * will do, and neighbouring seeds give unrelated sequences. */
static uint64_t next(void)
{
    state += 0x9e3779b97f4a7c15u;
    uint64_t mixed = state;
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9u;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebu;
    return mixed ^ (mixed >> 31);
}

/* Not inlined: its caller may go on on another thread, whose state is another one. */
__attribute__((noinline)) uint32_t weft_random(void)
{
    __asm__ volatile("" ::: "memory");
    if (state == 0)
        state = (uint64_t)weft_now_ns() ^ (uint64_t)(uintptr_t)&state;
    return (uint32_t)(next() >> 32);
}

__attribute__((noinline)) void weft_random_seed(uint64_t seed)
{
    __asm__ volatile("" ::: "memory");
    state = seed;
}
