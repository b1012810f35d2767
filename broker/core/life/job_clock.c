/* SPDX-License-Identifier: MIT */
#include "job_clock.h"

#include <inttypes.h>

#include "attempt.h"
#include "broker/core/scope/suspend.h"
#include "broker/core/step.h"
#include "broker/core/worker/outbox.h"

/* No more is said to be left, whatever the wall clock does: ten years, as proto/limits.h. */
#define LEFT_MS_MAX (INT64_C(3650) * 24 * 3600 * 1000)

static int64_t queue_timeout_ms(const struct berth_core *core, const struct job *job,
                                const struct rare *rare)
{
    return rare->queue_timeout_ms ? rare->queue_timeout_ms
                                  : job_dispatcher(core, job)->record.queue_timeout_ms;
}

/* Until when it may stand READY. */
static int64_t queue_end_us(const struct berth_core *core, const struct job *job,
                            const struct rare *rare)
{
    int64_t timeout_ms = queue_timeout_ms(core, job, rare);
    return timeout_ms ? rare->ready_us + timeout_ms * 1000 : JOB_CLOCK_NEVER;
}

int64_t job_clock_of(const struct berth_core *core, const struct job *job, const struct rare *rare)
{
    int64_t deadline_us = rare->deadline_us ? rare->deadline_us : JOB_CLOCK_NEVER;
    switch ((enum job_state)job->state) {
    case JOB_READY: {
        int64_t end_us = queue_end_us(core, job, rare);
        return end_us < deadline_us ? end_us : deadline_us;
    }
    case JOB_SCHEDULED:
    case JOB_RETRYING: return deadline_us;
    case JOB_RUNNING: return job->attempt && job->attempt->is_late ? JOB_CLOCK_NEVER : deadline_us;
    case JOB_ARRIVING:
    case JOB_SETTLING: return JOB_CLOCK_NEVER;
    case JOB_STATE_COUNT: break;
    }
    BERTH_UNREACHABLE();
}

static void update(struct berth_core *core, const struct job *job, struct rare *rare)
{
    bool is_linked = berth_heap_is_linked(&rare->clock_node);
    rare->clock_us = job_clock_of(core, job, rare);
    if (rare->clock_us == JOB_CLOCK_NEVER) {
        if (is_linked)
            berth_heap_remove(&core->clocks, &rare->clock_node);
        return;
    }
    if (is_linked)
        berth_heap_update(&core->clocks, &rare->clock_node);
    else
        berth_heap_push(&core->clocks, &rare->clock_node);
}

void job_clock_on_move(struct berth_core *core, uint32_t index, int64_t since_us)
{
    const struct job *job = job_at(&core->jobs, index);
    struct rare *rare = rare_of(core, job);
    if (!rare)
        return;
    if (job->state == JOB_READY && since_us)
        rare->ready_us = since_us < core->wall_us ? since_us : core->wall_us;
    update(core, job, rare);
}

void job_clock_set_ready(struct berth_core *core, uint32_t index, int64_t since_us)
{
    const struct job *job = job_at(&core->jobs, index);
    struct rare *rare = rare_of(core, job);
    if (!rare || job->state != JOB_READY)
        return;
    rare->ready_us = since_us;
    update(core, job, rare);
}

/* Until now there was no clock: what became ready then has 0, and counts from now; nothing counts
 * from what is still to come. */
void job_clock_start(struct berth_core *core)
{
    for (uint32_t i = 1; core->rares.used && i <= core->jobs.top; i++) {
        const struct job *job = job_at(&core->jobs, i);
        struct rare *rare = job->state == JOB_READY ? rare_of(core, job) : NULL;
        if (rare && (!rare->ready_us || rare->ready_us > core->wall_us))
            job_clock_set_ready(core, i, core->wall_us);
    }
}

