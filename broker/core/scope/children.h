/* SPDX-License-Identifier: MIT */
/* What reports say of children: submits, the end of a body, questions for those that are awaited.
 */
#pragma once

#include "broker/core/state.h"

void children_on_reports(struct berth_core *core, struct session *session,
                         const struct berth_ev_reports *reports);
/* The store has answered how children ended that were asked for. False: it could not. */
void children_on_ended(struct berth_core *core, uint64_t attempt, const uint64_t *ids, size_t count,
                       const struct berth_ev_read *read);
/* Nobody could answer: the worker joins again, and then asks again. */
void children_ask_again(const struct berth_core *core, uint64_t attempt);
/* The batch of a submit of children is stored, or was refused: takes the answer. */
void children_answer(struct berth_core *core, struct pending *answer);
