/* SPDX-License-Identifier: MIT */
/* The checkers of a job's life: rules 16 to 20 and 28 of checkers.c. What a job brings is read from
 * its record when that is on the disk; what it may bring is a function of its tag, as whoever
 * repeats a submit says the same. */
#include <string.h>

#include "broker/core/state.h"
#include "sim.h"

#define UNIQUE_KEYS 6

/* A job that waits for another one. */
struct later {
    struct later *next;
    uint64_t id;
};

struct check_life {
    struct check_life *next; /* of those with a unique key or a time in the queue, newest first */
    uint64_t id;
    int64_t submitted_us, run_at_us, deadline_us;
    int64_t not_before_us;          /* its delay, or the wait before its next attempt */
    int64_t queue_timeout_ms;       /* its own; that of its dispatcher changes */
    int64_t queue_timeout_ms_least; /* 0: it has none */
    uint64_t unique;                /* with its dispatcher; 0: none */
    uint64_t *after;
    size_t after_count;
    struct later *later;
    unsigned stored_life; /* of the broker that wrote it; 0: its time in the queue is not known */
    bool is_granted;      /* at least once */
    int64_t stored_us; /* by no clock that jumps: one that came to wait before its dispatcher had a
                          timeout counts from then by that of the broker */
};

/* ---- what jobs bring ---- */

static const char *const unique_keys[UNIQUE_KEYS] = { "a", "b", "c", "d", "e", "f" };

/* The same tag brings the same. One that is submitted under a key has no unique key: whether its
 * answer names an earlier job could not be told. */
void sim_bring(uint64_t tag, bool has_key, struct berth_submit_item *item)
{
    struct berth_rng rng;
    berth_rng_init(&rng, tag * 31 + 7);
    if (berth_rng_chance(&rng, 8, 100))
        item->deadline_ms = berth_rng_between(&rng, 100, 20000);
    if (berth_rng_chance(&rng, 8, 100))
        item->queue_timeout_ms = berth_rng_between(&rng, 20, 8000);
    if (berth_rng_chance(&rng, 10, 100)) {
        item->backoff_ms = berth_rng_between(&rng, 1, 2000);
        item->backoff_ms_max = item->backoff_ms * 2;
    }
    item->timeout_ms = sim_timeout_ms_of(tag);
    if (has_key || !berth_rng_chance(&rng, 8, 100))
        return;
    item->unique = slice_of(unique_keys[berth_rng_below(&rng, UNIQUE_KEYS)]);
    if (berth_rng_chance(&rng, 50, 100))
        item->on_conflict = BERTH_ON_CONFLICT_EXISTING;
}

/* ---- what is on the disk ---- */

static struct check_life *life_of(struct sim *sim, uint64_t id)
{
    return check_job_of(sim, id)->life;
}

static bool is_live(struct sim *sim, uint64_t id)
{
    const struct check_job *job = check_job_of(sim, id);
    return job->is_stored && !job->stored_end;
}

static bool has_failed(struct sim *sim, uint64_t id)
{
    enum berth_state end = check_job_of(sim, id)->stored_end;
    return end == BERTH_DEAD || end == BERTH_CANCELLED;
}

/* It may live again. */
static bool has_ever_failed(struct sim *sim, uint64_t id)
{
    return check_job_of(sim, id)->ends & (1u << BERTH_DEAD | 1u << BERTH_CANCELLED);
}

void check_life_step(struct sim *sim)
{
    if (sim_wall_us(sim) > sim->checkers.wall_us_most)
        sim->checkers.wall_us_most = sim_wall_us(sim);
}

static void note_unique(struct sim *sim, struct check_life *life)
{
    for (const struct check_life *other = sim->checkers.lives; other; other = other->next)
        if (life->unique && other != life && other->unique == life->unique &&
            is_live(sim, other->id))
            sim_fail(sim, "job %llu and job %llu live with one unique key",
                     (unsigned long long)life->id, (unsigned long long)other->id);
}

static uint64_t unique_of(const struct berth_job_record *record)
{
    if (!record->unique.bytes)
        return 0;
    return (uint64_t)record->dispatcher << 8 | *(const uint8_t *)record->unique.data;
}

static void note_after(struct sim *sim, struct check_life *life, struct berth_slice packed)
{
    struct berth_arena *arena = &sim->checkers.arena;
    life->after_count = packed.bytes / sizeof *life->after;
    life->after = berth_arena_memdup(arena, packed.data, packed.bytes);
    for (size_t i = 0; i < life->after_count; i++) {
        struct check_life *earlier = life_of(sim, life->after[i]);
        struct later *later = berth_arena_zalloc(arena, sizeof *later);
        if (!earlier)
            sim_fail(sim, "job %llu waits for job %llu, which is not there",
                     (unsigned long long)life->id, (unsigned long long)life->after[i]);
        *later = (struct later){ .next = earlier->later, .id = life->id };
        earlier->later = later;
    }
}

