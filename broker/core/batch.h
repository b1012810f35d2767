/* SPDX-License-Identifier: MIT */
/* The open batch: what must become durable before anything that depends on it is said. */
#pragma once

#include "state.h"

/* A zeroed record at the end of the open batch; good until the next call. */
struct berth_record *batch_add(struct berth_core *core, enum berth_record_type type);
/* A copy in the open batch's memory. */
struct berth_slice batch_copy(struct berth_core *core, struct berth_slice bytes);
bool batch_has_records(const struct berth_core *core); /* the open one */

/* Whether a new job may go into the open batch. Not while the store is full; but when it is time to
 * ask it again and nothing else is there to ask with, new jobs are what it is asked with. */
bool batch_takes_arrivals(const struct berth_core *core);
/* When a full store is to be asked again; INT64_MAX: there is nothing to write. */
int64_t batch_next_deadline_ms(const struct berth_core *core);

/* An answer that leaves when what is gathered now is stored; `is_open` false: when the batch that
 * is away is. Zeroed. */
struct pending *pending_add(struct berth_core *core, enum pending_type type, uint64_t peer,
                            uint64_t request, bool is_open);
void pending_free_all(struct berth_core *core);

void batch_on_stored(struct berth_core *core, const struct berth_ev_stored *stored);
void batch_free(struct berth_core *core, struct berth_batch *batch);
