/* SPDX-License-Identifier: MIT
 *
 * Columns: how a batch of n things lies in a message. What every translate.c needs to read and to
 * write them.
 *
 *   column          n values side by side; an empty column means 0 for all n
 *   spans           a column of lengths, and one `bytes` with everything joined together
 *   table of names  each name once; a column beside it holds indices
 *
 * Readers here take columns that validate.h has accepted: they assert lengths and never fail.
 * Checkers are for the validation itself and for code that has no validation before it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <berth/error.h>
#include <berth/types.h>
#include <protobuf-c/protobuf-c.h>

#include "base/arena.h"
#include "base/assert.h"
#include "proto/limits.h"

/* Bytes as we and as protobuf-c hold them; borrowed in both directions. protobuf-c has no const:
 * what it is given here is packed, never written. */
static inline struct berth_slice berth_slice_from(ProtobufCBinaryData bytes)
{
    return (struct berth_slice){ .data = bytes.data, .bytes = bytes.len };
}

static inline ProtobufCBinaryData berth_bytes_of(struct berth_slice slice)
{
    union {
        const void *ours;
        uint8_t *theirs;
    } data = { .ours = slice.data };
    return (ProtobufCBinaryData){ .len = slice.bytes, .data = data.theirs };
}

/* Element `index` of a column that has either no element or more than `index`. */
static inline uint32_t berth_column_u32(const uint32_t *column, size_t count, size_t index)
{
    BERTH_ASSERT(count == 0 || index < count);
    return count == 0 ? 0 : column[index];
}

static inline uint64_t berth_column_u64(const uint64_t *column, size_t count, size_t index)
{
    BERTH_ASSERT(count == 0 || index < count);
    return count == 0 ? 0 : column[index];
}

static inline int32_t berth_column_s32(const int32_t *column, size_t count, size_t index)
{
    BERTH_ASSERT(count == 0 || index < count);
    return count == 0 ? 0 : column[index];
}

/* A column to be sent needs no elements if all are 0: returns `count`, or 0. */
size_t berth_column_trim_u32(const uint32_t *column, size_t count);
size_t berth_column_trim_u64(const uint64_t *column, size_t count);
size_t berth_column_trim_s32(const int32_t *column, size_t count);

/* 0 if the column is empty or has `wanted` elements; else BERTH_EPROTO and a sentence like
 * "priority has 3 values for 5 jobs". `things` is the plural. */
int berth_column_check(const char *field, size_t count, size_t wanted, const char *things,
                       struct berth_error *err);

/* 0 if the lengths add up to the bytes; else BERTH_EPROTO and a sentence that names both fields.
 * Cannot overflow. */
int berth_spans_check(const char *lengths_field, const uint32_t *lengths, size_t count,
                      const char *bytes_field, size_t bytes, struct berth_error *err);

/* Walks a checked pair of lengths and bytes in order; beyond an empty column each slice is empty.
 */
struct berth_spans {
    const uint32_t *lengths;
    size_t count, index;
    const uint8_t *data;
    size_t offset, bytes;
};

static inline struct berth_spans berth_spans_of(const uint32_t *lengths, size_t count,
                                                ProtobufCBinaryData bytes)
{
    return (struct berth_spans){
        .lengths = lengths, .count = count, .data = bytes.data, .bytes = bytes.len
    };
}

static inline struct berth_slice berth_spans_next(struct berth_spans *spans)
{
    size_t bytes = berth_column_u32(spans->lengths, spans->count, spans->index);
    BERTH_ASSERT(bytes <= spans->bytes - spans->offset);
    struct berth_slice slice = { .bytes = bytes };
    if (bytes > 0)
        slice.data = spans->data + spans->offset;
    spans->offset += bytes;
    spans->index++;
    return slice;
}

/* A table of names being built for a message to be sent. Each name stands in it once. */
struct berth_names {
    ProtobufCBinaryData *items; /* the message's table */
    uint32_t *slots;            /* by hash: 1 + index of a name; 0: free */
    size_t count, count_max, slot_count, last;
};

/* Room for `count_max` (1 .. BERTH_NAMES_MAX) names from `arena`. 0 or -ENOMEM. */
int berth_names_init(struct berth_names *names, size_t count_max, struct berth_arena *arena);

/* The index of `name`, which is borrowed until the message was packed. -EMSGSIZE: the table is
 * full; split the batch. */
int64_t berth_names_put(struct berth_names *names, struct berth_slice name);

/* A name: [A-Za-z0-9][A-Za-z0-9._-]{0,63}, as berth_name_is_valid() of base/text.h, for bytes
 * without a NUL. */
bool berth_name_slice_is_valid(struct berth_slice name);
