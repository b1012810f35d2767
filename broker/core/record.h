/* SPDX-License-Identifier: MIT */
/* What is durable: the plain records that the core writes in batches and reads back at a start.
 *
 * Shared by broker/core (which fills them) and broker/store (which keeps them). Data only: no
 * behaviour, no pointers but slices into the memory of whoever handed the record over. Times in
 * `_us` are wall-clock microseconds since 1970 UTC, 0 = none. Slices are borrowed for as long as
 * the containing batch or visit lasts.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <berth/types.h>

#include "base/arena.h"

#define BERTH_NAME_BYTES    65 /* 64 and the NUL */
#define BERTH_KEY_BYTES_MAX 255

/* What of an attempt counts against the limits while it is suspended. */
enum berth_hold {
    BERTH_HOLD_JOB = 0, /* the job, from its start to its end */
    BERTH_HOLD_RUNNING, /* what runs: a suspended attempt gives its slot back */
};

/* What becomes of an attempt whose worker is lost. */
enum berth_on_lost {
    BERTH_ON_LOST_RECLAIM = 0, /* its job runs again */
    BERTH_ON_LOST_HOLD,        /* it keeps its slot until somebody says that it is gone */
};

/* What a new dispatcher has unless told otherwise. */
#define BERTH_DEFAULT_BACKOFF_MS     1000
#define BERTH_DEFAULT_BACKOFF_MS_MAX 600000

struct berth_dispatcher_record {
    uint32_t id; /* from 1, never used again */
    char name[BERTH_NAME_BYTES];
    struct berth_limit limit;
    bool is_paused;
    uint32_t max_attempts; /* 1.. */
    int64_t backoff_ms, backoff_ms_max;
    int64_t timeout_ms; /* of one attempt; 0: none */
    int64_t grace_ms;
    uint32_t parent;      /* id; 0: independent */
    uint32_t weight;      /* 1..1000 */
    uint32_t group_limit; /* attempts at once for each group; 0: none */
    uint32_t rate_count;  /* starts in each rate_ms, in the whole cluster; 0: none */
    int64_t rate_ms;      /* 1000 60000 3600000 86400000; 0: none */
    uint32_t burst;       /* tokens, to 1,000,000; 0: none asked for: then 1 */
    uint32_t max_queued;  /* scheduled, ready and retrying jobs, of it alone; 0: none */
    uint8_t hold;         /* enum berth_hold */
    uint8_t on_lost;      /* enum berth_on_lost */
    bool no_jitter;       /* the whole backoff, nothing drawn */
    int64_t queue_timeout_ms, deadline_ms; /* of jobs that bring none; 0: none */
    int64_t retention_ms;                  /* of ended jobs; 1.. */
    uint64_t retention_count;              /* of ended jobs */
    int64_t changed_us;                    /* when it was made or changed last; 0: not known */
    char changed_by[BERTH_NAME_BYTES];     /* "USER@HOST", "config", "broker"; "": not known */
    int64_t token_us;                      /* as loaded: that of the last TOKEN; 0: none */
};

/* A dispatcher of less than one start a minute: when it has its next token. */
struct berth_token_record {
    uint32_t dispatcher;
    int64_t token_us;
    uint64_t attempt; /* not stored: it begins when this is; 0: none */
};

struct berth_session_record {
    uint64_t id; /* epoch << 40 | counter */
    uint8_t node[16], boot[16], nonce[16];
    uint32_t child;
    uint32_t lease_ms;
    char name[BERTH_NAME_BYTES]; /* the worker's */
    bool is_closed; /* its lease is over, and it may still run what it has a stored start of */
};

/* Why a submit can be recognised when it comes again. */
enum berth_key_kind {
    BERTH_KEY_NONE = 0,
    BERTH_KEY_REQUEST,     /* 16 bytes: hash of the client, its request number and the place in it;
                              minutes */
    BERTH_KEY_IDEMPOTENCY, /* 1..255 bytes of the user's, per dispatcher; 24 h */
    BERTH_KEY_CHILD,       /* 16 bytes: hash of the parent and the ordinal among its children;
                              7 days, or until the parent has completed */
    BERTH_KEY_SCHEDULE,    /* 16 bytes: the schedule and the instant, schedule_key(); 24 h */
};

