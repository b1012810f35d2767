/* SPDX-License-Identifier: MIT */
/* What must be done now. Filled by berth_core_step, carried out by the caller in order, valid until
 * the next step.
 *
 * Records to persist are not effects: they gather in the core's open batch (core.h,
 * berth_core_close_batch), and whatever depends on them leaves as an effect of the step that takes
 * the batch's STORED.
 */
#pragma once

#include "event.h"

enum berth_effect_type {
    /* To clients: `peer`, `request`. */
    BERTH_DO_ERROR = 1,
    BERTH_DO_SUBMITTED,
    BERTH_DO_WAITED,
    BERTH_DO_CANCELLED,
    BERTH_DO_CHANGED,
    BERTH_DO_JOBS,
    BERTH_DO_JOB_OUTPUT,
    BERTH_DO_EXPLAINED,
    BERTH_DO_DISPATCHERS,
    BERTH_DO_PURGED,
    BERTH_DO_REMOVED,
    BERTH_DO_WORKERS,
    BERTH_DO_STATUS,
    BERTH_DO_SCHEDULES,
    /* To workers and keepers: `peer`. */
    BERTH_DO_WELCOME,
    BERTH_DO_JOINED,
    BERTH_DO_RENEWED,
    BERTH_DO_EPOCH,
    BERTH_DO_FENCED,
    BERTH_DO_ORDERS,
    BERTH_DO_GONE_OK,
    /* To the store. */
    BERTH_DO_READ,
};

struct berth_do_error {
    int code; /* BERTH_E... or -errno */
    const char *field, *message;
};

struct berth_submitted_item {
    uint64_t id; /* 0: refused, see `refusal` */
    bool is_existing;
    struct berth_do_error refusal;
};

struct berth_do_submitted {
    const struct berth_submitted_item *items;
    size_t count;
};

struct berth_job_state {
    uint64_t id;
    enum berth_state state;
    int code; /* CANCELLED only: 0 taken, -EALREADY, BERTH_ENOTFOUND */
};

struct berth_do_waited {
    const struct berth_job_state *ended;
    size_t count;
    const uint64_t *unknown;
    size_t unknown_count;
    uint32_t pending;
};

struct berth_do_cancelled {
    const struct berth_job_state *items;
    size_t count;
};

/* What became of a job that was to live again, or to be discarded. */
struct berth_changed_item {
    uint64_t id;
    enum berth_state state; /* as it stood before */
    int code;       /* 0: done; -EALREADY: it lives; BERTH_ENOTFOUND; BERTH_ECONFLICT: not in this
                       state, or `other`; BERTH_EFULL */
    bool is_retry;  /* else a discard */
    uint64_t other; /* the live job that has its unique key; 0: none */
};

struct berth_do_changed {
    const struct berth_changed_item *items;
    size_t count;
};

struct berth_do_purged {
    uint32_t count;         /* jobs that were cancelled */
    uint64_t below, cursor; /* for the next part; cursor 0: that was all */
};

/* A job as it is shown: the record, with what the core knows laid over it. */
struct berth_job_view {
    struct berth_job_record record;
    struct berth_slice dispatcher;
    struct berth_slice reason;
    uint32_t max_attempts; /* in force */
    bool has_progress;     /* it runs, and has said how far it is: */
    uint64_t progress_done, progress_total;
};

struct berth_do_jobs {
    const struct berth_job_view *items;
    size_t count;
    const uint64_t *unknown;
    size_t unknown_count;
    uint64_t next; /* 0: no more */
};

struct berth_do_job_output {
    uint64_t id;
    enum berth_state state;
    uint32_t attempt; /* begun; what follows is of this one */
    bool is_over;     /* it has ended; nothing follows */
    uint64_t out_from, err_from;
    struct berth_slice out, err;
};

/* What jobs wait for: of one job its reason, of a dispatcher each that there is. */
struct berth_explain_cause {
    const char *kind; /* time retry after pause recovery group slots rate handler workers starting
                         stopping held alone suspended place children other */
    struct berth_slice reason; /* the sentence, of `job` */
    uint64_t count;            /* jobs */
    uint64_t job;              /* one of them */
    struct berth_slice at;     /* the dispatcher that lacks something */
    struct berth_slice group, handler, worker;
    uint64_t in_use, limit;    /* of slots or places */
    int64_t since_us, next_us; /* the oldest waits since, the next one goes on; 0: not known */
    uint64_t awaited;          /* a job */
};

struct berth_explain_limit {
    struct berth_slice name;
    int64_t limit; /* in force; -1: none */
    uint64_t in_use;
    bool is_paused;
    uint32_t rate_count, burst; /* rate_count 0: none */
    int64_t rate_ms, token_wait_ms;
    uint32_t group_limit, max_queued; /* 0: none */
    uint64_t queued;
};

struct berth_explain_holder {
    uint64_t job;
    uint32_t number; /* of the attempt */
    struct berth_slice dispatcher, worker;
    int64_t since_us;
    bool is_held; /* its worker is lost */
};

struct berth_explain_group {
    struct berth_slice name;
    uint64_t in_use;
};

struct berth_do_explained {
    uint64_t id; /* of a job; 0: of a dispatcher */
    struct berth_slice dispatcher;
    enum berth_state state; /* of a job */
    const struct berth_explain_cause *causes;
    size_t cause_count;
    uint64_t more;                            /* jobs whose cause is not listed */
    const struct berth_explain_limit *limits; /* its own first, then those above it */
    size_t limit_count;
    const struct berth_explain_holder *holders; /* the oldest first */
    size_t holder_count;
    uint64_t holder_sum;
    const struct berth_explain_group *groups; /* that are full */
    size_t group_count;
    uint64_t group_sum;
};

