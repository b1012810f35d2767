/* SPDX-License-Identifier: MIT */
/* What the broker answered, as plain structs, and what we ask, as frames: all that the client knows
 * of the wire. translate.c does it; nobody else sees a generated name.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <berth/admin.h>
#include <berth/client.h>
#include <berth/explain.h>
#include <berth/schedule.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/list.h"

#define BERTH_CLIENT_ID_BYTES 16
#define BERTH_HELLO_NUMBER    UINT64_MAX /* requests are counted from 1 */

enum berth_answer_type {
    BERTH_ANSWER_ERROR = 1,
    BERTH_ANSWER_WELCOME,
    BERTH_ANSWER_SUBMITTED,
    BERTH_ANSWER_WAITED,
    BERTH_ANSWER_CANCELLED,
    BERTH_ANSWER_CHANGED,
    BERTH_ANSWER_PURGED,
    BERTH_ANSWER_REMOVED,
    BERTH_ANSWER_EXPLAINED,
    BERTH_ANSWER_JOBS,
    BERTH_ANSWER_OUTPUT,
    BERTH_ANSWER_DISPATCHERS,
    BERTH_ANSWER_WORKERS,
    BERTH_ANSWER_STATUS,
    BERTH_ANSWER_SCHEDULES,
};

struct berth_refusal {
    size_t index; /* of the job in its batch */
    int rc;
    const char *message;
};

struct berth_job_end {
    berth_job_id id;
    enum berth_state state;
};

/* What came of retrying or discarding a job. */
struct berth_job_change {
    berth_job_id id;
    int rc;
    enum berth_state state; /* before that; 0: not known */
    berth_job_id other;     /* the live job that has its unique key */
};

/* One answer. Everything in it lives in its arena. */
struct berth_answer {
    struct berth_list_node node; /* its owner's */
    struct berth_arena arena;
    uint64_t number; /* of the request; 0: of none */
    enum berth_answer_type type;
    union {
        struct berth_error error;
        struct {
            const struct berth_submitted *jobs;
            size_t count;
            const struct berth_refusal *refusals; /* in order of index */
            size_t refusals_count;
        } submitted;
        struct {
            const struct berth_job_end *ends;
            size_t count;
            const uint64_t *unknown;
            size_t unknown_count;
            uint32_t pending;
        } waited;
        struct {
            int rc; /* of the only one that was asked for; 0, -EALREADY, BERTH_ENOTFOUND */
            enum berth_state state;
        } cancelled;
        struct {
            struct berth_job_change *items;
            size_t count;
        } changed;
        struct {
            uint32_t count;
            uint64_t below, cursor; /* for the next part; cursor 0: that was all */
        } purged;
        struct {
            const struct berth_job *items;
            size_t count, unknown_count;
            berth_job_id next; /* `after` of the next page; 0: this was the last */
        } jobs;
        struct {
            enum berth_state state;
            uint32_t attempt; /* begun; what follows is of this one */
            bool is_over;     /* it has ended, and its result says more */
            uint64_t out_from, err_from;
            struct berth_slice out, err;
        } output;
        struct {
            const struct berth_dispatcher *items;
            size_t count;
        } dispatchers;
        struct {
            const struct berth_worker_info *items;
            size_t count;
        } workers;
        struct berth_broker_status status;
        struct berth_explanation explained;
        struct {
            const struct berth_schedule *items;
            size_t count;
            uint32_t next; /* `after` of the next page; 0: this was the last */
        } schedules;
    };
};

/* Reads a frame. 0; BERTH_EPROTO, BERTH_EVERSION, -EMSGSIZE: it makes no sense, and `*ret_number`
 * is the request that it answers as far as that can be told, else 0; -ENOMEM. */
int berth_answer_read(struct berth_slice frame, struct berth_answer **ret_answer,
                      uint64_t *ret_number, struct berth_error *err);
/* One that says just that; NULL: no memory. */
struct berth_answer *berth_answer_of_error(uint64_t number, const struct berth_error *err);
void berth_answer_free(struct berth_answer *answer); /* NULL is fine */
BERTH_AUTO_DEFINE(berth_answer);

/* The one job of an answer to a get, which owns the answer from then on; see berth_job_get(). */
int berth_job_of_answer(struct berth_answer **answer, berth_job_id id, struct berth_job **ret_job,
                        struct berth_error *err);
/* BERTH_ENOTFOUND, and a sentence. */
int berth_job_unknown(berth_job_id id, struct berth_error *err);

