/* SPDX-License-Identifier: MIT */
#include "match.h"

#include "attempt.h"
#include "dispatcher.h"
#include "lane.h"
#include "outbox.h"
#include "query.h"

void match_wake_dispatcher(struct berth_core *core, struct dispatcher *dispatcher)
{
    if (!berth_list_is_linked(&dispatcher->run_node))
        berth_list_push_back(&core->runnable, &dispatcher->run_node);
}

void match_wake_all(struct berth_core *core)
{
    BERTH_MAP_FOREACH (node, &core->dispatchers_by_id)
        match_wake_dispatcher(core, berth_container_of(node, struct dispatcher, by_id));
}

void match_wake_handler(struct berth_core *core, struct handler *handler)
{
    if (!berth_list_is_linked(&handler->gain_node))
        berth_list_push_back(&core->gained, &handler->gain_node);
}

/* Whether `a` starts before `b`: higher priority, then the older one. 0 is no job. */
static bool is_before(const struct berth_core *core, uint32_t a, uint32_t b)
{
    if (!a || !b)
        return a != 0;
    const struct job *x = job_at(&core->jobs, a), *y = job_at(&core->jobs, b);
    return x->priority != y->priority ? x->priority > y->priority : x->id < y->id;
}

static void park(struct berth_core *core, struct lane *lane)
{
    if (berth_list_is_linked(&lane->wait_node))
        return;
    lane->wait_number = ++core->wait_counter;
    berth_list_push_back(&lane->handler->waiting, &lane->wait_node);
}

/* The first job for which a worker has room; lanes without one go and wait at their handlers. */
static uint32_t choose_job(struct berth_core *core, struct dispatcher *dispatcher)
{
    uint32_t best = 0;
    BERTH_LIST_FOREACH (node, &dispatcher->lanes) {
        struct lane *lane = berth_container_of(node, struct lane, dispatcher_node);
        if (!lane->ready_count)
            continue;
        if (berth_list_is_empty(&lane->handler->free)) {
            park(core, lane);
            continue;
        }
        uint32_t first = lane_first(lane);
        if (is_before(core, first, best))
            best = first;
    }
    return best;
}

/* The worker with room that was not given anything for the longest time. */
static struct session *choose_session(struct handler *handler)
{
    struct berth_list_node *node = berth_list_pop_front(&handler->free);
    berth_list_push_back(&handler->free, node);
    return berth_container_of(node, struct offer, free_node)->session;
}

/* Gives the job to a worker. False: no memory now, or its body cannot be asked for now; the job
 * waits on. */
static bool grant(struct berth_core *core, uint32_t index)
{
    struct job *job = job_at(&core->jobs, index);
    struct session *session = choose_session(job_lane(core, job)->handler);
    uint64_t id = core->opts.epoch << 40 | ++core->attempt_counter;
    uint32_t number = job->attempt_number + (job->attempt_number < UINT32_MAX);
    if (!job->body && !query_body(core, job->id, id))
        return false;
    struct attempt *attempt =
        attempt_new(core, id, session, index, number, job_dispatcher(core, job));
    if (!attempt)
        return false;
    job->attempt_number = number;
    if (job->body)
        outbox_grant(core, attempt);
    else
        attempt->state = ATTEMPT_FETCHING;
    return true;
}

/* One job of this dispatcher, then it is the next one's turn. */
static void serve(struct berth_core *core, struct dispatcher *dispatcher)
{
    if (!dispatcher_has_room(core, dispatcher))
        return;
    uint32_t job = choose_job(core, dispatcher);
    if (!job)
        return;
    if (grant(core, job))
        match_wake_dispatcher(core, dispatcher);
    else
        core->is_short = true;
}

static struct lane *first_waiting(const struct handler *handler)
{
    struct berth_list_node *node = berth_list_first(&handler->waiting);
    bool can_go_on = node && !berth_list_is_empty(&handler->free);
    return can_go_on ? berth_container_of(node, struct lane, wait_node) : NULL;
}

/* Of the lanes that wait for a worker while there is one with room, the one that came first: its
 * dispatcher, or NULL. The room of one worker is that of all its handlers, so the order is kept
 * over all of them. */
static struct dispatcher *next_gained(struct berth_core *core)
{
    struct lane *next = NULL;
    BERTH_LIST_FOREACH_SAFE (node, &core->gained) {
        struct lane *lane = first_waiting(berth_container_of(node, struct handler, gain_node));
        if (!lane)
            berth_list_remove(node);
        else if (!next || lane->wait_number < next->wait_number)
            next = lane;
    }
    if (!next)
        return NULL;
    berth_list_remove(&next->wait_node);
    return next->dispatcher;
}

static struct dispatcher *next_runnable(struct berth_core *core)
{
    struct berth_list_node *node = berth_list_pop_front(&core->runnable);
    return node ? berth_container_of(node, struct dispatcher, run_node) : NULL;
}

void match_turn(struct berth_core *core)
{
    if (core->unresolved)
        return;
    if (core->is_short)
        match_wake_all(core);
    core->is_short = false;
    struct dispatcher *dispatcher;
    while ((dispatcher = next_gained(core)) || (dispatcher = next_runnable(core)))
        serve(core, dispatcher);
}

void match_on_body(struct berth_core *core, uint64_t id, const struct berth_job_record *record)
{
    struct attempt *attempt = attempt_find(core, id);
    if (!attempt || attempt->state != ATTEMPT_FETCHING)
        return;
    struct job *job = job_at(&core->jobs, attempt->job);
    bool is_there = record && (job->body || job_keep_body(core, job, record->body,
                                                          record->timeout_ms, true) == 0);
    /* Without its body it takes its old place and is tried again; cancelled, it ends unstarted. */
    if (!is_there || job->flags & JOB_CANCEL_STORED) {
        attempt_release(core, attempt);
        return;
    }
    attempt->state = ATTEMPT_RUNNING;
    outbox_grant(core, attempt);
}
