/* SPDX-License-Identifier: MIT */
/* A hash index from a record's hash to its slab index: four bytes a place, open addressing, linear
 * probing.
 *
 * It knows hashes only; the caller says which records are equal and what a record's hash is. The
 * order of its places is never walked, so it cannot decide anything. Deletion closes the gap
 * (Knuth, The Art of Computer Programming 3, 6.4, algorithm R), so there are no tombstones.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct index {
    uint32_t *places; /* 0: free */
    uint32_t mask;    /* places - 1 */
    uint32_t count;
    uint64_t (*hash_of)(const void *arg, uint32_t record);
    const void *arg;
};

/* Allocates nothing. */
void index_init(struct index *index, uint64_t (*hash_of)(const void *arg, uint32_t record),
                const void *arg);
void index_fini(struct index *index);

/* Room for `more` further records: 0 or -ENOMEM. */
int index_reserve(struct index *index, uint32_t more);
/* There must be room. */
void index_insert(struct index *index, uint64_t hash, uint32_t record);
/* The first record with this hash that `is_equal`, or 0. */
uint32_t index_find(const struct index *index, uint64_t hash,
                    bool (*is_equal)(const void *arg, uint32_t record, const void *key),
                    const void *key);
/* The record must be in. */
void index_remove(struct index *index, uint64_t hash, uint32_t record);
