/* SPDX-License-Identifier: MIT */
/* The open batch: what must become durable before anything that depends on it is said.
 *
 * What a client asks for is refused when there is no memory for it (try_). What has happened in the
 * world must be written down: without memory for that the process ends, and the next one takes it
 * up from the store and the workers.
 */
#pragma once

#include "state.h"

/* A zeroed record at the end of the open batch; good until the next call. */
struct berth_record *batch_add(struct berth_core *core, enum berth_record_type type);
/* A copy in the open batch's memory. */
struct berth_slice batch_copy(struct berth_core *core, struct berth_slice bytes);
/* The same, but NULL, or false, without memory. */
struct berth_record *batch_try_add(struct berth_core *core, enum berth_record_type type);
bool batch_try_copy(struct berth_core *core, struct berth_slice *slice);
/* Takes the last record back. */
void batch_undo(struct berth_core *core);
bool batch_has_records(const struct berth_core *core); /* the open one */

/* Whether a new job may go into the open batch. Not while the store is full; but when it is time to
 * ask it again and nothing else is there to ask with, new jobs are what it is asked with. */
bool batch_takes_arrivals(const struct berth_core *core);
/* When a full store is to be asked again; INT64_MAX: there is nothing to write. */
int64_t batch_next_deadline_ms(const struct berth_core *core);
void batch_on_stored(struct berth_core *core, const struct berth_ev_stored *stored);
void batch_free(struct berth_batch *batch);

/* An answer that waits for the store. NULL: no memory. */
struct pending *pending_new(enum pending_type type, uint64_t peer, uint64_t request);
/* Zeroed memory that goes with the answer. NULL: no memory. */
void *pending_alloc(struct pending *pending, size_t count, size_t element_bytes);
/* It leaves when all that is gathered by now is stored. Takes it. */
void pending_put(struct berth_core *core, struct pending *pending);
/* Refuses a request because something is not there (any more). Whoever asks again after a lost
 * answer takes that as a yes, so it leaves when what has removed it is stored. */
void pending_refuse(struct berth_core *core, uint64_t peer, uint64_t request, int code,
                    const char *field, const char *message);
/* It leaves now. Takes it. */
void pending_answer(struct berth_core *core, struct pending *pending);
void pending_free(struct pending *pending);
void pending_free_all(struct berth_core *core);
