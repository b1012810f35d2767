/* SPDX-License-Identifier: MIT */
#include "after.h"

#include <errno.h>
#include <inttypes.h>

#include "attempt.h"
#include "broker/core/step.h"

/* `later` waits for `earlier`. */
struct link {
    struct ties *earlier, *later;
    struct berth_list_node earlier_node,
        later_node; /* in waiting of the one, awaited of the other */
};

size_t after_count(struct berth_slice packed)
{
    return packed.bytes / sizeof(uint64_t);
}

uint64_t after_id(struct berth_slice packed, size_t place)
{
    const uint8_t *bytes = packed.data;
    uint64_t id = 0;
    for (size_t i = sizeof id; i-- > 0;)
        id = id << 8 | bytes[place * sizeof id + i];
    return id;
}

/* ---- links ---- */

static void link_free(struct link *link)
{
    berth_list_remove(&link->earlier_node);
    berth_list_remove(&link->later_node);
    link->later->awaited_count--;
    block_free(link);
}

/* Named twice it is waited for once. */
static bool is_linked(const struct ties *earlier, const struct ties *later)
{
    const struct berth_list_node *node = berth_list_last(&earlier->waiting);
    return node && berth_container_of(node, struct link, earlier_node)->later == later;
}

static int wait_for(struct berth_core *core, struct ties *later, uint32_t index)
{
    struct ties *earlier = rare_get_ties(core, index);
    if (!earlier)
        return -ENOMEM;
    if (is_linked(earlier, later))
        return 0;
    struct link *link = block_new(sizeof *link);
    if (!link)
        return -ENOMEM;
    link->earlier = earlier;
    link->later = later;
    berth_list_push_back(&earlier->waiting, &link->earlier_node);
    berth_list_push_back(&later->awaited, &link->later_node);
    later->awaited_count++;
    return 0;
}

int after_take(struct berth_core *core, uint32_t job, struct berth_slice packed)
{
    if (!packed.bytes)
        return 0;
    struct ties *later = rare_get_ties(core, job);
    if (!later)
        return -ENOMEM;
    for (size_t i = 0; i < after_count(packed); i++) {
        uint32_t index = job_find(core, after_id(packed, i));
        if (index && index != job && wait_for(core, later, index) < 0)
            return -ENOMEM;
    }
    return 0;
}

uint64_t after_waits(const struct berth_core *core, const struct job *job)
{
    const struct ties *ties = rare_ties(core, job);
    return ties ? ties->awaited_count : 0;
}

uint64_t after_first(const struct berth_core *core, const struct job *job)
{
    const struct berth_list_node *node = berth_list_first(&rare_ties(core, job)->awaited);
    const struct link *link = berth_container_of(node, struct link, later_node);
    return job_at(&core->jobs, link->earlier->job)->id;
}

void after_drop(struct ties *ties)
{
    BERTH_LIST_FOREACH_SAFE (node, &ties->awaited)
        link_free(berth_container_of(node, struct link, later_node));
}

/* ---- ends ---- */

void after_end(struct berth_core *core, uint32_t job, uint64_t awaited, enum berth_state ended)
{
    const char *how = ended == BERTH_DEAD ? "is dead" : "was cancelled";
    job_end_queued(core, job, BERTH_CANCELLED, "refused",
                   step_text(core, "job %" PRIu64 ", which it waited for, %s", awaited, how));
}

static void end_waiting(struct berth_core *core, struct ties *earlier)
{
    const struct job *failed = job_at(&core->jobs, earlier->job);
    uint64_t id = failed->id;
    enum berth_state ended = failed->end_state;
    struct berth_list_node *node;
    while ((node = berth_list_first(&earlier->waiting))) {
        struct link *link = berth_container_of(node, struct link, earlier_node);
        uint32_t later = link->later->job;
        link_free(link);
        if (!(job_at(&core->jobs, later)->flags & JOB_ENDING))
            after_end(core, later, id, ended);
    }
}

/* A chain of jobs may be as long as there are jobs, so what is felled by what is felled waits for
 * its turn here. */
void after_on_failed(struct berth_core *core, uint32_t job)
{
    struct ties *ties = rare_ties(core, job_at(&core->jobs, job));
    if (!ties || berth_list_is_empty(&ties->waiting))
        return;
    bool is_first = berth_list_is_empty(&core->felled);
    berth_list_push_back(&core->felled, &ties->felled_node);
    struct berth_list_node *node;
    while (is_first && (node = berth_list_first(&core->felled))) {
        end_waiting(core, berth_container_of(node, struct ties, felled_node));
        berth_list_remove(node);
    }
}

/* It waits for nobody any more: now for its time, or for room. An ARRIVING one goes there when it
 * is stored. */
static void go_on(struct berth_core *core, struct ties *later)
{
    const struct job *job = job_at(&core->jobs, later->job);
    if (later->awaited_count || job->state != JOB_SCHEDULED)
        return;
    if (later->run_at_us > core->wall_us)
        job_move_due(core, later->job, JOB_SCHEDULED, later->run_at_us);
    else
        job_move(core, later->job, JOB_READY, JOB_AT_TAIL);
}

void after_on_completed(struct berth_core *core, uint32_t job)
{
    struct ties *ties = rare_ties(core, job_at(&core->jobs, job));
    struct berth_list_node *node;
    while (ties && (node = berth_list_first(&ties->waiting))) {
        struct link *link = berth_container_of(node, struct link, earlier_node);
        struct ties *later = link->later;
        link_free(link);
        go_on(core, later);
    }
}

/* ---- check ---- */

void after_check(const struct berth_core *core, const struct ties *ties)
{
    const struct job *job = job_at(&core->jobs, ties->job);
    uint64_t count = 0;
    BERTH_LIST_FOREACH (node, &ties->awaited) {
        const struct link *link = berth_container_of(node, struct link, later_node);
        const struct job *earlier = job_at(&core->jobs, link->earlier->job);
        BERTH_ASSERT(link->later == ties);
        BERTH_ASSERT(!(earlier->flags & JOB_ENDING) || earlier->end_state == BERTH_COMPLETED);
        count++;
    }
    BERTH_ASSERT(count == ties->awaited_count);
    BERTH_ASSERT(!berth_list_is_linked(&ties->felled_node));
    if (count)
        BERTH_ASSERT(job->state == JOB_ARRIVING || job->state == JOB_SCHEDULED ||
                     job->state == JOB_SETTLING);
    if (count && job->state == JOB_SCHEDULED)
        BERTH_ASSERT(job->due_us == AFTER_NEVER);
}
