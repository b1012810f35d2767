/* SPDX-License-Identifier: MIT */
/* The memory backend's disk. */
#include "broker/store/store_mem_disk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/rng.h"
#include "broker/store/store_record.h"

#define AGE_PASS_US      INT64_C(10000000)
#define RETENTIONS_KNOWN 32

static uint64_t job_id(const void *item)
{
    return (*(struct mem_job *const *)item)->record.id;
}

static uint64_t dispatcher_id(const void *item)
{
    return ((const struct berth_dispatcher_record *)item)->id;
}

static uint64_t session_id(const void *item)
{
    return ((const struct berth_session_record *)item)->id;
}

static uint64_t count_id(const void *item)
{
    return ((const struct berth_ended_count *)item)->dispatcher;
}

struct berth_mem_disk *berth_mem_disk_new(void)
{
    struct berth_mem_disk *disk = calloc(1, sizeof *disk);
    if (!disk)
        return NULL;
    disk->jobs = (struct mem_array){ .item_bytes = sizeof(struct mem_job *), .id_of = job_id };
    disk->dispatchers = (struct mem_array){ .item_bytes = sizeof(struct berth_dispatcher_record),
                                            .id_of = dispatcher_id };
    disk->sessions = (struct mem_array){ .item_bytes = sizeof(struct berth_session_record),
                                         .id_of = session_id };
    disk->counts =
        (struct mem_array){ .item_bytes = sizeof(struct berth_ended_count), .id_of = count_id };
    disk->next_job_id = disk->next_dispatcher_id = 1;
    mem_schedules_init(disk);
    return disk;
}

static void job_free(struct mem_job *job)
{
    if (job)
        free(job->last);
    if (job)
        free(job->why);
    free(job);
}

void berth_mem_disk_free(struct berth_mem_disk *disk)
{
    if (!disk)
        return;
    for (size_t i = 0; i < disk->jobs.count; i++)
        job_free(mem_job_at(disk, i));
    mem_schedules_fini(disk);
    free(disk->jobs.items);
    free(disk->dispatchers.items);
    free(disk->sessions.items);
    free(disk->counts.items);
    free(disk);
}

void mem_disk_open(struct berth_mem_disk *disk, uint64_t lineage, struct berth_store_info *ret_info)
{
    if (disk->epoch == 0) {
        struct berth_rng rng;
        berth_rng_init(&rng, lineage);
        const uint64_t words[2] = { berth_rng_next(&rng), berth_rng_next(&rng) };
        memcpy(disk->cluster, words, sizeof disk->cluster);
    }
    disk->epoch++;
    disk->lineage = lineage;
    *ret_info = (struct berth_store_info){ .epoch = disk->epoch,
                                           .next_job_id = disk->next_job_id,
                                           .next_dispatcher_id = (uint32_t)disk->next_dispatcher_id,
                                           .next_schedule_id = disk->next_schedule_id };
    memcpy(ret_info->cluster, disk->cluster, sizeof disk->cluster);
}

uint64_t mem_disk_epoch(const struct berth_mem_disk *disk)
{
    return disk->epoch;
}

uint64_t mem_disk_bytes(const struct berth_mem_disk *disk)
{
    return disk->bytes;
}

bool berth_mem_has(const struct berth_mem_disk *disk, uint64_t job)
{
    struct mem_job **found = mem_array_find(&disk->jobs, job);
    return found && !(*found)->is_discarded;
}

int64_t berth_mem_now_us(const struct berth_mem_disk *disk)
{
    return disk->now_us;
}

/* Moves the bytes of `slice` to *at, which moves on. */
static void copy_slice(char **at, struct berth_slice *slice)
{
    if (slice->bytes == 0) {
        slice->data = NULL;
        return;
    }
    memcpy(*at, slice->data, slice->bytes);
    slice->data = *at;
    *at += slice->bytes;
}

static size_t arrival_bytes(const struct berth_job_record *job)
{
    return sizeof(struct mem_job) + job->handler.bytes + job->key.bytes.bytes + job->body.bytes +
           job->group.bytes + job->unique.bytes + job->after.bytes;
}

static size_t last_bytes(const struct berth_attempt_record *last)
{
    return last->worker.bytes + last->result.bytes + last->error_kind.bytes +
           last->error_message.bytes;
}

static const struct berth_attempt_record *record_last(const struct berth_record *record)
{
    if (record->type == BERTH_RECORD_RETRY)
        return &record->retry.last;
    return record->type == BERTH_RECORD_END ? &record->end.last : NULL;
}

