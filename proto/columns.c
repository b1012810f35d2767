/* SPDX-License-Identifier: MIT
 *
 * Columns, spans and tables of names.
 */
#include "proto/columns.h"

#include <errno.h>
#include <string.h>

#include "base/hash.h"

size_t berth_column_trim_u32(const uint32_t *column, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (column[i] != 0)
            return count;
    return 0;
}

size_t berth_column_trim_u64(const uint64_t *column, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (column[i] != 0)
            return count;
    return 0;
}

size_t berth_column_trim_s32(const int32_t *column, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (column[i] != 0)
            return count;
    return 0;
}

int berth_column_check(const char *field, size_t count, size_t wanted, const char *things,
                       struct berth_error *err)
{
    if (count == 0 || count == wanted)
        return 0;
    return berth_fail(err, BERTH_EPROTO, "%s has %zu values for %zu %s", field, count, wanted,
                      things);
}

int berth_spans_check(const char *lengths_field, const uint32_t *lengths, size_t count,
                      const char *bytes_field, size_t bytes, struct berth_error *err)
{
    /* 2^32 lengths below 2^32 cannot pass 2^64. */
    uint64_t sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += lengths[i];
    if (sum == bytes)
        return 0;
    return berth_fail(err, BERTH_EPROTO, "%s adds up to %llu, but %s has %zu bytes", lengths_field,
                      (unsigned long long)sum, bytes_field, bytes);
}

int berth_names_init(struct berth_names *names, size_t count_max, struct berth_arena *arena)
{
    BERTH_ASSERT(count_max >= 1);
    BERTH_ASSERT(count_max <= BERTH_NAMES_MAX);
    size_t slot_count = 2;
    while (slot_count < 2 * count_max)
        slot_count *= 2;
    ProtobufCBinaryData *items = berth_arena_alloc_array(arena, count_max, sizeof *items);
    uint32_t *slots = berth_arena_zalloc(arena, slot_count * sizeof *slots);
    if (!items || !slots)
        return -ENOMEM;
    *names = (struct berth_names){
        .items = items, .slots = slots, .count_max = count_max, .slot_count = slot_count
    };
    return 0;
}

static bool names_is_at(const struct berth_names *names, size_t index, struct berth_slice name)
{
    return index < names->count && names->items[index].len == name.bytes &&
           memcmp(names->items[index].data, name.data, name.bytes) == 0;
}

int64_t berth_names_put(struct berth_names *names, struct berth_slice name)
{
    BERTH_ASSERT(name.bytes > 0);
    /* Batches come sorted more often than not. */
    if (names_is_at(names, names->last, name))
        return (int64_t)names->last;
    /* Half of the slots stay free, so a search ends. */
    size_t mask = names->slot_count - 1, at = (size_t)berth_hash64(name, 0) & mask;
    while (names->slots[at] != 0 && !names_is_at(names, names->slots[at] - 1, name))
        at = (at + 1) & mask;
    if (names->slots[at] == 0) {
        if (names->count == names->count_max)
            return -EMSGSIZE;
        names->items[names->count++] = berth_bytes_of(name);
        names->slots[at] = (uint32_t)names->count;
    }
    names->last = names->slots[at] - 1;
    return (int64_t)names->last;
}

bool berth_name_slice_is_valid(struct berth_slice name)
{
    char text[BERTH_NAME_BYTES_MAX + 1];
    if (name.bytes == 0 || name.bytes > BERTH_NAME_BYTES_MAX)
        return false;
    memcpy(text, name.data, name.bytes);
    text[name.bytes] = '\0';
    return strlen(text) == name.bytes && berth_name_is_valid(text);
}
