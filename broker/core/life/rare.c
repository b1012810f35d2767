/* SPDX-License-Identifier: MIT */
#include "rare.h"

#include <errno.h>

#include "after.h"
#include "job_clock.h"
#include "unique.h"

#define CLOCKS_ROOM_MIN 1024u

static struct rare *rare_at(const struct berth_core *core, uint32_t index)
{
    return slab_at(&core->rares, index);
}

static bool rare_has_id(const void *arg, uint32_t record, const void *key)
{
    const struct berth_core *core = arg;
    return job_at(&core->jobs, rare_at(core, record)->job)->id == *(const uint64_t *)key;
}

uint64_t rare_index_hash(const void *arg, uint32_t record)
{
    const struct berth_core *core = arg;
    return job_index_hash(core, rare_at(core, record)->job);
}

static uint32_t rare_index(const struct berth_core *core, const struct job *job)
{
    return index_find(&core->rares_by_job, job_id_hash(job->id), rare_has_id, &job->id);
}

struct rare *rare_of(const struct berth_core *core, const struct job *job)
{
    return job->flags & JOB_HAS_RARE ? rare_at(core, rare_index(core, job)) : NULL;
}

struct ties *rare_ties(const struct berth_core *core, const struct job *job)
{
    const struct rare *rare = rare_of(core, job);
    return rare ? rare->ties : NULL;
}

/* ---- making ---- */

static bool is_sooner(const struct berth_heap_node *a, const struct berth_heap_node *b)
{
    const struct rare *x = berth_container_of(a, struct rare, clock_node);
    const struct rare *y = berth_container_of(b, struct rare, clock_node);
    return x->clock_us != y->clock_us ? x->clock_us < y->clock_us : x->job < y->job;
}

/* The heap of clocks always has room for every one of them. */
static int reserve_clock(struct berth_core *core)
{
    size_t count = core->rares.used + 1;
    if (count <= core->clocks.capacity)
        return 0;
    size_t room = core->clocks.capacity ? core->clocks.capacity * 2 : CLOCKS_ROOM_MIN;
    struct berth_heap_node **nodes = block_resize(core->clock_nodes, room * sizeof(*nodes));
    if (!nodes)
        return -ENOMEM;
    core->clock_nodes = nodes;
    if (core->clocks.capacity)
        berth_heap_move(&core->clocks, nodes, room);
    else
        berth_heap_init(&core->clocks, nodes, room, is_sooner);
    return 0;
}

struct rare *rare_get(struct berth_core *core, uint32_t index)
{
    struct job *job = job_at(&core->jobs, index);
    struct rare *rare = rare_of(core, job);
    if (rare)
        return rare;
    if (reserve_clock(core) < 0 || index_reserve(&core->rares_by_job, 1) < 0)
        return NULL;
    uint32_t place = slab_take(&core->rares);
    if (!place)
        return NULL;
    rare = rare_at(core, place);
    rare->job = index;
    if (job->state == JOB_READY)
        rare->ready_us = job_ready_us(core, job);
    job->flags |= JOB_HAS_RARE;
    index_insert(&core->rares_by_job, job_id_hash(job->id), place);
    return rare;
}

struct ties *rare_get_ties(struct berth_core *core, uint32_t job)
{
    struct rare *rare = rare_get(core, job);
    if (!rare || rare->ties)
        return rare ? rare->ties : NULL;
    struct ties *ties = block_new(sizeof *ties);
    if (!ties)
        return NULL;
    ties->job = job;
    ties->is_stored = job_at(&core->jobs, job)->state != JOB_ARRIVING;
    berth_list_init(&ties->awaited);
    berth_list_init(&ties->waiting);
    rare->ties = ties;
    return ties;
}

static bool brings_something(const struct berth_core *core, const struct job *job,
                             const struct berth_job_record *record)
{
    const struct dispatcher *dispatcher = job_dispatcher(core, job);
    return record->deadline_us || record->queue_timeout_ms || record->backoff_ms ||
           record->backoff_ms_max || record->unique.bytes || dispatcher->record.queue_timeout_ms ||
           dispatcher->wanted.queue_timeout_ms;
}