/* What ended a job with which no attempt ended. */
static size_t why_bytes(const struct berth_end_record *end)
{
    return end->error_kind.bytes + end->error_message.bytes;
}

static struct mem_job *arrival_new(const struct berth_job_record *arrival)
{
    size_t bytes = arrival_bytes(arrival);
    struct mem_job *job = malloc(bytes);
    if (!job)
        return NULL;
    *job = (struct mem_job){ .record = *arrival, .bytes = bytes };
    char *at = (char *)(job + 1);
    copy_slice(&at, &job->record.handler);
    copy_slice(&at, &job->record.key.bytes);
    copy_slice(&at, &job->record.body);
    copy_slice(&at, &job->record.group);
    copy_slice(&at, &job->record.unique);
    copy_slice(&at, &job->record.after);
    job->record.state = store_arrival_state(arrival);
    return job;
}

static size_t why_of(const struct berth_record *record)
{
    return record->type == BERTH_RECORD_END ? why_bytes(&record->end) : 0;
}

/* The memory a record needs, filled as far as it can be before the record's turn: a struct mem_job
 * for an arrival, a block for what the last attempt left. Returns -ENOMEM or 0. */
static int prepare(const struct berth_record *record, void **ret_block)
{
    if (record->type == BERTH_RECORD_JOB)
        *ret_block = arrival_new(&record->job);
    else if (record->type == BERTH_RECORD_SCHEDULE || record->type == BERTH_RECORD_SCHEDULE_DONE)
        return mem_schedule_prepare(record, ret_block);
    else if (record_last(record))
        *ret_block = malloc(last_bytes(record_last(record)) + why_of(record) + 1);
    else
        return 0;
    return *ret_block ? 0 : -ENOMEM;
}

/* For what is applied later: the arrays and the blocks. Each block in ret_blocks is owned then,
 * whatever is returned. */
static int prepare_all(struct berth_mem_disk *disk, const struct berth_batch *batch,
                       void **ret_blocks)
{
    if (mem_array_reserve(&disk->jobs, batch->count) < 0 ||
        mem_array_reserve(&disk->dispatchers, batch->count) < 0 ||
        mem_array_reserve(&disk->sessions, batch->count) < 0 ||
        mem_array_reserve(&disk->counts, batch->count) < 0 ||
        mem_array_reserve(&disk->schedules, batch->count) < 0)
        return -ENOMEM;
    for (size_t i = 0; i < batch->count; i++) {
        if (prepare(&batch->records[i], &ret_blocks[i]) < 0)
            return -ENOMEM;
    }
    return 0;
}

static struct mem_job *live_job_get(struct berth_mem_disk *disk, uint64_t id)
{
    struct mem_job **found = mem_array_find(&disk->jobs, id);
    BERTH_ASSERT(found);
    BERTH_ASSERT(store_state_is_live((*found)->record.state));
    return *found;
}

static void replace_last(struct berth_mem_disk *disk, struct mem_job *job,
                         const struct berth_attempt_record *last, void **block)
{
    free(job->last);
    disk->bytes -= job->last_bytes;
    job->last = *block;
    *block = NULL;
    job->last_bytes = last_bytes(last);
    disk->bytes += job->last_bytes;
    job->record.last = *last;
    char *at = job->last;
    copy_slice(&at, &job->record.last.worker);
    copy_slice(&at, &job->record.last.result);
    copy_slice(&at, &job->record.last.error_kind);
    copy_slice(&at, &job->record.last.error_message);
}

static void replace_error(struct berth_mem_disk *disk, struct mem_job *job,
                          const struct berth_end_record *end, void **block)
{
    free(job->why);
    disk->bytes -= job->why_bytes;
    job->why = *block;
    *block = NULL;
    job->why_bytes = why_bytes(end);
    disk->bytes += job->why_bytes;
    job->record.last.error_kind = end->error_kind;
    job->record.last.error_message = end->error_message;
    char *at = job->why;
    copy_slice(&at, &job->record.last.error_kind);
    copy_slice(&at, &job->record.last.error_message);
}

static void apply_job(struct berth_mem_disk *disk, void **block)
{
    struct mem_job *job = *block;
    mem_array_insert(&disk->jobs, job->record.id, &job);
    disk->bytes += job->bytes;
    if (job->record.id >= disk->next_job_id)
        disk->next_job_id = job->record.id + 1;
    *block = NULL;
}

