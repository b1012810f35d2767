/* SPDX-License-Identifier: MIT */
#include "submit.h"

#include <errno.h>

#include "attempt.h"
#include "batch.h"
#include "dispatcher.h"
#include "out.h"

/* Seeds that keep the two kinds of keys apart. */
#define SEED_REQUEST     1
#define SEED_IDEMPOTENCY 2
#define SEED_BODY        3

/* ---- keys ---- */

static uint64_t key_hash_of(const void *arg, uint32_t index)
{
    const struct berth_core *core = arg;
    return ((struct key_entry *)slab_at(&core->keys, index))->key.low;
}

uint64_t submit_key_hash(const void *core, uint32_t index)
{
    return key_hash_of(core, index);
}

static bool key_is_equal(const void *arg, uint32_t index, const void *wanted)
{
    const struct berth_core *core = arg;
    const struct key_entry *entry = slab_at(&core->keys, index);
    const struct berth_hash128 *key = wanted;
    return entry->key.low == key->low && entry->key.high == key->high;
}

static struct key_entry *key_find(const struct berth_core *core, struct berth_hash128 key)
{
    uint32_t index = index_find(&core->keys_by_hash, key.low, key_is_equal, &key);
    return index ? slab_at(&core->keys, index) : NULL;
}

static struct key_queue *key_queue(struct berth_core *core, enum berth_key_kind kind)
{
    return &core->key_queues[kind == BERTH_KEY_IDEMPOTENCY];
}

/* 0 or -ENOMEM. */
static int key_remember(struct berth_core *core, enum berth_key_kind kind, struct berth_hash128 key,
                        struct berth_hash128 body, uint64_t job, int64_t until_us)
{
    if (index_reserve(&core->keys_by_hash, 1) < 0)
        return -ENOMEM;
    uint32_t index = slab_take(&core->keys);
    if (!index)
        return -ENOMEM;
    struct key_entry *entry = slab_at(&core->keys, index);
    *entry = (struct key_entry){
        .key = key, .body = body, .job = job, .until_s = (uint32_t)(until_us / 1000000)
    };
    struct key_queue *queue = key_queue(core, kind);
    if (queue->tail)
        ((struct key_entry *)slab_at(&core->keys, queue->tail))->next = index;
    else
        queue->head = index;
    queue->tail = index;
    index_insert(&core->keys_by_hash, key.low, index);
    return 0;
}

static uint32_t key_index(const struct berth_core *core, struct berth_hash128 key)
{
    return index_find(&core->keys_by_hash, key.low, key_is_equal, &key);
}

/* Its place in the queue stays until its turn. */
static void key_forget(struct berth_core *core, struct berth_hash128 key)
{
    uint32_t index = key_index(core, key);
    if (!index)
        return;
    index_remove(&core->keys_by_hash, key.low, index);
    ((struct key_entry *)slab_at(&core->keys, index))->is_dead = true;
}

static bool is_over(const struct berth_core *core, const struct key_entry *entry)
{
    return (int64_t)entry->until_s * 1000000 <= core->wall_us;
}

static void expire_queue(struct berth_core *core, struct key_queue *queue)
{
    while (queue->head) {
        uint32_t index = queue->head;
        struct key_entry *entry = slab_at(&core->keys, index);
        if (!entry->is_dead && !is_over(core, entry))
            return;
        if (!entry->is_dead)
            index_remove(&core->keys_by_hash, entry->key.low, index);
        queue->head = entry->next;
        if (!queue->head)
            queue->tail = 0;
        slab_give(&core->keys, index);
    }
}

void submit_expire_keys(struct berth_core *core)
{
    expire_queue(core, &core->key_queues[0]);
    expire_queue(core, &core->key_queues[1]);
}

static struct berth_hash128 hash_of(const void *data, size_t bytes, uint64_t seed)
{
    return berth_hash128((struct berth_slice){ .data = data, .bytes = bytes }, seed);
}

static struct berth_hash128 request_key(const struct berth_ev_submit *submit, size_t place)
{
    struct {
        uint8_t client[16];
        uint64_t request, place;
    } key = { .request = submit->request, .place = place };
    memcpy(key.client, submit->client, sizeof key.client);
    return hash_of(&key, sizeof key, SEED_REQUEST);
}

