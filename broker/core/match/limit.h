/* SPDX-License-Identifier: MIT */
/* What is taken of limits, and what comes back: slots of a dispatcher and of all above it, places
 * of a group, tokens of rates. Taken together or not at all: who takes has looked at the whole
 * chain (park.h) in the same step.
 *
 * A rate is a bucket of `burst` tokens that fills at the rate and is empty when the broker starts;
 * one of less than a token a minute has its next one when it would have had it, but not later than
 * an empty one. So in any stretch of time there are no more starts than burst + rate x time, also
 * across a crash. A start takes one token of each rate in its chain, and gives none back.
 */
#pragma once

#include "broker/core/state.h"

enum lack { LACK_NOTHING, LACK_PAUSE, LACK_SLOT, LACK_TOKEN };

/* What a dispatcher, without those above it, misses for one more attempt to start. */
enum lack limit_lack(const struct berth_core *core, const struct dispatcher *dispatcher);
/* The attempt takes the slots and the place that it needs, whether they are free or not. */
void limit_take(struct berth_core *core, struct attempt *attempt);
/* And gives them back. Whoever waits for them is looked at in the next turn. */
void limit_give(struct berth_core *core, struct attempt *attempt);
/* One token of each rate in the chain: it is there. */
void limit_take_tokens(const struct berth_core *core, struct dispatcher *dispatcher);
/* A rate of less than one start a minute, here or above: when the next token comes must be stored
 * before a start leaves, so that it holds across a crash. Gathers that; `attempt` (0: none) is to
 * begin when it is stored. False: there is no such rate. */
bool limit_write_tokens(struct berth_core *core, struct dispatcher *dispatcher, uint64_t attempt);
/* The same of a rate that is new, without those above it. */
void limit_write_new_rate(struct berth_core *core, struct dispatcher *dispatcher);
/* Until there is a token; 0: there is one, or no rate. */
int64_t limit_token_wait_ms(const struct berth_core *core, const struct dispatcher *dispatcher);

/* A new dispatcher; the start of the broker: buckets are empty. */
void limit_init(const struct berth_core *core, struct dispatcher *dispatcher);
/* Before and after a change of settings: what was earned so far was earned by the old ones. */
bool limit_settle(const struct berth_core *core, struct dispatcher *dispatcher); /* has a rate */
void limit_adapt(const struct berth_core *core, struct dispatcher *dispatcher, bool had_rate);
