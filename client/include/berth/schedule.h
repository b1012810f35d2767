/* SPDX-License-Identifier: MIT
 *
 * The client library, for recurring jobs: a schedule submits a job at each instant of a cron
 * expression, by the clock of a time zone. Public. Results, time, threads and options are as in
 * <berth/client.h>.
 */
#pragma once

#include <berth/client.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What becomes of an instant while the last job has not ended. 0: as it is; of a new one: skip. */
enum berth_schedule_overlap {
    BERTH_OVERLAP_SKIP = 1, /* it passes */
    BERTH_OVERLAP_QUEUE,    /* it has its job all the same */
};

/* What becomes of instants that are noticed more than a minute late, as after an outage. 0: as it
 * is; of a new one: one. */
enum berth_schedule_catch_up {
    BERTH_CATCH_UP_ONE = 1, /* the first of them is dealt with, the others pass */
    BERTH_CATCH_UP_NONE,    /* all pass */
    BERTH_CATCH_UP_ALL,     /* the first 1,000 are dealt with, in order */
};

enum berth_schedule_fate {
    BERTH_FATE_NONE = 0,
    BERTH_FATE_FIRED,   /* it has a job */
    BERTH_FATE_SKIPPED, /* the last job had not ended */
    BERTH_FATE_REFUSED, /* as a submit would have been */
};

/* A snapshot. We allocate it, so it may grow at its end. */
struct berth_schedule {
    const char *name;
    const char *cron, *tz;
    enum berth_schedule_overlap overlap;
    enum berth_schedule_catch_up catch_up;
    bool is_paused;
    struct berth_job_spec job; /* its handler is "exec" for a command; texts are "" or NULL if there
                                  is none */
    int64_t next_unix_us;      /* the next instant; 0: none, or it is paused */
    int64_t last_unix_us;      /* the last one that did not pass unseen; 0: none */
    enum berth_schedule_fate last_fate; /* of that one */
    berth_job_id last_job;              /* of the last instant that has one; 0: none */
    const char *last_message;           /* why it was refused; "": it was not */
    int64_t changed_unix_us;            /* when it was made or changed last */
    const char *changed_by;             /* "USER@HOST"; "": not known */
};

void berth_schedule_free(struct berth_schedule *schedule); /* NULL is fine */

/* Zero: as it is. */
struct berth_schedule_settings {
    const char *cron; /* "0 3 * * *", "@daily"; a new one needs it */
    const char *tz;   /* "Europe/Berlin", as the broker's host knows it; a new one: "UTC" */
    enum berth_schedule_overlap overlap;
    enum berth_schedule_catch_up catch_up;
    /* What is submitted, as a whole; a new one needs it. Without idempotency_key, run_at_unix_us,
     * after, has_array_index and line: a job that recurs has its instants. */
    const struct berth_job_spec *job;
    uint64_t reserved[8];
};

/* Makes the schedule if it is not there, else changes what is given. Durable on return. Another
 * expression or zone begins anew: instants until now pass. BERTH_ENOTFOUND: no such dispatcher, or
 * a new one lacks something; BERTH_EVALUE: what is given is not allowed. `ret_schedule` NULL
 * allowed. */
int berth_schedule_set(struct berth_client *client, const char *name,
                       const struct berth_schedule_settings *settings,
                       struct berth_schedule **ret_schedule, int64_t timeout_ms,
                       struct berth_error *err);

/* BERTH_ENOTFOUND: no such schedule. */
int berth_schedule_get(struct berth_client *client, const char *name,
                       struct berth_schedule **ret_schedule, int64_t timeout_ms,
                       struct berth_error *err);

/* In the order in which they were made, page by page. The schedule is borrowed for the call; a
 * negative from `each` ends the list and is its result. */
int berth_schedule_list(struct berth_client *client,
                        int (*each)(void *arg, const struct berth_schedule *schedule), void *arg,
                        int64_t timeout_ms, struct berth_error *err);

/* Instants pass / count again, from now on. */
int berth_schedule_pause(struct berth_client *client, const char *name, int64_t timeout_ms,
                         struct berth_error *err);
int berth_schedule_resume(struct berth_client *client, const char *name, int64_t timeout_ms,
                          struct berth_error *err);

/* Its jobs stay. BERTH_ENOTFOUND: no such schedule, at the first asking (if the broker's answer was
 * lost and it had to be asked again, 0: it is not there any more). */
int berth_schedule_remove(struct berth_client *client, const char *name, int64_t timeout_ms,
                          struct berth_error *err);

#ifdef __cplusplus
}
#endif
