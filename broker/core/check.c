/* SPDX-License-Identifier: MIT */
#include "check.h"

#include "broker/core/dispatcher/dispatcher.h"
#include "broker/core/life/attempt.h"
#include "broker/core/life/rare.h"
#include "broker/core/match/limit.h"
#include "broker/core/match/park.h"
#include "broker/core/recur/recur.h"
#include "broker/core/scope/suspend.h"
#include "broker/core/show/shown.h"
#include "broker/core/worker/offer.h"
#include "broker/core/worker/suspect.h"
#include "state.h"

/* Slots and places, counted anew from the attempts that hold them. */
static void check_slots(const struct berth_core *core, const struct dispatcher *d)
{
    uint64_t running = 0, own_running = 0, in_groups = 0, counted = d->ungrouped.running;
    BERTH_MAP_FOREACH (node, &core->attempts) {
        const struct attempt *attempt = berth_container_of(node, struct attempt, by_id);
        if (!attempt_has_slots(attempt))
            continue;
        running += dispatcher_is_in(attempt->dispatcher, d);
        own_running += attempt->dispatcher == d;
        in_groups += attempt->group && attempt->group->dispatcher == d;
    }
    BERTH_ASSERT(d->running == running);
    BERTH_ASSERT(d->own_running == own_running);
    BERTH_MAP_FOREACH (node, &d->groups)
        counted += berth_container_of(node, struct group, by_name)->running;
    BERTH_ASSERT(counted == in_groups);
}

static void check_group(const struct berth_core *core, const struct group *group)
{
    uint64_t running = 0;
    BERTH_MAP_FOREACH (node, &core->attempts) {
        const struct attempt *attempt = berth_container_of(node, struct attempt, by_id);
        running += attempt->group == group;
        if (attempt->group == group)
            BERTH_ASSERT(attempt->state != ATTEMPT_SETTLING);
    }
    BERTH_ASSERT(group->running == running);
    BERTH_ASSERT(group->is_full == (running >= dispatcher_group_limit(group->dispatcher)));
    BERTH_ASSERT(running || !berth_list_is_empty(&group->lanes));
}

/* Only what may still run outlives its session's lease; what an earlier epoch started is known
 * where it was stored. */
static void check_holder(const struct attempt *attempt)
{
    enum session_state state = attempt->session->state;
    if (attempt->state == ATTEMPT_HELD)
        BERTH_ASSERT(state == SESSION_LOST);
    else if (attempt->state == ATTEMPT_DOOMED)
        BERTH_ASSERT(state == SESSION_LIVE || state == SESSION_LOST);
    else if (attempt->state == ATTEMPT_RUNNING)
        BERTH_ASSERT(state == SESSION_LIVE || state == SESSION_RECOVERING);
    else
        BERTH_ASSERT(state == SESSION_LIVE);
}

/* A start that is not stored must not be out where it had to be. */
static void check_start(const struct attempt *attempt, const struct job *job)
{
    if (attempt->state == ATTEMPT_HELD)
        BERTH_ASSERT(job->flags & JOB_START_STORED);
    bool is_begun = attempt->state == ATTEMPT_RUNNING || attempt->state == ATTEMPT_STARTING;
    if (is_begun && attempt->dispatcher->is_held)
        BERTH_ASSERT(job->flags & JOB_START_STORED);
}

static void check_attempts(const struct berth_core *core)
{
    uint64_t running = 0, counted = 0;
    BERTH_MAP_FOREACH (node, &core->attempts) {
        const struct attempt *attempt = berth_container_of(node, struct attempt, by_id);
        bool is_current = attempt->state != ATTEMPT_SETTLING && attempt->state != ATTEMPT_DOOMED;
        bool is_listed = berth_list_is_linked(&attempt->dispatcher_node);
        BERTH_ASSERT(is_listed == (attempt->dispatcher != NULL));
        BERTH_ASSERT(!berth_list_is_linked(&attempt->look_node));
        BERTH_ASSERT(is_current == (attempt->job != 0));
        check_holder(attempt);
        if (!is_current)
            continue;
        const struct job *job = job_at(&core->jobs, attempt->job);
        BERTH_ASSERT(job->state == JOB_RUNNING);
        BERTH_ASSERT(job->attempt == attempt);
        check_start(attempt, job);
        BERTH_ASSERT(job->id == attempt->job_id);
        BERTH_ASSERT(job_dispatcher(core, job) == attempt->dispatcher);
        BERTH_ASSERT(attempt->has_given || job_lane(core, job)->group == attempt->group);
        suspend_check_attempt(attempt);
        running++;
    }
    BERTH_MAP_FOREACH (node, &core->dispatchers_by_id) {
        const struct dispatcher *d = berth_container_of(node, struct dispatcher, by_id);
        check_slots(core, d);
        BERTH_MAP_FOREACH (at, &d->groups)
            check_group(core, berth_container_of(at, struct group, by_name));
        suspend_check_dispatcher(d);
        counted += d->count[JOB_RUNNING];
    }
    BERTH_ASSERT(running == counted);
}

