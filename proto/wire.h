/* SPDX-License-Identifier: MIT
 *
 * Frame <-> message. A frame is one packed Envelope that holds exactly one message.
 *
 * Unpacking never trusts the frame: it is walked once without allocating (well-formed? which
 * version? one message? how many fields and rows?), and only then handed to protobuf-c, with an
 * allocator that has a budget. What the fields mean is checked by validate.h, nowhere else.
 */
#pragma once

#include <stdint.h>

#include <berth/error.h>
#include <berth/types.h>
#include <berth/v1/envelope.pb-c.h>

#include "base/arena.h"
#include "base/buf.h"
#include "proto/limits.h"

/* Most that a frame of `frame_bytes` may take from the arena.
 *
 * Without a bound a frame costs up to 92 times its size (a repeated empty sub-message). What is
 * legal costs far less: bytes are copied once; the longest join, 65,536 lines with all columns,
 * took 4.5 MB of a frame of 2.1 MB; the longest lists of rows with every field set took 1.7 MB
 * (1,000 jobs, 154 kB) and 6.9 MB (4,096 dispatchers, 442 kB), most of it scratch of protobuf-c
 * that an arena does not take back (test_wire.c, 2026-11-22, x86-64). 16 MiB and twice the frame
 * leave room for all of these. */
#define BERTH_WIRE_BUDGET_BASE     (16u << 20)
#define BERTH_WIRE_BUDGET_PER_BYTE 2u
#define BERTH_WIRE_BUDGET_MAX                                                                      \
    (BERTH_WIRE_BUDGET_BASE + BERTH_WIRE_BUDGET_PER_BYTE * BERTH_FRAME_BYTES_MAX)

size_t berth_wire_budget(size_t frame_bytes);

/* What stands in front, whatever version the rest is in: fields 1 and 2 of the Envelope mean the
 * same for ever. */
struct berth_wire_head {
    uint32_t version; /* 0: not found */
    uint64_t request; /* 0: none, or not found */
};

/* Never fails: reads as far as the frame is well-formed. For answering a frame that unpack refused.
 */
struct berth_wire_head berth_wire_head(struct berth_slice frame);

/* `*ret` and all it points to live in `arena`: never call a free_unpacked on it; it is gone with
 * the arena's reset. The arena should allow BERTH_WIRE_BUDGET_MAX bytes; what it already holds
 * counts against that, not against the frame's budget. Returns 0, or -EMSGSIZE       the frame is
 * over BERTH_FRAME_BYTES_MAX, has too many fields or rows, or would pass its budget BERTH_EPROTO no
 * Envelope, truncated, or not exactly one message BERTH_EVERSION  another version of the protocol
 * (berth_wire_head() still gives the request) -EOPNOTSUPP     a message that this version does not
 * know -ENOMEM         the arena or the system has no more */
int berth_wire_unpack(struct berth_slice frame, struct berth_arena *arena,
                      Berth__V1__Envelope **ret, struct berth_error *err);

/* An envelope of our version, with no message yet. */
void berth_wire_init(Berth__V1__Envelope *envelope, uint64_t request);

/* Appends one frame to `buf`. The envelope must have a version and a message. 0; -EMSGSIZE if the
 * frame would be over BERTH_FRAME_BYTES_MAX or the buffer's maximum; -ENOMEM. */
int berth_wire_pack(const Berth__V1__Envelope *envelope, struct berth_buf *buf);

/* The name of the message it holds, for logs and errors: "submit"; "nothing" if there is none.
 * Static. */
const char *berth_wire_name(const Berth__V1__Envelope *envelope);
