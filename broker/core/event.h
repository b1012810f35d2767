/* SPDX-License-Identifier: MIT */
/* What can happen to the broker. Built by broker/net/translate.c, by the loop from the store's
 * completions, or by the simulator; values are already validated (names, ranges, lengths).
 * Everything is borrowed for the step.
 *
 * `now_ms` is monotonic and never decreases: leases, timeouts, back-off within this run. `wall_us`
 * is the wall clock and may jump: run_at, idempotency windows, and what is shown.
 *
 * A `peer` is a handle for a connection, given by whoever owns the sockets; never 0, never reused
 * within a run.
 */
#pragma once

#include "record.h"

#define BERTH_SUBMIT_JOBS_MAX 10000
#define BERTH_JOB_AFTER_MAX   1000 /* jobs that one job waits for */

enum berth_event_type {
    /* From clients. */
    BERTH_EV_SUBMIT = 1,
    BERTH_EV_WAIT,
    BERTH_EV_CANCEL,
    BERTH_EV_RETRY,
    BERTH_EV_DISCARD,
    BERTH_EV_JOB_GET,
    BERTH_EV_JOB_LIST,
    BERTH_EV_JOB_OUTPUT,
    BERTH_EV_EXPLAIN,
    BERTH_EV_DISPATCHER_SET,
    BERTH_EV_DISPATCHER_PAUSE,
    BERTH_EV_DISPATCHER_GET,
    BERTH_EV_DISPATCHER_PURGE,
    BERTH_EV_DISPATCHER_REMOVE,
    BERTH_EV_WORKER_LIST,
    BERTH_EV_WORKER_DECLARE_GONE,
    BERTH_EV_STATUS,
    BERTH_EV_SCHEDULE_SET,
    BERTH_EV_SCHEDULE_PAUSE,
    BERTH_EV_SCHEDULE_REMOVE,
    BERTH_EV_SCHEDULE_LIST,
    /* From workers and keepers. */
    BERTH_EV_HELLO,
    BERTH_EV_JOIN,
    BERTH_EV_RENEW,
    BERTH_EV_REPORTS,
    BERTH_EV_GONE,
    /* From the store. */
    BERTH_EV_STORED, /* a batch's completion: stored, or failed as `result` says */
    BERTH_EV_READ,   /* a read's completion */
    /* From the loop. */
    BERTH_EV_ZONE,      /* the file of a time zone was read anew */
    BERTH_EV_PEER_GONE, /* nothing can be sent to this peer any more */
    BERTH_EV_TURN, /* the end of a turn: timers that are due, matching, one message per session */
};

/* What a submit does whose unique key a live job has. */
enum berth_on_conflict {
    BERTH_ON_CONFLICT_REJECT = 0,
    BERTH_ON_CONFLICT_EXISTING, /* answers that job's id */
};

struct berth_submit_item {
    uint32_t dispatcher, handler; /* indices into the event's tables */
    int32_t priority;             /* -100..100 */
    int64_t delay_ms;             /* 0: at once */
    uint32_t max_attempts;        /* 0: the dispatcher's */
    int64_t timeout_ms;           /* 0: the dispatcher's */
    struct berth_slice key;       /* "": none */
    struct berth_slice body;
    /* What few jobs bring: zero and "" in the others. */
    struct berth_slice group;
    int64_t run_at_us;                  /* instead of a delay */
    int64_t queue_timeout_ms;           /* 0: the dispatcher's */
    int64_t deadline_ms;                /* from the submit on; 0: the dispatcher's */
    int64_t backoff_ms, backoff_ms_max; /* 0: the dispatcher's */
    struct berth_slice unique;
    enum berth_on_conflict on_conflict;
    const uint64_t *after; /* jobs that must have completed; at most BERTH_JOB_AFTER_MAX */
    size_t after_count;
};

struct berth_ev_submit {
    uint64_t peer, request;
    uint8_t client[16];
    const struct berth_slice *dispatchers, *handlers;
    size_t dispatcher_count, handler_count;
    const struct berth_submit_item *items;
    size_t count; /* 1 .. BERTH_SUBMIT_JOBS_MAX */
};

struct berth_ev_ids { /* WAIT CANCEL JOB_GET RETRY DISCARD */
    uint64_t peer, request;
    const uint64_t *ids;
    size_t count;   /* 1 .. */
    bool is_forced; /* CANCEL: what does not end within its grace is ended with its process */
};

struct berth_ev_job_list {
    uint64_t peer, request;
    struct berth_slice dispatcher; /* "": all */
    enum berth_state state;        /* 0: all */
    uint64_t after;
    bool is_newest_first, with_bodies; /* also bodies and results */
    uint32_t count_max;                /* 1..1000 */
};

struct berth_ev_job_output {
    uint64_t peer, request;
    uint64_t id;
    uint32_t attempt; /* of which so much is known already; 0, or another one: nothing */
    uint64_t out_from, err_from;
};

