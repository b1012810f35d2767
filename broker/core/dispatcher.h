/* SPDX-License-Identifier: MIT */
/* Dispatchers, their limits in force, and the lanes in which their ready jobs wait.
 *
 * A lane holds the ready jobs of one dispatcher for one handler, a list per priority, so what one
 * handler lacks never stands before another one's jobs.
 */
#pragma once

#include "state.h"

struct dispatcher *dispatcher_find(const struct berth_core *core, struct berth_slice name);
struct dispatcher *dispatcher_find_id(const struct berth_core *core, uint32_t id);
/* A copy of the record; NULL: no memory or too many. */
struct dispatcher *dispatcher_new(struct berth_core *core,
                                  const struct berth_dispatcher_record *record);
void dispatcher_free_all(struct berth_core *core);
/* The values that a new dispatcher has unless told otherwise (limit: none yet). */
void dispatcher_defaults(struct berth_dispatcher_record *ret_record);

/* SET and PAUSE: changes, gathers the record, answers when it is stored. */
void dispatcher_on_set(struct berth_core *core, const struct berth_ev_dispatcher_set *set);
void dispatcher_on_pause(struct berth_core *core, const struct berth_ev_dispatcher_pause *pause);
void dispatcher_on_stored(struct berth_core *core, const struct berth_dispatcher_record *record);

/* What holds now; UINT64_MAX: none. While a change is being stored, the lower of the old and the
 * new value. */
uint64_t dispatcher_limit(const struct berth_core *core, const struct dispatcher *dispatcher);
bool dispatcher_is_paused(const struct dispatcher *dispatcher);
/* A slot is free and it is not paused. */
bool dispatcher_has_room(const struct berth_core *core, const struct dispatcher *dispatcher);

struct handler *handler_find(const struct berth_core *core, struct berth_slice name);
struct handler *handler_get(struct berth_core *core,
                            struct berth_slice name); /* makes it; NULL: no memory, too many */
void handler_release(struct berth_core *core,
                     struct handler *handler); /* frees it if nobody names it */

/* Makes it; NULL: no memory. */
struct lane *lane_get(struct berth_core *core, struct dispatcher *dispatcher,
                      struct handler *handler);
void lane_release(struct berth_core *core, struct lane *lane); /* frees it if no job names it */
/* Makes the list of this priority: 0 or -ENOMEM. After that push cannot fail. */
int lane_reserve(struct lane *lane, int32_t priority);
void lane_push(struct berth_core *core, struct lane *lane, uint32_t job, enum job_place place);
void lane_remove(struct berth_core *core, struct lane *lane, uint32_t job);
uint32_t lane_first(const struct lane *lane); /* 0: empty */
