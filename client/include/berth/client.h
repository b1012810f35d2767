/* SPDX-License-Identifier: MIT
 *
 * The client library: submit jobs, wait for them, look at them, cancel them. Public.
 *
 * Threads: any call, from any thread, at any time, on one client; but berth_client_close: nobody
 * else may be inside. There is no thread of its own (libzmq's apart): of the threads that wait, one
 * drives the socket for all, and jobs that others submit meanwhile leave as one batch. After a fork
 * open a new client.
 *
 * Results: 0 or a useful positive number is success; failure is -errno or a BERTH_E... code, and
 * `err` (NULL allowed) gets the sentence for a person. `ret_...` is written only on success, if not
 * said otherwise.
 *
 * Time: `timeout_ms` is for the whole call: connecting, reconnecting, sending again. 0: try and do
 * not wait, which no answer can meet; INT64_MAX: for ever. When it is over:
 *     -ETIMEDOUT       nothing has happened
 *     BERTH_EUNKNOWN   it may have happened: the request was sent, and no answer came. Submit again
 *                      with the same idempotency_key (which must then have been your own); a cancel
 *                      may simply be repeated. A submit that was sent ends so after 9 minutes,
 *                      whatever its timeout_ms: no broker remembers longer that it had it
 *     -EHOSTUNREACH    only with `unreachable_ms`: the broker was not heard for so long (or
 *                      BERTH_EUNKNOWN, as above)
 * Other failures that any call may have: BERTH_EVERSION (the broker speaks another protocol),
 * BERTH_EPROTO (its answer makes no sense), BERTH_ELATER, BERTH_EFULL (it has no room now: disk,
 * memory, live jobs), BERTH_EDENIED (it says so), -EAGAIN (pending_max is reached), -ENOMEM.
 *
 * Options: zero is every member's default; write designated initialisers. `reserved` must be zero.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <berth/error.h>
#include <berth/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define BERTH_URL_DEFAULT       "tcp://127.0.0.1:7411"
#define BERTH_SUBMIT_JOBS_MAX   10000      /* specs of one berth_submit_many */
#define BERTH_PAYLOAD_BYTES_MAX (1u << 20) /* of one job */
#define BERTH_IDS_MAX           10000      /* of one berth_job_wait_many */
#define BERTH_JOB_AFTER_MAX     1000       /* jobs that one job waits for */

struct berth_client;

struct berth_client_opts {
    const char *url;        /* NULL: $BERTH_URL, else BERTH_URL_DEFAULT */
    size_t pending_max;     /* unanswered requests; 0: 65,536; beyond it: -EAGAIN */
    int64_t unreachable_ms; /* end a call when the broker was not heard for so long; 0: never */
    uint64_t reserved[8];
};

/* Never waits for the broker: it may start later. `opts` NULL allowed. BERTH_EVALUE: the URL is
 * malformed. */
int berth_client_open(const struct berth_client_opts *opts, struct berth_client **ret_client,
                      struct berth_error *err);

/* NULL is fine. Nobody else may be inside. */
void berth_client_close(struct berth_client *client);

/* What a submit does when a live job has its unique key. */
enum berth_unique_conflict {
    BERTH_UNIQUE_REJECT = 0, /* BERTH_ECONFLICT */
    BERTH_UNIQUE_EXISTING,   /* the id of that job */
};

/* What is to be done. Borrowed until the call returns. */
struct berth_job_spec {
    const char *dispatcher;      /* NULL: "default" */
    const char *handler;         /* one of the two: the name of a handler, */
    const char *const *command;  /* or argv of an executable, ended by NULL */
    struct berth_slice payload;  /* opaque; of a command: its stdin. BERTH_PAYLOAD_BYTES_MAX, else
                                    -EMSGSIZE */
    const char *idempotency_key; /* same key and job: the same id; another job: BERTH_ECONFLICT.
                                    NULL: none, and this call still submits it at most once */
    const struct berth_field *context; /* traceparent, tenant, fields of log lines */
    size_t context_count;
    int64_t timeout_ms;     /* of one attempt; 0: the dispatcher's */
    uint32_t max_attempts;  /* 0: the dispatcher's */
    int32_t priority;       /* -100 .. 100, higher first */
    int64_t delay_ms;       /* not before that much later; only one of the two: */
    int64_t run_at_unix_us; /* not before this time, of the broker's clock; 0: at once */
    const char *group;      /* 1 to 255 bytes of UTF-8; NULL: none */
    int64_t queue_timeout_ms, deadline_ms; /* ready at most so long, ended so long after the submit;
                                              0: the dispatcher's */
    int64_t backoff_ms, backoff_ms_max;    /* 0: the dispatcher's */
    const char *unique;                    /* a key that one live job may have; NULL: none */
    enum berth_unique_conflict on_conflict; /* beside `unique` */
    const berth_job_id *after; /* jobs that must have completed; at most BERTH_JOB_AFTER_MAX */
    size_t after_count;
    bool has_array_index; /* it is one of an array: a command has BERTH_ARRAY_INDEX */
    uint64_t array_index; /* below 2^53 */
    const char *line; /* it is one of many lines: a command has BERTH_LINE, of at most 64 KiB; NULL:
                         it is not */
    uint64_t reserved[16];
};

