/* SPDX-License-Identifier: MIT */
/* Attempts that wait for something and have stopped meanwhile.
 *
 * 1. The worker stops it first and then says so. From then on it does not count against its
 * worker's capacity (offer.h). Under `hold = running` its slots and its place of the group come
 * back in that step, too; under `hold = job` it keeps them.
 * 2. What gave its slots back takes all of them again, or none: ahead of every new start, in the
 * order in which those of a dispatcher asked, while dispatchers take turns, and not while a session
 * of an earlier epoch is unresolved. It takes no token of a rate, and no pause holds it: it has
 * started long ago.
 * 3. Then it goes on when it has a place at its worker: while fewer than its capacity run, ahead of
 * every new start there, in the order in which they came. So it holds slots while it waits for a
 * place, and never the other way round: who has a place runs, and gives it back whatever others
 * hold; who has slots may wait for a child that needs this place.
 * 4. One that was told to end goes first, and needs no place: it shall feel it. It does need its
 * slots; a limit of 0, which is a pause, counts as 1 for it.
 * 5. An attempt that asks is in exactly one list, that of what it misses: its dispatcher's (slots),
 * its group's, or its session's (a place). One that waits for its group waits there until a place
 * of the group is free, and then stands first at its dispatcher again, one for one.
 * 6. A resumption that a join overtook is not known: the list says suspended, so its slots are free
 * again, and the worker asks anew.
 */
#pragma once

#include "broker/core/state.h"

/* It has stopped, for the `number`th time. */
void suspend_take(struct berth_core *core, const struct session *session, uint64_t attempt,
                  uint32_t number);
/* What it waited for has happened: may it go on? */
void suspend_ask(struct berth_core *core, const struct session *session, uint64_t attempt,
                 uint32_t number);
/* What a join says of it. */
void suspend_on_line(struct berth_core *core, struct attempt *attempt,
                     const struct berth_join_line *line);
/* Its worker may be told to end it: if it asks to go on, it is first from now on. */
void suspend_on_told(struct berth_core *core, struct attempt *attempt);
/* It is over, or told again: it asks for nothing any more. */
void suspend_forget(struct berth_core *core, struct attempt *attempt);
/* It is over, or its end is being stored: it counts as others do. */
void suspend_end(struct berth_core *core, struct attempt *attempt);
/* The group has a place: one of those that wait for it asks its dispatcher again. */
void suspend_on_group(struct berth_core *core, struct group *group);
/* Those that may go on, as far as there is room. */
void suspend_turn(struct berth_core *core);

/* The first of its chain that has no slot for it; NULL: its group has no place, or nothing lacks.
 */
const struct dispatcher *suspend_lack(const struct berth_core *core, const struct attempt *attempt);

/* Whether attempts of it wait without their slots; true, too, while a session is missing that may
 * have such. O(its attempts). */
bool suspend_has_given(const struct berth_core *core, const struct dispatcher *dispatcher);

void suspend_check_attempt(const struct attempt *attempt);
void suspend_check_dispatcher(const struct dispatcher *dispatcher);
void suspend_check_session(const struct session *session);
