/* SPDX-License-Identifier: MIT
 *
 * A walk over the bytes of a frame, before anything is allocated for it. Private to proto/.
 *
 * It knows the messages by their descriptors, so it follows new fields by itself; its depth is that
 * of the schema, which has no recursive type.
 */
#pragma once

#include <stdbool.h>

#include <berth/error.h>
#include <berth/types.h>

#include "proto/wire.h"

#define BERTH_SCAN_DEPTH_MAX 4 /* Envelope, WorkerReports, ChildSubmit, Submit */

/* The outermost level only. Returns whether it is well-formed; the head holds what was found before
 * the fault. */
bool berth_scan_head(struct berth_slice frame, struct berth_wire_head *ret_head);

/* How many fields the outermost level of any message has, or BERTH_EPROTO if it is not well-formed.
 */
int64_t berth_scan_fields(struct berth_slice message);

/* The whole frame: 0, BERTH_EPROTO, -EMSGSIZE or -EOPNOTSUPP as berth_wire_unpack() says. */
int berth_scan_frame(struct berth_slice frame, struct berth_error *err);
