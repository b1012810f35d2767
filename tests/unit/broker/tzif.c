/* SPDX-License-Identifier: MIT
 *
 * TZif files, RFC 9636, section 3.
 */
#include "tzif.h"

#include <stdbool.h>
#include <string.h>

#include "base/assert.h"

static void put(struct tzif *tzif, const void *data, size_t bytes)
{
    BERTH_ASSERT(bytes <= sizeof tzif->bytes - tzif->count);
    memcpy(tzif->bytes + tzif->count, data, bytes);
    tzif->count += bytes;
}

static void put_number(struct tzif *tzif, uint64_t number, size_t bytes)
{
    for (size_t i = bytes; i > 0; i--) {
        uint8_t byte = (uint8_t)(number >> (i - 1) * 8);
        put(tzif, &byte, 1);
    }
}

static void put_header(struct tzif *tzif, uint8_t version, const struct tzif_block *block)
{
    static const uint8_t reserved[15];
    put(tzif, "TZif", 4);
    put(tzif, &version, 1);
    put(tzif, reserved, sizeof reserved);
    put_number(tzif, block->ut_count, 4);
    put_number(tzif, block->standard_count, 4);
    put_number(tzif, block->leap_count, 4);
    put_number(tzif, block->time_count, 4);
    put_number(tzif, block->kind_count, 4);
    put_number(tzif, block->name_bytes, 4);
}

static void put_block(struct tzif *tzif, const struct tzif_block *block, size_t time_bytes)
{
    for (size_t i = 0; i < block->time_count; i++)
        put_number(tzif, (uint64_t)block->times[i], time_bytes);
    put(tzif, block->kinds_of, block->time_count);
    for (size_t i = 0; i < block->kind_count; i++) {
        put_number(tzif, (uint32_t)block->kinds[i].offset_s, 4);
        put_number(tzif, block->kinds[i].is_summer, 1);
        put_number(tzif, block->kinds[i].name_at, 1);
    }
    put(tzif, block->names, block->name_bytes);
    for (size_t i = 0; i < block->leap_count; i++) {
        put_number(tzif, 0, time_bytes);
        put_number(tzif, 0, 4);
    }
    for (size_t i = 0; i < block->standard_count + block->ut_count; i++)
        put_number(tzif, 0, 1);
}

void tzif_make(struct tzif *ret_tzif, uint8_t version, const struct tzif_block *block,
               const char *footer)
{
    static const struct tzif_kind old_kinds[] = { { 0, 0, 0 } };
    static const struct tzif_block old = { .kinds = old_kinds,
                                           .kinds_of = (const uint8_t *)"",
                                           .kind_count = 1,
                                           .names = "",
                                           .name_bytes = 1 };
    bool is_first = version == 0;
    ret_tzif->count = 0;
    if (!is_first) {
        put_header(ret_tzif, version, &old);
        put_block(ret_tzif, &old, 4);
    }
    put_header(ret_tzif, version, block);
    put_block(ret_tzif, block, is_first ? 4 : 8);
    if (footer)
        put(ret_tzif, footer, strlen(footer));
}

struct berth_slice tzif_slice(const struct tzif *tzif)
{
    return (struct berth_slice){ tzif->bytes, tzif->count };
}
