/* SPDX-License-Identifier: MIT */
/* Attempts that wait for something and have stopped meanwhile.
 *
 * 1. The worker stops it first and then says so. Under `hold = running` its slots and its place of
 * the group come back in that step; under `hold = job` it keeps them, and only its state changes.
 * 2. What gave them back takes all of them again, or none, before it is told to go on: ahead of
 * every new start, and not while a session of an earlier epoch is unresolved. It takes no token of
 * a rate, and no pause holds it: it has started long ago.
 * 3. A resumption that a join overtook is not known: the list says suspended, so its slots are free
 * again, and the worker asks anew.
 */
#pragma once

#include "state.h"

/* It has stopped, for the `number`th time. */
void suspend_take(struct berth_core *core, const struct session *session, uint64_t attempt,
                  uint32_t number);
/* What it waited for has happened: may it go on? */
void suspend_ask(struct berth_core *core, const struct session *session, uint64_t attempt,
                 uint32_t number);
/* What a join says of it. */
void suspend_on_line(struct berth_core *core, struct attempt *attempt,
                     const struct berth_join_line *line);
/* It is over, or told again: it asks for nothing any more. */
void suspend_forget(struct attempt *attempt);
/* Those that may go on, as far as there is room. */
void suspend_turn(struct berth_core *core);

/* The first of its chain that has no slot for it; NULL: its group has no place, or nothing lacks.
 */
const struct dispatcher *suspend_lack(const struct berth_core *core, const struct attempt *attempt);
