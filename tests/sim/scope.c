/* SPDX-License-Identifier: MIT */
/* The checkers of scopes: rules 24 to 27 of checkers.c. A child is one from the moment that its
 * arrival is on the disk. */
#include "broker/core/state.h"
#include "parent.h"
#include "sim.h"

struct check_child {
    struct check_child *next; /* of the same parent, the newest first */
    uint64_t id, parent, attempt;
    uint32_t ordinal;
    unsigned stored_life; /* of the broker that wrote it */
};

uint64_t check_parent_of(const struct check_child *child)
{
    return child->parent;
}

static bool is_live(struct sim *sim, uint64_t id)
{
    const struct check_job *job = check_job_of(sim, id);
    return job->is_stored && !job->stored_end;
}

/* Told to end, on the disk. */
static bool is_ending(struct sim *sim, uint64_t id)
{
    return !is_live(sim, id) || check_job_of(sim, id)->is_cancel_stored;
}

/* ---- what is on the disk ---- */

static void note_arrival(struct sim *sim, const struct berth_job_record *record)
{
    if (!record->parent)
        return;
    struct check_job *parent = check_job_of(sim, record->parent);
    struct check_child *child = berth_arena_zalloc(&sim->checkers.arena, sizeof *child);
    *child = (struct check_child){ .next = parent->children,
                                   .id = record->id,
                                   .parent = record->parent,
                                   .attempt = record->parent_attempt,
                                   .ordinal = record->parent_ordinal,
                                   .stored_life = sim->broker.life };
    parent->children = child;
    sim_total.offspring++;
    check_job_of(sim, record->id)->child = child;
    const struct check_attempt *attempt = check_attempt_of(sim, child->attempt);
    if (attempt->job != child->parent || !attempt->is_started)
        sim_fail(sim, "job %llu is a child of job %llu, whose attempt %llx never was",
                 (unsigned long long)child->id, (unsigned long long)child->parent,
                 (unsigned long long)child->attempt);
}

static void check_one_completed(struct sim *sim, const struct check_child *child)
{
    for (const struct check_child *other = check_job_of(sim, child->parent)->children; other;
         other = other->next)
        if (other != child && other->ordinal == child->ordinal &&
            check_job_of(sim, other->id)->stored_end == BERTH_COMPLETED &&
            !check_job_of(sim, other->id)->lives && !check_job_of(sim, child->id)->lives)
            sim_fail(sim, "child %u of job %llu completed as job %llu and as job %llu",
                     child->ordinal, (unsigned long long)child->parent,
                     (unsigned long long)other->id, (unsigned long long)child->id);
}

/* Its worker has waited for them, and knows how they ended. */
static void check_completed(struct sim *sim, const struct berth_end_record *end)
{
    bool is_supervisor = parent_is_supervisor(end->id);
    for (const struct check_child *child = check_job_of(sim, end->id)->children; child;
         child = child->next) {
        if (child->attempt != end->last.id)
            continue;
        const struct check_job *job = check_job_of(sim, child->id);
        if (!job->stored_end && !job->lives)
            sim_fail(sim, "job %llu has completed, and its child %llu lives",
                     (unsigned long long)end->id, (unsigned long long)child->id);
        if (job->stored_end == BERTH_DEAD && !is_supervisor && !job->lives)
            sim_fail(sim, "job %llu has completed, and its child %llu is dead",
                     (unsigned long long)end->id, (unsigned long long)child->id);
    }
}

void check_scope_stored(struct sim *sim, const struct berth_record *record)
{
    if (record->type == BERTH_RECORD_JOB)
        note_arrival(sim, &record->job);
    if (record->type != BERTH_RECORD_END || record->end.state != BERTH_COMPLETED)
        return;
    const struct check_child *child = check_job_of(sim, record->end.id)->child;
    if (child)
        check_one_completed(sim, child);
    check_completed(sim, &record->end);
}

/* ---- a batch ---- */

static bool came_in(const struct berth_batch *batch, uint64_t id)
{
    for (size_t i = 0; i < batch->count; i++)
        if (batch->records[i].type == BERTH_RECORD_JOB && batch->records[i].job.id == id)
            return true;
    return false;
}

/* One that arrived in this very batch ends in the next. */
static void check_children(struct sim *sim, const struct berth_batch *batch, uint64_t parent,
                           const char *why)
{
    for (const struct check_child *child = check_job_of(sim, parent)->children; child;
         child = child->next)
        if (!is_ending(sim, child->id) && !check_job_of(sim, child->id)->lives &&
            !came_in(batch, child->id))
            sim_fail(sim, "job %llu lives on, and its parent, job %llu, %s",
                     (unsigned long long)child->id, (unsigned long long)parent, why);
}

/* A broker that came back does not know who made them. */
static void check_siblings(struct sim *sim, const struct berth_batch *batch,
                           const struct check_child *dead)
{
    if (parent_is_supervisor(dead->parent) || dead->stored_life != sim->broker.life ||
        check_job_of(sim, dead->id)->lives)
        return;
    check_children(sim, batch, dead->parent, "has a dead child");
}

void check_scope_batch(struct sim *sim, const struct berth_batch *batch)
{
    for (size_t i = 0; i < batch->count; i++) {
        const struct berth_record *record = &batch->records[i];
        if (record->type == BERTH_RECORD_RETRY)
            check_children(sim, batch, record->retry.id, "is to run again");
        if (record->type == BERTH_RECORD_CANCEL)
            check_children(sim, batch, record->id, "was cancelled");
        if (record->type != BERTH_RECORD_END)
            continue;
        check_children(sim, batch, record->end.id, "has ended");
        const struct check_child *child = check_job_of(sim, record->end.id)->child;
        if (child && record->end.state == BERTH_DEAD)
            check_siblings(sim, batch, child);
    }
}

/* ---- what starts, what leaves ---- */

void check_scope_start(struct sim *sim, const struct run *run)
{
    for (const struct check_child *child = check_job_of(sim, run->job)->children; child;
         child = child->next) {
        const struct check_job *job = check_job_of(sim, child->id);
        if (job->lives)
            continue;
        if (is_live(sim, child->id) || job->alive)
            sim_fail(sim, "job %llu is started, and its child %llu %s",
                     (unsigned long long)run->job, (unsigned long long)child->id,
                     job->alive ? "runs" : "lives");
    }
}

void check_scope_orders(struct sim *sim, const struct berth_do_orders *orders)
{
    for (size_t i = 0; i < orders->children_count; i++)
        for (size_t j = 0; j < orders->children[i].count; j++)
            if (!check_job_of(sim, orders->children[i].ids[j])->is_stored)
                sim_fail(sim, "child %llu is acknowledged and not stored",
                         (unsigned long long)orders->children[i].ids[j]);
    for (size_t i = 0; i < orders->child_end_count; i++) {
        const struct berth_order_child_end *end = &orders->child_ends[i];
        const struct check_job *job = check_job_of(sim, end->job);
        bool is_gone = job->is_discarded || !check_is_kept(sim, end->job);
        bool is_lost = is_gone && end->state == BERTH_DEAD;
        if (!job->lives && !is_lost && job->stored_end != end->state)
            sim_fail(sim, "child %llu has ended in state %d, it is said, on the disk in %d",
                     (unsigned long long)end->job, (int)end->state, (int)job->stored_end);
    }
}