struct berth_key {
    enum berth_key_kind kind;
    struct berth_slice bytes;
    int64_t until_us;      /* recognised before this time */
    uint8_t body_hash[16]; /* over handler, options and body: what makes a repeat the same */
};

/* The last attempt that is known to have begun and ended, as far as a job remembers it. */
struct berth_attempt_record {
    uint64_t id; /* epoch << 40 | counter; 0: none */
    int64_t started_us;
    struct berth_slice worker; /* its name */
    struct berth_slice result; /* a packed Result, "" if it left none */
    struct berth_slice
        error_kind; /* exit signal timeout handler crash lost ..., "" if there is none */
    struct berth_slice error_message; /* one sentence */
};

/* A job: what came with it, and (as loaded, or as read) where it stands. */
struct berth_job_record {
    uint64_t id;
    uint32_t dispatcher;
    struct berth_slice handler;
    int32_t priority;
    int64_t submitted_us;
    int64_t run_at_us;     /* not before; 0: at once */
    uint32_t max_attempts; /* 0: the dispatcher's */
    int64_t timeout_ms;    /* 0: the dispatcher's */
    struct berth_key key;
    struct berth_slice
        body; /* a packed Body; when loading beyond the body budget: data NULL, bytes true */

    /* What few jobs bring: zero and "" in the others. */
    struct berth_slice group;           /* 1..255 bytes of UTF-8 */
    struct berth_slice unique;          /* a key that one live job may have; 1..255 bytes */
    struct berth_slice after;           /* the jobs it waits for: 8 bytes each, little-endian */
    int64_t deadline_us;                /* not later */
    int64_t queue_timeout_ms;           /* in READY at most; 0: the dispatcher's */
    int64_t backoff_ms, backoff_ms_max; /* 0: the dispatcher's */
    uint64_t parent;                    /* the job whose attempt submitted it; 0: none */
    uint32_t parent_ordinal;            /* its place among that one's children, from 1 */
    uint64_t parent_attempt;            /* which one */

    /* Zero in an arrival. */
    enum berth_state state; /* SCHEDULED READY RETRYING, or how it ended */
    uint32_t attempt;       /* attempts begun */
    uint32_t failures;      /* those that count against max_attempts */
    uint32_t deaths;        /* attempts that took their process with them */
    bool is_suspect;        /* it may have: it runs in a process of its own */
    bool is_cancelled;      /* a cancel was accepted */
    uint64_t start_attempt,
        start_session; /* of its stored start; 0: none, or a retry followed it */
    int64_t start_us;
    int64_t finished_us;
    struct berth_attempt_record last;
};

/* An attempt is about to be granted: stored first, where on_lost = hold asks for it. attempt 0: it
 * was not started after all. */
struct berth_start_record {
    uint64_t id;
    uint64_t attempt, session;
    int64_t started_us;
};

/* An attempt is over and the job will run again: at run_at_us, or at once (0, state READY). */
struct berth_retry_record {
    uint64_t id;
    enum berth_state state; /* READY or RETRYING */
    int64_t run_at_us;
    uint32_t attempt, failures, deaths;
    bool is_suspect; /* from here on */
    struct berth_attempt_record last;
};

struct berth_end_record {
    uint64_t id;
    uint32_t dispatcher;
    enum berth_state state; /* COMPLETED DEAD CANCELLED */
    uint32_t attempt, failures, deaths;
    int64_t finished_us;
    struct berth_attempt_record last; /* id 0: no attempt ended with it, and the stored one stays */
    /* Then: what ended it, in place of the stored error; "": nothing did, or the stored one says.
     * With an attempt both are "". */
    struct berth_slice error_kind, error_message;
};

/* A dead or cancelled job lives again, under its own id: ready at once, with fresh tries. What it
 * came with stays, but for the jobs that it waited for; one that has deaths is a suspect. */
