/* SPDX-License-Identifier: MIT */
/* A question that the store is asked, from the inside: what query.c shares with query_list.c. */
#pragma once

#include "query.h"

#define ROWS_MAX 1000 /* of one answer (proto/limits.h), and of one page of the store */

enum query_type {
    QUERY_GET = 1,
    QUERY_LIST,
    QUERY_WAIT,
    QUERY_CANCEL,
    QUERY_RETRY,
    QUERY_DISCARD,
    QUERY_EXPLAIN,
    QUERY_SUBMIT,
    QUERY_DISPATCHERS,
    QUERY_STATUS,
    QUERY_BODY,
    QUERY_CHILDREN,
};

struct query {
    struct berth_map_node by_number;
    enum query_type type;
    uint64_t peer, request;
    uint32_t tries; /* since it last got further */
    uint64_t *ids;
    size_t count;
    /* WAIT, CANCEL, SUBMIT: the store is asked about the ids that are not live. */
    enum berth_state *ended; /* for each id: how it ended, NOT_THERE, or 0: live or not asked yet */
    uint32_t *asked;         /* what is under way: indices into ids */
    size_t asked_count;
    /* LIST; of running jobs `ids` are those of the page. */
    struct berth_ev_job_list list;
    uint32_t dispatcher;       /* LIST, DISPATCHERS; 0: all */
    uint64_t attempt;          /* BODY, CHILDREN */
    bool is_forced;            /* CANCEL */
    struct deferred *deferred; /* SUBMIT */
};

static inline bool is_live_state(enum berth_state state)
{
    return state != 0 && state < BERTH_COMPLETED;
}

/* The answer of the store is bounded in bytes: it left out the body or the result. */
static inline bool is_cut(const struct berth_job_record *row)
{
    return (row->body.bytes && !row->body.data) ||
           (row->last.result.bytes && !row->last.result.data);
}

/* With a copy of `ids`. NULL: too many, or no memory; then query_too_many() says so. */
struct query *query_new(struct berth_core *core, enum query_type type, uint64_t peer,
                        uint64_t request, const uint64_t *ids, size_t count);
void query_free(struct berth_core *core, struct query *query);
void query_too_many(struct berth_core *core, uint64_t peer, uint64_t request);
/* Asks the store for these jobs. The ids are the query's or the step's. */
void query_ask_jobs(struct berth_core *core, const struct query *query, const uint64_t *ids,
                    size_t count);

/* query_list.c: asks the store for the page; the page is here. */
void query_ask_list(struct berth_core *core, const struct query *query);
void query_answer_list(struct berth_core *core, const struct query *query,
                       const struct berth_ev_read *read);
