/* SPDX-License-Identifier: MIT */
/* Scopes across hosts: what attempts wait for, and the children that they have submitted. Part of
 * the agent's table; knows nothing of sessions or messages.
 *
 *   RUNNING ─ suspend ─► SUSPENDED ─ resume_me ─► (asked for) ─ resume, by the broker ─► RUNNING
 *
 *   submit ─► answered: each child lives ─► its end is told ─► forgotten
 *
 * Invariants
 * 1. A submit is kept until it is answered, a child until it has ended: both are asked for anew
 *    when a join was built. So is a resume, and that children are to end.
 * 2. `calls`, `submits` and `asks` of the table hold exactly what the current join does not say
 * yet.
 * 3. Once a child is dead, and the attempt is no supervisor, `failure` says so, and the others are
 *    to end.
 */
#pragma once

#include "worker/core/agent_table.h"

#define AGENT_FAILURE_BYTES_MAX 1024 /* of the sentence that names the child */

/* What is to be told, at most as much as there is room for. */
struct agent_calls {
    struct agent_suspension *suspends, *resumes;
    uint64_t *end_children;
    size_t suspend_count, resume_count, end_children_count;
};

void agent_scope_init(struct agent_scope *scope);
/* Forgets all that the attempt waits and asks for. */
void agent_scope_fini(struct agent_table *table, struct agent_attempt *attempt);

/* Whether children live, or may. */
bool agent_scope_is_open(const struct agent_attempt *attempt);

/* RUNNING: nothing of it runs from now on. */
void agent_scope_suspend(struct agent_table *table, struct agent_attempt *attempt);
/* Nothing happens if it is not suspended (any more). */
void agent_scope_resume_me(struct agent_table *table, struct agent_attempt *attempt);
/* Whether it goes on. If its handler has ended meanwhile, it is suspended once more instead. */
bool agent_scope_resume(struct agent_table *table, struct agent_attempt *attempt, uint32_t number);

/* The handler of a suspended one is over: only its children are waited for. */
void agent_scope_stop_waiting(struct agent_table *table, struct agent_attempt *attempt);

/* Those that live are to be cancelled. */
void agent_scope_end_children(struct agent_table *table, struct agent_attempt *attempt);

/* 0 or -ENOMEM. Copies. */
int agent_scope_submit(struct agent_table *table, struct agent_attempt *attempt,
                       const struct agent_submit *submit);
/* 1: it was waited for; 0: it was not; -ENOMEM. */
int agent_scope_submitted(struct agent_table *table, struct agent_attempt *attempt,
                          const struct agent_submitted *answer);

/* The end of a child. 1: it was waited for; 0: it was not; -ENOMEM. `ret_fails`: so its parent has
 * failed. */
int agent_scope_child_ended(struct agent_table *table, struct agent_attempt *attempt,
                            const struct agent_child_end *end, bool *ret_fails);

/* A join list was built: everything is to be told anew. */
void agent_scope_freeze(struct agent_table *table);

/* Whether something is to be told. */
bool agent_scope_has_news(const struct agent_table *table);
/* Each takes what is to be told next, at most `count_max`; of the submits as many as fit into
 * AGENT_MESSAGE_BYTES_MAX, but one. Slices are valid until the next step. */
void agent_scope_take_calls(struct agent_table *table, struct agent_calls *ret_calls,
                            size_t count_max);
size_t agent_scope_take_submits(struct agent_table *table, struct agent_submit *ret_submits,
                                size_t count_max);
size_t agent_scope_take_asks(struct agent_table *table, struct agent_child *ret_asks,
                             size_t count_max);

/* Asserts the invariants of one attempt. */
void agent_scope_check(const struct agent_table *table, const struct agent_attempt *attempt);
