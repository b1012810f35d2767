/* SPDX-License-Identifier: MIT
 *
 * A broker's core under a clock of the test's own, with clients, workers and a store in one-line
 * steps.
 *
 * There is no store: a batch is closed and given back as STORED or FULL when the test says so, and
 * a read is answered with the rows that the test gives. After each step the invariants are checked,
 * and what the core said is copied into f->said, which grows until forget().
 */
#pragma once

#include "support/berthtest.h"

#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "broker/core/core.h"
#include "broker/core/state.h"

#define EPOCH     5u
#define LINEAGE   0xabcdefu
#define L_MS      10000
#define K_MS      8500
#define R_MS      2000
#define CLIENT    1u /* the peer that asks, unless a test says otherwise */
#define STORED    1u
#define FULL      2u
#define WORKERS   16
#define WALL_US   INT64_C(1700000000000000)
#define SECOND_US INT64_C(1000000)

#define WORKER_HANDLERS 4

/* A worker as the core sees it. */
struct worker {
    const char *name;
    uint64_t peer, keeper_peer, session;
    uint8_t nonce;
    uint32_t child, epoch, join, capacity, cores, suspended_max;
    bool is_draining, is_alone, can_start_alone;
    uint64_t reported, renewal;
    const char *handlers[WORKER_HANDLERS];
};

struct fixture {
    struct berth_core *core;
    int64_t now_ms, wall_us;
    struct berth_core_opts opts;
    struct berth_batch *away;
    struct berth_arena arena; /* of what was said */
    struct berth_effect *said;
    size_t said_count, said_room;
    uint64_t request; /* number of the last one */
    uint64_t bodies;  /* so many differing ones were submitted */
    struct worker workers[WORKERS];
    size_t worker_count;
};

/* Test fixtures. core_setup: started in epoch EPOCH on an empty store, all stored. core_setup_bare:
 * nothing is loaded yet and it is not started. */
int core_setup(void **state);
int core_setup_bare(void **state);
int core_teardown(void **state);
/* A new core with these options (epoch, lineage and seed are filled in), not started. */
void core_replace(struct fixture *f, struct berth_core_opts opts);
void core_start(struct fixture *f);

/* ---- steps ---- */

void step(struct fixture *f, struct berth_event event);
void turn(struct fixture *f);
void turn_after(struct fixture *f, int64_t ms); /* time passes, then TURN */
void advance(struct fixture *f, int64_t ms);    /* both clocks */

/* Closes the open batch; false: there is none. Gives the batch that is away back. */
bool close_batch(struct fixture *f);
void complete(struct fixture *f, unsigned result);
/* Turns, and what gathers is stored, until nothing is left to do. */
void store_all(struct fixture *f);
/* The same for the batch that is open now only, without a turn. */
void store_one(struct fixture *f);
/* The record of that type for that id in the batch that is away, or NULL. */
const struct berth_record *record_away(const struct fixture *f, enum berth_record_type type,
                                       uint64_t id);

/* ---- what was said ---- */

void forget(struct fixture *f);
/* The newest of that type, or NULL; to that peer. `get` must be there. */
const struct berth_effect *find(const struct fixture *f, enum berth_effect_type type);
const struct berth_effect *find_to(const struct fixture *f, enum berth_effect_type type,
                                   uint64_t peer);
const struct berth_effect *get(const struct fixture *f, enum berth_effect_type type);
const struct berth_effect *get_to(const struct fixture *f, enum berth_effect_type type,
                                  uint64_t peer);
size_t said(const struct fixture *f, enum berth_effect_type type);
/* The newest answer to a request: of that type. */
const struct berth_effect *answer(const struct fixture *f, uint64_t request,
                                  enum berth_effect_type type);

/* ---- dispatchers ---- */

void given_dispatcher(struct fixture *f, const char *name, uint32_t limit); /* stored */
uint64_t set(struct fixture *f, struct berth_ev_dispatcher_set event, const char *name);
uint64_t set_limit(struct fixture *f, const char *name, uint32_t limit);
uint64_t pause_dispatcher(struct fixture *f, const char *name, bool is_paused);
struct dispatcher *dispatcher(const struct fixture *f, const char *name);

/* ---- clients ---- */

struct berth_slice text(const char *text);
bool slice_is(struct berth_slice slice, const char *text);
bool slice_starts_with(struct berth_slice slice, const char *start);

