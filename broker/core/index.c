/* SPDX-License-Identifier: MIT */
#include "index.h"

#include <errno.h>

#include "base/assert.h"
#include "slab.h"

#define INDEX_PLACES_MIN 64u

void index_init(struct index *index, uint64_t (*hash_of)(const void *arg, uint32_t record),
                const void *arg)
{
    *index = (struct index){ .hash_of = hash_of, .arg = arg };
}

void index_fini(struct index *index)
{
    block_free(index->places);
    index->places = NULL;
    index->mask = index->count = 0;
}

static void place(struct index *index, uint64_t hash, uint32_t record)
{
    uint32_t at = (uint32_t)hash & index->mask;
    while (index->places[at])
        at = (at + 1) & index->mask;
    index->places[at] = record;
}

/* At most three quarters of the places are taken. */
int index_reserve(struct index *index, uint32_t more)
{
    uint64_t wanted = ((uint64_t)index->count + more) * 4 / 3 + 1;
    uint64_t have = index->places ? (uint64_t)index->mask + 1 : 0;
    if (wanted <= have)
        return 0;
    uint64_t places = have ? have : INDEX_PLACES_MIN;
    while (places < wanted)
        places *= 2;
    if (places > UINT32_MAX)
        return -ENOMEM;
    uint32_t *fresh = block_new(places * sizeof *fresh);
    if (!fresh)
        return -ENOMEM;
    struct index old = *index;
    index->places = fresh;
    index->mask = (uint32_t)(places - 1);
    for (uint64_t i = 0; i < have; i++)
        if (old.places[i])
            place(index, index->hash_of(index->arg, old.places[i]), old.places[i]);
    block_free(old.places);
    return 0;
}

void index_insert(struct index *index, uint64_t hash, uint32_t record)
{
    BERTH_ASSERT(index->count < index->mask);
    place(index, hash, record);
    index->count++;
}

uint32_t index_find(const struct index *index, uint64_t hash,
                    bool (*is_equal)(const void *arg, uint32_t record, const void *key),
                    const void *key)
{
    if (!index->count)
        return 0;
    for (uint32_t at = (uint32_t)hash & index->mask; index->places[at]; at = (at + 1) & index->mask)
        if (is_equal(index->arg, index->places[at], key))
            return index->places[at];
    return 0;
}

void index_remove(struct index *index, uint64_t hash, uint32_t record)
{
    uint32_t gap = (uint32_t)hash & index->mask;
    while (index->places[gap] != record) {
        BERTH_ASSERT(index->places[gap] != 0);
        gap = (gap + 1) & index->mask;
    }
    for (uint32_t at = (gap + 1) & index->mask; index->places[at]; at = (at + 1) & index->mask) {
        uint32_t home = (uint32_t)index->hash_of(index->arg, index->places[at]) & index->mask;
        /* May stay if its home lies cyclically in (gap, at]. */
        if (((at - home) & index->mask) < ((at - gap) & index->mask))
            continue;
        index->places[gap] = index->places[at];
        gap = at;
    }
    index->places[gap] = 0;
    index->count--;
}