struct berth_ev_explain {
    uint64_t peer, request;
    uint64_t id;                   /* of a job, or 0 and */
    struct berth_slice dispatcher; /* its name */
};

struct berth_ev_dispatcher_set {
    uint64_t peer, request; /* peer 0: seeded by the configuration; never answered */
    struct berth_slice name;
    bool has_limit, has_max_attempts, has_backoff, has_backoff_max, has_timeout, has_grace;
    bool has_parent, has_weight, has_group_limit, has_rate, has_burst, has_max_queued, has_hold,
        has_on_lost, has_jitter, has_queue_timeout, has_deadline, has_retention,
        has_retention_count;
    struct berth_limit limit;
    uint32_t max_attempts;
    int64_t backoff_ms, backoff_ms_max, timeout_ms, grace_ms;
    struct berth_slice parent; /* its name; "": none */
    uint32_t weight, group_limit, burst, max_queued;
    uint32_t rate_count; /* rate: both, or both 0 */
    int64_t rate_ms;
    enum berth_hold hold;
    enum berth_on_lost on_lost;
    bool no_jitter;
    int64_t queue_timeout_ms, deadline_ms, retention_ms;
    uint64_t retention_count;
    struct berth_slice changed_by; /* at most 64 bytes; "": not known */
};

struct berth_ev_dispatcher_pause {
    uint64_t peer, request;
    struct berth_slice name;
    bool is_paused;
    struct berth_slice changed_by; /* as above */
};

/* A schedule is made if it is not there, else what is given is changed. */
struct berth_ev_schedule_set {
    uint64_t peer, request;
    struct berth_slice name;
    bool has_cron, has_zone, has_overlap, has_catch_up, has_job;
    struct berth_slice cron;
    struct berth_slice zone; /* its name; the loop adds: */
    struct berth_slice tzif; /* the bytes of its file; "": UTC */
    int zone_code;           /* or why it could not be read, which is the answer then: */
    const char *zone_message;
    uint8_t overlap, catch_up; /* enum schedule_overlap, enum schedule_catch_up */
    struct berth_slice dispatcher, handler;
    struct berth_submit_item job; /* without a key, a time, and jobs to wait for; the indices of its
                                     dispatcher and handler are not used */
    struct berth_slice changed_by; /* at most 64 bytes; "": not known */
};

struct berth_ev_schedule_name { /* SCHEDULE_PAUSE SCHEDULE_REMOVE */
    uint64_t peer, request;
    struct berth_slice name;
    bool is_paused;
    struct berth_slice changed_by; /* as above */
};

struct berth_ev_schedule_list {
    uint64_t peer, request;
    struct berth_slice name; /* "": all, in order of id */
    uint32_t after;          /* only those beyond this id */
};

struct berth_ev_zone {
    struct berth_slice name, tzif;
};

/* Of a purge the part that is taken at once; the next one says where this one ended. */
struct berth_ev_purge {
    uint64_t peer, request;
    struct berth_slice name;
    uint64_t below;  /* jobs with smaller ids; 0: all that there are now */
    uint64_t cursor; /* as it was answered; 0: from the start */
};

/* DISPATCHER_GET (name "": all) DISPATCHER_REMOVE WORKER_LIST WORKER_DECLARE_GONE STATUS */
struct berth_ev_query {
    uint64_t peer, request;
    struct berth_slice name;
};

/* What a worker can do; comes with its hello and with each of its joins. */
struct berth_offer {
    struct berth_slice name, software;
    const struct berth_slice *handlers, *served; /* served: names of dispatchers; none: all */
    size_t handler_count, served_count;
    uint32_t capacity, cores;
    uint32_t suspended_max; /* so many suspended attempts take no place of the capacity; the sum of
                               both is 65,535 at most */
    bool is_alone;          /* a process for one suspect: then with a capacity of 1 */
    bool can_start_alone;   /* it has a keeper that starts such processes */
};

struct berth_ev_hello {
    uint64_t peer;
    uint32_t epoch; /* addressed; 0 asks for it */
    uint8_t node[16], boot[16], nonce[16];
    uint32_t child;
    struct berth_offer offer;
};

enum berth_outcome { /* the numbers of the wire's Outcome */
                     BERTH_OUTCOME_COMPLETED = 1,
                     BERTH_OUTCOME_FAILED,
                     BERTH_OUTCOME_FAILED_FOREVER,
                     BERTH_OUTCOME_SNOOZED,
                     BERTH_OUTCOME_CANCELLED,
                     BERTH_OUTCOME_TIMED_OUT,
};

struct berth_attempt_end {
    enum berth_outcome outcome;
    int64_t retry_ms; /* SNOOZED, or asked for by a handler that failed; 0: none */
    int64_t run_us;
    struct berth_slice error_kind, error_message, result;
};

enum berth_attempt_state {
    BERTH_ATTEMPT_RUNNING = 1,
    BERTH_ATTEMPT_SUSPENDED,
    BERTH_ATTEMPT_ENDED
};

