/* SPDX-License-Identifier: MIT */
/* What running attempts show of themselves: how far they are, and the end of what they write.
 *
 * It is never stored, and nothing depends on it: what is lost of it comes again from the worker
 * after its next join, or in the end with the result.
 *
 * 1. Of each stream the last SHOWN_TAIL_BYTES_MAX bytes are kept, without a gap between them.
 * 2. All of it together takes no more memory than the core's output_bytes_max: beyond that the
 * bytes of those attempts go first that were silent longest.
 */
#pragma once

#include "broker/core/state.h"

#define SHOWN_TAIL_BYTES_MAX (64u << 10)

/* A running attempt shows something. Without memory for it, it does not. */
void shown_take(struct berth_core *core, struct attempt *attempt, const struct berth_show *show);
/* It has ended. */
void shown_free(struct berth_core *core, struct attempt *attempt);

/* Whether the job runs and has said how far it is. */
bool shown_progress(const struct job *job, uint64_t *ret_done, uint64_t *ret_total);

/* A client asks what there is. */
void shown_on_output(struct berth_core *core, const struct berth_ev_job_output *ev);

void shown_check(const struct berth_core *core);
