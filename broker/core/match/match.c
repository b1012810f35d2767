/* SPDX-License-Identifier: MIT */
#include "match.h"

#include "broker/core/life/attempt.h"
#include "broker/core/life/job_clock.h"
#include "broker/core/scope/suspend.h"
#include "broker/core/show/query.h"
#include "broker/core/worker/hold.h"
#include "broker/core/worker/outbox.h"
#include "broker/core/worker/recovery.h"
#include "handler.h"
#include "lane.h"
#include "limit.h"
#include "park.h"
#include "share.h"

/* The worker with room that was not given anything for the longest time. */
static struct session *choose_session(struct desk *desk)
{
    struct berth_list_node *node = berth_list_pop_front(&desk->free);
    berth_list_push_back(&desk->free, node);
    return berth_container_of(node, struct seat, free_node)->session;
}

/* Gives the job to a worker. False: no memory now, or its body cannot be asked for now; the job
 * waits on. */
static bool grant(struct berth_core *core, uint32_t index)
{
    struct job *job = job_at(&core->jobs, index);
    if (job->flags & JOB_CANCEL_STORED) { /* sessions are missing, or it would have ended */
        job_end_cancelled(core, index);
        return true;
    }
    const struct lane *lane = job_lane(core, job);
    struct dispatcher *dispatcher = lane->gate->dispatcher;
    struct session *session = choose_session(lane->gate->desk);
    uint64_t id = core->opts.epoch << 40 | ++core->attempt_counter;
    uint32_t number = job->attempt_number + (job->attempt_number < UINT32_MAX);
    if (!job->body && !query_body(core, job->id, id))
        return false;
    struct attempt *attempt =
        attempt_new(core, id, session, index, number, dispatcher, lane->group);
    if (!attempt)
        return false;
    limit_take_tokens(core, dispatcher);
    gate_had_turn(lane->gate);
    job->attempt_number = number;
    if (job->body)
        hold_begin(core, attempt);
    else
        attempt->state = ATTEMPT_FETCHING;
    return true;
}

/* One job of this dispatcher, which stands nowhere now; then it stands where it belongs. `giver`:
 * who has something for it; NULL: nobody has asked it. */
static void serve(struct berth_core *core, struct dispatcher *dispatcher, struct dispatcher *giver)
{
    dispatcher->looks++;
    if (core->unresolved && !recovery_allows(core, dispatcher)) {
        park_recover(core, dispatcher);
        return;
    }
    struct dispatcher *place = park_place(core, dispatcher, giver);
    if (place) {
        park_wait(core, dispatcher, place, giver);
        return;
    }
    uint32_t job = lane_choose(core, dispatcher);
    if (!job && park_is_asking(dispatcher))
        park_recover(core, dispatcher);
    if (!job)
        return;
    if (!job_clock_end_before_start(core, job) && !grant(core, job))
        park_stall(core, dispatcher);
    else if (park_is_asking(dispatcher) && giver)
        park_wait(core, dispatcher, giver, giver);
    else if (park_is_asking(dispatcher))
        park_run(core, dispatcher);
}

/* What has come back to a dispatcher goes to one of those that wait there; then it is the next
 * giver's turn, until nothing is left or nobody. */
static bool hand_over(struct berth_core *core)
{
    struct berth_list_node *node = berth_list_pop_front(&core->handing);
    if (!node)
        return false;
    struct dispatcher *giver = berth_container_of(node, struct dispatcher, hand_node);
    if (berth_list_is_empty(&giver->waiting) || limit_lack(core, giver) != LACK_NOTHING) {
        park_note_token(core, giver);
        return true;
    }
    struct dispatcher *next = share_next(core, giver);
    park_take(next);
    serve(core, next, giver);
    park_wake(core, giver);
    return true;
}

/* A worker has room again: the dispatcher goes on that waited for it, unless it waits for more. */
static bool serve_gained(struct berth_core *core)
{
    struct dispatcher *dispatcher = handler_next(core);
    if (!dispatcher)
        return false;
    if (!dispatcher->waits_at) {
        park_take(dispatcher);
        serve(core, dispatcher, NULL);
    }
    return true;
}

static bool serve_runnable(struct berth_core *core)
{
    struct berth_list_node *node = berth_list_pop_front(&core->runnable);
    if (node)
        serve(core, berth_container_of(node, struct dispatcher, run_node), NULL);
    return node;
}

/* Who waits to go on has what is free first, so that what is left is there for new ones. */
void match_turn(struct berth_core *core)
{
    park_on_turn(core);
    suspend_turn(core);
    bool is_going_on = true;
    while (is_going_on) {
        is_going_on = serve_gained(core);
        if (is_going_on)
            continue;
        is_going_on = hand_over(core);
        is_going_on |= serve_runnable(core);
    }
}

void match_on_body(struct berth_core *core, uint64_t id, const struct berth_job_record *record)
{
    struct attempt *attempt = attempt_find(core, id);
    if (!attempt || attempt->state != ATTEMPT_FETCHING)
        return;
    struct job *job = job_at(&core->jobs, attempt->job);
    bool is_there = record && (job->body || job_keep_body(core, job, record->body,
                                                          record->timeout_ms, true) == 0);
    /* Without its body it takes its old place and is tried again; cancelled, it ends unstarted;
     * late, in the next turn. */
    if (!is_there || job->flags & JOB_CANCEL_STORED || job_clock_is_late(core, job)) {
        attempt_release(core, attempt);
        return;
    }
    hold_begin(core, attempt);
}