struct berth_join_line {
    uint64_t attempt, job;
    struct berth_slice dispatcher;
    uint32_t number;
    enum berth_attempt_state state;
    uint32_t suspensions; /* so far, and this one */
    bool is_cancelled;
    struct berth_attempt_end end; /* of an ended one; of a running one only run_us, so far */
};

struct berth_ev_join {
    uint64_t peer, session;
    uint32_t epoch, join;
    uint64_t renewal;
    const struct berth_join_line *lines;
    size_t count;
    bool is_draining;
    struct berth_offer offer;
};

struct berth_ev_renew {
    uint64_t peer, session;
    uint32_t epoch, join;
    uint64_t renewal, sent, taken;
};

struct berth_report {
    uint64_t attempt, job;
    struct berth_attempt_end end;
};

/* What a running attempt shows of itself. */
struct berth_show {
    uint64_t attempt;
    bool has_progress;
    uint64_t done, total;        /* total 0: not known */
    uint64_t out_from, err_from; /* the place of the first byte in its stream, from 0 */
    struct berth_slice out, err;
};

struct berth_suspension {
    uint64_t attempt;
    uint32_t number; /* which one of this attempt, from 1 */
};

/* Jobs that an attempt submits as its children: all are taken, or none. */
struct berth_child_submit {
    uint64_t attempt, job;       /* the parent's */
    uint32_t ordinal;            /* of the first of them */
    bool is_supervisor;          /* a child that dies does not end its siblings */
    struct berth_ev_submit jobs; /* without peer, request, client and keys */
};

struct berth_child_ask { /* how did it end? */
    uint64_t attempt;    /* the parent's */
    uint64_t job;        /* the child */
};

struct berth_ev_reports {
    uint64_t peer, session;
    uint32_t epoch, join;
    uint64_t number;
    const struct berth_report *reports;
    size_t count;
    const uint64_t *releases; /* attempts not started that never will be */
    const uint8_t *release_reasons;
    size_t release_count;
    const struct berth_show *shows;
    size_t show_count;
    /* Scopes; they are taken before the reports. */
    const struct berth_suspension *suspends, *resumes; /* resumes: may it go on? */
    size_t suspend_count, resume_count;
    const struct berth_child_submit *child_submits;
    size_t child_submit_count;
    const uint64_t
        *end_children; /* attempts whose bodies have ended: their children are cancelled */
    size_t end_children_count;
    const struct berth_child_ask *child_asks;
    size_t child_ask_count;
    bool is_draining;
};

enum berth_gone_cause {
    BERTH_GONE_EXIT = 1,
    BERTH_GONE_SIGNAL,
    BERTH_GONE_LEASE,
    BERTH_GONE_FENCED,
    BERTH_GONE_DRAIN
};

struct berth_ev_gone {
    uint64_t peer;
    uint64_t session; /* 0: nonce and child say who */
    uint8_t nonce[16];
    uint32_t child;
    enum berth_gone_cause cause;
    int32_t status;
    const uint64_t *attempts, *jobs; /* running when it died */
    const uint32_t *numbers;         /* of the attempts; NULL, 0: not known */
    size_t count;
    uint64_t culprit; /* the attempt that it died of; 0: not known */
};

struct berth_ev_stored {
    struct berth_batch *batch; /* taken back by the core */
    uint8_t result; /* enum berth_store_result, store.h: STORED 1, FULL 2 (UNKNOWN and FENCED end
                       the process) */
};

struct berth_ended_row { /* as struct berth_ended_count of the store */
    uint32_t dispatcher;
    uint64_t completed, dead, cancelled, completed_total;
};

struct berth_ev_read {
    uint64_t number;
    bool is_failed;
    const struct berth_job_record *jobs;
    size_t job_count;
    bool has_more; /* LIST: rows may follow, behind the id `next` */
    uint64_t next;
    const struct berth_ended_row *counts;
    size_t count_count;
};

struct berth_event {
    enum berth_event_type type;
    int64_t now_ms;
    int64_t wall_us;
    union {
        struct berth_ev_submit submit;
        struct berth_ev_ids ids;
        struct berth_ev_job_list job_list;
        struct berth_ev_job_output job_output;
        struct berth_ev_explain explain;
        struct berth_ev_dispatcher_set dispatcher_set;
        struct berth_ev_dispatcher_pause dispatcher_pause;
        struct berth_ev_purge purge;
        struct berth_ev_query query;
        struct berth_ev_schedule_set schedule_set;
        struct berth_ev_schedule_name schedule_name;
        struct berth_ev_schedule_list schedule_list;
        struct berth_ev_zone zone;
        struct berth_ev_hello hello;
        struct berth_ev_join join;
        struct berth_ev_renew renew;
        struct berth_ev_reports reports;
        struct berth_ev_gone gone;
        struct berth_ev_stored stored;
        struct berth_ev_read read;
        uint64_t peer; /* PEER_GONE */
    };
};
