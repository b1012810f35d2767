/* SPDX-License-Identifier: MIT */
/* The worker's side of the protocol, pure: session, joins, streams, lease, attempts held, drain.
 *
 * agent_step(agent, event) -> effects. No socket, clock, thread or file: the link thread
 * (worker/net/link.c) or the simulator turns the world into events and carries out effects, in
 * their order. All times are milliseconds of the worker's own lease clock (CLOCK_BOOTTIME), never
 * decreasing.
 *
 *            EPOCH, HELLO..WELCOME               gap, reconnect, higher epoch
 *   NEW ──────────────────────────► JOINED ◄──────────────────────────────► JOINING
 *    │                                 │ lease over, FENCED, drained            │
 *    └────────────────────────────►  OVER  ◄───────────────────────────────────┘
 *
 * Invariants (docs/PROTOCOL.md has the reasons):
 * 1. From the moment a join list is built, orders of any other (epoch, join) are dropped.
 * 2. An attempt that ended stays in the table, and in each join list with its report, until it is
 * acknowledged. It counts until then as it did when it ended: at most capacity + suspended_max
 * attempts are held, and at most suspended_max of those that are suspended take no place of the
 * capacity.
 * 3. The lease end is max over n of (time read before RENEW n was sent) + K, never the arrival of
 * an answer.
 * 4. After the lease end, or FENCED, the only effect is EXIT: nothing is sent or started any more.
 * 5. An attempt is started at most once, and reported or released exactly once per join that holds
 * it. After a STOP, what did not complete is not reported: it counts as running until GONE.
 * 6. An attempt is over when its handler and its children are: an ENDED is kept until the last
 * child's end is known, and the attempt is suspended meanwhile.
 * 7. What is asked for an attempt (submits of children, ends of children, a resume) is asked anew
 * in each join until it is answered. A resume that is granted is carried out, whatever else runs:
 * the broker counts places.
 * 8. One that is alone takes one attempt, and drains when that has ended or none has come for
 * AGENT_ALONE_WAIT_MS.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <berth/types.h>

#define AGENT_HELLO_EVERY_MS         1000
#define AGENT_HELLO_SILENCE_MS       5000 /* before there is a session: then the socket is changed */
#define AGENT_JOIN_EVERY_MS_MIN      50   /* doubles up to R / 2, with jitter */
#define AGENT_RECONNECT_EVERY_MS_MIN 2000
#define AGENT_CAPACITY_MAX           65535
#define AGENT_NAME_BYTES_MAX         64
/* Of the ends in one list or report: an end too many is listed as running, and reported after. One
 * end alone may be longer. */
#define AGENT_MESSAGE_BYTES_MAX (4u << 20)
/* What attempts have to show is sent so often at most, and of so many of them at once. */
#define AGENT_SHOW_EVERY_MS  250
#define AGENT_SHOW_COUNT_MAX 256
/* In one message: submits of children; attempts that are suspended, or ask for something; children
 * that are asked for. */
#define AGENT_SUBMITS_MAX 256
#define AGENT_ASKS_MAX    4096
/* Such messages in one step: what is left, as after a join with very many children, is told in the
 * steps that follow at once. */
#define AGENT_TELLS_MAX        16
#define AGENT_SUBMIT_BYTES_MAX AGENT_MESSAGE_BYTES_MAX
#define AGENT_ALONE_WAIT_MS    10000 /* so long a process for a suspect waits for one */

struct agent;

struct agent_opts {
    uint8_t node[16], boot[16], nonce[16];
    uint32_t child;
    /* The highest that this keeper's children ever saw, 0 if none; older brokers are refused. */
    uint32_t epoch_seen;
    uint64_t lineage_seen;
    const char *name; /* borrowed, with handlers and dispatchers, for the agent's life */
    const char *const *handlers;
    size_t handler_count;
    const char *const *dispatchers; /* served; none: all */
    size_t dispatcher_count;
    uint32_t capacity; /* attempts at once, 1 .. AGENT_CAPACITY_MAX */
    /* So many suspended ones take no place of it; the sum of both is AGENT_CAPACITY_MAX at most. */
    uint32_t suspended_max;
    uint32_t cores;
    /* A process for one suspect: a capacity of 1 and nothing beside it, and it drains after one. */
    bool is_alone;
    bool can_start_alone; /* there is a keeper that starts such processes */
    uint64_t seed;        /* of the jitter */
};