static void set_start(struct mem_job *job, const struct berth_start_record *start)
{
    job->record.start_attempt = start->attempt;
    job->record.start_session = start->session;
    job->record.start_us = start->started_us;
}

static void apply_retry(struct berth_mem_disk *disk, const struct berth_retry_record *retry,
                        void **block)
{
    struct mem_job *job = live_job_get(disk, retry->id);
    job->record.state = retry->state;
    job->record.run_at_us = retry->run_at_us;
    job->record.attempt = retry->attempt;
    job->record.failures = retry->failures;
    job->record.deaths = retry->deaths;
    set_start(job, &(struct berth_start_record){ .id = retry->id });
    job->record.is_suspect = retry->is_suspect;
    replace_last(disk, job, &retry->last, block);
}

static void count_end(struct berth_mem_disk *disk, const struct berth_end_record *end)
{
    struct berth_ended_count *count = mem_array_find(&disk->counts, end->dispatcher);
    if (!count) {
        mem_array_insert(&disk->counts, end->dispatcher,
                         &(struct berth_ended_count){ .dispatcher = end->dispatcher });
        count = mem_array_find(&disk->counts, end->dispatcher);
    }
    count->completed += end->state == BERTH_COMPLETED;
    count->completed_total += end->state == BERTH_COMPLETED;
    count->dead += end->state == BERTH_DEAD;
    count->cancelled += end->state == BERTH_CANCELLED;
}

static void apply_end(struct berth_mem_disk *disk, const struct berth_end_record *end, void **block)
{
    struct mem_job *job = live_job_get(disk, end->id);
    BERTH_ASSERT(job->record.dispatcher == end->dispatcher);
    job->record.state = end->state;
    job->record.attempt = end->attempt;
    job->record.failures = end->failures;
    job->record.deaths = end->deaths;
    set_start(job, &(struct berth_start_record){ .id = end->id });
    job->record.is_suspect = false;
    job->record.finished_us = end->finished_us;
    if (end->last.id != 0)
        replace_last(disk, job, &end->last, block);
    else if (end->error_kind.bytes)
        replace_error(disk, job, end, block);
    count_end(disk, end);
    if (end->finished_us > disk->now_us)
        disk->now_us = end->finished_us;
}

/* An ended job leaves the history. */
static void uncount(struct berth_mem_disk *disk, const struct berth_job_record *job)
{
    struct berth_ended_count *count = mem_array_find(&disk->counts, job->dispatcher);
    BERTH_ASSERT(count);
    count->completed -= job->state == BERTH_COMPLETED;
    count->dead -= job->state == BERTH_DEAD;
    count->cancelled -= job->state == BERTH_CANCELLED;
}

/* An ended job of the history, or NULL. */
static struct mem_job *ended_job_find(struct berth_mem_disk *disk, uint64_t id)
{
    struct mem_job **found = mem_array_find(&disk->jobs, id);
    bool is_there =
        found && store_state_is_ended((*found)->record.state) && !(*found)->is_discarded;
    return is_there ? *found : NULL;
}

static void apply_revive(struct berth_mem_disk *disk, struct berth_revive_record *revive)
{
    struct mem_job *job = ended_job_find(disk, revive->id);
    if (!job || job->record.state == BERTH_COMPLETED) {
        revive->is_missing = true;
        return;
    }
    uncount(disk, &job->record);
    job->record.state = BERTH_READY;
    job->record.run_at_us = revive->run_at_us;
    job->record.finished_us = 0;
    job->record.is_suspect = job->record.deaths > 0;
    job->record.failures = job->record.deaths = 0;
    job->record.is_cancelled = false;
    job->record.deadline_us = revive->deadline_us;
    job->record.after = (struct berth_slice){ 0 };
    job->record.parent = job->record.parent_attempt = job->record.parent_ordinal = 0;
}

static void apply_discard(struct berth_mem_disk *disk, uint64_t id)
{
    struct mem_job *job = ended_job_find(disk, id);
    if (!job || job->record.state != BERTH_DEAD)
        return;
    uncount(disk, &job->record);
    job->is_discarded = true;
}

