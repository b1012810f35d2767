/* SPDX-License-Identifier: MIT */
#include "ended.h"

#include <errno.h>

#include "broker/core/batch.h"
#include "broker/core/dispatcher/dispatcher.h"
#include "broker/core/show/query.h"
#include "broker/core/show/view.h"
#include "broker/core/step.h"
#include "broker/core/submit/submit.h"
#include "unique.h"

/* A job whose discard is gathered and not stored. */
struct discard {
    struct berth_map_node by_id;
};

typedef struct berth_changed_item change_fn(struct berth_core *core,
                                            const struct berth_job_record *row, bool *ret_waits);

static change_fn retry_one, discard_one;
static struct berth_changed_item of_live(const struct berth_core *core, const struct job *job,
                                         bool is_retry, bool *ret_waits);

static void change_all(struct berth_core *core, const struct berth_ev_ids *ids,
                       const struct berth_ev_read *rows, change_fn *change)
{
    struct pending *answer = pending_new(PENDING_CHANGED, ids->peer, ids->request);
    struct berth_changed_item *items =
        answer ? pending_alloc(answer, ids->count, sizeof *items) : NULL;
    if (!items) {
        pending_free(answer);
        step_error(core, ids->peer, ids->request, BERTH_EFULL, "",
                   "the broker has no memory for this request");
        return;
    }
    answer->changed = items;
    answer->count = ids->count;
    bool must_wait = false;
    size_t at = 0;
    for (size_t i = 0; i < ids->count; i++) {
        const struct berth_job_record *row = query_next_row(rows, &at, ids->ids[i]);
        uint32_t live = job_find(core, ids->ids[i]);
        if (live)
            items[i] = of_live(core, job_at(&core->jobs, live), change == retry_one, &must_wait);
        else if (row)
            items[i] = change(core, row, &must_wait);
        else
            items[i].code = BERTH_ENOTFOUND;
        items[i].id = ids->ids[i];
        items[i].is_retry = change == retry_one;
    }
    if (must_wait)
        pending_put(core, answer);
    else
        pending_answer(core, answer);
}

void ended_retry(struct berth_core *core, const struct berth_ev_ids *ids,
                 const struct berth_ev_read *rows)
{
    change_all(core, ids, rows, retry_one);
}

void ended_discard(struct berth_core *core, const struct berth_ev_ids *ids,
                   const struct berth_ev_read *rows)
{
    change_all(core, ids, rows, discard_one);
}

/* One that is just coming to life was asked for before: both answers wait for the same batch. */
static struct berth_changed_item of_live(const struct berth_core *core, const struct job *job,
                                         bool is_retry, bool *ret_waits)
{
    bool is_known = job_find_known(core, job->id);
    struct berth_changed_item item = { .state = is_known ? view_state(job) : BERTH_READY };
    *ret_waits |= !is_known;
    if (is_retry)
        item.code = is_known ? -EALREADY : 0;
    else
        item.code = BERTH_ECONFLICT;
    return item;
}

static bool is_being_discarded(const struct berth_core *core, uint64_t id)
{
    return berth_map_find_id(&core->discards, id) != NULL;
}

/* ---- to life ---- */

/* As it will be: what it came with, with fresh tries, for itself. */
static struct berth_job_record revived(const struct berth_core *core,
                                       const struct berth_job_record *row)
{
    struct berth_job_record record = *row;
    record.state = BERTH_READY;
    record.run_at_us = core->wall_us;
    record.finished_us = 0;
    record.is_suspect = row->deaths > 0; /* its process may die of it again */
    record.failures = record.deaths = 0;
    record.is_cancelled = false;
    record.after = (struct berth_slice){ 0 };
    record.parent = record.parent_ordinal = 0;
    if (row->deadline_us)
        record.deadline_us = core->wall_us + (row->deadline_us - row->submitted_us);
    return record;
}

static uint64_t unique_holder(const struct berth_core *core, const struct berth_job_record *row)
{
    uint32_t holder = unique_find(core, row->dispatcher, row->unique);
    return holder ? job_at(&core->jobs, holder)->id : 0;
}

static struct berth_changed_item retry_one(struct berth_core *core,
                                           const struct berth_job_record *row, bool *ret_waits)
{
    struct berth_changed_item item = { .state = row->state };
    const struct dispatcher *dispatcher = dispatcher_find_id(core, row->dispatcher);
    if (row->state != BERTH_DEAD && row->state != BERTH_CANCELLED) {
        item.code = BERTH_ECONFLICT;
    } else if (!dispatcher || dispatcher->is_ending || is_being_discarded(core, row->id)) {
        item.code = BERTH_ENOTFOUND;
    } else if (!batch_takes_arrivals(core) || core->jobs.used >= core->jobs.count_max) {
        item.code = BERTH_EFULL;
    } else {
        struct berth_job_record record = revived(core, row);
        int rc = submit_revive(core, &record);
        item.code = rc == -ENOMEM ? BERTH_EFULL : rc;
        if (rc == BERTH_ECONFLICT)
            item.other = unique_holder(core, row);
        *ret_waits |= rc == 0;
    }
    return item;
}

/* ---- away ---- */

static struct berth_changed_item discard_one(struct berth_core *core,
                                             const struct berth_job_record *row, bool *ret_waits)
{
    struct berth_changed_item item = { .state = row->state };
    if (row->state != BERTH_DEAD) {
        item.code = BERTH_ECONFLICT;
        return item;
    }
    *ret_waits = true;
    if (is_being_discarded(core, row->id))
        return item;
    struct discard *discard = block_new(sizeof *discard);
    struct berth_record *record = discard ? batch_try_add(core, BERTH_RECORD_DISCARD) : NULL;
    if (!record || berth_map_insert_id(&core->discards, &discard->by_id, row->id) < 0) {
        if (record)
            batch_undo(core);
        block_free(discard);
        item.code = BERTH_EFULL;
        return item;
    }
    record->id = row->id;
    return item;
}

static void discard_free(struct berth_core *core, struct discard *discard)
{
    berth_map_remove(&core->discards, &discard->by_id);
    block_free(discard);
}

void ended_on_discard_stored(struct berth_core *core, uint64_t id)
{
    struct berth_map_node *node = berth_map_find_id(&core->discards, id);
    BERTH_ASSERT(node != NULL);
    discard_free(core, berth_container_of(node, struct discard, by_id));
}

void ended_free_all(struct berth_core *core)
{
    BERTH_MAP_FOREACH (node, &core->discards)
        discard_free(core, berth_container_of(node, struct discard, by_id));
}

/* ---- the answer ---- */

/* One that came to life and was not there any more: the store's housekeeping was before us.
 * Who asked when it was coming to life already may be answered later, when it has ended again. */
static bool has_vanished(const struct berth_core *core, const struct berth_changed_item *item)
{
    bool is_first = item->state >= BERTH_COMPLETED;
    return item->code == 0 && item->is_retry && is_first && !job_find(core, item->id);
}

void ended_answer(struct berth_core *core, const struct pending *pending)
{
    struct berth_changed_item *items = step_alloc(core, pending->count, sizeof *items);
    memcpy(items, pending->changed, pending->count * sizeof *items);
    for (size_t i = 0; i < pending->count; i++)
        if (has_vanished(core, &items[i]))
            items[i].code = BERTH_ENOTFOUND;
    step_add(core, BERTH_DO_CHANGED, pending->peer, pending->request)->changed =
        (struct berth_do_changed){ .items = items, .count = pending->count };
}