struct berth_revive_record {
    uint64_t id;
    int64_t run_at_us;   /* since when it is ready: now */
    int64_t deadline_us; /* the new one; 0: none */
    bool is_missing;     /* said by the store: the history has no such job, and nothing was done */
};

/* A schedule: when, and what it submits then (as of a job). */
struct berth_schedule_record {
    uint32_t id; /* from 1, never used again */
    char name[BERTH_NAME_BYTES];
    struct berth_slice cron; /* the expression */
    struct berth_slice zone; /* its name */
    struct berth_slice tzif; /* the zone's file, as it was read last; "": UTC */
    uint8_t overlap;         /* enum schedule_overlap */
    uint8_t catch_up;        /* enum schedule_catch_up */
    bool is_paused;
    uint32_t dispatcher;
    struct berth_slice handler, body, group, unique;
    int32_t priority;
    int64_t delay_ms;
    uint32_t max_attempts;
    int64_t timeout_ms, queue_timeout_ms, deadline_ms, backoff_ms, backoff_ms_max;
    uint8_t on_conflict; /* enum berth_on_conflict */
    int64_t changed_us;
    char changed_by[BERTH_NAME_BYTES];
    bool has_done; /* what is stored of its instants becomes `done_us`; true in a new one */
    int64_t done_us;
};

/* How far a schedule has come. */
struct berth_schedule_done_record {
    uint32_t id;
    int64_t done_us;              /* all instants until then have been dealt with */
    uint64_t last_job;            /* that of the last instant that was fired; 0: none */
    int64_t last_us;              /* the last instant that did not pass unseen; 0: none */
    uint8_t last_fate;            /* of that one: enum schedule_fate */
    struct berth_slice last_text; /* why it was refused; "": it was not */
};

enum berth_record_type {
    BERTH_RECORD_JOB = 1,        /* arrival */
    BERTH_RECORD_RETRY,          /* the job goes on */
    BERTH_RECORD_END,            /* the job has ended: from live to history */
    BERTH_RECORD_CANCEL,         /* the flag alone; id in `id` */
    BERTH_RECORD_DISPATCHER,     /* made or changed: the whole row */
    BERTH_RECORD_SESSION,        /* a worker session begins */
    BERTH_RECORD_SESSION_END,    /* it is over: the row goes; id in `id` */
    BERTH_RECORD_START,          /* of a live job; one there was before is replaced */
    BERTH_RECORD_SESSION_CLOSED, /* its lease is over: the row stays; id in `id` */
    BERTH_RECORD_REVIVE,         /* from history to live */
    BERTH_RECORD_DISCARD,        /* a dead job goes from the history, and its key stays; id in `id`;
                                    nothing is done if it is not there, or not dead */
    BERTH_RECORD_DISPATCHER_END, /* removed: its row, its ended jobs, its counts; id in `id` */
    BERTH_RECORD_SCHEDULE,       /* made or changed: the whole row */
    BERTH_RECORD_SCHEDULE_DONE,  /* an instant was dealt with */
    BERTH_RECORD_SCHEDULE_END,   /* it is removed; id in `id` */
    BERTH_RECORD_TOKEN,          /* of a slow rate a token was taken, or it is new */
};

struct berth_record {
    enum berth_record_type type;
    union {
        uint64_t id;
        struct berth_job_record job;
        struct berth_start_record start;
        struct berth_retry_record retry;
        struct berth_end_record end;
        struct berth_dispatcher_record dispatcher;
        struct berth_session_record session;
        struct berth_revive_record revive;
        struct berth_schedule_record schedule;
        struct berth_schedule_done_record schedule_done;
        struct berth_token_record token;
    };
};

/* One transaction: applied in order, all or nothing. Self-contained: every slice lies in `arena`.
 * Made by the core, borrowed by the store from submit until its completion, then handed back to the
 * core; `is_missing` of a revival is all that the store writes into it. */
struct berth_batch {
    uint64_t seq;   /* from 1, one more each time */
    uint64_t epoch; /* the store refuses a batch of an older epoch */
    struct berth_record *records;
    size_t count, count_max;
    struct berth_arena *arena;
};
