/* SPDX-License-Identifier: MIT */
/* Attempts as a worker's child runs them: how long they take, how they end, what they write, and
 * which of them kill what they run in. */
#include "runs.h"

#include <stdlib.h>
#include <string.h>

#include "parent.h"

#define RUN_US_MAX          (4 * SECOND)
#define LONG_RUN_US_MAX     (60 * SECOND)
#define SHOWS_MAX           4
#define WRITE_BYTES_MAX     40000 /* at a time */
#define STRIKES_NOT_PERCENT 15

struct run *find_run(struct worker *worker, uint64_t attempt)
{
    struct berth_map_node *node = berth_map_find_id(&worker->runs, attempt);
    return node ? berth_container_of(node, struct run, by_attempt) : NULL;
}

static void draw_end(struct sim *sim, struct run *run)
{
    static const enum agent_outcome outcomes[] = {
        AGENT_COMPLETED, AGENT_COMPLETED, AGENT_COMPLETED,      AGENT_COMPLETED, AGENT_COMPLETED,
        AGENT_FAILED,    AGENT_FAILED,    AGENT_FAILED_FOREVER, AGENT_SNOOZED
    };
    enum agent_outcome outcome = outcomes[berth_rng_below(&sim->rng, 9)];
    run->end = (struct agent_end){ .outcome = outcome };
    if (outcome == AGENT_SNOOZED)
        run->end.retry_ms = berth_rng_between(&sim->rng, 1, 3000);
    if (outcome == AGENT_FAILED || outcome == AGENT_FAILED_FOREVER)
        run->end.error_kind = (struct berth_slice){ "handler", 7 };
    bool is_long = !sim->is_calm && sim_chance(sim, 3);
    run->ends_us = sim->now_us + sim_random_us(sim, MS, is_long ? LONG_RUN_US_MAX : RUN_US_MAX);
    run->ignores_cancel = sim_chance(sim, 25);
}

void end_run(struct sim *sim, void *arg)
{
    const struct appointment *appointment = arg;
    struct worker *worker = appointment->worker;
    struct run *run = find_run(worker, appointment->attempt);
    if (postpone(sim, appointment, end_run, arg))
        return;
    if (!run || run->life != worker->life || run->ends_us > sim->now_us || worker->is_frozen)
        return;
    if (run->is_suspended || run->is_body_over)
        return;
    parent_ends(run);
    run->end.run_us = sim->now_us - run->started_us;
    struct agent_event event = { .type = AGENT_EV_ENDED };
    event.ended.attempt = run->attempt;
    event.ended.end = run->end;
    if (run->is_parent)
        parent_body_over(run); /* how it ends its agent says, when its children have ended */
    else
        finish_run(worker, run);
    feed(worker, &event);
}

void finish_run(struct worker *worker, struct run *run)
{
    check_finish(worker->sim, run);
    berth_map_remove(&worker->runs, &run->by_attempt);
    free(run);
}

/* It writes something, and says so. */
static void write_output(struct sim *sim, void *arg)
{
    const struct appointment *appointment = arg;
    struct worker *worker = appointment->worker;
    struct run *run = find_run(worker, appointment->attempt);
    if (postpone(sim, appointment, write_output, arg))
        return;
    if (!run || run->life != appointment->life || worker->is_frozen)
        return;
    run->written += berth_rng_below(&sim->rng, WRITE_BYTES_MAX);
    struct agent_event event = { .type = AGENT_EV_NEWS };
    event.news.attempt = run->attempt;
    feed(worker, &event);
}

/* It could not be started: the worker's own doing. */
static void release(struct sim *sim, void *arg)
{
    const struct appointment *appointment = arg;
    struct worker *worker = appointment->worker;
    if (postpone(sim, appointment, release, arg))
        return;
    if (!worker->has_child || worker->life != appointment->life)
        return;
    struct agent_event event = { .type = AGENT_EV_RELEASED };
    event.released.attempt = appointment->attempt;
    event.released.reason = AGENT_RELEASE_NO_MEMORY;
    feed(worker, &event);
}