/* 0; BERTH_EVALUE or -EMSGSIZE: no job can be described so. The body is checked when it is packed.
 */
int berth_spec_check(const struct berth_job_spec *spec, struct berth_error *err);

/* Appends the packed body of a job. 0, or BERTH_EVALUE, -EMSGSIZE or -ENOMEM with a sentence. */
int berth_pack_body(const struct berth_job_spec *spec, struct berth_buf *bodies,
                    struct berth_error *err);

/* Some jobs of one Submit: specs, and their bodies as packed by berth_pack_body. */
struct berth_pack_jobs {
    const struct berth_job_spec *specs;
    const uint32_t *body_bytes;
    size_t count;
    struct berth_slice bodies;
};

/* Each appends one whole frame to `frame`. 0, -EMSGSIZE or -ENOMEM. All values were checked. */
int berth_pack_hello(const uint8_t client[static BERTH_CLIENT_ID_BYTES], struct berth_buf *frame);
/* The parts one after the other; together at most BERTH_SUBMIT_JOBS_MAX jobs, and
 * BERTH_PACK_NAMES_MAX different names of dispatchers, and as many of handlers. */
#define BERTH_PACK_NAMES_MAX 1024
int berth_pack_submit(const uint8_t client[static BERTH_CLIENT_ID_BYTES], uint64_t number,
                      const struct berth_pack_jobs *parts, size_t parts_count,
                      struct berth_buf *frame);
/* The same jobs as a packed Submit of children: without the envelope, the client, and keys. */
int berth_pack_children(const struct berth_pack_jobs *jobs, struct berth_buf *submit);
int berth_pack_wait(uint64_t number, const berth_job_id *ids, size_t count,
                    struct berth_buf *frame);
int berth_pack_cancel(uint64_t number, berth_job_id id, bool is_forced, struct berth_buf *frame);
int berth_pack_get(uint64_t number, berth_job_id id, struct berth_buf *frame);
/* translate_dead.c */
int berth_pack_retry(uint64_t number, const uint64_t *ids, size_t count, struct berth_buf *frame);
int berth_pack_discard(uint64_t number, const uint64_t *ids, size_t count, struct berth_buf *frame);
int berth_pack_purge(uint64_t number, const char *name, uint64_t below, uint64_t cursor,
                     struct berth_buf *frame);
int berth_pack_explain(uint64_t number, berth_job_id id, const char *dispatcher,
                       struct berth_buf *frame); /* translate_explain.c */
int berth_pack_remove(uint64_t number, const char *name, struct berth_buf *frame);
/* What is known already of the output of a job. */
struct berth_output_place {
    berth_job_id id;
    uint32_t attempt;
    uint64_t out_from, err_from;
};
int berth_pack_output(uint64_t number, const struct berth_output_place *place,
                      struct berth_buf *frame);
int berth_pack_list(uint64_t number, const struct berth_job_filter *filter,
                    struct berth_buf *frame);
int berth_pack_dispatchers(uint64_t number, const char *name,
                           struct berth_buf *frame); /* NULL: all */
int berth_pack_dispatcher_set(uint64_t number, const char *name,
                              const struct berth_dispatcher_settings *settings,
                              const char *changed_by, struct berth_buf *frame);
int berth_pack_dispatcher_pause(uint64_t number, const char *name, bool is_paused,
                                const char *changed_by, struct berth_buf *frame);
int berth_pack_workers(uint64_t number, struct berth_buf *frame);
int berth_pack_worker_gone(uint64_t number, const char *name, struct berth_buf *frame);
int berth_pack_status(uint64_t number, struct berth_buf *frame);

/* translate_schedule.c, but for the first, which needs the columns of a submit. */
struct berth_pack_schedule {
    const char *name, *changed_by;
    const struct berth_schedule_settings *settings;
    struct berth_pack_jobs job; /* of count 0: none */
};
int berth_pack_schedule_set(uint64_t number, const struct berth_pack_schedule *set,
                            struct berth_buf *frame);
int berth_pack_schedule_pause(uint64_t number, const char *name, bool is_paused,
                              const char *changed_by, struct berth_buf *frame);
int berth_pack_schedule_remove(uint64_t number, const char *name, struct berth_buf *frame);
int berth_pack_schedules(uint64_t number, const char *name, uint32_t after,
                         struct berth_buf *frame); /* NULL: all */