/* The dispatcher's id and the key's bytes, each through its own hash. */
static struct berth_hash128 idempotency_key(uint32_t dispatcher, struct berth_slice bytes)
{
    struct {
        struct berth_hash128 bytes;
        uint64_t dispatcher;
    } key = { .bytes = berth_hash128(bytes, SEED_IDEMPOTENCY), .dispatcher = dispatcher };
    return hash_of(&key, sizeof key, SEED_IDEMPOTENCY);
}

/* What makes two submits the same: handler, options, body. */
static struct berth_hash128 body_hash(const struct berth_submit_item *item,
                                      struct berth_slice handler)
{
    struct {
        struct berth_hash128 body, handler;
        int64_t priority, delay_ms, max_attempts, timeout_ms;
    } all = { .body = berth_hash128(item->body, SEED_BODY),
              .handler = berth_hash128(handler, SEED_BODY),
              .priority = item->priority,
              .delay_ms = item->delay_ms,
              .max_attempts = item->max_attempts,
              .timeout_ms = item->timeout_ms };
    return hash_of(&all, sizeof all, SEED_BODY);
}

/* ---- one job ---- */

struct arrival {
    const struct berth_ev_submit *submit;
    const struct berth_submit_item *item;
    struct dispatcher *dispatcher;
    struct berth_slice handler;
    enum berth_key_kind kind;
    struct berth_hash128 key, body;
    int64_t until_us;
};

static struct berth_submitted_item refusal(int code, const char *field, const char *message)
{
    return (struct berth_submitted_item){ .refusal = {
                                              .code = code, .field = field, .message = message } };
}

/* The job of an earlier submit with this key. */
static struct berth_submitted_item repeat(struct berth_core *core, const struct arrival *arrival,
                                          const struct key_entry *entry, bool *ret_is_arriving)
{
    if (entry->body.low != arrival->body.low || entry->body.high != arrival->body.high)
        return refusal(BERTH_ECONFLICT, "key",
                       out_text(core,
                                "key: it was used for job %llu with another handler, body or "
                                "options; a repeat must be the same",
                                (unsigned long long)entry->job));
    uint32_t index = job_find(core, entry->job);
    *ret_is_arriving = index && job_at(&core->jobs, index)->state == JOB_ARRIVING;
    return (struct berth_submitted_item){ .id = entry->job,
                                          .is_existing = arrival->kind == BERTH_KEY_IDEMPOTENCY };
}

static void write_arrival(struct berth_core *core, const struct arrival *arrival, uint64_t id,
                          int64_t run_at_us)
{
    const struct berth_submit_item *item = arrival->item;
    struct berth_slice key = arrival->kind == BERTH_KEY_IDEMPOTENCY
                                 ? item->key
                                 : (struct berth_slice){ &arrival->key, sizeof arrival->key };
    struct berth_record *record = batch_add(core, BERTH_RECORD_JOB);
    record->job = (struct berth_job_record){
        .id = id,
        .dispatcher = arrival->dispatcher->record.id,
        .handler = batch_copy(core, arrival->handler),
        .priority = item->priority,
        .submitted_us = core->wall_us,
        .run_at_us = run_at_us,
        .max_attempts = item->max_attempts,
        .timeout_ms = item->timeout_ms,
        .key = { .kind = arrival->kind,
                 .bytes = batch_copy(core, key),
                 .until_us = arrival->until_us },
        .body = batch_copy(core, item->body),
    };
    memcpy(record->job.key.body_hash, &arrival->body, sizeof record->job.key.body_hash);
}

/* A job in memory, with its key; 0: no room. */
static uint32_t make_job(struct berth_core *core, const struct arrival *arrival, uint64_t id)
{
    struct handler *handler = handler_get(core, arrival->handler);
    if (!handler)
        return 0;
    struct lane *lane = lane_get(core, arrival->dispatcher, handler);
    if (!lane) {
        handler_release(core, handler);
        return 0;
    }
    uint32_t index = job_new(core, id, lane, arrival->item->priority);
    if (!index) {
        lane_release(core, lane);
        return 0;
    }
    struct job *job = job_at(&core->jobs, index);
    job->max_attempts = (uint16_t)arrival->item->max_attempts;
    if (job_keep_body(core, job, arrival->item->body, arrival->item->timeout_ms, false) < 0 ||
        key_remember(core, arrival->kind, arrival->key, arrival->body, id, arrival->until_us) < 0) {
        job_free(core, index);
        return 0;
    }
    return index;
}

