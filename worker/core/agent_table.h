/* SPDX-License-Identifier: MIT */
/* The attempts that a worker holds: running ones, and ended ones that the broker has not yet
 * acknowledged. Part of the agent; knows nothing of sessions or messages.
 *
 *   grant ─► RUNNING ─► ENDED ─► told (in the list or the stream of the current join) ─► forgotten
 *             │  ▲ ▼      ▲
 *             │ SUSPENDED ┘ its handler is over, and its children are not: see agent_scope.h
 *             └──► released (never started) ─► told, and forgotten with it
 *
 * Invariants
 * 1. At most `capacity` attempts, and `suspended_max` more for those that wait: that are suspended,
 *    or were when they ended. One that ended keeps its place until it is forgotten.
 * 2. `untold` holds exactly those that ended or were released and that the current join does not
 *    yet say. One that is handed back (see agent_table_end) is never in it.
 * 3. Only live attempts (running or suspended) with a timeout that has not fired are in the heap.
 * 4. Walks go in the order of granting.
 * 5. `forced` holds attempts that were cancelled and must have ended by force_at_ms; `news` those
 *    that have something to show, in the order in which they said so. The handlers of both are not
 *    over.
 */
#pragma once

#include "base/heap.h"
#include "base/list.h"
#include "base/map.h"

#include "worker/core/agent.h"

/* What an attempt waits and asks for; agent_scope.h has the rules. */
struct agent_scope {
    uint32_t suspensions; /* so far */
    bool is_body_over;    /* the handler has ended, and `end` is what it said */
    bool wants_resume;    /* and has said so */
    bool is_supervisor;
    bool ends_children;                             /* they are to be cancelled */
    bool has_suspend, has_resume, has_end_children; /* to be told in this join */
    struct berth_list_node in_calls;                /* linked if it has one of these */
    struct berth_list children;                     /* those that live, as far as it is known */
    struct berth_list submits;                      /* that were not answered */
    char *failure; /* of the first child that is dead, as a sentence; or NULL */
};

struct agent_attempt {
    struct berth_map_node by_id; /* by_id.id: the attempt */
    struct berth_heap_node by_timeout;
    struct berth_list_node in_untold, in_news, in_forced;
    uint64_t job;
    uint32_t number;
    enum agent_attempt_state state;
    enum agent_attempt_state listed_state; /* when the current join was built */
    uint32_t listed_suspensions;
    enum agent_cancel_reason cancel;          /* 0: none; the reason that decides the outcome */
    enum agent_release_reason release_reason; /* not 0: released */
    bool is_waiting;                          /* suspended, or was when it ended */
    bool is_told;                             /* ended, and the current join says so */
    bool is_handed_back; /* ended because we stop: never reported, the keeper's GONE covers it */
    bool is_job_cancelled;
    bool has_shown; /* it had something to show at any time */
    int64_t timeout_ms, timeout_at_ms, grace_ms;
    int64_t cancelled_ms; /* when it was first told to end */
    int64_t force_at_ms;
    int64_t granted_ms;
    int64_t ran_us;       /* when the current join was built */
    struct agent_end end; /* its slices point into end_memory, or at static text */
    char *end_memory;
    struct agent_scope scope;
    uint8_t dispatcher_bytes;
    char dispatcher[AGENT_NAME_BYTES_MAX];
};

struct agent_table {
    struct berth_map by_id;
    struct berth_heap by_timeout;
    struct berth_heap_node **timeout_nodes;
    struct berth_list untold, news, forced;
    struct berth_map children; /* of all attempts, by job */
    struct berth_list calls;   /* attempts that have something to ask for, or to say of theirs */
    struct berth_list submits; /* of all attempts, to be told in this join */
    struct berth_list asks;    /* children whose ends are to be asked for in this join */
    size_t capacity, suspended_max;
    size_t waiting_count; /* is_waiting */
    size_t running_count; /* live: RUNNING or SUSPENDED, and not released */
    size_t owed_count;    /* ended or released, not handed back: the broker has to take them */
};

/* 0 or -ENOMEM. Must not be moved afterwards. */
int agent_table_init(struct agent_table *table, uint32_t capacity, uint32_t suspended_max);
void agent_table_fini(struct agent_table *table);

