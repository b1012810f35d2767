/* SPDX-License-Identifier: MIT */
/* The checker of places at workers: rule 41 of checkers.c. What is counted are attempts of which
 * code runs, in truth: a worker stops one before it says so, and goes on only when it is told to.
 */
#include "broker/core/scope/scope.h"
#include "broker/core/worker/offer.h"
#include "broker/core/worker/session.h"
#include "runs.h"

static bool is_running(const struct run *run)
{
    return !run->is_suspended && !run->is_body_over && !run->shall_end;
}

/* It has begun, or goes on. */
void check_place(struct sim *sim, const struct run *run)
{
    const struct worker *worker = run->worker;
    unsigned all = 0, running = 0;
    BERTH_MAP_FOREACH (node, &worker->runs) {
        all++;
        running += is_running(berth_container_of(node, struct run, by_attempt));
    }
    if (is_running(run) && running > worker->capacity)
        sim_fail(sim, "worker %u: job %llu makes %u that run, its capacity is %u", worker->index,
                 (unsigned long long)run->job, running, worker->capacity);
    if (all > worker->capacity + worker->suspended_max)
        sim_fail(sim, "worker %u has %u attempts, its capacity is %u, and %u may wait",
                 worker->index, all, worker->capacity, worker->suspended_max);
}

/* What is told so need not wait for a place. */
void check_told_runs(struct worker *worker, const struct agent_event *event)
{
    if (event->type != AGENT_EV_ORDERS)
        return;
    for (size_t i = 0; i < event->orders.cancel_count; i++) {
        struct run *run = find_run(worker, event->orders.cancels[i].attempt);
        if (run)
            run->shall_end = true;
    }
}

/* ---- who waits for a place ---- */

static void check_asker(struct sim *sim, const struct session *session,
                        const struct attempt *attempt)
{
    const struct job *job = job_at(&sim->broker.core->jobs, attempt->job);
    if (job->flags & JOB_CANCEL_STORED || attempt->is_late)
        sim_fail(sim, "job %llu is to end, and waits for a place at %s",
                 (unsigned long long)job->id, session->record.name);
}

/* One that waited at the end of the turn before, too, was there before all that began since. */
static void check_first(struct sim *sim, struct worker *worker, const struct session *session,
                        const struct attempt *first)
{
    const struct berth_core *core = sim->broker.core;
    bool is_old = worker->asker == first->by_id.id;
    BERTH_LIST_FOREACH (node, &session->attempts) {
        const struct attempt *at = berth_container_of(node, struct attempt, session_node);
        if (is_old && at->by_id.id > worker->newest)
            sim_fail(sim, "attempt %llx is granted at %s, and %llx waits for a place there",
                     (unsigned long long)at->by_id.id, session->record.name,
                     (unsigned long long)first->by_id.id);
    }
    worker->asker = first->by_id.id;
    worker->newest = core->opts.epoch << 40 | core->attempt_counter;
}

static bool is_waiting_root(const struct berth_core *core, const struct attempt *attempt)
{
    return attempt->is_suspended && !scope_find_child(core, attempt->job_id);
}

/* Where nothing but roots that wait is, their children find a place. */
static void check_children_fit(struct sim *sim, const struct session *session)
{
    const struct berth_core *core = sim->broker.core;
    bool is_there = session->state == SESSION_LIVE && session->peer && !session->is_draining;
    if (!is_there || !session->suspended_max || session->has_room[DESK_CHILDREN])
        return;
    BERTH_LIST_FOREACH (node, &session->attempts)
        if (!is_waiting_root(core, berth_container_of(node, struct attempt, session_node)))
            return;
    sim_fail(sim, "%s has %u attempts, all of them wait, and there is no place for their children",
             session->record.name, session->attempt_count);
}

static void check_worker(struct sim *sim, struct worker *worker, const struct session *session)
{
    bool is_any_asking = !berth_list_is_empty(&session->resuming);
    if (session->state == SESSION_LIVE && session->attempt_count > offer_attempts_max(session))
        sim_fail(sim, "%s has %u attempts, its capacity is %u, and %u may wait",
                 session->record.name, session->attempt_count, session->capacity,
                 session->suspended_max);
    check_children_fit(sim, session);
    if (is_any_asking && offer_running(session) < session->capacity)
        sim_fail(sim, "a place is free at %s, and somebody waits for it", session->record.name);
    BERTH_LIST_FOREACH (node, &session->resuming)
        check_asker(sim, session, berth_container_of(node, struct attempt, resume_node));
    if (is_any_asking)
        check_first(
            sim, worker, session,
            berth_container_of(berth_list_first(&session->resuming), struct attempt, resume_node));
    else
        worker->asker = 0;
}

void check_places_turn(struct sim *sim)
{
    for (unsigned i = 0; i < SIM_WORKERS_MAX; i++) {
        struct worker *worker = &sim->workers[i];
        const struct session *session =
            worker->session ? session_find(sim->broker.core, worker->session) : NULL;
        if (session)
            check_worker(sim, worker, session);
        else
            worker->asker = 0;
    }
}
