/* SPDX-License-Identifier: MIT
 *
 * The walk. Wire types and varints: protobuf.dev/programming-guides/encoding.
 */
#include "proto/scan.h"

#include <errno.h>
#include <inttypes.h>

#include "base/assert.h"

#define TAG_NUMBER_MAX    ((1u << 29) - 1)
#define VARINT_BYTES_MAX  10
#define FIELD_VERSION     1
#define FIELD_REQUEST     2
#define FIELD_MESSAGE_MIN 3 /* from here on the Envelope has messages only */

enum wire_type { WIRE_VARINT = 0, WIRE_64BIT = 1, WIRE_BYTES = 2, WIRE_32BIT = 5 };

struct cursor {
    const uint8_t *at, *end;
};

struct wire_field {
    uint32_t number;
    enum wire_type type;
    uint64_t value;       /* WIRE_VARINT */
    struct cursor inside; /* WIRE_BYTES */
};

/* A message that is being walked. */
struct level {
    const ProtobufCMessageDescriptor *descriptor;
    struct cursor cursor;
    uint64_t seen; /* one bit per field of the descriptor: sub-messages that came already */
    const ProtobufCFieldDescriptor *rows_field;
    size_t row_count;
};

struct scan {
    struct level levels[BERTH_SCAN_DEPTH_MAX];
    size_t depth; /* levels in use */
    size_t field_count, message_count, unknown_count;
    size_t frame_bytes;
    struct berth_error *err;
};

static bool varint_read(struct cursor *cursor, uint64_t *ret_value)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < VARINT_BYTES_MAX && cursor->at < cursor->end; i++) {
        uint8_t byte = *cursor->at++;
        value |= (uint64_t)(byte & 0x7f) << (7 * i);
        if (byte < 0x80) {
            *ret_value = value;
            return true;
        }
    }
    return false;
}

static bool skip(struct cursor *cursor, uint64_t bytes)
{
    if (bytes > (size_t)(cursor->end - cursor->at))
        return false;
    cursor->at += bytes;
    return true;
}

static bool field_read(struct cursor *cursor, struct wire_field *ret_field)
{
    uint64_t tag, bytes;
    if (!varint_read(cursor, &tag) || tag >> 3 == 0 || tag >> 3 > TAG_NUMBER_MAX)
        return false;
    struct wire_field field = { .number = (uint32_t)(tag >> 3), .type = (enum wire_type)(tag & 7) };
    switch (field.type) {
    case WIRE_VARINT:
        if (!varint_read(cursor, &field.value))
            return false;
        break;
    case WIRE_64BIT:
        if (!skip(cursor, 8))
            return false;
        break;
    case WIRE_32BIT:
        if (!skip(cursor, 4))
            return false;
        break;
    case WIRE_BYTES:
        if (!varint_read(cursor, &bytes))
            return false;
        field.inside.at = cursor->at;
        if (!skip(cursor, bytes))
            return false;
        field.inside.end = cursor->at;
        break;
    default: return false; /* groups, and numbers that nobody uses */
    }
    *ret_field = field;
    return true;
}

static struct cursor cursor_of(struct berth_slice frame)
{
    const uint8_t *data = frame.data;
    return (struct cursor){ .at = data, .end = frame.bytes > 0 ? data + frame.bytes : data };
}

bool berth_scan_head(struct berth_slice frame, struct berth_wire_head *ret_head)
{
    *ret_head = (struct berth_wire_head){ .version = 0 };
    struct cursor cursor = cursor_of(frame);
    while (cursor.at < cursor.end) {
        struct wire_field field;
        if (!field_read(&cursor, &field))
            return false;
        if (field.number == FIELD_VERSION && field.type == WIRE_VARINT)
            ret_head->version = (uint32_t)field.value;
        if (field.number == FIELD_REQUEST && field.type == WIRE_VARINT)
            ret_head->request = field.value;
    }
    return true;
}

int64_t berth_scan_fields(struct berth_slice message)
{
    int64_t count = 0;
    struct cursor cursor = cursor_of(message);
    for (struct wire_field field; cursor.at < cursor.end; count++)
        if (!field_read(&cursor, &field))
            return BERTH_EPROTO;
    return count;
}

