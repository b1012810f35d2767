/* SPDX-License-Identifier: MIT */
#include "batch.h"

#include "attempt.h"
#include "dispatcher.h"
#include "out.h"
#include "query.h"
#include "session.h"
#include "submit.h"

#define STORE_FULL_AGAIN_MS 500
#define STORE_FULL          2 /* BERTH_STORE_FULL of broker/store/store.h */

/* ---- gathering ---- */

static struct berth_batch *batch_new(void)
{
    struct berth_batch *batch = block_new(sizeof *batch);
    BERTH_ASSERT(batch != NULL);
    batch->arena = block_new(sizeof *batch->arena);
    BERTH_ASSERT(batch->arena != NULL);
    berth_arena_init(batch->arena, SIZE_MAX);
    return batch;
}

void batch_free(struct berth_core *core, struct berth_batch *batch)
{
    (void)core;
    if (!batch)
        return;
    berth_arena_fini(batch->arena);
    block_free(batch->arena);
    block_free(batch->records);
    block_free(batch);
}

static struct berth_batch *open_batch(struct berth_core *core)
{
    if (core->open)
        return core->open;
    core->open = core->spare ? core->spare : batch_new();
    core->spare = NULL;
    core->open->count = 0;
    berth_arena_reset(core->open->arena);
    return core->open;
}

bool batch_has_records(const struct berth_core *core)
{
    return core->open && core->open->count > 0;
}

static bool has_again(const struct berth_core *core)
{
    return core->again && core->again->count;
}

bool batch_takes_arrivals(const struct berth_core *core)
{
    return !core->is_store_full || (core->now_ms >= core->store_again_ms && !has_again(core));
}

int64_t batch_next_deadline_ms(const struct berth_core *core)
{
    bool is_waiting =
        core->is_store_full && !core->is_away && (has_again(core) || batch_has_records(core));
    return is_waiting ? core->store_again_ms : INT64_MAX;
}

struct berth_record *batch_add(struct berth_core *core, enum berth_record_type type)
{
    struct berth_batch *batch = open_batch(core);
    if (batch->count == batch->count_max) {
        size_t room = batch->count_max ? batch->count_max * 2 : 64;
        struct berth_record *records = block_resize(batch->records, room * sizeof *records);
        BERTH_ASSERT(records != NULL);
        batch->records = records;
        batch->count_max = room;
    }
    struct berth_record *record = &batch->records[batch->count++];
    memset(record, 0, sizeof *record);
    record->type = type;
    return record;
}

struct berth_slice batch_copy(struct berth_core *core, struct berth_slice bytes)
{
    if (!bytes.bytes)
        return (struct berth_slice){ 0 };
    void *copy = berth_arena_memdup(open_batch(core)->arena, bytes.data, bytes.bytes);
    BERTH_ASSERT(copy != NULL);
    return (struct berth_slice){ .data = copy, .bytes = bytes.bytes };
}

/* The one that found the store full, or else the open one. */
static struct berth_batch *take_batch(struct berth_core *core)
{
    struct berth_batch *batch = core->again;
    if (batch && batch->count) {
        core->again = NULL;
        return batch;
    }
    if (!batch_has_records(core))
        return NULL;
    batch_free(core, batch);
    core->again = NULL;
    batch = core->open;
    core->open = NULL;
    BERTH_ASSERT(berth_list_is_empty(&core->pending_away));
    berth_list_splice_back(&core->pending_away, &core->pending_open);
    return batch;
}

struct berth_batch *berth_core_close_batch(struct berth_core *core)
{
    BERTH_ASSERT(!core->is_away);
    if (core->is_store_full && core->now_ms < core->store_again_ms)
        return NULL;
    struct berth_batch *batch = take_batch(core);
    if (!batch)
        return NULL;
    core->is_away = true;
    batch->seq = ++core->batch_seq;
    batch->epoch = core->opts.epoch;
    return batch;
}

/* ---- answers that wait ---- */

struct pending *pending_add(struct berth_core *core, enum pending_type type, uint64_t peer,
                            uint64_t request, bool is_open)
{
    struct pending *pending = block_new(sizeof *pending);
    BERTH_ASSERT(pending != NULL);
    pending->type = type;
    pending->peer = peer;
    pending->request = request;
    berth_list_push_back(is_open ? &core->pending_open : &core->pending_away, &pending->node);
    return pending;
}

static void pending_free(struct pending *pending)
{
    block_free(pending->submitted);
    block_free(pending->is_arriving);
    block_free(pending->cancelled);
    block_free(pending);
}

static void free_list(struct berth_list *list)
{
    struct berth_list_node *node;
    while ((node = berth_list_pop_front(list)))
        pending_free(berth_container_of(node, struct pending, node));
}

void pending_free_all(struct berth_core *core)
{
    free_list(&core->pending_open);
    free_list(&core->pending_away);
}

