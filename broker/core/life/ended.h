/* SPDX-License-Identifier: MIT */
/* What becomes of ended jobs: they live again, or are discarded.
 *
 * The store knows them, so it is asked first (query.h); what it said is good as long as no record
 * about the job has been gathered since: a job that lives again is live from then on, if unknown to
 * others, and of one that is being discarded that is noted until it is stored.
 */
#pragma once

#include "broker/core/state.h"

/* `rows`: what the store says of these jobs. Answers when it is stored. */
void ended_retry(struct berth_core *core, const struct berth_ev_ids *ids,
                 const struct berth_ev_read *rows);
void ended_discard(struct berth_core *core, const struct berth_ev_ids *ids,
                   const struct berth_ev_read *rows);

void ended_on_discard_stored(struct berth_core *core, uint64_t id);
/* All that the answer depends on is stored. */
void ended_answer(struct berth_core *core, const struct pending *pending);
void ended_free_all(struct berth_core *core);