static void note_arrival(struct sim *sim, const struct berth_job_record *record)
{
    const struct sim_rule *rule = check_rule_of(sim, record->dispatcher);
    struct check_life *life = berth_arena_zalloc(&sim->checkers.arena, sizeof *life);
    *life = (struct check_life){
        .id = record->id,
        .submitted_us = record->submitted_us,
        .run_at_us = record->run_at_us,
        .not_before_us = record->run_at_us,
        .deadline_us = record->deadline_us,
        .queue_timeout_ms = record->queue_timeout_ms,
        .queue_timeout_ms_least =
            record->queue_timeout_ms ? record->queue_timeout_ms : rule->queue_timeout_ms_least,
        .unique = unique_of(record),
        .stored_life = sim->broker.life,
        .stored_us = sim->now_us,
    };
    if (life->unique || life->queue_timeout_ms) {
        life->next = sim->checkers.lives;
        sim->checkers.lives = life;
    }
    check_job_of(sim, record->id)->life = life;
    if (record->after.bytes)
        note_after(sim, life, record->after);
    note_unique(sim, life);
}

static void note_revival(struct sim *sim, const struct berth_revive_record *revive)
{
    struct check_job *job = check_job_of(sim, revive->id);
    if (job->stored_end)
        return; /* it was gone */
    job->ended_by_clock = false;
    job->life->deadline_us = revive->deadline_us;
    job->life->not_before_us = 0;
    job->life->after_count = 0;
    job->life->stored_life = 0;
    note_unique(sim, job->life);
}

static bool kind_is(const struct berth_end_record *end, const char *kind)
{
    struct berth_slice is = end->last.id ? end->last.error_kind : end->error_kind;
    return slice_is_equal(is, slice_of(kind));
}

/* Since when it may have stood ready. */
static int64_t ready_us(const struct check_life *life)
{
    return life->run_at_us > life->submitted_us ? life->run_at_us : life->submitted_us;
}

/* It has waited since then and all the time, by the clock of the broker that is there. */
static bool knows_its_time(const struct sim *sim, const struct check_life *life)
{
    return life->stored_life == sim->broker.life && !life->is_granted && !life->after_count;
}

static void note_end(struct sim *sim, const struct berth_end_record *end)
{
    struct check_job *job = check_job_of(sim, end->id);
    const struct check_life *life = job->life;
    unsigned long long id = end->id;
    bool is_late = kind_is(end, "deadline"), is_over = kind_is(end, "queue_timeout");
    job->ended_by_clock = end->state == BERTH_DEAD && (is_late || is_over);
    if (is_late && (!life->deadline_us || sim->checkers.wall_us_most < life->deadline_us))
        sim_fail(sim, "job %llu is dead by its deadline, which has not passed", id);
    if (is_over && !life->queue_timeout_ms_least)
        sim_fail(sim, "job %llu is dead by a queue timeout that it has not", id);
    if (is_over && job->alive)
        sim_fail(sim, "job %llu is dead by its queue timeout, and runs", id);
    if (is_over && knows_its_time(sim, life) &&
        end->finished_us - ready_us(life) < life->queue_timeout_ms_least * 1000 &&
        (life->queue_timeout_ms ||
         sim->now_us - life->stored_us < life->queue_timeout_ms_least * 1000))
        sim_fail(sim, "job %llu is dead by its queue timeout, which has not passed", id);
    if (end->state != BERTH_CANCELLED || !kind_is(end, "refused"))
        return;
    size_t failed = 0;
    for (size_t i = 0; i < life->after_count; i++)
        failed += has_ever_failed(sim, life->after[i]);
    if (!failed)
        sim_fail(sim, "job %llu was cancelled for another one, and none has failed", id);
}

/* Who waits for a job that has failed has ended with it. */
static void check_waiting(struct sim *sim, const struct berth_record *record)
{
    if (record->type == BERTH_RECORD_JOB) {
        const struct check_life *life = life_of(sim, record->job.id);
        for (size_t i = 0; i < life->after_count; i++)
            if (has_failed(sim, life->after[i]) && is_live(sim, life->id))
                sim_fail(sim, "job %llu lives, and job %llu, which it waits for, has failed",
                         (unsigned long long)life->id, (unsigned long long)life->after[i]);
    }
    if (record->type != BERTH_RECORD_END || !has_failed(sim, record->end.id))
        return;
    for (const struct later *at = life_of(sim, record->end.id)->later; at; at = at->next)
        if (is_live(sim, at->id) && life_of(sim, at->id)->after_count)
            sim_fail(sim, "job %llu lives, and job %llu, which it waits for, has failed",
                     (unsigned long long)at->id, (unsigned long long)record->end.id);
}

