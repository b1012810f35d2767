/* SPDX-License-Identifier: MIT
 *
 * The client library: why jobs wait. Public. Calls are as in <berth/client.h>.
 */
#pragma once

#include <berth/client.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What jobs wait for. Texts are "" and numbers 0 where there is nothing to say. */
struct berth_cause {
    const char *kind;   /* time retry after pause recovery group slots rate handler workers starting
                           stopping held alone suspended place children other; more may come */
    const char *reason; /* one sentence, as berth_job.reason of `job` */
    uint64_t count;     /* jobs that wait for it */
    berth_job_id job;   /* one of them */
    const char *at;     /* the dispatcher that lacks something: itself, or one above it */
    const char *group, *handler;
    const char *worker;     /* that is missing, lost, does not answer, or is full */
    uint64_t in_use, limit; /* of slots, or of places of the group or the worker */
    int64_t since_unix_us;  /* the one that waits longest */
    int64_t next_unix_us;   /* when the next one may go on */
    berth_job_id awaited;   /* the job that must complete */
};

/* The limits of a dispatcher that are in force. */
struct berth_limit_in_force {
    const char *name;
    bool has_limit;
    uint64_t limit, in_use; /* slots */
    bool is_paused;
    uint32_t rate_count, burst; /* rate_count 0: no rate */
    int64_t rate_ms;
    int64_t token_wait_ms;            /* until the next token */
    uint32_t group_limit, max_queued; /* 0: none */
    uint64_t queued;
};

/* An attempt that has a slot. */
struct berth_slot_holder {
    berth_job_id job;
    uint32_t attempt;
    const char *dispatcher, *worker;
    int64_t since_unix_us;
    bool is_held; /* its worker is lost, and not proven gone */
};

struct berth_full_group {
    const char *name;
    uint64_t in_use;
};

/* A snapshot. We allocate it, so it may grow at its end. */
struct berth_explanation {
    berth_job_id id; /* 0: of a dispatcher */
    const char *dispatcher;
    enum berth_state state;           /* of the job */
    const struct berth_cause *causes; /* of a job that waits one; of a dispatcher each there is */
    size_t causes_count;
    uint64_t more;                             /* jobs whose cause is not among them */
    const struct berth_limit_in_force *limits; /* the dispatcher, then those above it */
    size_t limits_count;
    /* Who has the slots that are missing, or the places of the group; of a dispatcher, its slots;
     * of a job that runs, its own. The oldest first, at most 20, of `holders_sum`. */
    const struct berth_slot_holder *holders;
    size_t holders_count;
    uint64_t holders_sum;
    const struct berth_full_group *groups; /* of a dispatcher: some of `groups_sum` */
    size_t groups_count;
    uint64_t groups_sum;
};

void berth_explanation_free(struct berth_explanation *explanation); /* NULL is fine */

/* BERTH_ENOTFOUND: no such job. One that has ended has its state, and nothing else to say. */
int berth_job_explain(struct berth_client *client, berth_job_id id,
                      struct berth_explanation **ret_explanation, int64_t timeout_ms,
                      struct berth_error *err);

/* All that wait in it, added up. BERTH_ENOTFOUND: no such dispatcher. */
int berth_dispatcher_explain(struct berth_client *client, const char *name,
                             struct berth_explanation **ret_explanation, int64_t timeout_ms,
                             struct berth_error *err);

#ifdef __cplusplus
}
#endif
