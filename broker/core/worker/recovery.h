/* SPDX-License-Identifier: MIT */
/* The time after a start in which sessions of an earlier epoch are missing: nobody knows what they
 * run. */
#pragma once

#include "broker/core/state.h"

/* Whether a dispatcher may start something though sessions are missing: each limit on its way is
 * held, so that what it counts is certain (hold.h), or there is none. Which of its jobs: any, if it
 * is held itself, because their starts would be stored; else those that arrived since the broker's
 * start, because nobody who is missing can have heard of them. */
bool recovery_allows(const struct berth_core *core, const struct dispatcher *dispatcher);
/* A job that arrived since the start is ready in it: it may be the first one that can begin. */
void recovery_note_arrival(struct berth_core *core, struct dispatcher *dispatcher);

/* One session less of which nobody knows what it runs. With the last one recovery ends. */
void recovery_resolve(struct berth_core *core);
/* Nobody is missing any more: grants begin, and queued jobs that were cancelled meanwhile end. */
void recovery_end(struct berth_core *core);
