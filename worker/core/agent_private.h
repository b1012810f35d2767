/* SPDX-License-Identifier: MIT */
/* What the files of the agent share: its state, and the calls between them. */
#pragma once

#include "base/arena.h"
#include "base/rng.h"

#include "worker/core/agent.h"
#include "worker/core/agent_table.h"

#define AGENT_READINGS_MAX                                                                         \
    64 /* renewals that an answer may still come for; older ones are lost                          \
        */
#define AGENT_REASON_BYTES_MAX 256

enum agent_state { AGENT_NEW, AGENT_JOINED, AGENT_JOINING, AGENT_OVER, AGENT_STATE_COUNT };

/* What was known when a renewal was sent. */
struct agent_reading {
    uint64_t renewal, sent;
    int64_t at_ms;
};

struct agent {
    struct agent_opts opts;
    enum agent_state state;
    bool is_started;
    int64_t now_ms;
    struct berth_rng rng;
    struct agent_table table;

    uint32_t epoch; /* addressed, from the first EPOCH on; 0: not known */
    uint32_t epoch_seen;
    uint64_t lineage_seen;
    uint64_t session;
    int64_t lease_ms, renew_every_ms; /* K and R */
    int64_t lease_end_ms;             /* 0: no lease */

    uint32_t join;
    bool is_join_built;       /* JOINING: the list is made, older orders are refused */
    bool is_draining_in_join; /* what that list said */
    uint64_t sent, taken;     /* of the current join */
    uint64_t renewal;         /* the last one's number */
    struct agent_reading readings[AGENT_READINGS_MAX];

    int64_t hello_due_ms, hello_first_ms; /* first: addressed to this epoch; INT64_MAX: none */
    int64_t join_due_ms, join_wait_ms;
    int64_t renew_due_ms;
    int64_t heard_ms; /* when the broker last answered */
    int64_t reconnect_not_before_ms;

    bool is_draining, is_stopping;
    bool is_drain_told,
        is_drain_taken; /* told: in this join, in message drain_number at the latest */
    uint64_t drain_number;
    int64_t stop_due_ms;
    int64_t show_due_ms;  /* not before */
    int64_t alone_due_ms; /* it drains then; INT64_MAX: not alone, or it has had its attempt */

    struct agent_effect *effects;
    size_t effect_count, effect_room;
    struct berth_arena arena; /* the lists in this step's effects */
    bool is_out_of_memory;
    char reason[AGENT_REASON_BYTES_MAX];
};

/* ---- agent.c ---- */

void agent_move(struct agent *agent, enum agent_state next);
struct agent_effect *agent_effect_push(struct agent *agent, enum agent_effect_type type);
/* An array of this step, or NULL: then the step fails. */
void *agent_step_array(struct agent *agent, size_t count, size_t element_bytes);
/* The last effect. */
void agent_leave(struct agent *agent, enum agent_exit why, const char *reason);

/* An attempt is to end: it is told, if it was not before. */
void agent_cancel(struct agent *agent, struct agent_attempt *attempt,
                  enum agent_cancel_reason reason, int64_t grace_ms);
/* A message of the stream, to be filled. */
struct agent_effect *agent_reports_push(struct agent *agent);

/* ---- agent_calls.c ---- */

void agent_take_suspend(struct agent *agent, uint64_t id);
void agent_take_resume_me(struct agent *agent, uint64_t id);
void agent_take_children(struct agent *agent, const struct agent_submit *submit);
void agent_take_scope_orders(struct agent *agent, const struct agent_event *event);
void agent_tell_calls(struct agent *agent);

/* ---- agent_session.c ---- */

void agent_session_start(struct agent *agent);
void agent_take_connected(struct agent *agent);
void agent_take_epoch(struct agent *agent, uint32_t epoch, uint64_t lineage);
void agent_take_welcome(struct agent *agent, const struct agent_event *event);
void agent_take_joined(struct agent *agent, const struct agent_event *event);
void agent_take_renewed(struct agent *agent, const struct agent_event *event);
void agent_take_fenced(struct agent *agent, const struct agent_event *event);

bool agent_is_lease_over(const struct agent *agent);
void agent_leave_without_lease(struct agent *agent);

/* Whether a message belongs to the current join; if it is the first of it, we have joined. */
bool agent_is_current(struct agent *agent, uint64_t session, uint32_t epoch, uint32_t join);
/* The list is built when the back-off allows, at the end of this step at the earliest. Until then,
 * as after it, orders of the join that was are refused. */
void agent_join_begin(struct agent *agent);

void agent_renew(struct agent *agent);
const struct agent_reading *agent_reading_find(const struct agent *agent, uint64_t renewal);

/* Does what is due; when something will be. */
void agent_mind_session(struct agent *agent);
int64_t agent_session_due_ms(const struct agent *agent);