static struct berth_submitted_item take_in(struct berth_core *core, const struct arrival *arrival)
{
    if (!batch_takes_arrivals(core))
        return refusal(BERTH_EFULL, "", "the broker's disk is full: this job was not stored");
    if (core->jobs.used >= core->jobs.count_max)
        return refusal(BERTH_EFULL, "",
                       out_text(core, "the broker holds %u live jobs, as many as it may",
                                core->jobs.count_max));
    uint64_t id = core->next_job_id;
    uint32_t index = make_job(core, arrival, id);
    if (!index)
        return refusal(BERTH_EFULL, "", "the broker has no memory for another job");
    core->next_job_id++;
    int64_t delay_ms = arrival->item->delay_ms;
    int64_t run_at_us = delay_ms ? core->wall_us + delay_ms * 1000 : 0;
    struct job *job = job_at(&core->jobs, index);
    job->due_us = run_at_us;
    write_arrival(core, arrival, id, run_at_us);
    return (struct berth_submitted_item){ .id = id };
}

static struct berth_submitted_item submit_one(struct berth_core *core,
                                              const struct berth_ev_submit *submit, size_t place,
                                              struct dispatcher *dispatcher, bool *ret_is_arriving)
{
    const struct berth_submit_item *item = &submit->items[place];
    if (!dispatcher) {
        struct berth_slice name = submit->dispatchers[item->dispatcher];
        return refusal(BERTH_ENOTFOUND, "dispatcher",
                       out_text(core, "dispatcher '%.*s' does not exist", (int)name.bytes,
                                (const char *)name.data));
    }
    bool has_key = item->key.bytes > 0;
    struct arrival arrival = {
        .submit = submit,
        .item = item,
        .dispatcher = dispatcher,
        .handler = submit->handlers[item->handler],
        .kind = has_key ? BERTH_KEY_IDEMPOTENCY : BERTH_KEY_REQUEST,
        .key = has_key ? idempotency_key(dispatcher->record.id, item->key)
                       : request_key(submit, place),
        .until_us = core->wall_us +
                    (has_key ? KEY_WINDOW_IDEMPOTENCY_S : KEY_WINDOW_REQUEST_S) * (int64_t)1000000,
    };
    arrival.body = body_hash(item, arrival.handler);
    const struct key_entry *entry = key_find(core, arrival.key);
    if (entry && !is_over(core, entry))
        return repeat(core, &arrival, entry, ret_is_arriving);
    if (entry)
        key_forget(core, arrival.key);
    struct berth_submitted_item result = take_in(core, &arrival);
    *ret_is_arriving = result.id != 0;
    return result;
}

/* Takes both arrays. Answers at once if nothing of it waits for the store; else with the newest
 * batch that it waits for. */
static void answer(struct berth_core *core, const struct berth_ev_submit *submit,
                   struct berth_submitted_item *items, bool *is_arriving)
{
    bool must_wait = false;
    for (size_t i = 0; i < submit->count; i++)
        must_wait |= is_arriving[i];
    if (must_wait) {
        struct pending *pending = pending_add(core, PENDING_SUBMITTED, submit->peer,
                                              submit->request, batch_has_records(core));
        pending->count = submit->count;
        pending->submitted = items;
        pending->is_arriving = is_arriving;
        return;
    }
    struct berth_submitted_item *copy = out_alloc(core, submit->count, sizeof *copy);
    memcpy(copy, items, submit->count * sizeof *copy);
    out_add(core, BERTH_DO_SUBMITTED, submit->peer, submit->request)->submitted =
        (struct berth_do_submitted){ .items = copy, .count = submit->count };
    block_free(items);
    block_free(is_arriving);
}