void job_clock_on_setting(struct berth_core *core, const struct dispatcher *dispatcher)
{
    for (uint32_t i = 1; i <= core->jobs.top; i++) {
        const struct job *job = job_at(&core->jobs, i);
        if (job->state == JOB_READY && job_dispatcher(core, job) == dispatcher)
            job_clock_on_move(core, i, 0);
    }
}

void job_clock_on_unknown_loss(struct berth_core *core)
{
    core->has_unknown_loss = true;
}

/* All that is lost at once makes one walk over all jobs. */
static void count_anew(struct berth_core *core)
{
    core->has_unknown_loss = false;
    for (uint32_t i = 1; core->rares.used && i <= core->jobs.top; i++) {
        const struct job *job = job_at(&core->jobs, i);
        if (job->state == JOB_READY && job->id < core->first_new_job)
            job_clock_set_ready(core, i, core->wall_us);
    }
}

/* ---- what is over ---- */

bool job_clock_is_late(const struct berth_core *core, const struct job *job)
{
    const struct rare *rare = rare_of(core, job);
    return rare && rare->deadline_us && rare->deadline_us <= core->wall_us;
}

int64_t job_clock_left_ms(const struct berth_core *core, const struct job *job)
{
    const struct rare *rare = rare_of(core, job);
    if (!rare || !rare->deadline_us)
        return 0;
    int64_t left_ms = (rare->deadline_us - core->wall_us) / 1000;
    return left_ms < 1 ? 1 : left_ms < LEFT_MS_MAX ? left_ms : LEFT_MS_MAX;
}

/* It runs: its worker is told, and what it reports is judged when it comes. */
static void stop(struct berth_core *core, struct attempt *attempt)
{
    attempt->is_late = true;
    outbox_cancel(core, attempt);
    suspend_on_told(core, attempt);
}

static void end_queued(struct berth_core *core, uint32_t index, const struct rare *rare)
{
    const struct job *job = job_at(&core->jobs, index);
    if (job->flags & JOB_CANCEL_ASKED)
        job_end_cancelled(core, index);
    else if (job_clock_is_late(core, job))
        job_end_queued(core, index, BERTH_DEAD, "deadline",
                       "its deadline passed before it was done");
    else
        job_end_queued(core, index, BERTH_DEAD, "queue_timeout",
                       step_text(core, "not started within its queue_timeout of %" PRId64 " ms",
                                 queue_timeout_ms(core, job, rare)));
}

static void end_one(struct berth_core *core, struct rare *rare)
{
    const struct job *job = job_at(&core->jobs, rare->job);
    if (job->state != JOB_RUNNING) {
        end_queued(core, rare->job, rare);
    } else if (job->attempt->state == ATTEMPT_FETCHING || job->attempt->state == ATTEMPT_STARTING) {
        attempt_release(core, job->attempt); /* nobody has heard of it */
    } else {
        stop(core, job->attempt);
        update(core, job, rare);
    }
}

bool job_clock_end_before_start(struct berth_core *core, uint32_t job)
{
    const struct rare *rare = rare_of(core, job_at(&core->jobs, job));
    if (!rare || job_clock_of(core, job_at(&core->jobs, job), rare) > core->wall_us)
        return false;
    end_queued(core, job, rare);
    return true;
}

void job_clock_on_turn(struct berth_core *core)
{
    struct berth_heap_node *node;
    if (core->has_unknown_loss)
        count_anew(core);
    while (!core->unresolved && (node = berth_heap_first(&core->clocks))) {
        struct rare *rare = berth_container_of(node, struct rare, clock_node);
        if (rare->clock_us > core->wall_us)
            return;
        end_one(core, rare);
    }
}

int64_t job_clock_next_deadline_ms(const struct berth_core *core, int64_t now_ms, int64_t wall_us)
{
    struct berth_heap_node *node = berth_heap_first(&core->clocks);
    if (!node || core->unresolved)
        return INT64_MAX;
    int64_t left_us = berth_container_of(node, struct rare, clock_node)->clock_us - wall_us;
    return now_ms + (left_us > 0 ? (left_us + 999) / 1000 : 0);
}
