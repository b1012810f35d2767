/* SPDX-License-Identifier: MIT */
/* The part of translate.c for suspended attempts and their children. Pure, and for translate.c
 * alone.
 */
#pragma once

#include <berth/v1/worker.pb-c.h>

#include "base/arena.h"

#include "worker/core/agent.h"

/* What orders say of scopes, into the event; they have been checked. 0 or -ENOMEM. */
int translate_scope_in(const Berth__V1__WorkerOrders *message, struct berth_arena *arena,
                       struct agent_event *event);

/* What reports say of them, into the message. 0 or -ENOMEM. */
int translate_scope_out(const struct agent_effect *effect, struct berth_arena *arena,
                        Berth__V1__WorkerReports *message);

/* How often the attempts of a list were suspended. 0 or -ENOMEM. */
int translate_suspensions(const struct agent_line *lines, size_t count, struct berth_arena *arena,
                          Berth__V1__WorkerJoin *message);
