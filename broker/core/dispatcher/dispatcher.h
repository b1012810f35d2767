/* SPDX-License-Identifier: MIT */
/* Dispatchers: their settings, as stored and as asked for, and the limits in force. */
#pragma once

#include "broker/core/state.h"

struct dispatcher *dispatcher_find(const struct berth_core *core, struct berth_slice name);
struct dispatcher *dispatcher_find_id(const struct berth_core *core, uint32_t id);
/* A copy of the record; NULL: no memory or too many. */
struct dispatcher *dispatcher_new(struct berth_core *core,
                                  const struct berth_dispatcher_record *record);
/* It is removed, and nothing of it is used any more. Of a name it has none already. */
void dispatcher_free(struct berth_core *core, struct dispatcher *dispatcher);
void dispatcher_free_all(struct berth_core *core);
/* The values that a new dispatcher has unless told otherwise (limit: none yet). */
void dispatcher_defaults(struct berth_dispatcher_record *ret_record);

/* SET and PAUSE: changes, gathers the record, answers when it is stored. */
void dispatcher_on_set(struct berth_core *core, const struct berth_ev_dispatcher_set *set);
void dispatcher_on_pause(struct berth_core *core, const struct berth_ev_dispatcher_pause *pause);
void dispatcher_on_stored(struct berth_core *core, const struct berth_dispatcher_record *record);

/* Gives each loaded one its parent, and starts what counts time. 0, or BERTH_ESTORE: a parent is
 * missing, or below its child. */
int dispatcher_start_all(struct berth_core *core);
/* The parent that its record names is its parent from now on. */
void dispatcher_follow_parent(struct berth_core *core, struct dispatcher *dispatcher);

/* Whether it is this one, or stands below it. NULL: of none that exists. */
bool dispatcher_is_in(const struct dispatcher *dispatcher, const struct dispatcher *top);

/* What holds now; UINT64_MAX: none. While a change is being stored, the lower of the old and the
 * new value. */
uint64_t dispatcher_limit(const struct berth_core *core, const struct dispatcher *dispatcher);
uint64_t dispatcher_group_limit(const struct dispatcher *dispatcher);
uint64_t dispatcher_max_queued(const struct dispatcher *dispatcher);
/* The least of its own and those of all above it. */
uint64_t dispatcher_effective_limit(const struct berth_core *core,
                                    const struct dispatcher *dispatcher);
bool dispatcher_is_paused(const struct dispatcher *dispatcher);
/* `count` starts in each `ms`, `burst` of them at once; count 0: as many as there are. */
struct rate {
    uint32_t count, burst;
    int64_t ms;
};
struct rate dispatcher_rate(const struct dispatcher *dispatcher);
