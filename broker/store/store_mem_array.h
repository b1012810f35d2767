/* SPDX-License-Identifier: MIT */
/* Arrays of the memory backend: elements of one size in order of the id that each has in it,
 * without doubles. Memory is reserved first, so that what follows cannot fail.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct mem_array {
    void *items;
    size_t count, count_max, item_bytes;
    uint64_t (*id_of)(const void *item);
};

void *mem_array_at(const struct mem_array *array, size_t index);
/* The first place whose id is not below `id`. New ids are mostly the largest. */
size_t mem_array_place(const struct mem_array *array, uint64_t id);
/* NULL: no element has this id. */
void *mem_array_find(const struct mem_array *array, uint64_t id);
/* Room for so many more: 0 or -ENOMEM. */
int mem_array_reserve(struct mem_array *array, size_t more);
/* Room must have been reserved; the id must not be there. */
void mem_array_insert(struct mem_array *array, uint64_t id, const void *item);
/* The id must be there. */
void mem_array_remove(struct mem_array *array, uint64_t id);
