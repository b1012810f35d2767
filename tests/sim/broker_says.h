/* SPDX-License-Identifier: MIT */
/* Effects of the broker's core as messages to workers and clients. */
#pragma once

#include "sim.h"

/* `note`: a new one to a client, and it stays that when it is for a worker. Copies all that
 * `effect` points at. */
void broker_say(struct note *note, const struct berth_effect *effect);
