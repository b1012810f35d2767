/* SPDX-License-Identifier: MIT */
/* The memory backend's disk. */
#include "broker/store/store_mem_disk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/rng.h"
#include "broker/store/store_record.h"

#define ARRAY_COUNT_MIN 16

struct mem_job {
    struct berth_job_record
        record; /* its slices lie behind this struct, but those of `last` in `last` or `why` */
    size_t bytes;
    void *last;
    void *why; /* the error of a job with which no attempt ended */
    size_t last_bytes;
};

/* Sorted by the uint64_t id that `id_of` finds in an element. */
struct mem_array {
    void *items;
    size_t count, count_max, item_bytes;
    uint64_t (*id_of)(const void *item);
};

struct berth_mem_disk {
    uint64_t epoch, lineage;
    uint8_t cluster[16];
    uint64_t bytes;
    struct mem_array jobs;        /* struct mem_job * */
    struct mem_array dispatchers; /* struct berth_dispatcher_record */
    struct mem_array sessions;    /* struct berth_session_record */
    struct mem_array counts;      /* struct berth_ended_count */
};

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

static void *array_at(const struct mem_array *array, size_t index)
{
    return (char *)array->items + index * array->item_bytes;
}

/* The first place whose id is not below `id`. New ids are mostly the largest. */
static size_t array_place(const struct mem_array *array, uint64_t id)
{
    if (array->count == 0 || array->id_of(array_at(array, array->count - 1)) < id)
        return array->count;
    size_t low = 0, high = array->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (array->id_of(array_at(array, middle)) < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void *array_find(const struct mem_array *array, uint64_t id)
{
    size_t place = array_place(array, id);
    if (place == array->count || array->id_of(array_at(array, place)) != id)
        return NULL;
    return array_at(array, place);
}

static int array_reserve(struct mem_array *array, size_t more)
{
    if (array->count_max - array->count >= more)
        return 0;
    size_t wanted = array->count_max ? 2 * array->count_max : ARRAY_COUNT_MIN;
    if (wanted < array->count + more)
        wanted = array->count + more;
    void *items = realloc(array->items, wanted * array->item_bytes);
    if (!items)
        return -ENOMEM;
    array->items = items;
    array->count_max = wanted;
    return 0;
}

/* Room must have been reserved; the id must not be there. */
static void array_insert(struct mem_array *array, uint64_t id, const void *item)
{
    BERTH_ASSERT(array->count < array->count_max);
    size_t place = array_place(array, id);
    BERTH_ASSERT(place == array->count || array->id_of(array_at(array, place)) != id);
    memmove(array_at(array, place + 1), array_at(array, place),
            (array->count - place) * array->item_bytes);
    memcpy(array_at(array, place), item, array->item_bytes);
    array->count++;
}

static void array_remove(struct mem_array *array, uint64_t id)
{
    size_t place = array_place(array, id);
    BERTH_ASSERT(place < array->count);
    BERTH_ASSERT(array->id_of(array_at(array, place)) == id);
    array->count--;
    memmove(array_at(array, place), array_at(array, place + 1),
            (array->count - place) * array->item_bytes);
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
    return disk;
}

static struct mem_job *job_at(const struct berth_mem_disk *disk, size_t index)
{
    return *(struct mem_job **)array_at(&disk->jobs, index);
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
        job_free(job_at(disk, i));
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
    const struct mem_array *jobs = &disk->jobs, *dispatchers = &disk->dispatchers;
    *ret_info = (struct berth_store_info){ .epoch = disk->epoch,
                                           .next_job_id = 1,
                                           .next_dispatcher_id = 1 };
    if (jobs->count > 0)
        ret_info->next_job_id = jobs->id_of(array_at(jobs, jobs->count - 1)) + 1;
    if (dispatchers->count > 0)
        ret_info->next_dispatcher_id =
            (uint32_t)dispatchers->id_of(array_at(dispatchers, dispatchers->count - 1)) + 1;
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
    if (array_reserve(&disk->jobs, batch->count) < 0 ||
        array_reserve(&disk->dispatchers, batch->count) < 0 ||
        array_reserve(&disk->sessions, batch->count) < 0 ||
        array_reserve(&disk->counts, batch->count) < 0)
        return -ENOMEM;
    for (size_t i = 0; i < batch->count; i++) {
        if (prepare(&batch->records[i], &ret_blocks[i]) < 0)
            return -ENOMEM;
    }
    return 0;
}

static struct mem_job *live_job_get(struct berth_mem_disk *disk, uint64_t id)
{
    struct mem_job **found = array_find(&disk->jobs, id);
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
    job->why = *block;
    *block = NULL;
    disk->bytes += why_bytes(end);
    job->record.last.error_kind = end->error_kind;
    job->record.last.error_message = end->error_message;
    char *at = job->why;
    copy_slice(&at, &job->record.last.error_kind);
    copy_slice(&at, &job->record.last.error_message);
}

static void apply_job(struct berth_mem_disk *disk, void **block)
{
    struct mem_job *job = *block;
    array_insert(&disk->jobs, job->record.id, &job);
    disk->bytes += job->bytes;
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
    struct berth_ended_count *count = array_find(&disk->counts, end->dispatcher);
    if (!count) {
        array_insert(&disk->counts, end->dispatcher,
                     &(struct berth_ended_count){ .dispatcher = end->dispatcher });
        count = array_find(&disk->counts, end->dispatcher);
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
}

static void apply_dispatcher(struct berth_mem_disk *disk,
                             const struct berth_dispatcher_record *record)
{
    struct berth_dispatcher_record *found = array_find(&disk->dispatchers, record->id);
    if (found)
        *found = *record;
    else
        array_insert(&disk->dispatchers, record->id, record);
}

static void close_session(struct berth_mem_disk *disk, uint64_t id)
{
    struct berth_session_record *session = array_find(&disk->sessions, id);
    BERTH_ASSERT(session);
    session->is_closed = true;
}

static void apply(struct berth_mem_disk *disk, const struct berth_record *record, void **block)
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
        array_insert(&disk->sessions, record->session.id, &record->session);
        return;
    case BERTH_RECORD_SESSION_END: array_remove(&disk->sessions, record->id); return;
    case BERTH_RECORD_SESSION_CLOSED: close_session(disk, record->id); return;
    }
    BERTH_UNREACHABLE();
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

int mem_disk_apply(struct berth_mem_disk *disk, const struct berth_batch *batch, uint64_t bytes_max)
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
    return rc;
}

static int visit_jobs(const struct berth_mem_disk *disk, const struct berth_store_visitor *visitor)
{
    uint64_t budget_bytes = visitor->body_bytes_budget;
    for (size_t i = 0; i < disk->jobs.count; i++) {
        struct berth_job_record job = job_at(disk, i)->record;
        if (!store_state_is_live(job.state))
            continue;
        job.last = (struct berth_attempt_record){ .id = job.last.id };
        if (job.body.bytes > budget_bytes) {
            budget_bytes = 0;
            job.body.data = NULL;
        }
        budget_bytes -= job.body.data ? job.body.bytes : 0;
        int rc = visitor->job(visitor->arg, &job);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int visit_ended_keys(const struct berth_mem_disk *disk, int64_t wall_us,
                            const struct berth_store_visitor *visitor)
{
    for (size_t i = 0; i < disk->jobs.count; i++) {
        const struct berth_job_record *job = &job_at(disk, i)->record;
        if (!store_state_is_ended(job->state) || job->key.kind == BERTH_KEY_NONE ||
            job->key.until_us <= wall_us)
            continue;
        int rc = visitor->ended_key(
            visitor->arg, &(struct berth_job_record){
                              .id = job->id, .dispatcher = job->dispatcher, .key = job->key });
        if (rc < 0)
            return rc;
    }
    return 0;
}

int mem_disk_visit(const struct berth_mem_disk *disk, int64_t wall_us,
                   const struct berth_store_visitor *visitor)
{
    int rc = 0;
    for (size_t i = 0; rc >= 0 && i < disk->dispatchers.count; i++)
        rc = visitor->dispatcher(visitor->arg, array_at(&disk->dispatchers, i));
    for (size_t i = 0; rc >= 0 && i < disk->sessions.count; i++)
        rc = visitor->session(visitor->arg, array_at(&disk->sessions, i));
    if (rc >= 0)
        rc = visit_jobs(disk, visitor);
    if (rc >= 0)
        rc = visit_ended_keys(disk, wall_us, visitor);
    return rc < 0 ? rc : 0;
}

static int read_jobs(const struct berth_mem_disk *disk, const struct berth_read *read,
                     struct store_answer *answer)
{
    int rc = store_answer_reserve(answer, read->id_count);
    for (size_t i = 0; rc == 0 && i < read->id_count; i++) {
        struct mem_job **found = array_find(&disk->jobs, read->ids[i]);
        if (found)
            rc = store_answer_add(answer, &(*found)->record);
    }
    return rc;
}

static bool is_wanted(const struct berth_read *read, const struct berth_job_record *job)
{
    bool is_live = store_state_is_live(job->state);
    if (read->scope == BERTH_SCOPE_LIVE && !is_live)
        return false;
    if (read->scope == BERTH_SCOPE_ENDED && is_live)
        return false;
    if (read->state != 0 && !is_live && job->state != read->state)
        return false;
    return read->dispatcher == 0 || job->dispatcher == read->dispatcher;
}

/* Index of the first job of the page, in the direction of the read. */
static size_t list_start(const struct berth_mem_disk *disk, const struct berth_read *read)
{
    if (read->is_newest_first)
        return read->after ? array_place(&disk->jobs, read->after) : disk->jobs.count;
    return array_place(&disk->jobs, read->after + 1);
}

static int read_list(const struct berth_mem_disk *disk, const struct berth_read *read,
                     struct store_answer *answer)
{
    int rc = store_answer_reserve(answer, read->count_max);
    if (rc < 0)
        return rc;
    size_t index = list_start(disk, read);
    for (size_t looked_at = 0; read->is_newest_first ? index > 0 : index < disk->jobs.count;
         looked_at++) {
        struct berth_job_record job =
            job_at(disk, read->is_newest_first ? index - 1 : index)->record;
        if (answer->job_count == read->count_max || looked_at == BERTH_STORE_READ_ROWS_MAX ||
            answer->copied_bytes >= BERTH_STORE_LIST_BYTES_MAX) {
            answer->has_more = true;
            return 0;
        }
        if (!read->with_bodies)
            job.body.data = job.last.result.data = NULL;
        rc = is_wanted(read, &job) ? store_answer_add(answer, &job) : 0;
        if (rc < 0)
            return rc;
        answer->next = job.id;
        index = read->is_newest_first ? index - 1 : index + 1;
    }
    return 0;
}

static int read_counts(const struct berth_mem_disk *disk, struct store_answer *answer)
{
    int rc = store_answer_reserve_counts(answer, disk->counts.count);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < disk->counts.count; i++)
        answer->counts[i] = *(const struct berth_ended_count *)array_at(&disk->counts, i);
    answer->count_count = disk->counts.count;
    return 0;
}

int mem_disk_read(const struct berth_mem_disk *disk, const struct berth_read *read,
                  struct store_answer *answer)
{
    switch (read->type) {
    case BERTH_READ_JOBS: return read_jobs(disk, read, answer);
    case BERTH_READ_LIST: return read_list(disk, read, answer);
    case BERTH_READ_COUNTS: return read_counts(disk, answer);
    }
    BERTH_UNREACHABLE();
}
