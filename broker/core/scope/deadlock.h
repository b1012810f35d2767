/* SPDX-License-Identifier: MIT */
/* Children that could never start.
 *
 * A parent with `hold = job` keeps its slots until its children have ended. If every slot of a
 * dispatcher, or every place of a group, is held by such parents, and each of them waits, directly
 * or through the children of its children, for a job that needs a slot where all are held so (to
 * begin, or to go on if it gave its slots back), then none of them ever ends: a submit that would
 * bring this about is refused.
 *
 * What is looked at are limits as they are now; a limit of 0 and a pause are somebody's wish and
 * end with it. The capacity of workers is not looked at: others may come.
 */
#pragma once

#include "broker/core/state.h"

/* The children from id `first` on have just been made (ARRIVING) by this attempt: a sentence that
 * names the cycle, in the step's memory; NULL: all of them can start in the end. */
const char *deadlock_find(struct berth_core *core, struct attempt *parent, uint64_t first);
