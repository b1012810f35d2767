/* SPDX-License-Identifier: MIT */
/* Children whose keeper has said that they are dead. A hello of one may still be under way, and
 * would make a session that nobody can prove gone a second time.
 *
 * Forgotten by a restart: a hello is for one epoch, so none that is under way then is taken. */
#pragma once

#include "broker/core/state.h"

/* The newest are kept, TOMBSTONES_MAX of them; without memory none is. */
void tombstone_put(struct berth_core *core, const uint8_t nonce[16], uint32_t child);
bool tombstone_is_there(const struct berth_core *core, const uint8_t nonce[16], uint32_t child);
void tombstone_free_all(struct berth_core *core);