void submit_on_event(struct berth_core *core, const struct berth_ev_submit *submit)
{
    struct dispatcher **dispatchers =
        out_alloc(core, submit->dispatcher_count, sizeof(*dispatchers));
    for (size_t i = 0; i < submit->dispatcher_count; i++)
        dispatchers[i] = dispatcher_find(core, submit->dispatchers[i]);
    struct berth_submitted_item *items = block_new(submit->count * sizeof *items);
    bool *is_arriving = block_new(submit->count * sizeof *is_arriving);
    if (!items || !is_arriving) {
        block_free(items);
        block_free(is_arriving);
        out_error(core, submit->peer, submit->request, BERTH_EFULL, "",
                  "the broker has no memory for this request");
        return;
    }
    for (size_t i = 0; i < submit->count; i++)
        items[i] =
            submit_one(core, submit, i, dispatchers[submit->items[i].dispatcher], &is_arriving[i]);
    answer(core, submit, items, is_arriving);
}

/* ---- stored, refused, loaded ---- */

void submit_on_stored(struct berth_core *core, const struct berth_job_record *record)
{
    uint32_t index = job_find(core, record->id);
    BERTH_ASSERT(index != 0);
    if (record->run_at_us > core->wall_us)
        job_move_due(core, index, JOB_SCHEDULED, record->run_at_us);
    else
        job_move(core, index, JOB_READY, JOB_AT_TAIL);
}

static struct berth_hash128 record_key(const struct berth_job_record *record)
{
    struct berth_hash128 key = { 0 };
    if (record->key.kind == BERTH_KEY_IDEMPOTENCY)
        return idempotency_key(record->dispatcher, record->key.bytes);
    if (record->key.bytes.bytes == sizeof key)
        memcpy(&key, record->key.bytes.data, sizeof key);
    return key;
}

void submit_on_refused(struct berth_core *core, const struct berth_job_record *record)
{
    key_forget(core, record_key(record));
    uint32_t index = job_find(core, record->id);
    BERTH_ASSERT(index != 0);
    job_free(core, index);
}

int submit_load_key(struct berth_core *core, const struct berth_job_record *record)
{
    if (record->key.kind == BERTH_KEY_NONE)
        return 0;
    struct berth_hash128 body;
    memcpy(&body, record->key.body_hash, sizeof body);
    struct berth_hash128 key = record_key(record);
    if (key_find(core, key))
        key_forget(core, key);
    return key_remember(core, record->key.kind, key, body, record->id, record->key.until_us);
}

static void place_loaded(struct berth_core *core, uint32_t index,
                         const struct berth_job_record *record)
{
    enum job_state waits = record->attempt ? JOB_RETRYING : JOB_SCHEDULED;
    if (record->run_at_us <= core->wall_us || record->state == BERTH_READY) {
        job_move(core, index, JOB_READY, JOB_AT_TAIL);
        return;
    }
    if (waits == JOB_RETRYING)
        job_move(core, index, JOB_SETTLING, JOB_AT_TAIL);
    job_move_due(core, index, waits, record->run_at_us);
}

int submit_load(struct berth_core *core, const struct berth_job_record *record)
{
    struct dispatcher *dispatcher = dispatcher_find_id(core, record->dispatcher);
    if (!dispatcher || job_find(core, record->id))
        return BERTH_ESTORE;
    struct handler *handler = handler_get(core, record->handler);
    struct lane *lane = handler ? lane_get(core, dispatcher, handler) : NULL;
    uint32_t index = lane ? job_new(core, record->id, lane, record->priority) : 0;
    if (!index)
        return -ENOMEM;
    struct job *job = job_at(&core->jobs, index);
    job->max_attempts = (uint16_t)record->max_attempts;
    job->attempt_number = record->attempt;
    job->failures = (uint16_t)(record->failures < UINT16_MAX ? record->failures : UINT16_MAX);
    job->deaths = (uint8_t)(record->deaths < UINT8_MAX ? record->deaths : UINT8_MAX);
    if (record->is_cancelled) {
        job->flags |= JOB_CANCEL_ASKED | JOB_CANCEL_STORED;
        core->has_queued_cancels = true;
    }
    if (record->body.data || !record->body.bytes)
        if (job_keep_body(core, job, record->body, record->timeout_ms, false) < 0)
            return -ENOMEM;
    if (record->id >= core->next_job_id)
        core->next_job_id = record->id + 1;
    place_loaded(core, index, record);
    return submit_load_key(core, record);
}
