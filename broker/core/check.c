/* SPDX-License-Identifier: MIT */
#include "check.h"

#include "attempt.h"
#include "dispatcher.h"
#include "state.h"

static uint64_t slots_held(const struct berth_core *core, const struct dispatcher *dispatcher)
{
    uint64_t held = 0;
    BERTH_MAP_FOREACH (node, &core->attempts) {
        const struct attempt *attempt = berth_container_of(node, struct attempt, by_id);
        held += attempt->dispatcher == dispatcher && attempt->state != ATTEMPT_SETTLING;
    }
    return held;
}

static void check_attempts(const struct berth_core *core)
{
    uint64_t running = 0, counted = 0;
    BERTH_MAP_FOREACH (node, &core->attempts) {
        const struct attempt *attempt = berth_container_of(node, struct attempt, by_id);
        bool is_current = attempt->state == ATTEMPT_RUNNING || attempt->state == ATTEMPT_FETCHING;
        BERTH_ASSERT(is_current == (attempt->job != 0));
        BERTH_ASSERT(attempt->session->state == SESSION_LIVE);
        if (!is_current)
            continue;
        const struct job *job = job_at(&core->jobs, attempt->job);
        BERTH_ASSERT(job->state == JOB_RUNNING);
        BERTH_ASSERT(job->attempt == attempt);
        BERTH_ASSERT(job->id == attempt->job_id);
        BERTH_ASSERT(job_dispatcher(core, job) == attempt->dispatcher);
        running++;
    }
    BERTH_MAP_FOREACH (node, &core->dispatchers_by_id) {
        const struct dispatcher *d = berth_container_of(node, struct dispatcher, by_id);
        BERTH_ASSERT(d->running == slots_held(core, d));
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
        for (size_t i = 0; i < session->offer_count; i++)
            BERTH_ASSERT(berth_list_is_linked(&session->offers[i].free_node) == session->has_room);
        bool has_lease = session->state == SESSION_LIVE || session->state == SESSION_RECOVERING;
        BERTH_ASSERT(berth_heap_is_linked(&session->expiry_node) == has_lease);
    }
    BERTH_ASSERT(unresolved == core->unresolved);
    BERTH_ASSERT(cores == core->cores);
}

/* After a turn: what is ready has a reason to wait, and hangs where what it lacks will wake it. */
static void check_waiting(const struct berth_core *core)
{
    if (core->unresolved || core->is_short)
        return;
    BERTH_MAP_FOREACH (node, &core->dispatchers_by_id) {
        const struct dispatcher *d = berth_container_of(node, struct dispatcher, by_id);
        if (!dispatcher_has_room(core, d) || berth_list_is_linked(&d->run_node))
            continue;
        BERTH_LIST_FOREACH (at, &d->lanes) {
            const struct lane *lane = berth_container_of(at, struct lane, dispatcher_node);
            if (lane->ready_count)
                BERTH_ASSERT(berth_list_is_linked(&lane->wait_node));
        }
    }
    BERTH_MAP_FOREACH (node, &core->handlers) {
        const struct handler *h = berth_container_of(node, struct handler, by_name);
        bool is_lost = !berth_list_is_empty(&h->free) && !berth_list_is_empty(&h->waiting) &&
                       !berth_list_is_linked(&h->gain_node);
        BERTH_ASSERT(!is_lost);
    }
}

void core_check(const struct berth_core *core)
{
    check_attempts(core);
    check_sessions(core);
    check_waiting(core);
}