struct berth_dispatcher_view {
    struct berth_dispatcher_record record;
    struct berth_slice parent; /* its name; "": none */
    struct berth_slice remark; /* a sentence; "": there is nothing to say */
    int64_t effective_limit;   /* -1: none */
    uint64_t running, ready, scheduled, retrying, dead, completed_total;
    int64_t oldest_ready_us; /* 0: none */
};

struct berth_do_dispatchers {
    const struct berth_dispatcher_view *items;
    size_t count;
};

struct berth_schedule_view {
    struct berth_schedule_record record;
    struct berth_slice dispatcher; /* its name */
    struct berth_schedule_done_record done;
    int64_t next_us; /* 0: none, or it is paused */
};

struct berth_do_schedules {
    const struct berth_schedule_view *items;
    size_t count;
    uint32_t next; /* more follow behind this id; 0: no more */
};

struct berth_worker_view {
    uint64_t session;
    struct berth_slice name, software;
    const char *state; /* joined alone draining silent recovering lost gone */
    uint32_t capacity, running, cores;
    uint32_t suspended; /* attempts that wait, which are not among the running */
    uint32_t held; /* of those that it was running when it was lost, and that it may still run */
    const struct berth_slice *handlers;
    size_t handler_count;
    int64_t silent_ms, lease_left_ms;
};

struct berth_do_workers {
    const struct berth_worker_view *items;
    size_t count;
};

struct berth_do_status {
    uint64_t epoch;
    int64_t uptime_ms;
    uint32_t recovering;
    int64_t recovery_left_ms;
    uint64_t scheduled, ready, running, cancelling, retrying, completed, dead, cancelled;
    uint64_t suspended, stale_reports, workers;
};

struct berth_do_welcome {
    uint64_t session, epoch, lineage;
    uint32_t lease_ms, worker_lease_ms, renew_ms;
    uint8_t nonce[16];
    uint32_t child;
};

struct berth_do_joined { /* JOINED RENEWED */
    uint64_t session, epoch;
    uint32_t join;
    uint64_t renewal, sent, taken;
    bool join_again;
};

struct berth_do_epoch {
    uint64_t epoch, lineage;
};

struct berth_do_fenced { /* FENCED GONE_OK */
    uint64_t session;
    uint8_t nonce[16];
    uint32_t child;
    const char *reason;
};

struct berth_order_grant {
    uint64_t attempt, job;
    struct berth_slice dispatcher, handler, body;
    uint32_t number;
    int64_t timeout_ms, grace_ms;
    int64_t deadline_ms; /* what is left of it; 0: none */
};

enum berth_cancel_reason { /* the numbers of the wire's CancelReason */
                           BERTH_CANCEL_ASKED = 1,
                           BERTH_CANCEL_DEADLINE,
                           BERTH_CANCEL_CHILD,
};

struct berth_order_cancel {
    uint64_t attempt;
    int64_t grace_ms;
    enum berth_cancel_reason reason;
    bool is_forced;
};

struct berth_order_ack {
    uint64_t attempt;
    bool is_stale;
};

/* The answer to a berth_child_submit: all ids in order, or the refusal of all. */
struct berth_order_children {
    uint64_t attempt; /* the parent's */
    uint32_t ordinal;
    const uint64_t *ids;
    size_t count;                  /* 0: refused */
    struct berth_do_error refusal; /* code 0: taken */
};

/* A child has ended. */
struct berth_order_child_end {
    uint64_t attempt; /* the parent's */
    uint64_t job;
    enum berth_state state;
    struct berth_slice error_kind, error_message;
};

struct berth_do_orders {
    uint64_t session, epoch;
    uint32_t join;
    uint64_t number;
    const struct berth_order_grant *grants;
    size_t grant_count;
    const struct berth_order_cancel *cancels;
    size_t cancel_count;
    const struct berth_order_ack *acks;
    size_t ack_count;
    const struct berth_suspension *resumes; /* these may go on */
    size_t resume_count;
    const struct berth_order_children *children;
    size_t children_count;
    const struct berth_order_child_end *child_ends;
    size_t child_end_count;
    uint32_t start_alone; /* processes for one suspect each */
};

enum berth_do_read_type {
    BERTH_DO_READ_JOBS = 1,
    BERTH_DO_READ_LIST,
    BERTH_DO_READ_COUNTS
}; /* as store.h */

struct berth_do_read { /* field by field a struct berth_read of store.h */
    uint64_t number;
    enum berth_do_read_type type;
    const uint64_t *ids;
    size_t id_count;
    uint8_t scope; /* 0 all, 1 live, 2 ended */
    enum berth_state state;
    uint32_t dispatcher;
    uint64_t after;
    bool is_newest_first, with_bodies;
    size_t count_max;
};

struct berth_effect {
    enum berth_effect_type type;
    uint64_t peer, request;
    union {
        struct berth_do_error error;
        struct berth_do_submitted submitted;
        struct berth_do_waited waited;
        struct berth_do_cancelled cancelled;
        struct berth_do_changed changed;
        struct berth_do_purged purged;
        struct berth_do_explained explained;
        struct berth_do_jobs jobs;
        struct berth_do_job_output job_output;
        struct berth_do_dispatchers dispatchers;
        struct berth_do_workers workers;
        struct berth_do_schedules schedules;
        struct berth_do_status status;
        struct berth_do_welcome welcome;
        struct berth_do_joined joined;
        struct berth_do_epoch epoch;
        struct berth_do_fenced fenced;
        struct berth_do_orders orders;
        struct berth_do_read read;
    };
};

/* Owned by the core, filled by a step, valid until the next one. */
struct berth_effects {
    struct berth_effect *items;
    size_t count;
};
