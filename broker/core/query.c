/* SPDX-License-Identifier: MIT */
#include "query.h"

#include <errno.h>

#include "attempt.h"
#include "batch.h"
#include "dispatcher.h"
#include "match.h"
#include "out.h"
#include "view.h"
#include "wait.h"

#define LIVE_PAGE    1000 /* rows looked at for one page of a live state */
#define GET_JOBS_MAX 1000 /* rows of one answer (proto/limits.h) */
#define TRIES_MAX                                                                                  \
    3 /* how often a question is put again because a job ended while it was under way */

enum query_type {
    QUERY_GET = 1,
    QUERY_LIST,
    QUERY_WAIT,
    QUERY_CANCEL,
    QUERY_DISPATCHERS,
    QUERY_STATUS,
    QUERY_BODY,
};

struct query {
    struct berth_map_node by_number;
    enum query_type type;
    uint64_t peer, request;
    uint64_t *ids;
    size_t count;
    uint32_t tries;
    struct berth_ev_job_list list; /* its dispatcher as an id: */
    uint32_t dispatcher;           /* LIST, DISPATCHERS; 0: all */
    uint64_t attempt;              /* BODY */
};

static struct query *query_new(struct berth_core *core, enum query_type type, uint64_t peer,
                               uint64_t request, const uint64_t *ids, size_t count)
{
    if (berth_map_count(&core->queries) >= BERTH_QUERIES_MAX)
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

static void query_free(struct berth_core *core, struct query *query)
{
    berth_map_remove(&core->queries, &query->by_number);
    block_free(query->ids);
    block_free(query);
}

void query_free_all(struct berth_core *core)
{
    BERTH_MAP_FOREACH (node, &core->queries)
        query_free(core, berth_container_of(node, struct query, by_number));
}

static void too_many(struct berth_core *core, uint64_t peer, uint64_t request)
{
    out_error(core, peer, request, BERTH_ELATER, "",
              "the broker is answering as many questions as it can; try again");
}

/* ---- asking ---- */

static void ask_jobs(struct berth_core *core, const struct query *query)
{
    uint64_t *ids = out_alloc(core, query->count, sizeof *ids);
    memcpy(ids, query->ids, query->count * sizeof *ids);
    out_add(core, BERTH_DO_READ, 0, 0)->read =
        (struct berth_do_read){ .number = query->by_number.id,
                                .type = BERTH_DO_READ_JOBS,
                                .ids = ids,
                                .id_count = query->count };
}

static void ask_counts(struct berth_core *core, const struct query *query)
{
    out_add(core, BERTH_DO_READ, 0, 0)->read =
        (struct berth_do_read){ .number = query->by_number.id, .type = BERTH_DO_READ_COUNTS };
}

static bool is_live_state(enum berth_state state)
{
    return state != 0 && state < BERTH_COMPLETED;
}

static void ask_list(struct berth_core *core, const struct query *query)
{
    enum berth_state state = query->list.state;
    bool is_live = is_live_state(state);
    out_add(core, BERTH_DO_READ, 0, 0)->read =
        (struct berth_do_read){ .number = query->by_number.id,
                                .type = BERTH_DO_READ_LIST,
                                .scope = state == 0 ? 0
                                         : is_live  ? 1
                                                    : 2,
                                .state = is_live ? 0 : state,
                                .dispatcher = query->dispatcher,
                                .after = query->list.after,
                                .is_newest_first = query->list.is_newest_first,
                                .count_max = is_live ? LIVE_PAGE : query->list.count_max };
}

static void start_jobs(struct berth_core *core, enum query_type type,
                       const struct berth_ev_ids *ids)
{
    struct query *query = query_new(core, type, ids->peer, ids->request, ids->ids, ids->count);
    if (query)
        ask_jobs(core, query);
    else
        too_many(core, ids->peer, ids->request);
}

bool query_body(struct berth_core *core, uint64_t job, uint64_t attempt)
{
    struct query *query = query_new(core, QUERY_BODY, 0, 0, &job, 1);
    if (!query)
        return false;
    query->attempt = attempt;
    ask_jobs(core, query);
    return true;
}

/* An answer has so many rows at most; the rest is asked for again. */
void query_on_get(struct berth_core *core, const struct berth_ev_ids *ids)
{
    struct berth_ev_ids first = *ids;
    if (first.count > GET_JOBS_MAX)
        first.count = GET_JOBS_MAX;
    start_jobs(core, QUERY_GET, &first);
}

/* ---- lists ---- */

/* Running jobs are few and known here; the store is asked for what came with them. */
static size_t running_ids(struct berth_core *core, const struct query *query, uint64_t **ret_ids)
{
    uint64_t *ids = out_alloc(core, berth_map_count(&core->attempts), sizeof *ids);
    size_t count = 0;
    BERTH_MAP_FOREACH (node, &core->attempts) {
        const struct attempt *attempt = berth_container_of(node, struct attempt, by_id);
        const struct job *job = attempt->job ? job_at(&core->jobs, attempt->job) : NULL;
        uint64_t after = query->list.after;
        bool is_beyond =
            job && (!after || (query->list.is_newest_first ? job->id < after : job->id > after));
        if (is_beyond && view_state(job) == query->list.state &&
            (!query->dispatcher || attempt->dispatcher->record.id == query->dispatcher))
            ids[count++] = job->id;
    }
    *ret_ids = ids;
    return count;
}

static int ascending(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static int descending(const void *a, const void *b)
{
    return ascending(b, a);
}

static void list_running(struct berth_core *core, struct query *query)
{
    uint64_t *ids;
    size_t count = running_ids(core, query, &ids);
    if (!count) {
        out_add(core, BERTH_DO_JOBS, query->peer, query->request);
        query_free(core, query);
        return;
    }
    qsort(ids, count, sizeof *ids, query->list.is_newest_first ? descending : ascending);
    bool has_more = count > query->list.count_max;
    if (has_more)
        count = query->list.count_max;
    uint64_t *copy = block_resize(query->ids, (count + 1) * sizeof *copy);
    if (!copy) {
        too_many(core, query->peer, query->request);
        query_free(core, query);
        return;
    }
    memcpy(copy, ids, count * sizeof *copy);
    query->ids = copy;
    query->count = count;
    query->list.after = has_more ? ids[count - 1] : 0;
    ask_jobs(core, query);
}

void query_on_list(struct berth_core *core, const struct berth_ev_job_list *list)
{
    const struct dispatcher *dispatcher = NULL;
    if (list->dispatcher.bytes) {
        dispatcher = dispatcher_find(core, list->dispatcher);
        if (!dispatcher) {
            out_error(core, list->peer, list->request, BERTH_ENOTFOUND, "dispatcher",
                      out_text(core, "dispatcher '%.*s' does not exist",
                               (int)list->dispatcher.bytes, (const char *)list->dispatcher.data));
            return;
        }
    }
    struct query *query = query_new(core, QUERY_LIST, list->peer, list->request, NULL, 0);
    if (!query) {
        too_many(core, list->peer, list->request);
        return;
    }
    query->list = *list;
    query->dispatcher = dispatcher ? dispatcher->record.id : 0;
    if (list->state == BERTH_RUNNING || list->state == BERTH_CANCELLING)
        list_running(core, query);
    else
        ask_list(core, query);
}

/* ---- rows come back ---- */

/* Whether the store says that a job lives which has ended since. */
static bool is_outdated(const struct berth_core *core, const struct berth_ev_read *read)
{
    for (size_t i = 0; i < read->job_count; i++)
        if (is_live_state(read->jobs[i].state) && !job_find(core, read->jobs[i].id))
            return true;
    return false;
}

static const struct berth_job_record *row_of(const struct berth_ev_read *read, uint64_t id)
{
    for (size_t i = 0; i < read->job_count; i++)
        if (read->jobs[i].id == id)
            return &read->jobs[i];
    return NULL;
}

/* Rows come in the order of the question, so the next one is where the last one was found. */
static const struct berth_job_record *next_row(const struct berth_ev_read *read, size_t *place,
                                               uint64_t id)
{
    if (*place < read->job_count && read->jobs[*place].id == id)
        return &read->jobs[(*place)++];
    return row_of(read, id);
}

static void answer_get(struct berth_core *core, const struct query *query,
                       const struct berth_ev_read *read)
{
    struct berth_job_view *views = out_alloc(core, query->count, sizeof *views);
    uint64_t *unknown = out_alloc(core, query->count, sizeof *unknown);
    struct berth_do_jobs jobs = { .items = views, .unknown = unknown };
    size_t place = 0;
    for (size_t i = 0; i < query->count; i++) {
        const struct berth_job_record *row = next_row(read, &place, query->ids[i]);
        if (row)
            view_job(core, row, &views[jobs.count++]);
        else
            unknown[jobs.unknown_count++] = query->ids[i];
    }
    out_add(core, BERTH_DO_JOBS, query->peer, query->request)->jobs = jobs;
}

static void answer_list(struct berth_core *core, const struct query *query,
                        const struct berth_ev_read *read)
{
    struct berth_job_view *views = out_alloc(core, read->job_count, sizeof *views);
    struct berth_do_jobs jobs = { .items = views };
    bool is_running = query->count > 0;
    uint64_t last = 0;
    bool is_cut = false;
    for (size_t i = 0; i < read->job_count && !is_cut; i++) {
        struct berth_job_view *view = &views[jobs.count];
        view_job(core, &read->jobs[i], view);
        view->record.body = view->record.last.result = (struct berth_slice){ 0 };
        last = read->jobs[i].id;
        if (!query->list.state || view->record.state == query->list.state)
            jobs.count++;
        is_cut = jobs.count == query->list.count_max && i + 1 < read->job_count;
    }
    jobs.next = is_running ? query->list.after : is_cut ? last : read->has_more ? read->next : 0;
    out_add(core, BERTH_DO_JOBS, query->peer, query->request)->jobs = jobs;
}

/* ---- waiting ---- */

/* All that can be said now; `read` NULL: every id is live. */
static void begin_wait(struct berth_core *core, uint64_t peer, uint64_t request,
                       const uint64_t *ids, size_t count, const struct berth_ev_read *read)
{
    struct berth_job_state *ended = out_alloc(core, count, sizeof *ended);
    uint64_t *unknown = out_alloc(core, count, sizeof *unknown);
    struct berth_do_waited waited = { .ended = ended, .unknown = unknown };
    size_t place = 0;
    wait_drop(core, peer, request);
    for (size_t i = 0; i < count; i++) {
        uint32_t job = job_find(core, ids[i]);
        const struct berth_job_record *row = job || !read ? NULL : next_row(read, &place, ids[i]);
        if (job && wait_add(core, peer, request, job) < 0) {
            wait_drop(core, peer, request);
            out_error(
                core, peer, request, BERTH_EFULL, "id",
                out_text(core, "the broker keeps %u waits, as many as it may", BERTH_WATCHES_MAX));
            return;
        }
        if (row)
            ended[waited.count++] = (struct berth_job_state){ .id = ids[i], .state = row->state };
        else if (!job)
            unknown[waited.unknown_count++] = ids[i];
    }
    waited.pending = wait_pending(core, peer, request);
    out_add(core, BERTH_DO_WAITED, peer, request)->waited = waited;
}

static bool are_live(const struct berth_core *core, const struct berth_ev_ids *ids)
{
    for (size_t i = 0; i < ids->count; i++)
        if (!job_find(core, ids->ids[i]))
            return false;
    return true;
}

void query_on_wait(struct berth_core *core, const struct berth_ev_ids *ids)
{
    if (are_live(core, ids))
        begin_wait(core, ids->peer, ids->request, ids->ids, ids->count, NULL);
    else
        start_jobs(core, QUERY_WAIT, ids);
}

/* ---- cancelling ---- */

static enum berth_state cancel_live(struct berth_core *core, uint32_t index, int *ret_code,
                                    bool *ret_waits)
{
    struct job *job = job_at(&core->jobs, index);
    bool is_queued =
        job->state == JOB_SCHEDULED || job->state == JOB_READY || job->state == JOB_RETRYING;
    if (job->flags & JOB_ENDING) {
        *ret_waits = true;
        *ret_code = job->flags & JOB_CANCEL_ASKED ? 0 : -EALREADY;
        return job->end_state;
    }
    bool was_asked = job->flags & JOB_CANCEL_ASKED;
    job->flags |= JOB_CANCEL_ASKED;
    if (is_queued && !core->unresolved) {
        job_end_cancelled(core, index);
        *ret_waits = true;
        return BERTH_CANCELLED;
    }
    if (!was_asked)
        batch_add(core, BERTH_RECORD_CANCEL)->id = job->id;
    *ret_waits |= !(job->flags & JOB_CANCEL_STORED);
    return BERTH_CANCELLING;
}

static void begin_cancel(struct berth_core *core, uint64_t peer, uint64_t request,
                         const uint64_t *ids, size_t count, const struct berth_ev_read *read)
{
    struct berth_job_state *items = block_new(count * sizeof *items);
    if (!items) {
        too_many(core, peer, request);
        return;
    }
    bool waits = false;
    for (size_t i = 0; i < count; i++) {
        uint32_t job = job_find(core, ids[i]);
        const struct berth_job_record *row = job || !read ? NULL : row_of(read, ids[i]);
        items[i].id = ids[i];
        if (job) {
            items[i].state = cancel_live(core, job, &items[i].code, &waits);
        } else {
            items[i].code = row ? -EALREADY : BERTH_ENOTFOUND;
            items[i].state = row ? row->state : 0;
        }
    }
    struct pending *pending = NULL;
    if (waits)
        pending = pending_add(core, PENDING_CANCELLED, peer, request, batch_has_records(core));
    if (pending) {
        pending->cancelled = items;
        pending->count = count;
        return;
    }
    struct berth_job_state *copy = out_alloc(core, count, sizeof *copy);
    memcpy(copy, items, count * sizeof *copy);
    block_free(items);
    out_add(core, BERTH_DO_CANCELLED, peer, request)->cancelled =
        (struct berth_do_cancelled){ .items = copy, .count = count };
}

void query_on_cancel(struct berth_core *core, const struct berth_ev_ids *ids)
{
    if (are_live(core, ids))
        begin_cancel(core, ids->peer, ids->request, ids->ids, ids->count, NULL);
    else
        start_jobs(core, QUERY_CANCEL, ids);
}

/* ---- counts ---- */

static void start_counts(struct berth_core *core, enum query_type type, uint64_t peer,
                         uint64_t request, uint32_t dispatcher)
{
    struct query *query = query_new(core, type, peer, request, NULL, 0);
    if (!query) {
        too_many(core, peer, request);
        return;
    }
    query->dispatcher = dispatcher;
    ask_counts(core, query);
}

void query_dispatcher(struct berth_core *core, uint64_t peer, uint64_t request, uint32_t id)
{
    start_counts(core, QUERY_DISPATCHERS, peer, request, id);
}

void query_on_dispatchers(struct berth_core *core, const struct berth_ev_query *ev)
{
    const struct dispatcher *dispatcher = dispatcher_find(core, ev->name);
    if (ev->name.bytes && !dispatcher) {
        out_error(core, ev->peer, ev->request, BERTH_ENOTFOUND, "name",
                  out_text(core, "dispatcher '%.*s' does not exist", (int)ev->name.bytes,
                           (const char *)ev->name.data));
        return;
    }
    start_counts(core, QUERY_DISPATCHERS, ev->peer, ev->request,
                 ev->name.bytes ? dispatcher->record.id : 0);
}

void query_on_status(struct berth_core *core, const struct berth_ev_query *ev)
{
    start_counts(core, QUERY_STATUS, ev->peer, ev->request, 0);
}

void query_on_workers(struct berth_core *core, const struct berth_ev_query *ev)
{
    view_workers(core, ev->peer, ev->request);
}

/* ---- the store has answered ---- */

static bool must_ask_again(struct berth_core *core, struct query *query,
                           const struct berth_ev_read *read)
{
    if (query->type == QUERY_BODY || !is_outdated(core, read) || ++query->tries >= TRIES_MAX)
        return false;
    if (query->type == QUERY_LIST && !query->count)
        ask_list(core, query);
    else
        ask_jobs(core, query);
    return true;
}

static void answer(struct berth_core *core, const struct query *query,
                   const struct berth_ev_read *read)
{
    switch (query->type) {
    case QUERY_GET: answer_get(core, query, read); return;
    case QUERY_LIST: answer_list(core, query, read); return;
    case QUERY_WAIT:
        begin_wait(core, query->peer, query->request, query->ids, query->count, read);
        return;
    case QUERY_CANCEL:
        begin_cancel(core, query->peer, query->request, query->ids, query->count, read);
        return;
    case QUERY_DISPATCHERS:
        view_dispatchers(core, query->peer, query->request, query->dispatcher, read);
        return;
    case QUERY_STATUS: view_status(core, query->peer, query->request, read); return;
    case QUERY_BODY: match_on_body(core, query->attempt, row_of(read, query->ids[0])); return;
    }
    BERTH_UNREACHABLE();
}

void query_on_read(struct berth_core *core, const struct berth_ev_read *read)
{
    struct berth_map_node *node = berth_map_find_id(&core->queries, read->number);
    if (!node)
        return;
    struct query *query = berth_container_of(node, struct query, by_number);
    if (read->is_failed && query->type == QUERY_BODY) {
        match_on_body(core, query->attempt, NULL);
    } else if (read->is_failed) {
        out_error(core, query->peer, query->request, BERTH_ESTORE, "",
                  "the store could not read what was asked for");
    } else if (must_ask_again(core, query, read)) {
        return;
    } else {
        answer(core, query, read);
    }
    query_free(core, query);
}