enum agent_outcome { /* the numbers of the wire's Outcome */
                     AGENT_COMPLETED = 1,
                     AGENT_FAILED,
                     AGENT_FAILED_FOREVER,
                     AGENT_SNOOZED,
                     AGENT_CANCELLED,
                     AGENT_TIMED_OUT,
};

enum agent_cancel_reason {
    AGENT_CANCEL_JOB = 1,
    AGENT_CANCEL_TIMEOUT, /* of the attempt */
    AGENT_CANCEL_STOP,
    AGENT_CANCEL_DEADLINE, /* of the job */
    AGENT_CANCEL_CHILD,    /* a child of the job has failed for good */
};

enum agent_release_reason { /* the numbers of the wire's ReleaseReason */
                            AGENT_RELEASE_DRAINING = 1,
                            AGENT_RELEASE_NO_HANDLER,
                            AGENT_RELEASE_NO_MEMORY,
                            AGENT_RELEASE_LEASE_OVER,
};

/* How an attempt ended. */
struct agent_end {
    enum agent_outcome outcome;
    int64_t retry_ms; /* SNOOZED, or the time a handler asked for; 0: none */
    int64_t run_us;
    struct berth_slice error_kind; /* at most 32 bytes */
    struct berth_slice error_message;
    struct berth_slice result; /* a packed Result */
};

struct agent_grant {
    uint64_t attempt, job;
    struct berth_slice dispatcher, handler;
    uint32_t number;
    int64_t timeout_ms;  /* 0: none */
    int64_t deadline_ms; /* what is left of the job's; 0: none */
    int64_t grace_ms;
    struct berth_slice body;
};

struct agent_cancel {
    uint64_t attempt;
    int64_t grace_ms;
    enum agent_cancel_reason reason; /* JOB DEADLINE CHILD */
    bool is_forced; /* if it does not obey within the grace, everything here ends: EXIT */
};

/* A suspension: numbers are counted from 1 in each attempt. */
struct agent_suspension {
    uint64_t attempt;
    uint32_t number;
};

/* Jobs to be submitted as children of an attempt. */
struct agent_submit {
    uint64_t attempt, job;     /* the parent's */
    uint32_t ordinal;          /* of the first, among all children of the job */
    bool is_supervisor;        /* a child that dies ends neither its siblings nor the parent */
    struct berth_slice submit; /* a packed Submit */
};

/* What became of it. */
struct agent_submitted {
    uint64_t attempt; /* the parent's */
    uint32_t ordinal;
    const uint64_t *ids; /* of all, in order; also those found from an earlier attempt */
    size_t count;        /* 0: refused, and: */
    int code;            /* negative */
    struct berth_slice message;
};

struct agent_child {
    uint64_t attempt, job; /* the parent's attempt, the child's job */
};

struct agent_child_end {
    uint64_t attempt, job;
    enum berth_state state; /* COMPLETED DEAD CANCELLED */
    struct berth_slice error_kind, error_message;
};

enum agent_event_type {
    AGENT_EV_START = 1, /* once, first: say hello */
    AGENT_EV_CONNECTED, /* the transport has a (new) connection; what was under way may be lost */
    /* From the broker. */
    AGENT_EV_WELCOME,
    AGENT_EV_JOINED,
    AGENT_EV_RENEWED,
    AGENT_EV_EPOCH,
    AGENT_EV_FENCED,
    AGENT_EV_ORDERS,
    /* From this process. */
    AGENT_EV_ENDED,     /* an attempt, and all that it started, is over */
    AGENT_EV_RELEASED,  /* an attempt could not be started and never will be */
    AGENT_EV_NEWS,      /* a running attempt has something to show */
    AGENT_EV_SUSPEND,   /* a running attempt waits for something, and nothing of it runs */
    AGENT_EV_RESUME_ME, /* that has happened: may it go on? */
    AGENT_EV_CHILDREN,  /* a running attempt submits children */
    AGENT_EV_DRAIN,     /* take nothing new, finish, EXIT when all is acknowledged */
    AGENT_EV_STOP,  /* the same, but cancel what runs (grace), and hand it back unspent: GONE(drain)
                       follows */
    AGENT_EV_TIMER, /* agent_next_deadline_ms() has come */
};

