/* SPDX-License-Identifier: MIT */
/* Looking, waiting and cancelling by id: questions that the store helps to answer.
 *
 * The store knows what came with a job and how it ended; the core knows where a live one stands. A
 * question is put to the store, and what the core knows is laid over the rows when they come back.
 * A job that is arriving is nobody's yet: the store does not have it, and to us it is unknown.
 */
#pragma once

#include "broker/core/state.h"

struct deferred;

void query_on_get(struct berth_core *core, const struct berth_ev_ids *ids);
void query_on_list(struct berth_core *core, const struct berth_ev_job_list *list);
void query_on_wait(struct berth_core *core, const struct berth_ev_ids *ids);
/* One that is not live, or unknown: explain_answer(). */
void query_explain(struct berth_core *core, const struct berth_ev_ids *ids);
void query_on_retry(struct berth_core *core, const struct berth_ev_ids *ids);
void query_on_discard(struct berth_core *core, const struct berth_ev_ids *ids);
/* Rows come in the order of the question, those that are not there left out. The one of this id,
 * which is the next one asked for, or NULL. `row`: from 0, where the rows stand. */
const struct berth_job_record *query_next_row(const struct berth_ev_read *read, size_t *row,
                                              uint64_t id);
void query_on_cancel(struct berth_core *core, const struct berth_ev_ids *ids);
/* A submit is deferred until all is known of these jobs; it is the query's then. */
void query_on_deferred(struct berth_core *core, struct deferred *deferred, uint64_t peer,
                       uint64_t request, const uint64_t *ids, size_t count);
void query_on_dispatchers(struct berth_core *core, const struct berth_ev_query *query);
/* One, by id. */
void query_dispatcher(struct berth_core *core, uint64_t peer, uint64_t request, uint32_t id);
void query_on_status(struct berth_core *core, const struct berth_ev_query *query);
void query_on_read(struct berth_core *core, const struct berth_ev_read *read);
/* The body of a job that is granted: comes back through match_on_body. False: too many questions
 * are under way. */
bool query_body(struct berth_core *core, uint64_t job, uint64_t attempt);
/* How children ended, for the attempt of their parent: comes back through children_on_ended. False:
 * as above. */
bool query_children(struct berth_core *core, uint64_t attempt, const uint64_t *ids, size_t count);
void query_free_all(struct berth_core *core);
