/* SPDX-License-Identifier: MIT */
#include "suspend.h"

#include "attempt.h"
#include "dispatcher.h"
#include "limit.h"
#include "outbox.h"

static struct attempt *find(const struct berth_core *core, const struct session *session,
                            uint64_t id)
{
    struct attempt *attempt = attempt_find(core, id);
    bool is_it = attempt && attempt->session == session && attempt->state == ATTEMPT_RUNNING;
    return is_it ? attempt : NULL;
}

/* ---- it stops ---- */

static void stop(struct berth_core *core, struct attempt *attempt, uint32_t number)
{
    attempt->is_suspended = true;
    attempt->suspensions = number;
    if (attempt->has_given || attempt->dispatcher->record.hold != BERTH_HOLD_RUNNING)
        return;
    limit_give(core, attempt);
    attempt->has_given = true;
}

void suspend_take(struct berth_core *core, const struct session *session, uint64_t id,
                  uint32_t number)
{
    struct attempt *attempt = find(core, session, id);
    if (attempt && !attempt->is_suspended && number > attempt->suspensions)
        stop(core, attempt, number);
}

/* ---- it goes on ---- */

static void go_on(struct berth_core *core, struct attempt *attempt)
{
    if (attempt->has_given) {
        attempt->group = job_lane(core, job_at(&core->jobs, attempt->job))->group;
        limit_take(core, attempt);
    }
    attempt->has_given = attempt->is_suspended = false;
    outbox_resume(core, attempt);
}

void suspend_forget(struct attempt *attempt)
{
    struct dispatcher *dispatcher = attempt->dispatcher;
    if (berth_list_is_linked(&attempt->resume_node))
        berth_list_remove(&attempt->resume_node);
    if (!attempt->waits_to_resume)
        return;
    attempt->waits_to_resume = false;
    if (berth_list_is_empty(&dispatcher->resuming))
        berth_list_remove(&dispatcher->resuming_node);
}

/* One that was told to end goes first: it shall see that. */
static void wait_for_slots(struct berth_core *core, struct attempt *attempt)
{
    struct dispatcher *dispatcher = attempt->dispatcher;
    bool is_cancelled = job_at(&core->jobs, attempt->job)->flags & JOB_CANCEL_ASKED;
    if (berth_list_is_empty(&dispatcher->resuming))
        berth_list_push_back(&core->resuming, &dispatcher->resuming_node);
    if (is_cancelled)
        berth_list_push_front(&dispatcher->resuming, &attempt->resume_node);
    else
        berth_list_push_back(&dispatcher->resuming, &attempt->resume_node);
    attempt->waits_to_resume = true;
}

/* It is nobody's attempt any more, was told to end, and holds its slots until it has: it can only
 * end if it may go on. */
static void let_end(struct berth_core *core, struct attempt *attempt, uint32_t number)
{
    attempt->suspensions = number;
    if (!berth_list_is_linked(&attempt->resume_node))
        outbox_resume(core, attempt);
}

void suspend_ask(struct berth_core *core, const struct session *session, uint64_t id,
                 uint32_t number)
{
    struct attempt *doomed = attempt_find(core, id);
    if (doomed && doomed->session == session && doomed->state == ATTEMPT_DOOMED) {
        let_end(core, doomed, number);
        return;
    }
    struct attempt *attempt = find(core, session, id);
    if (!attempt || !attempt->is_suspended || attempt->suspensions != number ||
        attempt->waits_to_resume)
        return;
    if (attempt->has_given)
        wait_for_slots(core, attempt);
    else
        go_on(core, attempt);
}

/* What a join does not call suspended runs, whatever was known of it. */
void suspend_on_line(struct berth_core *core, struct attempt *attempt,
                     const struct berth_join_line *line)
{
    if (attempt->state != ATTEMPT_RUNNING)
        return;
    suspend_forget(attempt);
    bool has_given = attempt->has_given;
    attempt->suspensions = line->suspensions;
    if (line->state == BERTH_ATTEMPT_SUSPENDED) {
        stop(core, attempt, line->suspensions);
        return;
    }
    attempt->is_suspended = attempt->has_given = false;
    if (!has_given)
        return;
    attempt->group = job_lane(core, job_at(&core->jobs, attempt->job))->group;
    limit_take(core, attempt);
}

/* ---- the turn ---- */

const struct dispatcher *suspend_lack(const struct berth_core *core, const struct attempt *attempt)
{
    for (const struct dispatcher *at = attempt->dispatcher; at; at = at->parent)
        if (at->running >= dispatcher_limit(core, at))
            return at;
    return NULL;
}

/* In the order in which they asked; one whose group is full does not stop those behind it. */
static void resume_all(struct berth_core *core, struct dispatcher *dispatcher)
{
    BERTH_LIST_FOREACH_SAFE (node, &dispatcher->resuming) {
        struct attempt *attempt = berth_container_of(node, struct attempt, resume_node);
        if (suspend_lack(core, attempt))
            return;
        if (job_lane(core, job_at(&core->jobs, attempt->job))->group->is_full)
            continue;
        suspend_forget(attempt);
        go_on(core, attempt);
    }
}

void suspend_turn(struct berth_core *core)
{
    if (core->unresolved)
        return;
    BERTH_LIST_FOREACH_SAFE (node, &core->resuming)
        resume_all(core, berth_container_of(node, struct dispatcher, resuming_node));
}
