/* SPDX-License-Identifier: MIT */
#include "question.h"

#include "broker/core/dispatcher/dispatcher.h"
#include "broker/core/life/cancel.h"
#include "broker/core/life/ended.h"
#include "broker/core/match/match.h"
#include "broker/core/scope/children.h"
#include "broker/core/step.h"
#include "broker/core/submit/deferred.h"
#include "explain.h"
#include "view.h"
#include "wait.h"

#define TRIES_MAX 3 /* how often a question is put that gets no further */
#define NOT_THERE ((enum berth_state)UINT8_MAX)

static bool is_outdated(const struct berth_core *core, const struct berth_job_record *row);

/* ---- one job, or several ---- */

static void start_rows(struct berth_core *core, enum query_type type,
                       const struct berth_ev_ids *ids, size_t count)
{
    struct query *query = query_new(core, type, ids->peer, ids->request, ids->ids, count);
    if (query)
        query_ask_jobs(core, query, query->ids, query->count);
    else
        query_too_many(core, ids->peer, ids->request);
}

/* What does not fit into one answer is asked for again. */
void query_on_get(struct berth_core *core, const struct berth_ev_ids *ids)
{
    start_rows(core, QUERY_GET, ids, ids->count < ROWS_MAX ? ids->count : ROWS_MAX);
}

void query_on_retry(struct berth_core *core, const struct berth_ev_ids *ids)
{
    start_rows(core, QUERY_RETRY, ids, ids->count);
}

void query_on_discard(struct berth_core *core, const struct berth_ev_ids *ids)
{
    start_rows(core, QUERY_DISCARD, ids, ids->count);
}

void query_explain(struct berth_core *core, const struct berth_ev_ids *ids)
{
    start_rows(core, QUERY_EXPLAIN, ids, 1);
}

/* An id that is asked for twice in a row may have one row. */
const struct berth_job_record *query_next_row(const struct berth_ev_read *read, size_t *row,
                                              uint64_t id)
{
    if (*row < read->job_count && read->jobs[*row].id == id)
        return &read->jobs[(*row)++];
    return *row > 0 && read->jobs[*row - 1].id == id ? &read->jobs[*row - 1] : NULL;
}

static void answer_get(struct berth_core *core, const struct query *query,
                       const struct berth_ev_read *read)
{
    struct berth_job_view *views = step_alloc(core, query->count, sizeof *views);
    uint64_t *unknown = step_alloc(core, query->count, sizeof *unknown);
    struct berth_do_jobs jobs = { .items = views, .unknown = unknown };
    size_t row = 0;
    for (size_t i = 0; i < query->count; i++) {
        const struct berth_job_record *found = query_next_row(read, &row, query->ids[i]);
        if (!found)
            unknown[jobs.unknown_count++] = query->ids[i];
        else if (jobs.count && is_cut(found))
            break;
        else
            view_job(core, found, &views[jobs.count++]);
    }
    step_add(core, BERTH_DO_JOBS, query->peer, query->request)->jobs = jobs;
}

bool query_body(struct berth_core *core, uint64_t job, uint64_t attempt)
{
    struct query *query = query_new(core, QUERY_BODY, 0, 0, &job, 1);
    if (!query)
        return false;
    query->attempt = attempt;
    query_ask_jobs(core, query, query->ids, 1);
    return true;
}

bool query_children(struct berth_core *core, uint64_t attempt, const uint64_t *ids, size_t count)
{
    struct query *query = query_new(core, QUERY_CHILDREN, 0, 0, ids, count);
    if (!query)
        return false;
    query->attempt = attempt;
    query_ask_jobs(core, query, query->ids, count);
    return true;
}

static void answer_body(struct berth_core *core, const struct query *query,
                        const struct berth_ev_read *read)
{
    bool is_there = !read->is_failed && read->job_count && read->jobs[0].id == query->ids[0];
    match_on_body(core, query->attempt, is_there ? &read->jobs[0] : NULL);
}

/* ---- waiting and cancelling: many ids, of which the store knows those that are not live ---- */

static bool ask_ended(struct berth_core *core, struct query *query);
static void finish_many(struct berth_core *core, const struct query *query);

/* `deferred` is the query's then. */
static void start_many(struct berth_core *core, enum query_type type,
                       const struct berth_ev_ids *ids, struct deferred *deferred)
{
    struct query *query = query_new(core, type, ids->peer, ids->request, ids->ids, ids->count);
    if (query) {
        query->deferred = deferred;
        query->is_forced = ids->is_forced;
        query->ended = block_new(ids->count * sizeof *query->ended);
        query->asked = block_new(ids->count * sizeof *query->asked);
    }
    if (!query || !query->ended || !query->asked) {
        query_too_many(core, ids->peer, ids->request);
    } else if (ask_ended(core, query)) {
        return;
    } else {
        finish_many(core, query);
    }
    if (query)
        query_free(core, query);
    else
        deferred_free(core, deferred);
}

