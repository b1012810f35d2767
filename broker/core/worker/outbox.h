/* SPDX-License-Identifier: MIT */
/* What a session is to be told: grants, cancels and acknowledgements gather until the end of the
 * turn, and leave as one message of its join's stream, or as several if one frame cannot hold them.
 */
#pragma once

#include "broker/core/state.h"

void outbox_grant(struct berth_core *core, struct attempt *attempt);
void outbox_cancel(struct berth_core *core, struct attempt *attempt);
void outbox_ack(struct berth_core *core, struct session *session, uint64_t attempt, bool is_stale);
/* Of scopes (outbox_scope.c). It may go on; the answer to a submit of children, which is taken; the
 * end of a child, in the memory that is taken. */
void outbox_resume(struct berth_core *core, struct attempt *attempt);
void outbox_children(struct berth_core *core, struct session *session, struct pending *answer);
struct child_end;
void outbox_child_end(struct berth_core *core, struct session *session, struct child_end *end,
                      const struct berth_order_child_end *order);
/* A join begins, or the session is over: nothing of that is said any more. */
void outbox_clear_scopes(struct session *session);
/* Shared by outbox.c and outbox_scope.c. */
/* How many are in the list, as far as `most`. */
size_t outbox_count(const struct berth_list *list, size_t most);
bool outbox_has_scopes(const struct session *session);
void outbox_take_scopes(struct berth_core *core, struct session *session,
                        struct berth_do_orders *orders);
void outbox_want_flush(struct berth_core *core, struct session *session);
/* Asks the worker for one more process for a suspect. */
void outbox_start_alone(struct berth_core *core, struct session *session);
/* What was to be said of this attempt is not said. */
void outbox_forget(struct attempt *attempt);
/* The end of the turn. */
void outbox_flush(struct berth_core *core);
