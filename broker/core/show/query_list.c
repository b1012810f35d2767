/* SPDX-License-Identifier: MIT */
/* Lists of jobs, page by page. */
#include "question.h"

#include "broker/core/dispatcher/dispatcher.h"
#include "broker/core/step.h"
#include "view.h"

static void list_running(struct berth_core *core, struct query *query);

void query_on_list(struct berth_core *core, const struct berth_ev_job_list *list)
{
    const struct dispatcher *dispatcher = dispatcher_find(core, list->dispatcher);
    if (list->dispatcher.bytes && !dispatcher) {
        step_error(core, list->peer, list->request, BERTH_ENOTFOUND, "dispatcher",
                   step_text(core, "dispatcher '%.*s' does not exist", (int)list->dispatcher.bytes,
                             (const char *)list->dispatcher.data));
        return;
    }
    struct query *query = query_new(core, QUERY_LIST, list->peer, list->request, NULL, 0);
    if (!query) {
        query_too_many(core, list->peer, list->request);
        return;
    }
    query->list = *list;
    query->list.dispatcher = (struct berth_slice){ 0 }; /* borrowed for the step */
    query->dispatcher = dispatcher ? dispatcher->record.id : 0;
    /* Queued jobs are cancelling, too, while somebody is missing who may run them. */
    if (list->state == BERTH_RUNNING || list->state == BERTH_SUSPENDED ||
        (list->state == BERTH_CANCELLING && !core->unresolved))
        list_running(core, query);
    else
        query_ask_list(core, query);
}

/* The core knows the states of live jobs, so the store is asked for a page of all live ones. */
void query_ask_list(struct berth_core *core, const struct query *query)
{
    enum berth_state state = query->list.state;
    bool is_live = is_live_state(state);
    step_add(core, BERTH_DO_READ, 0, 0)->read =
        (struct berth_do_read){ .number = query->by_number.id,
                                .type = BERTH_DO_READ_LIST,
                                .scope = state == 0 ? 0 : (is_live ? 1 : 2),
                                .state = is_live ? 0 : state,
                                .dispatcher = query->dispatcher,
                                .after = query->list.after,
                                .is_newest_first = query->list.is_newest_first,
                                .with_bodies = query->list.with_bodies,
                                .count_max = is_live ? ROWS_MAX : query->list.count_max };
}

static bool is_on_page(const struct query *query, const struct attempt *attempt)
{
    const struct berth_ev_job_list *list = &query->list;
    bool is_beyond = !list->after || (list->is_newest_first ? attempt->job_id < list->after
                                                            : attempt->job_id > list->after);
    return is_beyond && (!query->dispatcher || attempt->dispatcher->record.id == query->dispatcher);
}

/* The ids of the jobs that run in this state. */
static size_t running_ids(const struct berth_core *core, const struct query *query, uint64_t *ids)
{
    size_t count = 0;
    BERTH_MAP_FOREACH (node, &core->attempts) {
        const struct attempt *attempt = berth_container_of(node, struct attempt, by_id);
        if (attempt->job && is_on_page(query, attempt) &&
            view_state(job_at(&core->jobs, attempt->job)) == query->list.state)
            ids[count++] = attempt->job_id;
    }
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

/* Running jobs are few and known here; the store is asked for what came with them. */
static void list_running(struct berth_core *core, struct query *query)
{
    uint64_t *ids = step_alloc(core, berth_map_count(&core->attempts), sizeof *ids);
    size_t count = running_ids(core, query, ids), count_max = query->list.count_max;
    if (!count) {
        step_add(core, BERTH_DO_JOBS, query->peer, query->request);
        query_free(core, query);
        return;
    }
    qsort(ids, count, sizeof *ids, query->list.is_newest_first ? descending : ascending);
    query->list.after = count > count_max ? ids[count_max - 1] : 0;
    count = count < count_max ? count : count_max;
    uint64_t *page = block_resize(query->ids, count * sizeof *page);
    if (!page) {
        query_too_many(core, query->peer, query->request);
        query_free(core, query);
        return;
    }
    memcpy(page, ids, count * sizeof *page);
    query->ids = page;
    query->count = count;
    query_ask_jobs(core, query, page, count);
}

void query_answer_list(struct berth_core *core, const struct query *query,
                       const struct berth_ev_read *read)
{
    struct berth_job_view *views = step_alloc(core, read->job_count, sizeof *views);
    struct berth_do_jobs jobs = { .items = views, .next = read->has_more ? read->next : 0 };
    bool with_bodies = query->list.with_bodies;
    if (query->count) /* of running ones */
        jobs.next = query->list.after;
    for (size_t i = 0; i < read->job_count; i++) {
        struct berth_job_view *view = &views[jobs.count];
        if (with_bodies && i > 0 && is_cut(&read->jobs[i])) {
            jobs.next = read->jobs[i - 1].id;
            break;
        }
        view_job(core, &read->jobs[i], view);
        if (!with_bodies)
            view->record.body = view->record.last.result = (struct berth_slice){ 0 };
        jobs.count += !query->list.state || view->record.state == query->list.state;
        if (jobs.count == query->list.count_max && i + 1 < read->job_count) {
            jobs.next = read->jobs[i].id;
            break;
        }
    }
    step_add(core, BERTH_DO_JOBS, query->peer, query->request)->jobs = jobs;
}