void query_on_wait(struct berth_core *core, const struct berth_ev_ids *ids)
{
    start_many(core, QUERY_WAIT, ids, NULL);
}

void query_on_cancel(struct berth_core *core, const struct berth_ev_ids *ids)
{
    start_many(core, QUERY_CANCEL, ids, NULL);
}

void query_on_deferred(struct berth_core *core, struct deferred *deferred, uint64_t peer,
                       uint64_t request, const uint64_t *ids, size_t count)
{
    start_many(
        core, QUERY_SUBMIT,
        &(struct berth_ev_ids){ .peer = peer, .request = request, .ids = ids, .count = count },
        deferred);
}

/* False: there is nothing left to ask. */
static bool ask_ended(struct berth_core *core, struct query *query)
{
    uint64_t *ids = step_alloc(core, query->count, sizeof *ids);
    query->asked_count = 0;
    for (size_t i = 0; i < query->count; i++) {
        if (query->ended[i] || job_find_known(core, query->ids[i]))
            continue;
        ids[query->asked_count] = query->ids[i];
        query->asked[query->asked_count++] = (uint32_t)i;
    }
    if (query->asked_count)
        query_ask_jobs(core, query, ids, query->asked_count);
    return query->asked_count > 0;
}

/* What the rows say of the ids that were asked about. Returns whether it got further. */
static bool take_ended(const struct berth_core *core, struct query *query,
                       const struct berth_ev_read *read)
{
    size_t row = 0;
    bool is_further = false;
    for (size_t i = 0; i < query->asked_count; i++) {
        uint32_t place = query->asked[i];
        const struct berth_job_record *found = query_next_row(read, &row, query->ids[place]);
        if (job_find_known(core, query->ids[place]) || (found && is_live_state(found->state)))
            continue; /* it lives, or ended or came to life since it was read */
        query->ended[place] = found ? found->state : NOT_THERE;
        is_further = true;
    }
    return is_further;
}

static void finish_many(struct berth_core *core, const struct query *query)
{
    enum berth_state *ended = step_alloc(core, query->count, sizeof *ended);
    for (size_t i = 0; i < query->count; i++)
        ended[i] = query->ended[i] == NOT_THERE ? 0 : query->ended[i];
    if (query->type == QUERY_SUBMIT)
        deferred_take(
            core, query->deferred,
            &(struct submit_known){ .ids = query->ids, .ended = ended, .count = query->count });
    else if (query->type == QUERY_WAIT)
        wait_begin(core, query->peer, query->request, query->ids, query->count, ended);
    else
        cancel_jobs(core,
                    &(struct berth_ev_ids){ .peer = query->peer,
                                            .request = query->request,
                                            .ids = query->ids,
                                            .count = query->count,
                                            .is_forced = query->is_forced },
                    ended);
}

/* ---- counts ---- */

static void start_counts(struct berth_core *core, enum query_type type, uint64_t peer,
                         uint64_t request, uint32_t dispatcher)
{
    struct query *query = query_new(core, type, peer, request, NULL, 0);
    if (!query) {
        query_too_many(core, peer, request);
        return;
    }
    query->dispatcher = dispatcher;
    step_add(core, BERTH_DO_READ, 0, 0)->read =
        (struct berth_do_read){ .number = query->by_number.id, .type = BERTH_DO_READ_COUNTS };
}

void query_dispatcher(struct berth_core *core, uint64_t peer, uint64_t request, uint32_t id)
{
    start_counts(core, QUERY_DISPATCHERS, peer, request, id);
}

void query_on_dispatchers(struct berth_core *core, const struct berth_ev_query *ev)
{
    const struct dispatcher *dispatcher = dispatcher_find(core, ev->name);
    if (ev->name.bytes && !dispatcher) {
        step_error(core, ev->peer, ev->request, BERTH_ENOTFOUND, "name",
                   step_text(core, "dispatcher '%.*s' does not exist", (int)ev->name.bytes,
                             (const char *)ev->name.data));
        return;
    }
    start_counts(core, QUERY_DISPATCHERS, ev->peer, ev->request,
                 dispatcher ? dispatcher->record.id : 0);
}

void query_on_status(struct berth_core *core, const struct berth_ev_query *ev)
{
    start_counts(core, QUERY_STATUS, ev->peer, ev->request, 0);
}

/* ---- the store has answered ---- */

/* The store says that it lives, but it has ended since: the next answer says how. */
static bool is_outdated(const struct berth_core *core, const struct berth_job_record *row)
{
    return is_live_state(row->state) && !job_find(core, row->id);
}

static bool has_outdated(const struct berth_core *core, const struct berth_ev_read *read)
{
    for (size_t i = 0; i < read->job_count; i++)
        if (is_outdated(core, &read->jobs[i]))
            return true;
    return false;
}

