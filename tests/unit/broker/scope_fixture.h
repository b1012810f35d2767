/* SPDX-License-Identifier: MIT */
/* Parents and children in one-line steps, for the tests of scopes. */
#pragma once

#include "core_fixture.h"

extern const struct submit one_child; /* with a body, and nothing else */

/* A worker of capacity 8, and slots in `default` for more than anybody here needs. */
struct worker *given_room(struct fixture *f);
/* The end of this job in the batch that is away, or NULL. */
const struct berth_end_record *end_away(const struct fixture *f, uint64_t job);
/* Its attempt, at this worker, fails, and the job is not to be tried again. */
void fail_for_good(struct fixture *f, struct worker *w, uint64_t job);

/* This worker's attempt of `parent` submits children with these options, the first with `ordinal`.
 */
void submit_children_of(struct fixture *f, struct worker *w, uint64_t parent, uint32_t ordinal,
                        const struct submit *items, size_t count);
void submit_supervised(struct fixture *f, struct worker *w, uint64_t parent, uint32_t ordinal,
                       const struct submit *items, size_t count);
/* The newest answer to a submit of children of this parent from this ordinal on, or NULL. */
const struct berth_order_children *children_of(const struct fixture *f, uint64_t parent,
                                               uint32_t ordinal);
/* One child that is stored: its id. */
uint64_t given_child(struct fixture *f, struct worker *w, uint64_t parent, uint32_t ordinal,
                     struct submit item);
/* NULL: the parent's worker was not told. */
const struct berth_order_child_end *child_end_of(const struct fixture *f, uint64_t child);
size_t child_ends_of(const struct fixture *f, uint64_t child);

void suspend_attempt(struct fixture *f, struct worker *w, uint64_t job, uint32_t number);
void ask_to_resume(struct fixture *f, struct worker *w, uint64_t job, uint32_t number);
/* How often it was told that it may go on. */
size_t resumes_of(const struct fixture *f, uint64_t job);

struct berth_do_status status_of(struct fixture *f);

/* A dispatcher with this limit and this hold. */
void given_holding(struct fixture *f, const char *name, uint32_t limit, enum berth_hold hold,
                   const char *parent);
