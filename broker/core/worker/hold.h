/* SPDX-License-Identifier: MIT */
/* on_lost = hold: attempts whose process may still run keep their slots until it is proven gone.
 *
 * 1. A dispatcher is held if its on_lost, or that of one above it, is hold: what is counted there
 * is counted for certain. While any change of dispatchers is being stored, none stops being held.
 * 2. Of each attempt in a held dispatcher the start is stored before its grant leaves; so a broker
 * that comes back knows what the sessions that are missing may run there. A job whose row has a
 * start never begins again without another one.
 * 3. A session whose lease is over, and that may still run such an attempt, is LOST: its row stays,
 * closed, and its attempts are HELD with their slots, until it is proven gone.
 */
#pragma once

#include "broker/core/state.h"

/* Dispatchers have changed, or will when it is stored: who is held from now on. Writes the starts
 * of what runs where nobody wrote them down before. */
void hold_refresh(struct berth_core *core);
/* Whether it may be changed to this now. Not while sessions are missing, if it would become held:
 * what they run there is not stored. */
bool hold_may_change(const struct berth_core *core, const struct dispatcher *dispatcher,
                     const struct berth_dispatcher_record *wanted);

/* What on_lost does not say by itself: it is held from above, or a limit above it is not. "":
 * nothing.
 */
const char *hold_remark(struct berth_core *core, const struct dispatcher *dispatcher);

/* The attempt has all it needs: its worker hears of it, at once or when its start is stored, or the
 * tokens that it took of slow rates (limit.h). */
void hold_begin(struct berth_core *core, struct attempt *attempt);
void hold_on_start_stored(struct berth_core *core, const struct berth_start_record *start);
void hold_on_token_stored(struct berth_core *core, const struct berth_token_record *token);
/* It was not started, and its job goes back: a stored start of it is taken out. */
void hold_forget_start(struct berth_core *core, struct job *job);

/* Its process may go on though its session has lost its lease. */
bool hold_may_still_run(const struct attempt *attempt);
/* It keeps what it has. */
void hold_attempt(struct berth_core *core, struct attempt *attempt);

/* A job that was loaded, READY: if its start is stored and its session is there, its attempt is
 * made. 0 or -ENOMEM. */
int hold_load(struct berth_core *core, uint32_t job, const struct berth_job_record *record);
/* The end of loading: closed sessions that hold nothing go. */
void hold_start(struct berth_core *core);
