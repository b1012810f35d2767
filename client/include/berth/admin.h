/* SPDX-License-Identifier: MIT
 *
 * The client library, for operators: dispatchers, workers, the broker. Public. Results, time,
 * threads and options are as in <berth/client.h>.
 */
#pragma once

#include <berth/client.h>

#ifdef __cplusplus
extern "C" {
#endif

#define BERTH_NONE (-1) /* what is to be none, or 0, where 0 leaves it as it is */

/* What of an attempt counts against the limits while it is suspended. 0 leaves it as it is. */
enum berth_dispatcher_hold { BERTH_HOLDS_JOB = 1, BERTH_HOLDS_RUNNING };

/* What becomes of an attempt whose worker is lost. */
enum berth_dispatcher_on_lost { BERTH_LOST_RECLAIM = 1, BERTH_LOST_HOLD };

/* Whether a backoff is drawn from 0 to what it may be. */
enum berth_dispatcher_jitter { BERTH_JITTER_ON = 1, BERTH_JITTER_OFF };

/* A snapshot. We allocate it, so it may grow at its end. */
struct berth_dispatcher {
    const char *name;
    const char *parent; /* "": it has none */
    struct berth_limit limit;
    bool has_effective_limit; /* false: unlimited */
    uint32_t effective_limit; /* what holds now, ancestors included */
    bool is_paused;
    uint64_t running, ready, scheduled, retrying, dead; /* jobs; running: slots in use */
    uint64_t completed_total;
    int64_t oldest_ready_unix_us; /* since when the oldest ready job waits; 0: none is ready */
    uint32_t max_attempts;
    int64_t backoff_ms, backoff_ms_max;
    int64_t timeout_ms; /* 0: none */
    int64_t grace_ms;
    uint32_t weight;      /* 0 where a broker does not tell */
    uint32_t group_limit; /* 0: none */
    uint32_t rate_count;  /* starts in each rate_ms; 0: no rate */
    int64_t rate_ms;
    uint32_t burst, max_queued; /* 0: none */
    enum berth_dispatcher_hold hold;
    enum berth_dispatcher_on_lost on_lost;
    enum berth_dispatcher_jitter jitter;
    int64_t queue_timeout_ms, deadline_ms; /* 0: none */
    int64_t retention_ms;
    uint64_t retention_count;
    int64_t changed_unix_us; /* when it was made or changed last; 0: not known */
    const char *changed_by;  /* "USER@HOST", "config", "broker"; "": not known */
    const char *remark;      /* a sentence on what its settings do not show; "": nothing */
};

void berth_dispatcher_free(struct berth_dispatcher *dispatcher); /* NULL is fine */

/* BERTH_ENOTFOUND: no such dispatcher. */
int berth_dispatcher_get(struct berth_client *client, const char *name,
                         struct berth_dispatcher **ret_dispatcher, int64_t timeout_ms,
                         struct berth_error *err);

/* In order of creation. The dispatcher is borrowed for the call; a negative from `each` ends the
 * list and is its result. */
int berth_dispatcher_list(struct berth_client *client,
                          int (*each)(void *arg, const struct berth_dispatcher *dispatcher),
                          void *arg, int64_t timeout_ms, struct berth_error *err);

/* Zero: as it is (of a new dispatcher: the default). */
struct berth_dispatcher_settings {
    struct berth_limit limit; /* kind 0: as it is; a new dispatcher needs one */
    uint32_t max_attempts;
    int64_t backoff_ms, backoff_ms_max, timeout_ms, grace_ms; /* BERTH_NONE: none */
    const char *parent;  /* a dispatcher; "": none; NULL: as it is */
    uint32_t weight;     /* 1 .. 1000: its share of the parent */
    int64_t group_limit; /* attempts at once for each group; BERTH_NONE: none */
    uint32_t rate_count; /* starts in each rate_ms, in the whole cluster, to 1,000,000 */
    int64_t rate_ms;     /* of a second, minute, hour or day; BERTH_NONE: no rate */
    int64_t burst;       /* starts at once after a pause, to 1,000,000; BERTH_NONE: 1 */
    int64_t max_queued;  /* jobs that wait; BERTH_NONE: no bound */
    enum berth_dispatcher_hold hold;
    enum berth_dispatcher_on_lost on_lost;
    enum berth_dispatcher_jitter jitter;
    int64_t queue_timeout_ms, deadline_ms; /* BERTH_NONE: none */
    int64_t retention_ms;                  /* of ended jobs, 1 ms .. 10 years */
    int64_t retention_count;               /* to 1,000,000,000; BERTH_NONE: 0 */
    uint64_t reserved[16];
};

/* Makes the dispatcher if it is not there, else changes what is given. Durable on return, with who
 * did it: USER@HOST of this process. BERTH_ENOTFOUND: no such parent, or it is not there and no
 * limit is given; BERTH_EVALUE: a value is not allowed. `ret_dispatcher` NULL allowed. */
int berth_dispatcher_set(struct berth_client *client, const char *name,
                         const struct berth_dispatcher_settings *settings,
                         struct berth_dispatcher **ret_dispatcher, int64_t timeout_ms,
                         struct berth_error *err);

/* Stops giving out its jobs / goes on. What runs is not touched. */
int berth_dispatcher_pause(struct berth_client *client, const char *name, int64_t timeout_ms,
                           struct berth_error *err);
int berth_dispatcher_resume(struct berth_client *client, const char *name, int64_t timeout_ms,
                            struct berth_error *err);

/* Cancels all its jobs that wait (scheduled, ready, retrying), as berth_job_cancel does, those that
 * come meanwhile left out. Goes on until all is done; if it ends before, what was cancelled stays
 * so. `ret_count` (NULL allowed), written in any case: how many. BERTH_ENOTFOUND: no such
 * dispatcher. */
int berth_dispatcher_purge(struct berth_client *client, const char *name, uint64_t *ret_count,
                           int64_t timeout_ms, struct berth_error *err);

/* Removes it, with its ended jobs. A new one may have its name. BERTH_ENOTFOUND: no such
 * dispatcher, at the first asking (if the broker's answer was lost and it had to be asked again, 0:
 * it is not there any more); BERTH_ECONFLICT: it has live jobs, or children, or a schedule submits
 * to it, or it is built in. */
int berth_dispatcher_remove(struct berth_client *client, const char *name, int64_t timeout_ms,
                            struct berth_error *err);

/* A worker, as the broker knows it. */
struct berth_worker_info {
    uint64_t session;
    const char *name;
    const char *state;           /* joined alone draining silent recovering lost gone */
    const char *software;        /* "berth-worker 0.1.0" */
    const char *const *handlers; /* ended by NULL; "exec" if it allows commands */
    size_t handlers_count;
    uint32_t capacity, running, cores;
    int64_t silent_ms;     /* since it was last heard */
    int64_t lease_left_ms; /* until it is taken for lost */
    uint32_t held;         /* lost: attempts that it may still run, which keep their slots */
    uint32_t suspended; /* attempts that wait for children or a time: not among the running, and not
                           counted in the capacity as far as the worker has offered that */
};

/* As berth_dispatcher_list. */
int berth_worker_list(struct berth_client *client,
                      int (*each)(void *arg, const struct berth_worker_info *worker), void *arg,
                      int64_t timeout_ms, struct berth_error *err);

/* An operator's word that what is left of this worker cannot run any more: its host is off, or
 * destroyed. Its sessions that are silent, or have not come back since the broker's start, end at
 * once, and what they ran is given to others: if it still runs, it runs twice. `each` (NULL
 * allowed) is called for each session, as in berth_worker_list, with the state "gone"; `running` is
 * how many attempts it had, as far as is known.
 *
 * Returns how many sessions have ended, durably. BERTH_ENOTFOUND: no such worker; BERTH_ECONFLICT:
 * it is connected. */
int berth_worker_gone(struct berth_client *client, const char *name,
                      int (*each)(void *arg, const struct berth_worker_info *worker), void *arg,
                      int64_t timeout_ms, struct berth_error *err);

/* A snapshot. We allocate it, so it may grow at its end. */
struct berth_broker_status {
    const char *software; /* "berthd 0.1.0" */
    uint32_t epoch;       /* counts the broker's starts */
    int64_t uptime_ms;
    uint32_t
        recovering; /* workers that have not come back since the start; 0: slots are given out */
    int64_t recovery_left_ms;
    uint64_t scheduled, ready, running, cancelling, retrying; /* jobs */
    uint64_t completed, dead, cancelled;                      /* kept in the history */
    uint64_t wal_bytes;     /* of the database's write-ahead log */
    uint64_t stale_reports; /* refused, because another attempt had taken over */
    uint64_t workers;
    uint64_t suspended; /* jobs, which are not among the running */
};

void berth_broker_status_free(struct berth_broker_status *status); /* NULL is fine */

int berth_broker_status(struct berth_client *client, struct berth_broker_status **ret_status,
                        int64_t timeout_ms, struct berth_error *err);

#ifdef __cplusplus
}
#endif