/* True: the question is put again, or what is left of it. */
static bool ask_on(struct berth_core *core, struct query *query, const struct berth_ev_read *read)
{
    switch (query->type) {
    case QUERY_GET:
    case QUERY_LIST:
    case QUERY_RETRY:
    case QUERY_DISCARD:
    case QUERY_EXPLAIN:
    case QUERY_CHILDREN:
        if (!has_outdated(core, read))
            return false;
        if (query->count)
            query_ask_jobs(core, query, query->ids, query->count);
        else
            query_ask_list(core, query);
        return true;
    case QUERY_WAIT:
    case QUERY_CANCEL:
    case QUERY_SUBMIT:
        if (take_ended(core, query, read))
            query->tries = 0;
        return ask_ended(core, query);
    case QUERY_DISPATCHERS:
    case QUERY_STATUS:
    case QUERY_BODY: return false;
    }
    BERTH_UNREACHABLE();
}

static void change_ended(struct berth_core *core, const struct query *query,
                         const struct berth_ev_read *read)
{
    const struct berth_ev_ids ids = {
        .peer = query->peer, .request = query->request, .ids = query->ids, .count = query->count
    };
    if (query->type == QUERY_RETRY)
        ended_retry(core, &ids, read);
    else
        ended_discard(core, &ids, read);
}

static void answer(struct berth_core *core, const struct query *query,
                   const struct berth_ev_read *read)
{
    switch (query->type) {
    case QUERY_GET: answer_get(core, query, read); return;
    case QUERY_LIST: query_answer_list(core, query, read); return;
    case QUERY_WAIT:
    case QUERY_CANCEL:
    case QUERY_SUBMIT: finish_many(core, query); return;
    case QUERY_RETRY:
    case QUERY_DISCARD: change_ended(core, query, read); return;
    case QUERY_EXPLAIN:
        explain_answer(core, query->peer, query->request, query->ids[0],
                       read->job_count ? &read->jobs[0] : NULL);
        return;
    case QUERY_DISPATCHERS:
        view_dispatchers(core, query->peer, query->request, query->dispatcher, read);
        return;
    case QUERY_STATUS: view_status(core, query->peer, query->request, read); return;
    case QUERY_BODY: answer_body(core, query, read); return;
    case QUERY_CHILDREN:
        children_on_ended(core, query->attempt, query->ids, query->count, read);
        return;
    }
    BERTH_UNREACHABLE();
}

void query_on_read(struct berth_core *core, const struct berth_ev_read *read)
{
    struct berth_map_node *node = berth_map_find_id(&core->queries, read->number);
    if (!node)
        return;
    struct query *query = berth_container_of(node, struct query, by_number);
    bool is_failed = read->is_failed && query->type != QUERY_BODY;
    bool gives_up = is_failed || ++query->tries > TRIES_MAX;
    if (gives_up && query->type == QUERY_CHILDREN) {
        children_ask_again(core, query->attempt);
    } else if (is_failed) {
        step_error(core, query->peer, query->request, BERTH_ESTORE, "",
                   "the store could not read what was asked for");
    } else if (gives_up) {
        query_too_many(core, query->peer, query->request);
    } else if (ask_on(core, query, read)) {
        return;
    } else {
        answer(core, query, read);
    }
    query_free(core, query);
}

/* ---- memory ---- */

struct query *query_new(struct berth_core *core, enum query_type type, uint64_t peer,
                        uint64_t request, const uint64_t *ids, size_t count)
{
    if (berth_map_count(&core->queries) >= QUERIES_MAX)
        return NULL;
    struct query *query = block_new(sizeof *query);
    uint64_t *copy = block_new((count + 1) * sizeof *copy);
    if (!query || !copy ||
        berth_map_insert_id(&core->queries, &query->by_number, ++core->query_counter) < 0) {
        block_free(query);
        block_free(copy);
        return NULL;
    }
    if (count)
        memcpy(copy, ids, count * sizeof *copy);
    query->type = type;
    query->peer = peer;
    query->request = request;
    query->ids = copy;
    query->count = count;
    return query;
}

void query_free(struct berth_core *core, struct query *query)
{
    berth_map_remove(&core->queries, &query->by_number);
    block_free(query->ids);
    block_free(query->ended);
    block_free(query->asked);
    deferred_free(core, query->deferred);
    block_free(query);
}

void query_free_all(struct berth_core *core)
{
    BERTH_MAP_FOREACH (node, &core->queries)
        query_free(core, berth_container_of(node, struct query, by_number));
}

void query_too_many(struct berth_core *core, uint64_t peer, uint64_t request)
{
    step_error(core, peer, request, BERTH_ELATER, "",
               "the broker is answering as many questions as it can; try again");
}

void query_ask_jobs(struct berth_core *core, const struct query *query, const uint64_t *ids,
                    size_t count)
{
    step_add(core, BERTH_DO_READ, 0, 0)->read = (struct berth_do_read){
        .number = query->by_number.id, .type = BERTH_DO_READ_JOBS, .ids = ids, .id_count = count
    };
}