static void answer(struct berth_core *core, const struct pending *pending)
{
    struct berth_effect *effect;
    switch (pending->type) {
    case PENDING_SUBMITTED: {
        struct berth_submitted_item *items = out_alloc(core, pending->count, sizeof *items);
        memcpy(items, pending->submitted, pending->count * sizeof *items);
        effect = out_add(core, BERTH_DO_SUBMITTED, pending->peer, pending->request);
        effect->submitted = (struct berth_do_submitted){ .items = items, .count = pending->count };
        return;
    }
    case PENDING_CANCELLED: {
        struct berth_job_state *items = out_alloc(core, pending->count, sizeof *items);
        memcpy(items, pending->cancelled, pending->count * sizeof *items);
        effect = out_add(core, BERTH_DO_CANCELLED, pending->peer, pending->request);
        effect->cancelled = (struct berth_do_cancelled){ .items = items, .count = pending->count };
        return;
    }
    case PENDING_DISPATCHER:
        query_dispatcher(core, pending->peer, pending->request, pending->dispatcher);
        return;
    case PENDING_GONE_OK:
        out_add(core, BERTH_DO_GONE_OK, pending->peer, 0)->fenced = pending->gone;
        return;
    }
    BERTH_UNREACHABLE();
}

/* ---- stored ---- */

static void apply_stored(struct berth_core *core, const struct berth_record *record)
{
    switch (record->type) {
    case BERTH_RECORD_JOB: submit_on_stored(core, &record->job); return;
    case BERTH_RECORD_RETRY: job_on_retry_stored(core, &record->retry); return;
    case BERTH_RECORD_END: job_on_end_stored(core, &record->end); return;
    case BERTH_RECORD_CANCEL: {
        uint32_t job = job_find(core, record->id);
        if (job)
            job_cancel_stored(core, job);
        return;
    }
    case BERTH_RECORD_DISPATCHER: dispatcher_on_stored(core, &record->dispatcher); return;
    case BERTH_RECORD_SESSION: session_on_stored(core, &record->session); return;
    case BERTH_RECORD_SESSION_END: session_on_end_stored(core, record->id); return;
    }
    BERTH_UNREACHABLE();
}

static void on_success(struct berth_core *core, const struct berth_batch *batch)
{
    core->is_store_full = false;
    for (size_t i = 0; i < batch->count; i++)
        apply_stored(core, &batch->records[i]);
    struct berth_list_node *node;
    while ((node = berth_list_pop_front(&core->pending_away))) {
        struct pending *pending = berth_container_of(node, struct pending, node);
        answer(core, pending);
        pending_free(pending);
    }
}

/* ---- full ---- */

static int compare_ids(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* The ids of a batch's arrivals, in order, as they were given. */
static size_t arrivals(struct berth_core *core, const struct berth_batch *batch, uint64_t **ret_ids)
{
    uint64_t *ids = out_alloc(core, batch->count, sizeof *ids);
    size_t count = 0;
    for (size_t i = 0; i < batch->count; i++)
        if (batch->records[i].type == BERTH_RECORD_JOB)
            ids[count++] = batch->records[i].job.id;
    *ret_ids = ids;
    return count;
}

/* Whoever waits for one of these, in whichever batch, is told that it was not stored. */
static void refuse_in(struct berth_list *list, const uint64_t *ids, size_t count)
{
    BERTH_LIST_FOREACH (node, list) {
        struct pending *pending = berth_container_of(node, struct pending, node);
        for (size_t i = 0; pending->type == PENDING_SUBMITTED && i < pending->count; i++) {
            if (!pending->is_arriving[i] || !count ||
                !bsearch(&pending->submitted[i].id, ids, count, sizeof *ids, compare_ids))
                continue;
            pending->is_arriving[i] = false;
            pending->submitted[i] = (struct berth_submitted_item){
                .refusal = { .code = BERTH_EFULL,
                             .field = "",
                             .message = "the broker's disk is full: this job was not stored" }
            };
        }
    }
}

/* Takes the arrivals out of the batch. */
static void drop_arrivals(struct berth_core *core, struct berth_batch *batch)
{
    size_t kept = 0;
    for (size_t i = 0; i < batch->count; i++) {
        if (batch->records[i].type == BERTH_RECORD_JOB)
            submit_on_refused(core, &batch->records[i].job);
        else
            batch->records[kept++] = batch->records[i];
    }
    batch->count = kept;
}

/* Nothing was written: arrivals are refused; everything else goes to the store again, before what
 * has gathered since. */
static void on_full(struct berth_core *core, struct berth_batch *batch)
{
    core->is_store_full = true;
    core->store_again_ms = core->now_ms + STORE_FULL_AGAIN_MS;
    uint64_t *ids;
    size_t count = arrivals(core, batch, &ids);
    refuse_in(&core->pending_away, ids, count);
    refuse_in(&core->pending_open, ids, count);
    drop_arrivals(core, batch);
    BERTH_LIST_FOREACH_SAFE (node, &core->pending_away) {
        struct pending *pending = berth_container_of(node, struct pending, node);
        if (pending->type != PENDING_SUBMITTED && batch->count)
            continue;
        berth_list_remove(node);
        answer(core, pending);
        pending_free(pending);
    }
    core->again = batch;
}

void batch_on_stored(struct berth_core *core, const struct berth_ev_stored *stored)
{
    BERTH_ASSERT(core->is_away);
    core->is_away = false;
    if (stored->result == STORE_FULL) {
        on_full(core, stored->batch);
        return;
    }
    on_success(core, stored->batch);
    if (core->spare)
        batch_free(core, stored->batch);
    else
        core->spare = stored->batch;
}
