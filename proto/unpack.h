/* SPDX-License-Identifier: MIT
 *
 * protobuf-c's unpack into an arena, with a budget of its own. Private to proto/.
 */
#pragma once

#include <berth/types.h>
#include <protobuf-c/protobuf-c.h>

#include "base/arena.h"

/* `packed` has been walked by scan.h. `*ret` lives in `arena`; never free it. Returns 0; -EMSGSIZE
 * if it would take more than `budget_bytes`; -ENOMEM if the arena or the system has no more;
 * BERTH_EPROTO if it is no such message. */
int berth_unpack(const ProtobufCMessageDescriptor *descriptor, struct berth_slice packed,
                 size_t budget_bytes, struct berth_arena *arena, ProtobufCMessage **ret);