static void apply_dispatcher(struct berth_mem_disk *disk,
                             const struct berth_dispatcher_record *record)
{
    struct berth_dispatcher_record *found = mem_array_find(&disk->dispatchers, record->id);
    struct berth_dispatcher_record fresh = *record;
    fresh.token_us = found ? found->token_us : 0;
    if (found)
        *found = fresh;
    else
        mem_array_insert(&disk->dispatchers, record->id, &fresh);
    if (record->id >= disk->next_dispatcher_id)
        disk->next_dispatcher_id = record->id + UINT64_C(1);
}

static void apply_token(struct berth_mem_disk *disk, const struct berth_token_record *token)
{
    struct berth_dispatcher_record *found = mem_array_find(&disk->dispatchers, token->dispatcher);
    BERTH_ASSERT(found);
    found->token_us = token->token_us;
}

static void close_session(struct berth_mem_disk *disk, uint64_t id)
{
    struct berth_session_record *session = mem_array_find(&disk->sessions, id);
    BERTH_ASSERT(session);
    session->is_closed = true;
}

static void apply_dispatcher_end(struct berth_mem_disk *disk, uint64_t id)
{
    mem_array_remove(&disk->dispatchers, id);
    if (mem_array_find(&disk->counts, id))
        mem_array_remove(&disk->counts, id);
    for (size_t i = 0; i < disk->jobs.count; i++)
        if (mem_job_at(disk, i)->record.dispatcher == id)
            mem_job_at(disk, i)->is_discarded = true;
}

static void apply(struct berth_mem_disk *disk, struct berth_record *record, void **block)
{
    switch (record->type) {
    case BERTH_RECORD_JOB: apply_job(disk, block); return;
    case BERTH_RECORD_START:
        set_start(live_job_get(disk, record->start.id), &record->start);
        return;
    case BERTH_RECORD_RETRY: apply_retry(disk, &record->retry, block); return;
    case BERTH_RECORD_END: apply_end(disk, &record->end, block); return;
    case BERTH_RECORD_CANCEL: live_job_get(disk, record->id)->record.is_cancelled = true; return;
    case BERTH_RECORD_DISPATCHER: apply_dispatcher(disk, &record->dispatcher); return;
    case BERTH_RECORD_SESSION:
        mem_array_insert(&disk->sessions, record->session.id, &record->session);
        return;
    case BERTH_RECORD_SESSION_CLOSED: close_session(disk, record->id); return;
    case BERTH_RECORD_SESSION_END: mem_array_remove(&disk->sessions, record->id); return;
    case BERTH_RECORD_REVIVE: apply_revive(disk, &record->revive); return;
    case BERTH_RECORD_DISCARD: apply_discard(disk, record->id); return;
    case BERTH_RECORD_DISPATCHER_END: apply_dispatcher_end(disk, record->id); return;
    case BERTH_RECORD_TOKEN: apply_token(disk, &record->token); return;
    case BERTH_RECORD_SCHEDULE:
    case BERTH_RECORD_SCHEDULE_DONE:
    case BERTH_RECORD_SCHEDULE_END: mem_schedule_apply(disk, record, block); return;
    }
    BERTH_UNREACHABLE();
}

/* ---- what is forgotten ---- */

static bool has_key_of(const struct berth_mem_disk *disk, const struct mem_job *job,
                       enum berth_key_kind kind)
{
    return job->record.key.kind == kind && job->record.key.until_us > disk->now_us;
}

/* How many of the oldest a dispatcher has too many. */
static uint64_t excess_of(const struct berth_mem_disk *disk, uint32_t dispatcher)
{
    const struct berth_dispatcher_record *settings = mem_array_find(&disk->dispatchers, dispatcher);
    const struct berth_ended_count *count = mem_array_find(&disk->counts, dispatcher);
    uint64_t kept = count ? count->completed + count->dead + count->cancelled : 0;
    uint64_t most = settings ? settings->retention_count : BERTH_STORE_HISTORY_COUNT;
    return kept > most ? kept - most : 0;
}

/* What a dispatcher keeps, looked up once for many of its jobs. */
struct retention {
    uint32_t dispatcher; /* 0: none yet */
    int64_t oldest_us;   /* what ended before is too old */
    uint64_t excess;
};

static struct retention *retention_of(const struct berth_mem_disk *disk,
                                      struct retention known[static RETENTIONS_KNOWN],
                                      uint32_t dispatcher)
{
    struct retention *retention = &known[dispatcher % RETENTIONS_KNOWN];
    if (retention->dispatcher == dispatcher)
        return retention;
    const struct berth_dispatcher_record *settings = mem_array_find(&disk->dispatchers, dispatcher);
    int64_t retention_us = settings ? settings->retention_ms * 1000 : BERTH_STORE_HISTORY_US;
    *retention = (struct retention){ .dispatcher = dispatcher,
                                     .oldest_us = disk->now_us - retention_us,
                                     .excess = excess_of(disk, dispatcher) };
    return retention;
}