/* In the order of the batch, each after it was noted by checker 9; then what must hold behind it.
 */
void check_life_stored(struct sim *sim, const struct berth_record *record)
{
    if (record->type == BERTH_RECORD_JOB)
        note_arrival(sim, &record->job);
    if (record->type == BERTH_RECORD_REVIVE)
        note_revival(sim, &record->revive);
    if (record->type == BERTH_RECORD_END)
        note_end(sim, &record->end);
    /* It was given to a worker, which may have died before it heard of it. */
    if (record->type == BERTH_RECORD_RETRY && check_job_of(sim, record->retry.id)->life) {
        check_job_of(sim, record->retry.id)->life->is_granted = true;
        check_job_of(sim, record->retry.id)->life->not_before_us = record->retry.run_at_us;
    }
}

void check_life_batch(struct sim *sim, const struct berth_batch *batch)
{
    for (size_t i = 0; i < batch->count; i++)
        check_waiting(sim, &batch->records[i]);
}

/* ---- what leaves, what starts ---- */

void check_life_granted(struct sim *sim, const struct berth_order_grant *grant, bool is_decided_now)
{
    struct check_life *life = life_of(sim, grant->job);
    unsigned long long id = grant->job;
    if (!life)
        return;
    int64_t now_us = sim_wall_us(sim);
    if (life->deadline_us && now_us >= life->deadline_us)
        sim_fail(sim, "job %llu is granted when its deadline has passed", id);
    if (sim->checkers.wall_us_most < life->not_before_us)
        sim_fail(sim, "job %llu is granted before its time", id);
    bool is_known = knows_its_time(sim, life);
    life->is_granted = true;
    if (is_known && is_decided_now && life->queue_timeout_ms &&
        now_us - ready_us(life) >= life->queue_timeout_ms * 1000 + MS) /* decided in this ms */
        sim_fail(sim, "job %llu is granted when its queue timeout has passed", id);
}

void check_life_told(struct sim *sim, const struct berth_order_cancel *cancel, uint64_t job)
{
    const struct check_life *life = life_of(sim, job);
    if (!life || !life->deadline_us || sim->checkers.wall_us_most < life->deadline_us)
        sim_fail(sim, "attempt %llx is told that a deadline has passed, and none has",
                 (unsigned long long)cancel->attempt);
}

void check_life_start(struct sim *sim, uint64_t job)
{
    const struct check_life *life = life_of(sim, job);
    for (size_t i = 0; life && i < life->after_count; i++)
        if (check_job_of(sim, life->after[i])->stored_end != BERTH_COMPLETED)
            sim_fail(sim, "job %llu is started before job %llu has completed",
                     (unsigned long long)job, (unsigned long long)life->after[i]);
}

/* A submit was answered with a job that was there. */
void check_life_existing(struct sim *sim, uint64_t job, unsigned dispatcher,
                         struct berth_slice unique)
{
    const struct check_life *life = life_of(sim, job);
    const struct sim_rule *rule = life ? check_rule_of(sim, (uint32_t)(life->unique >> 8)) : NULL;
    if (!rule || rule != &sim_rules[dispatcher] ||
        (uint8_t)life->unique != *(const uint8_t *)unique.data)
        sim_fail(sim, "a submit is answered with job %llu, which has not its unique key",
                 (unsigned long long)job);
}

bool check_waits_for_time(const struct check_life *life)
{
    return life->not_before_us > 0;
}

/* After a turn: whose time in the queue is over is there no more. */
void check_life_turn(struct sim *sim)
{
    const struct berth_core *core = sim->broker.core;
    for (const struct check_life *life = sim->checkers.lives; life; life = life->next) {
        if (core->unresolved || !life->queue_timeout_ms || !knows_its_time(sim, life) ||
            !is_live(sim, life->id))
            continue;
        uint32_t index = job_find(core, life->id);
        bool is_ready = index && job_at(&core->jobs, index)->state == JOB_READY;
        if (is_ready && sim_wall_us(sim) - ready_us(life) >= life->queue_timeout_ms * 1000)
            sim_fail(sim, "job %llu is ready longer than its queue timeout of %lld ms",
                     (unsigned long long)life->id, (long long)life->queue_timeout_ms);
    }
}