struct agent_attempt *agent_table_find(const struct agent_table *table, uint64_t attempt);
size_t agent_table_count(const struct agent_table *table);

/* A new running attempt. 0, -EEXIST (a copy), -ENOSPC (full), -ENOMEM.
 *
 * It is full if attempts - min(those that wait, suspended_max) reach the capacity. The broker's own
 * count is this one or higher: what it takes for waiting does so here, and what is held here is
 * held there. So a broker that keeps to the rule is never refused. */
int agent_table_grant(struct agent_table *table, const struct agent_grant *grant, int64_t now_ms);

/* Granted, not released, not ended. */
bool agent_table_is_live(const struct agent_attempt *attempt);

/* It is suspended, or goes on. */
void agent_table_set_waiting(struct agent_table *table, struct agent_attempt *attempt,
                             bool is_waiting);

/* The handler of a live attempt has ended. Copies. If children of it live, the attempt does, too,
 * until agent_table_conclude(). What counts in the end is not always what the handler said: after
 * its timeout fired, everything but COMPLETED is TIMED_OUT; a child that is dead fails what did not
 * say a verdict of its own; what has completed while its children were told to end has not; after a
 * STOP, what did not complete (or say a verdict of its own) is handed back. 0 or -ENOMEM. */
int agent_table_end(struct agent_table *table, struct agent_attempt *attempt,
                    const struct agent_end *end);

/* Its last child has ended, or is not waited for any more. 0 or -ENOMEM. */
int agent_table_conclude(struct agent_table *table, struct agent_attempt *attempt);

/* A running attempt was not started and never will be. */
void agent_table_release(struct agent_table *table, struct agent_attempt *attempt,
                         enum agent_release_reason reason);

/* The reason that decides the outcome; the first one does, but what the job says comes before STOP.
 * Returns whether it is the first: then the attempt has to be told. */
bool agent_table_cancel(struct agent_table *table, struct agent_attempt *attempt,
                        enum agent_cancel_reason reason, int64_t now_ms);

/* It was cancelled, and has to be over within so much from when it was first told; a repeat can
 * only bring that nearer. Nothing happens if it does not run (any more). */
void agent_table_force(struct agent_table *table, struct agent_attempt *attempt, int64_t grace_ms);

/* The one that has to be over first, or NULL. */
struct agent_attempt *agent_table_first_forced(const struct agent_table *table);

void agent_table_forget(struct agent_table *table, struct agent_attempt *attempt);

/* The next timeout, INT64_MAX if there is none; and the attempt whose timeout has come, or NULL. */
int64_t agent_table_next_timeout_ms(const struct agent_table *table);
struct agent_attempt *agent_table_timed_out(const struct agent_table *table, int64_t now_ms);

/* An attempt has something to show; nothing happens if it does not run (any more). */
void agent_table_add_news(struct agent_table *table, struct agent_attempt *attempt);

/* Takes at most `count_max` of those that have something to show. Returns how many. */
size_t agent_table_take_news(struct agent_table *table, uint64_t *ret_attempts, size_t count_max);

/* A join list is built: forgets what was released, and takes up the ends that are told in it, the
 * oldest first, as many as fit into AGENT_MESSAGE_BYTES_MAX; the others are listed as running and
 * told in the stream. What has shown something has it to show again. */
void agent_table_freeze(struct agent_table *table, int64_t now_ms);

/* The list as it was frozen: `ret_lines` has room for agent_table_count(). Slices are valid until
 * the attempt is forgotten. Returns how many. */
size_t agent_table_list(const struct agent_table *table, struct agent_line *ret_lines);

/* How many lines and releases the next message of the stream takes (both 0: nothing untold). */
void agent_table_measure(const struct agent_table *table, size_t *ret_lines, size_t *ret_releases);

/* Moves as many as measured out of `untold`; what was released is forgotten. */
void agent_table_tell(struct agent_table *table, struct agent_line *ret_lines, size_t line_count,
                      uint64_t *ret_releases, enum agent_release_reason *ret_reasons,
                      size_t release_count);

/* Asserts the invariants. O(everything). */
void agent_table_check(const struct agent_table *table);