static uint64_t tag_of(struct sim *sim, struct berth_slice body)
{
    uint64_t tag;
    if (body.bytes != sizeof tag)
        sim_fail(sim, "a job of %zu bytes is granted, and nobody submitted one", body.bytes);
    memcpy(&tag, body.data, sizeof tag);
    return tag;
}

/* It kills what runs it. */
static void strike(struct sim *sim, void *arg)
{
    const struct appointment *appointment = arg;
    struct worker *worker = appointment->worker;
    const struct run *run = find_run(worker, appointment->attempt);
    if (!run || run->life != worker->life || worker->is_frozen)
        return;
    sim_note(sim, "worker %u: job %llu kills its child", worker->index,
             (unsigned long long)run->job);
    if (run->is_named)
        die_of(worker, run->attempt);
    else
        worker_kill_child(worker, BERTH_GONE_EXIT);
}

/* Perhaps not this time. */
static void draw_strike(struct worker *worker, struct run *run, enum sim_poison poison)
{
    struct sim *sim = worker->sim;
    if (poison == POISON_NONE || sim_chance(sim, STRIKES_NOT_PERCENT))
        return;
    run->is_named = poison == POISON_NAMED;
    appoint(worker, sim_random_us(sim, sim->now_us, run->ends_us), strike, worker->life,
            run->attempt);
}

void start_run(struct worker *worker, const struct agent_grant *grant, int64_t granted_us)
{
    struct sim *sim = worker->sim;
    if (sim_chance(sim, 1)) {
        appoint(worker, sim->now_us, release, worker->life, grant->attempt);
        return;
    }
    struct run *run = calloc(1, sizeof *run);
    BERTH_ASSERT(run != NULL);
    run->worker = worker;
    run->attempt = grant->attempt;
    run->job = grant->job;
    run->dispatcher = sim_dispatcher_index(sim, grant->dispatcher);
    uint64_t tag = tag_of(sim, grant->body);
    run->group = sim_group_of(tag);
    run->life = worker->life;
    run->started_us = sim->now_us;
    run->number = grant->number;
    if (berth_map_insert_id(&worker->runs, &run->by_attempt, run->attempt) < 0)
        sim_fail(sim, "attempt %llx is started twice by one worker",
                 (unsigned long long)run->attempt);
    sim_note(sim, "worker %u starts job %llu as %llx (%s, number %u)", worker->index,
             (unsigned long long)run->job, (unsigned long long)run->attempt,
             sim_rules[run->dispatcher].name, grant->number);
    check_start(sim, run, granted_us);
    check_timeout_start(run, grant, tag);
    draw_end(sim, run);
    draw_strike(worker, run, sim_poison_of(tag));
    appoint(worker, run->ends_us, end_run, worker->life, run->attempt);
    parent_begin(run, grant->body);
    for (uint64_t i = berth_rng_below(&sim->rng, SHOWS_MAX); i > 0; i--)
        appoint(worker, sim->now_us + sim_random_us(sim, 0, RUN_US_MAX), write_output, worker->life,
                run->attempt);
}

void cancel_run(struct worker *worker, uint64_t attempt, enum agent_cancel_reason reason)
{
    struct sim *sim = worker->sim;
    struct run *run = find_run(worker, attempt);
    if (run)
        check_timeout_told(run, reason);
    if (!run || run->is_cancelled || (run->ignores_cancel && reason != AGENT_CANCEL_STOP))
        return;
    run->is_cancelled = true;
    run->end = (struct agent_end){ .outcome = AGENT_CANCELLED };
    run->ends_us = sim->now_us + sim_random_us(sim, 10, 300 * MS);
    appoint(worker, run->ends_us, end_run, worker->life, run->attempt);
    parent_cancelled(run);
}

void drop_runs(struct worker *worker)
{
    BERTH_MAP_FOREACH (node, &worker->runs) {
        struct run *run = berth_container_of(node, struct run, by_attempt);
        check_killed(worker->sim, run);
        berth_map_remove(&worker->runs, node);
        free(run);
    }
}
