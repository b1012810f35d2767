/* SPDX-License-Identifier: MIT */
#include "batch.h"

#include "base/cleanup.h"
#include "broker/core/dispatcher/dispatcher.h"
#include "broker/core/dispatcher/removal.h"
#include "broker/core/life/attempt.h"
#include "broker/core/life/ended.h"
#include "broker/core/recur/recur.h"
#include "broker/core/scope/children.h"
#include "broker/core/show/query.h"
#include "broker/core/show/wait.h"
#include "broker/core/submit/intake.h"
#include "broker/core/submit/submit.h"
#include "broker/core/worker/hold.h"
#include "broker/core/worker/session.h"
#include "step.h"

#define STORE_FULL_AGAIN_MS 500
#define STORE_FULL          2 /* BERTH_STORE_FULL of broker/store/store.h */

/* ---- gathering ---- */

static struct berth_batch *batch_new(void)
{
    struct berth_batch *batch = block_new(sizeof *batch);
    struct berth_arena *arena = block_new(sizeof *arena);
    if (!batch || !arena) {
        block_free(batch);
        block_free(arena);
        return NULL;
    }
    berth_arena_init(arena, SIZE_MAX);
    batch->arena = arena;
    return batch;
}

void batch_free(struct berth_batch *batch)
{
    if (!batch)
        return;
    berth_arena_fini(batch->arena);
    block_free(batch->arena);
    block_free(batch->records);
    block_free(batch);
}

/* NULL: no memory. */
static struct berth_batch *open_batch(struct berth_core *core)
{
    if (core->open)
        return core->open;
    core->open = core->spare ? core->spare : batch_new();
    core->spare = NULL;
    if (!core->open)
        return NULL;
    core->open->count = 0;
    berth_arena_reset(core->open->arena);
    return core->open;
}

bool batch_has_records(const struct berth_core *core)
{
    return core->open && core->open->count > 0;
}

static bool reserve_record(struct berth_batch *batch)
{
    if (batch->count < batch->count_max)
        return true;
    size_t room = batch->count_max ? batch->count_max * 2 : 64;
    struct berth_record *records = block_resize(batch->records, room * sizeof *records);
    if (!records)
        return false;
    batch->records = records;
    batch->count_max = room;
    return true;
}

struct berth_record *batch_try_add(struct berth_core *core, enum berth_record_type type)
{
    struct berth_batch *batch = open_batch(core);
    if (!batch || !reserve_record(batch))
        return NULL;
    struct berth_record *record = &batch->records[batch->count++];
    memset(record, 0, sizeof *record);
    record->type = type;
    return record;
}

bool batch_try_copy(struct berth_core *core, struct berth_slice *slice)
{
    struct berth_batch *batch = open_batch(core);
    void *copy =
        batch && slice->bytes ? berth_arena_memdup(batch->arena, slice->data, slice->bytes) : NULL;
    slice->data = copy;
    return copy || !slice->bytes;
}

void batch_undo(struct berth_core *core)
{
    BERTH_ASSERT(batch_has_records(core));
    core->open->count--;
}

struct berth_record *batch_add(struct berth_core *core, enum berth_record_type type)
{
    struct berth_record *record = batch_try_add(core, type);
    BERTH_ASSERT(record != NULL);
    return record;
}

struct berth_slice batch_copy(struct berth_core *core, struct berth_slice bytes)
{
    bool is_copied = batch_try_copy(core, &bytes);
    BERTH_ASSERT(is_copied);
    return bytes;
}

/* ---- closing ---- */

static bool is_pausing(const struct berth_core *core)
{
    return core->is_store_full && core->now_ms < core->store_again_ms;
}

bool batch_takes_arrivals(const struct berth_core *core)
{
    return !core->is_store_full || (!is_pausing(core) && !core->again);
}

int64_t batch_next_deadline_ms(const struct berth_core *core)
{
    bool has_work = core->again || batch_has_records(core);
    return core->is_store_full && !core->is_away && has_work ? core->store_again_ms : INT64_MAX;
}

/* What the store had no room for goes first and alone, so that the order is kept. */
static struct berth_batch *take_batch(struct berth_core *core)
{
    if (core->again)
        return berth_take(core->again);
    if (!batch_has_records(core))
        return NULL;
    BERTH_ASSERT(berth_list_is_empty(&core->pending_away));
    berth_list_splice_back(&core->pending_away, &core->pending_open);
    return berth_take(core->open);
}