static void check_sessions(const struct berth_core *core)
{
    uint64_t unresolved = 0, cores = 0;
    BERTH_MAP_FOREACH (node, &core->sessions) {
        const struct session *session = berth_container_of(node, struct session, by_id);
        uint32_t attempts = 0;
        BERTH_LIST_FOREACH (at, &session->attempts)
            attempts++;
        BERTH_ASSERT(attempts == session->attempt_count);
        unresolved += session->state == SESSION_RECOVERING;
        cores += session->state == SESSION_LIVE ? session->cores : 0;
        offer_check(session);
        suspend_check_session(session);
        bool has_lease = session->state == SESSION_LIVE || session->state == SESSION_RECOVERING;
        BERTH_ASSERT(berth_heap_is_linked(&session->expiry_node) == has_lease);
    }
    BERTH_ASSERT(unresolved == core->unresolved);
    BERTH_ASSERT(cores == core->cores);
}

/* ---- where everything waits ---- */

/* Open, waiting at its handler, or without anything to start. */
static void check_gate(const struct gate *gate)
{
    bool is_open = berth_list_is_linked(&gate->open_node);
    bool is_waiting = berth_list_is_linked(&gate->wait_node);
    BERTH_ASSERT(!is_open || !is_waiting);
    BERTH_ASSERT(!is_waiting || gate->wait_number);
    BERTH_ASSERT((is_open || is_waiting) == !berth_list_is_empty(&gate->open_ranks));
    BERTH_LIST_FOREACH (node, &gate->ranks) {
        const struct rank *rank = berth_container_of(node, struct rank, gate_node);
        bool has_turns = !berth_list_is_empty(&rank->turns);
        BERTH_ASSERT(berth_list_is_linked(&rank->open_node) == has_turns);
    }
}

/* Who asks stands in one place; where somebody waits something is missing, or it is being given
 * away. */
static void check_place(const struct berth_core *core, const struct dispatcher *d)
{
    bool is_asking = park_is_asking(d);
    bool is_runnable = berth_list_is_linked(&d->run_node);
    BERTH_ASSERT(is_runnable + (d->waits_at != NULL) == is_asking);
    BERTH_ASSERT(berth_list_is_linked(&d->wait_node) == (d->waits_at != NULL));
    BERTH_ASSERT(!d->waits_at || dispatcher_is_in(d, d->waits_at));
    if (berth_list_is_empty(&d->waiting) || berth_list_is_linked(&d->hand_node))
        return;
    enum lack lack = limit_lack(core, d);
    bool has_timer = berth_heap_is_linked(&d->token_node);
    BERTH_ASSERT(lack != LACK_NOTHING || (has_timer && d->token_ms <= core->now_ms));
    BERTH_ASSERT(lack != LACK_TOKEN || has_timer);
}

static void check_desk(const struct desk *desk)
{
    bool is_lost = !berth_list_is_empty(&desk->free) && !berth_list_is_empty(&desk->waiting) &&
                   !berth_list_is_linked(&desk->gain_node);
    BERTH_ASSERT(!is_lost);
}

static void check_waiting(const struct berth_core *core)
{
    BERTH_MAP_FOREACH (node, &core->dispatchers_by_id) {
        const struct dispatcher *d = berth_container_of(node, struct dispatcher, by_id);
        BERTH_LIST_FOREACH (at, &d->gates)
            check_gate(berth_container_of(at, struct gate, dispatcher_node));
        check_place(core, d);
    }
    BERTH_MAP_FOREACH (node, &core->handlers) {
        const struct handler *h = berth_container_of(node, struct handler, by_name);
        for (int i = 0; i < DESK_COUNT; i++)
            check_desk(&h->desks[i]);
    }
}

void core_check(const struct berth_core *core)
{
    check_attempts(core);
    shown_check(core);
    rare_check(core);
    check_sessions(core);
    check_waiting(core);
    recur_check(core);
    suspect_check(core);
}
