/* SPDX-License-Identifier: MIT */
/* Groups of a dispatcher: who shares a `group_limit`, and takes turns with the others.
 *
 * A group is there as long as it has live jobs or places in use. The jobs that name none are one
 * group as far as turns go, and no limit of groups is theirs.
 */
#pragma once

#include "broker/core/state.h"

/* Makes it; "" is that of the jobs without one. NULL: no memory. */
struct group *group_get(struct berth_core *core, struct dispatcher *dispatcher,
                        struct berth_slice name);
/* Frees it if it has neither lanes nor places in use. */
void group_release(struct group *group);
void group_free_all(struct dispatcher *dispatcher);

void group_take(struct berth_core *core, struct group *group);
void group_give(struct berth_core *core, struct group *group);
/* The limit has changed, perhaps. */
void group_refresh_all(struct berth_core *core, struct dispatcher *dispatcher);