struct agent_event {
    enum agent_event_type type;
    int64_t now_ms;
    union {
        struct {
            uint64_t session, lineage;
            uint32_t epoch, lease_ms, worker_lease_ms, renew_ms;
            uint8_t nonce[16];
            uint32_t child;
        } welcome;
        struct {
            uint64_t session;
            uint32_t epoch, join;
            uint64_t renewal;
        } joined;
        struct {
            uint64_t session;
            uint32_t epoch, join;
            uint64_t renewal, sent, taken;
            bool join_again;
        } renewed;
        struct {
            uint32_t epoch;
            uint64_t lineage;
        } epoch;
        struct {
            uint64_t session; /* 0: see nonce and child */
            uint8_t nonce[16];
            uint32_t child;
            struct berth_slice reason;
        } fenced;
        struct {
            uint64_t session;
            uint32_t epoch, join;
            uint64_t number;
            const struct agent_grant *grants;
            size_t grant_count;
            const struct agent_cancel *cancels;
            size_t cancel_count;
            const uint64_t *acks;
            const bool *ack_is_stale;
            size_t ack_count;
            uint32_t start_alone; /* processes for one suspect each */
            const struct agent_suspension *resumes;
            size_t resume_count;
            const struct agent_submitted *submitted;
            size_t submitted_count;
            const struct agent_child_end *child_ends;
            size_t child_end_count;
        } orders;
        struct {
            uint64_t attempt;
            struct agent_end end; /* copied */
        } ended;
        struct {
            uint64_t attempt;
            enum agent_release_reason reason;
        } released;
        struct {
            uint64_t attempt;
        } news, suspend, resume_me;
        struct agent_submit children; /* copied; `job` need not be set */
        struct {
            int64_t grace_ms;
        } stop;
    };
};

enum agent_attempt_state { AGENT_RUNNING = 1, AGENT_SUSPENDED, AGENT_ENDED };

/* A line of a join list, or of reports. */
struct agent_line {
    uint64_t attempt, job;
    struct berth_slice dispatcher;
    uint32_t number;
    enum agent_attempt_state state;
    uint32_t suspensions; /* so far */
    bool is_cancelled;
    struct agent_end end; /* of an ended one; of a running one in a join only run_us, so far */
};

/* What a running attempt shows of itself. The shell fills it in when it is sent. */
struct agent_show {
    uint64_t attempt;
    bool has_progress;
    uint64_t done, total;        /* total 0: not known */
    uint64_t out_from, err_from; /* the place of the first byte in its stream, from 0 */
    struct berth_slice out, err;
};

enum agent_exit {
    AGENT_EXIT_DRAINED = 1,
    AGENT_EXIT_LEASE_OVER,
    AGENT_EXIT_FENCED,
    AGENT_EXIT_TWO_BROKERS,
    AGENT_EXIT_FORCED, /* an attempt was cancelled by force, and did not end */
};

