/* SPDX-License-Identifier: MIT */
/* What a load and a read find on the memory backend's disk. */
#include "broker/store/store_mem_disk.h"

#include "base/assert.h"
#include "broker/store/store_record.h"

static int visit_jobs(const struct berth_mem_disk *disk, const struct berth_store_visitor *visitor)
{
    uint64_t budget_bytes = visitor->body_bytes_budget;
    for (size_t i = 0; i < disk->jobs.count; i++) {
        struct berth_job_record job = mem_job_at(disk, i)->record;
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
        const struct berth_job_record *job = &mem_job_at(disk, i)->record;
        if (!store_state_is_ended(job->state) || !mem_key_is_wanted(disk, job) ||
            job->key.until_us <= wall_us)
            continue;
        bool is_child = job->key.kind == BERTH_KEY_CHILD;
        int rc = visitor->ended_key(
            visitor->arg, &(struct berth_job_record){ .id = job->id,
                                                      .dispatcher = job->dispatcher,
                                                      .key = job->key,
                                                      .parent = is_child ? job->parent : 0 });
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
        rc = visitor->dispatcher(visitor->arg, mem_array_at(&disk->dispatchers, i));
    for (size_t i = 0; rc >= 0 && i < disk->sessions.count; i++)
        rc = visitor->session(visitor->arg, mem_array_at(&disk->sessions, i));
    if (rc >= 0)
        rc = mem_schedules_visit(disk, visitor);
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
        struct mem_job **found = mem_array_find(&disk->jobs, read->ids[i]);
        if (found && !(*found)->is_discarded)
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
        return read->after ? mem_array_place(&disk->jobs, read->after) : disk->jobs.count;
    return mem_array_place(&disk->jobs, read->after + 1);
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
        const struct mem_job *entry = mem_job_at(disk, read->is_newest_first ? index - 1 : index);
        struct berth_job_record job = entry->record;
        if (answer->job_count == read->count_max || looked_at == BERTH_STORE_READ_ROWS_MAX ||
            answer->copied_bytes >= BERTH_STORE_LIST_BYTES_MAX) {
            answer->has_more = true;
            return 0;
        }
        if (!read->with_bodies)
            job.body.data = job.last.result.data = NULL;
        bool is_there = !entry->is_discarded && is_wanted(read, &job);
        rc = is_there ? store_answer_add(answer, &job) : 0;
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
        answer->counts[i] = *(const struct berth_ended_count *)mem_array_at(&disk->counts, i);
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