/* Returns when the job is durable. BERTH_EVALUE or -EMSGSIZE: the spec is malformed, and nothing
 * was sent; BERTH_ENOTFOUND: no such dispatcher, or a job to wait for that is not known;
 * BERTH_ECONFLICT; BERTH_ELIMIT: as many are queued as max_queued allows; BERTH_EFULL;
 * BERTH_ELATER: too many submits wait to have ended jobs looked up.
 */
int berth_submit(struct berth_client *client, const struct berth_job_spec *spec,
                 berth_job_id *ret_id, int64_t timeout_ms, struct berth_error *err);

struct berth_submitted {
    berth_job_id id;  /* 0: not taken, or not known */
    int rc;           /* 0, or why not */
    bool is_existing; /* found by its idempotency key, or by its unique key */
};

/* Not a transaction: fills `ret_submitted`, one for each spec in their order, whatever it returns,
 * unless a spec is malformed, which is found before anything is sent (`err` names it by its index,
 * from 0). Returns how many are now durable; if that is not all, `err` has the reason of the first
 * that is not; if it is none, that reason is the result. `count`: 1 .. BERTH_SUBMIT_JOBS_MAX, else
 * -E2BIG. */
int berth_submit_many(struct berth_client *client, const struct berth_job_spec *specs, size_t count,
                      struct berth_submitted *ret_submitted, int64_t timeout_ms,
                      struct berth_error *err);

/* A snapshot. We allocate it, so it may grow at its end. Texts are "" when there is none, times 0.
 */
struct berth_job {
    berth_job_id id, parent;
    enum berth_state state;
    uint32_t attempt; /* begun so far */
    uint32_t max_attempts;
    int32_t priority;
    const char *dispatcher;
    const char *handler;        /* "exec" for a command */
    const char *const *command; /* argv, ended by NULL; NULL if it is none, and in lists */
    const char *idempotency_key, *group;
    const char *worker; /* of the last attempt */
    const char *reason; /* why it is as it is */
    const char *error_kind, *error_message;
    struct berth_slice payload; /* as submitted; not in lists */
    const struct berth_field *context;
    size_t context_count;
    bool has_result; /* the last attempt that reported left what follows; not in lists */
    bool has_exit_code;
    int32_t exit_code; /* 128+n for signal n, 127 not found, 126 not executable */
    struct berth_slice out, err;
    bool is_out_truncated, is_err_truncated;
    struct berth_slice result; /* the handler's own */
    int64_t submitted_unix_us, run_at_unix_us, started_unix_us, finished_unix_us;
    bool has_array_index; /* these four are not in lists */
    uint64_t array_index;
    bool has_line;
    const char *line;
    int64_t deadline_unix_us;                             /* not later; 0: none */
    int64_t queue_timeout_ms, backoff_ms, backoff_ms_max; /* 0: the dispatcher's */
    const char *unique;
    const berth_job_id *after; /* NULL if there is none */
    size_t after_count;
    bool has_progress; /* the attempt that runs, or the last one, has said how far it is: */
    uint64_t progress_done, progress_total; /* total 0: not known */
    uint64_t out_offset, err_offset;        /* so many bytes came before `out`, and `err` */
};

void berth_job_free(struct berth_job *job); /* NULL is fine */

/* "completed"; static text, "unknown" for a number that is none. */
const char *berth_state_name(enum berth_state state);

/* BERTH_ENOTFOUND: no such job. */
int berth_job_get(struct berth_client *client, berth_job_id id, struct berth_job **ret_job,
                  int64_t timeout_ms, struct berth_error *err);

/* 0: it has ended, in any state. `ret_job` NULL allowed. */
int berth_job_wait(struct berth_client *client, berth_job_id id, struct berth_job **ret_job,
                   int64_t timeout_ms, struct berth_error *err);

/* Waits until all have ended, and says of each when it does: `each` is called once for each id (one
 * given twice is one), from inside this call, and may itself use the client. Negative from `each`
 * ends the wait and is its result. BERTH_ENOTFOUND: one of them is not known, said before any end;
 * `err` names it. -E2BIG: more than BERTH_IDS_MAX. */
