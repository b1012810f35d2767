/* SPDX-License-Identifier: MIT */
/* Handlers that submit children, wait for them, or sleep. What a job does follows from its body, so
 * that each of its attempts does the same: a parent submits the same children under the same
 * ordinals.
 *
 * A parent ends in one of three ways: when all its children have ended; before that (its agent
 * waits for them); or, out of patience, failed. */
#pragma once

#include "runs.h"

/* parent.c. An attempt begins; it was told to end; its body has ended. */
void parent_begin(struct run *run, struct berth_slice body);
void parent_cancelled(struct run *run);
void parent_ends(struct run *run); /* its body is about to */
void parent_body_over(struct run *run);
/* What the agent says to attempts. */
void parent_resumed(struct worker *worker, uint64_t attempt);
void parent_answered(struct worker *worker, const struct agent_submitted *answer);
void parent_child_ended(struct worker *worker, const struct agent_child_end *end);
/* And of them to the broker. */
void parent_say(struct note *note, const struct agent_effect *effect);

bool parent_is_child(uint64_t tag);
/* Whether the children of this job may die alone. */
bool parent_is_supervisor(uint64_t job);