struct submit {
    const char *dispatcher, *handler, *key, *body; /* NULL: "default", "mail", none, a fresh one */
    int32_t priority;
    int64_t delay_ms, timeout_ms;
    uint32_t max_attempts;
    const char *group, *unique;
    int64_t run_at_us, queue_timeout_ms, deadline_ms, backoff_ms, backoff_ms_max;
    enum berth_on_conflict on_conflict;
    const uint64_t *after;
    size_t after_count;
};
/* Requests return their number. */
uint64_t submit_many(struct fixture *f, const struct submit *items, size_t count);
uint64_t submit(struct fixture *f, struct submit item);
void submit_again(struct fixture *f, uint64_t request, struct submit item);
/* The id in the answer to a submit of one; 0 if it was refused. */
uint64_t submitted(const struct fixture *f, uint64_t request);
/* A job that is submitted and stored: its id. */
uint64_t given_job(struct fixture *f, struct submit item);
uint64_t ask(struct fixture *f, enum berth_event_type type, const uint64_t *ids, size_t count);
uint64_t cancel(struct fixture *f, uint64_t job);
uint64_t wait_for(struct fixture *f, uint64_t job);
uint64_t query(struct fixture *f, enum berth_event_type type, const char *name);
/* The cancel's answer for its first job. */
const struct berth_job_state *cancelled(const struct fixture *f, uint64_t request);
/* Answers the newest READ with these rows. */
void answer_read(struct fixture *f, const struct berth_job_record *rows, size_t count);
void fail_read(struct fixture *f);
/* The job as it lies in the core, or NULL; as it is shown (given such a row in the store). */
const struct job *job_of(const struct fixture *f, uint64_t id);
const struct berth_job_view *shown(struct fixture *f, uint64_t id);
bool reason_is(struct fixture *f, uint64_t id, const char *reason);
/* A row of the store for this job. */
struct berth_job_record row(const struct fixture *f, uint64_t id, enum berth_state state);

/* ---- workers (core_workers.c) ---- */

/* A worker that says hello with one handler "mail", cores 2; joined and ready. */
struct worker *given_worker(struct fixture *f, uint32_t capacity);
/* One that has not said hello. */
struct worker *new_worker(struct fixture *f, uint32_t capacity);
void hello(struct fixture *f, struct worker *w);
void take_welcome(struct fixture *f, struct worker *w);
void given_joined(struct fixture *f, struct worker *w); /* hello, stored, welcome */
/* Joins with the next number and these lines. */
void join(struct fixture *f, struct worker *w, const struct berth_join_line *lines, size_t count);
void join_as(struct fixture *f, struct worker *w, uint32_t number,
             const struct berth_join_line *lines, size_t count);
struct berth_join_line line(uint64_t attempt, uint64_t job, uint32_t number);
struct berth_join_line ended_line(uint64_t attempt, uint64_t job, uint32_t number,
                                  enum berth_outcome outcome);
void renew(struct fixture *f, struct worker *w);
void report(struct fixture *f, struct worker *w, uint64_t job, enum berth_outcome outcome);
void report_end(struct fixture *f, struct worker *w, uint64_t attempt, uint64_t job,
                struct berth_attempt_end end);
void send_reports(struct fixture *f, struct worker *w, struct berth_ev_reports reports);
void release(struct fixture *f, struct worker *w, uint64_t attempt);
void gone_with(struct fixture *f, struct worker *w, struct berth_ev_gone event);
void gone(struct fixture *f, struct worker *w, enum berth_gone_cause cause);
void peer_gone(struct fixture *f, uint64_t peer);
const struct session *session_of(const struct fixture *f, const struct worker *w);

/* The newest grant of this job that was sent, or NULL; the attempt, which must be there. How many
 * were sent to this worker (NULL: to anybody). */
const struct berth_order_grant *grant_of(const struct fixture *f, uint64_t job);
uint64_t attempt_of(const struct fixture *f, uint64_t job);
size_t grants_to(const struct fixture *f, const struct worker *w);
bool was_cancel_sent(const struct fixture *f, uint64_t attempt);
/* NULL: no such acknowledgement was sent. */
const struct berth_order_ack *ack_of(const struct fixture *f, uint64_t attempt);

/* Given a job that runs: submitted, stored, granted. */
uint64_t given_running(struct fixture *f, struct submit item);
