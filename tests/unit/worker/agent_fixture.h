/* SPDX-License-Identifier: MIT
 *
 * An agent under a clock of the test's own, and the broker's side of the talk in one-line steps.
 * After each step the invariants are checked, and the effects lie in `f->effects`.
 */
#pragma once

#include "support/berthtest.h"

#include "worker/core/agent.h"

#define SUBMITTED_MAX 10000 /* children of one submit */

#define K_MS    8500
#define L_MS    10000
#define R_MS    2000
#define SESSION 0x50000000007u
#define EPOCH   5u
#define LINEAGE 0xabcdefu

struct fixture {
    struct agent *agent;
    int64_t now_ms;
    struct agent_effects effects;
    uint64_t orders; /* number of the last orders of this join */
    uint32_t join;   /* the current one, as seen in effects; 0 before the first */
    uint32_t epoch;
    uint64_t renewal; /* the last that was sent */
};

/* Group fixtures: a fresh agent with handlers "mail" and "exec", capacity 4, that has not started.
 */
int agent_setup(void **state);
int agent_teardown(void **state);

/* With an epoch seen before. */
struct agent_opts agent_test_opts(void);
void agent_replace(struct fixture *f, const struct agent_opts *opts);

/* One step at f->now_ms. */
void step(struct fixture *f, struct agent_event event);
void tick(struct fixture *f, int64_t ms); /* time passes, then TIMER */
void step_type(struct fixture *f, enum agent_event_type type);

/* The first effect of that type in the last step, or NULL; how many. */
const struct agent_effect *effect_find(const struct fixture *f, enum agent_effect_type type);
size_t effect_count(const struct fixture *f, enum agent_effect_type type);
const struct agent_effect *effect_get(const struct fixture *f, enum agent_effect_type type);

/* What the broker says. */
void say_epoch(struct fixture *f, uint32_t epoch, uint64_t lineage);
void say_welcome(struct fixture *f);
void say_joined(struct fixture *f);
void say_renewed(struct fixture *f, uint64_t renewal, uint64_t sent, uint64_t taken);
void say_fenced(struct fixture *f, uint64_t session);
void say_grant(struct fixture *f, struct agent_grant grant);
void say_cancel(struct fixture *f, uint64_t attempt, int64_t grace_ms);
void say_ack(struct fixture *f, uint64_t attempt);
void say_resume(struct fixture *f, uint64_t attempt, uint32_t number);
/* What was submitted with that ordinal are now the jobs `first`, `first` + 1, ... */
void say_submitted(struct fixture *f, uint64_t attempt, uint32_t ordinal, uint64_t first,
                   size_t count);
void say_child_end(struct fixture *f, uint64_t attempt, uint64_t job, enum berth_state state);
/* Orders of the current join with the next number, but for what is set in `event`. */
struct agent_event orders_next(struct fixture *f);

/* What the process says: then the end is told by a TIMER. */
void ended(struct fixture *f, uint64_t attempt, enum agent_outcome outcome);
void ended_quietly(struct fixture *f, uint64_t attempt, enum agent_outcome outcome);

/* Given: joined at f->now_ms with a lease from then; and with attempts 1 .. count running. */
void given_joined(struct fixture *f);
void given_running(struct fixture *f, uint64_t count);

struct agent_grant grant_of(uint64_t attempt);
bool slice_is(struct berth_slice slice, const char *text);

/* What an attempt asks for. */
void suspend(struct fixture *f, uint64_t attempt);
void resume_me(struct fixture *f, uint64_t attempt);
void submit_as(struct fixture *f, uint64_t attempt, uint32_t ordinal, bool is_supervisor);
void submit(struct fixture *f, uint64_t attempt, uint32_t ordinal);
/* Attempt 1 runs, and has the children 201 .. 200 + count. */
void given_children(struct fixture *f, size_t count);
void join_again(struct fixture *f);
/* The one line of the reports in this step. */
const struct agent_line *told(struct fixture *f);