int berth_job_wait_many(struct berth_client *client, const berth_job_id *ids, size_t count,
                        int (*each)(void *arg, berth_job_id id, enum berth_state state), void *arg,
                        int64_t timeout_ms, struct berth_error *err);

/* A piece of what a command writes. */
struct berth_output {
    uint32_t attempt; /* from 1; after a failed one comes the next */
    bool is_err;      /* of stderr, else of stdout */
    uint64_t offset;  /* of the first byte in the attempt's stream */
    uint64_t skipped; /* so many bytes in front of it are not kept any more, and were not given */
    struct berth_slice bytes;
};

/* What a command has written: of the attempt that runs as far as the broker has it (the last 64 KiB
 * of each stream, some tenths of a second behind), else what the last attempt left. Each byte is
 * given once, in order within its stream. If `is_followed`, goes on until the job has ended, also
 * over restarts of the broker and into further attempts.
 *
 * `each` is called from inside this call and may itself use the client; a negative from it ends the
 * call and is its result. `ret_state` (NULL allowed): as it was in the end. BERTH_ENOTFOUND: no
 * such job. */
int berth_job_logs(struct berth_client *client, berth_job_id id, bool is_followed,
                   int (*each)(void *arg, const struct berth_output *output), void *arg,
                   enum berth_state *ret_state, int64_t timeout_ms, struct berth_error *err);

/* 0: the cancel is durable. A job that waits has then ended; one that runs is being told.
 * -EALREADY: it had ended. */
int berth_job_cancel(struct berth_client *client, berth_job_id id, int64_t timeout_ms,
                     struct berth_error *err);

/* The same, and by force: if it runs, and does not end within its grace, the process that runs it
 * is ended. What else runs there is lost, and runs again, unspent. A restart of the broker forgets
 * the force, not the cancel. */
int berth_job_cancel_force(struct berth_client *client, berth_job_id id, int64_t timeout_ms,
                           struct berth_error *err);

/* 0: a dead or cancelled job lives again, durably: under its own id, ready at once, with as many
 * tries as it came with. What it waited for counts no longer, a deadline begins anew, and it is
 * nobody's child. -EALREADY: it lives; BERTH_ECONFLICT: it has completed, or another live job has
 * its unique key; BERTH_ENOTFOUND; BERTH_EFULL. */
int berth_job_retry(struct berth_client *client, berth_job_id id, int64_t timeout_ms,
                    struct berth_error *err);

/* 0: a dead job is forgotten, durably. A repeat of its submit under the same key is still known.
 * BERTH_ECONFLICT: it is not dead; BERTH_ENOTFOUND. */
int berth_job_discard(struct berth_client *client, berth_job_id id, int64_t timeout_ms,
                      struct berth_error *err);

/* The same for all dead jobs of a dispatcher, those that die meanwhile left out. `each` (NULL
 * allowed) is called for each of them with what came of it: 0, or why not, with a sentence; one
 * that somebody else was faster with is left out. It is called from inside this call and may itself
 * use the client; a negative from it ends the call and is its result. Returns 0, or what ended it;
 * `ret_count` (NULL allowed), written in any case: how many were done. */
struct berth_job_outcome {
    berth_job_id id;
    int rc;
    const char *message; /* "" if rc is 0 */
};
int berth_job_retry_dead(struct berth_client *client, const char *dispatcher,
                         int (*each)(void *arg, const struct berth_job_outcome *outcome), void *arg,
                         uint64_t *ret_count, int64_t timeout_ms, struct berth_error *err);
int berth_job_discard_dead(struct berth_client *client, const char *dispatcher,
                           int (*each)(void *arg, const struct berth_job_outcome *outcome),
                           void *arg, uint64_t *ret_count, int64_t timeout_ms,
                           struct berth_error *err);

struct berth_job_filter {
    const char *dispatcher; /* NULL: all */
    berth_job_id after;     /* only those beyond it, in the direction of the order */
    size_t count_max;       /* 0: no limit */
    enum berth_state state; /* 0: all */
    bool is_newest_first;
    bool with_bodies; /* also command, payload, context and result, which are empty without it */
    uint64_t reserved[8];
};

/* Calls `each` for each job, in order of id; fetches page after page by itself. `filter` NULL: all.
 * The job is borrowed for the call, which comes from inside this one and may itself use the client.
 * A negative from `each` ends the list and is its result. `timeout_ms` is for all pages together.
 */
int berth_job_list(struct berth_client *client, const struct berth_job_filter *filter,
                   int (*each)(void *arg, const struct berth_job *job), void *arg,
                   int64_t timeout_ms, struct berth_error *err);

#ifdef __cplusplus
}
#endif
