/* SPDX-License-Identifier: MIT
 *
 * The order of checks is that of cost: size, head, version, walk, unpack.
 */
#include "proto/wire.h"

#include <errno.h>

#include "base/assert.h"
#include "proto/scan.h"
#include "proto/unpack.h"

size_t berth_wire_budget(size_t frame_bytes)
{
    return BERTH_WIRE_BUDGET_BASE + BERTH_WIRE_BUDGET_PER_BYTE * frame_bytes;
}

struct berth_wire_head berth_wire_head(struct berth_slice frame)
{
    struct berth_wire_head head;
    (void)berth_scan_head(frame, &head);
    return head;
}

static int head_check(struct berth_slice frame, struct berth_error *err)
{
    if (frame.bytes > BERTH_FRAME_BYTES_MAX)
        return berth_fail(err, -EMSGSIZE, "frame of %zu bytes; allowed are %u", frame.bytes,
                          BERTH_FRAME_BYTES_MAX);
    struct berth_wire_head head;
    bool is_well_formed = berth_scan_head(frame, &head);
    if (!is_well_formed || head.version == 0)
        return berth_fail(err, BERTH_EPROTO, "frame of %zu bytes is not a Berth message",
                          frame.bytes);
    if (head.version != BERTH_PROTOCOL_VERSION)
        return berth_fail(err, BERTH_EVERSION, "protocol version %u is not spoken here; %u is",
                          head.version, BERTH_PROTOCOL_VERSION);
    return 0;
}

int berth_wire_unpack(struct berth_slice frame, struct berth_arena *arena,
                      Berth__V1__Envelope **ret, struct berth_error *err)
{
    int rc = head_check(frame, err);
    if (rc < 0)
        return rc;
    rc = berth_scan_frame(frame, err);
    if (rc < 0)
        return rc;

    size_t budget_bytes = berth_wire_budget(frame.bytes);
    ProtobufCMessage *message;
    rc = berth_unpack(&berth__v1__envelope__descriptor, frame, budget_bytes, arena, &message);
    if (rc == -EMSGSIZE)
        return berth_fail(err, rc, "frame of %zu bytes would take more than %zu of memory",
                          frame.bytes, budget_bytes);
    if (rc == -ENOMEM)
        return berth_fail(err, rc, "unpack a frame of %zu bytes", frame.bytes);
    if (rc < 0)
        return berth_fail(err, rc, "frame of %zu bytes is not a Berth message", frame.bytes);
    *ret = (Berth__V1__Envelope *)message;
    BERTH_ASSERT((*ret)->message_case != BERTH__V1__ENVELOPE__MESSAGE__NOT_SET);
    return 0;
}

void berth_wire_init(Berth__V1__Envelope *envelope, uint64_t request)
{
    berth__v1__envelope__init(envelope);
    envelope->has_version = 1;
    envelope->version = BERTH_PROTOCOL_VERSION;
    envelope->has_request = request != 0;
    envelope->request = request;
}

int berth_wire_pack(const Berth__V1__Envelope *envelope, struct berth_buf *buf)
{
    BERTH_ASSERT(envelope->has_version);
    BERTH_ASSERT(envelope->message_case != BERTH__V1__ENVELOPE__MESSAGE__NOT_SET);
    size_t bytes = berth__v1__envelope__get_packed_size(envelope);
    if (bytes > BERTH_FRAME_BYTES_MAX)
        return -EMSGSIZE;
    int rc = berth_buf_reserve(buf, bytes);
    if (rc < 0)
        return rc;
    size_t packed = berth__v1__envelope__pack(envelope, (uint8_t *)buf->data + buf->bytes);
    BERTH_ASSERT(packed == bytes);
    berth_buf_added(buf, bytes);
    return 0;
}

const char *berth_wire_name(const Berth__V1__Envelope *envelope)
{
    if (envelope->message_case == BERTH__V1__ENVELOPE__MESSAGE__NOT_SET)
        return "nothing";
    const ProtobufCFieldDescriptor *field = protobuf_c_message_descriptor_get_field(
        &berth__v1__envelope__descriptor, (unsigned)envelope->message_case);
    return field ? field->name : "nothing";
}