enum agent_effect_type {
    AGENT_DO_HELLO = 1, /* send WorkerHello addressed to `epoch` (0: asks) */
    AGENT_DO_JOIN,
    AGENT_DO_RENEW,
    AGENT_DO_REPORTS,
    AGENT_DO_SHOW,     /* send a WorkerReports with what these attempts show now, be it nothing */
    AGENT_DO_START,    /* run this attempt; ENDED or RELEASED follows exactly once */
    AGENT_DO_CANCEL,   /* tell the attempt; ENDED follows when it obeys */
    AGENT_DO_RESUME,   /* the attempt may go on */
    AGENT_DO_CHILDREN, /* tell the attempt what became of its submit */
    AGENT_DO_CHILD_ENDED, /* tell the attempt that a child has ended; at most once for each */
    AGENT_DO_SESSION,     /* note session, epoch, lineage where the keeper sees them */
    AGENT_DO_LEASE,       /* note the new lease end where the keeper sees it */
    AGENT_DO_START_ALONE, /* tell the keeper to start so many processes for suspects */
    AGENT_DO_RECONNECT,   /* the broker is silent: close the socket, open a new one with a fresh
                             identity */
    AGENT_DO_EXIT,
};

struct agent_effect {
    enum agent_effect_type type;
    union {
        struct {
            uint32_t epoch;
            uint32_t epoch_seen; /* the highest, by now */
            uint64_t lineage_seen;
        } hello;
        struct {
            uint64_t session;
            uint32_t epoch, join;
            uint64_t renewal;
            const struct agent_line *lines;
            size_t count;
            bool is_draining;
        } join;
        struct {
            uint64_t session;
            uint32_t epoch, join;
            uint64_t renewal, sent, taken;
        } renew;
        struct {
            uint64_t session;
            uint32_t epoch, join;
            uint64_t number;
            const struct agent_line *lines; /* ended ones */
            size_t count;
            const uint64_t *release_attempts;
            const enum agent_release_reason *release_reasons;
            size_t release_count;
            /* Of scopes; they count before the lines. */
            const struct agent_suspension *suspends, *resumes; /* resumes: may it go on? */
            size_t suspend_count, resume_count;
            const struct agent_submit *submits;
            size_t submit_count;
            const uint64_t *end_children; /* attempts whose children are to be cancelled */
            size_t end_children_count;
            const struct agent_child *asks; /* how did it end? */
            size_t ask_count;
            bool is_draining;
        } reports;
        struct {
            uint64_t session;
            uint32_t epoch, join;
            uint64_t number;
            const uint64_t *attempts;
            size_t count;
        } show;
        struct agent_grant start; /* slices are the event's: the shell keeps them as long */
        struct {
            uint64_t attempt;
            enum agent_cancel_reason reason;
            int64_t grace_ms;
        } cancel;
        struct {
            uint64_t attempt;
        } resume;
        struct agent_submitted children;
        struct agent_child_end child_ended;
        struct {
            uint64_t session, lineage; /* session 0: none yet, but this epoch was seen */
            uint32_t epoch;
            uint32_t worker_lease_ms; /* K; 0 without a session */
        } session;
        struct {
            int64_t end_ms;
        } lease;
        struct {
            uint32_t count;
        } start_alone;
        struct {
            enum agent_exit why;
            const char *reason;
        } exit;
    };
};

/* Filled by a step; valid until the next step of the same agent. */
struct agent_effects {
    struct agent_effect *items;
    size_t count;
};

struct agent *agent_new(const struct agent_opts *opts); /* NULL: no memory */
void agent_free(struct agent *agent);
/* 0, or -ENOMEM: then nothing may be done any more but agent_free, and the caller ends the process
 * (a worker that cannot remember cannot promise). Names in the event are at most
 * AGENT_NAME_BYTES_MAX long; whatever else comes from the broker may be wrong, and is ignored then.
 *
 * Ends are told in batches: ENDED and RELEASED only make a deadline of now, and the shell, once it
 * has no more of them at hand, steps TIMER. So is what attempts show, but not oftener than each
 * AGENT_SHOW_EVERY_MS; after each join everything that runs and has shown something shows again,
 * for the broker may have lost it. */
int agent_step(struct agent *agent, const struct agent_event *event,
               struct agent_effects *ret_effects);
int64_t agent_next_deadline_ms(const struct agent *agent); /* INT64_MAX: none */
int64_t agent_lease_end_ms(const struct agent *agent);     /* 0: no lease yet */
size_t agent_running_count(const struct agent *agent);     /* not ended */
void agent_check(const struct agent *agent); /* asserts the invariants; O(everything) */