/* An ended job leaves the history, unless that keeps it. */
static void forget(struct berth_mem_disk *disk, struct mem_job *job, struct retention *retention)
{
    bool is_too_old = job->record.finished_us < retention->oldest_us;
    bool is_kept =
        has_key_of(disk, job, BERTH_KEY_REQUEST) || (!is_too_old && retention->excess == 0);
    if (is_kept || job->is_discarded)
        return;
    uncount(disk, &job->record);
    job->is_discarded = true;
    if (retention->excess > 0)
        retention->excess--;
}

/* An attempt of its parent asks for the key of a child: while that lives, or may be retried. */
static bool parent_asks(const struct berth_mem_disk *disk, uint64_t parent)
{
    struct mem_job **found = mem_array_find(&disk->jobs, parent);
    return found && !(*found)->is_discarded && (*found)->record.state != BERTH_COMPLETED;
}

bool mem_key_is_wanted(const struct berth_mem_disk *disk, const struct berth_job_record *job)
{
    return store_key_outlives(job) &&
           (job->key.kind != BERTH_KEY_CHILD || parent_asks(disk, job->parent));
}

/* First what is forgotten, then whose key is of no use either, and then they go: a parent is found
 * for as long as its children are looked at. */
static void forget_ended(struct berth_mem_disk *disk)
{
    struct retention known[RETENTIONS_KNOWN] = { 0 };
    size_t kept = 0;
    for (size_t i = 0; i < disk->jobs.count; i++) {
        struct mem_job *job = mem_job_at(disk, i);
        if (!store_state_is_live(job->record.state))
            forget(disk, job, retention_of(disk, known, job->record.dispatcher));
    }
    for (size_t i = 0; i < disk->jobs.count; i++) {
        struct mem_job *job = mem_job_at(disk, i);
        job->is_needless = job->is_discarded && (job->record.key.until_us <= disk->now_us ||
                                                 !mem_key_is_wanted(disk, &job->record));
    }
    for (size_t i = 0; i < disk->jobs.count; i++) {
        struct mem_job *job = mem_job_at(disk, i);
        if (!job->is_needless) {
            *(struct mem_job **)mem_array_at(&disk->jobs, kept++) = job;
            continue;
        }
        disk->bytes -= job->bytes + job->last_bytes + job->why_bytes;
        job_free(job);
    }
    disk->jobs.count = kept;
    disk->age_done_us = disk->now_us;
}

/* Looks through all only if somebody has too many, or a while has passed. */
static void tidy(struct berth_mem_disk *disk, const struct berth_batch *batch)
{
    bool is_due = disk->now_us - disk->age_done_us >= AGE_PASS_US;
    for (size_t i = 0; i < batch->count && !is_due; i++)
        is_due = batch->records[i].type == BERTH_RECORD_END &&
                 excess_of(disk, batch->records[i].end.dispatcher);
    if (is_due)
        forget_ended(disk);
}

static bool is_beyond(const struct berth_mem_disk *disk, const struct berth_batch *batch,
                      uint64_t bytes_max)
{
    if (bytes_max == 0 || !store_batch_has_arrivals(batch))
        return false;
    uint64_t bytes = disk->bytes;
    for (size_t i = 0; i < batch->count; i++) {
        if (batch->records[i].type == BERTH_RECORD_JOB)
            bytes += arrival_bytes(&batch->records[i].job);
    }
    return bytes > bytes_max;
}

int mem_disk_apply(struct berth_mem_disk *disk, struct berth_batch *batch, uint64_t bytes_max)
{
    if (is_beyond(disk, batch, bytes_max))
        return BERTH_EFULL;
    void **blocks = calloc(batch->count + 1, sizeof *blocks);
    if (!blocks)
        return -ENOMEM;
    int rc = prepare_all(disk, batch, blocks);
    for (size_t i = 0; i < batch->count; i++) {
        if (rc == 0)
            apply(disk, &batch->records[i], &blocks[i]);
        free(blocks[i]);
    }
    free(blocks);
    if (rc == 0)
        tidy(disk, batch);
    return rc;
}
