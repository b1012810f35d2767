/* SPDX-License-Identifier: MIT */
/* The time after a start in which sessions of an earlier epoch are missing: nobody knows what they
 * run. */
#pragma once

#include "state.h"

/* One session less of which nobody knows what it runs. With the last one recovery ends. */
void recovery_resolve(struct berth_core *core);
/* Nobody is missing any more: grants begin, and queued jobs that were cancelled meanwhile end. */
void recovery_end(struct berth_core *core);
