/* SPDX-License-Identifier: MIT */
#include "broker/store/store_mem_array.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

#define ARRAY_COUNT_MIN 16

void *mem_array_at(const struct mem_array *array, size_t index)
{
    return (char *)array->items + index * array->item_bytes;
}

size_t mem_array_place(const struct mem_array *array, uint64_t id)
{
    if (array->count == 0 || array->id_of(mem_array_at(array, array->count - 1)) < id)
        return array->count;
    size_t low = 0, high = array->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (array->id_of(mem_array_at(array, middle)) < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

void *mem_array_find(const struct mem_array *array, uint64_t id)
{
    size_t place = mem_array_place(array, id);
    if (place == array->count || array->id_of(mem_array_at(array, place)) != id)
        return NULL;
    return mem_array_at(array, place);
}

int mem_array_reserve(struct mem_array *array, size_t more)
{
    if (array->count_max - array->count >= more)
        return 0;
    size_t wanted = array->count_max ? 2 * array->count_max : ARRAY_COUNT_MIN;
    if (wanted < array->count + more)
        wanted = array->count + more;
    void *items = realloc(array->items, wanted * array->item_bytes);
    if (!items)
        return -ENOMEM;
    array->items = items;
    array->count_max = wanted;
    return 0;
}

void mem_array_insert(struct mem_array *array, uint64_t id, const void *item)
{
    BERTH_ASSERT(array->count < array->count_max);
    size_t place = mem_array_place(array, id);
    BERTH_ASSERT(place == array->count || array->id_of(mem_array_at(array, place)) != id);
    memmove(mem_array_at(array, place + 1), mem_array_at(array, place),
            (array->count - place) * array->item_bytes);
    memcpy(mem_array_at(array, place), item, array->item_bytes);
    array->count++;
}

void mem_array_remove(struct mem_array *array, uint64_t id)
{
    size_t place = mem_array_place(array, id);
    BERTH_ASSERT(place < array->count);
    BERTH_ASSERT(array->id_of(mem_array_at(array, place)) == id);
    array->count--;
    memmove(mem_array_at(array, place), mem_array_at(array, place + 1),
            (array->count - place) * array->item_bytes);
}