struct berth_batch *berth_core_close_batch(struct berth_core *core)
{
    BERTH_ASSERT(!core->is_away);
    if (is_pausing(core))
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

struct pending *pending_new(enum pending_type type, uint64_t peer, uint64_t request)
{
    struct pending *pending = block_new(sizeof *pending);
    if (!pending)
        return NULL;
    pending->type = type;
    pending->peer = peer;
    pending->request = request;
    berth_arena_init(&pending->memory, SIZE_MAX);
    return pending;
}

void *pending_alloc(struct pending *pending, size_t count, size_t element_bytes)
{
    void *memory = berth_arena_alloc_array(&pending->memory, count, element_bytes);
    return memory ? memset(memory, 0, count * element_bytes) : NULL;
}

void pending_put(struct berth_core *core, struct pending *pending)
{
    berth_list_push_back(batch_has_records(core) ? &core->pending_open : &core->pending_away,
                         &pending->node);
}

void pending_refuse(struct berth_core *core, uint64_t peer, uint64_t request, int code,
                    const char *field, const char *message)
{
    bool is_stored = !batch_has_records(core) && !core->is_away && !core->again;
    struct pending *pending = is_stored ? NULL : pending_new(PENDING_REFUSED, peer, request);
    char *copy = pending ? pending_alloc(pending, strlen(message) + 1, 1) : NULL;
    if (is_stored)
        step_error(core, peer, request, code, field, message);
    if (!copy) {
        pending_free(pending); /* without memory it is asked again */
        return;
    }
    memcpy(copy, message, strlen(message));
    pending->refusal = (struct berth_do_error){ .code = code, .field = field, .message = copy };
    pending_put(core, pending);
}

void pending_free(struct pending *pending)
{
    if (!pending)
        return;
    berth_arena_fini(&pending->memory);
    block_free(pending);
}

static void answer_submitted(struct berth_core *core, const struct pending *pending)
{
    struct berth_submitted_item *items = step_alloc(core, pending->count, sizeof *items);
    memcpy(items, pending->submitted, pending->count * sizeof *items);
    for (size_t i = 0; i < pending->count; i++)
        if (items[i].refusal.message)
            items[i].refusal.message = step_text(core, "%s", items[i].refusal.message);
    step_add(core, BERTH_DO_SUBMITTED, pending->peer, pending->request)->submitted =
        (struct berth_do_submitted){ .items = items, .count = pending->count };
}

static void answer_cancelled(struct berth_core *core, const struct pending *pending)
{
    struct berth_job_state *items = step_alloc(core, pending->count, sizeof *items);
    memcpy(items, pending->cancelled, pending->count * sizeof *items);
    step_add(core, BERTH_DO_CANCELLED, pending->peer, pending->request)->cancelled =
        (struct berth_do_cancelled){ .items = items, .count = pending->count };
}

static void answer_declared_gone(struct berth_core *core, const struct pending *pending)
{
    struct berth_worker_view *items = step_alloc(core, pending->count, sizeof *items);
    memcpy(items, pending->declared_gone, pending->count * sizeof *items);
    for (size_t i = 0; i < pending->count; i++) {
        items[i].name = step_copy(core, items[i].name);
        items[i].software = step_copy(core, items[i].software);
    }
    step_add(core, BERTH_DO_WORKERS, pending->peer, pending->request)->workers =
        (struct berth_do_workers){ .items = items, .count = pending->count };
}

void pending_answer(struct berth_core *core, struct pending *pending)
{
    switch (pending->type) {
    case PENDING_SUBMITTED: answer_submitted(core, pending); break;
    case PENDING_CANCELLED: answer_cancelled(core, pending); break;
    case PENDING_DISPATCHER:
        query_dispatcher(core, pending->peer, pending->request, pending->dispatcher);
        break;
    case PENDING_GONE_OK:
        step_add(core, BERTH_DO_GONE_OK, pending->peer, 0)->fenced = pending->gone;
        break;
    case PENDING_DECLARED_GONE: answer_declared_gone(core, pending); break;
    case PENDING_CHILDREN: children_answer(core, pending); return;
    case PENDING_SCHEDULES: recur_answer(core, pending); break;
    case PENDING_CHANGED: ended_answer(core, pending); break;
    case PENDING_PURGED:
        step_add(core, BERTH_DO_PURGED, pending->peer, pending->request)->purged = pending->purged;
        break;
    case PENDING_REMOVED: step_add(core, BERTH_DO_REMOVED, pending->peer, pending->request); break;
    case PENDING_REFUSED:
        step_error(core, pending->peer, pending->request, pending->refusal.code,
                   pending->refusal.field, step_text(core, "%s", pending->refusal.message));
        break;
    }
    pending_free(pending);
}

static void answer_all(struct berth_core *core, struct berth_list *list)
{
    struct berth_list_node *node;
    while ((node = berth_list_pop_front(list)))
        pending_answer(core, berth_container_of(node, struct pending, node));
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

/* ---- stored ---- */

static void apply_stored(struct berth_core *core, const struct berth_record *record)
{
    switch (record->type) {
    case BERTH_RECORD_JOB: submit_on_stored(core, &record->job); return;
    case BERTH_RECORD_RETRY: job_on_retry_stored(core, &record->retry); return;
    case BERTH_RECORD_END: job_on_end_stored(core, &record->end); return;
    case BERTH_RECORD_CANCEL: job_on_cancel_stored(core, record->id); return;
    case BERTH_RECORD_DISPATCHER: dispatcher_on_stored(core, &record->dispatcher); return;
    case BERTH_RECORD_SESSION: session_on_stored(core, &record->session); return;
    case BERTH_RECORD_SESSION_END: session_on_end_stored(core, record->id); return;
    case BERTH_RECORD_START: hold_on_start_stored(core, &record->start); return;
    case BERTH_RECORD_SESSION_CLOSED: return; /* it was over at once */
    case BERTH_RECORD_TOKEN: hold_on_token_stored(core, &record->token); return;
    case BERTH_RECORD_SCHEDULE: recur_on_stored(core, &record->schedule); return;
    case BERTH_RECORD_SCHEDULE_END: recur_on_end_stored(core); return;
    case BERTH_RECORD_SCHEDULE_DONE: recur_on_done_stored(core, &record->schedule_done); return;
    case BERTH_RECORD_REVIVE: submit_on_revived(core, &record->revive); return;
    case BERTH_RECORD_DISCARD: ended_on_discard_stored(core, record->id); return;
    case BERTH_RECORD_DISPATCHER_END: removal_on_stored(core, (uint32_t)record->id); return;
    }
    BERTH_UNREACHABLE();
}

static void on_success(struct berth_core *core, struct berth_batch *batch)
{
    core->is_store_full = false;
    for (size_t i = 0; i < batch->count; i++)
        apply_stored(core, &batch->records[i]);
    wait_tell(core);
    answer_all(core, &core->pending_away);
    batch_free(core->spare);
    core->spare = batch;
}

/* ---- full ---- */

/* The end of a job that was refused: it had ended before it was stored. */
static bool is_of_nobody(const struct berth_core *core, const struct berth_record *record)
{
    return record->type == BERTH_RECORD_END && !job_find(core, record->end.id);
}

/* Takes the arrivals out of a batch, and forgets their jobs; and with them, the instants of
 * schedules, whose jobs are among them. */
static void drop_arrivals(struct berth_core *core, struct berth_batch *batch)
{
    size_t kept = 0;
    for (size_t i = 0; batch && i < batch->count; i++) {
        if (batch->records[i].type == BERTH_RECORD_JOB)
            submit_on_refused(core, &batch->records[i].job);
        else if (batch->records[i].type != BERTH_RECORD_SCHEDULE_DONE &&
                 !is_of_nobody(core, &batch->records[i]))
            batch->records[kept++] = batch->records[i];
    }
    if (batch)
        batch->count = kept;
}

/* Those of its jobs that were refused are not there any more. True: another one that it names is
 * coming to life, and that will be written. */
static bool refuse_jobs(struct berth_core *core, struct pending *pending)
{
    bool must_wait = false;
    for (size_t i = 0; i < pending->count; i++) {
        if (!pending->is_arriving[i])
            continue;
        uint32_t job = job_find(core, pending->submitted[i].id);
        if (job) {
            must_wait |= job_is_arriving(core, job_at(&core->jobs, job));
            continue;
        }
        pending->submitted[i] = intake_refusal_full();
        pending->refusal = pending->submitted[i].refusal;
    }
    return must_wait;
}

/* Whoever waits for a job that is not there any more is told that it was not stored. No new job is
 * arriving now, so hardly anybody's submit has to wait any longer. */
static void refuse_submits(struct berth_core *core, struct berth_list *list)
{
    BERTH_LIST_FOREACH_SAFE (node, list) {
        struct pending *pending = berth_container_of(node, struct pending, node);
        if (pending->type != PENDING_SUBMITTED && pending->type != PENDING_CHILDREN)
            continue;
        if (refuse_jobs(core, pending))
            continue;
        berth_list_remove(node);
        pending_answer(core, pending);
    }
}

/* Nothing was written. Arrivals are refused, those that have gathered meanwhile too; everything
 * else goes to the store again, before what has gathered since. */
static void on_full(struct berth_core *core, struct berth_batch *batch)
{
    core->is_store_full = true;
    core->store_again_ms = core->now_ms + STORE_FULL_AGAIN_MS;
    drop_arrivals(core, batch);
    drop_arrivals(core, core->open);
    recur_on_full(core);
    refuse_submits(core, &core->pending_away);
    refuse_submits(core, &core->pending_open);
    if (!batch_has_records(core))
        berth_list_splice_back(&core->pending_away, &core->pending_open);
    if (batch->count) {
        core->again = batch;
        return;
    }
    answer_all(core, &core->pending_away);
    batch_free(batch);
}

void batch_on_stored(struct berth_core *core, const struct berth_ev_stored *stored)
{
    BERTH_ASSERT(core->is_away);
    core->is_away = false;
    if (stored->result == STORE_FULL)
        on_full(core, stored->batch);
    else
        on_success(core, stored->batch);
}
