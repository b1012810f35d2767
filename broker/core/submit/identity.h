/* SPDX-License-Identifier: MIT */
/* What makes two jobs of the same key the same: their handler, options and body, as one hash. It is
 * stored with the key, so what it is made of never changes. */
#pragma once

#include "base/hash.h"
#include "broker/core/event.h"

struct berth_hash128 identity_of(const struct berth_submit_item *item, struct berth_slice handler);
/* The same ordinal in another dispatcher is another child. */
struct berth_hash128 identity_of_child(struct berth_hash128 identity, uint32_t dispatcher);