int rare_take(struct berth_core *core, uint32_t index, const struct berth_job_record *record)
{
    if (!brings_something(core, job_at(&core->jobs, index), record))
        return 0;
    struct rare *rare = rare_get(core, index);
    if (!rare)
        return -ENOMEM;
    rare->deadline_us = record->deadline_us;
    rare->queue_timeout_ms = record->queue_timeout_ms;
    rare->backoff_ms = record->backoff_ms;
    rare->backoff_ms_max = record->backoff_ms_max;
    return record->unique.bytes ? unique_take(core, index, record->unique) : 0;
}

int rare_reserve(struct berth_core *core, const struct dispatcher *dispatcher)
{
    for (uint32_t i = 1; i <= core->jobs.top; i++) {
        const struct job *job = job_at(&core->jobs, i);
        if (!job->state || job->flags & JOB_HAS_RARE || job_dispatcher(core, job) != dispatcher)
            continue;
        if (!rare_get(core, i))
            return -ENOMEM;
    }
    return 0;
}

/* ---- the end ---- */

void rare_free(struct berth_core *core, uint32_t index)
{
    struct job *job = job_at(&core->jobs, index);
    if (!(job->flags & JOB_HAS_RARE))
        return;
    uint32_t place = rare_index(core, job);
    struct rare *rare = rare_at(core, place);
    if (rare->ties) {
        unique_drop(core, rare->ties);
        after_drop(rare->ties);
        BERTH_ASSERT(berth_list_is_empty(&rare->ties->waiting));
        block_free(rare->ties);
    }
    if (berth_heap_is_linked(&rare->clock_node))
        berth_heap_remove(&core->clocks, &rare->clock_node);
    index_remove(&core->rares_by_job, job_id_hash(job->id), place);
    slab_give(&core->rares, place);
    job->flags &= (uint8_t)~JOB_HAS_RARE;
}

/* Links first: they lie between two. */
void rare_free_all(struct berth_core *core)
{
    for (uint32_t i = 1; i <= core->jobs.top; i++) {
        const struct job *job = job_at(&core->jobs, i);
        struct ties *ties = job->state ? rare_ties(core, job) : NULL;
        if (ties)
            after_drop(ties);
    }
    for (uint32_t i = 1; i <= core->jobs.top; i++)
        if (job_at(&core->jobs, i)->state)
            rare_free(core, i);
}

/* ---- check ---- */

static void check_one(const struct berth_core *core, uint32_t index, const struct rare *rare)
{
    const struct job *job = job_at(&core->jobs, index);
    BERTH_ASSERT(rare->job == index);
    int64_t clock_us = job_clock_of(core, job, rare);
    BERTH_ASSERT(berth_heap_is_linked(&rare->clock_node) == (clock_us != JOB_CLOCK_NEVER));
    if (clock_us != JOB_CLOCK_NEVER)
        BERTH_ASSERT(rare->clock_us == clock_us);
    if (!rare->ties)
        return;
    BERTH_ASSERT(rare->ties->job == index);
    after_check(core, rare->ties);
}

void rare_check(const struct berth_core *core)
{
    uint32_t count = 0;
    size_t uniques = 0;
    for (uint32_t i = 1; i <= core->jobs.top; i++) {
        const struct job *job = job_at(&core->jobs, i);
        const struct rare *rare = job->state ? rare_of(core, job) : NULL;
        if (!rare)
            continue;
        check_one(core, i, rare);
        count++;
        uniques += rare->ties && rare->ties->unique.bytes;
    }
    BERTH_ASSERT(count == core->rares.used);
    BERTH_ASSERT(count == core->rares_by_job.count);
    BERTH_ASSERT(uniques == berth_map_count(&core->uniques));
}
