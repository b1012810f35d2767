/* SPDX-License-Identifier: MIT */
/* Scopes: a job and the jobs that its running attempt submitted as its children.
 *
 * 1. A live job with a parent has a `struct child`, in the scope of that parent; a job with live
 * children has a scope. Both say so in the job: JOB_IN_SCOPE, as does one that has keys of children
 * which ended. A scope outlives its parent until the last child has ended.
 * 2. An attempt that is over leaves no child behind: in the batch with its job's end or retry each
 * live descendant ends or is cancelled, and the job is held (SETTLING) until its children have
 * ended. So whatever is stored last, a child that lives without its parent's attempt is found at
 * the next start: by `parent_attempt`.
 * 3. A child that ends dead ends its siblings in the same batch, unless a supervisor made it.
 * 4. What ended badly is remembered until the parent's attempt, or the window of its key, is over:
 * the same ordinal finds it until then, and makes a new child afterwards.
 * 5. What completed is found by its ordinal in all attempts of its parent, and is forgotten when
 * the parent's own completion is stored. One that ended badly may be retried.
 */
#pragma once

#include "broker/core/state.h"

#define SCOPE_KIND_BYTES 33 /* of an error kind, with the NUL (proto/limits.h) */

/* Why a child was told to end. */
enum scope_cause {
    SCOPE_NOT_TOLD = 0,
    SCOPE_PARENT_CANCELLED, /* and all below it */
    SCOPE_PARENT_OVER,      /* its attempt, or its body, has ended */
    SCOPE_SIBLING_DIED,
};

/* What the parent's worker is to be told of a child's end. */
struct child_end {
    struct berth_list_node node; /* in its session's outbox */
    uint64_t attempt, job;       /* the parent's attempt; the child */
    enum berth_state state;
    char kind[SCOPE_KIND_BYTES];
    struct berth_slice message; /* a block of its own; "" without memory for it */
};

struct child {
    struct berth_map_node by_job; /* while it lives */
    struct scope *scope;
    struct berth_list_node scope_node; /* in children, or in failed */
    uint64_t attempt;                  /* that of the parent which submitted it */
    uint32_t ordinal;
    bool is_supervised;    /* its death does not end its siblings */
    uint8_t cause;         /* enum scope_cause */
    struct child_end *end; /* memory for it */
};

struct scope {
    struct berth_map_node by_parent;
    struct berth_list children; /* live ones, in the order of their arrival */
    struct berth_list failed; /* ended dead or cancelled in the parent's attempt that is current */
    size_t child_count;
    struct berth_list_node work_node; /* while descendants are walked */
    /* The parent waits, SETTLING, until the last child has ended; then it goes on to: */
    bool is_held;
    bool is_held_since_start; /* an attempt of it may run that nobody has heard of yet */
    enum job_state held_state;
    int64_t held_due_us;
};

/* NULL: it has none. */
struct scope *scope_find(const struct berth_core *core, uint64_t parent);
struct child *scope_find_child(const struct berth_core *core, uint64_t job);
/* The job and all that it descends from, the newest first, in the step's memory. */
const uint64_t *scope_line(struct berth_core *core, uint64_t job, size_t *ret_count);
/* The attempt that runs the parent now and could be told; NULL: there is none. */
struct attempt *scope_attempt(const struct berth_core *core, const struct scope *scope);

/* A job (ARRIVING, or loaded) is the child of another. 0 or -ENOMEM. */
struct scope_parent {
    uint64_t job, attempt;
    uint32_t ordinal;
    bool is_supervisor;
};
int scope_take(struct berth_core *core, uint32_t job, const struct scope_parent *parent);
/* The job is being freed; if it was the last child that its parent waited for, that goes on. */
void scope_on_free(struct berth_core *core, uint32_t job);
/* Its end or retry is in the batch, or it goes back unstarted: what is below it ends. */
void scope_on_over(struct berth_core *core, uint32_t job);
/* Its end, in this state, is in the batch: a death ends its siblings. */
void scope_on_ending(struct berth_core *core, uint32_t job, enum berth_state state);
/* Its end is stored: its parent's worker is told. */
void scope_on_end_stored(struct berth_core *core, uint32_t job, const struct berth_end_record *end);
/* All that descend from it are told to end. */
void scope_cancel_below(struct berth_core *core, uint64_t parent, enum scope_cause cause,
                        bool is_forced);
/* The sentence for a child that was told to end; NULL: it was not. */
const char *scope_cause_text(struct berth_core *core, uint64_t job);

/* Instead of moving a job whose attempt is over: it goes on when its children have ended. False:
 * there are none. `due_us` of RETRYING and SCHEDULED. */
bool scope_hold(struct berth_core *core, uint32_t job, enum job_state state, int64_t due_us);
bool scope_is_held(const struct berth_core *core, const struct job *job);
/* It runs after all, by an attempt that was not known. */
void scope_let_run(struct berth_core *core, const struct job *job);

/* After the load: who has live children is held. And when nobody is missing any more: children
 * without their parent's attempt end. */
void scope_start(struct berth_core *core);
void scope_on_recovered(struct berth_core *core);

/* The job of this id has come to be, or has a scope from before: it says so. */
void scope_mark(struct berth_core *core, uint64_t id);
void scope_forget_end(struct child_end *end);
void scope_free_all(struct berth_core *core);
void scope_check(const struct berth_core *core);