static int fail_malformed(const struct scan *scan)
{
    return berth_fail(scan->err, BERTH_EPROTO, "frame of %zu bytes is not a Berth message",
                      scan->frame_bytes);
}

static void level_push(struct scan *scan, const ProtobufCMessageDescriptor *descriptor,
                       struct cursor cursor)
{
    BERTH_ASSERT(scan->depth < BERTH_SCAN_DEPTH_MAX);
    BERTH_ASSERT(descriptor->n_fields <= 64);
    scan->levels[scan->depth++] = (struct level){ .descriptor = descriptor, .cursor = cursor };
}

/* A second copy of a sub-message would be merged with the first: protobuf allows it, nobody sends
 * it, and refusing it keeps the merging code of protobuf-c out of reach. */
static int submessage_count(struct scan *scan, struct level *level,
                            const ProtobufCFieldDescriptor *known)
{
    if (known->label != PROTOBUF_C_LABEL_REPEATED) {
        uint64_t bit = UINT64_C(1) << (known - level->descriptor->fields);
        if (level->seen & bit)
            return berth_fail(scan->err, BERTH_EPROTO, "%s stands twice in the message",
                              known->name);
        level->seen |= bit;
        return 0;
    }
    if (level->rows_field != known) {
        level->rows_field = known;
        level->row_count = 0;
    }
    if (++level->row_count > BERTH_FRAME_ROWS_MAX)
        return berth_fail(scan->err, -EMSGSIZE, "more than %d of %s in one message",
                          BERTH_FRAME_ROWS_MAX, known->name);
    return 0;
}

static int envelope_count(struct scan *scan, const struct wire_field *field,
                          const ProtobufCFieldDescriptor *known)
{
    if (scan->depth != 1 || field->number < FIELD_MESSAGE_MIN)
        return 0;
    if (!known) {
        scan->unknown_count++;
        return 0;
    }
    if (++scan->message_count > 1)
        return berth_fail(scan->err, BERTH_EPROTO,
                          "the frame holds more than one message; exactly one is allowed");
    return 0;
}

static int field_scan(struct scan *scan, const struct wire_field *field)
{
    struct level *level = &scan->levels[scan->depth - 1];
    const ProtobufCFieldDescriptor *known =
        protobuf_c_message_descriptor_get_field(level->descriptor, field->number);
    if (++scan->field_count > BERTH_FRAME_FIELDS_MAX)
        return berth_fail(scan->err, -EMSGSIZE, "more than %u fields in one frame",
                          BERTH_FRAME_FIELDS_MAX);
    int rc = envelope_count(scan, field, known);
    if (rc < 0 || !known || known->type != PROTOBUF_C_TYPE_MESSAGE)
        return rc;
    if (field->type != WIRE_BYTES)
        return fail_malformed(scan);
    rc = submessage_count(scan, level, known);
    if (rc < 0)
        return rc;
    level_push(scan, known->descriptor, field->inside);
    return 0;
}

static int levels_scan(struct scan *scan)
{
    while (scan->depth > 0) {
        struct level *level = &scan->levels[scan->depth - 1];
        if (level->cursor.at == level->cursor.end) {
            scan->depth--;
            continue;
        }
        struct wire_field field;
        if (!field_read(&level->cursor, &field))
            return fail_malformed(scan);
        int rc = field_scan(scan, &field);
        if (rc < 0)
            return rc;
    }
    return 0;
}

int berth_scan_frame(struct berth_slice frame, struct berth_error *err)
{
    struct scan scan = { .frame_bytes = frame.bytes, .err = err };
    level_push(&scan, &berth__v1__envelope__descriptor, cursor_of(frame));
    int rc = levels_scan(&scan);
    if (rc < 0)
        return rc;
    if (scan.message_count == 1)
        return 0;
    if (scan.unknown_count > 0)
        return berth_fail(err, -EOPNOTSUPP, "a message that protocol version %u does not know",
                          BERTH_PROTOCOL_VERSION);
    return berth_fail(err, BERTH_EPROTO, "the frame holds no message; exactly one is wanted");
}
