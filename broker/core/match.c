/* SPDX-License-Identifier: MIT */
#include "match.h"

#include "attempt.h"
#include "dispatcher.h"
#include "query.h"
#include "session.h"

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

/* The first job for which a worker has room; lanes without one go and wait at their handlers. */
static uint32_t choose_job(struct berth_core *core, struct dispatcher *dispatcher)
{
    uint32_t best = 0;
    BERTH_LIST_FOREACH (node, &dispatcher->lanes) {
        struct lane *lane = berth_container_of(node, struct lane, dispatcher_node);
        if (!lane->ready_count)
            continue;
        if (berth_list_is_empty(&lane->handler->free)) {
            if (!berth_list_is_linked(&lane->wait_node))
                berth_list_push_back(&lane->handler->waiting, &lane->wait_node);
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

/* Gives the job to a worker. False: no memory now, or the body cannot be fetched now; the job waits
 * on. */
static bool grant(struct berth_core *core, uint32_t index)
{
    struct job *job = job_at(&core->jobs, index);
    struct session *session = choose_session(job_lane(core, job)->handler);
    uint64_t id = core->opts.epoch << 40 | ++core->attempt_counter;
    if (!job->body && !query_body(core, job->id, id))
        return false;
    struct attempt *attempt =
        attempt_new(core, id, session, index, job->attempt_number + 1, job_dispatcher(core, job));
    if (!attempt)
        return false;
    job->attempt_number++;
    if (job->body)
        session_out_grant(core, attempt);
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

/* The dispatcher of a lane that waits for a worker while there is one with room, or NULL. */
static struct dispatcher *next_gained(struct berth_core *core)
{
    struct berth_list_node *node;
    while ((node = berth_list_first(&core->gained))) {
        struct handler *handler = berth_container_of(node, struct handler, gain_node);
        struct berth_list_node *lane = NULL;
        if (!berth_list_is_empty(&handler->free))
            lane = berth_list_pop_front(&handler->waiting);
        if (lane)
            return berth_container_of(lane, struct lane, wait_node)->dispatcher;
        berth_list_remove(node);
    }
    return NULL;
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
    while ((dispatcher = next_runnable(core)) || (dispatcher = next_gained(core)))
        serve(core, dispatcher);
}

void match_on_body(struct berth_core *core, uint64_t id, const struct berth_job_record *record)
{
    struct attempt *attempt = attempt_find(core, id);
    if (!attempt || attempt->state != ATTEMPT_FETCHING)
        return;
    if (!record) { /* the question failed: the job takes its old place and is tried again */
        attempt_release(core, attempt);
        return;
    }
    struct job *job = job_at(&core->jobs, attempt->job);
    if (!job->body && job_keep_body(core, job, record->body, record->timeout_ms, true) < 0) {
        attempt_release(core, attempt);
        return;
    }
    attempt->state = ATTEMPT_RUNNING;
    session_out_grant(core, attempt);
}
